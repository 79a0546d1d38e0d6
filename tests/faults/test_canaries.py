"""Nobody's data in a record: names, phones, cards, addresses, secrets and hashes, planted wherever a program may quote
them, are in no record, answer, report, message, metric, state file, label or argument list; they are kept where they
are private, so that this is not shown by silence. The same data, undamaged, passes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.canaries import (
    ADDRESS,
    CARD,
    FILE,
    HASH,
    NAME,
    NATIVE,
    PHONE,
    SECRET,
    SELDOM,
    Watched,
    kept,
    met,
    nowhere,
    readers,
)
from tests.support.cluster import cluster
from tests.support.harness import Site, Source, ask_sqlite, in_background
from tests.support.listeners import web_server
from tests.support.mariadb_source import MariaSource, data_directory, mariadb_server, whole_server
from tests.support.redis_source import redis_server
from tests.support.stored import settled_file
from tests.support.target import PASSWORD as TARGET_PASSWORD
from tests.support.target import server
from tests.support.watching import watching

from ccdr.model.values import Verdict

ROW = f"'{NAME}', '{PHONE}', '{CARD}', '{ADDRESS}'"

# --- PostgreSQL -------------------------------------------------------------------------------------------------

PG_SCHEMA = f"""
create table customer (id int primary key, name varchar(40) not null, phone text not null unique, card text, address text,
  born date);
