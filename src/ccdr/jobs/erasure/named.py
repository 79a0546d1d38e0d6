"""Does the newest snapshot hold the tables and columns that somebody names in an entry? A slip would stop every
restore. Its manifest tells, as far as it holds their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

from ccdr.engines.servers.erasing import column_of, meant
from ccdr.jobs.erasure.selectors import Asked
from ccdr.jobs.services import Services
from ccdr.model.erasure import Rows, Unlooked
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Manifest, so_many

SHOWN = 20  # names that an error lists


@dataclass(frozen=True)
class Held:
    """What the newest snapshot holds. `tables` is empty where its manifest tells none, `columns` lacks what it does not
    tell of. `called` may stand before the name of a table that has no schema."""

    of: str
    tables: Collection[str]
    columns: Mapping[str, Collection[str]] = field(default_factory=dict)
    called: str = ""

    @classmethod
    def by(cls, manifest: Manifest, of: str) -> Held:
        columns = manifest.contents.get("columns")
        told = cast("Mapping[str, Collection[str]]", columns) if isinstance(columns, dict) else {}
        return cls(of, {*_tables(manifest), *told}, told, _called(manifest))


def require_named(services: Services, plan: str, asked: Asked) -> Unlooked | None:
    """UsageProblem where the newest snapshot that is known here holds no such table or column, or several such tables.
    Else what could not be looked at; None where all was."""
    if not asked.selector.rows:
        return None
    known = services.catalogue.snapshots(plan, asked.selector.asset)
    if not known:
        return Unlooked.SNAPSHOT
    held = Held.by(services.catalogue.manifest(known[-1]), f"the newest snapshot of {plan}/{asked.selector.asset}")
    looked = [_look(held, number, rows) for number, rows in enumerate(asked.selector.rows, 1)]
    return next((one for one in looked if one is not None), None)


def _look(held: Held, number: int, rows: Rows) -> Unlooked | None:
    if not held.tables:
        return Unlooked.TABLES
    there = meant(held.tables, rows.table, called=held.called)
    if len(there) > 1:
        raise UsageProblem(
            f"rows[{number}] names a table without its schema, and {held.of} holds "
            f"{so_many(len(there), 'table')} of that name: {', '.join(sorted(there))}",
            hint="write `table: SCHEMA.NAME`, and a line for each of them that the person is in",
        )
    if not there:
        if rows.may_lack:
            return None
        raise UsageProblem(
            f"{held.of} holds no table with rows of the name that rows[{number}] has; it holds {_some(held.tables)}",
            hint="mend `table:`; of a partitioned table, and of one that only some snapshots hold, say "
            "`may_lack: true`",
        )
    columns = held.columns.get(there[0])
    if columns is None:
        return Unlooked.COLUMNS
    if any(column_of(columns, column) is None for column, _ in rows.key):
        raise UsageProblem(
            f"{there[0]} of {held.of} has no column of a name that rows[{number}].key has; it has {_some(columns)}",
            hint="mend `key:`; each restore would stop at it",
        )
    return None


def _some(names: Collection[str]) -> str:
    """In alphabetical order, the first ones."""
    shown = sorted(names)[:SHOWN]
    more = f" and {so_many(len(names) - SHOWN, 'other')}" if len(names) > SHOWN else ""
    return ", ".join(shown) + more


def _called(manifest: Manifest) -> str:
    if manifest.engine == "mariadb":
        return str(manifest.contents.get("database") or "")
    return "main" if manifest.engine == "sqlite" else ""


def _tables(manifest: Manifest) -> Collection[str]:
    """Nothing where the manifest does not tell."""
    tables = manifest.contents.get("tables")
    if not isinstance(tables, dict):
        return ()
    if manifest.engine == "postgres":
        if "roles" not in manifest.contents:
            return ()
        from ccdr.engines.postgres.dump import parts

        return parts.names_of(manifest)
    return tables
