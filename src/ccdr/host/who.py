"""Who began what is recorded, as far as this process can tell, and by which of the facts.

| fact | rests on |
|---|---|
| `uid` | the kernel: whose rights the work has |
| `login_uid` | the kernel: who has logged in, kept across `su` and `sudo`; null where nobody has (cron, a service) |
| `terminal` | the kernel: the controlling terminal |
| `started_by: cron` | names in the process tree: anybody may call a program so, or have a crontab |
| `started_by: systemd` | the environment that it gives its services: anybody may set it |
| `started_by: terminal` | the controlling terminal |
| `claims` | what the environment says, which the caller could have changed |

What this machine does not tell (containers, other kernels) is null, never an error.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CRON, SYSTEMD, TERMINAL, OTHER = "cron", "systemd", "terminal", "other"
NOBODY = 2**32 - 1  # the kernel's login uid of who has never logged in

_CRONS = frozenset(("cron", "crond", "anacron", "fcron", "supercronic", "busybox-crond"))
_MOST_PARENTS = 64
_LOGIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,63}\$?")  # useradd's, and a directory's: DOMAIN\name
_PTS, _PTS_END, _TTY, _SERIAL = 136, 143, 4, 64  # device numbers


@dataclass(frozen=True)
class Who:
    uid: int
    login_uid: int | None
    terminal: str | None  # `pts/0`
    started_by: str
    sudo_user: str | None  # a claim


@cache
def who() -> Who:
    """Of this process, as it was when first asked: parents may end before it does."""
    return who_is(Path("/proc"), os.getpid(), os.geteuid(), os.environ)


def who_is(proc: Path, pid: int, uid: int, environment: Mapping[str, str]) -> Who:
    """The same of any process, by what is below `proc`."""
    tree = list(_tree(proc, pid))
    terminal = _terminal(tree[0].tty) if tree else None
    if any(process.name.lower() in _CRONS for process in tree[1:]):
        by = CRON  # first: `sudo` gives a job of cron a terminal of its own
    elif environment.get("SYSTEMD_EXEC_PID") == str(pid):
        by = SYSTEMD
    elif terminal is not None:
        by = TERMINAL  # before what a terminal's program may have from systemd, and hands on
    else:
        by = SYSTEMD if environment.get("INVOCATION_ID") else OTHER
    claimed = environment.get("SUDO_USER", "")
    return Who(uid, _login_uid(proc, pid), terminal, by, claimed if _LOGIN_NAME.fullmatch(claimed) else None)


@dataclass(frozen=True)
class _Process:
    name: str
    parent: int
    tty: int


def _tree(proc: Path, pid: int) -> Iterator[_Process]:
    """A process and its parents, as far as they can be seen."""
    for _ in range(_MOST_PARENTS):
        try:
            text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
            name, _, rest = text.partition("(")[2].rpartition(")")  # the name may hold both, and spaces
            _, parent, _, _, tty, *_ = rest.split()
            process = _Process(name, int(parent), int(tty))
        except (OSError, ValueError):
            return
        yield process
        if (pid := process.parent) <= 0:
            return


def _terminal(device: int) -> str | None:
    """By the kernel's number of it, which also tells where standard streams are pipes."""
    major, minor = (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00)
    if device == 0:
        return None
    if _PTS <= major <= _PTS_END:
        return f"pts/{(major - _PTS) * 256 + minor}"
    if major == _TTY:
        return f"tty{minor}" if minor < _SERIAL else f"ttyS{minor - _SERIAL}"
    return f"{major}:{minor}"


def _login_uid(proc: Path, pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        uid = int((proc / str(pid) / "loginuid").read_text("ascii"))
        return None if uid == NOBODY else uid
    return None
