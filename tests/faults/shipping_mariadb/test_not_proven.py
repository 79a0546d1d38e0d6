"""A MariaDB server's binary log, shipped for real: what a log does not hold, or would not do the same again, is not proven."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Site, texts
from tests.support.mariadb_source import MariaSource, crm, mariadb_server, whole_server
from tests.support.shipping import recovered, ship_once, standing
from tests.support.shipping_mariadb import CHECKS, SMALL, back

from ccdr.engines.mariadb import MariaDB
from ccdr.jobs.restore_test import restore_test
from ccdr.model.values import Manifest, Verdict, utc
from ccdr.plans.job import Job
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place

pytestmark = pytest.mark.long


def test_a_log_that_is_filtered_is_not_shipped(site: Site, data: Path) -> None:
    filters = ("--binlog-do-db=other", "--binlog-ignore-db=crm")
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", *filters, data=data) as made:
        made.sql(SMALL)
        crm(site, made, "crm", whole_server(data, "{interval: 2s}"), checks=CHECKS)
        site.backed_up()
        done = site.run("ship", "p", "--once")
        assert done.code != 0 and "does not hold every change" in done.stdout + done.stderr, done
        assert "binlog_do_db (other)" in done.stderr and "binlog_ignore_db (crm)" in done.stderr, done
        assert "point" not in standing(site) or standing(site)["point"] is None
        assert site.run("test", "p").json["verdict"] == "PASS", "the copy itself is whole"


def test_a_log_that_was_filtered_when_the_base_was_taken_leads_nowhere(
    shipped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship_once(shipped)
    recover = MariaDB.recover

    def lacking(
        self: MariaDB, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Reached:
        told = replace(manifest, contents={**manifest.contents, "log_lacks": "binlog_do_db (x)"})
        return recover(self, box, restored, log, told, target)

    monkeypatch.setattr(MariaDB, "recover", lacking)
    done = restore_test(Job(shipped.loaded(), "crm"), "latest", shipped.services(), Quiet(), at=RecoveryTarget())
    assert done.verdict is Verdict.FAIL and "binlog_do_db (x)" in str(done.reason)


def test_a_copy_of_a_replica_that_stands_still_is_no_backup(shipped: Site, source: MariaSource) -> None:
    ship_once(shipped)
    source.sql("change master to master_host='192.0.2.1', master_user='x', master_password='x'")
    for verb in (["backup", "p"], ["ship", "p", "--once"]):
        done = shipped.run(*verb)
        assert done.code != 0 and "does not replicate at present" in done.stdout + done.stderr, done
    source.sql("reset slave all")
    shipped.backed_up()
    ship_once(shipped)


def test_changes_that_are_logged_as_statements_are_not_proven(shipped: Site, source: MariaSource) -> None:
    source.sql("insert into crm.calls (note) values ('a row'); analyze table crm.calls; create table crm.more (i int)")
    source.sql("create user someone@localhost; alter table crm.agents add column seat int; drop user someone@localhost")
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert done.json["verdict"] == "PASS", done
    source.sql("set binlog_format = statement; /* app */\ninsert into crm.calls (note) values (uuid())")
    ship_once(shipped)
    asked = datetime.now(UTC)
    before = exposed(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "1 changes are in the log as statements" in done.json["reason"]
    since_base = (asked - utc(done.json["snapshot"]["consistent_point"])).total_seconds()
    assert before < since_base <= exposed(shipped), "what cannot be applied does not count"


def exposed(site: Site) -> float:
    return float(site.run("status").json["plans"][0]["assets"][0]["rpo"]["achieved_s"])


AS_STATEMENT = """
set session binlog_format = statement; use crm; DELETE FROM calls
where crc32(uuid()) % 2 = 0; /* nightly
 of the day */ update calls set note = uuid(); /*M! insert into calls (note) values (uuid()) */;
