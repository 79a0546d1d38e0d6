"""MariaDB's log without a server: whether it holds everything, how old a replica's data is, which base leads where."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb import logfile as span
from ccdr.engines.mariadb.binlog import Binlog, origin_of, prepared_notes
from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.physical import Course
from ccdr.engines.mariadb.questions import check_tables
from ccdr.engines.mariadb.recovery import _apply, recover, require_the_same_again
from ccdr.engines.mariadb.statements import doubt
from ccdr.jobs.companions import Alongside
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupBad, BackupFailed, CcdrError, CommandFailed, TestBroken
from ccdr.model.values import Manifest, Verdict, rfc3339
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Output, Source

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOGIN = Login(())
STATUS = "File\tPosition\tBinlog_Do_DB\tBinlog_Ignore_DB\nbinlog.000001\t342\t{}\t{}\n"
LOGS_ALL = "log_bin\tON\nlog_slave_updates\tON\nwsrep_on\tOFF\n"
LOGS_OWN = LOGS_ALL.replace("updates\tON", "updates\tOFF")


def replica(*behind: str) -> str:
    """What SHOW ALL SLAVES STATUS says of such connections."""
    rows = (f"\t{seconds}\tError 'a\\nb\\tc' on query\n" for seconds in behind)
    return "".join(["Connection_name\tSeconds_Behind_Master\tLast_SQL_Error\n", *rows]) if behind else ""


class Server:
    """A place whose client answers as such a server would have it."""

    def __init__(self, slaves: str = "", variables: str = LOGS_ALL, status: str = STATUS.format("", "")) -> None:
        self.said = {"SLAVES": slaves, "global_variables": variables, "UNIX_TIMESTAMP": "", "MASTER": status}
        self.said["UNIX_TIMESTAMP"] = f"{status.splitlines()[1]}\n{NOW.timestamp()}\n"

    def run(self, argv: Any, *, stdin: str = "", **_: Any) -> Output:
        return Output(0, next(said for word, said in self.said.items() if word in stdin), NO_WORDS)


def manifest(settings: dict[str, str] | None = None, **binlog: object) -> Manifest:
    told = {"file": "binlog.000001", "position": 4, "gtid": "", "head": None, "until": rfc3339(NOW), **binlog}
    held = {"system_time_zone": "UTC", "binlog_row_image": "FULL", **(settings or {})}
    contents = {"binlog": told, "settings": held, "log_lacks": "", "memory_rows": None}
    return Manifest("p", "a", "r", "mariadb", "physical", "h", NOW, 0.0, {}, contents, attested=SAID)


def log_of(server: Server) -> tuple[Binlog, Source]:
    connection = Connection.model_validate({"host": "/run", "user": "u", "database": "d"})
    source = SimpleNamespace(place=server, credentials=SimpleNamespace(__truediv__=None))
    found = Binlog(connection, LogShipping(), "p/a")
    return found, source  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("server", "lacks"),
    [
        (Server(), ""),
        (Server(variables=LOGS_OWN), ""),  # nobody else's changes come here
        (Server(replica("0")), ""),
        (Server(replica("0"), LOGS_OWN), "from its primary"),
        (Server(variables=LOGS_OWN.replace("wsrep_on\tOFF", "wsrep_on\tON")), "cluster's other nodes"),
        (Server(status=STATUS.format("crm,ivr", "")), "binlog_do_db (crm,ivr)"),
        (Server(status=STATUS.format("", "crm")), "binlog_ignore_db (crm)"),
    ],
)
def test_a_log_that_does_not_hold_everything_is_seen(server: Server, lacks: str) -> None:
    found = origin_of(server, LOGIN).lacks  # type: ignore[arg-type]
    assert lacks in "; ".join(found) and bool(found) == bool(lacks)


def test_a_replica_is_as_old_as_the_primary_that_it_is_farthest_behind() -> None:
    assert origin_of(Server(replica("3", "70")), LOGIN).lag == 70  # type: ignore[arg-type]
    assert origin_of(Server(), LOGIN).lag is None  # type: ignore[arg-type]
    with pytest.raises(BackupFailed, match="does not replicate"):
        origin_of(Server(replica("3", "NULL")), LOGIN)  # type: ignore[arg-type]


def test_a_copy_of_a_replica_is_older_by_what_it_is_behind() -> None:
    course = Course(None, None)  # type: ignore[arg-type]
    course.seen = [(NOW, ("binlog.000001", 4)), (NOW + timedelta(seconds=9), ("binlog.000001", 900))]
    at = {"file": "binlog.000001", "position": 500}
    assert course.certain(at) == course.certain(None) == NOW
    course.lag = 70.0
    assert course.certain(at) == course.certain(None) == NOW - timedelta(seconds=70)


@pytest.mark.parametrize(("ahead", "found"), [(-1.4, 0.0), (1.4, 0.0), (-7.0, -7.0), (7.0, 7.0)])
def test_a_slow_answer_to_a_copy_makes_no_skew_of_its_clock(ahead: float, found: float) -> None:
    """Asked and answered three seconds apart: what that alone explains is none."""
    times = iter((NOW, NOW + timedelta(seconds=3)))
    answer = f"{(NOW + timedelta(seconds=1.5 + ahead)).timestamp():.6f}\nbinlog.000001\t342\n"
    session = SimpleNamespace(ask=lambda *_, **__: answer)
    course = Course(session, SimpleNamespace(clock=SimpleNamespace(now=lambda: next(times))))  # type: ignore[arg-type]
    course.ask_position()
    assert course.skew == pytest.approx(found, abs=1e-5) and course.seen == [(NOW, ("binlog.000001", 342))]


@pytest.mark.parametrize(("server", "lag"), [(Server(), 0), (Server(replica("70")), 70)])
def test_what_is_shipped_from_a_replica_is_older_by_what_it_is_behind(
    server: Server, lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "login", lambda self, credentials: LOGIN)
    log, source = log_of(server)
    mark = log.mark(source, SimpleNamespace(now=lambda: NOW))  # type: ignore[arg-type]
    assert (mark.position, mark.at) == ("binlog.000001:342", NOW - timedelta(seconds=lag))


def test_what_was_written_while_a_base_was_taken_is_in_it() -> None:
    log, _ = log_of(Server())
    base = manifest(file="binlog.000001", position=4, gtid="0-7-100,3-9-5", until=rfc3339(NOW + timedelta(seconds=8)))
    for seconds, leads in ((0, False), (7, False), (8, True), (60, True)):
        assert log.leads_to(base, RecoveryTarget(time=NOW + timedelta(seconds=seconds))) is leads, seconds
    for gtid, leads in {
        "0-7-99": False,
        "0-7-100": True,
        "0-8-101": True,
        "3-9-4,0-7-200": False,
        "5-1-1": True,
    }.items():
        assert log.leads_to(base, RecoveryTarget(name=gtid)) is leads, gtid
    assert log.leads_to(base, RecoveryTarget())
    assert log.leads_to(manifest(), RecoveryTarget(time=NOW)) and log.leads_to(manifest(), RecoveryTarget(name="0-7-1"))


@pytest.mark.parametrize("name", ["calls", "a\tb", "a\nb", "a\\tb", "a\\", "`a`", "'\"", "a;b", "a\u2028b"])
def test_a_table_may_have_any_name(name: str) -> None:
    def told(state: str) -> Any:
        written = name.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        box = SimpleNamespace(run=lambda *_, **__: Output(0, f"crm.{written}\tcheck\tstatus\t{state}\n", NO_WORDS))
        return SimpleNamespace(sandbox=box)

    assert check_tables(told("OK"), LOGIN, "crm", [("crm", name)]).status is Verdict.PASS
    assert check_tables(told("Corrupt"), LOGIN, "crm", [("crm", name)]).status is Verdict.FAIL
    assert check_tables(told("OK"), LOGIN, "crm", [("crm", name), ("crm", "other")]).status is Verdict.FAIL


def test_nothing_is_compared_beside_a_point_of_which_nothing_tells_when_it_was() -> None:
    """A GTID is no time: the base's own would be that of another state."""
    plan = SimpleNamespace(plan="p", assets={"recordings": SimpleNamespace()})
    job, check = SimpleNamespace(asset="crm", loaded=SimpleNamespace(plan=plan)), SimpleNamespace(beside="recordings")
    check.kind_name, check.label, check.needs_sandbox_beside = "reconcile", "every call has its file", False
    nothing = {"services": None, "repo": None, "run": None, "progress": None}
    others = Alongside(SimpleNamespace(job=job, **nothing), None, None, point=None, recovered=True, latest=False)  # type: ignore[arg-type]
    (result,) = others.compare(check, None, None)  # type: ignore[arg-type]
    assert result.status is Verdict.INCONCLUSIVE and "the time of the point that" in str(result.actual)


