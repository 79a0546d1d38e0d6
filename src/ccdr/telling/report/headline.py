"""The headline, in two sentences that a stranger understands, each true by itself: can the contact centre be brought
back, and why; and how it did in the period."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.pauses import PAUSED
from ccdr.model.trouble import Level
from ccdr.model.values import ObjectiveVerdict, human_seconds, so_many
from ccdr.telling.report.judge import day
from ccdr.telling.report.judged import AssetReport, ReportedFinding
from ccdr.telling.report.period import Period
from ccdr.telling.report.promises import DUE, NOT_KNOWN_HERE, PlanPromises, Tallies
from ccdr.telling.report.runs import MISSED, RUNNING, SKIPPED, TEST, RecordedRun

MOST_PLANS = 3  # whose first version came within the period, that the sentence names
LONGEST_REASON = 200  # characters; the finding itself has all of it
QUESTION = "Can the contact centre be brought back?"


@dataclass(frozen=True)
class Answer:
    """`word` is Yes, No, Not proven, or Yes with what qualifies it; `sentence` says why, as of the period's end."""

    word: str
    level: Level
    sentence: str


def answer(
    assets: Sequence[AssetReport],
    findings: Sequence[ReportedFinding],
    ledger_problems: int,
    *,
    until_now: bool,
    lost: bool = False,
    unknown: bool = False,
) -> Answer:
    """From where every asset that a plan names stands; `until_now`: at the time that the report is made. `lost`: the
    ledger was begun anew in place of one that is gone, and nobody has answered for that. `unknown`: some of the
    records are of a version or kind that is not read."""
    judged = [a for a in assets if a.in_plan]
    if ledger_problems:
        what = "problem" if ledger_problems == 1 else "problems"
        text = f"the records of backups and tests are damaged or changed ({ledger_problems} {what}): they prove nothing"
        return Answer("Not proven", Level.UNPROVEN, _sentence(text))
    if not judged:  # a bare machine that has taken in ledgers of others
        text = "no plan lies here to judge by: what was recorded stands below; name copies of the plans with --plans"
        return Answer("Not proven", Level.UNPROVEN, _sentence(text))
    worst = max(a.level for a in judged)
    concerned = [a for a in judged if a.level is worst]
    many = f"{len(concerned)} of {len(judged)} assets" if len(judged) > 1 else "its one asset"
    if worst is Level.LOST:
        return Answer("No", worst, _sentence(f"{_what_comes_back(concerned, many)}: {_first(concerned)}"))
    if lost and worst < Level.UNPROVEN:
        text = "the records of backups and tests from before are lost: what was tested, and what failed, is not known"
        return Answer("Not proven", Level.UNPROVEN, _sentence(text))
    if unknown and worst < Level.UNPROVEN:
        text = "this ccdr does not read the version or kind of some records, and what they tell is not known"
        return Answer("Not proven", Level.UNPROVEN, _sentence(text))
    if worst is Level.UNPROVEN:
        return Answer("Not proven", worst, _sentence(f"for {many} there is no proof: {_first(concerned)}"))
    proven = _proven(judged, until_now=until_now)
    if worst is Level.LATE:
        text = f"{proven}; but {many} would miss an objective: {_first(concerned)}"
        return Answer("Yes, but not as promised", worst, _sentence(text))
    if worst is Level.NEAR:
        text = (
            f"{proven}; but the backups of {many} are on the same disk or machine as what they protect: "
            f"{_first(concerned)}"
        )
        return Answer("Yes, unless disk or machine is lost", worst, _sentence(text))
    if unseen := [a for a in judged if not a.near_known]:
        these = f"{len(unseen)} of {len(judged)} assets" if len(judged) > 1 else "its one asset"
        text = (
            f"{proven}; but this host does not know whether the backups of {these} are on the same disk or "
            f"machine as what they protect"
        )
        return Answer("Yes, but it is not known where the copies are", Level.NEAR, _sentence(text))
    noted = sum(f.level is Level.NOTE for f in findings)
    rest = (
        "" if not noted else f"; {noted} {'thing is' if noted == 1 else 'things are'} not as the plans want, see below"
    )
    return Answer("Yes", worst, _sentence(proven + rest))


def _what_comes_back(concerned: Sequence[AssetReport], many: str) -> str:
    """Of those that are lost; `many` says how many they are."""
    reached = [a for a in concerned if not a.unreached]  # else nothing comes back, whatever has been shown before
    counting = [a for a in reached if a.rpo_now and math.isfinite(_or_never(a.rpo_now.achieved_s))]
    shown = [a for a in counting if math.isfinite(a.tested.worst_s)]  # one that counts need not have been tested
    if len(shown) == len(concerned):
        return f"only an older state of {many} may come back"
    if len(counting) == len(concerned):
        return f"no restore of {many} has been shown to work"
    return f"{many} cannot be restored"


def over_the_period(
    period: Period,
    assets: Sequence[AssetReport],
    runs: Sequence[RecordedRun],
    tallies: Tallies,
    promised: Sequence[PlanPromises],
    first: datetime | None,
    ledger_problems: int,
) -> str:
    """How the plans' assets did in the period, whatever holds at its end. `first` is the time of the first record."""
    when = f"from {day(period.start)} to {day(period.end)} UTC"
    if first is None or first >= period.end:
        return _sentence(f"{when} nothing was recorded: what was done then, and what was not, is not known")
    if ledger_problems:
        return _sentence(f"{when}, the records prove nothing: they are damaged or changed")
    parts = [*_objectives([a for a in assets if a.in_plan]), _tests(runs), _due(tallies, promised, period.start)]
    if less := sum(bool(change.loosenings) for one in promised for change in one.changes):
        parts.append(f"{so_many(less, 'version of a plan', 'versions of plans')} promised less than the one before")
    if first > period.start:
        parts.append(f"the first record is of {day(first)}: nothing is known of the time before")
    return _sentence(f"{when}, {'; '.join(parts)}")


