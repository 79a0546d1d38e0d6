"""Checks: what they must say of good and of bad data, of queries that break, and what of it is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import CRM_CHECKS, Ran, Site, Source, containers, small_database
from tests.support.sites import copy_of
from tests.support.stored import with_repository

IMPATIENT = "limits: {no_progress: 5s}"
HEAD = "restore_test: crm\nchecks:\n"


@pytest.fixture(scope="module")
def prepared(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One small database, backed up once."""
    with small_database(source, "checks"):
        source.psql(
            "create table odd (at timestamptz, local timestamp, amount numeric, flag bool, label text);"
            "insert into odd values (now() + interval '10 days', now() at time zone 'UTC', 12.50, true, 'ro'), (null, null, null, null, null);"
            "create table empty (at timestamptz); create schema other; create table other.t as select 1 a",
            "checks",
        )
        site = Site(tmp_path_factory.mktemp("checks"))
        site.crm(source, "checks")
        site.backed_up()
        yield site


@pytest.fixture
def site(prepared: Site, tmp_path: Path) -> Site:
    """What one test finds does not disprove the snapshot for the next."""
    return copy_of(prepared, tmp_path / "site")


def outcome(site: Site, source: Source, *checks: str, extra: str = "") -> Ran:
    site.crm(source, "checks", extra=extra, checks=HEAD + "".join(f"  - {{{c}}}\n" for c in checks))
    done = site.run("test", "p")
    assert done.json["disposal"]["left_behind"] == [] and done.json["disposal"]["scratch_gone"]
    assert f"ccdr-{done.json['run']}" not in containers()
    site.ledger_holds()
    return done


def sql(query: str, expect: object, name: str = "") -> str:
    return f"kind: sql, query: {json.dumps(query)}, expect: {json.dumps(expect)}" + (
        f", name: {json.dumps(name)}" if name else ""
    )


def recorded(site: Site) -> str:
    """Every byte of the ledger."""
    return "".join(p.read_text("utf-8") for p in sorted((site.state / "ledger").glob("*.jsonl")))


GOOD = {
    "an integer": ("select count(*) from call", 3000),
    "zero": ("select count(*) from call where seconds < 0", 0),
    "a decimal, whatever its scale": ("select amount from odd where flag", 12.5),
    "true": ("select flag from odd where flag", True),
    "false": ("select count(*) < 5 from call", False),
    "null": ("select max(at) from empty", None),
    "a text": ("select label from odd where flag", "ro"),
    "an empty text": ("select ''", ""),
    "a text with line ends": (r"select E'a\nb'", "a\nb"),
    "a text that looks like null": ("select 'NULL'", "NULL"),
    "a comment at its end": ("select 1 -- one", 1),
    "a semicolon at its end": ("select 1;", 1),
    "a percent sign and a backslash": (r"select count(*) from customer where name like '%\\ tab%'", 200),
}
BAD = {
    "another number": ("select count(*) from call", 2999, "3000"),
    "null where a number should be": ("select max(at) from empty", 0, "NULL"),
    "a telephone number where a count should be": ("select 722000001", 0, "a number of 9 characters"),
    "a number where null should be": ("select 0", None, "0"),
    "an empty text where null should be": ("select ''", None, "a text of 0 characters"),
    "null where an empty text should be": ("select null", "", "NULL"),
    "several rows": ("select id from call limit 2", 1, "2 rows of 1 column, expected one value"),
    "several columns": ("select 1, 2", 1, "1 row of 2 columns, expected one value"),
    "no row": ("select 1 where false", 1, "0 rows of 0 columns, expected one value"),
    "text where a number should be": ("select 'abc'", 1, "a text of 3 characters"),
    "true where one should be": ("select true", 1, "t"),
    "false where true should be": ("select false", True, "f"),
    "a space more": ("select 'ro '", "ro", "a text of 3 characters"),
}


