"""A new server that nobody has started yet, opened once more in a container so that its checks can ask it; then left as
it was, ended and set up for its user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.host.files import extent, write_durably
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.restore.directory import Staging
from ccdr.jobs.restore.left_server import CHECKING, OWN, Loaded, sums_of
from ccdr.jobs.restore.new_server import PARTS, OntoNewServer
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.model.errors import CcdrError
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.place import Progress

CAPTURED = "it needs what was captured, and was looked at before it had its name"


@dataclass
class Reopened:
    """Answers in its container."""

    order: Order
    held: Held

    def check(self, progress: Progress) -> list[CheckResult]:
        alone = [c for c in self.order.job.checks if c.beside is None]
        with self.order.phase("check", f"checking {self.order.job.asset}", progress):
            found = self.order.check(_asks(alone), self.held.restored, self.held.context, progress)
        left_out = [skipped(c, CAPTURED) for c in alone if isinstance(c, Command | Identical)]
        compared = [skipped(c, f"{c.beside} is not looked at with it") for c in self.order.job.checks if c.beside]
        return found + left_out + compared

    def beside(self, *, programs: bool) -> contextlib.AbstractContextManager[Held | None]:
        return contextlib.nullcontext(self.held)


def may_reopen(order: Order) -> bool:
    """Is there a check that asks it, and may this user give its files away and back?"""
    asks = any(c.needs_sql or c.needs_export or c.beside for c in order.job.checks)
    return asks and os.geteuid() == 0


def _asks(checks: Sequence[CheckConfig]) -> list[CheckConfig]:
    return [c for c in checks if c.beside is None and not isinstance(c, Command | Identical)]


@contextlib.contextmanager
def reopened(
    order: Order, opening: Opening, staging: Staging, moment: datetime | None, progress: Progress, *, recovered: bool
) -> Iterator[Reopened]:
    """While it lasts, a mark in its home keeps others from starting it; a later look goes on from there. What could not
    be put right is among what `order` has left behind."""
    left, mark, manifest = opening.left, opening.left.home / CHECKING, order.manifest
    image = order.services.lab.image(order.engine, opening.maker.needs(manifest))
    if mark.exists():  # a container of whoever was killed may still work in it
        clear_leftovers(order.services)
    write_durably(mark, "`ccdr recover check` looks at this server: do not start it\n")
    with contextlib.ExitStack() as own:
        loaded = Loaded(order.snapshot.id, image.id, None, ())
        server = OntoNewServer(
            order, staging, opening.site, opening.maker, image, left.owner, own, loaded=loaded, left=left
        )
        (staging.root / PARTS).mkdir()
        try:
            server.open_again(progress)
            held = server.held()
            context = replace(held.context, recovered=recovered, reached=moment if recovered else None)
            yield Reopened(order, Held(held.restored, context))
        finally:
            _as_it_was(order, opening, server, manifest)


def _as_it_was(order: Order, opening: Opening, server: OntoNewServer, manifest: Manifest) -> None:
    left = opening.left
    try:
        if server.box is not None:
            with contextlib.suppress(CcdrError) if left.untouched else contextlib.nullcontext():
                opening.maker.settle(server.box, manifest, left.home, left.owner)
        server.stack.close()
        server.give_back(left.owner)
        sums = sums_of(left.home, opening.maker.told_by(manifest))
        replace(left, sums=sums, extent=extent(left.home, OWN)).write(left.home)
        (left.home / CHECKING).unlink()
    except (CcdrError, OSError) as error:
        server.stack.close()
        again = f"`ccdr recover check {order.job.plan}` tries once more; do not start it before"
        order.result.left_behind.append(f"the new server in {left.home} is not as it was left: {error}; {again}")
