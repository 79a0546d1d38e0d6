"""Restoring a database for real, onto another server: never the source, never over anything, all of it or nothing.

One target server for this file, with passwords; each test makes and drops its own databases and roles there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.centre import sample_centre
from tests.support.harness import SMALL, Quiet, Ran, Site, Source, eventually, small_database
from tests.support.sites import copy_of
from tests.support.stored import assert_clean, with_repository
from tests.support.target import PASSWORD, Target, server

from ccdr.engines.postgres.dump.target import PostgresTarget as Restoration
from ccdr.jobs.restore import Request, restoring
from ccdr.model.errors import UsageProblem
from ccdr.plans.job import Job
from ccdr.ports.place import Place

CHECKS = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
  - {kind: freshness, query: "select max(started_at) from call", within: 24h}
  - {kind: command, argv: ["psql", "-h", "/ccdr/run", "-U", "postgres", "-c", "select 1"]}
"""
# What a database is beside its tables; and rows that make a load last where `ccdr.nap` is set.
MORE = r'''
create role {name}_owner login password 'hush';
create role "{name}: o'Hara; ""x""" nologin;
grant {name}_reader to {name}_owner with admin option;
grant {name}_reader to "{name}: o'Hara; ""x""" granted by {name}_owner;
grant set on parameter work_mem to {name}_owner;
alter role {name}_owner set statement_timeout = '30s';
alter role {name}_owner in database {name} set lock_timeout = '3s';
alter database {name} owner to {name}_owner;
alter database {name} set search_path = public, pg_temp;
alter database {name} connection limit 50;
comment on database {name} is 'it''s
ALTER DATABASE {name} OWNER TO nobody;
\connect {name}
--
-- Name: {name}; Type: DATABASE PROPERTIES; Schema: -; Owner: nobody
--

-- ours';
comment on role {name}_owner is 'it''s
\connect {name}
CREATE ROLE nobody;
-- ours';
grant connect on database {name} to "{name}: o'Hara; ""x""";
revoke temporary on database {name} from public;
create extension pgcrypto;
create function nap() returns int language plpgsql as $$
  begin
    perform pg_sleep(coalesce(current_setting('ccdr.nap', true)::float, 0));
    if current_setting('ccdr.lock', true) = 'on' then lock table pg_authid in row exclusive mode; end if;
    return 1;
  end $$;
create table slow (id int, check (nap() = 1));
insert into slow select generate_series(1, 60);
alter table call owner to {name}_owner;
'''
GONE = 'drop owned by {name}_owner, "{name}: o\'Hara; ""x"""; drop role {name}_owner, "{name}: o\'Hara; ""x""";'


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with server(tmp_path_factory.mktemp("target")) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(target: Target) -> Iterator[None]:
    """The target as it was: nothing of a test stays."""
    yield
    for database in target.databases - {"postgres", "template0", "template1"}:
        target.psql(f'alter database "{database}" is_template false', check=False)
        target.psql(f'drop database "{database}" with (force)')
    if roles := ", ".join('"{}"'.format(role.replace('"', '""')) for role in target.roles - {"dba"}):
        target.psql(f"drop owned by {roles}; drop role {roles}")
    target.psql("alter role dba reset all")


@pytest.fixture(scope="module")
def stored(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "restored") as name:
        source.psql(MORE.format(name=name), name)
        site = with_repository(Site(tmp_path_factory.mktemp(name)))
        site.crm(source, name, checks=CHECKS)
        site.backed_up()
        yield site
        source.psql(f"alter database {name} owner to postgres; alter table call owner to postgres", name)
        source.psql(GONE.format(name=name), name)


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    made = copy_of(stored, tmp_path / "site")
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    return made


def go(site: Site, url: str, *args: str, name: str = "crm", env: dict[str, str] | None = None) -> Ran:
    login = ["--password-file", str(site.root / "pw"), "--yes-i-mean", name]
    return site.run("restore", "p", "--asset", "crm", "--to", url, *login, *args, env=env)


