"""What a recovery is to do, as it was decided before anything is done. Pure values: seconds, bytes, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ccdr.evidence.records.recovery import Prediction
from ccdr.host.state_files import plain
from ccdr.jobs.recover.asking import Asked
from ccdr.jobs.shipping.recovery import recorded_target
from ccdr.model.values import Snapshot, rfc3339
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.log import RecoveryTarget

ANSWERS, SILENT = "answers", "does not answer"
REFUSED = "answers, and does not let ccdr in"  # what a source says that is there, and wants another user or password
ABSENT = "its server answers, and has no such database"
UNASKED = "something listens there, and this host lacks the password to ask it"
DEAF = "something listens there, and gave no answer"


@dataclass(frozen=True)
class Predicted:
    """How long it should take: most likely, and between which bounds (of ten recoveries nine); by how many measured
    runs. `far`: what is to be restored is much larger than what was measured. `phases` are the most likely seconds of
    each; `basis` says what was measured, where that is not quite what will be done."""

    seconds: float
    low: float
    high: float
    runs: int
    far: bool = False
    phases: Mapping[str, float] = field(default_factory=dict)
    basis: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"predicted_s": round(self.seconds, 3), "low_s": round(self.low, 3), "high_s": round(self.high, 3)}

    @property
    def recorded(self) -> Prediction:
        return Prediction(**self.as_json(), runs=self.runs, far=self.far)


NOT_PREDICTED: dict[str, object] = {"predicted_s": None, "low_s": None, "high_s": None}


@dataclass(frozen=True)
class ChosenState:
    """The state of one asset that is nearest to the moment and not after it. By its log (`target`), on the base
    `snapshot`; else that snapshot. `point` is the instant that it is true for, at the least: of a log's end, up to
    which it surely reaches. `proof` is its last restore test (PASS, FAIL, None), `proven_at` when that was, `proof_by`
    what that had gone through (`log`, or `snapshot`: of one that is reached by the log, its base alone). `lost_s` is
    what it lacks against the moment (below 0: it lies after it); `passed_over` are newer states that were not taken,
    each with why. `log_bytes` is what is fetched of the log."""

    snapshot: Snapshot
    point: datetime
    target: RecoveryTarget | None = None
    proof: str | None = None
    proven_at: datetime | None = None
    lost_s: float | None = None
    passed_over: tuple[str, ...] = ()
    proof_by: str | None = None
    log_bytes: int = 0
    log_snapshots: int = 0

    @property
    def by_log(self) -> bool:
        return self.target is not None

    @property
    def proven(self) -> bool:
        """Has a test gone through all of it?"""
        return self.proof == "PASS" and (not self.by_log or self.proof_by == "log")

    def as_json(self) -> dict[str, object]:
        return {
            "snapshot": self.snapshot.id,
            "base": rfc3339(self.snapshot.consistent_point),
            "point": rfc3339(self.point),
            "log": None if self.target is None else recorded_target(self.target),
            "timeline": None if self.target is None else self.target.branch,
            "proof": self.proof,
            "proof_by": self.proof_by,
            "proven_at": self.proven_at and rfc3339(self.proven_at),
            "lost_s": None if self.lost_s is None else round(self.lost_s, 3),
            "passed_over": list(self.passed_over),
        }


@dataclass(frozen=True)
class Instead:
    """Another asset of the same server, by which to recover; `why`, and whether it holds all that this one holds
    (`in_full`), or all of its own database alone. `at_once_with` are others that were captured together with this one,
    and not with that."""

    asset: str
    why: str
    in_full: bool = True
    at_once_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssetStep:
    """One asset: what is brought back of it, where to, after which others. `bytes` is what its restore writes,
    `memory` what its sandbox or new server needs meanwhile, `room` what is needed where it goes and `scratch` what in
    the state directory. `will` is what is done, `checks` what is looked at then and `skipped` what not, with why.
    `source` is whether its source still answers (SILENT: nothing is known to listen there), `healthy` what rolling
    that back would lose, in seconds (None: it does not answer, or nobody asked). `primary` is the newest state that
    the primary is known to have had by the moment, where it is fetched from a copy that lacks it. `instead` is where
    another asset protects the same server or database, and is to be preferred."""

    job: Job
    state: ChosenState
    where: Target
    after: tuple[str, ...]
    bytes: int
    memory: int
    predicted: Predicted | None
    will: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    healthy: float | None = None
    source: str = SILENT
    skipped: tuple[str, ...] = ()
    room: int = 0
    scratch: int = 0
    primary: datetime | None = None
    instead: Instead | None = None

    @property
    def asset(self) -> str:
        return self.job.asset

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "after": list(self.after),
            "state": self.state.as_json(),
            "target": {"kind": self.where.kind, "name": self.where.shown},
            "bytes": self.bytes,
            "memory": self.memory,
            **(NOT_PREDICTED if self.predicted is None else self.predicted.as_json()),
            "measured_runs": self.predicted.runs if self.predicted else 0,
            "will": list(self.will),
            "checks": list(self.checks),
            "skipped": list(self.skipped),
            "source": self.source,
            "rolling_back_loses_s": None if self.healthy is None else round(self.healthy, 3),
            "primary": self.primary and rfc3339(self.primary),
            "instead": plain(self.instead),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Room:
    """One file system, by a directory on it: what is needed there of what is free, in bytes."""

    at: Path
    needed: int
    free: int


@dataclass(frozen=True)
class RecoveryOutlook:
    """All of it: in order, to which moment (None: the latest of each), how far apart the stores' states lie and which
    two lie furthest, and how long it should take side by side on this host, by `workers` at once. `memory` is what
    those need that are at work at once, of what is free. `left` are assets that are no part of it, `healthy` says of
    each source that still answers what going back loses, and what leaving it means. `asked` is what the repositories
    told, for whoever carries it out at once."""

    plan: str
    moment: datetime | None
    steps: tuple[AssetStep, ...]
    skew_s: float | None
    predicted: Predicted | None
    notes: tuple[str, ...] = ()
    apart: tuple[str, str] | None = None
    rooms: tuple[Room, ...] = ()
    memory: int = 0
    memory_free: int = 0
    workers: int = 1
    left: tuple[str, ...] = ()
    healthy: tuple[str, ...] = ()
    asked: Asked | None = field(default=None, repr=False, compare=False)

    def as_json(self) -> dict[str, object]:
        """For `--json` and `--dry-run`."""
        return {
            "plan": self.plan,
            "moment": self.moment and rfc3339(self.moment),
            "skew_s": None if self.skew_s is None else round(self.skew_s, 3),
            "apart": list(self.apart) if self.apart else None,
            **(NOT_PREDICTED if self.predicted is None else self.predicted.as_json()),
            "room": plain(self.rooms),
            "memory": {"needed": self.memory, "free": self.memory_free},
            "side_by_side": self.workers,
            "steps": [step.as_json() for step in self.steps],
            "left": list(self.left),
            "healthy": list(self.healthy),
            "notes": list(self.notes),
        }
