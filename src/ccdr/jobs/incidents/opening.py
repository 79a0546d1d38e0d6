"""Opens an incident: a person does, or a recovery, which is never delayed or failed by that."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.incidents import Entry, Incident, due_after, incidents_of, open_one
from ccdr.evidence.judgement.incidents import Clocks, IncidentNow
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.incidents import IncidentOpened, IncidentRecovery, OfTenant, RecordedClock
from ccdr.evidence.records.values import code, recorded_user
from ccdr.host.clock import boot
from ccdr.jobs import in_force
from ccdr.jobs.services import Services, wake
from ccdr.model.deadlines import deadline, year_end
from ccdr.model.errors import FileProblem, PlanInvalid, UsageProblem, failure_of
from ccdr.model.schema import zone_of
from ccdr.model.values import AHEAD, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.incident_clocks import LoadedClocks, clocks_beside, load_clocks, stated_of, unknown_of


@dataclass(frozen=True)
class Told:
    """What a recovery says of its incident: `standing` is None where there could be none, and `why` then says why, or
    what else is to be known. `opened`: it was opened for this one."""

    standing: IncidentNow | None = None
    why: str | None = None
    opened: bool = False

    @property
    def lines(self) -> list[str]:
        """For people: which it is, and what is due next; or why there is none."""
        offer = [if_rehearsed(self.standing.incident.name)] if self.opened and self.standing else []
        return [*([str(self.standing)] if self.standing else []), *offer, *([self.why] if self.why else [])]

    def at(self, now: datetime) -> Told:
        """The same, some time later."""
        return self if self.standing is None else replace(self, standing=replace(self.standing, now=now))

    def as_json(self) -> dict[str, object] | None:
        return None if self.standing is None else self.standing.as_json()


def if_rehearsed(name: str) -> str:
    """The line that closes an incident of which nothing is to be notified."""
    close = f'`ccdr incident close {name} --cause rehearsal --effects "none" --remedy "none needed"`'
    return f"only a rehearsal? {close} closes it, and nothing is to be notified"


def open_by_hand(
    loaded: LoadedPlan,
    services: Services,
    kinds: Sequence[str],
    why: str,
    aware: datetime | None = None,
    recovery: str | None = None,
) -> Incident:
    """Open from now on; its clocks count since `aware`. `recovery`: the run that it is opened for. PlanInvalid, with
    every mistake, where the clocks are wrong; UsageProblem where the time is yet to come; CcdrError where the disk
    refuses."""
    now = services.clock.now()
    if aware is not None and aware > now + AHEAD:
        raise UsageProblem(
            f"--aware-at {rfc3339(aware)} is in the future: it is {rfc3339(now)} now",
            hint="a time without a zone is in the plan's `timezone:`",
        )
    clocks = clocks_beside(loaded.path.parent)
    if wrong := unknown_clocks(loaded, clocks):
        raise PlanInvalid(wrong, hint="`ccdr incident clocks` lists those that there are")
    in_force.record(loaded, services)
    named = list(clocks.value.of(loaded.plan.incidents))
    opened = structs.replace(
        _opened(loaded, services, clocks, named, aware or now, "person", recovery),
        kinds=[code(kind) for kind in kinds],
        why_sha256=keep_payload(services.state, why),
    )
    return _written(opened, services)


def for_recovery(
    loaded: LoadedPlan, services: Services, run: str, by: str, assets: Collection[str] | None = None
) -> Told:
    """The incident that a recovery of these assets (None: of any) belongs to: the one that tells of it already, or one
    that is open and concerns the same tenants, in which it is noted, or a new one. Whatever goes wrong with that is
    told, and hinders nothing: it raises nothing but an interrupt."""
    plan = loaded.plan.plan
    try:
        tenants = tenants_of(loaded, assets)
        entries, now = services.histories().get((plan, None), AssetHistory()).incidents, services.clock.now()
        if told := next((one for one in incidents_of(plan, entries, now) if run in one.runs), None):
            return Told(standing_of(services, plan, told.name))
        if there := open_one(plan, entries, now, [one.tenant for one in tenants]):
            noted = IncidentRecovery(
                plan=plan,
                run=run,
                incident=there.name,
                recovery=run,
                tenant=there.tenant,
                who=recorded_user(),
            )
            services.ledger.write(noted)
            return Told(standing_of(services, plan, there.name))
        clocks, why = _clocks_for_recovery(loaded)
        known = clocks.value.clocks
        names = [n for n in clocks.value.of(loaded.plan.incidents) if n in known and known[n].since != "stated"]
        opened = _opened(loaded, services, clocks, names, now, by, run)
        new = _written(structs.replace(opened, tenants=tenants), services)
        return Told(standing_of(services, plan, new.name), why, opened=True)
    except Exception as error:  # whatever it was: what is to be brought back does not wait for it
        reason = failure_of(error).reason
        step = f'`ccdr incident open {plan} --kind availability --why "…" --recovery {run}` opens it'
        return Told(why=f"no incident could be recorded for this recovery: {reason}; {step}")


def standing_of(services: Services, plan: str, name: str) -> IncidentNow | None:
    """As it stands now; None where the ledger's histories do not tell of it (any more)."""
    entries = services.histories().get((plan, None), AssetHistory()).incidents
    clocks = Clocks(services.clock.now(), services.clock.monotonic(), boot())
    there = next((one for one in incidents_of(plan, entries, clocks.now) if one.name == name), None)
    return None if there is None else IncidentNow(there, clocks.of(entries[name]))


