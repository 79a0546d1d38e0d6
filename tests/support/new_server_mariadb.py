"""A new MariaDB server that ccdr has made ready: started by its own literal lines, asked as its clients would."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.harness import eventually
from tests.support.inside import inside
from tests.support.mariadb_source import PASSWORD

APP, APP_PASSWORD = "crm_app", "app secret"


def ask(container: str, socket: Path, sql: str, user: str = APP, password: str = APP_PASSWORD) -> str:
    """As a client with a password; what it was refused for, where it was."""
    argv = [*inside(container), "mariadb", "--no-defaults", f"--socket={socket}", f"--user={user}", "-BN", "--comments"]
    done = subprocess.run([*argv, f"--password={password}"], input=sql, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"refused: {done.stderr.strip()}"


@contextlib.contextmanager
def started(lines: Sequence[str], home: Path) -> Iterator[tuple[str, Path]]:
    """The literal lines for Docker, but that it has no network; the container and the socket, once that answers."""
    (line,) = lines
    assert " --network host " in line
    (name,) = re.findall(r"--name (\S+)", line)
    try:
        argv = ["sh", "-ec", line.replace(" --network host ", " --network none ")]
        subprocess.run(argv, check=True, capture_output=True)
        yield name, answering(name, home)
    finally:
        subprocess.run(["docker", "stop", name], check=False, capture_output=True)
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)


def answering(container: str, home: Path) -> Path:
    """Its socket, once it answers."""
    socket = home / "run" / "mysqld.sock"
    answers = eventually(lambda: ask(container, socket, "select 1") == "1", 30)
    assert answers, (home / "log/error.log").read_text()
    return socket


def backup_user(database: str) -> tuple[str, str]:
    return f"ccdr_backup_{database}", PASSWORD
