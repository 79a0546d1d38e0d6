"""One recovery: everything is looked at first, a person agrees, then it is carried out, asset by asset, and recorded.

`carry_out` may be stopped at any moment, by whatever: the journal says what was reached, and `resuming` goes on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from ccdr.evidence.history.kinds import INTERRUPTED
from ccdr.evidence.records.recovery import RecoverStart
from ccdr.host import interrupts
from ccdr.jobs.incidents.opening import for_recovery
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.recover import journal
from ccdr.jobs.recover.asking import Asked
from ccdr.jobs.recover.first_look import clear, look, look_again
from ccdr.jobs.recover.journal import VERB, Told, require_as_decided, require_sealed
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import PAUSED, RecoveryResult, repoint
from ccdr.jobs.recover.session import NONE_BESIDE, Known, Session, View
from ccdr.jobs.recover.turn import Doing, Turn, Turns, Work
from ccdr.jobs.restore.directory import make_above
from ccdr.jobs.restore.request import RESTORED
from ccdr.jobs.sealing import key_of
from ccdr.jobs.services import BY_HAND, Services, wake
from ccdr.model.errors import CcdrError, Locked, UsageProblem, failure_of
from ccdr.model.side_by_side import Means, Task, at_once, may_begin
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Unwatched
from ccdr.sandbox.lab import memory_available


@contextlib.contextmanager
def recovering(
    loaded: LoadedPlan,
    decision: Decision,
    services: Services,
    view: View,
    known: Known = NONE_BESIDE,
    asked: Asked | None = None,
) -> Iterator[Recovering]:
    """Look at every target, and give what would be done; whoever is asked then calls `carry_out`. UsageProblem with all
    that is wrong, and Locked: nothing was done, and nothing is recorded unless `carry_out` was called. `asked` is what
    the repositories told when it was decided, where this host has removed nothing from them since (`State.reading`)."""
    with _alone(services, loaded.plan.plan), services.state.run(services.clock) as run:
        with _looked_at(Session(loaded, decision, services, run, known, asked=asked), view) as one:
            yield one


@contextlib.contextmanager
def resuming(
    loaded: LoadedPlan, told: Told, services: Services, view: View, known: Known = NONE_BESIDE
) -> Iterator[Recovering]:
    """Go on with what another process had begun, as its journal tells. Raises as `recovering`."""
    with _alone(services, loaded.plan.plan), services.state.run(services.clock) as run:
        told = journal.read(told.directory)  # whoever held the lock may have gone on with it
        require_as_decided(told, services)
        require_sealed(told, key_of(loaded, services.host, VERB))
        decision = Decision.read(told)
        if not told.unfinished:
            raise UsageProblem(f"the recovery of {told.plan} that began at {rfc3339(told.began)} is done")
        gone = [one.asset for one in decision.assets if one.asset not in loaded.plan.assets]
        if gone:
            raise UsageProblem(f"plan {told.plan} has no asset {', '.join(gone)} any more", hint="begin a new recovery")
        with contextlib.suppress(CcdrError):  # whoever needs Docker will say that it does not answer
            clear_leftovers(services)
        with _looked_at(Session(loaded, decision, services, run, known, told), view) as one:
            yield one


@contextlib.contextmanager
def _alone(services: Services, plan: str) -> Iterator[None]:
    """Locked, with who it is, where somebody else recovers this plan."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(services.state.lock(plan, "", VERB))
        except Locked as error:
            told = journal.newest(services.state, plan)
            if told is None or told.holder is None:
                raise
            raise Locked(f"{told.holder} recovers {plan} already", hint=error.hint) from None
        yield


@contextlib.contextmanager
def _looked_at(session: Session, view: View) -> Iterator[Recovering]:
    try:
        one = Recovering(session)
        look(session, view)
        yield one
    finally:
        session.close()


