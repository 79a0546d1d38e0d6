"""The register of GDPR 33(5): "the facts relating to the personal data breach, its effects and the remedial action
taken", of every incident of a period, open and closed, as CSV (RFC 4180) or JSON.

As with the population of a report: a row for each, and a row that closes it, with their number and a digest of all
bytes before it (`head -n -1 FILE | sha256sum`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from ccdr import __version__
from ccdr.evidence.incidents import Duty, Incident
from ccdr.evidence.payloads import GONE, payload
from ccdr.evidence.records import StatementRecord
from ccdr.evidence.records.statements import ClosedIncident, FiledNotification
from ccdr.jobs.incidents import Known, of_ledger
from ccdr.jobs.incidents.facts import Facts, facts_of
from ccdr.jobs.incidents.statements import SAID, assessed
from ccdr.jobs.services import Services
from ccdr.model.values import human_seconds, rfc3339
from ccdr.telling.incidents.draft import whose
from ccdr.telling.incidents.english import ENGLISH
from ccdr.telling.incidents.view import said_of
from ccdr.telling.report.period import Period
from ccdr.telling.report.population_csv import joined
from ccdr.telling.status import clocks_of

COLUMNS = (
    "incident", "plan", "tenant", "tenants", "state", "kinds", "opened_by", "aware_at", "opened_at", "closed_at",
    "role", "cause", "risk", "risk_why", "persons_concerned", "records_concerned",
    "facts", "effects", "remedial_action", "notifications", "notes", "recoveries", "records",
)  # fmt: skip

_SAID = ("risk", *SAID.values())


@dataclass(frozen=True)
class Row:
    """One incident, each column as text."""

    known: Known
    facts: Facts
    said: Mapping[str, str]  # of its weight, by columns
    effects: str
    remedy: str
    notes: tuple[str, ...]
    delays: Mapping[int, str]  # why it was late, by the records that something was filed in
    now: datetime  # by its own clocks

    def cells(self) -> dict[str, str]:
        one = self.known.incident
        return {
            "incident": one.name,
            "plan": one.plan,
            "tenant": one.tenant,
            "tenants": whose(one.tenants),
            "state": "open" if one.open else "closed",
            "kinds": ", ".join(one.kinds),
            "opened_by": one.by,
            "aware_at": rfc3339(one.aware_at),
            "opened_at": rfc3339(one.opened_at),
            "closed_at": rfc3339(one.closed_at) if one.closed_at else "",
            "role": one.role,
            "cause": one.cause or "",
            **{column: self.said.get(column, "") for column in _SAID},
            "facts": " ".join(self.sentences),
            "effects": self.effects,
            "remedial_action": self.remedy,
            "notifications": "; ".join(_notifications(one, self.delays, self.now)),
            "notes": "; ".join(self.notes),
            "recoveries": ", ".join(one.runs),
            "records": ", ".join(map(str, one.records)),
        }

    @property
    def sentences(self) -> list[str]:
        facts = (*self.facts.happened, *self.facts.done, *self.facts.lost)
        return [f"{ENGLISH.facts[one.what](one.values)} (record {one.seq})" for one in facts]

    def _duty(self, duty: Duty) -> dict[str, object]:
        why = self.delays.get(duty.filed_in) if duty.late and duty.filed_in is not None else None
        return {**duty.as_json(), "late": duty.late or duty.overdue(self.now), "delay_why": why}

    def as_json(self) -> dict[str, object]:
        return {
            **self.known.incident.as_json(),
            "duties": [self._duty(one) for one in self.known.incident.duties],
            **{column: self.said.get(column) for column in _SAID},
            "facts": self.sentences,
            "effects": self.effects or None,
            "remedial_action": self.remedy or None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Register:
    """Every incident of a period: one that was open in some of it. `complete` is what its last row says."""

    rows: Sequence[Row]
    period: Period
    made_at: datetime
    made_by: str
    host: str
    command: str

    @property
    def body(self) -> bytes:
        """The heading and all rows."""
        lines = [joined(COLUMNS), *(joined(row.cells()[column] for column in COLUMNS) for row in self.rows)]
        return "".join(lines).encode("utf-8", "backslashreplace")

    @property
    def sha256(self) -> str:
        return sha256(self.body).hexdigest()

    def csv(self) -> Iterator[bytes]:
        yield self.body
        about = (
            f"ccdr {__version__}; {self.command}; period {rfc3339(self.period.start)} to {rfc3339(self.period.end)}, "
            f"times in UTC; {len(self.rows)} rows before this one, their SHA-256 with the heading {self.sha256}; made "
            f"{rfc3339(self.made_at)} by {self.made_by} on {self.host}"
        )
        closing = {"incident": "register", "state": "COMPLETE", "records": str(len(self.rows)), "facts": about}
        yield joined(closing.get(column) for column in COLUMNS).encode("utf-8", "backslashreplace")

    def as_json(self) -> dict[str, object]:
        period = {"from": rfc3339(self.period.start), "to": rfc3339(self.period.end), "timezone": "UTC"}
        made = {"at": rfc3339(self.made_at), "by": self.made_by, "host": self.host, "command": self.command}
        return {
            "law": "GDPR 33(5)",
            "period": period,
            "made": {**made, "version": __version__},
            "population": {"rows": len(self.rows), "csv_sha256": self.sha256},
            "incidents": [row.as_json() for row in self.rows],
        }


def register(services: Services, period: Period, command: str, plans: Sequence[str] | None = None) -> Register:
    """Of this host's ledger. CcdrError where that cannot be read."""
    there = [one for one in of_ledger(services, plans) if _within(one.incident, period)]
    rows = [_row(one, services) for one in there]
    ledger = services.ledger
    return Register(rows, period, services.clock.now(), ledger.actor, ledger.host, command)


