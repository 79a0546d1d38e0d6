"""What a record's mapping holds under a name, if it is of the right type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ccdr.model.values import utc


def text(value: Any) -> str | None:
    return value if type(value) is str else None


def whole(value: Any) -> int | None:
    return value if type(value) is int else None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if type(value) is dict else {}


def listing(value: Any) -> list[Any]:
    return value if type(value) is list else []


def plan_and_asset(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and all(type(v) in (int, float) and abs(v) < 1e9 for v in value)


def moment_of(value: Any) -> datetime | None:
    """A time that can be read as one."""
    try:
        return utc(value)
    except (ValueError, TypeError, OverflowError):
        return None