def end(site: Site) -> dict[str, Any]:
    assert len(site.records("restore.start")) == len(site.records("restore.end"))
    return site.records("restore.end")[-1]


def untouched(target: Target) -> None:
    assert target.databases == {"postgres", "template0", "template1"} and target.roles == {"dba"}


# --- it restores ------------------------------------------------------------------------------------------------

FACTS = """
select count(*), sum(hashtext(c::text)::bigint) from call c;
select tableowner from pg_tables where tablename = 'call';
select has_table_privilege('restored_reader', 'call', 'select');
select pg_get_userbyid(datdba), datconnlimit, (select array_agg(a::text order by a::text) from unnest(datacl) a),
  shobj_description(oid, 'pg_database') from pg_database where datname = current_database();
select coalesce(r.rolname, '-'), setconfig from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole
  where setdatabase = (select oid from pg_database where datname = current_database()) order by 1;
select rolname, rolpassword, rolcanlogin, rolvaliduntil, shobj_description(oid, 'pg_authid') from pg_authid where rolname like 'restored%' order by 1;
select roleid::regrole, member::regrole, admin_option from pg_auth_members where roleid::regrole::text ~ 'restored';
select convert_from(lo_get(oid), 'UTF8') from pg_largeobject_metadata;
select last_value from call_id_seq;
"""


def test_restored_database_is_the_source(site: Site, source: Source, target: Target) -> None:
    done = go(site, target.url("crm"))
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert target.databases == {"postgres", "template0", "template1", "crm"}
    assert target.psql(FACTS, "crm") == source.psql(FACTS, "restored")
    found = {(c["kind"], c["status"]) for c in done.json["checks"]}
    # What is written for the sandbox is not run against a server of people.
    assert found == {*((k, "PASS") for k in ("identical", "integrity", "rows", "freshness")), ("command", "SKIPPED")}
    assert {c["name"] for c in done.json["checks"]} >= {"tables", "sequences", "large objects", "roles"}
    record = end(site)
    assert record["target"] == {"kind": "server", "name": f"postgresql://dba@/crm?host={target.sockets}"}
    assert set(record["phases"]) == {"fetch", "load", "check", "finish"} and record["tools"]["target"].startswith("17")
    assert target.psql("select count(*) from pg_extension where extname = 'amcheck'", "crm") == "0"
    assert target.psql("select count(*) > 0 from pg_statistic where starelid = 'call'::regclass", "crm") == "t"
    text = "".join(p.read_text("utf-8", "replace") for p in (site.state / "ledger").glob("*.jsonl"))
    assert "secret" not in text and "SCRAM" not in text and "tefan" not in text
    assert_clean(site)


def test_everything_that_a_schema_can_hold_comes_back(source: Source, target: Target, tmp_path: Path) -> None:
    """The sample contact centre, with the corners of real schemas."""
    with sample_centre(source) as name:
        site = with_repository(Site(tmp_path))
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n")
        site.backed_up()
        done = go(site, target.url("crm"))
        assert done.code == 0, done
        assert {c["status"] for c in done.json["checks"]} == {"PASS"} and len(done.json["checks"]) == 9
        assert_clean(site)


def test_an_odd_name_in_place_of_an_empty_database(site: Site, target: Target) -> None:
    name = "a \"b\" 'c' $d/e\\f ; drop"
    quoted = '"' + name.replace('"', '""') + '"'
    target.psql(f"create database {quoted}")
    done = go(site, target.url(name), name=name)
    assert done.code == 0, done
    assert target.databases == {"postgres", "template0", "template1", name}
    assert target.psql(f"\\c {quoted.replace(chr(92), chr(92) * 2)}\nselect count(*) from call", check=False) in (
        "3000",
        "",
    )
    target.psql(f"alter database {quoted} rename to crm")
    assert target.psql("select count(*) from call", "crm") == "3000"


