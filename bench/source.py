"""The database that is backed up: PostgreSQL in a container, its Unix socket in a directory of ours."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
CALLS_PER_GB = 2_420_000  # measured: what pg_database_size says of fill.sql
TINY = """
create table customer (id int primary key, name text not null);
create table call (
  id bigint primary key, customer_id int not null references customer (id), started_at timestamptz not null);
create index call_by_customer on call (customer_id);
insert into customer select g, 'customer ' || g from generate_series(1, 200) g;
insert into call select g, 1 + g % 200, now() - g * interval '1 minute' from generate_series(1, 3000) g;
"""


@dataclass(frozen=True)
class Source:
    container: str
    sockets: Path
    start: datetime  # of the oldest call

    def psql(self, sql: str, database: str, **variables: object) -> str:
        argv = ["docker", "exec", "-i", self.container, "psql", "-X", "-q", "-A", "-t", "-h", "/sockets"]
        argv += ["-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"]
        argv += [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
        done = subprocess.run([*argv, "-f", "-"], input=sql, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return done.stdout.strip()

    def fill(self, database: str, calls: int) -> None:
        self.psql(f"create database {database} template template0", "postgres")
        self.psql((HERE / "fill.sql").read_text("utf-8"), database, calls=calls, start=self.start.isoformat())

    def append(self, database: str, calls: int, rows: int, *, more: int = 0) -> None:
        """`rows` more calls and their events, to a database that was filled with `calls` and has `more` since."""
        start, first = self.start.isoformat(), calls + more + 1
        self.psql(f"select fill({first}, {first + rows - 1}, {calls}, {calls // 20}, '{start}'); checkpoint", database)

    def change(self, database: str, share: int, *, after: int = 0) -> None:
        """Every `share`th call gets another note, all over the table; or of those after the call `after`."""
        where = f"id > {after} and id % {share} = 0"
        self.psql(f"update call set note = note || ' !' where {where}; checkpoint", database)

    def size(self, database: str) -> int:
        return int(self.psql("select pg_database_size(current_database())", database))


@contextmanager
def source(
    image: str, name: str, work: Path, *, mount: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Source]:
    """A server that answers; it and its data are removed at the end. `mount` is a directory that it sees at the
    same path; `settings` are the server's, more than our own."""
    sockets = work / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    script = (
        "initdb -D /var/lib/postgresql/source -U postgres --auth=trust --no-sync --locale=C.UTF-8 > /dev/null && "
        "exec postgres -D /var/lib/postgresql/source -c listen_addresses= -c unix_socket_directories=/sockets "
        "-c max_wal_size=4GB -c shared_buffers=512MB -c fsync=off -c autovacuum=off -c timezone=UTC"
    )
    script += "".join(f" -c {key}={value}" for key, value in (settings or {}).items())
    # An anonymous volume: on disk, and removed with the container.
    argv = ["docker", "run", "-d", "--name", name, "--network", "none", "--user", "postgres", "--shm-size", "256m"]
    argv += ["--mount", f"type=bind,src={sockets},dst=/sockets", "--mount", "type=volume,dst=/var/lib/postgresql"]
    if mount is not None:
        argv += ["--mount", f"type=bind,src={mount},dst={mount}"]
    argv += [image, "bash", "-c", script]
    subprocess.run(argv, check=True, capture_output=True)
    try:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        found = Source(name, sockets, today - timedelta(days=365))
        _wait(found)
        yield found
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], check=False, capture_output=True)


def _wait(found: Source) -> None:
    ask = ["docker", "exec", found.container, "psql", "-h", "/sockets", "-U", "postgres", "-c", "select 1"]
    deadline = time.monotonic() + 60
    while subprocess.run(ask, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise SystemExit("the source does not answer")
        time.sleep(0.2)


def pick_image() -> str:
    """As ccdr chooses: the official image where there is one."""
    for name in ("postgres:17", "ccdr-sandbox/postgres:17"):
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
            return name
    raise SystemExit("no image: run `make images`")


def tree_bytes(root: Path) -> int:
    return sum(os.lstat(os.path.join(at, n)).st_size for at, _, names in os.walk(root) for n in names)
