"""Records of who may do what: the credentials of the roles as they were tried, and exports for a review."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.values import OfPlan, Reason, Record, RecordedUser, Tenant
from ccdr.model.kinds import Count, Digest, Value, about

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

    kind: Literal["access.tested"] = "access.tested"
    plan: OfPlan
    version: Literal[4] = 4
    repository: Annotated[Digest, about("SHA-256 of the repository's address")]
    versioning: Annotated[
        Literal["Enabled", "Suspended", "Off"] | None,
        about("of the bucket; null where nobody may ask, or there is none"),
    ] = None
    roles: Annotated[dict[str, RoleFound], about("backup, verify, prune, restore, auditor")]
    promises: list[TriedPromise]
    named_sha256: Annotated[
        Digest, about("of the names of the files and the place of evidence that the plan gave them")
    ]
    left: Annotated[Count, about("versions of these objects that could not be removed")] = 0
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class AccessExported(Record, frozen=True, kw_only=True, gc=False):
    """Who may do what was asked and written to a file: a review of any other file is refused."""

    kind: Literal["access.exported"] = "access.exported"
    plan: OfPlan
    version: Literal[4] = 4
    export_sha256: Annotated[Digest, about("SHA-256 of the file, which may hold several plans")]
    entries: Annotated[Count, about("lines of this plan's: a role, a key, a file, a grant")]
    unread: Annotated[Count, about("what could not be read")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None
