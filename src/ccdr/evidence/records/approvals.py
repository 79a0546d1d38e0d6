"""Records of approvals that were missing: what was refused, and what was done without."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.statements import AboutWord, Nonce, OfRepository, OfVersion, OperationCode
from ccdr.evidence.records.values import OfPlan, Record, RecordedUser, Tenant
from ccdr.model.kinds import Digest, about


class ApprovalRefused(Record, frozen=True, kw_only=True, gc=False):
    """Something that needs another person's signature was asked for without one that holds: nothing was done."""

    kind: Literal["approval.refused"] = "approval.refused"
    plan: OfPlan
    version: Literal[4] = 4
    operation: OperationCode
    about: AboutWord = None
    why: Annotated[
        Literal[
            "missing",
            "unreadable",
            "not_as_written",
            "signature",
            "second_factor",
            "same_person",
            "another_operation",
            "another_version",
            "another_repository",
            "another_host",
            "expired",
            "used",
            "signers",
        ],
        about("what was wrong with it"),
    ]
    request_sha256: Digest | None = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class GlassBroken(Record, frozen=True, kw_only=True, gc=False):
    """Somebody went on without an approval, for a reason. It stands until somebody who may approve has reviewed it."""

    kind: Literal["approval.glass"] = "approval.glass"
    plan: OfPlan
    version: Literal[4] = 4
    operation: OperationCode
    about: AboutWord = None
    digest: OfVersion
    repository: OfRepository
    why_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart")]
    nonce: Nonce
    tenant: Tenant = "default"
    who: RecordedUser | None = None
