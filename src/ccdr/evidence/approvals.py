"""What is signed where something needs a second person: the text itself, and what records tell of it. Pure.

The text has one form only, so that it can be had again from what a record holds, and so that what was signed is what is
read: a first line, then `key: value` lines in the order in which they were made, each as short as it can be. A person
reads it before they sign it, and `ssh-keygen -Y verify` takes it as it is.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339, utc

NAMESPACE = "ccdr-approval"  # what an approver signs for: a key may be restricted to it in allowed_signers
PLAN_APPROVED = "plan.approved"  # the record's kind
HEAD = "ccdr, to be signed, format 2"
AHEAD = timedelta(minutes=5)  # that the clock of who wrote the text may be

Lines = Sequence[tuple[str, str]]
_KEY = re.compile(r"[a-z][a-z-]{0,39}")
NONCE = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")
WORD = re.compile(r"[A-Za-z0-9_.+:-]{1,128}")


def nonce() -> str:
    """That no two texts are the same."""
    return secrets.token_hex(16)


def written(lines: Lines) -> str:
    return f"{HEAD}\n" + "".join(f"{key}: {value}\n" for key, value in lines)


def read(text: str, of: str) -> list[tuple[str, str]]:
    """The lines of a text that was written by `written`, of what begins with `of`. UsageProblem where it is not one,
    byte for byte."""
    head, *rest = text.split("\n")
    lines = [(key, value) for key, colon, value in (line.partition(": ") for line in rest[:-1]) if colon]
    if head != HEAD or not lines or written(lines) != text or not all(_KEY.fullmatch(key) for key, _ in lines):
        raise UsageProblem(
            "this is not a text that ccdr wrote to be signed, or it was changed since",
            hint="have it written again, and leave it as it is: a line end more is another text",
        )
    if lines[0] != ("to", of):
        raise UsageProblem(f"this text is to {lines[0][1][:40]!a}, expected one to {of!a}", hint="name the other file")
    return lines


@dataclass(frozen=True)
class PlanToApprove:
    """One version of a plan, until when it is to be looked at again."""

    plan: str
    digest: str
    review_by: datetime
    made: datetime
    nonce: str

    TO = "approve a plan"

    def text(self) -> str:
        return written(
            (
                ("to", self.TO),
                ("plan", self.plan),
                ("version", self.digest),
                ("review-by", rfc3339(self.review_by)),
                ("made", rfc3339(self.made)),
                ("nonce", self.nonce),
            )
        )

    @classmethod
    def read(cls, text: str) -> PlanToApprove:
        """UsageProblem where it is none."""
        of = dict(read(text, cls.TO))
        try:
            one = cls(of["plan"], of["version"], utc(of["review-by"]), utc(of["made"]), of["nonce"])
        except (KeyError, ValueError, OverflowError):
            raise misfit() from None
        if one.text() != text or not SHA256.fullmatch(one.digest) or not NONCE.fullmatch(one.nonce):
            raise misfit()
        return one

    @classmethod
    def recorded(cls, record: Mapping[str, object]) -> PlanToApprove:
        """What the signature of a record is of."""
        times = (utc(str(record["review_by"])), utc(str(record["made"])))
        return cls(str(record["plan"]), str(record["digest"]), *times, str(record["nonce"]))


def misfit() -> UsageProblem:
    return UsageProblem("this is not a text that ccdr wrote to be signed", hint="have it written again")


REQUESTED = "ccdr-request"  # what a requester signs for
APPROVAL_USED, APPROVAL_REFUSED = "approval.used", "approval.refused"  # kinds of records
GLASS_BROKEN, GLASS_REVIEWED = "approval.glass", "approval.reviewed"
LONGEST = timedelta(days=7)  # that a request may wait: what it names changes meanwhile
MOST_NONCES = 1000  # of a plan, the newest: those of requests that may still be carried out are among them


class Operation(StrEnum):
    """What needs a request that another person has signed, where the plan is to be approved."""

    PRUNE = "prune"  # outside its schedule
    KEY_REMOVE = "key-remove"  # a password of the repository
    REGISTER = "register"  # an entry of the register of erasures is changed or dropped
    RECOVER = "recover"  # where the plan says so


@dataclass(frozen=True)
class Request:
    """What somebody wants to do, once, on one host. `about` says more of it in one word (an id), where there is more to
    say; `snapshots` are what may be removed. `version` is the plan's, `repository` the digest of its address."""

    operation: str
    plan: str
    version: str
    repository: str
    host: str
    about: str
    requested_by: str
    key: str
    made: datetime
    expires: datetime
    nonce: str
    snapshots: tuple[str, ...] = ()

    TO = "approve a request"

    def text(self) -> str:
        return written(
            (
                ("to", self.TO),
                ("operation", self.operation),
                ("plan", self.plan),
                ("version", self.version),
                ("repository", self.repository),
                ("host", self.host),
                ("about", self.about),
                ("requested-by", self.requested_by),
                ("key", self.key),
                ("made", rfc3339(self.made)),
                ("expires", rfc3339(self.expires)),
                ("nonce", self.nonce),
                *(("snapshot", one) for one in self.snapshots),
            )
        )

    @property
    def digest(self) -> str:
        return sha256(self.text().encode()).hexdigest()

    @classmethod
    def read(cls, text: str) -> Request:
        """UsageProblem where it is none."""
        lines = read(text, cls.TO)
        of, snapshots = dict(lines), tuple(value for key, value in lines if key == "snapshot")
        try:
            one = cls(
                operation=of["operation"],
                plan=of["plan"],
                version=of["version"],
                repository=of["repository"],
                host=of["host"],
                about=of["about"],
                requested_by=of["requested-by"],
                key=of["key"],
                made=utc(of["made"]),
                expires=utc(of["expires"]),
                nonce=of["nonce"],
                snapshots=snapshots,
            )
        except (KeyError, ValueError, OverflowError):
            raise misfit() from None
        digests = all(SHA256.fullmatch(digest) for digest in (one.version, one.repository, *snapshots))
        known = one.operation in {*Operation} and WORD.fullmatch(one.about) and NONCE.fullmatch(one.nonce)
        if one.text() != text or not digests or not known:
            raise misfit()
        return one

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Request:
        """What the signatures of a record are of."""
        requested = record["requested"]
        return cls(
            operation=str(record["operation"]),
            plan=str(record["plan"]),
            version=str(record["digest"]),
            repository=str(record["repository"]),
            host=str(record["on"]),
            about=record["about"] or "-",
            requested_by=str(requested["name"]),
            key=str(requested["key"]),
            made=utc(record["made"]),
            expires=utc(record["expires"]),
            nonce=str(record["nonce"]),
            snapshots=tuple(record["snapshots"]),
        )


@dataclass(frozen=True)
class ToReview:
    """That the glass was broken, and that somebody has looked at why. `of` is the nonce of its record."""

    plan: str
    of: str
    made: datetime
    nonce: str

    TO = "say that a broken glass was reviewed"

    def text(self) -> str:
        lines = (("to", self.TO), ("plan", self.plan), ("of", self.of))
        return written((*lines, ("made", rfc3339(self.made)), ("nonce", self.nonce)))

    @classmethod
    def read(cls, text: str) -> ToReview:
        """UsageProblem where it is none."""
        of = dict(read(text, cls.TO))
        try:
            one = cls(of["plan"], of["of"], utc(of["made"]), of["nonce"])
        except (KeyError, ValueError, OverflowError):
            raise misfit() from None
        if one.text() != text or not all(NONCE.fullmatch(value) for value in (one.of, one.nonce)):
            raise misfit()
        return one

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> ToReview:
        """What the signature of a record is of."""
        return cls(str(record["plan"]), str(record["of"]), utc(record["made"]), str(record["nonce"]))
