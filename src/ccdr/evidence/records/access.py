"""Records of who may do what: the credentials of the roles as they were tried, and reviews that somebody has made."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.approvals import Nonce, SignedBy
from ccdr.evidence.records.values import (
    Count,
    Digest,
    OfPlan,
    Reason,
    Record,
    RecordedUser,
    Tenant,
    Time,
    Value,
    about,
)

RoleFound = Annotated[
    Literal["works", "unknown", "refused", "not_here", "not_named"],
    about(
        "`unknown`: the store does not know the credential; `refused`: it may not even read; `not_here`: it is not on "
        "this host; `not_named`: the plan names none"
    ),
]
PromiseCode = Annotated[
    Literal[
        "credentials_differ",
        "old_versions_stay",
        "deletes_only_locks",
        "keeps_versioning",
        "verify_cannot_write",
        "restore_cannot_write",
        "prune_alone_removes",
        "auditor_reads_evidence_alone",
    ],
    about("what the separation of the roles is for"),
]


class TriedPromise(Value, frozen=True, kw_only=True, gc=False):
    """One promise, and what came of trying it. `CANNOT_SEPARATE`: the store has no means for it. `NOT_SHOWN`: a refusal
    could have another reason than a missing right."""

    promise: PromiseCode
    result: Literal["HELD", "BROKEN", "CANNOT_SEPARATE", "NOT_SHOWN"]
    tried: Annotated[Count, about("how often something was tried that must be refused, or that must do no harm")]
    why: Reason = None


class AccessTested(Record, frozen=True, kw_only=True, gc=False):
    """Each role's credential was tried at the store, by small objects of ccdr's own."""

    kind: Literal["access.tested"]
    plan: OfPlan
    version: Literal[4]
    repository: Annotated[Digest, about("SHA-256 of the repository's address")]
    versioning: Annotated[
        Literal["Enabled", "Suspended", "Off"] | None,
        about("of the bucket; null where nobody may ask, or there is none"),
    ] = None
    roles: Annotated[dict[str, RoleFound], about("backup, verify, prune, restore, auditor")]
    promises: list[TriedPromise]
    named_sha256: Annotated[
        Digest | None,
        about("of the names of the files and the place of evidence that the plan gave them"),
    ] = None
    left: Annotated[Count, about("versions of these objects that could not be removed")] = 0
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class AccessExported(Record, frozen=True, kw_only=True, gc=False):
    """Who may do what was asked and written to a file: a review of any other file is refused."""

    kind: Literal["access.exported"]
    plan: OfPlan
    version: Literal[4]
    export_sha256: Annotated[Digest, about("SHA-256 of the file, which may hold several plans")]
    entries: Annotated[Count, about("lines of this plan's: a role, a key, a file, a grant")]
    unread: Annotated[Count, about("what could not be read")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class AccessReviewed(Record, frozen=True, kw_only=True, gc=False):
    """Somebody has looked at an export of who may do what. Where they signed, it is the text that these values make."""

    kind: Literal["access.reviewed"]
    plan: OfPlan
    version: Literal[4]
    export_sha256: Annotated[Digest, about("SHA-256 of the export, which stays where it is")]
    exported: Annotated[Time, about("when the systems were asked")]
    entries: Annotated[Count, about("lines of the export: a role, a key, a file, a grant")]
    unread: Annotated[Count, about("what could not be read, and so was not looked at")]
    not_read: Annotated[
        list[str], about("what that was, by its name: accounts of an asset, keys of a repository, a bucket's policy")
    ] = []
    result: Annotated[
        Literal["in_order", "to_be_changed"], about("whether everybody has what they should have, and nobody more")
    ]
    found_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart: what they found")]
    elsewhere_sha256: Annotated[
        Digest | None,
        about("of a salt, a newline and the words, kept apart: who looked at what could not be read; null: nobody did"),
    ] = None
    valid_until: Time
    made: Annotated[Time, about("when the text was written that was signed")]
    nonce: Nonce
    by: Annotated[SignedBy | None, about("null: nobody signed it; `actor` says whose account recorded it")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None