def test_roles_of_the_server_are_left_as_they_are(site: Site, target: Target) -> None:
    target.psql(
        "create role restored_owner login password 'their own' connection limit 3; alter role restored_owner set work_mem = '8MB'"
    )
    asked = "select a.rolpassword, r.rolconnlimit, r.rolconfig from pg_authid a join pg_roles r on r.oid = a.oid where a.rolname = 'restored_owner'"
    before = target.psql(asked)
    shown = go(site, target.url("crm"), "--dry-run").json["would_restore"]
    assert any("creates the roles" in said and "restored_owner" not in said for said in shown["will"]), shown
    done = go(site, target.url("crm"))
    assert done.code == 0 and target.psql(asked) == before, done
    (roles,) = [c for c in done.json["checks"] if c["name"] == "roles"]
    assert "restored_owner" in roles["actual"] and roles["status"] == "PASS"


def test_the_client_of_an_image_serves_where_the_host_has_none(site: Site, target: Target) -> None:
    bins = site.root / "bin"
    bins.mkdir()
    for program in ("restic", "sh", "sha256sum", "wc", "sort", "bash", "cat", "chmod", "sync"):
        (bins / program).symlink_to(str(shutil.which(program)))
    done = go(site, target.url("crm"), env={"PATH": str(bins)})
    assert done.code == 0, done
    assert target.psql("select count(*) from call", "crm") == "3000"
    assert_clean(site)


def test_the_dump_itself_into_a_directory(site: Site) -> None:
    done = go(site, str(site.root / "dump"), name="dump")
    assert done.code == 0, done
    assert {p.name for p in (site.root / "dump").iterdir()} == {
        "dump", "roles.sql", "globals.sql", "toc.list", "ccdr-manifest.json",
    }  # fmt: skip
    assert "TABLE DATA public call" in (site.root / "dump" / "toc.list").read_text()
    assert (site.root / "dump").stat().st_mode & 0o777 == 0o700
    assert {c["status"] for c in done.json["checks"]} == {"PASS", "SKIPPED"}
    assert_clean(site)


# --- it refuses -------------------------------------------------------------------------------------------------


def refused(done: Ran, said: str, site: Site) -> None:
    assert done.code == 2 and said in done.json["error"] and done.json["hint"], done
    if "password" not in said:
        assert end(site)["result"] == "REFUSED" and end(site)["phases"] == {}
    assert_clean(site)


def test_the_source_is_refused(site: Site, source: Source) -> None:
    url = f"postgresql://postgres@/restored?host={source.sockets}"
    before = source.psql(
        "select pg_stat_get_db_xact_rollback(oid), datname from pg_database where datname like '%restore%'"
    )
    for more in ([], ["--onto-source-server"]):
        refused(go(site, url, *more, name="restored"), "is the source of crm", site)
    refused(
        go(site, url.replace("/restored?", "/other?"), name="other"), "on the server that crm is backed up from", site
    )
    assert source.psql("select count(*) from call", "restored") == "3000"
    assert "ccdr_restore" not in before and "ccdr_restore" not in source.psql("select datname from pg_database")


def test_the_source_of_another_plan_is_refused(site: Site, source: Source, target: Target) -> None:
    """Its plan names the target server's database of that name: it may be empty today."""
    target.psql("create database crm")
    head = (site.root / "plans" / "p.yaml").read_text()
    there = f"{{host: {target.sockets}, user: dba, database: crm, password_file: {site.root}/pw}}"
    here = f"{{host: {source.sockets}, user: postgres, database: restored}}"
    assert here in head
    site.write(
        "plans/q.yaml", head.replace("plan: p\n", "plan: q\n", 1).replace(here, there).replace("  crm:\n", "  x:\n", 1)
    )
    done = go(site, target.url("crm"))
    assert done.code == 2 and "q/x" in done.json["error"], done
    refused_other = go(site, target.url("crm2"), name="crm2")
    assert refused_other.code == 2 and "--onto-source-server" in str(refused_other.json["hint"]), refused_other
    assert go(site, target.url("crm2"), "--onto-source-server", name="crm2").code == 0


