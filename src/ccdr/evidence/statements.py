"""What people sign, of whatever kind: which text the signature of a record is of. Pure.

A name in a record is a claim of whoever wrote it. Whose a signature is, says the file of who may sign that a verifier
has: `ccdr.jobs.statements` asks `ssh-keygen` by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ccdr.evidence import approvals, attested, sign_offs
from ccdr.evidence.deviations.values import ACCEPTED
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.ledger.places import extent_of, lines
from ccdr.evidence.records import Unread, decode
from ccdr.evidence.records.statements import (
    AccessReview,
    ApprovalRequest,
    Declaration,
    GlassReview,
    PeriodSignOff,
    PlanApproval,
    RiskAcceptance,
    Statement,
)
from ccdr.evidence.verdicts import Record

SIGNATURE = b"-----BEGIN SSH SIGNATURE-----"  # a line without it is of no signed record


@dataclass(frozen=True)
class Signed:
    """A text, what it was signed for, and who has signed it as the record claims."""

    text: str
    namespace: str
    by: Mapping[str, Any]


SIGNED: Mapping[str, tuple[type[Statement], Mapping[str, str]]] = {
    approvals.PLAN_APPROVED: (PlanApproval, {"by": PlanApproval.NAMESPACE}),
    approvals.APPROVAL_USED: (
        ApprovalRequest,
        {"requested": ApprovalRequest.REQUESTED, "approved": ApprovalRequest.NAMESPACE},
    ),
    approvals.GLASS_REVIEWED: (GlassReview, {"by": GlassReview.NAMESPACE}),
    attested.ATTESTATION: (Declaration, {"by": Declaration.NAMESPACE}),
    ACCESS_REVIEWED: (AccessReview, {"by": AccessReview.NAMESPACE}),
    ACCEPTED: (RiskAcceptance, {"by": RiskAcceptance.NAMESPACE}),
    sign_offs.SIGNED_OFF: (PeriodSignOff, {"by": PeriodSignOff.NAMESPACE}),
}


def signatures_of(record: Record) -> list[Signed]:
    """Those of a record of such a kind, none where nobody has signed it."""
    of, by = SIGNED[record["kind"]]
    there = {name: namespace for name, namespace in by.items() if record.get(name)}
    text = of.recorded(record).text() if there else ""
    return [Signed(text, namespace, record[name]) for name, namespace in there.items()]


def signed_in(directory: Path) -> list[Record]:
    """Every record of a ledger that somebody has signed, in order."""
    every = map(signed_record, lines(directory, extent_of(directory)))
    return [record for record in every if record is not None]


def signed_record(line: bytes) -> Record | None:
    """A line's record, whole, where somebody has signed it; what is no record is left to the verification."""
    if SIGNATURE not in line:
        return None
    try:
        record = decode(line)
    except ValueError:
        return None
    if isinstance(record, Unread) or record.kind not in SIGNED:
        return None
    whole: Record = msgspec.to_builtins(record)
    return whole
