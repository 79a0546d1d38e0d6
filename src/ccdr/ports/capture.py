"""What an engine is handed to capture with, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.finding import Finding
from ccdr.model.tls import Tls
from ccdr.model.values import FileDigest, Manifest, Needed, Snapshot
from ccdr.ports.place import Clock, Digester, Progress, Pulse

if TYPE_CHECKING:  # contracts name each other
    pass


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
    tls: Tls | None = None  # how the connection is encrypted; None where it is not, or the server does not tell


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
    findings: list[Finding] = field(default_factory=list)  # what is not as the plan wants, though the capture is good
    parents: tuple[Needed, ...] = ()  # of an increment: all that it builds upon, the full one first
    words: FreeText = NO_WORDS  # what its programs said of a good capture


class StoredNode(NamedTuple):
    """One entry of a stored tree, as restic tells it. Times are nanoseconds; a byte that is no UTF-8 is U+FFFD."""

    path: str
    kind: str  # restic's word: file, dir, symlink, fifo, dev, chardev, socket
    size: int
    mtime: int
    ctime: int
    inode: int
