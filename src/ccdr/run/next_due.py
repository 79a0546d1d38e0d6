"""When there is something to do again: so that cron may call every minute, and nothing is read for nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.log_standing import LogStanding, read_standing
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.model.errors import CcdrError
from ccdr.model.finding import Finding
from ccdr.model.instant import Instant

Calm = tuple[str | None, str | None, tuple[Finding, ...], int | None, Instant | None]
LONGEST = 3600.0  # seconds; what is told of objectives and metrics is never older


@dataclass(frozen=True)
class Log:
    """A log that another process ships, which has the lock `verb` of its asset: there is nothing to do about it while
    that process lives, the log is stored up to a moment less than `late` seconds away (which its asset's RPO allows),
    and what it says of itself (`calm_standing`) is what it said when people were told of it."""

    plan: str
    asset: str
    verb: str
    late: float
    standing: Calm | None


class Wake(StateFile, frozen=True):
    """From `since` to `until` (seconds since the epoch) there is nothing to do while `files`, `ledger` and `logs` are
    so."""

    since: float
    until: float
    files: list[Any]
    ledger: list[str] | None
    logs: tuple[Log, ...]


def calm_standing(state: State, plan: str, asset: str) -> Calm | None:
    """What people are told of a shipped log by its standing; None where something is wrong now, or nothing is known."""
    return _calm(read_standing(state, plan, asset))


def _calm(stands: LogStanding | None) -> Calm | None:
    if stands is None or stands.trouble:
        return None
    return stands.since, stands.gap, stands.findings, stands.branch, stands.anew


def fingerprint(watched: Sequence[Path]) -> list[object]:
    """What changes when a plan or a restore test does: each file's name, inode, size and time."""
    marks: list[object] = []
    for directory in watched:
        marks.append(str(directory.absolute()))
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            names = sorted((e.name, e.inode(), s.st_size, s.st_mtime_ns) for e in entries if (s := e.stat()))
            marks += [list(name) for name in names]
            continue
        with contextlib.suppress(OSError):  # a file
            s = directory.stat()
            marks.append([s.st_ino, s.st_size, s.st_mtime_ns])
    return marks


def asleep(state: Path, key: str, files: list[object], now: float) -> bool:
    """Is there nothing to do at `now` (seconds since the epoch) for the run that `key` names, `files` being the plans'
    fingerprint?"""
    kept = state_or_none(_path(state, key), Wake)
    if kept is None or not kept.since <= now < kept.until or kept.files != files:
        return False
    if kept.ledger != _which_ledger(state):  # lost, or begun anew: that is told at once
        return False
    with contextlib.suppress(CcdrError, OSError):
        return all(_goes_on(log, State(state), now) for log in kept.logs)
    return False


def sleep(state: Path, key: str, files: list[object], now: float, until: float, logs: Sequence[Log] = ()) -> None:
    """Remember that there is nothing to do before `until`, as long as all of `logs` go on; `files` is how the plans
    were when that was found."""
    write_state(_path(state, key), Wake(now, min(until, now + LONGEST), files, _which_ledger(state), tuple(logs)))


def _which_ledger(state: Path) -> list[str] | None:
    """The ledger's id and its first segment, by their names alone; None where there is none."""
    with contextlib.suppress(OSError):
        segments = sorted(path.name for path in (state / "ledger").glob("*.jsonl"))
        return [(state / "ledger" / "id").read_text("utf-8").strip(), *segments[:1]] if segments else None
    return None


def _goes_on(log: Log, state: State, now: float) -> bool:
    stands = read_standing(state, log.plan, log.asset)
    if stands is None or stands.point is None or log.standing is None or _calm(stands) != log.standing:
        return False
    return abs(now - stands.point.timestamp()) < log.late and state.held(log.plan, log.asset, log.verb)


def _path(state: Path, key: str) -> Path:
    return state / "schedule" / f"wake-{sha256(key.encode()).hexdigest()[:12]}.json"
