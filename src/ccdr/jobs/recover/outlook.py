"""Everything that is decided before anything is done: of each asset the state, the place, what it needs, how long it
should take; which sources still answer, and what an earlier recovery left.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccdr.checks.command import Command
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.host.state import Run, State
from ccdr.jobs.fetch import bases_of
from ccdr.jobs.recover.choice import (
    Candidate,
    Choice,
    Gathered,
    chosen,
    furthest_apart,
    gathered,
    newest_first,
    none_by,
    primary_of,
    unknown_plans,
)
from ccdr.jobs.recover.doubles import Moved, doubles, with_ports
from ccdr.jobs.recover.journal import Told, newest
from ccdr.jobs.recover.places import jobs_of, look_at_servers, path_of, places_of, refused_places
from ccdr.jobs.recover.planned import Decision
from ccdr.jobs.recover.prediction import Told as PredictionTold
from ccdr.jobs.recover.prediction import Work, predicted, told_of
from ccdr.jobs.recover.request import RecoverRequest, Undecided
from ccdr.jobs.recover.states import (
    ABSENT,
    ANSWERS,
    DEAF,
    REFUSED,
    SILENT,
    UNASKED,
    AssetStep,
    ChosenState,
    Instead,
    Predicted,
    RecoveryOutlook,
    Room,
)
from ccdr.jobs.restore.directory import root_for
from ccdr.jobs.restore.examination import doubts
from ccdr.jobs.restore.opening import in_use
from ccdr.jobs.restore.ways import roots_of
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, CommandFailed, UsageProblem
from ccdr.model.order import in_order
from ccdr.model.side_by_side import SHARED, Means, Schedule, Task, at_once, schedule
from ccdr.model.values import Manifest, Snapshot, human_bytes, human_seconds, rfc3339, so_many, to_the_second
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.runbook_made import place_of
from ccdr.plans.targets import Target
from ccdr.ports.engine import Engine
from ccdr.ports.place import Progress
from ccdr.sandbox.lab import memory_available

# What a recovery of one asset needs, and whether this host has it: room where it goes and on the way, memory.

MARGIN = 2**26  # bytes that a file system needs beside the data
SLACK = 2**30  # of a sandbox's room: for what a server needs beside its data, whatever that is


@dataclass(frozen=True)
class Needs:
    """Bytes: what a restore of it writes, with what it depends on, and of its log; room where it is brought and in the
    state directory; memory of its sandbox."""

    restored: int
    log: int
    room: int
    scratch: int
    memory: int


def needs_of(
    job: Job, where: Target, state: Candidate, manifest: Manifest, bases: Sequence[tuple[Snapshot, Manifest]]
) -> Needs:
    engine, snapshot = job.engine, state.snapshot
    fetched = snapshot.bytes + sum(base.bytes for base, _ in bases)
    needs = engine.sandbox(manifest)
    sandboxed = engine.in_sandbox or any(check.needs_sandbox for check in job.checks)
    if where.directory is not None:
        room = (2 if bases else 1) * fetched + state.log_bytes
        return Needs(fetched, state.log_bytes, room, 0, needs.memory if sandboxed and not engine.has_server else 0)
    again = snapshot.bytes  # the second dump, or copy, to compare
    scratch = int((fetched + again + state.log_bytes) * 1.05)
    loaded = max(needs.bytes - SLACK, snapshot.bytes) if where.new_server is not None else 0
    return Needs(fetched, state.log_bytes, loaded + state.log_bytes, scratch, needs.memory)


def rooms_of(places: Mapping[str, Target], needs: Mapping[str, Needs], state: Path) -> tuple[list[Room], list[str]]:
    """By file system, all assets that go there together; and a sentence for each that has too little room. What is
    needed on the way is needed by the largest at least: who has room for no more does them one after the other."""
    wanted: dict[int, tuple[Path, int, list[str]]] = {}

    def add(at: Path, size: int, what: str) -> None:
        there = _existing(at)
        device = there.stat().st_dev
        before = wanted.get(device)
        wanted[device] = (
            before[0] if before else there,
            (before[1] if before else 0) + size,
            [*(before[2] if before else []), what],
        )

    for asset, need in needs.items():
        if (path := path_of(places[asset])) is not None and need.room:
            add(path, need.room, asset)
    if largest := max((need.scratch for need in needs.values()), default=0):
        add(state, largest, "what is fetched on the way")
    rooms, lacking = [], []
    for at, size, what in wanted.values():
        needed, free = size + MARGIN, shutil.disk_usage(at).free
        rooms.append(Room(at, needed, free))
        if free < needed:
            which = ", ".join(what)
            lacking.append(f"{at} has {human_bytes(free)} free, and {human_bytes(needed)} are needed there: {which}")
    return rooms, lacking


def _existing(path: Path) -> Path:
    return next((p for p in (path, *path.parents) if p.exists()), Path("/"))


# Which sources still answer: what a recovery would roll back, and what it may leave as it is. They are asked, all at
# once and not for long, and nothing else is done to them.

KNOCK = 2.0  # seconds until something takes a connection; a first packet that is lost is sent again after one
PATIENCE = 5.0  # seconds without an answer after which a source counts as silent
WAIT = 2 * PATIENCE  # for all of them: a name that nobody resolves, a mount that hangs, are not waited for


def still_there(jobs: Sequence[Job], services: Services, run: Run, progress: Progress) -> dict[str, str]:
    """By asset: ANSWERS, REFUSED, ABSENT, UNASKED, DEAF or SILENT."""
    progress.step("asking which sources still answer")
    found: dict[str, str] = {}

    def ask(job: Job) -> None:
        found[job.asset] = _ask(job, services, run)

    # Daemons: one that hangs in a dead mount must not keep ccdr from ending.
    asking = [threading.Thread(target=ask, args=(job,), daemon=True) for job in jobs]
    for thread in asking:
        thread.start()
    until = time.monotonic() + WAIT
    for thread in asking:
        thread.join(max(0.0, until - time.monotonic()))
    return {job.asset: found.get(job.asset, SILENT) for job in jobs}


def _listens(engine: Engine) -> bool | None:
    """Does anybody? None where a client has to find out: whatever else is in the way. It saves a client, which may be a
    container, for each server that is gone, as all of a lost host's are."""
    connection = getattr(engine, "connection", None)
    host, port = getattr(connection, "host", None), getattr(connection, "port", None)
    if host is None:
        return None
    try:
        if not host.startswith("/"):
            if port is None:
                return None
            socket.create_connection((host, port), KNOCK).close()
            return True
        place = Path(host)
        sockets = [path for path in place.iterdir() if path.is_socket()] if place.is_dir() else [place]
    except OSError as error:
        return None if isinstance(error, PermissionError) else False
    taken = [_takes(path) for path in sockets]
    return True if True in taken else None if None in taken else False


