"""Making a checkpoint: the tree grows by the lines since the last one, what it is then is signed, and one record's
proof leads to it. The keys lie in `STATE/keys/ledger/<id>.pem`, mode 0600.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.checkpoints.checkpoint import (
    Checkpoint,
    SigningKey,
    Tree,
    VerifierKey,
    checkpoint_of,
    leaf_hash,
    origin_of,
)
from ccdr.evidence.checkpoints.checkpoint import Path as AuditPath
from ccdr.evidence.checkpoints.keys import KeyRecord, keys_in, statement
from ccdr.evidence.checkpoints.names import ANCHORS, CHECKPOINTS, checkpoint_name
from ccdr.evidence.checkpoints.proof import Proof
from ccdr.evidence.ledger.ledger import BEGINNING, Ledger, Mark, extent_of, forwards, line_as_record, lines
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.records.checkpoints import LedgerKey
from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.jobs.checkpoints.store import (
    Grown,
    checkpoints_in,
    directory_of,
    newest_in,
    read_grown,
    write_grown,
)
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import RecordRef

# The keys that sign this ledger's checkpoints: `STATE/keys/ledger/<id>.pem`, mode 0600.
#
# Which one signs, the ledger's newest record of a key says. A key that was replaced is destroyed: it could sign
# nothing that verifies any more.

_OTHER = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Recorded:
    """A key that signs from `record` on, and what it replaces."""

    key: VerifierKey
    replaces: VerifierKey | None
    record: RecordRef


def keys_directory(state: State) -> Path:
    return state.root / "keys" / "ledger"


def current(services: Services, lineage: Lineage | None = None) -> KeyRecord | None:
    """The one that the ledger's newest record names; None where it names none. CcdrError where it cannot be read."""
    lineage = lineage or services.lineage()
    newest = lineage.anchoring.key
    if newest is None:
        return None
    found, _ = keys_in([newest], lineage.ledger)
    if not found:
        raise CcdrError(f"record {newest.seq} of the ledger names no key", hint="`ccdr ledger verify` lists damage")
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
    return keys_directory(state) / f"{key.id}.pem"


# What is signed is what stands in the ledger, and only what follows on from the checkpoint before: a ledger that was
# changed since gets no new one.


@dataclass(frozen=True)
class Made:
    """The newest checkpoint, whether it was made just now, and where it lies."""

    checkpoint: Checkpoint
    new: bool
    path: Path


def make(services: Services, lineage: Lineage | None = None, upto: int | None = None) -> Made:
    """Sign what the ledger is now, or was `upto` this record; the newest one again where no record came since.
    UsageProblem where there is no key; LedgerBroken where the ledger does not follow on from its newest checkpoint;
    CcdrError where it cannot be done."""
    lineage = lineage or services.lineage()
    key, ledger = _key(services, lineage), lineage.ledger
    assert ledger is not None  # a key's record says which
    directory = services.state.directory(CHECKPOINTS, ledger)
    with services.state.turn("checkpoint", tries=100) as mine:
        if not mine:
            raise CcdrError("another process is making a checkpoint", hint="try again")
        return _made(services, directory, origin_of(ledger), key, upto)


def _made(services: Services, directory: Path, origin: str, key: SigningKey, upto: int | None) -> Made:
    newest, before = newest_in(directory), read_grown(directory)
    if upto is not None and newest is not None and newest.size > upto:  # another process was faster
        newest = before = None
    grown = _go_on(services.ledger, before, newest, upto)
    if newest is not None and newest.size == grown.tree.size and newest.note.signed_by(key.verifier):
        if before is None or not newest.fits(before.tree):  # it was lost: what was walked for it is kept
            write_grown(directory, Grown(grown.tree, grown.mark, services.clock.now()))
        return Made(newest, False, directory / checkpoint_name(newest.size))
    made = checkpoint_of(origin, grown.tree, key)
    path = directory / checkpoint_name(made.size)
    write_durably(path, made.contents)
    write_grown(directory, Grown(grown.tree, grown.mark, services.clock.now()))
    return Made(made, True, path)


def _key(services: Services, lineage: Lineage) -> SigningKey:
    known = current(services, lineage)
    if known is None:
        raise UsageProblem("no key signs this ledger's checkpoints", hint="`ccdr ledger key create` makes one")
    private = private_of(services.state, known.key)
    if private is None:
        raise CcdrError(
            f"the key that signs this ledger, {known.key.id}, is not in the state directory",
            hint="put it back; or `ccdr ledger key create --lost`, and tell your auditor the new key",
        )
    return private


