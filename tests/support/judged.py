"""One asset judged by its records at a moment: what the tests of a judgement write, and what they read of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ccdr.evidence.acknowledged import acknowledged, as_bad_as_now, known_by
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.records.statements import StatementRecord
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import Verb, rfc3339
from ccdr.plans.job import Job
from tests.support.chronicle import Chronicle
from tests.support.sparse import sparse_record

END = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday
RPO, RTO = 3600, 1800  # seconds, as the plan below wants them
Told = tuple[str, Level, str, str | None]
NOON = "2026-11-24T"


def about(job: Job) -> Chronicle:
    there = job.loaded.facts.repository
    assert there is not None
    return Chronicle(
        END, str(job.engine.source_name), job.plan, job.asset, there.location, job.loaded.plan.access.digest
    )


def well(past: Chronicle, **more: Any) -> Chronicle:
    """Backed up half an hour ago, and tested this night."""
    past.stored(-5, "old", **more)
    past.tested(-4, "old", basis="durable" if past.asset == "log" else "throwaway")
    past.stored(-0.5, "new", **more)
    return past


def judged(job: Job, past: Chronicle, at: float = 0, *, at_work: Sequence[str] = (), **seen: Any) -> AssetStatus:
    found = past.histories
    for history in found.values():
        history.at_work = list(at_work)
    own, upkeep = (found.get((job.plan, asset), AssetHistory()) for asset in (job.asset, None))
    return judge(job, own, upkeep, Seen(past.there, **seen), past.at(at))


# Whose work each is about; None: whoever sees it is told. Of a finding, and of what could not start, it says itself.
WHOSE = {
    Verb.BACKUP: "NEVER_SUCCEEDED BACKUP_FAILED BACKUP_LATE LOG_LATE LOG_GAP GROUP_INCOMPLETE BREACH_RPO SNAPSHOT_SUSPECT OTHER_CLUSTER",
    Verb.TEST: "TEST_FAILED LOG_FAILED NEWER_FAILED TEST_INCONCLUSIVE NEVER_TESTED TEST_LATE BREACH_RTO RTO_UNMEASURED FETCH_LIMIT",
    Verb.CONTROL: "CONTROL_PASSED CONTROL_INCONCLUSIVE CONTROL_LATE",
    Verb.PRUNE: "PRUNE_FAILED PRUNE_LATE",
    Verb.CHECK: "CHECK_INCONCLUSIVE CHECK_LATE",
    None: "REPOSITORY_AWAY REPOSITORY_DAMAGED RESTORE_CRASHED",
}
OWN = {name: verb for verb, names in WHOSE.items() for name in names.split()}


def whose(problems: Iterable[Problem]) -> None:
    for p in problems:
        if p.trouble is Trouble.NOT_BEGUN:
            assert p.verb == p.about
        elif p.trouble is not Trouble.FINDING:
            assert p.verb is OWN[p.trouble.name], p


def told(found: AssetStatus) -> list[Told]:
    whose(found.troubles)
    return [(p.trouble.name, p.level, p.text, p.step) for p in found.troubles]


def codes(found: AssetStatus) -> list[str]:
    return [p.trouble.name for p in found.troubles]


def step(trouble: Trouble, job: Job) -> str | None:
    return next_step(trouble, job.plan, job.asset)


def nothing(_: Chronicle) -> None:
    pass


NEWER: dict[str, Any] = {"own": "PASS", "newer_failed": True}


def acked(problem: Problem, later: Problem) -> bool:
    """Is what is wrong later covered by what was acknowledged of the first?"""
    key = known_by(problem)
    lasting = {} if problem.lasting is None else {key: problem.lasting}
    record = sparse_record({
        "seq": 1, "time": rfc3339(END), "kind": "statement", "says": "acknowledge", "until": rfc3339(END + timedelta(days=9)),
        "about": {"of": "trouble"} | {"code": problem.trouble.name, "known_by": [key], "values": {key: as_bad_as_now(problem)}, "lasting": lasting},
    })  # fmt: skip
    assert isinstance(record, StatementRecord)
    (found,) = acknowledged([later], {problem.trouble.name: record}, END + timedelta(days=1))
    return found.acknowledged is not None
