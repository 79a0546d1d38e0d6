"""How the texts of pg_restore are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from tests.support.postgres_restored import ODD, QUOTED, SEAT, TEXTS, Dump, called, once_more, place

from ccdr.engines.postgres.dump.database import create_options, database_properties
from ccdr.engines.postgres.dump.definitions import schema_of
from ccdr.engines.postgres.dump.toc import TABLE_DATA, TableFact, blobs, tables, toc_of
from ccdr.model.values import FileDigest

LABEL = (
    "--\n-- Name: DATABASE crm; Type: SECURITY LABEL; Schema: -; Owner: postgres\n--\n\n"
    "SECURITY LABEL FOR selinux ON DATABASE crm IS 'crm';\n\n\n"
)
OF_CALL = "--\n-- Name: TABLE call; Type: ACL;"


@pytest.mark.parametrize(("raw", "quoted"), [("crm", "crm"), (ODD, QUOTED)])
def test_what_is_the_databases_own_is_told_for_another_name(raw: str, quoted: str) -> None:
    dump, asked = Dump(), cast("list[list[str]]", [])
    dump.change(OF_CALL, LABEL + OF_CALL, "definitions.sql")
    dump.change(
        "GRANT CONNECT ON DATABASE crm TO app_reader;",
        "GRANT CONNECT ON DATABASE crm TO app_reader;\n"
        "SET SESSION AUTHORIZATION boss;\nGRANT CREATE ON DATABASE crm TO r2;\nRESET SESSION AUTHORIZATION;",
        "definitions.sql",
    )
    called(dump, raw, quoted)
    found = database_properties(place(dump.texts["definitions.sql"], asked), Path("/d"), "new")
    assert found.splitlines() == [
        "ALTER DATABASE new OWNER TO postgres;",
        "COMMENT ON DATABASE new IS 'centre';",
        "ALTER DATABASE new SET \"TimeZone\" TO 'UTC';",
        "ALTER ROLE boss IN DATABASE new SET work_mem TO '5MB';",
        "GRANT CONNECT ON DATABASE new TO app_reader;",
        "SET SESSION AUTHORIZATION boss;",
        "GRANT CREATE ON DATABASE new TO r2;",
        "RESET SESSION AUTHORIZATION;",
        "SECURITY LABEL FOR selinux ON DATABASE new IS 'crm';",
    ]


@pytest.mark.parametrize("line", [
    "\\connect crm", "\\connect other", "--", "--\n-- Name: crm; Type: DATABASE; Schema: -; Owner: postgres\n--\n",
    "CREATE DATABASE crm WITH TEMPLATE = template0;", "ALTER DATABASE crm OWNER TO nobody;", "SET row_security = off;",
    "-- PostgreSQL database dump complete", "it''s; \\connect crm",
])  # fmt: skip
def test_a_databases_comment_may_hold_any_line(line: str) -> None:
    comment = f"COMMENT ON DATABASE {{}} IS 'centre\n{line}\nof ours';"
    dump = Dump()
    dump.change("COMMENT ON DATABASE crm IS 'centre';", comment.format("crm"), "definitions.sql")
    found = database_properties(place(dump.texts["definitions.sql"], []), Path("/d"), "new")
    assert found == (
        f"ALTER DATABASE new OWNER TO postgres;\n{comment.format('new')}\n"
        "ALTER DATABASE new SET \"TimeZone\" TO 'UTC';\nALTER ROLE boss IN DATABASE new SET work_mem TO '5MB';\n"
        "GRANT CONNECT ON DATABASE new TO app_reader;\n"
    )


def test_a_text_in_a_dump_of_the_older_strings_is_read_as_it_was_written() -> None:
    """Its backslashes are doubled, and only this setting says so."""
    dump = Dump()
    dump.change("standard_conforming_strings = on", "standard_conforming_strings = off", "definitions.sql")
    found = database_properties(place(dump.texts["definitions.sql"], []), Path("/d"), "new")
    assert found.startswith("SET standard_conforming_strings = off;\nALTER DATABASE new OWNER")


@pytest.mark.parametrize(
    ("provider", "end"),
    [
        ("c", ""),
        ("i", " locale_provider icu icu_locale 'de-DE'"),
        ("b", " locale_provider builtin builtin_locale 'de-DE'"),
    ],
)
def test_a_database_like_the_captured_is_made_by_its_provider(provider: str, end: str) -> None:
    facts = {"encoding": "UTF8", "collate": "C", "ctype": "D", "icu_locale": "de-DE", "locale_provider": provider}
    assert (
        create_options({**facts, "icu_rules": None})
        == f"template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'D'{end}"
    )
    rules = f"{end} icu_rules '&V << w '' W'" if provider == "i" else end
    assert create_options({**facts, "icu_rules": "&V << w ' W"}).endswith(f"lc_ctype 'D'{rules}")


def test_two_entries_that_print_alike_are_still_two() -> None:
    line = "; 0 16393 TABLE DATA public seat postgres\n"
    toc = toc_of(
        f"; Archive created\n1{line}2{line}3{line}12; 0 0 TABLE DATA public b a\n4; 0 0 SEQUENCE SET public s o\nno entry\n"
    )
    assert toc.of(TABLE_DATA) == {SEAT: "1", f"{SEAT} (again)": "2", f"{SEAT} (again) (again)": "3", "public b a": "12"}
    assert toc.of("TABLE") == {"DATA public seat postgres": "1", "DATA public seat postgres (again)": "2",
        "DATA public seat postgres (again) (again)": "3", "DATA public b a": "12"}  # fmt: skip
    assert toc.entry("2") == f"2{line}" and toc.entry("4") == "4; 0 0 SEQUENCE SET public s o\n"
    assert toc.lines(re.compile("SEQUENCE SET ")) == "4; 0 0 SEQUENCE SET public s o\n"
    assert "Archive" not in toc.text and toc.text.endswith("no entry\n\n")


def test_a_tables_facts_come_from_its_own_file() -> None:
    toc = toc_of("7; 0 16393 TABLE DATA public seat postgres\n8; 0 1 TABLE DATA public b a\n")
    files = {"7.dat": FileDigest(11, "s", 5), "8.dat": FileDigest(5, "e", None)}
    assert tables(toc, files) == {SEAT: TableFact(2, 11, "s", "7.dat"), "public b a": TableFact(-3, 5, "e", "8.dat")}
    names = ("blob_12.dat", "blob_x.dat", "7.dat", "blob_13.dat.gz")
    assert blobs({name: FileDigest(1, name) for name in names}) == {"12": "blob_12.dat"}


def test_only_what_a_dump_says_of_itself_is_left_out_of_its_definitions() -> None:
    """A function's body may hold lines that look the same."""
    one = TEXTS["definitions_alone.sql"]
    body = "$$select\n-- Dumped by one\n\\restrict word\n\n--\n-- PostgreSQL database dump complete\n--\n\n 1$$"
    assert (
        schema_of(one).text == schema_of(once_more(one)).text
        and schema_of(one).sha256 == schema_of(once_more(one)).sha256
    )
    assert "restrict" not in schema_of(one).text and "Dumped" not in schema_of(one).text
    own = one.replace("$$select 1$$", body)
    assert body in schema_of(own).text
    other = own.replace("-- Dumped by one", "-- Dumped by two")
    assert schema_of(own).sha256 != schema_of(other).sha256
    bare = re.sub(r"^-- Dumped .*\n", "", own, flags=re.M).replace("$$select\n", "$$select\n-- Dumped by one\n")
    assert "-- Dumped by one" in schema_of(bare).text, "an old head names no version"
    assert sum(schema_of(one).statements().values()) == 12
