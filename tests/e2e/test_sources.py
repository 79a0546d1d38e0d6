"""Sources as they are found: TCP with a password, verified TLS, a standby, odd names, little privilege, old encodings.

One server of its own for this file. Its first superuser is not called postgres, so nothing may take that for granted.
"""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import _image
from tests.support.harness import Ran, Site, eventually
from tests.support.inside import inside
from tests.support.stored import assert_clean, with_repository

BOOTSTRAP = "Chief Admin"  # initdb takes no quotes in it
KEEPER_PASSWORD = "keep:it\\secret 'and' \"safe\""
CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n"
LIMITS = "  limits: {lock_wait: 2s, no_progress: 20s}"
_numbers = itertools.count(1)

PRIMARY = """\
set -e
D=/var/lib/postgresql/primary
initdb -D $D -U "$BOOTSTRAP" --auth-local=trust --auth-host=scram-sha-256 --no-sync --locale=C.UTF-8 > /dev/null
install -m 600 /certs/server.key /certs/server.crt /var/lib/postgresql/
exec postgres -D $D -c listen_addresses=127.0.0.1 -c port=$PORT -c unix_socket_directories=/sockets -c lc_messages=C \
  -c ssl=on -c ssl_cert_file=/var/lib/postgresql/server.crt -c ssl_key_file=/var/lib/postgresql/server.key \
  -c fsync=off -c max_connections=100
"""
STANDBY = """\
set -e
D=/var/lib/postgresql/standby
pg_basebackup -h /primary -p $PORT -U "$BOOTSTRAP" -D $D -R -c fast --no-sync
exec postgres -D $D -c listen_addresses= -c unix_socket_directories=/sockets -c port=$PORT -c ssl=off -c lc_messages=C \
  -c fsync=off -c max_connections=100
"""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server in a container: by Unix socket (trust), by TCP on loopback (scram, TLS possible)."""

    container: str
    sockets: Path
    port: int
    certs: Path

    def psql(self, sql: str, database: str = "template1", *, encoding: str = "UTF8", check: bool = True) -> str:
        env = ["env", f"PGCLIENTENCODING={encoding}", f"PGDATABASE={database}"]
        argv = [*inside(self.container), *env, "psql", "-X", "-q", "-A", "-t"]
        argv += ["-h", "/sockets", "-p", str(self.port), "-U", BOOTSTRAP]
        argv += ["-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def create(self, name: str, sql: str, *, options: str = "", encoding: str = "UTF8") -> str:
        """A database, its name quoted as SQL wants it, filled by `sql`."""
        quoted = '"' + name.replace('"', '""') + '"'
        self.psql(f"create database {quoted} template template0 {options}")
        self.psql(sql, name, encoding=encoding)
        return name


def run_server(name: str, script: str, port: int, mounts: dict[Path, str]) -> None:
    argv = [
        "docker",
        "run",
        "-d",
        "--rm",
        "--name",
        name,
        "--user",
        "postgres",
        "--network",
        "host",
        "--stop-timeout",
        "1",
    ]
    argv += ["--tmpfs", "/var/lib/postgresql:mode=1777", "--tmpfs", "/tmp:mode=1777", "--entrypoint", "bash"]
    argv += [f"--volume={host}:{inside}" for host, inside in mounts.items()]
    argv += ["-e", f"PORT={port}", "-e", f"BOOTSTRAP={BOOTSTRAP}", _image(), "-c", script]
    subprocess.run(argv, check=True, capture_output=True)


def open_to_all(path: Path) -> Path:
    path.chmod(0o777)
    return path


def certificate(directory: Path) -> Path:
    """A CA, a certificate of it for `localhost` (not for 127.0.0.1), and another CA that signed nothing."""
    for ca in ("ca", "other"):
        make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        openssl(directory, *make, "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.crt")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
    openssl(directory, *new, "-keyout", "server.key", "-out", "server.csr")
    (directory / "san").write_text("subjectAltName=DNS:localhost\n")
    sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    openssl(directory, *sign, "-extfile", "san", "-out", "server.crt")
    for path in directory.iterdir():
        path.chmod(0o644)
    return directory


def openssl(directory: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make certificates")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    sockets = open_to_all(tmp_path_factory.mktemp("primary"))
    certs = open_to_all(certificate(tmp_path_factory.mktemp("certs")))
    found = Server(f"ccdr-test-primary-{port}", sockets, port, certs)
    run_server(found.container, PRIMARY, port, {sockets: "/sockets", certs: "/certs"})
    try:
        assert eventually(lambda: found.psql("select 1", check=False) == "1", 60)
        escaped = KEEPER_PASSWORD.replace("'", "''")
        found.psql(
            f"create role keeper superuser login password '{escaped}';"
            "create role ccdr_backup login bypassrls; grant pg_read_all_data to ccdr_backup;"
            "alter role ccdr_backup set timezone = 'Pacific/Chatham'; alter role ccdr_backup set datestyle = 'German';"
            "alter role ccdr_backup set bytea_output = 'escape'; alter role ccdr_backup set extra_float_digits = -3"
        )
        yield found
    finally:
        subprocess.run(["docker", "rm", "-f", found.container], capture_output=True, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return with_repository(Site(tmp_path))


CALLS = """
create table call (id int primary key, at timestamptz not null, note text, sound bytea, rate double precision);
insert into call select g, now() - g * interval '1 hour', 'call ' || g, decode(md5(g::text), 'hex'), g / 7.0 from generate_series(1, 50) g;
"""


@pytest.fixture
def database(server: Server) -> str:
    return server.create(f"calls{next(_numbers)}", CALLS)


def plan(site: Site, database: str, **connection: Any) -> None:
    site.write("restore_tests/crm.yaml", CHECKS)
    site.plan(
        f"crm:\n  engine: postgres\n  connection: {json.dumps({'database': database, **connection})}\n"
        f"  restore_test: {{schedule: '0 3 * * *', checks: [crm]}}\n{LIMITS}"
    )


def by_socket(server: Server, user: str = BOOTSTRAP) -> dict[str, Any]:
    return {"host": str(server.sockets), "port": server.port, "user": user}


def proven(site: Site) -> Ran:
    """Backed up, tested, PASS."""
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.json["checks"])
    assert_clean(site)
    return done


def refused(site: Site, *words: str) -> None:
    done = site.run("backup", "p")
    assert (done.code, done.json["result"]) == (1, "FAILED"), done
    for word in words:
        assert word in done.json["reason"], done.json["reason"]
    assert_clean(site)


# --- the way to the server ------------------------------------------------------------------------------------------


def by_tcp(site: Site, server: Server, database: str, **more: Any) -> None:
    site.write("plans/keeper.pw", KEEPER_PASSWORD + "\n", mode=0o600)
    plan(
        site,
        database,
        **{"host": "127.0.0.1", "port": server.port, "user": "keeper", "password_file": "keeper.pw", **more},
    )


def test_tcp_on_loopback_with_a_password_file(site: Site, server: Server, database: str) -> None:
    by_tcp(site, server, database)
    proven(site)
    spoken = site.records("backup.end")[-1]["tls"]
    assert (spoken["version"], spoken["verified"]) == ("TLSv1.3", False), "as the client does where it may"


def test_who_holds_the_sources_password_reads_its_rows_and_changes_none(
    site: Site, server: Server, database: str
) -> None:
    """As root on the host that backs up does; the role is the one that the docs have made for ccdr."""
    by_tcp(site, server, database, user="ccdr_backup")
    password = (site.root / "plans/keeper.pw").read_text().strip()
    server.psql("alter role ccdr_backup password '{}'".format(password.replace("'", "''")))

    def asked(sql: str) -> subprocess.CompletedProcess[str]:
        argv = [
            "docker",
            "exec",
            "-i",
            "-e",
            f"PGPASSWORD={password}",
            server.container,
            "psql",
            "-X",
            "-q",
            "-A",
            "-t",
        ]
        argv += ["-h", "127.0.0.1", "-p", str(server.port), "-U", "ccdr_backup", "-d", database, "-f", "-"]
        argv += ["-v", "ON_ERROR_STOP=1"]
        return subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)

    assert asked("select count(*) from call").stdout.strip() == "50"
    assert "permission denied" in asked("delete from call").stderr
    site.backed_up()


def test_wrong_source_password_is_a_failed_backup(site: Site, server: Server, database: str) -> None:
    by_tcp(site, server, database)
    site.write("plans/keeper.pw", "not the password\n", mode=0o600)
    refused(site, "invalid_password (SQLSTATE 28P01)")
    (seen,) = (look for look in site.run("doctor", "p").json["checks"] if look["what"] == "source")
    assert f"from file {site.root}/plans/keeper.pw" in seen["found"] and "scratch" not in seen["found"], seen
    assert "not the password" not in "".join(p.read_text() for p in (site.state / "ledger").iterdir())


def test_missing_source_password_is_refused_before_anything_is_done(site: Site, server: Server, database: str) -> None:
    by_tcp(site, server, database)
    for name in ("gone", ""):
        site.write("plans/keeper.pw", "\n", mode=0o600)
        if name:
            (site.root / "plans" / "keeper.pw").unlink()
        done = site.run("backup", "p")
        assert done.code == 2, done
        assert site.records() == []


def test_verified_tls_with_the_right_ca(site: Site, server: Server, database: str) -> None:
    by_tcp(site, server, database, host="localhost", tls="verify", ca_file=str(server.certs / "ca.crt"))
    proven(site)
    spoken = site.records("backup.end")[-1]["tls"]
    assert (spoken["version"], spoken["verified"]) == ("TLSv1.3", True) and "AES" in spoken["cipher"]
    assert spoken["ca_sha256"] == sha256((server.certs / "ca.crt").read_bytes()).hexdigest()


def test_verified_tls_refuses_another_ca(site: Site, server: Server, database: str) -> None:
    by_tcp(site, server, database, host="localhost", tls="verify", ca_file=str(server.certs / "other.crt"))
    refused(site, "the TLS certificate is not accepted")


def test_verified_tls_refuses_the_systems_cas_for_a_private_one(site: Site, server: Server, database: str) -> None:
    if not Path("/etc/ssl/certs/ca-certificates.crt").is_file():
        pytest.skip("this host has no CA certificates")
    by_tcp(site, server, database, host="localhost", tls="verify")
    refused(site, "the TLS certificate is not accepted")


def test_verified_tls_refuses_another_host_name(site: Site, server: Server, database: str) -> None:
    by_tcp(site, server, database, host="127.0.0.1", tls="verify", ca_file=str(server.certs / "ca.crt"))
    refused(site, "the TLS certificate is of another host")


# --- who reads ------------------------------------------------------------------------------------------------------


def test_role_with_little_privilege_and_settings_of_its_own(site: Site, server: Server, database: str) -> None:
    """What the role's own settings do to times, numbers and bytes must not reach the backup."""
    plan(site, database, **by_socket(server, "ccdr_backup"))
    proven(site)


