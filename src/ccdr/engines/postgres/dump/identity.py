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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

from ccdr.engines.compared import equal, judged, named
from ccdr.engines.postgres.dump import archive, roles
from ccdr.engines.postgres.dump.recorded import as_recorded
from ccdr.engines.postgres.inventory import COMPARED, INVENTORY, conninfo, read_inventory
from ccdr.model.values import CheckResult, FileDigest, Manifest, so_many
from ccdr.ports.check import Bench
from ccdr.ports.place import Place

TRAILER_LINES = 3  # a table's file ends in `\.` and two empty lines
_ENTRY = re.compile(r"(?P<id>\d+); \d+ \d+ (?P<rest>.+)")
_BLOB_FILE = re.compile(r"blob_(?P<oid>\d+)\.dat")
_DATA = re.compile(r"dump/(\d+|blob_\d+)\.dat")  # and not toc.dat, which holds every definition
_DUMPED = re.compile(r"^-- Dumped (from|by) .*\n", re.MULTILINE)
_RESTRICT = re.compile(r"^\\restrict (\S+)\n", re.MULTILINE)
_COMPLETE = re.compile(r"\n+--\n-- PostgreSQL database (cluster )?dump complete\n--\n+\Z")
_BODY = re.compile(r"^--\n-- (Data for )?Name: ", re.MULTILINE)  # where a script's preamble ends
_HEADER = re.compile(r"^-- (?:Data for )?Name: (?P<name>.*?); Type: (?P<type>[^;]*); Schema: (?P<schema>[^;]*);", re.M)
TABLE_DATA = "TABLE DATA"
_BLOBS = re.compile(r"BLOBS - ")
_SEQUENCES = re.compile(r"SEQUENCE SET ")
# In the data section of a dump, never among its definitions.
_LARGE_OBJECTS = re.compile(r"BLOB METADATA |BLOB - |(ACL|COMMENT|SECURITY LABEL) - LARGE OBJECT")
# What a role or a database may set, and what would then tell two equal databases apart.
DUMP_OPTIONS = "-c TimeZone=UTC -c bytea_output=hex -c quote_all_identifiers=off"
FILLED = "MATERIALIZED VIEW DATA"
REFERENCE = "ccdr_reference"  # in the sandbox
BESIDE = "_ref"  # appended to a working name, on a real server
# What belongs to the whole server: a restore onto one that others use too does not touch it.
OF_SERVER = ("role_all_settings",)
_IDENT = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_CREATE = re.compile(rf"^CREATE DATABASE (?P<name>{_IDENT}) WITH TEMPLATE", re.M)
_NAMING = re.compile(r"^(?:CREATE DATABASE |\\connect ).*\n", re.M)
# Entries on the database itself, and what every script begins with, before and after \connect.
_OWN = re.compile(r"(?:DATABASE|DATABASE PROPERTIES) - |(?:ACL|COMMENT|SECURITY LABEL) - DATABASE ")
_PREAMBLE = re.compile(
    r"SET (?!SESSION AUTHORIZATION |standard_conforming_strings = off;)|SELECT pg_catalog\.set_config\(|"
    r"CREATE DATABASE "
)
_ON_DATABASE = (
    rf"((?:ALTER DATABASE|COMMENT ON DATABASE|ALTER ROLE {_IDENT} IN DATABASE|(?:GRANT|REVOKE) [A-Z ,]+ ON DATABASE|"
    rf"SECURITY LABEL FOR {_IDENT} ON DATABASE) )"
)


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
        found = (line for line in self.text.split("\n") if (m := _ENTRY.fullmatch(line)) and wanted.match(m["rest"]))
        return "".join(f"{line}\n" for line in found)

    def entry(self, dump_id: str) -> str:
        """The line of one entry."""
        return next(f"{line}\n" for line in self.text.split("\n") if line.startswith(f"{dump_id}; "))


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


@dataclass(frozen=True)
class TableFact:
    rows: int
    bytes: int
    sha256: str
    file: str = ""


def read_toc(place: Place, dump: Path, *, whole: bool = False) -> Toc:
    """`whole`: with the database's own properties."""
    argv = ["pg_restore", "-l", *(["-C"] if whole else []), place.path(dump)]
    return toc_of(place.run(argv, what="reading the dump's table of contents").stdout)


