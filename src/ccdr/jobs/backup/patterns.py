"""restic patterns for exactly one path."""

from __future__ import annotations

import re

_PATTERN = re.compile(r"[*?\[\\]")
_SPACE = re.compile(r"[^\S ]| $")


def escaped(name: str) -> str:
    """A restic pattern for exactly this path."""
    return _PATTERN.sub(r"\\\g<0>", name)


def pattern(name: str) -> str:
    """The same as a line of an exclude file, where restic expands variables and trims white space."""
    return _SPACE.sub(r"[\g<0>]", escaped(name)).replace("$", "$$")
