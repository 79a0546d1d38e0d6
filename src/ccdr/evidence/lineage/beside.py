"""Ledgers of other hosts, or of this one before, that lie beside ours: where, and which each is."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.places import BEGINNING
from ccdr.evidence.lineage.own_records import Lineage, fold, named_in
from ccdr.evidence.lineage.values import LEDGERS, LedgerBeside
from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.model.errors import LedgerBroken
from ccdr.model.values import RecordRef

_ID = re.compile(r"[0-9a-f]{32}")


def directory_of(state: State, ledger: str) -> Path:
    """Where another ledger lies, if it does."""
    return state.root / LEDGERS / ledger


def new_of(directory: Path) -> Path:
    """Where a copy lies until our ledger tells of it."""
    return directory.with_name(f".{directory.name}.new")


def lies_at(state: State, one: LedgerBeside) -> Path:
    """Where it lies as it was taken in: who told of it may have been killed before it came to its place."""
    place = directory_of(state, one.ledger)
    return next((path for path in (place, new_of(place)) if _ends_so(path, one)), place)


def _ends_so(directory: Path, one: LedgerBeside) -> bool:
    with contextlib.suppress(LedgerBroken):
        return directory.is_dir() and reader(directory).head() == RecordRef(one.records, one.head)
    return False


def read_id(directory: Path) -> str | None:
    """What `id` beside a ledger says; None where there is none that could be one."""
    with contextlib.suppress(OSError, ValueError):
        text = (directory / "id").read_text("ascii").strip()
        return text if is_id(text) else None
    return None


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def write_id(directory: Path, ledger: str) -> None:
    write_durably(directory / "id", f"{ledger}\n")


def id_in(directory: Path) -> str | None:
    """Which ledger it is by its own records, the newest of which counts; None for one from before there were ids."""
    return itself(directory).ledger


def itself(directory: Path) -> Lineage:
    """What a ledger's own records say of it. CcdrError where they cannot be read."""
    return fold(reader(directory).of_itself(BEGINNING))


def misnamed(directory: Path) -> list[str]:
    """Does the file beside it name another ledger than its records? CcdrError where they cannot be read."""
    named, own = read_id(directory), id_in(directory)
    if named is None or named == own:
        return []
    return [
        f"id names the ledger {named[:8]}…, its records {f'{own[:8]}…' if own else 'none'}: one of them was changed"
    ]


def with_what_lies_beside(state: State, lineage: Lineage) -> Lineage:
    """Each of these ledgers ends as it did when it was taken in; that all of it is so, a verification shows."""
    gone, astray = [], []
    for key, one in lineage.beside.items():
        directory = lies_at(state, one)
        if not directory.is_dir():
            gone.append(one)
        elif not _ends_so(directory, one):
            astray.append(
                (key, f"the ledger {named_in(one)}, which was put beside this one, is not as it was taken in")
            )
    return replace(lineage, gone=tuple(gone), astray=tuple(astray))


class _Never:
    """The clock of what is only read."""

    def now(self) -> datetime:
        raise AssertionError("another ledger is only read")

    def monotonic(self) -> float:
        raise AssertionError("another ledger is only read")


def reader(directory: Path) -> Ledger:
    """Another ledger, to be read."""
    return Ledger(directory, _Never())
