"""What a person states is recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ccdr.evidence.approvals import AHEAD
from ccdr.evidence.records.statements import STATEMENT, Statement
from ccdr.host.who import who
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339


def record_statement(given: Statement[Any], services: Services, by: object = None, **more: object) -> int:
    """The record's number; the next `ccdr run` tells people. `by`: who has signed it."""
    body = {**given.body(), "by": by, "who": who().body(), **more}
    seq = services.ledger.append(STATEMENT, plan=given.plan, asset=None, run=None, body=body).seq
    wake(services)
    return seq


def refuse_ahead(given: Statement[Any], now: datetime) -> None:
    if given.made > now + AHEAD:
        raise UsageProblem(f"it was written at {rfc3339(given.made)}, which is ahead of this host's clock")
