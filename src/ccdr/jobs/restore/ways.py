"""The two ways to restore: into a directory, and onto a server. Each brings, checks, finishes, or undoes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ccdr.checks.base import CheckConfig, run_check
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.host.clock import timed
from ccdr.host.files import remove_tree
from ccdr.host.state import Run
from ccdr.jobs.fetch import fetch, fetch_bases, verify
from ccdr.jobs.restore.directory import Staging, opened
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.errors import CcdrError, TestBroken
from ccdr.model.values import CheckResult, Manifest, Snapshot, Verdict, so_many
from ccdr.plans.job import Job
from ccdr.ports.capture import UPON, WHOLE
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import Engine, ServerTarget
from ccdr.ports.place import Place, Progress, Source
from ccdr.ports.restored import Restored
from ccdr.sandbox.docker import Disposal
from ccdr.sandbox.lab import SandboxOrder
from ccdr.storage.manifest import MANIFEST
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

    @contextlib.contextmanager
    def phase(self, name: str, text: str, progress: Progress) -> Iterator[None]:
        progress.step(text)
        with timed(self.services.clock, self.result.phases, name):
            yield

    @property
    def engine(self) -> Engine:
        return self.job.engine

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


def skipped(check: CheckConfig, why: str, status: Verdict = Verdict.SKIPPED) -> CheckResult:
    return CheckResult(check.kind_name, check.label, status, "a look", f"not looked at: {why}")


@dataclass
class IntoDirectory:
    """A file tree with all its paths below the directory; of any other engine, the files that were captured: a server's
    dump is loaded nowhere, a database that is one file is looked at where it stands."""

    order: Order
    staging: Staging
    recovery: Recovery | None = None
    verified: int = 0  # files
    logged: CheckResult | None = None

    @property
    def _whole(self) -> bool:
        return "roots" in self.order.manifest.contents

    def will(self) -> list[str]:
        if self._whole:
            roots = ", ".join(map(str, self._roots))
            return [f"writes {roots} below {self.staging.target}, each at its own path"]
        steps = [f"writes into {self.staging.target} {self.order.engine.as_files(self.order.manifest)}"]
        if self.order.bases:
            steps.append(
                f"of it and the {len(self.order.bases)} snapshots that it depends on, put together in a sandbox"
            )
        if self.recovery is not None:
            steps.append(f"puts the log next to it: {self.recovery.described}")
        return steps

    def passed_over(self) -> list[CheckResult]:
        dumped = not self._whole and self.order.engine.has_server
        why = "it needs a server (docs/how-to/recover.md: By hand)"
        return [skipped(check, why) for check in self._asked] if dumped else []

    @property
    def _asked(self) -> list[CheckConfig]:
        """Without what is done whatever the plan asks for: here every byte must be what was captured."""
        return [c for c in self.order.job.checks if not isinstance(c, Identical)]

    @property
    def _roots(self) -> list[str]:
        return [str(path) for path in roots_of(self.order.manifest.contents)]

    def bring(self, progress: Progress) -> None:
        order, staging = self.order, self.staging
        staging.begin()
        with order.phase("fetch", f"fetching {order.snapshot.short}", progress):
            root = "/" if self._whole else order.snapshot.root
            restored = fetch(
                order.repo, order.engine, order.snapshot, order.manifest, staging.tree, progress, root=root
            )
            if self._whole:
                order.engine.complete(staging.tree, restored, order.manifest)
            fetch_bases(order.repo, order.engine, order.bases, restored, progress)
        if order.bases:
            self._assemble(restored, progress)
        with order.phase("check", "comparing digests", progress):
            self.verified = self.verified or order.verified(restored)
            if self._whole:
                staging.move_capture(restored, self._roots)
            elif not order.engine.has_server:  # the manifest is ccdr's, the rest is the data itself
                (restored / MANIFEST).rename(staging.root / MANIFEST)
        if self.recovery is not None:
            self._bring_log(self.recovery, restored, progress)

    def _assemble(self, restored: Path, progress: Progress) -> None:
        """Of an increment and what it builds upon make one whole, in a sandbox, by whoever runs ccdr: there every file
        is proven to be as captured, and what came of it to be whole."""
        order, staging, disposal = self.order, self.staging, Disposal()
        needs = replace(order.engine.sandbox(order.manifest), user=None, data_dir=None, in_place=())
        made = staging.out / WHOLE
        made.mkdir(mode=0o700)
        with order.phase("load", f"putting {len(order.bases) + 1} snapshots together", progress):
            image = order.services.lab.image(order.engine, needs)
            box_of = order.services.lab.sandbox(
                needs,
                image,
                SandboxOrder(
                    run=order.run.id,
                    fetched=staging.tree,
                    out=staging.out,
                    storage="disk",
                    no_progress=order.job.limits.no_progress,
                ),
                disposal,
            )
            try:
                with box_of as box:
                    order.engine.start(box, order.manifest)
                    order.engine.assemble(box, restored, order.manifest, made)
            finally:
                order.result.left_behind += disposal.problems
            for name in (*(p.name for p in made.iterdir()), UPON, WHOLE):
                order.result.left_behind += remove_tree(restored / name)
            for path in made.iterdir():
                path.rename(restored / path.name)
        self.verified = int(str(order.manifest.contents["files"]))

    def _bring_log(self, recovery: Recovery, restored: Path, progress: Progress) -> None:
        order, staging = self.order, self.staging
        with order.phase("fetch", "fetching the log", progress):
            self.logged = recovery.fetch(staging.tree, order.run.directory("log-cache"), order.services)
            at = staging.target / recovery.place
            target = recovery.choice.target
            order.result.notes.append(order.engine.recoverable(restored, at, order.manifest, target))

    def check(self, progress: Progress) -> list[CheckResult]:
        order = self.order
        with order.phase("check", f"checking {order.job.asset}", progress):
            asked = self._asked
            if not self._whole:
                count = self.verified
                equal = CheckResult(
                    "identical", "captured files", Verdict.PASS, so_many(count, "file"), f"{count}, equal"
                )
                if order.engine.has_server:
                    return [equal, *([self.logged] if self.logged else []), *self.passed_over()]
                return [equal, *self._in_sandbox([Identical(kind="identical"), *asked], progress)]
            same = order.check([Identical(kind="identical")], order.engine, self._bench(None), progress)
            plain = order.check([c for c in asked if not c.needs_sandbox], order.engine, self._bench(None), progress)
            return [*same, *plain, *self._in_sandbox([c for c in asked if c.needs_sandbox], progress)]

    def _bench(self, box: Place | None) -> CheckContext:
        order, staging = self.order, self.staging
        host, digest = order.services.host, order.services.digest
        captured = staging.capture if self._whole else staging.tree
        return CheckContext(order.manifest, staging.tree, captured, staging.out, box, host, digest)

    def _in_sandbox(self, checks: list[CheckConfig], progress: Progress) -> list[CheckResult]:
        """Checks that run programs look at the tree from a sandbox, as in a restore test; it is mounted read-only."""
        if not checks:
            return []
        order, staging, disposal = self.order, self.staging, Disposal(done=True)
        results: list[CheckResult] = []
        try:
            needs = order.engine.sandbox(order.manifest)
            image = order.services.lab.image(order.engine, needs)
            disposal.done = False
            made = order.services.lab.sandbox(
                needs,
                image,
                SandboxOrder(
                    run=order.run.id,
                    fetched=staging.tree,
                    out=staging.out,
                    storage=order.job.engine.storage,
                    no_progress=order.job.limits.no_progress,
                ),
                disposal,
            )
            with opened(staging.tree), made as box:
                context = self._bench(box)
                if order.engine.in_sandbox:
                    order.engine.start(box, order.manifest)
                    order.engine.load(box, context.restored, order.manifest)
                results += order.check(checks, order.engine, context, progress)
        except TestBroken as error:
            results += [skipped(c, str(error), Verdict.INCONCLUSIVE) for c in checks[len(results) :]]
        order.result.left_behind += disposal.problems
        return results

    def finish(self, progress: Progress) -> list[str]:
        with self.order.phase("finish", f"naming it {self.staging.target}", progress):
            self.staging.finish(self.order.services.host)
            return self.staging.remove()

    def named(self) -> bool | None:
        return self.staging.named

    def settle(self) -> list[str]:
        target = self.staging.target
        try:
            self.staging.settle(self.order.services.host)
        except CcdrError as error:
            self.order.result.findings.append(f"{target} may not be on disk yet: {error}; run `sync -f {target}`")
        return self.staging.remove()

    def undo(self) -> list[str]:
        return self.staging.remove()

    def standing(self) -> str:
        return f"the restored data is in {self.staging.tree}: move it yourself, or remove {self.staging.root}"


@dataclass
class OntoServer:
    """The dump is fetched into scratch, and loaded by the server's own client."""

    order: Order
    target: ServerTarget
    source: Source
    steps: list[str]
    loaded: Restored | None = None
    fetched: Path | None = None
    restored: Path | None = None

    def will(self) -> list[str]:
        return self.steps

    def passed_over(self) -> list[CheckResult]:
        asked = self.order.job.checks
        results = [skipped(c, "it is written for the sandbox") for c in asked if isinstance(c, Command)]
        return results + [skipped(c, f"{c.beside} is not restored with it") for c in asked if c.beside]

    def bring(self, progress: Progress) -> None:
        order = self.order
        self.fetched = order.run.directory("fetched")
        with order.phase("fetch", f"fetching {order.snapshot.short}", progress):
            self.restored = fetch(order.repo, order.engine, order.snapshot, order.manifest, self.fetched, progress)
        with order.phase("check", "comparing digests", progress):
            order.verified(self.restored)
        with order.phase("load", f"loading {order.job.asset} into {self.target.shown}", progress):
            self.loaded = self.target.load(self.source, self.restored, order.manifest, progress)

    def check(self, progress: Progress) -> list[CheckResult]:
        order, services = self.order, self.order.services
        assert self.fetched is not None and self.restored is not None and self.loaded is not None
        out = order.run.directory("out")
        context = CheckContext(
            order.manifest, self.fetched, self.restored, out, self.source.place, services.host, services.digest
        )
        with order.phase("check", f"checking {order.job.asset}", progress):
            asked = order.job.checks
            ours: list[CheckConfig] = [c for c in asked if not isinstance(c, Command) and c.beside is None]
            return order.check(ours, self.loaded, context, progress) + self.passed_over()

    def finish(self, progress: Progress) -> list[str]:
        with self.order.phase("finish", f"naming it {self.target.name}", progress):
            left = self.target.finish(self.source)
            self.order.result.notes += self.target.notes
            return left

    def named(self) -> bool | None:
        try:
            return self.target.named(self.source)
        except (CcdrError, KeyboardInterrupt):  # whoever interrupts twice is in a hurry: the first one counts
            return None

    def settle(self) -> list[str]:
        return self.target.settle(self.source)

    def undo(self) -> list[str]:
        return self.target.undo(self.source)

    def standing(self) -> str:
        return self.target.standing()


def roots_of(contents: Mapping[str, object]) -> list[Path]:
    """Source paths that a manifest's contents name."""
    roots = contents.get("roots")
    return [Path(str(r)) for r in roots] if isinstance(roots, list) else []
