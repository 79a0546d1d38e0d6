"""Is what was restored what was captured, in rows, definitions, roles and settings? By a second dump of the restored
database.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ccdr.engines.comparison import alike_sorted, as_captured, equal, judged, named
from ccdr.engines.postgres.connection import DUMP_OPTIONS, STRICT, major_of
from ccdr.engines.postgres.dump import database
from ccdr.engines.postgres.dump.database import create_options, named_alike
from ccdr.engines.postgres.dump.definitions import SUBSCRIBES, of_database, schema, statements, title, type_of
from ccdr.engines.postgres.dump.server_objects import OF_MAJOR, every_sql, read_objects, same_server_objects
from ccdr.engines.postgres.dump.server_objects import OF_SERVER as SERVER_OBJECTS_OF_SERVER
from ccdr.engines.postgres.dump.toc import (
    DumpDirectory,
    FetchedDump,
    OneFile,
    TableFact,
    Toc,
    claimed_of,
    read_toc,
    tables,
)
from ccdr.engines.postgres.dump.unfilled import FILLED, fillable, perhaps, unfilled
from ccdr.engines.postgres.inventory import COMPARED, INVENTORY, conninfo, read_inventory
from ccdr.engines.servers.parts import in_part
from ccdr.model.values import CheckResult, so_many
from ccdr.ports.check import CheckContext

# What a manifest holds of an inventory: a setting's value may be a secret (`ALTER DATABASE … SET app.key`), so that a
# digest stands for it.

_CONFIG = -1  # where a role's settings stand among its attributes


def as_recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that a server told, with no setting's value in them."""
    digested: dict[str, Callable[[Any], Any]] = {
        "database_settings": lambda of_roles: {role: _settings(of_role) for role, of_role in of_roles.items()},
        "role_all_settings": lambda statements: [_of_all(statement) for statement in statements],
        "roles": lambda attributes_of: {name: _role(attributes) for name, attributes in attributes_of.items()},
    }
    digests = {key: digest(facts[key]) for key, digest in digested.items()}
    return {**facts, **digests}


def _role(attributes: list[Any]) -> list[Any]:
    return [*attributes[:_CONFIG], attributes[_CONFIG] and _settings(attributes[_CONFIG])]


def _settings(settings: list[str]) -> list[str]:
    """Of `name=value`, each."""
    parted = (setting.partition("=") for setting in settings)
    return [f"{name}={_digest(value)}" for name, _, value in parted]


def _of_all(statement: str) -> str:
    name, value = database.setting_of_all(statement)
    return f"ALTER ROLE ALL SET {name} TO {_digest(value)};" if value else _digest(statement)


def _digest(value: str) -> str:
    return sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


# Are the definitions those that were captured, owners, grants and comments with them?

REFERENCE = "ccdr_reference"  # in the sandbox
BESIDE = "_ref"  # appended to a working name, on a real server
# A load may make what is said of an object needless: a grant that is another server's default.
_OF_OBJECTS = ("ACL", "COMMENT", "DEFAULT ACL", "SECURITY LABEL")


def same_objects(
    context: CheckContext, env: Mapping[str, str], dump: Path, again: Path, working: str | None
) -> CheckResult:
    """Definitions as pg_dump prints them. PostgreSQL prints some of them otherwise once they have been loaded
    (`CHECK (s IN (…))` on a varchar): so what differs is compared with the captured definitions after a load. Of what
    loads to nothing that says nothing: each object that the dump lists has to be there."""
    box = context.sandbox
    captured, restored = schema(box, dump), schema(box, again)
    if working is not None:
        captured, restored = named_alike(captured, restored, working)
    new = restored.statements()
    views = [*unfilled(context.manifest.contents, live=working is not None), *perhaps(context.manifest.contents)]
    left = {f"{FILLED} {s}.{n}" for s, n in views} - {title(s) for s in new}
    if working is None:  # a server that lives is asked to run nothing
        tried = [(s, n) for s, n in perhaps(context.manifest.contents) if f"{FILLED} {s}.{n}" in left]
        left -= fillable(box, env, tried) if tried else set()
    old = _without(captured.statements(), left)
    names = ", ".join(sorted(one.removeprefix(f"{FILLED} ") for one in left))
    note = f", {len(left)} left unfilled, as what fills them may act on more than the database: {names}" if left else ""
    differing = [*(old - new), *(new - old)]
    lost = _titles(old) - _titles(new)
    # What stands in no dump without -C could not be compared again.
    if differing and not any(of_database(s) for s in differing):
        reprinted = sum((old - new).values())
        # Whether a materialised view is filled stands in whole dumps alone; what subscribes is not loaded once more.
        captured = schema(box, dump, whole=False)
        filled = {s: n for s, n in captured.statements().items() if type_of(s) == FILLED or SUBSCRIBES.match(title(s))}
        old = _loaded_once(context, env, dump, working) + _without(filled, left)
        new = schema(box, again, whole=False).statements()
        note += f", {reprinted} of them printed otherwise by PostgreSQL after a load"
    wrong = [f"missing: {one}" for one in (*map(title, old - new), *lost)]
    wrong += [f"not in the backup: {title(s)}" for s in new - old]
    return judged(
        "objects (definitions, owners, grants, comments)",
        sorted(set(wrong)),
        f"{old.total()} definitions",
        f"{new.total()} definitions, equal{note}",
    )


