"""What `ccdr run` records as missed is what a report, and the verification of the ledger, count as missed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.runs import ONE, World
from tests.support.sparse import append_sparse, sparse_record

from ccdr.evidence.due_gaps import DueRuns
from ccdr.model.values import Verb, rfc3339
from ccdr.run.tasks import Performed, Task

KIND = {Verb.BACKUP: "backup.start", Verb.TEST: "restore_test.start"}


def begin(world: World, verb: Verb, due: str | None = None) -> None:
    """The record of work that has begun: by `ccdr run` for a due time, else by hand."""
    trigger = {"by": "command"} if due is None else {"by": "run", "due": due}
    run = f"r{len(world.site.records())}"
    append_sparse(world.services.ledger, KIND[verb], plan="p", asset="a", run=run, body={"trigger": trigger})


def by_run(world: World) -> Callable[[Task], Performed | None]:
    def act(task: Task) -> None:
        day, clock = world.did[-1][1].split()
        begin(world, task.verb, f"2026-11-{day}T{clock}:00Z")

    return act


def told(world: World) -> tuple[Counter[str], Counter[str]]:
    """By verb, how many due times: by the records of `ccdr run`, and by the schedules and what was begun."""
    due = DueRuns()
    for record in world.site.records():
        due.take(sparse_record(record))
    by_records, by_schedules = Counter[str](), Counter[str]()
    for record in world.site.records("missed"):
        by_records[record["verb"]] += record["count"]
    for gap in due.gaps():
        by_schedules[gap.verb] += gap.missed
    return by_records, by_schedules


def test_what_was_done_by_hand_in_time_was_not_missed(world: World) -> None:
    world.act = by_run(world)
    world.run()
    world.clock.to("2026-11-24T12:40:00Z")
    begin(world, Verb.BACKUP)  # cron is down: for that of 12:30
    world.clock.to("2026-11-24T13:40:00Z")
    result = world.run()
    assert result.exit_code == 1 and world.missed() == [("a", "backup", 1)], "that of 13:00"
    assert told(world) == (Counter(backup=1), Counter(backup=1))


@pytest.mark.parametrize("seed", range(12))
def test_both_count_alike_whatever_was_done_when(world: World, seed: int) -> None:
    drawn, crons = random.Random(seed), ["*/30 * * * *", "15 * * * *", "0 */3 * * *"]
    world.act = by_run(world)
    for _ in range(25):
        world.clock.at += timedelta(minutes=drawn.choice([1, 7, 20, 45, 130, 300]))
        happens = drawn.choice(["run", "run", "backup", "test", "edit"])
        if happens == "run":
            world.run()
        elif happens == "edit":
            world.site.plan(
                ONE.replace("*/30 * * * *", drawn.choice(crons)), extra="upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"
            )
        else:
            begin(world, Verb.BACKUP if happens == "backup" else Verb.TEST)
    world.run()
    by_records, by_schedules = told(world)
    assert by_records == by_schedules, rfc3339(world.clock.at)
