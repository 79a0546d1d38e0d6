"""Records of restore tests and of restores for real."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.values import (
    End,
    ObjectiveVerdict,
    OfAsset,
    OfPlan,
    OfRun,
    Outcome,
    Phases,
    Reason,
    RecordedCheckResult,
    RecordedTrigger,
    Repository,
    Sentences,
    ServerNumber,
    Start,
    Versions,
    no_such_record,
)
from ccdr.model.finding import Finding
from ccdr.model.kinds import Bytes, Count, Digest, Seconds, Time, Value, about

Selected = Annotated[str, about("how the snapshot was chosen: latest, oldest, random, at (by the log), or by its id")]


class TestStart(Start, frozen=True, kw_only=True, gc=False):
    """A restore test has begun. Without an end it crashed, or is still at work."""

    __test__ = False  # its name must not make pytest collect it

    kind: Literal["restore_test.start"] = "restore_test.start"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    restore_tests: Annotated[dict[str, Digest], about("SHA-256 of each file of checks, by its name")]
    selection: Selected
    trigger: RecordedTrigger


class TestedSnapshot(Value, frozen=True, kw_only=True, gc=False):
    """What was tested. `verdict` is on it alone: the test's own may be worse."""

    id: Digest
    consistent_point: Annotated[Time, about("the instant that its data is true for")]
    bytes: Annotated[Bytes, about("what a restore writes")]
    selected: Selected
    seed: Annotated[int | None, about("of a random choice: with it the choice can be repeated")] = None
    manifest_sha256: Digest
    source_sha256: Annotated[Digest | None, about("SHA-256 of the source's name; null where there is none")] = None
    verdict: Outcome | None = None


class Newer(Value, frozen=True, kw_only=True, gc=False):
    """The newer backup that failed: its record, where this ledger has it, and when it failed."""

    seq: int | None
    at: Time


class AchievedRpo(Value, frozen=True, kw_only=True, gc=False):
    """An objective and what was measured, in seconds; null where nothing was, or where it is infinite."""

    objective_s: float
    achieved_s: float | None
    verdict: ObjectiveVerdict


class AchievedRto(Value, frozen=True, kw_only=True, gc=False):
    """The recovery time. `answering_s` is when the restored engine answered with its data loaded."""

    objective_s: float
    achieved_s: float | None
    answering_s: float | None = None
    basis: Annotated[Literal["throwaway", "durable"], about("settings of the server that it was measured with")]
    verdict: ObjectiveVerdict


class AppliedLog(Value, frozen=True, kw_only=True, gc=False):
    """Which part of the shipped log was chosen."""

    snapshots: Count
    first: str | None
    last: str | None
    point: Time
    timeline: int | None


class LogReached(Value, frozen=True, kw_only=True, gc=False):
    """How far recovery went. `last_commit` is by the source's clock."""

    position: str
    at: Time | None
    last_commit: Time | None
    left_out: Annotated[
        dict[str, Count], about("tables whose rows no base holds: how many of the log's changes were not applied")
    ] = {}


class LogRecovery(Value, frozen=True, kw_only=True, gc=False):
    """The log applied to the snapshot, up to `target`. `verdict` is on the log alone, `until` up to when it holds."""

    target: str
    log: AppliedLog | None = None
    reached: LogReached | None = None
    verdict: Outcome | None = None
    until: Time | None = None
    stops: Annotated[bool, about("the log holds what cannot be applied: nothing of it counts since that base")] = False

    def __post_init__(self) -> None:
        if self.until is None and (self.stops or self.verdict == "FAIL"):
            raise no_such_record("failed, and does not say how far it was to go")


class Difference(Value, frozen=True, kw_only=True, gc=False):
    """A fact of a sandbox that was not as it was asked for."""

    fact: str
    asked: str | int | bool | list[str] | None
    observed: str | int | bool | list[str] | None


