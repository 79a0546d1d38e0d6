"""One server that is captured by both methods, its log shipped; each test makes new servers of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cluster import Cluster, cluster
from tests.support.harness import SMALL, Site
from tests.support.shipping import KEPT, ship_once
from tests.support.sites import copy_of

CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
  - {kind: command, argv: ["true"]}
"""
ROLES = """
create role app login password 'app secret'; grant select on call, customer to app;
set password_encryption = md5; create role old login password 'old secret'; grant select on call to old;
alter role app set work_mem = '7MB'; alter database crm set lock_timeout = '3s';
"""
# By a slot that is the source's.
SUBSCRIBES = (
    "create subscription sub connection 'host=/nowhere' publication p with (connect = false, slot_name = 'live_slot')"
)
# What an operator sets, beside what a server needs: nobody has a list of these names.
SET = {
    "transform_null_equals": "on",
    "IntervalStyle": "sql_standard",
    "archive_command": "cp %p /mnt/hush-hush",
}
# … and in its files alone: the database's own hides the one, no view shows the other.
WRITTEN = {"lock_timeout": "77s", "app.key": "hush-hush"}
BEFORE, AFTER = "insert into customer (name) values ('by the log')", "insert into customer (name) values ('too late')"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("original")
    root.chmod(0o755)
    settings = {"max_connections": "130", "shared_preload_libraries": "auto_explain", "summarize_wal": "on"} | SET
    settings |= {"archive_mode": "on"}
    with cluster(root / "server", **KEPT, **settings) as made:
        made.renamed("crm")
        made.psql(SMALL + ROLES, "crm")
        for name, value in WRITTEN.items():
            made.psql(f"alter system set {name} = '{value}'")
        made.psql("select pg_reload_conf()")
        made.run("mkdir", f"{made.tablespaces}/one")
        made.psql(f"create tablespace one location '{made.tablespaces}/one'")
        made.psql("create table kept (n int) tablespace one; insert into kept select generate_series(1, 20000)", "crm")
        made.psql("create table linked as select generate_series(1, 500) as n", "crm")
        # As an interrupted DROP DATABASE leaves it.
        made.psql("create database invalid")
        made.psql("update pg_database set datconnlimit = -2 where datname = 'invalid'")
        made.psql(f"{SUBSCRIBES}; alter subscription sub enable", "crm")
        yield made


@pytest.fixture(scope="session")
def stored(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Backed up by both methods, by the one twice: of what came between there is an increment, and log behind it."""
    site = Site(tmp_path_factory.mktemp("stored"))
    connection = f"connection: {{host: {server.sockets}, user: postgres, database: crm}}"
    common = '  backup: {schedule: "0 1 * * *"}\n  restore_test: {schedule: "0 3 * * *", checks: [crm]}'
    site.write("restore_tests/crm.yaml", CHECKS)
    site.plan(
        f"crm:\n  engine: postgres\n  {connection}\n{common}\n"
        f"whole:\n  engine: postgres\n  method: physical\n  {connection}\n  log_shipping: {{interval: 2s}}\n"
        f"  incremental: {{full_every: 7d}}\n{common}"
    )
    site.backed_up()
    server.psql("insert into kept select 1", "crm")
    site.backed_up(asset="whole")
    server.psql(BEFORE, "crm")
    server.psql("alter table linked set unlogged", "crm")
    server.psql("create unlogged table late as select 1 as n", "template1")
    ship_once(site, "whole")
    return site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(stored, tmp_path / "site")
    yield made
    shutil.rmtree(made.root, ignore_errors=True)
