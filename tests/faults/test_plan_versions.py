"""What is due, missed or mended cannot be made to look better by editing a plan, or losing a file. Named after what
somebody does to look better."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Site
from tests.unit.test_run import World

from ccdr import in_force
from ccdr.plans.versions import PLAN_VERSION, digest_of, version_of

PLAN = """
crm:
  engine: files
  paths: [/srv/crm]
  backup: {schedule: "0 2 * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
queues:
  engine: files
  paths: [/srv/queues]
  backup: {schedule: "0 * * * *"}
"""
CHECKS = "restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: decodable, at_least: 10}\n"
FEWER = "restore_test: c\nchecks:\n  - {kind: decodable, at_least: 10}\n"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", CHECKS)
    site.plan(PLAN)
    return site


@pytest.fixture
def world(site: Site) -> World:
    return World(site)


def versions(site: Site) -> list[Mapping[str, Any]]:
    return site.records(PLAN_VERSION)


# What is recorded, and when


def test_a_plan_that_was_edited_is_another_version_and_names_the_one_before(site: Site, world: World) -> None:
    for _ in range(2):
        in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    for _ in range(2):
        in_force.record(site.loaded(), world.services)
    first, second = versions(site)
    assert first["predecessor"] is None and second["predecessor"] == {"digest": first["digest"], "seq": first["seq"]}
    assert (second["plan"], second["asset"], second["run"], second["actor"] != "") == ("p", None, None, True)
    assert [digest_of(one["files"]) for one in (first, second)] == [first["digest"], second["digest"]]
    found = version_of(second)
    assert found is not None and found.facts == site.loaded().facts
    site.ledger_holds()


def test_the_files_of_each_version_are_kept_byte_for_byte_and_for_nobody_else(site: Site, world: World) -> None:
    before = {name: (site.root / name).read_bytes() for name in ("plans/p.yaml", "restore_tests/c.yaml")}
    in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    in_force.record(site.loaded(), world.services)
    first, second = versions(site)
    kept = site.state / "plans" / "p"
    assert {name: (kept / first["digest"] / name).read_bytes() for name in before} == before
    assert (kept / second["digest"] / "restore_tests/c.yaml").read_text() == FEWER
    assert {path.stat().st_mode & 0o077 for path in kept.rglob("*")} == {0}


def test_a_lost_note_or_a_lost_copy_makes_no_other_version(site: Site, world: World) -> None:
    in_force.record(site.loaded(), world.services)
    [first] = versions(site)
    (site.state / "plans/p/newest.json").write_text('{"seq": 99}')
    (site.state / f"plans/p/{first['digest']}/plans/p.yaml").unlink()
    in_force.record(site.loaded(), world.services)
    assert len(versions(site)) == 1
    assert json.loads((site.state / "plans/p/newest.json").read_text()) == {"seq": first["seq"]}
    version = version_of(first)
    assert version is not None and in_force.kept_version(version, world.services) is not None


def test_of_two_that_act_at_once_one_records_it(site: Site, world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: in_force.record(site.loaded(), site.services()), range(16)))
    assert len(versions(site)) == 1


@pytest.mark.parametrize("verb", ["status", "report", "snapshots p", "plan check", "plan show p", "ledger show"])
def test_whoever_only_reads_records_nothing(site: Site, world: World, verb: str) -> None:
    in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    before = site.records()
    site.run(*verb.split())
    assert site.records() == before


def test_run_records_it_before_it_does_anything(world: World) -> None:
    world.run()
    kinds = [record["kind"] for record in world.site.records()]
    assert kinds.index(PLAN_VERSION) == 0


def test_a_kept_file_that_was_changed_is_no_version(site: Site, world: World) -> None:
    in_force.record(site.loaded(), world.services)
    [record] = versions(site)
    version = version_of(record)
    assert version is not None
    path = site.state / f"plans/p/{record['digest']}/restore_tests/c.yaml"
    assert in_force.kept_version(version, world.services) is not None
    path.write_text(FEWER)
    assert in_force.kept_version(version, world.services) is None
