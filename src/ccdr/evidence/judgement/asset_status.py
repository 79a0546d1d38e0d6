"""Where one asset stands: which snapshots count, how well tested it is, and whether its objectives are met."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccdr.evidence.acknowledged import acknowledged, unacknowledged
from ccdr.evidence.history.asset_history import NEVER, AssetHistory, Elsewhere
from ccdr.evidence.history.folded import RuleVerdict
from ccdr.evidence.judgement.troubles import MOST_NAMED
from ccdr.evidence.log_standing import LogStanding
from ccdr.evidence.records import BackupEnd, TestEnd
from ccdr.evidence.records.values import BESIDE
from ccdr.evidence.records.writing import unsealed
from ccdr.evidence.verdicts import other_source, point_of
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.groups import Together
from ccdr.model.measure import Point
from ccdr.model.next_steps import Missing, after_vanishing
from ccdr.model.schedule import second_due
from ccdr.model.trouble import (
    FAILED_TESTS,
    Level,
    Problem,
    Trouble,
)
from ccdr.model.values import (
    Achieved,
    ObjectiveVerdict,
    Snapshot,
    Verb,
    Verdict,
    human_seconds,
    rfc3339,
    so_many,
    stamped,
    to_the_second,
)
from ccdr.plans.job import Job
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import CLOCK_TOLERANCE, dated_in_future

# How well tested an asset is: by its newest conclusive restore test, and by when the next one has come due.

TESTED, UNTESTED, STALE = "tested", "untested", "stale"


def measured_rto(job: Job, history: AssetHistory) -> Achieved:
    last = conclusive(job, history)
    rto = last.rto if last else None
    same_basis = rto is not None and rto.basis == job.engine.settings  # throwaway and durable are never mixed
    return measure.judge(job.objectives.rto, rto.achieved_s if rto is not None and same_basis else None)


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
    """Of one that is stale: another has come due twice since the last one with a verdict; `let_be` as `coverage` has
    it."""
    last, planned = conclusive(job, history), job.engine.restore_test
    assert last is not None and planned is not None
    of = last.time
    due = second_due(planned.schedule, job.loaded.plan.timezone, max(of, let_be), now)
    text = f"its restore test is overdue: the last conclusive one was at {to_the_second(of)}"
    yield Problem(Trouble.TEST_LATE, text, due, verb=Verb.TEST)


def conclusive(job: Job, history: AssetHistory) -> TestEnd | None:
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
    if last.time > now + CLOCK_TOLERANCE:  # by a clock that was wrong: when it was, nobody knows
        return STALE
    since = max(last.time, let_be)
    return STALE if second_due(planned.schedule, job.loaded.plan.timezone, since, now) else TESTED


Disproved = Callable[[Snapshot], bool]


def _no_log(_: Sequence[Snapshot], __: Disproved) -> Sequence[Point]:
    return ()


@dataclass(frozen=True)
class Seen:
    """What is known of an asset at one moment beside its history: its snapshots, oldest first; how far the log leads
    on from some of them whose log is not disproved (`logged`), and how this host's shipping of it stands; whether a
    backup of it, or a shipper, is at work. Of a moment that is past, what is not in the
    ledger is not known: as by default."""

    snapshots: Sequence[Snapshot]
    logged: Callable[[Sequence[Snapshot], Disproved], Sequence[Point]] = _no_log
    standing: LogStanding | None = None
    ships: bool = False  # is what this host knows of its shipping of the log to be judged?
    backing_up: bool = False
    shipping: bool = False
    changed: tuple[Problem, ...] = ()  # what the catalogue says of them, and the ledger does not
    lost: bool = False  # was the ledger lost that may have told of its backups, and has nobody answered for that?
    by_records: bool = False  # does the catalogue know of none of them?


@dataclass(frozen=True)
class AssetStatus:
    """One asset's line. `rto` is from its newest conclusive test."""

    plan: str
    asset: str
    rpo: Achieved
    rto: Achieved
    last_backup: BackupEnd | None  # the last that was tried, here
    good: Snapshot | None  # the newest that counts, whichever host took it
    failed: bool  # a backup was tried since, and stored nothing
    last_test: TestEnd | None
    coverage: str
    wrong: tuple[Problem, ...]
    # By how its snapshot was selected: the last conclusive test's time and verdict; None where the plan names a rule
    # that has had none.
    by_rule: Mapping[str, RuleVerdict | None] = field(default_factory=dict)
    counting: tuple[Snapshot, ...] = ()  # those that count as backups, oldest first
    usable: tuple[Snapshot, ...] = ()  # those that would where the repository is whole
    group: Together | None = None  # the newest of its group's captures that it has a snapshot of
    breaches: tuple[Problem, ...] = ()  # objectives that are not met
    near: tuple[Problem, ...] = ()  # that its copies lie where it does, as the plan wants it: told, and nothing wrong
    near_known: bool = True  # does anybody here know whether they do? Only who backs it up can look
    backs_up: bool = True  # is that this host's to do?
    conclusive: TestEnd | None = None  # its newest conclusive test of what the plan names now
    shown: bool = False  # has one of those that count come back in a test?
    left_out: tuple[str, ...] = ()  # of its newest good backup, as its plan says: nothing of that comes back
    private: tuple[str, ...] = ()  # where programs' own words on its last runs are kept, for a person's eyes

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, as sentences."""
        return tuple(p.text for p in self.wrong)

    @property
    def troubles(self) -> tuple[Problem, ...]:
        """All that is wrong, objectives that are not met among it."""
        return (*self.wrong, *self.breaches)

    @property
    def level(self) -> Level:
        return max((p.level for p in (*self.troubles, *self.near)), default=Level.FINE)

    @property
    def away(self) -> bool:
        """Was its repository not to be had when it was last asked?"""
        return any(p.trouble is Trouble.REPOSITORY_AWAY for p in self.wrong)

    @property
    def unreachable(self) -> bool:
        """Was it not there, or did it not answer? Then nobody knows where it lies now."""
        return any(p.trouble is Trouble.REPOSITORY_AWAY and p.about in ("missing", "unavailable") for p in self.wrong)

    @property
    def proven(self) -> bool:
        """A restore test has passed and is not stale, nothing is wrong, and no objective is breached. Where another
        host backs up, exposure is for that one to know."""
        return self.came_back and not self.wrong

    @property
    def came_back(self) -> bool:
        """The same, whatever else is wrong, where no newer test of it failed."""
        met = self.rto.verdict is ObjectiveVerdict.MET and self.rpo.verdict is not ObjectiveVerdict.BREACHED
        return self.coverage == TESTED and met and not any(p.trouble in FAILED_TESTS for p in self.wrong)

    @property
    def not_known_here(self) -> bool:
        """Does another host test it, and does nobody here know all that is to be known of that?"""
        return any(p.trouble is Trouble.NOT_KNOWN_HERE for p in self.wrong)

    def _good(self) -> dict[str, object] | None:
        if self.good is None:
            return None
        point, in_use = rfc3339(self.good.consistent_point), self.good.in_use
        snapshot = {"id": self.good.id, "consistent_point": point, "in_use": in_use}
        return {"time": rfc3339(self.good.usable_at), "snapshot": snapshot}

    @property
    def finding(self) -> bool:
        """Is something wrong that nobody has acknowledged?"""
        return bool(unacknowledged(self.troubles))

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "rpo": self.rpo.as_json(),
            "rto": self.rto.as_json(),
            "last_backup": _shown(self.last_backup),
            "last_good_backup": self._good(),
            "last_test": _shown(self.last_test),
            "coverage": self.coverage,
            "tested_by_rule": {
                rule: last and {"time": stamped(last.time), "verdict": last.verdict}
                for rule, last in self.by_rule.items()
            },
            "group": self.group and self.group.as_json(),
            "problems": list(self.problems),
            "troubles": [p.as_json() for p in self.troubles],
            "near": [p.as_json() for p in self.near],
            "near_known": self.near_known,
            "private": list(self.private),
        }


def _shown(record: BackupEnd | TestEnd | None) -> Mapping[str, object] | None:
    """A record's body with its time and number, and its ledger where that is not ours."""
    if record is None:
        return None
    body = {key: value for key, value in unsealed(record).items() if key not in ("kind", *BESIDE)}
    whose = {} if record.of_ledger is None else {"ledger": record.of_ledger}
    return {**body, **whose, "time": stamped(record.time), "seq": record.seq}


