"""When a row and its file may be apart: two stores, each true for an instant of its own. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

_NUMBER = re.compile(r"[-+]?[0-9]{1,15}(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True)
class Instants:
    """All are seconds since the epoch by this host's clock, or seconds.

    `rows` and `files` are the two consistent points. The files' capture left out what had changed within `settle`
    before it. A row and its file are written at most `apart` one after the other. A time that is further ahead of
    its own store's point than `clocks` explain is no time at all: it would excuse anything.
    """

    rows: float
    files: float
    settle: float
    apart: float
    clocks: float

    @property
    def skew(self) -> float:
        return abs(self.rows - self.files)

    @property
    def without_file(self) -> float:
        """A row later than this may have no file yet."""
        return self.files - self.settle - self.apart

    @property
    def ahead_of_file(self) -> float:
        """A row later than this may know more of its file than was captured."""
        return self.files - self.settle

    @property
    def last_row(self) -> float:
        return self.rows + self.clocks

    @property
    def without_row(self) -> float:
        """A file later than this may have no row yet."""
        return self.rows - self.apart

    @property
    def last_file(self) -> float:
        return self.files + self.clocks


def instant_of(text: str) -> float | None:
    """A time as a query gives it: seconds since the epoch, or ISO 8601 with its offset. None for anything else; a time
    without a zone is nobody's."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    seconds = when.timestamp()
    return seconds if math.isfinite(seconds) else None