def _takes(path: Path) -> bool | None:
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(KNOCK)
            one.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return False
    except OSError:  # a path that is too long for us, one that we may not open: a client may know more
        return None
    return True


def _ask(job: Job, services: Services, run: Run) -> str:
    engine = job.engine
    listens = _listens(engine)
    if listens is False:
        return SILENT
    nothing = DEAF if listens else SILENT
    directory = run.scratch / f"still-there-{job.asset}"
    into = directory / "into"
    try:
        for path in (directory, into):
            path.mkdir(mode=0o700)
        try:
            services.write_credentials(job, directory)
        except CcdrError:
            return UNASKED if listens else SILENT
        with services.lab.source(
            engine,
            run.id,
            into,
            directory,
            PATIENCE,
            Silent(),
            any_client=True,
            gentle=False,
            part=f"still-there-{job.asset}",
        ):
            return ANSWERS
    except CommandFailed as error:
        if error.stderr.no_database:
            return ABSENT
        return REFUSED if engine.refused(error.stderr) else nothing
    except (CcdrError, OSError):  # a tree that is not there, a socket that is gone, no client to ask with
        return nothing


class Silent:
    """`Progress` for nobody."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


# A recovery of this plan that nobody has brought to an end: what a new one would leave of it.


def left_before(state: State, plan: str) -> list[str]:
    """A sentence; none where the newest was finished, or is at work: then a new one is refused."""
    try:
        told = newest(state, plan)
        if told is None or not told.unfinished or state.at_work(told.run):
            return []
        there = ", ".join(map(str, _there(told)))
    except CcdrError:  # one that cannot be read cannot be gone on with
        return []
    left = f"; a new one leaves {there} of it behind" if there else "; a new one begins all of it anew"
    return [
        f"a recovery of {to_the_second(told.began)} is unfinished: `ccdr recover --resume {plan}` goes on with it{left}"
    ]


def _there(told: Told) -> Iterator[Path]:
    """Working copies that stand there: a restore's bears its own run, a new server's that of the recovery."""
    for planned in Decision.read(told).assets:
        run, to = told.assets[planned.asset].run, planned.place
        if run is None or to is None:
            continue
        bears = told.run if planned.where.new_server is not None else run
        yield from (root for inside in (False, True) if (root := root_for(to, bears, inside=inside)).is_dir())


# What will be done with an asset, what is looked at then, and what becomes of a source that still answers.


def will_of(job: Job, where: Target, state: ChosenState, manifest: Manifest) -> Iterator[str]:
    """In order, each as a phrase that goes on after "it"."""
    snapshot = state.snapshot
    yield f"fetches snapshot {snapshot.short} of {rfc3339(snapshot.consistent_point)}, {human_bytes(snapshot.bytes)}"
    if where.directory is not None:
        if roots := roots_of(manifest.contents):
            yield f"writes {', '.join(map(str, roots))} below {where.shown}, each at its own path"
        else:
            yield f"writes {job.engine.as_files(manifest)} into {where.shown}"
    elif where.new_server is not None:
        yield f"makes a server of it in {where.shown}, and does not open it"
    else:
        yield f"loads it into {where.shown}, under a name of its own until it is checked"
    if state.target is not None:
        size = f", {human_bytes(state.log_bytes)}" if state.log_bytes else ""
        until = (
            f"to {rfc3339(state.target.time)}" if state.target.time else f"to its end ({rfc3339(state.point)} or later)"
        )
        verb = "puts the log beside it" if where.directory is not None else "applies the log"
        yield f"{verb} {until} ({so_many(state.log_snapshots, 'snapshot')} of it{size})"


def checks_of(job: Job, where: Target, assets: Collection[str]) -> tuple[list[str], list[str]]:
    """What is looked at; and what is not, with why."""
    done: list[str] = []
    skipped: list[str] = []
    for check in job.checks:
        why = None
        if where.directory is not None and job.engine.has_server:
            why = "there is no server to ask: the files alone are compared with what was captured"
        elif check.beside is not None and check.beside not in assets:
            why = f"{check.beside} is not recovered with it"
        elif where.server is not None and isinstance(check, Command):
            why = "it is written for the sandbox"
        if why is None:
            done.append(check.label)
        else:
            skipped.append(f"{check.label}: {why}")
    if where.directory is not None and not done:
        done.append("every captured file is as it was")
    return done, skipped


def leaving(step: AssetStep, steps: Sequence[AssetStep]) -> Iterator[str]:
    """Of a source that still answers: what rolling it back loses, and what it means to leave it as it is."""
    others = [other for other in steps if other is not step]
    text = f"{step.asset} still answers: going back to its state loses {human_seconds(step.healthy)} of it"
    if not others:
        yield text
        return
    oldest = min(others, key=lambda other: other.state.point)
    ahead = (step.healthy or 0.0) + (step.state.point - oldest.state.point).total_seconds()
    pairs = sorted(
        {c.beside for c in step.job.checks if c.beside}
        | {o.asset for o in others for c in o.job.checks if c.beside == step.asset}
    )
    told = f"; it is compared with {', '.join(pairs)}, and what that lacks is found then" if pairs else ""
    yield (
        f"{text}; left as it is (`--except {step.asset}`), it is up to {human_seconds(ahead)} ahead of "
        f"{oldest.asset}{told}"
    )


def rather(asset: str, instead: Instead) -> str:
    """Of two that protect one server: from which to recover, and what becomes of the other."""
    first = instead.asset
    text = f"{first} and {asset} protect the same server. Recover from {first}: {instead.why}"
    if instead.at_once_with:
        others = ", ".join(instead.at_once_with)
        text += f" (what it has of later than {asset} has no counterpart in {others}, captured together with {asset})"
    if instead.in_full:
        return (
            f"{text}. {asset} is brought back beside it, as a spare: do not start it while {first} will do "
            f"(`--except {asset}` leaves it out, with its checks)"
        )
    return f"{text}. {asset} has what else was on that server, and an older state of that database: start it beside it"


def moved_of(moved: Sequence[Moved], instead: Mapping[str, Instead]) -> Iterator[str]:
    """Ports that are not as at the source. A spare's is no surprise: nobody goes there."""
    for one in moved:
        other = instead.get(one.asset)
        spare = " (a spare)" if other is not None and other.in_full else ""
        yield (
            f"the new server of {one.asset}{spare} listens at {one.address}:{one.port} once it is started: the port of "
            f"its source, {one.was}, is taken by that of {one.before}, and this is the next one that is free on this "
            "host now. Another `port:` can be given in a file for --to"
        )