# --- what a log holds: `mariadb-binlog` is a program that says what a file says ---------------------------------------


class Shell:
    """This machine, with such a program."""

    def __init__(self, tmp_path: Path) -> None:
        program = tmp_path / "bin/mariadb-binlog"
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nfor last; do :; done\ncat "$last"; ! grep -q TORN "$last"\n')
        program.chmod(0o755)
        self._env = {"PATH": f"{program.parent}:/usr/bin:/bin"}

    def run(self, argv: list[str], *, env: dict[str, str], **_: Any) -> Output:
        done = subprocess.run(argv, env={**self._env, **env}, check=True, capture_output=True, text=True)
        return Output(0, done.stdout, NO_WORDS)

    def path(self, host: Path) -> str:
        return str(host)


def group(number: int, at: int, when: str, text: str = "", kind: str = "trans") -> str:
    """A transaction as `mariadb-binlog` writes it; rows where there is no text."""
    head = "server id 7  end_log_pos {} CRC32 0xc3657303 \t"
    body = (
        f"Query\tthread_id=5\nuse `a`/*!*/;\nSET TIMESTAMP=1/*!*/;\n{text}\n/*!*/;"
        if text
        else "Write_rows: table id 18"
    )
    return (
        f"# at {at}\n#{when} {head.format(at + 42)}GTID 0-7-{number} {kind} thread_id=5\nSTART TRANSACTION\n/*!*/;\n"
        f"# at {at + 42}\n#{when} {head.format(0)}{body}\n"
        f"# at {at + 60}\n#{when} {head.format(at + 100)}Xid = 7\nCOMMIT/*!*/;\n"
    )


