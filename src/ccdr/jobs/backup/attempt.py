"""One run of `backup`, from the capture to the catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from ccdr import __version__
from ccdr.evidence.history.kinds import STORED
from ccdr.host import interrupts
from ccdr.host.clock import timed
from ccdr.host.files import remove_tree
from ccdr.host.nearby import WORDS
from ccdr.jobs.attest import attestation
from ccdr.jobs.backup.canaries import digests_of
from ccdr.jobs.backup.result import BackupResult, Member
from ccdr.jobs.backup.storing import Storing
from ccdr.jobs.backup.way_there import tls_seen
from ccdr.jobs.job_run import JobRun
from ccdr.jobs.parents import base_for
from ccdr.jobs.shipping import log_of
from ccdr.model.errors import (
    BackupFailed,
    CcdrError,
)
from ccdr.model.values import Manifest, RecordRef, so_many
from ccdr.plans.lint import open_to_others, secret_files
from ccdr.ports.capture import Capture, Tools
from ccdr.storage.listing import Stored
from ccdr.storage.manifest import CAPTURED, MANIFEST, manifest_text, snapshot_of

ATTEMPTS = 5  # a tree in use changes under the reader; each attempt reads only what changed


class BackupRun:
    """One run of `backup`, from the capture to the catalogue."""

    def __init__(
        self, of: JobRun, credentials: Path, result: BackupResult, member: Member | None, began: RecordRef
    ) -> None:
        self._of, self._credentials, self._result = of, credentials, result
        self._member, self._began = member, began
        self.into = of.services.state.capture_path(of.job.plan, of.job.asset) / CAPTURED
        self.storing = Storing(of, result, self.into)
        self._apart = False  # the tree goes before its listing, which is then made true of what was stored

    def carry_out(self) -> None:
        engine = self._of.job.engine
        with ThreadPoolExecutor(max_workers=2) as pool:
            self.storing.ask(pool)
            for attempt in range(1, ATTEMPTS + 1):
                with timed(self._of.services.clock, self._result.phases, "capture"):
                    capture, text, manifest, place = self._capture()
                leaving = pool.submit(self._leave, place)  # a container takes half a second to go
                with timed(self._of.services.clock, self._result.phases, "store"):
                    self.storing.ready()
                    stored = self.storing.stored = self.storing.store(capture, manifest)
                    self.storing.still_there(capture)
                    leaving.result()
                changed = engine.settled(capture, self.into)
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
                self.storing.mark_failed()
                self._result.notes = []  # of what does not count
                self._apart = bool(engine.source_paths) and engine.index_file is not None

    def _leave(self, place: ExitStack) -> None:
        try:
            place.close()
        except CcdrError as error:
            self._result.left_behind.append(str(error))

    def _capture(self) -> tuple[Capture, str, Manifest, ExitStack]:
        """What was captured, its manifest, and the source's place, which is still to be left."""
        job, services = self._of.job, self._of.services
        previous = self._previous_index()
        remove_tree(self.into)
        services.state.directory(*self.into.relative_to(services.state.root.absolute()).parts)
        base = base_for(job, services, self._of.repo, self._kept(job.engine.base_file or ""), run=self._of.run)
        self._of.progress.step(f"capturing {job.asset}")
        lab, limits, run = services.lab, job.limits, self._of.run.id
        opened = lab.source(job.engine, run, self.into, self._credentials, limits.no_progress, self._of.progress)
        with ExitStack() as stack:
            source, facts = stack.enter_context(opened)
            tools = Tools(
                services.clock,
                self._of.progress,
                services.digest,
                limits.lock_wait,
                previous,
                base,
                self.storing.stream,
            )
            self._result.tls = facts.tls or tls_seen(job.engine)
            if self._member is not None:
                self._member.ready()
            if job.engine.shipping is not None:  # first: the log is to lead on from here
                self._result.notes += map(str, log_of(job)[1].ready(source))
            self._result.canaries = digests_of(job, source)
            capture = job.engine.capture(source, self.into, tools)
            if self._apart:
                capture = self.storing.store_apart(capture, tools)
            manifest = self._manifest_of(capture, facts.version)
            text = manifest_text(manifest)
            (self.into / MANIFEST).write_text(text, "utf-8", "surrogateescape")
            return capture, text, manifest, stack.pop_all()

    def _manifest_of(self, capture: Capture, source: str) -> Manifest:
        """What the result tells of the capture, too. `source` is the version of the server or program."""
        job, services, result = self._of.job, self._of.services, self._result
        result.skew = capture.clock_skew_s
        result.tools = {**capture.tools, "source": source, "ccdr": __version__}
        result.notes += [*self._alone(), *capture.notes, *self._hazards()]
        result.findings, result.left_out = capture.findings, capture.left_out
        result.words += capture.words
        told = {key: str(value) for key in ("system_identifier", "recovery") if (value := capture.contents.get(key))}
        result.server, result.recovery = told.get("system_identifier"), told.get("recovery")
        return Manifest(
            plan=job.plan,
            asset=job.asset,
            run=self._of.run.id,
            engine=job.engine.engine_name,
            method=job.engine.method,
            host=services.ledger.host,
            consistent_point=capture.consistent_point,
            clock_skew_s=capture.clock_skew_s,
            tools={**result.tools, "restic": self._of.repo.version()},
            contents=capture.contents,
            files=capture.files,
            group=result.group,
            upon=capture.parents,
            attested=attestation(services, self._began),
            erasures=self.storing.erasures(),
        )

    def _hazards(self) -> Iterator[str]:
        """What is not as it should be around the backup, and makes none of it bad."""
        job = self._of.job
        for where, path in secret_files(job.loaded.plan):
            ours = where[0] != "assets" or where[1] == job.asset
            if ours and (mode := open_to_others(path)):
                yield f"{path} holds a secret, and {mode}"

    def _alone(self) -> Iterator[str]:
        job = self._of.job
        others = [name for name in job.grouped if name != job.asset]
        if self._member is None and others:
            yield f"captured alone: {', '.join(others)} of its group {job.engine.group} were not captured with it"

    def _previous_index(self) -> Path | None:
        """The listing to carry digests over from: this run's own last attempt, else the last good backup's."""
        name = self._of.job.engine.index_file
        if name is None:
            return None
        if (self.into / name).is_file() and self.storing.stored is not None:
            kept = self._of.run.scratch / name
            shutil.copyfile(self.into / name, kept)
            return kept
        return self._kept(name)

    def _kept(self, name: str) -> Path:
        """Where the state directory holds a captured file for the next capture."""
        return (
            self._of.services.state.directory("index") / f"{self._of.job.plan}.{self._of.job.asset}.{Path(name).name}"
        )

    def _commit(self, manifest: Manifest, text: str, stored: Stored) -> None:
        now = self._of.services.clock.now()
        # By now: a path where nothing is mounted lies on another disk than what is to be there.
        self._result.beside = self._of.job.beside
        if self._result.beside is not None:
            notes, hazards = self._result.notes, list(self._hazards())
            lies = f"the repository is {WORDS[self._result.beside]}"
            self._result.notes = [*(note for note in notes if note not in hazards), lies, *hazards]
        snapshot = snapshot_of(manifest, text, stored.id, str(self.into), now)
        if self._of.job.engine.shipping is not None:
            log = log_of(self._of.job)[1]
            self._result.log = {"needed_from": log.needed_from(manifest) if log.goes_on_from(manifest) else None}
        with interrupts.deferred():  # from here on it counts, whatever becomes of what is only kept for the next
            self._of.services.catalogue.add(snapshot, text)
            self._result.snapshot, self._result.result = snapshot, STORED
        try:
            self._keep_for_the_next()
        except OSError as error:
            self._result.notes.append(f"ccdr could not keep what makes the next backup faster: {error}")

    def _keep_for_the_next(self) -> None:
        for name in filter(None, (self._of.job.engine.index_file, self._of.job.engine.base_file)):
            target = self._kept(name)
            new = target.with_suffix(".new")
            new.touch(mode=0o600)
            shutil.copyfile(self.into / name, new)
            new.replace(target)