PHASES = ("fetch", "load", "check", "finish")
IN_PLACE, AS_FILES = ("fetch", "check", "finish"), ("fetch", "finish")  # of plain files; of a server's files alone
BOUNDS = 1.0, 0.7  # how many full speeds each processor gives, at best and at worst


def outlook(loaded: LoadedPlan, request: RecoverRequest, services: Services, progress: Progress) -> RecoveryOutlook:
    """Looks at everything, and changes nothing. UsageProblem with all that is wrong with what was asked for; Undecided
    where only a person can say what is meant; else as the repository and Docker raise."""
    if request.at is not None and request.at > services.clock.now():
        raise UsageProblem(f"{rfc3339(request.at)} is in the future", hint="name an earlier moment, or `latest`")
    jobs = jobs_of(loaded, request)
    places, problems = places_of(jobs, request)
    _refuse(problems)  # before the repository is asked: nothing of it helps here
    with services.state.run(services.clock) as run:
        return _Looking(loaded, jobs, places, request, services, run).all(progress)


def _refuse(problems: Sequence[str], hint: str | None = None) -> None:
    if problems:
        raise UsageProblem("\n".join(problems), hint=hint)


@dataclass(frozen=True)
class _Looking:
    """One look."""

    loaded: LoadedPlan
    jobs: Sequence[Job]
    places: Mapping[str, Target]
    request: RecoverRequest
    services: Services
    run: Run

    def all(self, progress: Progress) -> RecoveryOutlook:
        request, services = self.request, self.services
        found = gathered(self.loaded, self.jobs, self.places, request, services, progress)
        if found.questions:
            raise Undecided(found.questions)
        choices = self._choices(found)
        bases = {a: bases_of(c.state.snapshot, found.there[a].there, services.catalogue) for a, c in choices.items()}
        manifests = {a: services.catalogue.manifest(c.state.snapshot) for a, c in choices.items()}
        needs = {
            job.asset: needs_of(
                job, self.places[job.asset], choices[job.asset].state, manifests[job.asset], bases[job.asset]
            )
            for job in self.jobs
        }
        problems, notes = refused_places(self.places, self.jobs, manifests, request, services)
        rooms, lacking = rooms_of(self.places, needs, services.state.root)
        _refuse([*problems, *lacking])
        states = {a: self._state(c, found.told[a], found.histories[a]) for a, c in choices.items()}
        instead = doubles(self.jobs, states, manifests)
        places, moved = with_ports(self.places, self.jobs, instead, in_use)
        told = look_at_servers(self.places, self.jobs, manifests, request, services, self.run, progress)
        answering = still_there(self.jobs, services, self.run, progress)
        steps = [
            replace(
                self._step(job, places[job.asset], states[job.asset], found, needs[job.asset], manifests[job.asset]),
                instead=instead.get(job.asset),
            )
            for job in self.jobs
        ]
        steps = [_beside_source(step, answering[step.asset], services.clock.now()) for step in steps]
        steps = [self._beside_primary(step, choices[step.asset]) for step in steps]
        steps = [replace(step, notes=(*step.notes, *told.get(step.asset, ()))) for step in _as_begun(steps)]
        before = left_before(services.state, self.loaded.plan.plan)
        more = [*before, *found.notes, *notes, *moved_of(moved, instead), *unknown_plans(request)]
        return replace(self._outlook(steps, more, rooms), asked=found.asked)

    def _choices(self, found: Gathered) -> dict[str, Choice]:
        """UsageProblem, all at once, where there is no state of an asset by the moment."""
        moment, plan = self.request.at, self.loaded.plan.plan
        choices = chosen(list(found.states.values()), moment, nearest=self.request.nearest)
        none = [asset for asset, choice in choices.items() if choice is None]
        if none:
            lines = [
                f"{asset}: {found.empty[asset]}"
                if asset in found.empty
                else none_by(
                    found.states[asset], moment or datetime.max.replace(tzinfo=self.services.clock.now().tzinfo)
                )
                for asset in none
            ]
            later = [asset for asset in none if found.states[asset].usable]
            ways = ["`--nearest` takes the first after it"] if later and moment is not None else []
            ways.append(f"`--except {','.join(none)}` recovers the others")
            head = f"not every asset of {plan} has a state {f'by {rfc3339(moment)}' if moment else 'to recover'}:"
            raise UsageProblem("\n".join([head, *lines]), hint="; ".join(ways))
        return {asset: choice for asset, choice in choices.items() if choice is not None}

    def _step(
        self, job: Job, where: Target, state: ChosenState, found: Gathered, needs: Needs, manifest: Manifest
    ) -> AssetStep:
        told = found.told[job.asset]
        will, (checks, skipped) = (
            will_of(job, where, state, manifest),
            checks_of(job, where, {j.asset for j in self.jobs}),
        )
        notes = [*doubts(job, state.snapshot, found.histories[job.asset], found.upkeep)]
        if state.lost_s is not None and state.lost_s < 0:
            notes.append(f"its state lies {human_seconds(-state.lost_s)} after the moment: none before it is nearer")
        if (note := self._not_there_then(job, state)) is not None:
            notes.append(note)
        if where.server is not None and job.engine.shipping is not None:
            notes.append(
                "its log is not applied: onto a server that runs a dump is loaded (a `new_server:` takes the log)"
            )
        took = predicted(told.runs, work_of(job, where, needs.restored, needs.log))
        if took is not None and took.basis is not None:
            notes.append(f"its minutes were {took.basis}, and one for good takes longer: so much is added")
        return AssetStep(
            job=job,
            state=state,
            where=where,
            after=tuple(a for a in job.engine.depends_on if a in self.places),
            bytes=needs.restored,
            memory=needs.memory,
            predicted=took,
            will=tuple(will),
            checks=tuple(checks),
            skipped=tuple(skipped),
            notes=tuple(notes),
            room=needs.room,
            scratch=needs.scratch,
        )

    def _beside_primary(self, step: AssetStep, choice: Choice) -> AssetStep:
        primary = primary_of(step.job, choice.state, self.request.at, self.services)
        return replace(step, primary=primary.point, notes=(*filter(None, [primary.note]), *step.notes))

    def _not_there_then(self, job: Job, state: ChosenState) -> str | None:
        """Of a copy that was filled since the moment: it gives more now than it would have given then."""
        moment = self.request.at
        if moment is None or (there := state.snapshot.arrived) is None or there <= moment:
            return None
        known = self.services.catalogue.snapshots(job.plan, job.asset)
        held = [s.consistent_point for s in known if s.to_hand <= moment and s.consistent_point <= moment]
        lacked = f"the last {human_seconds((moment - max(held)).total_seconds())} were" if held else "all of it was"
        return f"its snapshot was copied there at {to_the_second(there)}: at the moment {lacked} not there yet"

    def _state(self, choice: Choice, told: PredictionTold, history: AssetHistory) -> ChosenState:
        state, moment = choice.state, self.request.at or self.services.clock.now()
        log = told.by_log.get(state.snapshot.id) if state.target else None
        proof = log or told.by_snapshot.get(state.snapshot.id)
        verdict = proof.verdict if proof else history.proven.get(state.snapshot.id)
        return ChosenState(
            snapshot=state.snapshot,
            point=state.point,
            target=state.target,
            proof=verdict,
            proven_at=None if proof is None else proof.at,
            proof_by=None if verdict is None else "log" if log else "snapshot",
            lost_s=(moment - state.point).total_seconds(),
            passed_over=choice.passed_over,
            log_bytes=state.log_bytes,
            log_snapshots=state.log_snapshots,
        )

    def _outlook(self, steps: Sequence[AssetStep], notes: Sequence[str], rooms: Sequence[Room]) -> RecoveryOutlook:
        apart = furthest_apart({step.asset: step.state.point for step in steps})
        processors = os.cpu_count() or 1
        means = Means(at_once(processors), memory_available(), processors)
        whole, peak = _whole(steps, means)
        left = [a for a in self.loaded.plan.assets if a not in {s.asset for s in steps}]
        unmeasured = [step.asset for step in steps if step.predicted is None]
        more = list(notes)
        if unmeasured:
            more.append(
                f"how long {', '.join(unmeasured)} will take, nobody has measured: no restore test of it passed here"
            )
        if peak > means.memory:
            more.append(
                "the largest needs more memory than is free: it may not start; `memory:` of its asset asks for less"
            )
        answering = [step for step in steps if step.source == ANSWERS]
        return RecoveryOutlook(
            plan=self.loaded.plan.plan,
            moment=self.request.at,
            steps=tuple(steps),
            skew_s=apart and apart[0],
            predicted=whole,
            notes=tuple(more),
            apart=apart and apart[1],
            rooms=tuple(rooms),
            memory=peak,
            memory_free=means.memory,
            workers=means.workers,
            left=tuple(left),
            healthy=tuple(text for step in answering for text in leaving(step, steps)),
        )


