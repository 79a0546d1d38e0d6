"""Which statements of a captured `roles.sql` a server still needs: those of roles that it does not have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

# One statement: up to a semicolon outside of quotes. pg_dumpall doubles quotes and backslashes inside of them.
_STATEMENT = re.compile(r"""(?:[^;'"]|'(?:[^']|'')*'|"(?:[^"]|"")*")*;""")
_COMMENTS = re.compile(r"\A(?:\s*--[^\n]*\n|\s*\\[^\n]*\n|\s)*")
_NAME = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_OF_ROLE = re.compile(
    rf"(?:CREATE ROLE|ALTER ROLE|COMMENT ON ROLE|SECURITY LABEL FOR {_NAME} ON ROLE) (?P<role>{_NAME})(?=[ ;])"
)
_MEMBER = re.compile(rf"GRANT (?P<role>{_NAME}) TO (?P<member>{_NAME})(?=[ ;])")
_PARAMETER = re.compile(rf"GRANT [A-Z, ]+ ON PARAMETER (?P<name>[^;]+) TO (?P<role>{_NAME})(?=[ ;])")
_GRANTOR = re.compile(rf" GRANTED BY (?P<role>{_NAME})(?=;\Z)")


def statements(script: str) -> Iterator[str]:
    """The script's statements, without comments and psql's own commands."""
    rest = script
    while True:
        rest = rest[cut.end() :] if (cut := _COMMENTS.match(rest)) else rest
        found = _STATEMENT.match(rest)
        if found is None:
            return
        yield found[0]
        rest = rest[found.end() :]


def needed(script: str, missing: Collection[str], bootstrap: str) -> list[str]:
    """What makes the `missing` roles, in the script's order. A role that the server has is left as it is; a
    membership is granted where either side is new. A grantor that is not new may lack the right to grant here, and
    the source's first superuser (`bootstrap`) is not this server's: then whoever restores is the grantor."""
    found = []
    for statement in statements(script):
        if match := _OF_ROLE.match(statement) or _PARAMETER.match(statement):
            if unquoted(match["role"]) in missing:
                found.append(statement)
        elif (match := _MEMBER.match(statement)) and {unquoted(match[n]) for n in ("role", "member")} & set(missing):
            grantor = _GRANTOR.search(statement)
            if grantor and (unquoted(grantor["role"]) not in missing or unquoted(grantor["role"]) == bootstrap):
                statement = f"{statement[: grantor.start()]};"
            found.append(statement)
    return found


def undoing(made: Collection[str]) -> list[str]:
    """What takes back the statements that `needed` gave. All roles at once: one may be the grantor of another."""
    found = [
        f"REVOKE ALL ON PARAMETER {match['name']} FROM {match['role']};"
        for statement in made
        if (match := _PARAMETER.match(statement))
    ]
    created = [match["role"] for s in made if s.startswith("CREATE ROLE") and (match := _OF_ROLE.match(s))]
    return [*found, f"DROP ROLE {', '.join(created)};"] if created else found


def unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
