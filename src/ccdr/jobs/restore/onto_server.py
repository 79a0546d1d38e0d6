"""The other way to restore: onto a server, by its own client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.jobs.fetch import fetch
from ccdr.jobs.restore.parts import only_these
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.model.errors import CcdrError
from ccdr.model.values import CheckResult, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import ServerTarget
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored

# Of tables that come without the others.
BUT_ROWS = CheckResult(
    "identical",
    "definitions, sequences, grants",
    Verdict.SKIPPED,
    "a look",
    "not looked at: of parts the rows are compared",
)


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
    context: CheckContext | None = None

    def will(self) -> list[str]:
        tables = self.order.tables
        return [*self.steps, *([f"takes tables of it: {tables}"] if tables is not None else [])]

    def passed_over(self) -> list[CheckResult]:
        if self.order.tables is not None:
            return [BUT_ROWS, *self.order.of_the_whole()]
        asked = self.order.job.checks
        results = [skipped(c, "it is written for the sandbox") for c in asked if isinstance(c, Command)]
        return results + [skipped(c, f"{c.beside} is not restored with it") for c in asked if c.beside]

    def bring(self, progress: Progress) -> None:
        order = self.order
        if order.before is not None:
            progress.step(f"removing what an earlier try left at {self.target.shown}")
            order.result.left_behind += self.target.of_a_dead_run(order.before.run).undo(self.source)
        self.fetched = order.run.directory("fetched")
        with order.phase("fetch", f"fetching {order.snapshot.short}", progress):
            into, only = self.fetched, order.wanted
            self.restored = fetch(order.repo, order.engine, order.snapshot, order.manifest, into, progress, only=only)
        with order.phase("check", "comparing digests", progress):
            order.verified(self.restored)
            if order.tables is not None:
                only_these(order, self.restored)
        order.reached("fetched")
        with order.phase("load", f"loading {order.job.asset} into {self.target.shown}", progress):
            self.loaded = self.target.load(self.source, self.restored, order.manifest, progress)
        order.reached("loaded")

    def check(self, progress: Progress) -> list[CheckResult]:
        order, services = self.order, self.order.services
        assert self.fetched is not None and self.restored is not None and self.loaded is not None
        out = order.run.directory("out")
        context = self.context = CheckContext(
            order.manifest, self.fetched, self.restored, out, self.source.place, services.host, services.digest
        )
        with order.phase("check", f"checking {order.job.asset}", progress):
            asked = order.job.checks if order.tables is None else (Identical(kind="identical"),)
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

    def rest(self) -> str | None:
        return None

    def token(self) -> Mapping[str, object]:
        return {}

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        assert self.loaded is not None and self.context is not None
        yield Held(self.loaded, self.context)
