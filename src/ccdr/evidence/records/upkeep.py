"""Records of what looks after repositories, schedules, sandboxes and the ledger itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from ccdr.evidence.records.values import (
    Attempt,
    End,
    OfCopy,
    OfPlan,
    OfRun,
    Reason,
    Record,
    RecordedTrigger,
    RecordedUser,
    Repository,
    Sentences,
    Start,
    Tenant,
    Verb,
    no_such_record,
)
from ccdr.model.finding import Finding
from ccdr.model.kinds import Bytes, Count, Digest, Seconds, Time, Value, about


class PruneStart(Start, frozen=True, kw_only=True, gc=False):
    """A prune of a plan's repository has begun."""

    kind: Literal["prune.start"] = "prune.start"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    trigger: RecordedTrigger


class Removed(Value, frozen=True, kw_only=True, gc=False):
    """A snapshot that is gone now, and why."""

    asset: str
    id: Digest
    consistent_point: Time
    why: str


class HeldBack(Value, frozen=True, kw_only=True, gc=False):
    """A snapshot that the retention lets go, and that stays all the same: since when, and why."""

    asset: str
    id: Digest
    since: Time
    why: list[str]


class PruneEnd(End, frozen=True, kw_only=True, gc=False):
    """A prune has ended."""

    kind: Literal["prune.end"] = "prune.end"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    result: Literal["DONE", "FAILED"]
    reason: Reason = None
    removed: list[Removed]
    kept: Annotated[dict[str, Count], about("how many snapshots stay, by asset")] = {}
    held: list[HeldBack] = []
    findings: list[Finding] = []
    repository_bytes: Annotated[Bytes | None, about("what the repository takes; null where it could not be told")] = (
        None
    )
    free_bytes: Annotated[Bytes | None, about("what is free for it; null where nothing tells")] = None
    freed_bytes: Bytes | None = None
    log_snapshots_removed: Annotated[Count, about("snapshots of shipped log that no kept base leads on to")] = 0
    left_behind: Sentences = []


class CheckStart(Start, frozen=True, kw_only=True, gc=False):
    """A check of a plan's repository has begun: of one part of its data, or of all of it (`part` is 0 then)."""

    kind: Literal["check.start"] = "check.start"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    trigger: RecordedTrigger
    part: Count
    parts: Annotated[int, Meta(ge=1)]
    all_data: bool = False


class CheckEnd(End, frozen=True, kw_only=True, gc=False):
    """A check of a repository has ended. `covered` parts were read and found clean in the present cycle."""

    kind: Literal["check.end"] = "check.end"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    result: Literal["CLEAN", "DAMAGED", "INCONCLUSIVE"]
    reason: Reason = None
    repository: Repository = None
    part: Count
    parts: Annotated[int, Meta(ge=1)]
    all_data: bool = False
    covered: Count = 0
    full_since: Annotated[Time | None, about("every part was read since then; null where one was not")] = None
    findings: Sentences = []
    seconds: Seconds = 0.0
    repository_bytes: Annotated[Bytes | None, about("what the repository takes; null where it could not be told")] = (
        None
    )
    free_bytes: Annotated[Bytes | None, about("what is free for it; null where nothing tells")] = None
    left_behind: Sentences = []

    def __post_init__(self) -> None:
        if self.part > self.parts:
            raise no_such_record("a part was read that there is none of")


class PassedRuns(Record, frozen=True, kw_only=True, gc=False):
    verb: Verb
    due: Time
    first_due: Time
    count: Annotated[int, Meta(ge=1)]
    reason: Reason = None
    tenant: Tenant = "default"
    copy: OfCopy = None


class MissedRuns(PassedRuns, frozen=True, kw_only=True, gc=False):
    """Due times that passed without a try, from `first_due` to `due`."""

    kind: Literal["missed"] = "missed"
    version: Literal[4] = 4


class SkippedRuns(PassedRuns, frozen=True, kw_only=True, gc=False):
    """Due times, from `first_due` to `due`, for which nothing was begun since the plan was paused then."""

    kind: Literal["skipped"] = "skipped"
    version: Literal[4] = 4
    reason: Literal["paused"] = "paused"


class NotBegun(Record, frozen=True, kw_only=True, gc=False):
    """What was due, was tried, and could not even begin."""

    kind: Literal["not_begun"] = "not_begun"
    version: Literal[4] = 4
    verb: Verb
    due: Time
    reason: Reason
    tenant: Tenant = "default"
    attempt: Attempt = None
    copy: OfCopy = None


class Duties(Record, frozen=True, kw_only=True, gc=False):
    """What this host's runs are asked for, from now on: `verbs`, of which these were `gained` and those `lost`."""

    kind: Literal["duties"] = "duties"
    version: Literal[4] = 4
    verbs: list[Verb]
    gained: list[Verb]
    lost: list[Verb]
    asked_last: Annotated[dict[Verb, Time], about("when each of the lost ones was asked for last")] = {}
    reason: Reason
    tenant: Tenant = "default"


class SandboxReap(Record, frozen=True, kw_only=True, gc=False):
    """What a crash had left was removed: containers, volumes, scratch, by name."""

    kind: Literal["sandbox.reap"] = "sandbox.reap"
    version: Literal[4] = 4
    removed: list[str]
    left_behind: Sentences = []
    who: RecordedUser | None = None


class LedgerRecovered(Record, frozen=True, kw_only=True, gc=False):
    """The last line was no record, and was set aside in `file`: what a crashed writer left of one; or, `spoilt`, a
    whole line that somebody, or the disk, has changed."""

    kind: Literal["ledger.recovered"] = "ledger.recovered"
    version: Literal[4] = 4
    file: str
    segment: str
    bytes: Bytes
    sha256: Digest
    spoilt: Annotated[bool, about("it was whole: no crash leaves one so")] = False


class LedgerVerified(Record, frozen=True, kw_only=True, gc=False):
    """The whole ledger was verified, up to `head`, and the summary of it compared."""

    kind: Literal["ledger.verified"] = "ledger.verified"
    version: Literal[4] = 4
    result: Literal["HOLDS", "BROKEN"]
    reason: Reason = None
    records: Count
    head: Annotated[Digest, about("SHA-256 of the last record's line")]
    summary: Annotated[Literal["EQUAL", "DIFFERS", "NONE"], about("the summary that `status` is read from")]
    problems: Annotated[list[str], about("the first of them, as sentences of ours")] = []
    index: Annotated[dict[str, Digest], about("SHA-256 of the files that reports may begin from, by name")] = {}


class StateMigrated(Record, frozen=True, kw_only=True, gc=False):
    """The state directory was brought to a newer format; `copy` is what it was before."""

    kind: Literal["state.migrated"] = "state.migrated"
    version: Literal[4] = 4
    before: int = field(name="from")
    to: int
    copy: str
    ccdr: Annotated[str, about("the version that did it")]
