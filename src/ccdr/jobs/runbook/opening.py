"""A run is begun, gone on with, or taken over from another host: each by one process at a time, and no command of a
plan from a repository before a person here has seen it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from ccdr.evidence.records import RunbookStart
from ccdr.host.files import write_durably
from ccdr.jobs.runbook.events import Event, written
from ccdr.jobs.runbook.journal import (
    Forged,
    Journal,
    SharedState,
    Taken,
    directory,
    events_of,
    newest_of,
    read_sealed,
    somebody_else,
)
from ccdr.jobs.runbook.seals import VERB, Seals, bare
from ccdr.jobs.runbook.states import Standing
from ccdr.jobs.sealing import key_of
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Locked, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import Command as CommandStep
from ccdr.plans.runbook_made import Runbook, runbook_of
from ccdr.plans.trust import Command

# Commands of a plan that came from a repository: none runs before a person here has seen it.


def commands_of(runbook: Runbook) -> list[Command]:
    """Those that its steps would run on this host; of one that ccdr made from the plan there are none but ccdr's."""
    if runbook.made:
        return []
    steps = ((name, step) for name, step in runbook.steps.items() if isinstance(step, CommandStep))
    return [Command.of(f"runbook.{name}.argv", step.argv) for name, step in steps]


START = "runbook.start"
VAULT = 20.0  # seconds that a `password_command` may be silent
_SECOND = len("20261128T062056")  # what a run's id tells of when it was begun


class TakenOver(Locked):
    """Another host goes on with it; that is written down in this host's `journal`, and not yet in its ledger."""

    def __init__(self, why: Locked, journal: Journal) -> None:
        super().__init__(str(why), hint=why.hint)
        self.journal = journal


def after(newest: str | None, draw: Callable[[], str]) -> str:
    """A run's id that sorts after the `newest` where both are of one second: else the other would stay the newest."""
    run = draw()
    while newest is not None and run[:_SECOND] == newest[:_SECOND] and run <= newest:
        time.sleep(0.05)
        run = draw()
    return run


