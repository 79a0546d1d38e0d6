"""What `ccdr access` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.cli.document_base import Doc, Map, Text, document_of
from ccdr.evidence.records.values import about

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


class StoreEntry(Doc):
    """Something that lets somebody come to a repository's store, or what was tried of that. `kind`: `credential`,
    `policy`, `grant`, `trial`."""

    repository: str
    kind: Literal["credential", "policy", "grant", "trial"]
    role: Annotated[str, about("whose credential; `plan`: of the repository itself")] = ""
    named_by: str = ""
    here: Annotated[bool, about("its file lies on this host")] = False
    key_ends_in: Text = None
    bucket: str = ""
    effect: str = ""
    principal: list[str] | None = None
    actions: list[str] | None = None
    resources: list[str] | None = None
    condition: bool = False
    to: str = ""
    permission: Text = None
    tried: str = ""
    record: int = 0
    promise: str = ""
    result: str = ""


class RepositoryKeyDocument(Doc):
    """A password of a repository, as restic lists it."""

    repository: str
    id: str
    created: str
    user: str
    host: str
    twin_of: str | None
    current: bool


class ReachDocument(Doc):
    """What an account may do in one place: by the server's words, or by how many tables of how many."""

    where: str
    rights: list[str]
    reads: int | None
    writes: int | None
    of: int | None


class AccountDocument(Doc):
    name: str
    logs_in: bool
    rights: Annotated[list[str], about("everywhere on the server, in its own words")]
    member_of: list[str]
    valid_until: Text
    reach: list[ReachDocument]


class DatabaseAccess(Doc):
    asset: str
    engine: str
    accounts: list[AccountDocument]


class HostAccount(Doc):
    """Somebody who is root on this host, or may become it; or of a line of sudoers, each that it is for."""

    name: Annotated[str, about("by sudoers also `%group` or `#number`")]
    uid: int | None
    logs_in: Annotated[bool | None, about("has it a shell; null of a line of sudoers")]
    by: Annotated[list[str], about("`uid 0`, a group, `sudo: ` and what it allows, `ssh: ` and the key's fingerprint")]


class FileAccess(Doc):
    """A file, or a directory, of this host."""

    what: str
    path: str
    owner: str
    group: str
    mode: str
    others_may: list[str]
    replaceable_by_others_at: list[str]


class Approver(Doc):
    """A line of the file of signers."""

    names: list[str]
    key: str
    type: str
    second_factor: bool
    options: list[str]


class NotRead(Doc):
    what: str
    why: str


class AccessExport(Doc):
    """Who may do what of one plan, as the systems told."""

    access_review: Annotated[int, about("the format")]
    plan: str
    at: Annotated[str, about("when they were asked, RFC 3339, UTC")]
    host: str
    store: list[StoreEntry]
    repository_keys: list[RepositoryKeyDocument]
    databases: list[DatabaseAccess]
    host_accounts: list[HostAccount]
    files: list[FileAccess]
    approvers: list[Approver]
    unread: list[NotRead]
    entries: Annotated[int, about("lines to look at")]


class AccessExports(Doc):
    plans: list[AccessExport]


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
