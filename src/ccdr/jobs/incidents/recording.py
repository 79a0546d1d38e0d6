"""How what a person says of an incident becomes a record."""

from __future__ import annotations

from typing import Any

from ccdr.evidence.records.incidents import IncidentNoted
from ccdr.evidence.records.values import Record, recorded_user
from ccdr.jobs.incidents.facts import Known, find
from ccdr.jobs.services import Services, wake


def noted(one: Known, services: Services, **about: Any) -> Known:
    return recorded(one, services, IncidentNoted(**of(one), **about))


def recorded(one: Known, services: Services, record: Record) -> Known:
    services.ledger.write(record)
    wake(services)
    return find(services, one.name)


def of(one: Known) -> dict[str, Any]:
    """Which incident a record is of, whose, and who writes it."""
    return {"plan": one.plan, "incident": one.name, "tenant": one.incident.tenant, "who": recorded_user()}
