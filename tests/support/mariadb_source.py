"""A real MariaDB server for tests, reached by its Unix socket alone; each test makes a database of its own."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ccdr.engines.mariadb.server import LOGIN
from ccdr.engines.servers.methods import images
from ccdr.model.values import Manifest
from ccdr.ports.place import Place
from tests.support.harness import Damage, Site, eventually
from tests.support.in_memory import room
from tests.support.inside import inside

MAJOR = "11.8"
DATA = "data"  # below the directory that is to hold a server's data
USER, PASSWORD = "ccdr_backup", """correct "horse' #of \\the; dialler"""
RIGHTS = """
grant reload, process, binlog monitor, slave monitor on *.* to {user};
grant select, lock tables, show view, trigger, event, execute on `{database}`.* to {user};
grant select on mysql.* to {user};
"""
_numbers = itertools.count(1)


def image_of(major: str) -> str:
    """The official image where there is one, as ccdr itself chooses."""
    for name in images("mariadb", major):
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
            return name
    pytest.fail(f"no sandbox image of MariaDB {major}: run `make images`")


@dataclass(frozen=True)
class MariaSource:
    """One server in a container; `sockets` is the directory of its socket."""

    container: str
    sockets: Path

    def sql(self, sql: str, database: str = "", *, check: bool = True) -> str:
        """As its administrator. Values are apart by tabs."""
        argv = [*self._client(), *([database] if database else [])]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    @contextmanager
    def session(self, sql: str, database: str) -> Iterator[subprocess.Popen[str]]:
        """A session that has run `sql` and stays open: it may hold a lock."""
        process = subprocess.Popen(
            [*self._client(), database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin and process.stdout
        process.stdin.write(f"{sql};\nselect 'ready';\n")
        process.stdin.flush()
        while process.stdout.readline().strip() != "ready":
            assert process.poll() is None
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(10)

    def _client(self) -> list[str]:
        argv = [*inside(self.container), "mariadb", "--no-defaults", "--socket=/sockets/mysqld.sock"]
        # As most tools keep what a routine's author has noted in it: this client drops comments unless told.
        return [*argv, "--user=root", "--batch", "--skip-column-names", "--unbuffered", "--comments", "--binary-mode"]

    def kill(self) -> None:
        subprocess.run(["docker", "kill", self.container], capture_output=True, check=True)


@contextmanager
def mariadb_server(
    *options: str, major: str = MAJOR, mounts: tuple[str, ...] = (), data: Path | None = None
) -> Iterator[MariaSource]:
    """A server that answers, its binary log on unless `options` say otherwise. `data` is a directory of this host that
    is to hold its data, at the same path: whoever copies a server's files sees them there."""
    sockets = Path(tempfile.mkdtemp(prefix="ccdr-m-", dir="/tmp"))  # a socket's path must be short
    sockets.chmod(0o777)
    container = f"ccdr-test-mariadb-{sockets.name[-8:]}-{next(_numbers)}"
    directory = data / DATA if data else Path("/var/lib/mysql/data")
    if data is not None:
        data.mkdir(exist_ok=True)
        data.chmod(0o777)
        mounts += (f"{data}:{data}",)
    start = (
        f"mariadb-install-db --no-defaults --datadir={directory} --auth-root-authentication-method=normal "
        "$(printf '%s\\n' \"$@\" | grep page-size) "
        f"--skip-test-db --skip-name-resolve > /dev/null && exec mariadbd --no-defaults --datadir={directory} "
        "--socket=/sockets/mysqld.sock --skip-networking --server-id=7 --log-bin --innodb-flush-log-at-trx-commit=0 "
        '--innodb-doublewrite=0 --innodb-log-file-size=64M "$@"'
    )
    argv = ["docker", "run", "-d", "--rm", "--name", container, "--network", "none", "--user", "mysql"]
    argv += ["--tmpfs", "/var/lib/mysql:mode=1777", "--tmpfs", "/tmp:mode=1777", "-v", f"{sockets}:/sockets"]
    argv += [word for mount in mounts for word in ("-v", mount)]
    argv += ["--entrypoint", "bash", image_of(major), "-c", start, "start", *options]
    subprocess.run(argv, capture_output=True, check=True)
    found = MariaSource(container, sockets)
    try:
        assert eventually(lambda: found.sql("select 1", check=False) == "1", 60), "the server does not answer"
        yield found
    finally:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=False)
        shutil.rmtree(sockets, ignore_errors=True)
        if data is not None:
            shutil.rmtree(data, ignore_errors=True)


def dialling(source: MariaSource, work: Path, rate: int) -> AbstractContextManager[None]:
    """About so many commits a second; each is noted in `work` once the server has acknowledged it."""
    return _dialling(source, work, rate)


@contextmanager
def _dialling(source: MariaSource, work: Path, rate: int) -> Iterator[None]:
    source.sql("create table if not exists crm.acknowledged (n int primary key)")
    say = 'n=$((n + 1)); echo "insert into crm.acknowledged values ($n); select $n, sysdate(6);"'
    # By the clock: what the loop itself takes would else be missing from the rate.
    now, due = "${EPOCHREALTIME/[.,]/}", f"(now - began) * {rate} / 1000000"
    loop = f"n=0; began={now}; while :; do now={now}; while ((n < {due})); do {say}; done; sleep 0.01; done"
    with (work / "acknowledged").open("w") as out:
        feed = subprocess.Popen(["bash", "-c", loop], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        client = subprocess.Popen(source._client(), stdin=feed.stdout, stdout=out, stderr=subprocess.DEVNULL)
        try:
            assert eventually(lambda: bool(acknowledged(work)))
            yield
        finally:
            for process in (feed, client):
                process.kill()
                process.wait()


def acknowledged(work: Path) -> dict[int, datetime]:
    """Which commits the server has acknowledged, and by when."""
    found = {}
    for line in (work / "acknowledged").read_text().splitlines():
        number, tab, moment = line.partition("\t")
        if tab and len(moment) == 26:
            found[int(number)] = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return found


# One of everything that a dump must bring back, and what has made others' restores differ.
SMALL = r"""
create table customer (
  id int auto_increment primary key, name varchar(80) not null unique, note text, voice blob, settings json,
  token uuid default uuid(), hidden int invisible default 7) comment 'whom we call';
create table `call` (
  id bigint auto_increment primary key, customer_id int not null, state enum('ringing', 'answered', 'lost') not null,
  started_at timestamp not null default current_timestamp, ended_at datetime(6), seconds int check (seconds >= 0),
  minutes int generated always as (seconds div 60) virtual, cost decimal(10, 4), ratio double, codec bit(5),
  key (customer_id), key (started_at),
  constraint of_customer foreign key (customer_id) references customer (id) on delete cascade);
create table live_agent (agent varchar(20) primary key, state char(8), seat binary(4)) engine = memory;
create table agent_log (id int auto_increment primary key, event varchar(100), key (event)) engine = myisam;
create table agent_log_archive (id int auto_increment primary key, event varchar(100)) engine = aria;
create table rule (id int primary key, value int) with system versioning;
create table cdr (id int, day date, primary key (id, day))
  partition by range (year(day)) (partition past values less than (2020), partition present values less than maxvalue);
create table unkeyed (a int, b varchar(20), key (b, a));
create table `odd ``name``; 'ș'` (`a b` int, `select` varchar(9) default 'x''y');
create sequence ticket start with 100 increment by 5;
delimiter //
create function minutes_of(s int) returns int deterministic begin
-- Dumping data for table `customer`
# it's "half" a `quote; and a delimiter's twin ;; and the end // of it
return /* whole; 'minutes */ s div 60; end//
create procedure forget(c int) modifies sql data begin delete from customer where id = c; end//
create trigger stamp before insert on customer for each row
  -- nobody's note; is a dash
  set new.note = coalesce(new.note, '-')//
create trigger second before insert on customer for each row follows stamp set new.note = concat(new.note, '.')//
create event tick on schedule every 1 hour do begin
  -- a sign of life; hourly
  insert into agent_log (event) values ('tick'); end//
delimiter ;
create view answered as select c.*, minutes_of(seconds) as whole from `call` c where state = 'answered';
create view a_last as select max(id) as id from answered;
insert into customer (name, voice, settings)
  select concat('Ștefan „', seq, '” \\ tab\t new\n''q', '"'), unhex(concat('00ff0a1a27', hex(seq))), '{"a": [1, null]}'
  from seq_1_to_200;
insert into customer (name, note, hidden) values ('NULL', null, 1), ('x\n-- Dumping data for table `y`\n(1),', '', null);
insert into `call` (customer_id, state, started_at, ended_at, seconds, cost, ratio, codec)
  select 1 + seq % 200, elt(1 + seq % 3, 'ringing', 'answered', 'lost'), now() - interval seq minute,
    now(6) - interval seq minute, seq % 600, seq / 7, seq / 7e0, seq % 32 from seq_1_to_3000;
insert into live_agent values ('a1', 'READY', 0x00), ('a2', 'INCALL', 0x0102);
insert into agent_log (event) select concat('login ', seq) from seq_1_to_500;
insert into agent_log_archive (event) select event from agent_log;
insert into rule values (1, 1), (2, 2); update rule set value = 5 where id = 1; delete from rule where id = 2;
insert into cdr values (1, '2019-01-01'), (2, '2024-01-01');
insert into unkeyed select seq % 7, seq from seq_1_to_50;
insert into `odd ``name``; 'ș'` values (1, 'ș'), (null, null);
select nextval(ticket), nextval(ticket);
"""
ACCOUNTS = r"""
create role app_reader; create role app_boss;
create user app_user@'10.%' identified by 'app secret' require ssl with max_queries_per_hour 5;
create user `app odd'user`@`%` identified via unix_socket account lock;
grant select on app.* to app_reader; grant app_reader to app_boss; grant app_boss to app_user@'10.%';
set default role app_boss for app_user@'10.%';
grant select, update (note) on app.customer to app_user@'10.%'; grant execute on procedure app.forget to app_user@'10.%';
grant select on app.answered to app_reader; grant select on `app%`.* to `app odd'user`@`%` with grant option;
"""


@contextmanager
def small_database(source: MariaSource, name: str, *, goes: bool = False) -> Iterator[str]:
    """A database with one of everything, the users NAME_user and its like, and the user that backs it up. With `goes`
    nobody tidies up: its server goes with it, or is killed before."""
    user = f"{USER}_{name}@localhost"
    source.sql(f"create database {name} character set utf8mb4 collate utf8mb4_romanian_ci comment 'the centre''s'")
    source.sql(SMALL, name)
    source.sql(ACCOUNTS.replace("app", name))
    source.sql(f"create user {user} identified by {_text(PASSWORD)}")
    source.sql(RIGHTS.format(user=user, database=name))
    yield name
    if goes:
        return
    source.sql(f"drop database if exists {name}")
    source.sql(f"drop user if exists {user}, {name}_user@'10.%', `{name} odd'user`@`%`")
    source.sql(f"drop role if exists {name}_reader, {name}_boss")


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


# Two zones that no image knows, one of which has changed its time once.
ZONES = """
insert into mysql.time_zone values (901, 'N'), (902, 'N');
insert into mysql.time_zone_name values ('Test/Plain', 901), ('Test/Odd', 902);
insert into mysql.time_zone_transition_type values (901, 0, 3600, 0, 'A'), (902, 0, 1800, 0, 'B'), (902, 1, 5400, 0, 'C');
insert into mysql.time_zone_transition values (902, 1000000000, 1);
"""

CHECKS = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: "`call`", at_least: 3000}
  - {kind: freshness, query: "select max(started_at) from `call`", within: 24h}
  - {kind: sql, name: every call has a customer, expect: 0,
     query: "select count(*) from `call` c left join customer u on u.id = c.customer_id where u.id is null"}
"""


def crm(site: Site, source: MariaSource, database: str, extra: str = "", checks: str = CHECKS, **kwargs: Any) -> Site:
    """A plan with one MariaDB asset `crm`; `extra` is more YAML of the asset, one key a line."""
    more = "".join(f"\n  {line}" for line in textwrap.dedent(extra).strip().splitlines())
    site.write("restore_tests/crm.yaml", checks)
    site.write("plans/crm.pw", f"{PASSWORD}\n", mode=0o600)
    site.plan(
        f"crm:\n  engine: mariadb\n  connection: {{host: {source.sockets}, user: {USER}_{database}, "
        f"database: {database}, password_file: crm.pw}}\n"
        f'  backup: {{schedule: "*/30 * * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}{more}',
        **kwargs,
    )
    return site


BY_TRANSACTION = """
create table tariff (
  note varchar(9), s bigint unsigned generated always as row start, e bigint unsigned generated always as row end,
  period for system_time (s, e)
) with system versioning;
insert into tariff (note) values ('first');
update tariff set note = 'second';
"""


def data_directory() -> Path:
    """Below which a server's data may lie; `mariadb_server` removes it. The same on this host and in a container."""
    return Path(tempfile.mkdtemp(prefix="ccdr-m-", dir=room() or "/var/tmp"))


def whole_server(data: Path, shipping: str | None = None) -> str:
    """More of a plan's asset: captured by its files, below `data`."""
    return f"method: physical\ndata_directory: {data / DATA}" + (f"\nlog_shipping: {shipping}" if shipping else "")


def maria_damage(sql: str, database: str) -> Damage:
    """Run `sql` in the restored database, as its administrator."""

    def damage(box: Place, restored: Path, manifest: Manifest) -> None:
        box.run(LOGIN.client(database=database), stdin=sql)

    return damage
