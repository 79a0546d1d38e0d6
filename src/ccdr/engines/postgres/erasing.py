"""Erase people from a restored database, in one transaction. What is asked for goes through standard input, and as
base64: neither arguments nor a server's log show whom it names."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from ccdr.engines.postgres import questions
from ccdr.engines.postgres.connection import STRICT
from ccdr.engines.postgres.inventory import quote_name, texts
from ccdr.engines.servers.erasing import ENTRY, Reference, Schema, Table, not_replayed, script
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place, Pulse

# Every table that holds rows, with what it is a partition or an heir of; and foreign keys, those that partitions have
# of the whole left out.
_TABLES = """
select n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname), c.relkind, c.relispartition,
  (select json_object_agg(a.attname, format_type(a.atttypid, -1)) from pg_catalog.pg_attribute a
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  (select json_agg(a.attname) from pg_catalog.pg_attribute a
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attnotnull),
  (select json_agg(pn.nspname || '.' || p.relname) from pg_catalog.pg_inherits i
     join pg_catalog.pg_class p on p.oid = i.inhparent join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
   where i.inhrelid = c.oid)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema')
"""
_REFERENCES = """
select cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname, f.confdeltype,
  (select json_agg(a.attname order by k.i) from unnest(f.conkey) with ordinality k(n, i)
   join pg_catalog.pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.n),
  (select json_agg(a.attname order by k.i) from unnest(f.confkey) with ordinality k(n, i)
   join pg_catalog.pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.n)
from pg_catalog.pg_constraint f
  join pg_catalog.pg_class c on c.oid = f.conrelid join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
  join pg_catalog.pg_class p on p.oid = f.confrelid join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
where f.contype = 'f' and f.conparentid = 0
"""
# What its owner has the server do where a row goes would copy them somewhere else, or tell others: not here. A rule
# that does something instead is left: what it keeps is found.
_FIRED = """
select t.what, format('%I.%I', n.nspname, c.relname), format('%I', t.name), t.enabled
from (select 'trigger' as what, tgrelid as of, tgname as name, tgenabled as enabled from pg_catalog.pg_trigger
      where not tgisinternal
      union all
      select 'rule', ev_class, rulename, ev_enabled from pg_catalog.pg_rewrite
      where ev_type in ('2', '4') and not is_instead) t
  join pg_catalog.pg_class c on c.oid = t.of join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.enabled <> 'D' and format('%I.%I', n.nspname, c.relname) in (TABLES)
order by 1, 2, 3
"""
_AGAIN = {"O": "enable", "R": "enable replica", "A": "enable always"}
# Copies of rows beside the tables: every materialised view, since a function that one calls may read any table; with
# the materialised views that it is made of.
_VIEWS = """
with recursive made(of, oid) as (
  select oid, oid from pg_catalog.pg_class where relkind = 'm'
  union
  select made.of, d.refobjid from made join pg_catalog.pg_rewrite r on r.ev_class = made.oid
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
      and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> made.oid
    join pg_catalog.pg_class u on u.oid = d.refobjid and u.relkind in ('m', 'v'))
select format('%I.%I', n.nspname, c.relname),
  (select json_agg(format('%I.%I', mn.nspname, m.relname)) from made
     join pg_catalog.pg_class m on m.oid = made.oid and m.relkind = 'm' and m.oid <> c.oid
     join pg_catalog.pg_namespace mn on mn.oid = m.relnamespace
   where made.of = c.oid)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'm' and c.relispopulated order by c.oid
"""
# Rows that a policy hides must not count as erased; nobody's log is to quote a statement of ours.
_BEGIN = """
set standard_conforming_strings = on;
set row_security = off;
set client_min_messages = warning;
do $$ begin
  perform set_config('log_statement', 'none', false), set_config('log_min_error_statement', 'panic', false),
    set_config('log_min_duration_statement', '-1', false);
exception when insufficient_privilege then null;
end $$;
begin;
"""


@dataclass(frozen=True)
class _Postgres:
    """`Dialect`."""

    def name(self, name: str) -> str:
        return quote_name(name)

    def keys(self, table: str, columns: Sequence[tuple[str, str]]) -> str:
        typed = "".join(f", {name} {kind}" for name, kind in columns)
        return f"create temporary table {table} ({ENTRY} integer{typed});"

    def keys_of(self, table: str, columns: Sequence[tuple[str, str]], query: str) -> Sequence[str]:
        return [f"create temporary table {table} as {query};"]

    def values(self, kind: str, text: str) -> Sequence[str]:
        return [f"convert_from(decode('{b64encode(text.encode()).decode()}', 'base64'), 'UTF8')::{kind}"]


def erase(
    place: Place, env: Mapping[str, str], wanted: Sequence[Wanted], pulse: Pulse | None = None, *, in_part: bool
) -> Replayed:
    """As `Restored.erase`."""
    schema = _schema(place, env, pulse)
    made = script(schema, wanted, _Postgres(), in_part=in_part)
    tables = made.tables(schema)
    fired = questions.rows(place, env, _FIRED.replace("TABLES", texts(tables)), pulse) if tables else []
    held = [f"alter table only {table} disable {what} {name};" for what, table, name, _ in fired]
    back = [f"alter table only {table} {_AGAIN[str(how)]} {what} {name};" for what, table, name, how in fired]
    erasing = [*held, *made.erase, "set constraints all immediate;", *back]
    statements = [*made.prepare, *made.counts("b"), *erasing, "commit;"]
    # Once more after it: what a rule kept, or something put back, is still there.
    text = _BEGIN + "\n".join([*statements, *made.counts("a")])
    replayed = made.answers(_lines(place, env, text, pulse), wanted)
    if replayed.before:
        _made_anew(place, env, tables, pulse)
    return replayed


def _lines(place: Place, env: Mapping[str, str], text: str, pulse: Pulse | None) -> list[list[str]]:
    argv = [*STRICT, "-v", "VERBOSITY=verbose", "-f", "-"]
    try:
        out = place.run(argv, stdin=text, env={**env, "PGCLIENTENCODING": "UTF8"}, what="erasing", pulse=pulse)
    except CommandFailed as error:
        raise not_replayed(error) from None
    return [line.split("|") for line in out.stdout.split("\n") if line]


def _made_anew(place: Place, env: Mapping[str, str], tables: Sequence[str], pulse: Pulse | None) -> None:
    """Materialised views and statistics hold values of the rows that are gone."""
    upon = {
        str(view): json.loads(others) if others else [] for view, others in questions.rows(place, env, _VIEWS, pulse)
    }
    views = [view for view in TopologicalSorter(upon).static_order() if view in upon]
    anew = [f"refresh materialized view {view};" for view in views]
    anew += [f"analyze {table};" for table in (*tables, *views)]
    _lines(place, env, "\n".join(anew), pulse)


def _schema(place: Place, env: Mapping[str, str], pulse: Pulse | None) -> Schema:
    tables: dict[str, Table] = {}
    over: dict[str, list[str]] = {}
    partitions: set[str] = set()
    for name, sql, kind, partition, columns, needed, parents in questions.rows(place, env, _TABLES, pulse):
        alone = None if kind == "p" else f"only {sql}"  # where a foreign key has to do with no other rows
        typed, full = json.loads(columns or "{}"), json.loads(needed or "[]")
        tables[str(name)] = Table(str(sql), typed, alone=alone, needed=full)
        over[str(name)] = json.loads(parents or "[]")
        if partition == "t":
            partitions.add(str(name))
    references = [
        Reference(
            str(child), tuple(json.loads(str(own))), str(parent), tuple(json.loads(str(to))), kind in ("a", "r", "c")
        )
        for child, parent, kind, own, to in questions.rows(place, env, _REFERENCES, pulse)
    ]
    known = [r for r in references if r.child in tables and r.parent in tables]
    return Schema(tables, known, over=over, partitions=partitions)
