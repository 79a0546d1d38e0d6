"""Tables of a dump: which of its entries bring them back, and which need more than them.

A table comes with its rows, what its definition needs (schema, types, functions), its defaults, indexes, constraints,
row security, grants and comments, and with the sequences that it owns or takes numbers from. What needs a table that
is not chosen, such as a foreign key, is left out; so are triggers and views. A partitioned table has no rows of its
own: it comes with all of its partitions, and where all of them are chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.postgres.dump.toc import TABLE_DATA, Depending, read_depending, toc_of
from ccdr.engines.servers.parts import ChosenTables
from ccdr.model.values import Manifest, so_many
from ccdr.ports.place import Place

LISTING = "toc.list"
_DATA = re.compile(r"dump/(\d+|blob_\d+|blobs_?\d*)\.(dat|toc)")
_HANGS_ON_A_TABLE = re.compile(
    r"(DEFAULT|CONSTRAINT|CHECK CONSTRAINT|FK CONSTRAINT|INDEX|STATISTICS|ROW SECURITY|POLICY|SEQUENCE) "
    r"(?!SET |OWNED BY |ATTACH )"
)
# A partition is attached, and its indexes are, where what it is a part of comes back, too.
_HANGS_ON_ANYTHING = re.compile(
    r"(SEQUENCE SET|SEQUENCE OWNED BY|COMMENT|ACL|SECURITY LABEL|TABLE ATTACH|INDEX ATTACH) "
)
_ATTACHES, _ATTACH = re.compile(r"(TABLE|INDEX) ATTACH "), "TABLE ATTACH "
_RELATION = re.compile(r"(TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW) (?!DATA |ATTACH )")
_TOLD = re.compile(r"(FK CONSTRAINT|CONSTRAINT|DEFAULT|INDEX|POLICY|TRIGGER|RULE|STATISTICS) (?!ATTACH )")


def names_of(manifest: Manifest) -> dict[str, str]:
    """The manifest's key of each table with rows, by `schema.table`."""
    tables = manifest.contents["tables"]
    roles = sorted(manifest.contents["roles"], key=len, reverse=True)
    names: dict[str, str] = {}
    for key in tables:
        bare = key
        while bare.endswith(" (again)"):
            bare = bare.removesuffix(" (again)")
        owner = next((role for role in roles if bare.endswith(f" {role}")), bare.rpartition(" ")[2])
        schema, _, table = bare.removesuffix(f" {owner}").partition(" ")
        names[f"{schema}.{table}"] = key
    return names


def choose(manifest: Manifest, keys: Mapping[str, str], listing: str) -> ChosenTables:
    """Of these tables alone. `listing` is the captured `toc.list`."""
    ids = toc_of(listing).of(TABLE_DATA)
    files = [name for name in manifest.files if not _DATA.fullmatch(name)]
    files += [f"dump/{ids[key]}.dat" for key in keys.values()]
    tables = manifest.contents["tables"]
    whole = sum(int(table["bytes"]) for table in tables.values())
    share = sum(int(tables[key]["bytes"]) for key in keys.values()) / max(1, whole)
    size = int(int(manifest.contents["database_bytes"]) * share) + 2**23
    return ChosenTables.narrowed(manifest, keys, files, database_bytes=size)


def partitions(place: Place, dump: Path) -> dict[str, list[str]]:
    """Of each partitioned table, by `schema.table`, the tables that hold its rows: its partitions, or theirs."""
    entries = read_depending(place, dump)

    def name(one: str) -> str:
        return entries[one].title.removeprefix("TABLE ").replace(" ", ".", 1)

    return {name(table): [name(leaf) for leaf in leaves] for table, leaves in _leaves(entries).items()}


