"""Can the objectives be met, by what was measured? From the ledger alone."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.kinds import CLEAN, DONE, STORED
from ccdr.evidence.records import BackupEnd, LogShipped, PruneEnd, Record, TestEnd
from ccdr.model.fetched import fetched
from ccdr.model.values import Probe, human_bytes, human_seconds, stamped, to_the_second
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.lint import widest_gap
from ccdr.storage.removals import CLOCK_TOLERANCE

RECORDS = 20_000  # how far back is read: a month of 200 assets, in a quarter of a second
BACKUPS, TESTS = 50, 10  # of an asset, that count
NEAR = 0.8  # of an objective
SKEW = 30.0  # seconds
Key = tuple[str | None, str | None]


@dataclass(frozen=True)
class Past:
    """The newest of each asset, newest first: seconds that good backups took, and RTOs (seconds, basis) measured."""

    backups: Mapping[Key, list[float]] = field(default_factory=dict)
    rtos: Mapping[Key, list[tuple[float, str]]] = field(default_factory=dict)
    fetched: Mapping[str | None, list[tuple[datetime, int]]] = field(
        default_factory=dict
    )  # by plan: what tests restored
    shipped: Mapping[Key, float] = field(default_factory=dict)  # seconds that the newest part of a log took to store


def read_past(records: Iterable[Record]) -> Past:
    """What the newest of these measured, which come oldest first."""
    return _measured(reversed(deque(records, maxlen=RECORDS)))


def _measured(records: Iterable[Record]) -> Past:
    """`records` come newest first."""
    backups: dict[Key, list[float]] = defaultdict(list)
    rtos: dict[Key, list[tuple[float, str]]] = defaultdict(list)
    fetched: dict[str | None, list[tuple[datetime, int]]] = defaultdict(list)
    shipped: dict[Key, float] = {}
    for record in records:
        key = (record.plan, record.asset)
        match record:
            case BackupEnd():
                if record.result == STORED and len(backups[key]) < BACKUPS:
                    backups[key].append(sum(record.phases.values()))
            case TestEnd():
                if record.bytes_restored is not None:
                    fetched[record.plan].append((record.time, record.bytes_restored))
                rto = record.rto if record.verdict == "PASS" and len(rtos[key]) < TESTS else None
                if rto is not None and rto.achieved_s is not None:
                    rtos[key].append((rto.achieved_s, rto.basis))
            case LogShipped():
                if key not in shipped and record.points:
                    point, usable = record.points[-1]
                    shipped[key] = usable - point
    return Past(backups, rtos, fetched, shipped)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of the values that at least `share` of them do not exceed; ValueError where there is none."""
    known = sorted(values)
    if not known:
        raise ValueError("no values")
    return known[max(0, math.ceil(share * len(known)) - 1)]


def rpo(job: Job, past: Past) -> Iterator[Probe]:
    """The worst exposure is just before a backup is usable: its schedule's widest gap, and the time it takes."""
    what, backup = "RPO by schedule", job.engine.backup
    objective = job.objectives.rpo
    if job.engine.shipping is not None:
        yield _rpo_by_log(job.engine.shipping.interval, objective, past.shipped.get((job.plan, job.asset)))
        return
    if backup is None:
        return  # lint has said so
    gap = widest_gap(backup.schedule, job.loaded.plan.timezone)
    took = past.backups.get((job.plan, job.asset))
    more = "back up more often, or set a realistic RPO"
    between = f"up to {human_seconds(gap)} between backups"
    if not took:
        if gap > objective:
            yield Probe.fail(what, f"{between}, more than the {human_seconds(objective)} wanted", more)
        else:
            yield Probe.warn(what, f"{between}; how long one takes is not measured", f"run `ccdr backup {job.plan}`")
        return
    slow = percentile(took, 0.95)
    sentence = f"{between} and {human_seconds(slow)} for one (95 % of the last {len(took)}) make "
    sentence += f"{human_seconds(gap + slow)} of the {human_seconds(objective)} wanted"
    if gap + slow > objective:
        yield Probe.fail(what, sentence, more)
    elif gap + slow > NEAR * objective:
        yield Probe.warn(what, f"{sentence}: one backup that fails or is slow breaches it", "back up more often")
    else:
        yield Probe.ok(what, sentence)


