"""What is looked at before a restore: which snapshot it takes, whether its target will do, how long it should take.
Nothing is changed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from ccdr import __version__
from ccdr.engines.files.parts import Chosen
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records.restores import RestoredParts, RestoreTarget
from ccdr.evidence.records.values import code
from ccdr.host.state import Run
from ccdr.jobs.erasure.before_hand_over import BeforeHandOver
from ccdr.jobs.fetch import Candidates, bases_of, candidates
from ccdr.jobs.newest_first import not_looked_at
from ccdr.jobs.restore import directory, site
from ccdr.jobs.restore.asking import asked
from ccdr.jobs.restore.estimate import PHASES, Estimate, estimate
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.jobs.restore.onto_server import OntoServer
from ccdr.jobs.restore.parts import chosen_parts, chosen_tables, listed_in_sandbox, refuse_parts
from ccdr.jobs.restore.request import Request
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.restore.selection import Selection
from ccdr.jobs.restore.sources import Sources
from ccdr.jobs.restore.ways import Order, Way
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest, Snapshot
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.engine import ServerTarget
from ccdr.ports.log import RecoversFiles
from ccdr.ports.new_server import Site
from ccdr.ports.place import Progress, Source
from ccdr.sandbox.lab import room_for
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


class Examination:
    """Of one restore. What people should know goes into `result`; `way` finds out all the rest. What it opens, to ask
    the target, stays open as long as the `stack`."""

    def __init__(
        self,
        job: Job,
        request: Request,
        services: Services,
        repo: Restic,
        run: Run,
        stack: contextlib.ExitStack,
        result: RestoreResult,
    ) -> None:
        self.job, self.request, self.result = job, request, result
        self._services, self._repo, self._run, self._stack = services, repo, run, stack
        self._sources = Sources(job, services, request.others)
        self._listed: tuple[RepoSnapshot, ...] = ()  # of the plan's, what the repository holds
        self.name = ""  # what a person types to agree
        self.there = False  # an earlier try had given it its final name
        self.has_older = True  # is there an older snapshot that may be good?
        self.recovery: Recovery | None = None  # where it goes to a point by the log
        self.new_server: OntoNewServer | None = None
        self.estimate: Estimate | None = None
        self.erasing: BeforeHandOver | None = None

    def way(self, progress: Progress) -> Way:
        """How it is going to be restored. UsageProblem where it must not be; nothing is changed."""
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
            order, result.parts = (
                replace(order, manifest=tables.manifest, tables=tables),
                RestoredParts(
                    patterns=len(tables.tables),
                    files=len(tables.tables),
                    of_files=tables.of,
                    bytes=tables.bytes,
                    tables=[*tables.tables],
                    rows=tables.rows,
                ),
            )
        parts = chosen_parts(order, request.parts, progress) if request.parts and tables is None else None
        if parts is not None:
            order, result.parts = (
                replace(order, manifest=parts.manifest),
                RestoredParts(patterns=len(parts.patterns), files=parts.files, of_files=parts.of, bytes=parts.bytes),
            )
        progress.step("looking at the target")
        if request.unknown:
            which = ", ".join(request.unknown)
            result.notes.append(f"plans that could not be read, so that their sources are not known: {which}")
        if request.new_server is not None:
            way: Way = self._new_server(order, request.new_server)
            phases = PHASES
        elif request.is_url:
            way = self._server(order, progress)
            phases = PHASES
        else:
            way = self._directory(order, parts)
            phases = PHASES if not job.engine.has_server else PHASES[:1]
        self.erasing = BeforeHandOver.of(order, self._listed)
        self.estimate = estimate(services.records(), job.plan, job.asset, order.snapshot.bytes, phases)
        result.estimate_s = self.estimate.seconds if self.estimate else None
        return way

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
        result.findings = [str(finding) for asset, finding in synchronised.findings if asset == job.asset]
        if request.at is not None or request.snapshot == "latest":
            synchronised.understood()
        snapshots = candidates(job, services, synchronised)
        selection = Selection(job, services, request, result, snapshots, history)
        self.recovery = selection.by_point(self._run, progress) if request.at is not None else None
        chosen = selection.by_rule(synchronised) if self.recovery is None else self.recovery.choice.base
        result.snapshot, result.proven = chosen, history.proven.get(chosen.id)
        self.has_older = selection.has_older(chosen, synchronised)
        result.notes += selection.doubts(chosen, known.get((job.plan, None), AssetHistory()))
        return services.catalogue.manifest(chosen), bases_of(chosen, snapshots.there, services.catalogue)

    def _new_server(self, order: Order, wanted: NewServer) -> OntoNewServer:
        guarded, request = self._sources.guarded(order.manifest), self.request
        made = site.prepared(order, wanted, guarded, self.recovery, request.working, request.makes, self._stack)
        self.new_server = made
        return made

    def _path(self) -> Path:
        if not self.request.to.strip():
            raise UsageProblem("--to is empty", hint="name a directory that does not exist yet, or a server's URL")
        path = Path(self.request.to).expanduser().absolute()
        kind = "directory" if self.request.new_server is None else "new_server"
        self.result.target, self.name = RestoreTarget(kind=code(kind), name=str(path)), path.name
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
        return IntoDirectory(order, staging, self.recovery, parts, self._recovers(order))

    def _recovers(self, order: Order) -> RecoversFiles | None:
        """What applies the log, where this host can open a sandbox for it."""
        recovers = order.engine.recovers_files(order.manifest) if self.recovery is not None else None
        if recovers is None:
            return None
        try:
            order.services.lab.image(order.engine, recovers.needs(order.manifest))
        except TestBroken as error:
            self.result.notes.append(f"the log is not going to be applied: {error}")
            return None
        return recovers

    def _working_copy(self, path: Path) -> Path | None:
        """What an earlier try has left, if it is there."""
        if (before := self.request.before) is None:
            return None
        root = directory.root_for(path, before.run, inside=path.is_dir() and path.is_mount())
        return root if root.is_dir() else None

    def _server(self, order: Order, progress: Progress) -> Way:
        request, services, limits = self.request, self._services, self.job.limits
        target = order.engine.onto(request.to, request.password_file, request.ca_file)
        self.result.target, self.name = RestoreTarget(kind="server", name=target.shown), target.name
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
        self.result.tools["target"], self.result.server = survey.version, survey.number
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
