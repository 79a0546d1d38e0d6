"""Is a package what it says it is? All of it is held to itself; what a verifier had from elsewhere (pins, anchors)
says whether that proves anything. Nothing in a package is carried out, and nothing in it says who may sign."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.checkpoint import (
    LARGEST,
    Anchor,
    Checkpoint,
    VerifierKey,
    origin_of,
    public_of_pem,
    read_checkpoint,
)
from ccdr.evidence.checkpoints.keys import Pin
from ccdr.evidence.checkpoints.names import ANCHORS, checkpoint_name
from ccdr.evidence.checkpoints.receipts import Receipts, anchors_in, is_receipt, missing
from ccdr.evidence.checkpoints.verification import END_OF_A_DAY, NOT_PINNED, Asked, Checked, Finding, check
from ccdr.evidence.due_gaps import DueRuns, LedgerGap
from ccdr.evidence.ledger.ledger import LEDGER
from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.lineage.comparison import is_id, read_id
from ccdr.evidence.package import bag, statements
from ccdr.evidence.package import statements as sign_offs
from ccdr.evidence.package.bag import BY_LEDGER, DATA, Bag
from ccdr.evidence.package.lines import LINES, TREE, Shown
from ccdr.evidence.verdicts import Record
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339, so_many, to_the_second, utc
from ccdr.plans import load_plan

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MADE, FROM, TO = "Ccdr-Made", "Ccdr-Period-From", "Ccdr-Period-To"
VERSION, SCOPE, RECORDS, PLANS, TENANT = "Ccdr-Package", "Ccdr-Scope", "Ccdr-Records", "Ccdr-Plans", "Ccdr-Tenant"
AGENT, COMMAND, HOST, BY = "Bag-Software-Agent", "Ccdr-Command", "Ccdr-Host", "Ccdr-By"
TEXTS = "Ccdr-Plan-Texts"  # of each version that is shown, or of none
FOLDERS = ("ledgers", "checkpoints", "keys", statements.FOLDER, sign_offs.SIGN_OFFS_FOLDER, "plans")  # each held to
_TAKEN_IN = ("ledger.collected", "ledger.linked")


@dataclass(frozen=True)
class OfLedger:
    """What was found of one of the ledgers in a package; `shown` of its records are lines, the others hashes.
    `to_the_end`: the last line chains all that are shown."""

    ledger: str
    verification: Verification
    checked: Checked
    shown: int
    to_the_end: bool


@dataclass(frozen=True)
class PackageChecked:
    """What was found of a package. `ours` is the ledger of the host that made it; `findings` are all but what
    `ours.checked` has; `unproven`: sentences on what could not be judged."""

    info: Mapping[str, str]
    ours: OfLedger | None
    others: tuple[OfLedger, ...]
    findings: tuple[Finding, ...]
    unproven: tuple[str, ...]
    gaps: tuple[LedgerGap, ...] = ()  # of `ours`, within the period
    signed: tuple[Record, ...] = ()  # records that somebody has signed, of `ours`
    payload: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of each file, by its path


@dataclass
class _Open:
    """What is gathered of a package while its ledgers are read."""

    package: Bag
    pins: Sequence[Pin]
    anchors: Sequence[Anchor]
    certificates: Sequence[Certificate]
    found: list[Finding] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    taken_in: dict[str, tuple[int, str, int]] = field(default_factory=dict)  # by our records: how many, head, by which
    due: DueRuns = field(default_factory=DueRuns)
    names: Sequence[str] = ()  # of the ledgers in it
    start: datetime | None = None  # of the period that it tells of
    end: datetime | None = None

    def strange(self, anchor: Anchor) -> bool:
        """Is it of none of the ledgers in the package?"""
        return all(anchor.checkpoint.origin != origin_of(name) for name in self.names)

    def time_of(self, label: str) -> datetime | None:
        try:
            return utc(self.package.info[label])
        except (KeyError, ValueError, OverflowError):
            self.found.append(Finding("PACKAGE_INFO_WRONG", f"{bag.INFO} has no time as {label}"))
            return None


def verify_package(
    root: Path,
    pins: Sequence[Pin] = (),
    anchors: Sequence[Anchor] = (),
    certificates: Sequence[Certificate] = (),
) -> PackageChecked:
    """`certificates` are those of time-stamping authorities' CAs. OSError where it cannot be read."""
    package, found = bag.examine(root)
    at = _Open(package, pins, anchors, certificates, found)
    if not package.readable:
        return PackageChecked({}, None, (), tuple(found), ())
    if package.info.get(VERSION, bag.FORMAT) != bag.FORMAT:
        text = f"a package of format {package.info.get(VERSION, '')[:20]!a}: this ccdr reads {bag.FORMAT}"
        return PackageChecked(package.info, None, (), tuple(found), (text,))
    made, at.start, at.end = at.time_of(MADE), at.time_of(FROM), at.time_of(TO)
    if made is not None:
        _require_times(anchors, made)
    own = package.info.get(BY_LEDGER, "")
    names = sorted({path.split("/")[0] for path in package.below("ledgers")}, key=lambda one: (one != own, one))
    if not is_id(own) or own not in names:
        at.found.append(Finding("PACKAGE_LEDGER_MISSING", f"{bag.INFO} names no ledger that is in it ({BY_LEDGER})"))
    if strange := [one for one in names if not is_id(one)]:
        at.found.append(Finding("PACKAGE_FILE_EXTRA", f"{DATA}/ledgers/{strange[0]} is no ledger's directory"))
    at.names = names
    if len({one[:8] for one in names}) < len(names):  # by which rows and statements name them
        at.found.append(Finding("PACKAGE_LEDGER_WRONG", "the ids of two ledgers in it begin alike"))
    of = {one: _of_ledger(at, one, made, ours=one == own) for one in names if is_id(one)}
    shown = {name: shown for name, (shown, _) in of.items()}
    _claims(at, shown)
    _keys(at, [key.key for _, one in of.values() for key in one.checked.keys])
    _statements(at, shown, [] if own not in of else [key.key for key in of[own][1].checked.keys])
    _sign_offs(at, shown)
    _plans(at, own, shown)
    _checkpoints_of_none(at)
    others = tuple(one for name, (_, one) in of.items() if name != own)
    ours = of[own][1] if own in of else None
    _beside(at, ours, others)
    gaps = tuple(at.due.gaps(at.start, at.end))
    signed = tuple(shown[own].signed) if own in shown else ()
    if ours is not None and (beyond := _beyond(ours, shown[own])):
        at.unproven.append(beyond)
    told = tuple(dict.fromkeys(at.found)), tuple(at.unproven)
    return PackageChecked(package.info, ours, others, *told, gaps, signed, package.payload)


