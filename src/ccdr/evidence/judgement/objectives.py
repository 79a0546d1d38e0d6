"""Whether an asset's objectives are met, by what counts of its backups and by its restore tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.values import Elsewhere
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.judgement.counting import Counted, points_by_records
from ccdr.evidence.judgement.coverage import conclusive
from ccdr.model import measure
from ccdr.model.measure import Point
from ccdr.model.trouble import Level, Problem, Trouble
from ccdr.model.values import Achieved, ObjectiveVerdict, Verb, human_seconds, utc
from ccdr.plans.job import Job


def measured_rpo(
    job: Job,
    history: AssetHistory,
    upkeep: AssetHistory,
    seen: Seen,
    counted: Counted,
    now: datetime,
    *,
    ours_to_do: bool,
) -> Achieved:
    """`ours_to_do`: are its backups this host's to take?"""
    points = [
        *(Point(s.consistent_point, s.to_hand) for s in counted.counting),
        *seen.logged(counted.counting, history.log_disproved),
    ]
    if ours_to_do:
        return measure.judge(job.objectives.rpo, measure.exposure(now, points))
    points += points_by_records(job, history, upkeep, seen, counted.usable)
    return _elsewhere(job, history, points, now, upkeep.elsewhere(Verb.BACKUP))


def breaches(job: Job, history: AssetHistory, status: AssetStatus, now: datetime) -> Iterator[Problem]:
    """Objectives that are not met; an asset that never had a backup is told as that."""
    never = any(p.trouble is Trouble.NEVER_SUCCEEDED for p in status.wrong)
    rpo, rto = status.rpo, status.rto
    if rpo.verdict is ObjectiveVerdict.BREACHED and not never:
        achieved = math.inf if rpo.achieved_s is None else rpo.achieved_s
        since, level = None, Level.LOST
        text = f"RPO breached: there is no snapshot that counts, {_objective(rpo)}"
        if math.isfinite(achieved):
            since, level = now - timedelta(seconds=achieved - rpo.objective_s), Level.LATE
            text = f"RPO breached: {human_seconds(achieved)} of data would be lost, {_objective(rpo)}"
        some, point = math.isfinite(achieved), now.timestamp() - achieved
        yield Problem(
            Trouble.BREACH_RPO,
            text,
            since,
            verb=Verb.BACKUP,
            as_bad_as=level,
            cause="" if some else "none",
            values=(achieved,) if some else (),
            lasting=point if some else None,
        )
    last = conclusive(job, history)
    if rto.verdict is ObjectiveVerdict.BREACHED:
        text = f"RTO breached: its last restore took {human_seconds(rto.achieved_s)}, {_objective(rto)}"
        why = f"{human_seconds(rto.achieved_s)} of {human_seconds(rto.objective_s)}"
        yield Problem(Trouble.BREACH_RTO, text, verb=Verb.TEST, why=why, values=(rto.achieved_s or 0.0,))
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and last is not None and last["verdict"] == "PASS":
        text = f"its RTO was not measured with {job.engine.settings} settings, which its plan asks for"
        yield Problem(Trouble.RTO_UNMEASURED, text, verb=Verb.TEST)
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and not any(p.verb is Verb.TEST for p in status.wrong):
        text = "its last conclusive restore test did not measure its RTO"
        yield Problem(Trouble.RTO_UNMEASURED, text, verb=Verb.TEST)


def _objective(achieved: Achieved) -> str:
    return f"the objective is {human_seconds(achieved.objective_s)}"


def _elsewhere(
    job: Job, history: AssetHistory, points: Sequence[measure.Point], now: datetime, backer: Elsewhere | None
) -> Achieved:
    """Exposure where another host backs up, and ships the log: what there is was last seen by a restore test, and what
    that measured counts, too; or it is told by that host's own ledger, as far as that goes. A breach that was seen
    stands while nothing newer is known."""
    last, known = history.last_test or {}, list(points)
    rpo = last.get("rpo") or {}
    if backer is not None and job.engine.shipping is None and (not rpo or utc(last["time"]) <= backer.until):
        until = min(now, backer.until)
        seen = 0.0 if any(p.usable > until for p in known) else measure.exposure(until, known)
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)
    if not rpo:  # never looked, or it did not come to that: whether it is met or not is not known
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), 0.0)
    at, achieved = utc(last["time"]), rpo.get("achieved_s")
    seen = math.inf if achieved is None else float(achieved)
    if math.isfinite(seen):
        known.append(measure.Point(at - timedelta(seconds=seen), at))
    if any(p.usable > at for p in known):  # something else has looked since
        seen = 0.0
    return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)
