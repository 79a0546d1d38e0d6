"""SQLite: what only the application has, and an image that reads it otherwise."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import ask_sqlite
from tests.support.sqlite_source import Near, captured, engine, manifest_of

from ccdr.host.digests import Digest
from ccdr.host.processes import Host
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken
from ccdr.model.values import Verdict, verdict_of
from ccdr.ports.capture import Capture
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output


@pytest.fixture
def of_an_application(tmp_path: Path) -> Path:
    """Its own collation, function and virtual-table module: no other program has them."""
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.create_collation("phone", lambda a, b: (a > b) - (a < b))
        con.create_function("e164", 1, lambda x: x, deterministic=True)
        for sql in (
            "create table number (n text collate phone primary key, v text) without rowid",
            "insert into number values ('1', 'x'), ('2', 'y')",
            "create table made (a text, b text generated always as (e164(a)) virtual)",
            "insert into made (a) values ('1')",
            "create index by_e164 on made (e164(a))",
            "create view shown as select e164(n) from number",
            "create virtual table words using fts5 (body)",
            "insert into words values ('x')",
            "pragma writable_schema = on",
            "update sqlite_master set sql = replace(sql, 'using fts5', 'using sphinx') where name = 'words'",
        ):
            con.execute(sql)
    return path


def test_what_only_the_application_has_does_not_keep_it_from_being_backed_up(
    of_an_application: Path, tmp_path: Path
) -> None:
    """Every row is read and compared all the same; what cannot be looked at is no failure of the backup."""
    done = captured(of_an_application, tmp_path / "into")
    tables: Any = done.contents["tables"]
    assert (tables["number"]["rows"], tables["made"]["rows"], tables["words_content"]["rows"]) == (2, 1, 1)
    near = Near().beside(tmp_path / "into" / "app.db")
    context = CheckContext(
        manifest_of(done, tmp_path), tmp_path, tmp_path / "into", tmp_path, near, Host(), Digest(Host())
    )
    one = engine(of_an_application)
    assert verdict_of(list(one.identical(context))) is Verdict.PASS
    with pytest.raises(TestBroken, match="lacks something that integrity_check needs"):
        list(one.integrity(context))
    for sql in ("select * from shown", "select * from words", "select * from number order by n"):
        with pytest.raises(TestBroken, match="lacks something that the query needs"):
            one.query(near, context.manifest, sql)
    with pytest.raises(CommandFailed, match="a table is not there"):
        one.query(near, context.manifest, "select * from nowhere")
    assert one.query(near, context.manifest, "select a from made") == [["1"]]
    # Damage is damage, whatever cannot be looked at besides.
    ask_sqlite(tmp_path / "into" / "app.db", "create table t (id integer primary key autoincrement); insert into t"
               " values (5); delete from sqlite_sequence")  # fmt: skip
    found = {r.name: r.status for r in one.integrity(context)}
    assert found == {"foreign keys": Verdict.PASS, "sequences": Verdict.FAIL}


class Scripted:
    """A `Place` whose SQLite is another one: it answers what it is given."""

    def __init__(self, **told: Any) -> None:
        self.told = told

    def path(self, host: Path) -> str:
        return str(host)

    def run(self, argv: Sequence[str], **more: Any) -> Output:
        return Output(0, json.dumps(self.told) + "\n", NO_WORDS)


def test_an_image_whose_sqlite_is_too_old_proves_nothing(kept: tuple[Capture, Path]) -> None:
    done, into = kept
    manifest = manifest_of(done, into)
    said = 'malformed database schema (t) - near "strict": syntax error'
    one = engine(into / "cdr.sqlite3")
    with pytest.raises(TestBroken, match=r"SQLite 3\.34\.1 is older than"):
        one.load(Scripted(sqlite="3.34.1", refused=said, lacks=False), into, manifest)  # type: ignore[arg-type]
    with pytest.raises(BackupBad, match="not a database that opens"):  # the twin: nothing is to blame but the file
        one.load(Scripted(sqlite="99.0.0", refused=said, lacks=False), into, manifest)  # type: ignore[arg-type]
    one.load(Scripted(sqlite="3.34.1", glance={"tables": 2}), into, manifest)  # type: ignore[arg-type]


def test_the_same_file_read_otherwise_proves_nothing(kept: tuple[Capture, Path]) -> None:
    """The bytes are what was captured: whoever reads something else in them is wrong, not they."""
    done, into = kept
    contents: Any = json.loads(json.dumps(done.contents))
    contents["tables"]["call"]["sha256"] = "0" * 64
    for told in ({"contents": contents}, {"refused": "memory", "lacks": False}):
        place = Scripted(sqlite="3.46.1", **told)
        context = CheckContext(manifest_of(done, into), into, into, into, place, Host(), Digest(Host()))  # type: ignore[arg-type]
        with pytest.raises(TestBroken, match=r"SQLite 3\.46\.1"):
            list(engine(into / "cdr.sqlite3").identical(context))
