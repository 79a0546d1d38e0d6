"""What one backup does in its repository: see that it answers, store, and mark what is not to count."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ccdr.jobs.backup.patterns import escaped, pattern
from ccdr.jobs.backup.result import BackupResult
from ccdr.jobs.erasure.anchors import vouched_for
from ccdr.jobs.job_run import JobRun
from ccdr.jobs.streaming import store
from ccdr.model.erasure import RegisterHead
from ccdr.model.errors import (
    BackupFailed,
    CcdrError,
    CommandFailed,
    RepositoryClosed,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryUnavailable,
)
from ccdr.model.leaps import Growth
from ccdr.model.values import Manifest
from ccdr.ports.capture import Capture, Streamed, StreamWriter, Tools
from ccdr.storage.catalogue import STREAM, stream_of
from ccdr.storage.listing import OURS, RepoSnapshot, Stored
from ccdr.storage.restic import PROBE_WAIT
from ccdr.storage.synchronised import ENDED


class Storing:
    """The repository's side of one run of `backup`. `listed` is what it held before, `stored` what it
    is known to have stored last."""

    def __init__(self, of: JobRun, result: BackupResult, into: Path) -> None:
        self._of, self._result, self._into = of, result, into
        self._probe: Future[None] | None = None
        self._reachable = False
        self.stored: Stored | None = None
        self._tree: Growth | None = None  # of what was stored apart
        self.listed: list[RepoSnapshot] | None = None

    def ask(self, pool: ThreadPoolExecutor) -> None:
        """While the capture runs: it costs half a second. A capture that fails leaves its mark there too."""
        self._probe = pool.submit(self._look)
        self._probe.add_done_callback(self._probed)

    def _look(self) -> None:
        """Does the repository answer and decrypt, and what does it hold? Where it does not tell the one, the other
        counts."""
        try:
            self.listed = self._of.repo.snapshots([OURS, f"plan={self._of.job.plan}"], within=PROBE_WAIT)
        except (CommandFailed, RepositoryUnavailable) as error:
            if isinstance(error, RepositoryClosed | RepositoryLocked):
                raise
            self._of.repo.probe()

    def _probed(self, probe: Future[None]) -> None:
        self._reachable = probe.exception() is None

    def erasures(self) -> RegisterHead | None:
        """How far the plan's register of erasures goes, by the repository and by this host's ledger."""
        if self._probe is not None:
            self._probe.exception()  # waits; what it says is told once something is stored
        of = self._of
        return vouched_for(of.services.ledger, of.repo, self.listed or (), of.job.plan)

    def ready(self) -> None:
        """The repository answers; a missing one is created only for a plan that never had one: an unmounted
        path must not become a new, empty repository. Two assets' first backups may want it at the same time."""
        assert self._probe is not None
        try:
            self._probe.result()
        except RepositoryMissing as error:
            missing = error  # the name of an exception does not outlive its block
            if not self._reachable:
                self._of.services.make_if_missing(self._of.repo, lambda: self._refuse_known(missing))
        self._reachable = True

    def _refuse_known(self, missing: RepositoryMissing) -> None:
        if self._of.services.knows(self._of.job.plan):
            raise missing

    def store_apart(self, capture: Capture, tools: Tools) -> Capture:
        """A tree that did not stand still: it is stored by itself, and what restic then tells of it is what is listed.
        That restic warns of what went away meanwhile is no harm: that is not listed any more."""
        self.ready()
        stored = self._upload(capture, capture.paths, self._tags(STREAM))
        self._tree = stored.growth
        captured = self._of.job.engine.as_stored(capture, self._into, self._of.repo.nodes(stored.id), tools)
        contents = {**captured.contents, "stream": {"snapshot": stored.id}, "apart": True}
        return replace(captured, contents=contents, paths=(), excluded=())

    def store(self, capture: Capture, manifest: Manifest) -> Stored:
        """Under the tags that make it count, what was captured with it, and what it attests of the ledger."""
        tags = [*self._tags("backup"), *(f"{STREAM}={s}" for s in [stream_of(manifest)] if s)]
        tags += manifest.attested.as_tags() if manifest.attested else []
        tags += [f"erasures={manifest.erasures}"] if manifest.erasures else []
        stored, before = self._upload(capture, [*capture.paths, self._into], tags), self._tree
        if capture.parents or (stream_of(manifest) and before is None):
            self._result.growth = None  # an increment, or what came through a pipe: not a state like those before it
        elif before is not None and self._result.growth is not None:
            self._result.growth = self._result.growth.beside(before)
        self._tree = None
        return stored

    def _upload(self, capture: Capture, paths: Sequence[Path], tags: Sequence[str]) -> Stored:
        self._of.progress.step(f"storing {self._of.job.asset}")
        exclude_file = self._of.run.scratch / "exclude"
        named = [str(path) for path in capture.excluded]
        lines = "".join(f"{pattern(name)}\n" for name in named if "\n" not in name)
        exclude_file.write_text(lines, "utf-8", "surrogateescape")
        stored = self._of.repo.backup(
            paths,
            tags=tags,
            exclude_file=exclude_file if lines else None,
            exclude=[escaped(name) for name in named if "\n" in name],  # which a file of lines cannot hold
            on_bytes=lambda done: self._of.progress.amount(done, capture.bytes),
        )
        self._result.added += stored.added
        self._result.take(stored.growth)
        return stored

    def stream(self, directory: Path, write: StreamWriter) -> Streamed:
        """While it is captured: the repository is asked first, as before any other upload."""
        self.ready()
        self._of.progress.step(f"storing {self._of.job.asset} as it is dumped")
        repo = self._of.repo
        return store(repo, self._tags(STREAM), directory, write, lambda done: self._of.progress.amount(done, None))

    def still_there(self, capture: Capture) -> None:
        """An increment counts only where all that it builds upon is there, once it is stored."""
        if not capture.parents:
            return
        there = {s.id for s in self._of.repo.snapshots([OURS, f"plan={self._of.job.plan}"])}
        if gone := [needed.id[:8] for needed in capture.parents if needed.id not in there]:
            raise BackupFailed(
                f"a snapshot that it depends on was removed during the capture: {', '.join(gone)}",
                hint="back up again: ccdr then takes a full base",
            )

    def _tags(self, kind: str) -> list[str]:
        job = self._of.job
        tags = [OURS, f"kind={kind}", f"plan={job.plan}", f"asset={job.asset}", f"run={self._of.run.id}"]
        group = self._result.group
        return tags if group is None else [*tags, f"group={group.name}", f"group_run={group.run}"]

    def mark_failed(self, within: float = PROBE_WAIT, *, ended: bool = False) -> None:
        """Leave a mark in the repository, so that another host's test learns of the failure, and that what was
        stored does not count. Best effort: the ledger has it in any case. An interrupt is not lost here: what it would
        stop may be the next attempt. `ended`: nothing that the run has stored counts, also what was stored before we
        heard of it."""
        if not self._reachable:
            return
        void = [f"void={self.stored.id}"] if self.stored is not None else []
        void += [ENDED] if ended else []
        mark = self._of.run.scratch / "failed"
        with contextlib.suppress(CcdrError, OSError):
            mark.write_text(f"{self._of.run.id}\n", "ascii")
            self._of.repo.impatient(within).backup([mark], tags=[*self._tags("failed"), *void])