def _without(statements: Mapping[str, int], titles: Collection[str]) -> Counter[str]:
    return Counter({one: n for one, n in statements.items() if title(one) not in titles})


def _titles(statements: Counter[str]) -> Counter[str]:
    return Counter(title(one) for one in statements.elements() if type_of(one) not in _OF_OBJECTS)


def _loaded_once(context: CheckContext, env: Mapping[str, str], dump: Path, working: str | None) -> Counter[str]:
    """The captured definitions, loaded into an empty database of the same server and dumped again."""
    box, name = context.sandbox, f"{working}{BESIDE}" if working else REFERENCE
    psql = ["psql", "-X", "-w", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres" if working else "template1", "-c"]
    reference, again = context.out / "reference", {**env, "PGDATABASE": name}
    box.run([*psql, f"create database {name} {create_options(context.manifest.contents)}"], env=env)
    try:
        argv = ["pg_restore", "-s", "--exit-on-error", "--no-tablespaces", "--no-subscriptions", "-d", name]
        box.run([*argv, box.path(dump)], env=again, what="loading the definitions once more")
        reference.mkdir()
        reference.chmod(0o777)
        encoding = f"--encoding={context.manifest.contents['encoding']}"
        argv = ["pg_dump", "-w", "-s", "-Fd", "-Z0", "--no-sync", encoding, "-f", box.path(reference)]
        box.run(argv, env=again, what="dumping the definitions once more")
        return schema(box, reference, whole=False).statements()
    finally:
        box.run([*psql, f"drop database {name}"], env=env)


# Are the roles those that were captured?


def same_roles(context: CheckContext, env: Mapping[str, str]) -> CheckResult:
    """Roles, memberships, their settings and comments, as pg_dumpall writes them. A statement may hold a
    password's hash: only its first words are told."""
    argv = ["pg_dumpall", "-w", "--roles-only", "-l", conninfo(env["PGDATABASE"])]
    if not context.manifest.contents["role_passwords"]:
        argv.append("--no-role-passwords")
    utf8 = {**env, "PGCLIENTENCODING": "UTF8"}
    restored = context.sandbox.run(argv, env=utf8, what="dumping the restored roles").stdout
    captured = (context.restored / "roles.sql").read_text("utf-8", "surrogateescape")
    # What holds for all roles, the inventory compares.
    before, after = Counter(database.own(captured)), Counter(database.own(restored))
    wrong = sorted({" ".join(statement.split()[:3]) for statement in [*(before - after), *(after - before)]})
    return judged(
        "roles", wrong, f"{before.total()} statements", f"{after.total()} statements, equal", lead="differs: "
    )


def same_roles_there(captured: Mapping[str, object], there: Mapping[str, object]) -> CheckResult:
    """On a server of others, roles that were there before are left as they are: told, and no failure."""
    before, after = cast("dict[str, object]", captured["roles"]), cast("dict[str, object]", there["roles"])
    missing = sorted(before.keys() - after.keys())
    other = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    note = f"; attributes of the server's own, left as they are: {named(other)}" if other else ""
    return judged("roles", missing, f"{len(before)} roles", f"{len(before)} roles{note}", lead="missing: ")


# Are the database's settings those that were captured, and what no dump holds?

# What belongs to the whole server: a restore onto one that others use too does not touch it.
OF_SERVER = ("role_all_settings",)


def asked_of_restored(context: CheckContext, env: Mapping[str, str]) -> list[str]:
    """What there is in the restored database: a line for each of INVENTORY and `every_sql`."""
    utf8 = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} -c search_path=pg_catalog", "PGCLIENTENCODING": "UTF8"}
    told = context.manifest.contents["server_objects"]
    argv, sql = [*STRICT, "-f", "-"], f"{INVENTORY}{every_sql(told.get('', ()))}"
    return context.sandbox.run(argv, stdin=sql, env=utf8, what="taking the inventory").stdout.split("\n")[:2]


def same_settings(contents: Mapping[str, Any], there: Mapping[str, Any], *, whole_server: bool) -> CheckResult:
    """`contents` are the manifest's, `there` the restored database's inventory. `whole_server`: is its server ours?"""
    keys = [key for key in COMPARED if whole_server or key not in OF_SERVER]
    captured, restored = ({key: facts[key] for key in keys} for facts in (contents, as_recorded(there)))
    left_out = contents["left_out"]
    for facts in (captured, restored):
        rows = cast("dict[str, str]", facts["extension_rows"])
        facts["extension_rows"] = {table: n for table, n in rows.items() if f"rows of {table}" not in left_out}
        if statements_of_all := cast("list[str]", facts.get("role_all_settings")):
            facts["role_all_settings"] = sorted(map(database.setting_of_all, statements_of_all))
    compared = equal("database settings, and what a dump leaves out", captured, restored, len(captured))
    return replace(compared, actual=compared.actual + _versions(contents["extensions"], there["extensions"]))


