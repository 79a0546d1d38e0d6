"""What is concluded of a restored PostgreSQL database from a second dump of it: the texts of a real one
(`dumps/postgres`), one damage each, and the database that came back as it was."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from ccdr.engines.postgres.connection import DUMP_OPTIONS
from ccdr.engines.postgres.dump.database import create_options, database_properties
from ccdr.engines.postgres.dump.definitions import schema_of
from ccdr.engines.postgres.dump.identity import compare
from ccdr.engines.postgres.dump.toc import TABLE_DATA, TableFact, blobs, tables, toc_of
from ccdr.engines.postgres.inventory import COMPARED, INVENTORY
from ccdr.model.answers import NO_WORDS
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXTS = {path.name: path.read_text() for path in (Path(__file__).parent / "dumps/postgres").iterdir()}
CALL, SEAT = "public call postgres", "public seat postgres"
ROWS = {CALL: "1\tringing\ta\n", SEAT: "1\ta\n2\tb\n"}
END = "\\.\n\n\n"
MAIL = b"a voice mail"
CHECK = "((note)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))"
REPRINTED = "((note)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))"
FACTS: dict[str, Any] = {
    "encoding": "UTF8", "collate": "C", "ctype": "en_US.utf8", "locale_provider": "c", "icu_locale": None,
    "connection_limit": -1, "database_settings": {"": ["TimeZone=UTC"]},
    "role_all_settings": ["ALTER ROLE ALL SET work_mem TO '8MB';"], "not_dumped": [], "extension_rows": {},
    "disabled_constraints": [], "subscriptions": [], "user_mappings": {},
    "extensions": {"hstore": "1.8", "plpgsql": "1.0"}, "extension_objects": {"hstore": 5, "plpgsql": 4},
    "roles": {"app_reader": [False, None], "boss": [True, None], "postgres": [True, ["work_mem=8MB"]]},
}  # fmt: skip
SETTINGS = "database settings, and what a dump leaves out"
OBJECTS = "objects (definitions, owners, grants, comments)"
LARGE = "large objects' owners, grants, comments"


def sha(content: str | bytes) -> str:
    return sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def file_of(content: str | bytes) -> FileDigest:
    raw = content.encode() if isinstance(content, str) else content
    return FileDigest(len(raw), sha(raw), raw.count(b"\n"))


@dataclass
class Dump:
    """One dump: what pg_restore says of it, and the files that lie in it."""

    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    rows: dict[str, str] = field(default_factory=lambda: dict(ROWS))
    mail: dict[str, bytes] = field(default_factory=lambda: {"4242": MAIL})

    @property
    def files(self) -> dict[str, str | bytes]:
        ids = toc_of(self.texts["contents.txt"]).of(TABLE_DATA)
        found: dict[str, str | bytes] = {f"{ids[k]}.dat": rows + END for k, rows in self.rows.items() if k in ids}
        return {**found, **{f"blob_{oid}.dat": content for oid, content in self.mail.items()}, "toc.dat": "PGDMP"}

    def change(self, old: str, new: str, *names: str) -> None:
        for name in names or ("definitions.sql", "definitions_alone.sql"):
            assert old in self.texts[name], (old, name)
            self.texts[name] = self.texts[name].replace(old, new)


def once_more(text: str) -> str:
    """As another pg_dump prints it, of the same database on another server, with other numbers."""
    text = re.sub(
        r"^(\d+); (\d+) (\d+) ", lambda m: f"{int(m[1]) + 10}; {m[2]} {int(m[3]) and int(m[3]) + 7} ", text, flags=re.M
    )
    text = text.replace("17.12 (Debian 17.12-0+deb13u1)", "17.13").replace("08:26:32", "09:00:00")
    return re.sub(r"^\\(un)?restrict \w+$", r"\\\1restrict other", text, flags=re.M)


@dataclass
class Call:
    argv: list[str]
    stdin: str | None
    env: dict[str, str]
    what: str | None
    watch: Path | None


@dataclass
class Server:
    """The restored server, and PostgreSQL's programs beside it: as captured, until something is damaged."""

    top: Path
    again: Dump = field(default_factory=Dump)
    captured: Dump = field(default_factory=Dump)
    loaded: Dump | None = None  # the captured definitions, after a load
    facts: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(FACTS))
    roles: str = TEXTS["roles.sql"]
    made: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def path(self, host: Path) -> str:
        return f"/box{host}"

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None,
        what: str | None = None, watch: Path | None = None,
    ) -> Output:  # fmt: skip
        self.calls.append(Call(list(argv), stdin, dict(env or {}), what, watch))
        return Output(0, self.answer(list(argv), stdin, env or {}), NO_WORDS)

    def answer(self, argv: list[str], stdin: str | None, env: Mapping[str, str]) -> str:
        match argv[0]:
            case "pg_dump":
                return self.dumped(argv, env)
            case "pg_restore":
                return self.told(argv, stdin, env)
            case "psql" if "-c" in argv:
                self.made.append(f"{argv[argv.index('-d') + 1]}: {argv[-1]}")
                return ""
            case "psql":
                assert stdin == INVENTORY
                return json.dumps(self.facts)
            case "pg_dumpall":
                assert "--roles-only" in argv
                return self.roles
            case _:
                return self.read(argv, stdin or "")

    def dumped(self, argv: list[str], env: Mapping[str, str]) -> str:
        to = Path(argv[argv.index("-f") + 1].removeprefix("/box"))
        assert os.stat(to).st_mode & 0o777 == 0o777 and not list(to.iterdir()), "the sandbox's user writes there"
        if "-s" in argv:
            assert to.name == "reference" and any(env["PGDATABASE"] in made for made in self.made)
        else:
            assert to.name == "again" and env["PGDATABASE"] == "crm"
            for name, content in self.again.files.items():
                (to / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return ""

    def told(self, argv: list[str], stdin: str | None, env: Mapping[str, str]) -> str:
        where = Path(argv[-1].removeprefix("/box"))
        assert argv[-1].startswith("/box/")
        if "--exit-on-error" in argv:
            assert where.name == "dump" and env["PGDATABASE"] == argv[argv.index("-d") + 1]
            assert self.made, "into a database of its own"
            return ""
        dump = {"dump": self.captured, "again": self.again, "reference": self.loaded}[where.name]
        assert dump is not None
        if "-l" in argv:
            return dump.texts["contents.txt"]
        assert argv[argv.index("-f") + 1] == "-"
        if "-s" in argv:
            return dump.texts["definitions.sql" if "-C" in argv else "definitions_alone.sql"]
        assert stdin and argv[argv.index("-L") + 1] == "/dev/stdin"
        assert all(line in dump.texts["contents.txt"].split("\n") for line in stdin.splitlines())
        assert ("SEQUENCE SET" in stdin) is not ("LARGE OBJECT" in stdin) and stdin.count("\n") in (1, 3)
        assert "BLOBS" not in stdin and "COMMENT public" not in stdin
        return dump.texts["sequences.sql" if "SEQUENCE SET" in stdin else "large_objects.sql"]

    def read(self, argv: list[str], entries: str) -> str:
        """What is read out of a dump in one file: the rows of one table, or the digests of large objects."""
        if len(argv) > 6:
            assert argv[4].endswith("/restored/dump") and entries.endswith("\n")
            (key,) = (
                k
                for k, n in toc_of(self.captured.texts["contents.txt"]).of(TABLE_DATA).items()
                if entries.startswith(f"{n}; ")
            )
            Path(argv[6].removeprefix("/box")).write_text(self.captured.rows[key] + END)
            return ""
        assert argv[4].endswith("/out/again") and " BLOBS - " in entries
        return "".join(f"{sha(content)}  -\nblob {oid}\n" for oid, content in self.again.mail.items())


class Sorting:
    """This host: its `sort` is the real one."""

    def run(self, argv: Sequence[str], *, what: str) -> Output:
        assert what and Path(argv[5]).name == "out", "where it spills to"
        return Output(0, subprocess.run(argv, check=True, capture_output=True, text=True).stdout, NO_WORDS)


def digest(root: Path, names: Sequence[str], *, lines: bool = False) -> dict[str, FileDigest]:
    found = {n: file_of((root / n).read_bytes()) for n in names}
    return found if lines else {n: FileDigest(d.bytes, d.sha256) for n, d in found.items()}


@dataclass
class Restored:
    server: Server
    contents: dict[str, Any]
    files: dict[str, FileDigest]
    env: dict[str, str] = field(default_factory=lambda: {"PGDATABASE": "crm", "PGOPTIONS": "-c a=b"})

    @property
    def top(self) -> Path:
        return self.server.top

    @property
    def again(self) -> Dump:
        return self.server.again

    def results(self, working: str | None = None) -> dict[str, CheckResult]:
        manifest = Manifest("p", "crm", "r", "postgres", "dump", "h", NOW, 0.0, {}, self.contents, self.files)
        restored, out = self.top / "restored", self.top / f"out{len(self.server.calls)}/out"
        out.mkdir(parents=True)
        context = CheckContext(
            manifest, self.top, restored, out, cast("Any", self.server), cast("Any", Sorting()), cast("Any", digest)
        )
        results = list(compare(context, self.env, 3, working=working))
        assert all(one.kind == "identical" and one.detail is None for one in results)
        return {one.name: one for one in results}

    def failed(self, working: str | None = None) -> dict[str, str]:
        results = self.results(working).values()
        assert all(one.status in (Verdict.PASS, Verdict.FAIL) for one in results)
        return {one.name: one.actual for one in results if one.status is Verdict.FAIL}

    def call(self, program: str, *options: str) -> Call:
        return [c for c in self.server.calls if c.argv[0] == program and {*options} <= {*c.argv}][-1]


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    server = Server(tmp_path)
    server.again.texts = {name: once_more(text) for name, text in TEXTS.items()}
    contents = copy.deepcopy(FACTS)
    contents |= {
        "role_passwords": True,
        "tables": {k: {"rows": r.count("\n"), "sha256": sha(r + END)} for k, r in ROWS.items()},
    }
    (tmp_path / "restored/dump").mkdir(parents=True)
    small: dict[str, str | bytes] = {"roles.sql": TEXTS["roles.sql"], "globals.sql": "", "toc.list": "list"}
    kept = {f"dump/{name}": content for name, content in server.captured.files.items()} | small
    for name, content in kept.items():
        (tmp_path / "restored" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return Restored(server, contents, {name: file_of(content) for name, content in kept.items()})


@pytest.fixture
def streamed(restored: Restored) -> Restored:
    """The same, stored as a stream: one file, and digests in the manifest."""
    for path in (restored.top / "restored/dump").iterdir():
        path.unlink()
    (restored.top / "restored/dump").rmdir()
    (restored.top / "restored/dump").write_text("PGDMP")
    kept = {name: one for name, one in restored.files.items() if "/" not in name}
    restored.files = {**kept, "dump": file_of("PGDMP")}
    restored.contents["large_objects"] = {"4242": sha(MAIL)}
    return restored


ALL = {
    "table of contents and roles": ("4 as captured", "4, equal"),
    "tables": ("2 tables, 3 rows", "2 tables, 3 rows, equal by SHA-256"),
    "large objects": ("1 as captured", "1, equal"),
    LARGE: ("3 as captured", "3, equal"),
    "sequences": ("1 as captured", "1, equal"),
    OBJECTS: ("16 definitions", "16 definitions, equal"),
    "roles": ("11 statements", "11 statements, equal"),
    SETTINGS: ("14 as captured", "14, equal"),
}


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
    assert asking.env == {**dumping.env, "PGCLIENTENCODING": "UTF8"}
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
    restored.contents |= {"standby": True, "encoding": "LATIN1", "role_passwords": False, "search_path": "pg_catalog"}
    restored.server.facts["encoding"] = "LATIN1"
    assert restored.failed() == {}
    assert {"--no-unlogged-table-data", "--encoding=LATIN1"} <= {*restored.call("pg_dump").argv}
    assert "--no-role-passwords" in restored.call("pg_dumpall").argv
    assert restored.call("psql").env["PGOPTIONS"] == f"-c a=b {DUMP_OPTIONS} -c search_path=pg_catalog"
    restored.contents["search_path"] = "public"
    restored.results()
    assert restored.call("psql").env["PGOPTIONS"] == f"-c a=b {DUMP_OPTIONS}"


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["restored", "streamed"])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("2\tb\n1\tA\n", "2 rows captured, 2 restored, contents differ"),
        ("1\ta\n", "2 rows captured, 1 restored, contents differ"),
        ("1\ta\n2\tb\n2\tb\n", "2 rows captured, 3 restored, contents differ"),
        ("2\tb\n1\ta\n", None),
    ],
)
def test_rows_that_differ_fail_and_another_order_is_told(
    kind: str, rows: str, said: str | None, request: pytest.FixtureRequest
) -> None:
    found: Restored = request.getfixturevalue(kind)
    found.again.rows[SEAT] = rows
    one = found.results()["tables"]
    assert one.expected == "2 tables, 3 rows"
    if said:
        assert (one.status, one.actual) == (Verdict.FAIL, f"{SEAT}: {said}")
    else:
        assert (one.status, one.actual) == (
            Verdict.PASS, "2 tables, 3 rows, equal by SHA-256, 1 in another row order"
        )  # fmt: skip


