"""What there is to choose from: each asset's snapshots and log, as repository, catalogue and ledger tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import RESTORE_END, TEST_END
from ccdr.evidence.history.places import Histories
from ccdr.evidence.verdicts import Record, reached_for
from ccdr.jobs.fetch import Candidates, candidates, none_counts, unread_since
from ccdr.jobs.newest_first import NewestFirst, not_looked_at
from ccdr.jobs.recover.asking import Asked, ask, ask_further
from ccdr.jobs.recover.by_log import LogToGoBy, StateByLog
from ccdr.jobs.recover.choosing import OF_ANOTHER_SOURCE, AssetStates, chosen
from ccdr.jobs.recover.measured import Told, told_of
from ccdr.jobs.recover.request import Question, RecoverRequest
from ccdr.jobs.services import Services
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, CcdrError
from ccdr.model.values import Snapshot, rfc3339, to_the_second, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.place import Progress
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future
from ccdr.storage.synchronised import Synchronised

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
    yield from reversed([r for r in services.records() if r["kind"] in (TEST_END, RESTORE_END)])


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
    noted = {s.id: s.note for s in candidates_.there if s.note is not None}
    if snapshot.id in noted:
        return f"restic stored it with a warning: {noted[snapshot.id]}"
    if any(needed.id in noted for needed in snapshot.upon):
        return "restic stored one that it depends on with a warning"
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
            failed = f"its log to {rfc3339(state.point)}: the recovery by it of {to_the_second(failure['time'])} failed"
            why, state = (*why, f"{failed}; a moment before {rfc3339(until)} may still be good"), None
    return replace(states, by_log=state, beyond_log=why)


def _went_through(failure: Record) -> datetime:
    """Up to where a recovery that failed had surely gone through the log: what ends there is disproved, too."""
    stored = (failure["recovery"].get("log") or {}).get("point")
    return min(reached_for(failure), utc(stored)) if stored else reached_for(failure)


def unknown_plans(request: RecoverRequest) -> Iterator[str]:
    if request.unknown:
        which = ", ".join(request.unknown)
        yield f"plans that could not be read, so that their sources are not known: {which}"
