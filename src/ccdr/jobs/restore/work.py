"""One restore: everything is looked at first, a person agrees, then it is carried out and recorded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccdr import __version__
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import RESTORE_END, RESTORE_START
from ccdr.host import interrupts
from ccdr.host.state import Run
from ccdr.jobs.fetch import Candidates, bases_of, candidates, none_counts, unread_since
from ccdr.jobs.recorded import Recorded
from ccdr.jobs.restore import directory
from ccdr.jobs.restore.directory import Guarded
from ccdr.jobs.restore.estimate import PHASES, Estimate, estimate
from ccdr.jobs.restore.result import RESTORED, RestoreResult
from ccdr.jobs.restore.ways import IntoDirectory, OntoServer, Order, Way, roots_of
from ccdr.jobs.services import BY_HAND, Services
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.model import parents as chain
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, Exit, TestBroken, UsageProblem, failure_of
from ccdr.model.trouble import without_an_older
from ccdr.model.values import CheckResult, Manifest, Snapshot, details, rfc3339
from ccdr.plans import LoadedPlan, Plan
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.ports.target import KnownSource
from ccdr.sandbox.lab import room_for
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


@dataclass(frozen=True)
class Request:
    """What was asked for. `to` is a directory or a server's URL; `others` are all plans that are known besides the
    asset's own: their sources must not be touched either. `unknown` are plans that could not be read."""

    to: str
    snapshot: str = "latest"
    at: RecoveryTarget | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    onto_source_server: bool = False
    despite_failed_test: bool = False
    despite_failed_checks: bool = False
    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def is_url(self) -> bool:
        return "://" in self.to


@contextlib.contextmanager
def restoring(
    job: Job, request: Request, services: Services, progress: Progress, *, dry_run: bool = False
) -> Iterator[Restoring]:
    """Look at everything, and give what would be done; whoever is asked then calls `carry_out`, or raises
    UsageProblem. UsageProblem and Locked mean that nothing was done; a refusal is recorded all the same, unless it is
    a `dry_run`. The record is written when the context ends."""
    repo = services.repository(job.loaded, job.limits)
    with (
        services.state.lock(job.plan, job.asset, "restore"),
        services.state.reading(repo.location),
        services.state.run(services.clock) as run,
    ):
        one: Restoring | None = None
        try:
            with contextlib.ExitStack() as stack:
                one = Restoring(job, request, services, repo, run, stack)
                one.look(progress)
                yield one
        except UsageProblem as error:
            if one is not None:
                one.result.refused(str(error), error.hint)
            raise
        except CcdrError as error:
            if one is not None and one.result.reason is None and one.result.result != RESTORED:
                one.result.failed(str(error), error.exit_code, error.hint)
                one.result.words += words_of(error)
            raise
        except KeyboardInterrupt:
            if one is not None and one.result.reason is None and one.result.result != RESTORED:
                one.result.failed("interrupted", Exit.NOT_CARRIED_OUT)
            raise
        finally:
            run.clear()
            if one is not None and not dry_run:
                with interrupts.deferred():
                    one.conclude()


