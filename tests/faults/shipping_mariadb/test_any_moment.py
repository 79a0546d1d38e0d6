"""A MariaDB server's binary log, shipped for real: any moment can be gone back to."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.support.harness import Site, image_on
from tests.support.mariadb_source import MariaSource, image_of
from tests.support.shipping import recovered, ship_once
from tests.support.shipping_mariadb import back

from ccdr.model.values import utc


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


def test_a_restore_for_real_can_go_back_to_any_moment_too(shipped: Site, source: MariaSource, tmp_path: Path) -> None:
    """What it says has to be done is done, word for word."""
    source.sql("insert into crm.calls (note) values ('first')")
    time.sleep(1.1)
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql("insert into crm.calls (note) values ('second')")
    ship_once(shipped)
    target = tmp_path / "back"
    argv = ["restore", "p", "--asset", "crm", "--at", f"{moment}+00:00", "--to", str(target), "--yes-i-mean", "back"]
    done = shipped.run(*argv)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    (said,) = [note for note in done.json["notes"] if "mariadb-binlog" in note]
    prepare, then, rest = said.split("; ", 2)
    start_it, apply = then.partition("nobody else reaches: ")[2], rest.partition("TZ=UTC: ")[2]
    client = "mariadb --no-defaults --socket=/tmp/restored.sock"
    assert f"| {client} --comments" in apply, "and no other server of this host"
    start = f"""set -e
    {prepare} 2>/dev/null
    chown -R mysql {target}
    {start_it}
    server=$!
    until {client} -e 'select 1' >/dev/null 2>&1; do
      kill -0 $server
      sleep 0.1
    done
    export TZ=UTC
    {apply.replace(" …the files after it", "")}
    {client} -BN -e "select note from crm.calls where id > 100"
    """
    run = image_on(target)
    box = [*run, image_of("11.8")]
    found = subprocess.run([*box, "timeout", "60", "bash", "-c", start], capture_output=True, text=True, check=False)
    subprocess.run([*box, "chown", "-R", "0:0", str(target)], check=True)
    assert found.stdout.split()[-1:] == ["first"], found


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