create table callback (id int primary key, customer int not null references customer (id), note varchar(60));
create function vault(text) returns text language sql immutable as $$ select '{SECRET}' || $1 $$;
create view called as select name from customer where phone <> '{PHONE}';
comment on table customer is 'ask {NAME}, {PHONE}, {ADDRESS}';
comment on column customer.card is '{CARD}';
alter table callback alter note set default '{SECRET}';
insert into customer values (1, {ROW}, '1970-01-01'), (2, 'x', 'y', 'z', '', '1980-01-01');
insert into callback values (1, 1, 'call {NAME}'), (2, 2, '{SECRET}');
"""
PG_SETTINGS = f"""
alter database {{database}} set app.key = '{SECRET}';
comment on database {{database}} is '{CARD}';
"""
# What is true at the source, and not where it is restored: functions may say anything.
ELSEWHERE = "(select system_identifier::text from pg_control_system()) <> '{system}'"
PG_BROKEN = {
    "raises": (
        "create function known(c customer) returns bool language plpgsql immutable as $$ begin"
        " if {elsewhere} then raise exception 'no such caller: %', c.name using detail = c::text; end if;"
        " return true; end $$; alter table customer add check (known(customer));",
        (NAME, PHONE, CARD, ADDRESS),
    ),
    "violates": (
        "create function fits(text) returns bool language sql immutable as $$ select not {elsewhere} $$;"
        " alter table customer add constraint fits check (fits(phone));",
        (NAME, PHONE, CARD, ADDRESS),
    ),
    "refreshed": (
        "create function told() returns text language plpgsql as $$ begin if {elsewhere} then"
        " raise exception using message = '{secret}', hint = '{address}'; end if; return 'x'; end $$;"
        " create materialized view hints as select told();",
        (SECRET, ADDRESS),
    ),
}
# What a check may quote, and what it is told.
PG_ASKED = {
    f"{{kind: sql, expect: 0, query: \"select phone from customer where name = '{NAME}'\"}}": PHONE,
    '{kind: sql, expect: x, query: "select card from customer where id = 1"}': CARD,
    f"{{kind: sql, expect: 1, query: \"select '{ADDRESS}'::int\"}}": ADDRESS,
    '{kind: freshness, within: 1h, query: "select name from customer where id = 1"}': NAME,
    f"{{kind: rows, at_least: 1, table: \"customer where phone = '{PHONE}' and\"}}": PHONE,
    "{kind: command, argv: [sh, -c, 'psql -h /ccdr/run -U postgres -d DB -c \"select * from customer\"; exit 3']}": CARD,
    "{kind: command, argv: [sh, -c, 'psql -h /ccdr/run -U postgres -d DB -Atc \"table callback\" >&2; exit 4']}": SECRET,
}


def asset(name: str, yaml: str, checks: str = "whole") -> str:
    test = f'restore_test: {{schedule: "15 5 1 1 *", checks: [{checks}]}}'
    return f"{name}:\n" + textwrap.indent(f"{yaml.strip()}\n{SELDOM}\n{test}", "  ") + "\n"


def checks(site: Site, name: str, lines: list[str]) -> None:
    site.write(f"restore_tests/{name}.yaml", f"restore_test: {name}\nchecks:\n" + "".join(f"  - {c}\n" for c in lines))


@pytest.fixture(scope="module")
def told() -> Iterator[object]:
    with web_server() as web:
        yield web


def planned(site: Site, web: object, assets: str) -> Watched:
    """With somebody to tell."""
    site.write("plans/urls", web.url() + "\n", mode=0o600)  # type: ignore[attr-defined]
    checks(site, "whole", ["{kind: identical}", "{kind: integrity}"])
    site.plan(assets, extra="notify: {urls_file: urls}\n")
    return Watched(site, web)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def databases(source: Source) -> Iterator[dict[str, str]]:
    """By what is the matter with it. The undamaged one is `good`."""
    system = source.psql("select system_identifier from pg_control_system()")
    words = {"elsewhere": ELSEWHERE.format(system=system), "card": CARD, "secret": SECRET, "address": ADDRESS}
    made = {}
    for what, (sql, _) in {"good": ("", ()), **PG_BROKEN}.items():
        made[what] = f"canary_{what}"
        source.psql(f"create database {made[what]} template template0")
        for key, value in words.items():
            sql = sql.replace(f"{{{key}}}", value)
        source.psql(PG_SCHEMA + sql + PG_SETTINGS.format(database=made[what]), made[what])
    yield made
    for name in made.values():
        source.psql(f"drop database {name} with (force)")


def postgres(source: Source, database: str, more: str = "") -> str:
    return f"engine: postgres\nconnection: {{host: {source.sockets}, user: postgres, database: {database}}}\n{more}"


@pytest.fixture(scope="module")
def crm(source: Source, databases: dict[str, str], told: object, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    site = Site(tmp_path_factory.mktemp("canaries"))
    checks(site, "asked", [line.replace("DB", databases["good"]) for line in PG_ASKED])
    assets = "".join(asset(what, postgres(source, name)) for what, name in databases.items())
    assets += asset("streamed", postgres(source, databases["violates"], "method: stream"))
    assets += asset("asked", postgres(source, databases["good"]), "asked")
    prepared = f"""prepare_sql: ["select '{NAME} {PHONE}'::int"]"""
    assets += asset("prepared", postgres(source, databases["good"], prepared))
    watched = planned(site, told, assets)
    with watching(site) as seen:
        done = watched.run("backup", "p")
    assert done.code == 0, done
    nowhere(watched, seen)
    return watched


def test_what_a_load_or_a_check_quotes_is_kept_from_every_record(crm: Watched) -> None:
    with watching(crm.site) as seen:
        done = crm.run("test", "p")
    assert done.code == 1, done
    results = {one["asset"]: one for one in done.json["tests"]}
    assert results["good"]["verdict"] == "PASS", results["good"]
    expected = {what: said for what, (_, said) in PG_BROKEN.items()}
    expected |= {"streamed": PG_BROKEN["violates"][1], "asked": tuple(PG_ASKED.values()), "prepared": (NAME, PHONE)}
    for what, said in expected.items():
        assert results[what]["verdict"] == ("INCONCLUSIVE" if what == "prepared" else "FAIL"), results[what]
        kept(crm.site, results[what]["run"], *said)
    assert {one["status"] for one in results["asked"]["checks"]} == {"FAIL"}
    readers(crm)
    assert seen.containers, "no container was looked at"
    nowhere(crm, seen)


def on_a_terminal(site: Site, *words: str) -> tuple[str, str]:
    """Standard output, which is no terminal, and what a person reads on standard error, which is one."""
    theirs, its = pty.openpty()
    read = bytearray()

    def reading() -> None:
        with contextlib.suppress(OSError):  # it is closed
            while data := os.read(theirs, 1 << 16):
                read.extend(data)

    reader = in_background(reading)
    try:
        env = {**os.environ, **site.env}
        out = subprocess.run(site.argv(*words), stdout=subprocess.PIPE, stderr=its, text=True, env=env, check=False)
    finally:
        os.close(its)
        reader.join(10)
        os.close(theirs)
    return out.stdout, read.decode(errors="replace")


def test_only_a_person_at_a_terminal_reads_what_a_program_has_said(crm: Watched) -> None:
    out, err = on_a_terminal(crm.site, "test", "p", "--asset", "violates")
    assert f"Failing row contains (1, {NAME}, {PHONE}" in err, err
    crm.said["its standard output, beside a terminal"] = out
    said = crm.plainly("test", "p", "--asset", "violates")
    assert "the programs' own messages" in said, "a person is told where it is kept"
    nowhere(crm)


ROWS = "[0-9]*.dat"  # of a table in a dump of PostgreSQL


def text_edited(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """An edit of the one captured file of this name, or that holds the telephone number."""

    def edit(restored: Path) -> None:
        (path,) = [p for p in restored.rglob(name) if name != ROWS or PHONE in _text(p)]
        path.chmod(0o644)
        path.write_text(change(_text(path)), "utf-8", "surrogateescape")

    return edit


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")


def twice(text: str) -> str:
    """The row that holds the telephone number comes twice, under another number the second time."""
    lines = text.splitlines(keepends=True)
    return "".join(f"{line}{line.replace('1', '9', 1)}" if PHONE in line else line for line in lines)


# Dumps that a load stumbles over: what is done to the customers' rows, and what the server quotes.
PG_EDITED = {
    "a row comes twice": (twice, PHONE),
    "a value is not of its type": (lambda text: text.replace("1970-01-01", f"{CARD}x"), CARD),
    "bytes are not of the encoding": (lambda text: text.replace(NAME, f"{NAME}\udcff"), "customer"),
    "a row is too long": (lambda text: text.replace(PHONE, f"{PHONE}\t{ADDRESS}"), ADDRESS),
    "a row is cut off": (lambda text: text[: text.index(PHONE) + len(PHONE)], PHONE),
    "a text is too long": (lambda text: text.replace(NAME, NAME * 3), NAME),
}


@pytest.mark.parametrize("what", PG_EDITED)
def test_a_broken_dump_of_postgresql_is_told_without_its_rows(crm: Watched, what: str) -> None:
    change, said = PG_EDITED[what]
    with watching(crm.site) as seen:
        done = crm.notes(met(crm.site, "good", text_edited(ROWS, change)))
    assert done.verdict is Verdict.FAIL, done.reason
    kept(crm.site, done.run, said)
    nowhere(crm, seen)


def test_a_restore_onto_a_server_that_fails_quotes_no_row(crm: Watched, tmp_path: Path) -> None:
    sockets = Path(tempfile.mkdtemp(prefix="ccdr-c-", dir="/tmp"))
    try:
        with server(sockets) as target:
            crm.site.write("target.pw", TARGET_PASSWORD + "\n", mode=0o600)
            to = ("--to", target.url("recovered"), "--password-file", str(crm.site.root / "target.pw"))
            with watching(crm.site) as seen:
                done = crm.run(
                    "restore", "p", "--asset", "raises", *to, "--despite-failed-test", "--yes-i-mean", "recovered"
                )
            assert done.code in (1, 3) and done.json["result"] == "FAILED", done
            kept(crm.site, done.json["run"], NAME, PHONE, CARD)
            assert "recovered" not in target.databases
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
    nowhere(crm, seen)


@pytest.fixture(scope="module")
def whole(told: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Of a PostgreSQL server captured by its files."""
    root = tmp_path_factory.mktemp("physical")
    root.chmod(0o755)
    with cluster(root / "server") as made:
        made.renamed("crm")
        made.psql(PG_SCHEMA + PG_SETTINGS.format(database="crm"), "crm")
        site = Site(tmp_path_factory.mktemp("canaries-physical"))
        checks(site, "asked", [line.replace("DB", "crm") for line in PG_ASKED])
        assets = asset("good", postgres(made, "crm", "method: physical"))
        assets += asset("asked", postgres(made, "crm", "method: physical"), "asked")
        watched = planned(site, told, assets)
        assert watched.run("backup", "p").code == 0
        yield watched


