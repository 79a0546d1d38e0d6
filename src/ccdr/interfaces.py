"""Contracts between the rooms, in prose and types.

Engines and checks never start a process and never see Docker or restic: they are handed a `Place` and say
what to run in it. `proc.py` (this host) and `sandbox/` (a container) implement it; tests have fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from ccdr.answers import NO_WORDS, FreeText
from ccdr.errors import Exit
from ccdr.model import CheckResult, FileDigest, Look, Manifest, Needed, Snapshot
from ccdr.schema import WithPassword


class Clock(Protocol):
    """Two clocks: wall time for records, monotonic time for durations. Never subtract wall times."""

    def now(self) -> datetime:
        """This host's time, UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump."""


class Outcome(Protocol):
    """What a use-case gives, for an exit status and for programs."""

    @property
    def exit_code(self) -> Exit: ...

    def as_json(self) -> dict[str, object]: ...


class Progress(Protocol):
    """What a person watching wants to know. Implementations must be cheap and thread-safe."""

    def step(self, text: str) -> None:
        """A new step has begun; `text` is a short present participle: `dumping crm`."""

    def amount(self, done: int, total: int | None) -> None:
        """Bytes done of the present step."""


@dataclass(frozen=True)
class Output:
    """What a finished command answered. Small answers only; bulk bytes go through files. Standard output is parsed into
    values; put into no sentence, whether it is recorded or not."""

    code: int
    stdout: str
    stderr: FreeText


class Session(Protocol):
    """A program held open: send it a line, read its answer up to a marker."""

    def ask(self, text: str, until: str, *, timeout: float) -> str:
        """Write `text`, return what came on standard output before a line equal to `until`.

        Raises CommandFailed when the program ends first, or does not answer in `timeout` seconds.
        """

    def ended(self) -> FreeText | None:
        """None while the program runs; else what it said last, or how it ended where it said nothing."""


Pulse = Callable[[], object]


class Place(Protocol):
    """Somewhere commands run: this host, or a container."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        what: str | None = None,
        watch: Path | None = None,
        ok: Sequence[int] = (0,),
        pulse: Pulse | None = None,
    ) -> Output:
        """Run to the end and return its output; raises CommandFailed for a code not in `ok`.

        `what` names the step for people. `watch` is a directory (host path) whose growth counts as
        progress, `pulse` gives a value whose change does, where the work is done elsewhere; without progress
        for the place's limit the command is stopped (`stalled`).
        """

    def session(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> AbstractContextManager[Session]:
        """Hold a program open; it is ended on leaving the context."""

    def path(self, host: Path) -> str:
        """The name in this place of a host path that was mounted into it."""


@dataclass(frozen=True)
class Source:
    """Where the client runs, and the private directory (host path, mode 0700, mounted at the same path)
    that holds the credential files the engine asked for."""

    place: Place
    credentials: Path


@dataclass(frozen=True)
class ClientNeed:
    """What capturing asks of the place where the client runs.

    `programs` are looked up on the host first (in `host_dirs`, then PATH); any one of `probes` (left out: the first of
    `programs`) can ask a source of unknown version what it is. `mounts` are host directories or files a container must
    see, read-only, at the same path. One that `loads` what it captured may use half of the memory that is free. One
    that is not to be `on_host` runs in a container in any case: it is given what somebody else has written.
    """

    programs: tuple[str, ...]
    probes: tuple[str, ...] = ()
    host_dirs: tuple[str, ...] = ()
    mounts: tuple[Path, ...] = ()
    network: bool = False
    reads_all: bool = False  # of the mounts, whoever they belong to
    loads: bool = False
    on_host: bool = True


@dataclass(frozen=True)
class SourceFacts:
    """What a short look at the source tells before anything is captured."""

    version: str
    major: str
    bytes: int | None = None  # as stored by the source; to check free space in scratch


# In the captured directory of a fetched increment: what it builds upon, in directories by number (0 is the full one),
# and a directory for what they give together.
UPON, WHOLE = "upon", "whole"


@dataclass(frozen=True)
class Base:
    """What an increment may build upon: the asset's newest snapshot that can be counted on, and all that it needs
    itself. `chain` has the full one first. `held` is its `base_file`, proven to be its own; None where there is nothing
    to build upon, `why` then says why not, as a sentence (empty for the very first)."""

    chain: tuple[tuple[Snapshot, Manifest], ...] = ()
    held: Path | None = None
    why: str = ""


@dataclass(frozen=True)
class Streamed:
    """What was stored past this host's disk: the id of a snapshot of its own, and the bytes that went into it."""

    snapshot: str
    bytes: int


