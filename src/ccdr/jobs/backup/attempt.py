"""One run of `backup`, from the capture to the catalogue."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ccdr import __version__
from ccdr.evidence.history.kinds import INTERRUPTED, STORED
from ccdr.host import interrupts
from ccdr.host.clock import timed
from ccdr.host.files import remove_tree
from ccdr.host.nearby import WORDS
from ccdr.host.state import Run
from ccdr.jobs.attest import attestation
from ccdr.jobs.backup.patterns import escaped, pattern
from ccdr.jobs.backup.result import BackupResult, Member
from ccdr.jobs.parents import base_for
from ccdr.jobs.services import Services
from ccdr.jobs.shipping import log_of
from ccdr.jobs.streaming import store
from ccdr.model.errors import (
    ROOM,
    BackupFailed,
    CcdrError,
    CommandFailed,
    RepositoryClosed,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryUnavailable,
    failure_of,
    for_plan,
)
from ccdr.model.values import Manifest, RecordRef, human_bytes, so_many
from ccdr.plans.job import Job
from ccdr.plans.lint import open_to_others, secret_files
from ccdr.ports.capture import Capture, Streamed, StreamWriter, Tools
from ccdr.ports.place import Progress
from ccdr.storage.catalogue import OURS, STREAM, stream_of
from ccdr.storage.listing import RepoSnapshot, Stored
from ccdr.storage.manifest import CAPTURED, MANIFEST, manifest_text, snapshot_of
from ccdr.storage.restic import PROBE_WAIT, Restic
from ccdr.storage.synchronised import ENDED

ATTEMPTS = 5  # a tree in use changes under the reader; each attempt reads only what changed


class Attempt:
    """One run of `backup`, from the capture to the catalogue."""

    def __init__(
        self,
        job: Job,
        services: Services,
        repo: Restic,
        run: Run,
        credentials: Path,
        progress: Progress,
        result: BackupResult,
        member: Member | None,
        began: RecordRef,
    ) -> None:
        self._job, self._services, self._repo, self._run = job, services, repo, run
        self._began = began
        self._credentials, self._progress, self._result, self._member = credentials, progress, result, member
        self.into = services.state.capture_path(job.plan, job.asset) / CAPTURED
        self._stored: Stored | None = None
        self._probe: Future[None] | None = None
        self._reachable = False
        self.listed: list[RepoSnapshot] | None = None  # what the repository held before
        self._apart = False  # the tree goes before its listing, which is then made true of what was stored

    def carry_out(self) -> None:
        with ThreadPoolExecutor(max_workers=2) as pool:
            # While the capture runs: it costs half a second. A capture that fails leaves its mark there too.
            probe = self._probe = pool.submit(self._look)
            probe.add_done_callback(self._probed)
            for attempt in range(1, ATTEMPTS + 1):
                with timed(self._services.clock, self._result.phases, "capture"):
                    capture, text, manifest, place = self._capture()
                leaving = pool.submit(self._leave, place)  # a container takes half a second to go
                with timed(self._services.clock, self._result.phases, "store"):
                    self._ready()
                    stored = self._stored = self._store(capture, manifest)
                    self._still_there(capture)
                    leaving.result()
                changed = self._job.engine.settled(capture, self.into)
                if not changed and stored.warning is None:
                    self._commit(manifest, text, stored)
                    return
                why = stored.warning or f"{so_many(len(changed), 'file')} changed while being read"
                if attempt == ATTEMPTS:  # a warning too: what restic could not read may have been gone already
                    raise BackupFailed(
                        why,
                        hint="find out which program writes there; a longer `settle:` leaves out more files",
                        words=stored.words,
                    )
                self.mark_failed()
                self._result.notes = []  # of what does not count
                self._apart = bool(self._job.engine.source_paths) and self._job.engine.index_file is not None

    def failed(self, error: KeyboardInterrupt | Exception) -> None:
        """Why it ended early, and what to do next."""
        job, result = self._job, self._result
        if isinstance(error, KeyboardInterrupt):
            result.reason = INTERRUPTED if result.result != STORED else result.reason
            return
        result.repository = getattr(error, "repository", None)
        why = failure_of(self._without_room(error))
        result.reason, result.hint = why.reason, for_plan(why.hint, job.plan)
        result.words += why.words
        if isinstance(error, CommandFailed) and result.hint is None:
            asks = "checks the source, the rights of its role, and the repository"
            result.hint = f"`ccdr doctor {job.plan}` {asks}"

    def _without_room(self, error: Exception) -> Exception:
        """Where it is this host's own disk that is full: which, what is free there, and what the last capture took."""
        if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return error
        job, place = self._job, self._services.state.root.absolute()
        took = None
        with contextlib.suppress(CcdrError, OSError, IndexError):
            last = self._services.catalogue.snapshots(job.plan, job.asset)[-1]
            took = sum(file.bytes for file in self._services.catalogue.manifest(last).files.values())
        needs = "more than that" if took is None else f"more than that: the last one took {human_bytes(took)}"
        free = human_bytes(shutil.disk_usage(place).free)
        return BackupFailed(f"{place} has {free} free, the capture needs {needs}", hint=ROOM)

    def _look(self) -> None:
        """Does the repository answer and decrypt, and what does it hold? Where it does not tell the one, the other
        counts."""
        try:
            self.listed = self._repo.snapshots([OURS, f"plan={self._job.plan}"], within=PROBE_WAIT)
        except (CommandFailed, RepositoryUnavailable) as error:
            if isinstance(error, RepositoryClosed | RepositoryLocked):
                raise
            self._repo.probe()

    def _leave(self, place: ExitStack) -> None:
        try:
            place.close()
        except CcdrError as error:
            self._result.left_behind.append(str(error))

    def _probed(self, probe: Future[None]) -> None:
        self._reachable = probe.exception() is None

    def _capture(self) -> tuple[Capture, str, Manifest, ExitStack]:
        """What was captured, its manifest, and the source's place, which is still to be left."""
        job, services = self._job, self._services
        previous = self._previous_index()
        remove_tree(self.into)
        services.state.directory(*self.into.relative_to(services.state.root.absolute()).parts)
        base = base_for(job, services, self._repo, self._kept(job.engine.base_file or ""), run=self._run)
        self._progress.step(f"capturing {job.asset}")
        lab, limits, run = services.lab, job.limits, self._run.id
        opened = lab.source(job.engine, run, self.into, self._credentials, limits.no_progress, self._progress)
        with ExitStack() as stack:
            source, facts = stack.enter_context(opened)
            tools = Tools(
                services.clock, self._progress, services.digest, limits.lock_wait, previous, base, self._stream
            )
            if self._member is not None:
                self._member.ready()
            if job.engine.shipping is not None:  # first: the log is to lead on from here
                self._result.notes += log_of(job)[1].ready(source)
            capture = job.engine.capture(source, self.into, tools)
            if self._apart:
                capture = self._store_apart(capture, tools)
            self._result.skew = capture.clock_skew_s
            self._result.tools = {**capture.tools, "source": facts.version, "ccdr": __version__}
            self._result.notes += [*self._alone(), *capture.notes, *self._hazards()]
            self._result.findings, self._result.left_out = capture.findings, capture.left_out
            self._result.words += capture.words
            manifest = Manifest(
                plan=job.plan,
                asset=job.asset,
                run=self._run.id,
                engine=job.engine.engine_name,
                method=job.engine.method,
                host=services.ledger.host,
                consistent_point=capture.consistent_point,
                clock_skew_s=capture.clock_skew_s,
                tools={**self._result.tools, "restic": self._repo.version()},
                contents=capture.contents,
                files=capture.files,
                group=self._result.group,
                upon=capture.parents,
                attested=attestation(services, self._began),
            )
            text = manifest_text(manifest)
            (self.into / MANIFEST).write_text(text, "utf-8", "surrogateescape")
            return capture, text, manifest, stack.pop_all()

    def _hazards(self) -> Iterator[str]:
        """What is not as it should be around the backup, and makes none of it bad."""
        job = self._job
        for where, path in secret_files(job.loaded.plan):
            ours = where[0] != "assets" or where[1] == job.asset
            if ours and (mode := open_to_others(path)):
                yield f"{path} holds a secret, and {mode}"

    def _alone(self) -> Iterator[str]:
        others = [name for name in self._job.grouped if name != self._job.asset]
        if self._member is None and others:
            yield f"captured alone: {', '.join(others)} of its group {self._job.engine.group} were not captured with it"

    def _previous_index(self) -> Path | None:
        """The listing to carry digests over from: this run's own last attempt, else the last good backup's."""
        name = self._job.engine.index_file
        if name is None:
            return None
        if (self.into / name).is_file() and self._stored is not None:
            kept = self._run.scratch / name
            shutil.copyfile(self.into / name, kept)
            return kept
        return self._kept(name)

    def _kept(self, name: str) -> Path:
        """Where the state directory holds a captured file for the next capture."""
        return self._services.state.directory("index") / f"{self._job.plan}.{self._job.asset}.{Path(name).name}"

    def _ready(self) -> None:
        """The repository answers; a missing one is created only for a plan that never had one: an unmounted
        path must not become a new, empty repository. Two assets' first backups may want it at the same time."""
        assert self._probe is not None
        try:
            self._probe.result()
        except RepositoryMissing:
            with self._services.state.creating(self._repo.location):
                if not self._reachable:
                    self._create()
        self._reachable = True

    def _create(self) -> None:
        services, plan = self._services, self._job.plan
        try:
            self._repo.probe()
        except RepositoryMissing:
            if services.knows(plan):
                raise
            self._repo.init()

    def _store_apart(self, capture: Capture, tools: Tools) -> Capture:
        """A tree that did not stand still: it is stored by itself, and what restic then tells of it is what is listed.
        That restic warns of what went away meanwhile is no harm: that is not listed any more."""
        self._ready()
        stored = self._upload(capture, capture.paths, self._tags(STREAM))
        found = self._job.engine.as_stored(capture, self.into, self._repo.nodes(stored.id), tools)
        contents = {**found.contents, "stream": {"snapshot": stored.id}, "apart": True}
        return replace(found, contents=contents, paths=(), excluded=())

    def _store(self, capture: Capture, manifest: Manifest) -> Stored:
        tags = [*self._tags("backup"), *(f"{STREAM}={s}" for s in [stream_of(manifest)] if s)]
        tags += manifest.attested.as_tags() if manifest.attested else []
        return self._upload(capture, [*capture.paths, self.into], tags)

    def _upload(self, capture: Capture, paths: Sequence[Path], tags: Sequence[str]) -> Stored:
        self._progress.step(f"storing {self._job.asset}")
        exclude_file = self._run.scratch / "exclude"
        named = [str(path) for path in capture.excluded]
        lines = "".join(f"{pattern(name)}\n" for name in named if "\n" not in name)
        exclude_file.write_text(lines, "utf-8", "surrogateescape")
        stored = self._repo.backup(
            paths,
            tags=tags,
            exclude_file=exclude_file if lines else None,
            exclude=[escaped(name) for name in named if "\n" in name],  # which a file of lines cannot hold
            on_bytes=lambda done: self._progress.amount(done, capture.bytes),
        )
        self._result.added += stored.added
        return stored

    def _stream(self, directory: Path, write: StreamWriter) -> Streamed:
        """While it is captured: the repository is asked first, as before any other upload."""
        self._ready()
        self._progress.step(f"storing {self._job.asset} as it is dumped")
        repo = self._repo
        return store(repo, self._tags(STREAM), directory, write, lambda done: self._progress.amount(done, None))

    def _still_there(self, capture: Capture) -> None:
        """An increment counts only where all that it builds upon is there, once it is stored."""
        if not capture.parents:
            return
        there = {s.id for s in self._repo.snapshots([OURS, f"plan={self._job.plan}"])}
        if gone := [needed.id[:8] for needed in capture.parents if needed.id not in there]:
            raise BackupFailed(
                f"a snapshot that it depends on was removed during the capture: {', '.join(gone)}",
                hint="back up again: ccdr then takes a full base",
            )

    def _tags(self, kind: str) -> list[str]:
        job = self._job
        tags = [OURS, f"kind={kind}", f"plan={job.plan}", f"asset={job.asset}", f"run={self._run.id}"]
        group = self._result.group
        return tags if group is None else [*tags, f"group={group.name}", f"group_run={group.run}"]

    def _commit(self, manifest: Manifest, text: str, stored: Stored) -> None:
        now = self._services.clock.now()
        # By now: a path where nothing is mounted lies on another disk than what is to be there.
        self._result.beside = self._job.beside
        if self._result.beside is not None:
            notes, hazards = self._result.notes, list(self._hazards())
            lies = f"the repository is {WORDS[self._result.beside]}"
            self._result.notes = [*(note for note in notes if note not in hazards), lies, *hazards]
        snapshot = snapshot_of(manifest, text, stored.id, str(self.into), now)
        if self._job.engine.shipping is not None:
            log = log_of(self._job)[1]
            self._result.log = {"needed_from": log.needed_from(manifest) if log.goes_on_from(manifest) else None}
        with interrupts.deferred():  # from here on it counts, whatever becomes of what is only kept for the next
            self._services.catalogue.add(snapshot, text)
            self._result.snapshot, self._result.result = snapshot, STORED
        try:
            self._keep_for_the_next()
        except OSError as error:
            self._result.notes.append(f"ccdr could not keep what makes the next backup faster: {error}")

    def _keep_for_the_next(self) -> None:
        for name in filter(None, (self._job.engine.index_file, self._job.engine.base_file)):
            target = self._kept(name)
            new = target.with_suffix(".new")
            new.touch(mode=0o600)
            shutil.copyfile(self.into / name, new)
            new.replace(target)

    def mark_failed(self, within: float = PROBE_WAIT, *, ended: bool = False) -> None:
        """Leave a mark in the repository, so that another host's test learns of the failure, and that what was
        stored does not count. Best effort: the ledger has it in any case. An interrupt is not lost here: what it would
        stop may be the next attempt. `ended`: nothing that the run has stored counts, also what was stored before we
        heard of it."""
        if not self._reachable:
            return
        void = [f"void={self._stored.id}"] if self._stored is not None else []
        void += [ENDED] if ended else []
        mark = self._run.scratch / "failed"
        with contextlib.suppress(CcdrError, OSError):
            mark.write_text(f"{self._run.id}\n", "ascii")
            self._repo.impatient(within).backup([mark], tags=[*self._tags("failed"), *void])
