"""What a SQLite asset says in a plan, and which values its queries give are times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from ccdr.engines import Sqlite
from ccdr.engines.sqlite.instant import seconds

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
TIMES = [
    "2026-11-24 12:00:00",
    "2026-11-24T12:00:00",
    "2026-11-24T12:00:00Z",
    "2026-11-24 12:00",
    "2026-11-24 14:00:00+02:00",
    "2026-11-24 12:00:00.000",
    "1795521600",
    "1795521600.0",
    "1795521600000",
    "1795521600000000",
    "1795521600000000000",
    "2461369.0",
]


@pytest.mark.parametrize("value", TIMES)
def test_a_time_in_any_of_its_forms(value: str) -> None:
    assert seconds(value, UTC) == pytest.approx(NOON, abs=0.001)


def test_text_without_a_zone_is_in_that_of_the_plan() -> None:
    zone = ZoneInfo("Europe/Bucharest")
    assert seconds("2026-11-24 14:00:00", zone) == NOON
    assert seconds("2026-07-24 15:00:00", zone) == datetime(2026, 7, 24, 12, 0, tzinfo=UTC).timestamp()
    for named in ("2026-11-24 12:00:00Z", "1795521600", "2461369.0"):
        assert seconds(named, zone) == pytest.approx(NOON, abs=0.001)


def test_a_day_is_its_midnight() -> None:
    assert seconds("2026-11-24", UTC) == NOON - 12 * 3600


@pytest.mark.parametrize("value", ["", "yesterday", "12:00", "\\x00", "1e300", "2026-13-01", "24.11.2026 12:00"])
def test_what_is_no_time(value: str) -> None:
    with pytest.raises(ValueError):
        seconds(value, UTC)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("path", "cdr.db", "not an absolute path"),
        ("path", "/", "not an absolute path"),
        ("path", "/var/../cdr.db", "not an absolute path"),
        ("path", "/var/lib/ccdr-manifest.json", "ccdr needs for itself"),
        ("timezone", "Bucharest", "not a time zone"),
        ("method", "dump", "copy"),
    ],
)
def test_mistakes_in_a_plan_are_told(field: str, value: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sqlite.model_validate({"engine": "sqlite", "path": Path("/var/lib/cdr.db"), field: value})
