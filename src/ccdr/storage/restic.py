"""The repository: restic, driven so that its known traps cannot bite.

Exit codes are restic's: 0, 1 failed, 3 partial, 10 no repository, 11 locked, 12 wrong password, 130 cancelled;
anything else means failed. Its standard error mixes JSON and text, so it is read line by line.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ccdr.host.processes import Host
from ccdr.model.answers import FreeText
from ccdr.model.errors import (
    BackupFailed,
    CcdrError,
    CommandFailed,
    RepositoryLocked,
    RepositoryUnavailable,
)
from ccdr.model.leaps import Growth
from ccdr.model.values import utc
from ccdr.ports.capture import StoredNode
from ccdr.storage.fast_keys import KeyHint, quicken
from ccdr.storage.listing import OURS, RepoLock, RepoSnapshot, Stored, nanoseconds
from ccdr.storage.remains import store_at
from ccdr.storage.restic_failures import (
    LOCKED,
    NO_REPOSITORY,
    PARTIAL,
    WRONG_PASSWORD,
    as_repository_error,
    judged,
    readable,
)
from ccdr.storage.s3 import Bucket

PINNED_HOST = "ccdr"  # one name for all machines: retention must never count by container or host names
PROBE_WAIT = 30.0  # seconds
STALE_LOCK = timedelta(minutes=30)  # restic's: it renews its own every five
# restic asks Go to collect garbage at 50 % growth, to save memory. 200 took 6 % off its processor time and 10 % off the
# backup of a 1.4 GB dump, for 190 MB of memory instead of 110; 400 gains nothing more. `--pack-size 64` and
# `--read-concurrency` 1 and 4 made no difference that could be measured, `--compression off` stores 4.6 times as much.
GOGC = "200"
T = TypeVar("T")


@dataclass(frozen=True)
class Restic:
    """One repository. `env` holds what restic needs to open it; it never appears in argv, logs or errors."""

    location: str
    env: dict[str, str] = field(repr=False)
    cache: Path
    host: Host = field(repr=False)
    upload_limit: int | None = None  # bytes per second
    download_limit: int | None = None
    lock_wait: float = 30.0  # seconds to wait for another program's exclusive lock
    lock_days: int | None = None  # of a bucket that is made for it
    plan: str = "PLAN"  # whose it is, for the next steps that errors name
    known: Callable[[], bool] = field(default=lambda: False, repr=False)  # were backups stored there already?
    # Is it filled by copying? Then a snapshot goes by the id of what it was copied from, in all that is asked of it and
    # in all that it tells (`original`, which restic keeps): parents, marks, catalogue and verdicts name that one.
    copied: bool = False
    named: str = "repository"  # how the plan calls it
    _held: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    hint: KeyHint | None = field(default=None, repr=False, compare=False)
    # What restic has written of its snapshots, bytes, one a snapshot; what travelled for that it does not tell.
    restored: list[int] = field(default_factory=list, repr=False, compare=False)

    @property
    def call_env(self) -> dict[str, str]:
        """What restic is called with: `env`, and the key file to try first."""
        hint = self.hint and self.hint.of(self.location)
        return {**self.env, "RESTIC_KEY_HINT": hint} if hint else self.env

    def probe(self) -> None:
        """Does it answer and decrypt? RepositoryMissing, RepositoryDamaged, RepositoryUnavailable, or nothing."""
        self._run(["cat", "config", "--no-lock"], what="opening the repository", within=PROBE_WAIT)

    def format(self) -> int:
        """Which of restic's formats it has. Raises as `probe`."""
        return int(
            json.loads(self._run(["cat", "config", "--no-lock"], what="its format", within=PROBE_WAIT))["version"]
        )

    def init(self) -> None:
        """Make it. A bucket that is not there is made first: restic would make one that keeps no versions."""
        if (bucket_and_prefix := Bucket.of(self.location, self.env)) is not None:
            bucket_and_prefix[0].ensure(lock_days=self.lock_days)
        self._run(["init"], what="creating the repository", within=2 * PROBE_WAIT)
        quicken(self)

    def version(self) -> str:
        words = self.host.run(["restic", "version"], what="restic").stdout.split()
        return words[1] if len(words) > 1 else "unknown"

    def locks(self, most: int = 5) -> tuple[int, list[RepoLock]]:
        """How many locks there are, and `most` of them: each costs a call. One that went meanwhile is left out."""
        ids = self._run(["list", "locks", "--no-lock"], what="listing locks", within=PROBE_WAIT).split()
        locks = []
        for lock in ids[:most]:
            with contextlib.suppress(CommandFailed, ValueError, KeyError, TypeError):
                body = json.loads(self._run(["cat", "lock", lock, "--no-lock"], what="a lock", within=PROBE_WAIT))
                holder = f"{body.get('username')}@{body.get('hostname')}, process {body.get('pid')}"
                locks.append(RepoLock(lock, utc(body["time"]), bool(body.get("exclusive")), holder))
        return len(ids), locks

    def backup(
        self,
        paths: Sequence[Path],
        *,
        tags: Sequence[str],
        exclude_file: Path | None = None,
        exclude: Sequence[str] = (),
        linked: bool = False,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Stored:
        """Store `paths`; every one must exist, since restic skips a missing one and exits with 0.

        A partial result (exit 3) is returned with its warning; all else raises. `linked`: the files are links to
        others, so that their inodes' times change and their contents do not.
        """
        for path in paths:
            if not path.exists():
                raise BackupFailed(f"{path} is not there", hint="mount or create it, or change the plan")
        argv = self._backup_argv(tags)
        if exclude_file is not None:
            argv += ["--exclude-file", str(exclude_file)]
        argv += [word for pattern in exclude for word in ("--exclude", pattern)]
        if linked:
            argv.append("--ignore-ctime")
        argv += ["--", *map(str, paths)]
        return self.unlocking(lambda: self._backup(argv, on_bytes))

    def unlocking(self, call: Callable[[], T]) -> T:
        """Where a lock keeps it from its work, one more try: `unlock` removes only locks whose owner is dead or that
        are old."""
        try:
            return call()
        except RepositoryLocked:
            self._run(["unlock"], what="removing stale locks")
            return call()

    def backup_output(
        self,
        argv: Sequence[str],
        name: str,
        *,
        tags: Sequence[str],
        on_bytes: Callable[[int], None],
        go_on: Callable[[], None],
    ) -> Stored:
        """Store what a program writes on its standard output as the file `name` at the root of a snapshot; nothing
        where it does not exit with 0. `go_on` is called again and again: what it raises stops restic.

        The output comes only once, so a lock that somebody left is not a reason to try again: it is looked for first.
        """
        if self.locks(most=0)[0]:
            self._run(["unlock"], what="removing stale locks")
        words = ["--stdin-filename", name, "--stdin-from-command", "--", *argv]
        return self._backup([*self._backup_argv(tags), *words], on_bytes, go_on)

    @property
    def _at(self) -> str:
        return f" at {self.location}" if self.location.startswith("/") else ""

    def _backup_argv(self, tags: Sequence[str]) -> list[str]:
        argv = ["backup", "--json", "--no-scan", "--host", PINNED_HOST, "--retry-lock", f"{self.lock_wait:.0f}s"]
        argv += [word for tag in tags for word in ("--tag", tag)]
        if self.upload_limit:
            argv += ["--limit-upload", str(max(1, self.upload_limit // 1024))]
        return argv

    def _backup(
        self,
        argv: Sequence[str],
        on_bytes: Callable[[int], None] | None,
        go_on: Callable[[], None] | None = None,
    ) -> Stored:
        summary, code, stderr = self._json_run(argv, "storing the backup", on_bytes, go_on)
        if code not in (0, PARTIAL) or "snapshot_id" not in summary:
            raise BackupFailed(
                f"restic stored nothing (exit {code}): {stderr.answer or 'it gave no summary'}",
                hint=f"earlier backups are not affected; check the free space{self._at}, and solve what restic says",
                words=stderr,
            )
        return Stored(
            id=str(summary["snapshot_id"]),
            bytes=int(summary["total_bytes_processed"]),
            added=int(summary.get("data_added_packed", summary.get("data_added", 0))),
            warning=None if code == 0 else "restic exit 3" + (f": {stderr.answer}" if stderr.answer else ""),
            words=stderr,
            growth=Growth(
                *(int(summary.get(key, 0)) for key in ("total_bytes_processed", "data_added", "data_added_packed")),
                *(int(summary.get(key, 0)) for key in ("total_files_processed", "files_new", "files_changed")),
            ),
        )

    def with_cache(self, directory: Path) -> Restic:
        """The same repository, its metadata cached in `directory`."""
        return replace(self, cache=directory)

    def impatient(self, seconds: float = PROBE_WAIT) -> Restic:
        """The same repository for what may be left undone: it waits neither for locks nor for a dead server."""
        host = self.host.with_(no_progress=min(seconds, self.host.no_progress))
        return replace(self, host=host, lock_wait=min(1.0, self.lock_wait))

    def snapshots(self, tags: Sequence[str], *, within: float = 2 * PROBE_WAIT) -> list[RepoSnapshot]:
        """All snapshots that carry every one of `tags`, oldest first."""
        argv = ["snapshots", "--json", "--no-lock", "--tag", ",".join(tags)]
        listing = self._run(argv, what="listing snapshots", within=within)
        try:
            listed = [
                RepoSnapshot(
                    (self.copied and s.get("original")) or s["id"],
                    utc(s["time"]),
                    utc((s.get("summary") or {}).get("backup_end") or s["time"]),
                    tuple(s["paths"]),
                    tuple(s.get("tags") or ()),
                    int((s.get("summary") or {}).get("total_bytes_processed") or 0),
                    (s["id"],) if self.copied and s.get("original") else (),
                )
                for s in json.loads(listing or "[]") or []
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryUnavailable(f"restic's list of snapshots cannot be read: {type(error).__name__}") from None
        return sorted(self._each_once(listed) if self.copied else listed, key=lambda s: s.time)

    def _each_once(self, listed: Sequence[RepoSnapshot]) -> list[RepoSnapshot]:
        once: dict[str, RepoSnapshot] = {}
        for s in sorted(listed, key=lambda s: s.held_as):
            before = once.get(s.id)
            once[s.id] = s if before is None else replace(before, held_as=(*before.held_as, *s.held_as))
        self._held.update({s.id: s.held_as for s in once.values() if s.held_as})
        return list(once.values())

    def held_as(self, snapshot: str) -> tuple[str, ...]:
        """The ids that a snapshot has here: its own, or those of its copies."""
        if self.copied and snapshot not in self._held:
            self.snapshots([OURS])
            self._held.setdefault(snapshot, (snapshot,))
        return self._held[snapshot] if self.copied else (snapshot,)

    def holds_others_than(self, listed: Sequence[RepoSnapshot]) -> bool:
        """May it hold a snapshot that this list lacks? By the store's own listing, where it has one: opening a
        repository costs restic half a second of a processor."""
        store = store_at(self.location, self.env)
        if store is None:
            return True
        known = {f"snapshots/{name}" for one in listed for name in (one.held_as or (one.id,))}
        try:
            return not known.issuperset(store.below("snapshots"))
        except (OSError, CcdrError):
            return True

    def nodes(self, snapshot: str) -> Iterator[StoredNode]:
        """Every entry that a snapshot holds, its paths' parents included."""
        entries: list[StoredNode] = []

        def line(text: str) -> None:
            node = json.loads(text)
            if node.get("struct_type") == "node":
                times = (0, 0, 0)  # what has no time that can be read is like nothing that was listed
                with contextlib.suppress(ValueError, KeyError):
                    times = (nanoseconds(node["mtime"]), nanoseconds(node["ctime"]), int(node.get("inode", 0)))
                entries.append(StoredNode(node["path"], node["type"], int(node.get("size", 0)), *times))

        argv = self._argv(["ls", "--json", "--no-lock", self.held_as(snapshot)[0]])
        with as_repository_error(self):
            self.host.run(argv, env=self.call_env, what="listing a snapshot (restic ls)", on_line=line)
        return iter(entries)

    def prefer(self, snapshot: str, held: str) -> None:
        """Of the copies of a snapshot this one is asked from now on."""
        self._held[snapshot] = (held, *(one for one in self.held_as(snapshot) if one != held))

    def read(self, snapshot: str, path: PurePosixPath, held: str | None = None) -> str:
        """A small text file of a snapshot, or of its copy `held`; BackupBad where the repository answers but the file
        cannot be had."""
        try:
            # Whoever wrote the snapshot chose the path: it is never an option of restic's.
            argv = ["dump", "--no-lock", "--", held or self.held_as(snapshot)[0], str(path)]
            return self._run(argv, what=f"reading {path.name}", within=2 * PROBE_WAIT)
        except CommandFailed as error:
            raise judged(self, error, f"{path.name} of snapshot {snapshot[:8]} cannot be read") from None

    def archive(self, snapshot: str, root: str, *, most: int) -> bytes:
        """The snapshot's subtree `root` as a tar archive, for what is small: OutputTooLong where it is more than `most`
        bytes. BackupBad where the repository answers but the subtree cannot be had."""
        argv = self._argv(["dump", "--no-lock", "--archive", "tar", "--", snapshot, root])
        host = self.host.with_(no_progress=min(2 * PROBE_WAIT, self.host.no_progress))
        try:
            with as_repository_error(self):
                out = host.run(
                    argv, env=self.call_env, what=f"reading snapshot {snapshot[:8]} (restic dump)", most=most
                )
        except CommandFailed as error:
            raise judged(self, error, f"snapshot {snapshot[:8]} cannot be read") from None
        return out.stdout.encode("utf-8", "surrogateescape")

    def restore(
        self,
        snapshot: str,
        root: str,
        target: Path,
        *,
        on_bytes: Callable[[int], None] | None = None,
        only: Sequence[str] = (),
    ) -> None:
        """Write the snapshot's subtree `root` into `target`; of it `only` what these patterns name, if any do.
        Nothing of it may be used when this raises: restic leaves full-length files behind even where a pack is damaged.

        BackupBad when the repository is to blame, TestBroken when the way to it or this host is.
        """
        held = self.held_as(snapshot)[0]
        where = f"{held}:{root}" if root != "/" else held
        argv = ["restore", "--json", "--no-lock", "--target", str(target)]
        argv += [word for pattern in only for word in ("--include", pattern)]
        if self.download_limit:
            argv += ["--limit-download", str(max(1, self.download_limit // 1024))]
        try:
            summary, code, stderr = self._json_run([*argv, where], "fetching the snapshot", on_bytes)
            self.restored.append(int(summary.get("bytes_restored", 0)))
            if code != 0:
                raise CommandFailed(["restic", "restore"], code, stderr, what="restic restore")
        except CommandFailed as error:
            raise judged(self, error, f"fetching snapshot {snapshot[:8]} failed") from None

    def rewritten_by(self) -> str | None:
        """Who holds restic's exclusive lock now, as one sentence; None where nobody does. Whoever reads without a lock
        may miss files that a prune has just replaced. A lock that is not renewed is a dead owner's."""
        with contextlib.suppress(CcdrError, ValueError, KeyError):
            for lock in self._run(["list", "locks", "--no-lock"], what="listing locks", within=PROBE_WAIT).split():
                text = self._run(["cat", "lock", lock, "--no-lock"], what="reading a lock", within=PROBE_WAIT)
                body = json.loads(text)
                if body.get("exclusive") and datetime.now(UTC) - utc(body["time"]) < STALE_LOCK:
                    return f"{body.get('hostname')} holds the repository for itself since {body['time']}"
        return None

    def ask(self, args: Sequence[str], *, what: str) -> str:
        """The answer of a short call that changes nothing. Raises as `probe`."""
        return self._run(args, what=what, within=PROBE_WAIT)

    def change(self, args: Sequence[str], *, what: str, within: float = 2 * PROBE_WAIT) -> None:
        """A short call that takes restic's lock; a stale one is removed once. Raises as `probe`, or as locked."""
        argv = [*args, "--retry-lock", f"{self.lock_wait:.0f}s"]
        self.unlocking(lambda: self._run(argv, what=what, within=within + self.lock_wait))

    def _argv(self, args: Sequence[str]) -> list[str]:
        return ["restic", "-r", self.location, "--cache-dir", str(self.cache), *args]

    def _run(self, args: Sequence[str], *, what: str, within: float = math.inf) -> str:
        """A short call; its standard output. What every command answers alike is raised here.

        It is stopped after `within` seconds, or the asset's `no_progress` where that is less. What it says is no
        sign of progress: restic tells of every try to reach a dead server, for a quarter of an hour.
        """
        host = self.host.with_(no_progress=min(within, self.host.no_progress))
        ask = partial(
            host.run, self._argv(args), env=self.call_env, what=f"{what} (restic {args[0]})", pulse=lambda: None
        )
        with as_repository_error(self):
            try:
                return ask().stdout
            except CommandFailed as error:
                # A wrong password, or a store that was in trouble and listed no key, which restic does not tell apart.
                if error.code != WRONG_PASSWORD:
                    raise
            return ask().stdout

    def _json_run(
        self,
        args: Sequence[str],
        what: str,
        on_bytes: Callable[[int], None] | None,
        go_on: Callable[[], None] | None = None,
    ) -> tuple[dict[str, Any], int, FreeText]:
        """A long call: the summary, the exit code, what it said. Stops restic when no byte moves, or `go_on` raises."""
        status: dict[str, Any] = {}
        summary: dict[str, Any] = {}

        def line(text: str) -> None:
            with contextlib.suppress(ValueError):
                message = json.loads(text)
                if message.get("message_type") == "summary":
                    summary.update(message)
                elif message.get("message_type") == "status":
                    status.update(message)
                    if on_bytes is not None:
                        on_bytes(int(message.get("bytes_done", message.get("bytes_restored", 0))))

        def pulse() -> object:
            if go_on is not None:
                go_on()
            return [status.get(key) for key in ("bytes_done", "files_done", "bytes_restored", "files_restored")]

        env = {"GOGC": GOGC, **self.call_env, "RESTIC_PROGRESS_FPS": "2"}
        with as_repository_error(self):
            out = self.host.run(
                self._argv(args),
                env=env,
                what=f"{what} (restic {args[0]})",
                ok=range(0, 256),
                pulse=pulse,
                on_line=line,
            )
            stderr = readable(out.stderr)
            if out.code in (NO_REPOSITORY, LOCKED, WRONG_PASSWORD):
                raise CommandFailed(["restic", args[0]], out.code, stderr, what=what)
        return summary, out.code, stderr
