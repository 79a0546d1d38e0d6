"""What is concluded of a restored MariaDB database from a second dump of it: the texts of a real one (`dumps/mariadb`),
one damage each, and the database that came back as it was."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump.identity import compare
from ccdr.model.answers import NO_WORDS
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOGIN = Login(("--socket=/s",))
TEXTS = {
    name: (Path(__file__).parent / "dumps/mariadb" / name).read_text()
    for name in ("tables.sql", "code.sql", "views.sql")
}
STREAM = (Path(__file__).parent / "dumps/mariadb/rows.sql").read_text()
SETTINGS = {"sql_mode": "STRICT_TRANS_TABLES", "div_precision_increment": "4"}
OBJECTS: list[list[Any]] = [
    ["table", "call", "BASE TABLE", "InnoDB", "t", 16384, ""],
    ["table", "seat", "BASE TABLE", "InnoDB", "t", 16384, ""],
    ["table", "ticket", "SEQUENCE", "InnoDB", "t", 16384, ""],
    ["view", "answered", "root@localhost", "DEFINER", "NONE", "md5"],
    ["routine", "function", "f", "root@localhost", "t"],
    ["event", "tidy", "root@localhost", "t", "ENABLED"],
    ["trigger", "stamp", "root@localhost", "call", "BEFORE", "INSERT", 1, "t"],
]
NAMED = {
    "event tidy": "ENABLED", "function f": "", "sequence ticket": "",
    "trigger stamp": "BEFORE INSERT of call, number 1", "view answered": "DEFINER, check option NONE",
}  # fmt: skip
DEFINERS = dict.fromkeys(("event tidy", "function f", "trigger stamp", "view answered"), "root@localhost")
USERS = "CREATE ROLE `reader`;\nCREATE USER `app`@`10.%` IDENTIFIED BY PASSWORD '*B69027';\nGRANT SELECT ON `crm`.* TO `reader`;\n"
GRANTS = "GRANT UPDATE ON `crm`.`call` TO `app`@`10.%`;\n"


def blocks(stream: str) -> tuple[str, dict[str, str], str]:
    """A stream of rows: what it begins with, each table's part, what it ends with."""
    mark, end = "\n--\n-- Dumping data for table `", "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE"
    head, *parts = stream.split(mark)
    parts[-1], _, tail = parts[-1].partition(end)
    return head, {part.partition("`")[0]: mark + part for part in parts}, end + tail


@dataclass
class Call:
    argv: list[str]
    stdin: str
    env: dict[str, str]
    what: str | None
    watch: Path | None


