"""What a person says of an incident: a note, its weight, that a notification was filed or is not due, that it is over
or is not. And what may be said when.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ccdr.evidence.incidents import (
    NOTHING_TO_NOTIFY,
    asked_by,
    begun_by,
    clock_entry,
    contradicted,
    due_of,
)
from ccdr.evidence.judgement.incidents import Clocks
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.incidents import IncidentOpened, RecordedClock
from ccdr.evidence.records.statements import ClosedIncident, FiledNotification, NotDue, NotedIncident, StatementRecord
from ccdr.evidence.records.values import code, recorded_user
from ccdr.host.clock import boot
from ccdr.jobs.incidents.facts import Known, find
from ccdr.jobs.incidents.opening import after_filing, as_it_counts, clocks_in, recorded_clocks, standing_of
from ccdr.jobs.incidents.recording import say
from ccdr.jobs.services import Services, wake
from ccdr.jobs.statement_records import digest_of_shown
from ccdr.model.errors import UsageProblem
from ccdr.model.values import AHEAD, rfc3339, to_the_second
from ccdr.plans.incident_clocks import LoadedClocks, load_clocks

# What may be said of an incident, and when: each raises UsageProblem with what to type instead.


def require_open(one: Known) -> None:
    if not one.incident.open:
        raise UsageProblem(
            f"{one.name} is closed, by record {one.incident.closed}",
            hint=f'`ccdr incident reopen {one.name} --why "…"` opens it once more',
        )


def require_clocks(one: Known, clocks: Collection[str]) -> None:
    own = [duty.clock for duty in one.incident.duties]
    if unknown := [name for name in clocks if name not in own]:
        there = f"it has {', '.join(own)}" if own else "it has none"
        also = f"`ccdr incident note {one.name} --clock {unknown[0]}` lets one more count"
        raise UsageProblem(f"{one.name} has no clock {', '.join(map(ascii, unknown))}", hint=f"{there}; {also}")


def require_no_risk(one: Known, risk: str | None, clocks: Collection[str]) -> None:
    if against := [clock for clock in clocks if contradicted(one.incident, risk, clock)]:
        raise against_risk(one, risk, f"{against[0]} is due then")


def against_risk(one: Known, risk: str | None, why: str) -> UsageProblem:
    note = f"ccdr incident note {one.name}"
    return UsageProblem(
        f"the risk was noted as {risk}: {why}",
        hint=f"file it (`{note} --filed CLOCK --receipt FILE`); or, where the risk is another, note it first: {note} "
        '--risk unlikely --risk-why "…"',
    )


def require_in_time(one: Known, services: Services, clocks: Collection[str]) -> None:
    """What is overdue is not settled by the way: why none was due is said by itself."""
    now = Clocks(services.clock.now(), services.clock.monotonic(), boot()).of(one.entry)
    if late := [duty for duty in one.incident.duties if duty.clock in clocks and duty.overdue(now)]:
        name, due = late[0].clock, to_the_second(late[0].due)
        raise UsageProblem(
            f"{name} is overdue since {due}: closing {one.name} alone does not settle that",
            hint=f'ccdr incident note {one.name} --not-due {name} --text "…"   says why none was due; `--filed {name} '
            "--receipt FILE` that it was filed; then close it",
        )


def require_begun_in_time(
    one: Known, services: Services, risk: str | None, also: Sequence[RecordedClock], settled: Collection[str]
) -> None:
    """Nor is what the risk lets count that is said with the closing."""
    now = Clocks(services.clock.now(), services.clock.monotonic(), boot()).of(one.entry)
    every = {**one.entry.clocks, **{clock.clock: clock_entry(clock) for clock in also}}
    for name in (clock.clock for clock in also if clock.clock in settled):
        due = due_of(every, name, one.incident.aware_at, one.timezone)
        if now > due:
            raise UsageProblem(
                f"{name} is overdue since {to_the_second(due)}, where the risk is {risk}: closing {one.name} alone "
                "does not settle that",
                hint=f'note the risk first: ccdr incident note {one.name} --risk {risk} --risk-why "…"; then say why '
                f'none was due: ccdr incident note {one.name} --not-due {name} --text "…"   or `--filed {name} '
                "--receipt FILE` that it was filed; then close it",
            )


def require_tenant(one: Known, clock: str, tenant: str | None) -> None:
    """Of several controllers each is told by themselves: which one?"""
    several = one.incident.several(clock)
    if tenant is None and several:
        raise UsageProblem(
            f"{clock} of {one.name} is due to several controllers, {', '.join(several)}: which one was told?",
            hint="--tenant T says it; each has a receipt of their own",
        )
    if tenant is not None and tenant not in several:
        there = f"it is due to {', '.join(several)}" if several else "it is due to one receiver: leave --tenant out"
        raise UsageProblem(f"{clock} of {one.name} is not due to a controller {tenant[:63]!a} of several", hint=there)


# What people say of an incident's weight: what was breached, whether it is a risk to anybody and why, how many
# persons and records it concerns. GDPR 33(5) wants these facts documented, and no record of a backup knows them.

# By the record's key: what it is called in the register.
SAID = {"risk_sha256": "risk_why", "persons_sha256": "persons_concerned", "records_sha256": "records_concerned"}


@dataclass(frozen=True)
class Assessment:
    """As a person says it, in their words; None, or no kinds, for what they did not say. `risk` by GDPR 33(1) and
    34(1): `unlikely`, `risk` or `high`; it comes with its reason."""

    risk: str | None = None
    risk_why: str | None = None
    persons: str | None = None
    records: str | None = None
    kinds: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any((self.risk, self.persons, self.records, self.kinds))

    def kept(self, services: Services) -> dict[str, Any]:
        """A record's keys: the words are kept apart."""
        words = {"risk_sha256": self.risk_why, "persons_sha256": self.persons, "records_sha256": self.records}
        digests = {key: None if text is None else keep_payload(services.state, text) for key, text in words.items()}
        return {"risk": self.risk, "kinds": list(self.kinds), **digests}