def span_of(tmp_path: Path, *files: str, **asked: Any) -> span.Span:
    names = [f"binlog.{n:06}" for n, _ in enumerate(files, 1)]
    for name, text in zip(names, files, strict=True):
        (tmp_path / name).write_text(text)
    return span.read(Shell(tmp_path), tmp_path, names, 300, **asked)  # type: ignore[arg-type]


NINE = int(datetime(2026, 11, 25, 9, 0, 0, tzinfo=UTC).timestamp())


def test_where_a_time_lies_in_a_log(tmp_path: Path) -> None:
    first = group(1, 300, "261125  8:59:58") + group(2, 400, "261125  8:59:59")
    second = group(3, 300, "261125  9:00:00") + group(4, 400, "261125 10:00:00")
    found = span_of(tmp_path, first, second, second=NINE)
    assert found.stop == span.Stop("binlog.000002", 300, "0-7-3", None, "") and found.end == 500
    assert found.last == NINE + 3600 and not found.missing and not found.doubts


def test_what_claims_to_be_later_and_what_comes_after_it(tmp_path: Path) -> None:
    log = group(1, 300, "261125 10:00:00") + group(2, 400, "261125  8:59:50") + group(3, 500, "261125  8:59:58")
    found = span_of(tmp_path, log, second=NINE)
    assert found.stop == span.Stop("binlog.000001", 300, "0-7-1", NINE - 10, "0-7-3")


def test_a_file_that_cannot_be_read_to_its_end_is_named(tmp_path: Path) -> None:
    """And what comes after it is read all the same: a time that lies before the damage can be gone back to."""
    torn = group(1, 300, "261125  8:59:58") + "# at 400\nTORN"
    found = span_of(tmp_path, torn, group(3, 300, "261125  9:00:00"), second=NINE)
    assert found.broken == ("binlog.000001",) and found.stop == span.Stop("binlog.000002", 300, "0-7-3", None, "")
    assert span_of(tmp_path, group(1, 300, "261125  8:59:58")).broken == ()


