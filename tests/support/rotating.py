"""A rotation of a repository's password in a process of its own, killed at one of its steps.

It is forked from a process that has no threads: what tests have at work beside it may hold a lock at that moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

from ccdr.jobs import repository_keys as changing
from ccdr.jobs.repository_keys import rotate
from ccdr.storage.restic import Restic
from tests.support.harness import Site
from tests.support.repositories import add_key_cheaply

_CLEAN = multiprocessing.get_context("forkserver")
_CLEAN.set_forkserver_preload(["tests.support.rotating"])


class Killed:
    """`Progress` that ends the process at the step of this number, as a power cut would."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self, text: str) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def amount(self, done: int, total: int | None) -> None: ...


def add_cheaply(repo: Restic, password_file: Path) -> None:
    """As `restic key add`, but for the time that its key takes."""
    by = Path(repo.env["RESTIC_PASSWORD_FILE"]).read_text().strip()
    add_key_cheaply(Path(repo.location), by, password_file.read_text().strip())


def _rotate(root: Path, at: int) -> None:
    changing.add_key = add_cheaply
    site = Site(root)
    rotate(site.loaded(), [site.loaded()], site.services(), Killed(at))


def killed(root: Path, at: int) -> bool:
    """A rotation that is killed at its step of this number; was it?"""
    process = _CLEAN.Process(target=_rotate, args=(root, at))
    process.start()
    process.join(60)
    code = process.exitcode
    process.kill()
    assert code in (0, -signal.SIGKILL), code
    return code != 0
