"""Another server at the source's address is found by its own number; what ccdr restored onto is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.harness import SMALL, Ran, Site
from tests.support.restored_database import CHECKS, go
from tests.support.sites import copy_of
from tests.support.target import PASSWORD, Target

NUMBER = "select system_identifier from pg_control_system()"


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    """With a repository of its own."""
    made = copy_of(stored, tmp_path / "site")
    made.repo.unlink()
    shutil.copytree(stored.repo, made.repo)
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    return made


def backed_up(site: Site, target: Target, database: str) -> Ran:
    """From the server `target`, by the plan that has the other one's backups."""
    site.write("restore_tests/crm.yaml", CHECKS)
    where = f"{{host: {target.sockets}, user: dba, database: {database}, password_file: {site.root / 'pw'}}}"
    site.plan(
        f'crm:\n  engine: postgres\n  connection: {where}\n  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}'
    )
    return site.run("backup", "p", "--json")


def troubles(site: Site) -> tuple[int, list[str]]:
    done = site.run("status", "--json")
    return done.code, [t["code"] for asset in done.json["plans"][0]["assets"] for t in asset["troubles"]]


def test_another_cluster_is_a_finding_until_somebody_agrees_once(site: Site, target: Target) -> None:
    assert "OTHER_CLUSTER" not in troubles(site)[1], "the twin"
    target.psql("create database restored")
    target.psql(SMALL, "restored")
    done = backed_up(site, target, "restored")
    assert done.code == 1, done
    assert done.json["result"] == "STORED" and done.json["server"] == target.psql(NUMBER)
    code, found = troubles(site)
    assert code == 1 and "OTHER_CLUSTER" in found, found
    assert (
        site.run("ack", "OTHER_CLUSTER", "p", "--asset", "crm", "--until", "1d", "--why", "moved by pg_upgrade").code
        == 0
    )
    assert backed_up(site, target, "restored").code == 0 and "OTHER_CLUSTER" not in troubles(site)[1]


def test_what_ccdr_itself_restored_onto_is_agreed(site: Site, target: Target) -> None:
    set_there = "select setting from pg_settings where name = 'max_connections'"
    before = target.psql(set_there)
    restored = go(site, target.url("crm"))
    assert restored.code == 0 and target.psql(set_there) == before
    assert any("otherwise there" in note and "max_connections" in note for note in restored.json["notes"]), restored
    done = backed_up(site, target, "crm")
    assert done.code == 0 and done.json["made_by_recovery"] is True, done
    assert "OTHER_CLUSTER" not in troubles(site)[1]
