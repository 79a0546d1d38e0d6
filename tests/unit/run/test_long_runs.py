"""A run that is longer than its interval, or sleeps until the next thing is due."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.support.runs import World

from ccdr.run.scheduled import Verb


def test_a_run_longer_than_its_interval(world: World) -> None:
    world.run()
    world.act = lambda task: world.clock.on(minutes=70) if task.verb is Verb.BACKUP else None  # type: ignore[func-returns-value]
    world.clock.to("2026-11-24T12:30:00Z")
    world.run()
    world.act = lambda task: None
    world.clock.to("2026-11-24T13:45:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 12:30"), ("p/a backup", "24 13:30")]
    assert world.missed() == [("a", "backup", 1)]


def test_what_came_due_during_a_long_run_is_not_slept_over(world: World) -> None:
    """Else the next call would find it missed, where one that looks at once is only late."""
    world.run()
    world.act = lambda task: world.clock.on(minutes=40)  # type: ignore[func-returns-value]
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().next_due == datetime(2026, 11, 24, 13, 0, tzinfo=UTC), "by then it is 13:10"
    world.act = lambda task: None
    world.clock.on(minutes=5)
    world.run()
    assert world.news() == [("p/a backup", "24 12:30"), ("p/a backup", "24 13:00")] and world.missed() == []


def test_after_a_short_run_the_next_due_time_is_slept_until(world: World) -> None:
    world.run()
    world.act = lambda task: world.clock.on(minutes=20)  # type: ignore[func-returns-value]
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().next_due == datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