def test_role_that_may_not_read_a_table_is_a_failed_backup(site: Site, server: Server, database: str) -> None:
    server.psql("drop role if exists peeper; create role peeper login")
    plan(site, database, **by_socket(server, "peeper"))
    refused(site, "permission denied")


# --- names ----------------------------------------------------------------------------------------------------------


def test_database_named_postgres(site: Site, server: Server) -> None:
    server.psql(
        "drop schema if exists centre cascade; create schema centre; set search_path = centre;" + CALLS, "postgres"
    )
    plan(site, "postgres", **by_socket(server))
    proven(site)


def test_names_that_need_quotes(site: Site, server: Server) -> None:
    name = server.create(
        "We\"ird 'DB'; \\ $x %s 1 ș",
        """
create role "Agent ""A"" 's"; create role "UPPER"; create role "role with ; and -- in it" in role "UPPER";
create schema "Sch""ema.x"; create table "Sch""ema.x"."Call's ""table"".1" ("Col ""umn" int primary key, "select" text);
insert into "Sch""ema.x"."Call's ""table"".1" select g, 'x' || g from generate_series(1, 9) g;
create table public.call (id bigserial primary key); insert into call default values;
create sequence "Seq "" 'uence" start 7; select nextval('"Seq "" ''uence"') \\g /dev/null
create type "Enum T" as enum ('a''b', 'C"d', 'e\\f'); create view "View ;" as select 1 as "1";
grant select on "Sch""ema.x"."Call's ""table"".1" to "Agent ""A"" 's", "role with ; and -- in it";
alter table call owner to "UPPER"; comment on table call is 'it''s "quoted"; -- \\ and
on two lines';
""",
    )
    plan(site, name, **by_socket(server))
    proven(site)


