"""Materialised views that a load leaves unfilled, as what fills them reaches other servers: a sandbox reaches none, and
on a real server it would read, or write, what lives there. Of each the inventory says whether it surely does, or may
(False), or calls what nobody knows, on a server that has no other to reach (None)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.inventory import quote_ident
from ccdr.ports.place import Place

FILLED = "MATERIALIZED VIEW DATA"


def unfilled(contents: Mapping[str, Any], *, live: bool) -> list[tuple[str, str]]:
    """Schema and name. `live`: on a server that lives; there also those that may act on more than the database."""
    return [(schema, name) for schema, name, surely in contents["reaching"] if surely or live]


def perhaps(contents: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those that a server without a network fills, unless that fails."""
    return [(schema, name) for schema, name, surely in contents["reaching"] if surely is False]


def fillable(box: Place, env: Mapping[str, str], views: Iterable[tuple[str, str]]) -> set[str]:
    """Of these that a sandbox's server can fill, by their titles: what a load leaves unfilled none can. Nothing is
    filled by asking."""
    named = list(views)
    script = "".join(
        f"begin;\nrefresh materialized view {quote_ident(schema)}.{quote_ident(name)};\n"
        f"\\if :ERROR\n\\else\n\\echo {number}\n\\endif\nrollback;\n"
        for number, (schema, name) in enumerate(named)
    )
    told = box.run([*PSQL, "-f", "-"], stdin=script, env=env, what="trying whether views can be filled", alone=True)
    return {f"{FILLED} {'.'.join(named[int(number)])}" for number in told.stdout.split()}


def notes(contents: Mapping[str, Any], *, live: bool) -> Iterator[str]:
    if views := unfilled(contents, live=live):
        lines = "; ".join(f"REFRESH MATERIALIZED VIEW {quote_ident(s)}.{quote_ident(name)}" for s, name in views)
        yield f"comes back unfilled, as what fills it may act on more than the database: `{lines}`"
    if live and (others := [*contents["foreign_servers"], *contents["extensions"].keys() & {"dblink"}]):
        yield f"what indexes and checks call runs during the load, and may reach other servers: {', '.join(others)}"
