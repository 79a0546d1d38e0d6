"""The state directory: who owns what in it, locks, and each run's scratch. What is JSON is one type a file, written
and read by state_files.py.

version      the format of all this, a whole number; every ccdr at work holds it open, see migrate.py
ledger/      the evidence
ledgers/     other ledgers, by their ids: lost ones that were brought back, and other hosts'
collected/   plans of other hosts, by the ids of their ledgers, as evidence buckets held them
chain.json   which ledger it is, a mark in it, and what it says of itself: see evidence/lineage
compared.json when each repository was last asked what it attests of the ledger, so that none is asked by each run
told-ledger.json what of the ledger's troubles a run has printed; when lost, all are printed again
payloads/    what people gave as reasons: the ledger holds their salted hashes
catalogue/   every snapshot that counts, with its manifest; rebuilt from the repository when lost
index/       the last listing of each file tree, so that digests carry over; and what the ledger had come to when it was
             last verified (summary.py, report/index.py), made anew each day
schedule/    where each schedule of `ccdr run` stands
locks/       one file per plan, asset and verb, and per repository
verified.json where the ledger tells of its newest verification; when lost, it is verified again
retired.json for how many days runs have not seen what no plan names; when lost, they count from now
by-itself.json  plans for which `ccdr run` has come without a person who typed it
asked.json   when `ccdr run` was last asked for what; when lost, that counts from now
runbook/     each run of a runbook: a line for each happening, never changed
shipping/    each log that is shipped: its spool, and how far it is stored
told.json    who was told what; when lost, all that is wrong is told again
packages/    where a package for a group is being written, and in what, to be cleared if that is killed
recover/     each recovery's journal, by which `ccdr recover --resume` goes on
object_locks/ until when what is in use is locked; when lost, the store is asked
private/     what restore tests found, by name, and what programs said: for people's eyes, and for a week
scratch/     captures and fetched snapshots; a run's own part goes with the run
cache/       restic's cache
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, Locked
from ccdr.model.values import rfc3339, utc

if TYPE_CHECKING:
    from ccdr.ports.place import Clock
from ccdr.host.files import free, remove_tree

# How the state directory is laid out, and what its files mean. A change that an earlier ccdr would misread makes this
# one more, and adds a step to migrate.py.
FORMAT = 3
RESTORE_MARK = "ccdr-restore"  # in the name of a directory into which a restore for real writes
PARTS = ("ledger", "catalogue", "index", "schedule", "locks", "scratch", "cache", "shipping", "private")
# `held` and `at_work` take a lock for a moment to see whether it is free; whoever wants it tries again.
GLANCES = 5
PRIVATE_KEPT, PRIVATE_MOST = timedelta(days=7), 100  # of notes by name: how long, and of how many runs
WORDS_MOST = 2**20  # bytes of what programs said in one run
CACHE_KEPT, CACHE_NAME = timedelta(days=30), 64  # a cache's name is its repository's id
CREATED_WITHIN = 6000  # glances, which is two minutes


@dataclass
class Run:
    """One run's identity and its scratch directory; `problems` is what could not be removed of it."""

    id: str
    scratch: Path
    kept_until: datetime | None = None
    problems: list[str] = field(default_factory=list)

    def directory(self, name: str) -> Path:
        """A new directory of this run's own, mode 0700."""
        path = self.scratch / name
        path.mkdir(mode=0o700)
        return path

    def clear(self) -> None:
        """Remove its scratch, unless that is kept. Whoever records the run's end does it before, and ends the run only
        then: for all others a run without an end that nobody holds any more has crashed."""
        if self.kept_until is None and self.scratch.exists():
            self.problems = remove_tree(self.scratch)


