"""One asset of a recovery as it stands under its final name, and what its own checks find there."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.host.state import Run
from ccdr.jobs.erasure.before_hand_over import erased_from
from ccdr.jobs.erasure.by_hand import Stands
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.recover.put_back import IN_USE, ROOT, WhereItWas, copied, in_use, shown
from ccdr.jobs.recover.reopened import Reopened, may_reopen, reopened
from ccdr.jobs.recover.repointed import moved_to
from ccdr.jobs.recover.standing_server import StandingServer
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.left_server import LEFT, LeftServer
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad, CcdrError, UsageProblem
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans.job import Job
from ccdr.plans.one_server import of_one_database
from ccdr.plans.targets import NewServer, Target
from ccdr.ports.place import Progress, Source
from ccdr.storage.restic import Restic

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
        pairs = moved_to(self.job, place)
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
