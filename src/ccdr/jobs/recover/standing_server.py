"""The checks of a database that stands on a server under its final name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.checks.integrity import Integrity
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.model.values import CheckResult, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored


@dataclass
class StandingServer:
    """A database on a server, under its final name."""

    order: Order
    restored: Restored
    source: Source
    opened: bool = False  # it may be in use already
    reached: datetime | None = None  # by its log
    looked_at_nothing: bool = False  # none of the checks that it was asked by could be carried out

    def _context(self) -> CheckContext:
        order, services = self.order, self.order.services
        name = f"out-{order.job.asset}"
        out = order.run.scratch / name
        if not out.exists():
            order.run.directory(name)
        return CheckContext(
            order.manifest,
            out,
            out,
            out,
            self.source.place,
            services.host,
            services.digest,
            self.reached is not None,
            self.reached,
        )

    def check(self, progress: Progress) -> list[CheckResult]:
        order = self.order
        asked: list[CheckConfig] = [c for c in order.job.checks if c.beside is None]
        of_captured = [c for c in asked if isinstance(c, Command | Identical)]
        why = "it needs what was captured, and was looked at before it had its name"
        left_out = [skipped(c, why) for c in of_captured]
        of_its_own = [c for c in asked if isinstance(c, Integrity)] if self.opened else []
        why = "it writes to the server or holds it up, and was looked at before that was opened"
        left_out += [skipped(c, why) for c in of_its_own]
        ours = [c for c in asked if c not in of_captured and c not in of_its_own]
        compared = [skipped(c, f"{c.beside} is not looked at with it") for c in order.job.checks if c.beside]
        with order.phase("check", f"checking {order.job.asset}", progress):
            results = order.check(ours, self.restored, self._context(), progress)
        self.looked_at_nothing = all(one.status is Verdict.SKIPPED for one in results)
        return results + left_out + compared

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        yield Held(self.restored, self._context())
