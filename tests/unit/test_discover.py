"""First plans: addresses as people write them, names as the world has them, texts that are always a plan."""

from __future__ import annotations

import getpass
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples
from tests.support.harness import Quiet, Site, ask_sqlite, eventually
from tests.support.sparse import append_sparse

from ccdr import engines
from ccdr.engines import Files, Postgres, Sqlite
from ccdr.engines.discoveries import DISCOVERIES
from ccdr.engines.discovery import (
    DatabaseFound,
    Item,
    NewestFound,
    TableFound,
    TreeFound,
    half,
    has_audio,
    name_from,
    scalar,
    survey_tree,
)
from ccdr.engines.discovery import gap as longest
from ccdr.engines.files.discovery import Tree, TreeItem
from ccdr.engines.postgres.discovery import PostgresItem, PostgresServer
from ccdr.engines.sqlite.discovery import DatabaseFile, FileFound, FileItem
from ccdr.engines.sqlite.discovery import survey_file as look_into
from ccdr.host.processes import Host
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.plans import LoadedPlan, load_plan
from ccdr.plans.shape import is_name
from ccdr.plans.yamlfile import parse
from ccdr.setup.discover import machine
from ccdr.setup.discover.init import NewFile, Passwords, PlanTerms, draft, everything_named, write_all
from ccdr.setup.discover.unprotected import discover

NOW = 1_800_000_000.0
TERMS = PlanTerms("centre", "UTC", "/srv/repo", True, "secrets/centre.key", None, None)
NOTHING = DatabaseFound(1, (), (), {}, ())


def database(name: str = "crm", size: int = 10**6, found: DatabaseFound = NOTHING, host: str = "db1") -> PostgresItem:
    return PostgresItem(PostgresServer(host, 5432, "ccdr", None), name, "17.2", size, False, found)


def tree_of(text: str) -> TreeFound:
    (one,) = everything_named((text,))
    assert isinstance(one, Tree)
    return one.facts


def loaded(root: Path, items: list[Item], terms: PlanTerms = TERMS) -> LoadedPlan:
    """What the drafted texts say, read as any plan is read."""
    made = draft(terms, items, NOW)
    tests = root / "restore_tests"
    tests.mkdir(exist_ok=True)
    for name, text in made.restore_tests.items():
        (tests / f"{name}.yaml").write_text(text, "utf-8")
    plan = root / f"{terms.name}.yaml"
    plan.write_text(made.plan, "utf-8")
    return load_plan(plan, tests)


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ccdr@db1:5433/crm", PostgresServer("db1", 5433, "ccdr", "crm")),
        ("postgres://ccdr@db1/", PostgresServer("db1", 5432, "ccdr", None)),
        (
            "postgresql:///crm?host=/var/run/postgresql&user=me",
            PostgresServer("/var/run/postgresql", 5432, "me", "crm"),
        ),
        ("postgresql://me@%2Ftmp%2FSockets:5433", PostgresServer("/tmp/Sockets", 5433, "me", None)),
        ("postgresql://me@[::1]:5433/a%2Fb%20%C8%99", PostgresServer("::1", 5433, "me", "a/b ș")),
        ("postgresql://me@db1?sslmode=verify-full&dbname=x", PostgresServer("db1", 5432, "me", "x", "verify")),
        ("postgresql://", PostgresServer("/var/run/postgresql", 5432, getpass.getuser(), None)),
    ],
)
def test_addresses_are_read_as_libpq_reads_them(url: str, expected: PostgresServer) -> None:
    assert everything_named((url,)) == [expected]


@pytest.mark.parametrize(
    "wrong",
    [
        "oracle://root@db1/crm",
        "mysql://root@db1:99999/crm",
        "mysql://root:hush@db1/crm",
        "mariadb://root@db1/mysql",
        "mysql:crm",
        "postgresql://u@db1:port/crm",
        "postgresql://u@db1:99999/crm",
        "postgresql://u@a,b/crm",
        "postgresql://u@db1/crm?options=-c%20x",
        "postgresql://u@[::1/crm",
        "postgresql:crm",
        "/nowhere/at/all",
        "/",
        "",
        "~nobody-of-this-name/x",
        "/tmp/a\nb",
        "/dev/null",
        "/tmp/\x00",
    ],
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        everything_named((wrong,))
    assert caught.value.hint


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@db1/crm", "postgresql://db1/crm?password=hunter2"])
def test_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageProblem, match="password") as caught:
        everything_named((url,))
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert "--password-file" in str(caught.value.hint)


