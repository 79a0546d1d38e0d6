"""What a second person signs: each version of a plan that has an `approval:` block."""

from ccdr.jobs.approvals.plans import ApprovedPlan, approve, block_of, to_approve

__all__ = ["ApprovedPlan", "approve", "block_of", "to_approve"]