def toc_of(text: str) -> Toc:
    """`text` is what `pg_restore -l` says."""
    found = tuple((m["id"], m["rest"]) for m in map(_ENTRY.fullmatch, text.split("\n")) if m)
    # The file's own times are not part of what it lists.
    return Toc("\n".join(line for line in text.split("\n") if not line.startswith(";")) + "\n", found)


def schema(place: Place, dump: Path, *, whole: bool = True) -> Schema:
    """`whole`: with the database's own properties."""
    argv = ["pg_restore", "-s", *(["-C"] if whole else []), "--no-tablespaces", "-f", "-", place.path(dump)]
    return schema_of(place.run(argv, what="reading the dump's definitions").stdout)


def schema_of(script: str) -> Schema:
    """`script` is what `pg_restore -s` says."""
    return Schema(_stable(script))


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


def tables(toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, TableFact]:
    """Rows, bytes and digest of each table of a dump, by its entry in the table of contents."""
    found = {}
    for key, dump_id in toc.of(TABLE_DATA).items():
        digest = files[f"{dump_id}.dat"]
        rows = (digest.lines or 0) - TRAILER_LINES
        found[key] = TableFact(rows, digest.bytes, digest.sha256, f"{dump_id}.dat")
    return found


def blobs(files: Mapping[str, FileDigest]) -> dict[str, str]:
    return {m["oid"]: digest.sha256 for name, digest in files.items() if (m := _BLOB_FILE.fullmatch(name))}