def test_same_thing_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "below")
    for pair in ((tmp_path, tmp_path), (tmp_path, tmp_path / "below"), (tmp_path / "link", tmp_path / "below")):
        with pytest.raises(UsageProblem, match="twice"):
            everything_named(tuple(map(str, pair)))
    with pytest.raises(UsageProblem, match="twice"):
        everything_named(("postgresql://u@h/a", "postgresql://u@h/a"))


def test_a_sqlite_database_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    ask_sqlite(tmp_path / "cdr.db", "create table call (id int)")
    (tmp_path / "text.db").write_text("not one")
    for text in (f"{tmp_path}/cdr.db", f"sqlite:{tmp_path}/cdr.db", f"SQLITE://{tmp_path}/cdr.db"):
        assert everything_named((text,)) == [DatabaseFile(tmp_path / "cdr.db")]
    assert tree_of(f"{tmp_path}/text.db").path.name == "text.db"
    for wrong in (f"sqlite:{tmp_path}/text.db", f"sqlite:{tmp_path}", "sqlite:", f"sqlite:{tmp_path}/none.db"):
        with pytest.raises(UsageProblem):
            everything_named((wrong,))
    with pytest.raises(UsageProblem, match="twice"):
        everything_named((f"{tmp_path}/cdr.db", f"sqlite:{tmp_path}/cdr.db"))
    assert tree_of(str(tmp_path)).databases == [tmp_path / "cdr.db"]


def calls(path: Path, when: str) -> FileFound:
    ask_sqlite(path, f"""
        create table "order" (id integer primary key, "at time" text, expires_at text);
        create table empty (created_at int);
        create virtual table words using fts5 (body);
        insert into words values ('x');
        with recursive n(g) as (select 0 union all select g + 1 from n where g < 99)
          insert into "order" select g, {when}, datetime('now', '+9 days') from n""")  # fmt: skip
    return look_into(Host(), path, time.time(), ZoneInfo("Europe/Bucharest"))


WHENS = {
    "text": "datetime('now', '-' || g || ' hours')",
    "seconds": "cast(strftime('%s', 'now') as int) - 3600 * g",
    "milliseconds": "(cast(strftime('%s', 'now') as int) - 3600 * g) * 1000",
    "Julian days": "julianday('now') - g / 24.0",
}


@pytest.mark.parametrize("name", WHENS)
def test_a_survey_of_a_sqlite_database(tmp_path: Path, name: str) -> None:
    found = calls(tmp_path / "cdr.db", WHENS[name])
    assert (found.database.tables, found.local) == (8, False), "what a virtual table is made of included"
    assert found.database.largest == (TableFound('"order"', 100, True),)
    (newest,) = found.database.newest
    assert (newest.table, newest.column, newest.gap) == ('"order"', '"at time"', 1) and newest.age < 60


def test_times_of_the_future_by_utc_are_local_ones(tmp_path: Path) -> None:
    found = calls(tmp_path / "cdr.db", "datetime('now', '-' || g || ' hours', '+2 hours')")
    assert found.local and found.database.newest[0].age < 3660
    item = loaded(tmp_path, [FileItem(found)], replace(TERMS, timezone="Europe/Bucharest")).plan.assets["cdr"]
    assert isinstance(item, Sqlite) and item.timezone == "Europe/Bucharest"


def test_empty_directory_and_data_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="empty tree"):
        everything_named((str(tmp_path),))
    (tmp_path / "global").mkdir()
    (tmp_path / "PG_VERSION").write_text("17\n")
    with pytest.raises(UsageProblem, match="data directory"):
        everything_named((str(tmp_path),))


def test_every_engine_is_asked_and_none_is_named_by_whoever_asks() -> None:
    rooms = {path.parent.name for path in Path(engines.__path__[0]).glob("*/engine.py")}
    assert {type(one).__module__ for one in DISCOVERIES} == {f"ccdr.engines.{room}.discovery" for room in rooms}
    asking = "".join(path.read_text("utf-8") for path in Path(machine.__file__).parent.glob("*.py")).lower()
    assert [room for room in sorted(rooms - {"files"}) if room in asking] == []


# --- names and values -----------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=80), max_size=12))
def test_names_are_names_and_differ(texts: list[str]) -> None:
    taken: list[str] = []
    for text in texts:
        taken.append(name_from(text, taken))
    assert len(set(taken)) == len(taken)
    assert all(is_name(name) for name in taken)