class Restoring:
    """One run of `restoring`."""

    def __init__(
        self,
        job: Job,
        request: Request,
        services: Services,
        repo: Restic,
        run: Run,
        stack: contextlib.ExitStack,
    ) -> None:
        self.job, self.request = job, request
        self._services, self._repo, self._run, self._stack = services, repo, run, stack
        self.result = RestoreResult(job.plan, job.asset, run.id, selected=request.snapshot)
        self.estimate: Estimate | None = None
        self._recorded = Recorded(services, job.loaded, job.asset, run.id, BY_HAND, (RESTORE_START, RESTORE_END))
        self._started = self._unknown = False  # unknown: which name it has
        self.recovery: Recovery | None = None  # where it goes to a point by the log
        self._way: Way | None = None
        self.name = ""  # what a person types to agree
        self._older = True  # is there an older snapshot that may be good?

    @property
    def will(self) -> list[str]:
        """What it is going to do, sentence by sentence."""
        assert self._way is not None
        return self._way.will()

    @property
    def passed_over(self) -> list[CheckResult]:
        """Checks that it is not going to carry out, each with why."""
        assert self._way is not None
        return self._way.passed_over()

    # --- before anything is written -------------------------------------------------------------------

    def look(self, progress: Progress) -> None:
        """UsageProblem where it must not be done; nothing is changed."""
        job, services, result = self.job, self._services, self.result
        if not self.request.is_url:  # the cheapest question first
            self._path()
        progress.step("asking the repository")
        known = services.histories()
        history = known.get((job.plan, job.asset), AssetHistory())
        synchronised = services.synchronise(job.loaded, self._repo, [job.asset], history.stored_here)
        result.findings = [said for asset, said in synchronised.findings if asset == job.asset]
        if self.request.at is not None or self.request.snapshot == "latest":
            synchronised.understood()
        found = candidates(job, services, synchronised)
        recovery = self.recovery = self._recovery(found, history, progress) if self.request.at is not None else None
        chosen = self._select(found, history, synchronised) if recovery is None else recovery.choice.base
        snapshot = result.snapshot = chosen
        usable = chain.usable(found.good, found.there, history.disproved)
        self._older = any(s.consistent_point < chosen.consistent_point for s in usable)
        result.proven = history.proven.get(chosen.id)
        result.notes += self._doubt(chosen, history, known.get((job.plan, None), AssetHistory()))
        manifest = services.catalogue.manifest(snapshot)
        with contextlib.suppress(CommandFailed):
            result.tools = {"ccdr": __version__, "restic": self._repo.version()}
        bases = bases_of(snapshot, found.there, services.catalogue)
        order = Order(job, services, self._repo, self._run, snapshot, manifest, result, bases)
        progress.step("looking at the target")
        if self.request.unknown:
            which = ", ".join(self.request.unknown)
            result.notes.append(f"plans that could not be read, so that their sources are not known: {which}")
        if self.request.is_url:
            self._way = self._server(order, found, progress)
            phases = PHASES
        else:
            self._way = self._directory(order, recovery)
            phases = PHASES if not job.engine.has_server else PHASES[:1]
        self.estimate = estimate(services.records(), job.plan, job.asset, snapshot.bytes, phases)
        result.estimate_s = self.estimate.seconds if self.estimate else None

    def _doubt(self, chosen: Snapshot, history: AssetHistory, upkeep: AssetHistory) -> list[str]:
        """That the repository was found damaged, and when this snapshot was stored into it."""
        damage, said = history.doubt(upkeep), history.doubted(upkeep)
        if damage is None or said is None:
            return []
        if history.proven.get(chosen.id) == "PASS":
            return [said]
        own = "was stored after that" if history.stored.get(chosen.id, 0) > damage["seq"] else "has not passed a test"
        test = f"`ccdr test {self.job.plan} --asset {self.job.asset} --snapshot {chosen.short}`"
        return [f"{said}; this snapshot {own}: {test} tells whether it is whole"]

    def _select(self, found: Candidates, history: AssetHistory, synchronised: Synchronised) -> Snapshot:
        """The newest that counts and has not failed a test; or the one that was named."""
        job, result, asked = self.job, self.result, self.request.snapshot

        usable_there = chain.usable(found.there, found.there, history.disproved)
        usable_ids = {s.id for s in usable_there}

        def bad(snapshot: Snapshot) -> bool:
            return snapshot.id not in usable_ids

        if asked == "latest":
            usable = [s for s in found.good if not bad(s)]
            if self.request.despite_failed_test:
                usable = [s for s in found.good if not chain.lacks(s, found.there)]
            if not found.good:
                none, first = none_counts(job, synchronised)
                raise UsageProblem(none, hint=first or "check the plan, and its repository")
            if not usable:
                raise UsageProblem(
                    f"there is no snapshot of {job.plan}/{job.asset} that counts and has not failed its test",
                    hint=f"`ccdr snapshots {job.plan}` lists them; name one with --snapshot ID --despite-failed-test",
                )
            chosen = usable[-1]
        else:
            chosen = found.by_id(job, asked)
        older = any(s.consistent_point < chosen.consistent_point for s in usable_there)
        instead = "take an older one" if older else "there is no older one that may be good"
        if said := chain.lacks(chosen, found.there):
            raise UsageProblem(said, hint=f"{instead}: without the snapshots that it depends on, it cannot be restored")
        if bad(chosen) and not self.request.despite_failed_test:
            raise UsageProblem(
                f"snapshot {chosen.short} failed its last restore test, or a snapshot that it depends on did"
                if chosen.note is None
                else f"restic stored snapshot {chosen.short} with a warning: {chosen.note}",
                hint=f"{instead}; to restore it anyway, add --despite-failed-test",
            )
        if not of_source(chosen, job.engine.source_name):
            result.notes.append(f"it is a snapshot of {chosen.source}, which is not what the plan names now")
        if dated_in_future(chosen, self._services.clock.now()):
            result.notes.append("its date is in the future: a clock was wrong")
        for s in found.there:
            if s.consistent_point > chosen.consistent_point and bad(s):
                result.notes.append(f"the newer snapshot {s.short} of {rfc3339(s.consistent_point)} failed its test")
        for s in synchronised.vanished:
            if s.consistent_point > chosen.consistent_point:
                result.notes.append(f"a newer snapshot, {s.short} of {rfc3339(s.consistent_point)}, has vanished")
        result.notes += [newer.text for newer in unread_since(job, chosen, synchronised)]
        return chosen

    def _path(self) -> Path:
        if not self.request.to.strip():
            raise UsageProblem("--to is empty", hint="name a directory that does not exist yet, or a server's URL")
        path = Path(self.request.to).expanduser().absolute()
        self.result.target_kind, self.result.target_name, self.name = "directory", str(path), path.name
        if ".." in path.parts:
            raise UsageProblem(f"{path} goes up again", hint="write the path without ..")
        return path

    def _recovery(self, found: Candidates, history: AssetHistory, progress: Progress) -> Recovery:
        """The newest good base before the point, or the one that was named, and the log from there on."""
        assert self.request.at is not None
        if self.request.is_url:
            raise UsageProblem(
                "a recovery by the log goes into a directory", hint="name one with --to, and start a server on it"
            )
        usable = chain.usable(found.good, found.there, history.disproved)
        if self.request.snapshot != "latest":
            usable = the_base(found.by_id(self.job, self.request.snapshot), usable)
        if history.log_failure is not None:
            said = f"{history.log_failure['time']} is FAIL: {history.log_failure.get('reason')}"
            self.result.notes.append(f"its recovery by the log of {said}; an earlier point may still be good")
        try:
            return Recovery.prepared(self.job, self._services, usable, self.request.at, self._run, progress)
        except BackupBad as error:
            raise UsageProblem(str(error), hint=error.hint) from None

    def _directory(self, order: Order, recovery: Recovery | None) -> Way:
        path = self._path()
        contents = order.manifest.contents
        count = sum(int(str(contents.get(kind, 0))) for kind in ("files", "directories", "links"))
        entries = count + len(order.manifest.files)
        size, run = order.snapshot.bytes, order.run.id
        if order.bases:  # what they give stands beside them for a while
            size *= 2
            order.services.lab.image(order.engine, order.engine.sandbox(order.manifest))  # it needs one: better now
        staging, notes = directory.look(path, self._guarded(order.manifest), size=size, entries=entries, run=run)
        self.result.notes += notes
        if (contents.get("owners") or contents.get("owner")) and os.geteuid() != 0:
            self.result.notes.append("run by a user who is not root: every file will belong to that user")
        return IntoDirectory(order, staging, recovery)

    def _guarded(self, manifest: Manifest) -> list[Guarded]:
        """What a restore into a directory must stay away from: every source of any plan on this host, as the plan and
        the snapshot name it, the repositories, ccdr's own state."""
        found = [
            Guarded(Path(path), f"which {self._named(plan, name)} is backed up from")
            for plan in self._plans()
            for name, engine in plan.assets.items()
            for path in engine.source_paths
        ]
        found += [
            Guarded(path, f"which the snapshot of {self.job.asset} is of") for path in roots_of(manifest.contents)
        ]
        found += [
            Guarded(Path(plan.repository.location), f"the repository of plan {plan.plan}")
            for plan in self._plans()
            if plan.repository.is_local
        ]
        found.append(Guarded(self._services.state.root, "ccdr's own state"))
        return found

    def _plans(self) -> list[Plan]:
        """All that are known, this one first."""
        return [self.job.loaded.plan, *(p.plan for p in self.request.others if p.plan.plan != self.job.plan)]

    def _named(self, plan: Plan, asset: str) -> str:
        return asset if plan.plan == self.job.plan else f"{plan.plan}/{asset}"

    def _server(self, order: Order, found: Candidates, progress: Progress) -> Way:
        request, services, limits = self.request, self._services, self.job.limits
        target = order.engine.onto(request.to, request.password_file, request.ca_file)
        self.result.target_kind, self.result.target_name, self.name = "server", target.shown, target.name
        again = order.snapshot.bytes  # the second dump, to compare
        try:
            room_for(order.run.scratch, int((order.snapshot.bytes + again) * 1.05) + 2**24)
        except TestBroken as error:
            raise UsageProblem(str(error), hint=error.hint) from None
        credentials = order.run.directory("credentials")
        services.write_credentials_of(target.client, credentials, what="--to")
        try:
            source, _ = self._stack.enter_context(
                services.lab.source(
                    target.client,
                    order.run.id,
                    order.run.scratch,
                    credentials,
                    limits.no_progress,
                    progress,
                    gentle=False,
                )
            )
            looked = target.examine(
                source,
                order.manifest,
                order.run.id,
                self._sources(order, found),
                onto_source_server=request.onto_source_server,
            )
        except CommandFailed as error:
            hint = "check the server, the user and the password"
            raise TestBroken(f"{target.shown} does not answer: {error}", hint=hint) from None
        self.result.notes += looked.notes
        self.result.tools["target"] = looked.version
        return OntoServer(order, target, source, looked.will)

    def _sources(self, order: Order, found: Candidates) -> list[KnownSource]:
        """Every source that a plan names, with the manifests that tell whose server it was: of each asset the newest,
        and the one that is being restored."""
        catalogue = self._services.catalogue
        known = []
        for plan, name, engine in ((p, name, e) for p in self._plans() for name, e in p.assets.items()):
            manifests = [order.manifest] if (plan.plan, name) == (self.job.plan, self.job.asset) else []
            for snapshot in catalogue.snapshots(plan.plan, name)[-1:]:
                with contextlib.suppress(BackupBad):
                    manifests.append(catalogue.manifest(snapshot))
            known.append(KnownSource(self._named(plan, name), engine, tuple(manifests)))
        return known

    # --- doing it -------------------------------------------------------------------------------------

    def carry_out(self, progress: Progress) -> None:
        """Do it. What happens is in `result`; an interrupt is raised again once all is cleaned up."""
        result, way = self.result, self._way
        assert way is not None
        self._start()
        interrupted: KeyboardInterrupt | None = None
        keep = False
        try:
            way.bring(progress)
            result.checks = way.check(progress)
            keep = True  # it is whole: what comes now is no reason to throw it away
            if result.bad_checks and not self.request.despite_failed_checks:
                look = "look at it there; restore an older snapshot, or restore again with --despite-failed-checks"
                result.failed(f"it did not pass: {', '.join(result.bad_checks)}", Exit.FINDING, self._advised(look))
            else:
                self._finish(way, progress)
        except KeyboardInterrupt as error:
            interrupted = error
            if result.result != RESTORED:
                result.failed("interrupted", Exit.NOT_CARRIED_OUT)
        except UsageProblem as error:  # too late to be one: something was done
            result.failed(str(error), Exit.NOT_CARRIED_OUT, error.hint)
        except Exception as error:  # a run always has an end
            why = failure_of(error)
            result.failed(why.reason, getattr(error, "exit_code", Exit.NOT_CARRIED_OUT), self._advised(why.hint))
            result.words += why.words
        if result.result != RESTORED:
            progress.step("removing what was not finished" if not keep else "leaving it under its working name")
            if not keep:
                result.left_behind += self._undone(way)
            elif not self._unknown:
                result.left_behind.append(way.standing())
        if interrupted is not None:
            raise interrupted

    def _advised(self, hint: str | None) -> str | None:
        """What to do about a bad backup: whoever found it bad does not know whether there is an older one."""
        if hint is None or self._older:
            return hint
        return without_an_older(hint, self.job.plan, self.job.asset)

    def _finish(self, way: Way, progress: Progress) -> None:
        """Its final name. Whatever stops us after that does not make it undone: the record says what is true."""
        result = self.result
        try:
            result.left_behind += way.finish(progress)
            result.result = RESTORED
        except (KeyboardInterrupt, CcdrError, OSError) as error:
            named = way.named()
            if named:
                result.result = RESTORED
                why = failure_of(error).reason if isinstance(error, Exception) else "interrupted"
                result.notes.append(f"stopped when it had its final name already: {why}")
                result.left_behind += way.settle()
            elif named is None:
                self._unknown = True
                where = f"{way.standing()}; or it has its final name by now: nobody there says so"
                result.left_behind.append(where)
            if not named or isinstance(error, KeyboardInterrupt):
                raise

    @staticmethod
    def _undone(way: Way) -> list[str]:
        """Whoever presses Ctrl-C again is not to be left with half of a database: it waits until that is gone."""
        left = [f"cleaning up was interrupted; {way.standing()}"]
        try:
            with contextlib.suppress(KeyboardInterrupt), interrupts.deferred():
                left = way.undo()
        except (CcdrError, OSError) as error:
            return [f"cleaning up failed: {failure_of(error).reason}; {way.standing()}"]
        return left

    def _start(self) -> None:
        if not self._started:
            self._started = True
            about = {
                "snapshot": self.result.snapshot and self.result.snapshot.id,
                "target": self.result.target,
                "despite_failed_test": self.request.despite_failed_test,
                "despite_failed_checks": self.request.despite_failed_checks,
            }
            self._recorded.begin(about)

    def conclude(self) -> None:
        """The record; the run's scratch is gone by now, or told."""
        result = self.result
        result.left_behind += self._run.problems
        self._start()
        self._services.state.keep_words(result.run, result.words + FreeText(details(result.checks)))
        result.record = self._recorded.end(result.body())
