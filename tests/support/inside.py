"""Commands in a test's own container. Tests ask their servers thousands of times, and each `docker exec` costs 80 ms of
processor time: root enters the container's namespaces itself. What they ask of the daemon, they ask without a program."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import time
from pathlib import Path

import docker

_known: dict[str, tuple[int, str]] = {}  # by container: its first process, and its id


@functools.cache
def daemon() -> docker.APIClient:
    return docker.from_env().api


def names(label: str) -> list[str]:
    """Of all containers that carry it, whether they run or not."""
    found = daemon().containers(all=True, filters={"label": label})
    return [one["Names"][0].lstrip("/") for one in found]


def inside(container: str) -> list[str]:
    """What a command line begins with, to be run there as the container's own user, standard input and all."""
    found = _known.get(container)
    if found is None or not _is_of(*found):
        found = _known[container] = _asked(container)
    pid, _ = found
    if os.geteuid() or not _is_of(*found):
        return ["docker", "exec", "-i", container]
    uid, gid = re.findall(r"^[UG]id:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return ["nsenter", "--target", str(pid), "--all", "--env", "--setuid", uid, "--setgid", gid, "--"]


def _asked(container: str) -> tuple[int, str]:
    argv = ["docker", "inspect", "--format", "{{.State.Pid}} {{.Id}}", container]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    found = (int(said[0]), said[1]) if len(said) == 2 else (0, "?")
    deadline = time.monotonic() + 10
    while not _has_its_environment(found[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _has_its_environment(pid: int) -> bool:
    """Docker says that a container runs before its process is the program; and that has its name before it has its
    environment, by which others are found."""
    process = Path(f"/proc/{pid}")
    try:
        return not (process / "comm").read_text().startswith("runc") and bool((process / "environ").read_bytes())
    except OSError:
        return True  # it has gone, or is somewhere else


def _is_of(pid: int, container: str) -> bool:
    """Is it that process, also by what this host knows? The daemon may run elsewhere, and numbers come again."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
