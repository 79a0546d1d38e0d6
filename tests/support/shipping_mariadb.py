"""A MariaDB server whose binary log is shipped for real: its schema, its checks, and what comes back of it."""

from __future__ import annotations

import subprocess

from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.server import SERVER_SOCKET as SOCKET
from tests.support.harness import Ran

CHECKS = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: agents, at_least: 1}
"""
SMALL = """
create database crm; use crm;
create table calls (id int auto_increment primary key, note varchar(80) not null);
create table agents (id int primary key, state varchar(9)) engine = myisam;
insert into calls (note) select concat('call ', seq) from seq_1_to_100; insert into agents values (1, 'READY');
create user ccdr_backup_crm@localhost identified by 'correct "horse'' #of \\\\the; dialler';
grant all on *.* to ccdr_backup_crm@localhost;
"""


def back(done: Ran, sql: str) -> str:
    """What the kept sandbox of a recovery answers; it is removed then."""
    name = f"ccdr-{done.json['run']}"
    argv = [
        "docker",
        "exec",
        "-i",
        name,
        "mariadb",
        "--no-defaults",
        f"--socket={SOCKET}",
        f"--user={SANDBOX_USER}",
        "-BN",
    ]
    try:
        return subprocess.run(argv, input=sql, check=True, capture_output=True, text=True).stdout.strip()
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
