"""One backup: an asset is captured and stored. A snapshot counts only once its manifest is in
repository and catalogue.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET

from ccdr import __version__
from ccdr.engines.servers.connection import Peer
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import FAILED, INTERRUPTED, STORED
from ccdr.evidence.lineage.comparison import keep
from ccdr.evidence.lineage.own_records import installation
from ccdr.evidence.records.backups import BackupEnd, BackupStart, RecordedGrowth, StoredSnapshot
from ccdr.evidence.records.values import GroupOf, RecordedTls, Repository
from ccdr.host import interrupts
from ccdr.host.clock import timed
from ccdr.host.files import remove_tree
from ccdr.host.nearby import WORDS
from ccdr.host.tls import handshake
from ccdr.jobs.attest import attestation, compared
from ccdr.jobs.erasure.register import vouched_for
from ccdr.jobs.parents import base_for
from ccdr.jobs.recorded import JobResult, RecordedRun
from ccdr.jobs.services import BY_HAND, JobRun, Services, Trigger
from ccdr.jobs.shipping import log_of
from ccdr.jobs.shipping.continuity import is_successor
from ccdr.jobs.streaming import store
from ccdr.model.answers import at
from ccdr.model.erasure import RegisterHead
from ccdr.model.errors import (
    ROOM,
    BackupFailed,
    CcdrError,
    CommandFailed,
    Exit,
    RepositoryClosed,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryUnavailable,
    SourceAway,
    failure_of,
    for_plan,
)
from ccdr.model.finding import Finding
from ccdr.model.leaps import Growth, Sign
from ccdr.model.tls import Tls
from ccdr.model.trouble import Trouble
from ccdr.model.values import GroupRun, Manifest, RecordRef, Snapshot, human_bytes, rfc3339, so_many, source_digest
from ccdr.plans.job import Job
from ccdr.plans.lint import open_to_others, secret_files
from ccdr.ports.capture import Capture, Streamed, StreamWriter, Tools
from ccdr.ports.engine import Engine
from ccdr.ports.place import Progress, Source
from ccdr.storage.catalogue import STREAM, stream_of
from ccdr.storage.listing import OURS, RepoSnapshot, Stored
from ccdr.storage.manifest import CAPTURED, MANIFEST, manifest_text, snapshot_of
from ccdr.storage.restic import PROBE_WAIT
from ccdr.storage.synchronised import ENDED

# The owner's canaries, looked at where they are: nobody has a reason to change them.


def digests_of(job: Job, source: Source) -> dict[str, str | None]:
    """Of each, by name: a digest of the file, or of the rows that its query gives; None where there is none."""
    found: dict[str, str | None] = {}
    for name, canary in job.engine.canaries.items():
        try:
            if canary.path is not None:
                found[name] = sha256(canary.path.read_bytes()).hexdigest()
            else:
                rows = job.engine.ask(source, str(canary.query))
                found[name] = sha256(json.dumps(rows).encode()).hexdigest() if rows else None
        except FileNotFoundError:
            found[name] = None
        except CommandFailed as error:
            if error.stalled:
                raise
            found[name] = None  # whatever it asked is no more
    return found


# restic patterns for exactly one path.

_PATTERN = re.compile(r"[*?\[\\]")
_SPACE = re.compile(r"[^\S ]| $")


def escaped(name: str) -> str:
    """A restic pattern for exactly this path."""
    return _PATTERN.sub(r"\\\g<0>", name)


def pattern(name: str) -> str:
    """The same as a line of an exclude file, where restic expands variables and trims white space."""
    return _SPACE.sub(r"[\g<0>]", escaped(name)).replace("$", "$$")


# What one backup did, and its part in a group.


@dataclass(frozen=True)
class Member:
    """An asset's part in a group that is captured together. `ready` returns once all of them may begin."""

    group: GroupRun
    ready: Callable[[], None]