def test_a_link_to_the_sources_socket_is_still_the_source(site: Site, source: Source, tmp_path: Path) -> None:
    """Known by the server's own identifier, whatever its address."""
    (tmp_path / "alias").symlink_to(source.sockets)
    url = f"postgresql://postgres@/restored?host={tmp_path}/alias"
    refused(go(site, url, name="restored"), "is the source of crm", site)


def test_another_name_on_the_sources_server_if_wanted(site: Site, source: Source) -> None:
    url = f"postgresql://postgres@/restored_copy?host={source.sockets}"
    try:
        done = go(site, url, "--onto-source-server", name="restored_copy")
        assert done.code == 0, done
        assert source.psql("select count(*) from call", "restored_copy") == "3000"
        assert not any("creates the roles" in said for said in done.json["notes"])
    finally:
        source.psql("drop database if exists restored_copy with (force)")


NOT_EMPTY = (
    "create table t ()", "create schema s", "select lo_create(1)", "create function f() returns int return 1",
    "create type e as enum ('a')", "create extension citext", "create publication p",
)  # fmt: skip


def test_not_empty_is_refused(site: Site, target: Target) -> None:
    request = Request(to=target.url("crm"), password_file=site.root / "pw")
    for made in NOT_EMPTY:
        target.psql("create database crm")
        target.psql(made, "crm")
        with pytest.raises(UsageProblem, match="not empty"):
            with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()):
                pytest.fail(f"it begins although there is more: {made}")
        assert (end(site)["result"], end(site)["phases"]) == ("REFUSED", {}), made
        assert target.databases == {"postgres", "template0", "template1", "crm"} and target.roles == {"dba"}
        if made is not NOT_EMPTY[-1]:
            target.psql("drop database crm")
    refused(go(site, target.url("crm")), "not empty", site)
    assert len(site.records("restore.end")) == len(NOT_EMPTY) + 1


