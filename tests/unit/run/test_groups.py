"""A group is backed up together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.runs import NEVER, ONE, Result, World

from ccdr.model.errors import CcdrError, Exit, Locked, UsageProblem
from ccdr.run.tasks import Performed, Task


@pytest.fixture
def grouped(world: World) -> World:
    """`a` and `b` belong together, `c` does not; `b` is tested at another time than `a`."""
    group = "  group: calls\n  engine: files\n"
    a, b, c = (ONE.replace("a:\n", f"{n}:\n", 1).replace("/srv/a", f"/srv/{n}") for n in "abc")
    b = b.replace("0 3 * * *", "0 4 * * *")
    world.site.plan(
        "".join((a.replace("  engine: files\n", group), c, b.replace("  engine: files\n", group))), extra=NEVER
    )
    world.run()
    return world


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_group_is_backed_up_together_and_its_tests_follow(grouped: World, jobs: int) -> None:
    grouped.clock.to("2026-11-25T04:00:00Z")
    grouped.run(jobs=jobs)
    did = [name for name, _ in grouped.news()]
    assert grouped.together == [["p/a backup", "p/b backup"]]
    assert [n for n in did if "/c" not in n] == ["p/a backup", "p/b backup", "p/a test", "p/b test"]
    assert [n for n in did if "/c" in n] == ["p/c backup", "p/c test"]


def test_of_a_group_only_what_failed_is_tried_again(grouped: World) -> None:
    failing = Performed(Result(Exit.FINDING), done=False)
    grouped.act = lambda task: failing if task.asset == "b" else None
    grouped.clock.to("2026-11-24T12:30:00Z")
    assert grouped.run("backups").exit_code is Exit.FINDING
    grouped.news()
    grouped.act = lambda task: None
    grouped.clock.on(minutes=6)
    grouped.run("backups")
    assert grouped.news() == [("p/b backup", "24 12:30")] and len(grouped.together) == 1
    grouped.clock.to("2026-11-24T13:00:00Z")
    grouped.run("backups")
    assert grouped.together == [["p/a backup", "p/b backup"]] * 2 and grouped.missed() == []


def test_a_member_that_cannot_begin_is_told_alone(grouped: World) -> None:
    def act(task: Task) -> None:
        if task.asset == "a":
            raise UsageProblem("no password")

    grouped.act = act
    grouped.clock.to("2026-11-24T12:30:00Z")
    result = grouped.run("backups")
    assert {d.task.asset: d.reason for d in result.did} == {"a": "no password", "b": None, "c": None}
    assert [(r["asset"], r["reason"]) for r in grouped.site.records("not_begun")] == [("a", "no password")]


def test_a_group_of_which_a_person_has_one_is_left_for_later(grouped: World) -> None:
    grouped.clock.to("2026-11-24T12:30:00Z")

    def busy(*_: object) -> list[Performed | CcdrError]:
        raise Locked("a person is at it")

    grouped.perform_together = busy  # type: ignore[method-assign]
    result = grouped.run("backups")
    assert [t.name for t in result.busy] == ["p/a backup", "p/b backup"] and result.exit_code is Exit.OK
    assert [name for name, _ in grouped.news()] == ["p/c backup"]
    del grouped.perform_together
    grouped.run("backups")
    assert [name for name, _ in grouped.news()] == ["p/a backup", "p/b backup"]


def test_what_came_due_for_one_of_a_group_during_the_others_backup_is_not_slept_over(grouped: World) -> None:
    failing = Performed(Result(Exit.FINDING), done=False)
    grouped.act = lambda task: failing if task.asset == "a" else None
    grouped.clock.to("2026-11-24T12:30:00Z")
    grouped.run("backups")
    grouped.news()
    grouped.act = lambda task: grouped.clock.on(minutes=30) if task.asset == "a" else None  # type: ignore[func-returns-value]
    grouped.clock.to("2026-11-24T12:35:00Z")
    assert grouped.run("backups").next_due == datetime(2026, 11, 24, 13, 0, tzinfo=UTC), "by then it is 13:05"
    assert grouped.news() == [("p/a backup", "24 12:30"), ("p/c backup", "24 13:00")]


def test_a_group_whose_turn_another_run_has_is_left_to_it(grouped: World) -> None:
    grouped.clock.to("2026-11-24T12:30:00Z")
    with grouped.services.state.turn("run.p.b.backup") as mine:
        assert mine
        result = grouped.run("backups")
    assert [t.name for t in result.busy] == ["p/a backup", "p/b backup"]
    assert [name for name, _ in grouped.news()] == ["p/c backup"]