def _require_times(anchors: Sequence[Anchor], made: datetime) -> None:
    """Of one that was had on the day that the package was made, a date alone does not say whether that was before.
    UsageProblem."""
    for one in anchors:
        if one.at is not None and one.at.time() == END_OF_A_DAY and one.at.date() == made.date():
            raise UsageProblem(
                f"{one} was had on the day that the package was made ({to_the_second(rfc3339(made))}): before that?",
                hint=f"say the time, as --anchor FILE@{made:%Y-%m-%dT%H:%M:%SZ}",
            )


def _of_ledger(at: _Open, name: str, made: datetime | None, *, ours: bool) -> tuple[Shown, OfLedger]:
    def each(record: Record, time: datetime) -> None:
        if ours and record["kind"] in _TAKEN_IN:
            _took_in(at, record)
        if named is not None and record["plan"] not in named:
            text = f"record {record['seq']} is shown, and its plan is none of those that {bag.INFO} names"
            at.found.append(Finding("PACKAGE_INFO_WRONG", text, int(record["seq"])))
        if ours:
            at.due.take(record, time)
            if made is not None and time > made:
                text = f"record {record['seq']} says {rfc3339(time)}, and the package was made at {rfc3339(made)}"
                at.found.append(Finding("RECORD_AFTER_PACKAGE", text, int(record["seq"])))

    plans = at.package.info.get(PLANS)
    named = None if plans is None else {None, *plans.split()}
    shown = Shown(name, at.package.root / DATA / "ledgers" / name, each, ours)
    if not shown.whole and f"{DATA}/ledgers/{name}/{LINES}" not in at.package.payload:
        at.found.append(Finding("PACKAGE_FILE_MISSING", f"{DATA}/ledgers/{name} has a {TREE}, and no {LINES}"))
        shown.directory /= "nothing"  # is there, and holds no lines
    _is_there(at, name, whole=shown.whole)
    shown.verify_chain()
    checkpoints, unreadable = _checkpoints(at.package, name)
    receipts = _receipts(at, name, shown.anchored, ours=ours)
    brought = [one for one in at.anchors if one.checkpoint.origin == origin_of(name) or (ours and at.strange(one))]
    asked = Asked(
        ledger=name,
        origin=origin_of(name),
        checkpoints=checkpoints,
        anchors=[*brought, *receipts.anchors],
        pins=at.pins,
        made=made,
        unreadable=unreadable,
        key_records=shown.keys,
        findings=receipts.findings,
        notes=receipts.notes,
    )
    checked = check(asked, shown.leaves())
    if shown.named != name:
        at.found.append(Finding("PACKAGE_LEDGER_WRONG", f"the ledger in {name[:8]}… says that it is another one"))
    at.found += shown.findings
    at.found += [
        Finding(getattr(one, "code", LEDGER), f"ledger {name[:8]}…: {one}", getattr(one, "record", None))
        for one in shown.problems
    ]
    at.unproven += [f"record {one}: a line that was changed was set aside; no answer is shown" for one in shown.spoilt]
    verification = shown.verification
    if verification.unknown:
        many = so_many(verification.unknown, "record")
        at.unproven.append(f"ledger {name[:8]}…: {many} of a version or kind that this ccdr does not read")
    return shown, OfLedger(name, verification, checked, shown.shown, shown.to_the_end)


