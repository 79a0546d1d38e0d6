"""What is promised of the credentials of the roles, and what came of trying them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Promise(StrEnum):
    """What the separation of the roles is for."""

    CREDENTIALS_DIFFER = "credentials_differ"
    OLD_VERSIONS_STAY = "old_versions_stay"
    DELETES_ONLY_LOCKS = "deletes_only_locks"
    KEEPS_VERSIONING = "keeps_versioning"
    VERIFY_CANNOT_WRITE = "verify_cannot_write"
    RESTORE_CANNOT_WRITE = "restore_cannot_write"
    PRUNE_ALONE_REMOVES = "prune_alone_removes"
    AUDITOR_READS_EVIDENCE_ALONE = "auditor_reads_evidence_alone"


SAYS = {
    Promise.CREDENTIALS_DIFFER: "no two roles have the same credential",
    Promise.OLD_VERSIONS_STAY: "whatever backup puts or deletes, old versions stay readable",
    Promise.DELETES_ONLY_LOCKS: "deletes by backup outside locks/ are refused, or leave markers",
    Promise.KEEPS_VERSIONING: "backup cannot switch the bucket's versions off",
    Promise.VERIFY_CANNOT_WRITE: "verify reads, and can neither write nor delete",
    Promise.RESTORE_CANNOT_WRITE: "restore reads, and can neither write nor delete",
    Promise.PRUNE_ALONE_REMOVES: "prune removes versions, and nobody else can",
    Promise.AUDITOR_READS_EVIDENCE_ALONE: "the auditor reads the evidence, and no customer's data",
}
# Whose credential is tried: where the plan names that role no more, nothing is promised of it.
OF_ROLE = {
    Promise.OLD_VERSIONS_STAY: "backup",
    Promise.DELETES_ONLY_LOCKS: "backup",
    Promise.KEEPS_VERSIONING: "backup",
    Promise.VERIFY_CANNOT_WRITE: "verify",
    Promise.RESTORE_CANNOT_WRITE: "restore",
    Promise.PRUNE_ALONE_REMOVES: "prune",
    Promise.AUDITOR_READS_EVIDENCE_ALONE: "auditor",
}


class Held(StrEnum):
    """What came of trying it. Nothing was shown where a refusal could have another reason than a missing right."""

    HELD = "HELD"
    NOT_SHOWN = "NOT_SHOWN"
    CANNOT_SEPARATE = "CANNOT_SEPARATE"  # this store has no means for it
    BROKEN = "BROKEN"


class RoleState(StrEnum):
    WORKS = "works"
    UNKNOWN = "unknown"  # the store does not know it
    REFUSED = "refused"  # it may not even do its own work
    NOT_HERE = "not_here"  # named by the plan, and its file is not on this host
    NOT_NAMED = "not_named"


@dataclass(frozen=True)
class Kept:
    """Of one promise: what came of it, of how many tries, and why where it did not hold."""

    promise: Promise
    result: Held
    tried: int = 0
    why: str | None = None
