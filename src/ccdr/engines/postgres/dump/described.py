"""What is recorded of a dump, and what goes beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import references, unfilled
from ccdr.engines.postgres.dump.definitions import Schema
from ccdr.engines.postgres.dump.recorded import as_recorded
from ccdr.engines.postgres.dump.toc import TableFact
from ccdr.engines.postgres.inventory import Inventory, conninfo, quote_ident
from ccdr.model.answers import FreeText
from ccdr.model.finding import Finding
from ccdr.model.values import FileDigest, so_many
from ccdr.ports.place import Place

ROLES = "select jsonb_object_agg(oid, rolname) from pg_roles;"
# As pg_dumpall writes a role that may do nothing.
BARE = (
    "CREATE ROLE {0};\n"
    "ALTER ROLE {0} WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;"
)


@dataclass(frozen=True)
class Dumped:
    """What one attempt left in `dump/`."""

    point: datetime
    skew: float
    standby: bool
    inventory: Inventory
    warnings: tuple[FreeText, ...]
    broken: references.Broken
    roles: Mapping[str, str]  # by OID, in the snapshot


@dataclass(frozen=True)
class Read:
    """What a dump holds. `files` lie elsewhere than in the captured directory, `more` is for the manifest."""

    tables: Mapping[str, TableFact]
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


def contents_of(database: str, dumped: Dumped, read: Read, schema: Schema) -> dict[str, object]:
    """For the manifest."""
    return {
        **as_recorded(dumped.inventory.facts),
        "source": database,
        "standby": dumped.standby,
        "role_passwords": dumped.inventory.superuser,
        "tables": {key: {"rows": t.rows, "bytes": t.bytes, "sha256": t.sha256} for key, t in read.tables.items()},
        "schema_sha256": schema.sha256,
        "broken_keys": dumped.broken.rows,
        **read.more,
    }


def write_roles(
    place: Place, env: Mapping[str, str], database: str, into: Path, dumped: Dumped, schema: Schema
) -> list[str]:
    """`globals.sql` is for people who restore a whole server; `roles.sql` is what the sandbox loads. pg_dumpall sees
    the present: roles of the snapshot that were dropped since, and that the dump may name, are added as they can be,
    bare, and are returned. The dump has the number of one in whose place there is nobody when a grant is read."""
    inventory, flags = dumped.inventory, {"globals.sql": "--globals-only", "roles.sql": "--roles-only"}
    for name, flag in flags.items():
        argv = ["pg_dumpall", "-w", flag, "-l", conninfo(database), "-f", place.path(into / name)]
        if not inventory.superuser:
            argv.append("--no-role-passwords")  # only a superuser may read them
        place.run(argv, env=env, what=f"pg_dumpall {flag}")
    there = json.loads(place.run([*PSQL, "-c", ROLES], env=env, what="asking for the roles again").stdout)
    gone = {oid: role for oid, role in dumped.roles.items() if oid not in there}
    dropped = [role for role in gone.values() if role not in there.values()]
    dropped += [oid for oid in gone if f'"{oid}"' in schema.text]
    for name in flags:
        known = (into / name).read_text("utf-8", "surrogateescape")
        bare = (BARE.format(quote_ident(role)) for role in dropped if f"CREATE ROLE {quote_ident(role)};" not in known)
        with (into / name).open("a", encoding="utf-8") as file:  # pg_dumpall leaves these out
            file.writelines(f"{statement}\n" for statement in (*inventory.role_all_settings, *bare))
    return sorted(dropped)


def left_out(inventory: Inventory) -> Iterator[Finding]:
    """What a restore will lack, as findings."""
    subscriptions = inventory.facts.get("subscriptions") or []
    if subscriptions and not inventory.superuser:
        text = (
            f"the subscriptions {', '.join(subscriptions)} are not in the dump, and a restore test will miss them: "
            "pg_dump takes them for a superuser alone"
        )
        yield Finding(text, f"subscriptions {', '.join(subscriptions)}")
    if detaching := inventory.facts.get("detaching"):
        text = (
            f"the partitions {', '.join(detaching)} wait to be detached, and a restore has them whole in their table "
            "again: end it by `ALTER TABLE … DETACH PARTITION … FINALIZE`"
        )
        yield Finding(text, f"partitions {', '.join(detaching)}")


def dropped_since(dropped: list[str]) -> Iterator[str]:
    if dropped:
        yield f"dropped at the source while it was dumped, and back as roles that may do nothing: {', '.join(dropped)}"


def notes_of(dumped: Dumped) -> list[str]:
    notes = [f"pg_dump warns: {warning.answer or 'see what it says'}" for warning in dumped.warnings]
    if prepared := dumped.inventory.facts["prepared"]:
        many = so_many(prepared, "transaction")
        notes.append(f"{many} prepared and not yet ended: not in the dump, and lost if it has to come back from there")
    if fired := dumped.inventory.facts.get("login_triggers"):
        notes.append(
            f"each session of a backup fires the source's login event trigger {', '.join(fired)}: as a superuser: "
            "ALTER ROLE … SET event_triggers = off"
        )
    notes += unfilled.notes(dumped.inventory.facts, live=False)
    if dumped.standby:
        notes.append("taken from a standby: it has no rows of unlogged tables")
    if not dumped.inventory.facts["system_identifier"]:
        notes.append("which server it is, is not known: the role may not execute pg_control_system()")
    if not dumped.inventory.superuser:
        notes.append(
            "taken by a role that is no superuser: roles come back without their passwords, and settings that it may "
            "not read are not known"
        )
        if dumped.inventory.facts.get("user_mappings"):
            notes.append("user mappings come back without their options, which only a superuser may read")
    return notes
