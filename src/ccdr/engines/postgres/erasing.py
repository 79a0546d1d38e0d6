"""Erase people from a restored database, in one transaction. What is asked for goes through standard input, and as
base64: neither arguments nor a server's log show whom it names."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ccdr.engines.postgres import questions
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.inventory import quote_name
from ccdr.engines.servers.erasing import ENTRY, Reference, Schema, Script, Table, script
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Place, Pulse

# Every table that holds rows, a partitioned one by its own name; and foreign keys, those of single partitions left out.
_TABLES = """
select n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname),
  (select json_object_agg(a.attname, format_type(a.atttypid, -1)) from pg_catalog.pg_attribute a
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
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
_FIRST = "select coalesce((current_schemas(false))[1], 'public')"
# What its owner has the server do where a row goes would copy them somewhere else, or tell others: not here.
_TRIGGERS = """
select format('%I.%I', n.nspname, c.relname), format('%I', t.tgname), t.tgenabled
from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgenabled <> 'D' and format('%I.%I', n.nspname, c.relname) in (TABLES)
order by 1, 2
"""
_FIRED = {"O": "enable trigger", "R": "enable replica trigger", "A": "enable always trigger"}
# Copies of rows beside the tables: materialised views that are made of these, each after those it is made of.
_VIEWS = """
with recursive made(oid) as (
  select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where format('%I.%I', n.nspname, c.relname) in (TABLES)
  union
  select r.ev_class from made join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.refobjid = made.oid and d.classid = 'pg_catalog.pg_rewrite'::regclass
    join pg_catalog.pg_rewrite r on r.oid = d.objid)
select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace join made on made.oid = c.oid
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

    def keys(self, table: str, columns: Sequence[tuple[str, str]], source: str) -> str:
        typed = "".join(f", {name} {kind}" for name, kind in columns)
        return f"create temporary table {table} ({ENTRY} integer{typed});"

    def value(self, kind: str, text: str) -> str | None:
        return f"convert_from(decode('{b64encode(text.encode()).decode()}', 'base64'), 'UTF8')::{kind}"


def erase(
    place: Place, env: Mapping[str, str], wanted: Sequence[Wanted], pulse: Pulse | None = None, *, in_part: bool
) -> Replayed:
    """As `Restored.erase`."""
    schema = _schema(place, env, pulse)
    made = script(schema, wanted, _Postgres(), in_part=in_part)
    triggers = (
        questions.rows(place, env, _TRIGGERS.replace("TABLES", _texts(made.tables)), pulse) if made.tables else []
    )
    held = [f"alter table {table} disable trigger {name};" for table, name, _ in triggers]
    back = [f"alter table {table} {_FIRED[str(how)]} {name};" for table, name, how in triggers]
    erasing = [*held, *made.erase, "set constraints all immediate;", *back]
    statements = [*made.prepare, *made.counts("b"), *erasing, "commit;"]
    # Once more after it: what a trigger kept, or put back, is still there.
    text = _BEGIN + "\n".join([*statements, *made.counts("a")])
    replayed = made.answers(_lines(place, env, text, pulse), wanted)
    if replayed.before:
        _made_anew(place, env, made, pulse)
    return replayed


def _texts(names: Iterable[str]) -> str:
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names)


def _lines(place: Place, env: Mapping[str, str], text: str, pulse: Pulse | None) -> list[list[str]]:
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-f", "-"]
    try:
        out = place.run(argv, stdin=text, env={**env, "PGCLIENTENCODING": "UTF8"}, what="erasing", pulse=pulse)
    except CommandFailed as error:
        raise _cannot(error) from None
    return [line.split("|") for line in out.stdout.splitlines() if line]


def _cannot(error: CommandFailed) -> TestBroken:
    return TestBroken(
        f"the register of erasures could not be replayed: {error}",
        hint="an entry may name a value that its column cannot hold, or rows that others must go on to refer to: "
        "docs/how-to/erase.md",
        words=error.stderr,
    )


def _made_anew(place: Place, env: Mapping[str, str], made: Script, pulse: Pulse | None) -> None:
    """Materialised views and statistics hold values of the rows that are gone."""
    asked = _VIEWS.replace("TABLES", _texts(made.touched.values()))
    views = [str(row[0]) for row in questions.rows(place, env, asked, pulse)]
    anew = [f"refresh materialized view {view};" for view in views]
    anew += [f"analyze {table};" for table in dict.fromkeys([*made.touched.values(), *views])]
    _lines(place, env, "\n".join(anew), pulse)


def _schema(place: Place, env: Mapping[str, str], pulse: Pulse | None) -> Schema:
    tables = {
        str(name): Table(str(sql), json.loads(columns or "{}"))
        for name, sql, columns in questions.rows(place, env, _TABLES, pulse)
    }
    references = [
        Reference(
            str(child), tuple(json.loads(str(own))), str(parent), tuple(json.loads(str(to))), kind in ("a", "r", "c")
        )
        for child, parent, kind, own, to in questions.rows(place, env, _REFERENCES, pulse)
    ]
    first = str(questions.rows(place, env, _FIRST, pulse)[0][0])
    return Schema(tables, [r for r in references if r.child in tables and r.parent in tables], first)