def compare(bench: Bench, env: Mapping[str, str], jobs: int, *, working: str | None = None) -> Iterator[CheckResult]:
    """Dump the restored database again and compare: tables, large objects, sequences, objects, roles. `working` is
    its name on a real server: there it has another one than the source's, and roles that were there before."""
    box, dump, again = bench.sandbox, bench.restored / "dump", bench.out / "again"
    env = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} {DUMP_OPTIONS}"}
    encoding = f"--encoding={bench.manifest.contents['encoding']}"
    argv = ["pg_dump", "-w", "-Fd", f"-j{jobs}", "-Z0", "--no-sync", encoding, "-f", box.path(again)]
    if bench.manifest.contents.get("standby"):
        argv.append("--no-unlogged-table-data")  # as it was captured
    again.mkdir()
    again.chmod(0o777)  # the sandbox's user is not ours; pg_dump takes an empty directory, and lets all read its files
    box.run(argv, env=env, watch=again, what="dumping the restored database")
    toc, toc_again = read_toc(box, dump), read_toc(box, again)
    names = sorted(p.name for p in again.iterdir())
    files_again = bench.digest(again, [n for n in names if n.endswith(".dat")], lines=True)
    yield _captured_files(bench)
    fetched = _OneFile(bench) if dump.is_file() else _Directory(bench)
    yield _tables(bench, fetched, toc, tables(toc_again, files_again), again)
    objects, objects_again = fetched.blobs(), fetched.blobs_again(again, toc_again, files_again)
    yield equal("large objects", objects, objects_again, len(objects))
    for name, wanted in (("large objects' owners, grants, comments", _LARGE_OBJECTS), ("sequences", _SEQUENCES)):
        before, after = statements(box, dump, toc, wanted), statements(box, again, toc_again, wanted)
        yield equal(name, before, after, before.total())
    yield _objects(bench, env, dump, again, working)
    if working is None:
        yield _roles(bench, env)
    psql = ["psql", "-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    # Names are told as the source told them; older manifests do not say by which search_path.
    path = f" -c search_path={path}" if (path := bench.manifest.contents.get("search_path")) == "pg_catalog" else ""
    utf8 = {**env, "PGOPTIONS": f"{env['PGOPTIONS']}{path}", "PGCLIENTENCODING": "UTF8"}
    said = read_inventory(box.run(psql, stdin=INVENTORY, env=utf8, what="taking the inventory").stdout).facts
    captured, there = as_recorded(bench.manifest.contents), as_recorded(said)
    if working is not None:
        yield _roles_there(captured, there)
    keys = [key for key in COMPARED if working is None or key not in OF_SERVER]
    of_source, restored = ({key: facts.get(key) for key in keys} for facts in (captured, there))
    of_source["extension_objects"], restored["extension_objects"] = _fewer(bench.manifest.contents, said)
    for facts in (of_source, restored):
        if statements_of_all := cast("list[str]", facts.get("role_all_settings")):
            facts["role_all_settings"] = sorted(map(roles.setting_of_all, statements_of_all))
    compared = equal("database settings, and what a dump leaves out", of_source, restored, len(of_source))
    versions = _versions(bench.manifest.contents["extensions"], said["extensions"])
    yield replace(compared, actual=compared.actual + versions)


def _fewer(
    captured: Mapping[str, object], restored: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """Extensions of the captured version that hold fewer objects than they did, with their numbers: a dump has nothing
    of what somebody has added to an extension. Older manifests do not tell."""
    before, after = (cast("dict[str, int]", facts.get("extension_objects") or {}) for facts in (captured, restored))
    was, now = (cast("dict[str, str]", facts["extensions"]) for facts in (captured, restored))
    fewer = [n for n in sorted(before) if was.get(n) == now.get(n) and after.get(n, 0) < before[n]]
    return {n: before[n] for n in fewer}, {n: after.get(n, 0) for n in fewer}


def _versions(captured: object, restored: object) -> str:
    """A dump names extensions without their version: the image's own is what comes back. Worth knowing, and what
    a real restore would give too."""
    assert isinstance(captured, dict) and isinstance(restored, dict)
    other = [f"{n} {v} is now {restored[n]}" for n, v in sorted(captured.items()) if restored.get(n, v) != v]
    return f"; extension {', '.join(other)}" if other else ""


def _roles(bench: Bench, env: Mapping[str, str]) -> CheckResult:
    """Roles, memberships, their settings and comments, as pg_dumpall writes them. A statement may hold a
    password's hash: only its first words are told."""
    argv = ["pg_dumpall", "-w", "--roles-only", "-l", conninfo(env["PGDATABASE"])]
    if not bench.manifest.contents["role_passwords"]:
        argv.append("--no-role-passwords")
    utf8 = {**env, "PGCLIENTENCODING": "UTF8"}
    restored = bench.sandbox.run(argv, env=utf8, what="dumping the restored roles").stdout
    captured = (bench.restored / "roles.sql").read_text("utf-8", "surrogateescape")
    # What holds for all roles, the inventory compares.
    before, after = Counter(roles.own(captured)), Counter(roles.own(restored))
    wrong = sorted({" ".join(statement.split()[:3]) for statement in [*(before - after), *(after - before)]})
    return judged(
        "roles", wrong, f"{before.total()} statements", f"{after.total()} statements, equal", lead="differs: "
    )


def _roles_there(captured: Mapping[str, object], there: Mapping[str, object]) -> CheckResult:
    """On a server of others, roles that were there before are left as they are: told, and no failure."""
    before, after = cast("dict[str, object]", captured["roles"]), cast("dict[str, object]", there["roles"])
    missing = sorted(before.keys() - after.keys())
    other = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    note = f"; attributes of the server's own, left as they are: {named(other)}" if other else ""
    return judged("roles", missing, f"{len(before)} roles", f"{len(before)} roles{note}", lead="missing: ")


def _captured_files(bench: Bench) -> CheckResult:
    """The small files say what belongs where: they must be the captured ones. The data itself is compared
    after its way through a server, so it is not hashed twice."""
    small = [n for n in bench.manifest.files if not _DATA.fullmatch(n)]
    present = [n for n in small if (bench.restored / n).is_file()]
    found = bench.digest(bench.restored, present)
    captured = {n: bench.manifest.files[n].sha256 for n in small}
    return equal("table of contents and roles", captured, {n: d.sha256 for n, d in found.items()}, len(small))


class _Archive(Protocol):
    """The fetched dump, in one of its two forms; `again` is always a directory."""

    def tables(self, toc: Toc) -> dict[str, TableFact]: ...

    def rows(self, toc: Toc, key: str) -> Path:
        """The rows of one table, as a file."""

    def blobs(self) -> dict[str, str]:
        """A digest of each large object, by its OID."""

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        """The same of the second dump."""


@dataclass(frozen=True)
class _Directory:
    bench: Bench

    @property
    def _files(self) -> dict[str, FileDigest]:
        files = self.bench.manifest.files
        return {n.removeprefix("dump/"): d for n, d in files.items() if n.startswith("dump/")}

    def tables(self, toc: Toc) -> dict[str, TableFact]:
        return tables(toc, self._files)

    def rows(self, toc: Toc, key: str) -> Path:
        return self.bench.restored / "dump" / self.tables(toc)[key].file

    def blobs(self) -> dict[str, str]:
        return blobs(self._files)

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        return blobs(files)


@dataclass(frozen=True)
class _OneFile:
    """What was stored as a stream: the digests were taken from it as it went by."""

    bench: Bench

    def tables(self, toc: Toc) -> dict[str, TableFact]:
        there = toc.of(TABLE_DATA)
        return {k: TableFact(rows, 0, sha) for k, (rows, sha) in _claimed(self.bench.manifest).items() if k in there}

    def rows(self, toc: Toc, key: str) -> Path:
        found, entry = self.bench.out / "captured-rows", toc.entry(toc.of(TABLE_DATA)[key])
        archive.extract(self.bench.sandbox, self.bench.restored / "dump", entry, found)
        return found

    def blobs(self) -> dict[str, str]:
        return dict(cast("dict[str, str]", self.bench.manifest.contents["large_objects"]))

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        lines = toc.lines(_BLOBS)
        return archive.contents(self.bench.sandbox, again, lines).blobs if lines else {}


def _tables(bench: Bench, dump: _Archive, toc: Toc, after: Mapping[str, TableFact], again: Path) -> CheckResult:
    claimed, before = _claimed(bench.manifest), dump.tables(toc)
    wrong, reordered = [], 0
    for key in sorted(before.keys() | after.keys() | claimed.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None or key not in claimed:
            wrong.append(f"{key}: {'missing' if new is None else 'not in the backup'}")
        elif claimed[key] != (new.rows, new.sha256):
            # The fetched file is what the rows are compared with: it must be the captured one.
            rows = dump.rows(toc, key)
            fetched = bench.digest(rows.parent, [rows.name])[rows.name].sha256
            if fetched == claimed[key][1] and old.rows == new.rows and _same_rows(bench, rows, again / new.file):
                reordered += 1
            else:
                wrong.append(f"{key}: {so_many(old.rows, 'row')} captured, {new.rows} restored, contents differ")
    count = sum(t.rows for t in after.values())
    note = f", {reordered} in another row order" if reordered else ""
    return judged(
        "tables",
        wrong,
        f"{so_many(len(claimed), 'table')}, {so_many(sum(r for r, _ in claimed.values()), 'row')}",
        f"{so_many(len(after), 'table')}, {so_many(count, 'row')}, equal by SHA-256{note}",
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


def _objects(bench: Bench, env: Mapping[str, str], dump: Path, again: Path, working: str | None) -> CheckResult:
    """Definitions as pg_dump prints them. PostgreSQL prints some of them otherwise once they have been loaded
    (`CHECK (s IN (…))` on a varchar): so what differs is compared with the captured definitions after a load."""
    box = bench.sandbox
    captured, restored = schema(box, dump), schema(box, again)
    if working is not None:
        captured, restored = _named_alike(captured, restored, working)
    old, new = captured.statements(), restored.statements()
    note = ""
    differing = [*(old - new), *(new - old)]
    # What stands in no dump without -C could not be compared again.
    if differing and not any(_of_database(s) for s in differing):
        reprinted = sum((old - new).values())
        # Whether a materialised view is filled stands in whole dumps alone.
        filled = {s: n for s, n in schema(box, dump, whole=False).statements().items() if _type(s) == FILLED}
        old = _loaded_once(bench, env, dump, working) + Counter(filled)
        new = schema(box, again, whole=False).statements()
        note = f", {reprinted} of them printed otherwise by PostgreSQL after a load"
    wrong = [f"missing: {_title(s)}" for s in old - new] + [f"not in the backup: {_title(s)}" for s in new - old]
    return judged(
        "objects (definitions, owners, grants, comments)",
        sorted(set(wrong)),
        f"{old.total()} definitions",
        f"{new.total()} definitions, equal{note}",
    )


def _named_alike(captured: Schema, restored: Schema, working: str) -> tuple[Schema, Schema]:
    """Both as if the restored database had the captured one's name: the working name occurs nowhere else. How it was
    created is left out: older versions write that otherwise, and the inventory compares encoding and locale."""
    quoted, raw = _captured_name(captured)
    of_database = re.compile(rf"^(-- Name: ){working}(?=; Type: DATABASE)", re.M)  # where it stands bare
    text = of_database.sub(lambda match: f"{match[1]}{raw}", restored.text).replace(working, quoted)
    return Schema(_NAMING.sub("", captured.text)), Schema(_NAMING.sub("", text))


def _captured_name(captured: Schema) -> tuple[str, str]:
    """The database's name as the dump's statements quote it, and bare."""
    found = _CREATE.search(captured.text)
    assert found is not None
    quoted = found["name"]
    return quoted, quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted


def database_properties(place: Place, dump: Path, working: str) -> str:
    """The dump's statements on the database itself (owner, grants, comment, settings), for one of another name. They
    are told apart as SQL, not by lines: a comment may hold any line."""
    entries = read_toc(place, dump, whole=True).lines(_OWN)
    argv = ["pg_restore", "-C", "-L", "/dev/stdin", "--no-tablespaces", "-f", "-", place.path(dump)]
    script = place.run(argv, stdin=entries, what="reading the database's properties").stdout
    quoted, _ = _captured_name(Schema(script))
    named = re.compile(_ON_DATABASE + re.escape(quoted) + r"(?=[ ;])")
    own = [statement for statement in roles.statements(script) if not _PREAMBLE.match(statement)]
    renamed = (match[1] + working + one[match.end() :] if (match := named.match(one)) else one for one in own)
    return "".join(f"{statement}\n" for statement in renamed)


def create_options(facts: Mapping[str, object]) -> str:
    """The end of `create database …`, for one like the captured."""
    options = f"template template0 encoding '{facts['encoding']}'"
    options += f" lc_collate '{facts['collate']}' lc_ctype '{facts['ctype']}'"
    if facts["locale_provider"] == "i":
        options += f" locale_provider icu icu_locale '{facts['icu_locale']}'"
    elif facts["locale_provider"] == "b":
        options += f" locale_provider builtin builtin_locale '{facts['icu_locale']}'"
    return options


def _loaded_once(bench: Bench, env: Mapping[str, str], dump: Path, working: str | None) -> Counter[str]:
    """The captured definitions, loaded into an empty database of the same server and dumped again."""
    box, name = bench.sandbox, f"{working}{BESIDE}" if working else REFERENCE
    psql = ["psql", "-X", "-w", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres" if working else "template1", "-c"]
    reference, again = bench.out / "reference", {**env, "PGDATABASE": name}
    box.run([*psql, f"create database {name} {create_options(bench.manifest.contents)}"], env=env)
    try:
        argv = ["pg_restore", "-s", "--exit-on-error", "--no-tablespaces", "-d", name, box.path(dump)]
        box.run(argv, env=again, what="loading the definitions once more")
        reference.mkdir()
        reference.chmod(0o777)
        encoding = f"--encoding={bench.manifest.contents['encoding']}"
        argv = ["pg_dump", "-w", "-s", "-Fd", "-Z0", "--no-sync", encoding, "-f", box.path(reference)]
        box.run(argv, env=again, what="dumping the definitions once more")
        return schema(box, reference, whole=False).statements()
    finally:
        box.run([*psql, f"drop database {name}"], env=env)


def _of_database(statement: str) -> bool:
    """Is it about the database as a whole: its properties, or a grant, comment or label on it?"""
    match = _HEADER.search(statement)
    return match is not None and (
        match["type"] in ("DATABASE", "DATABASE PROPERTIES")
        or (match["type"] in ("ACL", "COMMENT", "SECURITY LABEL") and match["name"].startswith("DATABASE "))
    )


def _type(statement: str) -> str:
    match = _HEADER.search(statement)
    return match["type"] if match else ""


def _title(statement: str) -> str:
    match = _HEADER.search(statement)
    return f"{match['type']} {match['schema']}.{match['name']}" if match else "preamble"
