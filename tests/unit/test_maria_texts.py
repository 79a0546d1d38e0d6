"""MariaDB without a server: addresses, a dump's texts under another name, whom a database needs."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from syrupy.assertion import SnapshotAssertion

from ccdr.checks.reconcile.rows import read_rows
from ccdr.demo import centre as dialler
from ccdr.engines.mariadb import MariaDB, address, physical, questions, server
from ccdr.engines.mariadb.client import Login, lines
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump import files as renamed
from ccdr.engines.mariadb.dump import identity as beyond
from ccdr.engines.mariadb.dump.load import tables_of
from ccdr.engines.mariadb.inventory import Inventory, Objects, Table, as_recorded
from ccdr.engines.mariadb.newcomers import newcomers, removing, revoking, rights_in
from ccdr.engines.servers.connection import may_be_one
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.ports.place import Output


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "database"),
    [
        ("mysql://dba@db2/crm", "db2", 3306, "dba", "crm"),
        ("mariadb://d%40ba@db2:3307/a%20b", "db2", 3307, "d@ba", "a b"),
        ("mysql://dba@[::1]:3307/crm", "::1", 3307, "dba", "crm"),
        ("mysql://dba@/crm?socket=/tmp", "/tmp", 3306, "dba", "crm"),
        ("mysql://dba@%2Ftmp/crm", "/tmp", 3306, "dba", "crm"),
    ],
)
def test_addresses(url: str, host: str, port: int, user: str, database: str) -> None:
    found = address.parse(url)
    assert (found.host, found.port, found.user, found.database) == (host, port, user, database)
    again = address.parse(address.shown(found.connection(None, database)))
    assert again == found


def test_an_answer_s_lines_end_at_newlines_alone() -> None:
    told = SimpleNamespace(run=lambda *_, **__: Output(0, "of\u2028one\x85line\nb\n", NO_WORDS))
    assert lines(told, Login(()), "", "asking") == ["of\u2028one\x85line", "b"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://dba:hush@db2/crm",
        "mysql://dba@db2/crm?password=hush",
        "mysql://dba@db2/crm?ssl=0",
        "mysql://dba@db2:none/crm",
        "mysql://dba@db2/mysql",
        "mysql://dba@db2/a/b",
        "mysql://dba@db2/crm?socket=/tmp",
        "mysql://dba@/crm?socket=/no/such/socket",
    ],
)
def test_wrong_addresses(url: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        address.parse(url)
    assert "hush" not in str(raised.value) + str(raised.value.hint)


def test_addresses_that_may_be_one_server() -> None:
    def at(host: str, port: int = 3306) -> Connection:
        return Connection.model_validate({"host": host, "port": port, "user": "u", "database": "d"})

    assert may_be_one(at("localhost"), at("127.0.0.1"))
    assert may_be_one(at("/run/mysqld"), at("127.0.0.1"))
    assert not may_be_one(at("127.0.0.1"), at("127.0.0.1", 3307))
    assert not may_be_one(at("/run/mysqld"), at("/run/other"))
    assert not may_be_one(at("192.0.2.1"), at("192.0.2.2"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("`id` int DEFAULT nextval(`crm`.`ticket`)", "`id` int DEFAULT nextval(`new`.`ticket`)"),
        ("select `crm`.`f`(`c`.`a`) from `crm`.`call` `c`", "select `new`.`f`(`c`.`a`) from `new`.`call` `c`"),
        ("select '`crm`.`x`', 'it''s \\\\' from `crm`.`t`", "select '`crm`.`x`', 'it''s \\\\' from `new`.`t`"),
        ("select `crm`.`id` from `t` `crm`", "select `crm`.`id` from `t` `crm`"),  # a table's alias
        ("select `t`.`crm` from `t`", "select `t`.`crm` from `t`"),
        ("select `crm2`.`id` from `crm2`", "select `crm2`.`id` from `crm2`"),
        # a column, a view, an alias or a window called as the database beside references to it
        ("`crm` int DEFAULT nextval(`crm`.`s`) + 1", "`crm` int DEFAULT nextval(`new`.`s`) + 1"),
        (
            "-- for `it's`\n`a\nb` int DEFAULT lastval(`crm`.`s`)",
            "-- for `it's`\n`a\nb` int DEFAULT lastval(`new`.`s`)",
        ),
        (
            "VIEW `crm` AS select setval(`crm`.`s`,5,1,0) AS `crm`",
            "VIEW `crm` AS select setval(`new`.`s`,5,1,0) AS `crm`",
        ),
        (
            "select `crm`.`t`.`n` AS `crm` from (`crm`.`t` join `o`.`o` on(`o`.`o`.`n` = `crm`.`t`.`id`))",
            "select `new`.`t`.`n` AS `crm` from (`new`.`t` join `o`.`o` on(`o`.`o`.`n` = `new`.`t`.`id`))",
        ),
        (
            "select `crm`.`crm`,`crm`.`f`(`crm`.`id`) from ((`crm`.`t` `crm` join `o`.`o`) straight_join `crm`.`u` `z`)",
            "select `crm`.`crm`,`new`.`f`(`crm`.`id`) from ((`new`.`t` `crm` join `o`.`o`) straight_join `new`.`u` `z`)",
        ),
        (
            "with crm as (select `crm`.`t`.`id` from `crm`.`t`)select `crm`.`id` from `crm` join `o`.`o`",
            "with crm as (select `new`.`t`.`id` from `new`.`t`)select `crm`.`id` from `crm` join `o`.`o`",
        ),
        (
            "select extract(year from `crm`.`d`),trim(both 'x' from `crm`.`n`) from `crm`.`t` `crm`",
            "select extract(year from `crm`.`d`),trim(both 'x' from `crm`.`n`) from `new`.`t` `crm`",
        ),
    ],
)
def test_references_to_the_database_are_renamed(line: str, expected: str) -> None:
    assert renamed.called(line, "crm", "new") == expected


def test_defaults_by_a_sequence_follow_their_table() -> None:
    columns = "  `id` int DEFAULT nextval(`w`.`s`),\n  `w` int DEFAULT 1,\n  `y\nz` int DEFAULT nextval(`w`.`s`) COMMENT '`w`.`s`',\n"
    keys = "".join(f"  CONSTRAINT `{k}` FOREIGN KEY (`w`) REFERENCES `gone` (`id`)," for k in ("to", "to ``gone"))
    keys = keys.replace(",  ", ",\n  ").removesuffix(",")
    text = f"-- of `it's`\n\nCREATE TABLE `a` (\n{columns}  KEY `k` (`w`),\n{keys}\n) ENGINE=InnoDB;\n"
    assert list(renamed.left_behind(text, "w", "crm", {("a", "to `gone")})) == [
        "ALTER TABLE `crm`.`a` MODIFY `id` int DEFAULT nextval(`crm`.`s`);",
        "ALTER TABLE `crm`.`a` MODIFY `y\nz` int DEFAULT nextval(`crm`.`s`) COMMENT '`w`.`s`';",
        "ALTER TABLE `crm`.`a` DROP FOREIGN KEY `to ``gone`;",
        "ALTER TABLE `crm`.`a` ADD CONSTRAINT `to ``gone` FOREIGN KEY (`w`) REFERENCES `gone` (`id`);",
    ]


def test_events_are_told_apart_or_nothing_is() -> None:
    mark = "--\n-- Dumping {} for database 'crm'\n--\n"
    code = f"-- dump\nSET SQL_MODE='';\n\nTRIGGERS\n{mark.format('events')}EVENTS\n{mark.format('routines')}ROUTINES\n"
    first, events = renamed.apart(code)
    assert "EVENTS" not in first and "TRIGGERS" in first and "ROUTINES" in first
    assert "EVENTS" in events and "TRIGGERS" not in events and "SQL_MODE" in events
    with pytest.raises(TestBroken):
        renamed.apart(code.replace("TRIGGERS", mark.format("events")))


FOUND = [
    "CREATE ROLE `reader`",
    "CREATE ROLE `boss`",
    "CREATE USER `app`@`10.%` IDENTIFIED BY PASSWORD '*A'",
    "CREATE USER `admin`@`%` IDENTIFIED BY PASSWORD '*B'",
    "CREATE USER `other`@`%` IDENTIFIED BY PASSWORD '*C'",
    "GRANT `boss` TO `app`@`10.%`",
    "GRANT `reader` TO `boss`",
    "GRANT ALL PRIVILEGES ON *.* TO `admin`@`%`",
    "GRANT RELOAD ON *.* TO `app`@`10.%`",
    "GRANT SELECT ON `crm`.* TO `reader`",
    "GRANT UPDATE (`note`) ON `crm`.`customer` TO `app`@`10.%` WITH GRANT OPTION",
    "GRANT EXECUTE ON PROCEDURE `crm`.`forget` TO `app`@`10.%`",
    "GRANT SELECT ON `cr%`.* TO `admin`@`%`",
    "GRANT SELECT ON `elsewhere`.* TO `app`@`10.%`",
    "SET DEFAULT ROLE `boss` FOR `app`@`10.%`",
]


def test_whom_a_database_needs() -> None:
    new = newcomers(FOUND, "crm", {"admin@%"}, {"reader@"})
    assert new.missing == ("boss@", "app@10.%", "admin@%"), "reader is there, other has nothing to do with it"
    assert not any("*.*" in s or "elsewhere" in s for s in (*new.statements, *new.rights)), "no power beyond"
    assert FOUND[6] in new.statements and FOUND[-1] in new.statements
    on_all, on_objects = rights_in(new.rights, "my_new")
    assert on_all == [
        "GRANT SELECT ON `my\\_new`.* TO `reader`",
        "GRANT SELECT ON `my\\_new`.* TO `admin`@`%`",
        "GRANT ALL PRIVILEGES ON `my\\_new`.* TO `admin`@`%`",
    ]
    assert on_objects[0] == "GRANT UPDATE (`note`) ON `my_new`.`customer` TO `app`@`10.%` WITH GRANT OPTION"
    assert revoking(on_objects)[2] == "REVOKE ALL PRIVILEGES ON PROCEDURE `my_new`.`forget` FROM `app`@`10.%`"
    assert removing(["boss@", "admin@%"]) == ["DROP USER IF EXISTS `admin`@`%`", "DROP ROLE IF EXISTS `boss`"]


def test_definers_that_are_there_may_do_in_the_database_what_they_could() -> None:
    there = {"reader@", "boss@", "app@10.%", "admin@%"}
    new = newcomers(FOUND, "crm", {"admin@%"}, there)
    assert not new.missing and not new.statements
    assert "GRANT ALL PRIVILEGES ON `crm`.* TO `admin`@`%`" in new.rights
    assert not any("ALL PRIVILEGES" in s for s in newcomers(FOUND, "crm", {"admin@%"}, there, {"admin@%"}).rights)


def test_a_socket_is_looked_for_where_the_url_says(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    assert address.parse(f"mysql://u@/d?socket={tmp_path}/s").host == f"{tmp_path}/s"


def test_the_client_keeps_comments_and_repeats_no_statement_that_failed() -> None:
    """Whatever it is called for: a dump without its routines' comments is another one, and a statement may hold rows."""
    login = Login(("--no-defaults",))
    for argv in (login.client(), login.asking(), login.client("--xml", database="crm")):
        assert {"--comments", "--loose-skip-print-query-on-error"} <= set(argv), argv
    scripts = server._START + physical._START + dialler._START
    assert scripts.count("mariadb --no-defaults") == scripts.count("--loose-skip-print-query-on-error") == 4