class Sandbox(Value, frozen=True, kw_only=True, gc=False):
    """The container that it was restored into, as `docker inspect` told of it; all null where none was needed, or none
    came about. Of records before version 3: as it was asked for."""

    image: Annotated[str | None, about("its name")] = None
    image_digest: Annotated[str | None, about("its id on this host")] = None
    registry_digest: Annotated[str | None, about("by which a registry knows it; null for one made here")] = None
    image_created: Annotated[Time | None, about("when the image was made; null: not known")] = None
    network: str | None = None
    networks: Annotated[list[str], about("that it is attached to beside that")] = []
    root: str | None = None
    user: str | None = None
    capabilities: str | None = None
    privileged: bool | None = None
    no_new_privileges: bool | None = None
    shared_with_host: list[str] = []
    mounts: Annotated[list[str], about("kind, place inside, and whether it can be written; never the host's path")] = []
    memory: Annotated[int | None, about("the limit that was asked for, bytes")] = None
    memory_limit: Annotated[int | None, about("bytes")] = None
    memory_and_swap_limit: Annotated[int | None, about("bytes")] = None
    pids_limit: int | None = None
    shm_bytes: int | None = None
    core_dumps: str | None = None
    log_driver: str | None = None
    unlimited: Annotated[list[str], about("limits that this host's kernel does not have")] = []
    differs: Annotated[list[Difference], about("what was not as it was asked for")] = []
    storage: Annotated[Literal["memory", "disk"] | None, about("where its data lay")] = None
    memory_available: Annotated[int | None, about("what the host had left, bytes")] = None


class FetchedTo(Value, frozen=True, kw_only=True, gc=False):
    """What a test's directory on this host lies on: what was fetched lies there in plain for as long as it takes."""

    kept: Annotated[
        Literal["memory", "encrypted", "plain", "unknown"],
        about("unknown: this host cannot see whether it is encrypted"),
    ]
    filesystem: Annotated[str | None, about("its kind; null where this host does not tell")] = None
    device: Annotated[str | None, about("as `major:minor`")] = None


class SandboxDisposal(Value, frozen=True, kw_only=True, gc=False):
    """What is left of the test; all null where it was not begun."""

    kept_until: Annotated[Time | None, about("somebody asked for it to be kept")] = None
    sandbox_gone: bool | None = None
    scratch_gone: bool | None = None
    left_behind: Sentences = []


class BesideSnapshot(Value, frozen=True, kw_only=True, gc=False):
    """The snapshot of an asset that was restored to be compared with."""

    id: Digest
    consistent_point: Time
    bytes: Bytes
    manifest_sha256: Digest
    source_sha256: Digest | None = None


class RestoredBeside(Value, frozen=True, kw_only=True, gc=False):
    """Another asset, restored for the same test. `skew_s` is seconds between the two points."""

    asset: str
    snapshot: BesideSnapshot
    group_run: Annotated[str | None, about("the group's run that both snapshots are of")] = None
    skew_s: Seconds
    phases: Phases
    sandbox: Sandbox | None = None


class Private(Value, frozen=True, kw_only=True, gc=False):
    """Where in the state directory what was found stands by name, how many lines, and until when."""

    file: str
    lines: Count
    until: Time


