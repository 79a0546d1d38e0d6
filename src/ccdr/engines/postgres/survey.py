"""What a server holds, for whoever writes the first plan: asked in a few short questions that disturb nobody.

Sizes and row counts come from the catalogues, which needs no lock; only what is small or indexed is counted, each
count with a time limit of its own, so that a big or busy server is no slower to look at than a small one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ccdr.engines import discovery
from ccdr.engines.discovery import (
    CLOCKS,
    PLANNED,
    SMALL,
    WINDOW,
    DatabaseFound,
    Lack,
    NewestFound,
    best_of_each_table,
    gap,
    so_many,
    table_found,
)
from ccdr.engines.postgres import grants
from ccdr.engines.postgres.connection import CONNECTABLE, PSQL, answer
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

GENTLE = (
    "-c statement_timeout=20s -c lock_timeout=500ms -c default_transaction_read_only=on -c client_min_messages=error"
    " -c role=none"
)
BRIEFLY = "set statement_timeout = '2s';\n"  # a look into a table that takes longer, or must wait, is left out
CANDIDATES = 60  # tables (and columns) of one database that are looked at closely

SERVER = f"""\
select json_build_object(
  'version', current_setting('server_version'),
  'identity', extract(epoch from pg_postmaster_start_time()) || ' ' || current_setting('port'),
  'user', current_user,
  'superuser', current_setting('is_superuser') = 'on',
  'role', quote_ident(current_user),
  'inherits', (select rolinherit from pg_roles where rolname = current_user),
  'major', current_setting('server_version_num')::int / 10000,
  'reads_all', pg_has_role('pg_read_all_data', 'usage'),
  'databases', (
    select json_agg(json_build_object(
             'name', datname, 'connect', has_database_privilege(oid, 'connect'),
             'bytes', case when has_database_privilege(oid, 'connect') then pg_database_size(oid) end)
           order by datname)
    from pg_database where {CONNECTABLE} and not datistemplate))
"""
# `mine` is what pg_dump writes, without extensions' own tables; `leaf` is where each table's rows are.
_MINE = """\
with recursive mine as (
  select c.oid, c.relkind, n.nspname, c.relname, c.relpersistence
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    and not exists (select from pg_depend e
                    where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
), leaf as (
  select oid as root, oid, relkind from mine
  union all
  select leaf.root, c.oid, c.relkind from leaf join pg_inherits i on i.inhparent = leaf.oid
  join pg_class c on c.oid = i.inhrelid where c.relispartition
)
"""
COUNT = f"{_MINE} select json_build_object('tables', count(*)) from mine"
TABLES = f"""\
{_MINE}, sized as (
  select root, sum(case when c.reltuples > 0 and pg_stat_get_live_tuples(c.oid) > 0
                        then least(c.reltuples, pg_stat_get_live_tuples(c.oid))
                        else greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0) end) as rows,
         sum(pg_stat_get_tuples_deleted(c.oid)) as deleted, bool_or(leaf.relkind = 'f') as foreign_parts
  from leaf join pg_class c on c.oid = leaf.oid where leaf.relkind in ('r', 'f') group by root
), best as (
  select m.oid, format('%I.%I', m.nspname, m.relname) as name, s.rows, s.deleted
  from mine m join sized s on s.root = m.oid
  where not s.foreign_parts and m.relpersistence = 'p' and has_schema_privilege(m.nspname, 'usage')
    and has_table_privilege(m.oid, 'select')
  order by s.rows desc, name limit {CANDIDATES}
)
select json_build_object(
  'tables', (select count(*) from mine),
  'extensions', (select coalesce(json_object_agg(extname, extversion order by extname), '{{}}') from pg_extension
                 where extname <> 'plpgsql'),
  'best', (select coalesce(json_agg(json_build_object(
      'name', name, 'rows', rows::bigint, 'deleted', deleted,
      'times', (select coalesce(json_agg(json_build_object('column', format('%I', a.attname), 'indexed', exists (
                  select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
                  where i.indrelid = best.oid and i.indkey[0] = a.attnum and i.indpred is null and i.indisvalid
                    and m.amname = 'btree')) order by a.attnum), '[]')
                from pg_attribute a where a.attrelid = best.oid and a.attnum > 0 and not a.attisdropped
                  and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype)))
      order by rows desc, name), '[]') from best))
"""
# What pg_dump would be refused, by kind.
LACKS = """\
with me as (select rolsuper, rolbypassrls, rolinherit from pg_roles where rolname = current_user)
select json_build_object(
  'role', quote_ident(current_user),
  'inherits', (select rolinherit from me),
  'major', current_setting('server_version_num')::int / 10000,
  'tables', (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p', 'm', 'S') and c.relpersistence <> 't'
               and c.oid >= 16384 and n.nspname !~ '^pg_'
               and not (has_schema_privilege(n.oid, 'usage')
                        and case when c.relkind = 'S' then has_sequence_privilege(c.oid, 'select')
                                 else has_table_privilege(c.oid, 'select') end)),
  'hidden', (select count(*) from pg_class c, me
             where c.relrowsecurity and not me.rolsuper and not me.rolbypassrls
               and (c.relforcerowsecurity or not pg_has_role(c.relowner, 'usage'))),
  'large', (select count(*) from (
              select from pg_largeobject_metadata l, me
              where not me.rolsuper and current_setting('lo_compat_privileges') = 'off'
                and not pg_has_role(l.lomowner, 'usage')
                and not exists (select from aclexplode(l.lomacl) a
                                where a.privilege_type = 'SELECT'
                                  and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))
              limit 100000) x))
