"""MariaDB: ccdr's `dump` and `physical` beside the same by hand, and its dump beside borgmatic's.

.venv/bin/python bench/maria.py [--quick] [--gb 2] [--rounds 3] [--method dump --method physical]

By hand is mariadb-dump or mariadb-backup, two at a time as ccdr's, then restic as it comes.
See docs/explanation/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import facts, run, start, version
from rounds import BY_HAND, NAME, OURS, Measure, Rounds, build, carry_out, finish, numbers, options, rounds_of, say
from sides import Ours, Restic, discard
from source import HERE
from tests.support.mariadb_source import DATA as SERVERS
from tests.support.mariadb_source import MAJOR, MariaSource, image_of, mariadb_server
from tools import Ccdr, RunsBorgmatic, Side, container, wait

from ccdr.engines.mariadb import server
from ccdr.engines.servers.methods import MEMORY

TOOLS = "ccdr-bench/peers-mariadb:11.8"
CALLS_PER_GB = 2_400_000  # measured: what information_schema says of fill_mariadb.sql
ROOM = {"/var/lib/mysql": "mode=1777"}  # in memory
HAND = {"by hand": BY_HAND}
TEXTS = {
    "backup": Measure("first backup", limits=HAND),
    "backup_more": Measure("backup after 1 % more rows", limits=HAND),
    "restore": Measure("restore, until the server answers", limits=HAND),
    "stored": Measure("first backup, stored", "MB"),
    "stored_more": Measure("1 % more rows, stored", "MB"),
}
METHODS = ("dump", "physical")
MEASURES = {
    f"{method}_{what}": Measure(f"`{method}`: {measure.text}", measure.unit, measure.limits)
    for method in METHODS
    for what, measure in TEXTS.items()
}
ASSET = """\
engine: mariadb
method: {method}
data_directory: {data}
connection: {{host: {sockets}, user: root, database: crm}}
image: {image}
"""
CHECKS = """\
restore_test: bench
checks:
  - {{kind: identical}}
  - {{kind: rows, table: "`call`", at_least: {calls}}}