def test_two_tables_whose_rows_are_swapped_both_fail(restored: Restored) -> None:
    restored.again.rows = {CALL: ROWS[SEAT], SEAT: ROWS[CALL]}
    assert restored.failed() == {
        "tables": f"{CALL}: 1 row captured, 2 restored, contents differ; {SEAT}: 2 rows captured, 1 restored, contents differ"
    }


def test_rows_are_compared_only_with_a_file_that_is_the_captured_one(restored: Restored) -> None:
    """Else a damaged file that was loaded would prove itself."""
    restored.again.rows[SEAT] = "1\tX\n2\tb\n"
    (restored.top / "restored/dump/4096.dat").write_text("1\tX\n2\tb\n" + END)
    assert restored.failed() == {"tables": f"{SEAT}: 2 rows captured, 2 restored, contents differ"}


def test_the_same_rows_in_another_number_than_the_manifest_has_fail(streamed: Restored) -> None:
    streamed.contents["tables"][SEAT]["rows"] = 7
    one = streamed.results()["tables"]
    assert (one.status, one.expected) == (Verdict.FAIL, "2 tables, 8 rows")
    assert one.actual == f"{SEAT}: 7 rows captured, 2 restored, contents differ"


def test_many_tables_that_are_gone_are_named_in_order_and_in_part(restored: Restored) -> None:
    for n in range(9):
        restored.contents["tables"][f"a{n}"] = {"rows": 1, "sha256": "0" * 64}
    assert restored.failed() == {"tables": "; ".join(f"a{n}: missing" for n in range(6)) + " and 3 more"}


