"""What there is to protect: the contract that each engine's own `discovery.py` keeps, and what they share."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import time
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import yaml

from ccdr.engines.base import EngineConfig
from ccdr.engines.servers.connection import Address
from ccdr.model import values as model
from ccdr.model.errors import CcdrError, CommandFailed, UsageProblem
from ccdr.model.values import human_bytes, human_seconds
from ccdr.ports.place import Place, Progress, Source

# It asks; whoever goes through all engines (`ccdr.setup.discover`) tells. An engine is handed what it may look with.

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


@dataclass(frozen=True)
class LocalServer:
    """A server of this machine that no plan needs to name. `title` is what it is called where it does not let us in;
    `standing` asks it."""

    reached: NamedServer
    title: str
    standing: Callable[[Looking], RunningServer]


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

    def reached(self, engine: Any) -> NamedServer | None:
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


# What a directory holds, for whoever writes the first plan: how many files, how large, which of them are audio.

ENOUGH = 500_000  # entries; a larger tree is not looked through to its end
PATIENCE = 20.0  # seconds; nor is one on a slow file system
# What libsndfile opens by itself; telephony's headerless codecs (.gsm, .ulaw, .g729 …) need to be told what they are.
DECODABLE = ("wav", "mp3", "ogg", "opus", "flac", "aiff", "au")
DATABASES = ("db", "db3", "sqlite", "sqlite3", "s3db")
HEADERLESS = ("gsm", "ulaw", "alaw", "g722", "g729", "sln", "sln16", "pcm", "raw", "vox")


@dataclass
class TreeFound:
    """What was seen at and below a path. Times are seconds since the epoch, None where there is no such file.

    `audio` counts the files that have sound by their suffix, `silent` those of them without a byte in them;
    `unreadable` is what this user may not read, `databases` the SQLite files. `whole` is false where the look was
    broken off.
    """

    path: Path
    files: int = 0
    bytes: int = 0
    audio: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    unreadable: int = 0
    databases: list[Path] = field(default_factory=list)
    oldest: float | None = None
    newest: float | None = None
    whole: bool = True

    @property
    def decodable(self) -> tuple[str, ...]:
        """Suffixes of audio that a restore test can decode, the most frequent first."""
        return tuple(suffix for suffix, _ in self.audio.most_common() if suffix in DECODABLE)


def survey_tree(path: Path, *, enough: int = ENOUGH, patience: float = PATIENCE) -> TreeFound:
    """Look through a directory, or at a file; what cannot be read is counted, never an error."""
    tree = TreeFound(path)
    deadline = time.monotonic() + patience
    for seen, (name, status) in enumerate(_regular(path, tree)):
        if seen >= enough or (seen % 1000 == 999 and time.monotonic() > deadline):
            tree.whole = False
            break
        tree.files += 1
        tree.bytes += status.st_size
        tree.oldest = min(tree.oldest or status.st_mtime, status.st_mtime)
        tree.newest = max(tree.newest or status.st_mtime, status.st_mtime)
        suffix = name.rsplit(".", 1)[-1].lower() if "." in name else ""
        if suffix in DECODABLE or suffix in HEADERLESS:
            tree.audio[suffix] += 1
            tree.silent += status.st_size == 0
        elif suffix in DATABASES and _begins_as_sqlite(name):
            tree.databases.append(Path(name))
        if not os.access(name, os.R_OK):
            tree.unreadable += 1
    return tree


def sqlite_files(directory: Path) -> list[Path]:
    """The SQLite databases that stand in a directory itself; OSError where it may not be listed."""
    named = (path for path in directory.iterdir() if path.suffix.removeprefix(".").lower() in DATABASES)
    return sorted(p for p in named if p.is_file() and not p.is_symlink() and _begins_as_sqlite(str(p)))


def _begins_as_sqlite(name: str) -> bool:
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - names, not paths
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def has_audio(path: Path) -> bool:
    """Is there a file below `path` whose name is audio's? A short look, broken off at the first one."""
    tree = TreeFound(path)
    for seen, (name, _) in enumerate(_regular(path, tree)):
        if name.rsplit(".", 1)[-1].lower() in (*DECODABLE, *HEADERLESS):
            return True
        if seen > ENOUGH // 20:
            break
    return False


