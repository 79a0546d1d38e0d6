"""When there is something to do again: so that cron may call every minute, and nothing is read for nothing."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.host.state import State
from ccdr.model.errors import CcdrError
from ccdr.model.values import utc

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
    standing: list[object] | None


def calm_standing(state: State, plan: str, asset: str) -> list[object] | None:
    """What people are told of a shipped log by its standing; None where something is wrong now, or nothing is known."""
    try:
        standing = _standing(state, plan, asset)
        return (
            None if standing["trouble"] else [standing[key] for key in ("since", "gap", "findings", "branch", "anew")]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
    try:
        kept = json.loads(_path(state, key).read_text("utf-8"))
        if not (kept["since"] <= now < kept["until"] and kept["files"] == files):
            return False
        if kept["ledger"] != _which_ledger(state):  # lost, or begun anew: that is told at once
            return False
        return all(_goes_on(Log(**log), State(state), now) for log in kept["logs"])
    except (CcdrError, OSError, ValueError, KeyError, TypeError):
        return False


def sleep(state: Path, key: str, files: list[object], now: float, until: float, logs: Sequence[Log] = ()) -> None:
    """Remember that there is nothing to do before `until`, as long as all of `logs` go on; `files` is how the plans
    were when that was found."""
    body = {"since": now, "until": min(until, now + LONGEST), "files": files, "logs": [asdict(log) for log in logs]}
    body["ledger"] = _which_ledger(state)
    path = _path(state, key)
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        new.write_text(json.dumps(body), "utf-8")
        new.replace(path)
    except OSError as error:
        raise CcdrError(f"{path} cannot be written: {error.strerror}", hint="free space there") from None


def _which_ledger(state: Path) -> list[str] | None:
    """The ledger's id and its first segment, by their names alone; None where there is none."""
    with contextlib.suppress(OSError):
        segments = sorted(path.name for path in (state / "ledger").glob("*.jsonl"))
        return [(state / "ledger" / "id").read_text("utf-8").strip(), *segments[:1]] if segments else None
    return None


def _goes_on(log: Log, state: State, now: float) -> bool:
    if log.standing is None or calm_standing(state, log.plan, log.asset) != log.standing:
        return False
    away = abs(now - utc(_standing(state, log.plan, log.asset)["point"]).timestamp())
    return away < log.late and state.held(log.plan, log.asset, log.verb)


def _standing(state: State, plan: str, asset: str) -> dict[str, Any]:
    """As `shipping/standing.py` has written it: read here, as that would bring half of the program with it."""
    return dict(json.loads((state.root / "shipping" / plan / asset / "standing.json").read_text("utf-8")))


def _path(state: Path, key: str) -> Path:
    return state / "schedule" / f"wake-{sha256(key.encode()).hexdigest()[:12]}.json"
