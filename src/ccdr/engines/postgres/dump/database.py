"""The database itself: how one like the captured is made, and its properties given to one of another name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import roles
from ccdr.engines.postgres.dump.definitions import SLOT, Schema, statements
from ccdr.engines.postgres.dump.toc import Toc, read_toc
from ccdr.engines.postgres.inventory import quote_text
from ccdr.engines.servers.silenced import Silenced
from ccdr.ports.place import Place

_IDENT = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_CREATE = re.compile(rf"^CREATE DATABASE (?P<name>{_IDENT}) WITH TEMPLATE", re.M)
_NAMING = re.compile(r"^(?:CREATE DATABASE |\\connect ).*\n", re.M)
SUBSCRIPTIONS = r"SUBSCRIPTION - |(COMMENT|SECURITY LABEL) - SUBSCRIPTION "  # entries of a table of contents
_SUBSCRIBES = re.compile(rf"^CREATE SUBSCRIPTION (?P<name>{_IDENT}) .*{SLOT.pattern}", re.M)
# Asked of a database, which goes only without them.
DROP_SUBSCRIPTIONS = """\
set session_replication_role = replica;
select format('alter subscription %1$I disable; alter subscription %1$I set (slot_name = none); drop subscription %1$I',
              subname)
from pg_subscription s join pg_database d on d.oid = s.subdbid where datname = current_database()
\\gexec
"""
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


def named_alike(captured: Schema, restored: Schema, working: str) -> tuple[Schema, Schema]:
    """Both as if the restored database had the captured one's name: the working name occurs nowhere else. How it was
    created is left out: older versions write that otherwise, and the inventory compares encoding and locale."""
    quoted, raw = _captured_name(captured)
    of_database = re.compile(rf"^(-- Name: ){working}(?=; Type: DATABASE)", re.M)  # where it stands bare
    text = of_database.sub(lambda match: f"{match[1]}{raw}", restored.text).replace(working, quoted)
    return Schema(_NAMING.sub("", captured.text)), Schema(_NAMING.sub("", text))


def _captured_name(captured: Schema) -> tuple[str, str]:
    """The database's name as the dump's statements quote it, and bare."""
    match = _CREATE.search(captured.text)
    assert match is not None
    quoted = match["name"]
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


def drop_what_was_dropped(place: Place, env: Mapping[str, str], contents: Mapping[str, Any]) -> None:
    """Of what every new database has, by a manifest's `contents`. What something needs here stays, and `identical`
    tells of it."""
    gone = ["extension plpgsql"] if "plpgsql" not in contents["extensions"] else []
    gone += ["schema public"] if contents["server_objects"].get("", {}).get("schema public") == "dropped" else []
    if gone:
        lines = "".join(f"drop {one};\n" for one in gone)
        place.run([*PSQL, "-f", "-"], stdin=lines, env=env, what="dropping what the source had dropped")


def create_options(facts: Mapping[str, object]) -> str:
    """The end of `create database …`, for one like the captured."""
    options = f"template template0 encoding '{facts['encoding']}'"
    options += f" lc_collate '{facts['collate']}' lc_ctype '{facts['ctype']}'"
    if facts["locale_provider"] == "i":
        options += f" locale_provider icu icu_locale '{facts['icu_locale']}'"
        options += f" icu_rules {quote_text(rules)}" if (rules := facts.get("icu_rules")) else ""
    elif facts["locale_provider"] == "b":
        options += f" locale_provider builtin builtin_locale '{facts['icu_locale']}'"
    return options


def subscriptions(place: Place, dump: Path, toc: Toc) -> tuple[str, list[Silenced]]:
    """The SQL that makes those of the database, without their slots; and what stands still by that."""
    made, found = "\n".join(statements(place, dump, toc, re.compile(SUBSCRIPTIONS))), []
    for match in _SUBSCRIBES.finditer(made):
        name, slot = match["name"], match["slot"]
        on = f"ALTER SUBSCRIPTION {name} SET (slot_name = {slot}); ALTER SUBSCRIPTION {name} ENABLE"
        found.append(Silenced(f"the subscription {name} is disabled and has no slot: {slot} is the source's", on))
    # Event triggers are there by now, and not for this.
    return f"set session_replication_role = replica;\n{SLOT.sub('NONE', made)}", found
