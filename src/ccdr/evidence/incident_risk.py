"""What a risk that a person noted asks for, by GDPR 33(1) and 34(1), and what stands against it. Pure.

It is the controller who notifies, and only an incident that has clocks of GDPR: what a law of another country asks for
does not follow from this risk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ccdr.evidence.incidents import NOTHING_TO_NOTIFY, Incident

AUTHORITY, PERSONS = "gdpr-33", "gdpr-34"
AT_RISK = frozenset(("risk", "high"))


@dataclass(frozen=True)
class Unmet:
    """What does not fit the risk, or was only closed: what it is, and the command that mends it."""

    text: str
    step: str


def asked_by(incident: Incident, risk: str | None) -> tuple[str, ...]:
    """The clocks that have to count where it is such a risk."""
    own = {duty.clock for duty in incident.duties}
    if incident.role != "controller" or not own & {AUTHORITY, PERSONS} or risk not in AT_RISK:
        return ()
    return (*((AUTHORITY,) if AUTHORITY in own else ()), *((PERSONS,) if risk == "high" else ()))


def begun_by(incident: Incident, risk: str | None) -> list[str]:
    """Those that count from now on, where a person notes such a risk: they did not yet, or somebody said that they are
    not due of a lesser risk. GDPR 34(3) allows that the persons are not told of a high one."""
    counting = {duty.clock for duty in incident.duties if duty.filed_in is not None or duty.not_due_by is None}
    said = {duty.clock for duty in incident.duties if duty.not_due_by is not None}
    holds = counting | (said & {PERSONS} if incident.risk == "high" else set())
    return [clock for clock in asked_by(incident, risk) if clock not in holds]


def contradicted(incident: Incident, risk: str | None, clock: str) -> bool:
    """Is that nothing is due by this clock against the risk?"""
    return clock == AUTHORITY and clock in asked_by(incident, risk)


def unmet(incident: Incident) -> Iterator[Unmet]:
    """Of an incident as its records tell of it."""
    name, risk = incident.name, incident.risk
    again = "" if incident.open else f'ccdr incident reopen {name} --why "…"; '
    for clock in begun_by(incident, risk):
        text = f"{name}: the risk was noted as {risk}, and nothing is to be notified by {clock}, as it stands"
        yield Unmet(text, f"{again}ccdr incident note {name} --clock {clock}   lets it count")
    if incident.cause in NOTHING_TO_NOTIFY:
        return  # that says why none was due
    for duty in incident.duties:
        if not incident.open and not duty.settled:
            text = f"{name} is closed, and nobody has recorded that {duty.clock} was filed"
            yield Unmet(text, f"{again}ccdr incident note {name} --filed {duty.clock} --receipt FILE")
        elif duty.not_due_by == incident.closed and (at := incident.closed_at) is not None and at > duty.due:
            text = f"{name} was closed when {duty.clock} was overdue: nobody has filed it, or said why none was due"
            yield Unmet(text, f'{again}ccdr incident note {name} --not-due {duty.clock} --text "…"   or --filed')