@pytest.mark.parametrize(("stop", "bad"), [("binlog.000002", False), ("binlog.000003", True), (None, True)])
def test_damage_counts_where_the_log_leads_over_it(
    stop: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, bad: bool
) -> None:
    for n in (1, 2, 3):
        (tmp_path / f"binlog.{n:06}").write_bytes(b"x" * 100)
    base = manifest()
    at = span.Stop(stop, 50, "0-7-3", None, "") if stop else None
    monkeypatch.setattr(span, "read", lambda *_, **__: span.Span(100, None, {}, (), at, ("binlog.000002",)))

    def run(*_: Any, stdin: str = "", **__: Any) -> Output:
        return Output(0, "0\n" if "heartbeat" in stdin else "", NO_WORDS)

    box: Any = SimpleNamespace(run=run, path=str)
    with pytest.raises(BackupBad, match=r"binlog\.000002 is damaged") if bad else nullcontext():
        recover(box, LOGIN, "", tmp_path, base, RecoveryTarget(time=datetime(2026, 11, 25, 9, tzinfo=UTC)))


def test_gtids_that_a_log_does_not_hold(tmp_path: Path) -> None:
    assert span_of(tmp_path, group(1, 300, "261125  8:59:58"), gtids="0-7-1,1-7-1").missing == ("1-7-1",)


STATEMENTS = {"a statement": 1}
FROM_QUERY = {"a CREATE TABLE … SELECT that is logged as one statement": 1}


OF_WHOM = {"about the user who ran it (CURRENT_USER), whom the log does not tell": 1}
NUMBERED = {"an ALTER TABLE that numbers rows in the order in which they lie": 1}