# Which snapshots count, why another one does not, and what it means that some vanished.


@dataclass(frozen=True)
class Counted:
    """An asset's snapshots, oldest first: those that `vanished`, and of the others (`known`) those of what the plan
    names (`ours`), of these those that are `usable` where the repository is whole, of these those that count."""

    gone: frozenset[str]  # ids of all that vanished: the catalogue need not know each
    vanished: Sequence[Snapshot]
    known: Sequence[Snapshot]
    ours: Sequence[Snapshot]
    usable: Sequence[Snapshot]
    counting: Sequence[Snapshot]

    @property
    def newest(self) -> Snapshot | None:
        """The newest that is usable."""
        return self.usable[-1] if self.usable else None


def count(job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, now: datetime) -> Counted:
    gone = frozenset(history.vanished)
    known = [s for s in seen.snapshots if s.id not in gone]
    source = job.engine.source_name  # put together once: a name may be of many paths
    ours = [s for s in known if of_source(s, source)]
    usable = chain.usable([s for s in ours if not dated_in_future(s, now)], known, history.disproved)
    vanished = [s for s in seen.snapshots if s.id in gone]
    return Counted(gone, vanished, known, ours, usable, history.counting(usable, upkeep))


def newer_not_counting(counted: Counted, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """One that a newer good one has made up for is history, not a finding for ever."""
    newest = counted.newest
    bad = [s for s in counted.ours if newest is None or s.consistent_point > newest.consistent_point]
    if bad:
        snapshots = so_many(len(bad), "newer snapshot does", "newer snapshots do")
        named = [f"{s.short}, {why_not(s, counted.known, history, now)}" for s in reversed(bad[-MOST_NAMED:])]
        rest = [f"and {len(bad) - MOST_NAMED} more"] if len(bad) > MOST_NAMED else []
        which = " ".join(sorted(s.short for s in bad))
        text = f"{snapshots} not count: {'; '.join([*named, *rest])}"
        lacks = Trouble.TEST_FAILED if all(map(history.disproved, bad)) else None
        lacks = Trouble.SNAPSHOT_SUSPECT if all(history.is_suspect(s.id) for s in bad) else lacks
        lacks = Trouble.SNAPSHOT_VANISHED if all(counted.gone & {n.id for n in s.upon} for s in bad) else lacks
        yield Problem(Trouble.FINDING, text, about="newer", cause=which, because=lacks)
    if counted.known[-1:] != counted.ours[-1:]:
        text = "its newest snapshot is from another source than the plan names now"
        yield Problem(Trouble.FINDING, text, about="source")


def why_not(snapshot: Snapshot, known: Sequence[Snapshot], history: AssetHistory, now: datetime) -> str:
    """Why one that is there cannot be counted on."""
    if dated_in_future(snapshot, now):
        date = max(snapshot.consistent_point, snapshot.usable_at)
        return f"which has a date in the future, {to_the_second(date)}"
    if lack := chain.lacks(snapshot, known):
        return f"without what it needs: {lack}"
    if history.is_suspect(snapshot.id, *(needed.id for needed in snapshot.upon)):
        return "which is suspect until somebody has looked (SNAPSHOT_SUSPECT)"
    own = history.proven.get(snapshot.id) == Verdict.FAIL
    return f"which {'failed its last restore test' if own else 'depends on one that failed its restore test'}"


def why_not_counting(
    status: AssetStatus, job: Job, history: AssetHistory, known: Sequence[Snapshot], now: datetime
) -> dict[str, str | None]:
    """Of each snapshot that is `known`, by id: why it does not count for the RPO; None where it does."""

    def why(s: Snapshot) -> str | None:
        if s in status.counting:
            return None
        if not of_source(s, job.engine.source_name):
            return "is from another source than the plan names now"
        if s in status.usable:
            return "the repository was found damaged, and nothing as new has passed a test since"
        return why_not(s, known, history, now).removeprefix("which ")

    return {s.id: why(s) for s in known}


def points_by_records(
    job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, usable: Sequence[Snapshot]
) -> Iterator[Point]:
    """Backups that the ledger of whoever takes them tells of, and that the catalogue has not learned of yet."""
    until = history.counts_until(((s.id, s.consistent_point) for s in usable), upkeep)
    points = history.points_beside(job.engine.source_name, [s.id for s in seen.snapshots])
    return (Point(consistent, at) for consistent, at in points if consistent <= until)


def made_up_for(gone: Sequence[Snapshot], newest: Snapshot | None, history: AssetHistory) -> Missing:
    """Of what vanished: is there a newer one, and has one passed a test? Where it is the last that was stored, none."""
    last = history.last_good_backup.snapshot if history.last_good_backup else None
    latest = max((s.consistent_point for s in gone), default=None)
    lost = last is not None and last.id in history.vanished
    if lost or (latest and (newest is None or newest.consistent_point <= latest)):
        return Missing.NOTHING
    shown = point_of(history.last_latest_pass) if history.last_latest_pass else None
    return Missing.SHOWN if latest is None or (shown and shown > latest) else Missing.STORED


def apart_from_vanished(problems: Iterable[Problem], gone: Collection[str]) -> Iterator[Problem]:
    """Without what a run found of snapshots that vanished alone: SNAPSHOT_VANISHED tells it. What it found of others
    and of these follows from that."""
    lost = {one[:8] for one in gone}
    for p in problems:
        named = {one[:8] for one in p.cause.split()} if p.trouble is Trouble.FINDING and lost else set()
        if not named & lost:
            yield p
        elif named - lost:
            yield replace(p, because=Trouble.SNAPSHOT_VANISHED)


def answered_for(gone: Collection[Snapshot], history: AssetHistory, now: datetime) -> bool:
    """Has somebody taken note that these are gone, just these?"""
    cause = " ".join(sorted(s.short for s in gone))
    (problem,) = acknowledged([Problem(Trouble.SNAPSHOT_VANISHED, "", cause=cause)], history.acks, now)
    return problem.acknowledged is not None


def vanished_problem(
    job: Job, snapshots: Sequence[Snapshot], besides: Collection[str], made_up: Missing
) -> Iterator[Problem]:
    """What was removed from the repository, and not by retention: it counts no more. `besides` are those that the
    ledger alone knows of."""
    every = [f"{s.short} of {rfc3339(s.consistent_point)}" for s in reversed(snapshots)]
    every += [f"{one[:8]}, which the catalogue lacks, too" for one in sorted(besides)]
    if not every:
        return
    named = ", ".join(every[:MOST_NAMED])
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    is_gone = "snapshot is" if len(every) == 1 else "snapshots are"
    text = (
        f"{len(every)} {is_gone} gone from its repository, and retention did not remove "
        f"{'it' if len(every) == 1 else 'them'}: {named}{more}"
    )
    shorts = sorted([*(s.short for s in snapshots), *(one[:8] for one in besides)])
    step = after_vanishing(job.plan, job.asset, made_up, retained=job.loaded.plan.retention is not None)
    # What a newer one has shown to come back is no less within what was promised for it.
    level = Level.NOTE if made_up is Missing.SHOWN else None
    yield Problem(Trouble.SNAPSHOT_VANISHED, text, cause=" ".join(shorts), step=step, as_bad_as=level)


# Whether an asset's objectives are met, by what counts of its backups and by its restore tests.


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
        *(Point(s.whole_until, s.to_hand) for s in counted.counting),
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
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and last is not None and last.verdict == "PASS":
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
    last, known = history.last_test, list(points)
    rpo = last.rpo if last else None
    tested = last.time if last is not None and rpo is not None else None
    if backer is not None and job.engine.shipping is None and (tested is None or tested <= backer.until):
        until = min(now, backer.until)
        seen = 0.0 if any(p.usable > until for p in known) else measure.exposure(until, known)
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)
    if rpo is None or tested is None:  # never looked, or it did not come to that: whether it is met or not is not known
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), 0.0)
    seen = math.inf if rpo.achieved_s is None else rpo.achieved_s
    if math.isfinite(seen):
        known.append(measure.Point(tested - timedelta(seconds=seen), tested))
    if any(p.usable > tested for p in known):  # something else has looked since
        seen = 0.0
    return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)