def _rpo_by_log(interval: float, objective: float, took: float | None) -> Probe:
    """`took` is how long the newest part of the log took to be stored."""
    what, more = "RPO by log", "store the log more often (`log_shipping: interval`), or set a realistic RPO"
    sentence = f"{human_seconds(interval)} between two parts of the log"
    if took is None:
        probe_as = Probe.fail if interval > objective else Probe.warn
        return probe_as(
            what, f"{sentence}; how long storing one takes is not measured", "run `ccdr ship PLAN`, or `ccdr run`"
        )
    sentence += f" and {human_seconds(took)} to store the last one make {human_seconds(interval + took)} of the "
    sentence += f"{human_seconds(objective)} wanted"
    if interval + took > objective:
        return Probe.fail(what, sentence, more)
    if interval + took > NEAR * objective:
        return Probe.warn(what, f"{sentence}: one that is slow breaches it", more)
    return Probe.ok(what, sentence)


def rto(job: Job, history: AssetHistory, past: Past) -> Iterator[Probe]:
    what, objective, basis = "RTO by tests", job.objectives.rto, job.engine.settings
    do = f"run `ccdr test {job.plan} --asset {job.asset}`"
    if job.engine.restore_test is None:
        return
    measured = [seconds for seconds, how in past.rtos.get((job.plan, job.asset), ()) if how == basis]
    if not measured:
        last = history.last_conclusive_test
        tested = f"the last test says {last.verdict}" if last else "it was never tested"
        yield Probe.warn(what, f"not measured with {basis} settings: {tested}", do)
        return
    newest, worst = measured[0], max(measured)
    sentence = f"{human_seconds(newest)} of the {human_seconds(objective)} wanted ({basis} settings)"
    sooner = "restore faster (more processors, memory, a nearer repository), or set a realistic RTO"
    if newest > objective:
        yield Probe.fail(what, sentence, sooner)
    elif worst > objective or newest > NEAR * objective:
        yield Probe.warn(what, f"{sentence}; the worst of the last {len(measured)} took {human_seconds(worst)}", sooner)
    else:
        yield Probe.ok(what, f"{sentence}; at worst {human_seconds(worst)} (tests: {len(measured)})")


def source_clock(history: AssetHistory) -> Iterator[Probe]:
    """By the last good backup: a consistent point is this host's time, `freshness` is judged by the source's."""
    skew = history.last_good_backup.clock_skew_s if history.last_good_backup is not None else None
    if skew is None:
        return
    what, do = "source's clock", "set both by NTP"
    sentence = f"{human_seconds(abs(skew))} {'ahead of' if skew > 0 else 'behind'} this host's at the last backup"
    if abs(skew) > CLOCK_TOLERANCE.total_seconds():
        yield Probe.fail(what, sentence, do)
    elif abs(skew) > SKEW:
        yield Probe.warn(what, sentence, do)
    else:
        yield Probe.ok(what, f"within {max(1, math.ceil(abs(skew)))} s of this host's at the last backup")


def fetching(loaded: LoadedPlan, past: Past, now: datetime) -> Iterator[Probe]:
    """Do restore tests stay within what may be fetched in a month?"""
    what, limit = "fetched by tests", loaded.plan.limits.fetch_per_month
    if limit is None:
        return
    traffic = fetched(past.fetched.get(loaded.plan.plan, ()), limit)
    sentence = f"{human_bytes(traffic.in_month(now))} of the {human_bytes(limit)} allowed this month"
    do = "test less often, or smaller snapshots; or raise `limits: {fetch_per_month: …}`"
    yield Probe.warn(what, sentence, do) if traffic.near(now) else Probe.ok(what, sentence)


