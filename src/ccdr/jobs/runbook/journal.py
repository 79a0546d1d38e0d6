"""A run's journal on disk, and in the bucket of a plan's `runbook_state:`: a line a happening, there for good before
anything else is done.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ccdr.host.clock import boot
from ccdr.host.files import sync_directory
from ccdr.host.processes import Host
from ccdr.host.secrets import env_file
from ccdr.host.state import State
from ccdr.jobs.runbook.events import Event, What, read, written
from ccdr.jobs.runbook.seals import VERB, Seals, bare
from ccdr.jobs.sealing import key_of
from ccdr.model.errors import CcdrError, Locked, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Clock
from ccdr.storage.runbook_bucket import OnceOnly, WrittenBefore
from ccdr.storage.s3 import Bucket

# Where the plan's `runbook_state:` names a bucket, each happening is an object of its own there, written once:
# whoever comes second does not get its number, and so learns that another host goes on.

PLACE = "runbook"
SHARED_AGAIN = 30.0  # seconds until a bucket that did not answer is asked again: nobody waits for it meanwhile
_RUN = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


BUCKET = (
    "find out who may put there, and whether each host has the same password and ccdr; to go on without that bucket, "
    "take `runbook_state:` out of the plan"
)


class Taken(Exception):
    """Another host has written the happening of that number."""


class Forged(CcdrError):
    """Nobody who has the repository's password has written it; `before` are the happenings before it."""

    def __init__(self, where: str, hint: str = BUCKET, before: Sequence[Event] = ()) -> None:
        super().__init__(
            f"{where} was not written with this plan's repository password, and is not believed", hint=hint
        )
        self.before = list(before)


class SharedState(Protocol):
    """Where other hosts see it, too. CcdrError where it cannot be reached."""

    def runs(self) -> list[str]:
        """The runs that are there, oldest first."""

    def events(self, run: str, after: int = 0) -> list[Event]:
        """The happenings of a run behind that number, without a gap. Forged where one is none."""

    def put(self, run: str, event: Event) -> None:
        """Taken where another host has written that number first, Forged where somebody else has."""


def directory(state: State, plan: str) -> Path:
    return state.root / PLACE / plan


def runs_here(state: State, plan: str) -> list[str]:
    """The runs that this host knows, oldest first."""
    found = directory(state, plan).glob("*.jsonl")
    return sorted(path.stem for path in found if _RUN.fullmatch(path.stem))


def read_journal(path: Path) -> list[Event]:
    """As `read_sealed`, without the seals."""
    return [bare(event) for event in read_sealed(path)]


def read_sealed(path: Path) -> list[Event]:
    """All of it but a line that was cut off while it was written. CcdrError where it is not what ccdr writes."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CcdrError(f"{path} cannot be read: {error.strerror}") from None
    lines = raw.split(b"\n")[:-1]
    events = [read(line, str(path)) for line in lines]
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        raise CcdrError(f"{path} lacks happenings", hint="somebody changed it: put it back from a copy")
    return events


@dataclass
class Journal:
    """One run's. Whoever appends holds the plan's runbook lock. `seals`: None where nobody can make them."""

    path: Path
    run: str
    clock: Clock
    session: str
    by: str
    host: str
    shared: SharedState | None = None
    events: list[Event] = field(default_factory=list)
    shared_up_to: int = 0
    unshared: str | None = None  # why the bucket lacks the last of it
    tell: Callable[[str], None] = lambda _: None
    seals: Seals | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _broken: CcdrError | None = None
    _not_before: float = float("-inf")

    def append(self, what: What, **of: Any) -> Event:
        """On disk when this returns, and in the bucket where that answers. CcdrError where the disk refuses: then it
        did not happen. Locked where another host goes on."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            event = self._made(what, **of)
            self._write(event)
            self.events.append(event)
            self._share()
            return event

    def as_next_of(self, events: Sequence[Event], what: What) -> Event:
        """What would be the next happening behind those."""
        return msgspec.structs.replace(self._made(what), seq=len(events) + 1)

    def _made(self, what: What, **of: Any) -> Event:
        return Event(
            seq=len(self.events) + 1,
            what=what,
            time=self.clock.now(),
            mono=self.clock.monotonic(),
            session=self.session,
            by=of.pop("by", self.by),
            host=self.host,
            pid=os.getpid(),
            boot=(boot() or "")[:16],
            **of,
        )

    def _write(self, event: Event) -> None:
        line = written(self.seals.sealed(self.run, event) if self.seals is not None else event)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(handle, end := _whole(handle))  # a line that was cut off
                os.lseek(handle, end, os.SEEK_SET)
                if os.write(handle, line) != len(line):
                    os.ftruncate(handle, end)
                    raise OSError(28, os.strerror(28))
                os.fsync(handle)
            finally:
                os.close(handle)
            if new:
                sync_directory(self.path.parent)
                sync_directory(self.path.parent.parent)
        except OSError as error:
            raise CcdrError(
                f"{self.path} cannot be written: {error.strerror}",
                hint="free space there: nothing is begun that could not be written down",
            ) from None

    def _share(self) -> None:
        """What the bucket lacks, in order. One that does not answer stops nobody in an emergency."""
        if self.shared is None or self.clock.monotonic() < self._not_before:
            return
        try:
            while self.shared_up_to < len(self.events):
                self.shared.put(self.run, self.events[self.shared_up_to])
                self.shared_up_to += 1
            self.unshared = None
        except Taken:
            self._broken = self._lost()
            raise self._broken from None
        except CcdrError as error:
            if self.unshared is None:
                self.tell(f"the runbook's state is on this host alone: {error}")
            self.unshared = str(error)
            self._not_before = self.clock.monotonic() + SHARED_AGAIN

    def _lost(self) -> Locked:
        other = None
        with contextlib.suppress(CcdrError):
            assert self.shared is not None
            theirs = self.shared.events(self.run, self.shared_up_to)
            other = next((event for event in theirs if event.what in ("taken_over", "session")), None)
        return somebody_else(other)

    def let_go(self, why: CcdrError) -> None:
        """Another host goes on: that is written down here, for whoever looks at this host's state later. CcdrError
        where the disk refuses."""
        self.shared, self._broken = None, None
        self.append("lost", reason=str(why))

    def behind(self) -> None:
        """Locked where the bucket knows more than this host: another one goes on. CcdrError where it does not answer is
        told, and stops nobody."""
        if self.shared is None:
            return
        mine = {event.seq: event for event in self.events}
        try:
            theirs = self.shared.events(self.run)
        except CcdrError as error:
            self.tell(f"the runbook's state in the bucket cannot be read: {error}")
            self.unshared = str(error)
            return
        for event in theirs:
            if mine.get(event.seq) != event:
                raise somebody_else(next((e for e in theirs if e.seq >= event.seq and e.what == "taken_over"), event))
        self.shared_up_to = len(theirs)


