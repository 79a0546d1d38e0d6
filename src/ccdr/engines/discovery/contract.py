"""What an engine finds of its kind: for a first plan, and beside what plans name already.

It asks; whoever goes through all engines (`ccdr.setup.discover`) tells. An engine is handed what it may look with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from ccdr.engines.base import EngineConfig
from ccdr.ports.place import Place, Progress, Source

NO_PROGRESS = 60.0  # seconds; every question has a shorter limit of its own


@dataclass
class DiscoveryReport:
    """`contents` and `notes` are for people; a finding is something left out, or that will make a backup fail; `grants`
    are what has to be typed, and where, before one can succeed. `files` became assets of their own; `settled` is when
    a backup finds files in every directory (seconds since the epoch)."""

    contents: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    settled: float = 0.0


class Looking(Protocol):
    """What an engine looks with. `place` is this host, `now` in seconds since the epoch, `zone` this machine's."""

    report: DiscoveryReport

    @property
    def place(self) -> Place: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def now(self) -> float: ...

    @property
    def zone(self) -> tzinfo: ...

    def clients(
        self, where: str, *engines: EngineConfig
    ) -> AbstractContextManager[Sequence[AbstractContextManager[Source]]]:
        """A client for each of these, of whatever version; all with the first one's password, which errors call by
        `where` it is for. None is opened yet."""


class Item(Protocol):
    """What becomes an asset of a plan."""

    @property
    def bytes(self) -> int: ...

    @property
    def local(self) -> bool:
        """Is it a server of this machine?"""

    @property
    def tree(self) -> Path | None:
        """The directory that is captured as it is."""

    @property
    def title(self) -> str:
        """How people call what is tested."""

    def name(self, taken: Collection[str]) -> str:
        """One for the asset that none of these is."""

    def asset_lines(self, password_file: str | None, timezone: str) -> Iterator[str]:
        """The asset as YAML, but for its schedules. `password_file` is as the plan names it."""

    def check_lines(self, now: float) -> Iterator[str]:
        """What its restore test asks for beside `identical`, as YAML."""

    def as_json(self) -> dict[str, object]: ...


class SourceKind(IntEnum):
    """What somebody names, in the order in which it is looked at."""

    SERVER, FILE, TREE = range(3)


class Named(Protocol):
    """Something that `ccdr init` was given."""

    @property
    def kind(self) -> SourceKind: ...

    @property
    def where(self) -> object:
        """By which two of a kind are told to be the same."""

    def plan_name(self, hostname: str) -> tuple[str, str]:
        """What a plan of it may be called, and how where nothing of that is left; `hostname` is this machine's."""

    def discover(self, looking: Looking, password_file: Path | None) -> Sequence[Item]:
        """UsageProblem where it refuses us or is nothing to back up, another CcdrError where it does not answer."""


@dataclass(frozen=True)
class RunningServer:
    """A running server: `identity` tells it from others, however it is reached. `named` of its databases are in plans;
    `others` may hold something, with their bytes; None where they may not be looked into."""

    identity: str
    named: Collection[str]
    others: Mapping[str, int | None]


class ServerAddress(Protocol):
    """How a server is reached."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def shown(self) -> str: ...

    def __hash__(self) -> int: ...


class LocalServer(Protocol):
    """A server of this machine that no plan needs to name."""

    @property
    def reached(self) -> ServerAddress: ...

    @property
    def title(self) -> str:
        """What it is called where it does not let us in."""

    def standing(self, looking: Looking) -> RunningServer: ...


class Discovery:
    """One engine's. What it leaves as it is here, its stores have not."""

    schemes: tuple[str, ...] = ()  # of URLs that name one
    example = ""  # for whoever wrote one wrongly
    sockets: Path | None = None  # where servers of this machine have theirs

    def parse(self, text: str) -> Named:
        """What a URL of these schemes names. UsageProblem where it is not well formed: no text that may hold a password
        is repeated."""
        raise NotImplementedError

    def at(self, path: Path) -> Named | None:
        """What lies at a path of this host, if it is of this engine. UsageProblem where it is, and copying it would be
        no backup."""
        return None

    def reached(self, engine: Any) -> ServerAddress | None:
        """How the server of a plan's asset is reached, if it is of this engine and has databases."""
        return None

    def standing(self, engines: Sequence[Any], looking: Looking, *, others: bool) -> RunningServer:
        """The server of these assets, which reach it in one way; its other databases are asked for if `others`."""
        raise NotImplementedError

    def local_servers(self, sockets: Path) -> Iterable[LocalServer]:
        return ()

    def trees_of(self, engine: Any) -> tuple[Path, ...]:
        """Directories that an asset captures as they are, if it is of this engine."""
        return ()

    def files_in(self, directory: Path) -> Sequence[Path]:
        """Stores that are one file each and stand right in a directory; OSError where it may not be listed."""
        return ()
