"""The course of one restore test: what it was asked for, what it works with, and what has come of it so far."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.host.clock import timed
from ccdr.host.state import Run
from ccdr.jobs.companions import Alongside
from ccdr.jobs.fetch import (
    Candidates,
    candidates,
)
from ccdr.jobs.job_run import JobRun
from ccdr.jobs.restore_test.result import RestoreTest
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model import parents as chain
from ccdr.model.values import Manifest, Snapshot
from ccdr.plans.job import Job
from ccdr.ports.engine import Engine
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import Disposal
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


@dataclass
class CourseOfTest:
    """One restore test under way. `at` is the point to recover to by the log, `base` the id that somebody named for
    that; `answered`: the repository has said what it holds; `parents` are what the snapshot builds upon."""

    of: JobRun
    test: RestoreTest
    at: RecoveryTarget | None
    base: str | None
    began: datetime
    answered: bool = False
    fetching: bool = False
    synchronised: Synchronised = field(default_factory=Synchronised)
    history: AssetHistory = field(default_factory=AssetHistory)  # the asset's
    upkeep: AssetHistory = field(default_factory=AssetHistory)  # the plan's own
    parents: list[tuple[Snapshot, Manifest]] = field(default_factory=list)
    recovery: Recovery | None = None
    alongside: Alongside | None = None
    disposal: Disposal = field(default_factory=lambda: Disposal(done=True))
    look: str | None = None  # the line by which a person looks at what was restored, where that is kept

    @property
    def job(self) -> Job:
        return self.of.job

    @property
    def services(self) -> Services:
        return self.of.services

    @property
    def repo(self) -> Restic:
        return self.of.repo

    @property
    def run(self) -> Run:
        return self.of.run

    @property
    def progress(self) -> Progress:
        return self.of.progress

    @property
    def engine(self) -> Engine:
        return self.job.engine

    @contextlib.contextmanager
    def phase(self, name: str, text: str) -> Iterator[None]:
        self.progress.step(text)
        with timed(self.services.clock, self.test.phases, name):
            yield

    @property
    def candidates(self) -> Candidates:
        return candidates(self.job, self.services, self.synchronised)

    def older(self, snapshot: Snapshot) -> list[Snapshot]:
        """Those older than it that could be restored instead."""
        snapshots = self.candidates
        usable = chain.usable(snapshots.good, snapshots.there, self.history.disproved)
        return [s for s in usable if s.consistent_point < snapshot.consistent_point]