def _as_begun(steps: Sequence[AssetStep]) -> list[AssetStep]:
    """What is left out counts as done. Of what may come next the longest is begun first, so that it is not what all
    others wait for in the end: by its seconds, or by its bytes where those of one are not known."""
    by_name = {step.asset: step for step in steps}
    seconds = {step.asset: step.predicted.seconds for step in steps if step.predicted is not None}
    size = {step.asset: float(step.bytes + step.state.log_bytes) for step in steps}
    needs = {asset: step.job.engine.depends_on for asset, step in by_name.items()}
    priority = {asset: step.job.engine.priority for asset, step in by_name.items()}
    return [by_name[asset] for asset in in_order(needs, priority, seconds if len(seconds) == len(steps) else size)]


def _beside_source(step: AssetStep, source: str, now: datetime) -> AssetStep:
    healthy = None if source not in (ANSWERS, REFUSED) else max(0.0, (now - step.state.point).total_seconds())
    return replace(step, source=source, healthy=healthy)


def work_of(job: Job, where: Target, size: int, log: int) -> Work:
    """To restore so many bytes, and to apply so many of the log."""
    if not job.engine.has_server:
        return Work(size, 0, PHASES if job.engine.in_sandbox else IN_PLACE)
    if where.directory is not None:  # a server's files are loaded nowhere
        return Work(size, log, AS_FILES)
    return Work(size, log, durable=True)


