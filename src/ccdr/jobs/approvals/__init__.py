"""What a second person signs: each version of a plan that has an `approval:` block, and what removes out of turn."""

from ccdr.jobs.approvals.four_eyes import allowed, request, scheduled
from ccdr.jobs.approvals.glass import BrokenGlass, reviewed, to_be_reviewed, to_review
from ccdr.jobs.approvals.plans import ApprovedPlan, approve, block_of, to_approve
from ccdr.jobs.approvals.wanted import FREELY, NOTHING, Allowed, ApprovalRefused, Given, NotApproved, Wanted

__all__ = [
    "FREELY",
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
