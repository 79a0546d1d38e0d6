"""Users, roles and their grants, which belong to the whole server: as statements, and as who may do what."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from ccdr.engines.mariadb.client import Login, answers, quote_name, quote_text, rows_of, text_of
from ccdr.model.errors import CommandFailed
from ccdr.ports.accounts import Account, Accounts, Reach
from ccdr.ports.place import Place

# Each statement is the server's own word (`SHOW CREATE USER`, `SHOW GRANTS`): passwords as the server keeps them.

# Users, roles and what they may do on the server or on a database; and what on a table, a view or a routine, which must
# be there first. A view's definer must be there before the view.
USERS, GRANTS = "users.sql", "grants.sql"
# Every server has these of its own; the last is the sandbox's.
SANDBOX_USER = "ccdr_sandbox"
_OWN = ("mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", SANDBOX_USER)
_LIST = """\
SELECT JSON_ARRAY(user, host, is_role) FROM mysql.user WHERE user NOT IN ({own}) ORDER BY is_role = 'N', user, host;
"""
_QUOTED = r"`(?:[^`]|``)*`"
# On an object: a table, a routine. What is on a whole database stands also where there is no such database yet.
_ON_OBJECT = re.compile(
    r"GRANT .*? ON (?:(?:TABLE|FUNCTION|PROCEDURE|PACKAGE|PACKAGE BODY) )?"
    rf"(?P<database>{_QUOTED})\.(?P<object>{_QUOTED}) TO "
)
_ACCOUNT = rf"(?:{_QUOTED}(?:@{_QUOTED})?|PUBLIC)"
_GLOBAL = re.compile(rf"(?P<grant>GRANT .*? ON \*\.\* TO {_ACCOUNT})(?P<rest>.*)")
_MEMBERSHIP = re.compile(rf"GRANT {_QUOTED} TO ")
_TEXT = re.compile(r"'(?:[^'\\]|\\.|'')*'")


def statements(place: Place, login: Login) -> list[str]:
    """What makes every account of the server, in an order that can be carried out."""
    own = ", ".join(map(quote_text, _OWN))
    listed = answers(place, login, _LIST.format(own=own), "listing users and roles")
    roles = [user for user, _, is_role in listed if is_role == "Y"]
    users = [(user, host) for user, host, is_role in listed if is_role != "Y"]
    made = [f"CREATE ROLE {quote_name(role)}" for role in roles if role.upper() != "PUBLIC"]
    grantees = [role if role.upper() == "PUBLIC" else quote_name(role) for role in roles]
    named = [f"{quote_name(user)}@{quote_name(host)}" for user, host in users]
    asked = "".join(f"SHOW CREATE USER {name};\n" for name in named)
    made += _lines(place, login, asked, "asking for users") if named else []
    asked = "".join(f"SHOW GRANTS FOR {name};\n" for name in [*grantees, *named])
    granted = _lines(place, login, asked, "asking for grants") if asked else []
    # A role's grants are told with those of the roles that it has, so some come several times.
    grants = sorted({_without_login(line) for line in granted if line.startswith("GRANT ")})
    defaults = [line for line in granted if line.startswith("SET DEFAULT ROLE ")]
    return [*made, *_roles_first(grants), *sorted(set(defaults))]


def names(place: Place, login: Login) -> set[str]:
    """Every user and role, as definers are written: a role's host is empty."""
    sql = "SELECT JSON_QUOTE(CONCAT(user, '@', host)) FROM mysql.user;"
    return set(answers(place, login, sql, "listing users"))


def mighty(place: Place, login: Login) -> set[str]:
    """Those of `names` that may do everything in every database."""
    rights = " AND ".join(f"{right}_priv = 'Y'" for right in ("select", "insert", "create", "execute", "super"))
    sql = f"SELECT JSON_QUOTE(CONCAT(user, '@', host)) FROM mysql.user WHERE {rights};"
    return set(answers(place, login, sql, "listing users"))


def orphans(definers: Mapping[str, str], there: Collection[str]) -> list[str]:
    """What acts for somebody who does not exist."""
    return [name for name, definer in definers.items() if definer not in there]


def loadable(account_statements: Iterable[str], database: str, objects: Collection[str]) -> list[str]:
    """Those statements that a server can carry out which has this database alone. Grants on what was dropped stay, and
    nobody can make them again: `objects` are the names that there are."""
    ours, there = quote_name(database), {quote_name(name).lower() for name in objects}
    return [
        s
        for s in account_statements
        if (on := _ON_OBJECT.match(s)) is None or (on["database"] == ours and on["object"].lower() in there)
    ]


