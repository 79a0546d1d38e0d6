"""What a person says of an incident later: a note, that a notification was filed or is not due."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

from ccdr.evidence.incidents import AHEAD
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.incidents import DueThen, IncidentFiled
from ccdr.jobs.incidents.assessing import Assessment, begun
from ccdr.jobs.incidents.facts import Known
from ccdr.jobs.incidents.opening import after_filing, as_it_counts, length_of, recorded_clocks
from ccdr.jobs.incidents.recording import clocks_of, noted, of, recorded
from ccdr.jobs.incidents.requiring import require_clocks, require_no_risk, require_open, require_tenant
from ccdr.jobs.services import Services
from ccdr.model.deadlines import deadline
from ccdr.model.errors import UsageProblem
from ccdr.model.schema import zone_of
from ccdr.model.values import rfc3339
from ccdr.plans.incident_clocks import LoadedClocks


def note(one: Known, services: Services, words: str) -> Known:
    """Words that belong to it; also to one that is closed."""
    return noted(one, services, what="note", why_sha256=keep_payload(services.state, words))


def assess(one: Known, services: Services, said: Assessment, clocks: LoadedClocks, words: str | None = None) -> Known:
    """What a person says of its weight; also of one that is closed. What such a risk asks for counts from now on.
    UsageProblem where it lets a clock count and the incident is closed."""
    also = begun(one, said.risk, clocks)
    why = None if words is None else keep_payload(services.state, words)
    return noted(one, services, **said.kept(services), clocks=clocks_of(also), why_sha256=why)


def not_due(one: Known, services: Services, clocks: Collection[str], why: str, tenant: str | None = None) -> Known:
    """Nothing is to be notified by these clocks, as a person says; of one of several controllers, where `tenant` names
    one. UsageProblem where a clock is none of its own, or was filed, or the risk that was noted is against it."""
    require_open(one)
    require_clocks(one, clocks)
    require_no_risk(one, one.incident.risk, clocks)
    if tenant is not None:
        for clock in clocks:
            require_tenant(one, clock, tenant)
    duties_of = {
        clock: [d for d in one.incident.duties if d.clock == clock and tenant in (None, d.tenant)] for clock in clocks
    }
    if filed := [clock for clock, duties in duties_of.items() if all(d.filed_in is not None for d in duties)]:
        raise UsageProblem(f"{', '.join(filed)} was filed already", hint=f"`ccdr incident show {one.name}` says when")
    return noted(
        one,
        services,
        what="not_due",
        not_due=list(clocks),
        for_tenant=tenant,
        why_sha256=keep_payload(services.state, why),
    )


def count_also(
    one: Known,
    services: Services,
    names: Sequence[str],
    clocks: LoadedClocks,
    why: str | None,
    since: datetime | None = None,
) -> Known:
    """These clocks count as well, since the organisation became aware of it, and what they are counted from; those that
    are counted from when a person says, from `since`. UsageProblem where the file has none such, or `since` is said of
    another, or is not said."""
    require_open(one)
    if unknown := [name for name in names if name not in clocks.value.clocks]:
        raise UsageProblem(
            f"{clocks.shown} has no clock {', '.join(map(ascii, unknown))}", hint="`ccdr incident clocks`"
        )
    _require_since(one, services, names, clocks, since)
    stated = [
        clock if clocks.value.clocks[str(clock["clock"])].since == "stated" else as_it_counts(one.entry, clock)
        for clock in recorded_clocks(clocks, names, since or one.incident.aware_at, one.timezone)
    ]
    there = {duty.clock: duty for duty in one.incident.duties}
    wanted = [clock for clock in stated if clock["clock"] in names or clock["clock"] not in there]
    also = [after_filing(one.incident, clock, one.timezone) for clock in (*wanted, *_uprooted(one, clocks, wanted))]
    words = keep_payload(services.state, why) if why else None
    return noted(one, services, what="clocks", clocks=clocks_of(also), why_sha256=words)


def _require_since(
    one: Known, services: Services, names: Sequence[str], clocks: LoadedClocks, since: datetime | None
) -> None:
    stated = [name for name in names if clocks.value.clocks[name].since == "stated"]
    if since is None and stated:
        raise UsageProblem(
            f"--since is missing: {stated[0]} is counted from when you say",
            hint=f'ccdr incident note {one.name} --clock {stated[0]} --since "2026-11-24 06:30"',
        )
    if since is None:
        return
    if others := [name for name in names if name not in stated]:
        raise UsageProblem(
            f"--since is not for {others[0]}: it is counted from when you became aware of it, from the end of that "
            "year, or from what it follows"
        )
    now = services.clock.now()
    if not one.incident.aware_at <= since <= now + AHEAD:
        raise UsageProblem(
            f"--since {rfc3339(since)} is not between {rfc3339(one.incident.aware_at)}, when you became aware of it, "
            f"and now, {rfc3339(now)}",
            hint="a time without a zone is in the plan's `timezone:`",
        )


def _uprooted(one: Known, clocks: LoadedClocks, new: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Clocks of the incident that are counted from one of these, and were not, as it had none such: from now on they
    are."""
    names = {str(clock["clock"]) for clock in new}
    settled = {duty.clock for duty in one.incident.duties if duty.settled}
    own = {
        name
        for name, stated in one.entry["clocks"].items()
        if name not in names | settled and stated["after"] is None and name in clocks.value.clocks
    }
    followers = [name for name in own if clocks.value.clocks[name].after in names]
    every = recorded_clocks(clocks, followers, one.incident.aware_at, one.timezone)
    return [clock for clock in every if clock["clock"] in followers]


def file(
    one: Known,
    services: Services,
    clock: str,
    receipt: Path,
    at: datetime | None = None,
    words: str | None = None,
    tenant: str | None = None,
) -> Known:
    """A person says that it was filed, then, and which receipt shows it: its digest is recorded. UsageProblem where the
    receipt cannot be read, or the time cannot be, or nobody says which of several controllers was told."""
    require_clocks(one, [clock])
    require_tenant(one, clock, tenant)
    now = services.clock.now()
    filed_at = at or now
    if filed_at > now + AHEAD:
        raise UsageProblem(f"--filed-at {rfc3339(filed_at)} is in the future: it is {rfc3339(now)} now")
    if filed_at < one.incident.aware_at:
        raise UsageProblem(
            f"--filed-at {rfc3339(filed_at)} is before anybody was aware of it, {rfc3339(one.incident.aware_at)}",
            hint="a time without a zone is in the plan's `timezone:`",
        )
    filed = IncidentFiled(
        **of(one),
        clock=clock,
        filed_at=filed_at,
        for_tenant=tenant,
        receipt_sha256=_digest_of(receipt),
        then_due=[
            DueThen(clock=name, due=deadline(filed_at, length_of(stated), zone_of(one.timezone)))
            for name, stated in one.entry["clocks"].items()
            if stated["after"] == clock
        ],
        why_sha256=keep_payload(services.state, words) if words else None,
    )
    return recorded(one, services, filed)


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            if not path.is_file():
                raise UsageProblem(f"{path} is no file: a receipt is one file", hint="make an archive of several")
            if not opened.peek(1):
                raise UsageProblem(f"{path}, the receipt, is empty: it shows nothing")
            return file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UsageProblem(f"{path}, the receipt, cannot be read: {error.strerror}") from None
