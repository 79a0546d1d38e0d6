"""A PostgreSQL server of a test's own, for what concerns the whole of it: it is captured with all that it holds."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import _image
from tests.support.harness import Source
from tests.support.inside import inside

DATA = "/var/lib/postgresql/source"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": "/sockets",
    "fsync": "off",
    "lc_messages": "C",
    "max_wal_size": "256MB",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cluster(Source):
    """`tablespaces` is a directory of this host that the server sees at the same path."""

    tablespaces: Path

    def psql(self, sql: str, database: str = "template1", *, check: bool = True) -> str:
        """As `Source.psql`; a database `postgres` need not be there."""
        return super().psql(sql, database, check=check)

    def renamed(self, name: str) -> None:
        """Have the one database beside the templates be called so: one more costs each backup and each test of it
        another three hundred files and another reading of the catalogues."""
        self.psql(f"alter database postgres rename to {name}")

    def run(self, *argv: str) -> str:
        done = subprocess.run([*inside(self.container), *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, **settings: str) -> None:
        options = " ".join(f"-c {key}={value!r}" for key, value in {**SETTINGS, **settings}.items())
        self.run("pg_ctl", "-D", DATA, "-w", "-s", "-l", "/tmp/log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", DATA, "-w", "-s", "-m", mode, "stop")


@contextmanager
def cluster(root: Path, *, checksums: bool = True, **settings: str) -> Iterator[Cluster]:
    """Running; gone afterwards, with all that it held."""
    sockets, tablespaces = root / "sockets", root / "tablespaces"
    for directory in (sockets, tablespaces):
        directory.mkdir(parents=True)
        directory.chmod(0o777)
    name = f"ccdr-cluster-{os.getpid()}-{next(_numbers)}"
    argv = [
        "docker",
        "run",
        "-d",
        "--rm",
        "--name",
        name,
        "--network",
        "none",
        "--user",
        "postgres",
        "--shm-size",
        "256m",
    ]
    argv += [
        "--tmpfs",
        "/var/lib/postgresql:mode=1777",
        "-v",
        f"{sockets}:/sockets",
        "-v",
        f"{tablespaces}:{tablespaces}",
    ]
    subprocess.run([*argv, _image(), "sleep", "infinity"], check=True, capture_output=True)
    made = Cluster(name, sockets, tablespaces)
    try:
        sums = ["--data-checksums"] if checksums else []
        made.run("initdb", "-D", DATA, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C.UTF-8", *sums)
        made.start(**settings)
        yield made
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
        _wait_until_gone(name)


def _wait_until_gone(name: str) -> None:
    argv = ["docker", "container", "inspect", name]
    for _ in range(100):
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            return
        time.sleep(0.05)