def on_objects(account_statements: Iterable[str]) -> tuple[list[str], list[str]]:
    """The statements, parted into those that need no table to be there, and those that do."""
    apart: tuple[list[str], list[str]] = ([], [])
    for statement in account_statements:
        apart[_ON_OBJECT.match(statement) is not None].append(statement)
    return apart


def script(account_statements: Iterable[str]) -> str:
    return "".join(f"{statement};\n" for statement in account_statements)


def _without_login(grant: str) -> str:
    """A global grant repeats how its user logs in, which `CREATE USER` says, and says in full."""
    parts = _GLOBAL.fullmatch(grant)
    if parts is None:
        return grant
    return parts["grant"] + (" WITH GRANT OPTION" if "GRANT OPTION" in _TEXT.sub("", parts["rest"]) else "")


def _roles_first(grants: list[str]) -> list[str]:
    """Memberships before the rest: a role must have its members before it is anybody's default."""
    return sorted(grants, key=lambda grant: _MEMBERSHIP.match(grant) is None)


def read(directory: Path) -> list[str]:
    """The captured statements."""
    texts = [text_of(directory / name) for name in (USERS, GRANTS)]
    return [statement for text in texts for statement in text.split(";\n") if statement]


def _lines(place: Place, login: Login, asked: str, what: str) -> list[str]:
    """Statements may hold what ends a line: a table's name may."""
    return [line for (line,) in rows_of(place, login, asked, what)]


# Who may do what on the server: users and roles, their rights everywhere and by database.

Ask = Callable[[str], list[list[str | None]]]

# Of `mysql.user` no column that holds a password's hash is read.
_USERS = "SELECT User, Host, is_role, plugin, password_expired FROM mysql.user ORDER BY User, Host"
_ROLES = "SELECT User, Host, Role FROM mysql.roles_mapping ORDER BY User, Host, Role"
# These show all to who may read the database `mysql`, and to others their own.
_EVERYWHERE = (
    "SELECT GRANTEE, PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.USER_PRIVILEGES "
    "WHERE PRIVILEGE_TYPE <> 'USAGE' ORDER BY 1, 2"
)
_DATABASES = "SELECT GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES ORDER BY 1, 2, 3"
_TABLES = (
    "SELECT GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE, COUNT(*) FROM information_schema.TABLE_PRIVILEGES "
    "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
HIDDEN = "users, their plugins and roles: the client's user may not read mysql.user and mysql.roles_mapping"


def accounts_of(ask: Ask) -> Accounts:
    """CommandFailed where the server does not answer."""
    everywhere, reach = defaultdict[str, list[str]](list), defaultdict[str, list[Reach]](list)
    for grantee, right, grantable in ask(_EVERYWHERE):
        everywhere[_plain(grantee)].append(str(right))
        if grantable == "YES" and "GRANT OPTION" not in everywhere[_plain(grantee)]:
            everywhere[_plain(grantee)].append("GRANT OPTION")
    by_database = defaultdict[tuple[str, str], list[str]](list)
    for grantee, database, right in ask(_DATABASES):
        by_database[_plain(grantee), str(database)].append(str(right))
    for grantee, database, right, count in ask(_TABLES):
        by_database[_plain(grantee), f"{database} (tables alone)"].append(f"{right} ({count})")
    for (name, where), rights in by_database.items():
        reach[name].append(Reach(where, tuple(rights)))
    try:
        users, mapped = ask(_USERS), ask(_ROLES)
    except CommandFailed as error:
        if error.stalled:
            raise
        names = sorted({*everywhere, *reach})
        seen = [Account(name, True, tuple(everywhere[name]), (), None, tuple(reach[name])) for name in names]
        return Accounts(tuple(seen), (HIDDEN,))
    members = defaultdict[str, list[str]](list)
    for user, host, role in mapped:
        members[_named(user, host)].append(str(role))
    found = []
    for user, host, is_role, plugin, expired in users:
        name, of_role = _named(user, host), is_role == "Y"
        rights = [*everywhere[name], *([] if of_role else [f"by {plugin or 'nothing'}"])]
        rights += ["PASSWORD EXPIRED"] if expired == "Y" else []
        found.append(Account(name, not of_role, tuple(rights), tuple(members[name]), None, tuple(reach[name])))
    return Accounts(tuple(found))


def _named(user: object, host: object) -> str:
    """A role has no host."""
    return f"{user}@{host}" if host else str(user)


def _plain(grantee: str | None) -> str:
    """`'user'@'host'` as `_named` has it."""
    user, _, host = str(grantee).rpartition("@")
    plain = [one.strip("'").replace("''", "'") for one in (user, host)]
    return f"{plain[0]}@{plain[1]}" if plain[1] else plain[0]