def _regular(path: Path, tree: TreeFound) -> Iterator[tuple[str, os.stat_result]]:
    """Every regular file at and below a path, not through links; directory by directory, so that memory is bounded."""
    waiting = [str(path)]
    while waiting:
        name = waiting.pop()
        try:
            status = os.lstat(name)
            if stat.S_ISREG(status.st_mode):
                yield name, status
            if not stat.S_ISDIR(status.st_mode):
                continue
            with os.scandir(name) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError:
            tree.unreadable += 1


# A path of this host as somebody names it.

_EXAMPLE = "name a directory of this host, or the URL of a server"


def path_of(text: str) -> Path:
    """What it leads to, which a plan names. UsageProblem where that is nothing to back up."""
    if not text.isprintable() or not text:
        raise UsageProblem("a path with control characters cannot stand in a plan", hint="name a directory above it")
    try:
        path = Path(text).expanduser().absolute()
        real = path.resolve(strict=True)  # a plan names what a link points to
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "no such user"
        raise UsageProblem(f"{text}: {why}", hint=_EXAMPLE) from None
    if real == Path("/"):
        raise UsageProblem("/ is not something to back up as one tree", hint="name the directories that matter")
    if not str(real).isprintable():
        raise UsageProblem("a path with control characters cannot stand in a plan", hint="name a directory above it")
    if not (real.is_dir() or real.is_file()):
        raise UsageProblem(f"{real} is neither a directory nor a file", hint="name a directory")
    return real


# Names and values of the world as plan files spell them, and numbers as people read them.

LONGEST = 63  # of a plan's, an asset's or a restore test's name
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*", re.ASCII)
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # what some reader takes for something else


