"""docs/how-to/recover.md, followed by somebody who loads a captured MariaDB dump by hand, onto an empty server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.mariadb_source import MariaSource, crm, mariadb_server, small_database
from tests.support.pages import commands
from tests.support.stored import with_repository

pytestmark = pytest.mark.long

ASK = """
select count(*) from `call`; select count(*) from answered; select count(*) from agent_log; select count(*) from live_agent;
select count(*) from information_schema.triggers where trigger_schema = database();
select count(*) from information_schema.routines where routine_schema = database();
select count(*) from information_schema.events where event_schema = database();
select count(*) from rule for system_time all; select nextval(ticket);
"""


def test_by_hand(maria: MariaSource, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = with_repository(Site(tmp_path / "site"))
    with small_database(maria, "byhand") as database, mariadb_server(mounts=(f"{tmp_path}:{tmp_path}:ro",)) as target:
        subprocess.run(["docker", "exec", maria.container, "mkdir", "-p", "/var/lib/mysql/far"], check=True)
        maria.sql("create table far (i int) data directory='/var/lib/mysql/far'", database)
        crm(site, maria, database)
        site.backed_up()
        back = tmp_path / "back"
        argv = ["restore", "p", "--asset", "crm", "--to", str(back)]
        told = site.run(*argv, "--dry-run").json["would_restore"]["skipped"]
        done = site.run(*argv, "--yes-i-mean", "back")
        assert (done.code, done.json["result"]) == (0, "RESTORED"), done
        assert told and told == [check["name"] for check in done.json["checks"] if check["status"] == "SKIPPED"]
        subprocess.run(["chmod", "-R", "a+rX", back], check=True)
        client = "mariadb --no-defaults --socket=/sockets/mysqld.sock --user=root"
        lines = [line.partition(" # ")[0] for line in commands("how-to/recover.md", "By hand", "MariaDB")]
        assert len(lines) == 8
        script = "\n".join(
            # the server has its root already
            re.sub(r"\bmariadb (?=-|DATABASE|<)", f"{client} ", line).replace("DATABASE", database)
            + (" || true" if "--force" in line else "")
            for line in lines
        )
        loaded = subprocess.run(
            ["docker", "exec", "-w", str(back), target.container, "bash", "-e", "-c", script],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert loaded.returncode == 0, loaded.stderr
        assert target.sql(ASK, database) == maria.sql(ASK, database)
        grants = f"show grants for {database}_user@'10.%'"
        assert sorted(target.sql(grants).splitlines()) == sorted(maria.sql(grants).splitlines())