def unknown_clocks(loaded: LoadedPlan, clocks: LoadedClocks) -> list[FileProblem]:
    """Clocks that the plan names and that there are not, or that no incident has from the beginning."""
    named, known = loaded.plan.incidents.clocks or (), clocks.value.clocks
    found = [*unknown_of(named, known), *stated_of(named, known)]
    where = [(("incidents", "clocks", index), message) for index, message in found]
    return [FileProblem(str(loaded.path), loaded.line(at), f"incidents.clocks[{at[2]}]", f"{text} ({clocks.shown})")
            for at, text in where]  # fmt: skip


def recorded_clocks(clocks: LoadedClocks, names: Iterable[str], aware: datetime, zone: str) -> list[RecordedClock]:
    """As a record has them: each counts from `aware`, from the end of that year, or from when another of them is filed,
    which counts as well though nobody named it."""
    known, wanted, there = clocks.value.clocks, clocks.value.complete(names), zone_of(zone)

    def recorded(name: str) -> RecordedClock:
        one, length = known[name], known[name].length
        of_year = one.since == "year_end"
        start = year_end(aware, there) if of_year else aware
        return RecordedClock(
            clock=name,
            law=one.law,
            to=one.to,
            due=None if one.after else deadline(start, length, there),
            after=one.after,
            year_end=of_year,
            within_s=length.seconds,
            days=length.days,
            months=length.months,
            before_s=one.before,
        )

    return [recorded(name) for name in wanted]


def clocks_in(entry: Entry) -> dict[str, RecordedClock]:
    """By name: those that the incident has, as they were recorded."""
    return {name: structs.replace(own.stated, due=own.due, after=own.after) for name, own in entry.clocks.items()}


def as_it_counts(entry: Entry, stated: RecordedClock) -> RecordedClock:
    """A clock that the incident has already is due when it was, whatever the file says of it now."""
    return clocks_in(entry).get(stated.clock, stated)


def after_filing(incident: Incident, stated: RecordedClock, zone: str) -> RecordedClock:
    """Of a clock that is counted from what was filed already: when it is due."""
    filed = {duty.clock: duty.filed_at for duty in incident.duties if duty.filed_at is not None}
    at = filed.get(stated.after or "")
    return stated if at is None else structs.replace(stated, due=due_after(at, stated, zone))


def _clocks_for_recovery(loaded: LoadedPlan) -> tuple[LoadedClocks, str | None]:
    """Those that are asked for; where that cannot be had, ccdr's own, and why."""
    try:
        clocks = clocks_beside(loaded.path.parent)
    except (PlanInvalid, UsageProblem) as error:
        where = str(error.problems[0]) if isinstance(error, PlanInvalid) else str(error)
        return load_clocks(None), f"the incident has ccdr's own clocks, as yours are wrong: {where}"
    if wrong := unknown_clocks(loaded, clocks):
        return clocks, f"the incident lacks a clock: {wrong[0]}"
    return clocks, None


def _opened(
    loaded: LoadedPlan,
    services: Services,
    clocks: LoadedClocks,
    names: Sequence[str],
    aware: datetime,
    by: str,
    recovery: str | None,
) -> IncidentOpened:
    """Whatever was breached, at least what is brought back was not available."""
    plan, now = loaded.plan, services.clock.now()
    return IncidentOpened(
        plan=plan.plan,
        run=recovery,
        incident=f"inc-{now:%Y%m%d}-{secrets.token_hex(3)}",
        by=code(by),
        kinds=["availability"],
        aware_at=aware,
        role=plan.incidents.role,
        timezone=plan.timezone,
        tenants=tenants_of(loaded),
        clocks=recorded_clocks(clocks, names, aware, plan.timezone),
        clocks_sha256=clocks.sha256,
        recovery=recovery,
        boot=boot(),
        elapsed_s=services.clock.monotonic(),
        tenant=plan.tenant_of(None),
        who=recorded_user(),
    )


def tenants_of(loaded: LoadedPlan, assets: Collection[str] | None = None) -> list[OfTenant]:
    """Whose data the plan, or these assets of it, hold, and in which of them, as a record has it."""
    found: dict[str, list[str]] = {}
    for asset in (one for one in loaded.plan.assets if assets is None or one in assets):
        found.setdefault(loaded.plan.tenant_of(asset), []).append(asset)
    return [OfTenant(tenant=tenant, assets=held) for tenant, held in found.items()]


def _written(opened: IncidentOpened, services: Services) -> Incident:
    services.ledger.write(opened)
    wake(services)
    entries = services.histories()[opened.plan, None].incidents
    return next(one for one in incidents_of(opened.plan, entries, services.clock.now()) if one.name == opened.incident)
