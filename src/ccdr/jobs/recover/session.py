"""One process's part of a recovery, as all share it that work on it; and what a person who watches wants to know."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ccdr.host.state import Run
from ccdr.jobs.recover import journal as journals
from ccdr.jobs.recover.asking import Asked
from ccdr.jobs.recover.journal import Journal, Progressed, Stage, Told
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import RecoveryResult, StepResult
from ccdr.jobs.recover.standing_assets import Of, Standing
from ccdr.jobs.restore import Restoring
from ccdr.jobs.sealing import key_of
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job

# What a person who watches a recovery wants to know. Implementations must be cheap and thread-safe.


class View(Protocol):
    def begins(self, decision: Decision, done: float) -> None:
        """The work begins; `done` seconds of the recovery lie behind (of an earlier process)."""

    def phase(self, asset: str, name: str) -> None:
        """The asset is in this phase now: `waiting`, `bringing`, `comparing`, `naming`, `opening`, `done`, `failed`."""

    def step(self, asset: str, text: str) -> None: ...

    def amount(self, asset: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class OfAsset:
    """`Progress` of one asset's work."""

    view: View
    asset: str

    def step(self, text: str) -> None:
        self.view.step(self.asset, text)

    def amount(self, done: int, total: int | None) -> None:
        self.view.amount(self.asset, done, total)


@dataclass(frozen=True)
class Known:
    """All plans that are known besides: their sources must not be touched either; and those that cannot be read.
    `despite_erasures`: why all of it is handed over though erased people may be in it."""

    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()
    despite_erasures: str | None = None


NONE_BESIDE = Known()


class Session:
    """`told` is the journal of what another process had begun, `asked` what the repositories told when it was decided.
    By asset: its restore, once it was looked at (`open`), and what is closed when nothing more is done with it
    (`rooms`)."""

    def __init__(
        self,
        loaded: LoadedPlan,
        decision: Decision,
        services: Services,
        run: Run,
        known: Known,
        told: Told | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.loaded, self.decision, self.services, self.run = loaded, decision, services, run
        self.known, self.told, self.asked = known, told, asked
        self.key = key_of(loaded, services.host, journals.VERB)
        objectives = loaded.plan.objectives
        own = {name: asset.objectives.rpo for name, asset in loaded.plan.assets.items()}
        steps = {one.asset: StepResult(one, own_rpo_s=own.get(one.asset)) for one in decision.assets}
        self.result = RecoveryResult(decision, run.id, objectives.rpo, objectives.rto, steps)
        told_before = ((one.asset, one.newer_elsewhere) for one in decision.assets)
        self.result.notes += [f"{asset}: {newer}" for asset, newer in told_before if newer is not None]
        self.open: dict[str, Restoring] = {}
        self.rooms: dict[str, contextlib.ExitStack] = {}
        self.journal: Journal | None = None
        self._began = services.clock.monotonic()
        self._was_away()

    @property
    def left(self) -> list[Planned]:
        """What is still to be done."""
        return [step.planned for step in self.result.steps.values() if step.state != "done"]

    def job(self, asset: str) -> Job:
        return Job(self.loaded, asset)

    def room(self, asset: str) -> contextlib.ExitStack:
        """A new one for this asset."""
        self.rooms[asset] = contextlib.ExitStack()
        return self.rooms[asset]

    def stands(self, planned: Planned, room: contextlib.ExitStack) -> Standing:
        """What an earlier process had brought, where it stands now."""
        assert self.told is not None
        of = Of.told(self.told, planned.asset)
        return Standing(planned, self.job(planned.asset), self.services, self.run, room, of=of)

    def close(self) -> None:
        for room in self.rooms.values():
            room.close()

    # --- what was reached -----------------------------------------------------------------------------

    def begins(self) -> None:
        """The work, and its clock. That all was looked at again took its time, too."""
        self._began = self.services.clock.monotonic()
        self._was_away()

    def _was_away(self) -> None:
        """Until now nothing was at work on what another process had begun."""
        if self.told is not None:
            away = self.told.away_until(journals.this_moment(self.services.clock.now(), self._began))
            self.result.resumes, self.result.away, self.result.untimed = self.told.run, away.seconds, away.unknown

    def opens_journal(self) -> None:
        """CcdrError where it cannot be written: then nothing is begun."""
        now, monotonic = self.services.clock.now(), self.services.clock.monotonic
        if self.told is not None:
            self.journal = Journal.again(self.told, self.key, monotonic)
        else:
            decided = {"began": rfc3339(now), "plan_sha256": self.loaded.sha256, **self.decision.journaled}
            self.journal = Journal.begin(self.services.state, self.run.id, decided, self.key, monotonic)
        self.journal.session(now, self.services.ledger.actor)

    def past(self, asset: str) -> Progressed | None:
        """How far an earlier process came with it."""
        return self.told.assets.get(asset) if self.told is not None else None

    def elapsed(self) -> float:
        """Seconds that ccdr was at work on this recovery."""
        before = self.told.worked if self.told is not None else 0.0
        return before + self.services.clock.monotonic() - self._began

    def reached(self, asset: str, stage: Stage, facts: Mapping[str, object]) -> None:
        assert self.journal is not None
        self.journal.reached(asset, stage, self.services.clock.now(), self.elapsed(), facts)
