"""A MariaDB server's binary log, shipped for real: any moment can be gone back to."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.harness import Site, image_on
from tests.support.mariadb_source import MariaSource, image_of
from tests.support.restored_files import sums
from tests.support.shipping import recovered, ship_once
from tests.support.shipping_mariadb import back

from ccdr.model.values import utc

pytestmark = pytest.mark.long


def test_any_moment_can_be_gone_back_to(shipped: Site, source: MariaSource) -> None:
    source.sql("insert into crm.calls (note) values ('first')")
    time.sleep(1.1)  # the log tells whole seconds
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql(
        "create database later; create table later.t (i int); insert into later.t values (1);"
        "create table later.far (i int) data directory='/sockets'; insert into later.far values (1);"
        "update crm.agents set state = 'BUSY'; flush binary logs; insert into crm.calls (note) values ('second')"
    )
    gtid = source.sql("select @@gtid_binlog_pos")
    source.sql("truncate table crm.calls")
    ship_once(shipped)
    sql = "select coalesce(group_concat(note order by id separator ' '), '-') from crm.calls where id > 100"
    for at, expected in ((f"{moment}+00:00", "first"), (gtid, "first second"), ("latest", "-")):
        done = recovered(shipped, at, "--keep")
        assert (done.code, done.json.get("verdict")) == (0, "PASS"), (at, done)
        assert back(done, sql) == expected, at
    for nowhere in ("no-such-point", "0-1-999999", "0-1-1"):  # the last one is of before the base
        assert recovered(shipped, nowhere).code == 2


# What a log may tell of that lies elsewhere: paths of the source's host, its plugins, other servers.
ELSEWHERE = """create table crm.far (i int primary key) data directory='{far}';
create table crm.old (i int) engine=MyISAM data directory='{far}' index directory='{far}';
insert into crm.far values (1); insert into crm.old values (1);
load data infile '{far}/rows' into table crm.calls (note); insert into crm.calls (note) select load_file('{far}/rows');
install soname 'ha_archive'; create server beyond foreign data wrapper mysql options (host '192.0.2.1');"""
START = """set -e
chown -R mysql {target}
rm {far}/rows
{start_it}
mariadb-admin {client} --wait=30 ping > /dev/null
mariadb {client} -BN -e "insert into crm.far values (2); insert into crm.old values (2); flush tables;
  select count(*) from crm.far, crm.old; select group_concat(trim(note) order by id) from crm.calls where id > 100;
  select @@event_scheduler, @@log_bin, (select count(*) from mysql.servers), (select count(*) from mysql.plugin)"
"""


def test_a_restore_for_real_has_the_log_applied_and_touches_nothing_of_the_source(
    shipped: Site, source: MariaSource, data: Path, tmp_path: Path
) -> None:
    """Where all that the source has is within reach of whoever restores, and of a server on what came back."""
    far, target, client = data / "far", tmp_path / "back", "--no-defaults --socket=/tmp/restored.sock"
    made = f"mkdir {far}; printf row > {far}/rows"
    subprocess.run(["docker", "exec", source.container, "sh", "-c", made], check=True)
    source.sql(ELSEWHERE.format(far=far))
    time.sleep(1.1)  # the log tells whole seconds
    moment = source.sql("flush tables; select utc_timestamp()")
    time.sleep(1.1)
    source.sql("insert into crm.calls (note) values ('second')")
    ship_once(shipped)
    before = sums(far)
    assert len(before) == 4
    argv = ["restore", "p", "--asset", "crm", "--at", f"{moment}+00:00", "--to", str(target), "--yes-i-mean", "back"]
    done = shipped.run(*argv)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    assert {c["kind"]: c["status"] for c in done.json["checks"]}["log"] == "PASS"
    assert not (target / "log").exists() and not (target / "sorting").exists()
    (said,) = [note for note in done.json["notes"] if "the log is applied" in note]
    start_it = said.partition("nobody else reaches: ")[2]
    script = START.format(target=target, far=far, start_it=start_it, client=client)
    run = [*image_on(target), "-v", f"{far}:{far}", image_of("11.8")]
    found = subprocess.run([*run, "timeout", "90", "bash", "-c", script], capture_output=True, text=True, check=False)
    subprocess.run([*run, "chown", "-R", "0:0", str(target)], check=True)
    del before["rows"]
    assert sums(far) == before, found
    assert found.stdout.split("\n")[:3] == ["4", "row,row", "OFF\t0\t0\t0"], found
    assert_nothing_is_armed(shipped, far, tmp_path / "by hand")


def assert_nothing_is_armed(site: Site, far: Path, target: Path) -> None:
    """Without Docker: where this host has a path at which the log makes files, nothing is handed over."""
    argv = ["restore", "p", "--asset", "crm", "--at", "latest", "--to", str(target), "--yes-i-mean", target.name]
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    done = site.run(*argv, env=nowhere)
    assert (done.code, done.json["result"]) == (3, "FAILED") and not target.exists(), done
    assert "makes files at 1 path" in done.json["reason"], done.json["reason"]
    far.rename(far.parent / "otherwise")
    done = site.run(*argv, env=nowhere)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    assert any("is not applied" in note for note in done.json["notes"])
    assert any("makes files at 1 path" in note for note in done.json["notes"]), done.json["notes"]
    assert (target / "log").is_dir() and str(far) not in str(site.records("restore.end")[-1])


def test_a_session_that_sets_its_time_ahead_makes_nothing_newer(shipped: Site, source: MariaSource) -> None:
    """Neither what was reached, nor where in the log a moment lies."""
    source.sql(
        "set timestamp = unix_timestamp() + 3600; insert into crm.calls (note) values ('ahead');"
        "set timestamp = default; set timestamp = unix_timestamp() - 60; insert into crm.calls (note) values ('old');"
    )
    time.sleep(1.1)
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql("insert into crm.calls (note) values ('after')")
    gtid = source.sql("select @@gtid_binlog_pos")
    source.sql("set timestamp = unix_timestamp() + 3600; insert into crm.calls (note) values ('last')")
    ship_once(shipped)
    done = recovered(shipped, f"{moment}+00:00")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "times do not tell" in done.json["reason"]
    assert recovered(shipped, gtid).json["verdict"] == "PASS"
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done
    assert utc(done.json["recovery"]["reached"]["at"]) <= datetime.now(UTC)
    sql = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"
    assert back(done, sql) == "ahead old after last"


def test_a_moment_that_the_base_itself_reaches_to_needs_no_log(shipped: Site, source: MariaSource) -> None:
    earlier = source.sql("select @@gtid_binlog_pos")
    source.sql("insert into crm.calls (note) values ('in the base')")
    gtid = source.sql("select @@gtid_binlog_pos")
    shipped.backed_up()
    time.sleep(1.1)
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    ship_once(shipped)
    sql = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"
    for at in (gtid, f"{moment}+00:00"):
        done = recovered(shipped, at, "--keep")
        assert (done.code, done.json.get("verdict")) == (0, "PASS"), (at, done)
        assert back(done, sql) == "in the base", at
    domain, server, number = gtid.split("-")
    done = recovered(shipped, f"{domain}-{server}-{int(number) + 1000}")
    assert done.code == 2 and "no log that is stored has a point named" in done.stdout + done.stderr, done
    done = recovered(shipped, earlier, "--keep")
    assert (done.code, done.json.get("verdict")) == (0, "PASS"), done
    assert back(done, sql) == "NULL", "an earlier base leads to what lies before this one"
