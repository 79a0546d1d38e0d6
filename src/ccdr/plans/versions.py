"""The versions of a plan, as the ledger has them: what was in force when, and how a file differs from that. Pure.

A version is known by a digest over the files themselves, so that anybody can have it again from the copies that are
kept (kept.py): `sha256sum plans/*.yaml restore_tests/*.yaml | sha256sum`, in the C locale's order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from ccdr.model.values import rfc3339
from ccdr.plans.facts import PlanFacts
from ccdr.plans.loader import LoadedPlan

PLAN_VERSION = "plan.version"  # the kind of its record
PLAN_STORED = "plan.stored"  # … and of the one that its repository holds it
PLAN_FORMAT = 2  # of plan files: raised when an earlier ccdr would misread one that it can read


@dataclass(frozen=True)
class PlanRevision:
    """One record of a plan's version. It is in force from its place (`order`) in the ledger on, until the next one's;
    `before` is the digest of the one that it followed, `files` has the SHA-256 of each file by its name. One without
    assets says that the plan is no more."""

    plan: str
    digest: str
    facts: PlanFacts
    order: float
    at: datetime
    actor: str
    before: str | None
    files: Mapping[str, str]
    number: int = 0  # of its record, in its own ledger …
    ledger: str | None = None  # … where that is not ours

    @property
    def gone(self) -> bool:
        return not self.facts.assets

    @property
    def record(self) -> str:
        """How people are told of it."""
        return f"record {self.number}{f' of ledger {self.ledger[:8]}' if self.ledger else ''}"


class FileState(StrEnum):
    """How a plan's file is to the version that is in force."""

    SAME = "same"
    DIFFERS = "differs"
    GONE = "gone"
    UNRECORDED = "unrecorded"  # nobody has acted by it: there is no version


@dataclass(frozen=True)
class Judged:
    """What a plan is judged by. `loaded` is the plan as the version had it, or its file where no version is known or
    (`why`) the version's files cannot be had; None where there is neither. `file` is None where nobody looked at it, as
    of a past period; `stated` is what it promises, where it differs."""

    plan: str
    loaded: LoadedPlan | None
    version: PlanRevision | None
    file: FileState | None
    stated: PlanFacts | None = None
    why: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "digest": self.version and self.version.digest,
            "seq": self.version and self.version.number,
            "recorded": self.version and rfc3339(self.version.at),
            "by": self.version and self.version.actor,
            "file": self.file and self.file.value,
            "why": self.why,
        }


def files_of(loaded: LoadedPlan) -> dict[str, str]:
    """The plan's file and its restore tests, by the names under which they are kept: their SHA-256."""
    tests = {f"restore_tests/{name}.yaml": digest for name, digest in loaded.restore_tests.items()}
    return {f"plans/{loaded.plan.plan}.yaml": loaded.sha256, **dict(sorted(tests.items()))}


def digest_of(files: Mapping[str, str]) -> str:
    """What a version is known by: the SHA-256 of what `sha256sum` writes of its files, in the order of their names."""
    return sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(files.items())).encode()).hexdigest()


def in_force(versions: Sequence[PlanRevision], at: datetime | float) -> PlanRevision | None:
    """The one that was in force at a time, or (a number) when this record was written; None before the first. The
    `versions` are one plan's, in the ledger's order."""
    if not isinstance(at, datetime):
        known = bisect_right(versions, at, key=lambda version: version.order)
    else:
        known = max((n for n, version in enumerate(versions, 1) if version.at <= at), default=0)
    return versions[known - 1] if known else None


def changed(loaded: LoadedPlan, newest: PlanRevision | None) -> bool:
    """Is what was read another version than the newest that is recorded? The same text may mean something else to
    another ccdr: a default may have changed."""
    return newest is None or newest.digest != digest_of(files_of(loaded)) or newest.facts != loaded.facts


class Recorded(Protocol):
    """What was in force from its record on."""

    @property
    def at(self) -> datetime: ...


def ends_of(recorded: Sequence[Recorded]) -> list[datetime | None]:
    """Until when each was in force, in the ledger's order; None: it still is. That is until another was recorded behind
    it: one that a clock dated ahead, which was set right since, takes no time of the next one's."""
    ends: list[datetime | None] = [None]
    for one in reversed(recorded[1:]):
        ends.append(one.at if ends[-1] is None else min(one.at, ends[-1]))
    return ends[::-1] if recorded else []


def objectives_in_force(
    versions: Sequence[PlanRevision], asset: str, start: datetime, end: datetime
) -> list[tuple[datetime, datetime, float, float]]:
    """What was promised of an asset, from when to when within a period: RPO and RTO in seconds. What lies before the
    first version, and when no version names the asset, is left out."""
    spans: list[tuple[datetime, datetime, float, float]] = []
    for version, until in zip(versions, ends_of(versions), strict=True):
        since, last = max(version.at, start), min(until or end, end)
        of = version.facts.assets.get(asset)
        if of is None or since >= last:
            continue
        if spans and spans[-1][1:] == (since, of.rpo, of.rto):
            since = spans.pop()[0]
        spans.append((since, last, of.rpo, of.rto))
    return spans
