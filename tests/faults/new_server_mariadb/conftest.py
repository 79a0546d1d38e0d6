"""One server that is captured by both methods, its log shipped; each test makes new servers of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.mariadb_source import (
    DATA,
    PASSWORD,
    ZONES,
    MariaSource,
    data_directory,
    image_of,
    mariadb_server,
    small_database,
)
from tests.support.new_server_mariadb import APP, APP_PASSWORD
from tests.support.shipping import ship_once
from tests.support.sites import copy_of

CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: customer, at_least: 202}
"""
MORE = f"""
create table crm.waiting (id int auto_increment primary key) engine = memory;
insert into crm.waiting values (1), (2), (9); delete from crm.waiting where id = 9;
create user {APP}@localhost identified by '{APP_PASSWORD}'; grant select, insert, execute, alter on crm.* to {APP}@localhost;
grant process on *.* to {APP}@localhost;
create event crm.late on schedule every 1 second starts now() + interval 1 year do insert into agent_log (event) values ('late');
grant replication slave on *.* to ccdr_backup_crm@localhost;
"""
# A command, which no record holds.
SECRET = r"""set @greeting = 'it''s "s3cret" \x'"""
# What the tests themselves do would end otherwise under these.
SET_LATER = """
set global default_storage_engine = MyISAM, autocommit = off, foreign_key_checks = off;
set global auto_increment_increment = 10, auto_increment_offset = 3;
"""
SERVER = (
    *(
        "--skip-networking=0",
        "--bind-address=127.0.0.1",
        "--port=23306",
        "--log-bin=binlog",
        "--binlog-format=ROW",
        "--max-connections=77",
        "--default-time-zone=+02:00",
    ),
    *("--event-scheduler=ON", "--lower-case-table-names=1", "--character-set-server=latin2"),
    *("--sql-mode=STRICT_TRANS_TABLES,PIPES_AS_CONCAT", "--block-encryption-mode=aes-256-cbc"),
    *("--low-priority-updates", f"--init-connect={SECRET}", "--report-host=10.1.2.3", "--max-password-errors=9"),
)


@pytest.fixture(scope="session")
def data() -> Path:
    return data_directory()


@pytest.fixture(scope="session")
def server(data: Path) -> Iterator[MariaSource]:
    with mariadb_server(*SERVER, data=data) as made, small_database(made, "crm", goes=True):
        made.sql(MORE)
        made.sql(ZONES + SET_LATER)
        yield made


@pytest.fixture(scope="session")
def moment() -> dict[str, str]:
    return {}


@pytest.fixture(scope="session")
def stored(server: MariaSource, data: Path, moment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Backed up by both methods, with a log that goes on behind the base."""
    site = Site(tmp_path_factory.mktemp("stored"))
    site.write("restore_tests/crm.yaml", CHECKS)
    site.write("plans/crm.pw", f"{PASSWORD}\n", mode=0o600)
    common = (
        f"  connection: {{host: {server.sockets}, user: ccdr_backup_crm, database: crm, password_file: crm.pw}}\n"
        f"  image: {image_of('11.8')}\n"
        '  backup: {schedule: "0 1 * * *"}\n  restore_test: {schedule: "0 3 * * *", checks: [crm]}'
    )
    site.plan(
        f"crm:\n  engine: mariadb\n{common}\n"
        f"whole:\n  engine: mariadb\n  method: physical\n  data_directory: {data / DATA}\n"
        f"  log_shipping: {{interval: 2s}}\n{common}"
    )
    site.backed_up()
    server.sql("insert into crm.customer (name) values ('by the log'); commit")
    # A second part of its key counts, as only the source's own engine lets it.
    server.sql("create table crm.made_late (a int, b int auto_increment, key (a, b))")
    time.sleep(1.1)  # the log tells whole seconds
    moment["before"] = server.sql("select utc_timestamp()") + "+00:00"
    time.sleep(1.1)
    server.sql("insert into crm.customer (name) values ('too late'); commit")
    ship_once(site, "whole")
    return site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(stored, tmp_path / "site")
    yield made
    shutil.rmtree(made.root, ignore_errors=True)