def _is_there(at: _Open, name: str, *, whole: bool) -> None:
    """Nothing but the ledger: whoever reads a package by other means must not read other lines."""
    own = re.compile(r"id|[0-9]{12}\.jsonl|torn-.*\.bin") if whole else re.compile(rf"id|{LINES}|{TREE}")
    for file in at.package.below(f"ledgers/{name}"):
        if not own.fullmatch(file):
            at.found.append(Finding("PACKAGE_FILE_EXTRA", f"{DATA}/ledgers/{name}/{file} is no file of a ledger's"))
    if not whole and read_id(at.package.root / DATA / "ledgers" / name) != name:
        at.found.append(Finding("PACKAGE_LEDGER_WRONG", f"{DATA}/ledgers/{name}/id is of another one"))


def _took_in(at: _Open, record: Record) -> None:
    ledgers, records = record.get("ledgers") or [record.get("ledger")], record.get("records")
    if not isinstance(ledgers, list) or not isinstance(records, int):
        return
    for one in ledgers:
        at.taken_in[str(one)] = records, str(record.get("head")), int(record["seq"])


def _receipts(at: _Open, name: str, anchored: Sequence[Record], *, ours: bool) -> Receipts:
    """What anchors have left with the checkpoints; those that records tell of, and that are not there."""
    directory = at.package.root / DATA / "checkpoints" / name
    receipts = anchors_in(directory, at.certificates)
    if ours or (directory / ANCHORS).is_dir():
        receipts.findings += missing(anchored, directory)
    elif anchored:
        many = so_many(len(anchored), "anchor is", "anchors are")
        receipts.notes.append(f"ledger {name[:8]}…: {many} recorded, and the host that took it in has no receipt")
    return receipts


def _checkpoints(package: Bag, name: str) -> tuple[list[Checkpoint], list[str]]:
    found, wrong = list[Checkpoint](), list[str]()
    for file in package.below(f"checkpoints/{name}"):
        folder, _, receipt = file.rpartition("/")
        if folder == ANCHORS and is_receipt(receipt):
            continue  # what anchors them: they are told of by whoever keeps them
        try:
            checkpoint = read_checkpoint(package.read(f"{DATA}/checkpoints/{name}/{file}", LARGEST))
            if checkpoint_name(checkpoint.size) != file:
                raise ValueError(f"is a checkpoint of {checkpoint.size} records")
            found.append(checkpoint)
        except ValueError as why:
            wrong.append(f"{file} {why}")
    return found, wrong


