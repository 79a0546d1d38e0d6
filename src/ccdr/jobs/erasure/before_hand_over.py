"""The one call that a restore for real makes: the register is read before anything is done, and replayed once what was
restored has passed its checks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ccdr.evidence.records import ErasureReplay
from ccdr.host import interrupts
from ccdr.host.clock import timed
from ccdr.jobs.erasure.replay import GLASS, Outcome, Replaying, StillHeld
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import so_many
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.listing import OURS, RepoSnapshot

if TYPE_CHECKING:  # a restore reads this module, too
    from ccdr.jobs.restore.ways import Held, Order

RESTORE, RECOVER = "restore", "recover"
Beside = Callable[..., "AbstractContextManager[Held | None]"]


def _opened(order: Order, listed: Sequence[RepoSnapshot]) -> Replaying:
    request, job = order.request, order.job
    purpose = RECOVER if request is not None and request.goes_on else RESTORE
    run = order.run.id
    return Replaying.opened(
        order.services, job.loaded, job.asset, run, purpose, order.repo, listed, order.snapshot, order.manifest
    )


@dataclass
class BeforeHandOver:
    """Of one restore: by the register as it was when that was looked at, and again when it is to be handed over."""

    order: Order
    listed: Sequence[RepoSnapshot]
    replaying: Replaying

    @classmethod
    def of(cls, order: Order, listed: Sequence[RepoSnapshot]) -> BeforeHandOver:
        """StillHeld where it could never be handed over, and nobody breaks the glass: that is told before hours go into
        it."""
        one = cls(order, listed, _opened(order, listed))
        if one.replaying.due:
            one._tell()
        if others := one.replaying.only_in_others:
            order.result.findings.append(
                f"people were erased of {', '.join(others)}, of the same server, and nobody of {order.job.asset}: they "
                f"come back with it. `ccdr erasure add {order.job.plan}` for each of them, and restore again; or erase "
                "them in what is there"
            )
        return one

    def due(self) -> bool:
        """Is there anybody to erase? Whoever was added while it was loaded counts."""
        order, repo = self.order, self.order.repo
        with contextlib.suppress(CcdrError):  # it was there when all this began
            if repo.holds_others_than(self.listed):
                self.listed = repo.snapshots([OURS, f"plan={order.job.plan}"])
                self.replaying = _opened(order, self.listed)
        return self.replaying.due

    @property
    def _glass(self) -> str | None:
        return self.order.request.despite_erasures if self.order.request is not None else None

    @property
    def _dumped(self) -> bool:
        """Are files handed over that no server has loaded?"""
        request = self.order.request
        into_directory = request is not None and not request.is_url and request.new_server is None
        return into_directory and self.order.engine.has_server

    def _tell(self) -> None:
        replaying, notes = self.replaying, self.order.result.notes
        if replaying.bad is None and not self._dumped:
            canaries = sum(one.canary for one in replaying.entries)
            people = len(replaying.entries) - canaries
            stay = f"; {so_many(canaries, 'canary', 'canaries')} of it is looked for and stays" if canaries else ""
            notes.append(
                f"erases {so_many(people, 'entry', 'entries')} of the register of erasures from it, before it is "
                f"handed over{stay}"
            )
        elif self._glass is None:
            outcome = replaying.impossible()
            raise StillHeld(outcome.reason or "", hint=outcome.hint)
        else:
            notes.append("the glass was broken: erased people may be in what is handed over")

    def replay(self, beside: Beside, at: datetime | None, progress: Progress) -> None:
        """StillHeld where it must not be handed over."""
        order, replaying = self.order, self.replaying
        progress.step(f"erasing who was erased at the source of {order.job.asset}")
        with timed(order.services.clock, order.result.phases, "erase"):
            outcome = self._outcome(beside, at)
        order.result.checks.append(outcome.check)
        order.result.notes += map(str, outcome.findings)
        glass = self._glass if outcome.reason is not None else None
        with interrupts.deferred():
            replaying.record(outcome, broken_glass=glass)
        if outcome.reason is not None and glass is None:
            raise StillHeld(outcome.reason, hint=outcome.hint or GLASS)

    def _outcome(self, beside: Beside, at: datetime | None) -> Outcome:
        if self.replaying.bad is not None or self._dumped:
            return self.replaying.impossible()
        with beside(programs=self.order.engine.in_sandbox) as held:
            if held is None:
                return self.replaying.impossible()
            request = self.order.request
            in_part = request is not None and bool(request.parts)
            return self.replaying.replay(held.restored, held.context, at, in_part=in_part)


def erased_from(services: Services, job: Job, snapshot: str) -> bool:
    """Was anybody erased from what was last handed over of it? Then it is not what was captured any more."""
    for record in services.ledger.newest(ErasureReplay):
        if not isinstance(record, ErasureReplay) or record.purpose == "test":
            continue
        if (record.plan, record.asset) == (job.plan, job.asset):
            return record.snapshot == snapshot and any(not one.kept for one in record.found)
    return False
