"""What `make docs` needs beside the pages: mkdocs calls it for each, and `python docs/as_site.py DIR` looks at what
came out.

The pages are written for forges. Python-Markdown wants a list's continuation four columns in, and blank lines around a
list and its blocks of code; and a link to a file outside of docs/ has nowhere to lead in the site.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ITEM = re.compile(r"(\d+\.|-) ")
FENCE = re.compile(r" *```")


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """mkdocs' hook: the page as Python-Markdown reads it."""
    return _as_lists(_within(markdown, Path(page.file.abs_src_path).parent))


def _within(text: str, folder: Path) -> str:
    """A link to a file outside of docs/ becomes its words. That the file is there is a test's to tell."""

    def link(match: re.Match[str]) -> str:
        words, target = match[1], match[2].partition("#")[0]
        path = (folder / target).resolve()
        return match[0] if not target or path.is_relative_to(DOCS) else words

    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:)([^)\s]+)\)", link, text)


def _as_lists(text: str) -> str:
    made = list[str]()
    width, loose = 0, False  # of the list item that we are in: its marker's columns, and whether it holds blocks
    fence = False

    def apart() -> None:
        if made and made[-1].strip():
            made.append("")

    for line in text.splitlines():
        begins = FENCE.match(line)
        inside = bool(width) and (not line.strip() or line.startswith(" " * width))
        if not fence and not inside:
            item = ITEM.match(line)
            if item and (loose or not width):
                apart()
            ended = begins or (made and not made[-1].strip())
            width, loose = (len(item[0]), loose and bool(width)) if item else (0, False) if ended else (width, loose)
        if begins and not fence:
            apart()
        made.append(" " * (4 - width) + line if inside and line.strip() else line)
        if begins:
            fence = not fence
            if not fence:
                made.append("")
        loose = bool(width) and (loose or bool(begins) or not line.strip())
    return "\n".join(made) + "\n"


class Loads(HTMLParser):
    """What a browser fetches for a page without being asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = dict(attrs)
        followed = tag == "a" or (tag == "link" and at.get("rel") in ("canonical", "prev", "next"))
        self.found += [v for k, v in attrs if v and k in ("src", "srcset", "href", "data", "poster") and not followed]
        if "mermaid" in (at.get("class") or ""):
            self.found.append("https: the script that draws mermaid")


def outside(site: Path) -> list[str]:
    """Each load from elsewhere: `FILE: ADDRESS`."""
    told = []
    for file in sorted(site.rglob("*")):
        if file.suffix == ".html":
            loads = Loads()
            loads.feed(file.read_text("utf-8"))
            told += [f"{file}: {what}" for what in loads.found if re.match(r"https?:|//", what)]
        if file.suffix in (".html", ".css"):
            urls = re.findall(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", file.read_text("utf-8"))
            told += [f"{file}: {url}" for url in urls]
        if file.suffix == ".html" and "```" in file.read_text("utf-8"):
            told.append(f"{file}: a block of code that was not read as one")
    return told


if __name__ == "__main__":
    wrong = outside(Path(sys.argv[1]))
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    sys.exit(1 if wrong else 0)
