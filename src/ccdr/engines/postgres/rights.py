"""What the client's role may do at the source: all that a dump reads, and nothing more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.engines.postgres import grants
from ccdr.model.errors import CommandFailed
from ccdr.model.values import Probe, so_many

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
