"""Whose a statement is, as its signature was verified by whoever reads its record. Pure.

A name in a record is a claim. Whoever reads has the signature verified
(`ccdr.jobs.approvals`), and adds to the record what became of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from msgspec import UNSET, structs

from ccdr.evidence.records.statements import SeenSignature, StatementRecord

State = Literal["holds", "refused", "unreadable"]
HOLDS: Final = "holds"  # what became of a signature that was verified
REFUSED: Final = "refused"
UNREADABLE: Final = "unreadable"
NOT_ASKED = "not_verified"  # nobody brought a file of who may sign


@dataclass(frozen=True)
class Whose:
    """Who has stated something: the name that its record claims; who recorded it, where nobody has `signed`. It is that
    person's where `state` is HOLDS; None: nobody verified it. `why` says what is wrong with the signature."""

    name: str
    signed: bool
    state: State | None = None
    why: str = ""

    def __str__(self) -> str:
        if not self.signed:
            return f"{self.name}, and not signed"
        return self.name if self.state == HOLDS else f"{self.name} ({self.state if self.refused else 'not verified'})"

    @property
    def refused(self) -> bool:
        return self.state == REFUSED


def whose(record: StatementRecord) -> Whose:
    """By whom a statement is, as it was verified."""
    name, signed = record.by.name if record.by else record.actor, record.by is not None
    seen = record.verified
    return Whose(name, signed) if seen is UNSET else Whose(name, signed, seen.state, seen.why)


def seen(record: StatementRecord, state: State, why: str = "") -> StatementRecord:
    """The record, with what became of its signature."""
    return structs.replace(record, verified=SeenSignature(state, why))