"""
NOT_THE_SAME_AGAIN = {
    "set session binlog_format = statement; create table made as select id, uuid() as u from calls":
        "1 change in the log is a CREATE TABLE … SELECT",
    "alter table calls add u varchar(40) default (concat('a', uuid()))": "whose default calls uuid()",
    "alter ignore table twice add unique (a)": "ALTER IGNORE TABLE that keeps of equal rows the one that lies first",
    "alter table keyless add id int auto_increment primary key": "ALTER TABLE that numbers rows in the order in which",
    "set session binlog_alter_two_phase = on; alter table agents add u uuid default uuid()": "ALTER TABLE in two phases",
    "create user a@h; create user a@h, b@h": "a statement that ended in an error half-way",
    "grant select on crm.* to current_user()": "about the user who ran it",
}  # fmt: skip


def test_what_may_not_do_the_same_again_is_not_proven(shipped: Site, source: MariaSource) -> None:
    """Each was seen to do otherwise. Rows of a table without a key lie in the order in which sessions wrote them, and
    the log has that of their commits."""
    source.sql("use crm; create table keyless (a int); create table twice (a int, b int); create table listed (a int)")
    with source.session("begin; insert into keyless values (1); insert into twice values (1, 1)", "crm") as first:
        source.sql("use crm; insert into keyless values (2); insert into twice values (1, 2)")
        assert first.stdin
        first.stdin.write("commit;\n")
    for sql in NOT_THE_SAME_AGAIN:
        source.sql(f"use crm; {sql}", check="a@h" not in sql)
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert not [why for why in NOT_THE_SAME_AGAIN.values() if why not in done.json["reason"]], done.json["reason"]
    shipped.backed_up()
    source.sql("drop table crm.listed, crm.missing", check=False)
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "the log drops a table that is not there" in done.json["reason"]
    source.sql(AS_STATEMENT)
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "3 changes are in the log as statements" in done.json["reason"]


def test_definitions_that_do_the_same_again_are_proven(shipped: Site, source: MariaSource) -> None:
    """Though they name what differs each time."""
    source.sql(
        "use crm; create table let_go (a int); insert into let_go values (1); create user leaver@localhost;"
        "create definer = leaver@localhost view seen_by as select 1"
    )
    shipped.backed_up()
    source.sql(
        "use crm; drop table let_go; drop view seen_by; drop user leaver@localhost;"
        "create table made as select id, uuid() as u from calls;"
        "create table keyed (id int primary key, u uuid default uuid(), user varchar(80));"
        "insert into keyed (id, user) values (1, 'a'), (2, 'b'); alter table keyed add index user (user);"
        "alter table keyed modify u uuid not null default uuid(), add at datetime(6) default now(6);"
        "create view named as select uuid() as u; create procedure filled() update keyed set u = uuid();"
        "create trigger marked before insert on keyed for each row set new.user = concat('x', rand());"
        "insert into keyed (id) values (3); call filled();"
        "alter table calls add said varchar(40) default 'uuid()' comment 'it''s rand()' /* default\n uuid() */;"
        "begin; insert into calls (note) values ('a'); savepoint s; insert into calls (note) values ('b');"
        "insert into agents values (2, 'BUSY'); rollback to s; commit; optimize table agents; truncate agents;"
        "insert into agents values (3, 'READY');"
        "create procedure told() /* why */ select 1 /* what */; create table past (a int, b text) with system versioning;"
        "insert into past values (1, 'x'), (1, 'x'), (2, 'y'); update past set a = 3 where a = 1 limit 1;"
        "set system_versioning_alter_history = keep; alter table past add c int default 5; delete from past where a = 2;"
        "create sequence numbers cache 5; create table numbered (n int default nextval(numbers), a int);"
        "insert into numbered (a) values (1), (2); select setval(numbers, 90); insert into numbered (a) values (3);"
        "xa start 'open'; insert into numbered values (7, 7); xa end 'open'; xa prepare 'open'"
    )
    for image in ("MINIMAL", "NOBLOB"):
        source.sql(
            f"set session binlog_row_image = {image}; use crm; create table {image} (a int, f float, n varchar(9), b blob,"
            f"v int as (a + 1) virtual); insert into {image} (a, f, n, b) values (1, 1.1, null, repeat('b', 3000)),"
            "(1, 1.1, null, repeat('b', 3000)), (2, -0.0, 'x ', null), (2, 0.0, 'x', null), (3, 3e7, 'ü', 'c');"
            f"update {image} set n = 'once' where a = 1 limit 1; delete from {image} where a = 2 limit 1;"
            f"update {image} set f = f * 3 where a = 1; delete from {image} where n is null limit 1"
        )
    ship_once(shipped)
    sql = (
        "use crm; select * from made order by id; select * from keyed order by id; select * from calls order by id;"
        "show create procedure told; select *, row_start, row_end from past for system_time all order by row_start, a;"
        "select * from numbered order by n; select * from numbers; xa recover;"
        "select a, f, n, md5(b), v from MINIMAL order by a, f, n; select a, f, n, md5(b), v from NOBLOB order by a, f, n"
    )
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, sql) == source.sql(sql)


SETTINGS = {
    "binlog_expire_logs_seconds = 3600, global binlog_row_image = MINIMAL": [
        "the source keeps its log for 1h 00m only",
        "binlog_row_image is MINIMAL: set it to FULL",
    ],
    "binlog_format = MIXED": ["binlog_format is MIXED: set it to ROW"],
    "binlog_format = STATEMENT": ["binlog_format is STATEMENT: set it to ROW"],
}


def test_a_setting_of_the_source_that_makes_its_log_worth_less_is_told(
    site: Site, source: MariaSource, data: Path
) -> None:
    """By what ships, by `status`, and by the test where it cannot be carried out for it."""
    crm(site, source, "crm", whole_server(data, "{interval: 2s}"), checks=CHECKS)
    for setting, told in SETTINGS.items():
        source.sql(f"set global {setting}")
        site.backed_up()
        source.sql("insert into crm.calls (note) values ('a row'); update crm.calls set note = 'told' where id = 7")
        ship_once(site)
        findings, status = " ".join(texts(standing(site)["findings"])), " ".join(site.run("status").stdout.split())
        assert all(each in findings and each in status for each in told), (findings, status)
        done = recovered(site, "latest", "--keep")
        if "format" in setting:
            assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
            assert "2 changes are in the log as statements" in done.json["reason"]
        else:
            assert (done.code, done.json["verdict"]) == (0, "PASS"), done
            rows = "select count(*), sum(note = 'told') from crm.calls"
            assert back(done, rows) == source.sql(rows)