def test_what_checks_of_a_base_backup_quote_is_kept_from_every_record(whole: Watched) -> None:
    with watching(whole.site) as seen:
        done = whole.run("test", "p")
    results = {one["asset"]: one for one in done.json["tests"]}
    assert results["good"]["verdict"] == "PASS" and results["asked"]["verdict"] == "FAIL", done
    kept(whole.site, results["asked"]["run"], *PG_ASKED.values())
    readers(whole)
    nowhere(whole, seen)


# --- MariaDB ----------------------------------------------------------------------------------------------------

MARIA_SCHEMA = f"""
create table customer (id int primary key, name varchar(40) not null, phone varchar(20) not null unique,
  card varchar(20) comment '{CARD}', address text default '{ADDRESS}') comment 'ask {NAME}, {PHONE}';
insert into customer values (1, {ROW}), (2, 'x', 'y', 'z', '');
create function vault() returns text deterministic return '{SECRET}';
delimiter //
create function shout() returns int deterministic begin
signal sqlstate '45000' set message_text = '{NAME}, {ADDRESS}'; return 1; end//
delimiter ;
create view called as select name from customer where phone <> '{PHONE}';
"""
MARIA_ASKED = {
    f"{{kind: sql, expect: 0, query: \"select phone from customer where name = '{NAME}'\"}}": PHONE,
    "{kind: sql, expect: x, query: select card from customer where id = 1}": CARD,
    "{kind: sql, expect: 1, query: select shout()}": ADDRESS,
    f'{{kind: sql, expect: 1, query: "select {SECRET} from customer"}}': SECRET,
    "{kind: freshness, within: 1h, query: select name from customer where id = 1}": "",
    f"{{kind: rows, at_least: 1, table: \"customer where phone = '{PHONE}' {NAME}\"}}": NAME,
}
MARIA_EDITED = {
    "a row comes twice": ("customer.sql", twice, PHONE),
    "a statement is torn": ("customer.sql", lambda text: text.replace(f"'{PHONE}'", f"{PHONE} {CARD}"), CARD),
    "a user's hash is not taken": (
        "users.sql", lambda text: re.sub(r"IDENTIFIED [^;]*", f"IDENTIFIED VIA ed25519 USING {HASH}", text), HASH),
    "a user's plugin is not there": (
        "users.sql", lambda text: re.sub(r"IDENTIFIED [^;]*", f"IDENTIFIED VIA none USING '{HASH}'", text), ""),
    "a routine does not parse": ("code.sql", lambda text: text.replace(f"'{SECRET}'", f"'{SECRET}' '{CARD}' {NAME}"), NAME),
}  # fmt: skip


