"""What a ledger is held to when it is verified: the checkpoints that lie with it, and what whoever verifies brings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccdr.evidence.checkpoints.anchors import GIVEN, Anchor
from ccdr.evidence.checkpoints.checkpoint import Checkpoint, origin_of, read_checkpoint
from ccdr.evidence.checkpoints.keys import KEY, Pin
from ccdr.evidence.checkpoints.verifying import Asked, Checked, check, leaves
from ccdr.evidence.ledger.places import BEGINNING, extent_of, lines
from ccdr.evidence.lineage.beside import id_in, reader
from ccdr.jobs.checkpoints.kept import checkpoints_in, directory_of
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem

if TYPE_CHECKING:
    from ccdr.jobs.services import Services

LARGEST = 64 * 1024  # bytes of a file that is taken for a key or a checkpoint


@dataclass(frozen=True)
class Brought:
    """What whoever verifies had from elsewhere: pinned keys, and anchors."""

    pins: tuple[Pin, ...] = ()
    anchors: tuple[Anchor, ...] = ()

    @property
    def anything(self) -> bool:
        return bool(self.pins or self.anchors)

    @classmethod
    def of(cls, pins: Sequence[str], anchors: Sequence[Path]) -> Brought:
        """`pins`: keys, fingerprints, or files of one; `anchors`: files of checkpoints, or directories of them.
        UsageProblem where one is none."""
        return cls(tuple(map(_pin, pins)), tuple(one for path in anchors for one in _anchors(path)))


def _pin(text: str) -> Pin:
    path = Path(text)
    try:
        if len(text) < 4096 and path.is_file():
            text = path.read_bytes()[:LARGEST].decode("ascii")
        return Pin.of(text)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as why:
        what = "the file of --pin" if "\n" in text or path.is_file() else f"--pin {text[:60]}"
        hint = "`ccdr ledger key show` prints the key and its fingerprint; a file may hold either, or PEM"
        raise UsageProblem(f"{what}: {why}", hint=hint) from None


def _anchors(path: Path) -> list[Anchor]:
    paths = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    found = []
    for one in paths:
        try:
            contents = one.read_bytes()[: LARGEST + 1]
            found.append(Anchor(GIVEN, one.name, read_checkpoint(contents), None, independent=True))
        except OSError as error:
            raise UsageProblem(f"{one} cannot be read: {error.strerror}") from None
        except ValueError as why:
            if one == path:
                hint = (
                    "name a checkpoint that you had from elsewhere: a signed note, as `ccdr ledger checkpoint` prints"
                )
                raise UsageProblem(f"{one} {why}", hint=hint) from None
    if not found:
        raise UsageProblem(f"{path} holds no checkpoint")
    return found


def of_live(services: Services, brought: Brought) -> Checked:
    """This host's ledger. CcdrError where it cannot be read."""
    ledger = services.lineage().ledger
    there = None if ledger is None else directory_of(services.state, ledger)
    return _checked(services.ledger.directory, ledger, there, brought, made=None)


def of_directory(directory: Path, checkpoints: Path | None, brought: Brought, made: datetime | None) -> Checked:
    """A copy of a ledger that was made at `made`."""
    return _checked(directory, id_in(directory), checkpoints, brought, made=made)


def _checked(
    directory: Path, ledger: str | None, checkpoints: Path | None, brought: Brought, *, made: datetime | None
) -> Checked:
    extent = extent_of(directory)
    found: list[Checkpoint] = []
    unreadable: list[str] = []
    try:
        if checkpoints is not None:
            found, wrong = checkpoints_in(checkpoints)
            unreadable = [f"{one.name} {one.why}" for one in wrong]
    except OSError as error:
        raise CcdrError(f"{checkpoints} cannot be read: {error.strerror}", hint="run as its owner") from None
    keys: list[Mapping[str, Any]] = []
    with contextlib.suppress(LedgerBroken):  # the chain's own verification tells of a line that is no record
        keys += (record for record in reader(directory).of_itself(BEGINNING) if record["kind"] == KEY)
    asked = Asked(
        ledger=ledger,
        origin=None if ledger is None else origin_of(ledger),
        checkpoints=found,
        anchors=brought.anchors,
        pins=brought.pins,
        made=made,
        unreadable=unreadable,
        key_records=keys,
    )
    return check(asked, leaves(lines(directory, extent)) if found or brought.anchors else ())
