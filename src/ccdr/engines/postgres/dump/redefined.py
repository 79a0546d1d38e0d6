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
from collections.abc import Callable

_OF_TABLE = "(select relnamespace from pg_class where oid = {})"
_NAMED = "concat({0}namespace, ' ', {0}name)"
# Temporary objects, and TOAST tables, which change with their table's file, are in no dump.
_ROW = """\
  select '{0}' as catalogue, {3}::bigint as object, {4}::text as version, {1} as name, xmax::text as ended from {0}
  where {2} not in (select oid from pg_namespace where nspname like 'pg\\_t%')"""
# By catalogue: its name, its schema, its OID, and by what it is another one. Of a relation or a type that is its name:
# the rest is read in the snapshot, or is what `locks.py` looks at. An index that is being built is in no dump.
_ROWS = {
    row[0]: _ROW.format(*row)
    for row in (
        ("pg_class", "relname", "relnamespace", "oid", _NAMED.format("rel")),
        ("pg_type", "typname", "typnamespace", "oid", _NAMED.format("typ")),
        (
            "pg_index",
            "(select relname from pg_class where oid = indexrelid)",
            f"case when indisvalid then {_OF_TABLE.format('indrelid')} end",
            "indexrelid",
            "xmin",
        ),
        ("pg_trigger", "tgname", _OF_TABLE.format("tgrelid"), "oid", "xmin"),
        ("pg_rewrite", "rulename", _OF_TABLE.format("ev_class"), "oid", "xmin"),
        (
            "pg_enum",
            "(select typname from pg_type where oid = enumtypid)",
            "(select typnamespace from pg_type where oid = enumtypid)",
            "oid",
            "xmin",
        ),
        *(
            (catalogue, f"{prefix}name", f"{prefix}namespace", "oid", "xmin")
            for catalogue, prefix in (
                *(("pg_proc", "pro"), ("pg_constraint", "con"), ("pg_statistic_ext", "stx"), ("pg_operator", "opr")),
                *(("pg_opclass", "opc"), ("pg_opfamily", "opf"), ("pg_collation", "coll"), ("pg_ts_config", "cfg")),
                ("pg_ts_dict", "dict"),
            )
        ),
    )
}
_ASKED = """\
select coalesce(jsonb_agg(jsonb_build_array(catalogue, object, version, name)), '[]') from (
{}
) x where {};
"""


def redefined(then: Callable[[str], str], now: Callable[[str], str], *, copying: bool = False) -> set[str]:
    """Their names. `then` and `now` give the answers to SQL of a session in the snapshot, and of one in the present.
    `copying`: what is printed before the first row has been looked at; labels of enums are printed with each row."""
    listed = "\n  union all\n".join([_ROWS["pg_enum"]] if copying else _ROWS.values())
    was = _rows(then(_ASKED.format(listed, "ended <> '0'")))
    objects = ", ".join(str(oid) for _, oid, _ in was)
    there = _rows(now(_ASKED.format(listed, f"object = any ('{{{objects}}}')")))
    return {name for row, name in was.items() if row not in there}


def _rows(answer: str) -> dict[tuple[str, int, str], str]:
    return {(catalogue, oid, version): name for catalogue, oid, version, name in json.loads(answer)}
