"""Are the roles those that were captured?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import cast

from ccdr.engines.compared import judged, named
from ccdr.engines.postgres.dump import roles
from ccdr.engines.postgres.inventory import conninfo
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext


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
    before, after = Counter(roles.own(captured)), Counter(roles.own(restored))
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
