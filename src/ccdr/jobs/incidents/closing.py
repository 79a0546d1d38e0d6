"""That an incident is over, as a person says; and that it is not."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import convert

from ccdr.evidence.incidents import NOTHING_TO_NOTIFY, STATED, asked_by, begun_by
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.incidents import IncidentClosed, IncidentOpened, OfTenant
from ccdr.evidence.records.values import code
from ccdr.host.built import built
from ccdr.host.clock import boot
from ccdr.jobs.incidents.assessing import Assessment, begun
from ccdr.jobs.incidents.facts import Known
from ccdr.jobs.incidents.noting import assess
from ccdr.jobs.incidents.opening import standing_of
from ccdr.jobs.incidents.recording import clocks_of, noted, of, recorded
from ccdr.jobs.incidents.requiring import (
    against_risk,
    require_begun_in_time,
    require_clocks,
    require_in_time,
    require_no_risk,
    require_open,
)
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import utc
from ccdr.plans.incident_clocks import LoadedClocks, load_clocks


def close(
    one: Known,
    services: Services,
    cause: str,
    effects: str,
    remedy: str,
    not_due: Sequence[str] = (),
    said: Assessment | None = None,
    clocks: LoadedClocks | None = None,
) -> Known:
    """It is over. `clocks` are asked for where `said` names a risk. UsageProblem where something is left to be
    notified, unless that is said not to be due, or nothing has happened (a rehearsal, a false alarm); where it is
    overdue, or the risk that was noted is against it."""
    require_open(one)
    risk = (said.risk if said else None) or one.incident.risk
    counting = begun_by(one.incident, risk)
    require_clocks(one, [name for name in not_due if name not in counting])
    if cause in NOTHING_TO_NOTIFY and (asked := asked_by(one.incident, risk)):
        raise against_risk(one, risk, f"a {cause.replace('_', ' ')} asks for no notice, and this risk for {asked[0]}")
    left = list(dict.fromkeys((*one.incident.unsettled, *counting)))
    settled = left if cause in NOTHING_TO_NOTIFY else [name for name in left if name in not_due]
    if lacking := [name for name in left if name not in settled]:
        waiting = [d.tenant for d in one.incident.duties if d.clock in lacking and d.tenant and not d.settled]
        whom, whose = (f" (to {', '.join(waiting)})", f" --tenant {waiting[0]}") if waiting else ("", "")
        raise UsageProblem(
            f"{one.name} still has to notify {', '.join(lacking)}{whom}",
            hint=f"record what was filed (`ccdr incident note {one.name} --filed {lacking[0]}{whose} --receipt FILE`), "
            f"or say that it is not due: --not-due {lacking[0]}; --effects then says why",
        )
    require_no_risk(one, risk, settled)
    require_in_time(one, services, settled)
    if said:
        known = clocks or load_clocks(None)
        require_begun_in_time(one, services, risk, begun(one, said.risk, known), settled)
        one = assess(one, services, said, known)
    closed = IncidentClosed(
        **of(one),
        cause=code(cause),
        effects_sha256=keep_payload(services.state, effects),
        remedy_sha256=keep_payload(services.state, remedy),
        not_due=settled,
    )
    return recorded(one, services, closed)


def reopen(one: Known, services: Services, why: str) -> Known:
    """It is open once more, by a record of its own: what was filed stays so, and its other clocks count as they did."""
    if one.incident.open:
        raise UsageProblem(f"{one.name} is open", hint=f"`ccdr incident note {one.name}` adds to it")
    first, forgotten = one.records[0], standing_of(services, one.plan, one.name) is None
    opened = IncidentOpened(
        **of(one),
        aware_at=utc(first["aware_at"]),
        role=first["role"],
        timezone=first["timezone"],
        kinds=[code(kind) for kind in one.incident.kinds],
        by="person",
        tenants=convert(first.get("tenants") or [], built(list[OfTenant])),
        clocks=clocks_of(_due_again(one)),
        reopens=one.incident.closed,
        why_sha256=keep_payload(services.state, why),
        boot=boot(),
        elapsed_s=services.clock.monotonic(),
    )
    again = recorded(one, services, opened)
    if forgotten and one.incident.risk is not None:  # the summary learns of it once more
        return noted(again, services, what="assessed", risk=one.incident.risk)
    return again


def _due_again(one: Known) -> list[dict[str, object]]:
    """The clocks that nobody has filed, nor has said before the closing that they are not due: whoever has forgotten
    the incident since, as it was closed so long ago, learns of them."""
    due = {duty.clock for duty in one.incident.duties if not duty.settled or duty.not_due_by == one.incident.closed}
    kept = ((name, stated) for name, stated in one.entry["clocks"].items() if name in due)
    return [{"clock": name, **{key: stated[key] for key in STATED if stated[key] is not None}} for name, stated in kept]
