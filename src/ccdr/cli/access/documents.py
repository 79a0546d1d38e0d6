"""What `ccdr access` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.cli.document_base import Doc, Map, Text
from ccdr.evidence.records.access import PromiseCode, RoleFound
from ccdr.evidence.records.values import about


class PromiseDocument(Doc):
    promise: PromiseCode
    result: Literal["HELD", "BROKEN", "CANNOT_SEPARATE", "NOT_SHOWN"]
    tried: Annotated[int, about("how often something was tried that must be refused, or that must do no harm")]
    why: Text


class AccessTestDocument(Doc):
    """What came of trying each role's credential at the store."""

    plan: str
    versioning: Annotated[Text, about("Enabled, Suspended or Off; null where nobody may ask")]
    roles: dict[str, RoleFound]
    promises: list[PromiseDocument]
    left: Annotated[int, about("versions of canaries that could not be removed")]
    record: Map | None


class WouldTryAccess(Doc):
    would_try: Annotated[Map, about("the plan, and the roles whose credentials lie here")]


class PolicyOfRole(Doc):
    """A policy in AWS' language: what a role may do."""

    Version: str
    Statement: list[Map]


class PoliciesOfRoles(Doc):
    """Each role's policy. `auditor` is missing where the plan names no place of evidence."""

    backup: PolicyOfRole
    verify: PolicyOfRole
    prune: PolicyOfRole
    restore: PolicyOfRole
    auditor: PolicyOfRole | None = None


class SeaweedIdentities(Doc):
    """What SeaweedFS reads as its -s3.config; the keys are to be filled in."""

    identities: list[Map]
    policies: list[Map]
