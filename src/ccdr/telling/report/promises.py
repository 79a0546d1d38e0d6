"""What the plans promised in the period, and what became of it: due and missed, loosenings, what is no longer checked.

From the versions that the ledger has, never from a plan's file or a slot: values in, values out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ccdr.evidence.judgement.upkeep import seconds_unapproved
from ccdr.evidence.pauses import PAUSED, windows
from ccdr.evidence.records import TestEnd
from ccdr.evidence.verdicts import verdict_on_snapshot
from ccdr.model.values import Verb
from ccdr.plans.due import OF_A_COPY, DueTally, Other, RequestedRuns, RunStart, Schedule, tallies
from ccdr.plans.facts import mended
from ccdr.plans.loosened import PlanChange, changes
from ccdr.plans.versions import PlanRevision, in_force
from ccdr.telling.report.evidence import Evidence, PlanEvidence
from ccdr.telling.report.runs import MISSED, NOTED, RecordedRun

NOT_KNOWN_HERE, WAITING, DUE, STARTED = "NOT_KNOWN_HERE", "waiting", "due", "started"
RECORDED = "due_recorded"  # as due, by the records, where what was due is not known

# By plan and verb: how many of each outcome, and of what was due; that is None where no version tells of it.
Tallies = dict[tuple[str, str], dict[str, int | None]]
_VERBS = {verb.value: verb for verb in Verb}


@dataclass(frozen=True)
class PlanPromises:
    """One plan's period. `since`: what came due before it is not known, as no version is recorded of before; None where
    the whole period is known."""

    plan: str
    since: datetime | None
    due: tuple[DueTally, ...]
    changes: tuple[PlanChange, ...]


def promises(evidence: Evidence) -> list[PlanPromises]:
    """Of each plan that a version is recorded of, by name."""
    period = evidence.period
    begun = _begun([*evidence.before, *evidence.runs])
    promised = []
    for name, plan in sorted(evidence.plans.items()):
        tells = plan if plan.versions else next((one for one in plan.others.values() if one.versions), plan)
        if not (versions := tells.versions):
            continue
        others = [
            Other(other.versions, other.asked, begun.get((ledger, name), {}), other.until, windows(other.pauses))
            for ledger, other in plan.others.items()
        ]
        starts, paused = begun.get((None, name), {}), windows(plan.pauses)
        due = tallies(plan.versions, _asked(plan), starts, period.start, period.end, others, paused)
        since = versions[0].at if versions[0].at > period.start else None
        unapproved = partial(seconds_unapproved, tells.approvals)
        in_period = tuple(changes(versions, period.start, period.end, unapproved))
        promised.append(PlanPromises(name, since, tuple(due), in_period))
    return promised


def _asked(plan: PlanEvidence) -> list[RequestedRuns]:
    """Behind the end of a ledger that was lost nobody knows what was begun, until the next one says what runs here were
    asked for."""
    unknown = (RequestedRuns(until, frozenset(), {}) for until in plan.lost.values())
    return sorted((*plan.asked, *unknown), key=lambda one: one.at) if plan.lost else plan.asked


def counted(
    recorded: Mapping[tuple[str, str], Mapping[str, int]], runs: Iterable[RecordedRun], promised: Sequence[PlanPromises]
) -> Tallies:
    """The tallies of what was recorded, with due and missed by the schedules: from a plan's first version on. What is
    recorded of before is all that is known of that; where the period has no version at all, what was due is not known,
    however much was recorded as that."""
    since = {one.plan: one.since for one in promised}
    by_verb: Tallies = {}
    for (plan, verb), counts in recorded.items():
        by_verb[plan, verb] = {**counts}
        if verb in _VERBS and plan not in since:
            by_verb[plan, verb] |= {DUE: None, RECORDED: counts.get(DUE, 0)}
    before: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for run in runs:
        edge = since.get(run.plan or "")
        if edge is not None and run.started < edge and run.by == "run":
            missed, let_be = run.count * (run.outcome == MISSED), run.count * run.let_be
            before[run.plan or "", run.verb].update({DUE: run.count, MISSED: missed, PAUSED: let_be})
    for one in promised:
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for due in one.due:
            numbers = {DUE: due.due, MISSED: due.missed, WAITING: int(due.waiting), NOT_KNOWN_HERE: due.elsewhere}
            numbers[PAUSED] = due.paused
            sums[due.verb.value].update(numbers)
        for verb in _VERBS:
            key, total = (one.plan, verb), sums[verb] + before[one.plan, verb]
            if key in by_verb or total:
                tally = by_verb.setdefault(key, {STARTED: 0})
                for what in (DUE, MISSED, PAUSED, WAITING, NOT_KNOWN_HERE):
                    if total[what] or what in tally or what == DUE:
                        tally[what] = total[what]
    return by_verb


def mending(evidence: Evidence) -> Callable[[RecordedRun, RecordedRun], bool]:
    """Does a good run take back one that was not, as far as its checks go? Where no version tells what was checked,
    it is believed."""

    def mends(bad: RecordedRun, good: RecordedRun) -> bool:
        test = bad.body
        if not isinstance(test, TestEnd) or test.verdict != "FAIL" or bad.asset is None:
            return True
        then, later = (in_force(_versions(evidence, run), run.seq) for run in (bad, good))
        if then is None or later is None or bad.asset not in then.facts.assets:
            return True
        now = later.facts.assets.get(bad.asset)
        kinds = {one.kind for one in test.checks if one.status == "FAIL"}
        if not kinds and verdict_on_snapshot(test) == "PASS":  # for a newer backup that had failed, or for its log
            return True
        return now is not None and mended(then.facts.assets[bad.asset].checks, now.checks, kinds)

    return mends


def _of_another(run: RecordedRun) -> str | None:
    """The ledger of the host that it is of, where that is another one."""
    return None if run.origin is None or run.origin.ours else run.ledger


def _versions(evidence: Evidence, run: RecordedRun) -> Sequence[PlanRevision]:
    """Those of the plan, as they were recorded on the run's host."""
    plan = evidence.plans.get(run.plan or "")
    if plan is None:
        return ()
    ledger = _of_another(run)
    return plan.versions if ledger is None else plan.others[ledger].versions if ledger in plan.others else ()


def versions_in_force(evidence: Evidence) -> dict[str, PlanRevision]:
    """By plan: by what it is judged at the period's end. Newer versions are not in the evidence."""
    return {name: plan.versions[-1] for name, plan in evidence.plans.items() if plan.versions}


def _begun(runs: Iterable[RecordedRun]) -> dict[tuple[str | None, str], dict[Schedule, list[RunStart]]]:
    """By the ledger of another host, or None: this one's; and by plan."""
    starts: dict[tuple[str | None, str], dict[Schedule, list[RunStart]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        verb = _VERBS.get(run.verb)
        if verb is None or run.plan is None or run.outcome in (MISSED, NOTED) or run.let_be:
            continue
        due = int(run.due.timestamp()) if run.by == "run" and run.due else None
        asset = run.asset if verb in (Verb.BACKUP, Verb.TEST, Verb.CONTROL) else None
        if run.at_copy:
            if verb not in OF_A_COPY:
                continue  # beside the one that came due
            asset = run.copy
        starts[_of_another(run), run.plan][asset, verb].append(RunStart(int(run.started.timestamp()), due))
    return starts
