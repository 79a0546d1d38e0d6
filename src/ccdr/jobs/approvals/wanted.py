"""What somebody is about to do that needs another person's signature, by what they go on, and what they may do then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ccdr.evidence.approvals import Operation
from ccdr.evidence.records.values import recorded_user
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.plans.versions import digest_of, files_of


class NotApproved(CcdrError):
    """The version of the plan is not approved, and what it says of removal is not carried out."""

    exit_code = Exit.FINDING


class ApprovalRefused(UsageProblem):
    """There is no approval for it that holds; nothing was done. `code` says why, for records."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True)
class Given:
    """By what somebody goes on: a request that another has signed, or a reason to break the glass. Neither: nothing."""

    text: str | None = None
    requested: str = ""  # the requester's signature
    approved: str = ""  # the other's
    reason: str | None = None  # to break the glass …
    tell: Callable[[], None] = field(default=lambda: None, compare=False)  # … and who is told of that, at once


NOTHING = Given()


@dataclass(frozen=True)
class Wanted:
    """What somebody is about to do. `about` is one word more, an id, where there is more to say."""

    operation: Operation
    loaded: LoadedPlan
    about: str | None = None

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def asked(self) -> str:
        """As a command asks for it."""
        return self.operation.value + ("" if self.about is None else f" --about {self.about}")

    @property
    def version(self) -> str:
        return digest_of(files_of(self.loaded))

    @property
    def repository(self) -> str:
        return sha256(self.loaded.plan.repository.location.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def recorded(self) -> dict[str, Any]:
        """What records of it have in common."""
        return {"plan": self.plan, "operation": self.operation.value, "about": self.about, **whose(self.loaded)}


@dataclass(frozen=True)
class Allowed:
    """What may be done now. `snapshots` are those that may be removed; None: all that the plan says."""

    snapshots: frozenset[str] | None = None
    by: str | None = None  # for people: who approved it

    def may_go(self, snapshot: str) -> bool:
        return self.snapshots is None or snapshot in self.snapshots


FREELY = Allowed()


def whose(loaded: LoadedPlan) -> dict[str, Any]:
    """Of which tenant it is, and who asks, for a record."""
    return {"tenant": loaded.plan.tenant_of(None), "who": recorded_user()}
