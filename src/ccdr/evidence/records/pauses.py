"""Records of a plan that is paused, and of what came due meanwhile."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.values import (
    Count,
    Digest,
    OfCopy,
    OfPlan,
    Record,
    RecordedUser,
    Seconds,
    Tenant,
    Time,
    Verb,
    about,
)


class PauseBegin(Record, frozen=True, kw_only=True, gc=False):
    """A plan's scheduled work, its shipping and its upkeep stand still from now on, until a time or a `pause.end`."""

    kind: Literal["pause.begin"] = "pause.begin"
    plan: OfPlan
    version: Literal[4] = 4
    until: Time
    why_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart")]
    boot: Annotated[Digest | None, about("tells the start of this machine from others; null where it has no such id")]
    elapsed_s: Annotated[Seconds, about("of this machine's clock that nobody sets, seconds")]
    after: Annotated[Time | None, about("of the record before it: it reaches back no further")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class PauseEnd(Record, frozen=True, kw_only=True, gc=False):
    """Somebody ended a plan's pauses before their time. Of one that ended by itself there is no such record."""

    kind: Literal["pause.end"] = "pause.end"
    plan: OfPlan
    version: Literal[4] = 4
    of: Annotated[list[Count], about("the records of the pauses that this ended, by number")]
    why_sha256: Annotated[Digest | None, about("of a salt, a newline and the words, kept apart")] = None
    boot: Annotated[Digest | None, about("as of its begin")] = None
    elapsed_s: Annotated[Seconds | None, about("as of its begin: with it, how long it was")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class SkippedRuns(Record, frozen=True, kw_only=True, gc=False):
    """Due times, from `first_due` to `due`, for which nothing was begun since the plan was paused then."""

    kind: Literal["skipped"] = "skipped"
    version: Literal[4] = 4
    verb: Verb
    due: Time
    first_due: Time
    count: Annotated[int, Meta(ge=1)]
    reason: Literal["paused"]
    tenant: Tenant = "default"
    copy: OfCopy = None
