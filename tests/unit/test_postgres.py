"""PostgreSQL: what is read out of its scripts and answers, and what is said with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import astuple, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.engines.mariadb.engine import MariaDB
from ccdr.engines.postgres import grants
from ccdr.engines.postgres.dump import archive, locks, references
from ccdr.engines.postgres.dump import capture as described
from ccdr.engines.postgres.dump import database as roles
from ccdr.engines.postgres.engine import Postgres
from ccdr.engines.postgres.inventory import Inventory
from ccdr.model.errors import BackupBad, CommandFailed

ROLES = r"""--
-- PostgreSQL "cluster's" dump
--

\restrict abc

SET standard_conforming_strings = on;

CREATE ROLE "user";
ALTER ROLE "user" WITH SUPERUSER PASSWORD 'it''s; a "secret"';
CREATE ROLE "User";
COMMENT ON ROLE "User" IS 'first
CREATE ROLE "user";
CREATE ROLE "User";
ALTER ROLE ALL SET work_mem TO ''8MB'';
\! touch /tmp/x
last';

--
-- User Configurations
--

\unrestrict abc

ALTER ROLE ALL SET "work_mem" TO '8MB';
"""


def test_a_role_is_found_by_its_name_however_it_is_quoted() -> None:
    kept = roles.without(ROLES, "user")
    assert [s for s in roles.role_statements(ROLES) if s not in kept] == ['CREATE ROLE "user";']
    assert 'CREATE ROLE "User";' in kept and len([s for s in kept if s.startswith("COMMENT")]) == 1
    assert roles.without(ROLES.replace('"user"', "user"), "user")[1].startswith("ALTER ROLE user ")


def test_what_holds_for_all_roles_is_told_apart_from_a_comment_that_says_so() -> None:
    own = roles.own(ROLES)
    assert len(own) == len(list(roles.role_statements(ROLES))) - 1 and "ALTER ROLE ALL SET work_mem" in own[-1]
    assert roles.setting_of_all("ALTER ROLE ALL SET \"work_mem\" TO '8MB';") == ("work_mem", "'8MB'")
    assert roles.setting_of_all("ALTER ROLE ALL SET work_mem TO '8MB';") == ("work_mem", "'8MB'")


@pytest.mark.parametrize("cut", ["last';", "8MB';\n"])
def test_a_script_that_ends_within_a_statement_is_no_good_one(cut: str) -> None:
    with pytest.raises(BackupBad):
        list(roles.role_statements(ROLES[: ROLES.rindex(cut)]))


SCRIPT = r"""--
-- Data for Name: it's; Type: TABLE DATA FROM stdin;
--

\restrict ab'c
SELECT pg_catalog.set_config('search_path', '', false);

COPY public."x FROM stdin;
y" ("a
b") FROM stdin;
it's "
COPY public.t (a) FROM stdin;
\.


COMMENT ON LARGE OBJECT 1 IS 'it''s
COPY public.t (a) FROM stdin;
SELECT pg_catalog.lo_open(''7'', 131072);
"quoted FROM stdin;';
SELECT pg_catalog.lo_open('1', 131072);
SELECT pg_catalog.lowrite(0, '\x61');
SELECT pg_catalog.lo_close(0);

COPY public.nothing () FROM stdin;
\.