def test_database_whose_name_looks_like_a_connection_string(site: Site, server: Server) -> None:
    name = server.create("dbname=template1 host=nowhere", CALLS)
    plan(site, name, **by_socket(server))
    proven(site)


def test_chains_of_grants_come_back_as_they_were_made(site: Site, server: Server) -> None:
    name = server.create(
        f"chain{next(_numbers)}",
        """
create role chain_a; create role chain_b createrole; create role "Chain C"; create role chain_d; create role chain_e login;
grant chain_a to chain_b with admin option;
set role chain_b; grant chain_a to "Chain C" with admin option; reset role;
set role "Chain C"; grant chain_a to chain_d; reset role;
grant chain_d to chain_e with inherit false, set true;
alter role chain_e set search_path = '$user', public; alter role chain_e connection limit 3; alter role chain_e valid until '2031-01-01';
create table t (id int); insert into t values (1);
grant select on t to chain_b with grant option;
set role chain_b; grant select on t to "Chain C" with grant option; reset role;
set role "Chain C"; grant select (id) on t to chain_e; reset role;
alter default privileges for role chain_b in schema public grant select on tables to chain_d;
""",
    )
    plan(site, name, **by_socket(server))
    proven(site)


# --- encodings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("encoding 'LATIN2' lc_collate 'C' lc_ctype 'C'", "convert_from('\\xb3f3dcbc'::bytea, 'LATIN2')"),
        ("encoding 'WIN1250' lc_collate 'C' lc_ctype 'C'", "convert_from('\\xb9e6ea'::bytea, 'WIN1250')"),
        ("encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'", "E'\\xff\\xfe\\x80 no encoding at all'"),
    ],
    ids=["LATIN2", "WIN1250", "SQL_ASCII"],
)
def test_database_in_another_encoding(site: Site, server: Server, options: str, text: str) -> None:
    encoding = options.split("'")[1]
    sql = f'{CALLS} insert into call values (0, now(), {text}, null, 0); create table "k" (v text); insert into k select note from call;'
    name = server.create(f"enc{next(_numbers)}", sql, options=options, encoding=encoding)
    plan(site, name, **by_socket(server))
    proven(site)


