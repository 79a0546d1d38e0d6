"""What a recovery brought back, checked again where it stands: nothing of it changes, and no data is fetched again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.checks.identical import Identical
from ccdr.checks.integrity import Integrity
from ccdr.host.state import Run
from ccdr.jobs.erasure.before_hand_over import erased_from
from ccdr.jobs.erasure.by_hand import Stands
from ccdr.jobs.recover.comparing import Comparing
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.put_back import IN_USE, ROOT, WhereItWas, copied, in_use, put_back, shown
from ccdr.jobs.recover.reopened import Reopened, may_reopen, reopened
from ccdr.jobs.recover.repointed import moved_to
from ccdr.jobs.recover.view import OfAsset, View
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.left_server import LEFT, LeftServer
from ccdr.jobs.restore.opening import Opening
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad, CcdrError, Exit, UsageProblem, failure_of, worst
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.one_server import of_one_database
from ccdr.plans.targets import NewServer, Target
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored
from ccdr.storage.restic import Restic

NOTHING = "none of its checks could look at what it holds: it is not checked since it was opened"


@dataclass
class CheckedAgain:
    """One asset. `reason` is why it could not be looked at."""

    planned: Planned
    checks: list[CheckResult] = field(default_factory=list)
    reason: str | None = None
    hint: str | None = None
    left_behind: list[str] = field(default_factory=list)
    put_back: str | None = None  # where it was before all
    borne: list[str] = field(default_factory=list)  # of a spare: what does not fit to other stores, and fails nothing

    @property
    def at(self) -> str:
        return self.put_back or self.planned.where.shown

    @property
    def code(self) -> Exit:
        statuses = {check.status for check in self.checks if check.name not in self.borne}
        codes = [Exit.FINDING] if Verdict.FAIL in statuses else []
        if self.reason is not None or Verdict.INCONCLUSIVE in statuses:
            codes.append(Exit.NOT_CARRIED_OUT)
        return worst([*codes, *([Exit.LEFT_BEHIND] if self.left_behind else [])])

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.planned.asset,
            "target": {"kind": self.planned.kind, "name": self.at},
            "snapshot": self.planned.snapshot,
            "checks": [check.as_json() for check in self.checks],
            "reason": self.reason,
            "hint": self.hint,
            "left_behind": self.left_behind,
        }


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
        self.way: IntoDirectory | _StandingServer | Reopened | None = None
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
        assert first.answering is not None
        opening, client = first.answering
        asked = opening.maker.asked(client, self.order.manifest)
        reached = first.moment if first.recovered else None
        self.way = _StandingServer(self.order, asked, client, opened=True, reached=reached)
        said = f"the one of {first.planned.asset} is asked; its own is a spare that nobody has started"
        return [_found(True, "a server that is in use answers", said), *self.way.check(progress)]

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

    def _server(self, where: Target, progress: Progress) -> _StandingServer:
        order, services = self.order, self._services
        target = order.engine.onto(str(where.server), where.password_file, where.ca_file)
        credentials = self._run.directory(f"credentials-{self.job.asset}")
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
        return _StandingServer(order, target.as_named(source, order.manifest), source)

    def _new_server(self, progress: Progress) -> list[CheckResult]:
        """One that was not started yet is as it was left; one that was started answers, and is the one that was
        checked."""
        new, job = self.planned.where.new_server, self.job
        assert new is not None
        left = LeftServer.read(new.directory)
        why = "its checks had passed before it got its name, and it is looked at by its own client from there on"
        others = [skipped(check, why) for check in job.checks]
        opening = Opening.of(job, new, self.order.manifest, self._services, self._run)
        if left.snapshot != self.planned.snapshot or set(left.sums) != set(opening.maker.told_by(self.order.manifest)):
            expected = f"what was brought back of {self.planned.snapshot[:8]}"
            return [_found(False, expected, f"{LEFT} is of another server, or was changed"), *others]
        if (unlike := self._of.unlike(left, new)) is not None:
            return [_found(False, "what this recovery brought back", unlike), *others]
        untouched = left.untouched
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
            known = "its settings are, and as many files and bytes are there; its rows were not asked for"
            return [_found(True, "as it was left when its checks had passed", known), *others]
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
        self.way = _StandingServer(
            self.order, asked, client, opened=True, reached=self.moment if self.recovered else None
        )
        results = self.way.check(progress)
        if self.way.looked_at_nothing:
            found = replace(found, actual=f"{said}; {NOTHING}")
        return [found, *results]


def _found(passed: bool, expected: str, actual: str) -> CheckResult:
    return CheckResult("server", "new server", Verdict.PASS if passed else Verdict.FAIL, expected, actual)


@dataclass
class _StandingServer:
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
        self.looked_at_nothing = bool(results) and all(one.status is Verdict.SKIPPED for one in results)
        return results + left_out + compared

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        yield Held(self.restored, self._context())


def check_again(
    loaded: LoadedPlan,
    told: Told,
    services: Services,
    run: Run,
    view: View,
    places: Mapping[str, Target],
    *,
    must_be_opened: bool = False,
) -> list[CheckedAgain]:
    """The checks of each asset of a recovery that its journal has `told` of, and those that compare two of them.
    `places` go before those that were decided: where a person has put it since. With `must_be_opened` a new server that
    nobody has started fails."""
    found: dict[str, CheckedAgain] = {}
    with contextlib.ExitStack() as stack:
        there: dict[str, Standing] = {}
        decided = Decision.read(told.decided).assets
        for planned in sorted(decided, key=lambda one: one.spare_of is not None):  # what stands in for it, before it
            at = replace(planned, where=places.get(planned.asset, planned.where))
            one = found[planned.asset] = CheckedAgain(at)
            view.phase(planned.asset, "checking")
            job = Job(loaded, planned.asset)
            back = planned.asset not in places and put_back(job, planned.where)
            one.put_back = shown(job) if back else None
            try:
                of = Of.told(told, planned.asset, moved=planned.asset in places)
                must = must_be_opened and planned.spare_of is None  # a spare is not to be started
                standing = Standing(at, job, services, run, stack, of=of, must_be_opened=must, back=back)
                first = there.get(planned.spare_of or "")
                if first is not None and standing.has_its_place_taken_by(first):
                    one.checks = standing.look_in(first, OfAsset(view, planned.asset))
                else:
                    one.checks = standing.look(OfAsset(view, planned.asset))
                there[planned.asset] = standing
                one.left_behind = standing.result.left_behind
            except CcdrError as error:
                why = failure_of(error)
                one.reason, one.hint = why.reason, why.hint
        comparing = Comparing(run, services.state)
        for asset, standing in there.items():
            if any(check.beside for check in standing.job.checks):
                view.phase(asset, "comparing")
                results = comparing.compare(standing, there)
                names = {check.name.split(":")[0] for check in results}
                kept = [c for c in found[asset].checks if c.status is not Verdict.SKIPPED or c.name not in names]
                found[asset].checks = [*kept, *results]
                if found[asset].planned.spare_of is not None:
                    found[asset].borne = [c.name for c in results if c.status is Verdict.FAIL]
        comparing.keep(services.clock.now())
    return [found[planned.asset] for planned in decided]
