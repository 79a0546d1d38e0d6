"""Pages wrap alike: `python docs/wrap.py` wraps each paragraph and list item at 100 columns, `--check` only looks.

Tables, headings and blocks of code stay as they are. A span of code is never broken.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDTH = 100
FENCE = re.compile(r"\s*```")
AS_IT_IS = re.compile(r"\s*(\||#|>|<|!\[|$)")
ITEM = re.compile(r"(\s*)([-*]|\d+\.) +")
WORD = re.compile(r"(?:``.*?``|`[^`]*`|\S)+")
MEANS_MORE = re.compile(r"([-+*>|]|#+|\d+[.)])$")  # at a line's beginning


def pages() -> list[Path]:
    """All that people write. CHANGELOG.md is towncrier's."""
    return [*(p for p in sorted(ROOT.glob("*.md")) if p.name != "CHANGELOG.md"), ROOT / "bench/README.md",
            *sorted((ROOT / "docs").rglob("*.md"))]  # fmt: skip


def wrapped(text: str) -> str:
    made, paragraph, fenced = list[str](), list[str](), False
    for line in [*text.splitlines(), ""]:
        fence = bool(FENCE.match(line))
        if fenced or fence or AS_IT_IS.match(line) or ITEM.match(line):
            made += _filled(paragraph)
            paragraph = []
        if fenced or fence or AS_IT_IS.match(line):
            made.append(line)
        else:
            paragraph.append(line)
        fenced ^= fence
    return "\n".join(made[:-1]) + "\n"


def _filled(paragraph: list[str]) -> Iterator[str]:
    if not paragraph:
        return
    first = ITEM.match(paragraph[0])
    indent = len(paragraph[0]) - len(paragraph[0].lstrip())
    begin = first[0] if first else " " * indent
    line, rest = begin, " " * len(begin)
    for word in _words(" ".join([paragraph[0][len(begin) :], *paragraph[1:]])):
        if line.strip() and line != begin and len(line) + 1 + len(word) > WIDTH:
            yield line
            line = rest + word
        else:
            line += word if line in (begin, rest) else f" {word}"
    yield line


def _words(text: str) -> Iterator[str]:
    """Words, and with each what may not begin a line."""
    held = ""
    for word in WORD.findall(text):
        if held and MEANS_MORE.match(word):
            held += f" {word}"
            continue
        if held:
            yield held
        held = word
    if held:
        yield held


def main() -> int:
    look, wrong = "--check" in sys.argv[1:], 0
    for page in pages():
        text = page.read_text("utf-8")
        if (new := wrapped(text)) != text:
            wrong += 1
            if look:
                sys.stderr.write(f"{page.relative_to(ROOT)}: not wrapped at {WIDTH} columns: python docs/wrap.py\n")
            else:
                page.write_text(new, "utf-8")
    return int(bool(look and wrong))


if __name__ == "__main__":
    sys.exit(main())
