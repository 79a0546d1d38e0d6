"""A PostgreSQL server of a test's own: it can be killed, and be given work whose every commit is known."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from tests.support.harness import eventually
from tests.support.inside import inside

START = """set -e
initdb -D /var/lib/postgresql/d -U postgres -A trust -N --no-instructions >/dev/null
exec postgres -D /var/lib/postgresql/d -c unix_socket_directories=/sockets -c listen_addresses= -c fsync=off "$@"
"""
ACKNOWLEDGED = """
create table if not exists acknowledged (client int, n int, primary key (client, n));
"""
# pgbench logs when each transaction was acknowledged; the row says which one it was.
SCRIPT = "\\set n :n + 1\ninsert into acknowledged values (:client_id, :n);\n"
_LINE = re.compile(r"(\d+) (\d+) \d+ \d+ (\d+) (\d+)")


@dataclass(frozen=True)
class Primary:
    """Its socket lies in `sockets`; `work` is a directory that it can write."""

    container: str
    sockets: Path
    work: Path

    def psql(self, sql: str, database: str = "postgres", *, check: bool = True) -> str:
        argv = [*inside(self.container), "psql", "-XqAt", "-h", "/sockets", "-U", "postgres"]
        argv += ["-d", database, "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def kill(self) -> datetime:
        """As when the machine loses its power; when that was."""
        subprocess.run(["docker", "kill", "-s", "KILL", self.container], check=True, capture_output=True)
        return datetime.now(UTC)

    @contextlib.contextmanager
    def commits(self, rate: int, clients: int = 2) -> Iterator[None]:
        """So many a second, until the context is left or the server dies."""
        self.psql(ACKNOWLEDGED)
        (self.work / "script").write_text(SCRIPT)
        argv = [
            "docker",
            "exec",
            self.container,
            "pgbench",
            "-h",
            "/sockets",
            "-U",
            "postgres",
            "-n",
            "-c",
            str(clients),
        ]
        argv += [
            "-f",
            "/work/script",
            "-D",
            "n=0",
            "-R",
            str(rate),
            "-T",
            "600",
            "-l",
            "--log-prefix=/work/log",
            "postgres",
        ]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            assert eventually(lambda: self.psql("select count(*) > 0 from acknowledged") == "t")
            try:
                yield
            finally:
                subprocess.run(
                    ["docker", "exec", self.container, "pkill", "-INT", "pgbench"], check=False, capture_output=True
                )
                process.kill()

    def acknowledged(self) -> dict[tuple[int, int], datetime]:
        """Every commit that a client was told of, by client and number, and when."""
        found = {}
        for path in self.work.glob("log.*"):
            for line in path.read_text().splitlines():
                if match := _LINE.match(line):
                    client, number, seconds, micros = map(int, match.groups())  # numbers from 1, as the script's
                    found[client, number] = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
        return found


@contextlib.contextmanager
def primary(root: Path, image: str, *settings: str) -> Iterator[Primary]:
    sockets, work = root / "sockets", root / "work"
    for directory in (sockets, work):
        directory.mkdir(parents=True)
        directory.chmod(0o777)
    name = f"ccdr-test-primary-{token_hex(4)}"
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
        "--entrypoint",
        "",
    ]
    argv += ["-v", f"{sockets}:/sockets", "-v", f"{work}:/work", "--tmpfs", "/var/lib/postgresql:mode=1777", image]
    options = [word for setting in settings for word in ("-c", setting)]
    subprocess.run([*argv, "bash", "-c", START, "start", *options], check=True, capture_output=True)
    try:
        made = Primary(name, sockets, work)
        assert eventually(lambda: made.psql("select 1", check=False) == "1", 60)
        yield made
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
