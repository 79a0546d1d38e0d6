"""How what a person says of an incident becomes a record."""

from __future__ import annotations

from collections.abc import Mapping

from ccdr.evidence.incident_entries import NOTED
from ccdr.host.who import who
from ccdr.jobs.incidents.known import Known, find
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services


def noted(one: Known, services: Services, body: Mapping[str, object]) -> Known:
    return recorded(one, services, NOTED, {"incident": one.name, **body, **said_by(one)})


def recorded(one: Known, services: Services, kind: str, body: Mapping[str, object]) -> Known:
    services.ledger.append(kind, plan=one.plan, asset=None, run=None, body=body)
    wake(services)
    return find(services, one.name)


def said_by(one: Known) -> dict[str, object]:
    return {"tenant": one.incident.tenant, "who": who().body()}
