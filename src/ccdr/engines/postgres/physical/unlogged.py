"""What a base backup leaves out: the rows of unlogged tables, which no log brings, and replication slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.engines.postgres import questions
from ccdr.model.values import so_many
from ccdr.ports.place import Place

MOST_NAMED = 5
_UNLOGGED = """\
select translate(format('%s.%s.%s', current_database(), n.nspname, c.relname), e'\\n', ' ')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relpersistence = 'u' and c.relkind = 'r' order by n.nspname, c.relname
"""


def unlogged(box: Place, env: Mapping[str, str]) -> list[str]:
    """Of all databases of the restored server: `database.schema.table`."""
    return questions.of_each(box, env, _UNLOGGED)


def emptied(contents: Mapping[str, Any]) -> str | None:
    """Of a manifest's contents: which tables of the database that was asked come back empty; None where none do. An
    older manifest has their number alone."""
    if not (count := int(contents.get("unlogged") or 0)):
        return None
    names = [str(name).replace(" ", ".", 1) for name in contents.get("unlogged_tables") or ()]
    more = ", …" if len(names) > MOST_NAMED or 0 < len(names) < count else ""
    named = f" ({', '.join(names[:MOST_NAMED])}{more})" if names else ""
    comes = so_many(count, "unlogged table comes", "unlogged tables come")
    return f"{comes} back empty{named}: a base backup leaves out their rows"


def slots_lost(contents: Mapping[str, Any]) -> Iterator[str]:
    """Of a manifest's contents: those of the server that are not ccdr's own."""
    if slots := contents.get("slots"):
        many = so_many(len(slots), "replication slot")
        yield f"{many} ({', '.join(slots)}) not in a base backup: make anew what is needed"