def maria_plan(site: Site, server: MariaSource, web: object, more: str = "") -> Watched:
    server.sql(f"create user ccdr_canary@localhost identified by '{LOGIN}'", check=False)
    server.sql("grant all on *.* to ccdr_canary@localhost with grant option")
    site.write("plans/maria.pw", f"{LOGIN}\n", mode=0o600)
    checks(site, "asked", list(MARIA_ASKED))
    reach = f"{{host: {server.sockets}, user: ccdr_canary, database: canary, password_file: maria.pw}}"
    one = f"engine: mariadb\nconnection: {reach}\n{more}"
    watched = planned(site, web, asset("good", one) + asset("asked", one, "asked"))
    assert watched.run("backup", "p").code == 0, watched.said
    return watched


LOGIN = "correct horse"


def maria_filled(server: MariaSource) -> None:
    server.sql(f"create database canary comment '{ADDRESS}'")
    server.sql(MARIA_SCHEMA, "canary")
    server.sql(
        f"create user canary_app@'%' identified by password '{NATIVE}'; grant select on canary.* to canary_app@'%'"
    )


@pytest.fixture(scope="module")
def dialler(maria: MariaSource, told: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    maria_filled(maria)
    yield maria_plan(Site(tmp_path_factory.mktemp("canaries-maria")), maria, told)
    maria.sql("drop database canary; drop user canary_app@'%', ccdr_canary@localhost")


def asked_of_maria(watched: Watched) -> None:
    with watching(watched.site) as seen:
        done = watched.run("test", "p")
    results = {one["asset"]: one for one in done.json["tests"]}
    assert results["good"]["verdict"] == "PASS" and results["asked"]["verdict"] == "FAIL", done
    kept(watched.site, results["asked"]["run"], *MARIA_ASKED.values())
    readers(watched)
    nowhere(watched, seen)


def test_what_checks_of_mariadb_quote_is_kept_from_every_record(dialler: Watched) -> None:
    asked_of_maria(dialler)


@pytest.mark.parametrize("what", MARIA_EDITED)
def test_a_broken_dump_of_mariadb_is_told_without_its_rows(dialler: Watched, what: str) -> None:
    name, change, said = MARIA_EDITED[what]
    with watching(dialler.site) as seen:
        done = dialler.notes(met(dialler.site, "good", text_edited(name, change)))
    assert done.verdict is not Verdict.PASS, done.reason
    kept(dialler.site, done.run, said)
    nowhere(dialler, seen)


def test_what_checks_of_a_copy_of_mariadbs_files_quote_is_kept_from_every_record(told: object, tmp_path: Path) -> None:
    data = data_directory()
    with mariadb_server(data=data) as made:
        maria_filled(made)
        asked_of_maria(maria_plan(Site(tmp_path), made, told, whole_server(data)))


# --- Redis ------------------------------------------------------------------------------------------------------

REDIS = f"""
SET caller:{PHONE} "{NAME} {CARD}"
HSET address:{NAME} street {ADDRESS}
RPUSH queue:sales {PHONE} {CARD}
FUNCTION LOAD "#!lua name=vault\\n-- {SECRET}\\nredis.register_function('vault', function() return '{SECRET}' end)"
ACL SETUSER app ">{SECRET}" ~caller:{PHONE}* +get
"""


@pytest.fixture(scope="module")
def switch(told: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    site = Site(tmp_path_factory.mktemp("canaries-redis"))
    with redis_server("redis") as made:
        made.fill(REDIS)
        checks(site, "asked", [f"{{kind: keys, match: 'caller:{PHONE}*', at_least: 2}}"])
        one = f"engine: redis\nconnection: {{host: {made.socket}}}\n"
        watched = planned(site, told, asset("good", one) + asset("asked", one, "asked"))
        assert watched.run("backup", "p").code == 0, watched.said
        yield watched


def test_keys_that_a_check_of_redis_asks_for_are_in_no_record(switch: Watched) -> None:
    with watching(switch.site) as seen:
        done = switch.run("test", "p")
    results = {one["asset"]: one for one in done.json["tests"]}
    assert results["good"]["verdict"] == "PASS" and results["asked"]["verdict"] == "FAIL", done
    readers(switch)
    nowhere(switch, seen)


def _cut(restored: Path) -> None:
    path = restored / "dump.rdb"
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(restored: Path) -> None:
    path = restored / "dump.rdb"
    data = path.read_bytes()
    at = data.index(b"queue:sales") + len(b"queue:sales")
    path.write_bytes(data[:at] + bytes(b ^ 0xFF for b in data[at : at + 24]) + data[at + 24 :])


def _misruled(restored: Path) -> None:
    with (restored / "acl.list").open("a") as users:
        users.write(f"user {NAME} on >{SECRET} +@{ADDRESS}\n")


@pytest.mark.parametrize(
    ("harm", "said"), [(_cut, ""), (_flipped, "queue:sales"), (_misruled, ADDRESS)], ids=["cut", "flipped", "users"]
)
def test_what_redis_says_of_a_damaged_file_is_in_no_record(
    switch: Watched, harm: Callable[[Path], None], said: str
) -> None:
    with watching(switch.site) as seen:
        done = switch.notes(met(switch.site, "good", harm))
    assert done.verdict is not Verdict.PASS, done.reason
    kept(switch.site, done.run, said)
    nowhere(switch, seen)


# --- SQLite -----------------------------------------------------------------------------------------------------

SQLITE = f"""
create table customer (id integer primary key, name text not null, phone text unique, card text default '{CARD}', address);
create view called as select name from customer where phone <> '{PHONE}' -- {SECRET}
;
insert into customer values (1, {ROW});
"""
SQLITE_ASKED = {
    f"{{kind: sql, expect: 0, query: \"select phone from customer where name = '{NAME}'\"}}": PHONE,
    f"{{kind: sql, expect: 0, query: 'select * from \"{FILE}\"'}}": FILE,
    "{kind: sql, expect: x, query: select card from customer}": CARD,
    "{kind: command, argv: [sh, -c, 'grep -rha Strada .; exit 3']}": ADDRESS,
}


def _unschemed(path: Path) -> None:
    """A definition that does not parse, and a table that cannot be read without it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("pragma writable_schema = on")
        broken = f"create table customer (id default '{PHONE}') '{NAME}' {SECRET}"
        database.execute("update sqlite_master set sql = ? where name = 'customer'", (broken,))


@pytest.fixture(scope="module")
def calls(told: object, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    root = tmp_path_factory.mktemp("canaries-sqlite")
    site, database, broken = Site(root), root / "calls.db", root / "broken.db"
    for path in (database, broken):
        ask_sqlite(path, SQLITE)
    _unschemed(broken)
    checks(site, "asked", list(SQLITE_ASKED))
    assets = "".join(
        asset(name, f"engine: sqlite\npath: {path}\n", test)
        for name, path, test in (("good", database, "whole"), ("asked", database, "asked"), ("broken", broken, "whole"))
    )
    return planned(site, told, assets)


def test_what_sqlite_says_is_in_no_record(calls: Watched) -> None:
    with watching(calls.site) as seen:
        stored = {one["asset"]: one for one in calls.run("backup", "p").json["backups"]}
        assert stored["broken"]["result"] == "FAILED" and stored["good"]["result"] == "STORED", stored
        kept(calls.site, stored["broken"]["run"], SECRET)
        results = {one["asset"]: one for one in calls.run("test", "p").json["tests"]}
        assert results["good"]["verdict"] == "PASS" and results["asked"]["verdict"] == "FAIL", results
        kept(calls.site, results["asked"]["run"], *SQLITE_ASKED.values())
        done = calls.notes(met(calls.site, "good", lambda restored: _unschemed(next(restored.rglob("calls.db")))))
        assert done.verdict is Verdict.FAIL
        kept(calls.site, done.run, SECRET)
    readers(calls)
    nowhere(calls, seen)


# --- files ------------------------------------------------------------------------------------------------------

SURE = ("--despite-failed-test", "--yes-i-mean", "there")


@pytest.fixture
def spool(told: object, tmp_path: Path) -> Watched:
    """Names hold what a telephone system writes into them."""
    tree = tmp_path / "tree"
    for n in range(3):
        settled_file(tree / NAME / f"{FILE}-{n}.wav", f"{CARD} {n}".encode() * 900)
    site = Site(tmp_path)
    checks(site, "whole", ["{kind: identical}"])
    checks(site, "asked", ["{kind: decodable}", "{kind: command, argv: [sh, -c, 'find . -name \"*.wav\"; exit 3']}"])
    one = f"engine: files\npaths: [{tree}]\nsettle: 1s\n"
    watched = planned(site, told, asset("good", one) + asset("asked", one, "asked"))
    checks(site, "whole", ["{kind: identical}"])
    assert watched.run("backup", "p").code == 0, watched.said
    return watched


def test_names_of_recordings_are_in_no_record(spool: Watched) -> None:
    results = {one["asset"]: one for one in spool.run("test", "p").json["tests"]}
    assert results["good"]["verdict"] == "PASS" and results["asked"]["verdict"] == "FAIL", results
    kept(spool.site, results["asked"]["run"], FILE, NAME)
    readers(spool)
    nowhere(spool, listed=True)


def test_a_damaged_repository_is_told_without_the_names_of_files_in_it(spool: Watched) -> None:
    for pack in sorted((spool.site.repo / "data").rglob("*")):
        if pack.is_file():
            pack.chmod(0o600)
            data = pack.read_bytes()
            pack.write_bytes(data[:60] + bytes(b ^ 0xFF for b in data[60:200]) + data[200:])
    done = spool.run("test", "p", "--asset", "good")
    assert done.json["verdict"] == "FAIL", done
    checked = spool.run("upkeep", "p", "--check")
    assert checked.code == 1, checked
    to = spool.site.root / "there"
    restored = spool.run("restore", "p", "--asset", "good", "--to", str(to), *SURE)
    assert restored.code != 0 and not to.exists(), restored
    readers(spool)
    nowhere(spool, listed=True)


def test_a_directory_that_is_not_empty_is_refused_without_the_names_in_it(spool: Watched) -> None:
    to = spool.site.root / "there"
    to.mkdir()
    (to / f"{FILE}.wav").touch()
    restored = spool.run("restore", "p", "--asset", "good", "--to", str(to), *SURE)
    assert restored.code == 2 and "is not empty: it holds 1 entry" in str(restored), restored
    nowhere(spool, listed=True)


# As root no file is closed to us: so do without the right to read what is not ours to read.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.mark.parametrize(("what", "mode"), [("file", 0o000), ("directory", 0o000), ("directory", 0o400)])
def test_what_may_not_be_read_is_told_without_its_name(spool: Watched, what: str, mode: int) -> None:
    tree = spool.site.root / "tree" / NAME
    closed = tree if what == "directory" else settled_file(tree / f"{FILE}-9.wav", b"new")
    closed.chmod(mode)
    try:
        argv = [*UNPRIVILEGED, *spool.site.argv("backup", "p", "--asset", "good", "--json")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    finally:
        closed.chmod(0o755)
    spool.said["backup"] = done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert done.returncode == 1 and "permission denied" in told["reason"].lower(), told
    kept(spool.site, told["run"], NAME)
    nowhere(spool, listed=True)