@dataclass(frozen=True)
class State:
    root: Path
    in_use: object = field(default=None, repr=False, compare=False)  # keeps migrations away as long as it lives

    @property
    def id(self) -> str:
        """Names this installation in labels, without telling its path."""
        return sha256(os.fsencode(self.root.absolute())).hexdigest()[:12]

    def directory(self, *parts: str) -> Path:
        """A directory of ours, made with mode 0700; CcdrError where it cannot be."""
        path = self.root.joinpath(*parts)
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.mark()
            for depth in range(1, len(parts) + 1):
                self.root.joinpath(*parts[:depth]).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CcdrError(
                f"the state directory {path} cannot be made: {error.strerror}",
                hint="name a directory that you may write, with --state DIR or CCDR_STATE",
            ) from None
        return path

    @property
    def version_file(self) -> Path:
        return self.root / "version"

    @property
    def has_contents(self) -> bool:
        return self.version_file.exists() or any((self.root / part).exists() for part in PARTS)

    def mark(self) -> None:
        """State that bears no number yet gets one."""
        if self.version_file.exists():
            return
        # Whole or not at all, and whoever comes second keeps what the first wrote.
        new = self.root / f".version.{secrets.token_hex(4)}"
        try:
            new.touch(mode=0o600)
            new.write_text(f"{FORMAT}\n", "ascii")
            with contextlib.suppress(FileExistsError):
                os.link(new, self.version_file)
        finally:
            new.unlink(missing_ok=True)

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def index(self) -> Path:
        """What is made anew from the ledger each day, so that years of it need not be read."""
        return self.root / "index"

    @contextlib.contextmanager
    def lock(self, plan: str, asset: str, verb: str, *, whole: bool = False) -> Iterator[None]:
        """One run at a time per asset and verb; Locked (exit 5) where another has it. Death gives it back. `whole`: one
        command, which takes the locks of all its assets by this before it begins with the first."""
        with self._flock(self._lock_path(plan, asset, f"{verb}-command" if whole else verb), tries=GLANCES) as got:
            if not got:
                what = f"{plan}/{asset}" if asset else plan
                raise Locked(
                    f"another `ccdr {verb}` of {what} is running",
                    hint="wait for it; `ps aux | grep ccdr` shows it",
                )
            yield

    @contextlib.contextmanager
    def reading(self, location: str) -> Iterator[None]:
        """While the repository at `location` is read, or added to, any number at a time: what is removed from it under
        a reader's hands would look like damage, and a backup would wait for restic's lock, and then fail. Locked
        where old data is being removed on this host."""
        with self._flock(self._repository_lock(location), tries=GLANCES, shared=True) as got:
            if not got:
                raise Locked(
                    "`ccdr upkeep` is removing old data from the repository", hint="wait for it, then run this again"
                )
            yield

    @contextlib.contextmanager
    def rewriting(self, location: str) -> Iterator[None]:
        """While data is removed from it. Locked where somebody is reading, or adding to it, on this host."""
        with self._flock(self._repository_lock(location), tries=GLANCES) as got:
            if not got:
                raise Locked(
                    "a backup, a restore test, a restore or a check is using the repository",
                    hint="wait for it, then run this again",
                )
            yield

    @contextlib.contextmanager
    def creating(self, location: str) -> Iterator[None]:
        """While it is found out whether the repository at `location` must be created, and it is. One after the other:
        two of them at once would be a damaged one."""
        path = self._repository_lock(location).with_suffix(".creating")
        with self._flock(path, tries=CREATED_WITHIN) as got:
            if not got:
                raise Locked("another ccdr is creating the repository", hint="wait for it, then run this again")
            yield

    def _repository_lock(self, location: str) -> Path:
        return self.root / "locks" / f"repository-{sha256(location.encode()).hexdigest()[:12]}.lock"

    def held(self, plan: str, asset: str, verb: str) -> bool:
        """Is such a run under way?"""
        return self._taken(self._lock_path(plan, asset, verb))

    @staticmethod
    def _taken(path: Path) -> bool:
        """Does anybody hold that lock? Makes nothing, and two that look at once do not take each other for a holder."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no run of ours bears such a name
            return False
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise CcdrError(f"the lock {path} cannot be looked at: {error.strerror}") from None
        try:
            return not free(handle, 1, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    def _lock_path(self, plan: str, asset: str, verb: str) -> Path:
        return Path(f"{self.root}/locks/{plan}.{asset}.{verb}.lock")

    @contextlib.contextmanager
    def _flock(self, path: Path, *, tries: int = 1, shared: bool = False) -> Iterator[bool]:
        """Yields whether the lock was free, at the last of some tries."""
        self.directory(str(path.parent.relative_to(self.root)))
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CcdrError(f"the lock {path} cannot be taken: {error.strerror}") from None
        try:
            yield free(handle, tries, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def turn(self, name: str, *, tries: int = GLANCES) -> Iterator[bool]:
        """Yields whether the lock of this name was free, and holds it then; a try takes a fiftieth of a second."""
        with self._flock(self.root / "locks" / f"{name}.lock", tries=tries) as got:
            yield got

    @staticmethod
    def run_id(clock: Clock) -> str:
        """A new one; it tells when."""
        return f"{clock.now().astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    @contextlib.contextmanager
    def run(self, clock: Clock) -> Iterator[Run]:
        """A new run with an empty scratch directory, removed at its end unless `kept_until` was set."""
        run_id = self.run_id(clock)
        with self._flock(self._alive_path(run_id), tries=GLANCES):  # first: scratch without it is a dead run's
            scratch = self.directory("scratch", f"run-{run_id}")
            run = Run(run_id, scratch)
            try:
                yield run
            finally:
                if run.kept_until is not None:
                    self._alive_path(run_id).write_text(f"{rfc3339(run.kept_until)}\n", "ascii")
                else:
                    run.clear()
                    self._alive_path(run_id).unlink(missing_ok=True)

    def _alive_path(self, run_id: str) -> Path:
        return self.root / "scratch" / f"run-{run_id}.alive"

    def at_work(self, run_id: str) -> bool:
        """Does a process hold this run? From before its start is recorded until after its end is. False for other
        installations' runs."""
        return self._taken(self._alive_path(run_id))

    def runs_at_work(self) -> frozenset[str]:
        """All that a process holds now."""
        ids = (path.stem.removeprefix("run-") for path in (self.root / "scratch").glob("run-*.alive"))
        return frozenset(run_id for run_id in ids if self.at_work(run_id))

    def alive(self, run_id: str, now: datetime) -> bool:
        """Does a process still hold this run, or is it kept until later? False for other installations' runs."""
        if self.at_work(run_id):
            return True
        with contextlib.suppress(OSError, ValueError):
            return now < utc(self._alive_path(run_id).read_text("ascii").strip())
        return False

    def kept_runs(self, now: datetime) -> list[Path]:
        """Scratch directories of runs that have ended and are kept until later, for a person's look."""
        runs = []
        for path in sorted((self.root / "scratch").glob("run-*.alive")):
            run_id = path.stem.removeprefix("run-")
            if not self.at_work(run_id) and self.alive(run_id, now):
                runs.append(path.with_suffix(""))
        return runs

    def dead_runs(self, now: datetime) -> list[Path]:
        """Scratch directories whose run has ended without removing them, or whose keeping has."""
        scratch = self.root / "scratch"
        runs = scratch.glob("run-*") if scratch.is_dir() else ()
        return sorted(p for p in runs if p.is_dir() and not self.alive(p.name.removeprefix("run-"), now))

    def capture_path(self, plan: str, asset: str) -> Path:
        """Where an asset's captures are made: always the same place, so that restic finds the previous snapshot
        as its parent. Whoever holds the asset's backup lock owns it."""
        return self.root.absolute() / "scratch" / "capture" / plan / asset

    def keep_private(self, run_id: str, notes: Path) -> Path:
        """Keep what a run has noted by name, out of every record: mode 0600, for `PRIVATE_KEPT`."""
        kept = self.directory("private") / f"{run_id}.jsonl"
        notes.replace(kept)
        return kept

    def keep_words(self, run_id: str, words: FreeText) -> Path | None:
        """Keep what programs said while a run was at work, out of every record: mode 0600, for `PRIVATE_KEPT`, no more
        than `WORDS_MOST`. None where nothing was said, or cannot be kept: it is no reason to fail."""
        path = self.words_path(run_id)
        try:
            if words and (not path.exists() or path.stat().st_size < WORDS_MOST):
                self.directory("private")
                path.touch(mode=0o600)
                with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(f"{rfc3339(datetime.now(UTC).replace(microsecond=0))}\n{words.shown.strip()}\n\n")
        except (OSError, CcdrError):
            return None
        return path if path.exists() else None

    def kept_as(self, path: Path, now: datetime) -> tuple[str, datetime]:
        """How a program is told of such a file: where in the state it lies, and until when."""
        return str(path.relative_to(self.root)), (now + PRIVATE_KEPT).replace(microsecond=0)

    def private_of(self, run_id: str) -> list[Path]:
        """What is kept for people's eyes of a run: its programs' words, and what it found by name."""
        paths = (self.words_path(run_id), Path(f"{self.root}/private/{run_id}.jsonl"))
        return [path for path in paths if path.exists()]

    def words_path(self, run_id: str) -> Path:
        """Where what programs said in a run is kept, if anything was said."""
        return Path(f"{self.root}/private/{run_id}.txt")  # `status` asks for hundreds: `/` takes as long as the look

    def forget_private(self, now: datetime) -> None:
        """Remove what has been kept for long enough, or is more than should be there."""
        kept = sorted((self.root / "private").glob("*.*"), key=lambda path: path.name, reverse=True)
        for number, path in enumerate(kept):
            with contextlib.suppress(OSError):
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if number >= PRIVATE_MOST or now - written > PRIVATE_KEPT:
                    path.unlink()

    def forget_caches(self, now: datetime) -> None:
        """Remove restic's caches of repositories that nobody has used for a month. restic stamps one it uses."""
        for path in (self.root / "cache").glob("[0-9a-f]*"):
            with contextlib.suppress(OSError):
                used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if len(path.name) == CACHE_NAME and path.is_dir() and now - used > CACHE_KEPT:
                    remove_tree(path)

    def captures(self) -> list[tuple[str, str]]:
        """Plan and asset of every capture that is there: under way, or left by a crash."""
        return sorted((p.parent.name, p.name) for p in (self.root / "scratch" / "capture").glob("*/*"))

    def forget_run(self, scratch: Path) -> list[str]:
        """Remove a dead run's scratch; what could not be removed."""
        problems = remove_tree(scratch)
        if not problems:
            self._alive_path(scratch.name.removeprefix("run-")).unlink(missing_ok=True)
        return problems


def default_state() -> Path:
    """`/var/lib/ccdr` for root, the user's state directory otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/ccdr")
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "ccdr"