def test_names_stay_recognisable() -> None:
    assert name_from("CRM Ștefan's.db") == "crm-stefan-s-db"
    assert name_from("客服", otherwise="database") == "database"
    assert name_from("crm", ["crm", "crm-2"]) == "crm-3"


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=40)
TRAPS = st.sampled_from(
    ["yes", "null", "010", "1e5", "0x1F", "1:00:00", "-", "~", "a: b", "a #b", "'", '"', "\\", "'\"\\", "{a}", "[a]", "&a",
     "*a", "!a", "%a", "@a", "`a", "| a", "> a", " a ", "a,b", "<<", "2026-01-01", "0o17", ".inf", "=", "?", "? a", "ș"]
)  # fmt: skip


@given(PRINTABLE | TRAPS)
def test_values_come_back_as_they_were(text: str) -> None:
    document, problems = parse(f"a: {scalar(text)}\nb: [{scalar(text)}, {{c: {scalar(text)}}}]\n".encode())
    assert (problems, document and document.data) == ([], {"a": text, "b": [text, {"c": text}]})


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PRINTABLE | TRAPS, min_size=1, max_size=6), PRINTABLE | TRAPS, PRINTABLE | TRAPS)
def test_any_names_give_a_plan_without_lint(tmp_path: Path, names: list[str], table: str, extension: str) -> None:
    quoted = '"' + table.replace('"', '""') + '"'
    found = DatabaseFound(
        3, (TableFound(quoted, 300, True),), (NewestFound(quoted, quoted, 5.0, 2),), {extension: "1"}, ()
    )
    trees = [TreeFound(Path("/srv") / f"d{n} {name.replace('/', '_')}", 3, 5) for n, name in enumerate(names)]
    items: list[Item] = [*(database(name, found=found) for name in names), *map(TreeItem, trees)]
    plan = loaded(tmp_path, items, TERMS)
    secret_missing = [p for p in plan.lint if "centre.key" not in p.message and p.path != "owner"]
    assert secret_missing == []
    engines = list(plan.plan.assets.values())
    assert [e.connection.database for e in engines if isinstance(e, Postgres)] == names
    assert [e.paths[0] for e in engines if isinstance(e, Files)] == [t.path for t in trees]
    checks = next(iter(plan.checks.values()))
    assert [c.table for c in checks if c.kind == "rows"] == [quoted]
    assert [c.query for c in checks if c.kind == "freshness"] == [f"select max({quoted}) from {quoted}"]


