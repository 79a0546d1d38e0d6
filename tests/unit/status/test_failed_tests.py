"""A restore test that failed or is long overdue is told until one takes it back."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.standing import IDS, NOW, World, ago, failed_for_a_newer_one, stored
from tests.support.wording import lines_with

from ccdr.cli.status import last_test_of
from ccdr.model.trouble import Trouble
from ccdr.telling.status import status


def test_a_test_that_is_long_overdue_is_stale(site: Site) -> None:
    """Weekly on Sunday: after two Sundays without one."""
    world = World(site)
    world.snapshot(1, ago(minutes=5))
    world.tested("PASS")

    class Later(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(days=15)

    (found,) = status([site.loaded()], site.services(Later()))
    assert found.coverage == "stale" and any("overdue" in p for p in found.problems)


def test_a_failure_stands_until_a_test_takes_it_back(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.tested("FAIL")
    world.tested("INCONCLUSIVE", achieved=None)
    assert [p.trouble for p in world.now.wrong if "test_" in p.trouble] == ["test_inconclusive", "test_failed"]
    world.tested("PASS")
    assert not any("test_" in p.trouble for p in world.now.wrong)


def test_a_test_that_failed_for_a_newer_backup_alone_reads_so(world: World, wording: SnapshotAssertion) -> None:
    failed_for_a_newer_one(world)
    assert Trouble.NEWER_FAILED in {p.trouble for p in world.now.wrong}
    assert lines_with(world.now.problems, "FAIL") == wording
    world.tested("FAIL", number=1)
    assert [p.trouble for p in world.now.wrong if p.verb == "test"] == [Trouble.TEST_FAILED]
    assert not any("alone" in p for p in world.now.problems)


def test_the_line_of_an_asset_says_that_a_newer_backup_has_made_up_for_the_one_that_failed(
    world: World, wording: SnapshotAssertion
) -> None:
    def line() -> str:
        return click.unstyle(last_test_of(world.now))

    failed_for_a_newer_one(world, newer_failed=True)
    assert line() == wording
    stored(world, 2, minutes=5)
    assert not any(p.trouble is Trouble.NEWER_FAILED for p in world.now.wrong)
    assert line() == wording
    world.tested("PASS", number=2)
    assert line() == "PASS"


def test_a_test_that_failed_for_what_does_not_fit_is_not_told_as_a_newer_backups_failure(world: World) -> None:
    world.snapshot(1, ago(minutes=30))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.wrote(
        "restore_test.end", verdict="FAIL", reason="failed: every call has its recording", findings=[], newer_failed=False,
        snapshot={"id": IDS[1], "verdict": "PASS"}, rto={"achieved_s": 5.0, "basis": "throwaway"},
        checks=[{"kind": "reconcile", "status": "FAIL"}],
    )  # fmt: skip
    assert [p.trouble for p in world.now.wrong] == [Trouble.TEST_FAILED]
    assert not any("newer backup" in p for p in world.now.problems)


def test_a_test_that_failed_for_a_newer_backup_alone_is_over_once_one_was_stored(world: World) -> None:
    failed_for_a_newer_one(world, newer_failed=True)
    assert Trouble.NEWER_FAILED in {p.trouble for p in world.now.wrong}
    stored(world, 2, minutes=5)
    assert world.now.wrong == ()
    assert (last := world.now.last_test) and last.verdict == "FAIL", "what was is not changed"
    world.tested("INCONCLUSIVE", number=2)
    assert [p.trouble for p in world.now.wrong] == [Trouble.TEST_INCONCLUSIVE]
    world.wrote("backup.end", result="FAILED", reason="disk full", snapshot=None)
    assert Trouble.BACKUP_FAILED in {p.trouble for p in world.now.wrong}


def test_a_test_that_failed_for_something_else_is_not_over_with_the_next_backup(world: World) -> None:
    """What was restored is good, and yet a warning, a clock or another asset made it FAIL."""
    failed_for_a_newer_one(world, newer_failed=False)
    stored(world, 2, minutes=5)
    assert [p.trouble for p in world.now.wrong] == [Trouble.NEWER_FAILED]


def test_what_was_stored_and_does_not_count_makes_nothing_good(world: World) -> None:
    failed_for_a_newer_one(world, newer_failed=True)
    stored(world, 2, minutes=5)
    world.wrote("restore_test.end", verdict="FAIL", reason="bad", findings=[], rto=None, newer_failed=False,
                snapshot={"id": IDS[2], "verdict": "FAIL"})  # fmt: skip
    assert Trouble.TEST_FAILED in {p.trouble for p in world.now.wrong}