def name_from(text: str, taken: Collection[str] = (), *, otherwise: str = "data") -> str:
    """A name like `text` that plans accept and that is not taken: small letters, digits, `-` and `_`."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    base = re.sub(r"[^a-z0-9_-]+", "-", folded).strip("-_")[:LONGEST].rstrip("-_") or otherwise
    name, n = base, 1
    while name in taken:
        n += 1
        name = f"{base[: LONGEST - len(str(n)) - 1]}-{n}"
    return name


def scalar(text: str | int | Path) -> str:
    """A value as YAML, quoted unless no reader could take it for anything else."""
    if isinstance(text, int):
        return str(text)
    text = str(text)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if '"' in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=2**20)).rstrip("\n")


def remark(text: str, comment: str, *, column: int = 37) -> str:
    """A line with a comment behind it, in its column where the text leaves room."""
    return f"{text.ljust(column - 2)}  # {comment}"


def so_many(count: int, one: str, many: str | None = None) -> str:
    """As `model.so_many`, its thousands told apart."""
    return model.so_many(count, one, many, form=",")


# What discovering servers has in common, whichever they are.


class NamedServer(Address):
    """An address as `Named` has it."""

    kind: ClassVar[SourceKind] = SourceKind.SERVER

    @property
    def where(self) -> object:
        return self

    def plan_name(self, hostname: str) -> tuple[str, str]:
        if self.database:
            return self.database, "database"
        return hostname if self.local else self.host, "server"


@dataclass(frozen=True)
class ListedDatabase:
    """A database of a server. `bytes` is None where it may not be looked into."""

    name: str
    bytes: int | None


@dataclass(frozen=True)
class DatabaseItem:
    """A database that becomes an asset; an engine adds what it has found in it."""

    address: NamedServer
    database: str
    version: str
    bytes: int
    tree: None = field(default=None, init=False)

    @property
    def local(self) -> bool:
        return self.address.local

    @property
    def title(self) -> str:
        return self.database

    def name(self, taken: Collection[str]) -> str:
        return database_name(self.database, taken)


class FoundItem(Item, Protocol):
    """A database that becomes an asset: what it holds, and what its user lacks."""

    @property
    def tables(self) -> int: ...

    @property
    def described(self) -> str: ...


L = TypeVar("L", bound=ListedDatabase)
I = TypeVar("I", bound=FoundItem)  # noqa: E741 - an item


class Databases(ABC, Generic[L, I]):
    """A server that answers, database by database."""

    @abstractmethod
    def listed(self) -> Sequence[L]: ...

    @abstractmethod
    def closed(self, one: L) -> tuple[str, str] | None:
        """Why this one cannot be looked into, and as whom which SQL changes that; None where it can."""

    @abstractmethod
    def look_into(self, one: L) -> I: ...

    @abstractmethod
    def explained(self, error: CommandFailed) -> CcdrError: ...

    @abstractmethod
    def empty(self, name: str) -> UsageProblem:
        """No table of it can be seen, and it was named."""

    @abstractmethod
    def remarks(self, item: I, report: DiscoveryReport) -> None:
        """Whatever else is to be told of it."""

    def items(self, wanted: str | None, looking: Looking) -> Iterator[I]:
        """The databases, or the one that is `wanted`; whatever is left out is told."""
        report = looking.report
        for one in self.listed():
            name = one.name
            if wanted not in (None, name):
                continue
            if not name.isprintable():
                report.findings.append(f"the database {name!a} is left out: its name cannot stand in a plan")
                continue
            if closed := self.closed(one):
                why, grant = closed
                report.findings.append(f"the database {name} is left out: {why}; {grant}")
                report.grants.append(grant)
                continue
            looking.progress.step(f"looking at {name}")
            try:
                item = self.look_into(one)
            except CommandFailed as error:
                if wanted:
                    raise self.explained(error) from None
                report.findings.append(f"the database {name} is left out: {self.explained(error)}")
                continue
            if not item.tables:
                if wanted:
                    raise self.empty(name)
                report.notes.append(f"the database {name} is left out: it has no table")
                continue
            report.contents.append(f"  {name}: {item.described}")
            self.remarks(item, report)
            yield item


def explained(error: CommandFailed, where: str, refusals: Iterable[tuple[str, str]], otherwise: str) -> CcdrError:
    """Why a server did not answer, with the next step: UsageProblem by the first of the `refusals` (a pattern, and what
    to do), where the command line or a file is wrong."""
    message = f"{where}: {error.stderr.answer or error}"
    for pattern, hint in refusals:
        if error.stderr.search(pattern):
            return UsageProblem(message, hint=hint)
    return CcdrError(message, hint=otherwise)


@contextlib.contextmanager
def client_of(looking: Looking, where: str, engine: EngineConfig) -> Iterator[Source]:
    with looking.clients(where, engine) as (client,), client as source:
        yield source


def connection_lines(
    address: Address, settings: Mapping[str, str | int | None], password_file: str | None, advice: Iterable[str] = ()
) -> Iterator[str]:
    """A plan's connection; `settings` is what the engine calls who is who, `advice` comments on the user."""
    yield "connection:"
    yield f"  host: {scalar(address.host)}"
    yield from (f"  {key}: {scalar(value)}" for key, value in settings.items() if value is not None)
    yield from (f"  # {line}" for line in advice)
    if password_file:
        yield f"  password_file: {scalar(password_file)}"
    if address.tls == "verify":
        yield "  tls: verify"
    if address.ca_file:
        yield f"  ca_file: {scalar(address.ca_file)}"


def database_name(database: str, taken: Collection[str]) -> str:
    return name_from(database, taken, otherwise="database")


def absolute(password_file: Path | None) -> Path | None:
    return password_file and password_file.absolute()


# What a database holds that seems worth a check, for whoever writes the first plan: the same of every engine.

SMALL = 200_000  # rows; so many are counted, or read to find the newest, without an index
WINDOW = 28  # days of which is asked whether anything was written on them
CLOCKS = 60.0  # seconds; a row that is newer than now by more was not written now
# A time that is planned, not one at which something happened.
PLANNED = re.compile(
    r"expir|until|due|next|sched|valid|end|deadline|retry|plan|birth|remind|callback|target|appoint|effective|_to$",
    re.IGNORECASE,
)
HAPPENED = re.compile(r"creat|start|insert|_at$|time|log|receiv|sent|updat|modif|stamp", re.IGNORECASE)


@dataclass(frozen=True)
class TableFound:
    """`name` as SQL wants it, schema and quotes included; `rows` are exact, or what the planner believes."""

    name: str
    rows: int
    exact: bool


def table_found(name: str, believed: int, count: int | None) -> TableFound:
    """`count` is as of a look that ends right past SMALL; None where nobody could look."""
    if count is not None and count <= SMALL:
        return TableFound(name, count, True)
    return TableFound(name, max(believed, count or 0), False)