"""
INSTALL = (
    "mariadb-install-db --no-defaults --datadir=/var/lib/mysql/data --auth-root-authentication-method=normal"
    " --skip-test-db --skip-name-resolve > /dev/null"
)
# As ccdr's own sandbox: nothing of it is meant to last.
SETTINGS = {
    **server.THROWAWAY,
    "innodb_buffer_pool_size": str(MEMORY // 2),
    "skip_networking": "1",
    "skip_log_bin": "1",
    "performance_schema": "OFF",
    "max_allowed_packet": "1G",
}


def asked(sockets: Path) -> list[str]:
    """The first arguments of every client."""
    return ["--no-defaults", f"--socket={sockets}/mysqld.sock", "--user=root"]


@contextmanager
def restored(image: str, at: Path, make: str, data: str, *more: str) -> Iterator[str]:
    """A server that answers, its socket in `at`: `make` has made its `data`, which are in memory or in `at`."""
    flags = " ".join(f"--{key.replace('_', '-')}={value}" for key, value in SETTINGS.items())
    script = f"{make}; exec mariadbd --no-defaults --datadir={data} --socket={at}/mysqld.sock {flags} {' '.join(more)}"
    with container(f"{NAME}-restored", image, script, user="mysql", mounts=[at], tmpfs=ROOM) as name:
        wait(name, asking(at, "select 1"), "1")
        yield name


def asking(sockets: Path, query: str = "select count(*) from crm.`call`") -> list[str]:
    return ["mariadb", *asked(sockets), "--batch", "--skip-column-names", "-e", query]


@dataclass
class ByHand(Restic):
    """A client in a container writes into a directory that restic then reads; and the way back."""

    source: MariaSource
    image: str
    data: Path
    calls: Callable[[], int]
    copied: ClassVar[str]  # the directory of the capture that the client fills

    @property
    def capture(self) -> Path:
        return self.root / "capture"

    @property
    def target(self) -> Path:
        return self.root / "restored"

    def client(self) -> Sequence[str]:
        """What writes the capture."""
        raise NotImplementedError

    def server(self, target: Path) -> float:
        """When a server answers that has what was fetched into `target`; by the monotonic clock."""
        raise NotImplementedError

    def backup(self) -> float:
        copy = ["docker", "run", "--rm", "--name", f"{NAME}-hand", "--network", "none", "--user", "mysql"]
        copy += [w for p in (self.source.sockets, self.capture, self.data) for w in ("-v", f"{p}:{p}")]
        make = ["install", "-d", "-m", "777", str(self.capture), f"{self.capture}/{self.copied}"]
        return self.keep(self.capture, [make, [*copy, self.image, *self.client()]])

    def restore(self) -> float:
        began = start()
        self.fetch(self.capture, self.target)
        seconds = self.server(self.target) - began
        discard(self.target)
        return seconds


@dataclass
class Dump(ByHand):
    """mariadb-dump as it writes a file for each table, two at a time; mariadb-import likewise."""

    copied = "dump"

    def client(self) -> Sequence[str]:
        how = ["--single-transaction", "--routines", "--events", "--triggers", "--parallel=2"]
        how.append(f"--dir={self.capture}/{self.copied}")
        return ["mariadb-dump", *asked(self.source.sockets), *how, "--databases", "crm"]

    def server(self, target: Path) -> float:
        redo = f"--innodb-log-file-size={server.REDO}"
        with restored(self.image, target, INSTALL, "/var/lib/mysql/data", redo) as name:
            load = ["mariadb-import", *asked(target), "--silent", "--parallel=2", f"--dir={target}/{self.copied}"]
            run(["docker", "exec", name, *load])
            answering = time.monotonic()
            wait(name, asking(target), str(self.calls()))
        return answering


@dataclass
class Physical(ByHand):
    """mariadb-backup, two files at a time; made ready where it was fetched to, and run on."""

    copied = "data"

    def client(self) -> Sequence[str]:
        where = [f"--datadir={self.data}", f"--target-dir={self.capture}/{self.copied}", "--parallel=2"]
        return ["mariadb-backup", *asked(self.source.sockets), "--backup", *where]

    def server(self, target: Path) -> float:
        ready = f"mariadb-backup --no-defaults --prepare --target-dir={target}/{self.copied} --use-memory=256M"
        with restored(self.image, target, ready, f"{target}/{self.copied}") as name:
            answering = time.monotonic()
            wait(name, asking(target), str(self.calls()))
        return answering


@dataclass
class Borgmatic(RunsBorgmatic):
    """One stream of mariadb-dump."""

    source: MariaSource
    image: str
    calls: Callable[[], int]
    user = "root"

    @property
    def databases(self) -> str:
        given = f"--socket={self.source.sockets}/mysqld.sock --single-transaction --routines --events --triggers"
        back = f"--socket={self.at}/mysqld.sock"
        of = f"{{name: crm, username: root, options: '{given}', restore_options: '{back}'}}"
        return f"mariadb_databases:\n  - {of}\n"

    def restore(self) -> float:
        began = start()
        redo = f"--innodb-log-file-size={server.REDO}"
        with restored(self.image, self.at, INSTALL, "/var/lib/mysql/data", redo) as name:
            self.borgmatic("restore", "--archive", "latest")
            seconds = time.monotonic() - began
            wait(name, asking(self.at), str(self.calls()))
        return seconds


@dataclass
class Bench:
    source: MariaSource
    image: str
    work: Path
    toolbox: str
    calls: int
    rounds: Rounds
    methods: Sequence[str]
    more: int = 0

    def rows(self) -> int:
        return self.calls + self.more

    @property
    def data(self) -> Path:
        return self.work / "source" / SERVERS

    def fill(self) -> int:
        """The database's bytes."""
        self.source.sql("create database crm")
        self.source.sql(f"{self._start} set @calls = {self.calls};\n{(HERE / 'fill_mariadb.sql').read_text()}", "crm")
        self.source.sql("analyze table customer, `call`, call_event", "crm")
        size = "select sum(data_length + index_length) from information_schema.tables where table_schema = 'crm'"
        return int(self.source.sql(size))

    def append(self, rows: int) -> None:
        head = self.rows() + 1
        self.source.sql(f"{self._start} call fill({head}, {head + rows - 1}, {self.calls})", "crm")
        self.more += rows

    @property
    def _start(self) -> str:
        return f"set @start = timestamp '{datetime.now(UTC) - timedelta(days=395):%Y-%m-%d} 00:00:00';"

    def sides(self, method: str, name: str) -> dict[str, Side]:
        asset = ASSET.format(method=method, data=self.data, sockets=self.source.sockets, image=self.image)
        hand = {"dump": Dump, "physical": Physical}[method]
        found: dict[str, Side] = {
            OURS: Ccdr(Ours(self.work / f"ours-{name}", asset, CHECKS.format(calls=self.calls))),
            "by hand": hand(self.work / f"hand/{name}", self.source, self.image, self.data, self.rows),
        }
        if method == "dump":
            at = self.work / f"peers/{name}"
            found["borgmatic"] = Borgmatic(self.toolbox, at, self.source, self.image, self.rows)
        return found

    def round(self, number: int) -> None:
        """Each tool from nothing to a restore of the second backup."""
        of = {method: self.sides(method, f"{method}{number}") for method in self.methods}
        first = {}
        for method, sides in of.items():
            self.rounds.turn(f"{method}_backup", number, {name: side.backup for name, side in sides.items()})
            first[method] = {name: side.stored() for name, side in sides.items()}
            self.rounds.stored(f"{method}_stored", first[method])
        self.append(self.calls // 100)
        for method, sides in of.items():
            self.rounds.turn(f"{method}_backup_more", number, {name: side.backup for name, side in sides.items()})
            now = {name: side.stored() for name, side in sides.items()}
            self.rounds.stored(f"{method}_stored_more", now, first[method])
            self.rounds.turn(f"{method}_restore", number, {name: side.restore for name, side in sides.items()})
            for side in sides.values():
                side.close()


@contextmanager
def prepared(work: Path) -> Iterator[tuple[MariaSource, str]]:
    """The source, and the container that borgmatic runs in."""
    for name in ("hand", "peers"):
        (work / name).mkdir()
        (work / name).chmod(0o777)
    hand = f"{work}/hand:{work}/hand"  # mariadb-dump has the server itself write the rows
    options = ("--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M")
    with mariadb_server(*options, mounts=(hand,), data=work / "source") as source:
        mounts = [source.sockets, work / "peers"]
        with container(f"{NAME}-tools", TOOLS, "exec sleep infinity", mounts=mounts) as toolbox:
            yield source, toolbox


def measure(args: argparse.Namespace, work: Path) -> int:
    gb, rounds = (0.03, 1) if args.quick else (args.gb, args.rounds)
    build("peers_mariadb.conf")
    image, found = image_of(MAJOR), rounds_of(args, MEASURES)
    about = {
        **facts(image, mariadb_version="mariadbd --version | awk '{print \"MariaDB\", $3}'"),
        "borgmatic_version": f"borgmatic {version(TOOLS, 'borgmatic --version')}",
        "borg_version": version(TOOLS, "borg --version"),
    }
    with prepared(work) as (source, toolbox):
        calls = int(CALLS_PER_GB * gb)
        bench = Bench(source, image, work, toolbox, calls, found, args.method or METHODS)
        say(f"filling a database of about {gb:g} GB")
        size = bench.fill()
        say(f"it has {size / 1e9:.2f} GB")
        for number in numbers(rounds, args.minutes):
            bench.round(number)
    return finish(args, found, about, {"bytes": size, "calls": calls}, f"{size / 1e9:.2f} GB, {found.made} rounds")


def main() -> int:
    parser = options(str(__doc__), "maria", room="about 10 times --gb")
    parser.add_argument("--gb", type=float, default=2.0, help="size of the database, GB (2)")
    parser.add_argument("--method", action="append", choices=METHODS, help="only this one; again for more")
    return carry_out(parser.parse_args(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
