"""Clocks that were wrong, slots that cannot be read, and what each host missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.runs import World

from ccdr.model.errors import Exit


def test_each_host_records_as_missed_what_was_its_own_to_do(world: World, tmp_path: Path) -> None:
    """Two hosts, two states, the same plans: one backs up, the other tests."""
    (tmp_path / "tests").mkdir()
    other = World(Site(tmp_path / "tests"), world.clock)
    for part in ("plans/p.yaml", "restore_tests/c.yaml"):
        other.site.write(part, (world.site.root / part).read_text())
    world.run("backups"), other.run("tests")
    world.clock.to("2026-11-27T03:10:00Z")
    world.run("backups"), other.run("tests")
    assert {verb for _, verb, _ in world.missed()} == {"backup"}
    assert other.missed() == [("a", "test", 2)]
    assert [name for name, _ in world.news()] == ["p/a backup"] and [name for name, _ in other.news()] == ["p/a test"]


def test_a_clock_that_was_ahead_does_not_stop_the_schedule(world: World) -> None:
    world.clock.to("2031-01-01T00:00:00Z")
    world.run()
    world.clock.to("2031-01-01T00:30:00Z")
    world.run()
    world.news()
    world.clock.to("2026-11-24T12:10:00Z")
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and world.missed() == []


@pytest.mark.parametrize("text", ["", "{", "null", '{"cron": 1}', '{"settled": "yesterday"}'])
def test_a_slot_that_cannot_be_read_counts_from_now(world: World, text: str) -> None:
    world.run()
    (path,) = (world.site.state / "schedule").glob("p.a.backup.json")
    path.write_text(text)
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().exit_code is Exit.OK and world.news() == []
    world.clock.to("2026-11-24T13:00:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 13:00")]


def test_a_state_that_cannot_be_written_is_told(world: World) -> None:
    world.run()
    schedule = world.site.state / "schedule"
    for path in schedule.iterdir():
        path.unlink()
    schedule.rmdir()
    schedule.write_text("a file where a directory was")
    result = world.run()
    assert result.exit_code is Exit.NOT_CARRIED_OUT and all("schedule" in str(d.reason) for d in result.did)
    assert result.did and world.news() == []
