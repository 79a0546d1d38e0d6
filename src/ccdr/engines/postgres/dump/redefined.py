"""What was defined anew, renamed or dropped since the dump's snapshot.

pg_dump lists objects in its snapshot and has the server print them: `pg_get_triggerdef`, `pg_get_indexdef`, names of
types and functions, labels of enums. The server prints what there is at present. Of a trigger that was dropped and made
again it prints nothing, and pg_dump writes an empty statement; of a function it prints new arguments beside the old
body.

In the snapshot's session a row that somebody has updated or deleted since bears the number of that transaction
(`xmax`). Whether it has committed, a session tells that sees the present.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

_OF_TABLE = "(select relnamespace from pg_class where oid = {})"
# By catalogue: its name, its schema, and by what it is another one, if not by any change. Of a relation or a type that
# is its name: the rest is read in the snapshot, or is what `locks.py` looks at. An index being built is in no dump.
_OBJECTS = {
    "pg_class": ("relname", "relnamespace", "concat(relnamespace, ' ', relname)"),
    "pg_index": (
        "(select relname from pg_class where oid = indexrelid)",
        f"case when indisvalid then {_OF_TABLE.format('indrelid')} end",
    ),
    "pg_trigger": ("tgname", _OF_TABLE.format("tgrelid")),
    "pg_rewrite": ("rulename", _OF_TABLE.format("ev_class")),
    "pg_constraint": ("conname", "connamespace"),
    "pg_statistic_ext": ("stxname", "stxnamespace"),
    "pg_proc": ("proname", "pronamespace"),
    "pg_type": ("typname", "typnamespace", "concat(typnamespace, ' ', typname)"),
    "pg_enum": (
        "(select typname from pg_type where oid = enumtypid)",
        "(select typnamespace from pg_type where oid = enumtypid)",
    ),
    "pg_operator": ("oprname", "oprnamespace"),
    "pg_opclass": ("opcname", "opcnamespace"),
    "pg_opfamily": ("opfname", "opfnamespace"),
    "pg_collation": ("collname", "collnamespace"),
    "pg_ts_config": ("cfgname", "cfgnamespace"),
    "pg_ts_dict": ("dictname", "dictnamespace"),
}
ALL = tuple(_OBJECTS)
LABELS = ("pg_enum",)  # printed with each row, and so until a dump ends; all else is printed before the first row
# Temporary objects, and TOAST tables, which change with their table's file, are in no dump.
_ROWS = """\
  select '{0}' as catalogue, {1} as object, {4} as version, {2} as name, xmax::text as ended from {0}
  where {3} not in (select oid from pg_namespace where nspname like 'pg\\_t%')"""


def redefined(then: Callable[[str], str], now: Callable[[str], str], catalogues: Collection[str] = ALL) -> set[str]:
    """Their names. `then` and `now` give the answers to SQL of a session in the snapshot, and of one in the present."""
    was = _rows(then(_asked(catalogues, "ended <> '0'")))
    if not was:
        return set()
    there = _rows(now(_asked(catalogues, f"object in ({', '.join(str(row[1]) for row in was)})")))
    return {name for row, name in was.items() if row not in there}


def _rows(answer: str) -> dict[tuple[str, int, str], str]:
    return {(catalogue, oid, version): name for catalogue, oid, version, name in json.loads(answer)}


def _asked(catalogues: Collection[str], which: str) -> str:
    rows = []
    for catalogue in catalogues:
        name, schema, *version = _OBJECTS[catalogue]
        oid = "indexrelid" if catalogue == "pg_index" else "oid"
        rows.append(_ROWS.format(catalogue, f"{oid}::bigint", name, schema, *(version or ["xmin::text"])))
    listed = "\n  union all\n".join(rows)
    return f"""\
select coalesce(jsonb_agg(jsonb_build_array(catalogue, object, version, name)), '[]') from (
{listed}
) x where {which};
"""
