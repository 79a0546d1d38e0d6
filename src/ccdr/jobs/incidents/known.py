"""Finds an incident by its name, and all that the ledger tells of any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.incident_entries import KINDS, Entry, take_incident
from ccdr.evidence.incidents import Incident, incident_of
from ccdr.evidence.verdicts import Record
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem


@dataclass(frozen=True)
class Known:
    """An incident, what is kept of it, and its own records, oldest first."""

    incident: Incident
    entry: Entry
    records: Sequence[Record]

    @property
    def name(self) -> str:
        return self.incident.name

    @property
    def plan(self) -> str:
        return self.incident.plan

    @property
    def timezone(self) -> str:
        """Its plan's, as it was opened: months are counted there."""
        return str(self.entry["timezone"] or "UTC")

    def record(self, kind: str) -> Record | None:
        """The newest of its records of this kind."""
        return next((one for one in reversed(self.records) if one["kind"] == kind), None)


def of_ledger(services: Services, plans: Iterable[str] | None = None) -> list[Known]:
    """Every incident of this host's ledger, in the order in which they were opened; of these plans only, where some are
    named. What is nothing that a ccdr wrote tells nothing: the verification tells of it. CcdrError where the ledger
    cannot be read."""
    wanted = None if plans is None else set(plans)
    found = (record for kind in KINDS for record in services.ledger.newest(kind))
    records = sorted((r for r in found if wanted is None or r["plan"] in wanted), key=lambda r: int(r["seq"]))
    entries: dict[tuple[str, str], dict[str, Entry]] = {}
    own: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        key = (str(record["plan"]), str(record.get("incident")))
        take_incident(entries.setdefault(key, {}), record)
        own.setdefault(key, []).append(record)
    there = (
        Known(incident_of(plan, name, entries[plan, name][name]), entries[plan, name][name], own[plan, name])
        for plan, name in own
        if name in entries[plan, name]
    )
    return sorted(there, key=lambda one: one.incident.records[0])


def find(services: Services, name: str) -> Known:
    """UsageProblem where there is none of this name."""
    every = of_ledger(services)
    if found := [one for one in every if one.name == name.strip()]:
        return found[0]
    open_ = [one.name for one in every if one.incident.open]
    raise UsageProblem(
        f"there is no incident {name[:40]!a}",
        hint=f"open are {', '.join(open_)}" if open_ else "`ccdr incident list --all` shows those that there are",
    )
