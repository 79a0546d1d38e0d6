"""Materialised views that a load leaves unfilled, as what fills them reaches other servers: a sandbox reaches none, and
on a real server it would read, or write, what lives there. Of each the inventory says whether it surely does, or may
(False), or calls what nobody knows, on a server that has no other to reach (None)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.engines.postgres.inventory import quote_ident

FILLED = "MATERIALIZED VIEW DATA"


def unfilled(contents: Mapping[str, Any], *, live: bool) -> list[tuple[str, str]]:
    """Schema and name. `live`: on a server that lives; there also those that may act on more than the database."""
    return [(schema, name) for schema, name, surely in contents.get("reaching") or () if surely or live]


def perhaps(contents: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those that a server without a network fills, unless that fails."""
    return [(schema, name) for schema, name, surely in contents.get("reaching") or () if surely is False]


def notes(contents: Mapping[str, Any], *, live: bool) -> Iterator[str]:
    if views := unfilled(contents, live=live):
        lines = "; ".join(f"REFRESH MATERIALIZED VIEW {quote_ident(s)}.{quote_ident(name)}" for s, name in views)
        yield f"comes back unfilled, as what fills it may act on more than the database: `{lines}`"
    if live and (others := [*contents.get("foreign_servers", ()), *contents["extensions"].keys() & {"dblink"}]):
        yield f"what indexes and checks call runs during the load, and may reach other servers: {', '.join(others)}"
