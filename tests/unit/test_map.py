"""The map leads somewhere: whatever it names is there, and no room is missing from it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").is_file())
MAP = (ROOT / "docs/map.md").read_text("utf-8")


def test_every_path_of_the_map_is_there() -> None:
    named = [path for path in re.findall(r"`([a-z_./-]+)`", MAP) if "/" in path]
    at = ("", "src/ccdr")
    assert len(named) > 40
    assert [path for path in named if not any((ROOT / where / path).exists() for where in at)] == []


def test_every_room_is_on_the_map_and_nothing_lies_outside_of_one() -> None:
    here = ROOT / "src/ccdr"
    rooms = {path.name for path in here.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rows = set(re.findall(r"^\| `([a-z]+)/`", MAP, re.MULTILINE))
    assert rows == rooms
    assert {path.name for path in here.glob("*.py")} == {"__init__.py", "__main__.py", "wiring.py"}