def _claims(at: _Open, shown: Mapping[str, Shown]) -> None:
    """What the bag says of how much is in it."""
    counted = " ".join(f"{name}={one.shown}/{one.size}" for name, one in shown.items())
    if at.package.info.get(RECORDS) != counted:
        at.found.append(Finding("PACKAGE_INFO_WRONG", f"{bag.INFO} counts other records than there are: {counted}"))
    whole = "whole" if all(one.whole for one in shown.values()) else "part"
    if at.package.info.get(SCOPE) != whole:
        at.found.append(Finding("PACKAGE_INFO_WRONG", f"{bag.INFO} does not say that this is the {whole} of it"))


def _keys(at: _Open, keys: Sequence[VerifierKey]) -> None:
    """Files of keys are there for openssl: each is one of the ledgers' own."""
    for name in at.package.below("keys"):
        try:
            text = at.package.read(f"{DATA}/keys/{name}")
            known = {one.public for one in keys if name in (f"{one.id}.pem", f"{one.id}.vkey")}
            public = public_of_pem(text) if name.endswith(".pem") else VerifierKey.of(text.decode("ascii")).public
            if public not in known:
                raise ValueError("is no key that a record of the ledger names")
        except ValueError as why:
            at.found.append(Finding("KEY_FILE_WRONG", f"{DATA}/keys/{name} {why}"))


def _statements(at: _Open, shown: Mapping[str, Shown], keys: Sequence[VerifierKey]) -> None:
    wanted = {name: payload for one in shown.values() for name, payload in one.statements.items()}
    unsigned = 0
    for name in at.package.below(statements.FOLDER):
        path, payload = f"{DATA}/{statements.FOLDER}/{name}", wanted.pop(name, None)
        try:
            enveloped = statements.opened(at.package.read(path))
        except ValueError as why:
            at.found.append(Finding("STATEMENT_WRONG", f"{path} {why}"))
            continue
        if payload is None:
            at.found.append(Finding("STATEMENT_UNKNOWN", f"{path} is of no restore test that the lines tell of"))
        elif enveloped.payload != payload:
            said, is_ = statements.result_in(enveloped.payload), statements.result_in(payload)
            text = f"says {said}, and the record {is_}" if said != is_ else "says something else than the records"
            at.found.append(Finding("STATEMENT_WRONG", f"{path} {text}"))
        if not enveloped.signatures:
            unsigned += 1
        elif enveloped.signed_by(keys) is None:
            at.found.append(Finding("STATEMENT_WRONG", f"{path} is not signed by a key of the ledger"))
    at.found += [
        Finding("STATEMENT_MISSING", f"{DATA}/{statements.FOLDER}/{name} is not there, and its test is among the lines")
        for name in sorted(wanted)
    ]
    if unsigned:
        at.unproven.append(f"{so_many(unsigned, 'statement')} of restore tests, which no key has signed")


def _sign_offs(at: _Open, shown: Mapping[str, Shown]) -> None:
    """Each is the text, the signature and the signer of a record. Whether the signature holds, and whether that signer
    may sign, `ssh-keygen` tells, by the file of signers that a verifier has."""
    wanted = {name: text for one in shown.values() for name, text in one.sign_offs.items() if bag.is_safe(name)}
    for name in at.package.below(sign_offs.SIGN_OFFS_FOLDER):
        path, text = f"{DATA}/{sign_offs.SIGN_OFFS_FOLDER}/{name}", wanted.pop(name, None)
        digest = None if text is None else sha256(text.encode()).hexdigest()
        if digest != at.package.payload[path]:
            at.found.append(Finding("SIGNED_FILE_WRONG", f"{path} is not what a record says that somebody has signed"))
    at.found += [
        Finding(
            "SIGNED_FILE_MISSING",
            f"{DATA}/{sign_offs.SIGN_OFFS_FOLDER}/{name} is not there, and its record is among the lines",
        )
        for name in sorted(wanted)
    ]


