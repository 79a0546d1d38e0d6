"""Jobs of one run are side by side, and an interrupt stops all."""

from __future__ import annotations

import threading

import pytest
from tests.support.harness import Site
from tests.support.runs import ONE, World

from ccdr.evidence.ledger.verification import verify
from ccdr.model.errors import Exit
from ccdr.run.tasks import Task


def many(site: Site, names: str) -> None:
    site.plan(
        "".join(ONE.replace("a:\n", f"{n}:\n", 1).replace("/srv/a", f"/srv/{n}") for n in names),
        extra="upkeep: {prune: '*/30 * * * *', check: '*/30 * * * *'}\n",
    )


def test_jobs_are_side_by_side_and_upkeep_has_its_repository_alone(world: World) -> None:
    many(world.site, "abcd")
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    together = threading.Barrier(4, timeout=10)
    at_work, lock, seen = set[str](), threading.Lock(), list[tuple[str, int]]()

    def act(task: Task) -> None:
        with lock:
            at_work.add(task.name)
            seen.append((task.name, len(at_work)))
        if task.asset:
            together.wait()
        with lock:
            at_work.discard(task.name)

    world.act = act
    result = world.run(jobs=4)
    assert len(result.did) == 6 and result.exit_code is Exit.OK
    assert max(n for name, n in seen if "/" in name) == 4
    assert seen[-2:] == [("p prune", 1), ("p check", 1)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_interrupt_stops_all_and_leaves_it_to_be_tried_again(world: World, jobs: int) -> None:
    many(world.site, "abc")
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")

    def act(task: Task) -> None:
        raise KeyboardInterrupt

    world.act = act
    with pytest.raises(KeyboardInterrupt):
        world.run(jobs=jobs)
    world.news()
    world.act = lambda task: None
    world.clock.on(minutes=6)
    assert world.run(jobs=jobs).exit_code is Exit.OK
    assert sorted({name for name, _ in world.news()}) == [
        "p check",
        "p prune",
        "p/a backup",
        "p/b backup",
        "p/c backup",
    ]
    assert verify(world.site.state / "ledger").ok
