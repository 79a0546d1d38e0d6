"""A new Redis or Valkey server that ccdr has made ready: started by its own literal lines, asked as its clients would."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.harness import eventually
from tests.support.inside import inside
from tests.support.redis_source import PASSWORD


def ask(container: str, server: str, socket: Path | str, *command: str, user: str = "", password: str = "") -> str:
    """As a client would; what it was refused for, where it was."""
    login = ["--user", user] if user else []
    login += ["-a", password, "--no-auth-warning"] if password else []
    argv = [*inside(container), f"{server}-cli", "-s", str(socket), *login, "-e", *command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"refused: {done.stdout}{done.stderr}"


@contextlib.contextmanager
def started(lines: Sequence[str], home: Path, server: str) -> Iterator[tuple[str, Path]]:
    """The literal lines for Docker, but that it has no network; the container and the socket, once that answers."""
    (line,) = lines
    assert " --network host " in line
    (name,) = re.findall(r"--name (\S+)", line)
    try:
        argv = ["sh", "-ec", line.replace(" --network host ", " --network none ")]
        subprocess.run(argv, check=True, capture_output=True)
        yield name, answering(name, home, server)
    finally:
        subprocess.run(["docker", "stop", name], check=False, capture_output=True)
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)


def answering(container: str, home: Path, server: str) -> Path:
    """Its socket, once it answers."""
    socket = home / "run" / "s"
    answers = eventually(lambda: ask(container, server, socket, "PING", password=PASSWORD) == "PONG", 30)
    assert answers, (home / "log/server.log").read_text()
    return socket