def filled(by: str) -> dict[str, int]:
    return {f"an ALTER TABLE that adds a column whose default {by}": 1}


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (1)",
        "/* app */ Update t\nset a = 1",
        "/* app\n of two lines */ update t set a = uuid()",
        "-- app\n  insert\ninto t values (1)",
        "# at 5\nupdate t set a = uuid()",
        "update t set a = '\n# at 5\n'",
        "DELETE FROM t\nwhere rand() < 0.5",
        "DELETE FROM `a`.`t`\nwhere rand() < 0.5",
        "DELETE FROM `a`.`t` limit 3",
        "delete from t",
        "/*! insert into t values (1) */",
        "/*M! insert into t values (1) */",
        "/*M!100100 insert /* into */ into t values (1) */",
        "/*!99999 create procedure p() */ update t set a = 1",
        "SELECT `a`.`f`()",
        "set statement max_statement_time=9 for\ninsert into t values (1)",
        "analyze update t set a = uuid()",
        "begin not atomic update t set a = 1; end",
        "with c as (select 1) select f() from c",
        "create 'unended",
        "create procedure p() /* unended",
        "create something new",
    ],
)
def test_what_is_logged_as_a_statement(text: str, tmp_path: Path) -> None:
    for kind in ("trans", "ddl"):
        log = group(1, 300, "261125  8:59:58", text, kind) + group(2, 400, "261125  8:59:59")
        found = span_of(tmp_path, log)
        assert found.doubts == STATEMENTS and found.end == 500 and found.last == NINE - 1
        assert not span_of(tmp_path, log, second=NINE - 2).doubts, "it is behind the point"


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("create table t as select id, uuid() from u", FROM_QUERY),
        ("create or replace table t (a int)\nselect 1 a", FROM_QUERY),
        ("create table if not exists t as values (uuid())", FROM_QUERY),
        ("/*!40101 create table t as select 1 */", FROM_QUERY),
        ("create table t with x as (select 1) select * from x", FROM_QUERY),
        ("alter table t add column u uuid default uuid()", filled("calls uuid()")),
        ("ALTER TABLE t ADD u\n double\nDEFAULT /* x */ RAND ()", filled("calls rand()")),
        ("alter table t add u varchar(40) default (concat('a', uuid()))", filled("calls uuid()")),
        ("alter table t add u uuid default `uuid`()", filled("calls uuid()")),
        ("alter table t add (a int, u uuid default uuid())", filled("calls uuid()")),
        ("alter table t modify a int, add u uuid default uuid_v7()", filled("calls uuid_v7()")),
        ("alter table t add a varchar(80) default current_user", filled("calls current_user()")),
        ("alter table t add a int default @@server_id", filled("reads a variable")),
        ("alter table t add a int default (@a)", filled("reads a variable")),
        ("alter table t add a int default (default(u))", filled("is another column's")),
        ("alter table t add a int default next value for s", filled("reads a sequence")),
        ("alter table t add a int default nextval(s)", filled("calls nextval()")),
        ("set statement lock_wait_timeout=9 for alter table t add u uuid default uuid()", filled("calls uuid()")),
        ("alter table t add a int comment 'it\\'s', add u uuid default uuid()", filled("calls uuid()")),
        ("alter table t add id int auto_increment primary key", NUMBERED),
        ("alter table t add column if not exists id bigint not null auto_increment first, add key (id)", NUMBERED),
        ("alter table t modify id int auto_increment, auto_increment = 7", NUMBERED),
        ("alter table t add id serial", NUMBERED),
        (
            "alter ignore table t add unique (a)",
            {"an ALTER IGNORE TABLE that keeps of equal rows the one that lies first": 1},
        ),
        (
            "alter online ignore table t add unique (a)",
            {"an ALTER IGNORE TABLE that keeps of equal rows the one that lies first": 1},
        ),
        ("grant r to current_user()", OF_WHOM),
        ("alter user current_user password expire never", OF_WHOM),
        ("drop role if exists r, current_role", OF_WHOM),
        ("alter table t import tablespace", {"an ALTER TABLE that takes its rows from files": 1}),
    ],
)
def test_definitions_that_may_not_do_the_same_again(text: str, doubts: dict[str, int], tmp_path: Path) -> None:
    log = group(1, 300, "261125  8:59:58", text, "ddl") + group(2, 400, "261125  8:59:58")
    assert span_of(tmp_path, log).doubts == doubts


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "trans"),
        ("create table t (i int)", "ddl"),
        ("create trigger x after insert on t for each row\ninsert into u values (1)", "ddl"),
        ("DROP TEMPORARY TABLE `t` /* generated by server */", ""),
        ("TRUNCATE TABLE `a`.`live`", ""),
        ("DELETE FROM `a`.`live`", ""),
        ("SAVEPOINT `x`", "trans"),
        ("ROLLBACK TO `x`", "trans"),
        ("COMMIT", ""),
        ("XA PREPARE X'7831',X'',1", "trans"),
        ("/* a comment\n alone */", "trans"),
        ("CREATE TABLE `made` (\n  `id` int(11) NOT NULL,\n  `select` uuid NOT NULL\n)", "ddl"),
        ("create table t (u uuid default uuid(), a varchar(80) default current_user)", "ddl"),
        ("create table crm.select (a int) partition by list (a) (partition p values in (1))", "ddl"),
        ("create temporary table t as select uuid()", "ddl"),
        ("create procedure p()\nbegin\n  update t set a = uuid();\n# at 5\nend", "ddl"),
        ("CREATE DEFINER=`root`@`localhost` FUNCTION f() returns int return rand()", "ddl"),
        ("CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW `v` AS select uuid()", "ddl"),
        ("/*!50003 CREATE*/ /*!50003 TRIGGER x before insert on t for each row set new.a=uuid() */", "ddl"),
        ("create event e on schedule every 1 day do update t set a = rand()", "ddl"),
        ("alter table t add a datetime default now(), add b timestamp default current_timestamp()", "ddl"),
        ("alter table t alter u set default uuid()", "ddl"),
        ("alter table t modify u uuid default uuid()", "ddl"),
        ("alter table t change u v uuid not null default (uuid()), drop column w", "ddl"),
        ("alter table t add index user (user), add key version(version), default charset=utf8mb4", "ddl"),
        ("alter table t add a int default 1 references user(id)", "ddl"),
        ("alter table t add a varchar(40) default 'uuid()' comment 'it\\'s rand()' /* uuid() */", "ddl"),
        ("alter table t add `default uuid()` int, add uuid uuid, add `user` int default 5", "ddl"),
        ("alter table t add a int -- default uuid()\n, add b int # default rand()\n", "ddl"),
        ("alter table t auto_increment = 5, add `auto_increment` int, add serial varchar(40), add key (serial)", "ddl"),
        ("alter table t auto_increment 5, rename column a to serial, drop `serial`", "ddl"),
        ("create table t (id int auto_increment primary key, s serial)", "ddl"),
        ("alter table `ignore` add `import` int, add ignored int, comment 'import tablespace'", "ddl"),
        ("create index version on t (version)", "ddl"),
        ("analyze table t", "ddl"),
        ("optimize local table t", "ddl"),
        ("grant select on *.* to a@b", "ddl"),
        ("SET PASSWORD FOR 'root'@'localhost'=''", "ddl"),
        ("alter user `current_user`@h account lock", "ddl"),
        ("drop table `current_role`", "ddl"),
        ("SET DEFAULT ROLE 'r1' FOR 'root'@'localhost'", "ddl"),
        ("set statement max_statement_time=9 for alter table t add s int", "ddl"),
    ],
)
def test_what_does_the_same_again(text: str, kind: str, tmp_path: Path) -> None:
    log = group(1, 300, "261125  8:59:58", text, kind) + group(2, 400, "261125  8:59:58")
    found = span_of(tmp_path, log)
    assert not found.doubts and found.end == 500


