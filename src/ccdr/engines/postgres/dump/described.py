"""What is recorded of a dump, and what goes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ccdr.engines.postgres.dump import references
from ccdr.engines.postgres.dump.definitions import Schema
from ccdr.engines.postgres.dump.recorded import as_recorded
from ccdr.engines.postgres.dump.toc import TableFact
from ccdr.engines.postgres.inventory import Inventory, conninfo
from ccdr.model.answers import FreeText
from ccdr.model.values import FileDigest, so_many
from ccdr.ports.place import Place


@dataclass(frozen=True)
class Dumped:
    """What one attempt left in `dump/`."""

    point: datetime
    skew: float
    standby: bool
    inventory: Inventory
    warnings: tuple[FreeText, ...]
    broken: references.Broken


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


def write_roles(place: Place, env: Mapping[str, str], database: str, into: Path, inventory: Inventory) -> None:
    """`globals.sql` is for people who restore a whole server; `roles.sql` is what the sandbox loads."""
    for name, flag in (("globals.sql", "--globals-only"), ("roles.sql", "--roles-only")):
        argv = ["pg_dumpall", "-w", flag, "-l", conninfo(database), "-f", place.path(into / name)]
        if not inventory.superuser:
            argv.append("--no-role-passwords")  # only a superuser may read them
        place.run(argv, env=env, what=f"pg_dumpall {flag}")
        with (into / name).open("a", encoding="utf-8") as file:  # pg_dumpall leaves these out
            file.writelines(f"{statement}\n" for statement in inventory.role_all_settings)


def left_out(inventory: Inventory) -> Iterator[str]:
    """What a restore will lack, as findings."""
    subscriptions = inventory.facts.get("subscriptions") or []
    if subscriptions and not inventory.superuser:
        yield (
            f"the subscriptions {', '.join(subscriptions)} are not in the dump, and a restore test will miss them: "
            "pg_dump takes them for a superuser alone"
        )


def notes_of(dumped: Dumped) -> list[str]:
    notes = [f"pg_dump warns: {warning.answer or 'see what it says'}" for warning in dumped.warnings]
    if prepared := dumped.inventory.facts["prepared"]:
        many = so_many(prepared, "transaction")
        notes.append(f"{many} prepared and not yet ended: not in the dump, and lost if it has to come back from there")
    if dumped.standby:
        notes.append("taken from a standby: it has no rows of unlogged tables")
    if not dumped.inventory.facts["system_identifier"]:
        notes.append("which server it is, is not known: the role may not execute pg_control_system()")
    if not dumped.inventory.superuser:
        notes.append("taken by a role that is no superuser: roles come back without their passwords")
        if dumped.inventory.facts.get("user_mappings"):
            notes.append("user mappings come back without their options, which only a superuser may read")
    return notes
