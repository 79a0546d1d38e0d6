"""What prune and check give: for people, for programs and for the ledger; how they are recorded, and what the
repository takes.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import DAMAGED, FAILED, INCONCLUSIVE
from ccdr.evidence.records.upkeep import CheckEnd, HeldBack, PruneEnd, Removed
from ccdr.evidence.records.values import End, Repository, code
from ccdr.jobs.recorded import JobResult, RecordedRun, document
from ccdr.jobs.services import Services
from ccdr.model import measure
from ccdr.model.errors import CcdrError, Exit, failure_of, worst
from ccdr.model.finding import Finding
from ccdr.model.retention import Decision
from ccdr.model.values import Snapshot, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress
from ccdr.storage import upkeep as storage
from ccdr.storage.restic import Restic

PLANNED: Final = "PLANNED"  # a dry run
NO_RETENTION = "the plan states no retention: nothing is ever removed"


@dataclass
class Capacity:
    """What the repository takes and how long that can go on. Bytes; `free` is None where it cannot be told,
    `growth` (bytes a day) where too little is recorded."""

    taken: int | None = None
    free: int | None = None
    growth: float | None = None

    @property
    def full_in(self) -> float | None:
        """Seconds until the disk is full, if it goes on like this; infinite where nothing grows."""
        return measure.full_in(self.free, self.growth)

    def as_json(self) -> dict[str, object]:
        full = self.full_in
        known = full is not None and full != measure.NEVER
        return {
            "repository_bytes": self.taken,
            "free_bytes": self.free,
            "growth_bytes_per_day": None if self.growth is None else round(self.growth),
            "full_in_s": round(full) if known and full is not None else None,
        }


@dataclass
class RepositoryWork(JobResult):
    """What looking after one of a plan's repositories came to; a dry run is no run. `failure` is the exit of one that
    failed."""

    plan: str
    run: str = field(default="", kw_only=True)
    left_behind: list[str] = field(default_factory=list, kw_only=True)
    failure: Exit = field(default=Exit.NOT_CARRIED_OUT, kw_only=True)

    def failed(self, error: KeyboardInterrupt | Exception) -> None:
        """Why it ended early, and what to do next."""
        if isinstance(error, KeyboardInterrupt):
            self.reason = "interrupted"
            return
        why = failure_of(error)
        self.reason, self.hint = why.reason, why.hint
        self.words += why.words
        self.failure = getattr(error, "exit_code", Exit.NOT_CARRIED_OUT)

    def conclude(self, recorded: RecordedRun) -> None:
        with recorded.conclusion():
            recorded.services.state.keep_words(recorded.run, self.words)
            self.record = recorded.end(self.ended())

    @abstractmethod
    def ended(self) -> End:
        """As of `JobResult`: what it did, on which copy."""


@dataclass
class Prune(RepositoryWork):
    """What one prune did. `decisions` are all of them, by asset; `removed` what is gone now, with why."""

    result: Literal["DONE", "FAILED", "PLANNED"] = FAILED
    decisions: dict[str, list[Decision]] = field(default_factory=dict)
    removed: list[tuple[Snapshot, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    noted: frozenset[Finding] = frozenset()  # of these: what somebody has acknowledged
    capacity: Capacity = field(default_factory=Capacity)
    freed: int | None = None  # bytes
    log_removed: int = 0  # snapshots of shipped log that no kept base leads on to

    @property
    def exit_code(self) -> Exit:
        codes = [self.failure] if self.result == FAILED else []
        codes += [] if self.noted.issuperset(self.findings) else [Exit.FINDING]
        codes += [Exit.LEFT_BEHIND] if self.left_behind else []
        return worst(codes)

    def each(self) -> Iterator[tuple[str, Decision]]:
        for asset, decisions in self.decisions.items():
            for decision in decisions:
                yield asset, decision

    def ended(self) -> PruneEnd:
        gone = {s.id for s, _ in self.removed}
        return PruneEnd(
            plan=self.plan,
            run=self.run,
            result=code(self.result),
            reason=self.reason,
            removed=[
                Removed(asset=s.asset, id=s.id, consistent_point=s.consistent_point, why=why) for s, why in self.removed
            ],
            kept={asset: sum(d.snapshot.id not in gone for d in each) for asset, each in self.decisions.items()},
            held=[
                HeldBack(asset=asset, id=d.snapshot.id, since=d.held_since, why=list(d.why))
                for asset, d in self.each()
                if d.held_since is not None
            ],
            findings=self.findings,
            repository_bytes=self.capacity.taken,
            free_bytes=self.capacity.free,
            freed_bytes=self.freed,
            log_snapshots_removed=self.log_removed,
            left_behind=self.left_behind,
        )

    def as_json(self) -> dict[str, object]:
        decisions = [
            {
                "asset": asset,
                "id": d.snapshot.id,
                "consistent_point": rfc3339(d.snapshot.consistent_point),
                "keep": d.keep,
                "why": list(d.why),
                "overdue": d.overdue,
            }
            for asset, d in self.each()
        ]
        return document(self.ended(), self.record, **_beside(self), decisions=decisions)


@dataclass
class Check(RepositoryWork):
    """What one check of a part of the repository's data, or of all of it, has shown. `covered` parts were read and
    found clean in the present cycle; `full_since`: every part was since then, None where one was not."""

    result: Literal["CLEAN", "DAMAGED", "INCONCLUSIVE", "PLANNED"] = INCONCLUSIVE
    part: int = 1
    parts: int = 1
    all_data: bool = False  # `part` is 0 then
    covered: int = 0
    full_since: datetime | None = None
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    capacity: Capacity = field(default_factory=Capacity)
    repository: Repository = None  # damaged, where it does not open for that

    @property
    def exit_code(self) -> Exit:
        codes = [Exit.FINDING] if self.result == DAMAGED else []
        codes += [self.failure] if self.result == INCONCLUSIVE else []
        codes += [Exit.LEFT_BEHIND] if self.left_behind else []
        return worst(codes)

    def ended(self) -> CheckEnd:
        return CheckEnd(
            plan=self.plan,
            run=self.run,
            result=code(self.result),
            reason=self.reason,
            repository=self.repository,
            part=self.part,
            parts=self.parts,
            all_data=self.all_data,
            covered=self.covered,
            full_since=self.full_since,
            findings=self.findings,
            seconds=round(self.seconds, 3),
            repository_bytes=self.capacity.taken,
            free_bytes=self.capacity.free,
            left_behind=self.left_behind,
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record, **_beside(self))


def _beside(done: Prune | Check) -> dict[str, object]:
    """What is told and not recorded."""
    return {"run": done.run or None, "hint": done.hint, "capacity": done.capacity.as_json()}


# What the repository takes.


def size(repo: Restic) -> int | None:
    with contextlib.suppress(CcdrError):
        return storage.size(repo)
    return None


def capacity_of(loaded: LoadedPlan, services: Services, repo: Restic) -> Capacity:
    """It is a note on what was done: a store that does not answer any more leaves it empty."""
    taken = size(repo)
    if taken is None:
        return Capacity()
    history = services.histories().get((loaded.plan.plan, None), AssetHistory())
    today = services.clock.now().date().isoformat()
    return Capacity(taken, storage.room(repo), measure.growth({**history.sizes, today: taken}))


def tenths(progress: Progress, what: str) -> storage.OnCount:
    """Tells a person how far it is, ten times at most."""
    reported: dict[str, int] = {}

    def count(done: int, total: int, unit: str) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > reported.get(unit, 0) and done < total:
            reported[unit] = tenth
            progress.step(f"{what}: {done} of {total} {unit}")

    return count
