"""What a recovery has done so far, so that another process can go on with it: one directory a recovery, in the state;
whether it still says what was decided, and how long nothing was at work.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Literal, get_args

import msgspec

from ccdr import __version__
from ccdr.evidence.records import RecoverStart
from ccdr.host.clock import boot
from ccdr.host.files import sync_directory
from ccdr.host.state import State
from ccdr.host.state_files import made_of, plain
from ccdr.jobs.sealing import Key, is_seal, seal
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, require_format
from ccdr.model.instant import Instant
from ccdr.model.values import to_the_second

# How long nothing was at work on a recovery: between the processes that worked on it. Seconds, by a clock that never
# jumps where both saw the same start of the machine; else only the wall's can tell.

BACK = 2.0  # seconds by which a wall clock may go back between two looks without having been set


@dataclass(frozen=True)
class Moment:
    """One instant, as the wall's clock has it, and `mono` by the other one, which counts from the machine's start
    `boot`; None where the machine does not tell that."""

    at: datetime
    mono: float
    boot: str | None


@dataclass(frozen=True)
class Session:
    """One process: `seconds` of the recovery that lay behind when it was last heard of."""

    began: Moment
    heard: Moment
    seconds: float = 0.0


@dataclass(frozen=True)
class Away:
    """`unknown`: a clock was set back meanwhile, and no other one tells how long it really was."""

    seconds: float = 0.0
    unknown: bool = False


def away(sessions: Sequence[Session], now: Moment) -> Away:
    """From each process to the next, and from the last one until now."""
    between = [(one.heard, other.began) for one, other in pairwise(sessions)]
    between += [(sessions[-1].heard, now)] if sessions else []
    gaps = [_gap(earlier, later) for earlier, later in between]
    return Away(sum(max(0.0, gap) for gap in gaps), any(gap < -BACK for gap in gaps))


def _gap(earlier: Moment, later: Moment) -> float:
    if earlier.boot and earlier.boot == later.boot:
        return later.mono - earlier.mono
    return (later.at - earlier.at).total_seconds()


# `journal.jsonl` holds one JSON object a line, each on disk before the work goes on: first what was decided, then
# what was reached, asset by asset. A line that was not written whole is the last one, and says nothing. It is private
# to whoever may read the state: it holds names of places. Each line bears a seal, made with the repository's
# password: whoever may write the state cannot add to it what never happened.

FORMAT = 3
ROOM = "recover"  # in the state directory
FILE = "journal.jsonl"
# What is reached of an asset, in this order. `naming` is told before it is done, all others after.
Stage = Literal["begun", "fetched", "loaded", "checked", "compared", "naming", "named", "opened"]
STAGES: tuple[Stage, ...] = get_args(Stage)
WROTE = frozenset(("format", "ccdr", "run", "began", "plan_sha256", "seal"))  # in its first line: all else was decided
NAMED, OPENED, ENDED = "named", "opened", "ended"
VERB = "recover"  # of the lock, and of a seal
_SEALED = re.compile(rb'(\{.*),"seal":"([0-9a-f]{64})"\}')
_RUN = re.compile(r"[A-Za-z0-9-]+")  # of a restore: names of directories are made with it


class JournalHead(msgspec.Struct, frozen=True):
    """What is read at once of what was decided."""

    run: str
    plan: str
    began: Instant
    assets: tuple[Asset, ...]


class Asset(msgspec.Struct, frozen=True):
    asset: str


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A later one: a `session` (process) goes to work, an asset has reached a `stage`, or all has `ended`. `mono`
    counts seconds from the machine's start `boot`."""

    session: int | None = None
    who: str = ""
    ended: str | None = None
    code: Exit = Exit.OK
    asset: str | None = None
    stage: Stage | None = None
    at: Instant
    mono: float
    boot: str | None = None
    elapsed_s: float = 0.0
    facts: dict[str, Any] = {}
    seal: str = ""


@dataclass
class Progressed:
    """One asset: how far it came, in which run, and what it was known by. `facts` are of each stage."""

    asset: str
    run: str | None = None
    stage: Stage | None = None
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def left_sha256(self) -> object:
        """Of what a new server told of itself when it got its name."""
        return self.facts.get("naming", {}).get("left_sha256")

    def past(self, stage: Stage) -> bool:
        return self.stage is not None and STAGES.index(self.stage) >= STAGES.index(stage)


