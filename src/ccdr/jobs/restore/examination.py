"""What is looked at before a restore: which snapshot it takes, what it must not touch, whether its target will do, how
long it should take. Nothing is written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from ccdr import __version__
from ccdr.engines.files.parts import Chosen
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records import Record, TestEnd
from ccdr.evidence.records.restores import RestoredParts, RestoreTarget
from ccdr.evidence.records.values import code
from ccdr.evidence.verdicts import verdict_on_snapshot
from ccdr.host.state import Run
from ccdr.jobs.erasure.before_hand_over import BeforeHandOver
from ccdr.jobs.fetch import (
    FEW,
    NEWEST,
    Candidates,
    NewestFirst,
    bases_of,
    candidates,
    counted,
    none_counts,
    not_looked_at,
    unread_since,
)
from ccdr.jobs.restore import directory, opening
from ccdr.jobs.restore.directory import Guarded
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.jobs.restore.onto_server import OntoServer
from ccdr.jobs.restore.parts import chosen_parts, chosen_tables, listed_in_sandbox, refuse_parts
from ccdr.jobs.restore.request import Request, RestoreResult
from ccdr.jobs.restore.ways import Order, Way, roots_of
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest, Snapshot, human_bytes, human_seconds, rfc3339, so_many, stamped
from ccdr.plans import LoadedPlan, Plan
from ccdr.plans.copies import as_in_file
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.engine import ServerTarget
from ccdr.ports.log import RecoversFiles
from ccdr.ports.new_server import Site
from ccdr.ports.place import Progress, Source
from ccdr.ports.target import KnownSource
from ccdr.sandbox.lab import room_for
from ccdr.storage.catalogue import of_source
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.removals import dated_in_future
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised

# The repository, asked for what one restore needs: where many of an asset's snapshots are new here, not for all.


def asked(
    job: Job,
    request: Request,
    services: Services,
    repo: Restic,
    history: AssetHistory,
    latest: Callable[[Candidates, Synchronised], Snapshot],
    progress: Progress,
) -> Synchronised:
    """`latest` chooses the newest that counts, and raises UsageProblem where there is none. A recovery by the log may
    need any base."""
    progress.step("asking the repository")
    reading, reads = NewestFirst(), counted(progress)

    def named(asset: str, new: Sequence[RepoSnapshot]) -> Sequence[RepoSnapshot]:
        ordered = sorted(new, key=lambda s: (s.time, s.id), reverse=True)
        if len(new) <= FEW:
            return ordered
        return [s for n, s in enumerate(ordered) if n < NEWEST or s.id.startswith(request.snapshot)]

    if request.at is not None:
        return services.synchronise(job.loaded, repo, [job.asset], history.stored_here, reads=reads)
    if request.snapshot != "latest":
        return services.synchronise(job.loaded, repo, [job.asset], history.stored_here, wanted=named, reads=reads)
    while True:
        synchronised = services.synchronise(
            job.loaded, repo, [job.asset], history.stored_here, wanted=reading.wanted, reads=reads
        )
        synchronised.understood()
        if not synchronised.unlooked:
            return synchronised
        try:
            point = latest(candidates(job, services, synchronised), synchronised).consistent_point
        except UsageProblem:
            point = None
        if point is not None and reading.settled(job.asset, synchronised, point):
            return synchronised
        reading.further([job.asset])


# How long a restore should take: from the asset's restore tests, phase by phase, by bytes.

TESTS_LOOKED_AT = 5  # tests that are looked at: the data and the machines of last year say little
FIXED = 32 * 2**20  # bytes that are restored in about the time that each phase takes at least
FAR = 4  # times what was measured: from there on it is extrapolated more than scaled
PHASES: tuple[str, ...] = ("fetch", "load", "check")


@dataclass(frozen=True)
class Estimate:
    """Seconds, how many tests they come from, and (bytes) what is to be restored and the largest that was measured."""

    phases: dict[str, float]
    tests: int
    size: int = 0
    measured: int = 0

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {human_seconds(seconds)}" for name, seconds in self.phases.items())
        by = so_many(self.tests, "restore test in a sandbox", "restore tests in sandboxes") + self._guessed
        return f"about {human_seconds(self.seconds)} ({parts}), by {by}"

    @property
    def _guessed(self) -> str:
        """Far from what was measured nobody knows which part of it grows."""
        if not 0 < self.measured * FAR < self.size:
            return ""
        return f", of no more than {human_bytes(self.measured)} where this is {human_bytes(self.size)}: a guess"


def estimate(records: Iterable[Record], plan: str, asset: str, size: int, wanted: Iterable[str]) -> Estimate | None:
    """The median over the newest tests that passed, scaled to `size` bytes; None where nothing was measured."""
    passed = [
        record
        for record in records
        if isinstance(record, TestEnd) and (record.plan, record.asset) == (plan, asset)
        if verdict_on_snapshot(record) == "PASS"
    ][-TESTS_LOOKED_AT:]
    measured = [(test.phases, test.snapshot.bytes) for test in passed if test.snapshot is not None]
    if not measured:
        return None
    by_phase = {
        phase: median(phases.get(phase, 0.0) * _scale(size, restored) for phases, restored in measured)
        for phase in wanted
    }
    return Estimate(by_phase, len(measured), size, max(restored for _, restored in measured))


def _scale(size: int, measured: int) -> float:
    """How much longer than what was measured. What a restore costs however little there is counts as so many bytes: a
    test of some kilobytes would else be taken for work that is proportional to them."""
    return (size + FIXED) / (measured + FIXED) if size > 0 and measured > 0 else 1.0


# Which snapshot a restore takes, by the rule, the id or the point that it was asked for.


@dataclass(frozen=True)
class Selection:
    """What there is to choose from, and what is known of it; notes on the choice go into the result."""

    job: Job
    services: Services
    request: Request
    result: RestoreResult
    snapshots: Candidates
    history: AssetHistory  # the asset's

    def by_rule(self, synchronised: Synchronised) -> Snapshot:
        """The newest that counts and has not failed a test; or the one that was named."""
        if self.request.snapshot == "latest":
            chosen = self.latest(synchronised)
        else:
            chosen = self.snapshots.by_id(self.job, self.request.snapshot)
        self._refuse_bad(chosen, synchronised)
        self.result.notes += self._notes(chosen, synchronised)
        return chosen

    @property
    def _usable(self) -> list[Snapshot]:
        """Of all that are there, whatever source they are of."""
        return chain.usable(self.snapshots.there, self.snapshots.there, self.history.disproved)

    def _suspect(self, snapshot: Snapshot) -> bool:
        return self.history.is_suspect(snapshot.id, *(needed.id for needed in snapshot.upon))

    def latest(self, synchronised: Synchronised) -> Snapshot:
        """UsageProblem where there is none."""
        job, snapshots = self.job, self.snapshots
        if not snapshots.good:
            none, first = none_counts(job, synchronised)
            raise UsageProblem(none, hint=first or "check the plan, and its repository")
        if self.request.despite_failed_test:
            usable = [s for s in snapshots.good if not chain.lacks(s, snapshots.there)]
        else:
            ids = {s.id for s in self._usable}
            usable = [s for s in snapshots.good if s.id in ids]
        if not usable:
            raise UsageProblem(
                f"there is no snapshot of {job.plan}/{job.asset} that counts and has not failed its test",
                hint=f"`ccdr snapshots {job.plan}` lists them; name one with --snapshot ID --despite-failed-test",
            )
        return usable[-1]

    def _refuse_bad(self, chosen: Snapshot, synchronised: Synchronised) -> None:
        """UsageProblem where it lacks what it builds upon, or failed a test and nobody wants it all the same."""
        usable = self._usable
        older = any(s.consistent_point < chosen.consistent_point for s in usable) or _before(chosen, synchronised)
        instead = "take an older one" if older else "there is no older one that may be good"
        if missing := chain.lacks(chosen, self.snapshots.there):
            raise UsageProblem(
                missing, hint=f"{instead}: without the snapshots that it depends on, it cannot be restored"
            )
        if chosen.id not in {s.id for s in usable} and not self.request.despite_failed_test:
            why = f"snapshot {chosen.short} failed its last restore test, or a snapshot that it depends on did"
            if self._suspect(chosen):
                why = f"snapshot {chosen.short} is suspect, and nobody has answered for that (SNAPSHOT_SUSPECT)"
            raise UsageProblem(why, hint=f"{instead}; to restore it anyway, {self._anyway(chosen)}")

    def _anyway(self, chosen: Snapshot) -> str:
        if not self.request.goes_on:
            return "add --despite-failed-test"
        of = f"ccdr restore {self.job.plan} --asset {self.job.asset} --snapshot {chosen.short} --despite-failed-test"
        return f"do so alone, a recovery does not: `{of} …`"

    def _notes(self, chosen: Snapshot, synchronised: Synchronised) -> Iterator[str]:
        """What is not as it should be around it: its source, its date, and newer ones that cannot be restored."""
        if not of_source(chosen, self.job.engine.source_name):
            yield f"it is a snapshot of {chosen.source}, which is not what the plan names now"
        if dated_in_future(chosen, self.services.clock.now()):
            yield "its date is in the future: a clock was wrong"
        usable = {s.id for s in self._usable}
        for s in self.snapshots.there:
            if s.consistent_point > chosen.consistent_point and s.id not in usable:
                how = "is suspect" if self._suspect(s) else "failed its test"
                yield f"the newer snapshot {s.short} of {rfc3339(s.consistent_point)} {how}"
        for s in synchronised.vanished:
            if s.consistent_point > chosen.consistent_point:
                yield f"a newer snapshot, {s.short} of {rfc3339(s.consistent_point)}, has vanished"
        yield from (newer.text for newer in unread_since(self.job, chosen, synchronised))

    def by_point(self, run: Run, progress: Progress) -> Recovery:
        """The newest good base before the point, or the one that was named, and the log from there on."""
        assert self.request.at is not None
        if self.request.is_url:
            raise UsageProblem(
                "a recovery by the log goes into a directory", hint="name one with --to, and start a server on it"
            )
        usable = chain.usable(self.snapshots.good, self.snapshots.there, self.history.disproved)
        if self.request.snapshot != "latest":
            usable = the_base(self.snapshots.by_id(self.job, self.request.snapshot), usable)
        if self.history.log_failure is not None:
            failure = f"{stamped(self.history.log_failure.time)} is FAIL: {self.history.log_failure.reason}"
            self.result.notes.append(f"its recovery by the log of {failure}; an earlier point may still be good")
        try:
            told = self.request.told
            archive = told.archive if told is not None else None
            return Recovery.prepared(self.job, self.services, usable, self.request.at, run, progress, archive)
        except BackupBad as error:
            raise UsageProblem(str(error), hint=error.hint) from None

    def doubts(self, chosen: Snapshot, upkeep: AssetHistory) -> list[str]:
        """As the function of this name."""
        return doubts(self.job, chosen, self.history, upkeep)

    def has_older(self, chosen: Snapshot, synchronised: Synchronised) -> bool:
        """Is there an older one that may be good?"""
        usable = chain.usable(self.snapshots.good, self.snapshots.there, self.history.disproved)
        return any(s.consistent_point < chosen.consistent_point for s in usable) or _before(chosen, synchronised)


def _before(chosen: Snapshot, synchronised: Synchronised) -> bool:
    """Are there older ones that were not looked at?"""
    return any(s.tag("asset") == chosen.asset and s.time < chosen.consistent_point for s in synchronised.unlooked)


def doubts(job: Job, chosen: Snapshot, history: AssetHistory, upkeep: AssetHistory) -> list[str]:
    """That the repository was found damaged, and when this snapshot was stored into it. `upkeep` is the plan's own
    history."""
    damage, doubt = history.doubt(upkeep), history.doubted(upkeep)
    if damage is None or doubt is None:
        return []
    if history.proven.get(chosen.id) == "PASS":
        return [doubt]
    own = "was stored after that" if history.stored.get(chosen.id, 0) > damage.order else "has not passed a test"
    test = f"`ccdr test {job.plan} --asset {job.asset} --snapshot {chosen.short}`"
    return [f"{doubt}; this snapshot {own}: {test} tells whether it is whole"]


# Everything that a restore must not touch: where any plan on this host backs up from, and what ccdr itself keeps.


@dataclass(frozen=True)
class Sources:
    """Of the asset's own plan and of all `others` that are known."""

    job: Job
    services: Services
    others: Sequence[LoadedPlan]

    @property
    def plans(self) -> list[Plan]:
        """All that are known, this one first."""
        return [as_in_file(self.job.loaded).plan, *(p.plan for p in self.others if p.plan.plan != self.job.plan)]

    def _named(self, plan: Plan, asset: str) -> str:
        return asset if plan.plan == self.job.plan else f"{plan.plan}/{asset}"

    def guarded(self, manifest: Manifest) -> list[Guarded]:
        """What a restore into a directory must stay away from: every source of any plan on this host, as the plan and
        the snapshot name it, the repositories, ccdr's own state."""
        sources = [
            Guarded(Path(path), f"which {self._named(plan, name)} is backed up from")
            for plan in self.plans
            for name, engine in plan.assets.items()
            for path in engine.source_paths
        ]
        sources += [
            Guarded(path, f"which the snapshot of {self.job.asset} is of") for path in roots_of(manifest.contents)
        ]
        sources += [
            Guarded(Path(repository.location), f"the repository of plan {plan.plan}")
            for plan in self.plans
            for repository in (plan.repository, *plan.copies.values())
            if repository.is_local
        ]
        sources.append(Guarded(self.services.state.root, "ccdr's own state"))
        return sources

    def known(self, restored: Manifest) -> list[KnownSource]:
        """Every source that a plan names, with the manifests that tell whose server it was: of each asset the newest,
        and the one that is being restored."""
        known = []
        for plan, name, engine in ((p, name, e) for p in self.plans for name, e in p.assets.items()):
            manifests = [restored] if (plan.plan, name) == (self.job.plan, self.job.asset) else []
            for catalogue in self.services.catalogues:
                of_it = [s for s in catalogue.snapshots(plan.plan, name) if s.engine == engine.engine_name]
                for snapshot in of_it[-1:]:
                    with contextlib.suppress(BackupBad):
                        manifests.append(catalogue.manifest(snapshot))
            known.append(KnownSource(self._named(plan, name), engine, tuple(manifests)))
        return known


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
        made = opening.prepared(order, wanted, guarded, self.recovery, request.working, request.makes, self._stack)
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
        file = Path(str(contents.get("file", "")))  # of a database that is one
        if file.suffix and file.suffix == path.suffix:
            raise UsageProblem(
                f"{path} is called like a file, and what is restored is a directory that holds {file}",
                hint=f"--to {path.with_suffix('')}   gives {path.with_suffix('') / file}",
            )
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
