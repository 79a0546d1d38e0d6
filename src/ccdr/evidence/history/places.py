"""Where histories keep what a record tells: one for each asset of a plan, or of a copy of it; and one for the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.model.values import PRIMARY, at_copy

Histories = dict[tuple[str | None, str | None], AssetHistory]  # by (plan, asset); a plan's upkeep by (plan, None)


def place_of(record: Mapping[str, Any]) -> str | None:
    """The plan, or the copy of it, that a record is about: each has its own history."""
    plan, copy = record["plan"], record.get("copy")
    if copy is None or copy == PRIMARY or plan is None or not isinstance(copy, str):
        place: str | None = plan
        return place
    return at_copy(plan, copy)


def history_at(histories: Histories, place: tuple[str | None, str | None]) -> AssetHistory:
    """What is known of a place, made where there is nothing yet: only then, as it has many fields, and for millions of
    records one that is made in vain costs as much as all the rest."""
    known = histories.get(place)
    if known is None:
        known = histories[place] = AssetHistory()
    return known
