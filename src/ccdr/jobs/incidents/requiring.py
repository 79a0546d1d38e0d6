"""What may be said of an incident, and when: each raises UsageProblem with what to type instead."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ccdr.evidence.incidents import Entry, contradicted, due_of
from ccdr.evidence.judgement.incidents import Clocks
from ccdr.host.clock import boot
from ccdr.jobs.incidents.facts import Known
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import to_the_second


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
    one: Known, services: Services, risk: str | None, also: Sequence[Entry], settled: Collection[str]
) -> None:
    """Nor is what the risk lets count that is said with the closing."""
    now = Clocks(services.clock.now(), services.clock.monotonic(), boot()).of(one.entry)
    every = {**one.entry["clocks"], **{str(clock["clock"]): clock for clock in also}}
    for name in (str(clock["clock"]) for clock in also if clock["clock"] in settled):
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
