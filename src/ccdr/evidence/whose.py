"""Whose a statement is, as its signature was verified by whoever reads its record. Pure.

A name in a record is a claim. Whoever reads has the signature verified
(`ccdr.jobs.approvals`), and adds to the record what became of that.
"""

from __future__ import annotations

from dataclasses import dataclass

from ccdr.evidence.verdicts import Record

HOLDS, REFUSED, UNREADABLE = "holds", "refused", "unreadable"  # what became of a signature that was verified
NOT_ASKED = "not_verified"  # nobody brought a file of who may sign
_SEEN = "signature_seen"  # no key of any record: whoever reads adds it


@dataclass(frozen=True)
class Whose:
    """Who has stated something: the name that its record claims; who recorded it, where nobody has `signed`. It is that
    person's where `state` is HOLDS; None: nobody verified it. `why` says what is wrong with the signature."""

    name: str
    signed: bool
    state: str | None = None
    why: str = ""

    def __str__(self) -> str:
        if not self.signed:
            return f"{self.name}, and not signed"
        return self.name if self.state == HOLDS else f"{self.name} ({self.state if self.refused else 'not verified'})"

    @property
    def refused(self) -> bool:
        return self.state == REFUSED


def whose(record: Record) -> Whose:
    """By whom a statement is, as it was verified."""
    by = record.get("by")
    state, why = record.get(_SEEN) or (None, "")
    return Whose(str(by["name"] if by else record["actor"]), bool(by), state, why)


def seen(record: Record, state: str, why: str = "") -> Record:
    """The record, with what became of its signature."""
    return {**record, _SEEN: (state, why)}
