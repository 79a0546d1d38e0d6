"""The headline: can the contact centre be brought back, and why, in a sentence that a stranger understands."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from ccdr.model import human_seconds, so_many
from ccdr.report.judge import AssetReport, Finding, day
from ccdr.trouble import Level

LONGEST_REASON = 200  # characters; the finding itself has all of it
QUESTION = "Can the contact centre be brought back?"


@dataclass(frozen=True)
class Answer:
    """`word` is Yes, No, Not proven, or Yes with what qualifies it."""

    word: str
    level: Level
    sentence: str


def answer(
    assets: Sequence[AssetReport],
    findings: Sequence[Finding],
    ledger_problems: int,
    *,
    until_now: bool,
    lost: bool = False,
    newer: bool = False,
) -> Answer:
    """From where every asset that a plan names stands; `until_now`: at the time that the report is made. `lost`: the
    ledger was begun anew in place of one that is gone, and nobody has answered for that. `newer`: a later ccdr
    wrote some of the records."""
    judged = [a for a in assets if a.in_plan]
    if ledger_problems:
        what = "problem" if ledger_problems == 1 else "problems"
        said = f"the records of backups and tests are damaged or changed ({ledger_problems} {what}): they prove nothing"
        return Answer("Not proven", Level.UNPROVEN, _sentence(said))
    worst = max((a.level for a in judged), default=Level.UNPROVEN)
    concerned = [a for a in judged if a.level is worst]
    many = f"{len(concerned)} of {len(judged)} assets" if len(judged) > 1 else "its one asset"
    if worst is Level.LOST:
        had = [a for a in concerned if not a.unreached]  # else nothing comes back, whatever has been shown before
        counting = [a for a in had if a.rpo_now and math.isfinite(_or_never(a.rpo_now.achieved_s))]
        shown = [a for a in counting if math.isfinite(a.tested.worst_s)]  # one that counts need not have been tested
        said = f"{many} cannot be restored"
        if len(shown) == len(concerned):
            said = f"of {many} only an older state may come back"
        elif len(counting) == len(concerned):
            said = f"of {many} no state has been shown to come back"
        return Answer("No", worst, _sentence(f"{said}: {_first(concerned)}"))
    if lost and worst < Level.UNPROVEN:
        said = "the records of backups and tests from before are lost: what was tested, and what failed, is not known"
        return Answer("Not proven", Level.UNPROVEN, _sentence(said))
    if newer and worst < Level.UNPROVEN:
        said = "a later ccdr wrote some of the records, and what they tell is not known to this one"
        return Answer("Not proven", Level.UNPROVEN, _sentence(said))
    if worst is Level.UNPROVEN:
        return Answer("Not proven", worst, _sentence(f"for {many} there is no proof: {_first(concerned)}"))
    proven = _proven(judged, until_now=until_now)
    if worst is Level.LATE:
        said = f"{proven}; but {many} would not come back within what was promised: {_first(concerned)}"
        return Answer("Yes, but not as promised", worst, _sentence(said))
    if worst is Level.NEAR:
        said = f"{proven}; but the backups of {many} lie beside what they protect: {_first(concerned)}"
        return Answer("Yes, unless disk or machine is lost", worst, _sentence(said))
    noted = sum(f.level is Level.NOTE for f in findings)
    rest = (
        "" if not noted else f"; {noted} {'thing is' if noted == 1 else 'things are'} not as the plans want, see below"
    )
    return Answer("Yes", worst, _sentence(proven + rest))


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _proven(assets: Sequence[AssetReport], *, until_now: bool) -> str:
    tests = [a.last_conclusive.started for a in assets if a.last_conclusive]
    took = [a.rto.achieved_s for a in assets if a.rto and a.rto.achieved_s is not None]
    lost = [a.rpo_now.achieved_s for a in assets if a.rpo_now and a.rpo_now.achieved_s is not None]
    each = f"each of the {len(assets)} assets was" if len(assets) > 1 else "its one asset was"
    said = f"{each} restored from its backup and checked, last on {day(min(tests))} or later" if tests else each
    if took:
        said += f", the slowest of those that passed in {human_seconds(max(took))}"
    if lost and max(lost) < math.inf:
        when = "if all were lost now" if until_now else "if all had been lost at the period's end"
        said += f", and {when}, the newest {human_seconds(max(lost))} of data at most would be gone"
    if left_out := sum(len(a.left_out) for a in assets):
        said += f"; {so_many(left_out, 'thing')} that the plans leave out would not come back"
    return said


def _first(assets: Sequence[AssetReport]) -> str:
    """The first of them by name, with its reason, and how many there are besides."""
    one = assets[0]
    why = next(f.text for f in one.findings if f.level is one.level)
    why = textwrap.shorten(why, LONGEST_REASON, placeholder=" … (all of it below)")
    more = f" (and {len(assets) - 1} more)" if len(assets) > 1 else ""
    return f"{one.name}: {why}{more}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
