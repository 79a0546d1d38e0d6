"""Where each asset stands: objectives against achieved, coverage, what is late. From ledger and catalogue alone,
so that it answers at once and when the repository does not."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim

from ccdr import measure
from ccdr.catalogue import dated_in_future, of_source
from ccdr.errors import Exit
from ccdr.history import AssetHistory, Record
from ccdr.model import Achieved, ObjectiveVerdict, Snapshot, utc
from ccdr.plans import LoadedPlan
from ccdr.services import Job, Services

TESTED, UNTESTED, STALE = "tested", "untested", "stale"
ENVELOPE = ("seq", "prev", "time", "host", "actor", "kind")


@dataclass(frozen=True)
class AssetStatus:
    """One asset's line. `rto` is from its newest conclusive test."""

    plan: str
    asset: str
    rpo: Achieved
    rto: Achieved
    last_backup: Record | None
    last_test: Record | None
    coverage: str
    problems: tuple[str, ...]

    @property
    def finding(self) -> bool:
        objectives = {self.rpo.verdict, self.rto.verdict}
        return bool(self.problems or objectives & {ObjectiveVerdict.BREACHED, ObjectiveVerdict.NOT_MEASURED})

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "rpo": self.rpo.as_json(),
            "rto": self.rto.as_json(),
            "last_backup": _shown(self.last_backup),
            "last_test": _shown(self.last_test),
            "coverage": self.coverage,
            "problems": list(self.problems),
        }


def status(plans: Sequence[LoadedPlan], services: Services) -> list[AssetStatus]:
    """Every asset of these plans, in their order."""
    history = services.histories()
    jobs = [Job(loaded, asset) for loaded in plans for asset in loaded.plan.assets]

    def known(plan: str, asset: str | None) -> AssetHistory:
        return history.get((plan, asset), AssetHistory())

    return [_asset_status(job, known(job.plan, job.asset), known(job.plan, None), services) for job in jobs]


def exit_code(found: Sequence[AssetStatus]) -> Exit:
    return Exit.FINDING if any(s.finding for s in found) else Exit.OK


def _asset_status(job: Job, history: AssetHistory, upkeep: AssetHistory, services: Services) -> AssetStatus:
    now = services.clock.now()
    known = services.catalogue.snapshots(job.plan, job.asset)
    ours = [s for s in known if of_source(s, job.engine.source_name)]
    usable = [s for s in ours if not dated_in_future(s, now) and s.note is None and not history.disproved(s.id)]
    points = [measure.Point(s.consistent_point, s.usable_at) for s in usable]
    newest = usable[-1] if usable else None
    coverage = _coverage(job, history, now)
    problems = _problems(job, history, services, newest)
    # One that a newer good one has made up for is history, not a finding for ever.
    bad = [s for s in ours if s not in usable and (newest is None or s.consistent_point > newest.consistent_point)]
    if bad:
        problems.append(f"{len(bad)} newer snapshots do not count: disproved, or dated in the future")
    if known[-1:] != ours[-1:]:
        problems.append("its newest snapshot is of something else than the plan now names")
    if damage := history.damage_since(upkeep):
        problems.append(damage)
    if coverage == STALE:
        problems.append("its restore test is overdue")
    return AssetStatus(
        plan=job.plan,
        asset=job.asset,
        rpo=measure.judge(job.objectives.rpo, measure.exposure(now, points)),
        rto=_rto(job, history),
        last_backup=history.last_backup,
        last_test=history.last_test,
        coverage=coverage,
        problems=tuple(problems),
    )


def _rto(job: Job, history: AssetHistory) -> Achieved:
    last = history.last_conclusive_test
    rto = (last or {}).get("rto") or {}
    same_basis = rto.get("basis") == job.engine.settings  # throwaway and durable are never mixed
    return measure.judge(job.objectives.rto, rto.get("achieved_s") if same_basis else None)


def _problems(job: Job, history: AssetHistory, services: Services, newest: Snapshot | None) -> list[str]:
    problems = []
    if newest is None and history.last_good_backup is None:
        problems.append("never backed up successfully yet")
    running = services.state.held(job.plan, job.asset, "backup")
    since = newest.usable_at if newest else datetime.min.replace(tzinfo=services.clock.now().tzinfo)
    if failed := history.failed_since(since, running=running, snapshot=newest.id if newest else None):
        problems.append(failed)
    if crashed := history.crashed_test(running=services.state.held(job.plan, job.asset, "test")):
        problems.append(crashed)
    problems += list((history.last_good_backup or {}).get("findings") or ())
    last = history.last_test
    if last is None:
        problems.append("never tested")
    elif last["verdict"] != "PASS":
        problems.append(f"its last restore test is {last['verdict']}: {last.get('reason')}")
    problems += list((last or {}).get("findings") or ())
    return problems


def _coverage(job: Job, history: AssetHistory, now: datetime) -> str:
    """Stale: since the last conclusive test, another one has come due twice."""
    last = history.last_conclusive_test
    if last is None:
        return UNTESTED
    planned = job.engine.restore_test
    if planned is None:
        return TESTED
    due = itertools.islice(CronSim(planned.schedule, utc(last["time"]).astimezone(job.loaded.plan.zone)), 2)
    return STALE if all(moment < now for moment in due) else TESTED


def _shown(record: Record | None) -> Mapping[str, object] | None:
    """A record's body with its time and place in the ledger."""
    if record is None:
        return None
    return {**{k: v for k, v in record.items() if k not in ENVELOPE}, "time": record["time"], "seq": record["seq"]}
