"""Pages of docs/ whose commands tests carry out."""

from __future__ import annotations

import re
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
