"""The database itself, and the roles and extensions that it needs: how one like the captured is made, and its
properties given to one of another name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump.definitions import SLOT, Schema, statements
from ccdr.engines.postgres.dump.toc import Toc, read_toc
from ccdr.engines.postgres.inventory import quote_text
from ccdr.engines.servers.new_server import Silenced
from ccdr.model.errors import BackupBad
from ccdr.ports.place import Place

# Which statements of a captured `roles.sql` a server still needs: those of roles that it does not have.

# One statement: up to a semicolon outside of quotes. pg_dumpall doubles quotes and backslashes inside of them.
_STATEMENT = re.compile(r"""(?:[^;'"]++|'[^']*+'|"[^"]*+")*+;""")
_COMMENTS = re.compile(r"(?:\s*--[^\n]*\n|\s*\\[^\n]*\n|\s)*")
_NAME = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_OF_ROLE = re.compile(
    rf"(?:CREATE ROLE|ALTER ROLE|COMMENT ON ROLE|SECURITY LABEL FOR {_NAME} ON ROLE) (?P<role>{_NAME})(?=[ ;])"
)
_CREATES = re.compile(rf"CREATE ROLE (?P<role>{_NAME});")
_OF_ALL = re.compile(r"ALTER ROLE ALL SET ")
_ALL_SETTING = re.compile(rf"ALTER ROLE ALL SET (?P<name>{_NAME}(?:\.{_NAME})*) TO (?P<value>.*);", re.DOTALL)
_MEMBER = re.compile(rf"GRANT (?P<role>{_NAME}) TO (?P<member>{_NAME})(?=[ ;])")
_PARAMETER = re.compile(rf"GRANT [A-Z, ]+ ON PARAMETER (?P<name>[^;]+) TO (?P<role>{_NAME})(?=[ ;])")
_TO_PUBLIC = re.compile(r"GRANT [A-Z, ]+ ON PARAMETER [^;]+ TO PUBLIC(?=[ ;])")
_GRANTOR = re.compile(rf" GRANTED BY (?P<role>{_NAME})(?=;\Z)")


def role_statements(script: str) -> Iterator[str]:
    """The script's statements, without comments and psql's own commands; BackupBad where it ends within one."""
    at = 0
    while True:
        at = cut.end() if (cut := _COMMENTS.match(script, at)) else at
        match = _STATEMENT.match(script, at)
        if match is None:
            break
        yield match[0]
        at = match.end()
    if at < len(script):
        raise BackupBad("roles.sql ends within a statement", hint="restore an older snapshot")


def own(script: str) -> list[str]:
    """All statements but those for all roles (`ALTER ROLE ALL`), which pg_dumpall leaves out and we add."""
    return [statement for statement in role_statements(script) if not _OF_ALL.match(statement)]


def without(script: str, name: str) -> list[str]:
    """All statements but the creation of this role."""
    kept = []
    for statement in role_statements(script):
        creates = _CREATES.fullmatch(statement)
        if creates is None or unquoted(creates["role"]) != name:
            kept.append(statement)
    return kept


def needed(script: str, missing: Collection[str], bootstrap: str) -> list[str]:
    """What makes the `missing` roles, in the script's order. A role that the server has is left as it is; a
    membership is granted where either side is new. A grantor that is not new may lack the right to grant here, and
    the source's first superuser (`bootstrap`) is not this server's: then whoever restores is the grantor."""
    chosen = []
    for statement in role_statements(script):
        if match := _OF_ROLE.match(statement) or _PARAMETER.match(statement):
            if unquoted(match["role"]) in missing:
                chosen.append(statement)
        elif (match := _MEMBER.match(statement)) and {unquoted(match[n]) for n in ("role", "member")} & set(missing):
            grantor = _GRANTOR.search(statement)
            if grantor and (unquoted(grantor["role"]) not in missing or unquoted(grantor["role"]) == bootstrap):
                statement = f"{statement[: grantor.start()]};"
            chosen.append(statement)
    return chosen


def to_public(script: str) -> list[str]:
    """Statements that grant everybody of the server what is its own."""
    return [statement for statement in role_statements(script) if _TO_PUBLIC.match(statement)]


def undoing(made: Collection[str]) -> list[str]:
    """What takes back the statements that `needed` gave. All roles at once: one may be the grantor of another."""
    dropping = [
        f"REVOKE ALL ON PARAMETER {match['name']} FROM {match['role']};"
        for statement in made
        if (match := _PARAMETER.match(statement))
    ]
    created = [match["role"] for s in made if s.startswith("CREATE ROLE") and (match := _OF_ROLE.match(s))]
    return [*dropping, f"DROP ROLE {', '.join(created)};"] if created else dropping


def setting_of_all(statement: str) -> tuple[str, str]:
    """Name and value of an `ALTER ROLE ALL SET`: a name is quoted here and not there, as the source was set."""
    match = _ALL_SETTING.fullmatch(statement)
    return (unquoted(match["name"]), match["value"]) if match else (statement, "")


def unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


# Extensions that another role than the server's first superuser made: pg_restore would make them as whoever restores,
# and PostgreSQL has no statement that gives an extension to another role. So such a role makes its own, beforehand.

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
    for statement in role_statements(script):
        if match := _CREATE.match(statement):
            role = made_by.get(unquoted(match["name"]), ':"first"')
            lending, back = (f"alter database {lent} owner to {to};" if lent else "" for to in (role, "current_user"))
            as_role = f"set local session authorization {role}; {statement} reset session authorization;"
            lines.append(f"begin; {lending} {as_role} {back} commit;")
    utf8 = {**env, "PGCLIENTENCODING": "UTF8"}
    place.run([*PSQL, "-f", "-"], stdin="\n".join(lines), env=utf8, what="making extensions", alone=True)


_IDENT = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_DATABASE_CREATE = re.compile(rf"^CREATE DATABASE (?P<name>{_IDENT}) WITH TEMPLATE", re.M)
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
    match = _DATABASE_CREATE.search(captured.text)
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
    own = [statement for statement in role_statements(script) if not _PREAMBLE.match(statement)]
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
        options += f" icu_rules {quote_text(rules)}" if (rules := facts["icu_rules"]) else ""
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
