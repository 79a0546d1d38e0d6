"""A copy of a ledger beside ours: whole, or not at all."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.lineage.beside import directory_of, lies_at, new_of, reader
from ccdr.evidence.lineage.values import LEDGERS, LedgerBeside, Lost
from ccdr.host.files import remove_tree, sync_directory
from ccdr.host.state import State
from ccdr.model.errors import CcdrError, LedgerBroken
from ccdr.model.values import RecordRef


@dataclass(frozen=True)
class Taken:
    """A ledger that lies beside ours now."""

    ledger: str
    records: int
    head: str
    directory: Path
    new: int  # records that were not there before
    missing: int = 0  # how many more are known to have been in it
    lost: Lost | None = None  # what was known of it before it was brought back
    source: str | None = None  # the plan whose repository it came from
    record: RecordRef | None = None

    @property
    def until(self) -> str | None:
        """When its last record is of."""
        return next((str(record["time"]) for record in reader(self.directory).records(reverse=True)), None)

    def as_json(self) -> dict[str, object]:
        return {
            "ledger": self.ledger,
            "records": self.records,
            "head": self.head,
            "directory": str(self.directory),
            "new": self.new,
            "missing": self.missing,
            "source": self.source,
            "until": self.until,
            "record": self.record and self.record.as_json(),
        }


def copied(
    state: State, ledger: str, source: Path, verification: Verification, named: str, known: LedgerBeside | None = None
) -> Taken:
    """Copy a chain to beside its place, whole or not at all: it is told of before it is `placed`, so that whoever is
    killed between leaves one of the two there as our ledger tells. LedgerBroken where it must not be: it goes on from
    what is there, or (what lies there may have been changed) from what our own ledger says that it was: `known`."""
    if not verification.ok:
        raise LedgerBroken(
            f"the ledger in {named} does not verify: {verification.problems[0]}",
            hint="nothing was taken in"
            if named != str(source)
            else f"`ccdr ledger verify {source}` lists all damage; nothing was taken in",
        )
    target, before = directory_of(state, ledger), 0
    here = None if not target.is_dir() and known is None else known or verify(target)
    if here is not None and here.records:
        before = here.records if target.is_dir() else 0
        if verification.records < here.records:
            raise LedgerBroken(
                f"the ledger in {named} has {verification.records} records, and {here.records} of it are here already",
                hint=f"it was cut since; {target} has the longer one",
            )
        if reader(source).hash_of(here.records) != here.head:
            raise LedgerBroken(
                f"the ledger in {named} is another chain than what is here of {ledger[:8]}…: one of them was rewritten",
                hint=f"keep both as evidence; the one that was here first is in {target}",
            )
    temporary = new_of(state.directory(LEDGERS) / ledger)
    remove_tree(temporary)
    try:
        _copy(source, temporary)
        again = verify(temporary)
        if not again.ok or again.records < verification.records:
            raise LedgerBroken(f"the copy of {named} does not verify", hint="is the disk well? try again")
    except OSError as error:
        remove_tree(temporary)
        raise _unwritten(target, error) from None
    except CcdrError:
        remove_tree(temporary)
        raise
    return Taken(ledger, again.records, again.head, temporary, again.records - before)


def placed(state: State, taken: Taken) -> Taken:
    """Put what was copied, and is told of, in its place."""
    target = directory_of(state, taken.ledger)
    aside = taken.directory.with_suffix(".old")
    try:
        remove_tree(aside)
        if target.is_dir():
            target.rename(aside)
        taken.directory.rename(target)
        remove_tree(aside)
    except OSError as error:
        raise _unwritten(target, error) from None
    return replace(taken, directory=target)


def settle(state: State, known: LedgerBeside) -> None:
    """Put in its place what somebody told of, and was killed before that."""
    if (directory := lies_at(state, known)) != directory_of(state, known.ledger):
        placed(state, Taken(known.ledger, known.records, known.head, directory, 0))


def _unwritten(target: Path, error: OSError) -> CcdrError:
    return CcdrError(f"{target} cannot be written: {error.strerror}", hint="make room there, and try again")


def _copy(source: Path, target: Path) -> None:
    """The segments, what was set aside of torn lines, and the id; nobody writes to them any more."""
    target.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and (path.suffix in (".jsonl", ".bin") or path.name == "id"):
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(0o400)
    sync_directory(target)
    target.chmod(0o500)