# Is given a pipe to write into, the file to write `whole` into once all of it is known to be good (and the pipe not yet
# closed), and the sign of progress for the place it writes from.
StreamWriter = Callable[[Path, Path, Pulse], None]


class StreamStore(Protocol):
    """Stores what a program writes while it writes it."""

    def __call__(self, directory: Path, write: StreamWriter) -> Streamed:
        """Pipe and verdict are made in `directory`, a private one below the captured. Whatever `write` raises means
        that nothing was stored; BackupFailed where restic could not take it. Manifest and `files` name what came of it
        as `dump`, and `contents` has its snapshot under `stream`."""


@dataclass(frozen=True)
class Tools:
    """What a capture may use on this host. `previous` is the last good capture's private index, if any:
    what an engine kept of it (see `Engine.index_file`); `base` is for engines that have a `base_file`."""

    clock: Clock
    progress: Progress
    digest: Digester
    lock_wait: float
    previous: Path | None = None
    base: Base = Base()
    stream: StreamStore | None = None  # only where there is a repository to store into


@dataclass(frozen=True)
class Capture:
    """What a capture left in its directory, or names in place.

    `paths` are source paths that restic reads where they are (files); the captured directory itself always
    goes into the snapshot. `excluded` are absolute paths below `paths` that must stay out. `files` are the
    digests of what was left in the directory; `bytes` is what a restore will write.
    """

    consistent_point: datetime
    clock_skew_s: float | None
    contents: dict[str, object]
    files: dict[str, FileDigest]
    bytes: int
    tools: dict[str, str] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    excluded: tuple[Path, ...] = ()
    notes: list[str] = field(default_factory=list)  # what a person should know of a good capture
    left_out: list[str] = field(default_factory=list)  # what is not in it since the plan says so: `view answered`
    findings: list[str] = field(default_factory=list)  # what is not as the plan wants, though the capture is good
    upon: tuple[Needed, ...] = ()  # of an increment: all that it builds upon, the full one first
    words: FreeText = NO_WORDS  # what its programs said of a good capture


class StoredNode(NamedTuple):
    """One entry of a stored tree, as restic tells it. Times are nanoseconds; a byte that is no UTF-8 is U+FFFD."""

    path: str
    kind: str  # restic's word: file, dir, symlink, fifo, dev, chardev, socket
    size: int
    mtime: int
    ctime: int
    inode: int


@dataclass(frozen=True)
class SandboxNeeds:
    """What a sandbox for one snapshot must offer.

    `bytes` is the room that the loaded data takes, `memory` what the server needs beside it, `user` whom
    the image runs the server as (None: the one who runs ccdr), `major` the version that the image must have. A server
    that holds its data in its own memory fills `held` bytes of `memory`, wherever the plan wants data to be.
    `in_place` are names in the captured directory that the server can run on as they are fetched: then, where they
    can be given to its user, no room is taken for a copy.
    """

    bytes: int
    memory: int
    user: str | None
    major: str | None
    data_dir: str | None = None
    held: int = 0
    in_place: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bench:
    """What a check may look at: the restored engine, the fetched files, and what was captured.

    `fetched` is where the snapshot was written on this host (source paths stand below it), `restored` the
    captured directory of it, `out` a directory that both this host and the sandbox can write. `box` is the
    sandbox, or where the client of a real server runs; None where neither the engine nor any check needs one.
    """

    manifest: Manifest
    fetched: Path
    restored: Path
    out: Path
    box: Place | None
    host: Place
    digest: Digester
    recovered: bool = False  # by a log: what changed since the capture is as it should be
    reached: datetime | None = None  # by that log; None where nothing tells

    @property
    def point(self) -> datetime | None:
        """The instant that the restored data is true for; None after a recovery to a point whose time nothing tells."""
        return self.reached if self.recovered else self.manifest.consistent_point

    @property
    def data(self) -> Path:
        """Where a program that looks at the restored files finds them: what was read in place stands below `fetched`,
        each path where it was; else it is the captured directory."""
        return self.fetched if "roots" in self.manifest.contents else self.restored

    @property
    def sandbox(self) -> Place:
        """The sandbox, for those that said they need one."""
        assert self.box is not None
        return self.box


