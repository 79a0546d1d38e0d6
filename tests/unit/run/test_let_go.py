"""What no plan names any more is let go, and its evidence stays."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from tests.support.harness import Quiet
from tests.support.runs import NEVER, ONE, World

from ccdr.jobs.leftovers import kept
from ccdr.run.scheduled import run
from ccdr.setup.doctor import machine

SELDOM = ONE.replace("*/30 * * * *", "0 3 1 7 *").replace("0 3 * * *", "0 3 1 7 *")


@pytest.fixture
def two(world: World) -> World:
    """Plans p and q, each seen by a run; of q there is everything that the state directory keeps of a plan. Both have
    their turns once a year: what is due on each of so many days would be no more than records to read."""
    for name in ("p", "q"):
        world.site.plan(SELDOM, name=name, extra=NEVER)
    world.run()
    for of in ("index/q.a.files.jsonl", "catalogue/q/a/1.json", "shipping/q/a/spool/1", "index/p.a.files.jsonl"):
        world.site.write(f"state/{of}", "{}")
    return world


def slots(world: World, plan: str) -> set[str]:
    return {p.name for p in (world.site.state / "schedule").glob(f"{plan}.*")}


def days(world: World, count: int) -> None:
    for _ in range(count):
        world.clock.on(days=1)
        world.run()
        world.news()


OF_Q = {"q.a.backup.json", "q.a.test.json", "q..prune.json", "q..check.json"}


def test_a_plan_that_was_away_for_an_hour_misses_what_came_due_meanwhile(two: World) -> None:
    two.site.plan(ONE, name="q", extra=NEVER)
    two.run()
    two.news()
    plan, away = two.site.root / "plans/q.yaml", two.site.root / "q.yaml"
    plan.rename(away)
    for _ in range(12):
        two.clock.on(minutes=5)
        two.run()
    away.rename(plan)
    two.news()
    two.run()
    assert two.news() == [("q/a backup", "24 13:00")]
    assert [(r["plan"], r["verb"], r["count"]) for r in two.site.records("missed")] == [("q", "backup", 1)]


def test_what_no_plan_has_named_for_long_goes_and_the_evidence_stays(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    records = len(two.site.records())
    days(two, 89)
    assert slots(two, "q") == OF_Q and kept({"p"}, two.services.state) == []
    days(two, 1)
    assert slots(two, "q") == set() and not (two.site.state / "index/q.a.files.jsonl").exists()
    assert slots(two, "p") == {name.replace("q", "p", 1) for name in OF_Q}, "its undamaged twin"
    assert (two.site.state / "index/p.a.files.jsonl").exists()
    assert kept({"p"}, two.services.state) == [two.site.state / "catalogue/q", two.site.state / "shipping/q"]
    assert kept({"p", "q"}, two.services.state) == [], "it has come back"
    told = list(machine.retired(two.services.state, {"p"}))
    assert [look.do for look in told] == [
        f"put the plan back, or rm -r {two.site.state}/{part}/q; what the ledger says of it stays"
        for part in ("catalogue", "shipping")
    ]
    assert len(two.site.records()) >= records
    two.site.ledger_holds()


def test_an_asset_that_left_its_plan_is_let_go_alone(two: World) -> None:
    two.site.plan(SELDOM.replace("\na:", "\nb:"), name="q", extra=NEVER)
    days(two, 90)
    assert slots(two, "q") == {"q.b.backup.json", "q.b.test.json", "q..prune.json", "q..check.json"}
    assert kept({"p", "q"}, two.services.state) == [], "prune sees to what a plan that is there has in its catalogue"


def test_whoever_sees_it_again_begins_the_count_anew(two: World) -> None:
    plan, away = two.site.root / "plans/q.yaml", two.site.root / "q.yaml"
    for _ in range(2):
        plan.rename(away)
        days(two, 89)
        away.rename(plan)
        two.run()  # on a day that was counted already
    plan.rename(away)
    days(two, 89)
    assert slots(two, "q") == OF_Q


def test_a_plan_that_is_wrong_or_not_asked_for_is_not_away(two: World) -> None:
    (p,) = [loaded for loaded in two.plans if loaded.plan.plan == "p"]
    for _ in range(100):
        two.clock.on(days=1)
        run([p], two.services, Quiet(), stated=["p", "q"], perform=two.perform)
    assert slots(two, "q") == OF_Q


def test_a_clock_that_was_a_year_ahead_for_an_hour_lets_nothing_go(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    days(two, 5)
    two.clock.on(days=365)
    two.run()
    two.clock.on(days=-365)
    days(two, 5)
    assert slots(two, "q") == OF_Q


def test_a_slot_whose_turn_somebody_has_stays(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    days(two, 89)
    with two.services.state.turn("run.q.a.backup"):
        days(two, 1)
    assert slots(two, "q") == {"q.a.backup.json"}
    days(two, 1)
    assert slots(two, "q") == set()


def test_a_count_that_was_lost_begins_anew(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    days(two, 60)
    (two.site.state / "retired.json").write_text("{")
    days(two, 60)
    assert slots(two, "q") == OF_Q


def test_caches_of_repositories_that_nobody_uses_go(world: World) -> None:
    old, used, other = (world.site.state / "cache" / name for name in ("a" * 64, "b" * 64, "CACHEDIR.TAG.d"))
    for path, age in ((old, 31), (used, 29), (other, 31)):
        (path / "index").mkdir(parents=True)
        when = (world.clock.now() - timedelta(days=age)).timestamp()
        os.utime(path, (when, when))
    world.run()
    assert [path.exists() for path in (old, used, other)] == [False, True, True]
