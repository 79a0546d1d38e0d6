"""Are the database's settings those that were captured, and what no dump holds?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ccdr.engines.compared import equal
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import roles
from ccdr.engines.postgres.dump.recorded import as_recorded
from ccdr.engines.postgres.dump.server_objects import Objects, every_sql
from ccdr.engines.postgres.inventory import COMPARED, INVENTORY
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext

# What belongs to the whole server: a restore onto one that others use too does not touch it.
OF_SERVER = ("role_all_settings",)


def asked_of_restored(context: CheckContext, env: Mapping[str, str]) -> list[str]:
    """What there is in the restored database: a line for each of INVENTORY and `every_sql`."""
    # Names are told as the source told them; older manifests do not say by which search_path.
    path = f" -c search_path={path}" if (path := context.manifest.contents.get("search_path")) == "pg_catalog" else ""
    utf8 = {**env, "PGOPTIONS": f"{env['PGOPTIONS']}{path}", "PGCLIENTENCODING": "UTF8"}
    told = cast("Objects", context.manifest.contents["server_objects"])
    argv, sql = [*PSQL, "-v", "ON_ERROR_STOP=1", "-f", "-"], f"{INVENTORY}{every_sql(told.get('', ()))}"
    return context.sandbox.run(argv, stdin=sql, env=utf8, what="taking the inventory").stdout.split("\n")[:2]


def same_settings(contents: Mapping[str, Any], there: Mapping[str, Any], *, whole_server: bool) -> CheckResult:
    """`contents` are the manifest's, `there` the restored database's inventory. `whole_server`: is its server ours?"""
    keys = [key for key in COMPARED if whole_server or key not in OF_SERVER]
    captured, restored = ({key: facts.get(key) for key in keys} for facts in map(as_recorded, (contents, there)))
    left_out = contents["left_out"]
    for facts in (captured, restored):
        rows = cast("dict[str, str]", facts["extension_rows"] or {})
        facts["extension_rows"] = {table: n for table, n in rows.items() if f"rows of {table}" not in left_out}
        if statements_of_all := cast("list[str]", facts.get("role_all_settings")):
            facts["role_all_settings"] = sorted(map(roles.setting_of_all, statements_of_all))
    compared = equal("database settings, and what a dump leaves out", captured, restored, len(captured))
    return replace(compared, actual=compared.actual + _versions(contents["extensions"], there["extensions"]))


def _versions(captured: object, restored: object) -> str:
    """A dump names extensions without their version: the image's own is what comes back. Worth knowing, and what
    a real restore would give too."""
    assert isinstance(captured, dict) and isinstance(restored, dict)
    other = [f"{n} {v} is now {restored[n]}" for n, v in sorted(captured.items()) if restored.get(n, v) != v]
    return f"; extension {', '.join(other)}" if other else ""
