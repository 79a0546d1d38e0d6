"""An asset's turn: which may be next, and what is done with it: it is brought, compared with others, given its name,
opened.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Lock
from types import MappingProxyType
from typing import Protocol, cast

from ccdr.checks.base import CheckConfig, looked_at
from ccdr.host.state import Run, State
from ccdr.jobs.recover.first_look import as_facts
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.recover.result import StepResult
from ccdr.jobs.recover.session import OfAsset, Session, View
from ccdr.jobs.recover.standing_assets import NotLookedAt, Standing
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.request import RESTORED, RestoreResult
from ccdr.jobs.restore.ways import Held, skipped
from ccdr.model.errors import CcdrError, TestBroken, failure_of
from ccdr.model.order import ready
from ccdr.model.values import CheckResult, Snapshot, Verdict
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext, Counterpart
from ccdr.ports.engine import Engine

# What of a recovery may be done next. Pure: the work is done elsewhere, and told of here.
#
# Of each asset: it is brought (with its own checks); then what compares it with another, or another with it, is done,
# as soon as both are there; then it gets its final name. Whoever depends on it waits for its checks. One that failed
# stops what depends on it, and what would have been compared with it is done without.


class Work(StrEnum):
    BRING = "bring"
    COMPARE = "compare"
    FINISH = "finish"
    OPEN = "open"


@dataclass(frozen=True)
class Turn:
    work: Work
    asset: str


@dataclass
class Turns:
    """`after` says what each depends on, `beside` whom it is compared with, by itself; `order` is in which order they
    are begun. Names in `whole` were brought and named before; those in `opens` are opened once they are named. Those in
    `uncompared` are of `whole`, and nobody has compared them well."""

    order: Sequence[str]
    after: Mapping[str, Collection[str]]
    beside: Mapping[str, Collection[str]]
    whole: Collection[str] = ()
    opens: Collection[str] = ()
    uncompared: Collection[str] = ()
    running: dict[str, Work] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    stopped: dict[str, str] = field(default_factory=dict)  # never begun, by what they depend on and failed

    def __post_init__(self) -> None:
        for name in self.whole:
            self.brought.add(name)
            self.finished.add(name)
        self.compared |= set(self.whole) - set(self.uncompared)

    def take(self, turn: Turn) -> None:
        self.running[turn.asset] = turn.work

    def done(self, turn: Turn, *, well: bool) -> None:
        del self.running[turn.asset]
        if not well:
            self.failed.add(turn.asset)
            self._stop()
            return
        {
            Work.BRING: self.brought,
            Work.COMPARE: self.compared,
            Work.FINISH: self.finished,
            Work.OPEN: self.opened,
        }[turn.work].add(turn.asset)

    def _stop(self) -> None:
        """All that depends on a failed one, directly or not."""
        more = True
        while more:
            more = False
            for name in self.order:
                bad = [other for other in self.after[name] if other in self.failed or other in self.stopped]
                if bad and name not in self._begun and name not in self.stopped:
                    self.stopped[name], more = bad[0], True

    @property
    def _begun(self) -> set[str]:
        return self.brought | self.failed | self.running.keys()

    def next(self) -> Iterator[Turn]:
        """All that may be done now, what ends work before what begins more of it."""
        for name in self.order:
            if name in self.running or name in self.failed or name not in self.brought:
                continue
            if name not in self.compared and self._comparable(name):
                yield Turn(Work.COMPARE, name)
            elif name in self.compared and name not in self.finished and self._free(name):
                yield Turn(Work.FINISH, name)
            elif name in self.compared & self.finished and name in self.opens and name not in self.opened:
                yield Turn(Work.OPEN, name)
        for name in ready(self.after, self.order, self.brought, {*self._begun, *self.stopped}):
            yield Turn(Work.BRING, name)

    def _comparable(self, name: str) -> bool:
        """Those that it is compared with are there, and nothing else is done with them; or will never be."""
        return all(
            other not in self.running and (other in self.brought or self._lost(other)) for other in self.beside[name]
        )

    def _lost(self, name: str) -> bool:
        return name in self.failed or name in self.stopped or name not in self.after

    def _free(self, name: str) -> bool:
        """Nobody will look at it any more, before it has its final name."""
        return not any(
            name in others and other not in self.compared and not self._lost(other)
            for other, others in self.beside.items()
        )


# Checks that compare two assets of one recovery, as both stand before they have their final names.


class Brought(Protocol):
    """One asset that stands somewhere, and may be looked at. `recovered`: by its log, to the instant `moment`."""

    @property
    def job(self) -> Job: ...

    @property
    def result(self) -> RestoreResult: ...

    @property
    def recovered(self) -> bool: ...

    @property
    def moment(self) -> datetime | None: ...

    def beside(self, *, programs: bool) -> AbstractContextManager[Held | None]: ...


@dataclass
class Comparing:
    """Of one recovery. What was found by name goes into its private notes."""

    run: Run
    state: State
    _compared: int = 0
    _noted: int = 0
    _lock: Lock = field(default_factory=Lock)

    def compare(
        self, one: Brought, others: Mapping[str, Brought], lacking: Mapping[str, str] = MappingProxyType({})
    ) -> list[CheckResult]:
        """The results of all checks of `one` that compare it. With an asset that is not among `others` nothing is
        compared: that is told. Nobody had asked for it; or it is `lacking`, for that reason."""
        results: list[CheckResult] = []
        for check in one.job.checks:
            if check.beside is None:
                continue
            if check.beside in lacking:
                results.append(skipped(check, lacking[check.beside], Verdict.INCONCLUSIVE))
                continue
            if check.beside not in others:
                results.append(skipped(check, f"{check.beside} is not brought back with it"))
                continue
            results += self._compared_with(check, one, others[check.beside])
        return results

    def _compared_with(self, check: CheckConfig, one: Brought, other: Brought) -> list[CheckResult]:
        try:
            with one.beside(programs=True) as mine, other.beside(programs=check.needs_sandbox_beside) as theirs:
                for asset, look in ((one.job.asset, mine), (other.job.asset, theirs)):
                    if look is None:
                        return [skipped(check, f"{asset} stands there as files: no server of it answers")]
                assert mine is not None and theirs is not None
                return list(self._looked(check, one, mine, other, theirs))
        except NotLookedAt as error:
            return [skipped(check, f"{check.beside}: {error}")]
        except (CcdrError, OSError) as error:  # two stores that could not be compared are no reason to have neither
            return [skipped(check, f"could not be compared: {error}", Verdict.INCONCLUSIVE)]

    def _looked(
        self, check: CheckConfig, one: Brought, mine: Held, other: Brought, theirs: Held
    ) -> Iterator[CheckResult]:
        engine, context = mine.restored, mine.context
        if not hasattr(engine, "export"):
            yield skipped(check, f"{one.job.asset} gives no rows in bulk where it stands")
            return
        if check.needs_sandbox_beside and theirs.context.box is None:
            raise TestBroken(f"{other.job.asset} has no sandbox in which its files could be looked at")
        counterpart = self.counterpart(one, context, other, theirs)
        asking = cast("Engine", engine)
        yield from looked_at(check, lambda: check.compare(asking, context, counterpart))

    def counterpart(self, one: Brought, context: CheckContext, other: Brought, theirs: Held) -> Counterpart:
        own, its = _snapshot(one), _snapshot(other)
        point = one.moment or own.consistent_point if one.recovered else context.point
        if point is None:
            raise TestBroken(f"the time of the point that {one.job.asset} was recovered to is not known")
        recovered = one.recovered
        shared = its.group if its.group == own.group and not recovered else None
        with self._lock:
            self._compared += 1
            work = self.run.directory(f"compared-{self._compared}")
        return Counterpart(
            asset=other.job.asset,
            snapshot=its,
            engine=other.job.engine,
            context=theirs.context,
            point=point,
            together=shared.run if shared else None,
            work=work,
            note=self._note,
            recovered=recovered,
        )

    def _note(self, reference: Mapping[str, object]) -> None:
        path = self.run.scratch / "private.jsonl"
        with self._lock, path.open("a", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(json.dumps(reference) + "\n")
            self._noted += 1

    def keep(self) -> None:
        """Where a person can read it: what was found by name."""
        if self._noted:
            with contextlib.suppress(OSError):
                self.state.keep_private(self.run.id, self.run.scratch / "private.jsonl")


def _snapshot(one: Brought) -> Snapshot:
    assert one.result.snapshot is not None
    return one.result.snapshot


class Doing:
    """Of all assets; each may be done in a thread of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._comparing = Comparing(session.run, session.services.state)
        self._standing: dict[str, Standing] = {}
        self._stands_alone = Lock()

    def do(self, turn: Turn, view: View) -> bool:
        """Did it go well?"""
        doing: Callable[[str, View], bool] = {
            Work.BRING: self._bring, Work.COMPARE: self._compare, Work.FINISH: self._finish, Work.OPEN: self._start
        }[turn.work]  # fmt: skip
        step = self._step(turn.asset)
        try:
            well = doing(turn.asset, view)
        except Exception as error:  # the journal's, or of what nobody foresaw: this asset's alone
            why = failure_of(error)
            step.reason, step.hint, well = why.reason, why.hint, False
            step.state = "failed"
        if not well:
            self._has_failed(step, view)
        return well

    def ended(self) -> None:
        """Nothing more is done: what was looked at where it stands is left, and what was found by name is kept."""
        session = self._session
        for standing in self._standing.values():
            session.result.left_behind += standing.result.left_behind
        self._comparing.keep()

    def _step(self, asset: str) -> StepResult:
        return self._session.result.steps[asset]

    def _has_failed(self, step: StepResult, view: View) -> None:
        asset, restore = step.planned.asset, step.restore
        if restore is not None and restore.reason is not None:
            step.reason, step.hint = restore.reason, restore.hint
        if (first := step.planned.spare_of) is not None:
            without = f"it is a spare: {first} has the same data, and all else is whole without it (`--except {asset}`)"
            step.hint = f"{without}; {step.hint}" if step.hint else without
        step.state = "failed"
        if asset in self._session.rooms:
            self._session.rooms[asset].close()
        view.phase(asset, "failed")

    # --- brought --------------------------------------------------------------------------------------

    def _bring(self, asset: str, view: View) -> bool:
        session, step = self._session, self._step(asset)
        one = session.open[asset]
        step.restore, step.state, step.began_s = one.result, "bringing", session.elapsed()
        view.phase(asset, "bringing")
        session.reached(asset, "begun", {"run": one.result.run})
        well = one.bring(OfAsset(view, asset))
        if well:
            session.reached(asset, "checked", as_facts(one.result))
        return well

    # --- compared -------------------------------------------------------------------------------------

    def _compare(self, asset: str, view: View) -> bool:
        session = self._session
        wanted = {check.beside for check in session.job(asset).checks if check.beside}
        if not wanted:
            return True
        step = self._step(asset)
        view.phase(asset, "comparing")
        there, lacking = dict[str, Brought](), dict[str, str]()
        for name in sorted(wanted & session.result.steps.keys()):
            try:
                there[name] = self._there(name, view)
            except CcdrError as error:
                lacking[name] = f"could not be compared with {name}: {error}"
        results = self._comparing.compare(self._there(asset, view), there, lacking)
        bad = [check.name for check in results if check.status is Verdict.FAIL]
        borne = bad if step.planned.spare_of is not None else []
        if borne:
            self._bear(step, borne)
        if step.before:
            step.compared, well = results, bad == borne
            step.reason = step.reason if well else f"checks failed: {', '.join(bad)}"
        else:
            well = session.open[asset].add(results, OfAsset(view, asset), borne)
        if well:
            known = all(check.status is not Verdict.INCONCLUSIVE for check in results)
            session.reached(asset, "compared", {"with": sorted(there) if known else []})
            if step.before:
                view.phase(asset, step.state)
        return well

    def _bear(self, step: StepResult, bad: Sequence[str]) -> None:
        """A spare that does not fit to other stores is told: what nobody starts is no reason to have nothing."""
        asset, first = step.planned.asset, step.planned.spare_of
        step.borne += bad
        self._session.result.notes.append(
            f"{asset}: it is a spare, and did not pass: {', '.join(bad)}. The recovery is whole without it: {first} is "
            f"what is started. `--except {asset}` leaves it out"
        )

    def _there(self, asset: str, view: View) -> Brought:
        """As it stands before it has its name; or, where it was brought before, by its name. CcdrError where it does
        not."""
        session, step = self._session, self._step(asset)
        if not step.before:
            if step.state != "bringing":
                raise TestBroken(f"{asset} could not be brought back")
            return session.open[asset]
        with self._stands_alone:
            if asset not in self._standing:
                one = session.stands(step.planned, session.room(asset))
                one.stand(OfAsset(view, asset))
                self._standing[asset] = one
            standing = self._standing[asset]
        if standing.way is None:
            raise TestBroken(f"no server of {asset} answers where it stands")
        return standing

    # --- named, and opened ----------------------------------------------------------------------------

    def _finish(self, asset: str, view: View) -> bool:
        session, step = self._session, self._step(asset)
        one = session.open[asset]
        view.phase(asset, "naming")
        well = one.finish(OfAsset(view, asset))
        if not well and one.result.result != RESTORED:
            return False
        session.reached(asset, "named", {"findings": one.result.findings})
        session.rooms[asset].close()
        step.state, step.start = "named", one.result.start
        if not step.planned.starts:
            self._over(step, view)
        return True

    def _start(self, asset: str, view: View) -> bool:
        """The new server is started by the plan's own command, and answers at its address."""
        step = self._step(asset)
        view.phase(asset, "opening")
        opening = self._opening(step.planned)
        if not opening.answers():  # it was started, and nobody had time to note it
            opening.start(step.planned.starts, OfAsset(view, asset))
        self._session.reached(asset, "opened", {})
        step.start = None
        self._over(step, view)
        return True

    def _over(self, step: StepResult, view: View) -> None:
        step.state, step.ended_s = "done", self._session.elapsed()
        view.phase(step.planned.asset, "done")

    def _opening(self, planned: Planned) -> Opening:
        new, services = planned.where.new_server, self._session.services
        assert new is not None
        catalogue, job = services.catalogue, self._session.job(planned.asset)
        manifest = next(
            catalogue.manifest(s) for s in catalogue.snapshots(job.plan, job.asset) if s.id == planned.snapshot
        )
        return Opening.of(job, new, manifest, services, self._session.run)
