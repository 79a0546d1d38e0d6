"""One asset of a recovery as it stands under its final name, in files, on a server or in a new one, and what its own
checks find there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.checks.integrity import Integrity
from ccdr.host.state import Run
from ccdr.jobs.erasure.before_hand_over import erased_from
from ccdr.jobs.erasure.by_hand import Stands
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.restore.directory import Staging
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.new_server import LEFT, LeftServer, Loaded, OntoNewServer
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.request import RestoreResult
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans.job import BESIDE_SQLITE, Job
from ccdr.plans.one_server import of_one_database
from ccdr.plans.targets import NewServer, Target
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored
from ccdr.sandbox.lab import readable_inside, room_for
from ccdr.storage.restic import Restic

# File trees and databases of one file that a person has put back where they were, by the lines that a recovery
# printed: looked at there, at these paths alone, and nothing of it is touched, for it is the source again.

ROOT = Path("/")
IN_USE = "it stands where the plan has it, and is in use: its next restore test looks at it"
NO_PROGRAMS = "it stands where the plan has it, and no sandbox looks at it there: its next restore test does"


class NotLookedAt(CcdrError):
    """It stands where it may not be looked at in this way."""


def put_back(job: Job, where: Target) -> bool:
    """Is nothing of it where it was brought to, and all of it where the plan says that it lives?"""
    if where.directory is None or job.engine.has_server:
        return False
    pairs = job.moved_to(where.directory)
    return all(not os.path.lexists(now) and os.path.lexists(was) for was, now in pairs)


def shown(job: Job) -> str:
    return ", ".join(map(str, job.engine.source_paths))


def in_use(job: Job) -> bool:
    """A database of one file that something has open, or was not closed."""
    return job.engine.in_sandbox and any(
        os.path.lexists(f"{path}{end}") for path in job.engine.source_paths for end in BESIDE_SQLITE
    )


def copied(job: Job, run: Run) -> Path:
    """Its database, copied to where a sandbox may open it."""
    directory = run.directory(f"put-back-{job.asset}")
    for path in job.engine.source_paths:
        shutil.copy2(path, directory / path.name)
    return directory


class WhereItWas(IntoDirectory):
    """A tree at the paths that it was captured at: compared there; modes stay as they are, so no sandbox sees it."""

    def _in_sandbox(self, checks: Sequence[CheckConfig], progress: Progress) -> list[CheckResult]:
        return [skipped(check, NO_PROGRAMS) for check in checks]

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        if programs:
            raise NotLookedAt(NO_PROGRAMS)
        yield Held(self.order.engine, self._bench(None))


# The checks of a database that stands on a server under its final name.


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


# A new server that nobody has started yet, asked by its checks: a copy of it is opened in a container. What is looked
# at is not touched: whoever kills us, or starts it meanwhile, finds it as it was left.

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


UNASKED = "its settings are as they were left, and as many files and bytes are there; its rows were not asked for"
NOTHING = "none of its checks could look at what it holds: it is not checked since it was opened"


@dataclass(frozen=True)
class Of:
    """What it is known by: the run of its recovery, and of its own restore. `moved`: somebody has named its place."""

    recovery: str
    run: str | None
    moved: bool = False

    @classmethod
    def told(cls, told: Told, asset: str, *, moved: bool = False) -> Of:
        past = told.assets.get(asset)
        return cls(told.run, past.run if past is not None else None, moved)

    def unlike(self, left: LeftServer, wanted: NewServer) -> str | None:
        """Why the server that is there is not the one that was brought; None where it is."""
        if left.mark != self.recovery or (self.run is not None and left.run != self.run):
            return f"{LEFT} is of another recovery"
        decided = wanted.sockets or left.home / "run"
        if left.sockets != decided and not (self.moved and wanted.sockets is None):
            return f"its socket was to be in {decided}, and {LEFT} says {left.sockets}"
        if left.home in left.sockets.parents and not left.sockets.is_dir():
            return f"{left.sockets}, where its socket is to be, is not there"
        return None


class Standing:
    """One asset as it stands under its final name. What it needs meanwhile ends with `stack`."""

    def __init__(
        self,
        planned: Planned,
        job: Job,
        services: Services,
        run: Run,
        stack: contextlib.ExitStack,
        *,
        of: Of,
        must_be_opened: bool = False,
        back: bool = False,
    ) -> None:
        self._back = back  # where it was, and no place of its own
        self.planned, self.job, self._services, self._run, self._stack = planned, job, services, run, stack
        self._of = of
        self._must_be_opened = must_be_opened
        self.result = RestoreResult(job.plan, job.asset, run.id, selected=planned.snapshot)
        known = services.catalogue.snapshots(job.plan, job.asset)
        self.result.snapshot = next((s for s in known if s.id == planned.snapshot), None)
        if self.result.snapshot is None:
            raise UsageProblem(
                f"{job.asset}: the snapshot {planned.snapshot[:8]} that was brought back is not known here",
                hint=f"`ccdr snapshots {job.plan}` reads the repository",
            )
        manifest = services.catalogue.manifest(self.result.snapshot)
        repo: Restic = services.repository(job.loaded, job.limits)
        self.order = Order(job, services, repo, run, self.result.snapshot, manifest, self.result)
        self.recovered = planned.target is not None
        self.moment = planned.point
        self.way: IntoDirectory | StandingServer | Reopened | None = None
        self.answering: tuple[Opening, Source] | None = None  # a new server that was started

    def has_its_place_taken_by(self, first: Standing | None) -> bool:
        """Has nobody started this new server, and does `first` answer, which holds its database?"""
        new = self.planned.where.new_server
        if first is None or first.answering is None or new is None:
            return False
        same = of_one_database(self.job.engine, first.job.engine)  # its client asks this one alone
        return same and LeftServer.read(new.directory).untouched

    def look_in(self, first: Standing, progress: Progress) -> list[CheckResult]:
        """A spare that nobody has started, where the server that it is a spare of is in use: that one is asked, as the
        plan's sources are."""
        new = self.planned.where.new_server
        assert first.answering is not None and new is not None
        own = Opening.of(self.job, new, self.order.manifest, self._services, self._run)
        if (other := self._is_other(own)) is not None:
            return [other, *self._left_to_its_client()]
        opening, client = first.answering
        asked = opening.maker.asked(client, self.order.manifest)
        reached = first.moment if first.recovered else None
        self.way = StandingServer(self.order, asked, client, opened=True, reached=reached)
        results = self.way.check(progress)
        said = f"the one of {first.planned.asset} is asked; its own is a spare that nobody has started: {UNASKED}"
        said = f"{said}; {NOTHING}" if self.way.looked_at_nothing else said
        return [_found(True, "a server that is in use answers", said), *results]

    def look(self, progress: Progress) -> list[CheckResult]:
        """Its own checks. CcdrError where it is not there."""
        if self._back and in_use(self.job):
            return [skipped(check, IN_USE) for check in self.job.checks]
        found = self.stand(progress)
        return found if self.way is None or self.planned.where.new_server is not None else self.way.check(progress)

    def stand(self, progress: Progress) -> list[CheckResult]:
        """Only make it ready to be looked at; a new server tells what it is found as. CcdrError where it is not
        there."""
        where = self.planned.where
        if where.new_server is not None:
            return self._new_server(progress)
        self.way = self._tree(progress) if where.directory is not None else self._server(where, progress)
        return []

    def beside(self, *, programs: bool) -> contextlib.AbstractContextManager[Held | None]:
        return contextlib.nullcontext(None) if self.way is None else self.way.beside(programs=programs)

    def _require_some(self, place: Path) -> None:
        """What was moved away is no damage of what was brought back."""
        pairs = self.job.moved_to(place)
        if place.is_dir() and not any(os.path.lexists(now) for _, now in pairs):
            expected = ", ".join(str(now) for _, now in pairs)
            raise CcdrError(
                f"{self.job.asset}: nothing of it is in {place}, where {expected} would be",
                hint="was it moved? Name with --to FILE the directory below which it stands as it did in this one; "
                f"or put it back to {shown(self.job)}, where it is found without --to",
            )

    def _tree(self, progress: Progress) -> IntoDirectory:
        place, order, kind = self.planned.place, self.order, IntoDirectory
        if self._back:
            place, kind = (copied(self.job, self._run), kind) if order.engine.in_sandbox else (ROOT, WhereItWas)
        elif place is not None and place.resolve() == ROOT:  # all of this host would be looked at
            hint = "leave it out: what was put back where it was is found there"
            raise UsageProblem(f"{self.job.asset}: no asset stands in {place}", hint=hint)
        assert place is not None
        if not self._back and not self.job.engine.has_server:
            self._require_some(place)
        if not place.is_dir():
            raise CcdrError(f"{place} is not there", hint="was it moved? Name where it stands now with --to FILE")
        staging = Stands(place, self._run.directory(f"standing-{self.job.asset}"), inside=False)
        staging.out.mkdir(mode=0o700)
        way = kind(order, staging, erased=erased_from(self._services, self.job, order.snapshot.id))
        if "roots" in order.manifest.contents:  # what it is compared with: ccdr's listing, and none of the data
            with order.phase("fetch", f"fetching the listing of {order.snapshot.short}", progress):
                order.repo.restore(order.snapshot.id, order.snapshot.root, staging.capture)
            order.verified(staging.capture)
        elif not way.erased:
            with order.phase("check", "comparing digests", progress):
                way.verified = order.verified(place)
        return way

    def _server(self, where: Target, progress: Progress) -> StandingServer:
        order, services = self.order, self._services
        target = order.engine.onto(str(where.server), where.password_file, where.ca_file)
        credentials = self._run.scratch / f"credentials-{self.job.asset}"
        credentials.mkdir(mode=0o700, exist_ok=True)  # one process may look twice
        services.write_credentials_of(target.client, credentials, what=f"targets: {self.job.asset}")
        source, _ = self._stack.enter_context(
            services.lab.source(
                target.client,
                self._run.id,
                self._run.scratch,
                credentials,
                self.job.limits.no_progress,
                progress,
                gentle=False,
                part=self.job.asset,  # others stand beside it
            )
        )
        return StandingServer(order, target.as_named(source, order.manifest), source)

    def _left_to_its_client(self) -> list[CheckResult]:
        why = "its checks had passed before it got its name, and it is looked at by its own client from there on"
        return [skipped(check, why) for check in self.job.checks]

    def _is_other(self, opening: Opening) -> CheckResult | None:
        """A failure where the server that is there is not the one that was brought; None where it is."""
        left, snapshot = opening.left, self.planned.snapshot
        if left.snapshot != snapshot or set(left.sums) != set(opening.maker.told_by(self.order.manifest)):
            expected = f"what was brought back of {snapshot[:8]}"
            return _found(False, expected, f"{LEFT} is of another server, or was changed")
        unlike = self._of.unlike(left, opening.wanted)
        return None if unlike is None else _found(False, "what this recovery brought back", unlike)

    def _new_server(self, progress: Progress) -> list[CheckResult]:
        """One that was not started yet is as it was left; one that was started answers, and is the one that was
        checked."""
        new, job = self.planned.where.new_server, self.job
        assert new is not None
        others = self._left_to_its_client()
        opening = Opening.of(job, new, self.order.manifest, self._services, self._run)
        if (other := self._is_other(opening)) is not None:
            return [other, *others]
        untouched = opening.left.untouched
        if self._must_be_opened and untouched:
            return [_found(False, "the server that was checked answers", "nobody has started it"), *others]
        if untouched and may_reopen(self.order, opening):
            progress.step(f"opening a copy of the new server of {job.asset} in a container")
            root = self._run.directory(f"standing-{job.asset}")
            opened = reopened(self.order, opening, root, self.moment, progress, recovered=self.recovered)
            try:
                self.way = way = self._stack.enter_context(opened)
            except BackupBad as error:
                return [_found(False, "it opens as it was left", str(error)), *others]
            return [
                _found(True, "it opens as it was left", "a copy of it answers in a container"),
                *way.check(progress),
            ]
        if untouched:
            return [_found(True, "as it was left when its checks had passed", UNASKED), *others]
        progress.step(f"asking the new server of {job.asset}")
        client = opening.client(self._stack)
        said = (
            "it answers, and is that one" if client else "it was started or changed, and does not answer at its address"
        )
        found = _found(client is not None, "the server that was checked answers", said)
        if client is None:
            return [found, *others]
        self.answering = opening, client
        asked = opening.maker.asked(client, self.order.manifest)
        self.way = StandingServer(
            self.order, asked, client, opened=True, reached=self.moment if self.recovered else None
        )
        results = self.way.check(progress)
        if self.way.looked_at_nothing:
            found = replace(found, actual=f"{said}; {NOTHING}")
        return [found, *results]


def _found(passed: bool, expected: str, actual: str) -> CheckResult:
    return CheckResult("server", "new server", Verdict.PASS if passed else Verdict.FAIL, expected, actual)
