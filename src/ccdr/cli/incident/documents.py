"""What `ccdr incident` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated

from ccdr.cli.document_base import Doc, Map, Text, Time
from ccdr.model.kinds import about


class IncidentDuty(Doc):
    """One notification of an incident."""

    clock: str
    law: str
    to: Annotated[str, about("authority, customers or media")]
    due: Time
    filed_at: Time | None
    receipt_sha256: Text
    filed_record: int | None
    not_due_record: Annotated[int | None, about("in which somebody says that nothing is to be notified")]
    tenant: Annotated[Text, about("which of several controllers is to be told; null: there is one receiver")]


class IncidentTenant(Doc):
    """Whose data an incident concerns, and which assets hold it."""

    tenant: str
    assets: list[str]


class IncidentDocument(Doc):
    """An incident, as its records tell of it."""

    incident: str
    plan: str
    tenant: str
    tenants: Annotated[list[IncidentTenant], about("by the plan as it was then")]
    state: Annotated[str, about("open or closed")]
    opened_by: Annotated[str, about("person, recover, runbook or restore")]
    kinds: list[str]
    aware_at: Time
    opened_at: Time
    actor: str
    host: str
    role: Annotated[str, about("controller or processor")]
    next_due: IncidentDuty | None
    duties: list[IncidentDuty]
    recoveries: Annotated[list[str], about("runs")]
    closed_at: Time | None
    cause: Text
    records: list[int]


class ListedIncident(IncidentDocument):
    overdue: bool


class IncidentWords(Doc):
    """What a person wrote; null where it was taken back."""

    at: Time
    what: str
    text: Text


class ShownIncident(ListedIncident):
    words: list[IncidentWords]


class Incidents(Doc):
    incidents: list[ListedIncident]


class WouldOpen(Doc):
    would_open: Map


class IncidentClocksDocument(Doc):
    file: Annotated[Text, about("null: the one that comes with ccdr")]
    sha256: str
    roles: dict[str, list[str]]
    clocks: dict[str, Map]


class IncidentDraft(Doc):
    incident: str
    to: Annotated[str, about("authority, controllers or persons")]
    tenant: Annotated[Text, about("to which one of several controllers; null: there is one receiver")]
    lang: str
    out: Annotated[Text, about("the file that was written")]
    text: Annotated[str, about("Markdown, with blanks for a person to fill in")]


class RegisteredDuty(IncidentDuty):
    """A notification, and whether it was late."""

    late: Annotated[bool, about("it was filed after it was due")]
    delay_why: Annotated[Text, about("the words with which it was filed late, GDPR 33(1); null: none are noted")]


class RegisteredIncident(IncidentDocument):
    duties: list[RegisteredDuty]  # type: ignore[assignment]
    risk: Annotated[Text, about("as a person says: unlikely, risk or high; null: nobody says it")]
    risk_why: Text
    persons_concerned: Text
    records_concerned: Text
    facts: Annotated[list[str], about("sentences of ours, each with its record")]
    effects: Text
    remedial_action: Text
    notes: list[str]


class IncidentRegister(Doc):
    """GDPR 33(5): every incident that was open in some of the period."""

    law: str
    period: Map
    made: Map
    population: Map
    incidents: list[RegisteredIncident]


class IncidentRegisterWritten(Doc):
    incidents: int
    csv_sha256: str
    out: str
