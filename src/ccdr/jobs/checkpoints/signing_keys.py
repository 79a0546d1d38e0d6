"""The keys that sign this ledger's checkpoints: `STATE/keys/ledger/<id>.pem`, mode 0600.

Which one signs, the ledger's newest record of a key says. A key that was replaced is destroyed: it could sign nothing
that verifies any more.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from ccdr.evidence.checkpoints.keys import KEY, KeyRecord, keys_in, statement
from ccdr.evidence.checkpoints.notes import SigningKey, VerifierKey
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.records.checkpoints import LedgerKey
from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import RecordRef

_OTHER = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Recorded:
    """A key that signs from `record` on, and what it replaces."""

    key: VerifierKey
    replaces: VerifierKey | None
    record: RecordRef


def directory_of(state: State) -> Path:
    return state.root / "keys" / "ledger"


def current(services: Services, lineage: Lineage | None = None) -> KeyRecord | None:
    """The one that the ledger's newest record names; None where it names none. CcdrError where it cannot be read."""
    lineage = lineage or services.lineage()
    newest = lineage.anchoring.key
    if newest is None:
        return None
    found, _ = keys_in([{**newest, "kind": KEY}], lineage.ledger)
    if not found:
        raise CcdrError(f"record {newest['seq']} of the ledger names no key", hint="`ccdr ledger verify` lists damage")
    return found[0]


def private_of(state: State, key: VerifierKey) -> SigningKey | None:
    """None where it is not here. CcdrError where its file is another's."""
    path = _path(state, key)
    try:
        found = SigningKey.of_pem(key.name, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CcdrError(f"{path} cannot be read: {error.strerror}", hint="run as the state's owner") from None
    except ValueError as why:
        raise CcdrError(f"{path} {why}", hint=_LOST) from None
    if found.verifier != key:
        raise CcdrError(f"{path} is another key than its name says", hint=_LOST)
    return found


_LOST = "put it back from where it is kept; or `ccdr ledger key create --lost`, and tell your auditor the new key"


def create(services: Services, *, lost: bool = False) -> Recorded:
    """The first key of this ledger; or, where the one that it names is `lost`, another one that nobody has handed over
    to. UsageProblem where there is one."""
    before = current(services)
    if before is not None and not lost:
        raise UsageProblem(
            f"this ledger has a key already: {before.key}",
            hint="`ccdr ledger key rotate` replaces it; `ccdr ledger key show` prints it for your auditor",
        )
    if before is None and lost:
        raise UsageProblem("this ledger has no key that could be lost", hint="`ccdr ledger key create`")
    if before is not None and _usable(services.state, before.key):
        raise UsageProblem("its key is not lost: it is here", hint="`ccdr ledger key rotate` replaces it")
    return _recorded(services, SigningKey.new(_name(services)), None)


def rotate(services: Services) -> Recorded:
    """Another key, to which the one of before hands over; that one is destroyed. UsageProblem where there is none."""
    before = current(services)
    old = None if before is None else private_of(services.state, before.key)
    if before is None or old is None:
        what = "this ledger has no key yet" if before is None else f"the key {before.key} is not here: it signs nothing"
        raise UsageProblem(what, hint="`ccdr ledger key create`" if before is None else _LOST)
    made = _recorded(services, SigningKey.new(before.key.name), old)
    path = _path(services.state, old.verifier)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CcdrError(f"{path}, the key of before, cannot be removed: {error.strerror}", hint="remove it") from None
    return made


def _usable(state: State, key: VerifierKey) -> bool:
    try:
        return private_of(state, key) is not None
    except CcdrError:
        return False


def _recorded(services: Services, key: SigningKey, old: SigningKey | None) -> Recorded:
    """The file first: a record of a key that nobody has would end all signing."""
    ledger = services.lineage().ledger
    if ledger is None:
        raise UsageProblem(
            "there is no ledger yet that could be signed", hint="`ccdr backup PLAN` writes first records"
        )
    services.state.directory("keys", "ledger")
    replaces = None if old is None else old.verifier
    text = statement(ledger, key.verifier, replaces)
    write_durably(_path(services.state, key.verifier), key.pem)
    signed = LedgerKey(
        ledger=ledger,
        key=str(key.verifier),
        replaces=None if replaces is None else str(replaces),
        signature=_text(key.sign(text)),
        signature_before=None if old is None else _text(old.sign(text)),
    )
    return Recorded(key.verifier, replaces, services.ledger.write(signed))


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


def _name(services: Services) -> str:
    """Of the host: a key may outlive a ledger."""
    return f"ccdr.host/{_OTHER.sub('-', services.ledger.host) or 'host'}"


def _path(state: State, key: VerifierKey) -> Path:
    return directory_of(state) / f"{key.id}.pem"
