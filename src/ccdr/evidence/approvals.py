"""What needs a second person: which operations, and what records tell of it. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from ccdr.evidence.records.statements import APPROVE_OPERATION, APPROVE_PLAN, REVIEW_GLASS
from ccdr.model.values import utc

PLAN_APPROVED = APPROVE_PLAN.kind
APPROVED_BEFORE = "approve.plan.before"  # in a history: the newest before the newest that asked for approvals
AHEAD = timedelta(minutes=5)  # that the clock of who wrote a text may be
WORD = re.compile(r"[A-Za-z0-9_.+:-]{1,128}")


def written_later(given: Mapping[str, Any], there: Mapping[str, Any] | None) -> bool:
    """May the record of this statement take the place of the one that is there? A ledger holds each signature, and the
    text can be had again from its record: what was written before does not hold again by being recorded again. One that
    is dated ahead of its own record, by a clock that was wrong, hinders none."""
    if there is None or utc(there["made"]) > utc(there["time"]) + AHEAD:
        return True
    return utc(given["made"]) > utc(there["made"])


def nonce() -> str:
    """That no two texts are the same."""
    return secrets.token_hex(16)


APPROVAL_USED, APPROVAL_REFUSED = APPROVE_OPERATION.kind, "approval.refused"
GLASS_BROKEN, GLASS_REVIEWED = "approval.glass", REVIEW_GLASS.kind
LONGEST = timedelta(days=7)  # that a request may wait: what it names changes meanwhile
MOST_NONCES = 1000  # of a plan, the newest: those of requests that may still be carried out are among them


class Operation(StrEnum):
    """What needs a request that another person has signed, where the plan is to be approved."""

    PRUNE = "prune"  # outside its schedule
    KEY_REMOVE = "key-remove"  # a password of the repository
    REGISTER = "register"  # an entry of the register of erasures is changed or dropped
    RECOVER = "recover"  # where the plan says so
