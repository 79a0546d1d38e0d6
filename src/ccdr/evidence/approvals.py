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

from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339, utc

NAMESPACE = "ccdr-approval"  # what an approver signs for: a key may be restricted to it in allowed_signers
PLAN_APPROVED = "plan.approved"  # the record's kind
HEAD = "ccdr, to be signed, format 1"
AHEAD = timedelta(minutes=5)  # that the clock of who wrote the text may be

Lines = Sequence[tuple[str, str]]
_KEY = re.compile(r"[a-z][a-z-]{0,39}")
NONCE = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")


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