"""


def test_rows_and_large_objects_are_what_stands_outside_of_quotes() -> None:
    if shutil.which("awk") is None:
        pytest.skip("needs awk")

    def read(program: str) -> str:
        return subprocess.run(["awk", program], input=SCRIPT, capture_output=True, text=True, check=True).stdout

    found = archive.contents_of(read(archive.HASHED))
    assert [rows for rows, _, _ in found.tables] == [2, 0] and list(found.blobs) == ["1"]
    assert read(archive.EXTRACTED).startswith("it's \"\nCOPY public.t (a) FROM stdin;\n\\.\n")


def answer(**changed: Any) -> dict[str, Any]:
    row = {
        "table": "public.call",
        "holder": 7,
        "role": "app",
        "application": "psql",
        "since": 0,
        "kind": "client backend",
    }
    return {**row, **changed}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "process 7 (role app, psql), in a transaction since 1970-01-01 00:00:00 UTC"),
        ({"since": None}, "process 7 (role app, psql)"),
        ({"application": ""}, "process 7 (role app), in a transaction since 1970-01-01 00:00:00 UTC"),
        ({"application": "caller 0722000001"}, "an application of an odd name"),
        ({"application": "x; drop 'it'"}, "an application of an odd name"),
        ({"role": None, "application": "", "since": None, "kind": "startup"}, "process 7 (role startup)"),
        ({"holder": None, "role": None, "application": None, "since": None, "kind": None}, "a prepared transaction"),
    ],
)
def test_who_keeps_a_lock_is_told_without_what_may_be_a_persons(changed: dict[str, Any], said: str) -> None:
    told = str(locks.holder_of(answer(**changed)))
    assert said in told and "0722" not in told


@pytest.mark.parametrize("changed", [{"file": 9}, {"name": "public.old"}, {"columns": 8}])
def test_a_table_is_safe_only_where_it_was_locked_and_the_same(changed: dict[str, Any]) -> None:
    """Answers as the session gives them: how many are locked, and what those are by now."""
    said: list[str] = []
    known = {oid: locks.TableState(2200, "public", f"public.t{oid}", oid, 7) for oid in (16400, 16401)}
    now = {16400: astuple(known[16400]), 16401: astuple(replace(known[16401], **changed)), 16409: (1, "a", "a.b", 2, 3)}
    answers = iter(["", f"2 f\n{json.dumps(now)}\n", ""])

    def ask(sql: str) -> str:
        said.append(sql)
        return next(answers)

    found = locks.Locks(known)
    found.poll(ask, "ccdr-dump-1")
    assert (found.safe, found.rewritten) == ({16400}, {"public.t16401"})
    assert "pg_terminate_backend" in said[2], "a dump that lacks rows is stopped at once"


@pytest.mark.parametrize("questions", range(5))
def test_who_keeps_a_lock_is_known_whenever_pg_dump_gives_up(questions: int) -> None:
    """It holds one table and waits for another, and gives up after so many of our questions."""
    asked: list[str] = []

    def ask(sql: str) -> str:
        asked.append(sql)
        waits = len(asked) <= questions + 2  # one look has seen it wait
        if "pg_blocking_pids" in sql:
            return json.dumps(answer()) if waits else ""
        return "1 f\n{}\n" if waits else "0 f\n"

    found = locks.Locks({})
    for _ in range(4):
        found.poll(ask, "ccdr-dump-1")
    assert found.holder is not None and found.holder.pid == 7


def test_what_changed_after_the_lock_was_seen_is_none_of_the_dumps_but_a_schemas_name_is() -> None:
    was = locks.TableState(2200, "public", "public.t", 1, 7)
    altered, gone = replace(was, name="public.u", file=2, columns=8), replace(was, schema="old", name="old.t")
    safe, unseen = locks.Locks({16400: was}, safe={16400}), locks.Locks({16400: was})
    assert [safe.changed(now) for now in ({16400: was}, {16400: altered}, {})] == [[], [], []]
    assert safe.changed({16400: gone}) == ["public.t"]
    assert [unseen.changed(now) for now in ({16400: was}, {16400: altered}, {})] == [[], ["public.t"], ["public.t"]]


def failing(text: str) -> CommandFailed:
    return CommandFailed(["pg_restore"], 1, text)


FAILED = "pg_restore: error: could not execute query: ERROR:  "
FOREIGN = (
    f'{FAILED}insert or update on table "call" violates foreign key constraint "call_fk"\n'
    'DETAIL:  Key (phone)=(0722000001) is not present in table "customer".'
)
CHECK = (
    'pg_restore: error: COPY failed for table "call": ERROR:  new row for relation "call" violates check constraint '
    '"positive"\nDETAIL: Failing row contains (0722000001)'
)
UNIQUE = f'{FAILED}could not create unique index "u"\nDETAIL: Key (a)=(0722000001) is duplicated'
EXCLUDED = f'{FAILED}conflicting key value violates exclusion constraint "once"'


@pytest.mark.parametrize(
    ("text", "held", "said"),
    [
        (FOREIGN, {"call_fk of public.call": 3}, "the source itself held 3 rows against the foreign key call_fk of"),
        (FOREIGN, {"call_fk of public.call": 1000}, "1000 rows or more"),
        (FOREIGN, {"other of public.call": 3}, "rows in it break a foreign key constraint, at call, call_fk"),
        (FOREIGN, {}, "rows in it break a foreign key constraint, at call, call_fk"),
        (CHECK, {}, "rows in it break a check constraint, at call, positive"),
        (UNIQUE, {}, "rows in it break a unique constraint, at u"),
        (EXCLUDED, {}, "rows in it break an exclusion constraint, at once"),
    ],
)
def test_rows_that_break_a_rule_are_told_by_its_name(text: str, held: dict[str, int], said: str) -> None:
    listed = {"tables": {"public call postgres": {}}, "rules": ["call_fk", "once", "positive", "u"]}
    found = references.to_blame(failing(text), {"broken_keys": held, **listed})
    assert found is not None and said in str(found) and "0722" not in f"{found} {found.hint}"


@pytest.mark.parametrize("text", [
    f'{FAILED}Ionescu violates check constraint "0722000001"\nCONTEXT:  PL/pgSQL function f() line 1 at RAISE',
    f'{FAILED}new row violates check constraint "positive"\nDETAIL:  violates check constraint "0722000001"',
])  # fmt: skip
def test_a_name_that_the_manifest_does_not_list_is_not_shown(text: str, wording: SnapshotAssertion) -> None:
    """A trigger raises what it likes."""
    found = references.to_blame(failing(text), {"broken_keys": {}, "rules": ["call_fk"]})
    assert str(found) == wording(name="without a name")


def test_a_row_that_reads_like_a_rule_is_none() -> None:
    text = f'{FAILED}role "x" does not exist\nDETAIL:  Key (a)=(violates check constraint "positive")'
    assert references.to_blame(failing(text), {"rules": ["positive"]}) is None


def test_another_failure_is_not_blamed_on_rows() -> None:
    assert references.to_blame(failing('ERROR:  role "x" does not exist'), {"broken_keys": {"a of b": 1}}) is None


@pytest.mark.parametrize(
    ("subscriptions", "superuser", "told"), [(["s"], False, True), (["s"], True, False), ([], False, False)]
)
def test_a_subscription_that_its_role_may_not_dump_is_told(
    subscriptions: list[str], superuser: bool, told: bool
) -> None:
    found = list(
        described.left_out(Inventory({"subscriptions": subscriptions, "superuser": superuser, "detaching": []}))
    )
    assert bool(found) == told


@pytest.mark.parametrize(
    ("inherits", "major", "said"),
    [
        (True, 17, "GRANT pg_read_all_data TO ccdr;"),
        (False, 17, "GRANT pg_read_all_data TO ccdr WITH INHERIT TRUE;"),
        (False, 15, "ALTER ROLE ccdr INHERIT; GRANT pg_read_all_data TO ccdr;"),
    ],
)
def test_a_grant_works_at_once_also_for_who_inherits_nothing(inherits: bool, major: int, said: str) -> None:
    assert grants.member("pg_read_all_data", "ccdr", inherits=inherits, major=major) == said


def test_a_grant_names_a_role_as_it_must_be_written() -> None:
    assert "TO \"it''s-100%%\"'" in grants.large_objects('"it\'s-100%"')
    assert grants.connect("crm", "it's") == 'GRANT CONNECT ON DATABASE crm TO "it\'s";'


@pytest.mark.parametrize(
    ("name", "right"),
    [("shared_preload_libraries", True), ("pg_stat_statements.max", True), ("a.b.c", True), ("a.", False), ("a-b", False), ("a b", False), ("a\nb", False)],
)  # fmt: skip
def test_settings_may_be_an_extensions(name: str, right: bool) -> None:
    plan = {
        "engine": "postgres",
        "connection": {"user": "ccdr", "database": "crm"},
        "server_settings": {name: "1"},
        "restore_test": {"schedule": "0 3 * * *", "checks": ["crm"]},
    }
    try:
        assert Postgres.model_validate(plan).server_settings == {name: "1"} and right
    except ValueError:
        assert not right


def test_templates_are_no_database_to_dump() -> None:
    def made(database: str, method: str) -> Postgres:
        plan = {
            "engine": "postgres",
            "method": method,
            "connection": {"user": "ccdr", "database": database},
            "restore_test": {"schedule": "0 3 * * *", "checks": ["crm"]},
        }
        return Postgres.model_validate(plan, context={"base": Path()})

    assert made("template1", "physical").connection.database == "template1"
    for database, method in [("template1", "dump"), ("template1", "stream"), ("template0", "physical")]:
        with pytest.raises(ValueError, match="belongs to the server itself"):
            made(database, method)


@pytest.mark.parametrize("named", [*Postgres.methods.values(), *MariaDB.methods.values()])
def test_every_method_of_capture_is_where_its_engine_says(named: str) -> None:
    """They are loaded by name, and only once they are wanted: nothing else notices that one was moved or renamed."""
    assert isinstance(resolve_name(named), type)
