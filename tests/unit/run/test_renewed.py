"""A source that began anew is backed up and tested at once, whatever its schedules say; once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.runs import World
from tests.support.sparse import append_sparse

from ccdr.jobs.pausing import end, pause
from ccdr.model.values import Verb, rfc3339, source_digest
from ccdr.run.scheduled import renewed_meanwhile, standing
from ccdr.run.tasks import Task

ID = "ab" * 32
CHECK = {"kind": "identical", "name": "identical", "status": "PASS", "expected": "", "actual": ""}
BOTH = ["p/a backup", "p/a test"]


def wrote(world: World, kind: str, **body: Any) -> None:
    append_sparse(world.services.ledger, kind, plan="p", asset="a", run="r", body=body)


def shipped(world: World, **told: Any) -> None:
    body = {"since": rfc3339(world.clock.at), "points": [], "snapshots": 0, "added_bytes": 0}
    wrote(world, "log.shipped", **body, **told)


def now(world: World) -> str:
    return rfc3339(world.clock.at)


def carried_out(world: World, verdict: str = "PASS", branch: int = 1) -> None:
    """Backups of this branch of the log are stored, and tests have this verdict, as the ledger tells of them."""
    source = source_digest(world.plans[0].plan.assets["a"].source_name)

    def act(task: Task) -> None:
        of = {
            "id": f"{branch:02}" * 32,
            "consistent_point": rfc3339(world.clock.at),
            "bytes": 1,
            "source_sha256": source,
        }
        if task.verb is Verb.BACKUP:
            wrote(
                world,
                "backup.end",
                result="STORED",
                snapshot={**of, "manifest_sha256": ID, "branch": branch},
                phases={},
            )
        elif task.verb is Verb.TEST:
            rpo = {"objective_s": 1.0, "achieved_s": 1.0, "verdict": "MET"}
            tested = {**of, "selected": "latest", "verdict": None if verdict == "INCONCLUSIVE" else verdict}
            body = {"verdict": verdict, "reason": None, "phases": {}, "checks": [CHECK], "rpo": rpo, "snapshot": tested}
            wrote(world, "restore_test.end", **body, rto={**rpo, "basis": "throwaway"})

    world.act = act  # type: ignore[assignment]


def ran(world: World, **later: float) -> list[str]:
    world.clock.on(**later)
    world.run()
    return [name for name, _ in world.news()]


@pytest.fixture
def tested(world: World) -> World:
    """Backed up, and tested; nothing is due."""
    world.run()
    carried_out(world)
    world.clock.to("2026-11-25T03:00:00Z")
    assert ran(world) == BOTH
    assert ran(world, minutes=5) == []
    return world


ANEW = pytest.mark.parametrize("how", [{"anew": None}, {"branch": 2}], ids=["anew", "another branch"])


@ANEW
def test_a_source_that_began_anew_is_backed_up_and_tested_at_once(tested: World, how: dict[str, Any]) -> None:
    shipped(tested)
    assert ran(tested) == [], "the twin: it is shipped, and goes on"
    carried_out(tested, branch=2)
    shipped(tested, **({"anew": now(tested)} if "anew" in how else how))
    assert standing(tested.plans, tested.services, [Verb.BACKUP])[0].due is not None
    assert ran(tested, minutes=1) == BOTH
    assert [ran(tested, minutes=minutes) for minutes in (1, 5, 10)] == [[], [], []], "once"
    tested.clock.to("2026-11-25T03:30:00Z")
    assert ran(tested) == ["p/a backup"], "as scheduled"
    assert tested.missed() == [("a", "backup", 29)], "of before the first"


@pytest.mark.parametrize("verdict", ["PASS", "INCONCLUSIVE"])
def test_what_is_of_the_new_branch_already_is_not_asked_for_again(tested: World, verdict: str) -> None:
    """The base may be taken, and tested, before what ships the log has found that it goes on by another branch."""
    carried_out(tested, verdict, branch=2)
    shipped(tested, anew=now(tested))
    assert ran(tested, minutes=1) == BOTH
    shipped(tested, branch=2)
    carried_out(tested, branch=2)
    assert renewed_meanwhile(tested.plans, tested.services) is (verdict != "PASS")
    assert ran(tested, minutes=1) == ([] if verdict == "PASS" else ["p/a test"])
    assert ran(tested, minutes=1) == []
    shipped(tested, branch=3)
    assert renewed_meanwhile(tested.plans, tested.services) is True
    assert ran(tested, minutes=1) == ["p/a backup"], "of an old server that is still there: nothing of the new one"
    carried_out(tested, branch=3)
    assert ran(tested, minutes=1) == BOTH


def test_a_base_that_ends_as_its_branch_is_told_counts_though_its_point_is_before(tested: World) -> None:
    carried_out(tested, branch=2)
    act = tested.act

    def told_meanwhile(task: Task) -> Any:
        if task.verb is not Verb.BACKUP:
            return act(task)
        shipped(tested, branch=2)
        tested.clock.on(seconds=-5)
        act(task)
        tested.clock.on(seconds=5)
        return None

    tested.act = told_meanwhile  # type: ignore[assignment]
    shipped(tested, anew=now(tested))
    assert ran(tested, minutes=1) == BOTH


def test_a_base_that_leads_on_is_not_asked_for_again_where_the_log_is_told_to_begin_anew_from_it(tested: World) -> None:
    """It may be taken, and tested, before what ships the log has found that its source went back."""
    since = now(tested)
    tested.clock.on(minutes=1)
    shipped(tested, anew=now(tested))
    assert ran(tested, minutes=1) == BOTH
    shipped(tested, anew=now(tested))
    assert ran(tested, minutes=1) == [], "the base is of that very moment"
    shipped(tested, anew=since)
    assert ran(tested, minutes=1) == []
    tested.clock.on(minutes=1)
    shipped(tested, anew=now(tested))
    assert ran(tested, minutes=1) == BOTH


@pytest.mark.parametrize(("kind", "renewed"), [("new_server", True), ("server", True), ("directory", False)])
def test_what_a_recovery_brought_back_as_a_server_is_a_source_that_began_anew(
    tested: World, kind: str, renewed: bool
) -> None:
    brought = {"asset": "a", "state": "done", "snapshot": ID, "target": {"kind": kind, "name": "/srv/a"}}
    goal = {"objective_s": 1.0, "achieved_s": 1.0, "verdict": "MET"}
    body = {"state": "done", "assets": [brought], "rpo": goal, "rto": goal}
    append_sparse(tested.services.ledger, "recover.end", plan="p", asset=None, run="r", body=body)
    assert ran(tested, minutes=1) == (BOTH if renewed else [])


def test_another_source_by_the_plan_is_backed_up_and_tested_at_once(tested: World) -> None:
    path = tested.site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("/srv/a", "/srv/b"))
    carried_out(tested)
    assert ran(tested) == BOTH
    assert ran(tested, minutes=1) == []


def test_a_test_of_it_that_proves_nothing_is_tried_again_as_any_is(tested: World) -> None:
    carried_out(tested, "INCONCLUSIVE")
    shipped(tested, anew=now(tested))
    assert ran(tested, minutes=1) == BOTH
    carried_out(tested)
    assert ran(tested, minutes=1) == ["p/a test"]
    assert ran(tested, minutes=1) == []


def test_while_the_plan_is_paused_it_waits(tested: World) -> None:
    shipped(tested, anew=now(tested))
    pause(tested.plans[0], tested.services, timedelta(hours=1), "not yet")
    assert ran(tested, minutes=1) == []
    end(tested.plans[0], tested.services, None)
    assert ran(tested) == BOTH
