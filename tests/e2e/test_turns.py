"""Several rules for one asset's restore tests: each has its turn, and what each found last can be seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Quiet, Site
from tests.support.wording import lines_with

from ccdr.jobs.backup import backup
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.services import Services
from ccdr.plans.job import Job
from ccdr.run.scheduled import run

START = datetime(2026, 10, 24, 12, 0, 3, tzinfo=UTC)


@dataclass
class Days:
    """A clock that only we set."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()


class World:
    def __init__(self, site: Site, tree: Path, rules: str) -> None:
        self.site, self.tree, self.clock = site, tree, Days()
        site.write("restore_tests/files.yaml", "restore_test: files\nchecks:\n  - {kind: identical}\n")
        site.plan(
            f"""
            a:
              engine: files
              paths: [{tree}]
              restore_test: {{schedule: "0 3 * * *", snapshot: {rules}, checks: [files]}}
            """,
            extra="upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n",
        )
        for number in range(3):
            (tree / "call").write_text(str(number))
            assert backup(self.job, self.services, Quiet()).result == "STORED"
            self.clock.at += timedelta(minutes=1)
        run([site.loaded()], self.services, Quiet())

    @property
    def services(self) -> Services:
        return self.site.services(self.clock)

    @property
    def job(self) -> Job:
        return Job(self.site.loaded(), "a")

    def nights(self, count: int) -> list[str]:
        """By which rule each night's test chose its snapshot; tried again as `run` does."""
        before = len(self.selected())
        for _ in range(count):
            self.clock.at = self.clock.at.replace(hour=3, minute=0) + timedelta(days=1)
            run([self.site.loaded()], self.services, Quiet())
        return self.selected()[before:]

    def selected(self) -> list[str]:
        return [r["selection"] for r in self.site.records("restore_test.start")]


def told(site: Site, *args: str) -> str:
    """What people read."""
    return site.plainly(*args).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def test_scheduled_tests_take_the_rules_in_turn(tmp_path: Path, tree: Path) -> None:
    world = World(Site(tmp_path), tree, "[latest, random, oldest]")
    assert world.nights(7) == ["latest", "random", "oldest"] * 2 + ["latest"]
    tested = [r["snapshot"]["id"] for r in world.site.records("restore_test.end")]
    stored = [r["snapshot"]["id"] for r in world.site.records("backup.end")]
    assert (tested[0], tested[2]) == (stored[-1], stored[0])


@pytest.mark.parametrize("rule", ["latest", "oldest"])
def test_one_rule_is_every_nights(tmp_path: Path, tree: Path, rule: str) -> None:
    assert World(Site(tmp_path), tree, rule).nights(3) == [rule] * 3


def test_a_test_by_hand_is_a_turn_too_and_takes_its_own_by_default(tmp_path: Path, tree: Path) -> None:
    world = World(Site(tmp_path), tree, "[latest, random, oldest]")
    restore_test(world.job, "latest", world.services, Quiet())
    assert world.nights(1) == ["random"]
    planned = world.site.run("test", "p", "--dry-run")
    assert planned.json["would_test"][0]["snapshot"] == "oldest"
    assert world.site.run("test", "p").json["snapshot"]["selected"] == "oldest"
    assert "(latest; rule 1 of 3 in turn)" in told(world.site, "test", "p")
    assert "(latest)" in told(world.site, "test", "p", "--snapshot", "latest"), "by no rule of the plan's"
    assert world.nights(1) == ["random"]


def test_a_test_that_broke_keeps_its_turn_for_its_night_and_none_of_the_others_from_theirs(
    tmp_path: Path, tree: Path
) -> None:
    world = World(Site(tmp_path), tree, "[oldest, latest]")
    away, repository = tmp_path / "away", Path(world.site.loaded().plan.repository.location)
    repository.rename(away)
    assert world.nights(1) == ["oldest"]
    world.clock.at += timedelta(hours=1)
    run([world.site.loaded()], world.services, Quiet())
    assert world.selected() == ["oldest"] * 2
    assert {r["verdict"] for r in world.site.records("restore_test.end")} == {"INCONCLUSIVE"}
    assert world.nights(1) == ["latest"]
    away.rename(repository)
    assert world.nights(2) == ["oldest", "latest"]


def test_status_and_report_tell_what_each_rule_found_last(
    tmp_path: Path, tree: Path, wording: SnapshotAssertion
) -> None:
    world = World(Site(tmp_path), tree, "[latest, random, oldest]")
    world.nights(2)
    found = world.site.run("status", "p").json["plans"][0]["assets"][0]["tested_by_rule"]
    assert found["oldest"] is None and found["latest"] == {"time": "2026-10-25T03:00:03.000000Z", "verdict": "PASS"}
    assert list(found) == ["latest", "random", "oldest"]
    with world.site.start("status", "p", "-v") as process:
        told, _ = process.communicate()
    assert lines_with(told, "last tested by rule") == wording
    world.nights(1)
    (asset,) = world.site.run("report", "--format", "json").json["assets"]
    assert set(asset["tested_by_rule"]) == {"latest", "random", "oldest"}
