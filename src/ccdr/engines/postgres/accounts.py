"""Who may do what on the server: roles, what they are members of, and how many tables each reads and writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from ccdr.model.errors import CommandFailed
from ccdr.ports.accounts import Account, Accounts, Reach

Ask = Callable[[str], list[list[str | None]]]

# `pg_roles` shows no password, only stars in its place, and is everybody's to read.
_ROLES = """
select rolname, rolcanlogin, rolsuper, rolreplication, rolbypassrls, rolcreaterole, rolcreatedb,
       case when rolvaliduntil < 'infinity'
            then to_char(rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end,
       has_database_privilege(oid, current_database(), 'connect')
from pg_roles where rolname !~ '^pg_' order by rolname
"""
_MEMBERS = """
select m.rolname, g.rolname from pg_auth_members a join pg_roles m on m.oid = a.member
join pg_roles g on g.oid = a.roleid where m.rolname !~ '^pg_' order by 1, 2
"""
# These functions know every membership, PUBLIC, owners and superusers.
_REACH = """
with t as (select c.oid, c.relnamespace, n.nspname, count(*) over (partition by n.oid) as total
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
             and n.nspname !~ '^pg_' and n.nspname <> 'information_schema')
select r.rolname, t.nspname, max(t.total),
  count(*) filter (where u.usage and has_table_privilege(r.oid, t.oid, 'select')),
  count(*) filter (where u.usage and has_table_privilege(r.oid, t.oid, 'insert, update, delete, truncate'))
from pg_roles r cross join t
cross join lateral (select has_schema_privilege(r.oid, t.relnamespace, 'usage') as usage) u
where r.rolname !~ '^pg_' group by r.rolname, t.nspname
having bool_or(u.usage and has_table_privilege(r.oid, t.oid, 'select, insert, update, delete, truncate'))
order by 1, 2
"""
# How clients are known: `trust` lets everybody in who reaches it.
_HBA = """
select type, array_to_string(database, ','), array_to_string(user_name, ','), coalesce(address, ''), auth_method
from pg_hba_file_rules where error is null order by line_number
"""
_WORDS = ("SUPERUSER", "REPLICATION", "BYPASSRLS", "CREATEROLE", "CREATEDB")


def accounts_of(ask: Ask, database: str) -> Accounts:
    """CommandFailed where the server does not answer."""
    members, reach = defaultdict[str, list[str]](list), defaultdict[str, list[Reach]](list)
    for member, group in ask(_MEMBERS):
        members[str(member)].append(str(group))
    for role, schema, total, reads, writes in ask(_REACH):
        reach[str(role)].append(Reach(f"{database}.{schema}", (), int(reads or 0), int(writes or 0), int(total or 0)))
    found = []
    for name, logs_in, *flags, until, connects in ask(_ROLES):
        rights = [word for word, has in zip(_WORDS, flags, strict=True) if has == "t"]
        rights += ["CONNECT"] if connects == "t" else []
        key = str(name)
        found.append(Account(key, logs_in == "t", tuple(rights), tuple(members[key]), until, tuple(reach[key])))
    rules, unread = _ways_in(ask)
    return Accounts((*found, *rules), unread)


def _ways_in(ask: Ask) -> tuple[tuple[Account, ...], tuple[str, ...]]:
    try:
        rows = ask(_HBA)
    except CommandFailed as error:
        if error.stalled:
            raise
        return (), ("pg_hba.conf, by which clients are known: the client's role may not read pg_hba_file_rules",)
    ways = [
        Account(
            f"pg_hba {number}: {kind} {users} {address}".rstrip(), True, (str(method),), (), None, (Reach(str(of)),)
        )
        for number, (kind, of, users, address, method) in enumerate(rows, 1)
    ]
    return tuple(ways), ()