@pytest.mark.parametrize("kind", ["restored", "streamed"])
def test_a_table_that_is_gone_or_new_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    found: Restored = request.getfixturevalue(kind)
    found.again.change("TABLE DATA public seat postgres", "TABLE DATA public planted postgres", "contents.txt")
    found.again.rows["public planted postgres"] = "x\n"
    assert found.failed() == {"tables": f"public planted postgres: not in the backup; {SEAT}: missing"}


def test_a_table_that_the_manifest_does_not_know_was_planted_in_the_backup(restored: Restored) -> None:
    del restored.contents["tables"][SEAT]
    one = restored.results()["tables"]
    assert (one.status, one.actual, one.expected) == (Verdict.FAIL, f"{SEAT}: not in the backup", "1 table, 1 row")


def test_a_table_that_the_dump_does_not_hold_is_missing_from_it(streamed: Restored) -> None:
    for dump in (streamed.server.captured, streamed.again):
        text = dump.texts["contents.txt"]
        dump.texts["contents.txt"] = "".join(f"{s}\n" for s in text.split("\n") if "DATA public seat" not in s)
    assert streamed.failed() == {"tables": f"{SEAT}: missing"}


@pytest.mark.parametrize("kind", ["restored", "streamed"])
def test_a_table_that_the_dump_does_not_hold_came_from_elsewhere(kind: str, request: pytest.FixtureRequest) -> None:
    """Its rows are those that the manifest tells of, and the dump has none."""
    found: Restored = request.getfixturevalue(kind)
    text = found.server.captured.texts["contents.txt"]
    found.server.captured.texts["contents.txt"] = "".join(
        f"{s}\n" for s in text.split("\n") if "DATA public seat" not in s
    )
    assert found.failed() == {"tables": f"{SEAT}: not in the backup"}


