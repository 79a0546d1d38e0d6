"""One incident as it is shown: with the words that people wrote, which are kept apart from its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.incidents import CLOSED, FILED, NOT_DUE, NOTED, OPENED, Incident
from ccdr.evidence.judgement.incidents import IncidentNow
from ccdr.evidence.payloads import payload
from ccdr.evidence.records import IncidentOpened, StatementRecord
from ccdr.evidence.records.statements import NotDue, NotedIncident, kind_of
from ccdr.jobs.incidents import Known, of_ledger
from ccdr.jobs.services import Services
from ccdr.model.values import stamped
from ccdr.telling.status import clocks_of

Said = tuple[str, str, str | None]  # when, what it is, the words (None: taken back)


@dataclass(frozen=True)
class Listed:
    """An incident and what time it is by its clocks."""

    standing: IncidentNow

    @property
    def incident(self) -> Incident:
        return self.standing.incident

    @property
    def next(self) -> str:
        return self.standing.next

    @property
    def overdue(self) -> bool:
        return self.incident.open and any(duty.overdue(self.standing.now) for duty in self.incident.duties)

    def as_json(self) -> dict[str, object]:
        return {**self.incident.as_json(), "overdue": self.overdue}


@dataclass(frozen=True)
class IncidentShown(Listed):
    words: list[Said]

    @property
    def now(self) -> datetime:
        return self.standing.now

    def as_json(self) -> dict[str, object]:
        said = [{"at": at, "what": what, "text": text} for at, what, text in self.words]
        return {**super().as_json(), "words": said}


def listed(services: Services, plans: Sequence[str] | None = None) -> list[Listed]:
    """All of this host's, closed ones too, in the order in which they were opened."""
    clocks = clocks_of(services)
    return [Listed(IncidentNow(one.incident, clocks.of(one.entry))) for one in of_ledger(services, plans)]


def shown(known: Known, services: Services) -> IncidentShown:
    now = clocks_of(services).of(known.entry)
    return IncidentShown(IncidentNow(known.incident, now), list(said_of(known, services)))


def said_of(known: Known, services: Services) -> Iterator[Said]:
    """What people wrote, in order."""
    for record in known.records:
        about = record.about if isinstance(record, StatementRecord) else record
        for what, key in _WORDS.get(kind_of(record), ()):
            digest = getattr(record if key == "words_sha256" else about, key)
            if digest is not None:
                yield stamped(record.time), _label(what, about), payload(services.state, digest)


_WORDS = {
    OPENED: (("why", "why_sha256"),),
    NOTED: (
        ("note", "words_sha256"),
        ("risk", "risk_sha256"),
        ("persons concerned", "persons_sha256"),
        ("records concerned", "records_sha256"),
    ),
    FILED: (("filed", "words_sha256"),),
    NOT_DUE: (("not due", "words_sha256"),),
    CLOSED: (("effects", "effects_sha256"), ("remedy", "remedy_sha256")),
}


def _label(what: str, of: object) -> str:
    match of:
        case IncidentOpened() if of.reopens:
            return "opened once more"
        case NotDue():
            return f"not due ({', '.join(of.clocks)})"
        case NotedIncident() if what == "risk":
            return f"risk ({of.risk})"
    return what
