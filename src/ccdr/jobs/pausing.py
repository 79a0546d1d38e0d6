"""A plan is paused while it is recovered: what cron and a shipper would do for it stands still. What a person asks for
by hand goes on, and so does whatever looks for tampering and for what vanished."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.ledger.ledger import BEGINNING, Mark
from ccdr.evidence.pauses import Pause, PausedSpan, Window, by_elapsed, in_force, take_pause, windows
from ccdr.evidence.payloads import payload
from ccdr.evidence.records import Record, StatementRecord
from ccdr.evidence.records.statements import ScheduleRef, Statement
from ccdr.host.clock import boot
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class PausedPlan:
    """A plan's pause, and the words that were written for it (None where they were taken back)."""

    plan: str
    pause: Pause
    why: str | None

    def as_json(self) -> dict[str, object]:
        return {"plan": self.plan, **self.pause.as_json(), "why": self.why}


def paused(services: Services) -> list[PausedPlan]:
    """Every plan that is paused now on this host. CcdrError where the ledger cannot be read."""
    now = services.clock.now()
    of_plans = ((plan, in_force(h.pauses, now)) for (plan, asset), h in services.histories().items() if asset is None)
    return [PausedPlan(plan, pause, payload(services.state, pause.why)) for plan, pause in of_plans if plan and pause]


def pause_of(services: Services, plan: str) -> PausedPlan | None:
    """The same of one plan."""
    return next((one for one in paused(services) if one.plan == plan), None)


def pause(loaded: LoadedPlan, services: Services, length: timedelta, why: str) -> PausedPlan:
    """From now on, recorded; the pause that lasts longest holds, whoever began it. CcdrError where the disk refuses:
    then nothing is paused."""
    plan, now = loaded.plan.plan, services.clock.now()
    newest = next(services.ledger.as_read(reverse=True), None)
    about = _schedule(services, newest.time if newest else None)
    until = (now + length).replace(microsecond=0)
    _record(loaded, stated(services, "pause", about, plan=plan, until=until, words=why), services)
    there = pause_of(services, plan)
    if there is None:  # shorter than what it took to write it down
        raise UsageProblem(f"the pause of {plan} is over already", hint="write a longer one: --for 1h")
    return there


def end(loaded: LoadedPlan, services: Services, why: str | None) -> list[PausedPlan]:
    """All pauses of this plan; those that this ended. UsageProblem where there is none."""
    plan, now = loaded.plan.plan, services.clock.now()
    history = services.histories().get((plan, None), AssetHistory())
    open_ones = [one for entry in history.pauses if (one := in_force([entry], now))]
    if not open_ones:
        raise UsageProblem(f"{plan} is not paused", hint="`ccdr pause` shows what is")
    _record(loaded, stated(services, "end", _schedule(services), plan=plan, words=why or None), services)
    return [PausedPlan(plan, one, payload(services.state, one.why)) for one in open_ones]


def _schedule(services: Services, after: datetime | None = None) -> ScheduleRef:
    return ScheduleRef(boot=boot(), elapsed_s=services.clock.monotonic(), after=after)


def _record(loaded: LoadedPlan, given: Statement[ScheduleRef], services: Services) -> None:
    record_statement(given, services, more={"tenant": loaded.plan.tenant_of(None)})


@dataclass
class Pauses:
    """Pauses as the ledger has them, asked again and again: only what was written since is read."""

    services: Services
    _of: dict[str, list[PausedSpan]] | None = None
    _mark: Mark = BEGINNING
    _lock: Lock = field(default_factory=Lock)

    def of(self, plan: str) -> Pause | None:
        """The pause of a plan that is in force now; none where the ledger cannot be read: that is told by the work."""
        return in_force(self._entries(plan), self.services.clock.now())

    def windows(self, plan: str) -> Sequence[Window]:
        """When it was paused, and is."""
        return windows(self._entries(plan))

    def _entries(self, plan: str) -> list[PausedSpan]:
        with self._lock:
            with contextlib.suppress(CcdrError):
                self._read_on()
            entries: list[PausedSpan] = (self._of or {}).get(plan, [])
            clock = self.services.clock
            by_elapsed(entries, clock.now(), clock.monotonic(), boot())
            return [*map(copy, entries)]

    def _read_on(self) -> None:
        ledger = self.services.ledger
        if self._of is None:
            mark = ledger.mark_of(ledger.head()) or BEGINNING
            histories = self.services.histories()
            self._of = {plan: history.pauses for (plan, asset), history in histories.items() if plan and asset is None}
            self._mark = mark
        for mark, record in ledger.after(self._mark):
            self._take(record)
            self._mark = mark

    def _take(self, record: Record) -> None:
        if not isinstance(record, StatementRecord) or not isinstance(record.about, ScheduleRef) or not record.plan:
            return
        assert self._of is not None
        spans = self._of.setdefault(record.plan, [])
        if record.seq not in {span.seq for span in spans}:
            take_pause(spans, record)