def test_every_kind_of_expectation_can_be_met(site: Site, source: Source) -> None:
    done = outcome(site, source, *(sql(query, expect, name) for name, (query, expect) in GOOD.items()))
    wrong = [c for c in done.json["checks"] if c["status"] != "PASS"]
    assert not wrong and done.json["verdict"] == "PASS" and done.code == 0, (wrong, done)


def test_every_kind_of_expectation_can_be_missed(site: Site, source: Source) -> None:
    done = outcome(site, source, *(sql(query, expect, name) for name, (query, expect, _) in BAD.items()))
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    assert {c["name"]: c["actual"] for c in done.json["checks"]} == {name: found for name, (_, _, found) in BAD.items()}
    assert {c["status"] for c in done.json["checks"]} == {"FAIL"}


def test_one_failed_check_among_good_ones_fails_the_test_and_is_named(site: Site, source: Source) -> None:
    done = outcome(site, source, "kind: identical", sql("select 1", 1), sql("select 1", 2, "the bad one"))
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    assert done.json["reason"] == "failed: the bad one"
    assert done.json["rto"]["verdict"] == "NOT_MEASURED"  # no recovery was shown


ERRORS = {
    "a cast that quotes a row": ("select name::int from customer limit 1", "22P02"),
    "a table that is not there": ("select count(*) from no_such_table", "42P01"),
    "no sql at all": ("selekt 1", "42601"),
    "a command of psql's": ("select 0;\n\\q\nselect 1 / 0", "42601"),
    "a division by zero": ("select 1 / (count(*) - count(*)) from call", "22012"),
    "a write": ("with gone as (delete from call returning 1) select count(*) from gone", "25006"),
    "a function that writes": ("select setval('call_id_seq', 1)", "25006"),
    "a large object's creation": ("select lo_create(0)", "25006"),
    "an error that raises a row": (
        "do $$ begin raise exception 'Ștefan „%', (select min(name) from customer); end $$",
        "P0001",
    ),
}


def test_a_query_that_errors_is_a_failed_check_and_its_message_stays_out_of_the_record(
    site: Site, source: Source
) -> None:
    done = outcome(site, source, *(sql(query, 0, name) for name, (query, _) in ERRORS.items()))
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    for check in done.json["checks"]:
        assert check["status"] == "FAIL" and f"SQLSTATE {ERRORS[check['name']][1]}" in check["actual"], check
    for text in (done.stdout, recorded(site)):
        assert "tefan" not in text and "invalid input syntax" not in text


def test_a_check_that_writes_changes_nothing(site: Site, source: Source) -> None:
    """It runs read-only, so what comes after it still sees the backup's data; in whatever order a plan names them."""
    done = outcome(
        site, source,
        sql("delete from call returning 1", 1, "plain delete"),
        sql("begin; set transaction read write; delete from call; commit; select 1", 1, "sets itself free"),
        "kind: rows, table: call, at_least: 3000, at_most: 3000",
        "kind: identical",
    )  # fmt: skip
    said = {c["name"]: c["status"] for c in done.json["checks"]}
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    assert said["plain delete"] == "FAIL"
    assert all(c["status"] == "PASS" for c in done.json["checks"] if c["kind"] == "identical")


def test_a_text_that_a_query_gives_is_not_recorded(site: Site, source: Source) -> None:
    done = outcome(site, source, sql("select min(name) from customer", "nobody", "who"), sql("select 1", 1, "fine"))
    assert done.json["checks"][0]["actual"].startswith("a text of ")
    assert "tefan" not in done.stdout + recorded(site)


def test_for_people_the_message_is_told(site: Site, source: Source) -> None:
    """Who runs the test by hand sees why; only the record does without."""
    site.crm(source, "checks", checks=HEAD + "  - {" + sql("select name::int from customer limit 1", 0, "cast") + "}\n")
    process = site.start("test", "p")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "invalid input syntax" not in said, "a pipe may lead to a mail"
    assert "invalid input syntax for type integer" in site.words()


