"""Troubles that somebody has taken note of, as a report tells of them: who, when, and until when.

Why is kept apart from the record, so that it can be taken back: who gives a report away decides whether it holds that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated

from msgspec import Struct

from ccdr.evidence.acknowledged import Acknowledgements
from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.records.values import RecordedUser
from ccdr.model.kinds import about

Words = Callable[[str | None], str | None]  # by the digest that a record holds: what was written; None where taken back


class Noted(Struct, frozen=True):
    """What holds at the period's end."""

    plan: str | None
    asset: str | None
    code: str
    at: datetime
    until: datetime
    actor: str
    host: str
    record: int
    who: RecordedUser | None
    why_sha256: str | None
    why: Annotated[str | None, about("what was written for it, with `--words`; null where that was taken back")]

    @property
    def where(self) -> str:
        return "/".join(part for part in (self.plan, self.asset) if part) or "this host"


def noted(histories: Histories, end: datetime, words: Words | None) -> tuple[Noted, ...]:
    """`words` where the report is to hold them."""
    return tuple(sorted(_noted(histories, end, words), key=lambda one: (one.where, one.code)))


def _noted(histories: Histories, end: datetime, words: Words | None) -> Iterator[Noted]:
    for (plan, asset), history in histories.items():
        for ack in Acknowledgements.in_force(history.acks, end).each:
            record = history.acks[ack.code]
            whose, why = (record.actor, record.host, ack.seq, record.who), words(ack.why) if words else None
            yield Noted(plan, asset, ack.code, ack.begun, ack.until, *whose, ack.why, why)
