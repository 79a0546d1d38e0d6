"""MariaDB: what is lost or changed between capture and check is a FAIL, whatever the object; the undamaged twin passes.

A small centre is backed up once, with tables of values that look alike beside it. Each group of damages is done in one
sandbox, each to objects of its own, and each must be named by the right part of the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site, containers
from tests.support.mariadb_source import MariaSource, crm, maria_damage, small_database

from ccdr.engines import comparison as compared
from ccdr.jobs.restore_test import RestoreTest
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.ports.place import Place

TABLES, DEFINITIONS, NUMBERS, OBJECTS = (
    "tables",
    "definitions",
    "auto-increments",
    "triggers, routines, events, views, sequences",
)
USERS, DATABASE, SETTINGS, DEFINERS = "users and grants", "the database itself", "server settings", "definers"

# Values that look alike: one table each, its first value, and what the damage makes of it.
LOOKALIKES = {
    "null became empty": ("text", "null", "''"),
    "a space at the end": ("varchar(20)", "'note'", "'note '"),
    "a tab became spaces": ("text", r"'a\tb'", "'a    b'"),
    "crlf became lf": ("text", r"'a\r\nb'", r"'a\nb'"),
    "a backslash n became a newline": ("text", r"'a\\nb'", r"'a\nb'"),
    "the text null became null": ("text", "'NULL'", "null"),
    "NFC became NFD": ("text", "'Ștefănel é'", "'Ștefănel e\u0301'"),
    "cedilla became comma": ("text", "'Ţepeş'", "'Țepeș'"),
    "a soft hyphen vanished": ("text", "'re\u00adstore'", "'restore'"),
    "an emoji became a mark": ("text", "'☎😀'", "'☎?'"),
    "upper became lower": ("varchar(20)", "'BRAȘOV'", "'brașov'"),
    "one bit of a blob": ("blob", "0x00ff10", "0x00fe10"),
    "a zero byte more": ("varbinary(9)", "0x01", "0x0100"),
    "a zero byte in a text": ("text", r"'a\0b'", "'ab'"),
    "a long text's last letter": ("longtext", "concat(repeat('Alo? ', 400000), 'a')", "concat(repeat('Alo? ', 400000), 'b')"),
    "a decimal's last digit": ("decimal(30, 10)", "12345678901234567890.1", "12345678901234567890.1000000001"),
    "a double's last bit": ("double", "0.1", "0.10000000000000002"),
    "a big unsigned number": ("bigint unsigned", "18446744073709551615", "18446744073709551614"),
    "a microsecond": ("datetime(6)", "'2026-10-25 00:30:00.000001'", "'2026-10-25 00:30:00'"),
    "an hour of summer time": ("timestamp", "'2026-10-25 00:30:00'", "'2026-10-25 01:30:00'"),
    "a zero date became null": ("date", "'0000-00-00'", "null"),
    "a time beyond a day": ("time", "'26:00:00'", "'02:00:00'"),
    "json's spaces": ("json", """'{"a":  1}'""", """'{"a": 1}'"""),
    "json lost a double key": ("json", """'{"a": 1, "a": 2}'""", """'{"a": 2}'"""),
    "an enum's value": ("enum('', 'a', 'b')", "''", "null"),
    "a set's member": ("set('x', 'y', 'z')", "'x,z'", "'x'"),
    "a bit string": ("bit(12)", "b'000000010001'", "b'000000010000'"),
    "a point's coordinates swapped": ("geometry", "point(1, 2)", "point(2, 1)"),
    "an address": ("inet6", "'2001:db8::1'", "'2001:db8::2'"),
    "one row twice, another lost": ("text", "'a' union all select 'a' union all select 'b'", "if(v = 'a', 'b', 'a')"),
}  # fmt: skip


def odd(name: str) -> str:
    return "odd_" + re.sub(r"\W", "_", name)


ODD = "set sql_mode = '';\n" + "".join(
    f"create table {odd(name)} (v {kind}) character set utf8mb4; insert into {odd(name)} select {first};\n"
    for name, (kind, first, _) in LOOKALIKES.items()
)
# Two tables of one shape, with as many rows and bytes; and objects for one damage each.
ODD += r"""
create table mono_left (id int, v text); insert into mono_left select seq, concat('left ', seq) from seq_1_to_9;
create table mono_rite (id int, v text); insert into mono_rite select seq, concat('rite ', seq) from seq_1_to_9;
create table spare (id int primary key, a varchar(20) default 'x' comment 'it', b int, c int invisible, d int as (b + 1),
  key by_a (a), key by_b (b), unique key once (b), check (b > 0), fulltext key words (a));
