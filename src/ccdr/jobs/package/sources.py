"""The ledgers that a package is made of: ours as far as its newest checkpoint, and those that lie beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccdr.evidence.ledger.places import Extent, Mark, extent_of
from ccdr.evidence.lineage.beside import is_id
from ccdr.jobs.attest.beside import others
from ccdr.jobs.checkpoints.kept import directory_of, read_grown
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem


@dataclass(frozen=True)
class Source:
    """A ledger that is read up to `extent`; `checkpoints` is where those of it lie, if any do."""

    ledger: str
    directory: Path
    extent: Extent
    checkpoints: Path
    ours: bool


def sources(services: Services, *, beyond: bool = False) -> list[Source]:
    """Ours first; `beyond` its newest checkpoint, too. UsageProblem where it does not say which one it is."""
    own = services.lineage().ledger
    if own is None:
        raise UsageProblem(
            "there is no ledger yet that says which one it is",
            hint="`ccdr backup PLAN` writes first records",
        )
    directory, kept = services.ledger.directory, directory_of(services.state, own)
    grown = read_grown(kept)
    mark = grown.mark if not beyond and grown is not None and services.ledger.holds(grown.mark) else None
    found = [Source(own, directory, _upto(extent_of(directory), mark), kept, True)]
    for name, path in others(services.state):
        if is_id(name) and name != own:
            found.append(Source(name, path, extent_of(path), directory_of(services.state, name), False))
    return found


def _upto(extent: Extent, mark: Mark | None) -> Extent:
    """So that the package ends with its newest checkpoint, whatever is written meanwhile."""
    if mark is None or not mark.seq:
        return extent
    return {name: mark.end if name == mark.segment else size for name, size in extent.items() if name <= mark.segment}
