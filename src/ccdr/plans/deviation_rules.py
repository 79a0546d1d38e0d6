"""How bad deviations are, and until when each is to be over: what a plan may say of that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from ccdr.model.schema import Duration, Strict
from ccdr.model.trouble import Severity, Trouble

SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@-]{0,127}")  # one word, so that a record may hold it
LOOSENED = "LOOSENED"  # in a plan's rules: whatever a new version of a plan promises no more
ERASURE_FAILED = "ERASURE_FAILED"  # a replay of the register of erasures did not end well

OF_LEDGER = frozenset((
    Trouble.LEDGER_BROKEN, Trouble.LEDGER_LOST, Trouble.LEDGER_SPOILT, Trouble.LEDGER_CONTRADICTED,
    Trouble.SUMMARY_WRONG,
))  # fmt: skip

# What comes with ccdr.
SEVERITY: Mapping[str, Severity] = {
    **{trouble.name: trouble.row.severity for trouble in Trouble if trouble.row.severity is not None},
    ERASURE_FAILED: "critical",
    LOOSENED: "major",
}
if TYPE_CHECKING:
    DeviationCode = str
else:  # a finding of the ledger is of no plan, and no plan's to weigh
    DeviationCode = Literal[tuple(code for code in SEVERITY if code not in {one.name for one in OF_LEDGER})]


class DueWithin(Strict):
    """How long after it was opened a deviation is overdue."""

    critical: Duration = Field(7 * 86400.0, description="since it was opened")
    major: Duration = Field(30 * 86400.0, description="since it was opened")
    minor: Duration = Field(90 * 86400.0, description="since it was opened")


class Deviations(Strict):
    """What went wrong is to be over in time."""

    severity: dict[DeviationCode, Severity] = Field(
        {}, description="how bad a deviation of this code is; as ccdr has it unless said (docs/how-to/deviations.md)"
    )
    due: DueWithin = Field(DueWithin(), description="by when a deviation of this severity is to be over")


def severity_of(code: str, stated: Mapping[str, Any]) -> Severity:
    """As the plan says (by code), or as ccdr does. A code that ccdr has none for is a loosening."""
    own = code if code in SEVERITY else LOOSENED
    said: Severity = stated.get(own, SEVERITY[own])
    return said


def due_within(severity: str, stated: Mapping[str, Any]) -> float:
    """Seconds."""
    return float(stated.get(severity) or getattr(_DUE, severity))


_DUE = DueWithin()
