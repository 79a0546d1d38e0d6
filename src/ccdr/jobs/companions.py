"""Other assets of the plan, restored for the same test, so that a check can compare two stores.

They are restored one by one after the tested asset, once its own recovery is measured. What needs programs gets a
sandbox of its own. No two of them share a network, since none has one: they meet in the run's scratch, where bulk
bytes go in any case.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ccdr.checks.base import CheckConfig, looked_at
from ccdr.evidence.records.restores import BesideSnapshot, Private, RestoredBeside, Sandbox
from ccdr.host.clock import timed
from ccdr.jobs.fetch import candidates, fetch, newer_attempts, none_counts, pruned_since, verify
from ccdr.jobs.services import JobRun, recorded_sandbox
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, CcdrError, TestBroken
from ccdr.model.finding import Finding
from ccdr.model.groups import counterpart
from ccdr.model.values import CheckResult, Manifest, Snapshot, Verdict, source_digest
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext, Counterpart
from ccdr.ports.engine import Engine
from ccdr.sandbox import isolation
from ccdr.sandbox.docker import NOT_AS_ASKED, Disposal
from ccdr.sandbox.lab import SandboxOrder, readable_inside, room_for
from ccdr.storage.synchronised import Synchronised

PHASES = ("provision", "fetch", "check", "dispose")


@dataclass
class Companion:
    """One other asset: what of it was restored, and how long that took (seconds, apart from the tested asset's)."""

    job: Job
    snapshot: Snapshot
    manifest: Manifest
    skew: float
    together: str | None  # the group's run that both snapshots are of
    context: CheckContext
    stored: float  # the record of the last good backup of it when it was chosen
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    sandbox: Sandbox | None = None

    def recorded(self) -> RestoredBeside:
        s = self.snapshot
        return RestoredBeside(
            asset=self.job.asset,
            snapshot=BesideSnapshot(
                id=s.id,
                consistent_point=s.consistent_point,
                bytes=s.bytes,
                manifest_sha256=s.manifest_sha256,
                source_sha256=source_digest(s.source),
            ),
            group_run=self.together,
            skew_s=round(self.skew, 3),
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            sandbox=self.sandbox,
        )


class Alongside:
    """All that is restored beside one test's asset. `point` is the instant that the asset was restored to (None where
    nothing tells it, and so nothing can be chosen that belongs beside it), `recovered` whether by its log, so that its
    snapshot's group says nothing any more. A context: on leaving it every sandbox is gone, or `problems` tells, and
    what was noted by name is kept."""

    def __init__(
        self,
        of: JobRun,
        synchronised: Synchronised,
        own: Snapshot,
        *,
        point: datetime | None,
        recovered: bool,
        latest: bool,
    ) -> None:
        self._job, self._services, self._repo, self._run, self._progress = (
            of.job,
            of.services,
            of.repo,
            of.run,
            of.progress,
        )
        self._synchronised, self._own = synchronised, own
        self._known, self._recovered, self._latest = point, recovered, latest
        self._companions: dict[str, Companion] = {}
        self._failed: dict[str, CcdrError] = {}
        self._boxes = contextlib.ExitStack()
        self._notes: IO[str] | None = None
        self._noted = self._compared = 0
        self.disposals: list[Disposal] = []
        self.findings: list[Finding] = []
        self.private: Private | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        began = self._services.clock.monotonic()
        self._boxes.close()
        took = self._services.clock.monotonic() - began
        for companion in self._companions.values():  # all of them at once: which took how long is not known
            companion.phases["dispose"] = took if companion.sandbox else 0.0
        state, now = self._services.state, self._services.clock.now()
        if self._notes is not None:
            self._notes.close()
            kept = state.keep_private(self._run.id, Path(self._notes.name))
            file, until = state.kept_as(kept, now)
            self.private = Private(file=file, lines=self._noted, until=until)
        state.forget_private(now)

    @property
    def problems(self) -> list[str]:
        return [problem for disposal in self.disposals for problem in disposal.problems]

    def recorded(self) -> list[RestoredBeside]:
        return [companion.recorded() for companion in self._companions.values()]

    def compare(self, check: CheckConfig, engine: Engine, context: CheckContext) -> list[CheckResult]:
        """The check's results. What keeps the other asset from being restored is a result, too: it says nothing of
        the snapshot that is tested."""
        assert check.beside is not None
        other = Job(self._job.loaded, check.beside)
        try:
            companion = self._companion(other)
            if check.needs_sandbox_beside and companion.context.box is None:
                self._open(companion)
            with self._phase(companion, "check", f"comparing {self._job.asset} with {other.asset}"):
                results = looked_at(check, lambda: check.compare(engine, context, self._beside(companion)))
        except BackupBad as error:
            pruned = pruned_since(self._repo, other.plan, {s.id for s in self._synchronised.listed})
            status = Verdict.INCONCLUSIVE if pruned else Verdict.FAIL
            return [_not_compared(check, other, f"{error}; but {pruned}" if pruned else str(error), status)]
        except (CcdrError, OSError) as error:
            return [_not_compared(check, other, str(error), Verdict.INCONCLUSIVE)]
        return [*self._passed_over(check, companion), *results]

    # --- choosing and restoring -----------------------------------------------------------------------

    @property
    def _point(self) -> datetime:
        if self._known is None:
            raise TestBroken(
                f"the time of the point that {self._job.asset} was recovered to is not known",
                hint="name a time with `--at`, or `latest`",
            )
        return self._known

    def _companion(self, other: Job) -> Companion:
        """Restored once, whatever comes of it."""
        if other.asset in self._failed:
            raise self._failed[other.asset]
        if other.asset not in self._companions:
            try:
                self._companions[other.asset] = self._restored(other)
            except CcdrError as error:
                self._failed[other.asset] = error
                raise
        return self._companions[other.asset]

    def _restored(self, other: Job) -> Companion:
        services, run = self._services, self._run
        snapshot, stored = self._chosen(other)
        manifest = services.catalogue.manifest(snapshot)
        room_for(run.scratch, int(snapshot.bytes * 1.05) + 2**24)
        home = run.directory(f"beside-{other.asset}")
        fetched, out, cache = home / "fetched", home / "out", home / "cache"
        for directory in (fetched, out, cache):
            directory.mkdir(mode=0o700)
        context = CheckContext(
            manifest, fetched, Path(f"{fetched}{snapshot.root}"), out, None, services.host, services.digest
        )
        skew = abs((snapshot.consistent_point - self._point).total_seconds())
        shared = snapshot.group if snapshot.group == self._own.group and not self._recovered else None
        together = shared.run if shared else None
        companion = Companion(other, snapshot, manifest, skew, together, context, stored)
        with self._phase(companion, "fetch", f"fetching {snapshot.short} of {other.asset}"):
            repo = self._repo.with_cache(cache)
            restored = fetch(repo, other.engine, snapshot, manifest, fetched, self._progress)
            other.engine.complete(fetched, restored, manifest)
            verify(other.engine, restored, manifest, services.digest)
        return companion

    def _chosen(self, other: Job) -> tuple[Snapshot, float]:
        """And the record of the last good backup of it by then."""
        point, history = self._point, self._services.history(other)
        snapshots = candidates(other, self._services, self._synchronised)
        good = chain.usable(snapshots.good, snapshots.there, history.disproved)
        chosen = counterpart(self._own, point, good, recovered=self._recovered)
        if chosen is None:
            raise BackupBad(none_counts(other, self._synchronised)[0])
        return chosen, history.last_stored

    def _passed_over(self, check: CheckConfig, companion: Companion) -> Iterator[CheckResult]:
        """With `latest`, an older snapshot of the other asset because a newer backup of it failed: FAIL, and named."""
        other, snapshot = companion.job, companion.snapshot
        if not self._latest or companion.together or snapshot.consistent_point >= self._point:
            return
        stored, synchronised = companion.stored, self._synchronised
        for attempt in newer_attempts(other, snapshot, self._services, self._repo, synchronised, stored=stored):
            name = f"{check.label}: newest snapshot"
            expected = f"no newer backup of {other.asset} failed"
            yield CheckResult(check.kind_name, name, Verdict.FAIL, expected, attempt.text, varies=True)
            return

    def _open(self, companion: Companion) -> None:
        """A sandbox in which the other asset's files are seen; they are mounted read-only."""
        services, engine, context = self._services, companion.job.engine, companion.context
        needs = engine.sandbox(companion.manifest)
        image = services.lab.image(engine, needs)
        disposal = Disposal()
        with self._phase(companion, "provision", f"providing a sandbox for {companion.job.asset}"):
            readable_inside(services.host, context.fetched)
            self.disposals.append(disposal)
            box = self._boxes.enter_context(
                services.lab.sandbox(
                    needs,
                    image,
                    SandboxOrder(
                        run=self._run.id,
                        part=companion.job.asset,
                        fetched=context.fetched,
                        out=context.out,
                        storage=engine.storage,
                        no_progress=companion.job.limits.no_progress,
                    ),
                    disposal,
                )
            )
            companion.sandbox = recorded_sandbox(image, box)
            if box.differs:
                self.findings.append(isolation.found_open(box.differs))
                raise TestBroken(isolation.not_shut_off(box.differs), hint=NOT_AS_ASKED)
            engine.start(box, companion.manifest)
        companion.context = CheckContext(
            context.manifest, context.fetched, context.restored, context.out, box, services.host, services.digest
        )

    def _beside(self, companion: Companion) -> Counterpart:
        self._compared += 1
        return Counterpart(
            asset=companion.job.asset,
            snapshot=companion.snapshot,
            engine=companion.job.engine,
            context=companion.context,
            point=self._point,
            together=companion.together,
            work=self._run.directory(f"compared-{self._compared}"),
            note=self._note,
            recovered=self._recovered,
        )

    def _note(self, reference: Mapping[str, object]) -> None:
        if self._notes is None:
            path = self._run.scratch / "private.jsonl"
            path.touch(mode=0o600)
            self._notes = path.open("w", encoding="ascii")
        self._notes.write(json.dumps(reference) + "\n")
        self._noted += 1

    @contextlib.contextmanager
    def _phase(self, companion: Companion, name: str, text: str) -> Iterator[None]:
        self._progress.step(text)
        with timed(self._services.clock, companion.phases, name):
            yield


def _not_compared(check: CheckConfig, other: Job, why: str, status: Verdict) -> CheckResult:
    actual = f"{other.asset} could not be compared: {why}"
    return CheckResult(
        check.kind_name, check.label, status, f"{other.asset} restored with it", actual, why, varies=True
    )
