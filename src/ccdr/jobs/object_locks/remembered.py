"""Until when which version is locked, as far as this host has put or asked it: a lock of mode COMPLIANCE cannot become
shorter, so that no store need be asked twice. When this is lost, the store is asked."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from ccdr.host.files import write_durably
from ccdr.host.state_files import made_of
from ccdr.storage.object_locks import LockedVersion


class Remembered:
    """A file of lines `[seconds since 1970, name]`, to which what is done is added; `kept` leaves what is in use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = _read(path)
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "a")

    def until(self, version: LockedVersion) -> datetime | None:
        end = self._ends.get(version.name)
        return None if end is None else datetime.fromtimestamp(end, UTC)

    def note(self, version: LockedVersion, until: datetime) -> None:
        """A process that is killed right after it loses this line at most, and the store is asked again."""
        self._ends[version.name] = until.timestamp()
        self._file.write(f"{json.dumps([until.timestamp(), version.name])}\n")

    def close(self, kept: list[LockedVersion] | None) -> None:
        """`kept`: of all others nothing need be remembered."""
        self._file.close()
        if kept is not None:
            names = {version.name for version in kept}
            lines = (json.dumps([end, name]) for name, end in self._ends.items() if name in names)
            write_durably(self._path, "".join(f"{line}\n" for line in lines))


def _read(path: Path) -> dict[str, float]:
    ends: dict[str, float] = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in path.read_text("utf-8").split("\n"):
            with contextlib.suppress(ValueError):  # one that was torn
                end, name = made_of(json.loads(line), tuple[float, str])
                ends[name] = end
    return ends