FRESH = {
    "fresh": ("select max(started_at) from call", "1h", True, "before it"),
    "stale": ("select min(started_at) from call", "1h", False, "before it"),
    "no row": ("select max(at) from empty", "1h", False, "no row, or NULL"),
    "null": ("select at from odd where not coalesce(flag, false)", "1h", False, "no row, or NULL"),
    "a row from the future": ("select max(at) from odd", "1h", False, "a row from the future says nothing"),
    "a timestamp without a zone, in the server's": ("select max(local) from odd", "1h", True, "before it"),
    "a date": ("select current_date", "25h", True, "before it"),
    "a semicolon": ("select max(started_at) from call;", "1h", True, "before it"),
    "a comment": ("select max(started_at) from call -- newest", "1h", True, "before it"),
}
FRESH_BROKEN = {
    "two columns": "select max(started_at), 1 from call",
    "two rows": "select started_at from call",
    "no time": "select 'yesterday, perhaps'",
    "a number": "select 5",
}


def test_freshness_is_measured_against_the_consistent_point(site: Site, source: Source) -> None:
    checks = [
        f"kind: freshness, query: {json.dumps(q)}, within: {w}, name: {json.dumps(n)}"
        for n, (q, w, _, _) in FRESH.items()
    ]
    checks += [
        f"kind: freshness, query: {json.dumps(q)}, within: 1h, name: {json.dumps(n)}" for n, q in FRESH_BROKEN.items()
    ]
    done = outcome(site, source, *checks)
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    for check in done.json["checks"]:
        if check["name"] in FRESH_BROKEN:
            assert check["status"] == "FAIL" and "exited with" in check["actual"], check
            continue
        _, _, good, said = FRESH[check["name"]]
        assert (check["status"] == "PASS") == good and said in check["actual"], check


def test_freshness_is_told_whatever_way_the_source_writes_times(tmp_path: Path, source: Source) -> None:
    """Manila's abbreviation, PST, is read as that of Los Angeles: 16 hours later. Queries have the source's order of
    day and month all the same."""
    ask = "select max(at) from {} where '03/04/2020'::date = date '2020-04-03'"
    checks = "".join(
        f"  - {{kind: freshness, name: {t}, query: {json.dumps(ask.format(t))}, within: 1h}}\n" for t in ("old", "new")
    )
    site = with_repository(Site(tmp_path))
    source.psql("create database manila template template0")
    try:
        for table, age in (("old", "16 hours 10 minutes"), ("new", "10 minutes")):
            source.psql(f"create table {table} as select now() - interval '{age}' as at", "manila")
        source.psql("alter database manila set timezone = 'Asia/Manila'")
        source.psql("alter database manila set datestyle = 'SQL, DMY'")
        site.crm(source, "manila", checks=f"{HEAD}{checks}")
        site.backed_up()
        done = site.run("test", "p")
    finally:
        source.psql("drop database manila with (force)")
    assert [(c["name"], c["status"]) for c in done.json["checks"]] == [("old", "FAIL"), ("new", "PASS")], done


ROWS: dict[str, tuple[str, bool, str]] = {
    "enough": ("table: call, at_least: 3000", True, "3000"),
    "one too few": ("table: call, at_least: 3001", False, "3000"),
    "not too many": ("table: call, at_most: 3000", True, "3000"),
    "one too many": ("table: call, at_most: 2999", False, "3000"),
    "between": ("table: call, at_least: 1, at_most: 3000", True, "3000"),
    "an empty table": ("table: empty, at_least: 1", False, "0"),
    "an empty table that may be": ("table: empty, at_least: 0", True, "0"),
    "in another schema": ("table: other.t, at_least: 1, at_most: 1", True, "1"),
    "a view": ("table: answered, at_least: 1", True, "1000"),
    "quoted": ("""table: '"call"', at_least: 1""", True, "3000"),
    "not there": ("table: nothing, at_least: 0", False, "SQLSTATE 42P01"),
    "more than a table": ("""table: "call group by customer_id", at_least: 0""", False, "expected one count"),
    "no row of it": ("table: call limit 0, at_least: 0", False, "0 rows, expected one count"),
}


