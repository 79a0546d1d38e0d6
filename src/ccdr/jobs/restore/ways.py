"""The ways to restore, as the use-case sees them: each brings, checks, finishes, or undoes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ccdr.checks.base import CheckConfig, run_check
from ccdr.checks.identical import Identical
from ccdr.engines.servers.parts import ChosenTables
from ccdr.host.clock import timed
from ccdr.host.state import Run
from ccdr.jobs.fetch import verify
from ccdr.jobs.restore.request import Before, Request, RestoreResult
from ccdr.jobs.services import Services
from ccdr.model.errors import TestBroken
from ccdr.model.values import CheckResult, Manifest, Snapshot, Verdict
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import Engine
from ccdr.ports.place import Progress
from ccdr.ports.restored import Restored, SandboxNeeds
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import Disposal
from ccdr.sandbox.lab import SandboxOrder
from ccdr.storage.restic import Restic


@dataclass(frozen=True)
class Order:
    """What is to be restored, and the rooms it is done with."""

    job: Job
    services: Services
    repo: Restic
    run: Run
    snapshot: Snapshot
    manifest: Manifest
    result: RestoreResult
    bases: Sequence[tuple[Snapshot, Manifest]] = ()  # what it builds upon, the full one first
    request: Request | None = None
    tables: ChosenTables | None = None  # of a dump these alone

    def reached(self, stage: str) -> None:
        """Whoever goes on after a crash need not go through this again."""
        if self.request is not None:
            self.request.reached(stage, {})

    @property
    def before(self) -> Before | None:
        """What an earlier try of a recovery left."""
        return self.request.before if self.request is not None else None

    @contextlib.contextmanager
    def phase(self, name: str, text: str, progress: Progress) -> Iterator[None]:
        progress.step(text)
        with timed(self.services.clock, self.result.phases, name):
            yield

    @property
    def engine(self) -> Engine:
        return self.job.engine

    @contextlib.contextmanager
    def sandbox(self, needs: SandboxNeeds, asked: SandboxOrder) -> Iterator[Box]:
        """What of it could not be removed is told as left behind. TestBroken where there is none."""
        disposal, lab = Disposal(), self.services.lab
        try:
            with lab.sandbox(needs, lab.image(self.engine, needs), asked, disposal) as box:
                yield box
        finally:
            self.result.left_behind += disposal.problems

    def in_sandbox(self, fetched: Path, out: Path, *, storage: str = "disk", part: str = "") -> SandboxOrder:
        """A sandbox that has what was `fetched`, and may write into `out`."""
        limit = self.job.limits.no_progress
        return SandboxOrder(run=self.run.id, part=part, fetched=fetched, out=out, storage=storage, no_progress=limit)

    @property
    def by_this_user(self) -> SandboxNeeds:
        """A sandbox of whoever runs ccdr, in which no server keeps its data."""
        return replace(self.engine.sandbox(self.manifest), user=None, data_dir=None, in_place=())

    @property
    def wanted(self) -> list[str]:
        """The captured files that are fetched; none: all of them."""
        return list(self.manifest.files) if self.tables is not None else []

    def of_the_whole(self) -> list[CheckResult]:
        """What is passed over where only some tables are restored."""
        asked = [c for c in self.job.checks if not isinstance(c, Identical)]
        return [skipped(c, "it is of the whole, and parts are restored") for c in asked]

    def verified(self, restored: Path) -> int:
        """Every captured file has the SHA-256 that was taken down: before anything is made of it. Their number."""
        return verify(self.engine, restored, self.manifest, self.services.digest)

    def check(
        self, checks: list[CheckConfig], engine: Restored, context: CheckContext, progress: Progress
    ) -> list[CheckResult]:
        results: list[CheckResult] = []
        for check in checks:
            progress.step(f"checking {self.job.asset}: {check.label}")
            try:
                results += run_check(check, engine, context)
            except TestBroken as error:  # a sandbox that breaks is no reason to have no data
                results.append(skipped(check, str(error), Verdict.INCONCLUSIVE))
        return results


@dataclass(frozen=True)
class Held:
    """What is restored and not yet finished: what checks ask, and look at."""

    restored: Restored
    context: CheckContext


class Way(Protocol):
    """`bring` and what follows run once each, in this order; `undo` at any point after `bring` has begun."""

    def will(self) -> list[str]:
        """What it does there, for the person who is asked."""

    def passed_over(self) -> list[CheckResult]:
        """The plan's checks that it cannot carry out there, as SKIPPED."""

    def bring(self, progress: Progress) -> None:
        """Fetch, prove whole, load: under another name than the target's."""

    def check(self, progress: Progress) -> list[CheckResult]: ...

    def finish(self, progress: Progress) -> list[str]:
        """Give it its name; what is left to clear away."""

    def named(self) -> bool | None:
        """After a `finish` that was stopped: has it its final name all the same? None where that cannot be told."""

    def settle(self) -> list[str]:
        """Where it has: do what is left to do; what could not be done, or cleared away."""

    def undo(self) -> list[str]:
        """Remove what `bring` made; what could not be removed."""

    def standing(self) -> str:
        """Where it stands before `finish`."""

    def rest(self) -> str | None:
        """What was brought so far, if somebody may go on with it; one sentence. None: it is to be removed."""

    def token(self) -> Mapping[str, object]:
        """Before `finish`: by what is known, later, that it has its final name."""

    def beside(self, *, programs: bool) -> AbstractContextManager[Held | None]:
        """After `check`, before `finish`: what a check of another asset, or one that compares with another, may look
        at while the block lasts; None where there is nothing to ask. `programs`: they must run where its files are."""


def skipped(check: CheckConfig, why: str, status: Verdict = Verdict.SKIPPED) -> CheckResult:
    return CheckResult(check.kind_name, check.label, status, "a look", f"not looked at: {why}")


def roots_of(contents: Mapping[str, object]) -> list[Path]:
    """Source paths that a manifest's contents name."""
    roots = contents.get("roots")
    return [Path(str(r)) for r in roots] if isinstance(roots, list) else []
