"""Records of recoveries: a whole plan brought back to one moment. Each asset's own restore is a record of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.values import (
    End,
    ObjectiveVerdict,
    OfPlan,
    OfRun,
    Phases,
    Reason,
    RecordedCheckResult,
    RecordedTrigger,
    Sentences,
    Start,
)
from ccdr.model.kinds import Count, Digest, Seconds, Time, Value, about

Kind = Literal["directory", "server", "new_server"]
PRIMARY = (
    "the newest state that the primary was known to have had by the moment: it is fetched from a copy that lacks it"
)
DECIDED = "SHA-256 of all that was decided, as its journal has it"


class RecoveryTarget(Value, frozen=True, kw_only=True, gc=False):
    """Where an asset is brought: a path, or an address without a secret."""

    kind: Kind
    name: str


class Prediction(Value, frozen=True, kw_only=True, gc=False):
    """How long it should take, in seconds: most likely, and between which bounds; by how many measured runs. `far`:
    what is to be restored is much larger than what was measured."""

    predicted_s: Seconds
    low_s: Seconds
    high_s: Seconds
    runs: Count
    far: bool = False


class PlannedAsset(Value, frozen=True, kw_only=True, gc=False):
    """What was decided of one asset before anything was done."""

    asset: str
    snapshot: Annotated[Digest, about("its id")]
    point: Annotated[Time | None, about("the instant that its state is true for")] = None
    by_log: Annotated[bool, about("its log is applied to that snapshot")] = False
    proof: Annotated[Literal["PASS", "FAIL"] | None, about("what its last restore test had shown")] = None
    lost_s: Annotated[float | None, about("seconds that it lacks against the moment")] = None
    primary: Annotated[Time | None, about(PRIMARY)] = None
    target: RecoveryTarget
    after: Annotated[list[str], about("the assets that it waits for")] = []
    predicted: Prediction | None = None


class RecoverStart(Start, frozen=True, kw_only=True, gc=False):
    """A recovery has begun, or has gone on (`resumes`). Without an end it crashed, or is still at work."""

    kind: Literal["recover.start"] = "recover.start"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    trigger: RecordedTrigger = RecordedTrigger(by="command")
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    moment: Annotated[Time | None, about("to which it was to go; null: the latest state of each asset")] = None
    resumes: Annotated[str | None, about("the run that began what this one goes on with")] = None
    decided_sha256: Annotated[Digest, about(DECIDED)]
    predicted: Prediction | None = None
    skew_s: Annotated[float | None, about("seconds between the oldest and the newest asset's state")] = None
    assets: list[PlannedAsset]


class RecoveredAsset(Value, frozen=True, kw_only=True, gc=False):
    """One asset: what became of it. `run` is its own restore's; null where none was begun."""

    asset: str
    state: Literal["done", "failed", "stopped", "waiting"]
    reason: Reason = None
    snapshot: Digest
    point: Time | None = None
    by_log: bool = False
    proof: Literal["PASS", "FAIL"] | None = None
    lost_s: float | None = None
    primary: Annotated[Time | None, about(PRIMARY)] = None
    target: RecoveryTarget
    run: str | None = None
    brought_before: Annotated[bool, about("an earlier run of the same recovery had brought it")] = False
    phases: Phases = {}
    checks: list[RecordedCheckResult] = []
    began_s: Annotated[Seconds | None, about("seconds of the recovery that lay behind when it began")] = None
    ended_s: Annotated[Seconds | None, about("and when it had its final name, and was handed over")] = None


class RecoveryRpo(Value, frozen=True, kw_only=True, gc=False):
    """What is lost against the moment, by the asset that lost most, in seconds."""

    objective_s: float
    achieved_s: float | None
    verdict: ObjectiveVerdict


class RecoveryRto(Value, frozen=True, kw_only=True, gc=False):
    """All elapsed time, in seconds, and what it was predicted to be. `machine_s` is ccdr's work, `waited_s` what people
    were waited for, `away_s` between a run that ended early and the one that went on."""

    objective_s: float
    achieved_s: float | None
    machine_s: Seconds
    waited_s: Seconds
    away_s: Seconds
    predicted_s: Seconds | None = None
    low_s: Seconds | None = None
    high_s: Seconds | None = None
    verdict: ObjectiveVerdict


class RecoverEnd(End, frozen=True, kw_only=True, gc=False):
    """A recovery has ended, or was stopped: `paused_by_failed_step` can be gone on with."""

    kind: Literal["recover.end"] = "recover.end"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    state: Literal["done", "paused_by_failed_step", "failed"]
    reason: Reason = None
    moment: Time | None = None
    resumes: str | None = None
    rpo: RecoveryRpo
    rto: RecoveryRto
    assets: list[RecoveredAsset]
    findings: Sentences = []
    notes: Sentences = []
    left_behind: Sentences = []
