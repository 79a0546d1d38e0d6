"""Which notification of an incident is overdue, and which is due soon: by the incident's own records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.incidents import NO_DRAFTS, OWN_DRAFTS, Duty, Entry, Incident, incident_of, no_earlier
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import human_seconds, rfc3339, to_the_second

RECEIVERS = {
    ("authority", "controller"): "to the authority",
    ("authority", "processor"): "to the authority",
    ("customers", "controller"): "to the persons",
    ("customers", "processor"): "to the controllers",
    ("media", "controller"): "to the media",
    ("media", "processor"): "to the media",
}


@dataclass(frozen=True)
class Clocks:
    """What time it is: by the clock that people set, and, where it is known, by the one that nobody does."""

    now: datetime
    elapsed: float = 0.0
    boot: str | None = None

    def of(self, entry: Entry) -> datetime:
        return no_earlier(entry, self.now, self.elapsed, self.boot)


@dataclass(frozen=True)
class IncidentNow:
    """An incident as it stands at a moment."""

    incident: Incident
    now: datetime

    def __str__(self) -> str:
        one = self.incident
        head = f"incident {one.name}, open since {to_the_second(one.opened_at)}"
        return f"{head}; {self.next}"

    @property
    def next(self) -> str:
        """What is due next, in a few words."""
        duty = self.incident.next_due
        if duty is None:
            return "nothing is left to be notified; it is to be closed"
        left = (duty.due - self.now).total_seconds()
        how = f"in {human_seconds(left)}" if left >= 0 else f"overdue by {human_seconds(-left)}"
        return f"next: {told(duty, self.incident)}, by {to_the_second(duty.due)} ({how})"

    def as_json(self) -> dict[str, object]:
        return self.incident.as_json()


def told(duty: Duty, incident: Incident) -> str:
    return f"{_whom(duty, incident)} ({duty.clock})"


def _whom(duty: Duty, incident: Incident) -> str:
    if duty.tenant is not None:
        return f"{duty.law}, to the controller {duty.tenant}"
    return f"{duty.law}, {RECEIVERS[duty.to, incident.role]}"


def open_incidents(plan: str, entries: Mapping[str, Entry], clocks: Clocks) -> list[IncidentNow]:
    """In the order in which they were opened."""
    there = ((incident_of(plan, name, entry, clocks.now), clocks.of(entry)) for name, entry in entries.items())
    return sorted((IncidentNow(*one) for one in there if one[0].open), key=lambda one: one.incident.records[0])


def judge_incidents(plan: str, entries: Mapping[str, Entry], clocks: Clocks) -> Iterator[Problem]:
    for one in open_incidents(plan, entries, clocks):
        for duty in one.incident.duties:
            yield from _of(one, duty)


def _of(one: IncidentNow, duty: Duty) -> Iterator[Problem]:
    incident, now = one.incident, one.now
    about = f"{incident.name} {duty.clock} {rfc3339(duty.due)}{f' {duty.tenant}' if duty.tenant else ''}"
    why = _whom(duty, incident)
    if duty.overdue(now):
        text = (
            f"incident {incident.name}: {told(duty, incident)}, was due by {to_the_second(duty.due)}, and nobody has "
            "recorded that it was filed"
        )
        yield Problem(Trouble.INCIDENT_OVERDUE, text, duty.due, about=about, step=_step(incident, duty), why=why)
    elif duty.soon(now):
        text = f"incident {incident.name}: {told(duty, incident)}, is due by {to_the_second(duty.due)}"
        yield Problem(Trouble.INCIDENT_DUE, text, about=about, step=_step(incident, duty), why=why)


def _step(incident: Incident, duty: Duty) -> str:
    whose = f" --tenant {duty.tenant}" if duty.tenant else ""
    filed = f"ccdr incident note {incident.name} --filed {duty.clock}{whose} --receipt FILE"
    of = f"--for {duty.clock}" if duty.clock in OWN_DRAFTS else f"--to {duty.facts_to}{whose}"
    what = f"has facts for the form of {duty.law}" if duty.clock in NO_DRAFTS else "writes a draft"
    return (
        f"ccdr incident draft {incident.name} {of}   {what}; {filed}   records that it was filed; "
        "docs/how-to/incidents.md"
    )
