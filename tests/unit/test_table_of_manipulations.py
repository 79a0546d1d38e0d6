"""docs/explanation/evidence.md lists what can be done to the evidence: each row names a test that there is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"\| (?P<what>.+?) \| (?P<who>.+?) \| `(?P<file>[\w/]+\.py)::(?P<name>\w+)` \|")


def rows() -> list[re.Match[str]]:
    text = (ROOT / "docs/explanation/evidence.md").read_text("utf-8")
    section = text.partition("## What can be done to it, and who notices\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return [match for match in found if match]


def test_each_manipulation_has_a_test() -> None:
    assert len(rows()) >= 24
    for row in rows():
        text = (ROOT / "tests" / row["file"]).read_text("utf-8")
        assert re.search(rf"^def {row['name']}\(", text, re.MULTILINE), row["name"]


def test_each_row_is_of_its_own() -> None:
    assert max(Counter(row["name"] for row in rows()).values()) == 1
    assert max(Counter(row["what"] for row in rows()).values()) == 1