@dataclass
class BackupResult(JobResult):
    """What one backup did. `phases` are seconds, `added` is what the repository grew by, bytes."""

    plan: str
    asset: str
    run: str
    result: Literal["STORED", "FAILED"] = FAILED
    repository: Repository = None  # missing, closed, unavailable or damaged, where that is why it failed
    source: Literal["away"] | None = None  # `away`, where that is why it failed: nobody answers there
    snapshot: Snapshot | None = None
    log: dict[str, Any] = field(default_factory=dict)  # what it needs of a shipped log, where there is one
    group: GroupRun | None = None
    added: int = 0
    growth: Growth | None = None  # of all that it stored; None where restic was not told by a tree
    canaries: dict[str, str | None] = field(default_factory=dict)  # the digest of each, by name; None: it is gone
    suspect: list[Sign] = field(default_factory=list)
    server: str | None = None  # its own number, where it has one and tells it
    recovery: str | None = None  # the run of the recovery that made it, as the server says
    made_by_recovery: bool = False  # does a record tell of that one?
    other_cluster: bool = False  # than the one that its backups are known to be of
    skew: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    tls: Tls | None = None  # how the source's client was connected; None where that is not encrypted, or not told
    beside: Literal["disk", "machine"] | None = (
        None  # the repository lies on the source's own disk, or machine: see nearby.py
    )
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # of the capture, as the plan says
    findings: list[Finding] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        if self.result != STORED or self.findings or self.suspect or self.other_cluster:
            return Exit.FINDING
        return Exit.LEFT_BEHIND if self.left_behind else Exit.OK

    def take(self, stored: Growth | None) -> None:
        """One more upload: of a try that did not count, what it added is there all the same."""
        if stored is not None and self.growth is not None:
            stored = replace(stored, added=stored.added + self.growth.added, packed=stored.packed + self.growth.packed)
        self.growth = stored

    @property
    def grouped(self) -> GroupOf | None:
        return GroupOf(name=self.group.name, run=self.group.run) if self.group else None

    def ended(self) -> BackupEnd:
        return BackupEnd(
            plan=self.plan,
            asset=self.asset,
            run=self.run,
            result=self.result,
            reason=self.reason,
            hint=self.hint,
            repository=self.repository,
            source=self.source,
            snapshot=self._stored(),
            group=self.grouped,
            added_bytes=self.added,
            growth=RecordedGrowth(**asdict(self.growth)) if self.growth else None,
            canaries=self.canaries,
            suspect=[sign.value for sign in self.suspect],
            server=self.server,
            made_by_recovery=self.made_by_recovery,
            tls=RecordedTls(**asdict(self.tls)) if self.tls else None,
            clock_skew_s=self.skew,
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            tools=self.tools,
            beside_source=self.beside,
            notes=self.notes,
            left_out=self.left_out,
            findings=self.findings,
            left_behind=self.left_behind,
        )

    def _stored(self) -> StoredSnapshot | None:
        s = self.snapshot
        if s is None:
            return None
        return StoredSnapshot(
            id=s.id,
            consistent_point=s.consistent_point,
            bytes=s.bytes,
            manifest_sha256=s.manifest_sha256,
            source_sha256=source_digest(s.source),
            needed_from=self.log.get("needed_from", UNSET),
            branch=self.log.get("branch", UNSET),
            upon=[needed.id for needed in s.upon],
            in_use=s.in_use,
            missing_s=s.missing_s,
        )


# Why a backup ended early, and what to do next.


def failed(of: JobRun, result: BackupResult, error: KeyboardInterrupt | Exception) -> None:
    """Why it ended early, and what to do next."""
    job = of.job
    if isinstance(error, KeyboardInterrupt):
        result.reason = INTERRUPTED if result.result != STORED else result.reason
        return
    result.repository = getattr(error, "repository", None)
    why = failure_of(_without_room(of, error))
    result.reason, result.hint = why.reason, for_plan(why.hint, job.plan)
    result.words += why.words
    gone = isinstance(error, SourceAway) or why.words.nobody_answers or why.words.no_database
    if result.repository is None and gone:
        result.source = "away"
    database = getattr(getattr(job.engine, "connection", None), "database", "")  # the plan's word, and no program's
    result.reason += at(why.words, [database])
    if isinstance(error, CommandFailed) and result.hint is None:
        asks = "checks the source, the rights of its role, and the repository"
        result.hint = f"`ccdr doctor {job.plan}` {asks}"


