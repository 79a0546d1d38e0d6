"""Of each asset the state that lies nearest to a moment and not after it: chosen from what repository, copy, catalogue,
ledger and stored log tell.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.log_standing import LogStanding, read_standing
from ccdr.evidence.records import Record, RestoreEnd, TestEnd
from ccdr.evidence.verdicts import reached_for
from ccdr.jobs.fetch import Candidates, NewestFirst, candidates, none_counts, not_looked_at, unread_since
from ccdr.jobs.recover.asking import Asked, ask, ask_further
from ccdr.jobs.recover.prediction import Told, told_of
from ccdr.jobs.recover.request import Answer, Question, RecoverRequest
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.choice import Base, choose
from ccdr.jobs.shipping.choice import Choice as LogChoice
from ccdr.jobs.shipping.log_archive import LogArchive, log_of
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, TwoBranches, UsageProblem
from ccdr.model.forks import Fork
from ccdr.model.values import Snapshot, human_seconds, rfc3339, to_the_second
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.log import RecoveryTarget, ShippedLog
from ccdr.ports.place import Progress
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future
from ccdr.storage.synchronised import Synchronised

# Of each asset the state that lies nearest to a moment and not after it. Pure.

OF_ANOTHER_SOURCE = "it is of another source than the plan names now"


@dataclass(frozen=True)
class Candidate:
    """A state that an asset can be brought to: a snapshot, or what the log (`target`) makes of it as its base; `point`
    is the instant that it is true for. `log_bytes` and `log_snapshots` are what is fetched of the log."""

    snapshot: Snapshot
    point: datetime
    target: RecoveryTarget | None = None
    log_bytes: int = 0
    log_snapshots: int = 0


@dataclass(frozen=True)
class AssetStates:
    """What there is of one asset: all snapshots that are `there`, oldest first, and by id why one of them is not to be
    taken (`bad`); the nearest that its log gives. `beyond_log` is why the log does not lead nearer, `gone` are states
    that can be had no more, each with its point, in a sentence. Where it belongs to a `group`, it may lose so many
    seconds more (`slack`) for the sake of a run of that which is whole."""

    asset: str
    there: tuple[Snapshot, ...]
    bad: Mapping[str, str] = field(default_factory=dict)
    by_log: Candidate | None = None
    beyond_log: tuple[str, ...] = ()
    gone: tuple[tuple[datetime, str], ...] = ()
    group: str | None = None
    slack: float = 0.0

    @property
    def usable(self) -> list[Snapshot]:
        return [s for s in self.there if s.id not in self.bad]


@dataclass(frozen=True)
class Choice:
    """What was chosen of an asset, and what was passed over for it."""

    state: Candidate
    passed_over: tuple[str, ...] = ()


def chosen(
    all_states: Sequence[AssetStates], moment: datetime | None, *, nearest: bool = False
) -> dict[str, Choice | None]:
    """By asset; None where there is no state by that moment (with `nearest`: none at all). `moment` None: the newest of
    each. What of a group is taken by snapshot is taken of one run of it, where that costs no more than is allowed."""
    alone = {states.asset: _alone(states, moment, nearest=nearest) for states in all_states}
    together, why = _kept_together(all_states, alone, moment, nearest=nearest)
    result: dict[str, Choice | None] = {}
    for states in all_states:
        state = together.get(states.asset) or alone[states.asset]
        result[states.asset] = None if state is None else Choice(state, tuple(_passed_over(states, state, moment, why)))
    return result


def _alone(states: AssetStates, moment: datetime | None, *, nearest: bool) -> Candidate | None:
    by_snapshot = [Candidate(s, s.consistent_point) for s in states.usable]
    known = [*by_snapshot, *([states.by_log] if states.by_log else [])]
    # Of two that are true for the same instant the log's, which may hold more.
    before = max(
        (c for c in known if moment is None or c.point <= moment), key=lambda c: (c.point, bool(c.target)), default=None
    )
    if moment is None or not nearest:
        return before
    after = min((c for c in known if c.point > moment), key=lambda c: c.point, default=None)
    if before is None or after is None:
        return before or after
    return after if after.point - moment < moment - before.point else before


def _kept_together(
    all_states: Sequence[AssetStates],
    alone: Mapping[str, Candidate | None],
    moment: datetime | None,
    *,
    nearest: bool,
) -> tuple[dict[str, Candidate], dict[str, str]]:
    """What of a group is better taken of one run; and by asset why its newer snapshot was not."""
    found: dict[str, Candidate] = {}
    why: dict[str, str] = {}
    groups = {states.group for states in all_states if states.group}
    for group in sorted(groups):
        members = [s for s in all_states if s.group == group and (c := alone[s.asset]) is not None and c.target is None]
        if len(members) < 2 or _one_run([alone[s.asset] for s in members]):
            continue
        whole = _whole_run(members, alone, moment, nearest=nearest)
        found |= whole
        others = {s.asset: ", ".join(o.asset for o in members if o is not s) for s in members}
        why |= {asset: f"{others[asset]} of group {group} has none of its run that can be taken" for asset in whole}
    return found, why


def _one_run(of: Sequence[Candidate | None]) -> bool:
    runs = {c.snapshot.group.run if c and c.snapshot.group else None for c in of}
    return len(runs) == 1 and None not in runs


def _whole_run(
    members: Sequence[AssetStates], alone: Mapping[str, Candidate | None], moment: datetime | None, *, nearest: bool
) -> dict[str, Candidate]:
    """The run of the group that lies nearest, and has a usable snapshot of each member that lies no further from the
    moment than it may for that; empty where there is none."""

    def distance(point: datetime) -> float:
        return -point.timestamp() if moment is None else abs((moment - point).total_seconds())

    by_run: dict[str, dict[str, Candidate]] = {}
    for states in members:
        mine = alone[states.asset]
        assert mine is not None
        for s in states.usable:
            in_time = moment is None or nearest or s.consistent_point <= moment
            if s.group and in_time and distance(s.consistent_point) - distance(mine.point) <= states.slack:
                by_run.setdefault(s.group.run, {})[states.asset] = Candidate(s, s.consistent_point)
    whole = [run for run in by_run.values() if len(run) == len(members)]
    return min(whole, key=lambda run: max(distance(c.point) for c in run.values()), default={})


def _passed_over(
    states: AssetStates, state: Candidate, moment: datetime | None, why: Mapping[str, str]
) -> Iterator[str]:
    """Newer states, not after the moment, that were not taken."""

    def newer(point: datetime) -> bool:
        return point > state.point and (moment is None or point <= moment)

    for s in reversed(states.there):
        if newer(s.consistent_point):
            reason = states.bad.get(s.id) or why.get(states.asset)
            if reason:
                yield f"snapshot {s.short} of {rfc3339(s.consistent_point)}: {reason}"
    yield from (text for point, text in states.gone if newer(point))
    yield from states.beyond_log


def furthest_apart(points: Mapping[str, datetime]) -> tuple[float, tuple[str, str]] | None:
    """Seconds between the oldest and the newest of these, and whose they are; None where there are not two."""
    if len(points) < 2:
        return None
    first, last = min(points, key=points.__getitem__), max(points, key=points.__getitem__)
    if first == last:  # all of one instant
        last = next(name for name in points if name != first)
    return (points[last] - points[first]).total_seconds(), (first, last)


def none_by(states: AssetStates, moment: datetime) -> str:
    """That there is no state of it by the moment, and which are the first and the last that there are."""
    usable = states.usable
    if not usable:
        return f"{states.asset}: there is no state of it that can be taken" + (
            f" ({states.there[-1].short} of {rfc3339(states.there[-1].consistent_point)}: "
            f"{states.bad[states.there[-1].id]})"
            if states.there
            else ""
        )
    first, last = usable[0].consistent_point, usable[-1].consistent_point
    ahead = (first - moment).total_seconds()
    after = f", {human_seconds(ahead)} after that" if math.isfinite(ahead) and ahead >= 0 else ""
    tail = "" if len(usable) == 1 else f", the last of {rfc3339(last)}"
    text = f"{states.asset}: no state of it is as old as that; the first is of {rfc3339(first)}{after}{tail}"
    before = [s for s in states.there if states.bad.get(s.id) == OF_ANOTHER_SOURCE and s.consistent_point <= moment]
    if not before:
        return text
    old = before[-1]
    return (
        f"{text}. Before the plan named its place of now: {old.short} of {rfc3339(old.consistent_point)}, which "
        f"`ccdr restore {old.plan} --asset {old.asset} --snapshot {old.short}` brings back by itself"
    )


# The state nearest to a moment that an asset's stored log gives: from what the repository lists, before anything of
# it is fetched.

WALKED_BACK = 50  # stored points that are tried where the log does not lead to the moment


@dataclass(frozen=True)
class StateByLog:
    """The state, if there is one; else why there is none, or none that is nearer: sentences. Or a question."""

    state: Candidate | None = None
    why: tuple[str, ...] = ()
    question: Question | None = None


@dataclass(frozen=True)
class LogToGoBy:
    """An asset's stored log, and the bases that it can be applied to, oldest first. `standing` is as this host wrote it
    down, where it ships it."""

    asset: str
    log: ShippedLog
    archive: LogArchive
    bases: Sequence[Base]
    standing: LogStanding | None = None

    @classmethod
    def of(cls, job: Job, services: Services, usable: Sequence[Snapshot], archive: LogArchive) -> LogToGoBy:
        """`archive` is what its repository told."""
        _, log = log_of(job)
        bases: list[Base] = []
        for s in usable:
            with contextlib.suppress(BackupBad):  # an entry of the catalogue that cannot be read
                if log.goes_on_from(manifest := services.catalogue.manifest(s)):
                    bases.append((s, manifest))
        return cls(job.asset, log, archive, bases, read_standing(services.state, job.plan, job.asset))

    def nearest(self, moment: datetime | None, timeline: int | None = None) -> StateByLog:
        """Not after the moment (None: the log's end). UsageProblem where no such timeline was asked for."""
        bases = [(s, m) for s, m in self.bases if moment is None or s.consistent_point <= moment]
        if not bases:
            return StateByLog()  # before the first of them the log leads nowhere
        newest = self.archive.newest
        behind = newest is None or moment is None or moment > max(newest.point, newest.taken)
        target = RecoveryTarget(time=None if behind else moment, branch=timeline)
        try:
            choice = self._choose(target, bases)
        except TwoBranches as error:
            return StateByLog(question=self._question(error.branches, moment))
        except BackupBad as error:
            return self._before_the_fault(str(error), moment, bases, timeline)
        except TestBroken as error:
            return StateByLog(why=(f"its log: {error}",))
        except UsageProblem as error:
            if timeline is None:
                return StateByLog(why=(f"its log: {error}",))
            raise UsageProblem(
                f"{self.asset}: {error}", hint=f"leave `--timeline {self.asset}={timeline}` out"
            ) from None
        left = choice.target.left
        if left is not None and timeline is None and not self._ends_there(choice, left):
            return StateByLog(question=self._question((left.parent, left.branch), moment))
        if not choice.target.beyond:
            return self._state(choice, moment)
        # How far it goes behind that, only a recovery finds out: what is sure is taken.
        surely = replace(target, time=choice.batches[-1].point, branch=choice.target.branch)
        try:
            return self._state(self._choose(surely, bases), moment)
        except (BackupBad, TestBroken, UsageProblem):
            return StateByLog(why=(f"its log: it surely reaches to {rfc3339(choice.batches[-1].point)} alone",))

    def _ends_there(self, choice: LogChoice, left: Fork) -> bool:
        """Is the former branch stored just to where the other goes on, as after an orderly switch? Then nobody need say
        which is meant: what is stored of it is in both."""
        stored, before = choice.batches[-1].position, self.log.reached_before
        return bool(stored) and before(stored, left.position) and before(left.position, stored)

    def _choose(self, target: RecoveryTarget, bases: Sequence[Base]) -> LogChoice:
        standing = self.standing
        anew, point = (standing.anew, standing.point) if standing else (None, None)
        return choose([s for s, _ in bases], [m for _, m in bases], self.archive, self.log, target, anew, point)

    def _state(self, choice: LogChoice, moment: datetime | None) -> StateByLog:
        target, ends = choice.target, choice.batches[-1].point
        point = min(target.time or ends, moment or ends)
        if point < choice.base.consistent_point:  # what is surely of it is all in the base
            return StateByLog()
        asked = RecoveryTarget(time=target.time, branch=target.branch)
        size = sum(batch.bytes for batch in choice.batches)
        return StateByLog(Candidate(choice.base, point, asked, size, len(choice.batches)))

    def _before_the_fault(
        self, fault: str, moment: datetime | None, bases: Sequence[Base], timeline: int | None
    ) -> StateByLog:
        """Where log is missing, or bad, on the way: as near as the stored points before that lead."""
        why = (f"its log: {fault}",)
        for point in self._points(moment):
            try:
                found = self._choose(RecoveryTarget(time=point, branch=timeline), bases)
            except (BackupBad, TestBroken, UsageProblem):
                continue
            if not found.target.beyond and found.target.left is None:
                return replace(self._state(found, moment), why=why)
        return StateByLog(why=why)

    def _points(self, moment: datetime | None) -> Iterator[datetime]:
        stored = {batch.point for batch in (*self.archive.batches, *self.archive.spare)}
        yield from sorted((p for p in stored if moment is None or p <= moment), reverse=True)[:WALKED_BACK]

    def _question(self, branches: tuple[int, int], moment: datetime | None) -> Question:
        """Which of two timelines is meant, each with what it holds as far as is known."""
        assert moment is not None
        one, other = branches
        text = f"its source failed over, and {rfc3339(moment)} may mean timeline {one} or timeline {other} of its log"
        return Question(self.asset, text, tuple(self._answer(branch) for branch in (one, other)))

    def _answer(self, branch: int) -> Answer:
        points = [b.point for b in self.archive.batches if self.log.branch(b.ends) == branch]
        fork = next((f for f in self.archive.forks(None) if f.branch == branch), None)
        newest = self.archive.newest
        if newest is not None:
            fork = next((f for f in self.archive.forks(newest.anew) if f.branch == branch), fork)
        until = f", stored up to {rfc3339(max(points))}" if points else ""
        begun = f", begun {f'on {rfc3339(fork.at)} ' if fork.at else ''}at {fork.position}" if fork else ""
        return Answer(f"--timeline {self.asset}={branch}", f"takes timeline {branch}{begun}{until}")


SUSPECT = "it is suspect, and nobody has answered for that"
WHOLE_SERVER = "physical"  # the method whose snapshots are of a whole server, and nothing to load into one


@dataclass
class Gathered:
    """By asset, and of the plan's upkeep; `notes` tell what is not known, `questions` what cannot be decided, `empty`
    by asset why there is nothing at all; `asked` is what the repositories told."""

    states: dict[str, AssetStates] = field(default_factory=dict)
    there: dict[str, Candidates] = field(default_factory=dict)
    histories: dict[str, AssetHistory] = field(default_factory=dict)
    upkeep: AssetHistory = field(default_factory=AssetHistory)
    told: dict[str, Told] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    empty: dict[str, str] = field(default_factory=dict)
    asked: Asked | None = None


def gathered(
    loaded: LoadedPlan,
    jobs: Sequence[Job],
    places: Mapping[str, Target],
    request: RecoverRequest,
    services: Services,
    progress: Progress,
) -> Gathered:
    """Asks the repositories. Raises as these; UsageProblem where a timeline was named that is not there."""
    found, assets = Gathered(), [job.asset for job in jobs]
    known = _histories(services, found)
    found.histories = {asset: known.get((loaded.plan.plan, asset), AssetHistory()) for asset in assets}
    found.upkeep = known.get((loaded.plan.plan, None), AssetHistory())
    found.told = _told(services, loaded.plan.plan, assets, found)
    progress.step("asking the repository")
    onto_servers = {asset for asset, place in places.items() if place.server is not None}
    by_log = {job.asset for job in jobs if job.engine.shipping is not None} - onto_servers
    reading = NewestFirst(request.at)
    if request.nearest and request.at is not None:
        reading.all_of(assets)
    asked = ask(loaded, jobs, by_log, services, found.histories, reading, progress)
    _take(asked, jobs, by_log, onto_servers, found, request, services)
    while short := [a for a in assets if not _enough(found, a, request, reading, asked, by_log=a in by_log)]:
        reading.further(short)
        asked = ask_further(asked, loaded, jobs, services, found.histories, reading, progress)
        _take(asked, jobs, by_log, onto_servers, found, request, services)
    found.asked = asked
    found.notes += not_looked_at(loaded.plan.plan, asked.synchronised)
    return found


def _take(
    asked: Asked,
    jobs: Sequence[Job],
    by_log: Collection[str],
    onto_servers: Collection[str],
    found: Gathered,
    request: RecoverRequest,
    services: Services,
) -> None:
    """What there is of each asset, as far as it was read."""
    found.questions, found.empty = [], {}
    synchronised = asked.synchronised
    synchronised.understood([job.asset for job in jobs])
    for job in jobs:
        found.there[job.asset] = candidates(job, services, synchronised)
        states = _states(job, found, services, synchronised, onto_server=job.asset in onto_servers)
        if not states.there:
            found.empty[job.asset] = none_counts(job, synchronised)[0]
        elif job.asset in by_log:
            states = _with_log(job, states, found, request, services, asked)
        found.states[job.asset] = states


def _enough(
    found: Gathered, asset: str, request: RecoverRequest, reading: NewestFirst, asked: Asked, *, by_log: bool
) -> bool:
    """Would no snapshot that was not looked at change what is chosen, or what is told to have been passed over?"""
    if not reading.open(asset, asked.synchronised):
        return True
    if any(question.asset == asset for question in found.questions):
        return False
    choice, states = chosen([found.states[asset]], request.at)[asset], found.states[asset]
    if choice is None:
        return False
    point = choice.state.point - timedelta(seconds=states.slack if states.group else 0.0)
    if by_log:  # by the newest base that leads to the moment; where none does, an older one may
        if states.by_log is None or states.beyond_log:
            return False
        point = min(point, states.by_log.snapshot.consistent_point)
    return reading.settled(asset, asked.synchronised, point)


def _histories(services: Services, found: Gathered) -> Histories:
    """A ledger that cannot be read is no reason to have no data."""
    try:
        return services.histories()
    except CcdrError as error:
        found.notes.append(f"the ledger cannot be read, so that nobody knows which state failed its test: {error}")
        return {}


def _told(services: Services, plan: str, assets: Sequence[str], found: Gathered) -> dict[str, Told]:
    try:
        return told_of(newest_first(services), plan, assets, services.clock.now())
    except CcdrError:
        return {asset: Told() for asset in assets}


def newest_first(services: Services) -> Iterator[Record]:
    """Of the ledger, and of those beside it, what restores are told of by."""
    if not services.population().sound():
        yield from services.ledger.as_read(reverse=True)
        return
    yield from reversed([r for r in services.records() if isinstance(r, TestEnd | RestoreEnd)])


def _states(
    job: Job, found: Gathered, services: Services, synchronised: Synchronised, *, onto_server: bool
) -> AssetStates:
    there, now = found.there[job.asset].there, services.clock.now()
    bad = {s.id: why for s in there if (why := _why_not(job, s, found, now, onto_server=onto_server))}
    gone = [
        (s.consistent_point, f"snapshot {s.short} of {rfc3339(s.consistent_point)}: it vanished from the repository")
        for s in synchronised.vanished
        if s.asset == job.asset
    ]
    usable = [s for s in there if s.id not in bad]
    if there:
        gone += [(u.at, u.text) for u in unread_since(job, (usable or there)[-1], synchronised)]
    return AssetStates(
        job.asset,
        tuple(there),
        bad,
        gone=tuple(gone),
        group=job.engine.group,
        slack=job.objectives.rpo,
    )


def _why_not(job: Job, snapshot: Snapshot, found: Gathered, now: datetime, *, onto_server: bool) -> str | None:
    """Why a snapshot is not to be taken; None where it is."""
    candidates_, history = found.there[job.asset], found.histories[job.asset]
    if not of_source(snapshot, job.engine.source_name):
        return OF_ANOTHER_SOURCE
    if dated_in_future(snapshot, now):
        return "its date is in the future: a clock was wrong"
    if missing := chain.lacks(snapshot, candidates_.there):
        return missing
    if onto_server and snapshot.method == WHOLE_SERVER:
        return "it is of a whole server, and cannot be loaded into one that runs"
    if history.is_suspect(snapshot.id, *(needed.id for needed in snapshot.upon)):
        return SUSPECT
    if history.disproved(snapshot):
        return _disproved(snapshot, found.told[job.asset])
    return None


def _disproved(snapshot: Snapshot, told: Told) -> str:
    proof = told.by_snapshot.get(snapshot.id)
    if proof is None or proof.verdict != "FAIL":
        return "a snapshot that it depends on failed its restore test"
    return f"it failed its restore test of {to_the_second(proof.at)}"


def _with_log(
    job: Job, states: AssetStates, found: Gathered, request: RecoverRequest, services: Services, asked: Asked
) -> AssetStates:
    history = found.histories[job.asset]
    try:
        log = LogToGoBy.of(job, services, states.usable, asked.log(job.asset))
        by_log = log.nearest(request.at, request.timelines.get(job.asset))
    except BackupBad as error:  # damaged; one that does not answer is no reason to lose what is in it
        by_log = StateByLog(why=(f"its log: {error}",))
    if by_log.question is not None:
        found.questions.append(by_log.question)
    state, why = by_log.state, by_log.why
    failure = history.log_failure
    if state is not None and failure is not None and history.log_disproved(state.snapshot):
        until = _went_through(failure)
        if state.point >= until:
            failed = f"its log to {rfc3339(state.point)}: the recovery by it of {to_the_second(failure.time)} failed"
            why, state = (*why, f"{failed}; a moment before {rfc3339(until)} may still be good"), None
    return replace(states, by_log=state, beyond_log=why)


def _went_through(failure: TestEnd) -> datetime:
    """Up to where a recovery that failed had surely gone through the log: what ends there is disproved, too."""
    assert failure.recovery is not None
    until, log = reached_for(failure.recovery), failure.recovery.log
    return min(until, log.point) if log else until


def unknown_plans(request: RecoverRequest) -> Iterator[str]:
    if request.unknown:
        which = ", ".join(request.unknown)
        yield f"plans that could not be read, so that their sources are not known: {which}"


# What the plan's own repository had newer than a copy that is recovered from: as far as this host knows of it.


@dataclass(frozen=True)
class Primary:
    """Its newest state by the moment, `newer` by so many seconds than what is taken; None where it has none that is.
    `known`: has this host ever heard of it?"""

    point: datetime | None = None
    newer: float = 0.0
    known: bool = True

    @property
    def note(self) -> str | None:
        if not self.known:
            return "whether the primary had something newer than this copy, nobody knows on this host"
        if self.point is None:
            return None
        return newer_than_the_copy(self.point, self.newer)


def newer_than_the_copy(point: datetime, newer: float) -> str:
    return (
        f"the primary had it as of {rfc3339(point)}, {human_seconds(newer)} newer than this copy: that much is lost if "
        "it does not come back"
    )


def primary_of(job: Job, taken: Candidate, moment: datetime | None, services: Services) -> Primary:
    """Nothing of it where all is fetched from the primary itself."""
    if services.there is None:
        return Primary()
    now = services.clock.now()
    snapshots = [
        s
        for s in services.there.catalogue.snapshots(job.plan, job.asset)
        if of_source(s, job.engine.source_name) and not dated_in_future(s, now)
    ]
    points = [s.consistent_point for s in snapshots if moment is None or s.consistent_point <= moment]
    standing = read_standing(services.state, job.plan, job.asset) if job.engine.shipping is not None else None
    if standing is not None and standing.point is not None:
        points.append(standing.point if moment is None else min(moment, standing.point))
    newest = max(points, default=None)
    newer = 0.0 if newest is None else (newest - taken.point).total_seconds()
    if newest is None or newer <= 0:
        return Primary(known=bool(snapshots) or standing is not None)
    return Primary(newest, newer)