@pytest.mark.parametrize("kind", ["restored", "streamed"])
@pytest.mark.parametrize(
    ("mail", "said"),
    [({"4242": b"another"}, "4242"), ({}, "4242"), ({"4242": MAIL, "4243": b"planted"}, "4243")],
)
def test_a_large_object_that_differs_is_named(
    kind: str, mail: dict[str, bytes], said: str, request: pytest.FixtureRequest
) -> None:
    found: Restored = request.getfixturevalue(kind)
    found.again.mail = mail
    assert found.failed() == {"large objects": f"differs: {said}"}


# --- definitions ------------------------------------------------------------------------------------------------------


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


FILLED = (
    "\n\n--\n-- Name: daily; Type: MATERIALIZED VIEW DATA; Schema: public; Owner: postgres\n--\n\n"
    "REFRESH MATERIALIZED VIEW public.daily;\n"
)


def loaded_once(restored: Restored) -> Dump:
    """The captured definitions after a load: without rows, so that no view is filled."""
    found = restored.server.loaded = Dump({name: once_more(text) for name, text in TEXTS.items()})
    found.change(FILLED, "\n")
    return found


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


def test_what_is_printed_otherwise_after_a_load_is_equal_and_told(restored: Restored) -> None:
    for dump in (loaded_once(restored), restored.again):
        dump.change(CHECK, REPRINTED)
    results = restored.results()
    assert results[OBJECTS].status is Verdict.PASS
    assert results[OBJECTS].actual == "12 definitions, equal, 1 of them printed otherwise by PostgreSQL after a load"