# --- a standby ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standby(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A streaming replica of the server, made as people make one."""
    sockets = open_to_all(tmp_path_factory.mktemp("standby"))
    found = Server(f"ccdr-test-standby-{server.port}", sockets, server.port, server.certs)
    server.create(
        "replicated", CALLS + "create unlogged table live (id int); insert into live select generate_series(1, 20);"
    )
    run_server(found.container, STANDBY, server.port, {sockets: "/sockets", server.sockets: "/primary"})
    try:
        assert eventually(lambda: found.psql("select pg_is_in_recovery()", check=False) == "t", 60)
        yield found
    finally:
        subprocess.run(["docker", "rm", "-f", found.container], capture_output=True, check=False)


def test_standby_as_the_source(site: Site, server: Server, standby: Server) -> None:
    """Its consistent point is the newest replayed commit's time: older than now, however long nothing is committed."""
    server.psql("insert into call values (1000, now(), 'the newest', null, 1)", "replicated")
    newest = "select extract(epoch from pg_last_xact_replay_timestamp())"
    assert eventually(lambda: standby.psql("select count(*) from call where id = 1000", "replicated") == "1")
    replayed = datetime.fromtimestamp(float(standby.psql(newest)), UTC)
    assert eventually(lambda: datetime.now(UTC) - replayed > timedelta(seconds=2))
    plan(site, "replicated", **by_socket(standby))
    done = site.backed_up()
    point = datetime.fromisoformat(done.json["snapshot"]["consistent_point"])
    again = datetime.fromtimestamp(float(standby.psql(newest)), UTC)
    assert replayed - timedelta(seconds=1) <= point <= again + timedelta(seconds=1), (replayed, point, again)
    assert point < datetime.now(UTC)
    tested = site.run("test", "p")
    assert (tested.code, tested.json["verdict"]) == (0, "PASS"), (tested.json["reason"], tested.json["checks"])
    assert_clean(site)


def test_primary_with_an_unlogged_table(site: Site, server: Server, standby: Server) -> None:
    """The primary has its rows, so they are in the backup; a standby has none."""
    plan(site, "replicated", **by_socket(server))
    proven(site)