@dataclass(frozen=True)
class Beside:
    """Another asset of the plan, restored for the same test, so that a check can compare the two.

    `bench` is of the other one; its box is a sandbox of its own, there only for a check that says it needs one.
    `point` is the instant that the tested asset was restored to. `work` is a private directory of this comparison;
    `note` keeps a reference (a path, as a row says it) for the person, and nowhere else.
    """

    asset: str
    snapshot: Snapshot
    engine: Engine
    bench: Bench
    point: datetime
    together: str | None  # the group's run that both are of
    work: Path
    note: Callable[[Mapping[str, object]], None]
    recovered: bool = False  # the tested asset was recovered by its log, to a point that no backup of another's has


class Digester(Protocol):
    """Hashes files by the system's own tools; bulk bytes never pass through Python."""

    def __call__(
        self, root: Path, names: Sequence[str], *, lines: bool = False, vanishing: bool = False
    ) -> dict[str, FileDigest]:
        """Size, SHA-256 and (where asked) the newline count of each of `names` below `root`.

        CommandFailed where one cannot be read; with `vanishing`, one that is gone is left out instead.
        """


class Restored(Protocol):
    """What a check may ask of what was restored: in a sandbox (every `Engine`), or on a real server.

    `has_server` tells whether a server is needed to bring the data back at all.
    """

    has_server: ClassVar[bool]

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        """Rows as text, read-only. CommandFailed for an SQL error, its stderr the server's message."""

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        """The one timestamp that a query gives, as seconds since the epoch; None for NULL or no row."""

    def identical(self, bench: Bench) -> Iterator[CheckResult]: ...

    def integrity(self, bench: Bench) -> Iterator[CheckResult]: ...


@dataclass(frozen=True)
class LogMark:
    """Where a source's log stood: every commit acknowledged before `at` (this host's clock) lies before `position`."""

    position: str
    at: datetime
    clock_skew_s: float


@dataclass(frozen=True)
class Segment:
    """One file of a shipped log, under the name that recovery asks for; `file` is what it is called in the spool.
    A `whole` one is never written to again; one that stands `beside` is stored with the others and no link in their
    chain."""

    name: str
    file: str
    whole: bool
    beside: bool = False


@dataclass(frozen=True)
class Fork:
    """Where a branch of a log (PostgreSQL: a timeline) left its `parent`, and when by the source's clock; None where
    nothing tells."""

    branch: int
    parent: int
    position: str
    at: datetime | None = None


@dataclass(frozen=True)
class Target:
    """How far recovery is to go: to a time (this host's clock), to a point that somebody named in the log, or (both
    None) to the end of what was shipped. Whichever it is, the log that was fetched for it must reach `position`: one
    that ends before it is cut off. `skew` is the source's clock's lead over this host's nearest to then; None where
    only the base tells one. A time may lie `beyond` what the log is known to hold: its commits tell whether it does.

    `branch` is the one of the log to go by; None: the newest, or the one that was written at that time. Where a time
    lies behind what is known of that branch and before the next began, `left` is where that one left it."""

    time: datetime | None = None
    name: str | None = None
    position: str | None = None
    skew: float | None = None
    beyond: bool = False
    branch: int | None = None
    left: Fork | None = None

    def clock_skew(self, base: Manifest) -> float:
        return (base.clock_skew_s or 0.0) if self.skew is None else self.skew

    @property
    def to_the_end(self) -> bool:
        return self.time is None and self.name is None