TOLD = b"""<?xml version="1.0"?>

<resultset statement="select '&lt;/row&gt;'
" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <row>
\t<field name="a">NULL</field>
\t<field name="a &lt;b&gt;" xsi:nil="true" />
\t<field name="c"></field>
  </row>

  <row>
\t<field name="a">tab\tline\nback\\slash &amp;lt; \x00\xff</field>
\t<field name="a &lt;b&gt;">&lt;/row&gt;</field>
\t<field name="c">\\N</field>
  </row>
</resultset>
"""


@pytest.mark.parametrize("at_once", [1, 7, 2**20])
def test_rows_that_a_client_far_away_writes_are_read_as_they_are(at_once: int) -> None:
    rows = list(questions._rows_in(io.BytesIO(TOLD), at_once))
    lines = [b"\t".join(b"\\N" if value is None else value for value in row) + b"\n" for row in rows]
    assert list(read_rows(lines)) == [
        [b"NULL", None, b""],
        [b"tab\tline\nback\\slash &lt; \x00\xff", b"</row>", b"\\N"],
    ]


ELSEWHERE = {
    "ERROR 1146 (42S02) at line 43: Table 'other.x' doesn't exist\n": "other",
    "ERROR 1305 (42000) at line 1: FUNCTION other.f does not exist\n": "other",
    "ERROR 1049 (42000) at line 1: Unknown database 'other'\n": "other",
    "ERROR 1146 (42S02) at line 43: Table 'crm.x' doesn't exist\n": None,  # then the dump lacks it
    "ERROR 1305 (42000) at line 1: FUNCTION crm.f does not exist\n": None,
    "ERROR 1064 (42000) at line 1: You have an error … near 'ERROR 1049: Unknown database 'other''\n": None,
}


