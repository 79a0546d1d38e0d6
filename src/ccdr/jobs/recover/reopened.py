"""A new server that nobody has started yet, asked by its checks: a copy of it is opened in a container. What is looked
at is not touched: whoever kills us, or starts it meanwhile, finds it as it was left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.restore.directory import Staging
from ccdr.jobs.restore.left_server import Loaded
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.model.errors import CcdrError, CommandFailed, TestBroken
from ccdr.model.values import CheckResult
from ccdr.ports.place import Progress
from ccdr.sandbox.lab import readable_inside, room_for

CAPTURED = "it needs what was captured, and was looked at before it had its name"
MARGIN = 2**26  # bytes beside the copy: what a server writes that only answers


@dataclass
class Reopened:
    """Answers in its container. `captured`: what was captured lies there as well."""

    order: Order
    held: Held
    captured: bool

    def check(self, progress: Progress) -> list[CheckResult]:
        alone = [c for c in self.order.job.checks if c.beside is None]
        asks = _asked(alone, captured=self.captured)
        with self.order.phase("check", f"checking {self.order.job.asset}", progress):
            found = self.order.check(asks, self.held.restored, self.held.context, progress)
        left_out = [skipped(c, CAPTURED) for c in alone if c not in asks]
        compared = [skipped(c, f"{c.beside} is not looked at with it") for c in self.order.job.checks if c.beside]
        return found + left_out + compared

    def beside(self, *, programs: bool) -> contextlib.AbstractContextManager[Held | None]:
        return contextlib.nullcontext(self.held)


def may_reopen(order: Order, opening: Opening) -> bool:
    """Is there a check that asks it, and may this user read its files, and give a copy of them away?"""
    captured = bool(_captured(opening))
    asks = _asked(order.job.checks, captured=captured) or any(c.beside for c in order.job.checks)
    return bool(asks) and os.geteuid() == 0


def _captured(opening: Opening) -> Mapping[str, Path]:
    return opening.maker.captured_in(opening.left.home, opening.manifest)


def _asked(checks: Sequence[CheckConfig], *, captured: bool) -> list[CheckConfig]:
    out = (Command,) if captured else (Command, Identical)
    return [c for c in checks if c.beside is None and not isinstance(c, out)]


@contextlib.contextmanager
def reopened(
    order: Order, opening: Opening, root: Path, moment: datetime | None, progress: Progress, *, recovered: bool
) -> Iterator[Reopened]:
    """`root` is a private directory for the copy. TestBroken where there is no room for it, or where the server was
    started while it was made."""
    left, manifest = opening.left, order.manifest
    with contextlib.suppress(CcdrError):  # an earlier look that was killed holds a copy, and may run a server on it
        clear_leftovers(order.services)
    staging = Staging(left.home, root, inside=False)
    try:
        _copy(order, opening, staging)
        image = order.services.lab.image(order.engine, opening.maker.needs(manifest))
        with contextlib.ExitStack() as own:
            loaded = Loaded(order.snapshot.id, image.id, None, ())
            server = OntoNewServer(order, staging, opening.site, opening.maker, image, left.owner, own, loaded=loaded)
            captured = _laid_out(order, opening, server)
            server.open_again(progress)
            held = server.held()
            context = replace(held.context, recovered=recovered, reached=moment if recovered else None)
            yield Reopened(order, Held(held.restored, context), captured)
    finally:
        order.result.left_behind += staging.remove()


def _laid_out(order: Order, opening: Opening, server: OntoNewServer) -> bool:
    """What was captured, where a check looks for it, as far as it lies in the home. Is that so?"""
    host, captured = order.services.host, opening.maker.captured_in(server.staging.tree, order.manifest)
    restored = Path(f"{server.fetched}{order.snapshot.root}")
    restored.mkdir(parents=True)
    for name, path in captured.items():
        if path.exists():  # else its check will say so
            host.run(["cp", "--reflink=auto", "--", str(path), str(restored / name)])
    readable_inside(host, server.fetched)
    return bool(captured)


def _copy(order: Order, opening: Opening, staging: Staging) -> None:
    """Where the file system can, it shares what is not written to; else it takes as much room once more."""
    left, shares = opening.left, "auto"
    lacking: TestBroken | None = None
    try:
        room_for(staging.root, left.extent[1] + MARGIN)
    except TestBroken as error:
        lacking, shares = error, "always"
    home = left.home.resolve()  # a link's copy would be the link, and a server on it one on the home itself
    argv = ["cp", "-a", f"--reflink={shares}", "--", str(home), str(staging.tree)]
    try:
        order.services.host.run(argv, watch=staging.root, what="copying the new server, to look at it")
    except CommandFailed:
        if lacking is None:
            raise
        raise TestBroken(
            f"the new server in {left.home} is looked at in a copy: {lacking}",
            hint="free space there, or name another place with --state; or start it: then it is asked itself",
        ) from None
    if not left.untouched:
        raise TestBroken(
            f"the server in {left.home} was started while it was looked at", hint="look again: then it is asked itself"
        )
