"""`package: {directory, group}`: `ccdr run` writes a package of the plan's evidence for a Unix group, once a day."""

from __future__ import annotations

import grp
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.packages import made
from tests.support.verified import World

from ccdr.evidence.package import bag
from ccdr.run.nightly import write_nightly

GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = made(tmp_path).world
    world.clock.at = datetime.now(UTC) - timedelta(days=3)
    wanted(world, tmp_path / "given")
    return world


def wanted(world: World, directory: Path, group: str = GROUP) -> None:
    path = world.site.root / "plans/p.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("package:")]
    path.write_text("\n".join([lines[0], f"package: {{directory: {directory}, group: {group}}}", *lines[1:], ""]))


def written(world: World) -> list[str]:
    return list(write_nightly([world.site.loaded()], world.services))


def made_of(directory: Path) -> str:
    return next(line for line in (directory / bag.INFO).read_text().splitlines() if line.startswith("Ccdr-Made"))


def test_a_package_of_the_plan_is_written_for_its_group_alone_and_verifies(world: World, tmp_path: Path) -> None:
    assert written(world) == []
    given = tmp_path / "given"
    assert "Ccdr-Plans: p\n" in (given / bag.INFO).read_text()
    modes = {(path.is_dir(), path.stat().st_mode & 0o777, path.stat().st_gid) for path in (given, *given.rglob("*"))}
    assert modes == {(True, 0o750, os.getgid()), (False, 0o640, os.getgid())}
    done = world.site.run("ledger", "verify", str(given))
    assert (done.code, done.json["says"], done.json["findings"]) == (3, "internally consistent", [])
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing is left beside it"


def test_it_is_written_once_a_day_in_place_of_the_one_before(world: World, tmp_path: Path) -> None:
    seen = []
    for hours in (0, 1, 23, 1):
        world.clock.on(hours=hours)
        assert written(world) == []
        seen.append(made_of(tmp_path / "given"))
    assert seen[0] == seen[1] != seen[2] == seen[3]
    wanted(world, tmp_path / "elsewhere")
    assert written(world) == [] and bag.is_package(tmp_path / "elsewhere"), "another directory does not wait"


@pytest.mark.parametrize("wrong", ["group", "directory", "link"])
def test_what_cannot_be_written_is_told_once_an_hour_and_leaves_what_is_there(
    world: World, tmp_path: Path, wrong: str
) -> None:
    given = tmp_path / "given"
    if wrong == "group":
        assert written(world) == []
        wanted(world, given, "no-such-group")
    elif wrong == "directory":
        given.mkdir()
        (given / "mine.txt").write_text("not a package")
    else:
        (tmp_path / "other").mkdir()
        given.symlink_to(tmp_path / "other")
    before = sorted(given.rglob("*"))
    (trouble,) = written(world)
    assert trouble.startswith("p: the package for the group "), trouble
    assert sorted(given.rglob("*")) == before and written(world) == []
    world.clock.on(hours=1)
    assert len(written(world)) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="takes a group that is not its own")
def test_run_writes_it_for_another_group(world: World, tmp_path: Path) -> None:
    wanted(world, tmp_path / "given", "daemon")
    world.site.run("run", "--only", "upkeep")
    assert (tmp_path / "given" / bag.INFO).stat().st_gid == grp.getgrnam("daemon").gr_gid