@dataclass
class Told:
    """What a journal tells. `decided` is its first line, and `first` what is read of that at once; `sessions` are the
    processes that worked on it, in turn; `code` is what the one that `ended` it exited with."""

    directory: Path
    decided: Mapping[str, Any]
    first: JournalHead
    assets: dict[str, Progressed]
    sessions: list[Session]
    ended: str | None = None
    code: Exit = Exit.OK
    holder: str | None = None  # who began the last one, in which process, when

    @property
    def run(self) -> str:
        return self.first.run

    @property
    def plan(self) -> str:
        return self.first.plan

    @property
    def began(self) -> datetime:
        return self.first.began

    @property
    def unfinished(self) -> bool:
        return self.ended != "done"

    def away_until(self, now: Moment) -> Away:
        """In which no process was at work."""
        return away(self.sessions, now)

    @property
    def worked(self) -> float:
        """Seconds that processes were at work, as far as the journal heard of them."""
        return max((one.seconds for one in self.sessions), default=0.0)


def this_moment(at: datetime, monotonic: float) -> Moment:
    """By both clocks of this host."""
    return Moment(at, monotonic, (boot() or "")[:16] or None)


class Journal:
    """Open for one process at a time: whoever holds the recovery's lock. `monotonic` is the clock that never jumps.
    `last` is the seal of its last line; of the first one, what stands for it is the run."""

    def __init__(self, path: Path, key: Key, last: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path, self._key, self._last, self._monotonic, self._lock = path, key, last, monotonic, Lock()

    @classmethod
    def begin(
        cls,
        state: State,
        run: str,
        decided: Mapping[str, object],
        key: Key,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Journal:
        """CcdrError where it cannot be written: then nothing is begun."""
        directory = state.directory(ROOM, run)
        journal = cls(directory / FILE, key, run, monotonic)
        journal._write({"format": FORMAT, "ccdr": __version__, "run": run, **decided})
        sync_directory(directory)
        sync_directory(directory.parent)
        return journal

    @classmethod
    def again(cls, told: Told, key: Key, monotonic: Callable[[], float] = time.monotonic) -> Journal:
        """Go on with it. What was being written when the other one died is left out. CcdrError as of
        `require_sealed`."""
        path, last = told.directory / FILE, require_sealed(told, key)
        whole = path.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end != len(whole):
            with path.open("r+b") as file:
                file.truncate(end)
        return cls(path, key, last, monotonic)

    @property
    def directory(self) -> Path:
        """Of this recovery, in the state."""
        return self._path.parent

    def _write(self, line: object) -> None:
        """On disk when it returns."""
        text = json.dumps(plain(line), separators=(",", ":"), ensure_ascii=True).encode("ascii").removesuffix(b"}")
        with self._lock:
            sealed = seal(self._key, self._last.encode("ascii"), text)
            try:
                handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    _write_whole(handle, text + f',"seal":"{sealed}"}}\n'.encode("ascii"))
                    self._last = sealed
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise CcdrError(
                    f"the recovery's journal {self._path} cannot be written: {error.strerror}",
                    hint="make room there, or mend it; then `ccdr recover --resume` goes on",
                ) from None

    def reached(self, asset: str, stage: Stage, at: datetime, elapsed: float, facts: Mapping[str, object]) -> None:
        self._write(Line(asset=asset, stage=stage, **self._when(at, elapsed), facts=dict(facts)))

    def session(self, at: datetime, who: str) -> None:
        """A process goes to work, begun by whom."""
        now = this_moment(at, self._monotonic())
        self._write(Line(session=os.getpid(), who=who, at=at, mono=now.mono, boot=now.boot))

    def ended(self, state: str, at: datetime, elapsed: float, code: Exit = Exit.OK) -> None:
        self._write(Line(ended=state, code=code, **self._when(at, elapsed)))

    def _when(self, at: datetime, elapsed: float) -> dict[str, Any]:
        return {"at": at, "mono": round(self._monotonic(), 3), "elapsed_s": round(elapsed, 3)}


def _write_whole(handle: int, data: bytes) -> None:
    """A line is whole, or the file is as it was before."""
    size = os.fstat(handle).st_size
    try:
        written = 0
        while written < len(data):
            written += os.write(handle, data[written:])
    except OSError:
        os.ftruncate(handle, size)
        raise


def read(directory: Path) -> Told:
    """CcdrError where it cannot be read, or another ccdr wrote it, of a later format or of before the first release."""
    path = directory / FILE
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was not written whole
        decided, *rest = [json.loads(line) for line in lines]
        if not isinstance(decided, dict):
            raise ValueError("nothing was decided")
        require_format(f"the recovery's journal {path}", decided.get("format"), FORMAT)
        first = made_of(decided, JournalHead)
        told = Told(directory, decided, first, {one.asset: Progressed(one.asset) for one in first.assets}, [])
        for line in rest:
            _take(told, made_of(line, Line))
    except OSError as error:
        raise CcdrError(f"the recovery's journal {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise edited(path) from None
    return told


def require_sealed(told: Told, key: Key) -> str:
    """The seal of the last line. CcdrError where one was not written by whoever has the repository's password, or not
    at its place; what was cut off at the end is not seen."""
    path, last = told.directory / FILE, told.directory.name
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        found = _SEALED.fullmatch(line)
        if found is None or not is_seal(given := found[2].decode(), key, last.encode("ascii", "replace"), found[1]):
            raise CcdrError(
                f"the recovery's journal {path} is not believed: its line {number} was not written there with this "
                "plan's repository password",
                hint="was the password changed since? Else who may write there? Look at the targets yourself, and "
                "begin a new recovery",
            )
        last = given
    return last


def sum_of(decided: Mapping[str, object]) -> str:
    """SHA-256 of a decision, as it is written or was read: the ledger bears it, which nobody edits unseen."""
    what = {key: value for key, value in decided.items() if key not in WROTE}
    return sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def edited(path: Path) -> CcdrError:
    return CcdrError(
        f"the recovery's journal {path} is not one that ccdr wrote",
        hint="look at the targets yourself, and begin a new recovery",
    )


def _take(told: Told, line: Line) -> None:
    """ValueError where it is none that ccdr writes there."""
    if line.session is not None:
        began = Moment(line.at, line.mono, line.boot)
        told.sessions.append(Session(began, began))
        told.holder = f"{line.who or 'somebody'} (process {line.session}, since {to_the_second(line.at)})"
        return
    if told.sessions:
        last = told.sessions[-1]
        heard = Moment(line.at, line.mono, last.began.boot)
        told.sessions[-1] = replace(last, heard=heard, seconds=line.elapsed_s)
    if line.ended is not None:
        told.ended, told.code = line.ended, line.code
        return
    if line.asset is None or line.stage is None:
        raise ValueError("no stage")
    of = told.assets.setdefault(line.asset, Progressed(line.asset))
    of.facts[line.stage] = line.facts
    if line.stage == "begun" or not of.past(line.stage):  # what has its name may be compared once more
        of.stage = line.stage
    if line.stage == "begun":
        of.run, of.facts = str(line.facts.get("run")), {"begun": line.facts}
        if not _RUN.fullmatch(of.run):
            raise ValueError("no run")


def journals(state: State) -> list[Path]:
    """Directories of all recoveries, oldest first."""
    return sorted(path.parent for path in (state.root / ROOM).glob(f"*/{FILE}"))


def newest(state: State, plan: str | None, run: str | None = None) -> Told | None:
    """The newest recovery of the plan (None: of any); of that `run`, where one is named."""
    for directory in reversed(journals(state)):
        if run not in (None, directory.name):
            continue
        told = read(directory)
        if plan in (None, told.plan):
            return told
    return None


# Does a journal still say what was decided? Whoever may write the state could name another target or snapshot there:
# the ledger tells, whose chain that would break.


def require_as_decided(told: Told, services: Services) -> None:
    """CcdrError where the ledger says that another thing was decided, or does not know of it. One
    that cannot be read is no reason to have no data."""
    try:
        records = services.ledger.as_read(reverse=True)
        begun = next((r for r in records if isinstance(r, RecoverStart) and r.run == told.run), None)
    except CcdrError:
        return
    if begun is None:
        why = f"the ledger knows of no recovery with its run, {told.run}"
    elif begun.decided_sha256 == sum_of(told.decided):
        return
    else:
        why = "what it says was decided is not what the ledger has of it"
    raise CcdrError(
        f"the recovery's journal {told.directory / FILE} is not believed: {why}",
        hint="who may write there? Look at the targets yourself, and begin a new recovery",
    )
