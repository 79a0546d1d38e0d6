"""docs/reference/troubles.md: every trouble by its code, what it means, and the program's own next step."""

from __future__ import annotations

import re
from pathlib import Path

from ccdr.cli import main
from ccdr.model.trouble import Ending, Level, Trouble, next_step

DOCS = Path(__file__).parent
HEAD = """\
# Troubles

Made by `python docs/generate.py`; do not edit.

What is wrong with an asset, or with a plan's repository, has a code. `ccdr status`, the report,
messages and `--json` use the same ones. A message's subject says it in words. Beside each trouble
stands the next step, with your own names in it. A trouble ends by itself once it is over.
`ccdr ack CODE` takes one out of the exit code for a while
([how far](reading-records.md#what-is-acknowledged)).
"""
LEVELS = {
    Level.LOST: "The asset cannot be brought back, as far as ccdr knows",
    Level.UNPROVEN: "Nobody has shown that it can be brought back",
    Level.LATE: "It can be brought back, but not within its objectives",
    Level.NEAR: "It can be brought back, but not where its disk or its machine is lost",
    Level.NOTE: "It can be brought back, and something is not as the plan wants",
}


def page() -> str:
    return HEAD + "".join(_of(level) for level in LEVELS)


def _of(level: Level) -> str:
    troubles = [trouble for trouble in Trouble if trouble.row.level is level]
    table = "| code | a message says | means | next step |\n|---|---|---|---|\n" + "".join(map(_row, troubles))
    return f"\n## {LEVELS[level]}\n\n{table}"


def _row(trouble: Trouble) -> str:
    step = _in_code(_linked(next_step(trouble, "PLAN", "ASSET") or ""))
    row, no_ack = trouble.row, trouble.row.no_ack
    # For some, somebody answers once and for all.
    never = no_ack is not None and no_ack.end is not Ending.PASSING and "ccdr ack" not in step
    means = row.means + (". Nobody can acknowledge it" if never else "")
    return f"| `{trouble.name}` | {row.heading} | {means} | {step} |\n"


def _in_code(step: str) -> str:
    """The commands in a step; three spaces stand between one and its explanation."""
    verbs = "|".join(sorted(main.commands, key=len, reverse=True))  # `runbook` before `run`
    word = r'--?[\w-]+|[A-Z_]+|latest|\d+d|…|"…"'
    marked = re.sub(rf"(?<!`)\bccdr (?:{verbs})(?: [a-z]+\b)?(?: (?:{word}))*", lambda match: f"`{match[0]}`", step)
    return re.sub(" +", " ", marked)


def _linked(step: str) -> str:
    def link(match: re.Match[str]) -> str:
        page, heading = match[1], match[2]
        if not heading:
            title = (DOCS / f"{page}.md").read_text("utf-8").partition("\n")[0].removeprefix("# ")
            return f"[{title}](../{page}.md)"
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        return f"[{heading}](../{page}.md#{anchor})"

    return re.sub(r"docs/([\w/-]+)\.md(?:, ([A-Z][\w' ]+))?", link, step)
