"""Where checkpoints lie: `STATE/checkpoints/<ledger>/<size, 12 digits>.txt`, one signed note each.

Beside them `tree.json`, what the tree over the ledger had come to; when lost, it is made anew from all lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.merkle import Tree
from ccdr.evidence.checkpoints.names import CHECKPOINTS, checkpoint_name
from ccdr.evidence.ledger.places import Mark
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.model.errors import LedgerBroken
from ccdr.model.instant import Instant

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.evidence.checkpoints.published import Published

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
