"""Is what was restored what was captured? By a second dump of the restored database.

Tables are compared through the table of contents (file numbers differ between two dumps, and a plain multiset
of hashes would miss two tables' contents swapped). Before a FAIL, what differs is compared without order:
a restore may reorder rows of varying width, and pg_dump may reorder statements of equal rank.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.postgres.inventory import COMPARED, INVENTORY, read_inventory
from ccdr.interfaces import Bench, Place
from ccdr.model import CheckResult, FileDigest, Manifest, Verdict

TRAILER_LINES = 3  # a table's file ends in `\.` and two empty lines
_ENTRY = re.compile(r"(?P<id>\d+); \d+ \d+ (?P<rest>.+)")
_BLOB_FILE = re.compile(r"blob_(?P<oid>\d+)\.dat")
_UNSTABLE = re.compile(r"^(\\(un)?restrict .*|-- Dumped (from|by) .*)$\n?", re.MULTILINE)
_HEADER = re.compile(r"^-- (?:Data for )?Name: (?P<name>.*?); Type: (?P<type>[^;]*); Schema: (?P<schema>[^;]*);", re.M)
_PREAMBLE = re.compile(r"--|SET |SELECT pg_catalog\.set_config\(|\\(un)?restrict ")
_SEQUENCES = re.compile(r"SEQUENCE SET ")
# In the data section of a dump, never among its definitions.
_LARGE_OBJECTS = re.compile(r"BLOB METADATA |BLOB - |(ACL|COMMENT|SECURITY LABEL) - LARGE OBJECT")
# What a role or a database may set, and what would then tell two equal databases apart.
DUMP_OPTIONS = "-c TimeZone=UTC -c bytea_output=hex -c quote_all_identifiers=off"
NAMED = 6  # how many differences a result names


@dataclass(frozen=True)
class Toc:
    """`pg_restore -l`: entries as (dump id, the line without its numbers)."""

    text: str
    entries: tuple[tuple[str, str], ...]

    def of(self, kind: str) -> dict[str, str]:
        """Dump id by what the entry is about, for entries of one kind. The key holds schema, name, owner."""
        found: dict[str, str] = {}
        for dump_id, rest in self.entries:
            if rest.startswith(f"{kind} "):
                key = rest.removeprefix(f"{kind} ")
                while key in found:  # two entries that print alike are still two
                    key += " (again)"
                found[key] = dump_id
        return found

    def lines(self, wanted: re.Pattern[str]) -> str:
        """The lines whose entry matches, as `pg_restore -L` wants them."""
        found = (line for line in self.text.splitlines() if (m := _ENTRY.fullmatch(line)) and wanted.match(m["rest"]))
        return "".join(f"{line}\n" for line in found)


@dataclass(frozen=True)
class Schema:
    """The definitions of a dump, without what differs between two dumps of the same database."""

    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogateescape")).hexdigest()

    def statements(self) -> Counter[str]:
        """Statements with their comment header, as a multiset."""
        return Counter(part.strip() for part in re.split(r"\n(?=--\n-- Name: )", self.text))


@dataclass(frozen=True)
class TableFact:
    rows: int
    bytes: int
    sha256: str
    file: str = ""


def read_toc(place: Place, dump: Path) -> Toc:
    text = place.run(["pg_restore", "-l", place.path(dump)], what="reading the dump's table of contents").stdout
    found = tuple((m["id"], m["rest"]) for m in map(_ENTRY.fullmatch, text.splitlines()) if m)
    # The file's own times are not part of what it lists.
    return Toc("\n".join(line for line in text.splitlines() if not line.startswith(";")) + "\n", found)


def schema(place: Place, dump: Path) -> Schema:
    argv = ["pg_restore", "-s", "-C", "--no-tablespaces", "-f", "-", place.path(dump)]
    return Schema(_UNSTABLE.sub("", place.run(argv, what="reading the dump's definitions").stdout))


def statements(place: Place, dump: Path, toc: Toc, wanted: re.Pattern[str]) -> Counter[str]:
    """The SQL of the matching entries, a multiset of lines, without the preamble that every script begins with."""
    lines = toc.lines(wanted)
    if not lines:
        return Counter()
    argv = ["pg_restore", "-L", "/dev/stdin", "-f", "-", place.path(dump)]
    return _sql_lines(place.run(argv, stdin=lines, what="reading details of the dump").stdout)


def _sql_lines(text: str) -> Counter[str]:
    return Counter(line for line in text.splitlines() if line and not _PREAMBLE.match(line))


def tables(toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, TableFact]:
    """Rows, bytes and digest of each table of a dump, by its entry in the table of contents."""
    found = {}
    for key, dump_id in toc.of("TABLE DATA").items():
        digest = files[f"{dump_id}.dat"]
        rows = (digest.lines or 0) - TRAILER_LINES
        found[key] = TableFact(rows, digest.bytes, digest.sha256, f"{dump_id}.dat")
    return found


def blobs(files: Mapping[str, FileDigest]) -> dict[str, str]:
    return {m["oid"]: digest.sha256 for name, digest in files.items() if (m := _BLOB_FILE.fullmatch(name))}


def compare(bench: Bench, env: Mapping[str, str], jobs: int) -> Iterator[CheckResult]:
    """Dump the restored database again and compare: tables, large objects, sequences, objects, roles."""
    box, dump, again = bench.sandbox, bench.restored / "dump", bench.out / "again"
    env = {**env, "PGOPTIONS": DUMP_OPTIONS}
    argv = ["pg_dump", "-w", "-Fd", f"-j{jobs}", "-Z0", "--no-sync", "-f", box.path(again)]
    if bench.manifest.contents["standby"]:
        argv.append("--no-unlogged-table-data")  # as it was captured
    again.mkdir()
    again.chmod(0o777)  # the sandbox's user is not ours; pg_dump takes an empty directory, and lets all read its files
    box.run(argv, env=env, watch=again, what="dumping the restored database")
    captured = {n.removeprefix("dump/"): d for n, d in bench.manifest.files.items() if n.startswith("dump/")}
    toc, toc_again = read_toc(box, dump), read_toc(box, again)
    names = sorted(p.name for p in again.iterdir())
    files_again = bench.digest(again, [n for n in names if n.endswith(".dat")], lines=True)
    yield _captured_files(bench)
    yield _tables(bench, tables(toc, captured), tables(toc_again, files_again), dump, again)
    yield _result("large objects", blobs(captured), blobs(files_again), len(blobs(captured)))
    for name, wanted in (("large objects' owners, grants, comments", _LARGE_OBJECTS), ("sequences", _SEQUENCES)):
        before, after = statements(box, dump, toc, wanted), statements(box, again, toc_again, wanted)
        yield _result(name, before, after, before.total())
    yield _objects(schema(box, dump), schema(box, again))
    yield _roles(bench, env)
    psql = ["psql", "-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    said = read_inventory(box.run(psql, stdin=INVENTORY, env=env, what="taking the inventory").stdout).facts
    of_source = {key: bench.manifest.contents.get(key) for key in COMPARED}
    yield _result("database settings", of_source, {key: said.get(key) for key in COMPARED}, len(COMPARED))


def _roles(bench: Bench, env: Mapping[str, str]) -> CheckResult:
    """Roles, memberships, their settings and comments, as pg_dumpall writes them. A statement may hold a
    password's hash: only its first words are told."""
    argv = ["pg_dumpall", "-w", "--roles-only", "-l", env["PGDATABASE"]]
    if not bench.manifest.contents["role_passwords"]:
        argv.append("--no-role-passwords")
    restored = bench.sandbox.run(argv, env=env, what="dumping the restored roles").stdout
    before = _sql_lines((bench.restored / "roles.sql").read_text("utf-8", "surrogateescape"))
    after = _sql_lines(restored)
    wrong = sorted({" ".join(line.split()[:3]) for line in [*(before - after), *(after - before)]})
    return CheckResult(
        kind="identical",
        name="roles",
        status=Verdict.FAIL if wrong else Verdict.PASS,
        expected=f"{before.total()} statements",
        actual=f"differs: {_named(wrong)}" if wrong else f"{after.total()} statements, equal",
    )


