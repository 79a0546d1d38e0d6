"""What the client's role may do at the source, all that a dump reads and nothing more; and who else may do what on the
server.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ccdr.engines.postgres import grants
from ccdr.model.errors import CommandFailed
from ccdr.model.values import Probe, so_many
from ccdr.ports.accounts import Account, Accounts, Reach

# `has_table_privilege` knows pg_read_all_data and every membership; large objects have no such function before
# version 18. Extensions' own tables are not dumped, but for those that the extension names.
RIGHTS = """\
select jsonb_build_object(
  'superuser', r.rolsuper,
  'role', quote_ident(current_user),
  'inherits', r.rolinherit,
  'major', current_setting('server_version_num')::int / 10000,
  'makes', r.rolcreaterole or r.rolcreatedb,
  'tables', (select count(*) from dumped),
  'objects', (select count(*) from dumped) + (select count(*) from pg_largeobject_metadata) + (
      select count(*) from (
        select 'pg_class'::regclass, oid from pg_class where relkind in ('v', 'm', 'f')
        union all select 'pg_proc'::regclass, oid from pg_proc
        union all select 'pg_type'::regclass, oid from pg_type where typrelid = 0 and typcategory <> 'A'
      ) o(class, object)
      where object >= 16384 and not exists (
        select from pg_depend e where e.classid = class and e.objid = object and e.deptype = 'e')),
  'unreadable', (select coalesce(jsonb_agg(name order by name), '[]') from dumped where not readable),
  'hidden_rows', (select coalesce(jsonb_agg(name order by name), '[]') from dumped where hidden),
  'writable', (select count(*) from dumped where writable),
  'large_objects', (select count(*) from pg_largeobject_metadata m
      where not (r.rolsuper or pg_has_role(m.lomowner, 'usage')
        or exists (select from aclexplode(m.lomacl) a where a.privilege_type = 'SELECT'
                   and (a.grantee = 0 or pg_has_role(a.grantee, 'usage'))))))
from pg_roles r where r.rolname = current_user;
"""
DUMPED = """\
with dumped as (
  select c.oid::regclass::text as name,
         has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable,
         c.relkind in ('r', 'p') and c.relrowsecurity and row_security_active(c.oid) as hidden,
         c.relkind in ('r', 'p') and has_table_privilege(c.oid, 'insert, update, delete, truncate') as writable
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't' and c.oid >= 16384
    and not exists (select from pg_depend e join pg_extension x on x.oid = e.refobjid
                    where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e'
                      and not c.oid = any (coalesce(x.extconfig, '{}'))))
"""
SQL = DUMPED + RIGHTS
NAMED = 3  # objects that one line names


def read_rights(answer: str) -> Mapping[str, Any]:
    """CommandFailed where the answer is none."""
    try:
        facts: dict[str, Any] = json.loads(answer)
        return facts
    except ValueError as error:
        raise CommandFailed(["psql"], 0, f"its answer tells no rights: {type(error).__name__}") from None


def judged(facts: Mapping[str, Any], user: str) -> Iterator[Probe]:
    what, short, role = "rights to read", False, facts["role"]
    if unreadable := facts["unreadable"]:
        short = True
        problem = f"{user} may not read {_named(unreadable)}, of {facts['tables']} tables and sequences"
        grant = grants.member("pg_read_all_data", role, inherits=facts["inherits"], major=facts["major"])
        yield Probe.fail(what, problem, f"as a superuser: {grant}")
    if hidden := facts["hidden_rows"]:
        short = True
        problem = f"row-level security hides rows of {_named(hidden)} from {user}, and pg_dump refuses such a table"
        yield Probe.fail(what, problem, f"as a superuser: {grants.past_policies(role)}")
    if facts["large_objects"]:
        short = True
        problem = f"{user} may not read {facts['large_objects']} large objects, which pg_read_all_data does not cover"
        yield Probe.fail(what, problem, f"as a superuser, by psql: {grants.large_objects(role)}")
    if not facts["objects"]:
        short = True
        yield Probe.fail(
            what, "it holds no object of its own, and an empty dump is no backup", "is it the right database?"
        )
    if not short:
        yield Probe.ok(what, f"{user} may read all {facts['tables']} tables and sequences, and every large object")
    yield _writing(facts, user)


def _writing(facts: Mapping[str, Any], user: str) -> Probe:
    what = "rights to write"
    if facts["superuser"]:
        return Probe.warn(
            what,
            f"{user} is a superuser: whoever has its password has everything",
            "back up as a role that only reads: CREATE ROLE … LOGIN BYPASSRLS; GRANT pg_read_all_data TO …;"
            " (roles then come back without their passwords)",
        )
    if facts["writable"]:
        return Probe.warn(
            what,
            f"{user} may change {so_many(facts['writable'], 'table')}, and a backup only reads",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE … FROM {user}, or name another role in `connection:`",
        )
    if facts["makes"]:
        return Probe.warn(
            what,
            f"{user} may create roles or databases, and a backup only reads",
            f"as a superuser: ALTER ROLE {user} NOCREATEROLE NOCREATEDB;",
        )
    return Probe.ok(what, f"{user} may change nothing")


def _named(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


# Who may do what on the server: roles, what they are members of, and how many tables each reads and writes.

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
