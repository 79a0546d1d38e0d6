"""SQLite: whole commands, in a real sandbox."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Site, ask_sqlite, containers
from tests.support.stored import assert_clean, with_repository


@pytest.fixture
def site(tmp_path: Path, database: Path) -> Site:
    made = with_repository(Site(tmp_path))
    made.cdr(database)
    return made


def test_a_good_backup_passes_every_check_and_comes_back_for_real(site: Site, database: Path) -> None:
    database.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(database, 1234, 4321)
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert [c["status"] for c in done.json["checks"]] == ["PASS"] * 10
    assert f"ccdr-{done.json['run']}" not in containers()
    to = site.root / "back"
    restored = site.run("restore", "p", "--asset", "cdr", "--to", str(to), "--yes-i-mean", "back")
    assert (restored.code, restored.json["result"]) == (0, "RESTORED"), restored
    assert [c["status"] for c in restored.json["checks"]] == ["PASS"] * 11
    found = to / "cdr.sqlite3"
    assert [p.name for p in to.iterdir()] == ["cdr.sqlite3"]
    assert (stat.S_IMODE(found.stat().st_mode), found.stat().st_uid) == (
        0o640,
        1234 if os.geteuid() == 0 else os.getuid(),
    )
    assert ask_sqlite(found, "pragma integrity_check") == [("ok",)]
    assert ask_sqlite(found, "insert into customer (name) values ('new') returning id, note") == [(201, None)]
    assert_clean(site)


def test_an_emptied_source_fails_by_its_own_checks(site: Site, database: Path) -> None:
    """A faithful copy of a database that lost its rows is no use: `rows`, `freshness` and `sql` say so."""
    ask_sqlite(database, "delete from customer where id > 100; update call set started_at = '2020-01-01 00:00:00'")
    assert site.run("backup", "p").code == 1, "and foreign keys lead nowhere, which is told at once"
    site.write("restore_tests/cdr.yaml", """
        restore_test: cdr
        checks:
          - {kind: identical}
          - {kind: rows, table: customer, at_least: 150}
          - {kind: freshness, query: "select max(started_at) from call", within: 24h}
          - {kind: sql, name: orphans, expect: 0, query: "select count(*) from call where customer_id > 100"}
          - {kind: sql, name: "null is no text", expect: "NULL", query: "select null"}
          - {kind: sql, name: "text is no null", expect: null, query: "select 'NULL'"}
          - {kind: sql, name: null, expect: null, query: "select null"}
          - {kind: sql, name: nothing may be written, expect: 1, query: "insert into customer (name) values ('x')"}
          - {kind: command, argv: [test, -f, cdr.sqlite3]}
        """)  # fmt: skip
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    found = {c["name"]: (c["status"], c["actual"]) for c in done.json["checks"]}
    assert [s for s, _ in list(found.values())[:4]] == ["PASS"] * 4, "identical"
    assert found["customer has at least 150 rows"] == ("FAIL", "100")
    assert found["newest row within 1d"][0] == "FAIL" and found["orphans"][0] == "FAIL"
    assert (
        found["null is no text"][0],
        found["text is no null"][0],
        found[f"query {sha256(b'select null').hexdigest()[:8]}"][0],
    ) == (
        "FAIL",
        "FAIL",
        "PASS",
    )
    assert found["nothing may be written"][0] == "FAIL" and found["test ends with 0"][0] == "PASS"
    assert_clean(site)


def test_an_image_without_sqlite_is_inconclusive(site: Site) -> None:
    site.backed_up()
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("  limits:", "  image: ccdr-sandbox/postgres:17\n    limits:"))
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE") and "python3" in done.json["reason"], done
    assert_clean(site)


def test_a_missing_database_is_a_failed_backup_with_a_next_step(site: Site, database: Path) -> None:
    site.backed_up()
    database.unlink()
    done = site.run("backup", "p")
    assert (done.code, done.json["result"]) == (1, "FAILED") and "is not there" in done.json["reason"], done
    failed = site.run("test", "p")
    assert (failed.code, failed.json["verdict"]) == (1, "FAIL") and "failed" in failed.json["reason"]
    assert_clean(site)