"""


@dataclass(frozen=True)
class ListedDatabase(discovery.ListedDatabase):
    """`connect`: may the role?"""

    connect: bool


@dataclass(frozen=True)
class ServerFound:
    """`identity` tells one running server from another, however it is reached. `to_read` has the role read every table
    of any database; None where it may already."""

    version: str
    identity: str
    user: str
    superuser: bool
    databases: tuple[ListedDatabase, ...]
    to_read: str | None = None


def server(place: Place, env: Mapping[str, str]) -> ServerFound:
    """The server that `env` (libpq's) names, and its databases, templates left out."""
    facts = _ask(place, env, SERVER)
    databases = tuple(ListedDatabase(d["name"], d["bytes"], d["connect"]) for d in facts["databases"] or ())
    to_read = None
    if not (facts["superuser"] or facts["reads_all"]):
        to_read = grants.member("pg_read_all_data", facts["role"], inherits=facts["inherits"], major=facts["major"])
    version = str(facts["version"]).split()[0]
    return ServerFound(version, facts["identity"], facts["user"], facts["superuser"], databases, to_read)


def count_tables(place: Place, env: Mapping[str, str]) -> int:
    """How many tables of its own the database has; without one there is nothing to lose, and nothing to dump."""
    return int(_ask(place, env, COUNT)["tables"])


def database(place: Place, env: Mapping[str, str]) -> DatabaseFound:
    """A close look at the database that `env` names, as the role that is to back it up."""
    facts = _ask(place, env, TABLES)
    best = [table for table in facts["best"] if table["name"].isprintable()]
    counted = dict(_counts(place, env, best))
    settled = [t for t in best if t["deleted"] <= 3 * max(t["rows"], counted.get(t["name"], 0))]  # no queue, no session
    tables = [table_found(t["name"], int(t["rows"]), counted.get(t["name"])) for t in settled]
    large = sorted((t for t in tables if t.rows > 0), key=lambda t: (-t.rows, t.name))
    return DatabaseFound(
        tables=int(facts["tables"]),
        largest=tuple(large),
        newest=tuple(_newest(place, env, settled, {t.name: t.rows for t in large})),
        extensions=dict(facts["extensions"]),
        lacks=tuple(_lacks(_ask(place, env, LACKS))),
    )


def _counts(place: Place, env: Mapping[str, str], tables: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    names = [str(table["name"]) for table in tables]
    questions = [f"'count', (select count(*) from (select from {name} limit {SMALL + 1}) x)" for name in names]
    for n, told in _answers(place, env, questions):
        yield names[n], int(told["count"])


def _newest(
    place: Place, env: Mapping[str, str], tables: Iterable[Mapping[str, Any]], rows: Mapping[str, int]
) -> Iterator[NewestFound]:
    """At most one column a table: those that are written to regularly first, then the larger tables."""
    wanted = [
        (str(table["name"]), str(time["column"]))
        for table in tables
        for time in table["times"]
        if (time["indexed"] or rows.get(table["name"], 0) <= SMALL)
        and rows.get(table["name"], 0) >= 10
        and not PLANNED.search(time["column"])
        and time["column"].isprintable()
    ][:CANDIDATES]
    questions = [
        f"'age', extract(epoch from now() - (select max({column}) from {table})),"
        f" 'days', (select json_agg(d order by d) from generate_series(0, {WINDOW - 1}) d where exists ("
        f"select from {table} where {column} > now() - (d + 1) * interval '1 day'"
        f" and {column} <= now() - d * interval '1 day'))"
        for table, column in wanted
    ]
    newest = []
    for n, told in _answers(place, env, questions):
        table, column = wanted[n]
        age, days = told["age"], told["days"] or []
        if isinstance(age, int | float) and age >= -CLOCKS and days and days[0] < WINDOW // 4:
            newest.append(NewestFound(table, column, max(float(age), 0.0), gap(days)))
    yield from best_of_each_table(newest, rows)


def _lacks(facts: Mapping[str, Any]) -> Iterator[Lack]:
    role = facts["role"]
    if n := facts["tables"]:
        yield Lack(
            f"{role} may not read {so_many(n, 'table or sequence', 'tables and sequences')}",
            grants.member("pg_read_all_data", role, inherits=facts["inherits"], major=facts["major"]),
        )
    if n := facts["hidden"]:
        what = f"row-level security would hide rows of {so_many(n, 'table')} from {role}"
        yield Lack(what, grants.past_policies(role))
    if n := facts["large"]:
        yield Lack(
            f"{role} may not read {so_many(n, 'large object')}",
            grants.large_objects(role),
        )


def gently(env: Mapping[str, str], database: str) -> dict[str, str]:
    """libpq's variables for questions to this database."""
    return {**env, "PGDATABASE": database, "PGOPTIONS": GENTLE, "PGCLIENTENCODING": "UTF8"}


def _ask(place: Place, env: Mapping[str, str], sql: str) -> Any:
    return _parsed(answer(place, env, sql, "asking the source"))


def _answers(place: Place, env: Mapping[str, str], questions: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and answer of each question that was answered in time; the others are left out."""
    if not questions:
        return
    script = BRIEFLY + "".join(f"select json_build_object('n', {n}, {q});\n" for n, q in enumerate(questions))
    out = place.run([*PSQL, "-f", "-"], env=env, stdin=script, what="asking the source").stdout
    for line in filter(None, out.split("\n")):
        told = _parsed(line)
        yield int(told["n"]), told


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError as error:
        raise CommandFailed(["psql"], 0, f"its answer is not what was asked for: {type(error).__name__}") from None