def test_a_text_is_read_as_its_session_meant_it(tmp_path: Path) -> None:
    """Settings are told when they change, and hold on."""

    def read(settings: str, text: str) -> Any:
        log = group(1, 300, "261125  8:59:58", "create table t (i int)", "ddl")
        log = log.replace("use `a`/*!*/;", f"{settings}/*!*/;\nuse `a`/*!*/;")
        return span_of(tmp_path, log + group(2, 400, "261125  8:59:58", text, "ddl")).doubts

    as_usual, no_backslashes = "SET @@session.sql_mode=0", f"SET @@session.sql_mode={1 << 20}"
    hidden = "alter table t add a char(1) default '\\', add u uuid default uuid() comment ' or'"
    assert read(no_backslashes, hidden) == filled("calls uuid()") and read(as_usual, hidden) == STATEMENTS
    named = 'alter table t add a int default "uuid"()'
    assert read("SET @@session.sql_mode=4", named) == filled("calls uuid()") and not read(as_usual, named)
    wide = "alter table t add a int comment 'é\\'', add b int"
    assert read("/*!\\C sjis *//*!*/;\nSET @@session.sql_mode=0", wide) == STATEMENTS and not read(as_usual, wide)


LOCAL = "an ALTER TABLE that may turn times into others by the time zone of the source's system"
OF_A_ZONE = {
    "alter table t add at datetime default now()": True,
    "alter table t add (a int, on_ date default (curdate()), b timestamp null)": True,
    "alter table t add at timestamp default '2026-07-01 10:00:00'": True,
    "alter table t add u bigint as (unix_timestamp(at)) stored": True,
    "alter table t add u bigint as (unix_timestamp(at)) virtual, add stored int": False,
    "alter table t modify at datetime(6) not null": True,
    "alter table t change at told varchar(40), add b int": True,
    "set statement lock_wait_timeout=9 for alter table t add at datetime default current_timestamp": True,
    "alter table t add at timestamp(6) not null default current_timestamp(6) on update current_timestamp(6)": False,
    "alter table t add a int default 5, add at timestamp null default null, add b datetime": False,
    "alter table t alter at set default now(), add key (at), drop now": False,
    "create table t (at datetime default now())": False,
}


@pytest.mark.parametrize("text", OF_A_ZONE)
def test_times_are_not_told_again_by_another_time_zone(text: str, tmp_path: Path) -> None:
    """That of the source's system is told as SYSTEM; it holds on until another is told."""

    def read(zone: str, *, local: bool = True) -> Any:
        log = group(1, 300, "261125  8:59:58", text, "ddl")
        set_ = f"SET @@session.time_zone='{zone}'/*!*/;\nuse `a`/*!*/;"
        return span_of(tmp_path, log.replace("use `a`/*!*/;", set_), local=local).doubts

    assert read("SYSTEM") == ({LOCAL: 1} if OF_A_ZONE[text] else {})
    assert not read("SYSTEM", local=False) and not read("+02:00") and not read("Europe/Berlin")