def begun(one: Known, risk: str | None, clocks: LoadedClocks) -> list[RecordedClock]:
    """The clocks that such a risk lets count from now on, as a record has them: by the incident's own records, or by
    `clocks`, or where they lack one by ccdr's own. UsageProblem where it lets one count and the incident is closed."""
    names = begun_by(one.incident, risk)
    if names and not one.incident.open:
        raise UsageProblem(
            f"{one.name} is closed, by record {one.incident.closed}, and a risk noted as {risk} lets "
            f"{', '.join(names)} count",
            hint=f'`ccdr incident reopen {one.name} --why "…"` opens it once more; then note the risk',
        )
    found, zone = [], one.timezone
    for name in names:
        used = clocks if name in clocks.value.clocks else load_clocks(None)
        every = recorded_clocks(used, [name], one.incident.aware_at, zone)
        mine = (as_it_counts(one.entry, clock) for clock in every if clock.clock == name)
        found += [after_filing(one.incident, clock, zone) for clock in mine]
    return found


def assessed(one: Known) -> dict[str, Any]:
    """What was said last of each: `risk`, and digests by the record's keys."""
    told = (record.about for record in one.records if isinstance(record, StatementRecord))
    noted = [about for about in told if isinstance(about, NotedIncident)]
    return {key: value for about in noted for key in ("risk", *SAID) if (value := getattr(about, key)) is not None}


def note(one: Known, services: Services, words: str) -> Known:
    """Words that belong to it; also to one that is closed."""
    return say(one, services, "note", NotedIncident(incident=one.name), words)