@dataclass(frozen=True)
class Reached:
    """How far recovery went. Every commit acknowledged before `at` (this host's clock) is in what was restored; None
    where nothing tells. `last_commit` is the newest restored transaction's own time, by the source's clock."""

    position: str
    at: datetime | None
    last_commit: datetime | None


class ShippedLog(Protocol):
    """The log of changes that a source writes anyway, shipped as it is written.

    A receiver runs for as long as the source does and writes segments into a spool. All methods but the pure ones
    raise CommandFailed when a program fails.
    """

    def ready(self, source: Source) -> Iterator[str]:
        """Prepare the source where it must be (a slot, the canary's table); what threatens it, as sentences.
        BackupFailed where its log cannot be shipped as it is."""

    def identity(self, source: Source) -> str:
        """Which server this is, whatever it is called: a log of another one leads nowhere from our bases."""

    def receiver(
        self, source: Source, spool: Path, after: str | None, needed: str | None, *, stored: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Command and environment of the program that writes into `spool`, until the source ends. `after` is the last
        whole segment that was received already, `needed` what the newest base begins with. Is all in the spool
        `stored`? Only then may what is in the program's way be removed from there."""

    def beat(self, source: Source) -> AbstractContextManager[Callable[[], None]]:
        """What writes the canary's heartbeat each time it is called; it does nothing where the plan has no canary."""

    def mark(self, source: Source, clock: Clock) -> LogMark: ...

    def lies_in(self, position: str, segment: str) -> bool:
        """Does what was written last before `position` lie in this segment? Pure."""

    def reaches(self, spool: Path, position: str) -> bool:
        """Does the spool still hold all up to `position`, of which it once did? A receiver that begins a segment anew
        has less of it for a while. Pure but for a look at the directory."""

    def holds(self, source: Source, spool: Path, mark: LogMark) -> bool:
        """Is everything before the mark durably in the spool?"""

    def segments(self, spool: Path) -> list[Segment]:
        """What the spool holds, in the log's order. It may let go of what the spool holds twice."""

    def went_back(
        self, source: Source, last: str, whole: str | None, position: str | None, head: str | None
    ) -> str | None:
        """In which segment the source's log stands, if that is behind what was received of it: the segments up to
        `last`, which began so (`head`), all up to the end of `whole`, all up to `position`. Its disk was put back then,
        or its log begun anew, and from somewhere before there it is another one under the same names. None where it
        goes on."""

    def begun_after(self, source: Source, manifest: Manifest, moment: datetime) -> bool:
        """Is this base of a log that was begun after that moment, and that the source writes now?"""

    def same_source(self, head: str, other: str) -> bool:
        """Are segments that begin so of one and the same server? Pure."""

    def branch(self, segment: str) -> int:
        """Which branch of the log it is of: a later one has a greater number. Pure."""

    def place(self, segment: str) -> int:
        """Where it stands among the segments of its branch, and of those that the branch goes on from. Pure."""

    def place_of(self, position: str) -> int:
        """Where the segment stands in which the log goes on from this position. Pure."""

    def forks(self, files: Path) -> tuple[Fork, ...]:
        """What the files in a directory tell of where branches began. Pure but for a look at the files."""

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        """Which branch the source writes now, and where those that lead to it began."""

    def holds_behind(self, file: Path, position: str) -> bool:
        """Does this segment, in which the position lies, hold anything behind it? Pure but for a look at the file."""

    def reached_before(self, position: str, other: str) -> bool:
        """Does the first of these positions lie no further than the other? Pure."""

    def lies_before(self, manifest: Manifest, position: str) -> bool:
        """Does this base hold nothing of what comes behind the position? Pure."""

    def fill_up(self, file: Path) -> None:
        """Have a segment that was still written to when it was stored be as long as recovery wants it."""

    def flaw(self, file: Path) -> str | None:
        """Why this file cannot be what a source has written: a whole segment, or what stands beside them. None where
        nothing is wrong with its shape. Pure but for a look at the file."""

    def lacks(self, files: Path, branch: int) -> str | None:
        """Which file a recovery on this branch asks for beside the segments, that is not there. None where none is."""

    def reserve(self, files: Path, forks: Sequence[Fork]) -> None:
        """Have a directory of log, by which a server is recovered, tell of these branches too: what goes on from there
        must not take the number of one of them."""

    def head(self, file: Path) -> str | None:
        """How a segment begins, in a word without a space, comma or colon: segments of one name and with other heads
        are of different logs. What of it is there only later is told behind a dot: that is the same head. None where
        too little of it is there yet. Pure but for a look at the file."""

    def follows(self, earlier: str, later: str) -> bool:
        """Does segment `later` come right after `earlier`? Pure."""

    def goes_on_from(self, manifest: Manifest) -> bool:
        """Can what this manifest describes be a base, on which the log is applied? Pure."""

    def leads_to(self, manifest: Manifest, target: Target) -> bool:
        """Does this base hold nothing of what comes after the target? Pure."""

    def finds(self, files: Sequence[tuple[str, Path]], name: str, manifest: Manifest) -> bool:
        """Does recovery of this base meet a point of that name in these segments (names and files, in the log's order,
        from the one on that the base asks for)? UsageProblem where nothing in such a log is called like that. Pure but
        for a look at the files."""

    def needed_from(self, manifest: Manifest) -> str:
        """The first segment that recovery of this base asks for. Pure."""

    def needed_head(self, manifest: Manifest) -> str | None:
        """The head of that segment, as the base tells it; None where it does not. Pure."""

    def covers(self, first: str, needed: str) -> bool:
        """Does a log that begins with segment `first` hold segment `needed`, if it has no gap? Pure."""


class Engine(Restored, Protocol):
    """One kind of store. A frozen pydantic class: its fields are its YAML, its methods say how.

    All methods raise CommandFailed when a program fails. What that means (failed backup, bad backup, broken
    test) is for the use-case to say, except where only the engine can tell: then BackupBad or TestBroken.
    """

    index_file: ClassVar[str | None]
    in_sandbox: ClassVar[bool]

    @property
    def engine_name(self) -> str: ...

    @property
    def image(self) -> str | None: ...

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        """Images that serve when the plan names none, best first; for any version where `major` is None."""

    def client(self, major: str | None) -> ClientNeed | None:
        """What is needed to read the source; None where the source is plain files on this host."""

    @property
    def base_file(self) -> str | None:
        """A captured file by which the next capture can be an increment, where the plan wants that; kept in the state
        directory, and in every manifest's `files`."""

    @property
    def source_name(self) -> str:
        """What is captured, as the plan names it: a snapshot of another source is not this asset's."""

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """What is captured, where that is files of this host."""

    def secret(self) -> WithPassword | None:
        """Where the source's password comes from, if it needs one."""

    def credentials(self, password: str) -> Mapping[str, str]:
        """Files (name, text) that hold the password for the client; written with mode 0600, never argv."""

    def probe(self, source: Source) -> SourceFacts:
        """A short look at the source: it answers, and this is its version."""

    def refused(self, said: FreeText) -> bool:
        """A failed probe said this: did the source answer, and say no?"""

    def rights(self, source: Source) -> Iterator[Look]:
        """May the client read all that a capture needs, and do nothing more? Quick, and changes nothing."""

    def client_major(self, place: Place) -> str | None:
        """The major version of the client in this place; None where there is none."""

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        """Write a consistent copy into the empty directory `into`; BackupFailed where it is not one."""

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        """After the upload: source paths that changed while they were read, so that the manifest is not true
        of them. Empty for engines that capture a copy of their own."""

    def as_stored(self, capture: Capture, into: Path, nodes: Iterator[StoredNode], tools: Tools) -> Capture:
        """Of a tree that does not stand still, stored by itself before what is in `into`: the capture as it is true of
        that. BackupFailed where what is there was not stored."""

    def sandbox(self, manifest: Manifest) -> SandboxNeeds: ...

    def start(self, box: Place, manifest: Manifest) -> str:
        """Have an empty server answer inside the box; returns its version."""

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]:
        """Every captured file below `restored`: those that the manifest names, and those that these name in turn.
        BackupBad where such a list cannot be read. What it says holds once it is itself proven to be as captured."""

    def as_files(self, manifest: Manifest) -> str:
        """What the captured files are to somebody who has them in a directory: a phrase."""

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        """How much was captured, by what it is called in the plural (tables, rows, keys, files): what is counted,
        and `identical` compares."""

    def complete(self, fetched: Path, restored: Path, manifest: Manifest) -> None:
        """Whatever a plan's checks look at: is all there that the capture read in place? BackupBad where not."""

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        """Load the fetched files. BackupBad where the backup is to blame, TestBroken where the image is."""

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None:
        """Put together what an increment and all that it builds upon (see `UPON`) give, as files in the directory
        `into` (host path), each first proven to be as captured: BackupBad where not."""

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        """Every row that one SELECT gives, read-only, written by the engine's own client into the new file `to` (host
        path, in the bench's `out`): however many there are, none passes through Python. For engines that say `exports`.

        One row a line, values apart by tabs, in UTF-8 where the database knows its encoding, else its very bytes.
        NULL is `\\N`; within a value a backslash is `\\\\`, a tab `\\t`, a newline `\\n` (as PostgreSQL's COPY).
        CommandFailed for an SQL error, as `query`.
        """

    def log(self, name: str) -> ShippedLog | None:
        """The source's log, where the plan wants it shipped; `name` is the asset's own (`plan/asset`), for what the
        source keeps for us."""

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: Target) -> Reached:
        """As `load`, and then every change of the log (a directory of segments) up to `target`. LogBad where the
        log does not reach it; UsageProblem where the target is not to be found."""

    def recoverable(self, restored: Path, log: Path, manifest: Manifest, target: Target) -> str:
        """For a restore for real, into a directory: leave beside the base in `restored` what its server needs to apply
        the log that will stand at `log`, up to `target`. What a person does then, as a sentence."""

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        """The server and database that `url` names, to restore onto. UsageProblem where it is none of this
        engine's, or not well formed."""


