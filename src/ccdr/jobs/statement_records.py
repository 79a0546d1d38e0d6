"""What a person states is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from msgspec import structs

from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.statements import About, Says, SignedBy, Statement, StatementRecord
from ccdr.evidence.records.values import recorded_user
from ccdr.evidence.statements import AHEAD, nonce
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339

A = TypeVar("A", bound=About)


def stated(
    services: Services,
    says: Says,
    about: A,
    *,
    plan: str | None = None,
    until: datetime | None = None,
    words: str | None = None,
    files: tuple[str, ...] = (),
) -> Statement[A]:
    """What is to be signed, or recorded: the words are kept from now on."""
    kept, now = None if words is None else keep_payload(services.state, words), services.clock.now()
    return Statement(
        plan=plan, says=says, about=about, until=until, words_sha256=kept, files=files, made=now, nonce=nonce()
    )


def record_statement(
    given: Statement[Any],
    services: Services,
    by: SignedBy | None = None,
    more: Mapping[str, Any] = {},
    *,
    asset: str | None = None,
) -> int:
    """The record's number; the next `ccdr run` tells people. `by`: who has signed it; `more` of the record."""
    whole = {**structs.asdict(given), "asset": asset, "by": by, "who": recorded_user(), **more}
    seq = services.ledger.write(StatementRecord(**whole)).seq
    wake(services)
    return seq


def refuse_ahead(given: Statement[Any], now: datetime) -> None:
    if given.made > now + AHEAD:
        raise UsageProblem(f"it was written at {rfc3339(given.made)}, which is ahead of this host's clock")
