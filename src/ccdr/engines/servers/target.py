"""A real server that a database is loaded onto, the accounts that its databases share, and how it is set otherwise:
what is the same whichever server it is.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import ClassVar, Generic, Self, TypeVar

from ccdr.engines.base import EngineConfig
from ccdr.engines.servers.connection import ServerConnection, may_be_one
from ccdr.model.answers import lacking
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest, human_bytes
from ccdr.ports.place import Progress
from ccdr.ports.target import KnownSource

# How a server is set otherwise than the captured one was: told, and changed by nobody.


def differing(captured: Mapping[str, str | None], there: Mapping[str, str | None]) -> list[str]:
    """Names whose value another server does not have, or does not know; of None the value is not known here."""
    return [name for name, value in captured.items() if value is not None and there.get(name) != value]


def set_otherwise(captured: Mapping[str, str | None], there: Mapping[str, str | None], file: str) -> Iterator[str]:
    """What a person should know of a server whose settings are `there`. `file` is where the snapshot has the values
    that are not known here."""
    if other := differing(captured, there):
        yield f"set at the source, and otherwise there: {', '.join(other)}; a restore changes no server's settings"
    if words := [name for name, value in captured.items() if value is None]:
        yield f"set at the source, to what only the backup holds ({file}): {', '.join(words)}"


# Roles and users belong to a whole server, and databases restored side by side onto one server may need the same.
#
# Each restore looks at the server before any of them begins. So what the server lacks is asked again when it is made,
# one restore at a time; and a restore that is undone leaves what another one relies on.


@dataclass
class SharedAccounts:
    """Of one server, as the restores of this process made and need them. `alone` is held while they are looked at
    and changed."""

    alone: Lock = field(default_factory=Lock)
    made: set[str] = field(default_factory=set)
    needed: dict[str, set[str]] = field(default_factory=dict)  # by run

    def relied_on(self, run: str, names: Collection[str], made: Collection[str]) -> None:
        """The run needs these, and has just made some of them."""
        self.needed[run] = set(names)
        self.made |= set(made)

    def given_up(self, run: str) -> set[str]:
        """The run needs nothing any more: what was made and nobody else needs, which is to be removed."""
        mine = self.needed.pop(run, set()) & self.made
        left = mine.difference(*self.needed.values())
        self.made -= left
        return left


_by_server: defaultdict[str, SharedAccounts] = defaultdict(SharedAccounts)


def of_server(identity: object) -> SharedAccounts:
    """Those of the server that says this of itself, however it is reached."""
    return _by_server[repr(identity)]


# The database is loaded and checked under a name of the restore's own, and gets its final one last.

MARK = "_ccdr_restore_"  # in the name that a database has until it is whole
LOOK_EVERY = 2.0  # seconds between two looks at how far a load has come
E = TypeVar("E", bound=EngineConfig)
C = TypeVar("C", bound=ServerConnection)


def suffix_of(run: str) -> str:
    """How the name of a run's database ends until it is whole."""
    return MARK + re.sub(r"[^a-z0-9_]", "_", run.lower())


@dataclass
class DatabaseTarget(Generic[E, C]):
    """`ServerTarget` for one database. `client` reaches the server, `connection` names the database that is to be.

    An engine says which server a snapshot was captured from, and all the rest.
    """

    once_sure: ClassVar[str]  # what somebody does who restores under another name than the source's

    client: E
    connection: C
    jobs: int
    run: str = ""
    began: bool = False  # there may be something under the working name
    dead: bool = False  # it is of a run that is at work no more, and nothing else of that is known
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.connection.database

    @property
    def shown(self) -> str:
        raise NotImplementedError

    @property
    def working(self) -> str:
        """The database's name until it is done: plain, and like no other."""
        stem = re.sub(r"[^a-z0-9_]", "_", self.name.lower())[:20]
        return f"{stem if stem[:1].isalpha() else f'_{stem}'}{suffix_of(self.run)}"

    def of_a_dead_run(self, run: str) -> Self:
        return replace(self, run=run, began=True, dead=True, notes=[])

    def captured_from(self, manifest: Manifest) -> object:
        """Which server it was; what is false where the manifest does not tell."""
        raise NotImplementedError

    def captured_names(self, manifest: Manifest) -> Iterable[str]:
        """Of the databases that it holds."""
        return (str(manifest.contents["database"]),)

    def folded(self, database: str) -> str:
        """A name, alike for all that the server takes for one."""
        return database

    def refuse_sources(self, here: object, sources: Sequence[KnownSource], *, onto_source_server: bool) -> None:
        """The same server by what it says of itself (`here`), however it is reached; by its address where it or a
        backup does not tell. A new server at a source's old address is another server."""
        for known in sources:
            connection = getattr(known.engine, "connection", None)
            if not isinstance(connection, type(self.connection)):
                continue
            servers = [servers for manifest in known.manifests if (servers := self.captured_from(manifest))]
            if not (here in servers if servers and here else may_be_one(self.connection, connection)):
                continue
            names = {connection.database, *(n for m in known.manifests for n in self.captured_names(m))}
            if self.folded(self.name) in map(self.folded, names):
                raise UsageProblem(
                    f"{self.shown} is the source of {known.asset}: a restore never writes there",
                    hint=f"restore onto another server, or under another name; {self.once_sure}",
                )
            if not onto_source_server:
                raise UsageProblem(
                    f"{self.shown} is on the server that {known.asset} is backed up from",
                    hint="restore onto another server; to load another database next to the source anyway, add "
                    "--onto-source-server",
                )