@dataclass
class Server:
    """The restored server, and the programs beside it: it answers what was captured, until something is damaged."""

    top: Path
    database: str = "crm"
    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    rows: dict[str, str] = field(default_factory=lambda: blocks(STREAM)[1])
    objects: list[list[Any]] = field(default_factory=lambda: copy.deepcopy(OBJECTS))
    settings: dict[str, str] = field(default_factory=lambda: {"version": "11.8.9", **SETTINGS})
    of_database: list[str] = field(default_factory=lambda: ["utf8mb4", "utf8mb4_unicode_ci", "the centre"])
    rules: list[list[str]] = field(default_factory=lambda: [["call", "CONSTRAINT_1", "`cost` >= 0"]])
    broken: int = 0
    users: list[list[str]] = field(default_factory=lambda: [["reader", "", "Y"], ["app", "10.%", "N"]])
    accounts: dict[str, str] = field(default_factory=lambda: {"create": USERS, "grants": GRANTS})
    calls: list[Call] = field(default_factory=list)

    def path(self, host: Path) -> str:
        return str(host).replace(f"{self.top}/out", f"{self.top}/inside")

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None,
        what: str | None = None, watch: Path | None = None, ok: Sequence[int] = (0,),
    ) -> Output:  # fmt: skip
        self.calls.append(Call(list(argv), stdin or "", dict(env or {}), what, watch))
        return Output(0, self.answer(list(argv), stdin or "", env or {}), NO_WORDS)

    def answer(self, argv: list[str], sql: str, env: Mapping[str, str]) -> str:
        if argv[0] == "bash":
            return self.rows_of(argv, env)
        if argv[0] == "mariadb-dump":
            return self.definitions(argv)
        if "SHOW CREATE USER" in sql:
            return "".join(f"{s}\n" for s in self.accounts["create"].split(";\n") if s.startswith("CREATE USER"))
        if "SHOW GRANTS" in sql:
            both = self.accounts["create"] + self.accounts["grants"]
            return "".join(f"{s}\n" for s in both.split(";\n") if s.startswith("GRANT"))
        return "".join(f"{json.dumps(row)}\n" for row in self.asked(sql))

    def asked(self, sql: str) -> Sequence[list[Any]]:
        if "mysql.user" in sql:
            return self.users
        if "check_constraints" in sql:
            assert f"'{self.database}'" in sql
            return self.rules
        if "SUM(NOT" in sql:
            return [[table, self.broken] for table, *_ in self.rules]
        if "global_variables" in sql:
            assert f"'{self.database}'" in sql
            return [
                *(["setting", name, value] for name, value in self.settings.items()),
                ["database", *self.of_database], ["bytes", 0, 0], ["utc offset", 0], ["zones", 0], ["installed", "t"],
            ]  # fmt: skip
        assert f"'{self.database}'" in sql and "mysql.proc" in sql
        return self.objects

    def rows_of(self, argv: list[str], env: Mapping[str, str]) -> str:
        """The real program that parts the stream, with the stream of those tables that are asked for."""
        at = argv.index("mariadb-dump")
        assert argv[at + 1] == "--socket=/s" and "--single-transaction" in argv and "--lock-tables" not in argv
        database, *tables = argv[argv.index("--") + 1 :]
        assert database == self.database
        head, _, tail = blocks(STREAM)
        stream = head + "".join(self.rows[t] for t in tables if t in self.rows) + tail
        called = [*argv[:at], "printf", "%s", stream]
        assert os.stat(env["MAP"]).st_mode & 0o777 == 0o644, "the sandbox's user reads it, and nobody else writes"
        return subprocess.run(called, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout

    def definitions(self, argv: list[str]) -> str:
        to = Path(next(a for a in argv if a.startswith("--result-file=")).partition("=")[2])
        database, *views = argv[argv.index("--") + 1 :]
        assert database == self.database and to.parent.name == "again" and "inside" in to.parts
        assert os.stat(to.parent).st_mode & 0o777 == 0o777, "the sandbox's user writes there"
        assert os.stat(to.parent / "rows").st_mode & 0o777 == 0o777
        assert views == (["answered"] if to.name == files.VIEWS else [])
        assert (f"--ignore-table={database}.answered" in argv) is (to.name != files.VIEWS and "answered" in self.views)
        assert ("--routines" in argv) is (to.name == files.CODE)
        to.write_text(self.texts[to.name])
        return ""

    @property
    def views(self) -> list[str]:
        return [row[1] for row in self.objects if row[0] == "view"]


@functools.cache
def captured_rows() -> dict[str, str]:
    """Each table's file as the stream is parted at the capture, by its form that the documents of `files` promise."""
    head, parts, _ = blocks(STREAM)
    kept = "".join(f"{line}\n" for line in head.split("\n") if line and not line.startswith(("--", "/*M!999999")))
    found = {}
    for table, part in parts.items():
        body = [line for line in part.split("\n") if line and not line.startswith("--")]
        found[table] = (
            f"-- Dumping data for table `{table}`\n{kept}" + "".join(f"{b}\n" for b in body) + "-- Dump completed\n"
        )
    return found


@dataclass
class Restored:
    server: Server
    contents: dict[str, Any]
    files: dict[str, FileDigest]

    @property
    def top(self) -> Path:
        return self.server.top

    def results(self, working: str | None = None, jobs: int = 2) -> dict[str, CheckResult]:
        manifest = Manifest("p", "crm", "r", "mariadb", "dump", "h", NOW, 0.0, {}, self.contents, self.files)
        restored, out = self.top / "restored", self.top / "out"
        host = Sorting()
        context = CheckContext(
            manifest, self.top, restored, out, cast("Any", self.server), cast("Any", host), cast("Any", digest)
        )
        results = list(compare(context, LOGIN, jobs, working=working))
        assert all(one.kind == "identical" and one.detail is None for one in results)
        return {one.name: one for one in results}

    def file(self, name: str, text: str) -> None:
        """A captured file says otherwise, and the manifest with it."""
        (self.top / "restored" / name).write_text(text)
        self.files[name] = FileDigest(0, sha256(text.encode()).hexdigest())


class Sorting:
    """This host: its `sort` is the real one."""

    def run(self, argv: Sequence[str], *, what: str) -> Output:
        assert what and Path(argv[5]).name == "out", "where it spills to"
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return Output(0, done.stdout, NO_WORDS)


def digest(root: Path, names: Sequence[str]) -> dict[str, FileDigest]:
    return {n: FileDigest(0, sha256((root / n).read_bytes()).hexdigest()) for n in names}


@pytest.fixture(autouse=True)
def private() -> Iterator[None]:
    """Whatever our umask: the sandbox's user is not ours."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    (tmp_path / "restored/rows").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "inside").symlink_to("out")
    contents: dict[str, Any] = {
        "version": "11.8.9", "database": "crm", "settings": dict(SETTINGS), "charset": "utf8mb4",
        "collation": "utf8mb4_unicode_ci", "comment_sha256": sha256(b"the centre").hexdigest(), "rounded": [],
        "objects": dict(NAMED), "definers": dict(DEFINERS), "without_rows": [], "histories": False,
    }  # fmt: skip
    found = Restored(Server(tmp_path), contents, {})
    for name, text in {**TEXTS, "users.sql": USERS, "grants.sql": GRANTS, "database.sql": "CREATE DATABASE"}.items():
        found.file(name, text)
    tables = {}
    for table, text in captured_rows().items():
        found.file(f"rows/{table}.sql", text)
        rows = sum(line.startswith("(") for line in text.split("\n"))
        tables[table] = {
            "rows": rows,
            "sha256": sha256(text.encode()).hexdigest(),
            "file": f"rows/{table}.sql",
            "engine": "InnoDB",
        }
    contents["tables"] = tables
    return found


def failed(results: Mapping[str, CheckResult]) -> dict[str, str]:
    assert all(one.status in (Verdict.PASS, Verdict.FAIL) for one in results.values())
    return {name: one.actual for name, one in results.items() if one.status is Verdict.FAIL}


KINDS = "triggers, routines, events, views, sequences"
ALL = {
    "definitions and users, as captured": ("6 as captured", "6, equal"),
    "tables": ("2 tables, 5 rows", "2 tables, 5 rows, equal by SHA-256"),
    "definitions": ("11 parts of tables.sql, code.sql, views.sql", "11 parts, equal"),
    "auto-increments": ("1 as captured, or further", "1, none set back"),
    KINDS: ("5 as captured", "5, equal"),
    "definers": ("4 as captured", "4, equal"),
    "the database itself": ("3 as captured", "3, equal"),
    "users and grants": ("4 statements", "4 statements, equal"),
    "server settings": ("2 as captured", "2, equal"),
}


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_database_that_came_back_as_it_was_passes_each_and_says_so(restored: Restored, jobs: int) -> None:
    results = restored.results(jobs=jobs)
    assert {name: (one.expected, one.actual) for name, one in results.items()} == ALL
    assert all(one.status is Verdict.PASS for one in results.values())
    calls = restored.server.calls
    dumps = [c for c in calls if c.argv[0] in ("bash", "mariadb-dump")]
    assert len(dumps) == min(jobs, 2) + 3, "rows by each client, and three texts"
    assert all(c.what and c.watch == restored.top / "out/again" for c in dumps), "whoever writes is seen to go on"
    assert {c.what for c in dumps if c.argv[0] == "mariadb-dump"} == {
        "dumping tables.sql again", "dumping code.sql again", "dumping views again"
    }  # fmt: skip


def test_a_database_without_tables_or_views_passes(restored: Restored) -> None:
    restored.server.objects = []
    restored.server.rows = {}
    restored.server.texts["views.sql"] = "not asked for"
    restored.contents |= {"objects": {}, "definers": {}, "tables": {}}
    (restored.top / "restored/views.sql").unlink()
    del restored.files["views.sql"]
    results = restored.results()
    assert failed(results) == {} and results["tables"].actual == "0 tables, 0 rows, equal by SHA-256"
    assert results["definitions"].expected.startswith("8 parts")


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_table_that_is_gone_or_new_is_named(restored: Restored) -> None:
    del restored.server.objects[1]
    restored.server.objects.append(["table", "planted", "BASE TABLE", "InnoDB", "t", 1, ""])
    restored.server.rows["planted"] = restored.server.rows["seat"].replace("seat", "planted")
    results = restored.results()
    assert failed(results) == {"tables": "planted: not in the backup; seat: missing"}
    assert results["tables"].expected == "2 tables, 5 rows"


def test_many_tables_that_are_gone_are_named_in_order_and_in_part(restored: Restored) -> None:
    for n in range(9):
        restored.contents["tables"][f"a{n}"] = restored.contents["tables"]["seat"]
    named = "; ".join(f"a{n}: missing" for n in range(6))
    assert failed(restored.results()) == {"tables": f"{named} and 3 more"}


def test_a_table_of_which_no_rows_came_is_missing_though_it_is_there(restored: Restored) -> None:
    del restored.server.rows["seat"]
    assert failed(restored.results()) == {"tables": "seat: missing"}


def swapped(restored: Restored) -> None:
    rows = restored.server.rows
    rows["seat"] = rows["seat"].replace("(2,'b'),\n(1,'a');", "(1,'a'),\n(2,'b');")


def in_one_line(restored: Restored) -> None:
    """As an older client writes each row, in a statement of its own."""
    rows = restored.server.rows
    rows["seat"] = rows["seat"].replace(
        "INSERT INTO `seat` VALUES\n(2,'b'),\n(1,'a');",
        "INSERT INTO `seat` (`n`, `who`) VALUES (1,'a');\nINSERT INTO `seat` (`n`, `who`) VALUES (2,'b');",
    )


@pytest.mark.parametrize("otherwise", [swapped, in_one_line])
def test_rows_in_another_order_or_form_are_equal_and_told(
    restored: Restored, otherwise: Callable[[Restored], None]
) -> None:
    otherwise(restored)
    one = restored.results()["tables"]
    assert (one.status, one.actual) == (
        Verdict.PASS, "2 tables, 5 rows, equal by SHA-256, 1 in another order or form"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(1,'a')", "(1,'A')", "seat: 2 rows captured, 2 restored, contents differ"),
        ("(2,'b'),\n(1,'a');", "(2,'b');", "seat: 2 rows captured, 1 restored, contents differ"),
        ("(1,'a');", "(1,'a'),\n(1,'a');", "seat: 2 rows captured, 3 restored, contents differ"),
    ],
)
def test_a_row_that_is_other_gone_or_twice_fails(restored: Restored, old: str, new: str, said: str) -> None:
    assert old in restored.server.rows["seat"]
    restored.server.rows["seat"] = restored.server.rows["seat"].replace(old, new)
    results = restored.results()
    assert failed(results) == {"tables": said}


def test_one_row_is_counted_as_one(restored: Restored) -> None:
    restored.contents["tables"]["seat"] |= {"rows": 1}
    assert failed(restored.results()) == {"tables": "seat: 1 row captured, 2 restored, contents differ"}


def test_rows_are_compared_only_with_a_file_that_is_the_captured_one(restored: Restored) -> None:
    """Else a damaged file that was loaded would prove itself."""
    path = restored.top / "restored/rows/seat.sql"
    path.write_text(path.read_text().replace("(1,'a')", "(1,'X')"))
    restored.server.rows["seat"] = restored.server.rows["seat"].replace("(1,'a')", "(1,'X')")
    assert failed(restored.results()) == {"tables": "seat: 2 rows captured, 2 restored, contents differ"}


def test_another_number_of_rows_than_the_manifest_has_fails(restored: Restored) -> None:
    swapped(restored)
    restored.contents["tables"]["seat"]["rows"] = 7
    assert failed(restored.results()) == {"tables": "seat: 7 rows captured, 2 restored, contents differ"}


def test_what_the_source_itself_breaks_or_rounds_is_told_and_is_no_failure(restored: Restored) -> None:
    restored.server.broken = 3
    restored.contents["rounded"] = ["call.cost", "call.fee"]
    one = restored.results()["tables"]
    assert one.status is Verdict.PASS and one.actual == (
        "2 tables, 5 rows, equal by SHA-256; rows break a CHECK of their table, as they do at the source: "
        "call.CONSTRAINT_1 (3); 2 FLOAT columns to six digits, as dumped"
    )


def test_of_many_broken_rules_some_are_named(restored: Restored) -> None:
    restored.server.rules = [[f"t{n}", "c", "x"] for n in range(8)]
    restored.server.broken = 1
    named = restored.results()["tables"].actual.partition("source: ")[2]
    assert named == ", ".join(f"t{n}.c (1)" for n in range(6))


def test_the_history_of_versioned_rows_is_dumped_with_them(restored: Restored) -> None:
    for kind, there in (("SYSTEM VERSIONED", True), ("BASE TABLE", False)):
        again = restored.top / "out/again"
        if again.exists():
            again.rename(restored.top / "out/before")
        restored.server.calls.clear()
        restored.server.objects[0][2] = kind
        assert failed(restored.results()) == {}
        (first, *_) = (c for c in restored.server.calls if c.argv[0] == "bash")
        assert ("--dump-history" in first.argv) is there


# --- definitions ------------------------------------------------------------------------------------------------------


def test_a_captured_file_that_is_other_or_gone_is_named(restored: Restored) -> None:
    (restored.top / "restored/database.sql").unlink()
    (restored.top / "restored/users.sql").write_text(USERS + " ")
    assert failed(restored.results())["definitions and users, as captured"] == "differs: database.sql; users.sql"


def test_rows_of_a_captured_file_are_compared_after_their_load_alone(restored: Restored) -> None:
    restored.files["rows/seat.sql"] = FileDigest(0, "0" * 64)
    assert failed(restored.results()) == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tables.sql", "varchar(20)", "varchar(21)", "Table structure for table `call`"),
        ("tables.sql", "`who` text", "`who` longtext", "Table structure for table `seat`"),
        ("tables.sql", "SETVAL(`ticket`, 1005, 0)", "SETVAL(`ticket`, 5, 0)", "Sequence structure for `ticket`"),
        ("tables.sql", "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'", "SQL_MODE=''", "what tables.sql begins with"),
        ("code.sql", "coalesce(new.note,'-')", "'-'", "TRIGGER `stamp`"),
        ("code.sql", "return a + 1", "return a + 2", "FUNCTION `f`"),
        ("code.sql", "EVERY 1 DAY", "EVERY 2 DAY", "EVENT `tidy`"),
        ("code.sql", "SET NAMES utf8mb4", "SET NAMES latin1", "what code.sql begins with"),
        ("views.sql", "select `call`.`id`", "select `call`.`t`", "Final view structure for view `answered`"),
        ("views.sql", " NULL AS `note` ", " NULL AS `not` ", "Temporary table structure for view `answered`"),
    ],
)  # fmt: skip
def test_a_definition_that_differs_is_named(restored: Restored, name: str, old: str, new: str, said: str) -> None:
    assert old in restored.server.texts[name]
    restored.server.texts[name] = restored.server.texts[name].replace(old, new, 1)
    results = restored.results()
    assert failed(results) == {"definitions": f"missing: {said}; not in the backup: {said}"}
    assert results["definitions"].expected == ALL["definitions"][0]


def test_a_definition_that_stands_twice_is_one_too_many(restored: Restored) -> None:
    text = restored.server.texts["tables.sql"]
    part = text[text.index("-- Table structure for table `seat`") : text.index("/*!40103 SET TIME_ZONE=@OLD")]
    both = text.replace(part, part + part)
    restored.server.texts["tables.sql"] = both
    assert failed(restored.results()) == {"definitions": "not in the backup: Table structure for table `seat`"}
    restored.server.texts["tables.sql"] = text
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.file("tables.sql", both)
    assert failed(restored.results()) == {"definitions": "missing: Table structure for table `seat`"}


def test_the_first_byte_of_a_script_counts(restored: Restored) -> None:
    for name in TEXTS:
        restored.file(name, f"#{TEXTS[name]}")
        restored.server.texts[name] = f";{TEXTS[name]}"
    said = "what code.sql begins with", "what tables.sql begins with", "what views.sql begins with"
    both = [*(f"missing: {one}" for one in said), *(f"not in the backup: {one}" for one in said)]
    assert failed(restored.results()) == {"definitions": "; ".join(both)}


def test_a_package_is_a_part_of_its_own(restored: Restored) -> None:
    """As MariaDB writes packages, one of which is called like a table."""
    made = "".join(
        f"/*!50003 DROP {kind} IF EXISTS `seat` */;\nDELIMITER ;;\nCREATE {kind} `seat` AS {body} END ;;\nDELIMITER ;\n"
        for kind, body in (("PACKAGE", "one"), ("PACKAGE BODY", "two"), ("PROCEDURE", "three"))
    )
    tail = "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;"
    for body, kind in (("one", "PACKAGE"), ("two", "PACKAGE BODY"), ("three", "PROCEDURE")):
        restored.file("code.sql", TEXTS["code.sql"].replace(tail, made + tail))
        restored.server.texts["code.sql"] = TEXTS["code.sql"].replace(tail, made.replace(body, "other") + tail)
        said = failed(restored.results())["definitions"]
        assert said == f"missing: {kind} `seat`; not in the backup: {kind} `seat`"
        (restored.top / "out/again").rename(restored.top / f"out/{body}")


def newer(text: str) -> str:
    """As another client of another server on another host begins it."""
    return (
        text.replace("/*M!999999\\- enable the sandbox mode */ \n", "")
        .replace("MariaDB dump 10.20-11.8.9-MariaDB", "MySQL dump 10.19  Distrib 10.11")
        .replace("-- Host: localhost    Database: crm", "-- Host: db2    Database: crm")
        .replace("-- Server version\t11.8.9", "-- Server version\t12.0.1")
    )


def test_what_a_client_says_of_itself_makes_no_difference(restored: Restored) -> None:
    restored.server.texts = {name: newer(text) for name, text in restored.server.texts.items()}
    assert all(restored.server.texts[name] != TEXTS[name] for name in TEXTS)
    assert failed(restored.results()) == {}


def test_such_a_line_further_down_is_somebodys_own(restored: Restored) -> None:
    """A routine's author may have written it."""
    code = TEXTS["code.sql"].replace("begin return a + 1", "begin\n-- Host: one\nreturn a + 1")
    restored.file("code.sql", code)
    restored.server.texts["code.sql"] = code.replace("-- Host: one", "-- Host: two")
    assert list(failed(restored.results())) == ["definitions"]


def test_the_first_line_of_the_body_is_not_the_clients(restored: Restored) -> None:
    """Of twelve lines that a script begins with, the thirteenth is not one."""
    lines = TEXTS["code.sql"].split("\n")
    for at, differs in ((11, False), (12, True)):
        one, other = ("\n".join([*lines[:at], f"-- Host: {n}", *lines[at:]]) for n in (1, 2))
        restored.file("code.sql", one)
        restored.server.texts["code.sql"] = other
        assert bool(failed(restored.results())) is differs
        (restored.top / "out/again").rename(restored.top / f"out/{at}")


def test_where_a_tables_files_lie_and_its_next_number_are_no_part_of_its_definition(restored: Restored) -> None:
    restored.server.texts["tables.sql"] = (
        TEXTS["tables.sql"]
        .replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=44")
        .replace(
            "COLLATE=utf8mb4_unicode_ci;",
            "COLLATE=utf8mb4_unicode_ci DATA DIRECTORY='/it''s' INDEX DIRECTORY='/a\\'b';",
        )
    )
    assert failed(restored.results()) == {}


# --- next numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (" AUTO_INCREMENT=42", "call: 43 captured, 42 restored"),
        ("", "call: 43 captured, 1 restored"),
        (" AUTO_INCREMENT=43", None),
        (" AUTO_INCREMENT=99", None),
    ],
)
def test_a_next_number_may_be_further_and_never_set_back(restored: Restored, now: str, said: str | None) -> None:
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(" AUTO_INCREMENT=43", now)
    results = restored.results()
    assert failed(results) == ({"auto-increments": said} if said else {})
    assert results["auto-increments"].expected == "1 as captured, or further"


