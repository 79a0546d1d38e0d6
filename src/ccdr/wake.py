"""When there is something to do again: so that cron may call every minute, and nothing is read for nothing."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from ccdr.errors import CcdrError

LONGEST = 3600.0  # seconds; what is told of objectives and metrics is never older


def fingerprint(watched: Sequence[Path]) -> list[object]:
    """What changes when a plan or a restore test does: each file's name, inode, size and time."""
    found: list[object] = []
    for directory in watched:
        found.append(str(directory.absolute()))
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            names = sorted((e.name, e.inode(), s.st_size, s.st_mtime_ns) for e in entries if (s := e.stat()))
            found += [list(name) for name in names]
    return found


def asleep(state: Path, key: str, files: list[object], now: float) -> bool:
    """Is there nothing to do at `now` (seconds since the epoch) for the run that `key` names, `files` being the plans'
    fingerprint?"""
    try:
        kept = json.loads(_path(state, key).read_text("utf-8"))
        return bool(kept["since"] <= now < kept["until"] and kept["files"] == files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def sleep(state: Path, key: str, files: list[object], now: float, until: float) -> None:
    """Remember that there is nothing to do before `until`; `files` is how the plans were when that was found."""
    body = {"since": now, "until": min(until, now + LONGEST), "files": files}
    path = _path(state, key)
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        new.write_text(json.dumps(body), "utf-8")
        new.replace(path)
    except OSError as error:
        raise CcdrError(f"{path} cannot be written: {error.strerror}", hint="free space there") from None


def _path(state: Path, key: str) -> Path:
    return state / "schedule" / f"wake-{sha256(key.encode()).hexdigest()[:12]}.json"
