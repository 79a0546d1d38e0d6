"""What failed, crashed, or could not start is tried again and told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.runs import NEVER, ONE, Result, World
from tests.support.sparse import append_sparse
from tests.support.wording import lines_with

from ccdr.model.errors import Exit, RepositoryUnavailable, UsageProblem
from ccdr.run.tasks import Performed, Task
from ccdr.telling.status import status


def test_failed_work_is_tried_again_with_back_off_and_is_not_missed(world: World) -> None:
    world.run()
    world.act = lambda task: Performed(Result(Exit.FINDING), done=False)
    tried = []
    world.clock.to("2026-11-24T12:30:00Z")
    while world.clock.at < datetime(2026, 11, 24, 13, 0, tzinfo=UTC):
        result = world.run()
        tried += [(world.clock.at.minute, due) for _, due in world.news()]
        assert result.exit_code is (Exit.FINDING if result.did else Exit.OK)
        world.clock.on(minutes=1)
    assert tried == [(30, "24 12:30"), (35, "24 12:30"), (45, "24 12:30")]
    world.act = lambda task: None
    result = world.run()
    assert world.news() == [("p/a backup", "24 13:00")] and world.missed() == []
    assert world.tries == [1, 2, 3, 1], "what came due anew is tried for the first time"


def test_work_that_raises_is_a_failure_of_its_own_asset_alone(world: World) -> None:
    world.site.plan(ONE + ONE.replace("a:\n", "b:\n", 1).replace("/srv/a", "/srv/b"), extra=NEVER)
    world.run()

    def act(task: Task) -> Performed | None:
        if task.asset == "a":
            raise RuntimeError("a defect")
        return None

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    result = world.run()
    assert [name for name, _ in world.news()] == ["p/a backup", "p/b backup"]
    assert result.exit_code is Exit.NOT_CARRIED_OUT and "RuntimeError" in str(result.did[0].reason)


def test_an_error_of_ours_is_told_with_its_next_step(world: World) -> None:
    world.run()

    def act(task: Task) -> Performed:
        raise RepositoryUnavailable("the repository does not answer", hint="is it up?")

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    (did,) = world.run().did
    assert (did.reason, did.hint, did.done) == ("the repository does not answer", "is it up?", False)


def test_what_could_not_begin_is_in_the_ledger_and_in_status_until_something_is_done(
    world: World, wording: SnapshotAssertion
) -> None:
    world.run()

    def act(task: Task) -> Performed:
        raise UsageProblem("repository: password_file: key: No such file or directory", hint="put it back")

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().exit_code is Exit.USAGE
    (record,) = world.site.records("not_begun")
    assert (record["asset"], record["verb"], record["due"]) == ("a", "backup", "2026-11-24T12:30:00Z")
    assert record["attempt"] == 1
    (found,) = status(world.plans, world.services)
    assert found.finding and lines_with(found.problems, "password_file") == wording
    append_sparse(
        world.services.ledger, "backup.end", plan="p", asset="a", run="r", body={"result": "FAILED", "reason": "x"}
    )
    (found,) = status(world.plans, world.services)
    assert not any("could not start" in p for p in found.problems)


def test_a_crash_in_the_work_is_tried_again_after_a_wait(world: World) -> None:
    class PowerCut(BaseException):
        pass

    def act(task: Task) -> Performed:
        raise PowerCut

    world.run()
    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    with pytest.raises(PowerCut):
        world.run()
    world.act = lambda task: None
    world.news()
    world.run()
    assert world.news() == [], "at once would be once a minute for what crashes every time"
    world.clock.on(minutes=5)
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and world.missed() == []
    assert world.tries == [1, 2], "what crashed was a try"
