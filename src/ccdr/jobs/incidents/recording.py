"""How what a person says of an incident becomes a record."""

from __future__ import annotations

from ccdr.evidence.records.statements import About, Says
from ccdr.jobs.incidents.facts import Known, find
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, stated


def say(
    one: Known, services: Services, says: Says, about: About, words: str | None = None, files: tuple[str, ...] = ()
) -> Known:
    given = stated(services, says, about, plan=one.plan, words=words or None, files=files)
    record_statement(given, services, more={"tenant": one.incident.tenant})
    return find(services, one.name)