@pytest.mark.parametrize(("phases", "many"), [
    (("START ALTER", "COMMIT ALTER id= 1"), 1), (("COMMIT ALTER id= 77",), 1), (("START ALTER", "ROLLBACK ALTER id= 1"), 1),
    ((), 0),
])  # fmt: skip
@pytest.mark.parametrize("last", [True, False])
def test_an_alter_in_two_phases_is_not_told(phases: tuple[str, ...], many: int, tmp_path: Path, *, last: bool) -> None:
    """Its text is printed in neither, so nobody can tell what it does."""
    each = [group(n, 300 + 100 * n, "261125  8:59:58", "nothing", f"ddl {said}") for n, said in enumerate(phases, 1)]
    log = "".join(text.partition("nothing\n")[0] for text in each)
    log += "DELIMITER ;\n# End of log file\n" if last else group(9, 900, "261125  8:59:58")
    kind = "an ALTER TABLE in two phases, whose text is not told (binlog_alter_two_phase)"
    assert span_of(tmp_path, log).doubts == ({kind: many} if many else {})


def test_a_statement_that_ended_in_an_error_ends_in_one_here_too(tmp_path: Path) -> None:
    """What it had done by then is in the log with it."""
    text = "DROP TABLE `t`,`missing`"
    log = group(1, 300, "261125  8:59:58", text, "ddl") + group(2, 400, "261125  8:59:59")
    for error, doubts in ((0, {}), (1051, {"a statement that ended in an error half-way": 1})):
        told = log.replace("thread_id=5\nuse", f"thread_id=5\texec_time=0\terror_code={error}\txid=0\nuse")
        assert span_of(tmp_path, told).doubts == doubts
        assert not span_of(tmp_path, told, second=NINE - 2).doubts, "it is behind the point"


@pytest.mark.parametrize(("zone", "local"), [("CEST", True), ("GMT", True), ("UTC", False)])
@pytest.mark.parametrize("position", [100, 101])
def test_a_log_is_read_from_within_its_file_and_with_its_sources_time_zone(
    position: int, zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, local: bool
) -> None:
    """One whose file ends before its base is of a source that was put back: what follows is of another history."""
    for n in (1, 2):
        (tmp_path / f"binlog.{n:06}").write_bytes(b"x" * 100)
    base = manifest({"system_time_zone": zone}, position=position)
    asked: dict[str, Any] = {}

    def read(*_: Any, **how: Any) -> span.Span:
        asked.update(how)
        raise TestBroken("read")

    monkeypatch.setattr(span, "read", read)
    with (
        pytest.raises(BackupBad, match=r"ends at 100, .*goes on from 101")
        if position > 100
        else pytest.raises(TestBroken)
    ):
        recover(None, LOGIN, "", tmp_path, base, RecoveryTarget())  # type: ignore[arg-type]
    assert asked.get("local") == (local if position == 100 else None)


@pytest.mark.parametrize("image", ["FULL", "NOBLOB", "MINIMAL"])
@pytest.mark.parametrize("versioned", ["crm.past\n", ""])
def test_history_of_rows_that_the_log_does_not_hold_whole_is_not_proven(
    image: str, versioned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "binlog.000001").write_bytes(b"x" * 100)
    base = manifest({"binlog_row_image": image})
    monkeypatch.setattr(span, "read", lambda *_, **__: span.Span(100, None, {}, (), None))

    def run(*_: Any, stdin: str = "", **__: Any) -> Output:
        told = versioned if "blob|text" in stdin else "0\n" if "heartbeat" in stdin else ""
        return Output(0, told, NO_WORDS)

    box: Any = SimpleNamespace(run=run, path=str)
    lost = image == "NOBLOB" and versioned
    with pytest.raises(TestBroken, match=r"crm\.past keeps its history") if lost else nullcontext():
        assert recover(box, LOGIN, "", tmp_path, base, RecoveryTarget()).position == "binlog.000001:100"


