"""What is concluded of a restored PostgreSQL database from a second dump of it: definitions."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.postgres_restored import (
    CHECK,
    FILLED,
    LARGE,
    OBJECTS,
    REPRINTED,
    TEXTS,
    Restored,
    file_of,
    loaded_once,
    place,
)

from ccdr.engines.postgres.connection import DUMP_OPTIONS
from ccdr.engines.postgres.dump.database import database_properties
from ccdr.model.values import Verdict


@pytest.mark.parametrize("name", ["dump/toc.dat", "roles.sql", "toc.list"])
def test_a_captured_file_that_is_other_or_gone_is_named(restored: Restored, name: str) -> None:
    """Also the one that holds every definition, though it is called like a table's data: what it says once it is
    damaged is what is loaded, and dumped again."""
    (restored.top / "restored" / name).write_text(TEXTS["roles.sql"] + "-- \n")
    assert restored.failed() == {"table of contents and roles": f"differs: {name}"}
    restored.files["z.sql"] = file_of("gone")
    assert restored.failed() == {"table of contents and roles": f"differs: {name}; z.sql"}


def test_a_tables_file_is_compared_after_its_load_alone(restored: Restored) -> None:
    for name in ("dump/4096.dat", "dump/blob_4242.dat"):
        (restored.top / "restored" / name).write_text("not looked at, since what was loaded is right")
    assert restored.failed() == {}


@pytest.mark.parametrize(
    ("text", "old", "new", "name"),
    [
        ("sequences.sql", "call_id_seq', 1, true", "call_id_seq', 1, false", "sequences"),
        ("large_objects.sql", "IS 'mail'", "IS 'voice'", LARGE),
        ("large_objects.sql", "OWNER TO postgres", "OWNER TO boss", LARGE),
        ("large_objects.sql", "TO app_reader", "TO boss", LARGE),
    ],
)
def test_what_stands_among_the_data_is_compared(restored: Restored, text: str, old: str, new: str, name: str) -> None:
    restored.again.change(old, new, text)
    assert list(restored.failed()) == [name]


TITLES = {
    "    who text": ("    who integer", "TABLE public.seat"),
    "select 1": ("select 2", "FUNCTION public.f()"),
    "IS 'seats'": ("IS 'chairs'", "COMMENT public.TABLE seat"),
    "GRANT SELECT ON TABLE public.call TO app_reader": ("GRANT ALL ON TABLE public.call TO app_reader", "ACL public.TABLE call"),
    "    INCREMENT BY 1": ("    INCREMENT BY 2", "SEQUENCE public.call_id_seq"),
}  # fmt: skip


@pytest.mark.parametrize("old", TITLES)
def test_a_definition_that_differs_is_named_and_was_loaded_once_more(restored: Restored, old: str) -> None:
    """What PostgreSQL prints otherwise after a load is no difference: the captured definitions are loaded to see."""
    new, title = TITLES[old]
    loaded_once(restored)
    restored.again.change(old, new)
    results = restored.results()
    failed = {n: r.actual for n, r in results.items() if r.status is Verdict.FAIL}
    assert failed == {OBJECTS: f"missing: {title}; not in the backup: {title}"}
    assert results[OBJECTS].expected == "12 definitions"
    options = "template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'en_US.utf8'"
    assert restored.server.made == [
        f"template1: create database ccdr_reference {options}", "template1: drop database ccdr_reference"
    ]  # fmt: skip
    loading = restored.call("pg_restore", "--exit-on-error")
    assert {"-s", "--no-tablespaces", "-d", "ccdr_reference"} <= {*loading.argv} and loading.what
    dumping = restored.call("pg_dump", "-s")
    assert {"-w", "-Fd", "-Z0", "--no-sync", "--encoding=UTF8"} <= {*dumping.argv} and dumping.what
    assert dumping.env == {"PGDATABASE": "ccdr_reference", "PGOPTIONS": f"-c a=b {DUMP_OPTIONS}"}
    for making in (c for c in restored.server.calls if c.argv[0] == "psql" and "-c" in c.argv):
        assert {"-X", "-w", "-q", "ON_ERROR_STOP=1"} <= {*making.argv} and making.env["PGDATABASE"] == "crm"


def test_what_is_printed_otherwise_after_a_load_is_equal_and_told(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    for dump in (loaded_once(restored), restored.again):
        dump.change(CHECK, REPRINTED)
    results = restored.results()
    assert results[OBJECTS].status is Verdict.PASS
    assert results[OBJECTS].actual == wording


@pytest.mark.parametrize(
    "statement", ["CREATE TRIGGER guard BEFORE UPDATE ON public.call EXECUTE FUNCTION public.f();", ";"]
)
def test_an_object_that_the_dump_lists_is_missed_where_it_loads_to_nothing(restored: Restored, statement: str) -> None:
    """As pg_dump has it whose trigger was dropped before it was read: beside what is printed otherwise."""
    mark = "--\n-- Name: TABLE call; Type: ACL;"
    trigger = f"--\n-- Name: call guard; Type: TRIGGER; Schema: public; Owner: postgres\n--\n\n{statement}\n\n\n"
    restored.server.captured.change(mark, trigger + mark)
    for dump in (loaded_once(restored), restored.again):
        dump.change(CHECK, REPRINTED)
        if statement != ";":
            dump.change(mark, trigger + mark)
    assert restored.failed() == ({OBJECTS: "missing: TRIGGER public.call guard"} if statement == ";" else {})


@pytest.mark.parametrize("filled", [True, False])
def test_whether_a_materialised_view_is_filled_is_compared_even_then(
    restored: Restored, filled: bool, wording: SnapshotAssertion
) -> None:
    """Of what was loaded by its definitions alone, none is: the captured dump says which were."""
    loaded_once(restored)
    for dump in (restored.server.loaded, restored.again):
        dump.change(CHECK, REPRINTED)
    if not filled:
        restored.again.change(FILLED, "\n")
    assert restored.failed() == ({} if filled else {OBJECTS: wording})


def test_the_database_that_was_made_to_see_is_dropped_whatever_happens(restored: Restored) -> None:
    restored.again.change("    who text", "    who integer")
    restored.server.loaded = None
    with pytest.raises(AssertionError):
        restored.results()
    assert restored.server.made[-1] == "template1: drop database ccdr_reference"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("COMMENT ON DATABASE crm IS 'centre'", "COMMENT ON DATABASE crm IS 'other'", "COMMENT -.DATABASE crm"),
        ("GRANT CONNECT ON DATABASE", "GRANT ALL ON DATABASE", "ACL -.DATABASE crm"),
        ("SET work_mem TO '5MB'", "SET work_mem TO '6MB'", "DATABASE PROPERTIES -.crm"),
        ("ALTER DATABASE crm OWNER TO postgres", "ALTER DATABASE crm OWNER TO boss", "DATABASE -.crm"),
        ("CREATE DATABASE crm WITH", "CREATE DATABASE crm IS_TEMPLATE WITH", "DATABASE -.crm"),
    ],
)
def test_what_is_the_databases_own_is_compared_as_it_was_captured(
    restored: Restored, old: str, new: str, said: str
) -> None:
    restored.again.change(old, new, "definitions.sql")
    results = restored.results()
    assert results[OBJECTS].actual == f"missing: {said}; not in the backup: {said}"
    assert results[OBJECTS].status is Verdict.FAIL and results[OBJECTS].expected == "16 definitions"
    assert restored.server.made == [], "it stands in no dump that could be loaded to see"


def test_what_is_the_databases_own_is_seen_beside_what_is_printed_otherwise(restored: Restored) -> None:
    """A load of the definitions alone could not tell."""
    restored.again.change(
        "COMMENT ON DATABASE crm IS 'centre'", "COMMENT ON DATABASE crm IS 'other'", "definitions.sql"
    )
    for dump in (loaded_once(restored), restored.again):
        dump.change(CHECK, REPRINTED)
    both = "{0}: COMMENT -.DATABASE crm; {0}: TABLE public.call"
    assert restored.failed() == {OBJECTS: f"{both.format('missing')}; {both.format('not in the backup')}"}


def test_what_a_script_begins_with_is_compared(restored: Restored) -> None:
    restored.again.change(
        "SET standard_conforming_strings = on", "SET standard_conforming_strings = off", "definitions.sql"
    )
    parts = "DATABASE -.crm", "DATABASE PROPERTIES -.crm", "preamble"
    both = [*(f"missing: {part}" for part in parts), *(f"not in the backup: {part}" for part in parts)]
    assert restored.failed() == {OBJECTS: "; ".join(both)}


@pytest.mark.parametrize("planted", [True, False])
def test_a_definition_that_only_one_of_them_has_is_looked_at_once_more(restored: Restored, planted: bool) -> None:
    grant = "--\n-- Name: TABLE call; Type: ACL; Schema: public; Owner: postgres\n--\n\nGRANT SELECT ON TABLE public.call TO app_reader;\n\n\n"
    dumps = [restored.server.captured] if planted else [restored.again]
    for dump in dumps:
        dump.change(grant, "")
    loaded = loaded_once(restored)
    if planted:
        loaded.change(grant, "")
    said = "not in the backup" if planted else "missing"
    assert restored.failed() == {OBJECTS: f"{said}: ACL public.TABLE call"}
    assert len(restored.server.made) == 2


def test_a_table_that_is_called_like_a_database_is_none(restored: Restored) -> None:
    table = '--\n-- Name: DATABASE crm; Type: TABLE; Schema: public; Owner: postgres\n--\n\nCREATE TABLE public."DATABASE crm" (n {0});\n\n\n'
    mark = "--\n-- Name: TABLE call; Type: ACL;"
    for dump in (restored.server.captured, restored.again, loaded_once(restored)):
        other = "bigint" if dump is restored.again else "integer"
        dump.change(mark, table.format(other) + mark)
    said = "TABLE public.DATABASE crm"
    assert restored.failed() == {OBJECTS: f"missing: {said}; not in the backup: {said}"}
    assert len(restored.server.made) == 2
    found = database_properties(place(restored.server.captured.texts["definitions.sql"], []), Path("/d"), "new")
    assert "CREATE" not in found and "COMMENT ON DATABASE new" in found


def test_a_definition_that_is_gone_or_planted_is_named(restored: Restored, wording: SnapshotAssertion) -> None:
    part = "--\n-- Name: answered; Type: VIEW; Schema: public; Owner: postgres\n--\n\nCREATE VIEW public.answered"
    loaded_once(restored)
    restored.again.change(part, part.replace("answered", "planted"))
    assert restored.failed() == {OBJECTS: wording}
