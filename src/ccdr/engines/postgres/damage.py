"""Damages a database that was restored into a sandbox, for a negative control: one row, or one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from random import Random

from ccdr.engines.postgres import questions
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.inventory import ALL_TABLES
from ccdr.model.damage import Damage, NothingToDamage
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

MOST_ROWS = 100_000  # among which one is chosen
# What makes another value of one, by the type's category; the second where the first does not fit.
_OTHERWISE = {
    "S": ("{c} || '!'", "left({c}, -1)"),
    "N": ("{c} + 1", "{c} - 1"),
    "D": ("{c} + interval '1 day 1 second'",),
    "B": ("not {c}",),
}
_COLUMNS = """\
select format('%I', attname), typcategory from pg_attribute a join pg_type t on t.oid = atttypid
where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum"""
# Neither triggers nor keys to other tables are asked: it is damage, and no use.
_FREELY = "set session_replication_role = replica;\n"


def damage(box: Place, env: Mapping[str, str], kind: Damage, chance: Random) -> str:
    """The table that it was done to. Each statement says itself whether it has changed a row."""
    for table in _tables(box, env, chance):
        if kind is Damage.TABLE_DROPPED:
            _write(box, env, f"drop table {table} cascade")
            return table
        ((counted,),) = questions.rows(box, env, f"select count(*) from (select from only {table} limit {MOST_ROWS}) x")
        count = int(str(counted))
        for statement in _statements(box, env, kind, table, count, chance) if count else ():
            if _changes(box, env, statement):
                return table
    raise NothingToDamage("no table of the database has a row that could be damaged so")


def _tables(box: Place, env: Mapping[str, str], chance: Random) -> list[str]:
    """Those whose rows a dump holds, quoted."""
    found = json.loads(str(questions.rows(box, env, ALL_TABLES.strip().removesuffix(";"))[0][0]))
    tables = sorted(str(of[2]) for of in found.values())
    chance.shuffle(tables)
    return tables


def _statements(
    box: Place, env: Mapping[str, str], kind: Damage, table: str, count: int, chance: Random
) -> Iterator[str]:
    at = chance.randrange(count)
    if kind is Damage.ROW_REMOVED:
        yield f"delete from only {table} where ctid = (select ctid from only {table} offset {at} limit 1) returning 1"
        return
    columns = questions.rows(box, env, _COLUMNS.format(table=table.replace("'", "''")))
    chance.shuffle(columns)
    for name, category in columns:
        for other in _OTHERWISE.get(str(category), ()):
            new = other.format(c=name)
            some = f"from only {table} where {name} is not null and ({new}) is distinct from {name}"
            place = f"offset (select {at} % greatest(1, count(*)) from (select {some} limit {MOST_ROWS}) x)"
            one = f"select ctid as ccdr_at, {name} as ccdr_was {some} {place} limit 1"
            changed = f"(t.{name} is distinct from x.ccdr_was)::int"  # a trigger that always fires may set it back
            set_ = f"set {name} = {other.format(c=f't.{name}')}"
            yield f"update only {table} t {set_} from ({one}) x where t.ctid = x.ccdr_at returning {changed}"


def _changes(box: Place, env: Mapping[str, str], statement: str) -> bool:
    """A value that the column does not take, or that another row has, changes nothing."""
    try:
        return _write(box, env, statement).strip() == "1"
    except CommandFailed as error:
        if error.stalled:
            raise
        return False


def _write(box: Place, env: Mapping[str, str], statement: str) -> str:
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1"]
    return box.run(argv, env=env, stdin=f"{_FREELY}{statement};\n", what="damaging the copy").stdout
