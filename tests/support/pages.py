"""Pages of docs/ whose commands tests carry out."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str, heading: str, step: str | None = None) -> list[str]:
    """What stands in the shell blocks of a section, a line each; or in those of its one numbered step that begins
    with the words `step` in bold."""
    section = (DOCS / page).read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    if step is not None:
        (section,) = (s for s in re.split(r"\n(?=\d+\. )", section) if re.match(rf"\d+\. \*\*{step}\*\*", s))
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


class Shape(HTMLParser):
    """Elements that may not be there, elements that are not closed, and attributes that run something."""

    VOID = frozenset(["meta", "br", "img", "input", "link", "hr"])

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        if tag in ("script", "img", "iframe", "link", "object", "form"):
            self.wrong.append(f"a {tag}")
        self.wrong += [
            f"{name}={value}"
            for name, value in attrs
            if name.startswith("on") or (name in ("href", "src") and not str(value).startswith("#"))
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def shape_of(page: str) -> Shape:
    shape = Shape()
    shape.feed(page)
    shape.close()
    assert shape.open == [] and shape.wrong == []
    return shape
