"""Records of backups: of one asset, of a group, of a shipped log."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from ccdr.evidence.records.values import (
    End,
    GroupOf,
    OfAsset,
    OfPlan,
    OfRun,
    Phases,
    Reason,
    Record,
    RecordedTls,
    RecordedTrigger,
    Repository,
    Sentences,
    ServerNumber,
    Start,
    Tenant,
    Versions,
    no_such_record,
)
from ccdr.model.finding import Finding
from ccdr.model.kinds import Bytes, Count, Digest, Seconds, Time, Value, Word, about


class BackupStart(Start, frozen=True, kw_only=True, gc=False):
    """A backup of an asset has begun. Without an end it crashed, or is still at work."""

    kind: Literal["backup.start"] = "backup.start"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    engine: Word
    method: Word
    trigger: RecordedTrigger
    group: GroupOf | None = None


class StoredSnapshot(Value, frozen=True, kw_only=True, gc=False):
    """What a backup stored."""

    id: Digest
    consistent_point: Annotated[Time, about("the instant that its data is true for")]
    bytes: Annotated[Bytes, about("what a restore writes")]
    manifest_sha256: Digest
    source_sha256: Annotated[Digest | None, about("SHA-256 of the source's name; null where there is none")] = None
    needed_from: Annotated[
        str | UnsetType | None,
        about(
            "the first segment of the shipped log that it needs; null: none leads on from it; absent: none is shipped"
        ),
    ] = UNSET
    branch: Annotated[
        int | UnsetType, about("the branch of the shipped log that it is of; absent: none is shipped")
    ] = UNSET
    upon: Annotated[list[Digest], about("ids of the snapshots that it depends on, the full one first")] = []
    in_use: Annotated[Count, about("files that were in use, and left for the next backup")] = 0
    missing_s: Annotated[
        Seconds, about("for so long before its consistent point it lacks what was written to these")
    ] = 0.0


class RecordedGrowth(Value, frozen=True, kw_only=True, gc=False):
    """What restic counted."""

    processed: Annotated[Bytes, about("bytes that were read")]
    added: Annotated[Bytes, about("of these, bytes that no snapshot had")]
    packed: Annotated[Bytes, about("the same, as they are stored")]
    files: Count
    new: Annotated[Count, about("of these, files that the snapshot before had not")]
    changed: Annotated[Count, about("of these, files that it had otherwise")]


class BackupEnd(End, frozen=True, kw_only=True, gc=False):
    """A backup of an asset has ended. `STORED`: there is a snapshot that counts."""

    kind: Literal["backup.end"] = "backup.end"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    result: Literal["STORED", "FAILED"]
    reason: Reason = None
    hint: Annotated[str | None, about("the next step, as a sentence of ours")] = None
    repository: Repository = None
    source: Annotated[
        Literal["away"] | None, about("the source is gone, or damaged, and that is why it failed; else null")
    ] = None
    snapshot: StoredSnapshot | None = None
    group: GroupOf | None = None
    added_bytes: Annotated[Bytes, about("what the repository grew by")] = 0
    growth: Annotated[
        RecordedGrowth | None, about("null where restic stored no tree of its own, and of an increment")
    ] = None
    canaries: Annotated[
        dict[str, Digest | None], about("of each canary that the plan names, the SHA-256; null: it was not there")
    ] = {}
    suspect: Annotated[
        list[Literal["incompressible", "files_replaced", "shrunk", "canary_changed", "canary_gone"]],
        about(
            "what looks as if somebody had encrypted or removed its data: until somebody has looked, it does not count"
        ),
    ] = []
    server: ServerNumber = None
    made_by_recovery: Annotated[bool, about("a recovery of this asset by ccdr made that server")] = False
    tls: Annotated[RecordedTls | None, about("of the connection to the source; null: none, or not told")] = None
    clock_skew_s: Annotated[float | None, about("seconds that the source's clock is ahead of this host's")] = None
    phases: Phases
    tools: Versions = {}
    beside_source: Annotated[
        Literal["disk", "machine"] | None, about("where the repository lies with its source: on its disk or machine")
    ] = None
    notes: Sentences = []
    left_out: Annotated[list[str], about("what the plan leaves out of the capture, by its name in the plan")] = []
    findings: list[Finding] = []
    left_behind: Sentences = []

    def __post_init__(self) -> None:
        if self.result == "STORED" and self.snapshot is None:
            raise no_such_record("stored, and no snapshot")


class GroupMember(Value, frozen=True, kw_only=True, gc=False):
    """What became of one asset of a group."""

    run: str | None
    result: Literal["STORED", "FAILED", "INTERRUPTED", "NOT_BEGUN"]
    snapshot: Digest | None
    consistent_point: Time | None


class Group(Record, frozen=True, kw_only=True, gc=False):
    """Assets of a group were captured together; each one's own backup has records of its own."""

    kind: Literal["group"] = "group"
    version: Literal[4] = 4
    group: str
    result: Literal["COMPLETE", "INCOMPLETE"]
    complete: bool
    missing: Annotated[list[str], about("assets of the group that there is no new snapshot of")]
    skew_s: Annotated[float | None, about("seconds between the oldest and the newest consistent point")]
    members: Annotated[dict[str, GroupMember], about("by asset")]
    tenant: Tenant = "default"


class LogGap(Value, frozen=True, kw_only=True, gc=False):
    """Log that is missing: segments between these two."""

    after: str
    before: str


class LogShipped(End, frozen=True, kw_only=True, gc=False):
    """What was stored of a source's log since the record before, or since `since`."""

    kind: Literal["log.shipped"] = "log.shipped"
    version: Literal[4] = 4
    since: Time
    points: Annotated[
        list[tuple[float, float]],
        about("of each snapshot, in seconds after `since`: the point that it reaches, and when it could be restored"),
    ]
    snapshots: Count
    added_bytes: Bytes
    first: Annotated[str | None, about("the first segment, by name")] = None
    last: Annotated[str | None, about("the last segment, by name")] = None
    gaps: list[LogGap] = []
    vanished: Annotated[bool, about("log that was stored once is gone from the repository")] = False
    anew: Annotated[
        Time | None,
        about("the source went back: since when the log begins anew, for a base of then or later; else null"),
    ] = None
    branch: Annotated[
        int | None,
        about(
            "the source was recovered or promoted: the branch of its log by which it goes on (PostgreSQL: a timeline);"
            " else null"
        ),
    ] = None
    trouble: Annotated[str | None, about("`stopped`, or why it does not go on, as a sentence of ours")] = None
    findings: list[Finding] = []