@pytest.mark.parametrize("filled", [True, False])
def test_whether_a_materialised_view_is_filled_is_compared_even_then(restored: Restored, filled: bool) -> None:
    """Of what was loaded by its definitions alone, none is: the captured dump says which were."""
    loaded_once(restored)
    for dump in (restored.server.loaded, restored.again):
        dump.change(CHECK, REPRINTED)
    if not filled:
        restored.again.change(FILLED, "\n")
    assert restored.failed() == ({} if filled else {OBJECTS: "missing: MATERIALIZED VIEW DATA public.daily"})


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


def test_a_definition_that_is_gone_or_planted_is_named(restored: Restored) -> None:
    part = "--\n-- Name: answered; Type: VIEW; Schema: public; Owner: postgres\n--\n\nCREATE VIEW public.answered"
    loaded_once(restored)
    restored.again.change(part, part.replace("answered", "planted"))
    assert restored.failed() == {OBJECTS: "missing: VIEW public.answered; not in the backup: VIEW public.planted"}


# --- roles, settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("PASSWORD 'md5x'", "PASSWORD 'md5y'", "ALTER ROLE boss"),
        ("IS 'chief'", "IS 'Ionescu'", "COMMENT ON ROLE"),
        ("GRANT app_reader TO boss", "GRANT boss TO app_reader", "GRANT app_reader TO; GRANT boss TO"),
        ("CREATE ROLE app_reader;\n", "", "CREATE ROLE app_reader;"),
        ("CREATE ROLE app_reader;\n", "CREATE ROLE app_reader;\nCREATE ROLE planted;\n", "CREATE ROLE planted;"),
    ],
)
def test_roles_that_differ_are_told_by_their_first_words(restored: Restored, old: str, new: str, said: str) -> None:
    assert old in restored.server.roles
    restored.server.roles = restored.server.roles.replace(old, new)
    results = restored.results()
    assert (results["roles"].status, results["roles"].actual) == (Verdict.FAIL, f"differs: {said}")
    assert results["roles"].expected == "11 statements" and "md5" not in str(results) and "Ionescu" not in str(results)


def test_many_roles_that_differ_are_named_in_order(restored: Restored) -> None:
    restored.server.roles = restored.server.roles.replace("CREATE ROLE app_reader;\n", "".join(
        f"CREATE ROLE {name};\n" for name in ("app_reader", "z", "b", "x", "a", "y", "c")
    ))  # fmt: skip
    assert restored.failed() == {"roles": "differs: " + "; ".join(f"CREATE ROLE {name};" for name in "abcxyz")}


def test_what_holds_for_all_roles_is_compared_by_the_inventory_alone(restored: Restored) -> None:
    restored.server.roles += "ALTER ROLE ALL SET work_mem TO '9MB';\n"
    restored.server.facts["role_all_settings"] = ["ALTER ROLE ALL SET \"work_mem\" TO '8MB';"]
    assert restored.failed() == {}, "a name is quoted here and not there"
    restored.server.facts["role_all_settings"] = ["ALTER ROLE ALL SET work_mem TO '9MB';"]
    assert restored.failed() == {SETTINGS: "differs: role_all_settings"}