@dataclass(frozen=True)
class NewestFound:
    """A column (as SQL wants it) of a table whose newest time is `age` seconds ago. `gap` is the longest time in
    days without a row in the last WINDOW days, None where there is too little history to tell."""

    table: str
    column: str
    age: float
    gap: int | None


@dataclass(frozen=True)
class Lack:
    """Something the role may not read, and the SQL (a superuser's) that changes it."""

    what: str
    sql: str


@dataclass(frozen=True)
class DatabaseFound:
    """One database: `largest` and `newest` hold what seems worth a check, the best first."""

    tables: int
    largest: tuple[TableFound, ...]
    newest: tuple[NewestFound, ...]
    extensions: Mapping[str, str]
    lacks: tuple[Lack, ...]


def best_of_each_table(newest_rows: Sequence[NewestFound], rows: Mapping[str, int]) -> Iterator[NewestFound]:
    """At most one column a table: those that are written to regularly first, then the larger tables."""
    seen: set[str] = set()
    for newest in sorted(
        newest_rows, key=lambda f: (f.gap is None, not HAPPENED.search(f.column), -rows[f.table], f.table)
    ):
        if newest.table not in seen:
            seen.add(newest.table)
            yield newest


def gap(days: list[int]) -> int | None:
    """The longest gap of days, the one up to now included; None where fewer than five days had a row."""
    if len(days) < 5:
        return None
    return max(days[0], *(b - a for a, b in itertools.pairwise(days)))


def described(database: DatabaseFound, size: int) -> str:
    """For people: its size, tables, newest row and extensions."""
    text = f"{human_bytes(size)}, {so_many(database.tables, 'table')}{most_rows(database)}"
    if database.newest:
        text += f", newest row {human_seconds(min(n.age for n in database.newest))} old"
    if database.extensions:
        text += f", extensions {', '.join(database.extensions)}"
    return text


def most_rows(database: DatabaseFound, quote: str = "") -> str:
    """Its largest tables, in brackets, without the `quote` around their names."""
    rows = (f"{t.name.strip(quote)} {'' if t.exact else 'about '}{t.rows:,} rows" for t in database.largest[:3])
    return f" ({', '.join(rows)})" if database.largest else ""


# What the first restore tests ask for: nothing is claimed that a healthy backup might not keep.
#
# Counts of rows and of recordings ask for half of what is there, freshness for what weekends and holidays leave.

ROW_CHECKS, FRESHNESS_CHECKS = 5, 2
LONG_WEEKEND, UNKNOWN_RHYTHM = 4, 30  # days


def database_checks(database: DatabaseFound) -> Iterator[str]:
    """Lines for what is worth a check in a database."""
    yield "  # Every page and index of the restored database can be read, and they agree with each other."
    yield "  - {kind: integrity}"
    large = [t for t in database.largest if t.rows >= 10] or list(database.largest[:1])
    if large:
        yield "  # The backup of an emptied source is a faithful copy, and no use: about half of what was there."
    for table in large[:ROW_CHECKS]:
        about = "" if table.exact else "about "
        check = f"  - {{kind: rows, table: {scalar(table.name)}, at_least: {half(table.rows)}}}"
        yield remark(check, f"there were {about}{table.rows:,}", column=61)
    for newest in database.newest[:FRESHNESS_CHECKS]:
        query = scalar(f"select max({newest.column}) from {newest.table}")
        yield f"  # The newest row was {human_seconds(newest.age)} old. {_rhythm(newest.gap)}"
        name = scalar(f"newest row of {newest.table}"[:200])
        yield f"  - {{kind: freshness, name: {name}, within: {_within(newest.gap)}d,"
        yield f"     query: {query}}}"


def _within(gap: int | None) -> int:
    """Days: three times the longest silence seen, and a long weekend at least."""
    return UNKNOWN_RHYTHM if gap is None else max(LONG_WEEKEND, 3 * gap)


def _rhythm(gap: int | None) -> str:
    if gap is None:
        return "There is little history to judge by: tighten it once you know better."
    return f"No silence was longer than {so_many(gap, 'day')}: tighten it if weekends count."


def half(count: int) -> int:
    """Half of it, rounded down to two digits; at least 1."""
    rest, unit = max(1, count // 2), 1
    while rest >= 100:
        rest, unit = rest // 10, unit * 10
    return rest * unit
