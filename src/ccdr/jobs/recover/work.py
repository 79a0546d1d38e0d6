"""One recovery: everything is looked at first, a person agrees, then it is carried out, asset by asset, and recorded.

`carry_out` may be stopped at any moment, by whatever: the journal says what was reached, and `resuming` goes on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

from ccdr.evidence.history.kinds import INTERRUPTED, RECOVER_END, RECOVER_START
from ccdr.host import interrupts
from ccdr.host.files import extent, remove_tree
from ccdr.host.state import Run
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.pausing import wake
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.recover import journal as journals
from ccdr.jobs.recover.again import Standing
from ccdr.jobs.recover.asking import told_of_each
from ccdr.jobs.recover.comparing import Brought, Comparing
from ccdr.jobs.recover.journal import Journal, Progressed, Told
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import PAUSED, RecoveryResult, StepResult
from ccdr.jobs.recover.turns import Turn, Turns, Work
from ccdr.jobs.recover.view import OfAsset, View
from ccdr.jobs.restore import Restoring, restoring
from ccdr.jobs.restore.directory import existing, make_above, named_before, root_for, take_back
from ccdr.jobs.restore.left_server import LeftServer
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.request import Before
from ccdr.jobs.restore.request import Told as ToldByRestic
from ccdr.jobs.restore.result import RESTORED
from ccdr.jobs.services import BY_HAND, Services
from ccdr.model.errors import CcdrError, Locked, TestBroken, UsageProblem, failure_of
from ccdr.model.side_by_side import Means, Task, at_once, may_begin
from ccdr.model.values import Verdict, human_bytes, rfc3339, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.trust import Command, commands_of, require_confirmed
from ccdr.sandbox.lab import memory_available

VERB = "recover"


@dataclass(frozen=True)
class Known:
    """All plans that are known besides: their sources must not be touched either; and those that cannot be read.
    `break_glass`: why all of it is handed over though erased people may be in it."""

    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()
    break_glass: str | None = None


@contextlib.contextmanager
def recovering(
    loaded: LoadedPlan, decision: Decision, services: Services, view: View, known: Known = Known()
) -> Iterator[Recovering]:
    """Look at every target, and give what would be done; whoever is asked then calls `carry_out`. UsageProblem with all
    that is wrong, and Locked: nothing was done, and nothing is recorded unless `carry_out` was called."""
    with _alone(services, loaded.plan.plan), services.state.run(services.clock) as run:
        one = Recovering(loaded, decision, services, run, known)
        with one.looked_at(view):
            yield one


@contextlib.contextmanager
def resuming(
    loaded: LoadedPlan, told: Told, services: Services, view: View, known: Known = Known()
) -> Iterator[Recovering]:
    """Go on with what another process had begun, as its journal tells. Raises as `recovering`."""
    with _alone(services, loaded.plan.plan), services.state.run(services.clock) as run:
        told = journals.read(told.directory)  # whoever held the lock may have gone on with it
        decision = Decision.read(told.decided)
        if not told.unfinished:
            raise UsageProblem(f"the recovery of {told.plan} that began at {rfc3339(told.began)} is done")
        gone = [one.asset for one in decision.assets if one.asset not in loaded.plan.assets]
        if gone:
            raise UsageProblem(f"plan {told.plan} has no asset {', '.join(gone)} any more", hint="begin a new recovery")
        with contextlib.suppress(CcdrError):  # whoever needs Docker will say that it does not answer
            clear_leftovers(services)
        one = Recovering(loaded, decision, services, run, known, told)
        with one.looked_at(view):
            yield one


@contextlib.contextmanager
def _alone(services: Services, plan: str) -> Iterator[None]:
    """Locked, with who it is, where somebody else recovers this plan."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(services.state.lock(plan, "", VERB))
        except Locked as error:
            told = journals.newest(services.state, plan)
            if told is None or told.holder is None:
                raise
            raise Locked(f"{told.holder} recovers {plan} already", hint=error.hint) from None
        yield