def test_a_next_number_of_one_may_be_lacking(restored: Restored) -> None:
    restored.file("tables.sql", TEXTS["tables.sql"].replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=1"))
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(" AUTO_INCREMENT=43", "")
    assert failed(restored.results()) == {}


def test_a_next_number_of_two_may_not_be_lacking(restored: Restored) -> None:
    restored.file("tables.sql", TEXTS["tables.sql"].replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=2"))
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(" AUTO_INCREMENT=43", "")
    assert failed(restored.results()) == {"auto-increments": "call: 2 captured, 1 restored"}


def test_an_archive_says_that_its_numbers_come_from_its_rows(restored: Restored) -> None:
    restored.contents["tables"]["call"]["engine"] = "ARCHIVE"
    assert restored.results()["auto-increments"].actual == "1, none set back; by the rows of call (ARCHIVE)"
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=42")
    assert failed(restored.results()) == {
        "auto-increments": "call: 43 captured, 42 restored: the source's is ahead of its rows, and ARCHIVE takes none that is"
    }


def test_many_archives_are_named_in_part_and_a_table_without_rows_is_none(restored: Restored) -> None:
    part = (
        "-- Table structure for table `a{}`\n\nCREATE TABLE `a{}` (\n  `id` int\n) ENGINE=ARCHIVE AUTO_INCREMENT=5;\n"
    )
    text = "".join(part.format(n, n) for n in range(8)) + part.format("merged", "merged")
    restored.file("tables.sql", text)
    restored.server.texts["tables.sql"] = text
    for n in range(8):
        restored.contents["tables"][f"a{n}"] = {**restored.contents["tables"]["seat"], "engine": "ARCHIVE"}
    one = restored.results()["auto-increments"]
    assert one.actual == "9, none set back; by the rows of a0, a1, a2, a3, a4, a5 (ARCHIVE)"


# --- what has a name, and what no dump holds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "at", "new", "said"),
    [
        (5, 4, "DISABLED", {KINDS: "differs: event tidy"}),
        (6, 6, 2, {KINDS: "differs: trigger stamp"}),
        (3, 3, "INVOKER", {KINDS: "differs: view answered"}),
        (4, 3, "app@10.%", {"definers": "differs: function f"}),
        (4, 2, "g", {KINDS: "differs: function f; function g", "definers": "differs: function f; function g"}),
    ],
)
def test_an_object_that_is_another_is_named(
    restored: Restored, number: int, at: int, new: Any, said: dict[str, str]
) -> None:
    restored.server.objects[number][at] = new
    results = restored.results()
    assert failed(results) == said
    assert results[KINDS].expected == "5 as captured" and results["definers"].expected == "4 as captured"


def test_what_the_plan_leaves_out_is_named_where_the_rest_is_equal(restored: Restored) -> None:
    restored.contents["left_out"] = ["view old", "view older"]
    one = restored.results()[KINDS]
    assert one.actual == "5, equal; left out of the backup, as the plan says: view old, view older"
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.objects[5][4] = "DISABLED"
    one = restored.results()[KINDS]
    assert (one.status, one.actual) == (Verdict.FAIL, "differs: event tidy")


@pytest.mark.parametrize(("at", "said"), [(0, "charset"), (1, "collation"), (2, "comment")])
def test_a_database_of_another_kind_fails(restored: Restored, at: int, said: str) -> None:
    restored.server.of_database[at] = "other"
    assert failed(restored.results()) == {"the database itself": f"differs: {said}"}


def test_a_setting_that_decides_how_statements_are_understood_is_compared(restored: Restored) -> None:
    restored.server.settings |= {"sql_mode": "ANSI", "old_mode": "not captured", "hostname": "another"}
    restored.contents["settings"]["hostname"] = "one"
    results = restored.results()
    assert failed(results) == {"server settings": "differs: sql_mode"}
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.settings = {"version": "11.8.9", "sql_mode": "STRICT_TRANS_TABLES"}
    assert failed(restored.results()) == {"server settings": "differs: div_precision_increment"}


def test_a_setting_that_is_gone_is_as_empty(restored: Restored) -> None:
    restored.contents["settings"]["old_mode"] = ""
    assert failed(restored.results()) == {}


@pytest.mark.parametrize(
    ("old", "new", "said", "count"),
    [
        ("'*B69027'", "'*C00000'", "CREATE USER `app`@`10.%`", 4),
        ("GRANT UPDATE", "GRANT DELETE", "GRANT DELETE ON; GRANT UPDATE ON", 4),
        ("GRANT SELECT ON `crm`.* TO `reader`;\n", "", "GRANT SELECT ON", 3),
    ],
)
def test_users_and_grants_are_told_by_their_first_words(
    restored: Restored, old: str, new: str, said: str, count: int
) -> None:
    accounts = restored.server.accounts
    restored.server.accounts = {k: v.replace(old, new) for k, v in accounts.items()}
    assert restored.server.accounts != accounts
    results = restored.results()
    assert failed(results) == {"users and grants": f"differs: {said}"}
    assert "*B69027" not in str(results) and results["users and grants"].expected == "4 statements"
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.accounts = accounts
    restored.file("users.sql", USERS.replace(old, new))
    restored.file("grants.sql", GRANTS.replace(old, new))
    one = restored.results()["users and grants"]
    assert one.actual == f"differs: {said}" and one.expected == f"{count} statements"


def test_grants_on_what_is_not_in_the_backup_are_nobodys(restored: Restored) -> None:
    more = "GRANT UPDATE ON `crm`.`dropped` TO `app`@`10.%`;\nGRANT UPDATE ON `other`.`call` TO `app`@`10.%`;\n"
    restored.file("grants.sql", GRANTS + more)
    results = restored.results()
    assert failed(results) == {} and results["users and grants"].expected == "4 statements"


# --- under its working name, on a server of people's ------------------------------------------------------------------

WORKING = "ccdr_new"


def under_its_working_name(restored: Restored) -> None:
    """There are no events yet, and what is printed names the database as it is called there."""
    server = restored.server
    server.database = WORKING
    server.objects = [row for row in server.objects if row[0] != "event"]
    code = TEXTS["code.sql"].replace("`crm`.", f"`{WORKING}`.")
    begin, end = code.index("--\n-- Dumping events for"), code.index("--\n-- Dumping routines for")
    events = f"--\n-- Dumping events for database '{WORKING}'\n--\n\n"
    server.texts["code.sql"] = (code[:begin] + events + code[end:]).replace(
        "for database 'crm'", f"for database '{WORKING}'"
    )
    server.texts["tables.sql"] = TEXTS["tables.sql"].replace("`crm`.", f"`{WORKING}`.")
    server.settings, server.accounts, server.users = (
        {"version": "12", "sql_mode": "ANSI"},
        {"create": "", "grants": ""},
        [],
    )
    for name in ("tables.sql", "code.sql", "views.sql"):
        server.texts[name] = server.texts[name].replace("Database: crm", f"Database: {WORKING}")


def test_under_its_working_name_it_is_compared_without_events_users_and_settings(restored: Restored) -> None:
    under_its_working_name(restored)
    results = restored.results(working=WORKING)
    assert failed(results) == {}
    found = {name: one.actual for name, one in results.items()}
    assert found == {
        "definitions and users, as captured": "6, equal",
        "tables": "2 tables, 5 rows, equal by SHA-256",
        "definitions": "10 parts, equal",
        "auto-increments": "1, none set back",
        "triggers, routines, views, sequences": "4, equal",
        "definers": "3, equal",
        "the database itself": "3, equal",
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tables.sql", f"`{WORKING}`.`ticket`", "`crm2`.`ticket`", "Table structure for table `call`"),
        ("code.sql", "return a + 1", "return a + 2", "FUNCTION `f`"),
        ("code.sql", "coalesce(new.note,'-')", "'-'", "TRIGGER `stamp`"),
        ("views.sql", "`call`.`id` AS", "`call`.`t` AS", "Final view structure for view `answered`"),
    ],
)
def test_a_definition_that_differs_under_a_working_name_is_named(
    restored: Restored, name: str, old: str, new: str, said: str
) -> None:
    under_its_working_name(restored)
    assert old in restored.server.texts[name]
    restored.server.texts[name] = restored.server.texts[name].replace(old, new)
    assert failed(restored.results(working=WORKING)) == {"definitions": f"missing: {said}; not in the backup: {said}"}


def test_a_working_name_is_read_as_the_captured_one_only_where_it_names_a_database(restored: Restored) -> None:
    under_its_working_name(restored)
    text = TEXTS["tables.sql"].replace("`who` text", "`crm` text")
    restored.file("tables.sql", text)
    restored.server.texts["tables.sql"] = text.replace("`crm`", f"`{WORKING}`")
    assert list(failed(restored.results(working=WORKING))) == ["definitions"]
