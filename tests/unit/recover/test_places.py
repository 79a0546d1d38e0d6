"""Where each asset is brought: one place each, of a kind that it can be brought to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.wording import lines_with

from ccdr.jobs.recover.places import jobs_of, places_of
from ccdr.jobs.recover.request import RecoverRequest, timelines_of
from ccdr.model.errors import UsageProblem
from ccdr.plans.job import Job
from ccdr.plans.targets import Target

PLAN = """\
crm: {engine: postgres, connection: {host: /one, port: 5433, user: u, database: d}}
cdr: {engine: postgres, connection: {host: /two, port: 5433, user: u, database: d}}
dialler: {engine: mariadb, connection: {host: /three, user: u, database: d}}
queue: {engine: redis, connection: {host: 127.0.0.1}}
calls: {engine: sqlite, path: /var/lib/calls.db}
recordings: {engine: files, paths: [/var/spool/recordings]}
"""
SERVERS = ("crm", "cdr", "dialler", "queue")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.plan(PLAN)
    return made


def places(site: Site, **asked: Any) -> tuple[dict[str, Target], list[str], list[Job]]:
    request = RecoverRequest(**asked)
    jobs = jobs_of(site.loaded(), request)
    return *places_of(jobs, request), jobs


def target(**named: object) -> Target:
    return Target.model_validate(named)


def test_below_one_directory_servers_are_new_ones_and_files_are_directories(site: Site, tmp_path: Path) -> None:
    found, problems, _ = places(site, under=tmp_path)
    assert problems == []
    assert {name for name, where in found.items() if where.kind == "new_server"} == set(SERVERS)
    assert {name for name, where in found.items() if where.kind == "directory"} == {"calls", "recordings"}
    assert all(Path(where.shown) == tmp_path / name for name, where in found.items())


def test_what_has_no_place_is_told_the_least_that_gives_it_one(site: Site, wording: SnapshotAssertion) -> None:
    found, (said,), _ = places(site)
    assert found == {}
    assert lines_with(said, "new_server") == wording
    assert lines_with(said, "calls: {directory") == wording and "`--under DIR`" in said


@pytest.mark.parametrize(
    ("asset", "where", "said"),
    [
        ("calls", {"new_server": {"directory": "/srv/x"}}, "sqlite is brought into a directory"),
        ("recordings", {"server": "postgresql://u@db2/x"}, "files is brought into a directory"),
        ("queue", {"server": "mysql://u@db2/x"}, "a server reads it only when it starts"),
        ("crm", {"server": "mysql://u@db2/x"}, "neither"),
        ("crm", {"server": "postgresql://u@db2/postgres"}, "belongs to the server"),
    ],
)
def test_a_place_of_another_kind_is_refused(
    site: Site, tmp_path: Path, asset: str, where: dict[str, object], said: str
) -> None:
    _, problems, _ = places(site, under=tmp_path, targets={asset: target(**where)})
    assert len(problems) == 1 and problems[0].startswith(f"{asset}: ") and said in problems[0]


def test_one_place_for_two_is_refused_however_it_is_written(
    site: Site, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    same = {"crm": target(server="postgresql://u@db2/new"), "cdr": target(server="postgres://u@db2:5432/new")}
    beside = {"calls": target(directory=str(tmp_path / "x")), "recordings": target(directory=str(tmp_path / "link/x"))}
    inside = {"queue": target(new_server={"directory": str(tmp_path / "x/q")})}
    _, problems, _ = places(site, under=tmp_path, targets={**same, **beside, **inside})
    said = "\n".join(problems)
    assert lines_with(said, "crm") == wording
    assert lines_with(said.replace(str(tmp_path), ""), "calls", "recordings") == wording
    assert lines_with(said.replace(str(tmp_path), ""), "queue") == wording
    twin = {"crm": target(server="postgresql://u@db2/new"), "cdr": target(server="postgresql://u@db2/other")}
    assert places(site, under=tmp_path, targets=twin)[1] == []


def test_new_servers_that_a_file_puts_at_one_port_are_refused(site: Site, tmp_path: Path) -> None:
    stated = {a: target(new_server={"directory": str(tmp_path / a), "port": 5440}) for a in ("crm", "cdr")}
    assert "would both listen at 127.0.0.1:5440" in places(site, under=tmp_path, targets=stated)[1][0]


def test_names_that_no_asset_has_and_nothing_left_are_mistakes(site: Site) -> None:
    for asked in ({"assets": ("nobody",)}, {"excluded": ("nobody",)}, {"timelines": {"nobody": 2}}):
        with pytest.raises(UsageProblem, match="nobody"):
            places(site, **asked)
    with pytest.raises(UsageProblem, match="no asset is left"):
        places(site, assets=("crm",), excluded=("crm",))
    assert [job.asset for job in places(site, excluded=SERVERS)[2]] == ["calls", "recordings"]


@pytest.mark.parametrize("given", ["crm", "crm=", "=2", "crm=0", "crm=two", "crm=-1"])
def test_a_timeline_is_named_with_its_asset(given: str) -> None:
    with pytest.raises(UsageProblem, match="--timeline"):
        timelines_of([given])
    assert timelines_of(["crm=2", "cdr=3"]) == {"crm": 2, "cdr": 3}
    with pytest.raises(UsageProblem, match="twice"):
        timelines_of(["crm=2", "crm=3"])