class Recovering:
    """One process's part of a recovery."""

    def __init__(
        self,
        loaded: LoadedPlan,
        decision: Decision,
        services: Services,
        run: Run,
        known: Known,
        told: Told | None = None,
    ) -> None:
        self.loaded, self.decision, self.services, self.run = loaded, decision, services, run
        self._known, self._told = known, told
        objectives = loaded.plan.objectives
        steps = {one.asset: StepResult(one) for one in decision.assets}
        self.result = RecoveryResult(decision, run.id, objectives.rpo, objectives.rto, objectives.mtd or 0.0, steps)
        self._open: dict[str, Restoring] = {}
        self._rooms: dict[str, contextlib.ExitStack] = {}
        self._recorded = RecordedRun(services, loaded, None, run.id, BY_HAND, (RECOVER_START, RECOVER_END))
        self._comparing = Comparing(run, services.state)
        self._standing: dict[str, Standing] = {}
        self._stands_alone = Lock()
        self._journal: Journal | None = None
        self._memory = memory_available()
        self._began = services.clock.monotonic()
        if told is not None:
            self.result.resumes, self.result.away = told.run, told.away_until(services.clock.now())

    @property
    def name(self) -> str:
        """What a person types to agree."""
        return self.loaded.plan.plan

    @property
    def left(self) -> list[Planned]:
        """What is still to be done."""
        return [step.planned for step in self.result.steps.values() if step.state != "done"]

    def restoring(self, asset: str) -> Restoring:
        return self._open[asset]

    # --- before anything is done ----------------------------------------------------------------------

    @contextlib.contextmanager
    def looked_at(self, view: View) -> Iterator[None]:
        try:
            self._look(view)
            yield
        finally:
            for room in self._rooms.values():
                room.close()

    def _look(self, view: View) -> None:
        problems: list[UsageProblem] = []
        require_confirmed(self.loaded, starts_of(self.decision))
        absent: list[Planned] = []
        for planned in self.decision.assets:
            with self._noting(planned, problems):
                if not self._is_there(planned):
                    absent.append(planned)
        with self._asked(absent) as told:
            for planned in absent:
                with self._noting(planned, problems):
                    self._look_at(planned, told.get(planned.asset), view)
        if problems:
            hints = dict.fromkeys(error.hint for error in problems if error.hint)
            raise UsageProblem("\n".join(map(str, problems)), hint="; ".join(hints) or None)
        self._refuse_without_room()

    @contextlib.contextmanager
    def _asked(self, wanted: Sequence[Planned]) -> Iterator[Mapping[str, ToldByRestic]]:
        """The repository is asked once for all of them, and nothing is removed there from here until each has been
        looked at."""
        if not wanted:
            yield {}
            return
        jobs = [Job(self.loaded, one.asset) for one in wanted]
        repo = self.services.repository(self.loaded, jobs[0].limits)
        with self.services.state.reading(repo.location):
            yield told_of_each(self.loaded, jobs, {one.asset for one in wanted if one.target}, self.services)

    @staticmethod
    @contextlib.contextmanager
    def _noting(planned: Planned, problems: list[UsageProblem]) -> Iterator[None]:
        try:
            yield
        except UsageProblem as error:
            problems.append(UsageProblem(f"{planned.asset}: {error}", hint=error.hint))

    def _look_at(self, planned: Planned, told: ToldByRestic | None, view: View) -> None:
        room = self._rooms[planned.asset] = contextlib.ExitStack()
        request = planned.request(
            self._known.others,
            self._known.unknown,
            onto_source_server=self.decision.onto_source_server,
            before=self._before(planned.asset),
            reached=partial(self._reached, planned.asset),
            working=self._told.run if self._told is not None else self.run.id,
            makes=self.decision.under,
            told=told,
        )
        request = replace(request, break_glass=self._known.break_glass)
        job, progress = Job(self.loaded, planned.asset), OfAsset(view, planned.asset)
        one = room.enter_context(restoring(job, request, self.services, progress, dry_run=True))
        if one.there:
            self._was_done(planned)
            room.close()
            return
        self._open[planned.asset] = one
        self.result.notes += [f"{planned.asset}: {note}" for note in one.result.notes]

    def _before(self, asset: str) -> Before | None:
        """What an earlier process has left of it."""
        past = self._past(asset)
        if past is None or past.run is None:
            return None
        return Before(past.run, past.stage, past.facts.get("naming"))

    def _past(self, asset: str) -> Progressed | None:
        return self._told.assets.get(asset) if self._told is not None else None

    def _is_there(self, planned: Planned) -> bool:
        """Had an earlier process brought it, to its final name? UsageProblem where that is gone, or was changed for
        something else."""
        past = self._past(planned.asset)
        if past is None or not past.past("naming"):
            return False
        if not standing(planned, past, self.services, named=past.past("named")):
            return False
        self._was_done(planned)
        return True

    def _clear(self, planned: Planned) -> None:
        """What stood beside it until it had its name goes, where a kill came between."""
        past, place = self._past(planned.asset), planned.place
        if place is None or past is None or self._told is None:
            return
        for run in {self._told.run, past.run} - {None}:
            for inside in (False, True):
                if (root := root_for(place, str(run), inside=inside)).is_dir():
                    self.result.left_behind += remove_tree(root)

    def _was_done(self, planned: Planned) -> None:
        """A new server that `start:` is still to start is all but done; how a person starts one is told again."""
        step, past = self.result.steps[planned.asset], self._past(planned.asset)
        opened = not starting(planned) or (past is not None and past.past("opened"))
        step.before, step.state = True, "done" if opened else "named"
        if planned.where.new_server is not None:
            with contextlib.suppress(CcdrError):
                left = LeftServer.read(planned.where.new_server.directory)
                step.start = left.lines if left.untouched else None

    def _refuse_without_room(self) -> None:
        """Each target has room for its own: have they together, on each file system?"""
        needed: dict[int, tuple[Path, int]] = {}
        for planned in self.left:
            place = planned.where.directory
            if place is None:
                continue
            base = place if place.is_dir() else existing(place.parent)
            at, size = needed.get(device := base.stat().st_dev, (base, 0))
            needed[device] = at, size + planned.bytes
        for base, size in needed.values():
            file_system = os.statvfs(base)
            free = file_system.f_bavail * file_system.f_frsize
            if self._told is None and free < size:
                raise UsageProblem(
                    f"{base} has {human_bytes(free)} free, what is to be brought there needs {human_bytes(size)}",
                    hint="free space there, name other targets (--to FILE), or bring some of it first (--assets)",
                )

    # --- doing it -------------------------------------------------------------------------------------

    def carry_out(self, view: View) -> None:
        """Do it. What happens is in `result`; an interrupt is raised again once all is cleaned up and recorded."""
        self._began = self.services.clock.monotonic()
        self._recorded.begin(self._about())
        with self._recorded.attempt(self._stopped):
            self._journal = self._opened_journal()
            if self.decision.under is not None:
                make_above(self.decision.under)
            view.begins(self.decision, self._elapsed())
            self._all(view)
        with self._recorded.conclusion():
            self._conclude()

    def _about(self) -> dict[str, object]:
        decision = self.decision.as_json()
        keys = ("asset", "snapshot", "point", "proof", "lost_s", "after", "predicted")
        assets = [
            {
                **{key: value for key, value in one.as_json().items() if key in keys},
                "by_log": one.target is not None,
                "target": {"kind": one.kind, "name": one.where.shown},
            }
            for one in self.decision.assets
        ]
        about = {key: decision[key] for key in ("moment", "predicted", "skew_s")}
        return {**about, "resumes": self.result.resumes, "assets": assets}

    def _opened_journal(self) -> Journal:
        now = self.services.clock.now()
        if self._told is not None:
            journal = Journal.again(self._told)
        else:
            decided = {"began": rfc3339(now), "plan_sha256": self.loaded.sha256, **self.decision.as_json()}
            journal = Journal.begin(self.services.state, self.run.id, decided)
        journal.session(now, self.services.ledger.actor)
        return journal

    def _elapsed(self) -> float:
        """Seconds that ccdr was at work on this recovery."""
        before = self._told.worked if self._told is not None else 0.0
        return before + self.services.clock.monotonic() - self._began

    def _reached(self, asset: str, stage: str, facts: Mapping[str, object]) -> None:
        assert self._journal is not None
        self._journal.reached(asset, stage, self.services.clock.now(), self._elapsed(), facts)

    def _all(self, view: View) -> None:
        """Whatever may be done now is done, side by side within processors and memory."""
        turns = self._turns()
        running: dict[Future[bool], Turn] = {}
        with interrupts.threads(at_once(os.cpu_count() or 1)) as pool:
            while True:
                for turn in list(self._begin(turns)):
                    turns.take(turn)
                    running[pool.submit(self._do, turn, view)] = turn
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    turn = running.pop(future)
                    turns.done(turn, well=future.result())
        for asset, why in turns.stopped.items():
            step = self.result.steps[asset]
            step.state, step.reason = "stopped", f"not begun: {why}, which it depends on, failed"
            view.phase(asset, "stopped")

    def _turns(self) -> Turns:
        names = [one.asset for one in self.decision.assets]
        beside = {name: [c.beside for c in Job(self.loaded, name).checks if c.beside] for name in names}
        whole = [name for name, step in self.result.steps.items() if step.before]
        opens = [one.asset for one in self.left if starting(one)]
        uncompared = [name for name in whole if not self._compared_before(name, set(beside[name]) & set(names))]
        after = {one.asset: one.after for one in self.decision.assets}
        return Turns(names, after, beside, whole, opens, uncompared)

    def _compared_before(self, asset: str, others: set[str]) -> bool:
        """Well, with all of these?"""
        past = self._past(asset)
        return not others - set(past.facts.get("compared", {}).get("with") or () if past is not None else ())

    def _begin(self, turns: Turns) -> Iterator[Turn]:
        """What may be done now, by the rule that foretold it: no more brought at once than `at_once` says, and than
        memory has room for; what stands there and is held open takes some of it."""
        bringing = [name for name, work in turns.running.items() if work is Work.BRING]
        held = turns.brought - turns.finished - turns.failed
        memory = self._memory - sum(self.result.steps[name].planned.memory for name in held)
        tasks = [Task(one.asset, 0.0, one.memory, one.after) for one in self.decision.assets]
        means = Means(at_once(os.cpu_count() or 1), memory)
        may = may_begin(tasks, means, turns.brought, bringing, turns.failed | turns.stopped.keys())
        for turn in list(turns.next()):
            if turn.work is not Work.BRING or turn.asset in may:
                yield turn

    def _do(self, turn: Turn, view: View) -> bool:
        """Did it go well?"""
        doing: Callable[[str, View], bool] = {
            Work.BRING: self._bring, Work.COMPARE: self._compare, Work.FINISH: self._finish, Work.OPEN: self._start
        }[turn.work]  # fmt: skip
        step = self.result.steps[turn.asset]
        try:
            well = doing(turn.asset, view)
        except Exception as error:  # the journal's, or of what nobody foresaw: this asset's alone
            why = failure_of(error)
            step.reason, step.hint, well = why.reason, why.hint, False
            step.state = "failed"
        if not well:
            self._has_failed(step, view)
        return well

    def _has_failed(self, step: StepResult, view: View) -> None:
        asset, restore = step.planned.asset, step.restore
        if restore is not None and restore.reason is not None:
            step.reason, step.hint = restore.reason, restore.hint
        step.state = "failed"
        if asset in self._rooms:
            self._rooms[asset].close()
        view.phase(asset, "failed")

    def _bring(self, asset: str, view: View) -> bool:
        one, step = self._open[asset], self.result.steps[asset]
        step.restore, step.state, step.began_s = one.result, "bringing", self._elapsed()
        view.phase(asset, "bringing")
        self._reached(asset, "begun", {"run": one.result.run})
        well = one.bring(OfAsset(view, asset))
        if well:
            self._reached(asset, "checked", {})
        return well

    def _compare(self, asset: str, view: View) -> bool:
        wanted = {check.beside for check in Job(self.loaded, asset).checks if check.beside}
        if not wanted:
            return True
        step = self.result.steps[asset]
        view.phase(asset, "comparing")
        there, lacking = dict[str, Brought](), dict[str, str]()
        for name in sorted(wanted & self.result.steps.keys()):
            try:
                there[name] = self._there(name, view)
            except CcdrError as error:
                lacking[name] = f"could not be compared with {name}: {error}"
        if step.before:
            results = step.compared = self._comparing.compare(self._there(asset, view), there, lacking)
            bad = [check.name for check in results if check.status is Verdict.FAIL]
            step.reason, well = f"checks failed: {', '.join(bad)}" if bad else step.reason, not bad
        else:
            one = self._open[asset]
            results = self._comparing.compare(one, there, lacking)
            well = one.add(results, OfAsset(view, asset))
        if well:
            known = all(check.status is not Verdict.INCONCLUSIVE for check in results)
            self._reached(asset, "compared", {"with": sorted(there) if known else []})
            if step.before:
                view.phase(asset, step.state)
        return well

    def _there(self, asset: str, view: View) -> Brought:
        """As it stands before it has its name; or, where it was brought before, by its name. CcdrError where it does
        not."""
        step = self.result.steps[asset]
        if not step.before:
            if step.state != "bringing":
                raise TestBroken(f"{asset} could not be brought back")
            return self._open[asset]
        with self._stands_alone:
            if asset not in self._standing:
                stack = self._rooms[asset] = contextlib.ExitStack()
                one = Standing(step.planned, Job(self.loaded, asset), self.services, self.run, stack)
                one.stand(OfAsset(view, asset))
                self._standing[asset] = one
            standing_ = self._standing[asset]
        if standing_.way is None:
            raise TestBroken(f"no server of {asset} answers where it stands")
        return standing_

    def _finish(self, asset: str, view: View) -> bool:
        one, step = self._open[asset], self.result.steps[asset]
        view.phase(asset, "naming")
        well = one.finish(OfAsset(view, asset))
        if not well and one.result.result != RESTORED:
            return False
        self._reached(asset, "named", {})
        self._rooms[asset].close()
        step.state, step.start = "named", one.result.start
        if not starting(step.planned):
            self._over(step, view)
        return True

    def _start(self, asset: str, view: View) -> bool:
        """The new server is started by the plan's own command, and answers at its address."""
        step = self.result.steps[asset]
        view.phase(asset, "opening")
        opening = self._opening(step.planned)
        if not opening.answers():  # it was started, and nobody had time to note it
            opening.start(starting(step.planned), OfAsset(view, asset))
        self._reached(asset, "opened", {})
        step.start = None
        self._over(step, view)
        return True

    def _over(self, step: StepResult, view: View) -> None:
        step.state, step.ended_s = "done", self._elapsed()
        view.phase(step.planned.asset, "done")

    def _opening(self, planned: Planned) -> Opening:
        new = planned.where.new_server
        assert new is not None
        catalogue, job = self.services.catalogue, Job(self.loaded, planned.asset)
        manifest = next(
            catalogue.manifest(s) for s in catalogue.snapshots(job.plan, job.asset) if s.id == planned.snapshot
        )
        return Opening.of(job, new, manifest, self.services, self.run)

    # --- the end --------------------------------------------------------------------------------------

    def _stopped(self, error: KeyboardInterrupt | Exception) -> None:
        result = self.result
        if isinstance(error, KeyboardInterrupt):
            result.reason = INTERRUPTED
        else:
            why = failure_of(error)
            result.reason, result.hint = why.reason, why.hint
        result.state = PAUSED

    def _conclude(self) -> None:
        result, services = self.result, self.services
        for asset, step in result.steps.items():
            if step.state == "named":
                step.state, step.reason = "failed", f"it was not started: {result.reason or 'stopped'}"
            if step.state == "bringing":  # whole or not, there will be no more of it now
                one = self._open[asset]
                if one.result.reason is None and one.result.result != RESTORED:
                    one.stop(result.reason or "stopped", _Nobody())
                step.state, step.reason = "failed", one.result.reason
            if step.before and step.state == "done":
                self._clear(step.planned)
        for room in self._rooms.values():
            room.close()
        for standing_ in self._standing.values():
            result.left_behind += standing_.result.left_behind
        self._comparing.keep(services.clock.now())
        self.run.clear()
        result.left_behind += self.run.problems
        result.worked = self._elapsed()
        result.conclude()
        if result.state == PAUSED:
            result.hint = f"`ccdr recover --resume {self.loaded.plan.plan}` goes on, and repeats nothing that is done"
        elif any(step.planned.where.new_server is not None for step in result.steps.values()):
            first = "start the new servers; then " if any(s.start for s in result.steps.values()) else ""
            result.hint = f"{first}`ccdr recover check {self.loaded.plan.plan}` looks at all of it where it stands"
        if self._journal is not None:
            with contextlib.suppress(CcdrError):  # told by whatever could not be written before
                self._journal.ended(result.state, services.clock.now(), result.worked)
        result.record = self._recorded.end(result.body())
        wake(services)