# --- what the draft claims ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "rpo"), [(1, 3600), (50 * 2**30, 6 * 3600), (2**42, 24 * 3600)])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_schedules_meet_the_rpo_and_are_staggered(tmp_path: Path, size: int, rpo: int, count: int) -> None:
    plan = loaded(tmp_path, [database(f"db{n}", size // count) for n in range(count)])
    assert plan.plan.objectives.rpo == rpo
    assert [p.message for p in plan.lint if "centre.key" not in p.message and p.path != "owner"] == []
    tests = [a.restore_test.schedule for a in plan.plan.assets.values() if a.restore_test]
    assert len(set(tests[:12])) == min(12, count)


def test_rows_ask_for_half_and_freshness_for_a_long_weekend(tmp_path: Path) -> None:
    tables = tuple(TableFound(f"t{n}", rows, True) for n, rows in enumerate((52_311, 1000, 100, 50, 30, 20, 9)))
    newest = (NewestFound("t0", "at", 60.0, 1), NewestFound("t1", "at", 60.0, 3), NewestFound("t2", "at", 60.0, None))
    plan = loaded(tmp_path, [database(found=DatabaseFound(7, tables, newest, {}, ()))])
    checks = plan.checks["crm"]
    rows = [(c.table, c.at_least) for c in checks if c.kind == "rows"]
    assert rows == [("t0", 26_000), ("t1", 500), ("t2", 50), ("t3", 25), ("t4", 15)]
    assert [c.within / 86400 for c in checks if c.kind == "freshness"] == [4, 9]
    assert [c.kind for c in checks[:2]] == ["identical", "integrity"]


@given(st.integers(0, 10**12))
def test_half_is_never_more_than_half(count: int) -> None:
    assert 1 <= half(count) <= max(1, count // 2)


@pytest.mark.parametrize(
    ("days", "gap"),
    [([0, 1, 2, 3, 4], 1), ([0, 1, 2, 5, 6], 3), ([6, 7, 8, 9, 10], 6), ([0, 1, 2, 3], None), ([0], None)],
)
def test_longest_silence(days: list[int], gap: int | None) -> None:
    assert longest(days) == gap


def test_audio_that_cannot_pass_is_not_claimed_to(tmp_path: Path) -> None:
    """An empty file fails to decode: the check is there for when it is gone, and claims nothing until then."""
    old = NOW - 30 * 86400
    tree = TreeFound(Path("/srv/rec"), 90, 1, oldest=old, newest=NOW)
    tree.audio.update({"wav": 60, "gsm": 30})
    checks = loaded(tmp_path, [TreeItem(tree)]).checks["rec"]
    decodable = next(c for c in checks if c.kind == "decodable")
    assert (decodable.match, decodable.at_least) == (("*.wav",), 30)
    tree.silent = 1
    assert [c.kind for c in loaded(tmp_path, [TreeItem(tree)]).checks["rec"]] == ["identical"]


@pytest.mark.parametrize(("days", "says"), [(1, True), (30, False)])
def test_half_of_the_recordings_is_asked_for_and_the_plan_says_why(tmp_path: Path, days: int, says: bool) -> None:
    """Recordings that somebody deleted make no bad backup: only a count notices. A spool may be emptied on purpose."""
    tree = TreeFound(Path("/srv/rec"), 90, 1, oldest=NOW - days * 86400, newest=NOW)
    tree.audio.update({"wav": 90})
    checks = loaded(tmp_path, [TreeItem(tree)]).checks["rec"]
    assert [c.at_least for c in checks if c.kind == "decodable"] == [45]
    lines = "\n".join(TreeItem(tree).check_lines(NOW))
    assert "half of what was there" in lines and "# there were 90" in lines
    assert ("Nothing here is older than a week" in lines) is says


def test_directories_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    plan = loaded(tmp_path, [TreeItem(TreeFound(Path(p), 1, 1)) for p in ("/a/monitor", "/b/monitor", "/c/b-monitor")])
    assert list(plan.plan.assets) == ["monitor", "b-monitor", "c-b-monitor"]


# --- looking at directories -----------------------------------------------------------------------------------------


def test_look_counts_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.wav").mkdir()
    (tmp_path / "a.wav" / "x").write_text("no audio: only its directory's name says so")
    (tmp_path / "one.WAV").write_bytes(b"12345")
    (tmp_path / "two.gsm").write_bytes(b"")
    (tmp_path / "link.wav").symlink_to("one.WAV")
    os.mkfifo(tmp_path / "pipe.wav")
    found = survey_tree(tmp_path)
    assert (found.files, found.bytes - 43, dict(found.audio), found.silent) == (3, 5, {"wav": 1, "gsm": 1}, 1)
    assert found.decodable == ("wav",)
    assert found.whole
    assert has_audio(tmp_path)
    assert not has_audio(tmp_path / "a.wav")


def test_look_is_broken_off_in_a_huge_tree(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / str(n)).write_text("x")
    found = survey_tree(tmp_path, enough=10)
    assert (found.files, found.whole) == (10, False)


# --- this machine ---------------------------------------------------------------------------------------------------


def test_time_zone_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "etc").mkdir()
    assert machine.timezone(tmp_path) == "UTC"
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Bucharest")
    assert machine.timezone(tmp_path) == "Europe/Bucharest"
    (tmp_path / "etc/timezone").write_text("Nowhere/At_All\n")
    assert machine.timezone(tmp_path) == "Europe/Bucharest"
    (tmp_path / "etc/timezone").write_text("Asia/Kolkata\n")
    assert machine.timezone(tmp_path) == "Asia/Kolkata"
    monkeypatch.setenv("TZ", "Etc/UTC")
    assert machine.timezone(tmp_path) == "UTC"


def test_who_answers_for_a_plan_is_left_to_a_person(tmp_path: Path) -> None:
    (nobody,) = [p for p in loaded(tmp_path, [database()]).lint if p.path == "owner"]
    assert nobody.line > 1
    plan = tmp_path / f"{TERMS.name}.yaml"
    plan.write_text(re.sub("(?m)^owner: unknown.*$", "owner: ops@example.test", plan.read_text()))
    assert not [p for p in load_plan(plan, tmp_path / "restore_tests").lint if p.path == "owner"]


# --- all files or none ----------------------------------------------------------------------------------------------


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "old.yaml").write_text("old")
    (tmp_path / "in-the-way.yaml").mkdir()
    files = [
        NewFile(tmp_path / "plans" / "secrets" / "k", "key", 0o600, keep=True),
        NewFile(tmp_path / "plans" / "old.yaml", "new"),
        NewFile(tmp_path / "in-the-way.yaml", "text"),
    ]
    with pytest.raises(UsageProblem, match="exists already"):
        write_all(files, force=False)
    with pytest.raises(CcdrError, match="cannot be written"):
        write_all(files, force=True)
    assert (tmp_path / "plans" / "old.yaml").read_text() == "old"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in-the-way.yaml", "old.yaml", "plans"]


def test_kept_file_is_never_overwritten(tmp_path: Path) -> None:
    key = NewFile(tmp_path / "secrets" / "k", "first", 0o600, keep=True)
    assert write_all([key], force=False) == [key.path]
    assert (key.path.stat().st_mode & 0o777, key.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert write_all([NewFile(key.path, "second", 0o600, keep=True)], force=True) == []
    assert key.path.read_text() == "first"


def test_what_ccdr_has_made_itself_is_no_source(tmp_path: Path) -> None:
    site = Site(tmp_path)
    spool = tmp_path / "spool"
    for name in (
        "here",
        "beside",
        "back",
        "failed",
        ".back.ccdr-restore-20261124T120000-abcdef",
        "other-state/scratch",
    ):
        (spool / name).mkdir(parents=True)
        (spool / name / "a.wav").write_bytes(b"RIFF")
    (spool / "other-state" / "version").write_text("1\n")
    (spool / "other-state" / "ledger").mkdir()
    site.recordings(spool / "here")
    services = site.services()
    for name, result in (("failed", "RESTORED"), ("failed", "FAILED"), ("back", "RESTORED")):
        body = {"result": result, "target": {"kind": "directory", "name": str(spool / name)}}
        append_sparse(services.ledger, "restore.end", plan="p", asset="recordings", run="r", body=body)
    plans = [site.loaded()]

    def unprotected() -> list[str]:
        return [u.name for u in discover(plans, plans, services, Quiet()).unprotected]

    assert unprotected() == ["beside", "failed"]

    def one_more_call() -> list[str]:
        (spool / "back" / f"{len(list((spool / 'back').iterdir()))}.wav").write_bytes(b"RIFF")
        return unprotected()

    assert eventually(lambda: one_more_call() == ["back", "beside", "failed"]), "in use: a source like any other"


# --- several servers, several passwords ----------------------------------------------------------------------------


CRM, DIALLER = "postgresql://ccdr@db1/crm", "mysql://ccdr@db2/dialler"


def test_each_server_has_its_own_password_file(tmp_path: Path) -> None:
    crm, dialler = everything_named((CRM, DIALLER))
    passwords = Passwords.of([f"{CRM}=crm.pw", "shared.pw"], [crm, dialler])
    assert (passwords.file_of(crm), passwords.file_of(dialler)) == (Path("crm.pw"), Path("shared.pw"))
    items: list[Item] = [database(), database("other", host="db3")]
    terms = replace(TERMS, password_files=["crm.pw", "shared.pw"])
    connections = [a.connection for a in loaded(tmp_path, items, terms).plan.assets.values() if isinstance(a, Postgres)]
    assert [c.password_file and c.password_file.name for c in connections] == ["crm.pw", "shared.pw"]


def test_a_url_with_an_option_keeps_its_equals_sign() -> None:
    url = "postgresql:///crm?host=/var/run/postgresql"
    (server,) = everything_named((url,))
    assert Passwords.of([f"{url}=crm.pw"], [server]).file_of(server) == Path("crm.pw")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["postgresql://ccdr@elsewhere/crm=pw"], "not one of the servers"),
        ([f"{CRM}=a", f"{CRM}=b"], "two files"),
        (["a", "b"], "more than once, without a URL"),
    ],
)
def test_password_files_that_say_no_one_thing_are_refused(given: list[str], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        Passwords.of(given, everything_named((CRM, DIALLER)))


@pytest.mark.parametrize("named", ["cdr.sqlite3", "sqlite:cdr.sqlite3", "sqlite:cdr"])
def test_a_database_without_a_byte_is_named_and_never_a_tree_of_files(tmp_path: Path, named: str) -> None:
    scheme, colon, name = named.rpartition(":")
    (path := tmp_path / name).touch()
    with pytest.raises(UsageProblem, match="is empty"):
        everything_named((f"{scheme}{colon}{path}",))
    (other := tmp_path / "empty.conf").touch()
    ask_sqlite(path, "create table t (a)")
    twin, tree = everything_named((f"{scheme}{colon}{path}", str(other)))
    assert (type(twin), type(tree)) == (DatabaseFile, Tree)
