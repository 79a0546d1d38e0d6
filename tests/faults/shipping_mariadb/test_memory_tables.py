"""Rows of MEMORY tables are in no file of a copy, and the log tells only how they change."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Site, image_on
from tests.support.mariadb_source import MAJOR, MariaSource, crm, image_of, whole_server
from tests.support.shipping import recovered, ship_once
from tests.support.shipping_mariadb import CHECKS, back

from ccdr.engines.mariadb import memory_rows
from ccdr.engines.mariadb.dump.capture import ReadLock
from ccdr.engines.mariadb.server import CLIENT
from ccdr.jobs.backup import backup
from ccdr.plans.job import Job
from ccdr.telling.runbook import by_hand

pytestmark = pytest.mark.long

MEMORY = """
use crm; create table live (agent varchar(20) primary key, n int) engine = memory;
create table `odd ``m``` (n int) engine = memory; create table other (id int primary key) engine = myisam;
insert into live values ('a1', 1), ('a2', 2); insert into `odd ``m``` values (1), (1); insert into other values (1);
create table num (id int auto_increment primary key, d date default '0000-00-00') engine = memory;
set sql_mode = 'ALLOW_INVALID_DATES'; insert into num (d) values ('2024-02-31'), (default), ('2024-02-01');
delete from num where id = 3;
create table cyr (t varchar(9) character set cp1251) engine = memory; insert into cyr values (x'98');
create table bits (t varchar(9) character set ascii) engine = memory; insert into bits values (x'e9');
create table hist (id int primary key) engine = memory with system versioning; insert into hist values (1);
"""
# Whether one has run no log tells.
DUE = """set timestamp = unix_timestamp('2025-01-01');
create event crm.bill on schedule at current_timestamp + interval 1 hour on completion preserve do set @ran = 1;
create event crm.later on schedule at '2037-01-01 00:00:00' do set @ran = 1;"""
MIXED = "update crm.live l join crm.other o set l.n = l.n + 10, o.id = o.id + 1 where l.agent = 'a1';"
ROWS = "select group_concat(agent, n order by agent) from crm.live; select sum(n), count(*) from crm.`odd ``m```;"
ROWS += """select group_concat(id, d order by id) from crm.num;
select auto_increment from information_schema.tables where table_schema = 'crm' and table_name = 'num';"""
OURS = "ccdr_backup_crm@localhost"
OTHERS = "select id from crm.other; select count(*) from crm.calls"


@pytest.fixture
def live(site: Site, source: MariaSource, data: Path) -> Site:
    source.sql(MEMORY)
    crm(site, source, "crm", whole_server(data, "{interval: 2s}"), checks=CHECKS)
    return site


def test_memory_tables_come_back_as_the_log_has_left_them(
    live: Site, source: MariaSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was done between the copy's position and the one at which their rows were taken."""
    taken = ReadLock.taken

    def late(*of: object) -> object:
        source.sql(f"use crm; update live set n = n + 1; {MIXED} update `odd ``m``` set n = 7 limit 1;")
        return taken(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(ReadLock, "taken", late)
    backup(Job(live.loaded(), "crm"), live.services(), Quiet())
    monkeypatch.undo()
    source.sql(DUE)
    source.sql(f"update crm.live set n = n * 2; {MIXED} insert into crm.calls (note) values ('x'); flush logs;")
    source.sql("delete from crm.live where agent = 'a2'; delete from crm.`odd ``m``` where n = 7;")
    source.sql(
        "insert into crm.cyr values ('a'); insert into crm.bits values ('a'); update crm.hist set id = 2"
    )  # of these nobody could take the rows
    ship_once(live)
    expected = source.sql(f"{ROWS} {OTHERS}")
    done = recovered(live, "latest", "--keep")
    assert (done.code, done.json.get("verdict")) == (0, "PASS"), done
    assert back(done, f"{ROWS} {OTHERS}") == expected
    (told,) = (check["actual"] for check in done.json["checks"] if check["name"] == "files")
    assert "crm.bill" in told and "crm.later" not in told
    assert done.json["recovery"]["reached"]["left_out"] == {
        "crm.bits": 1, "crm.cyr": 1, "crm.hist": 2, "crm.live": 2, "crm.odd `m`": 1
    }  # fmt: skip
    assert by_hand_lines(live, tmp_path / "crm") == expected
    assert applied_lines(live, tmp_path / "applied") == expected


def by_hand_lines(site: Site, target: Path) -> str:
    """What the page's lines bring back, typed where the base and its log were fetched to."""
    argv = ["restore", "p", "--asset", "crm", "--at", "latest", "--to", str(target), "--yes-i-mean", target.name]
    done = site.run(*argv, env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    plan = site.loaded().plan
    typed = [part.lines for part in by_hand.parts(plan, "crm", plan.assets["crm"])]
    (ready,) = (lines for lines in typed if any("--prepare" in line for line in lines))
    (apply,) = (lines for lines in typed if any("log.awk" in line for line in lines))
    begin, fill = typed[-2:]
    in_image(target, "D=$1", *ready)
    here = (f"D={target}", f"I={image_of(MAJOR)}", f"L={target}/log", *apply[2:])
    assert apply[0].startswith("I=mariadb:$(jq ") and apply[1] == f"L={by_hand.FETCHED}/crm-log"
    done_here = subprocess.run(["bash", "-ec", "\n".join(here)], capture_output=True, text=True, check=False)
    assert done_here.returncode == 0 and "BAD" not in done_here.stdout, done_here
    ask = (f"mariadb {CLIENT} -BN >&3 <<'END'", f"{ROWS} {OTHERS}", "END")
    return in_image(target, "D=$1", "exec 3>&1 >&2", *begin, *fill, *ask)


def applied_lines(site: Site, target: Path) -> str:
    """What is told beside a directory to which the log is applied, typed."""
    done = site.run(
        "restore", "p", "--asset", "crm", "--at", "latest", "--to", str(target), "--yes-i-mean", target.name
    )
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    (said,) = [note for note in done.json["notes"] if "the log is applied" in note]
    start, fill = said.partition("nobody else reaches: ")[2].split("; then fill its MEMORY tables: ")
    begin = ("exec 3>&1 >&2", "chown -R mysql $1", start, f"mariadb-admin {CLIENT} --wait=30 ping", fill)
    return in_image(target, *begin, f"mariadb {CLIENT} -BN >&3 <<'END'", f"{ROWS} {OTHERS}", "END")


def in_image(target: Path, *lines: str) -> str:
    argv = [*image_on(target), image_of(MAJOR), "bash", "-ec", "\n".join(lines), "type", str(target)]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    subprocess.run([*image_on(target), image_of(MAJOR), "chown", "-R", "0:0", str(target)], check=True)
    assert found.returncode == 0, found
    return found.stdout.strip()


def test_rows_that_would_be_written_otherwise_are_no_base(live: Site, source: MariaSource) -> None:
    source.sql(f"set global init_connect = 'SET NAMES utf8'; revoke connection admin, super on *.* from {OURS}")
    try:
        done, said = live.run("backup", "p"), live.run("doctor", "p")
    finally:
        source.sql(f"set global init_connect = default; grant all on *.* to {OURS}")
    assert done.code == 1 and "a session of this user utf8mb3" in done.json["reason"], done
    assert said.code == 1 and "a session of this user utf8mb3" in said.stdout, said


def test_changes_of_rows_that_no_base_has_are_left_out_and_counted(
    live: Site, source: MariaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_rows, "take", lambda *_: None)
    backup(Job(live.loaded(), "crm"), live.services(), Quiet())
    source.sql(f"update crm.live set n = n + 1; {MIXED} insert into crm.calls (note) values ('x');")
    ship_once(live)
    expected = source.sql(OTHERS)
    done = recovered(live, "latest", "--keep")
    assert (done.code, done.json.get("verdict")) == (0, "PASS"), done
    assert back(done, f"select count(*) from crm.live; {OTHERS}") == f"0\n{expected}"
    assert done.json["recovery"]["reached"]["left_out"] == {"crm.live": 2}
    # By the engine that it has at that moment: as another, its rows would be lost without a word.
    source.sql("alter table crm.live engine = innodb; update crm.live set n = 5")
    ship_once(live)
    done = recovered(live, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE") and "crm.live" in done.json["reason"], done
    # Under another name, they would be lost although the log has them.
    source.sql("rename table crm.live to crm.kept; create table crm.live (n int) engine = memory")
    ship_once(live)
    done = recovered(live, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE") and "crm.live" in done.json["reason"], done


def test_a_table_that_the_log_makes_elsewhere_is_made_where_the_others_are(
    shipped: Site, source: MariaSource, data: Path
) -> None:
    """The sandbox sees nothing of the source's path, and nobody who applies the log on its host may write there."""
    source.sql(f"""
create table crm.fast (id int primary key) data directory = '{data}'; insert into crm.fast values (7);
create table crm.parts (id int primary key) engine = myisam
  partition by range (id) (partition a values less than (9) data directory = '{data}' index directory = '{data}');
alter table crm.parts add partition (partition b values less than (99) data directory = '{data}');
insert into crm.parts values (8), (10)""")
    ship_once(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json.get("verdict")) == (0, "PASS"), done
    sql = """select id from crm.fast; select group_concat(id order by id) from crm.parts;
select filename from information_schema.innodb_sys_tablespaces where name = 'crm/fast'"""
    assert back(done, sql) == "7\n8,10\n./crm/fast.ibd"