class Recovering:
    """One process's part of a recovery, carried out."""

    def __init__(self, session: Session) -> None:
        self._session, self._doing = session, Doing(session)
        self._recorded = RecordedRun(session.services, session.loaded, None, session.run.id, BY_HAND)
        self._memory = memory_available()

    @property
    def name(self) -> str:
        """What a person types to agree."""
        return self._session.loaded.plan.plan

    @property
    def result(self) -> RecoveryResult:
        return self._session.result

    @property
    def left(self) -> list[Planned]:
        """What is still to be done."""
        return self._session.left

    def carry_out(self, view: View) -> None:
        """Do it. What happens is in `result`; an interrupt is raised again once all is cleaned up and recorded."""
        session = self._session
        session.begins()
        self._start()
        with self._recorded.attempt(self._stopped):
            assets = [one.asset for one in session.decision.assets]
            self.result.incident = for_recovery(session.loaded, session.services, session.run.id, VERB, assets)
            session.opens_journal()
            if session.decision.under is not None:
                make_above(session.decision.under)
            view.begins(session.decision, session.elapsed())
            look_again(session, view)
            self._all(view)
        with self._recorded.conclusion():
            self._conclude()

    def _start(self) -> None:
        decision, told = self._session.decision, self._session.told
        self._recorded.begin(
            RecoverStart,
            moment=decision.moment,
            predicted=decision.predicted.recorded if decision.predicted else None,
            skew_s=decision.skew_s,
            resumes=self.result.resumes,
            decided_sha256=journal.sum_of(decision.journaled if told is None else told.decided),
            assets=[one.recorded() for one in decision.assets],
        )

    # --- all of it, side by side ----------------------------------------------------------------------

    def _all(self, view: View) -> None:
        """Whatever may be done now is done, side by side within processors and memory."""
        turns = self._turns()
        running: dict[Future[bool], Turn] = {}
        with interrupts.threads(at_once(os.cpu_count() or 1)) as pool:
            while True:
                for turn in list(self._begin(turns)):
                    turns.take(turn)
                    running[pool.submit(self._doing.do, turn, view)] = turn
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
        session = self._session
        names = [one.asset for one in session.decision.assets]
        beside = {name: [c.beside for c in session.job(name).checks if c.beside] for name in names}
        whole = [name for name, step in self.result.steps.items() if step.before]
        opens = [one.asset for one in self.left if one.starts]
        uncompared = [name for name in whole if not self._compared_before(name, set(beside[name]) & set(names))]
        after = {one.asset: one.after for one in session.decision.assets}
        return Turns(names, after, beside, whole, opens, uncompared)

    def _compared_before(self, asset: str, others: set[str]) -> bool:
        """Well, with all of these?"""
        past = self._session.past(asset)
        return not others - set(past.facts.get("compared", {}).get("with") or () if past is not None else ())

    def _begin(self, turns: Turns) -> Iterator[Turn]:
        """What may be done now, by the rule that foretold it: no more brought at once than `at_once` says, and than
        memory has room for; what stands there and is held open takes some of it."""
        bringing = [name for name, work in turns.running.items() if work is Work.BRING]
        held = turns.brought - turns.finished - turns.failed
        memory = self._memory - sum(self.result.steps[name].planned.memory for name in held)
        tasks = [Task(one.asset, 0.0, one.memory, one.after) for one in self._session.decision.assets]
        means = Means(at_once(os.cpu_count() or 1), memory)
        may = may_begin(tasks, means, turns.brought, bringing, turns.failed | turns.stopped.keys())
        for turn in list(turns.next()):
            if turn.work is not Work.BRING or turn.asset in may:
                yield turn

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
        session, result, services = self._session, self.result, self._session.services
        self._end_each()
        session.close()
        self._doing.ended()
        session.run.clear()
        result.left_behind += session.run.problems
        result.worked = session.elapsed()
        result.conclude()
        with contextlib.suppress(CcdrError):
            repoint(session.loaded, result, services, session.journal)
        result.hint = result.next_step or result.hint
        if session.journal is not None:
            with contextlib.suppress(CcdrError):  # told by whatever could not be written before
                session.journal.ended(result.state, services.clock.now(), result.worked, result.exit_code)
        result.record = self._recorded.end(result.ended())
        result.incident = result.incident.at(services.clock.now())
        wake(services)

    def _end_each(self) -> None:
        result = self.result
        for asset, step in result.steps.items():
            if step.state == "named":
                step.state, step.reason = "failed", f"it was not started: {result.reason or 'stopped'}"
            if step.state == "bringing":  # whole or not, there will be no more of it now
                one = self._session.open[asset]
                if one.result.reason is None and one.result.result != RESTORED:
                    one.stop(result.reason or "stopped", Unwatched())
                step.state, step.reason = "failed", one.result.reason
            if step.before and step.state == "done":
                clear(self._session, step.planned)