def _go_on(ledger: Ledger, before: Grown | None, newest: Checkpoint | None, upto: int | None) -> Grown:
    """The tree up to the ledger's end, or to this record. From the beginning where what was kept is no part of the
    ledger as it is, or is not what the newest checkpoint was made of: then that one must be met on the way."""
    whole = before is None or not ledger.holds(before.mark) or (newest is not None and not newest.fits(before.tree))
    start = Grown(Tree(), BEGINNING, None) if whole or before is None else before
    tree, mark, met = start.tree.copy(), start.mark, newest is None or newest.fits(start.tree)
    last: tuple[str, int, bytes] | None = None
    for name in extent_of(ledger.directory):
        if name < mark.segment:
            continue
        for offset, line in forwards(ledger.directory / name, mark.end if name == mark.segment else 0):
            if not line.endswith(b"\n") or tree.size == upto:
                break  # being written, or torn
            tree.append(leaf_hash(line))
            last = name, offset, line
            if newest is not None and tree.size == newest.size:
                met = newest.fits(tree)
    if not met:
        raise LedgerBroken(
            f"the ledger is not as its checkpoint of {newest.size if newest else 0} records says: it was changed since",
            hint="`ccdr ledger verify` lists all damage; nothing was signed",
        )
    return Grown(tree, mark if last is None else _mark(last, tree.size), None)


def _mark(last: tuple[str, int, bytes], size: int) -> Mark:
    name, offset, line = last
    try:
        seq = line_as_record(line)["seq"]
    except ValueError as why:
        raise LedgerBroken(f"{name}: its last line is no record: {why}", hint="`ccdr ledger verify`") from None
    if seq != size:
        raise LedgerBroken(f"{name}: record {seq} is the {size}th line", hint="`ccdr ledger verify` lists all damage")
    return Mark(name, offset, offset + len(line), seq, sha256(line).hexdigest())


# One record's proof, made: its line, its place in the tree, and a checkpoint that it leads to.


@dataclass(frozen=True)
class Proven:
    """A record's proof, and the receipts of anchors of its checkpoint: files, by their names."""

    proof: Proof
    kind: str
    receipts: Sequence[Path]


def prove(services: Services, run: str, records: int | None = None) -> Proven:
    """The proof of a run's end against the checkpoint of so many `records`; else against the first one behind it that
    has an anchor, or the newest; one is made where there is none yet. UsageProblem where there is no such run or
    checkpoint, LedgerBroken where the ledger is not as the checkpoint says."""
    seq, kind = _end_of(services, run)
    ledger = services.lineage().ledger
    there = directory_of(services.state, ledger or "")
    checkpoint = _checkpoint(services, there, seq, records)
    path, line = AuditPath(seq - 1), b""
    for number, one in enumerate(lines(services.ledger.directory, extent_of(services.ledger.directory)), start=1):
        if number > checkpoint.size:
            break
        path.append(leaf_hash(one))
        if number == seq:
            line = one
    made = Proof(seq - 1, tuple(path.proof()), checkpoint, line) if path.tree.size == checkpoint.size else None
    if made is None or not made.holds():
        raise LedgerBroken(
            f"the ledger is not as its checkpoint of {checkpoint.size} records says: it was changed since",
            hint="`ccdr ledger verify` lists all damage",
        )
    return Proven(made, kind, _receipts(there, checkpoint.size))


def _end_of(services: Services, run: str) -> tuple[int, str]:
    for record in services.ledger.records(reverse=True):
        if record.get("run") == run and str(record["kind"]).endswith(".end"):
            return int(record["seq"]), str(record["kind"])
    raise UsageProblem(
        f"no run {run} ended in this ledger",
        hint="`ccdr ledger show --kind restore_test.end --json` lists them: their `run`",
    )


def _checkpoint(services: Services, there: Path, seq: int, records: int | None) -> Checkpoint:
    found, _ = checkpoints_in(there)
    behind = [one for one in found if one.size >= seq]
    if records is not None:
        asked = next((one for one in behind if one.size == records), None)
        if asked is None:
            sizes = ", ".join(str(one.size) for one in behind[-5:]) or "none"
            raise UsageProblem(
                f"there is no checkpoint of {records} records that holds record {seq}", hint=f"the newest: {sizes}"
            )
        return asked
    anchored = next((one for one in behind if _receipts(there, one.size)), None)
    return anchored or (behind[-1] if behind else make(services).checkpoint)


def _receipts(there: Path, size: int) -> list[Path]:
    return sorted((there / ANCHORS).glob(f"{size:012}.*")) if (there / ANCHORS).is_dir() else []
