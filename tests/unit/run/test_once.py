"""What is due is done once, by `ccdr run`, whoever calls it and however often."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from tests.support.runs import World

from ccdr.model.errors import Exit, Locked
from ccdr.run.tasks import Performed, RunResult, Task


def test_nothing_is_due_when_a_plan_is_first_seen(world: World) -> None:
    result = world.run()
    assert world.news() == [] and result.exit_code is Exit.OK and result.missed == []
    assert result.next_due == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def test_what_is_due_is_done_once(world: World) -> None:
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    result = world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and result.exit_code is Exit.OK
    for _ in range(6):
        world.clock.on(minutes=4)
        world.run()
    assert world.news() == []
    world.clock.to("2026-11-24T13:00:01Z")
    world.run()
    assert world.news() == [("p/a backup", "24 13:00")]


def test_a_backup_comes_before_the_test_of_the_same_asset(world: World) -> None:
    world.run()
    world.clock.to("2026-11-25T03:00:00Z")
    world.run()
    assert [name for name, _ in world.news()] == ["p/a backup", "p/a test"]


def test_asleep_over_a_night_is_caught_up_once_and_recorded(world: World) -> None:
    world.run()
    world.clock.to("2026-11-25T08:10:00Z")
    result = world.run()
    assert world.news() == [("p/a backup", "25 08:00"), ("p/a test", "25 03:00")]
    assert world.missed() == [("a", "backup", 39)] and result.exit_code is Exit.FINDING
    (record,) = world.site.records("missed")
    assert (record["first_due"], record["due"]) == ("2026-11-24T12:30:00Z", "2026-11-25T07:30:00Z")
    assert world.run().exit_code is Exit.OK and len(world.missed()) == 1


def test_what_a_person_is_at_is_passed_by_and_comes_to_its_turn(world: World) -> None:
    world.run()

    def act(task: Task) -> Performed:
        raise Locked("another `ccdr backup` of p/a is running")

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    result = world.run()
    assert result.exit_code is Exit.OK and [t.name for t in result.busy] == ["p/a backup"]
    world.act = lambda task: None
    world.news()
    world.clock.on(minutes=1)
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")]


def second_of_two(world: World) -> RunResult:
    """What a run gives that is called while another one is at its first work."""
    begun, go = threading.Event(), threading.Event()

    def act(task: Task) -> None:
        begun.set()
        assert go.wait(10)

    world.act = act
    first = threading.Thread(target=world.run)
    first.start()
    assert begun.wait(10)
    second = world.run()
    go.set()
    first.join()
    return second


def test_two_crons_at_once_do_it_once(world: World) -> None:
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    second = second_of_two(world)
    assert [t.name for t in second.busy] == ["p/a backup"] and second.did == [] and second.missed == []
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")]


def test_a_test_waits_for_the_backup_that_another_run_is_at(world: World) -> None:
    world.run()
    world.clock.to("2026-11-25T03:00:00Z")
    second = second_of_two(world)
    assert second.did == [] and [name for name, _ in world.news()] == ["p/a backup", "p/a test"]


def test_a_negative_control_comes_after_the_test_of_its_asset(world: World) -> None:
    plan = world.site.root / "plans/p.yaml"
    plan.write_text(
        plan.read_text("utf-8").replace("assets:", 'negative_control: {schedule: "0 3 * * *"}\nassets:'), "utf-8"
    )
    world.run()
    world.clock.to("2026-11-25T03:00:00Z")
    world.run()
    assert [name for name, _ in world.news()] == ["p/a backup", "p/a test", "p/a negative_control"]
    world.clock.to("2026-11-26T03:00:00Z")
    world.run("backups")
    assert [name for name, _ in world.news()] == ["p/a backup"], "whoever does not test does no control"
