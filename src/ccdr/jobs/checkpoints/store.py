"""Where checkpoints lie: `STATE/checkpoints/<ledger>/<size, 12 digits>.txt`, one signed note each; and whether one is
due. Nothing that signs or verifies is loaded for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.checkpoint import Tree
from ccdr.evidence.checkpoints.names import CHECKPOINTS, checkpoint_name
from ccdr.evidence.ledger.ledger import Ledger, Mark, extent_of, lines
from ccdr.evidence.lineage.own_records import ANCHORED, Lineage
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.model.errors import LedgerBroken
from ccdr.model.instant import Instant
from ccdr.model.schedule import SET_BACK

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.evidence.checkpoints.published import Published
    from ccdr.jobs.services import Services

# Beside them `tree.json`, what the tree over the ledger had come to; when lost, it is made anew from all lines.

_NAME = re.compile(r"[0-9]{12}\.txt")


def directory_of(state: State, ledger: str) -> Path:
    return state.root / CHECKPOINTS / ledger


@dataclass(frozen=True)
class Unreadable:
    """A file among checkpoints that is none."""

    name: str
    why: str


def checkpoints_in(directory: Path) -> tuple[list[Checkpoint], list[Unreadable]]:
    """By size. OSError where the directory cannot be read; one that is not there has none."""
    from ccdr.evidence.checkpoints.checkpoint import read_checkpoint

    found: list[Checkpoint] = []
    wrong: list[Unreadable] = []
    if not directory.is_dir():
        return found, wrong
    for path in sorted(directory.iterdir()):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            checkpoint = read_checkpoint(path.read_bytes())
            if checkpoint_name(checkpoint.size) != path.name:
                raise ValueError(f"is a checkpoint of {checkpoint.size} records")
            found.append(checkpoint)
        except ValueError as why:
            wrong.append(Unreadable(path.name, str(why)))
    return found, wrong


def newest_in(directory: Path) -> Checkpoint | None:
    """The largest that can be read."""
    from ccdr.evidence.checkpoints.checkpoint import read_checkpoint

    for path in sorted(directory.glob("*.txt"), reverse=True) if directory.is_dir() else ():
        try:
            if _NAME.fullmatch(path.name):
                return read_checkpoint(path.read_bytes())
        except (OSError, ValueError):
            continue
    return None


class Grown(StateFile, frozen=True):
    """tree.json: the tree up to `mark`, and when the last checkpoint was made of it."""

    tree: Tree
    mark: Mark
    made: Instant | None


def read_grown(directory: Path) -> Grown | None:
    return state_or_none(directory / "tree.json", Grown)


def write_grown(directory: Path, grown: Grown) -> None:
    """CcdrError where the disk refuses."""
    write_state(directory / "tree.json", grown)


def published_at(state: State, ledger: str, url: str) -> Path:
    """Where what the evidence bucket `url` holds of a ledger is kept, as it was read last."""
    return directory_of(state, ledger) / "buckets" / f"{sha256(url.encode()).hexdigest()[:12]}.json"


def published_in(state: State, ledger: str, url: str) -> Published | None:
    """None where it was not read yet, or what was kept is no longer whole: it is read anew."""
    return _published(published_at(state, ledger, url))


def all_published(state: State, ledger: str) -> list[Published]:
    """Of each bucket that was read. LedgerBroken where what was kept of one is no longer whole."""
    found = []
    for path in sorted((directory_of(state, ledger) / "buckets").glob("*.json")):
        if (one := _published(path)) is None:
            raise LedgerBroken(f"{path} is not as ccdr wrote it", hint="`ccdr ledger collect` of that bucket mends it")
        found.append(one)
    return found


def _published(path: Path) -> Published | None:
    from ccdr.evidence.checkpoints.published import Published

    return state_or_none(path, Published)


# Is a checkpoint due? Asked by every run: nothing that signs or verifies is loaded for it.

EVERY = timedelta(hours=1)
_ANCHORED = f'"kind":"{ANCHORED}"'.encode()
_AT_ONCE = (b'"FAIL"', b'"BREACHED"')


@dataclass(frozen=True)
class Due:
    """Is one to be made `now`, and if not, when may one be? None: nobody signs here. `size` is the newest one's."""

    now: bool
    next: datetime | None
    size: int = 0


def due(services: Services, lineage: Lineage, *, urgent_only: bool = False) -> Due:
    """Something was recorded, and an hour has gone by since the last one, or a FAIL or a breach is in it
    (`urgent_only`: that alone). That a checkpoint was anchored is nothing to sign. CcdrError where that cannot be
    told."""
    if lineage.anchoring.key is None or lineage.ledger is None:
        return Due(False, None)
    grown, now = read_grown(directory_of(services.state, lineage.ledger)), services.clock.now()
    if grown is None or grown.made is None or not services.ledger.holds(grown.mark):
        return Due(not urgent_only, now + EVERY, 0 if grown is None else grown.tree.size)
    size = grown.tree.size
    fresh, urgent = _since(services.ledger, grown.mark)
    if urgent:
        return Due(True, now + EVERY, size)
    recent = now - EVERY < grown.made <= now + SET_BACK
    again = grown.made + EVERY if recent else now + EVERY
    return Due(fresh and not recent and not urgent_only, again, size)


def _since(ledger: Ledger, mark: Mark) -> tuple[bool, bool]:
    """Was anything recorded behind the mark, and is there a FAIL or a breach in it? By the lines' bytes alone: what is
    taken for one, and is none, costs a checkpoint."""
    fresh = urgent = False
    for line in lines(ledger.directory, extent_of(ledger.directory), mark):
        fresh = fresh or _ANCHORED not in line
        urgent = urgent or any(word in line for word in _AT_ONCE)
    return fresh, urgent