def test_settings_of_all_roles_are_compared_in_any_order(restored: Restored) -> None:
    both = ["ALTER ROLE ALL SET work_mem TO '8MB';", "ALTER ROLE ALL SET a.b TO '1';"]
    restored.contents["role_all_settings"], restored.server.facts["role_all_settings"] = both, both[::-1]
    assert restored.failed() == {}


@pytest.mark.parametrize("key", COMPARED)
def test_what_a_dump_leaves_out_is_compared(restored: Restored, key: str) -> None:
    restored.server.facts[key] = {"": ["TimeZone=another"]} if key == "database_settings" else ["another"]
    assert restored.failed() == {SETTINGS: f"differs: {key}"}


def test_what_an_older_manifest_does_not_tell_is_not_asked_for(restored: Restored) -> None:
    for facts in (restored.contents, restored.server.facts):
        del facts["subscriptions"], facts["role_all_settings"]
    del restored.contents["extension_objects"]
    assert restored.failed() == {}
    restored.contents["extension_objects"] = {"hstore": 5}
    del restored.server.facts["extension_objects"]
    assert restored.failed() == {SETTINGS: "differs: extension_objects"}


def test_an_extension_of_one_object_that_is_gone_is_told(restored: Restored) -> None:
    restored.contents["extension_objects"]["hstore"] = 1
    restored.server.facts["extension_objects"] = {"plpgsql": 4}
    assert restored.failed() == {SETTINGS: "differs: extension_objects"}


@pytest.mark.parametrize(
    ("version", "objects", "said"),
    [
        ("1.8", 4, "differs: extension_objects"),
        ("1.8", None, "differs: extension_objects"),
        ("1.8", 6, None),
        ("1.9", 4, None),
    ],
)
def test_an_extension_of_the_same_version_does_not_hold_less(
    restored: Restored, version: str, objects: int | None, said: str | None
) -> None:
    restored.server.facts["extensions"]["hstore"] = version
    if objects is None:
        del restored.server.facts["extension_objects"]["hstore"]
    else:
        restored.server.facts["extension_objects"]["hstore"] = objects
    one = restored.results()[SETTINGS]
    other = "; extension hstore 1.8 is now 1.9" if version == "1.9" else ""
    assert one.actual == (said or "14, equal") + other and (one.status is Verdict.FAIL) is bool(said)


def test_extensions_of_another_version_are_named_in_order_and_are_no_failure(restored: Restored) -> None:
    restored.contents["extensions"] = {"plpgsql": "1.0", "hstore": "1.8", "gone": "1"}
    restored.contents["extension_objects"] = {}
    restored.server.facts["extensions"] = {"plpgsql": "2.0", "hstore": "1.9"}
    one = restored.results()[SETTINGS]
    assert one.status is Verdict.PASS
    assert one.actual == "14, equal; extension hstore 1.8 is now 1.9, plpgsql 1.0 is now 2.0"


# --- under its working name, on a server of people's ------------------------------------------------------------------

WORKING = "ccdr_new"
ODD, QUOTED = 'My "Crm"', '"My ""Crm"""'
NAMES = (
    ("-- Name: crm;", "-- Name: {raw};"), ("DATABASE crm", "DATABASE {quoted}"), ("\\connect crm", "\\connect {quoted}"),
)  # fmt: skip


def called(dump: Dump, raw: str, quoted: str) -> None:
    for old, new in NAMES:
        dump.change(old, new.format(raw=raw, quoted=quoted), "definitions.sql")


def under_its_working_name(restored: Restored, raw: str = "crm", quoted: str = "crm") -> None:
    """As it was captured under a name, and how it is printed as long as it has another."""
    called(restored.server.captured, raw, quoted)
    called(restored.again, WORKING, WORKING)
    restored.again.change("LOCALE_PROVIDER = libc LOCALE = 'en_US.utf8'", "LOCALE = 'C'", "definitions.sql")
    restored.server.facts["role_all_settings"] = ["ALTER ROLE ALL SET work_mem TO '1GB';"]
    restored.server.roles = "not asked for"


