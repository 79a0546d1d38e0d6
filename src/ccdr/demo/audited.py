"""What the demo ends with: a package of its evidence, verified as an auditor does it who trusts nobody here.

The host may only put into the evidence bucket, whose versions are locked; the auditor may only read it, and has the
ledger's public key from before. Both call ccdr as people do.
"""

from __future__ import annotations

import json
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.demo.store import DemoStore
from ccdr.host.secret_files import write_secret
from ccdr.jobs.checkpoints import creation
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError

BUCKET = "evidence"
LOCKED_FOR = 2555  # days: seven years, as `ccdr doctor` wants it
HOST, AUDITOR = "evidence", "auditor"
_MAY = {HOST: ("Write",), AUDITOR: ("Read", "List")}


@dataclass(frozen=True)
class Identities:
    """Two users of the S3 server beside the demo's own, which may do anything."""

    secrets: dict[str, tuple[str, str]]

    @classmethod
    def new(cls) -> Identities:
        return cls({who: (f"{who}{secrets.token_hex(6)}", secrets.token_hex(20)) for who in _MAY})

    def beside(self) -> dict[str, list[object]]:
        """For the server's configuration."""
        return {"identities": [self._identity(who) for who in _MAY]}

    def _identity(self, who: str) -> dict[str, object]:
        access, secret = self.secrets[who]
        actions = [f"{action}:{BUCKET}" for action in _MAY[who]]
        return {"name": who, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}

    def env_file(self, who: str) -> str:
        access, secret = self.secrets[who]
        return f"AWS_ACCESS_KEY_ID={access}\nAWS_SECRET_ACCESS_KEY={secret}"


@dataclass(frozen=True)
class Audited:
    """The package, and what its verification said: `says` is one word, `record` up to where a change would have been
    found; `command` is what a person types for it."""

    package: Path
    says: str
    record: int
    records: int
    anchor: str
    command: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        facts = {"package": str(self.package), "says": self.says, "records": self.records}
        return {**facts, "boundary": self.record, "anchor": self.anchor, "command": list(self.command)}


@dataclass(frozen=True)
class Auditor:
    """Who is given the package: with a state, a credential and a key of their own, in `home`."""

    work: Path
    home: Path
    url: str
    own: Services

    def audited(self) -> Audited:
        """Anchor the ledger, write the package, and verify it. CcdrError where one of these does not do."""
        package = self.work / "package"
        self._ccdr("ledger", "checkpoint")
        self._ccdr("ledger", "export", str(package))
        theirs = ("--state", str(self.home / "state"))
        self._ccdr("ledger", "collect", self.url, "--env-file", str(self.home / "bucket.env"), *theirs)
        names = {"--pin": "ledger.key", "--anchor": "state/checkpoints", "--signers": "allowed_signers"}
        has = {option: self.home / name for option, name in names.items() if (self.home / name).exists()}
        by = [word for option, path in has.items() for word in (option, str(path))]
        command = ("ledger", "verify", str(package), *by)
        found = self._ccdr(*command, *theirs)
        (boundary,) = [one["boundary"] for one in _boundaries(found)]
        anchor = str(boundary["anchor"])
        return Audited(package, str(found["says"]), boundary["record"], found["records"], anchor, command)

    def _ccdr(self, *words: str) -> dict[str, Any]:
        where = () if "--state" in words else ("--plans", str(self.work / "plans"), "--state", str(self.work / "state"))
        argv = [sys.executable, "-m", "ccdr", *words, *where, "--json"]
        return dict(json.loads(self.own.host.run(argv, what="ccdr").stdout))


def _boundaries(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a package with one ledger."""
    listed = found.get("ledgers") or [found]
    return [one for one in listed if one.get("boundary")]


def prepared(work: Path, server: DemoStore, users: Identities, own: Services) -> Auditor:
    """The bucket, its anchor beside the plans, and the ledger's key, whose public half the auditor gets."""
    server.bucket(BUCKET).ensure(lock_days=LOCKED_FOR)
    url = f"s3:{server.endpoint}/{BUCKET}"
    write_secret(work / "plans" / "secrets" / "evidence.env", users.env_file(HOST))
    anchor = f"{{name: bucket, kind: object_lock, url: '{url}', env_file: plans/secrets/evidence.env, every: 1h}}"
    (work / "anchors.yaml").write_text(f"anchors:\n  - {anchor}\n", "utf-8")
    home = work / "auditor"
    home.mkdir(mode=0o700)
    write_secret(home / "bucket.env", users.env_file(AUDITOR))
    key = creation.create(own).key
    (home / "ledger.key").write_text(f"{key}\n", "ascii")
    (home / "ledger.pem").write_text(key.pem, "ascii")  # as stock tools take it
    with suppress(FileNotFoundError):  # where nobody can approve here, nothing is signed
        (home / "allowed_signers").write_bytes((work / "allowed_signers").read_bytes())
    return Auditor(work, home, url, own)


def audited(auditor: Auditor) -> tuple[Audited | None, list[str]]:
    """What came of it; or a sentence on what did not."""
    try:
        return auditor.audited(), []
    except CcdrError as error:
        return None, [f"the package of the evidence was not verified: {error}"]