def _without_room(of: JobRun, error: Exception) -> Exception:
    """Where it is this host's own disk that is full: which, what is free there, and what the last capture took."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    job, place = of.job, of.services.state.root.absolute()
    took = None
    with contextlib.suppress(CcdrError, OSError, IndexError):
        last = of.services.catalogue.snapshots(job.plan, job.asset)[-1]
        took = sum(file.bytes for file in of.services.catalogue.manifest(last).files.values())
    needs = "more than that" if took is None else f"more than that: the last one took {human_bytes(took)}"
    free = human_bytes(shutil.disk_usage(place).free)
    return BackupFailed(f"{place} has {free} free, the capture needs {needs}", hint=ROOM)


# What one backup does in its repository: see that it answers, store, and mark what is not to count.


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
        tags += manifest.attested.as_tags()
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


# How a source's client is connected, where the server itself does not tell: by a handshake of our own.


def tls_seen(engine: Engine) -> Tls | None:
    """Of a server that is reached by verified TLS; None of any other, and where it does not answer this host. Redis'
    client compares no names, so nobody does here."""
    connection = getattr(engine, "connection", None)
    if not isinstance(connection, Peer) or not connection.verified_tls:
        return None
    certificate, key = getattr(connection, "cert_file", None), getattr(connection, "key_file", None)
    port, ca = getattr(connection, "port", 0), getattr(connection, "ca_file", None)
    own = (certificate, key) if certificate is not None and key is not None else None
    return handshake(connection.host, port, ca_file=ca, named=False, own=own)


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
            self._restic = pool.submit(self._of.repo.version)
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
            tools={**result.tools, "restic": self._restic.result()},
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
            kept, good = self._of.run.scratch / name, self._kept(name)
            shutil.copyfile(self.into / name, kept)
            at = good.stat().st_mtime if good.is_file() else 0.0  # no snapshot is of this attempt
            os.utime(kept, (at, at))
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
            first = log.needed_from(manifest)
            self._result.log = {
                "needed_from": first if log.goes_on_from(manifest) else None,
                "branch": log.branch(first),
            }
        with interrupts.deferred():  # from here on it counts, whatever becomes of what is only kept for the next
            self._of.services.catalogue.add(snapshot, text)
            self._result.snapshot, self._result.result = snapshot, STORED
        try:
            self._keep_for_the_next(manifest.consistent_point)
        except OSError as error:
            self._result.notes.append(f"ccdr could not keep what makes the next backup faster: {error}")

    def _keep_for_the_next(self, consistent: datetime) -> None:
        """With the time of the data: what a capture after this one leaves out, this one may hold."""
        for name in filter(None, (self._of.job.engine.index_file, self._of.job.engine.base_file)):
            target = self._kept(name)
            new = target.with_suffix(".new")
            new.touch(mode=0o600)
            shutil.copyfile(self.into / name, new)
            os.utime(new, (consistent.timestamp(),) * 2)
            new.replace(target)


# Capture one asset and store it. A snapshot counts only once its manifest is in repository and catalogue.

ANOTHER = (
    "the source is another PostgreSQL server than that of the backups before: its system identifier is {}, and theirs "
    "is {} ({})"
)
HURRY = 10.0  # seconds that somebody who interrupts us may have to wait for a dead store


def backup(
    job: Job, services: Services, progress: Progress, *, trigger: Trigger = BY_HAND, member: Member | None = None
) -> BackupResult:
    """Back one asset up now. UsageProblem and Locked are raised before anything is done; whatever happens
    after that is in the result and in the ledger, an interrupt included (and raised again). Of a group's `member`
    the caller holds the lock already."""
    job.refuse_recovery_only("a backup")
    repo = services.repository(job.loaded, job.limits, gentle=True)
    with (
        services.state.lock(job.plan, job.asset, "backup") if member is None else contextlib.nullcontext(),
        services.state.reading(repo.location),
        services.state.run(services.clock) as run,
    ):
        result = BackupResult(job.plan, job.asset, run.id, group=member.group if member else None)
        credentials = run.directory("credentials")
        services.write_credentials(job, credentials)
        recorded = RecordedRun(services, job.loaded, job.asset, run.id, trigger)
        of = JobRun(job, services, repo, run, progress)
        begun = recorded.begin(
            BackupStart, engine=job.engine.engine_name, method=job.engine.method, group=result.grouped
        )
        attempt = BackupRun(of, credentials, result, member, begun)
        with recorded.attempt(partial(failed, of, result)):
            attempt.carry_out()
        with recorded.conclusion():  # it was stored, or it was not
            if result.result == STORED:
                with contextlib.suppress(CcdrError):  # a ledger that cannot be read is told when it is written to
                    result.notes += _in_doubt(job, services)
                    history = services.history(job)
                    if history.is_another(result.server):
                        result.made_by_recovery = is_successor(job, services, result.server, result.recovery)
                        result.other_cluster = not result.made_by_recovery
                        why = Trouble.OTHER_CLUSTER.name if result.other_cluster else "a recovery by ccdr made it"
                        result.notes.append(ANOTHER.format(result.server, history.server, why))
                    result.suspect = history.suspicion(
                        result.growth, result.canaries, _source(result), drains=job.engine.drains
                    )
            result.left_behind += remove_tree(attempt.into.parent)  # first: its room may be needed to say anything
            if result.result != STORED:
                attempt.storing.mark_failed(within=HURRY if recorded.interrupted else PROBE_WAIT, ended=True)
            services.state.keep_words(run.id, result.words)
            if attempt.storing.listed is not None:
                with contextlib.suppress(CcdrError):
                    result.notes += _contradicted(job, services, attempt.storing.listed)
                    result.notes += _by_turns(job, services, attempt.storing.listed)
            result.record = recorded.end(result.ended())
            with contextlib.suppress(CcdrError):
                keep(services.state, services.ledger)
    return result


def _source(result: BackupResult) -> str | None:
    return source_digest(result.snapshot.source) if result.snapshot else None


def _in_doubt(job: Job, services: Services) -> list[str]:
    """Stored well, and perhaps onto a piece that is missing."""
    known = services.histories()
    upkeep, asset = (known.get((job.plan, name), AssetHistory()) for name in (None, job.asset))
    if (damage := asset.doubted(upkeep)) is None:
        return []
    test = f"`ccdr test {job.plan} --asset {job.asset} --snapshot latest`"
    return [f"{damage}: this snapshot counts only after {test} passes; docs/how-to/recover.md, A damaged repository"]


def _contradicted(job: Job, services: Services, listed: Sequence[RepoSnapshot]) -> list[str]:
    """Stored or not: is the ledger what the repository's snapshots attest?"""
    outcome = compared(services, job.plan, listed, recent=True)
    problems = [f"the ledger: {problem}" for problem in outcome.problems]
    return [*problems, *(f"the ledger of this host is lost: {one}" for one in outcome.lost)]


def _by_turns(job: Job, services: Services, listed: Sequence[RepoSnapshot]) -> list[str]:
    """Has a host whose ledger is not known here backed up the same asset since this one did? Two may do so by one plan,
    and count as one asset: whoever has copied a plan to a host with other data has not meant that."""
    lineage, here = services.lineage(), installation(services.state, services.ledger.host)
    known = (None, *lineage.known, *lineage.beside)
    backups = [s for s in listed if s.tag("kind") == "backup" and s.tag("asset") == job.asset]
    others = [s for s in backups if s.tag("ledger") not in known and s.tag("installation") != here]
    last = max((s.time for s in backups if s not in others), default=None)
    since = [s.time for s in others if last is None or s.time > last]
    if not since:
        return []
    return [
        f"another host has backed up {job.asset} by this plan, too, last on {rfc3339(max(since))}: if its data are "
        "others, give it a plan of its own; if they are the same, `ccdr ledger collect DIR` adds its ledger; if that "
        f"host is lost, and this one stands in for it, `ccdr ledger recover {job.plan}` brings its ledger back, where "
        "that was stored"
    ]
