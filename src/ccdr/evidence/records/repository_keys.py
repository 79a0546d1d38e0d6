"""Records of the passwords of a plan's repositories: restic's keys. Never a password, nor what may be guessed of it."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.values import OfPlan, Record, RecordedUser, Tenant
from ccdr.model.kinds import Count, Digest, Value, about

Where = Annotated[str, about("`primary`, or the copy's name in the plan; `ledger_repository`")]
OfLog = Annotated[bool, about("of the repository of the shipped log, below that one")]
KeyId = Annotated[Digest, about("restic's full id of the key file")]
Why = Annotated[
    Literal["command", "rotation", "fast"],
    about("`command`: a person added or removed it; `rotation`: a rotation did; `fast`: of a password, the fast one"),
]


class KeyChanged(Record, frozen=True, kw_only=True, gc=False):
    """What both records of one key hold."""

    plan: OfPlan
    repository: Where
    of_log: OfLog = False
    key: KeyId
    twin_of: Annotated[KeyId | None, about("of a fast key: restic's own for the same password")] = None
    why: Why
    keys: Annotated[Count, about("how many open it now")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class KeyAdded(KeyChanged, frozen=True, kw_only=True, gc=False):
    """Another password opens a repository from now on; it was tried."""

    kind: Literal["repository.key.added"] = "repository.key.added"
    version: Literal[4] = 4


class KeyRemoved(KeyChanged, frozen=True, kw_only=True, gc=False):
    """A password opens a repository no more. Where the store keeps versions, an old version of the key file still does:
    the master key did not change."""

    kind: Literal["repository.key.removed"] = "repository.key.removed"
    version: Literal[4] = 4


class PasswordMade(Record, frozen=True, kw_only=True, gc=False):
    """ccdr made a repository's password, of 256 random bits: where it opens a repository, a fast key may, too."""

    kind: Literal["repository.password.made"] = "repository.password.made"
    plan: OfPlan
    version: Literal[4] = 4
    password: Annotated[Digest, about("SHA-256 of 'ccdr: repository password', a line feed, and the password")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class SwitchedKey(Value, frozen=True, kw_only=True, gc=False):
    """Of one repository: the key that the plan's password opened, and the one that it opens."""

    repository: Where
    of_log: OfLog = False
    old: KeyId | None = None
    new: KeyId


class KeySwitched(Record, frozen=True, kw_only=True, gc=False):
    """The file that a plan takes its password from holds another one."""

    kind: Literal["repository.key.switched"] = "repository.key.switched"
    plan: OfPlan
    version: Literal[4] = 4
    opens: Annotated[list[SwitchedKey], about("the repositories that it opens")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None