def _versions(captured: Mapping[str, str], restored: Mapping[str, str]) -> str:
    """A dump names extensions without their version: the image's own is what comes back. Worth knowing, and what
    a real restore would give too."""
    other = [f"{n} {v} is now {restored[n]}" for n, v in sorted(captured.items()) if restored.get(n, v) != v]
    return f"; extension {', '.join(other)}" if other else ""


# Are the rows of every table those that were captured?

_SORTED = 'set -o pipefail; LC_ALL=C sort -S 25% -T "$2" -- "$1" | sha256sum'


def same_tables(
    context: CheckContext, dump: FetchedDump, toc: Toc, after: Mapping[str, TableFact], again: Path
) -> CheckResult:
    claimed, before = claimed_of(context.manifest), dump.tables(toc)
    wrong, reordered = [], 0
    for key in sorted(before.keys() | after.keys() | claimed.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None or key not in claimed:
            wrong.append(f"{key}: {'missing' if new is None else 'not in the backup'}")
        elif claimed[key] != (new.rows, new.sha256):
            # The fetched file is what the rows are compared with: it must be the captured one.
            rows = dump.rows(toc, key)
            fetched = context.digest(rows.parent, [rows.name])[rows.name].sha256
            same = fetched == claimed[key][1] and old.rows == new.rows
            if same and alike_sorted(context, _SORTED, rows, again / new.file):
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


# Tables are compared through the table of contents (file numbers differ between two dumps, and a plain multiset of
# hashes would miss two tables' contents swapped). Before a FAIL, what differs is compared without order: a restore
# may reorder rows of varying width, and pg_dump may reorder statements of equal rank.

_DATA = re.compile(r"dump/(\d+|blob_\d+)\.dat")  # and not toc.dat, which holds every definition
_SEQUENCES = re.compile(r"SEQUENCE SET ")
# In the data section of a dump, never among its definitions.
_LARGE_OBJECTS = re.compile(r"BLOB METADATA |BLOB - |(ACL|COMMENT|SECURITY LABEL) - LARGE OBJECT")


def compare(
    context: CheckContext, env: Mapping[str, str], jobs: int, *, working: str | None = None
) -> Iterator[CheckResult]:
    """Dump the restored database again and compare: tables, large objects, sequences, objects, roles. `working` is
    its name on a real server: there it has another one than the source's, and roles that were there before."""
    box, dump, again = context.sandbox, context.restored / "dump", context.out / "again"
    env = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} {DUMP_OPTIONS}"}
    _dump_again(context, env, jobs, again)
    toc, toc_again = read_toc(box, dump), read_toc(box, again)
    names = sorted(p.name for p in again.iterdir())
    files_again = context.digest(again, [n for n in names if n.endswith(".dat")], lines=True)
    small = [n for n in context.manifest.files if not _DATA.fullmatch(n)]
    yield as_captured(context, "table of contents and roles", small)
    if in_part(context.manifest):
        chosen, found = claimed_of(context.manifest), tables(toc_again, files_again)
        yield same_tables(
            context, DumpDirectory(context), toc.only(chosen), {k: found[k] for k in chosen if k in found}, again
        )
        return
    fetched = OneFile(context) if dump.is_file() else DumpDirectory(context)
    yield same_tables(context, fetched, toc, tables(toc_again, files_again), again)
    objects, objects_again = fetched.blobs(), fetched.blobs_again(again, toc_again, files_again)
    yield equal("large objects", objects, objects_again, len(objects))
    for name, wanted in (("large objects' owners, grants, comments", _LARGE_OBJECTS), ("sequences", _SEQUENCES)):
        before, after = statements(box, dump, toc, wanted), statements(box, again, toc_again, wanted)
        yield equal(name, before, after, before.total())
    yield same_objects(context, env, dump, again, working)
    if working is None:
        yield same_roles(context, env)
    inventory, every = asked_of_restored(context, env)
    there = read_inventory(inventory).facts
    if working is not None:
        yield same_roles_there(context.manifest.contents, as_recorded(there))
    yield same_settings(context.manifest.contents, there, whole_server=working is None)
    same_major = major_of(str(there["version"])) == major_of(str(context.manifest.contents["version"]))
    other = [*OF_MAJOR * (not same_major), *[SERVER_OBJECTS_OF_SERVER] * (working is not None or not same_major)]
    yield same_server_objects(context.manifest.contents, read_objects(every), there["extensions"], other)


def _dump_again(context: CheckContext, env: Mapping[str, str], jobs: int, again: Path) -> None:
    """As it was captured, into the directory `again`."""
    box = context.sandbox
    encoding = f"--encoding={context.manifest.contents['encoding']}"
    argv = ["pg_dump", "-w", "-Fd", f"-j{jobs}", "-Z0", "--no-sync", encoding, "-f", box.path(again)]
    if context.manifest.contents["standby"]:
        argv.append("--no-unlogged-table-data")
    again.mkdir()
    again.chmod(0o777)  # the sandbox's user is not ours; pg_dump takes an empty directory, and lets all read its files
    box.run(argv, env=env, watch=again, what="dumping the restored database")
