"""Extensions that another role than the server's first superuser made: pg_restore would make them as whoever restores,
and PostgreSQL has no statement that gives an extension to another role. So such a role makes its own, beforehand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import roles
from ccdr.engines.postgres.dump.toc import Toc
from ccdr.ports.place import Place

# What there must be before them: the database, the schemas, and who may make something there.
_BEFORE = r"(DATABASE|DATABASE PROPERTIES|SCHEMA) - |ACL - (DATABASE|SCHEMA) "
BEFORE, AFTER, _EXTENSION = re.compile(_BEFORE), re.compile(f"(?!{_BEFORE})"), re.compile("EXTENSION - ")
_CREATE = re.compile(r'CREATE EXTENSION IF NOT EXISTS (?P<name>"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*) ')


def owners(contents: Mapping[str, Any]) -> dict[str, str]:
    """Of a manifest's `contents`: the role, as SQL writes it, by extension; without the first superuser's."""
    made = ((name, told.get(f"extension {name}")) for name, told in contents["server_objects"].items())
    return {name: owner for name, owner in made if owner}


def make(
    place: Place, env: Mapping[str, str], dump: Path, toc: Toc, made_by: Mapping[str, str], *, lent: str | None = None
) -> None:
    """In the dump's order, each by its role of `made_by`, or else by the first superuser. One that its role may not
    make (any more) is left to pg_restore, and `identical` tells of its owner. `env` leads into the database; `lent` is
    its name where it is not its owner's yet: it is meanwhile."""
    argv = ["pg_restore", "-L", "/dev/stdin", "-f", "-", place.path(dump)]
    script = place.run(argv, stdin=toc.lines(_EXTENSION), what="reading the dump's extensions").stdout
    lines = [r"select rolname as first from pg_roles where oid = 10 \gset"]
    for statement in roles.statements(script):
        if match := _CREATE.match(statement):
            role = made_by.get(roles.unquoted(match["name"]), ':"first"')
            lending, back = (f"alter database {lent} owner to {to};" if lent else "" for to in (role, "current_user"))
            as_role = f"set local session authorization {role}; {statement} reset session authorization;"
            lines.append(f"begin; {lending} {as_role} {back} commit;")
    utf8 = {**env, "PGCLIENTENCODING": "UTF8"}
    place.run([*PSQL, "-f", "-"], stdin="\n".join(lines), env=utf8, what="making extensions", alone=True)