def test_rows_within_bounds(site: Site, source: Source) -> None:
    done = outcome(
        site, source, *(f"kind: rows, name: {json.dumps(name)}, {args}" for name, (args, _, _) in ROWS.items())
    )
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    for check in done.json["checks"]:
        _, good, said = ROWS[check["name"]]
        assert (check["status"] == "PASS") == good and said in check["actual"], check


def test_no_checks_no_pass(site: Site, source: Source) -> None:
    """The asset names no restore test at all."""
    site.crm(source, "checks")
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("checks: [crm]", "checks: []"))
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)
    assert "no checks, no PASS" in done.json["reason"]


def test_a_restore_test_file_without_checks_never_passes(site: Site, source: Source) -> None:
    site.crm(source, "checks", checks="restore_test: crm\nchecks: []\n")
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)


def test_a_check_that_hangs_is_inconclusive(site: Site, source: Source) -> None:
    done = outcome(site, source, sql("select 1", 1), sql("select pg_sleep(1000)", "", "sleeper"), extra=IMPATIENT)
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)
    assert "sleeper" in done.json["reason"] and "no progress" in done.json["reason"]


def test_a_check_that_computes_for_long_is_left_alone(site: Site, source: Source) -> None:
    """Progress is processor time too: a query gives no output until its end. Longer than no_progress."""
    busy = (
        "with recursive r(n) as (select 1 union all select n + 1 from r"
        " where clock_timestamp() < statement_timestamp() + interval '7 seconds') select max(n) > 0 from r"
    )
    done = outcome(site, source, sql(busy, True, "busy"), extra=IMPATIENT)
    assert done.json["verdict"] == "PASS", done
    assert done.json["phases"]["check"] >= 7


def test_preparation_sql_that_fails_is_inconclusive(site: Site, source: Source) -> None:
    done = outcome(site, source, "kind: identical", extra='prepare_sql: ["select 1 / 0"]')
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)
    assert "prepare_sql" in done.json["reason"] and "division_by_zero" in done.json["reason"]


def test_preparation_sql_and_server_settings_reach_the_sandbox(site: Site, source: Source) -> None:
    extra = 'prepare_sql: ["create table template_mark ()"]\nserver_settings: {work_mem: 7MB}'
    done = outcome(site, source, sql("select current_setting('work_mem')", "7MB"), "kind: identical", extra=extra)
    assert done.json["verdict"] == "PASS", done


def test_server_settings_that_do_not_exist_are_inconclusive(site: Site, source: Source) -> None:
    done = outcome(site, source, "kind: identical", extra="server_settings: {no_such_setting: '1'}")
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)
    assert "did not start" in done.json["reason"] and "no_such_setting" in done.json["reason"]


def test_a_command_runs_where_the_dump_is(site: Site, source: Source) -> None:
    done = outcome(
        site, source,
        "kind: command, name: good, argv: [sh, -c, 'test -f roles.sql && test -d dump && ! touch here']",
        "kind: command, name: bad, argv: [sh, -c, 'echo why; exit 9']",
    )  # fmt: skip
    said: dict[str, Any] = {c["name"]: c for c in done.json["checks"]}
    assert said["good"]["status"] == "PASS" and said["good"]["actual"] == "exit 0"
    assert said["bad"]["status"] == "FAIL" and said["bad"]["actual"] == "exit 9"
    assert (done.json["verdict"], done.code) == ("FAIL", 1) and "why" not in done.stdout


def test_all_of_the_sample_checks_pass(site: Site, source: Source) -> None:
    """The undamaged twin of everything above."""
    site.crm(source, "checks", checks=CRM_CHECKS)
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("PASS", 0), done
    assert done.json["rto"]["verdict"] == "MET" and done.json["rto"]["basis"] == "throwaway"
    assert {c["kind"] for c in done.json["checks"]} == {"identical", "integrity", "rows", "freshness", "sql"}