def _leaves(entries: Mapping[str, Depending]) -> dict[str, list[str]]:
    """The same by dump ids, in the order of the entries."""
    children: dict[str, list[str]] = {}
    for entry in entries.values():
        if not entry.rest.startswith(_ATTACH):
            continue
        own = f"TABLE {entry.title.removeprefix(_ATTACH)}"
        tables = [one for one in entry.needs if one in entries and entries[one].title.startswith("TABLE ")]
        parents = [one for one in tables if entries[one].title != own]
        if len(tables) == 2 and len(parents) == 1:
            children.setdefault(parents[0], []).extend(one for one in tables if one != parents[0])

    def below(one: str) -> list[str]:
        return [leaf for child in children[one] for leaf in (below(child) if child in children else [child])]

    return {one: below(one) for one in children}


@dataclass(frozen=True)
class Needed:
    """`entries` are lines of the table of contents, as `pg_restore -L` wants them."""

    entries: str
    left_out: Sequence[str]  # what hangs on the tables, and needs more than them
    beside: Sequence[str]  # tables whose definition is needed, without their rows

    def notes(self) -> Iterator[str]:
        if self.left_out:
            more = f" and {len(self.left_out) - 20} more" if len(self.left_out) > 20 else ""
            yield (
                f"left out, as each needs more than the chosen tables ({so_many(len(self.left_out), 'object')}): "
                f"{', '.join(self.left_out[:20])}{more}"
            )
        if self.beside:
            yield f"{', '.join(self.beside)}: there without rows, as the chosen tables are built upon it"


def needed(place: Place, dump: Path, manifest: Manifest) -> Needed:
    """For the tables that the manifest names."""
    entries = read_depending(place, dump)
    keys = manifest.contents["tables"].keys()
    ids = toc_of("".join(f"{entry.line}\n" for entry in entries.values())).of(TABLE_DATA)
    data = {ids[key] for key in keys}

    def closure(of: Iterator[str] | Sequence[str] | set[str]) -> set[str]:
        found, todo = set[str](), list(of)
        while todo:
            one = todo.pop()
            if one in entries and one not in found:
                found.add(one)
                todo += entries[one].needs
        return found

    def relations(of: set[str]) -> set[str]:
        return {one for one in of if _RELATION.match(entries[one].rest)}

    # A table that another is built upon comes without what hangs on it.
    chosen = {one for row in data for one in entries[row].needs if one in entries}
    chosen |= {one for one, leaves in _leaves(entries).items() if set(leaves) <= chosen}
    taken = closure(data | chosen)
    beside, there = relations(taken) - chosen, relations(taken)
    left_out = []
    for one, entry in entries.items():
        if not chosen & set(entry.needs):
            continue
        within = chosen if entry.rest.startswith("FK ") else there  # a key to a table without rows would not hold
        if _HANGS_ON_A_TABLE.match(entry.rest) and relations(more := closure({one})) <= within:
            taken |= more
        elif _TOLD.match(entry.rest) and not _of_another(entry.rest, chosen, entries):
            left_out.append(entry.title)
    while more := {
        one
        for one, entry in entries.items()
        if one not in taken and entry.needs and set(entry.needs) <= taken and _HANGS_ON_ANYTHING.match(entry.rest)
        if not (_ATTACHES.match(entry.rest) and relations(set(entry.needs)) - chosen)
    }:
        taken |= more
    lines = "".join(f"{entry.line}\n" for one, entry in entries.items() if one in taken)
    return Needed(lines, left_out, sorted(entries[one].title.partition(" ")[2] for one in beside))


def _of_another(rest: str, chosen: set[str], entries: Mapping[str, Depending]) -> bool:
    """Is it another table's, which refers to one of the chosen? An index does not tell whose it is, and is its own
    table's alone."""
    kind = _TOLD.match(rest)
    if kind is None or kind[1] in ("INDEX", "STATISTICS"):
        return False
    ours = (entries[one].title.removeprefix("TABLE ") for one in chosen)
    return not any(rest.startswith(f"{kind[1]} {table} ") for table in ours)