def refuse_whole_server(what: str) -> UsageProblem:
    return UsageProblem(
        f"{what} is a whole server: it cannot be loaded onto one that runs",
        hint="restore it into a directory (--to DIR), and start a server on that: docs/how-to/recover.md",
    )


def refuse_in_use(database: str, shown: str, objects: int, sessions: int) -> None:
    """UsageProblem where a database of that name holds anything, or anybody uses it."""
    if objects:
        raise UsageProblem(
            f"the database {database} at {shown} is not empty: it holds {objects} objects",
            hint="name a database that does not exist yet; ccdr never removes one that holds anything",
        )
    if sessions:
        raise UsageProblem(
            f"{sessions} sessions use the database {database} at {shown}", hint="end them, or name another"
        )


def room_needed(size: int) -> str:
    return f"the server needs about {human_bytes(size)} of disk for it: see that it has them"


def of_other_restores(databases: Iterable[str]) -> list[str]:
    left = [name for name in databases if MARK in name]
    return [f"{name} is what an earlier restore left or is still loading: drop it once it is done" for name in left]


# --- what a failed load tells: most often not of the backup, but of a server that lacks something, is full or gone --


def lacking_there(error: CommandFailed, shown: str, lacks: re.Pattern[str]) -> TestBroken | None:
    """It took too long, or the server says that it `lacks` something."""
    if error.stalled:
        return TestBroken(str(error), hint="give `limits: no_progress` more time, or see who holds a lock there")
    if error.stderr.errors.begins(lacks):
        what = lacking(error.stderr)
        return TestBroken(f"{shown} lacks something that the backup needs: {what}", hint="install it there")
    return None


def could_not_take(error: CommandFailed, shown: str, words: re.Pattern[str]) -> TestBroken | None:
    """By the words of a server that is full, going down, gone or in somebody else's hands."""
    if error.stderr.search(words):
        return TestBroken(f"{shown} could not take it: {error}", hint="see that server's log and its disk")
    return None


def does_not_load(error: CommandFailed) -> BackupBad:
    return BackupBad(f"the backup does not load: {error}", hint="restore an older snapshot")


@contextlib.contextmanager
def or_left(left: list[str], what: str, then: str) -> Iterator[None]:
    """Remove `what`; where that fails, it is added to what is `left`, and what to do about it."""
    try:
        yield
    except CcdrError as error:
        left.append(f"{what} ({error}): {then}")


@dataclass
class HowFar:
    """How far the server has come, asked of it every other second: for the person who waits, and for the watchdog.
    `ask` gives the bytes that the database takes, and how many sessions work on it and wait for no lock."""

    ask: Callable[[], tuple[int, int]]
    progress: Progress
    _asked: float = 0.0
    _answer: object = None

    def __call__(self) -> object:
        if time.monotonic() - self._asked < LOOK_EVERY:
            return self._answer
        self._asked = time.monotonic()
        try:
            size, active = self.ask()
        except (CommandFailed, ValueError):
            return self._answer  # no answer is no progress
        self.progress.amount(size, None)
        self._answer = (size, self._asked if active else 0)
        return self._answer
