"""How well tested an asset is: by its newest conclusive restore test, and by when the next one has come due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from ccdr.evidence.history.asset_history import NEVER, AssetHistory
from ccdr.evidence.history.values import Elsewhere
from ccdr.evidence.verdicts import Record
from ccdr.model import measure
from ccdr.model.schedule import second_due
from ccdr.model.trouble import (
    Problem,
    Trouble,
)
from ccdr.model.values import (
    Achieved,
    ObjectiveVerdict,
    Verb,
    other_source,
    to_the_second,
    utc,
)
from ccdr.plans.job import Job
from ccdr.storage.removals import CLOCK_TOLERANCE

TESTED, UNTESTED, STALE = "tested", "untested", "stale"


def measured_rto(job: Job, history: AssetHistory) -> Achieved:
    last = conclusive(job, history)
    rto = (last or {}).get("rto") or {}
    same_basis = rto.get("basis") == job.engine.settings  # throwaway and durable are never mixed
    return measure.judge(job.objectives.rto, rto.get("achieved_s") if same_basis else None)


def as_far_as_known(
    wrong: Iterable[Problem], job: Job, history: AssetHistory, now: datetime, tester: Elsewhere | None
) -> Iterator[Problem]:
    """Where another host tests: what is late, or never was done, as far as that host's ledger tells. Beyond that it is
    not known here."""
    untold = Problem(
        Trouble.NOT_KNOWN_HERE,
        f"another host does its restore tests, and this host does not know their "
        f"results{f': {tester}' if tester else ''}",
        about=Verb.TEST,
        verb=Verb.TEST,
    )
    by_then = coverage(job, history, min(now, tester.until)) if tester else None
    for p in wrong:
        late, never = p.trouble is Trouble.TEST_LATE, p.trouble is Trouble.NEVER_TESTED and not p.about
        known = by_then == (STALE if late else UNTESTED)
        yield p if known or not (late or never) else untold


def rto_known(rto: Achieved, wrong: Sequence[Problem]) -> Achieved:
    unknown = any(p.trouble is Trouble.NOT_KNOWN_HERE and p.verb is Verb.TEST for p in wrong)
    if rto.verdict is ObjectiveVerdict.NOT_MEASURED and unknown:
        return replace(rto, verdict=ObjectiveVerdict.NOT_KNOWN_HERE)
    return rto


def test_late(job: Job, history: AssetHistory, now: datetime, let_be: datetime) -> Iterator[Problem]:
    """Another one has come due twice since the last one with a verdict; `let_be` as `coverage` has it."""
    last, planned = conclusive(job, history), job.engine.restore_test
    if last is not None and planned is not None:
        of = utc(last["time"])
        due = second_due(planned.schedule, job.loaded.plan.timezone, max(of, let_be), now)
        text = f"its restore test is overdue: the last conclusive one was at {to_the_second(of)}"
        yield Problem(Trouble.TEST_LATE, text, due, verb=Verb.TEST)


def conclusive(job: Job, history: AssetHistory) -> Record | None:
    """The newest conclusive test of what the plan names now."""
    last = history.last_conclusive_test
    return None if last is None or other_source(last, job.engine.source_name) else last


def coverage(job: Job, history: AssetHistory, now: datetime, let_be: datetime = NEVER) -> str:
    """Stale: since the last conclusive test, another one has come due twice; what did up to `let_be` was to be let
    be."""
    last = conclusive(job, history)
    if last is None:
        return UNTESTED
    planned = job.engine.restore_test
    if planned is None:
        return TESTED
    if utc(last["time"]) > now + CLOCK_TOLERANCE:  # by a clock that was wrong: when it was, nobody knows
        return STALE
    since = max(utc(last["time"]), let_be)
    return STALE if second_due(planned.schedule, job.loaded.plan.timezone, since, now) else TESTED