def assess(one: Known, services: Services, said: Assessment, clocks: LoadedClocks, words: str | None = None) -> Known:
    """What a person says of its weight; also of one that is closed. What such a risk asks for counts from now on.
    UsageProblem where it lets a clock count and the incident is closed."""
    also = begun(one, said.risk, clocks)
    return say(one, services, "note", NotedIncident(incident=one.name, **said.kept(services), clocks=also), words)


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
    return say(one, services, "decide", NotDue(incident=one.name, clocks=list(clocks), for_tenant=tenant), why)


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
        clock if clocks.value.clocks[clock.clock].since == "stated" else as_it_counts(one.entry, clock)
        for clock in recorded_clocks(clocks, names, since or one.incident.aware_at, one.timezone)
    ]
    there = {duty.clock: duty for duty in one.incident.duties}
    wanted = [clock for clock in stated if clock.clock in names or clock.clock not in there]
    also = [after_filing(one.incident, clock, one.timezone) for clock in (*wanted, *_uprooted(one, clocks, wanted))]
    return say(one, services, "note", NotedIncident(incident=one.name, clocks=also), why)


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


def _uprooted(one: Known, clocks: LoadedClocks, new: Sequence[RecordedClock]) -> list[RecordedClock]:
    """Clocks of the incident that are counted from one of these, and were not, as it had none such: from now on they
    are."""
    names = {clock.clock for clock in new}
    settled = {duty.clock for duty in one.incident.duties if duty.settled}
    own = {
        name
        for name, own_clock in one.entry.clocks.items()
        if name not in names | settled and own_clock.after is None and name in clocks.value.clocks
    }
    followers = [name for name in own if clocks.value.clocks[name].after in names]
    every = recorded_clocks(clocks, followers, one.incident.aware_at, one.timezone)
    return [clock for clock in every if clock.clock in followers]


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
    shown = digest_of_shown(
        receipt, "the receipt", no_file="is no file: a receipt is one file", hint="make an archive of several"
    )
    filed = FiledNotification(incident=one.name, clock=clock, for_tenant=tenant, filed_at=filed_at)
    return say(one, services, "decide", filed, words, (shown,))


# That an incident is over, as a person says; and that it is not.


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
    closed = ClosedIncident(
        incident=one.name,
        cause=code(cause),
        effects_sha256=keep_payload(services.state, effects),
        remedy_sha256=keep_payload(services.state, remedy),
        not_due=settled,
    )
    return say(one, services, "decide", closed)


def reopen(one: Known, services: Services, why: str) -> Known:
    """It is open once more, by a record of its own: what was filed stays so, and its other clocks count as they did."""
    if one.incident.open:
        raise UsageProblem(f"{one.name} is open", hint=f"`ccdr incident note {one.name}` adds to it")
    first, forgotten = one.entry.opened, standing_of(services, one.plan, one.name) is None
    opened = IncidentOpened(
        plan=one.plan,
        incident=one.name,
        tenant=one.incident.tenant,
        who=recorded_user(),
        aware_at=first.aware_at,
        role=first.role,
        timezone=first.timezone,
        kinds=[code(kind) for kind in one.incident.kinds],
        by="person",
        tenants=first.tenants,
        clocks=_due_again(one),
        reopens=one.incident.closed,
        why_sha256=keep_payload(services.state, why),
        boot=boot(),
        elapsed_s=services.clock.monotonic(),
    )
    services.ledger.write(opened)
    wake(services)
    if forgotten and one.incident.risk is not None:  # the summary learns of it once more
        return say(one, services, "note", NotedIncident(incident=one.name, risk=code(one.incident.risk)))
    return find(services, one.name)


def _due_again(one: Known) -> list[RecordedClock]:
    """The clocks that nobody has filed, nor has said before the closing that they are not due: whoever has forgotten
    the incident since, as it was closed so long ago, learns of them."""
    due = {duty.clock for duty in one.incident.duties if not duty.settled or duty.not_due_by == one.incident.closed}
    return [clock for name, clock in clocks_in(one.entry).items() if name in due]
