"""Making a checkpoint: the tree grows by the lines since the last one, and what it is then is signed.

What is signed is what stands in the ledger, and only what follows on from the checkpoint before: a ledger that was
changed since gets no new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.checkpoints.checkpoint import Checkpoint, checkpoint_of, origin_of
from ccdr.evidence.checkpoints.merkle import Tree, leaf_hash
from ccdr.evidence.checkpoints.names import CHECKPOINTS, checkpoint_name
from ccdr.evidence.checkpoints.notes import SigningKey
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.places import BEGINNING, Mark, extent_of, forwards, line_as_record
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.host.files import write_durably
from ccdr.jobs.checkpoints.kept import (
    Grown,
    directory_of,
    newest_in,
    read_grown,
    write_grown,
)
from ccdr.jobs.checkpoints.signing_keys import current, private_of
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem


@dataclass(frozen=True)
class Made:
    """The newest checkpoint, whether it was made just now, and where it lies."""

    checkpoint: Checkpoint
    new: bool
    path: Path


def make(services: Services, lineage: Lineage | None = None) -> Made:
    """Sign what the ledger is now; the newest one again where no record came since. UsageProblem where there is no key;
    LedgerBroken where the ledger does not follow on from its newest checkpoint; CcdrError where it cannot be done."""
    lineage = lineage or services.lineage()
    key, ledger = _key(services, lineage), lineage.ledger
    assert ledger is not None  # a key's record says which
    directory = services.state.directory(CHECKPOINTS, ledger)
    with services.state.turn("checkpoint", tries=100) as mine:
        if not mine:
            raise CcdrError("another process is making a checkpoint", hint="try again")
        return _made(services, directory, origin_of(ledger), key)


def _made(services: Services, directory: Path, origin: str, key: SigningKey) -> Made:
    newest, before = newest_in(directory), read_grown(directory)
    grown = _go_on(services.ledger, before, newest)
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


def _go_on(ledger: Ledger, before: Grown | None, newest: Checkpoint | None) -> Grown:
    """The tree up to the ledger's end. From the beginning where what was kept is no part of the ledger as it is, or
    is not what the newest checkpoint was made of: then that one must be met on the way."""
    whole = before is None or not ledger.holds(before.mark) or (newest is not None and not newest.fits(before.tree))
    start = Grown(Tree(), BEGINNING, None) if whole or before is None else before
    tree, mark, met = start.tree.copy(), start.mark, newest is None or newest.fits(start.tree)
    last: tuple[str, int, bytes] | None = None
    for name in extent_of(ledger.directory):
        if name < mark.segment:
            continue
        for offset, line in forwards(ledger.directory / name, mark.end if name == mark.segment else 0):
            if not line.endswith(b"\n"):
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


def made_at(services: Services) -> datetime | None:
    """When the newest one was made; None where there is none."""
    ledger = services.lineage().ledger
    grown = None if ledger is None else read_grown(directory_of(services.state, ledger))
    return None if grown is None else grown.made
