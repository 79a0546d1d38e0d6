"""A dump's definitions as SQL: read, without what differs between two dumps of the same database, and told apart."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.postgres.dump.toc import Toc
from ccdr.ports.place import Place

_DUMPED = re.compile(r"^-- Dumped (from|by) .*\n", re.MULTILINE)
_RESTRICT = re.compile(r"^\\restrict (\S+)\n", re.MULTILINE)
_COMPLETE = re.compile(r"\n+--\n-- PostgreSQL database (cluster )?dump complete\n--\n+\Z")
_BODY = re.compile(r"^--\n-- (Data for )?Name: ", re.MULTILINE)  # where a script's preamble ends
_HEADER = re.compile(r"^-- (?:Data for )?Name: (?P<name>.*?); Type: (?P<type>[^;]*); Schema: (?P<schema>[^;]*);", re.M)
SUBSCRIBES = re.compile(r"SUBSCRIPTION |(COMMENT|SECURITY LABEL) -\.SUBSCRIPTION ")  # of a title
# Of a subscription: it is the source's, and whoever drops a subscription drops the slot at its publisher, too.
SLOT = re.compile(r"(?<= WITH \(connect = false, slot_name = )(?P<slot>'\w+')")


@dataclass(frozen=True)
class Schema:
    """The definitions of a dump, without what differs between two dumps of the same database."""

    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogateescape")).hexdigest()

    def statements(self) -> Counter[str]:
        """Statements with their comment header, as a multiset."""
        return _blocks(self.text)


def schema(place: Place, dump: Path, *, whole: bool = True) -> Schema:
    """`whole`: with the database's own properties."""
    argv = ["pg_restore", "-s", *(["-C"] if whole else []), "--no-tablespaces", "-f", "-", place.path(dump)]
    return schema_of(place.run(argv, what="reading the dump's definitions").stdout)


def schema_of(script: str) -> Schema:
    """`script` is what `pg_restore -s` says."""
    return Schema(SLOT.sub("NONE", _stable(script)))


def _stable(script: str) -> str:
    """A script without what differs between two dumps of the same database: the versions that its head names,
    and the random word of its `\\restrict` lines. Nothing further down is touched: it may be a function's body."""
    body = _BODY.search(script)
    head = script[: body.start()] if body else script
    for word in _RESTRICT.findall(head):
        script = script.replace(f"\\restrict {word}\n", "").replace(f"\\unrestrict {word}\n", "")
    script = _COMPLETE.sub("\n", script)
    return _DUMPED.sub("", script, count=2) if _DUMPED.search(head) else script


def _blocks(script: str) -> Counter[str]:
    """A script's parts, each with its comment header, as a multiset."""
    return Counter(part.strip() for part in _parts(script))


def _parts(script: str) -> list[str]:
    return re.split(r"\n(?=--\n-- (?:Data for )?Name: )", script)


def statements(place: Place, dump: Path, toc: Toc, wanted: re.Pattern[str]) -> Counter[str]:
    """The SQL of the matching entries, a multiset of parts, without the preamble that every script begins with."""
    lines = toc.lines(wanted)
    if not lines:
        return Counter()
    argv = ["pg_restore", "-L", "/dev/stdin", "-f", "-", place.path(dump)]
    script = _stable(place.run(argv, stdin=lines, what="reading details of the dump").stdout)
    body = _BODY.search(script)
    return _blocks(script[body.start() :]) if body else Counter()


def of_database(statement: str) -> bool:
    """Is it about the database as a whole: its properties, or a grant, comment or label on it?"""
    match = _HEADER.search(statement)
    return match is not None and (
        match["type"] in ("DATABASE", "DATABASE PROPERTIES")
        or (match["type"] in ("ACL", "COMMENT", "SECURITY LABEL") and match["name"].startswith("DATABASE "))
    )


def type_of(statement: str) -> str:
    match = _HEADER.search(statement)
    return match["type"] if match else ""


def title(statement: str) -> str:
    match = _HEADER.search(statement)
    return f"{match['type']} {match['schema']}.{match['name']}" if match else "preamble"
