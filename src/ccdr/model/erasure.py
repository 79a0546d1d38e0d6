"""Who is erased, by what they are found, and what a replay has found. Values alone: nothing of a selector is ever put
into a record, a message, or the arguments of a program.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

RULE_VERSION = 1  # how a selector is understood: raised when the same words come to mean something else
NO_HASH = "0" * 64


@dataclass(frozen=True)
class Rows:
    """The rows of one table whose columns have these values, as texts. `may_lack`: older snapshots may be without the
    table, and then nobody is to be found there."""

    table: str
    key: tuple[tuple[str, str], ...]
    may_lack: bool = False

    def as_json(self) -> dict[str, object]:
        return {"table": self.table, "key": dict(self.key), **({"may_lack": True} if self.may_lack else {})}


@dataclass(frozen=True)
class Selector:
    """What one erased person left in one asset: rows of a database, patterns of Redis keys, or paths of files (each a
    path below the source's own, or a pattern of such). One of the three."""

    asset: str
    rows: tuple[Rows, ...] = ()
    keys: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sum(map(bool, (self.rows, self.keys, self.files))) != 1:
            raise ValueError("no selector")

    @property
    def what(self) -> str:
        return "rows" if self.rows else "keys" if self.keys else "files"

    def as_json(self) -> dict[str, object]:
        found: list[object] = [row.as_json() for row in self.rows]
        return {"asset": self.asset, self.what: found or [*self.keys, *self.files]}

    @property
    def canonical(self) -> str:
        """The same text for the same person, whatever order it was written in."""
        body = self.as_json()
        body[self.what] = sorted(_listed(body[self.what]), key=lambda one: json.dumps(one, sort_keys=True))
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def pseudonym(key: str, selector: Selector) -> str:
    """By what a selector is called in lists and logs: nobody who lacks the register's key can guess back from it."""
    return hmac.new(bytes.fromhex(key), selector.canonical.encode(), sha256).hexdigest()


def person_called(key: str, person: str) -> str:
    """The same of what an owner calls a person by: entries in several assets have it in common."""
    return hmac.new(bytes.fromhex(key), f"person\n{person}".encode(), sha256).hexdigest()


class EntryState(StrEnum):
    """What replays have shown of an entry so far: that by its key somebody is found, or why that is not shown."""

    CANARY = "canary"  # planted: each replay must find it
    FOUND = "found"  # in one snapshot at least
    LATE = "late"  # in what was taken after the person was erased: the source may hold them still
    NEVER_FOUND = "never_found"  # looked for in snapshots from before the person was erased: its key may be wrong
    NOT_LOOKED_FOR = "not_looked_for"  # there are such snapshots, and none of them was restored since
    NOT_DUE = "not_due"  # no snapshot here was taken before they were erased: nobody is to be found
    STATED = "stated"  # a person answers for it that nobody is to be found


UNSHOWN = (EntryState.NEVER_FOUND, EntryState.NOT_LOOKED_FOR)


class Unlooked(StrEnum):
    """Why nobody could look whether a name in an entry that is added is a slip."""

    SNAPSHOT = "no_snapshot"  # this host knows none of the asset
    TABLES = "tables_not_told"  # the manifest of the newest tells no table
    COLUMNS = "columns_not_told"  # … no column


@dataclass(frozen=True)
class Looked:
    """What records tell of an entry: the most that a replay has found of it, in how many snapshots from before the
    person was erased nobody was found, and whether somebody has stated that nobody is to be. `late`: the newest instant
    after the erasure at which the source held them still."""

    found: int = 0
    missing: int = 0
    stated: bool = False
    late: datetime | None = None
    still: bool = False  # no replay of what was taken later has shown that they are gone

    def state(self, *, held: bool) -> EntryState:
        """`held`: there is a snapshot from before the person was erased."""
        if self.still:
            return EntryState.LATE
        if self.found:
            return EntryState.FOUND
        if self.stated:
            return EntryState.STATED
        if not held:
            return EntryState.NOT_DUE
        return EntryState.NEVER_FOUND if self.missing else EntryState.NOT_LOOKED_FOR


class EntryFound(Struct, frozen=True):
    """What one replay found of an entry, and what is shown of it by now; null where it came to no look."""

    id: str
    what: str
    state: EntryState
    found_before: int | None = None
    found_after: int | None = None


@dataclass(frozen=True)
class RegisterHead:
    """How far a register went: which one, its entries, and the hash of the last line."""

    register: str
    entries: int
    hash: str

    def __str__(self) -> str:
        return f"{self.entries}:{self.hash}:{self.register}"

    @classmethod
    def read(cls, text: str) -> RegisterHead:
        """The inverse of `str`; ValueError where it is none."""
        entries, digest, register = text.split(":")
        if not entries.isdecimal() or len(digest) != len(NO_HASH):
            raise ValueError("no head of a register")
        return cls(register, int(entries), digest)


@dataclass(frozen=True)
class Wanted:
    """One entry that is to be replayed. `stays`: a canary in what is handed over, which is looked for and left there:
    it is nobody's, and each later backup must hold it."""

    id: str
    selector: Selector
    stays: bool = False


@dataclass
class Erased:
    """What a replay of one entry has found: what the selector names itself, and what depended on that (child rows).
    `after` counts both once all was erased. `stays` as of `Wanted`: then `after` is to be what was there before."""

    id: str
    before: int = 0
    beside: int = 0
    after: int = 0
    stays: bool = False

    @classmethod
    def of(cls, wanted: Wanted) -> Erased:
        return cls(wanted.id, stays=wanted.stays)


@dataclass
class Replayed:
    """What an engine tells of one replay. `atomic`: it was one transaction, as far as the store has them; `lacking` are
    tables that were not there, and need not be."""

    entries: list[Erased] = field(default_factory=list)
    atomic: bool = True
    lacking: int = 0

    @property
    def after(self) -> int:
        """What is still there of all that was to go."""
        return sum(one.after for one in self.entries if not one.stays)

    @property
    def before(self) -> int:
        """What was there of all that was to go."""
        return sum(one.before + one.beside for one in self.entries if not one.stays)