def upkeep(loaded: LoadedPlan, history: Histories, now: datetime) -> Iterator[Probe]:
    """Is the repository looked after, and is anybody told?"""
    plan = loaded.plan
    done = history.get((plan.plan, None), AssetHistory())
    if plan.retention is None:
        problem = "ccdr never removes a snapshot: the repository keeps growing, and so does the personal data in it"
        yield Probe.warn("retention", problem, "add `retention: {keep_within: 35d}` to the plan")
    else:
        yield from _pruned(done.pruned)
    yield _checked(loaded, done, now)
    if plan.notify.urls_file is None and plan.notify.ping_file is None:
        problem = "nobody gets a message when something fails"
        yield Probe.warn("notification", problem, "add `notify: {urls_file: secrets/notify.urls}` to the plan")
        return
    gone = [path for path in (plan.notify.urls_file, plan.notify.ping_file) if path is not None and not path.is_file()]
    for path in gone:
        problem = f"{path} is not there: nobody gets a message when something fails"
        yield Probe.fail(
            "notification", problem, f"write the addresses into it, mode 0600; then `ccdr notify test {plan.plan}`"
        )
    if not gone:
        yield Probe.ok("notification", "by " + " and ".join(_told(plan.notify.urls_file, plan.notify.ping_file)))


def _told(urls: Any, ping: Any) -> Iterator[str]:
    if urls is not None:
        yield "the addresses in urls_file"
    if ping is not None:
        yield "a dead-man ping"


def _pruned(record: PruneEnd | None) -> Iterator[Probe]:
    what = "retention"
    if record is None:
        yield Probe.ok(what, "is stated; no prune was due yet")
    elif record.result != DONE:
        problem = f"the last prune, of {stamped(record.time)}, failed: {record.reason}"
        yield Probe.warn(what, problem, "see `ccdr ledger show`, then run it again")
    else:
        yield Probe.ok(what, f"last carried out {to_the_second(record.time)}")


def _checked(loaded: LoadedPlan, done: AssetHistory, now: datetime) -> Probe:
    what, plan, record = "repository check", loaded.plan, done.checked
    cycle = timedelta(seconds=widest_gap(plan.upkeep.check, plan.timezone) * plan.upkeep.parts)
    if record is None:
        sentence = "its stored data was never read and verified"
        return Probe.warn(
            what, sentence, f"`ccdr run` does it when it is due; to do it now: `ccdr upkeep {plan.plan} --check`"
        )
    when = to_the_second(record.time)
    if damaged := done.damaged_parts:
        sentence = f"part {', '.join(damaged)} of {done.parts} was found damaged, and was not found clean since"
        do = (
            f"`ccdr test {plan.plan}` shows which snapshots are damaged; restore them from another copy, then back "
            f"up again"
        )
        return Probe.fail(what, sentence, do)
    if (before := done.damaged_before) is not None:
        sentence = (
            f"part {before.parts} of {before.of} was found damaged at {stamped(before.since)}, and not all of its data "
            "was found clean since"
        )
        return Probe.fail(what, sentence, f"`ccdr upkeep {plan.plan} --check --all-data` tells whether it still is")
    if record.result != CLEAN:
        sentence = f"the check of {when} proved nothing: {record.reason}"
        return Probe.warn(
            what, sentence, f"make sure that this host can reach the repository, then `ccdr upkeep {plan.plan} --check`"
        )
    gap = timedelta(seconds=2 * widest_gap(plan.upkeep.check, plan.timezone))
    if now - record.time > gap + timedelta(hours=1):
        return Probe.warn(what, f"overdue: the last was {when}", "check that cron or a timer calls `ccdr run`")
    full = record.full_since
    covered = f"{record.covered} of {record.parts} parts in this cycle"
    if full is None:
        sentence = f"clean at {when}; {covered}; not all of it was read yet"
        return Probe.ok(what, f"{sentence} (takes {human_seconds(cycle.total_seconds())})")
    return Probe.ok(what, f"clean at {when}; {covered}; all of it was read since {to_the_second(full)}")