def _captured_files(bench: Bench) -> CheckResult:
    """The small files say what belongs where: they must be the captured ones. The data itself is compared
    after its way through a server, so it is not hashed twice."""
    small = [n for n in bench.manifest.files if not n.endswith(".dat")]
    present = [n for n in small if (bench.restored / n).is_file()]
    found = bench.digest(bench.restored, present)
    captured = {n: bench.manifest.files[n].sha256 for n in small}
    return _result("table of contents and roles", captured, {n: d.sha256 for n, d in found.items()}, len(small))


def _tables(
    bench: Bench, before: Mapping[str, TableFact], after: Mapping[str, TableFact], dump: Path, again: Path
) -> CheckResult:
    claimed = _claimed(bench.manifest)
    wrong, reordered = [], 0
    for key in sorted(before.keys() | after.keys() | claimed.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None or key not in claimed:
            wrong.append(f"{key}: {'missing' if new is None else 'not in the backup'}")
        elif claimed[key] != (new.rows, new.sha256):
            if old.rows == new.rows and _same_rows(bench, dump / old.file, again / new.file):
                reordered += 1
            else:
                wrong.append(f"{key}: {old.rows} rows captured, {new.rows} restored, contents differ")
    rows = sum(t.rows for t in after.values())
    note = f", {reordered} in another row order" if reordered else ""
    return CheckResult(
        kind="identical",
        name="tables",
        status=Verdict.FAIL if wrong else Verdict.PASS,
        expected=f"{len(claimed)} tables, {sum(r for r, _ in claimed.values())} rows",
        actual=_named(wrong) if wrong else f"{len(after)} tables, {rows} rows, equal by SHA-256{note}",
    )


def _claimed(manifest: Manifest) -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of each table, as the manifest has them."""
    claimed = manifest.contents["tables"]
    assert isinstance(claimed, dict)
    return {key: (int(t["rows"]), str(t["sha256"])) for key, t in claimed.items()}


def _same_rows(bench: Bench, one: Path, other: Path) -> bool:
    """Equal as multisets of lines; sorted by the system's `sort`, which spills to disk."""
    script = 'set -o pipefail; LC_ALL=C sort -S 25% -T "$2" -- "$1" | sha256sum'
    argv = ["bash", "-c", script, "sort"]
    hashes = [bench.host.run([*argv, str(p), str(bench.out)], what="sort").stdout for p in (one, other)]
    return hashes[0] == hashes[1]


def _objects(before: Schema, after: Schema) -> CheckResult:
    old, new = before.statements(), after.statements()
    wrong = [f"missing: {_title(s)}" for s in old - new] + [f"not in the backup: {_title(s)}" for s in new - old]
    return CheckResult(
        kind="identical",
        name="objects (definitions, owners, grants, comments)",
        status=Verdict.FAIL if wrong else Verdict.PASS,
        expected=f"{old.total()} definitions",
        actual=_named(sorted(set(wrong))) if wrong else f"{new.total()} definitions, equal",
    )


def _title(statement: str) -> str:
    match = _HEADER.search(statement)
    return f"{match['type']} {match['schema']}.{match['name']}" if match else "preamble"


def _result(name: str, before: Mapping[str, object], after: Mapping[str, object], count: int) -> CheckResult:
    wrong = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    return CheckResult(
        kind="identical",
        name=name,
        status=Verdict.FAIL if wrong else Verdict.PASS,
        expected=f"{count} as captured",
        actual=f"differs: {_named(wrong)}" if wrong else f"{count}, equal",
    )


def _named(items: list[str]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return "; ".join(items[:NAMED]) + more
