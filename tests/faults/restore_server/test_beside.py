"""Two databases of one server, brought back side by side onto one other server: they need the same roles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site, Source, small_database
from tests.support.restored_database import GONE, MORE
from tests.support.sites import copy_of
from tests.support.stored import assert_clean
from tests.support.target import PASSWORD, Target

NAMES = ("side_a", "side_b")
ASSET = """
{name}:
  engine: postgres
  connection: {{host: {sockets}, user: postgres, database: {name}}}
  backup: {{schedule: "*/30 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [{name}]}}
"""
LOADING_PID = "select pid from pg_stat_activity where datname ~ '^side_a_ccdr' and query ~* '^copy .*slow'"
LOADING = f"select count(*) from ({LOADING_PID}) s"
CHECKS = "restore_test: {name}\nchecks:\n  - {{kind: identical}}\n"


@pytest.fixture(scope="module")
def two(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("two"))
    first, second = NAMES
    with small_database(source, first), small_database(source, second):
        source.psql(MORE.format(name=first), first)
        source.psql(f"alter database {second} owner to {first}_owner", second)
        for name in NAMES:
            site.write(f"restore_tests/{name}.yaml", CHECKS.format(name=name))
        site.plan("".join(ASSET.format(name=name, sockets=source.sockets) for name in NAMES))
        site.backed_up()
        yield site
        source.psql(f"alter database {second} owner to postgres", second)
        source.psql(f"alter database {first} owner to postgres; alter table call owner to postgres", first)
        source.psql(GONE.format(name=first), first)


@pytest.fixture
def site(two: Site, target: Target, tmp_path: Path) -> Site:
    made = copy_of(two, tmp_path / "site")
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    targets = [f"  {name}: {{server: '{target.url(name)}', password_file: pw}}\n" for name in NAMES]
    made.write("targets.yaml", "targets:\n" + "".join(targets))
    return made


def recovered(site: Site) -> Ran:
    return site.run("recover", "p", "--to", str(site.root / "targets.yaml"), "--yes-i-mean", "p")


def roles_of(target: Target) -> set[str]:
    return {role for role in target.roles if role.startswith(NAMES)}


def test_both_come_back_and_the_roles_they_share_are_made_once(site: Site, source: Source, target: Target) -> None:
    done = recovered(site)
    assert (done.code, done.json["state"]) == (0, "done"), done
    shared = set(source.psql("select rolname from pg_roles where rolname ~ '^side_'").splitlines())
    assert roles_of(target) == shared and target.databases >= set(NAMES)
    assert target.psql("select count(*) from call", NAMES[0]) == target.psql("select count(*) from call", NAMES[1])
    assert_clean(site)


def test_one_that_fails_takes_no_role_from_the_other(site: Site, target: Target) -> None:
    """Its load is cut off, and all it made is removed: but for the roles that the other needs."""
    target.psql("alter role dba set ccdr.nap = '0.05'")  # side_a has a table whose load lasts
    process = site.start("recover", "p", "--to", str(site.root / "targets.yaml"), "--yes-i-mean", "p", "--json")
    while target.psql(LOADING) == "0":
        assert process.poll() is None, process.communicate()
    target.psql(f"select pg_terminate_backend(pid) from ({LOADING_PID}) s")
    process.communicate(timeout=120)
    states = {r["asset"]: r["result"] for r in site.records("restore.end")}
    assert states["side_b"] == "RESTORED" and states["side_a"] != "RESTORED", states
    owner = target.psql("select pg_get_userbyid(datdba) from pg_database where datname = 'side_b'")
    assert owner == "side_a_owner" and "side_b_reader" in target.roles
    assert not [name for name in target.databases if "_ccdr_restore" in name]
