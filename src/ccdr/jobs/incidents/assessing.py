"""What people say of an incident's weight: whether it is a risk to anybody and why, how many persons and records it
concerns. GDPR 33(5) wants these facts documented, and no record of a backup knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.incidents import NOTED
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.verdicts import Record
from ccdr.jobs.services import Services

# By the record's key: what it is called in the register.
SAID = {"risk_sha256": "risk_why", "persons_sha256": "persons_concerned", "records_sha256": "records_concerned"}


@dataclass(frozen=True)
class Assessment:
    """As a person says it, in their words; None for what they did not say. `risk` by GDPR 33(1) and 34(1): `unlikely`,
    `risk` or `high`; it comes with its reason."""

    risk: str | None = None
    risk_why: str | None = None
    persons: str | None = None
    records: str | None = None

    def __bool__(self) -> bool:
        return any((self.risk, self.persons, self.records))

    def kept(self, services: Services) -> dict[str, object]:
        """A record's keys: the words are kept apart."""
        words = {"risk_sha256": self.risk_why, "persons_sha256": self.persons, "records_sha256": self.records}
        digests = {key: None if text is None else keep_payload(services.state, text) for key, text in words.items()}
        return {"what": "assessed", "risk": self.risk, **digests}


def assessed(records: Sequence[Record]) -> dict[str, Any]:
    """What was said last of each: `risk`, and digests by the record's keys."""
    return dict(_said(records))


def _said(records: Sequence[Record]) -> Iterator[tuple[str, Any]]:
    for record in records:
        if record["kind"] == NOTED:
            yield from ((key, value) for key in ("risk", *SAID) if (value := record.get(key)) is not None)