@pytest.mark.parametrize(("raw", "quoted"), [("crm", "crm"), (ODD, QUOTED)])
def test_under_its_working_name_it_is_compared_but_for_what_is_the_servers(
    restored: Restored, raw: str, quoted: str
) -> None:
    under_its_working_name(restored, raw, quoted)
    results = restored.results(WORKING)
    assert all(one.status is Verdict.PASS for one in results.values()), results[OBJECTS]
    assert {name: (one.expected, one.actual) for name, one in results.items()} == {
        **ALL, "roles": ("3 roles", "3 roles"), SETTINGS: ("13 as captured", "13, equal"),
    }  # fmt: skip
    assert restored.server.made == []


@pytest.mark.parametrize(("raw", "quoted"), [("crm", "crm"), (ODD, QUOTED)])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"ALTER DATABASE {WORKING} OWNER TO postgres", f"ALTER DATABASE {WORKING} OWNER TO boss", "DATABASE -.{raw}"),
        ("IS 'centre'", "IS 'other'", "COMMENT -.DATABASE {quoted}"),
        ("SET work_mem TO '5MB'", "SET work_mem TO '6MB'", "DATABASE PROPERTIES -.{raw}"),
    ],
)
def test_what_is_the_databases_own_is_compared_under_a_working_name_too(
    restored: Restored, raw: str, quoted: str, old: str, new: str, said: str
) -> None:
    under_its_working_name(restored, raw, quoted)
    restored.again.change(old, new, "definitions.sql")
    said = said.format(raw=raw, quoted=quoted)
    assert restored.failed(WORKING) == {OBJECTS: f"missing: {said}; not in the backup: {said}"}


def test_definitions_are_loaded_once_more_beside_it_on_a_server_of_peoples(restored: Restored) -> None:
    under_its_working_name(restored)
    for dump in (loaded_once(restored), restored.again):
        dump.change(CHECK, REPRINTED)
    assert restored.failed(WORKING) == {}
    assert [made.split(" template")[0] for made in restored.server.made] == [
        f"postgres: create database {WORKING}_ref", f"postgres: drop database {WORKING}_ref"
    ]  # fmt: skip


def test_roles_of_the_server_are_left_as_they_are_and_none_is_lacking(restored: Restored) -> None:
    under_its_working_name(restored)
    roles = restored.server.facts["roles"]
    roles |= {"postgres": [False, None], "boss": [False, None], "theirs": [True, None]}
    one = restored.results(WORKING)["roles"]
    assert one.status is Verdict.PASS
    assert one.actual == "3 roles; attributes of the server's own, left as they are: boss; postgres"
    del roles["boss"], roles["app_reader"]
    one = restored.results(WORKING)["roles"]
    assert (one.status, one.expected, one.actual) == (Verdict.FAIL, "3 roles", "missing: app_reader; boss")
    restored.contents["roles"] |= {name: [False, None] for name in ("r6", "r2", "r9", "r4")}
    assert restored.failed(WORKING) == {"roles": "missing: app_reader; boss; r2; r4; r6; r9"}


# --- texts of pg_restore ----------------------------------------------------------------------------------------------


def place(text: str, asked: list[list[str]]) -> Any:
    """pg_restore beside a dump whose script, with -C, is `text`: it lists the parts, and prints those of a list."""
    head, *parts = re.split(r"\n(?=--\n-- Name: [^\n]*; Type: [^\n]*; Schema: [^\n]*; Owner: \w+\n--\n)", text)
    titles = [re.findall(r"Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)", part)[0] for part in parts]
    listed = [f"{n}; 0 0 {kind} {schema} {name} {owner}" for n, (name, kind, schema, owner) in enumerate(titles)]

    class Place:
        def path(self, host: Path) -> str:
            return str(host)

        def run(self, argv: list[str], *, what: str, stdin: str = "") -> Output:
            asked.append(argv)
            assert what and "-C" in argv, "without it neither has the database's own"
            if "-l" in argv:
                return Output(0, "".join(f";\n{line}\n" for line in listed), NO_WORDS)
            wanted = [parts[listed.index(line)] for line in stdin.splitlines()] if "-L" in argv else parts
            return Output(0, "\n".join([head, *wanted]), NO_WORDS)

    return Place()


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
    assert create_options(facts) == f"template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'D'{end}"


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
