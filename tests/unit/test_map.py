"""The map and the pages beside it lead somewhere: whatever they name is there, and no room is missing from the map."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").is_file())
MAP = (ROOT / "docs/map.md").read_text("utf-8")


@pytest.mark.parametrize(("page", "least"), [("docs/map.md", 70), ("docs/extending.md", 40), ("CONTRIBUTING.md", 8)])
def test_every_path_is_there(page: str, least: int) -> None:
    named = [path for path in re.findall(r"`([a-z0-9_./-]+)`", (ROOT / page).read_text("utf-8")) if "/" in path]
    named = [path for path in named if not path.startswith("build/")]  # what `make` writes there
    at = ("", "src/ccdr", "docs")
    assert len(named) >= least
    assert [path for path in named if not any((ROOT / where / path).exists() for where in at)] == []


def test_every_change_of_the_map_leads_to_its_heading() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/extending.md").read_text("utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    named = re.findall(r"^\| \[.*?\]\(extending\.md#(.*?)\) \|", MAP, re.MULTILINE)
    assert len(named) == 11 and set(named) <= anchors


def test_every_room_is_on_the_map_and_nothing_lies_outside_of_one() -> None:
    here = ROOT / "src/ccdr"
    rooms = {path.name for path in here.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rows = set(re.findall(r"^\| `([a-z]+)/`", MAP, re.MULTILINE))
    assert rows == rooms
    assert {path.name for path in here.glob("*.py")} == {"__init__.py", "__main__.py", "wiring.py"}
