"""A PostgreSQL server to restore onto: by Unix socket, with passwords; its first superuser is `dba`."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.conftest import _image
from tests.support.harness import eventually
from tests.support.inside import inside

_numbers = itertools.count(1)
PASSWORD = "target:it\\s 'secret'"

SERVER = """\
set -e
D=/var/lib/postgresql/target
printf '%s' "$SECRET" > /tmp/pw
initdb -D $D -U dba --pwfile=/tmp/pw --auth=scram-sha-256 --no-sync --locale=C.UTF-8 > /dev/null
exec postgres -D $D -c listen_addresses= -c unix_socket_directories=/sockets -c fsync=off -c max_connections=60 \\
  -c max_prepared_transactions=2 -c wal_level=logical
"""


@dataclass(frozen=True)
class Target:
    container: str
    sockets: Path

    @property
    def client(self) -> list[str]:
        """psql as `dba`, in the server's container; what it is to do follows."""
        argv = [*inside(self.container), "env", f"PGPASSWORD={PASSWORD}"]
        return [*argv, "psql", "-X", "-q", "-h", "/sockets", "-U", "dba"]

    def psql(self, sql: str, database: str = "postgres", *, check: bool = True) -> str:
        argv = [*self.client, "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def root(self, script: str) -> None:
        subprocess.run(["docker", "exec", "-u", "root", self.container, "sh", "-c", script], check=True)

    def url(self, database: str, user: str = "dba") -> str:
        return f"postgresql://{user}@/{quote(database, safe='')}?host={self.sockets}"

    @property
    def databases(self) -> set[str]:
        return set(self.psql("select datname from pg_database").splitlines())

    def clear(self) -> None:
        """As it was made: no database and no role of a restore's."""
        for database in self.databases - {"postgres", "template0", "template1"}:
            self.psql(f'drop database "{database}" with (force)')
        for role in self.roles - {"dba"}:
            self.psql(f'drop role "{role}"')

    @property
    def roles(self) -> set[str]:
        return set(self.psql("select rolname from pg_roles where rolname !~ '^pg_'").splitlines())


@contextmanager
def server(sockets: Path) -> Iterator[Target]:
    sockets.chmod(0o777)
    name = f"ccdr-test-target-{os.getpid()}-{next(_numbers)}"
    argv = ["docker", "run", "-d", "--rm", "--name", name, "--network", "none", "--user", "postgres", "-e", "SECRET"]
    argv += ["--tmpfs", "/var/lib/postgresql:mode=1777", "--tmpfs", "/tmp:mode=1777", "-v", f"{sockets}:/sockets"]
    argv += [_image(), "bash", "-c", SERVER]
    subprocess.run(argv, env={**os.environ, "SECRET": PASSWORD}, check=True, stdout=subprocess.DEVNULL)
    made = Target(name, sockets)
    try:
        assert eventually(lambda: made.psql("select 1", check=False) == "1", 60)
        yield made
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
