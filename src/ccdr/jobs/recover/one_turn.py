"""What is done with one asset when its turn comes: it is brought, compared with others, given its name, opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from ccdr.jobs.recover.brought_before import as_facts
from ccdr.jobs.recover.comparing import Brought, Comparing
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.recover.result import StepResult
from ccdr.jobs.recover.session import Session
from ccdr.jobs.recover.standing import Standing
from ccdr.jobs.recover.turns import Turn, Work
from ccdr.jobs.recover.view import OfAsset, View
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.result import RESTORED
from ccdr.model.errors import CcdrError, TestBroken, failure_of
from ccdr.model.values import Verdict


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