def _objectives(judged: Sequence[AssetReport]) -> Iterator[str]:
    """How many assets kept their RPO, and how many restores took longer than their RTO."""
    if not judged:
        yield "no plan named an asset"
        return
    of, kept = so_many(len(judged), "asset"), "stayed within the data loss that is allowed (RPO)"
    over = [a for a in judged if a.rpo and a.rpo.verdict is ObjectiveVerdict.BREACHED]
    met = sum(a.rpo is not None and a.rpo.verdict is ObjectiveVerdict.MET for a in judged)
    rest = len(judged) - len(over) - met
    later = any(a.completed.since for a in judged if a not in over)
    text = f"{met or 'none'} of {of} {kept}" if met or over else f"whether {of} {kept} is not known here"
    text += "" if not met else " from the first backup on" if later else " all the time"
    if over:
        worst = max(over, key=lambda a: _share(a.rpo.achieved_s, a.rpo.objective_s) if a.rpo else 0.0)
        assert worst.rpo is not None
        lost = _or_never(worst.rpo.achieved_s)
        most = human_seconds(lost) if math.isfinite(lost) else "all of its data"
        allowed = human_seconds(worst.rpo.objective_s)
        text += f", {len(over)} did not: {worst.name} went furthest beyond, with {most} where {allowed} is allowed"
    if rest and (met or over):
        text += f", and of {rest} that is not known here"
    yield text
    if breached := sum(r.breached for a in judged for r in a.restores if r.basis == a.basis):
        yield f"{so_many(breached, 'measured restore')} took longer than the RTO"


def _share(achieved: float | None, objective: float) -> float:
    return _or_never(achieved) / objective


def _tests(runs: Sequence[RecordedRun]) -> str:
    ended = [r for r in runs if r.verb == TEST and r.outcome not in (MISSED, SKIPPED, RUNNING)]
    if not ended:
        return "no restore test was carried out"
    passed, failed = (sum(r.outcome == word for r in ended) for word in ("PASS", "FAIL"))
    text = f"{passed:,} of {so_many(len(ended), 'restore test', form=',')} passed"
    rest = len(ended) - passed - failed
    return text + (f", {failed:,} failed" if failed else "") + (f", {rest:,} proved nothing" if rest else "")


def _due(tallies: Tallies, promised: Sequence[PlanPromises], begin: datetime) -> str:
    due, missed, elsewhere = (sum(t.get(what) or 0 for t in tallies.values()) for what in (DUE, MISSED, NOT_KNOWN_HERE))
    unknown = any(t.get(DUE, 0) is None for t in tallies.values())
    if not promised:
        recorded = f"; {missed:,} of it are recorded as missed" if missed else ""
        return f"what was due is not known, as no version of a plan is recorded{recorded}"
    text = f"{missed:,} of {so_many(due, 'run that was due', 'runs that were due', form=',')} did not take place"
    text = text if due or missed else "nothing was due"
    if let_be := sum(t.get(PAUSED) or 0 for t in tallies.values()):
        text += f", and {let_be:,} more {'was' if let_be == 1 else 'were'} skipped while a plan was paused"
    if elsewhere:
        times = so_many(elsewhere, "due time that was", "due times that were", form=",")
        text += f", and what became of {times} not this host's is not known"
    if unrecorded := [one for one in promised if one.since is not None and day(one.since) > day(begin)]:
        text += f", and {_unrecorded(unrecorded, len(promised))} is not known, as no version of it is recorded"
    return text + (", and of other plans nothing of that is known" if unknown else "")


def _unrecorded(plans: Sequence[PlanPromises], of: int) -> str:
    """What was due before the first version of each of these `plans`; where there are others, of which."""
    since = {one.plan: day(one.since) for one in plans if one.since is not None}
    if len(since) > MOST_PLANS:
        last = max(since.values())
        return f"what of {len(since)} plans was due before the first version of each, the last of {last},"
    whose = [f"of {plan} before {at}" if of > 1 else f"before {at}" for plan, at in since.items()]
    return f"what was due {', '.join(whose)}"


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _proven(assets: Sequence[AssetReport], *, until_now: bool) -> str:
    tests = [a.last_conclusive.started for a in assets if a.last_conclusive]
    took = [a.rto.achieved_s for a in assets if a.rto and a.rto.achieved_s is not None]
    lost = [a.rpo_now.achieved_s for a in assets if a.rpo_now and a.rpo_now.achieved_s is not None]
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


def _first(assets: Sequence[AssetReport]) -> str:
    """The first of them by name, with its reason, and how many there are besides."""
    one = assets[0]
    findings = [f for f in one.findings if f.level is one.level]
    why = next((f for f in findings if f.because is None), findings[0]).text  # the cause, and not what follows from it
    why = textwrap.shorten(why, LONGEST_REASON, placeholder=" … (all of it below)")
    more = f" (and {len(assets) - 1} more)" if len(assets) > 1 else ""
    return f"{one.name}: {why}{more}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
