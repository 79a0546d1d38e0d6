"""MariaDB's log without a server: whether it holds everything, how old a replica's data is, which base leads where."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccdr.alongside import Alongside
from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb import span
from ccdr.engines.mariadb.binlog import Binlog
from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.origin import origin_of
from ccdr.engines.mariadb.physical.capture import Course
from ccdr.engines.mariadb.questions import check_tables
from ccdr.errors import BackupFailed
from ccdr.interfaces import Output, Source, Target
from ccdr.model import Manifest, Verdict, rfc3339

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
        return Output(0, next(said for word, said in self.said.items() if word in stdin), "")


def manifest(**binlog: object) -> Manifest:
    return Manifest("p", "a", "r", "mariadb", "physical", "h", NOW, 0.0, {}, {"binlog": binlog})


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
        assert log.leads_to(base, Target(time=NOW + timedelta(seconds=seconds))) is leads, seconds
    for gtid, leads in {
        "0-7-99": False,
        "0-7-100": True,
        "0-8-101": True,
        "3-9-4,0-7-200": False,
        "5-1-1": True,
    }.items():
        assert log.leads_to(base, Target(name=gtid)) is leads, gtid
    assert log.leads_to(base, Target())
    older = manifest(file="binlog.000001", position=4, gtid="")
    assert log.leads_to(older, Target(time=NOW)) and log.leads_to(older, Target(name="0-7-1"))


@pytest.mark.parametrize("name", ["calls", "a\tb", "a\nb", "a\\tb", "a\\", "`a`", "'\"", "a;b", "a\u2028b"])
def test_a_table_may_have_any_name(name: str) -> None:
    def told(state: str) -> Any:
        written = name.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        return SimpleNamespace(run=lambda *_, **__: Output(0, f"crm.{written}\tcheck\tstatus\t{state}\n", ""))

    assert check_tables(told("OK"), LOGIN, "crm", [("crm", name)]).status is Verdict.PASS
    assert check_tables(told("Corrupt"), LOGIN, "crm", [("crm", name)]).status is Verdict.FAIL
    assert check_tables(told("OK"), LOGIN, "crm", [("crm", name), ("crm", "other")]).status is Verdict.FAIL


def test_nothing_is_compared_beside_a_point_of_which_nothing_tells_when_it_was() -> None:
    """A GTID is no time: the base's own would be that of another state."""
    plan = SimpleNamespace(plan="p", assets={"recordings": SimpleNamespace(recordable=str)})
    job, check = SimpleNamespace(asset="crm", loaded=SimpleNamespace(plan=plan)), SimpleNamespace(beside="recordings")
    check.kind_name, check.label, check.needs_sandbox_beside = "reconcile", "every call has its file", False
    others = Alongside(job, None, None, None, None, None, None, point=None, recovered=True, latest=False)  # type: ignore[arg-type]
    (result,) = others.compare(check, None, None)  # type: ignore[arg-type]
    assert result.status is Verdict.INCONCLUSIVE and "nothing tells when the point was" in str(result.actual)


# --- what a log holds: `mariadb-binlog` is a program that says what a file says ---------------------------------------


class Shell:
    """This machine, with such a program."""

    def __init__(self, tmp_path: Path) -> None:
        program = tmp_path / "bin/mariadb-binlog"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\nfor last; do :; done\ncat "$last"\n')
        program.chmod(0o755)
        self._env = {"PATH": f"{program.parent}:/usr/bin:/bin"}

    def run(self, argv: list[str], *, env: dict[str, str], **_: Any) -> Output:
        done = subprocess.run(argv, env={**self._env, **env}, check=True, capture_output=True, text=True)
        return Output(0, done.stdout, "")

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
    assert found.last == NINE + 3600 and not found.missing and not found.statements


def test_what_claims_to_be_later_and_what_comes_after_it(tmp_path: Path) -> None:
    log = group(1, 300, "261125 10:00:00") + group(2, 400, "261125  8:59:50") + group(3, 500, "261125  8:59:58")
    found = span_of(tmp_path, log, second=NINE)
    assert found.stop == span.Stop("binlog.000001", 300, "0-7-1", NINE - 10, "0-7-3")


def test_gtids_that_a_log_does_not_hold(tmp_path: Path) -> None:
    assert span_of(tmp_path, group(1, 300, "261125  8:59:58"), gtids="0-7-1,1-7-1").missing == ("1-7-1",)


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("", "trans", 0),
        ("insert into t values (1)", "trans", 1),
        ("/* app */ Update t\nset a = 1", "trans", 1),
        ("-- app\n  insert\ninto t values (1)", "", 1),
        ("SELECT `a`.`f`()", "trans", 1),
        ("create table t (i int)", "ddl", 0),
        ("create trigger x after insert on t for each row\ninsert into u values (1)", "ddl", 0),
        ("DROP TEMPORARY TABLE `t` /* generated by server */", "", 0),
        ("TRUNCATE TABLE `a`.`live`", "", 0),
        ("DELETE FROM `a`.`live`", "", 0),
        ("SAVEPOINT `x`", "trans", 0),
    ],
)
def test_what_is_logged_as_a_statement(text: str, kind: str, count: int, tmp_path: Path) -> None:
    log = group(1, 300, "261125  8:59:58", text, kind) + group(2, 400, "261125  8:59:58")
    assert span_of(tmp_path, log).statements == count
