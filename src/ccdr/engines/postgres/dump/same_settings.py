"""Are the database's settings those that were captured, and what no dump holds?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ccdr.engines.compared import equal
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import roles
from ccdr.engines.postgres.dump.recorded import as_recorded
from ccdr.engines.postgres.inventory import COMPARED, INVENTORY, read_inventory
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext

# What belongs to the whole server: a restore onto one that others use too does not touch it.
OF_SERVER = ("role_all_settings",)


def inventory_of_restored(context: CheckContext, env: Mapping[str, str]) -> Mapping[str, Any]:
    """What there is in the restored database, as the source's was taken."""
    # Names are told as the source told them; older manifests do not say by which search_path.
    path = f" -c search_path={path}" if (path := context.manifest.contents.get("search_path")) == "pg_catalog" else ""
    utf8 = {**env, "PGOPTIONS": f"{env['PGOPTIONS']}{path}", "PGCLIENTENCODING": "UTF8"}
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-f", "-"]
    return read_inventory(
        context.sandbox.run(argv, stdin=INVENTORY, env=utf8, what="taking the inventory").stdout
    ).facts


def same_settings(contents: Mapping[str, Any], there: Mapping[str, Any], *, whole_server: bool) -> CheckResult:
    """`contents` are the manifest's, `there` the restored database's inventory. `whole_server`: is its server ours?"""
    keys = [key for key in COMPARED if whole_server or key not in OF_SERVER]
    captured, restored = ({key: facts.get(key) for key in keys} for facts in map(as_recorded, (contents, there)))
    captured["extension_objects"], restored["extension_objects"] = _fewer(contents, there)
    for facts in (captured, restored):
        if statements_of_all := cast("list[str]", facts.get("role_all_settings")):
            facts["role_all_settings"] = sorted(map(roles.setting_of_all, statements_of_all))
    compared = equal("database settings, and what a dump leaves out", captured, restored, len(captured))
    return replace(compared, actual=compared.actual + _versions(contents["extensions"], there["extensions"]))


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
