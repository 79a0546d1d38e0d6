"""Upkeep that nobody does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.sparse import append_sparse
from tests.support.standing import NOW, World, at

from ccdr.jobs.services import Services
from ccdr.model.trouble import Trouble
from ccdr.telling.status import upkeep_problems


def test_what_is_wrong_with_the_care_of_a_repository(world: World) -> None:
    def cared(kind: str, **body: Any) -> list[Trouble]:
        append_sparse(world.services.ledger, kind, plan="p", asset=None, run="u", body=body)
        return [p.trouble for p in upkeep_problems([world.site.loaded()], world.services)["p"]]

    assert upkeep_problems([world.site.loaded()], world.services) == {"p": ()}
    part = {"parts": 3, "reason": None, "findings": []}
    assert cared("prune.end", result="FAILED", reason="locked") == [Trouble.PRUNE_FAILED]
    assert cared("prune.end", result="DONE", reason=None, findings=["x is held"]) == [Trouble.FINDING]
    assert cared("prune.end", result="DONE", reason=None) == []
    assert cared("check.end", result="INCONCLUSIVE", part=1, **part) == [Trouble.CHECK_INCONCLUSIVE]
    assert cared("check.end", result="DAMAGED", part=2, **part) == [Trouble.REPOSITORY_DAMAGED]
    assert cared("check.end", result="CLEAN", part=3, **part) == [Trouble.REPOSITORY_DAMAGED]  # another part
    assert cared("check.end", result="CLEAN", part=2, **part) == []
    assert cared("check.end", result="DAMAGED", part=2, **part) == [Trouble.REPOSITORY_DAMAGED]
    assert cared("check.end", result="CLEAN", part=1, **part | {"parts": 2}) == [Trouble.REPOSITORY_DAMAGED]
    assert cared("check.end", result="CLEAN", part=2, **part | {"parts": 2}) == []


RETENTION = "retention: {keep_within: 35d}\nassets:"  # pruned on Sundays at 05:00, checked daily at 06:00


def late(site: Site, days: float, services: Services | None = None) -> list[Trouble]:
    """What is wrong with the care of the repository, so many days after NOW, a Tuesday noon."""

    class Later(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(days=days)

    return [p.trouble for p in upkeep_problems([site.loaded()], site.services(Later()))["p"]]


def asked(world: World, *verbs: str) -> None:
    append_sparse(world.services.ledger, "duties", plan="p", asset=None, run=None, body={"verbs": list(verbs)})


def with_retention(site: Site) -> None:
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("assets:", RETENTION, 1))


def test_upkeep_never_done_is_overdue_once_it_came_due_twice(world: World, wording: SnapshotAssertion) -> None:
    with_retention(world.site)
    asked(world, "backup", "test", "prune", "check")
    assert late(world.site, 0.9) == [], "the first check has come due, not more"
    assert late(world.site, 2) == [Trouble.CHECK_LATE]
    assert late(world.site, 11.6) == [Trouble.CHECK_LATE] and late(world.site, 12) == [
        Trouble.PRUNE_LATE,
        Trouble.CHECK_LATE,
    ]
    (prune, check) = upkeep_problems([world.site.loaded()], world.site.services(at(12)))["p"]
    assert prune.text == wording and check.text == wording


def test_upkeep_done_long_ago_is_overdue_and_its_twin_is_not(world: World) -> None:
    with_retention(world.site)
    asked(world, "prune", "check")
    for kind, body in (("prune.end", {"result": "DONE"}), ("check.end", {"result": "CLEAN", "part": 1, "parts": 2})):
        append_sparse(
            world.site.services(at(40)).ledger, kind, plan="p", asset=None, run="u", body={**body, "reason": None}
        )
    assert late(world.site, 40.1) == [] and late(world.site, 41) == []
    assert late(world.site, 42) == [Trouble.CHECK_LATE]
    assert late(world.site, 60) == [Trouble.PRUNE_LATE, Trouble.CHECK_LATE]
    with world.services.state.lock("p", "", "upkeep"):
        assert late(world.site, 60) == [], "it is at it"


def test_upkeep_tried_in_vain_is_told_as_that_until_it_is_not_even_tried(world: World) -> None:
    with_retention(world.site)
    asked(world, "prune")
    append_sparse(
        world.site.services(at(20)).ledger,
        "prune.end",
        plan="p",
        asset=None,
        run="u",
        body={"result": "FAILED", "reason": "locked"},
    )
    assert late(world.site, 20.5) == [Trouble.PRUNE_FAILED]
    assert late(world.site, 40) == [Trouble.PRUNE_FAILED, Trouble.PRUNE_LATE]


def test_upkeep_is_overdue_only_where_it_is_to_be_done(world: World) -> None:
    assert late(world.site, 40) == [], "nothing was ever done here"
    world.tested("PASS")
    assert late(world.site, 40) == [Trouble.CHECK_LATE], "by hand, and never a check; no retention, nothing to remove"
    with_retention(world.site)
    asked(world, "backup", "test")
    assert late(world.site, 40) == [], "another host's"
    append_sparse(
        world.site.services(at(39)).ledger,
        "duties",
        plan="p",
        asset=None,
        run=None,
        body={"verbs": ["backup", "prune"]},
    )
    assert late(world.site, 40) == [] and late(world.site, 60) == [Trouble.PRUNE_LATE], "counts from when it began"
