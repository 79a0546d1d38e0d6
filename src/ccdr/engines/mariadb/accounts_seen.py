"""Who may do what on the server: users and roles, their rights everywhere and by database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from ccdr.model.errors import CommandFailed
from ccdr.ports.accounts import Account, Accounts, Reach

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
