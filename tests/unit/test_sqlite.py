"""What a SQLite asset says in a plan, and which values its queries give are times."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from ccdr.engines import Sqlite
from ccdr.engines.sqlite import mounts
from ccdr.engines.sqlite.damager import damaged
from ccdr.engines.sqlite.instant import seconds

KEEPS_OLD = "create trigger keep after update on t begin update t set x = old.x where rowid = old.rowid; end;"
CHANGES_IT = KEEPS_OLD.replace("= old.x", "= old.x || '?'")
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


HOST = r"""
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 8:2 / /srv/my\040data rw - ext4 /dev/sdb1 rw
"""
BOX = """
90 1 0:50 / / rw - overlay overlay rw
91 90 8:1 {} rw - ext4 /dev/sda1 rw
"""
DATABASE = Path("/srv/pbx/cdr.db")


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("/srv/pbx/cdr.db /data/cdr.db", "in a container, as /data/cdr.db"),
        ("/srv/pbx/cdr.db /srv/pbx/cdr.db", "in a container, as /srv/pbx/cdr.db"),
        ("/srv/pbx /data", None),
        ("/srv /srv", None),
        ("/srv/pbx/other.db /data/cdr.db", None),
    ],
)
def test_a_file_without_its_directory_is_seen(mount: str, said: str | None) -> None:
    inside = mounts.read(BOX.strip().format(mount))
    assert mounts.torn(DATABASE, mounts.read(HOST.strip()), [inside]) == said
    source, point = map(Path, mount.split())
    here = point if point.suffix == ".db" else point / DATABASE.relative_to(source)
    assert mounts.torn(here, inside, []) == ("here" if point.suffix == ".db" else None)


def test_a_file_in_a_layer_of_an_overlay_is_seen() -> None:
    layers = "rw,lowerdir=/l/A:/l/B,upperdir=/var/lib/docker/overlay2/c1\\040x/diff,workdir=/var/lib/docker/work"
    found = mounts.read(f"{HOST.strip()}\n46 42 0:39 / /merged rw,relatime - overlay overlay {layers},index=off")
    assert mounts.over(Path("/var/lib/docker/overlay2/c1 x/diff/data/cdr.db"), found) == PurePosixPath("/merged")
    for elsewhere in (DATABASE, "/merged/data/cdr.db", "/var/lib/docker/overlay2/c1 x/diff2/cdr.db"):
        assert mounts.over(Path(elsewhere), found) is None


def test_a_file_that_is_mounted_over_itself_keeps_its_directory() -> None:
    own = mounts.read(HOST.strip())
    over = [*own, *mounts.read("31 22 8:1 /srv/pbx/cdr.db /srv/pbx/cdr.db rw - ext4 /dev/sda1 rw")]
    assert mounts.torn(DATABASE, over, []) is None and mounts.torn(DATABASE, own, [over]) is None
    disk = Path("/srv/my data/cdr.db")
    assert mounts.torn(disk, own, []) is None


@pytest.mark.parametrize(("trigger", "done"), [("", "t"), (KEEPS_OLD, None), (CHANGES_IT, "t")])
def test_a_damage_that_a_trigger_takes_back_is_none(tmp_path: Path, trigger: str, done: str | None) -> None:
    """A control that did nothing would say that its checks see nothing."""
    path = tmp_path / "d.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.executescript(f"create table t (x text); insert into t values ('a'), ('b'); {trigger}")
    assert damaged(str(path), "row_changed", 7) == done