def starting(planned: Planned) -> tuple[str, ...]:
    """The command that starts it; none where a person does."""
    new = planned.where.new_server
    return tuple(new.start or ()) if new is not None else ()  # confirmed: `_look` asks before anything is begun


def starts_of(decision: Decision) -> list[Command]:
    """All that was decided to run on this host, wherever it was named: what a journal says is no more than what its
    file says."""
    return [command for one in decision.assets for command in commands_of(one.where, "targets", one.asset)]


class _Nobody:
    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


def standing(planned: Planned, past: Progressed, services: Services, *, named: bool) -> bool:
    """Has it its final name? By what was told before it got that: asked of the place itself. UsageProblem where it had
    it for sure (`named`), and what is there now is something else."""
    place = planned.place
    if place is None:
        return named
    inodes: Sequence[Sequence[int]] = past.facts.get("naming", {}).get("inodes") or []
    there = named_before(place, inodes)
    if there is None and past.run is not None:
        take_back(place, root_for(place, past.run, inside=True), inodes)
    if there:
        _refuse_less(planned, past)
        return True
    if named:
        raise UsageProblem(
            f"what was brought to {place} is not there any more",
            hint=f"put it back, or begin a new recovery of it alone: --assets {planned.asset}",
        )
    return False


def _refuse_less(planned: Planned, past: Progressed) -> None:
    """UsageProblem where a directory has lost some of what had been brought there."""
    place, naming = planned.where.directory and planned.place, past.facts.get("naming", {})
    if place is None or "files" not in naming:
        return
    files, size = extent(place)
    if files < naming["files"] or size < naming["bytes"]:
        raise UsageProblem(
            f"{place} holds {so_many(files, 'file')} of {human_bytes(size)}, and {so_many(naming['files'], 'file')} of "
            f"{human_bytes(naming['bytes'])} were brought there",
            hint=f"put back what is missing, or begin a new recovery of it alone: --assets {planned.asset}",
        )