def test_in_use_is_refused(site: Site, target: Target) -> None:
    target.psql("create database crm")
    argv = [
        "docker",
        "exec",
        "-i",
        "-e",
        f"PGPASSWORD={PASSWORD}",
        target.container,
        "psql",
        "-X",
        "-q",
        "-h",
        "/sockets",
    ]
    with subprocess.Popen(
        [*argv, "-U", "dba", "crm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write("\\echo ready\n")
        process.stdin.flush()
        process.stdout.readline()
        refused(go(site, target.url("crm")), "sessions use", site)
        process.stdin.close()


def test_password_in_the_url_is_refused_and_never_shown(site: Site, target: Target) -> None:
    done = go(site, f"postgresql://dba:hunter2@/crm?host={target.sockets}")
    refused(done, "password", site)
    everything = done.stdout + done.stderr + "".join(p.read_text() for p in (site.state / "ledger").glob("*.jsonl"))
    assert "hunter2" not in everything


def test_wrong_password_and_no_such_file(site: Site, target: Target) -> None:
    site.write("pw", "wrong\n", mode=0o600)
    done = go(site, target.url("crm"))
    assert (
        done.code == 3
        and "does not answer" in done.json["error"]
        and "wrong" not in done.json["error"].lower().split("password")[0]
    ), done
    assert end(site)["result"] == "FAILED"
    (site.root / "pw").unlink()
    assert go(site, target.url("crm")).code == 2
    untouched(target)
    assert_clean(site)


def test_no_server_there(site: Site, tmp_path: Path) -> None:
    done = go(site, f"postgresql://dba@/crm?host={tmp_path}")
    assert done.code == 3 and "does not answer" in done.json["error"], done
    assert_clean(site)


def test_ordinary_user_is_refused(site: Site, target: Target) -> None:
    target.psql(f"create role plain login createdb password $x${PASSWORD}$x$")
    refused(go(site, target.url("crm", "plain")), "no superuser", site)


def test_missing_extension_is_refused(site: Site, target: Target) -> None:
    control = "/usr/share/postgresql/17/extension/pgcrypto.control"
    target.root(f"mv {control} /tmp/away")
    try:
        refused(go(site, target.url("crm")), "lacks the extension pgcrypto", site)
        untouched(target)
    finally:
        target.root(f"mv /tmp/away {control}")


ODD = {
    "a locale": "locale '{romanian}'",
    "ICU": "locale_provider icu icu_locale 'ro-RO' locale 'C.UTF-8'",
    "an old encoding": "encoding 'LATIN2' locale 'C'",
}


@pytest.fixture
def odd(request: pytest.FixtureRequest, source: Source, tmp_path: Path) -> Iterator[Site]:
    """A small database that is of another locale or encoding than the servers are."""
    romanian = source.psql("select min(collname) from pg_collation where collname ilike 'ro_RO.utf8'")
    if not romanian:
        pytest.skip("the image has one locale only")
    source.psql(f"create database odd template template0 {request.param.format(romanian=romanian)}")
    source.psql(
        "set client_encoding = 'UTF8'; create table call (note text); insert into call values ('Čačak'), ('ő'); comment on database odd is 'őrült'",
        "odd",
    )
    site = with_repository(Site(tmp_path))
    site.write("pw", f"{PASSWORD}\n", mode=0o600)
    site.crm(source, "odd", checks="restore_test: crm\nchecks: [{kind: identical}]\n")
    site.backed_up()
    yield site
    source.psql("drop database odd with (force)")


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD, indirect=True)
def test_other_locales_and_encodings_come_back(odd: Site, target: Target) -> None:
    done = go(odd, target.url("crm"))
    assert done.code == 0, done
    asked = "select note, (select shobj_description(oid, 'pg_database') from pg_database where datname = 'crm') from call order by 1"
    assert target.psql(f"set client_encoding = 'UTF8'; {asked}", "crm").split() == ["Čačak|őrült", "ő|őrült"]


@pytest.mark.parametrize("odd", [ODD["a locale"]], indirect=True)
def test_missing_locale_is_refused(odd: Site, target: Target) -> None:
    target.root("mkdir /tmp/away && mv /usr/lib/locale/ro_RO* /tmp/away")
    try:
        refused(go(odd, target.url("crm")), "lacks the libc locale", odd)
        untouched(target)
    finally:
        target.root("mv /tmp/away/* /usr/lib/locale && rmdir /tmp/away")


def old_major() -> Path | None:
    """The programs of an older PostgreSQL on this host."""
    found = [
        p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists() and int(p.parent.name) < 17
    ]
    return max(found, default=None, key=lambda p: int(p.parent.name))


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """The socket directory of a server of an older major version, run on this host."""
    bins = old_major()
    if bins is None or os.geteuid() != 0 or shutil.which("runuser") is None:
        pytest.skip("no older PostgreSQL on this host")
    base = Path(tempfile.mkdtemp(prefix="ccdr-old-"))
    shutil.chown(base, "postgres")
    base.chmod(0o755)
    run = ["runuser", "-u", "postgres", "--"]
    subprocess.run([*run, bins / "initdb", "-D", base / "data", "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-N"],
                   check=True, capture_output=True)  # fmt: skip
    options = f"-c listen_addresses= -c unix_socket_directories={base} -c fsync=off"
    subprocess.run([*run, bins / "pg_ctl", "-D", base / "data", "-w", "-l", base / "log", "-o", options, "start"],
                   check=True, capture_output=True)  # fmt: skip
    yield base
    subprocess.run(
        [*run, bins / "pg_ctl", "-D", base / "data", "-m", "immediate", "stop"], check=True, capture_output=True
    )
    shutil.rmtree(base)


def at_old(sockets: Path, sql: str, database: str = "postgres") -> str:
    argv = [
        "psql",
        "-X",
        "-q",
        "-A",
        "-t",
        "-h",
        str(sockets),
        "-U",
        "postgres",
        "-d",
        database,
        "-v",
        "ON_ERROR_STOP=1",
    ]
    return subprocess.run([*argv, "-c", sql], check=True, capture_output=True, text=True).stdout.strip()


def test_an_older_server_is_refused(site: Site, old: Path) -> None:
    refused(go(site, f"postgresql://postgres@/crm?host={old}"), "the backup is of 17", site)


def test_a_newer_server_takes_an_older_ones_backup(old: Path, target: Target, tmp_path: Path) -> None:
    """The way of a major upgrade; and the old server itself is served by this host's own client."""
    at_old(old, "create database odd template template0")
    at_old(
        old,
        SMALL.replace("app_reader", "odd_reader").replace(
            "select lo_from_bytea(0, 'a voice mail') \\g /dev/null\n", ""
        ),
        "odd",
    )
    site = with_repository(Site(tmp_path))
    site.write("pw", f"{PASSWORD}\n", mode=0o600)
    site.crm(Source("", old), "odd", checks=CHECKS)
    site.backed_up()
    done = go(site, target.url("crm"))
    assert done.code == 0, done
    assert {c["status"] for c in done.json["checks"] if c["kind"] != "command"} == {"PASS"}
    done = go(site, f"postgresql://postgres@/copy?host={old}", "--onto-source-server", name="copy")
    assert done.code == 0, done
    assert at_old(old, "select count(*) from call", "copy") == "3000"
    assert_clean(site)


def test_dry_run_does_nothing(site: Site, target: Target) -> None:
    records = len(site.records())
    done = go(site, target.url("crm"), "--dry-run")
    assert done.code == 0 and any("new database" in said for said in done.json["would_restore"]["will"]), done
    untouched(target)
    assert len(site.records()) == records
    assert_clean(site)


def test_wrong_name_does_nothing(site: Site, target: Target) -> None:
    done = go(site, target.url("crm"), name="prod")
    assert done.code == 2, done
    untouched(target)


# --- it fails ---------------------------------------------------------------------------------------------------


def failed(site: Site, code: int, done: Ran, target: Target) -> None:
    assert done.code == code and done.json["result"] == "FAILED" and done.json["left_behind"] == [], done
    untouched(target)
    assert end(site)["result"] == "FAILED"
    assert_clean(site)


def test_damaged_repository_writes_nothing(site: Site, source: Source, target: Target) -> None:
    real = site.repo.resolve()
    site.repo.unlink()
    shutil.copytree(real, site.repo)
    site.crm(source, "restored", checks=CHECKS)
    pack = max((p for p in (site.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 3] ^= 1
    pack.write_bytes(data)
    failed(site, 1, go(site, target.url("crm")), target)


def test_changed_dump_is_not_loaded(site: Site, target: Target) -> None:
    """As long as it was, so only its digest tells; before anything is made on the server."""
    script = (
        f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\n'
        f'case " $* " in *" restore "*) f=$(ls -S $(find {site.state}/scratch -name "*.dat") | head -n 1); '
        f'printf X | dd of="$f" conv=notrunc bs=1 2>/dev/null;; esac\nexit $code\n'
    )
    site.write("bin/restic", script, mode=0o755)
    done = go(site, target.url("crm"), env={"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"})
    failed(site, 1, done, target)
    assert "not as captured" in done.json["reason"] and "load" not in done.json["phases"]


def test_a_failing_check_keeps_the_final_name_from_it(site: Site, target: Target) -> None:
    site.write("restore_tests/crm.yaml", CHECKS.replace("at_least: 3000", "at_least: 3001"))
    done = go(site, target.url("crm"))
    assert done.code == 1 and done.json["result"] == "FAILED", done
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert kept.startswith("crm_ccdr_restore_") and kept in done.json["left_behind"][0]
    done = go(site, target.url("crm"), "--despite-failed-checks")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and "crm" in target.databases, done
    assert any(kept in note for note in done.json["notes"]), "what the first one left is told"


def test_amcheck_that_is_missing_is_no_reason_to_have_no_data(site: Site, target: Target) -> None:
    control = "/usr/share/postgresql/17/extension/amcheck.control"
    target.root(f"mv {control} /tmp/away")
    try:
        done = go(site, target.url("crm"))
    finally:
        target.root(f"mv /tmp/away {control}")
    assert done.code == 0, done
    (integrity,) = [c for c in done.json["checks"] if c["kind"] == "integrity"]
    assert integrity["status"] == "SKIPPED" and "amcheck" in integrity["actual"]


def test_empty_database_that_is_used_meanwhile_is_not_replaced(site: Site, target: Target) -> None:
    target.psql("create database crm")
    request = Request(to=target.url("crm"), password_file=site.root / "pw")
    with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()) as one:
        target.psql("create table theirs (id int)", "crm")
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and "not empty" in str(one.result.reason)
    assert target.psql("select count(*) from theirs", "crm") == "0"
    (kept,) = target.databases - {"postgres", "template0", "template1", "crm"}
    assert kept in one.result.left_behind[0], "it is whole: it is not thrown away"
    assert target.psql("select count(*) from call", kept) == "3000"


# --- it is stopped ----------------------------------------------------------------------------------------------


def loading(site: Site, target: Target, nap: float = 1) -> subprocess.Popen[str]:
    """A restore that is in the middle of its load, in which each of sixty rows takes `nap` seconds."""
    target.psql(f"alter role dba set ccdr.nap = '{nap}'")
    login = ["--password-file", str(site.root / "pw"), "--yes-i-mean", "crm"]
    process = site.start("restore", "p", "--asset", "crm", "--to", target.url("crm"), *login)
    assert process.stderr and process.stdout
    threading.Thread(target=process.stdout.read, daemon=True).start()
    for line in process.stderr:
        if "loading" in line:
            break
    napping = "select count(*) from pg_stat_activity where query ilike 'copy%slow%' and state = 'active'"
    assert eventually(lambda: target.psql(napping) == "1", 60)
    assert "crm" not in target.databases
    return process


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_load_leaves_nothing(site: Site, target: Target, sign: int) -> None:
    process = loading(site, target)
    process.send_signal(sign)
    process.wait(60)
    assert process.returncode == 3
    untouched(target)
    record = end(site)
    assert (record["result"], record["reason"], record["left_behind"]) == ("FAILED", "interrupted", [])
    assert_clean(site)


def test_interrupted_while_it_is_renamed_the_server_is_asked(
    site: Site, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is stopped when the server has done it, and has not said so."""
    target.psql("create database crm")
    rename = Restoration._script

    def script(place: Place, env: Mapping[str, str], text: str, what: str, encoding: str = "UTF8") -> None:
        rename(place, env, text, what, encoding)
        if what == "renaming":
            raise KeyboardInterrupt

    monkeypatch.setattr(Restoration, "_script", staticmethod(script))
    request = Request(to=target.url("crm"), password_file=site.root / "pw")
    with pytest.raises(KeyboardInterrupt):
        with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()) as one:
            one.carry_out(Quiet())
    assert target.databases == {"postgres", "template0", "template1", "crm"}
    assert target.psql("select count(*) from call", "crm") == "3000"
    record = end(site)
    assert (record["result"], record["reason"], record["left_behind"]) == ("RESTORED", None, [])
    assert record["notes"][-1] == "stopped when it had its final name already: interrupted"


def test_a_renaming_that_waits_for_a_lock_does_not_happen_after_the_record(site: Site, target: Target) -> None:
    site.write("restore_tests/crm.yaml", CHECKS.replace("select 1", "select pg_sleep(0)"))
    lock = "begin; lock table pg_database in share mode; select pg_sleep(600);"
    argv = [
        "docker",
        "exec",
        "-e",
        f"PGPASSWORD={PASSWORD}",
        target.container,
        "psql",
        "-X",
        "-h",
        "/sockets",
        "-U",
        "dba",
    ]
    process = site.start(
        "restore", "p", "--asset", "crm", "--to", target.url("crm"), "--password-file", str(site.root / "pw"),
        "--yes-i-mean", "crm",
    )  # fmt: skip
    assert process.stderr and process.stdout
    threading.Thread(target=process.stdout.read, daemon=True).start()
    for line in process.stderr:
        if "checking crm" in line:
            break
    with subprocess.Popen([*argv, "-d", "postgres", "-c", lock], stdout=subprocess.DEVNULL) as theirs:
        waiting = (
            "select count(*) from pg_stat_activity where query like 'alter database%' and wait_event_type = 'Lock'"
        )
        assert eventually(lambda: target.psql(waiting) == "1", 60)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        record = end(site)
        assert process.returncode == 3 and (record["result"], record["reason"]) == ("FAILED", "interrupted")
        target.psql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'")
        theirs.wait(60)
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert kept.startswith("crm_ccdr_restore_") and kept in record["left_behind"][0]


def test_killed_load_leaves_nothing_under_the_final_name(site: Site, target: Target) -> None:
    process = loading(site, target, nap=0.25)  # the server reads to the end of what it was sent before it looks for us
    process.kill()
    process.wait(60)
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert kept.startswith("crm_ccdr_restore_")
    busy = f"select count(*) from pg_stat_activity where datname = '{kept}'"
    assert eventually(lambda: target.psql(busy) == "0", 60), "the server does not go on without us"
    assert site.run("sandbox", "reap").code == 0
    target.psql("alter role dba reset all")
    done = go(site, target.url("crm"))
    assert done.code == 0 and any(kept in note for note in done.json["notes"]), done


def test_server_that_dies_is_told_with_what_is_left_there(site: Site, tmp_path: Path) -> None:
    with server(tmp_path) as own:
        process = loading(site, own)
        subprocess.run(["docker", "kill", own.container], check=True, capture_output=True)
        process.wait(120)
    assert process.returncode == 3
    record = end(site)
    assert record["result"] == "FAILED" and any("crm_ccdr_restore_" in left for left in record["left_behind"]), record
    assert_clean(site)


def test_a_load_that_waits_for_somebodys_lock_is_stopped(site: Site, source: Source, target: Target) -> None:
    """A session of ours that is active and waits for a lock is no progress."""
    site.crm(source, "restored", checks=CHECKS, extra="limits: {no_progress: 6s}")
    target.psql("alter role dba set ccdr.lock = 'on'")
    for role in ("restored_reader", "restored_owner", 'restored: o\'Hara; ""x""'):
        target.psql(f'create role "{role}"')
    target.psql("create role postgres")
    argv = [
        "docker",
        "exec",
        "-i",
        "-e",
        f"PGPASSWORD={PASSWORD}",
        target.container,
        "psql",
        "-X",
        "-q",
        "-h",
        "/sockets",
    ]
    with subprocess.Popen(
        [*argv, "-U", "dba", "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as theirs:
        assert theirs.stdin and theirs.stdout
        theirs.stdin.write("begin; lock table pg_authid in share mode;\n\\echo locked\n")
        theirs.stdin.flush()
        assert theirs.stdout.readline() == "locked\n"
        done = go(site, target.url("crm"))
        theirs.stdin.close()
    assert done.code == 3 and "no progress" in done.json["reason"], done
    assert done.json["left_behind"] == [] and target.databases == {"postgres", "template0", "template1"}