def _whole(steps: Sequence[AssetStep], means: Means) -> tuple[Predicted | None, int]:
    """All of it side by side, and the most memory at once; no time where that of one is not known."""

    def run(seconds: Mapping[str, float], shared: float) -> Schedule:
        tasks = [Task(step.asset, seconds.get(step.asset, 1.0), step.memory, step.after) for step in steps]
        return schedule(tasks, means, shared)

    known = {step.asset: step.predicted for step in steps if step.predicted is not None}
    likely = run({a: p.seconds for a, p in known.items()}, SHARED)
    if len(known) < len(steps):
        return None, likely.memory
    low, high = (
        run({a: bound for a, p in known.items() for bound in [(p.low, p.high)[n]]}, BOUNDS[n]).seconds for n in (0, 1)
    )
    return (
        Predicted(
            likely.seconds,
            min(low, likely.seconds),
            max(high, likely.seconds),
            min(p.runs for p in known.values()),
            any(p.far for p in known.values()),
        ),
        likely.memory,
    )


# How long a recovery of a plan's newest snapshots should take, by what this host knows alone: no repository is asked.
# The outlook knows better, once it has looked.


def foretold(loaded: LoadedPlan, assets: Sequence[str], services: Services) -> float | None:
    """Seconds, side by side as `ccdr recover` works; None where one of them was never measured. What the log adds is
    not in it: how much there will be nobody knows yet."""
    plan, catalogue = loaded.plan, services.catalogue
    try:
        told = told_of(newest_first(services), plan.plan, assets, services.clock.now())
        tasks = []
        for asset in assets:
            job, snapshots = Job(loaded, asset), catalogue.snapshots(plan.plan, asset)
            if not snapshots:
                return None
            newest = max(snapshots, key=lambda one: one.consistent_point)
            took = predicted(told[asset].runs, work_of(job, place_of(plan, asset), newest.bytes, 0))
            if took is None:
                return None
            memory = job.engine.sandbox(catalogue.manifest(newest)).memory if job.engine.has_server else 0
            tasks.append(Task(asset, took.seconds, memory, tuple(a for a in job.engine.depends_on if a in assets)))
    except CcdrError:  # a ledger or a manifest that cannot be read: nobody knows
        return None
    processors = os.cpu_count() or 1
    return schedule(tasks, Means(at_once(processors), memory_available(), processors)).seconds
