"""A new server that ccdr has made ready: asked for, started by its own literal lines, asked as its clients would."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ccdr.jobs.restore import Request, RestoreResult, restoring
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.place import Place
from tests.conftest import _image
from tests.support.harness import Quiet, Ran, Site, eventually


def made(site: Site, asset: str, home: Path, *args: str, **kwargs: Any) -> Ran:
    """`ccdr restore --new-server`, its name given."""
    asked = ["restore", "p", "--asset", asset, "--new-server", str(home), "--yes-i-mean", home.name]
    return site.run(*asked, *args, **kwargs)


def restored(
    site: Site,
    home: Path,
    asset: str = "crm",
    working: str | None = None,
    wanted: NewServer | None = None,
    snapshot: str = "latest",
) -> RestoreResult:
    """In this process."""
    wanted = wanted or NewServer(directory=home)
    asked = Request(to=str(home), new_server=wanted, working=working, snapshot=snapshot)
    with restoring(Job(site.loaded(), asset), asked, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    return one.result


def as_it_is(home: Path) -> dict[str, tuple[object, ...]]:
    """Whose each file is, and what is in it."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(home.rglob("*")):
        status = path.lstat()
        held = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(home))] = (status.st_uid, status.st_gid, status.st_mode, sha256(held).hexdigest())
    return found


@contextlib.contextmanager
def filled_by_load(maker: Any, hog: Path) -> Iterator[None]:
    """From its load on there is 1 MiB left on the disk of `hog`, a file that takes the rest."""

    def full(one: Any, box: Place, *args: Any) -> None:
        with hog.open("wb") as file:
            room = os.fstatvfs(file.fileno())
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - 2**20)
        really(one, box, *args)

    really = maker.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maker, "load", full)
        yield


def psql(home: Path, port: int, sql: str, database: str = "crm", *, role: str = "postgres", **env: str) -> str:
    """As a client on this host would ask: by the socket in the home, or where `PGHOST` says."""
    argv = ["psql", "-XqAtw", "-U", role, "-p", str(port), "-d", database, "-v", "ON_ERROR_STOP=1", "-c", sql]
    done = subprocess.run(
        argv, env={**os.environ, "PGHOST": str(home / "run"), **env}, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else f"refused: {done.stderr}"


@contextlib.contextmanager
def started_by_docker(lines: Sequence[str]) -> Iterator[str]:
    """The literal lines, carried out on this host."""
    (line,) = lines
    (name,) = re.findall(r"--name (\S+)", line)
    subprocess.run(["sh", "-ec", line], check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(["docker", "stop", name], check=False, capture_output=True)
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)


@contextlib.contextmanager
def started_by_debian(home: Path, lines: Sequence[str]) -> Iterator[str]:
    """The literal lines, carried out in a container that has Debian's packages, as root; its user postgres is this
    host's, and so is its loopback."""
    ours = pwd.getpwnam("postgres")
    same = f"groupmod -o -g {ours.pw_gid} postgres && usermod -o -u {ours.pw_uid} postgres && chown postgres:postgres /var/l*/postgresql"
    argv = ["docker", "run", "-d", "--rm", "--network", "host", "-v", f"{home}:{home}", _image(), "sleep", "infinity"]
    container = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        for line in (same, *lines):
            done = subprocess.run(
                ["docker", "exec", container, "sh", "-ec", line], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
        yield container
    finally:
        subprocess.run(
            ["docker", "exec", container, "sh", "-c", "pkill -INT -x postgres; sleep 1"],
            check=False,
            capture_output=True,
        )
        subprocess.run(["docker", "rm", "-f", container], check=False, capture_output=True)


def looked(start: Mapping[str, Any], container: str | None = None) -> str:
    """What somebody sees who types the literal line: on this host, or in the container (of Docker's line, or one that
    stands for a host) whose client it takes."""
    (line,) = start["look"]
    if container is not None:
        line = f"{start['inside']} {line}"
        assert f" {container} " in line
    done = subprocess.run(["sh", "-ec", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def answers(home: Path, port: int) -> bool:
    return eventually(lambda: psql(home, port, "select 1", "template1") == "1", 30)


def nothing_left(home: Path) -> None:
    """Neither under its final name nor beside it, and no container."""
    assert not home.exists() or not any(home.iterdir()), list(home.iterdir())
    assert not list(home.parent.glob(f".{home.name}.*")), list(home.parent.iterdir())
