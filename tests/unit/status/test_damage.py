"""Damage and snapshots that do not count."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.sparse import append_sparse
from tests.support.standing import IDS, World, ago, stored
from tests.support.wording import lines_with

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import Needed, rfc3339


def in_doubt(world: World, found_by: str, *, passed: bool) -> AssetStatus:
    """One that has passed, damage that somebody found (or nobody), one stored after that, which then passes or not."""
    for number, when in ((1, ago(hours=3)), (2, ago(minutes=5))):
        world.snapshot(number, when)
        world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[number]})
        if number == 1:
            world.tested("PASS", selected="latest")
            if found_by == "check":
                body = {"result": "DAMAGED", "reason": "a pack", "part": 1, "parts": 1, "findings": []}
                append_sparse(world.services.ledger, "check.end", plan="p", asset=None, run="c", body=body)
            elif found_by == "test":
                world.tested("FAIL", number=3, selected=IDS[3], damaged=True)
    world.tested("PASS", number=1, selected="oldest")
    if passed:
        world.tested("PASS", number=2, selected="latest")
    return world.now


@pytest.mark.parametrize("found_by", ["check", "test"])
def test_what_was_stored_since_damage_was_found_counts_once_it_has_passed(
    world: World, found_by: str, wording: SnapshotAssertion
) -> None:
    found = in_doubt(world, found_by, passed=False)
    assert found.rpo.achieved_s == 3 * 3600 and found.rpo.verdict == "BREACHED", found.rpo
    assert found.good is not None and found.good.id == IDS[1]
    assert lines_with(found.problems, "does not count") == wording, found.problems
    (breach,) = [c for c in found.breaches if c.trouble is Trouble.BREACH_RPO]
    assert breach.step is not None and breach.step == wording, breach


@pytest.mark.parametrize(("found_by", "passed"), [("check", True), ("test", True), ("nobody", False)])
def test_what_was_stored_counts_where_no_damage_is_open(world: World, found_by: str, passed: bool) -> None:
    found = in_doubt(world, found_by, passed=passed)
    assert found.rpo.achieved_s == 300 and found.good is not None and found.good.id == IDS[2], found.rpo
    assert not any("newer snapshot" in p for p in found.problems), found.problems


def test_where_nothing_has_passed_damage_leaves_nothing_that_counts(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    assert world.now.rpo.achieved_s == 300
    body = {"result": "DAMAGED", "reason": "a pack", "part": 1, "parts": 1, "findings": []}
    append_sparse(world.services.ledger, "check.end", plan="p", asset=None, run="c", body=body)
    assert world.now.as_json()["rpo"]["achieved_s"] is None and world.now.good is None  # type: ignore[index]


def test_what_to_do_about_damage_names_the_newest_snapshot_and_the_asset_where_it_is_about_one(
    wording: SnapshotAssertion,
) -> None:
    of_one, of_all = (next_step(Trouble.REPOSITORY_DAMAGED, "p", asset) or "" for asset in ("a", None))
    assert of_one == wording
    assert of_all.startswith("ccdr test p --snapshot latest  "), of_all


def test_a_disproved_snapshot_does_not_count(world: World) -> None:
    world.snapshot(1, ago(minutes=50))
    world.snapshot(2, ago(minutes=5))
    world.tested("FAIL", number=2)
    found = world.now
    assert found.rpo.achieved_s == 3000
    said = f"1 newer snapshot does not count: {IDS[2][:8]}, which failed its last restore test"
    assert said in found.problems and any("FAIL" in p for p in found.problems)


def test_a_snapshot_from_the_future_does_not_count(world: World) -> None:
    world.snapshot(2, ago(hours=-2))
    found = world.now
    assert found.as_json()["rpo"]["achieved_s"] is None  # type: ignore[index]
    (said,) = (p for p in found.problems if p.startswith("1 newer snapshot does not count: "))
    assert "which has a date in the future, " in said


@pytest.mark.parametrize("newer_failed", [False, True])
@pytest.mark.parametrize("edited", [False, True])
def test_an_increment_depends_on_what_its_record_names_whatever_its_entry_says(
    world: World, edited: bool, newer_failed: bool
) -> None:
    """The full one failed its test: the increment is as bad, though somebody takes its parent out of its entry."""
    world.snapshot(1, ago(hours=3))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.snapshot(2, ago(minutes=5), upon=() if edited else (Needed(IDS[1], "0" * 64),))
    point = rfc3339(ago(minutes=5))
    world.wrote("backup.end", result="STORED", reason=None,
                snapshot={"id": IDS[2], "consistent_point": point, "upon": [IDS[1]]})  # fmt: skip
    world.tested("FAIL", number=1, selected="oldest")
    if newer_failed:
        stored(world, 3, minutes=1)
        world.tested("FAIL", number=3, selected="latest")
    found = world.now
    assert found.good is None and found.rpo.verdict == "BREACHED", found
    assert (Trouble.CATALOGUE_WRONG in {p.trouble for p in found.wrong}) is edited
