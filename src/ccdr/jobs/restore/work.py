"""One restore: everything is looked at first, a person agrees, then it is carried out and recorded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ccdr import __version__
from ccdr.engines.files.parts import Chosen
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import INTERRUPTED, RESTORE_END, RESTORE_START
from ccdr.host import interrupts
from ccdr.host.state import Run
from ccdr.jobs.erasure.before_hand_over import BeforeHandOver
from ccdr.jobs.fetch import Candidates, bases_of, candidates
from ccdr.jobs.incidents.opening import for_recovery
from ccdr.jobs.newest_first import not_looked_at
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.restore import directory, site
from ccdr.jobs.restore.asking import asked
from ccdr.jobs.restore.estimate import PHASES, Estimate, estimate
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.jobs.restore.onto_server import OntoServer
from ccdr.jobs.restore.parts import chosen_parts, chosen_tables, listed_in_sandbox, refuse_parts
from ccdr.jobs.restore.request import Request
from ccdr.jobs.restore.result import RESTORED, RestoreResult
from ccdr.jobs.restore.selection import Selection
from ccdr.jobs.restore.sources import Sources
from ccdr.jobs.restore.ways import Held, Order, Way
from ccdr.jobs.services import BY_HAND, Services
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, Exit, TestBroken, UsageProblem, failure_of
from ccdr.model.trouble import without_an_older
from ccdr.model.values import CheckResult, Manifest, Snapshot, Verdict, details
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.engine import ServerTarget
from ccdr.ports.new_server import Site
from ccdr.ports.place import Progress, Source
from ccdr.sandbox.lab import room_for
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


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
                one.silent = dry_run
                one.examine(progress)
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
                one.result.failed(INTERRUPTED, Exit.NOT_CARRIED_OUT)
            raise
        finally:
            run.clear()
            if one is not None and not one.silent:
                with interrupts.deferred():
                    one.record_end()


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
        self._sources = Sources(job, services, request.others)
        self.result = RestoreResult(job.plan, job.asset, run.id, selected=request.snapshot)
        self.estimate: Estimate | None = None
        self._recorded = RecordedRun(services, job.loaded, job.asset, run.id, BY_HAND, (RESTORE_START, RESTORE_END))
        self._started = self._unknown = self._keep = False  # unknown: which name it has
        self.silent = False  # nothing was begun, and nobody is to read of it
        self.there = False  # an earlier try had given it its final name
        self.recovery: Recovery | None = None  # where it goes to a point by the log
        self._way: Way | None = None
        self.new_server: OntoNewServer | None = None
        self.name = ""  # what a person types to agree
        self._older = True  # is there an older snapshot that may be good?
        self._listed: tuple[RepoSnapshot, ...] = ()  # of the plan's, what the repository holds
        self._erasing: BeforeHandOver | None = None

    @property
    def way(self) -> Way:
        assert self._way is not None
        return self._way

    @property
    def recovered(self) -> bool:
        """By its log."""
        return self.recovery is not None

    @property
    def moment(self) -> datetime | None:
        """Of what was recovered by its log: the instant that it is true for, as far as that is known."""
        return self.recovery.moment if self.recovery is not None else None

    def beside(self, *, programs: bool) -> contextlib.AbstractContextManager[Held | None]:
        """Between `bring` and `finish`: what a check that compares it may look at."""
        return self.way.beside(programs=programs)

    @property
    def will(self) -> list[str]:
        """What it is going to do, sentence by sentence."""
        return self.way.will()

    @property
    def passed_over(self) -> list[CheckResult]:
        """Checks that it is not going to carry out, each with why."""
        return self.way.passed_over()

    # --- before anything is written -------------------------------------------------------------------

    def examine(self, progress: Progress) -> None:
        """UsageProblem where it must not be done; nothing is changed."""
        job, services, result, request = self.job, self._services, self.result, self.request
        if request.parts and request.at is not None:
            raise UsageProblem(
                "--part and --at are two things", hint="restore to the point, and take the part from there"
            )
        if not request.is_url:  # the cheapest question first
            self._path()
        if request.new_server is not None:
            job.engine.new_server(Site(request.new_server.directory))  # has it one?
        manifest, bases = self._chosen(progress)
        with contextlib.suppress(CommandFailed):
            told = request.told
            result.tools = {"ccdr": __version__, "restic": told.restic if told else self._repo.version()}
        assert result.snapshot is not None
        if request.parts:
            refuse_parts(job, request, manifest)
        order = Order(job, services, self._repo, self._run, result.snapshot, manifest, result, bases, request)
        tables = chosen_tables(order, request.parts, progress) if request.parts else None
        if tables is not None:
            order, result.parts = replace(order, manifest=tables.manifest, tables=tables), tables.body()
        parts = chosen_parts(order, request.parts, progress) if request.parts and tables is None else None
        if parts is not None:
            order, result.parts = replace(order, manifest=parts.manifest), parts.body()
        progress.step("looking at the target")
        if request.unknown:
            which = ", ".join(request.unknown)
            result.notes.append(f"plans that could not be read, so that their sources are not known: {which}")
        if request.new_server is not None:
            self._way = self.new_server = self._new_server(order, request.new_server)
            phases = PHASES
        elif request.is_url:
            self._way = self._server(order, progress)
            phases = PHASES
        else:
            self._way = self._directory(order, parts)
            phases = PHASES if not job.engine.has_server else PHASES[:1]
        self._erasing = BeforeHandOver.of(order, self._listed)
        self.estimate = estimate(services.records(), job.plan, job.asset, order.snapshot.bytes, phases)
        result.estimate_s = self.estimate.seconds if self.estimate else None

    def _chosen(self, progress: Progress) -> tuple[Manifest, list[tuple[Snapshot, Manifest]]]:
        """The manifest of the snapshot that is taken, and what that builds upon."""
        job, services, result, request = self.job, self._services, self.result, self.request
        known = services.histories()
        history = known.get((job.plan, job.asset), AssetHistory())
        if request.told is None:

            def latest(there: Candidates, synchronised: Synchronised) -> Snapshot:
                return Selection(job, services, request, result, there, history).latest(synchronised)

            synchronised = asked(job, request, services, self._repo, history, latest, progress)
            result.notes += not_looked_at(job.plan, synchronised)
        else:
            synchronised = request.told.synchronised
        self._listed = synchronised.listed
        result.findings = [finding for asset, finding in synchronised.findings if asset == job.asset]
        if request.at is not None or request.snapshot == "latest":
            synchronised.understood()
        snapshots = candidates(job, services, synchronised)
        selection = Selection(job, services, request, result, snapshots, history)
        self.recovery = selection.by_point(self._run, progress) if request.at is not None else None
        chosen = selection.by_rule(synchronised) if self.recovery is None else self.recovery.choice.base
        result.snapshot, result.proven = chosen, history.proven.get(chosen.id)
        self._older = selection.has_older(chosen, synchronised)
        result.notes += selection.doubts(chosen, known.get((job.plan, None), AssetHistory()))
        return services.catalogue.manifest(chosen), bases_of(chosen, snapshots.there, services.catalogue)

    def _new_server(self, order: Order, wanted: NewServer) -> OntoNewServer:
        guarded = self._sources.guarded(order.manifest)
        return site.prepared(
            order, wanted, guarded, self.recovery, self.request.working, self.request.makes, self._stack
        )

    def _path(self) -> Path:
        if not self.request.to.strip():
            raise UsageProblem("--to is empty", hint="name a directory that does not exist yet, or a server's URL")
        path = Path(self.request.to).expanduser().absolute()
        kind = "directory" if self.request.new_server is None else "new_server"
        self.result.target_kind, self.result.target_name, self.name = kind, str(path), path.name
        if ".." in path.parts:
            raise UsageProblem(f"{path} goes up again", hint="write the path without ..")
        return path

    def _directory(self, order: Order, parts: Chosen | None) -> Way:
        path = self._path()
        contents = order.manifest.contents
        count = sum(int(str(contents.get(kind, 0))) for kind in ("files", "directories", "links"))
        entries = count + len(order.manifest.files)
        size, run = (parts or order.tables or order.snapshot).bytes, order.run.id
        if order.bases:  # what they give stands beside them for a while
            size *= 2
        if order.bases or listed_in_sandbox(order):
            order.services.lab.image(order.engine, order.engine.sandbox(order.manifest))  # it needs one: better now
        before = self._working_copy(path)
        staging, notes = directory.staging_for(
            path,
            self._sources.guarded(order.manifest),
            size=size,
            entries=entries,
            run=run,
            before=before,
            makes=self.request.makes,
        )
        self.result.notes += notes
        if (contents.get("owners") or contents.get("owner")) and os.geteuid() != 0:
            self.result.notes.append("run by a user who is not root: every file will belong to that user")
        return IntoDirectory(order, staging, self.recovery, parts)

    def _working_copy(self, path: Path) -> Path | None:
        """What an earlier try has left, if it is there."""
        if (before := self.request.before) is None:
            return None
        root = directory.root_for(path, before.run, inside=path.is_dir() and path.is_mount())
        return root if root.is_dir() else None

    def _server(self, order: Order, progress: Progress) -> Way:
        request, services, limits = self.request, self._services, self.job.limits
        target = order.engine.onto(request.to, request.password_file, request.ca_file)
        self.result.target_kind, self.result.target_name, self.name = "server", target.shown, target.name
        size = (order.tables or order.snapshot).bytes
        try:  # the second dump, to compare, is as large
            room_for(order.run.scratch, int(2 * size * 1.05) + 2**24)
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
            if self._had_its_name(target, source):
                self.there = True
                return OntoServer(order, target, source, [])
            survey = target.examine(
                source,
                order.manifest,
                order.run.id,
                self._sources.known(order.manifest),
                onto_source_server=request.onto_source_server,
            )
        except CommandFailed as error:
            raise _not_let_in(target, error) from None
        self.result.notes += survey.notes
        self.result.tools["target"] = survey.version
        return OntoServer(order, target, source, survey.will)

    def _had_its_name(self, target: ServerTarget, source: Source) -> bool:
        """Of an earlier try that was about to be given its name when it died: was it? What was not is removed, so that
        the name is free."""
        before = self.request.before
        if before is None or before.stage != "naming":
            return False
        dead = target.of_a_dead_run(before.run)
        named = dead.named(source)
        self.result.left_behind += dead.settle(source) if named else dead.undo(source)
        return named

    # --- doing it -------------------------------------------------------------------------------------

    def carry_out(self, progress: Progress) -> None:
        """Do it. What happens is in `result`; an interrupt is raised again once all is cleaned up."""
        if self.bring(progress):
            self.finish(progress)

    def bring(self, progress: Progress) -> bool:
        """The first part of `carry_out`: all but its final name. Is it whole, and has it passed what was looked at?"""
        result, way = self.result, self.way
        self._start()
        if not self.request.goes_on:
            result.incident = for_recovery(self.job.loaded, self._services, self._run.id, "restore")

        def work() -> None:
            way.bring(progress)
            result.checks = way.check(progress)
            self._keep = True  # it is whole: what comes now is no reason to throw it away
            self._judge()
            self._erase(progress)

        return self._guarded(work, progress)

    def add(self, checks: Sequence[CheckResult], progress: Progress, borne: Sequence[str] = ()) -> bool:
        """Between the two: what others looked at. What they had put off is no longer told as passed over. What did not
        pass and is `borne` does not end it."""
        result, names = self.result, {check.name.split(":")[0] for check in checks}
        result.borne += borne
        result.checks = [c for c in result.checks if c.status is not Verdict.SKIPPED or c.name not in names]
        result.checks += checks
        return self._guarded(self._judge, progress)

    def finish(self, progress: Progress) -> bool:
        """The second part of `carry_out`: its final name."""
        return self._guarded(lambda: self._finish(self.way, progress), progress)

    def stop(self, reason: str, progress: Progress) -> None:
        """Between the two parts: there will be no second one. It is left where it stands."""

        def stopped() -> None:
            self.result.failed(reason, Exit.NOT_CARRIED_OUT)

        self._guarded(stopped, progress)

    def _judge(self) -> None:
        result = self.result
        if result.bad_checks and not self.request.despite_failed_checks:
            again = self._in_a_recovery if self.request.goes_on else "restore again with --despite-failed-checks"
            advice = f"look at it there; restore an older snapshot, or {again}"
            result.failed(f"it did not pass: {', '.join(result.bad_checks)}", Exit.FINDING, self._advised(advice))

    @property
    def _in_a_recovery(self) -> str:
        """A recovery has no such option: its asset alone is restored then."""
        job = self.job
        return (
            f"leave it out (--except {job.asset}) and restore it alone: "
            f"ccdr restore {job.plan} --asset {job.asset} … --despite-failed-checks"
        )

    def _erase(self, progress: Progress) -> None:
        """Whoever was erased at the source is erased here, after all that compares it with what was captured."""
        if self._erasing is None or self.result.reason is not None or not self._erasing.due():
            return
        if self.new_server is not None:
            self.new_server.changes()
        self._erasing.replay(self.beside, self.moment, progress)
        if self.new_server is not None:
            self.new_server.changed()

    def _guarded(self, work: Callable[[], None], progress: Progress) -> bool:
        """Whatever ends the work is in `result`, and what was not finished is removed. Did all go well?"""
        result, interrupted, bad = self.result, None, False
        try:
            work()
        except KeyboardInterrupt as error:
            interrupted = error
            if result.result != RESTORED:
                result.failed(INTERRUPTED, Exit.NOT_CARRIED_OUT)
        except UsageProblem as error:  # too late to be one: something was done
            result.failed(str(error), Exit.NOT_CARRIED_OUT, error.hint)
        except Exception as error:  # a run always has an end
            why = failure_of(error)
            bad = isinstance(error, BackupBad)
            result.failed(why.reason, getattr(error, "exit_code", Exit.NOT_CARRIED_OUT), self._advised(why.hint))
            result.words += why.words
        if result.result != RESTORED and result.reason is not None:
            self._leave(progress, bad=bad)
        if interrupted is not None:
            raise interrupted
        return result.reason is None or result.result == RESTORED

    def _leave(self, progress: Progress, *, bad: bool) -> None:
        """What has no final name is removed, unless it is whole, or somebody may go on with it."""
        result, way = self.result, self.way
        if self._keep:
            progress.step("leaving it under its working name")
            if not self._unknown:
                result.left_behind.append(way.standing())
            return
        if self.request.goes_on and not bad and (rest := way.rest()):
            result.left_behind.append(rest)
            return
        progress.step("removing what was not finished")
        result.left_behind += self._undone(way)

    def _advised(self, hint: str | None) -> str | None:
        """What to do about a bad backup: whoever found it bad does not know whether there is an older one."""
        if hint is None or self._older:
            return hint
        return without_an_older(hint, self.job.plan, self.job.asset)

    def _finish(self, way: Way, progress: Progress) -> None:
        """Its final name. Whatever stops us after that does not make it undone: the record says what is true."""
        result = self.result
        self.request.reached("naming", way.token())
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
            self._started, self.silent = True, False
            about = {
                "snapshot": self.result.snapshot and self.result.snapshot.id,
                "target": self.result.target,
                "despite_failed_test": self.request.despite_failed_test,
                "despite_failed_checks": self.request.despite_failed_checks,
            }
            self._recorded.begin(about)

    def record_end(self) -> None:
        """The record; the run's scratch is gone by now, or told."""
        result = self.result
        result.left_behind += self._run.problems
        result.log_bytes = self.recovery.bytes_restored if self.recovery is not None else None
        self._start()
        self._services.state.keep_words(result.run, result.words + FreeText(details(result.checks)))
        result.record = self._recorded.end(result.body())


def _not_let_in(target: ServerTarget, error: CommandFailed) -> TestBroken:
    """A server that refuses us has answered; and what we asked for is the target, whoever's words `error` has."""
    if target.client.refused(error.stderr):
        why = error.stderr.answer
        return TestBroken(
            f"{target.shown} answers, and refused user or password{f': {why}' if why else ''}",
            hint="check the user, the database, the password (--password-file), and whom the server lets in",
        )
    why = str(error).removeprefix(error.what).strip()
    return TestBroken(
        f"{target.shown} does not answer: its client {why}", hint="check the server's address, and that it is up"
    )
