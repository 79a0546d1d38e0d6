"""When the package for a group is due, who is asked for it, and what tells that it is not there."""

from __future__ import annotations

import grp
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.packages import made
from tests.support.runs import World as Runs
from tests.support.verified import World

from ccdr.jobs import in_force
from ccdr.run.ending import our_own
from ccdr.run.nightly import write_nightly

GROUP = grp.getgrgid(os.getgid()).gr_name


def with_package(path: Path, directory: Path, group: str = GROUP) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("package:")]
    path.write_text("\n".join([lines[0], f"package: {{directory: {directory}, group: {group}}}", *lines[1:], ""]))


def test_it_is_due_once_a_night_of_whoever_looks_after_the_repository(world: Runs, tmp_path: Path) -> None:
    with_package(tmp_path / "plans/p.yaml", tmp_path / "given")
    world.run()
    world.news()
    for day in (25, 26):
        world.clock.to(f"2026-11-{day}T06:29:59Z")
        world.run()
        assert "p package" not in dict(world.news())
        world.clock.on(seconds=1)
        world.run("backups")
        world.run("tests")
        assert "p package" not in dict(world.news())
        for _ in range(2):
            world.run("upkeep")
        assert world.news() == [("p package", f"{day} 06:30")]


def test_a_night_that_passed_without_it_is_no_missed_run(world: Runs, tmp_path: Path) -> None:
    with_package(tmp_path / "plans/p.yaml", tmp_path / "given")
    world.run("upkeep")
    world.clock.on(days=5)
    assert not world.run("upkeep").missed and world.missed() == []


@pytest.fixture
def written(tmp_path: Path) -> World:
    """One whose package is due, and was never written."""
    world = made(tmp_path).world
    world.clock.at = (datetime.now(UTC) - timedelta(days=4)).replace(hour=12)
    with_package(tmp_path / "plans/p.yaml", tmp_path / "given")
    (tmp_path / "spool").mkdir()
    return world


def write(world: World) -> None:
    in_force.record(world.site.loaded(), world.services)  # as a run does first
    write_nightly(world.site.loaded(), world.services)


def told(world: World) -> list[str]:
    ours = our_own([world.site.loaded()], world.services)
    return [p.text for p in ours.upkeep["p"] if p.trouble.name == "PACKAGE_LATE"]


def test_two_nights_without_one_are_a_trouble_until_one_is_written(written: World) -> None:
    write(written)
    written.clock.on(hours=41)
    assert told(written) == []
    written.clock.on(hours=24)
    (late,) = told(written)
    assert late.startswith("the package for a group is of ")
    write(written)
    assert told(written) == []


def test_one_that_was_never_written_is_late_two_nights_after_the_plan_said_so(written: World) -> None:
    in_force.record(written.site.loaded(), written.services)
    assert told(written) == []
    written.clock.on(hours=72)
    assert told(written) == ["the package for a group was never written"]


def test_what_could_not_be_written_is_told_at_once_and_everywhere(written: World, tmp_path: Path) -> None:
    with_package(tmp_path / "plans/p.yaml", tmp_path / "given", "no-such-group")
    write(written)
    (failed,) = told(written)
    assert "no-such-group" in failed
    site = written.site
    (status,) = (one for one in site.run("status").json["plans"][0]["troubles"] if one["code"] == "PACKAGE_LATE")
    assert status["next_step"].startswith("ccdr plan check p ")
    doctor = [one for one in site.run("doctor", "p", "--no-canary").json["checks"] if one["what"] == "package"]
    assert {one["state"] for one in doctor} == {"FAIL"}
    with_package(tmp_path / "plans/p.yaml", tmp_path / "given")
    written.clock.at = datetime.now(UTC)
    write(written)
    assert told(written) == []
    (doctor,) = [one for one in site.run("doctor", "p", "--no-canary").json["checks"] if one["what"] == "package"]
    assert doctor["state"] == "OK"


def test_run_tells_it_by_its_table_of_troubles_and_goes_on(written: World, tmp_path: Path) -> None:
    site = written.site
    (tmp_path / "given").mkdir()
    (row,) = (r for r in site.run("run", "--dry-run").json["schedules"] if r["verb"] == "package")
    assert (row["plan"], row["asset"], row["due"]) == ("p", None, None)
    site.run("run", "--only", "upkeep")
    slot = tmp_path / "state/schedule/p..package.json"
    today = datetime.now(UTC)
    slot.write_text(slot.read_text().replace(f"{today:%Y-%m-%dT}", f"{today - timedelta(days=2):%Y-%m-%dT}"))
    (row,) = (r for r in site.run("run", "--dry-run").json["schedules"] if r["verb"] == "package")
    assert row["due"] is not None
    for wake in slot.parent.glob("wake-*"):
        wake.unlink()
    done = site.run("run", "--only", "upkeep", "--metrics", str(tmp_path / "ccdr.prom"))
    (did,) = (one for one in done.json["did"] if one["verb"] == "package")
    assert did["result"]["result"] == "FAILED" and "package" not in done.stderr
    assert 'ccdr_plan_problems{plan="p"} 0' not in (tmp_path / "ccdr.prom").read_text()
