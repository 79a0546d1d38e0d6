"""What a second person signs: each version of a plan that has an `approval:` block, and what removes out of turn."""

from ccdr.jobs.approvals.four_eyes import (
    NOTHING,
    Allowed,
    ApprovalRefused,
    BrokenGlass,
    Given,
    NotApproved,
    Wanted,
    allowed,
    request,
    reviewed,
    scheduled,
    to_be_reviewed,
    to_review,
)
from ccdr.jobs.approvals.plans import ApprovedPlan, approve, block_of, to_approve

__all__ = [
    "NOTHING",
    "Allowed",
    "ApprovalRefused",
    "ApprovedPlan",
    "BrokenGlass",
    "Given",
    "NotApproved",
    "Wanted",
    "allowed",
    "approve",
    "block_of",
    "request",
    "reviewed",
    "scheduled",
    "to_approve",
    "to_be_reviewed",
    "to_review",
]
