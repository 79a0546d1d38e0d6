"""Tables of a dump: the same dump, of these tables alone.

A table comes with its rows, its indexes and the sequences that its defaults take numbers from. A foreign key to a
table that is not chosen is left out; so are triggers, views, routines and events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ccdr.engines.mariadb.client import text_of, unquoted
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump.load import AS_DEFINED
from ccdr.engines.servers.parts import ChosenTables
from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest, so_many

LISTING = files.TABLES
_PART = re.compile(r"^(?=--\n-- (?:Table|Temporary table|Sequence) structure for )", re.M)
_MADE = re.compile(r"^CREATE (?:TABLE|SEQUENCE) (?P<name>`(?:[^`]|``)*`)", re.M)
_TAIL = re.compile(r"^/\*!40103 SET TIME_ZONE=@OLD_TIME_ZONE ", re.M)
_KEY = re.compile(
    r"^  CONSTRAINT (?P<key>`(?:[^`]|``)*`) FOREIGN KEY \(.*?\) "
    r"REFERENCES (?P<to>`(?:[^`]|``)*`(?:\.`(?:[^`]|``)*`)?) [^\n]*\n",
    re.M,
)
_LAST_COMMA = re.compile(r",\n(?=\) ENGINE=)")
_NUMBERS = re.compile(r"nextval\((?:`(?:[^`]|``)*`\.)?(`(?:[^`]|``)*`)\)", re.I)
_NO_CODE = """--
-- Dumping events for database '{0}'
--

--
-- Dumping routines for database '{0}'
--

-- Dump completed
"""


def names_of(manifest: Manifest) -> dict[str, str]:
    """The manifest's key of each table with rows, by its name: the same."""
    return {name: name for name in manifest.contents["tables"]}


def choose(manifest: Manifest, keys: Mapping[str, str], listing: str) -> ChosenTables:
    """Of these tables alone. `listing` is the captured script that makes the tables."""
    tables = manifest.contents["tables"]
    wanted = [n for n in manifest.files if not n.startswith(f"{files.ROWS}/") and n not in (files.CODE, files.VIEWS)]
    wanted += [str(tables[key]["file"]) for key in keys.values()]
    _, left_out, sequences = _narrowed(listing, set(keys.values()))
    objects = manifest.contents["objects"]
    kept = {name: objects[name] for name in (f"sequence {sequence}" for sequence in sequences) if name in objects}
    chosen = ChosenTables.narrowed(
        manifest, keys, wanted, objects=kept, definers={}, orphans=[], without_rows=sorted(sequences), left_out=[]
    )
    return replace(chosen, notes=tuple(_notes(left_out, len([n for n in objects if not n.startswith("sequence ")]))))


def narrow(restored: Path, manifest: Manifest) -> None:
    """Make the fetched dump one of these tables alone, which loads as any does."""
    tables = manifest.contents["tables"]
    script, _, _ = _narrowed(text_of(restored / files.TABLES), set(tables))
    _write(restored / files.TABLES, script.replace(*AS_DEFINED, 1))
    _write(restored / files.CODE, _NO_CODE.format(manifest.contents["database"]))


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)


def _notes(left_out: list[str], others: int) -> Iterator[str]:
    if left_out:
        more = f" and {len(left_out) - 20} more" if len(left_out) > 20 else ""
        yield (
            f"left out, as each needs a table that is not chosen ({so_many(len(left_out), 'foreign key')}): "
            f"{', '.join(left_out[:20])}{more}"
        )
    if others:
        yield f"left out: the views, triggers, routines and events of the database, {others} in all"


def _narrowed(script: str, chosen: set[str]) -> tuple[str, list[str], set[str]]:
    """The script for these tables; the keys that are left out; the sequences that come with them."""
    head, *parts = _PART.split(script)
    if not parts or not (tail := _TAIL.search(parts[-1])):
        raise BackupBad("the script that makes the tables is not as mariadb-dump writes it")
    parts[-1], end = parts[-1][: tail.start()], parts[-1][tail.start() :]
    made = {unquoted(match["name"]): part for part in parts if (match := _MADE.search(part))}
    left_out = list[str]()
    kept = {name: _without_keys(name, part, chosen, left_out) for name, part in made.items() if name in chosen}
    if lost := sorted(chosen - kept.keys()):
        raise BackupBad(f"the script that makes the tables lacks {', '.join(lost[:5])}")
    sequences = {unquoted(match[1]) for part in kept.values() for match in _NUMBERS.finditer(part)} & made.keys()
    body = "".join(kept.get(name, part) for name, part in made.items() if name in kept or name in sequences)
    return f"{head}{body}{end}", left_out, sequences


def _without_keys(table: str, part: str, chosen: set[str], left_out: list[str]) -> str:
    def kept(key: re.Match[str]) -> str:
        to = key["to"]
        if to.count("`.`") == 0 and unquoted(to) in chosen:
            return key[0]
        left_out.append(f"{unquoted(key['key'])} of {table}")
        return ""

    return _LAST_COMMA.sub("\n", _KEY.sub(kept, part))
