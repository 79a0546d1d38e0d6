"""Restoring a database for real, onto another server: never the source, never over anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import SMALL, Quiet, Ran, Site, Source
from tests.support.restored_database import CHECKS, end, go, untouched
from tests.support.stored import assert_clean, with_repository
from tests.support.target import PASSWORD, Target

from ccdr.jobs.restore import Request, restoring
from ccdr.model.errors import UsageProblem
from ccdr.plans.job import Job


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
    "create collation c from \"C\"", "create text search dictionary d (template = simple)",
    "create text search configuration c (copy = simple)", "create conversion c for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1",
    "create operator === (function = int4eq, leftarg = int, rightarg = int)", "create language pl handler plpgsql_call_handler",
    "create operator family f using btree", "create access method a type table handler heap_tableam_handler",
    "alter default privileges grant select on tables to public", "alter database crm set work_mem = '8MB'",
    "comment on database crm is 'theirs'", "select pg_create_logical_replication_slot('theirs', 'pgoutput')",
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
    with subprocess.Popen([*target.client, "crm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
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
    assert done.code == 3 and "invalid_password" in done.json["error"], done
    assert "does not answer" not in done.json["error"] and "source" not in done.json["error"]
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
