"""A backup that failed is told, with what to do, until a later one has mended it; one that is overdue is told."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.sparse import append_sparse
from tests.support.standing import IDS, NOW, World, ago, told
from tests.support.wording import lines_with

from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.telling.notify import concerns_of
from ccdr.telling.status import exit_code


def test_a_failed_backup_since_the_last_good_one_is_a_problem(world: World) -> None:
    world.snapshot(1, ago(minutes=30))
    world.tested("PASS")
    world.wrote("backup.end", result="FAILED", reason="disk full")
    assert any("disk full" in p for p in world.now.problems)


def test_the_last_good_backup_is_told_beside_a_newer_attempt_that_failed(world: World) -> None:
    assert world.now.as_json()["last_good_backup"] is None
    world.snapshot(1, ago(minutes=30))
    stored_as(world, 1)
    good = world.now.as_json()
    at = rfc3339(ago(minutes=30))
    assert good["last_good_backup"] == {"time": at, "snapshot": {"id": IDS[1], "consistent_point": at, "in_use": 0}}
    assert good["last_backup"]["result"] == "STORED"  # type: ignore[index]
    (row,) = (line for line in told(world) if line.startswith("p/recordings "))
    assert row.endswith(f"  {at[:19]}") and "FAILED" not in row
    world.wrote("backup.end", result="FAILED", reason="disk full")
    failed = world.now.as_json()
    assert failed["last_good_backup"] == good["last_good_backup"]
    assert failed["last_backup"]["result"] == "FAILED"  # type: ignore[index]
    tried = str(failed["last_backup"]["time"])  # type: ignore[index]
    verdict, head, row = told(world)[:3]
    (plan,) = world.site.run("status").json["plans"]
    found = len(plan["troubles"]) + len(plan["assets"][0]["troubles"])
    assert verdict.startswith(f"Not proven, {found} findings: "), verdict
    assert head.endswith("last good backup") and row.endswith(f"  {at[:19]}, FAILED at {tried[:19]}"), row


def test_a_failed_backup_leads_on_to_what_it_said_was_to_be_done(world: World, wording: SnapshotAssertion) -> None:
    world.snapshot(1, ago(minutes=30))
    stored_as(world, 1)
    world.tested("PASS")
    again = "`ccdr backup p --asset recordings`"
    for more, step in (
        ({"reason": "disk full", "hint": "make room there"}, f"  → make room there; then {again}"),
        ({"reason": "disk full"}, f"  → `ccdr doctor p` looks for the cause; then {again}"),
        ({"reason": "interrupted", "hint": None}, f"  → {again} takes a new one"),
    ):
        world.wrote("backup.end", result="FAILED", **more)
        said = told(world)
        (line,) = (n for n, text in enumerate(said) if "the backup of" in text)
        assert next(text for text in said[line:] if text.startswith("  → ")) == step, said
    assert "[BACKUP_FAILED]" in said[line] and said[line] == wording, said


def test_a_repository_beside_its_source_is_told_as_what_it_is_and_nothing_wrong(
    world: World, wording: SnapshotAssertion
) -> None:
    world.snapshot(1, ago(minutes=30))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, beside_source="machine")
    world.tested("PASS")
    said = told(world)
    where = "on the same machine as what it protects: one failure destroys both"
    assert f"p/recordings: its repository is {where} (no finding: the plan allows it)" in said
    assert lines_with(said, "`repository: url`") == wording
    found, (asset,) = world.now, world.site.run("status").json["plans"][0]["assets"]
    assert found.troubles == () and found.proven and exit_code([found]) == 0 and [*concerns_of([found], {})] == []
    assert [(one["code"], one["level"]) for one in asset["near"]] == [("REPOSITORY_NEAR", "NEAR")]
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, beside_source=None)
    assert not [line for line in told(world) if "its repository lies" in line], "its twin lies elsewhere"


def stored_as(world: World, number: int) -> None:
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[number]})


@pytest.mark.parametrize("by", ["disproved", "another source"])
def test_a_failure_that_a_later_backup_has_mended_is_not_told_again(world: World, by: str) -> None:
    """Though the snapshot of that later backup does not count any more."""
    world.snapshot(1, ago(minutes=50))
    stored_as(world, 1)
    world.wrote("backup.end", result="FAILED", reason="disk full")
    world.snapshot(2, ago(minutes=5))
    stored_as(world, 2)
    if by == "disproved":
        world.tested("FAIL", number=2)
    else:
        (world.site.root / "elsewhere").mkdir()
        world.site.recordings(world.site.root / "elsewhere", extra="")
    found = world.now.problems
    assert found and not any("disk full" in p for p in found), found
    world.wrote("backup.end", result="FAILED", reason="disk full")
    assert any("disk full" in p for p in world.now.problems), "one that nothing has mended is told"


def test_a_backup_that_came_due_twice_is_overdue(world: World) -> None:
    """Hourly at a quarter past; it is noon."""
    world.tested("PASS")
    body = {"verbs": ["backup", "test"], "gained": [], "lost": [], "reason": "-"}
    append_sparse(world.services.ledger, "duties", plan="p", asset=None, run=None, body=body)
    world.snapshot(1, ago(hours=2, minutes=44))
    (late,) = (p for p in world.now.wrong if p.trouble is Trouble.BACKUP_LATE)
    assert "2026-11-24T09:16:00Z" in late.text
    with world.services.state.lock("p", "recordings", "backup"):
        assert not any(p.trouble is Trouble.BACKUP_LATE for p in world.now.wrong)
    world.snapshot(2, ago(minutes=50))
    assert not any(p.trouble is Trouble.BACKUP_LATE for p in world.now.wrong)


def test_a_backup_that_was_tried_is_not_overdue(world: World) -> None:
    world.snapshot(1, ago(hours=5))
    world.wrote("backup.end", result="FAILED", reason="disk full")
    assert {p.trouble for p in world.now.wrong} == {Trouble.BACKUP_FAILED, Trouble.NEVER_TESTED}


def test_a_backup_that_another_host_has_taken_since_is_not_overdue(world: World) -> None:
    """This one has tried it last half a day ago."""
    append_sparse(
        world.services.ledger,
        "backup.end",
        plan="p",
        asset="recordings",
        run="r",
        body={"result": "STORED", "snapshot": {"id": IDS[1]}},
    )

    class Midnight(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(hours=12)

    later = World(world.site)
    later.services = world.site.services(Midnight())
    later.snapshot(1, ago(minutes=5))
    assert any(p.trouble is Trouble.BACKUP_LATE for p in later.now.wrong)
    later.snapshot(2, NOW + timedelta(hours=11, minutes=50))
    assert not any(p.trouble is Trouble.BACKUP_LATE for p in later.now.wrong)
