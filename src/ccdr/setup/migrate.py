"""State of an older format is brought to the present one; state of a newer one, or of before the first release, is
left alone.

`STATE/version` is both the number and the lock. Every ccdr holds it shared from its first look until it ends; a
migration needs it alone, so that it never changes what another ccdr is reading. What a migration changes is copied
to `STATE/backup-v<N>-<UTC>/` first. While it is under way `STATE/migrating` names that copy: a migration that was
killed is undone from it, then done again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import IO

from ccdr import __version__
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import beginning
from ccdr.evidence.records.upkeep import StateMigrated
from ccdr.host.files import remove_tree, write_durably
from ccdr.host.state import State
from ccdr.model.errors import CcdrError, Locked
from ccdr.ports.place import Clock

GUIDE = "docs/how-to/upgrade.md tells how to go forward and back"
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
PATIENCE = 10.0  # seconds that a command waits for another's migration, or a migration for other commands


@dataclass(frozen=True)
class Step:
    """From one format to the next. `touches`: the names below STATE that `apply` may change, make or remove; it is
    given STATE, and raises OSError or ValueError where it cannot go on."""

    touches: tuple[str, ...]
    apply: Callable[[Path], None]


FIRST = 3  # the format of the first release
STEPS: tuple[Step, ...] = ()  # each leads one format on, from FIRST: to state.FORMAT


def opened(root: Path, clock: Clock, *, steps: Sequence[Step] = STEPS, patience: float = PATIENCE) -> State:
    """The state at `root`, of our format, and in use for as long as the value lives. A directory that is not there
    is not made. CcdrError where the state is a newer ccdr's, cannot be read, or cannot be migrated; it is then as
    it was. Locked where others use it, or migrate it, for longer than `patience` seconds."""
    state, newest = State(root), FIRST + len(steps)
    with _telling(root):
        if not state.has_contents:
            return state
        with contextlib.suppress(OSError):  # read-only: the number is known all the same
            state.mark()
        if not state.version_file.exists():
            return state
        if _behind(state, newest):
            try:
                _migrate(state, steps, clock, patience)
            except OSError as error:
                if error.errno not in _READ_ONLY or any(step.touches for step in steps[_number(state) - FIRST :]):
                    raise
                return state  # it can be looked at as it is: nothing in it would be changed
        held = _lock(state, fcntl.LOCK_SH, patience)
    if held is None:
        raise Locked(f"the state {root} is being migrated by another ccdr", hint="wait for it, then try again")
    if _behind(state, newest):
        raise Locked(f"the state {root} was put back by another ccdr just now", hint="try again")
    return replace(state, in_use=held)


def _behind(state: State, newest: int) -> bool:
    """Is there something to migrate? CcdrError where the state is ahead of us, or of before the first release."""
    number = _number(state)
    if number < FIRST:
        raise CcdrError(
            f"the state {state.root} is of format {number}, of before the first release: ccdr reads {FIRST} and later. "
            "Nothing was touched",
            hint=f"move it away, or name another --state DIR; {GUIDE}",
        )
    begun = _marker(state)
    ahead = max(number, 0 if begun is None else begun.before + 1)
    if ahead > newest:
        half = "" if number == ahead else ", whose migration was interrupted"
        raise CcdrError(
            f"the state {state.root} is of format {ahead}, made by a newer ccdr{half}; "
            f"this one, {__version__}, knows formats up to {newest}. Nothing was touched",
            hint=f"use that newer ccdr, or name another --state DIR; {GUIDE}",
        )
    return number < newest or begun is not None


def _number(state: State) -> int:
    text = state.version_file.read_text("ascii", "replace").strip()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise CcdrError(
            f"{state.version_file} is damaged: it holds {text[:20]!r}, expected a whole number",
            hint=f"write the number of the ccdr that made it; {GUIDE}",
        )
    return int(text)


@dataclass(frozen=True)
class Begun:
    """A migration that is under way, or was interrupted: `STATE/migrating` holds the copy's name, then what it
    touches, one name a line."""

    path: Path
    before: int
    copy: Path
    touched: tuple[str, ...]


def _marker(state: State) -> Begun | None:
    path = state.root / "migrating"
    try:
        name, *touched = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except ValueError:
        name, touched = "", []
    if not (match := re.fullmatch(r"backup-v([1-9][0-9]{0,5})-[0-9TZ]+", name)):
        raise CcdrError(f"{path} is damaged: it names no copy", hint=GUIDE)
    return Begun(path, int(match[1]), state.root / name, tuple(touched))


def _migrate(state: State, steps: Sequence[Step], clock: Clock, patience: float) -> None:
    """Alone with the state: undo what was interrupted, copy, change, and only then call it done."""
    alone = _lock(state, fcntl.LOCK_EX, patience)
    if alone is None:
        to = FIRST + len(steps)
        raise Locked(
            f"the state {state.root} must be migrated to format {to}, and another ccdr is at work on it",
            hint="wait for it, then try again",
        )
    with alone:
        _undo(state)
        before = _number(state)
        if before == FIRST + len(steps):
            return  # another has just done it
        ahead = steps[before - FIRST :]
        copy = state.root / f"backup-v{before}-{clock.now().astimezone(UTC):%Y%m%dT%H%M%S%fZ}"
        touched = sorted({name for step in ahead for name in step.touches})
        _copy(state, touched, copy)
        write_durably(state.root / "migrating", "\n".join((copy.name, *touched)) + "\n")
        try:
            for step in ahead:
                step.apply(state.root)
        except (OSError, ValueError) as error:
            _undo(state)
            raise CcdrError(
                f"the state {state.root} could not be migrated from format {before}: {error}. It is as it was",
                hint=f"mend that and try again, or go on with the older ccdr; {GUIDE}",
            ) from None
        _renumber(alone, FIRST + len(steps))
        (state.root / "migrating").unlink()
        ledger = Ledger(state.ledger, clock, begin=beginning(state, socket.gethostname()))
        ledger.write(StateMigrated(before=before, to=FIRST + len(steps), copy=copy.name, ccdr=__version__))


def _copy(state: State, names: Sequence[str], copy: Path) -> None:
    """Whole, or not there. Space is the usual reason, and then nothing has been changed yet."""
    partial = copy.with_name(f"{copy.name}.partial")
    for left in state.root.glob("backup-v*.partial"):
        remove_tree(left)
    try:
        partial.mkdir(mode=0o700)
        for name in names:
            _put(state.root / name, partial / name)
        os.sync()
        partial.rename(copy)
    except OSError:
        remove_tree(partial)
        raise


def _undo(state: State) -> None:
    """What a killed migration may have changed comes back from its copy. Killed itself, it is done again."""
    begun = _marker(state)
    if begun is None:
        return
    if _number(state) == begun.before:  # else it was done, all but for taking the marker away
        if not begun.copy.is_dir():
            raise CcdrError(
                f"a migration of {state.root} was interrupted, and its copy {begun.copy.name} is gone", hint=GUIDE
            )
        for name in begun.touched:
            left = remove_tree(state.root / name)
            if left:
                raise OSError(errno.EIO, left[0])
            _put(begun.copy / name, state.root / name)
        os.sync()
    begun.path.unlink()


def _put(source: Path, target: Path) -> None:
    """A copy of a file or a tree, with modes and times; nothing where there is none."""
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    elif os.path.lexists(source):
        shutil.copy2(source, target, follow_symlinks=False)


def _lock(state: State, how: int, patience: float) -> IO[bytes] | None:
    """The version file, locked until it is closed; None where others kept it."""
    file = state.version_file.open("rb" if how == fcntl.LOCK_SH else "r+b", buffering=0)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
        time.sleep(0.05)


def _renumber(file: IO[bytes], number: int) -> None:
    """In place, since the lock is on this very file; one short write, and never shorter than before."""
    file.seek(0)
    file.write(f"{number}\n".encode("ascii"))
    os.fsync(file.fileno())


@contextlib.contextmanager
def _telling(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A tree that could not be copied tells of each file; the last will do.
        why = error.args[0][-1][-1] if isinstance(error, shutil.Error) else error.strerror or error
        what = f"{error.filename}: {why}" if error.filename else f"{why}"
        raise CcdrError(
            f"the state directory {root} cannot be used: {what}",
            hint="run ccdr as the user who owns it, see that it is writable and has space, or name another --state DIR",
        ) from None