@pytest.mark.parametrize("said", ELSEWHERE)
def test_what_is_lacking_of_another_database_is_not_the_dumps_fault(said: str, tmp_path: Path) -> None:
    (tmp_path / "views.sql").write_text(
        "-- Final view structure for view `v`\nVIEW `v` AS select `other`.`x`.`id` from `other`.`x`, `crm`.`x`\n"
    )
    error = CommandFailed(["mariadb"], 1, FreeText(f"{said}in v.sql\n"))
    assert beyond.database_lacking(error, tmp_path, "crm") == ELSEWHERE[said]


def test_who_reads_another_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "tables.sql").write_text(
        "-- Table structure for table `plain`\n\nCREATE TABLE `plain` (`other` int);\n"
        "-- Table structure for table `odd``\n-- one`\n\nCREATE TABLE `odd` (`n` int DEFAULT nextval(`other`.`s`));\n"
    )
    (tmp_path / "views.sql").write_text(
        "-- Temporary table structure for view `v`\n\nVIEW `v`\n-- Final view structure for view `v`\n\n"
        "VIEW `v` AS select `other`.`x`.`id` from `other`.`x`\n-- Final view structure for view `w`\n\nVIEW `w` AS select 1\n"
    )
    assert beyond.readers(tmp_path, "other") == ["table odd` one", "view v"]


