"""Can the contact centre be brought back, and why: one answer, for whoever asks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Level
from ccdr.model.values import human_seconds, so_many

LONGEST_REASON = 200  # characters; the finding itself has all of it
QUESTION = "Can the contact centre be brought back?"


@dataclass(frozen=True)
class Answer:
    """`word` is Yes, No, Not proven, or Yes with what qualifies it; `sentence` says why, as of the moment that was
    judged."""

    word: str
    level: Level
    sentence: str


def answer(
    judged: Sequence[AssetStatus],
    *,
    ledger_problems: int,
    noted: int = 0,
    until_now: bool = True,
    lost: bool = False,
    unknown: bool = False,
    unread: int = 0,
) -> Answer:
    """From where every asset that a plan names stands; `until_now`: at this moment. `noted`: how many things are not as
    the plans want, and put nobody in danger. `lost`: the ledger was begun anew in place of one that is gone, and nobody
    has answered for that. `unknown`: some of the records are of a version or kind that is not read. `unread`: as many
    plans are wrong, or have no file any more. What somebody has acknowledged is as bad as it was."""
    if ledger_problems:
        what = "problem" if ledger_problems == 1 else "problems"
        text = f"the records of backups and tests are damaged or changed ({ledger_problems} {what}): they prove nothing"
        return Answer("Not proven", Level.UNPROVEN, sentence(text))
    if not judged and not unread:  # a bare machine that has taken in ledgers of others
        text = "no plan lies here to judge by: what was recorded stands below; name copies of the plans with --plans"
        return Answer("Not proven", Level.UNPROVEN, sentence(text))
    worst = max((a.level for a in judged), default=Level.FINE)
    concerned = [a for a in judged if a.level is worst]
    many = f"{len(concerned)} of {len(judged)} assets" if len(judged) > 1 else "its one asset"
    if worst is Level.LOST:
        return Answer("No", worst, sentence(f"{_what_comes_back(concerned, many)}: {_first(concerned)}"))
    if lost and worst < Level.UNPROVEN:
        text = "the records of backups and tests from before are lost: what was tested, and what failed, is not known"
        return Answer("Not proven", Level.UNPROVEN, sentence(text))
    if unknown and worst < Level.UNPROVEN:
        text = "this ccdr does not read the version or kind of some records, and what they tell is not known"
        return Answer("Not proven", Level.UNPROVEN, sentence(text))
    if unread and worst < Level.UNPROVEN:
        text = f"{so_many(unread, 'plan is', 'plans are')} wrong or gone, and what they protect is not known"
        return Answer("Not proven", Level.UNPROVEN, sentence(text))
    if worst is Level.UNPROVEN:
        return Answer("Not proven", worst, sentence(f"for {many} there is no proof: {_first(concerned)}"))
    proven = _proven(judged, until_now=until_now)
    if worst is Level.LATE:
        text = f"{proven}; but {many} would miss an objective: {_first(concerned)}"
        return Answer("Yes, but not as promised", worst, sentence(text))
    if worst is Level.NEAR:
        text = (
            f"{proven}; but the backups of {many} are on the same disk or machine as what they protect: "
            f"{_first(concerned)}"
        )
        return Answer("Yes, unless disk or machine is lost", worst, sentence(text))
    if unseen := [a for a in judged if not a.near_known]:
        these = f"{len(unseen)} of {len(judged)} assets" if len(judged) > 1 else "its one asset"
        text = (
            f"{proven}; but this host does not know whether the backups of {these} are on the same disk or "
            f"machine as what they protect"
        )
        return Answer("Yes, but it is not known where the copies are", Level.NEAR, sentence(text))
    rest = (
        "" if not noted else f"; {noted} {'thing is' if noted == 1 else 'things are'} not as the plans want, see below"
    )
    return Answer("Yes", worst, sentence(proven + rest))


def _what_comes_back(concerned: Sequence[AssetStatus], many: str) -> str:
    """Of those that are lost; `many` says how many they are."""
    reached = [a for a in concerned if not a.away]  # else nothing comes back, whatever has been shown before
    counting = [a for a in reached if math.isfinite(_or_never(a.rpo.achieved_s))]
    shown = [a for a in counting if a.shown]  # one that counts need not have been tested
    if len(shown) == len(concerned):
        return f"only an older state of {many} may come back"
    if len(counting) == len(concerned):
        return f"no restore of {many} has been shown to work"
    return f"{many} cannot be restored"


def _proven(assets: Sequence[AssetStatus], *, until_now: bool) -> str:
    tests = [a.conclusive.time for a in assets if a.conclusive]
    took = [a.rto.achieved_s for a in assets if a.rto.achieved_s is not None]
    lost = [a.rpo.achieved_s for a in assets if a.rpo.achieved_s is not None]
    each = f"each of the {len(assets)} assets was" if len(assets) > 1 else "its one asset was"
    text = f"{each} restored from its backup and checked, last on {day(min(tests))} or later" if tests else each
    if took:
        text += f", the slowest of those that passed in {human_seconds(max(took))}"
    if lost and max(lost) < math.inf:
        when = "if all were lost now" if until_now else "if all had been lost at the period's end"
        text += f", and {when}, the newest {human_seconds(max(lost))} of data at most would be gone"
    if left_out := sum(len(a.left_out) for a in assets):
        text += f"; {so_many(left_out, 'thing')} that the plans leave out would not come back"
    return text


def _first(assets: Sequence[AssetStatus]) -> str:
    """The first of them by name, with its reason, and how many there are besides."""
    one = assets[0]
    wrong = [p for p in (*one.troubles, *one.near) if p.level is one.level]
    why = next((p for p in wrong if p.because is None), wrong[0]).text  # the cause, and not what follows from it
    why = textwrap.shorten(why, LONGEST_REASON, placeholder=" … (all of it below)")
    more = f" (and {len(assets) - 1} more)" if len(assets) > 1 else ""
    return f"{one.plan}/{one.asset}: {why}{more}"


def day(moment: datetime) -> str:
    """As sentences name a moment: UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
