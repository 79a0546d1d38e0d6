"""A run that was killed is told; one that is at work, or has just ended, is none."""

from __future__ import annotations

import fcntl

import pytest
from tests.support.standing import IDS, World, stored

from ccdr.host.state import State
from ccdr.model.trouble import Trouble
from ccdr.telling.status import exit_code


def test_a_restore_that_was_killed_is_told_until_a_later_one_has_ended(world: World) -> None:
    def told() -> list[str]:
        return [p.text for p in world.now.wrong if p.trouble is Trouble.RESTORE_CRASHED]

    target = {"kind": "directory", "name": "/srv/back"}
    world.wrote("restore.start", run="r1", target=target)
    world.wrote("restore.end", run="r1", result="RESTORED", target=target)
    assert told() == []
    with world.services.state.run(world.services.clock) as run:
        world.wrote("restore.start", run=run.id, target=target)
        assert told() == [], "it is at work"
    (said,) = told()
    assert f"into /srv/back crashed: its run {run.id} never recorded an end" in said
    assert exit_code([world.now]) == 1
    world.wrote("restore.start", run="r3", target=target)
    world.wrote("restore.end", run="r3", result="FAILED", target=target)
    assert told() == []


STARTED = ("backup.start", "restore_test.start", "restore.start")


@pytest.mark.parametrize("kind", STARTED)
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "crashes"])
def test_a_run_that_ends_between_two_looks_has_not_crashed(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, ends: bool
) -> None:
    """Its start is read, and by the time that anybody asks whether it goes on it has ended."""
    stored(world, 1, minutes=20)
    world.tested("PASS")
    good: dict[str, dict[str, object]] = {
        "backup": {"result": "STORED", "snapshot": {"id": IDS[1]}},
        "restore_test": {"verdict": "INCONCLUSIVE", "snapshot": {"id": IDS[1]}},
        "restore": {"result": "FAILED", "snapshot": {"id": IDS[1]}},
    }
    world.wrote(kind, run="quick")
    at_work, looks = State.at_work, list[str]()

    def look(state: State, run: str) -> bool:
        looks.append(run)
        if ends and len(looks) == 1:
            world.wrote(kind.replace("start", "end"), run="quick", **good[kind.partition(".")[0]])
        return at_work(state, run)

    monkeypatch.setattr(State, "at_work", look)
    assert any("crashed" in said for said in world.now.problems) is not ends and looks == ["quick"]


@pytest.mark.parametrize("kind", STARTED)
def test_a_run_has_crashed_though_another_is_at_work(world: World, kind: str) -> None:
    stored(world, 1, minutes=20)
    world.tested("PASS")
    world.wrote(kind, run="dead")
    with world.services.state.run(world.services.clock) as run:
        world.wrote(kind, run=run.id)
        told = [said for said in world.now.problems if "crashed" in said]
    assert len(told) == 1 and "run dead never recorded an end" in told[0]


def test_whoever_looks_at_once_takes_no_dead_run_for_one_at_work(world: World) -> None:
    state = world.services.state
    path = state.directory("scratch") / "run-dead.alive"
    path.touch()
    with path.open() as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert not state.at_work("dead")
        fcntl.flock(another, fcntl.LOCK_EX)
        assert state.at_work("dead") and state.runs_at_work() == {"dead"}
    assert not state.at_work("never") and not (path.parent / "run-never.alive").exists()
