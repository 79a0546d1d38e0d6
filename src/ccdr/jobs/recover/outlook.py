"""Everything that is decided before anything is done: of each asset the state, the place, what it needs, how long."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.host.state import Run
from ccdr.jobs.fetch import bases_of
from ccdr.jobs.recover.choosing import Choice, chosen, furthest_apart, none_by
from ccdr.jobs.recover.doubles import doubles, with_ports
from ccdr.jobs.recover.gathering import Gathered, gathered, unknown_plans
from ccdr.jobs.recover.left_before import left_before
from ccdr.jobs.recover.measured import Told
from ccdr.jobs.recover.needs import Needs, needs_of, rooms_of
from ccdr.jobs.recover.places import jobs_of, places_of, refused_places
from ccdr.jobs.recover.predict import Work, predicted
from ccdr.jobs.recover.primary import primary_of
from ccdr.jobs.recover.request import RecoverRequest, Undecided
from ccdr.jobs.recover.servers import look_at_servers
from ccdr.jobs.recover.states import ANSWERS, REFUSED, AssetStep, ChosenState, Predicted, RecoveryOutlook, Room
from ccdr.jobs.recover.still_there import still_there
from ccdr.jobs.recover.words import checks_of, leaving, moved_of, will_of
from ccdr.jobs.restore.opening import in_use
from ccdr.jobs.restore.selection import doubts
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.order import in_order
from ccdr.model.side_by_side import SHARED, Means, Schedule, Task, at_once, schedule
from ccdr.model.values import Manifest, human_seconds, rfc3339, to_the_second
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.place import Progress
from ccdr.sandbox.lab import memory_available

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

    def _state(self, choice: Choice, told: Told, history: AssetHistory) -> ChosenState:
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