def test_rows_that_their_own_table_forbids_name_it_and_quote_nothing(wording: SnapshotAssertion) -> None:
    tables = {"call": {"file": "rows/call.sql", "rows": 2}}
    inventory = Inventory({"tables": tables, "rounded": []})
    said = "ERROR 1062 (23000) at line 14: Duplicate entry '0722000001' for key 'phone'\nin call.sql\nxargs: aborting\n"
    found = beyond.held_so(CommandFailed(["mariadb"], 124, FreeText(said)), inventory)
    assert found is not None and "the source itself holds rows of call" in str(found) and "0722" not in str(found)
    assert "FLOAT" not in str(found.hint)
    rounded = Inventory({"tables": tables, "rounded": ["call.cost"]})
    found = beyond.held_so(CommandFailed(["mariadb"], 124, FreeText(said)), rounded)
    assert found is not None and "FLOAT" in str(found.hint)
    dated = (
        "ERROR 4112 (HY000) at line 43: Incorrect system-version range 'row_start' value: '2033-01-01'\nin call.sql\n"
    )
    found = beyond.held_so(CommandFailed(["mariadb"], 124, FreeText(dated)), inventory)
    assert found is not None and "2033" not in str(found) and str(found) == wording
    lost = "ERROR 2013 (HY000) at line 14: Lost connection to server during query\nin call.sql\n"
    assert beyond.held_so(CommandFailed(["mariadb"], 124, FreeText(lost)), inventory) is None


def test_an_archive_takes_its_numbers_from_its_rows(tmp_path: Path) -> None:
    table = "CREATE TABLE `{}` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`id`)\n) ENGINE={} AUTO_INCREMENT=4;\n"
    made = [table.format(*of) for of in (("full", "ARCHIVE"), ("empty", "ARCHIVE"), ("other", "InnoDB"))]
    (tmp_path / "tables.sql").write_text("".join(made))
    rows = {"full": {"rows": 3}, "empty": {"rows": 0}, "other": {"rows": 3}}
    script = tables_of(tmp_path, Inventory({"tables": rows}))
    assert script == made[0].replace(" AUTO_INCREMENT=4", "") + made[1] + made[2]


def test_a_copy_of_the_whole_server_leaves_no_view_out() -> None:
    asset = {"engine": "mariadb", "connection": {"user": "u", "database": "crm"}, "leave_out": ["broken"]}
    assert MariaDB.model_validate(asset).leave_out == ("broken",)
    with pytest.raises(ValidationError, match="a copy of the whole server leaves nothing out"):
        MariaDB.model_validate({**asset, "method": "physical"})


@pytest.mark.parametrize(
    "comment", ["", "ask Ionescu, 0722000001", "it's \\ \\' '' \\\\ ; COMMENT 'x'", "line\nline ș"]
)
def test_a_databases_comment_is_in_no_manifest_and_comes_back_from_the_dump(comment: str, tmp_path: Path) -> None:
    facts = {
        "database": "it`s; COMMENT 'x'",
        "charset": "utf8mb4",
        "collation": "utf8mb4_bin",
        "comment": comment,
        "variables": {},
    }
    (tmp_path / files.DATABASE).write_text(files.create_database(facts), "utf-8")
    recorded = as_recorded(facts)
    assert "comment" not in recorded and (not comment or comment not in str(recorded))
    assert files.database_of(tmp_path, recorded) == {**recorded, "comment": comment}


def test_why_a_table_cannot_be_opened_is_told_by_its_number_alone() -> None:
    said = "Got error 0722000001 'Ionescu' from storage engine; errno: 145"
    found = Objects((Table("call", "BASE TABLE", None, 0, said),), (), {}, {}, frozenset())
    assert found.unreadable == ("call cannot be opened (error 145)",)
