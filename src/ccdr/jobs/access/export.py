"""Who may do what of one plan, as the systems told: what `ccdr access review` writes and prints, and reads back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Struct, field

from ccdr.model.kinds import about
from ccdr.ports.accounts import Account
from ccdr.storage.s3_access import Grant, PolicyStatement

FORMAT = 2


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person looks at."""


class StoreCredential(Line, tag_field="kind", tag="credential", frozen=True, kw_only=True):
    """A credential by which somebody comes to a repository's store."""

    repository: str
    role: Annotated[str, about("whose it is; `plan`: of the repository itself")]
    named_by: str
    here: Annotated[bool, about("its file lies on this host")]
    key_ends_in: str | None = None


class StoreTrial(Line, tag_field="kind", tag="trial", frozen=True, kw_only=True):
    """What was tried of that, by `ccdr access test`."""

    repository: str
    tried: str
    record: int
    promise: str
    result: str


class RepositoryPassword(Line, frozen=True, kw_only=True):
    """A password of a repository, as restic lists it."""

    repository: str
    id: str
    created: datetime | None
    user: str
    host: str
    twin_of: str | None
    current: bool


class DatabaseAccess(Line, frozen=True, kw_only=True):
    asset: str
    engine: str
    accounts: tuple[Account, ...]


class HostAccount(Line, frozen=True, kw_only=True):
    """Somebody who is root on this host, or may become it; or of a line of sudoers, each that it is for."""

    name: Annotated[str, about("by sudoers also `%group` or `#number`")]
    by: Annotated[list[str], about("`uid 0`, a group, `sudo: ` and what it allows, `ssh: ` and the key's fingerprint")]
    uid: int | None = None
    logs_in: Annotated[bool | None, about("has it a shell; null of a line of sudoers")] = None


class FileAccess(Line, frozen=True, kw_only=True):
    """A file, or a directory, of this host."""

    what: str
    path: str
    owner: str
    group: str
    mode: str
    others_may: list[str]
    replaceable_by_others_at: list[str]


class Approver(Line, frozen=True, kw_only=True):
    """A line of the file of signers."""

    names: list[str]
    key: str
    type: str
    second_factor: bool
    options: list[str]


class NotRead(Line, frozen=True):
    what: str
    why: str


StoreLine = StoreCredential | PolicyStatement | Grant | StoreTrial


class AccessExport(Struct, kw_only=True, forbid_unknown_fields=True, tag_field="access_review", tag=FORMAT):
    """Who may do what of one plan, as the systems told."""

    plan: str
    at: Annotated[datetime, about("when they were asked")]
    host: str
    store: list[StoreLine] = field(default_factory=list)
    repository_keys: list[RepositoryPassword] = field(default_factory=list)
    databases: list[DatabaseAccess] = field(default_factory=list)
    host_accounts: list[HostAccount] = field(default_factory=list)
    files: list[FileAccess] = field(default_factory=list)
    approvers: list[Approver] = field(default_factory=list)
    unread: list[NotRead] = field(default_factory=list)
    entries: Annotated[int, about("lines to look at")] = 0

    def lacks(self, what: str, why: str) -> None:
        self.unread.append(NotRead(what=what, why=why))

    def counted(self) -> int:
        """What a person looks at: of a database each of its accounts."""
        lines = [*self.store, *self.repository_keys, *self.host_accounts, *self.files, *self.approvers]
        return len(lines) + sum(len(one.accounts) for one in self.databases)


class AccessExports(Struct, kw_only=True, forbid_unknown_fields=True):
    plans: list[AccessExport]


class AnyFormat(Struct):
    """By which it is told whether this ccdr reads it."""

    access_review: int
