"""What a recovery is to do, as it was decided before anything is done. Pure values: seconds, bytes, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.model.values import Snapshot
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.log import RecoveryTarget


@dataclass(frozen=True)
class Predicted:
    """How long it should take: most likely, and between which bounds (of ten recoveries nine); by how many measured
    runs. `far`: what is to be restored is much larger than what was measured."""

    seconds: float
    low: float
    high: float
    runs: int
    far: bool = False

    def as_json(self) -> dict[str, object]:
        return {"predicted_s": round(self.seconds, 3), "low_s": round(self.low, 3), "high_s": round(self.high, 3)}


@dataclass(frozen=True)
class ChosenState:
    """The state of one asset that is nearest to the moment and not after it. By its log (`target`), on the base
    `snapshot`; else that snapshot. `point` is the instant that it is true for (None: the log's end, not known better),
    `proof` its last restore test (PASS, FAIL, None), `proven_at` when that was. `lost_s` is what it lacks against the
    moment; `passed_over` are newer states that were not taken, each with why."""

    snapshot: Snapshot
    point: datetime | None
    target: RecoveryTarget | None = None
    proof: str | None = None
    proven_at: datetime | None = None
    lost_s: float | None = None
    passed_over: tuple[str, ...] = ()

    @property
    def by_log(self) -> bool:
        return self.target is not None


@dataclass(frozen=True)
class AssetStep:
    """One asset: what is brought back of it, where to, after which others. `bytes` is what its restore writes, `memory`
    what its sandbox or new server needs meanwhile. `healthy` is what rolling a source that still answers back would
    lose, in seconds (None: it does not answer, or nobody asked)."""

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

    @property
    def asset(self) -> str:
        return self.job.asset


@dataclass(frozen=True)
class RecoveryOutlook:
    """All of it: in order, to which moment (None: the latest of each), how far apart the stores' states lie, and how
    long it should take side by side on this host."""

    plan: str
    moment: datetime | None
    steps: tuple[AssetStep, ...]
    skew_s: float | None
    predicted: Predicted | None
    notes: tuple[str, ...] = ()
