"""How the contact centre did in the period: a sentence that a stranger understands, true by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

from ccdr.evidence.pauses import PAUSED
from ccdr.model.values import ObjectiveVerdict, human_seconds, so_many
from ccdr.telling.answer import day, sentence
from ccdr.telling.report.judged import AssetReport
from ccdr.telling.report.period import Period
from ccdr.telling.report.promises import DUE, NOT_KNOWN_HERE, PlanPromises, Tallies
from ccdr.telling.report.runs import MISSED, RUNNING, SKIPPED, TEST, RecordedRun

MOST_PLANS = 3  # whose first version came within the period, that the sentence names


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
        return sentence(f"{when} nothing was recorded: what was done then, and what was not, is not known")
    if ledger_problems:
        return sentence(f"{when}, the records prove nothing: they are damaged or changed")
    parts = [*_objectives([a for a in assets if a.in_plan]), _tests(runs), _due(tallies, promised, period.start)]
    if less := sum(bool(change.loosenings) for one in promised for change in one.changes):
        parts.append(f"{so_many(less, 'version of a plan', 'versions of plans')} promised less than the one before")
    if first > period.start:
        parts.append(f"the first record is of {day(first)}: nothing is known of the time before")
    return sentence(f"{when}, {'; '.join(parts)}")


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