class TestEnd(End, frozen=True, kw_only=True, gc=False):
    """A restore test has ended: its verdict, and what that stands on."""

    __test__ = False

    kind: Literal["restore_test.end"] = "restore_test.end"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    verdict: Annotated[Literal["PASS", "FAIL", "INCONCLUSIVE", "SKIPPED"], about("FAIL: the backup is bad")]
    reason: Reason = None
    repository: Repository = None
    newer_failed: Annotated[bool, about("FAIL for nothing but a newer backup that failed")] = False
    newer: Newer | None = None
    damaged: Annotated[bool, about("FAIL for what the repository could not give back")] = False
    snapshot: TestedSnapshot | None = None
    proof: Annotated[
        Literal["stored", "readable", "restored", "checked", "equal"] | None,
        about("how far the snapshot was proven, each level with those before it"),
    ] = None
    bytes_restored: Annotated[Bytes | None, about("what restic wrote for it, log and other assets among it")] = None
    phases: Phases
    checks: list[RecordedCheckResult]
    rpo: AchievedRpo | None = None
    rto: AchievedRto | None = None
    recovery: LogRecovery | None = None
    others: list[RestoredBeside] = []
    private: Private | None = None
    left_out: Annotated[list[str], about("what the plan leaves out of the snapshot: no test proves it")] = []
    findings: list[Finding] = []
    scratch: Annotated[FetchedTo | None, about("where what was fetched lay; null: nothing was fetched")] = None
    sandbox: Sandbox
    disposal: SandboxDisposal
    tools: Versions = {}

    def __post_init__(self) -> None:
        own = None if self.snapshot is None else self.snapshot.verdict
        if self.verdict == "PASS" and (
            self.snapshot is None
            or not self.checks
            or own not in (None, "PASS")
            or any(check.status != "PASS" for check in self.checks)
        ):
            raise no_such_record("passed, and what it stands on has not")
        if self.verdict == "SKIPPED" and own is not None:
            raise no_such_record("skipped, and has tested something")


class RestoreTarget(Value, frozen=True, kw_only=True, gc=False):
    """What is restored onto: a path (a directory, a new server's home), or an address without a secret."""

    kind: Literal["unknown", "directory", "server", "new_server"]
    name: str | None


class RestoreStart(Start, frozen=True, kw_only=True, gc=False):
    """A restore for real has begun. Without an end it crashed, or is still at work."""

    kind: Literal["restore.start"] = "restore.start"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    trigger: RecordedTrigger = RecordedTrigger(by="command")
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    snapshot: Annotated[Digest | None, about("its id")] = None
    target: RestoreTarget
    despite_failed_test: Annotated[bool, about("somebody wanted it though its test had failed")] = False
    despite_failed_checks: Annotated[bool, about("somebody wanted it whatever its checks would say")] = False


class RestoredSnapshot(Value, frozen=True, kw_only=True, gc=False):
    """What was restored; `last_test` is what a test of it had shown, null for none."""

    id: Digest
    consistent_point: Annotated[Time, about("the instant that its data is true for")]
    bytes: Bytes
    selected: Selected
    manifest_sha256: Digest
    last_test: Literal["PASS", "FAIL"] | None = None


class RestoredParts(Value, frozen=True, kw_only=True, gc=False):
    """How much of it was restored: of a tree, by how many patterns, which may be a customer's name; of a dump, which
    tables, each with one file of rows."""

    patterns: Count
    files: Count
    of_files: Count
    bytes: Bytes
    tables: Annotated[list[str], about("of a dump: their names")] = []
    rows: Annotated[Count | None, about("of a dump: the rows of these tables")] = None


class RestoreEnd(End, frozen=True, kw_only=True, gc=False):
    """A restore for real has ended. `REFUSED`: nothing was done."""

    kind: Literal["restore.end"] = "restore.end"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    result: Literal["RESTORED", "FAILED", "REFUSED"]
    reason: Reason = None
    snapshot: RestoredSnapshot | None = None
    target: RestoreTarget
    server: ServerNumber = None
    parts: Annotated[RestoredParts | None, about("of what was restored in part; null: all of it was")] = None
    phases: Phases
    checks: list[RecordedCheckResult]
    estimate_s: Annotated[Seconds | None, about("how long it was said to take")] = None
    log_bytes: Annotated[Bytes | None, about("what was fetched of the log; null where none was")] = None
    recovery: Annotated[LogRecovery | None, about("by the log, that found in it what cannot be applied")] = None
    findings: Sentences = []
    notes: Sentences = []
    left_behind: Sentences = []
    tools: Versions = {}
