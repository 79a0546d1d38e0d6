"""What is concluded of a restored PostgreSQL database from a second dump of it: it came back as it was."""

from __future__ import annotations

import pytest
from tests.support.postgres_restored import ALL, LARGE, Restored

from ccdr.engines.postgres.connection import DUMP_OPTIONS
from ccdr.model.values import Verdict


def told(restored: Restored) -> dict[str, tuple[str, str]]:
    results = restored.results()
    assert all(one.status is Verdict.PASS for one in results.values())
    return {name: (one.expected, one.actual) for name, one in results.items()}


def test_a_database_that_came_back_as_it_was_passes_each_and_says_so(restored: Restored) -> None:
    assert told(restored) == ALL
    assert restored.server.made == [], "nothing had to be loaded once more"
    dumping = restored.call("pg_dump")
    assert {"-w", "-Fd", "-j3", "-Z0", "--no-sync", "--encoding=UTF8"} <= {*dumping.argv}
    assert "--no-unlogged-table-data" not in dumping.argv
    assert dumping.env == {"PGDATABASE": "crm", "PGOPTIONS": f"-c a=b {DUMP_OPTIONS}"}
    assert dumping.watch and dumping.watch.name == "again", "it is seen to go on"
    assert all(call.what for call in restored.server.calls), "each says what it was for"
    asking = restored.call("psql")
    pinned = f"{dumping.env['PGOPTIONS']} -c search_path=pg_catalog"
    assert asking.env == {**dumping.env, "PGOPTIONS": pinned, "PGCLIENTENCODING": "UTF8"}
    assert {"-X", "-w", "-q", "-A", "-t", "ON_ERROR_STOP=1"} <= {*asking.argv} and asking.argv[-2:] == ["-f", "-"]
    roles = restored.call("pg_dumpall")
    assert roles.env == {**dumping.env, "PGCLIENTENCODING": "UTF8"} and "-w" in roles.argv
    assert roles.argv[3:5] == ["-l", "dbname='crm'"] and "--no-role-passwords" not in roles.argv
    assert all(
        "--no-tablespaces" in c.argv for c in restored.server.calls if c.argv[0] == "pg_restore" and "-s" in c.argv
    )


def test_a_dump_in_one_file_that_came_back_as_it_was_passes_each(streamed: Restored) -> None:
    assert told(streamed) == ALL


@pytest.mark.parametrize("kind", ["restored", "streamed"])
def test_a_database_without_large_objects_or_sequences_passes(kind: str, request: pytest.FixtureRequest) -> None:
    found: Restored = request.getfixturevalue(kind)
    for dump in (found.server.captured, found.again):
        text = dump.texts["contents.txt"]
        gone = ("BLOB", "LARGE OBJECT", "SEQUENCE SET")
        dump.texts["contents.txt"] = "".join(
            f"{line}\n" for line in text.split("\n") if not any(w in line for w in gone)
        )
        dump.mail = {}
    found.contents["large_objects"] = {}
    found.files.pop("dump/blob_4242.dat", None)
    results = found.results()
    nothing = ("0 as captured", "0, equal", Verdict.PASS)
    for name in ("large objects", LARGE, "sequences"):
        assert (results[name].expected, results[name].actual, results[name].status) == nothing


def test_it_is_dumped_as_it_was_captured(restored: Restored) -> None:
    restored.contents |= {"standby": True, "encoding": "LATIN1", "role_passwords": False}
    restored.server.facts["encoding"] = "LATIN1"
    assert restored.failed() == {}
    assert {"--no-unlogged-table-data", "--encoding=LATIN1"} <= {*restored.call("pg_dump").argv}
    assert "--no-role-passwords" in restored.call("pg_dumpall").argv
    assert restored.call("psql").env["PGOPTIONS"] == f"-c a=b {DUMP_OPTIONS} -c search_path=pg_catalog"