def _whole(handle: int) -> int:
    """Where the last whole line ends."""
    size = os.lseek(handle, 0, os.SEEK_END)
    if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
        return size
    return os.pread(handle, size, 0).rfind(b"\n") + 1


def somebody_else(event: Event | None) -> Locked:
    """Who goes on, where, since when."""
    who = f"{event.by} on {event.host}, since {rfc3339(event.time.replace(microsecond=0))}" if event else "another host"
    return Locked(
        f"the runbook is being carried out by {who}",
        hint="ask them; `ccdr runbook status` shows how far it is. Where that host is gone: `ccdr runbook take-over`",
    )


def events_of(state: State, plan: str, run: str) -> list[Event]:
    return read_journal(directory(state, plan) / f"{run}.jsonl")


def newest_of(state: State, plan: str) -> tuple[str, list[Event]] | None:
    """The newest run that this host knows, and what happened in it; None where there was none."""
    runs = runs_here(state, plan)
    for run in reversed(runs):
        if events := events_of(state, plan, run):
            return run, events
    return None


# The bucket of a plan's `runbook_state:` as a run's journal sees it.
#
# Whoever may put there could write what never happened: a triage that found all dead, a step that is done. So each
# happening bears a seal (`seals.py`), which a credential for the bucket does not give.


@dataclass
class SharedInBucket:
    """`SharedState` in a bucket."""

    store: OnceOnly[Event]

    def runs(self) -> list[str]:
        return self.store.runs()

    def events(self, run: str, after: int = 0) -> list[Event]:
        found: list[Event] = []
        try:
            for event in self.store.numbered(run, after):
                found.append(event)
        except Forged as error:
            error.before = found
            raise
        return found

    def put(self, run: str, event: Event) -> None:
        try:
            self.store.put(run, event.seq, event)
        except WrittenBefore:
            self.events(run, event.seq - 1)  # Forged where no host of ours was first
            raise Taken from None


def shared_of(loaded: LoadedPlan, host: Host) -> SharedState | None:
    """None where the plan names none. UsageProblem where its credential cannot be had."""
    stated = loaded.plan.runbook_state
    if stated is None:
        return None
    found = Bucket.of(stated.url, env_file(stated.env_file))
    if found is None:
        raise UsageProblem("runbook_state: is no bucket", hint="write it like s3:https://s3.example/ccdr-runbooks")
    bucket, prefix = found
    seals = Seals(loaded.plan.plan, key_of(loaded, host, VERB))
    return SharedInBucket(OnceOnly(bucket, prefix, seals.plan, partial(_sealed, seals), partial(_opened, seals)))


def _sealed(seals: Seals, run: str, event: Event) -> bytes:
    return written(seals.sealed(run, event))


def _opened(seals: Seals, run: str, line: bytes, where: str) -> Event:
    """Forged where no host that has the repository's password has written it, as the happening of that number of that
    run."""
    try:
        event = read(line, where)
    except CcdrError:
        raise Forged(where) from None
    if not where.endswith(f"/{event.seq:08}.json") or not seals.good(run, event):
        raise Forged(where)
    return bare(event)