def _within(one: Incident, period: Period) -> bool:
    """Was it open in some of the period?"""
    first = min(one.aware_at, one.opened_at)
    return first < period.end and (one.closed_at is None or one.closed_at >= period.start)


def _row(known: Known, services: Services) -> Row:
    closing = next(
        (r.about for r in known.records if r.seq == known.incident.closed and isinstance(r, StatementRecord)), None
    )

    def words(digest: str) -> str:
        return payload(services.state, digest) or GONE

    effects, remedy = "", ""
    if isinstance(closing, ClosedIncident):
        effects, remedy = words(closing.effects_sha256), words(closing.remedy_sha256)

    notes = (
        f"{at} {what}: {text or GONE}" for at, what, text in said_of(known, services) if not what.startswith(_APART)
    )
    found = assessed(known)
    said = {column: payload(services.state, found[key]) or GONE for key, column in SAID.items() if key in found}
    said |= {"risk": str(found["risk"])} if "risk" in found else {}
    facts, delays = facts_of(known, services), _delays(known, services)
    now = clocks_of(services).of(known.entry)
    return Row(known, facts, said, effects, remedy, tuple(notes), delays, now)


_APART = ("effects", "remedy", "risk (", "persons concerned", "records concerned")


def _delays(known: Known, services: Services) -> dict[int, str]:
    """What was written when a notification was filed late, or with a later phase of it: the reasons that 33(1) asks
    for."""
    late = {(duty.clock, duty.tenant): duty.filed_in for duty in known.incident.duties if duty.late}
    said: dict[int, str] = {}
    for record in known.records:
        of = record.about if isinstance(record, StatementRecord) else None
        if not isinstance(record, StatementRecord) or not isinstance(of, FiledNotification):
            continue
        filed_in = late.get((of.clock, of.for_tenant))
        if filed_in is not None and (digest := record.words_sha256) is not None:
            said.setdefault(filed_in, payload(services.state, digest) or GONE)
    return said


def _notifications(one: Incident, delays: Mapping[int, str], now: datetime) -> Iterator[str]:
    for duty in one.duties:
        if duty.filed_at is not None:
            filed = f"filed {rfc3339(duty.filed_at)}{_late(duty, delays)}"
            how = f"due {rfc3339(duty.due)}, {filed}, receipt {duty.receipt} (record {duty.filed_in})"
        elif duty.not_due_by is not None:
            how = f"said not to be due (record {duty.not_due_by})"
        elif duty.overdue(now):
            late = human_seconds((now - duty.due).total_seconds())
            how = f"due {rfc3339(duty.due)}, OVERDUE by {late}, not filed"
        else:
            how = f"due {rfc3339(duty.due)}"
        to = f" to {duty.tenant}" if duty.tenant else ""
        yield f"{duty.law} ({duty.clock}){to}: {how}"


def _late(duty: Duty, delays: Mapping[int, str]) -> str:
    if not duty.late or duty.filed_at is None or duty.filed_in is None:
        return ""
    why = delays.get(duty.filed_in)
    reason = "no reason for the delay is noted" if why is None else f"reason for the delay: {why}"
    return f", LATE by {human_seconds((duty.filed_at - duty.due).total_seconds())}, {reason}"