create table emptied (id int auto_increment primary key); insert into emptied select seq from seq_1_to_9;
delete from emptied;
create table parts (id int) partition by list (id) (partition one values in (1), partition two values in (2));
create table child (id int primary key, of int, constraint to_spare foreign key (of) references spare (id));
create table spaced (a int, b int); create table renamed (id int); create table doomed (id int);
create table hashed (id int primary key, v int) engine = memory; create table rows_of (id int) engine = myisam;
create table many (id int) engine = merge union = (rows_of) insert_method = last;
create table counted (id bigint auto_increment primary key) engine = myisam; insert into counted values (72340172838076673);
create sequence wheel start with 1 minvalue 1 maxvalue 3 cycle; create sequence steps start with 10;
create procedure tidy() comment 'it' select 1;
create procedure run() sql security invoker select 2; create function one() returns int deterministic return 1;
create function two() returns int deterministic return 2;
create event nightly on schedule every 1 day comment 'it' do delete from doomed;
create event once on schedule every 1 day do delete from doomed;
create trigger first_of before update on spare for each row set new.a = 'y';
create trigger next_of before update on spare for each row set new.a = 'z';
create view plain as select id, a from spare; create view safe as select id from spare where b > 0 with check option;
create view other as select id from spare; create view going as select id from spare;
"""
SWAP = """
create temporary table kept as select * from mono_left;
delete from mono_left; insert into mono_left select * from mono_rite;
delete from mono_rite; insert into mono_rite select * from kept; drop temporary table kept
"""


class Damage(NamedTuple):
    group: str
    sql: str
    result: str
    named: str  # what the result must say


def rows(sql: str, table: str, group: str = "values") -> Damage:
    return Damage(group, sql, TABLES, f"{table}: ")


def changed(sql: str, what: str, group: str = "how") -> Damage:
    return Damage(group, sql, DEFINITIONS, f"not in the backup: {what}")


def missing(sql: str, what: str, group: str = "gone") -> Damage:
    return Damage(group, sql, DEFINITIONS, f"missing: {what}")


def table(name: str) -> str:
    return f"Table structure for table `{name}`"


DAMAGE = {name: rows(f"update {odd(name)} set v = {then}", odd(name)) for name, (_, _, then) in LOOKALIKES.items()}
DAMAGE |= {
    "two tables' contents swapped": rows(SWAP, "mono_left"),
    "a row changed": rows("update `call` set cost = cost + 0.0001 where id = 46", "call"),
    "a row gone": rows("delete from unkeyed limit 1", "unkeyed"),
    "a row of MyISAM gone": rows("delete from agent_log where id = 77", "agent_log"),
    "a row of MEMORY changed": rows("update live_agent set state = 'PAUSED' where agent = 'a1'", "live_agent"),
    "MEMORY lost its rows": rows("delete from live_agent", "live_agent"),
    "a row of Aria more": rows("insert into agent_log_archive (event) values ('x')", "agent_log_archive"),
    "an invisible value": rows("update customer set hidden = 8 where id = 5", "customer"),
    "a version of a row lost": rows("delete history from rule", "rule"),
    "a partition's rows gone": rows("alter table cdr truncate partition past", "cdr"),
    "a row of a table with an odd name": rows("delete from `odd ``name``; 'ș'` where `a b` is null", "odd `name`; 'ș'"),
    # --- what is there
    "table missing": rows("drop table doomed", "doomed", "gone"),
    "table more": rows("create table intruder (id int)", "intruder", "gone"),
    "table renamed": rows("rename table renamed to was_renamed", "renamed", "gone"),
    "merge table missing": missing("drop table many", table("many")),
    "view missing": missing("drop view going", "Final view structure for view `going`"),
    "function missing": missing("drop function one", "FUNCTION `one`"),
    "procedure missing": missing("drop procedure tidy", "PROCEDURE `tidy`"),
    "trigger missing": missing("drop trigger first_of", "TRIGGER `first_of`"),
    "event missing": missing("drop event nightly", "EVENT `nightly`"),
    "sequence missing": missing("drop sequence steps", "Sequence structure for `steps`"),
    "view missing from the list": Damage("gone", "do 0", OBJECTS, "view going"),
    "function missing from the list": Damage("gone", "do 0", OBJECTS, "function one"),
    "trigger missing from the list": Damage("gone", "do 0", OBJECTS, "trigger first_of"),
    "event missing from the list": Damage("gone", "do 0", OBJECTS, "event nightly"),
    "sequence missing from the list": Damage("gone", "do 0", OBJECTS, "sequence steps"),
    "foreign key missing": missing("alter table child drop foreign key to_spare", table("child")),
    "partition missing": missing("alter table parts drop partition two", table("parts")),
    # --- how it is
    "index dropped": changed("alter table spare drop key by_a", table("spare")),
    "table's comment": changed("alter table spaced comment 'x'", table("spaced")),
    "columns' order": changed("alter table mono_left modify v text first", table("mono_left")),
    "column became visible": changed("alter table customer modify hidden int default 7", table("customer")),
    "check lost": changed("alter table `call` modify seconds int", table("call")),
    "engine changed": changed("alter table counted engine = aria", table("counted")),
    "index kind changed": changed("alter table hashed drop primary key, add primary key using btree (id)", table("hashed")),
    "history no longer kept": changed("alter table rule drop system versioning", table("rule")),
    "partition's bound": changed("alter table cdr partition by range (year(day)) (partition past values less than (2021), partition present values less than maxvalue)", table("cdr")),
    "column's collation": changed("alter table mono_rite modify v text collate utf8mb4_bin", table("mono_rite")),
    "function's body": changed("create or replace function two() returns int deterministic return 3", "FUNCTION `two`"),
    "procedure's security": changed("alter procedure run sql security definer", "PROCEDURE `run`"),
    "trigger's body": changed("create or replace trigger next_of before update on spare for each row set new.a = 'q'",
                              "TRIGGER `next_of`"),
    "event disabled": changed("alter event once disable", "EVENT `once`"),
    "event disabled, by the list": Damage("how", "do 0", OBJECTS, "event once"),
    "view's text": changed("alter view plain as select id, b as a from spare", "Final view structure for view `plain`"),
    "view's check option": changed("alter view safe as select id from spare where b > 0", "Final view structure for view `safe`"),
    "view's security": changed("alter sql security invoker view other as select id from spare", "Final view structure for view `other`"),
    "sequence gave a number": changed("select nextval(ticket)", "Sequence structure for `ticket`"),
    "sequence's cycle": changed("alter sequence wheel nocycle", "Sequence structure for `wheel`"),
    "auto-increment set back": Damage("how", "alter table emptied auto_increment = 1", NUMBERS, "emptied: 10 captured, 1 restored"),
    # --- who
    "definer changed": Damage("who", "create or replace definer = ccdr_sandbox@localhost procedure forget(c int)"
        " modifies sql data delete from customer where id = c", DEFINERS, "procedure forget"),
    "table's grant lost": Damage("who", "revoke update (note) on customer from odd_user@'10.%'", USERS, "GRANT SELECT, UPDATE"),
    "grant more": Damage("who", "grant select on live_agent to odd_reader", USERS, "GRANT SELECT ON"),
    "procedure's grant lost": Damage("who", "revoke execute on procedure forget from odd_user@'10.%'", USERS, "GRANT EXECUTE ON"),
    "membership lost": Damage("who", "revoke odd_reader from odd_boss", USERS, "GRANT `odd_reader` TO"),
    "default role lost": Damage("who", "set default role none for odd_user@'10.%'", USERS, "SET DEFAULT ROLE"),
    "password changed": Damage("who", "set password for odd_user@'10.%' = password('another')", USERS, "CREATE USER `odd_user`@`10.%`"),
    "account unlocked": Damage("who", "alter user `odd odd'user`@`%` account unlock", USERS, "CREATE USER `odd"),
    "user more": Damage("who", "create user intruder@localhost", USERS, "CREATE USER `intruder`@`localhost`"),
    "role more": Damage("who", "create role intruding", USERS, "CREATE ROLE `intruding`"),
    "everybody may": Damage("who", "grant insert on spare to public", USERS, "GRANT INSERT ON"),
    "database's collation": Damage("who", "alter database odd collate utf8mb4_bin", DATABASE, "collation"),
    "database's comment": Damage("who", "alter database odd comment 'x'", DATABASE, "comment"),
    "sql_mode": Damage("who", "set global sql_mode = 'ANSI'", SETTINGS, "sql_mode"),
}  # fmt: skip

# Nothing of this changes what a user of the database sees: order of rows, statistics, indexes built anew.
HARMLESS = """
alter table unkeyed force; alter table agent_log order by event; optimize table agent_log_archive; analyze table `call`;
create temporary table kept as select * from mono_left; delete from mono_left;
insert into mono_left select * from kept order by id desc; flush tables; set global time_zone = '+03:00'
"""


@pytest.fixture(scope="module")
def centre(maria: MariaSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(maria, "odd") as name:
        maria.sql(ODD, name)
        site = Site(tmp_path_factory.mktemp("centre"))
        crm(site, maria, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n")
        site.backed_up()
        yield site


@pytest.fixture(scope="module")
def harmed(centre: Site) -> Callable[[str], RestoreTest]:
    """The restore test in which all damages of a group were done; done once for each group."""

    @cache
    def harm(group: str) -> RestoreTest:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compared, "NAMED", 10_000)  # a result names a few differences; here they all count
            sql = "".join(f"set sql_mode = '';\n{d.sql};\n" for d in DAMAGE.values() if d.group == group)
            return centre.damaged_test(maria_damage(sql, "odd"))

    return harm


def result(done: RestoreTest, name: str) -> CheckResult:
    assert done.checks, done.reason
    found = [c for c in done.checks if c.name == name]
    assert found, [(c.name, c.actual, c.detail) for c in done.checks]
    return found[0]


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_after_restore_fails(harmed: Callable[[str], RestoreTest], name: str) -> None:
    damage = DAMAGE[name]
    done = harmed(damage.group)
    found = result(done, damage.result)
    assert (done.verdict, found.status) == (Verdict.FAIL, Verdict.FAIL)
    assert damage.named in found.actual, found.actual
    assert f"ccdr-{done.run}" not in containers()


def test_undamaged_twin_passes_and_what_is_harmless_stays_so(centre: Site) -> None:
    done = centre.damaged_test(maria_damage("do 0", "odd"))
    assert done.verdict is Verdict.PASS, (done.reason, done.checks)
    assert "in another order" not in result(done, TABLES).actual
    done = centre.damaged_test(maria_damage(HARMLESS, "odd"))
    assert done.verdict is Verdict.PASS, (done.reason, done.checks)
    assert "1 in another order or form" in result(done, TABLES).actual
    centre.ledger_holds()


# --- integrity ------------------------------------------------------------------------------------------------------


OVERWRITE = r"""
cd /var/lib/mysql/data/odd
head -c 2000 /dev/zero | tr '\0' 'x' | dd of=agent_log.MYI bs=1 seek=2048 conv=notrunc status=none
at=$(LC_ALL=C grep -obUaP '\x01{8}' counted.MYI | head -n 1 | cut -d: -f1)
printf '\0\0\0\0\0\0\0\1' | dd of=counted.MYI bs=1 seek="$at" conv=notrunc status=none
"""


def test_what_the_server_finds_damaged_fails(centre: Site, wording: SnapshotAssertion) -> None:
    """An index's file is overwritten, a definer is dropped, and a file says that its table's next number is 2."""

    def damage(box: Place, restored: Path, manifest: Manifest) -> None:
        maria_damage("flush tables", "odd")(box, restored, manifest)
        box.run(["bash", "-e", "-c", OVERWRITE])
        maria_damage("drop user root@localhost", "mysql")(box, restored, manifest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compared, "NAMED", 10_000)
        done = centre.damaged_test(damage)
    assert done.verdict is Verdict.FAIL
    found = {c.name: c for c in done.checks if c.kind == "integrity"}
    assert found["CHECK TABLE … EXTENDED"].actual == wording
    assert "view answered is of root@localhost" in found["definers exist"].actual
    assert found["auto-increments are ahead"].actual == "counted would give a number twice"
    assert {c.status for c in found.values()} == {Verdict.FAIL}


def test_a_definer_whom_the_source_lacks_too_is_told_and_no_failure(maria: MariaSource, site: Site) -> None:
    with small_database(maria, "orphaned") as name:
        maria.sql("create definer = nobody@nowhere procedure whose() select 1", name)
        crm(site, maria, name)
        site.backed_up()
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        (found,) = [c for c in done.json["checks"] if c["name"] == "definers exist"]
        assert found["actual"].endswith("1 of them had none at the source either")
