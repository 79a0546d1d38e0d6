"""Whom a database needs on the server that it is brought back to: definers, and whoever has rights in it.

Users belong to the whole server. Those that it has are left as they are, but for their rights in this database; those
that it lacks are made as they were captured. Nobody gets rights beyond this database: what a definer or
somebody new had on the whole server is granted in it alone, and what he had in other databases is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ccdr.engines.mariadb.client import quote_name, unquoted
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.rights import as_pattern, is_like

# What can be granted in one database alone.
_OF_ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE", "DELETE HISTORY", "LOCK TABLES", "CREATE TEMPORARY TABLES")
_OF_TABLES = ("CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "TRIGGER", "CREATE VIEW", "SHOW VIEW")
_OF_CODE = ("CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT")
OF_A_DATABASE = frozenset(("ALL PRIVILEGES", *_OF_ROWS, *_OF_TABLES, *_OF_CODE))
_NAME = r"`((?:[^`]|``)*)`"
_ACCOUNT = r"(?P<user>`(?:[^`]|``)*`|PUBLIC)(?:@(?P<host>`(?:[^`]|``)*`))?"
_MADE = re.compile(rf"CREATE (?P<kind>USER|ROLE) {_ACCOUNT}")
_MEMBER = re.compile(rf"GRANT (?P<role>`(?:[^`]|``)*`) TO {_ACCOUNT}")
_DEFAULT = re.compile(rf"SET DEFAULT ROLE .* FOR {_ACCOUNT}$")
_GLOBAL = re.compile(rf"GRANT (?P<rights>.*?) ON \*\.\* TO {_ACCOUNT}")
_RIGHT = re.compile(
    r"(?P<grant>GRANT .*?) ON (?P<kind>(?:(?:TABLE|FUNCTION|PROCEDURE|PACKAGE|PACKAGE BODY) )?)"
    rf"{_NAME}\.(?P<what>\*|`(?:[^`]|``)*`) TO (?P<rest>{_ACCOUNT}.*)"
)


@dataclass(frozen=True)
class Newcomers:
    """All are named as definers are (`user@host`, a role's host empty)."""

    needed: tuple[str, ...]  # that the source had
    missing: tuple[str, ...]  # of them, on the server
    statements: tuple[str, ...]  # that make them
    rights: tuple[str, ...]  # in the captured database, of all


def newcomers(
    statements: Iterable[str],
    database: str,
    definers: Collection[str],
    there: Collection[str],
    mighty: Collection[str] = (),
) -> Newcomers:
    """Of the captured `statements`, what is to be carried out on a server that has the accounts `there`; those
    that may do everything on it, the `mighty`, need no right in a database."""
    in_order = list(statements)
    rights = [s for s in in_order if (right := _RIGHT.match(s)) and _is(right, database)]
    wanted = {_of(right) for s in rights if (right := _RIGHT.match(s))} | set(definers)
    members = [(unquoted(m["role"]) + "@", _of(m)) for s in in_order if (m := _MEMBER.match(s))]
    while more := {name for pair in members if wanted & set(pair) for name in pair} - wanted:
        wanted |= more
    made = {_of(m): s for s in in_order if (m := _MADE.match(s))}
    needed = [name for name in made if name in wanted]  # roles first, as captured
    missing = [name for name in needed if name not in there]
    making = [made[name] for name in missing]
    for s in in_order:
        if (m := _GLOBAL.match(s)) and (_of(m) in missing or _of(m) in definers) and _of(m) not in mighty:
            if held := [r for r in m["rights"].split(", ") if r in OF_A_DATABASE]:
                account = f"{m['user']}@{m['host']}" if m["host"] else m["user"]
                rights.append(f"GRANT {', '.join(held)} ON {quote_name(database)}.* TO {account}")
        elif (m := _MEMBER.match(s)) and {unquoted(m["role"]) + "@", _of(m)} & set(missing):
            making += [s] if {unquoted(m["role"]) + "@", _of(m)} <= wanted else []
        elif (m := _DEFAULT.match(s)) and _of(m) in missing:
            making.append(s)
    return Newcomers(tuple(needed), tuple(missing), tuple(making), tuple(rights))


def rights_in(rights: Iterable[str], name: str) -> tuple[list[str], list[str]]:
    """The rights for a database of this name: on all of it, and on what is in it."""
    on: tuple[list[str], list[str]] = ([], [])
    pattern = as_pattern(name)
    for s in rights:
        right = _RIGHT.match(s)
        assert right is not None
        whole = right["what"] == "*"
        where = pattern if whole else quote_name(name)
        on[not whole].append(f"{right['grant']} ON {right['kind']}{where}.{right['what']} TO {right['rest']}")
    return on


def revoking(rights: Iterable[str]) -> list[str]:
    """What takes these rights away. A right outlives what it is of. On what is not there any more it fails."""
    revokes = []
    for s in rights:
        if right := _RIGHT.match(s):
            account = f"{right['user']}@{right['host']}" if right["host"] else right["user"]
            on = f"{right['kind']}{s[right.start(3) - 1 : right.end(3) + 1]}.{right['what']}"
            revokes += [f"REVOKE {rights} ON {on} FROM {account}" for rights in ("ALL PRIVILEGES", "GRANT OPTION")]
    return revokes


def removing(accounts: Iterable[str]) -> list[str]:
    """What removes these again, roles last."""
    in_order = sorted(accounts, key=lambda account: account.endswith("@"))
    return [f"DROP {'USER' if host else 'ROLE'} IF EXISTS {sql}" for sql, host in map(_as_sql, in_order)]


def orphans_of(inventory: Inventory) -> list[str]:
    """Definers that nobody can make: the source had them no more."""
    return sorted({inventory.definers[name] for name in inventory.orphans if name in inventory.definers})


def _is(right: re.Match[str], database: str) -> bool:
    """Is it of this database? The name of a whole one is a pattern, as LIKE has them."""
    name = right[3].replace("``", "`")
    return name == database if right["what"] != "*" else is_like(name, database)


def _of(match: re.Match[str]) -> str:
    host = match["host"]
    return f"{unquoted(match['user'])}@{unquoted(host) if host else ''}"


def _as_sql(account: str) -> tuple[str, str]:
    user, _, host = account.rpartition("@")
    return (f"{quote_name(user)}@{quote_name(host)}" if host else quote_name(user)), host
