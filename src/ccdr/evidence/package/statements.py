"""Signed statements in a package: a restore test as an in-toto statement in a DSSE envelope, a sign-off as the files
that OpenSSH verifies it with.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ccdr.evidence.checkpoints.checkpoint import SigningKey, VerifierKey, decoded_base64
from ccdr.evidence.records import PlanVersion, Record, StatementRecord, TestEnd, TestStart
from ccdr.evidence.records.values import RecordedCheckResult
from ccdr.evidence.statements import signatures_of
from ccdr.host.signatures import key_of
from ccdr.model.errors import CcdrError
from ccdr.model.values import rfc3339, stamped

# All of a statement is told by the ledger's lines: whoever has these makes the same statement again, byte for byte.
# The predicate knows no INCONCLUSIVE: such a test, and one that was skipped, has no statement.

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS = {"PASS": "PASSED", "FAIL": "FAILED"}
FOLDER, SUFFIX = "tests", ".dsse.json"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass
class Tests:
    """Give it every record of one ledger that is shown, in order, as readers have it: gives a statement (its file's
    name and its payload) where a restore test ends that has one."""

    __test__ = False

    ledger: str
    ours: bool = True
    _begun: dict[str, TestStart] = field(default_factory=dict)
    _versions: dict[str, PlanVersion] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)

    def take(self, record: Record, line_sha256: str) -> tuple[str, bytes] | None:
        match record:
            case PlanVersion():
                self._versions[str(record.plan)] = record
            case TestStart():
                self._begun[record.run] = record
            case TestEnd():
                begun = self._begun.pop(record.run, None)
                if record.verdict in RESULTS:
                    statement = _statement(self.ledger, begun, record, self._versions.get(record.plan), line_sha256)
                    return self._name(record), canonical(statement)
        return None

    def _name(self, record: TestEnd) -> str:
        """Of a second test of one run with its record's number: it must not take the place of the first."""
        name = name_of(record.run, None if self.ours else self.ledger)
        if name in self._named:
            name = f"{name.removesuffix(SUFFIX)}.{record.seq}{SUFFIX}"
        self._named.add(name)
        return name


def name_of(run: str, ledger: str | None) -> str:
    """A statement's file: by the run, and by the ledger where that is not ours."""
    name = run if _SAFE.fullmatch(run) else sha256(run.encode("utf-8", "backslashreplace")).hexdigest()[:32]
    return f"{f'{ledger[:8]}.' if ledger else ''}{name}{SUFFIX}"


def _statement(
    ledger: str, begun: TestStart | None, ended: TestEnd, version: PlanVersion | None, line_sha256: str
) -> dict[str, Any]:
    """Its subject is the snapshot, by its manifest; where there was none to test, the record itself."""
    about: dict[str, object] = {
        "ledger": ledger,
        "record": ended.seq,
        "record_sha256": line_sha256,
        "plan": ended.plan,
        "asset": ended.asset,
        "run": ended.run,
        "ended": stamped(ended.time),
    }
    name, digest = f"record {ended.seq}", line_sha256
    if (of := ended.snapshot) is not None:
        about |= {"consistent_point": rfc3339(of.consistent_point), "selected": of.selected}
        name, digest = f"snapshot {of.id}", of.manifest_sha256
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}, "annotations": about}],
        "predicateType": PREDICATE,
        "predicate": {
            "result": RESULTS[ended.verdict],
            "configuration": _configuration(begun, version),
            "passedTests": [_check(one) for one in ended.checks if one.status == "PASS"],
            "warnedTests": [_check(one) for one in ended.checks if one.status not in ("PASS", "FAIL")],
            "failedTests": [_check(one) for one in ended.checks if one.status == "FAIL"],
        },
    }


def _check(check: RecordedCheckResult) -> str:
    return f"{check.kind}: {check.name}"


def _configuration(begun: TestStart | None, version: PlanVersion | None) -> list[dict[str, Any]]:
    names = dict[str, str]()
    if begun is not None:
        names = {f"plans/{begun.plan}.yaml": begun.plan_sha256}
        names |= {f"restore_tests/{one}.yaml": of for one, of in sorted(begun.restore_tests.items())}
    names |= {} if version is None else {"plan version": version.digest}
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in names.items()]


def canonical(statement: Mapping[str, Any]) -> bytes:
    return json.dumps(statement, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def pae(payload: bytes) -> bytes:
    """What is signed (DSSE v1.0.2): the type and the payload, each with its length in bytes."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def envelope(payload: bytes, key: SigningKey | None) -> bytes:
    """Without a key it has no signature, and proves nothing by itself."""
    signed = [] if key is None else [(key.verifier.fingerprint, key.private.sign(pae(payload)))]
    return _envelope(payload, signed)


def _envelope(payload: bytes, signed: Iterable[tuple[str, bytes]]) -> bytes:
    signatures = [{"keyid": keyid, "sig": _text(signature)} for keyid, signature in signed]
    body = {"payloadType": PAYLOAD, "payload": _text(payload), "signatures": signatures}
    return json.dumps(body, indent=1).encode() + b"\n"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@dataclass(frozen=True)
class Enveloped:
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]  # key id, 64 bytes

    def signed_by(self, keys: Iterable[VerifierKey]) -> VerifierKey | None:
        """The first of these that has signed it."""
        text = pae(self.payload)
        for key in keys:
            for keyid, signature in self.signatures:
                if keyid == key.fingerprint and key.signed_bytes(text, signature):
                    return key
        return None


def opened(contents: bytes) -> Enveloped:
    """ValueError where it is no envelope of a statement."""
    try:
        body = json.loads(contents)
        payload = decoded_base64(body["payload"])
        signatures = tuple((str(one["keyid"]), decoded_base64(one["sig"])) for one in body["signatures"])
        right = body["payloadType"] == PAYLOAD
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("is no DSSE envelope") from None
    if not right or not payload:
        raise ValueError("is no envelope of an in-toto statement")
    if contents != _envelope(payload, signatures):  # others may read another one of two payloads
        raise ValueError("is no envelope as ccdr writes one")
    return Enveloped(payload, signatures)


def result_in(payload: bytes) -> str | None:
    try:
        return str(json.loads(payload)["predicate"]["result"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


# What people signed, as the files that OpenSSH verifies it with.

SIGN_OFFS_FOLDER = "signed"


def files_of(record: StatementRecord) -> dict[str, str]:
    """What an auditor verifies a recorded statement with, by the names of files: for each signature the text, the
    signature, and the line of allowed_signers that its record vouches for (compare it with the file itself):

    ssh-keygen -Y verify -f NAME.allowed_signers -I WHO -n PURPOSE -s NAME.txt.sig < NAME.txt
    """
    files = dict[str, str]()
    for one in signatures_of(record):
        name = f"{one.namespace}-{record.seq:06}-{record.nonce[:8]}"
        line = f'{one.by.name} namespaces="{one.namespace}" {key_of(one.by.signature)}\n'
        files |= {f"{name}.txt": one.text, f"{name}.txt.sig": one.by.signature}
        files[f"{name}.allowed_signers"] = line
    return files


def readable_files_of(record: StatementRecord) -> dict[str, str]:
    """The same; nothing of one that no ccdr can have recorded."""
    try:
        return files_of(record)
    except (CcdrError, ValueError):
        return {}
