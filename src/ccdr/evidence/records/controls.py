"""Records of negative controls: a copy that was damaged on purpose, and must not pass."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.restores import Sandbox, SandboxDisposal
from ccdr.evidence.records.values import (
    End,
    OfAsset,
    OfPlan,
    OfRun,
    Outcome,
    Phases,
    Reason,
    RecordedCheckResult,
    RecordedTrigger,
    Repository,
    Start,
    Versions,
    no_such_record,
)
from ccdr.model.kinds import Bytes, Count, Digest, Time, Value, about

DamageKind = Literal[
    "file_truncated",
    "file_replaced",
    "file_removed",
    "page_damaged",
    "row_changed",
    "row_removed",
    "table_dropped",
    "key_changed",
    "key_removed",
]


class NegativeControlStart(Start, frozen=True, kw_only=True, gc=False):
    """A negative control has begun. Without an end it crashed, or is still at work."""

    kind: Literal["negative_control.start"] = "negative_control.start"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    restore_tests: Annotated[dict[str, Digest], about("SHA-256 of each file of checks, by its name")]
    trigger: RecordedTrigger


class ControlledSnapshot(Value, frozen=True, kw_only=True, gc=False):
    """The snapshot that was restored twice: once to be damaged."""

    id: Digest
    consistent_point: Annotated[Time, about("the instant that its data is true for")]
    bytes: Annotated[Bytes, about("what a restore writes")]
    manifest_sha256: Digest


class DamageDone(Value, frozen=True, kw_only=True, gc=False):
    """What was done to the restored copy, never to the repository or a source."""

    kind: DamageKind
    table: Annotated[str | None, about("the table that it was done to; null where it was a file or a key")] = None
    seed: Annotated[Count, about("of every choice: with it, and the snapshot, the damage can be done again")]


class ControlRun(Value, frozen=True, kw_only=True, gc=False):
    """How the asset's own checks judged one of the two copies. Without checks it ended before any: as it was loaded."""

    verdict: Outcome
    reason: Reason = None
    checks: list[RecordedCheckResult] = []


class NegativeControlEnd(End, frozen=True, kw_only=True, gc=False):
    """A negative control has ended. `CAUGHT`: the undamaged copy passed, the damaged one FAILed. `PASSED`: the damaged
    copy passed as well, so that the asset's restore tests prove nothing against such damage. `INCONCLUSIVE`: nothing
    was shown."""

    kind: Literal["negative_control.end"] = "negative_control.end"
    plan: OfPlan
    asset: OfAsset
    run: OfRun
    version: Literal[4] = 4
    result: Literal["INCONCLUSIVE", "CAUGHT", "PASSED"]
    reason: Reason = None
    repository: Repository = None
    snapshot: ControlledSnapshot | None = None
    damage: Annotated[DamageDone | None, about("null where it came to none")] = None
    healthy: Annotated[ControlRun | None, about("of the copy as it was restored")] = None
    damaged: Annotated[ControlRun | None, about("of the copy that was damaged")] = None
    afterwards: Annotated[
        ControlRun | None,
        about("of a copy that was not, looked at after it: null where what failed was the damage for sure"),
    ] = None
    bytes_restored: Annotated[Bytes | None, about("what restic wrote for both")] = None
    phases: Phases
    sandbox: Annotated[Sandbox, about("the one that the damaged copy was in")]
    disposal: SandboxDisposal
    tools: Versions = {}

    def __post_init__(self) -> None:
        healthy, damaged = (None if one is None else one.verdict for one in (self.healthy, self.damaged))
        wanted = {"CAUGHT": "FAIL", "PASSED": "PASS"}.get(self.result)
        if wanted and (healthy != "PASS" or damaged != wanted or self.damage is None or self.snapshot is None):
            raise no_such_record("a control that ended so, and not by what its two copies came to")
