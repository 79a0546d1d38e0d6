"""Which statements of a captured `roles.sql` a server still needs: those of roles that it does not have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ccdr.model.errors import BackupBad

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


def statements(script: str) -> Iterator[str]:
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
    return [statement for statement in statements(script) if not _OF_ALL.match(statement)]


def without(script: str, name: str) -> list[str]:
    """All statements but the creation of this role."""
    kept = []
    for statement in statements(script):
        creates = _CREATES.fullmatch(statement)
        if creates is None or unquoted(creates["role"]) != name:
            kept.append(statement)
    return kept


def needed(script: str, missing: Collection[str], bootstrap: str) -> list[str]:
    """What makes the `missing` roles, in the script's order. A role that the server has is left as it is; a
    membership is granted where either side is new. A grantor that is not new may lack the right to grant here, and
    the source's first superuser (`bootstrap`) is not this server's: then whoever restores is the grantor."""
    chosen = []
    for statement in statements(script):
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
    return [statement for statement in statements(script) if _TO_PUBLIC.match(statement)]


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