@dataclass
class Desk:
    """One plan's runbook on this host, and where its state is shared."""

    loaded: LoadedPlan
    services: Services
    shared: SharedState | None = None
    tell: Callable[[str], None] = lambda _: None
    _unsealed: dict[str, bool] = field(default_factory=dict, init=False)  # was a run begun so?

    @cached_property
    def seals(self) -> Seals | None:
        """None, and told, where the repository's password cannot be had: an emergency waits for no vault."""
        patient = self.services.host.with_(no_progress=VAULT)
        made = Seals(self.plan, key_of(self.loaded, patient, VERB))
        try:
            made.key()
        except CcdrError as error:
            self.tell(
                f"what this run writes down bears no seal, so that whoever may write there may change it: {error}"
            )
            return None
        return made

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def runbook(self) -> Runbook:
        return runbook_of(self.loaded.plan)

    def newest(self) -> tuple[str, Standing] | None:
        """The newest run that this host knows."""
        found = newest_of(self.services.state, self.plan)
        return found and (found[0], Standing(self.runbook, found[1], self._at_work(found[1])))

    def _at_work(self, events: list[Event]) -> str | None:
        """The session that goes on now, on this host."""
        if not self.services.state.held(self.plan, "", VERB):
            return None
        return next((e.session for e in reversed(events) if e.what in ("begun", "session", "taken_over")), None)

    def elsewhere(self, *, whole: bool = False) -> tuple[str, Standing] | None:
        """The newest run in the bucket that has not ended, and that this host does not hold; up to what is not believed
        in it, or (`whole`) Forged. CcdrError where the bucket does not answer."""
        if self.shared is None:
            return None
        for run in reversed(self.shared.runs()):
            try:
                events = self.shared.events(run)
            except Forged as error:
                if (events := error.before) and whole:
                    raise
                self.tell(str(error))
            if not events:  # somebody has put there what is no run: it hides none
                continue
            standing = Standing(self.runbook, events, events[-1].session if events else None)
            mine = events_of(self.services.state, self.plan, run)
            if standing.ended is not None:
                return None
            held_here = mine[: len(events)] == events[: len(mine)] and bool(mine) and mine[-1].what != "lost"
            return None if held_here and len(events) <= len(mine) else (run, standing)
        return None

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """While one process is at it. Locked, with who that is, where another one is."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.services.state.lock(self.plan, "", VERB))
            except Locked:
                found = newest_of(self.services.state, self.plan)
                raise somebody_else(_last_session(found[1]) if found else None) from None
            yield

    def begin(self) -> Journal:
        """A new run. UsageProblem where one is open here, Locked where one is elsewhere."""
        found = self.newest()
        if found is not None and found[1].ended is None and not _lost(found[1]):
            begun = rfc3339(found[1].events[0].time.replace(microsecond=0))
            raise UsageProblem(
                f"a run of this runbook was begun at {begun}, and has not ended",
                hint=f"`ccdr runbook resume {self.plan}` goes on with it; `ccdr runbook run {self.plan} --afresh "
                '--why "…"` ends it and begins anew',
            )
        try:
            other = self.elsewhere()
        except CcdrError as error:
            self.tell(f"whether another host carries it out cannot be told: {error}")
            other = None
        if other is not None:
            raise somebody_else(_last_session(other[1].events))
        draw = partial(self.services.state.run_id, self.services.clock)
        journal = self._journal(after(found[0] if found else None, draw), [])
        journal.append("begun", runbook=self.runbook.sha256, plan_sha256=self.loaded.sha256)
        journal.append("session")
        return journal

    def resume(self) -> Journal:
        """Go on with the newest run. UsageProblem where there is none, or it has ended; Locked where another host
        does."""
        journal = self.opened()
        journal.append("session", runbook=self.runbook.sha256, plan_sha256=self.loaded.sha256)
        return journal

    def opened(self) -> Journal:
        """The newest run's journal, whoever it is that goes on with it being ours."""
        found = self.newest()
        if found is None or found[1].ended is not None:
            other = None
            with contextlib.suppress(CcdrError):
                other = self.elsewhere()
            if other is not None:
                raise somebody_else(_last_session(other[1].events))
            when = f": the last one ended at {rfc3339(found[1].events[-1].time)}" if found else ""
            raise UsageProblem(
                f"no run of this runbook is open{when}", hint=f"`ccdr runbook run {self.plan}` begins one"
            )
        run, standing = found
        self.require_believed(run)
        if lost := _lost(standing):
            raise Locked(
                lost.reason or "another host carries the runbook out",
                hint=f"`ccdr runbook take-over {self.plan}` takes it back",
            )
        journal = self._journal(run, list(standing.events))
        try:
            journal.behind()
        except Locked as error:
            journal.let_go(error)
            raise TakenOver(error, journal) from None
        return journal

    def require_believed(self, run: str) -> None:
        """Forged where a line of this host's journal was not written by a ccdr that had the repository's password;
        CcdrError where nobody can tell. Without seals goes a run only that this host's ledger says was begun so."""
        path, before = self.path_of(run), list[Event]()
        for event in read_sealed(path):
            if event.seal and self.seals is None:
                raise CcdrError(
                    f"whether ccdr wrote {path} cannot be told without the repository's password",
                    hint=f"see that it can be had; or {self._afresh}",
                )
            if not self._is_believed(run, event):
                hint = f"was the password changed since? Else who may write there? {self._afresh}"
                raise Forged(f"line {event.seq} of {path}", hint, before)
            before.append(bare(event))

    def doubts(self, run: str) -> list[str]:
        """As `require_believed` says it, for who only looks: no command is asked for a password then."""
        if self.loaded.plan.repository.password_file is None:
            return []
        try:
            self.require_believed(run)
        except CcdrError as error:
            return [str(error)]
        return []

    @property
    def _afresh(self) -> str:
        return f'`ccdr runbook run {self.plan} --afresh --why "…"` begins anew'

    def _is_believed(self, run: str, event: Event) -> bool:
        if event.seal:
            return self.seals is not None and self.seals.good(run, event)
        return self._began_unsealed(run)

    def _began_unsealed(self, run: str) -> bool:
        if run not in self._unsealed:
            records = self.services.ledger.as_read(reverse=True)
            begun = next((r for r in records if isinstance(r, RunbookStart) and r.run == run), None)
            self._unsealed[run] = begun is not None and begun.sealed is False
        return self._unsealed[run]

    def only_believed(self, run: str, before: Sequence[Event]) -> Journal | None:
        """Put the journal aside, and keep of it what is believed; None where that is nothing."""
        path = self.path_of(run)
        path.replace(path.with_suffix(f".{secrets.token_hex(3)}.forged"))
        if not before or self.seals is None:
            return None
        self._write_all(run, before)
        return self._journal(run, list(before))

    def _write_all(self, run: str, events: Sequence[Event]) -> None:
        seals = self.seals
        sealed = events if seals is None else [seals.sealed(run, event) for event in events]
        write_durably(self.path_of(run), b"".join(map(written, sealed)))

    def take_over(self) -> Journal:
        """Go on with what another host has begun: from now on that one may not. UsageProblem where nothing is there to
        be taken."""
        if self.shared is None:
            raise UsageProblem(
                "the plan names no `runbook_state:`, so that no other host's runbook can be seen from here",
                hint=f"what this host has begun goes on with `ccdr runbook resume {self.plan}`",
            )
        other = self.elsewhere(whole=True)
        if other is None:
            raise UsageProblem(
                "no other host's run of this runbook is open", hint="`ccdr runbook status` shows what there is"
            )
        run, standing = other
        path = directory(self.services.state, self.plan) / f"{run}.jsonl"
        if path.exists():  # what this host had begun itself, before another one took it
            path.replace(path.with_suffix(f".{secrets.token_hex(3)}.lost"))
        journal = self._journal(run, [])
        taken = journal.as_next_of(standing.events, "taken_over")
        try:
            self.shared.put(run, taken)
        except Taken:
            raise somebody_else(_last_session(self.shared.events(run))) from None
        self._write_all(run, (*standing.events, taken))
        return self._journal(run, [*standing.events, taken])

    def _journal(self, run: str, events: list[Event]) -> Journal:
        session = secrets.token_hex(6)
        if events and events[-1].what == "taken_over" and events[-1].pid == os.getpid():
            session = events[-1].session  # the same process goes on
        return Journal(
            path=self.path_of(run),
            run=run,
            clock=self.services.clock,
            session=session,
            by=self.services.ledger.actor,
            host=self.services.ledger.host,
            shared=self.shared,
            seals=self.seals,
            events=events,
            shared_up_to=len(events) if events and events[-1].what == "taken_over" else 0,
            tell=self.tell,
        )

    def path_of(self, run: str) -> Path:
        self.services.state.directory("runbook")
        return directory(self.services.state, self.plan) / f"{run}.jsonl"

    def changed(self, standing: Standing) -> str | None:
        """A note where the runbook is not the one that was begun."""
        of = next((e.runbook for e in reversed(standing.events) if e.runbook), "")
        if of in ("", self.runbook.sha256):
            return None
        return "the plan's runbook was changed since: what is done stays done, the rest is as it stands there now"


def _lost(standing: Standing) -> Event | None:
    last = standing.events[-1]
    return last if last.what == "lost" else None


def _last_session(events: Sequence[Event]) -> Event | None:
    return next((e for e in reversed(events) if e.what in ("begun", "session", "taken_over")), None)