def _plans(at: _Open, own: str, shown: Mapping[str, Shown]) -> None:
    """`plans/<plan>/<digest>/<file>`: the texts of versions, held to the digests in the records; what these say that a
    version promises, to its text."""
    known = {key: record for one in shown.values() for key, record in one.versions.items()}
    there = defaultdict[tuple[str, str], set[str]](set)
    for name in at.package.below("plans"):
        plan, _, rest = name.partition("/")
        digest, _, file = rest.partition("/")
        record = known.get((plan, digest))
        if record is None or record["files"].get(file) != at.package.payload[f"{DATA}/plans/{name}"]:
            text = f"{DATA}/plans/{name} is not the text that a record of the plan's version has the digest of"
            at.found.append(Finding("PLAN_TEXT_WRONG", text))
        else:
            there[plan, digest].add(file)
    ours = shown[own].versions if own in shown else {}
    for (plan, digest), record in known.items() if at.package.info.get(TEXTS) != "none" else ():
        if there[plan, digest] != set(record["files"]):
            if (plan, digest) not in ours:
                continue  # another host has it
            text = f"the text of the plan {plan} that record {record['seq']} has the digests of is not there"
            at.found.append(Finding("PLAN_TEXT_MISSING", text, int(record["seq"])))
        elif record["facts"]["assets"]:
            _promises(at, plan, digest, record)


def _promises(at: _Open, plan: str, digest: str, record: Record) -> None:
    directory = at.package.root / DATA / "plans" / plan / digest
    try:
        text = load_plan(directory / "plans" / f"{plan}.yaml", directory / "restore_tests").plan
    except CcdrError:
        at.unproven.append(f"the text of the plan {plan} of record {record['seq']}: this ccdr does not read it")
        return
    stated = {name: (text.objectives_of(name).rpo, text.objectives_of(name).rto) for name in text.assets}
    if stated != {name: (of["rpo"], of["rto"]) for name, of in record["facts"]["assets"].items()}:
        told = f"record {record['seq']} says that the plan {plan} promises another RPO or RTO than its text does"
        at.found.append(Finding("PLAN_FACTS_WRONG", told, int(record["seq"])))


def _beyond(ours: OfLedger, shown: Shown) -> str | None:
    """How much lies behind the newest anchor that the verifier has: a sentence, where that is anything."""
    boundary = ours.checked.boundary
    if boundary is None or shown.last is None or shown.last[0] <= boundary.record:
        return None
    since = shown.last[1] - (boundary.time or shown.last[1])
    hours = f"{since.total_seconds() / 3600:.1f}"
    return (
        f"{so_many(shown.last[0] - boundary.record, 'record')}, of the last {hours} hours, lie beyond record "
        f"{boundary.record}, up to which your anchor reaches: that they are as they were written, it does not show"
    )


def _checkpoints_of_none(at: _Open) -> None:
    for name in at.package.below("checkpoints"):
        if name.split("/")[0] not in at.names:
            text = f"{DATA}/checkpoints/{name} is of no ledger that is in it"
            at.found.append(Finding("PACKAGE_FILE_EXTRA", text))


def _beside(at: _Open, ours: OfLedger | None, others: Sequence[OfLedger]) -> None:
    """Ledgers of other hosts: proven by checkpoints of their own, or by our record of how they were taken in. That
    nobody has pinned another host's key is no finding: it proves nothing then by its own."""
    boundary = ours.checked.boundary.record if ours is not None and ours.checked.boundary is not None else 0
    for one in others:
        of_it = [finding for finding in one.checked.findings if finding.code != NOT_PINNED]
        at.found += [Finding(f.code, f"ledger {one.ledger[:8]}…: {f.text}", f.record) for f in of_it]
        records, head, by = at.taken_in.get(one.ledger, (0, "", 0))
        fits = one.to_the_end and (records, head) == (one.verification.records, one.verification.head)
        if not fits and records and one.verification.records <= records:
            text = f"ledger {one.ledger[:8]}… is not as it was taken in, by record {by}"
            if one.shown == one.verification.records:
                at.found.append(Finding("LEDGER_NOT_AS_TAKEN_IN", text, by))
        if not one.checked.proven and not (fits and 0 < by <= boundary):
            at.unproven.append(
                f"ledger {one.ledger[:8]}…: neither an anchor of its own, nor an anchored record of how it was taken in"
            )