@pytest.mark.parametrize(("said", "error"), [
    ("ERROR 1286 (42000) at line 9: Unknown storage engine 'ARCHIVE'", TestBroken),
    ("ERROR 1051 (42S02) at line 9: Unknown table 'crm.missing'", TestBroken),
    ("ERROR 1005 (HY000) at line 9: Can't create table `crm`.`t` (errno: 140 \"Wrong create options\")", TestBroken),
    ("ERROR 1105 (HY000) at line 9: Unknown error", TestBroken),
    ("ERROR 1429 (HY000) at line 9: Unable to connect to foreign data source: far", TestBroken),
    ("ERROR 1146 (42S02) at line 9: Table 'crm.calls' doesn't exist", BackupBad),
])  # fmt: skip
def test_what_the_image_lacks_or_the_source_lacked_is_no_fault_of_the_log(said: str, error: type[CcdrError]) -> None:
    def run(*_: Any, **__: Any) -> Output:
        raise CommandFailed(["bash"], 1, said)

    with pytest.raises(error):
        _apply(SimpleNamespace(run=run, path=str), LOGIN, [], 4, "")  # type: ignore[arg-type]


def test_texts_are_counted_and_not_quoted(tmp_path: Path, wording: SnapshotAssertion) -> None:
    add = "alter table secret add u uuid default uuid()"
    texts = [add, add, "update secret set a = 1", "/* b\n */ update secret set a = 1", "create table t (i int)", add]
    log = "".join(group(n, 300 + 100 * n, "261125  8:59:58", text, "ddl") for n, text in enumerate(texts))
    held = span_of(tmp_path, log)
    assert held.doubts == {"a statement": 2, **dict.fromkeys(filled("calls uuid()"), 3)}
    with pytest.raises(TestBroken, match="2 changes are in the log as statements"):
        require_the_same_again(held.doubts)
    with pytest.raises(TestBroken) as told:
        require_the_same_again(filled("calls uuid()"))
    assert str(told.value) == wording
    require_the_same_again({})


def test_a_text_that_is_too_long_to_be_read_is_in_doubt(tmp_path: Path) -> None:
    long = "create procedure p()\n" + ("-- nothing" * 100 + "\n") * 2_000 + "select 1"
    log = group(1, 300, "261125  8:59:58", long, "ddl") + group(2, 400, "261125  8:59:58")
    found = span_of(tmp_path, log)
    assert found.doubts == STATEMENTS and found.end == 500


HARMLESS = ["alter table t add a int", "create table t (u uuid default uuid())", "analyze table t", "DROP TABLE `t`"]
HARMFUL = ["update t set a = uuid()", "DELETE FROM t where a", "alter table t add u uuid default uuid()", "do f()"]
SPACE = st.lists(st.sampled_from([" ", "\n", "\t", "/* x */", "/* a\n'b */", "-- it's\n", '# "x\n']), min_size=1).map(
    lambda each: f" {''.join(each)} "
)


@given(st.sampled_from(HARMLESS), st.sampled_from(HARMFUL), st.data())
def test_comments_and_spaces_change_nothing(harmless: str, harmful: str, data: st.DataObject) -> None:
    def spaced(text: str) -> str:
        return data.draw(SPACE) + "".join(f"{word}{data.draw(SPACE)}" for word in text.split(" "))

    assert doubt(spaced(harmless)) is None
    assert doubt(spaced(harmful)) is not None
    assert doubt(f"/*!50000{spaced(harmful)}*/") is not None and doubt(f"/*M!{spaced(harmless)}*/") is None
    assert doubt(f"/*{harmful}*/{harmless}") is None


def test_transactions_that_wait_for_a_word_from_elsewhere_are_told(wording: SnapshotAssertion) -> None:
    def place(said: str) -> Any:
        return SimpleNamespace(run=lambda *_, **__: Output(0, said, NO_WORDS))

    assert prepared_notes(place(""), LOGIN, "they are lost") == []
    (note,) = prepared_notes(place("1\t4\t0\t'open'\n1\t5\t0\t'other'\n"), LOGIN, "they are lost")
    assert note == wording