class ServerTarget(Protocol):
    """A real server that one snapshot is to be restored onto. One object for one restore, used in this order:
    `look`, `load`, checks by `restored`, `finish`; or `undo` at any point. Where `finish` was stopped, `named` and
    `settle`.

    `name` is what the data will be called there (a database), `shown` the address without a secret, `client` the
    engine by which the lab opens a client of that server, `notes` what `finish` has to tell. All methods raise
    CommandFailed when a program fails.
    """

    @property
    def name(self) -> str: ...

    @property
    def shown(self) -> str: ...

    @property
    def client(self) -> Engine: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def look(
        self,
        source: Source,
        manifest: Manifest,
        run: str,
        sources: Sequence[KnownSource],
        *,
        onto_source_server: bool,
    ) -> TargetLook:
        """Ask, and change nothing. UsageProblem where the target is or could be one of `sources`, is not empty, or
        lacks what the snapshot needs. `onto_source_server` allows another database on a source's server."""

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        """Load the fetched files under a name of the restore's own. BackupBad where the backup is to blame."""

    def finish(self, source: Source) -> list[str]:
        """Give it its final name, in one step; what is left to clear away, as sentences."""

    def named(self, source: Source) -> bool:
        """Has it its final name? The server is asked: a client that was stopped cannot tell what came of it."""

    def settle(self, source: Source) -> list[str]:
        """It has: clear away what `finish` would have; what could not be, as sentences. Never raises."""

    def undo(self, source: Source) -> list[str]:
        """Remove all that `load` made; what could not be removed, and how to, as sentences. Never raises."""

    def standing(self) -> str:
        """Where the loaded data stands before `finish`, and what to do with it: one sentence."""


@dataclass(frozen=True)
class KnownSource:
    """A source that a plan names: a restore must never touch it. `manifests` are of the asset's snapshots."""

    asset: str
    engine: Engine
    manifests: tuple[Manifest, ...]


@dataclass(frozen=True)
class TargetLook:
    """What a look at a target told: what will be done there, and what a person should know of it."""

    version: str
    will: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
