"""What `ccdr access` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated

from ccdr.cli.document_base import Doc, Map, Text, document_of
from ccdr.model.kinds import about

AccessTestDocument = document_of("AccessTestDocument", "access.tested", record=Map | None)


class WouldTryAccess(Doc):
    would_try: Annotated[Map, about("the plan, and the roles whose credentials lie here")]


class PolicyOfRole(Doc):
    """A policy in AWS' language: what a role may do."""

    Version: str
    Statement: list[Map]


class PoliciesOfRoles(Doc):
    """Each role's policy. `auditor` and `evidence` are missing where the plan names no place of evidence."""

    backup: PolicyOfRole
    verify: PolicyOfRole
    prune: PolicyOfRole
    restore: PolicyOfRole
    auditor: PolicyOfRole | None = None
    evidence: PolicyOfRole | None = None


class SeaweedIdentities(Doc):
    """What SeaweedFS reads as its -s3.config; the keys are to be filled in."""

    identities: list[Map]
    policies: list[Map]


class AccessReviewDone(Doc):
    plan: str
    export_sha256: str
    by: str
    key: Text
    in_order: bool
    entries: int
    unread: int
    not_read: Annotated[list[str], about("what could not be read, by its name")]
    elsewhere: Annotated[bool, about("somebody stated who looked at that")]
    valid_until: str
    record: int


class AccessReviews(Doc):
    reviewed: list[AccessReviewDone]
