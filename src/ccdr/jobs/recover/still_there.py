"""Which sources still answer: what a recovery would roll back, and what it may leave as it is. They are asked, all at
once and not for long, and nothing else is done to them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ccdr.host.state import Run
from ccdr.jobs.recover.states import ANSWERS, DEAF, REFUSED, SILENT, UNASKED
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, CommandFailed
from ccdr.plans.job import Job
from ccdr.ports.engine import Engine
from ccdr.ports.place import Progress

KNOCK = 2.0  # seconds until something takes a connection; a first packet that is lost is sent again after one
PATIENCE = 5.0  # seconds without an answer after which a source counts as silent
WAIT = 2 * PATIENCE  # for all of them: a name that nobody resolves, a mount that hangs, are not waited for


def still_there(jobs: Sequence[Job], services: Services, run: Run, progress: Progress) -> dict[str, str]:
    """By asset: ANSWERS, REFUSED, UNASKED, DEAF or SILENT."""
    progress.step("asking which sources still answer")
    found: dict[str, str] = {}

    def ask(job: Job) -> None:
        found[job.asset] = _ask(job, services, run)

    # Daemons: one that hangs in a dead mount must not keep ccdr from ending.
    asking = [threading.Thread(target=ask, args=(job,), daemon=True) for job in jobs]
    for thread in asking:
        thread.start()
    until = time.monotonic() + WAIT
    for thread in asking:
        thread.join(max(0.0, until - time.monotonic()))
    return {job.asset: found.get(job.asset, SILENT) for job in jobs}


def _listens(engine: Engine) -> bool | None:
    """Does anybody? None where a client has to find out: whatever else is in the way. It saves a client, which may be a
    container, for each server that is gone, as all of a lost host's are."""
    connection = getattr(engine, "connection", None)
    host, port = getattr(connection, "host", None), getattr(connection, "port", None)
    if host is None:
        return None
    try:
        if not host.startswith("/"):
            if port is None:
                return None
            socket.create_connection((host, port), KNOCK).close()
            return True
        place = Path(host)
        sockets = [path for path in place.iterdir() if path.is_socket()] if place.is_dir() else [place]
    except OSError as error:
        return None if isinstance(error, PermissionError) else False
    taken = [_takes(path) for path in sockets]
    return True if True in taken else None if None in taken else False


def _takes(path: Path) -> bool | None:
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(KNOCK)
            one.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return False
    except OSError:  # a path that is too long for us, one that we may not open: a client may know more
        return None
    return True


def _ask(job: Job, services: Services, run: Run) -> str:
    engine = job.engine
    listens = _listens(engine)
    if listens is False:
        return SILENT
    nothing = DEAF if listens else SILENT
    directory = run.scratch / f"still-there-{job.asset}"
    into = directory / "into"
    try:
        for path in (directory, into):
            path.mkdir(mode=0o700)
        try:
            services.write_credentials(job, directory)
        except CcdrError:
            return UNASKED if listens else SILENT
        with services.lab.source(
            engine,
            run.id,
            into,
            directory,
            PATIENCE,
            Silent(),
            any_client=True,
            gentle=False,
            part=f"still-there-{job.asset}",
        ):
            return ANSWERS
    except CommandFailed as error:
        return REFUSED if engine.refused(error.stderr) else nothing
    except (CcdrError, OSError):  # a tree that is not there, a socket that is gone, no client to ask with
        return nothing


class Silent:
    """`Progress` for nobody."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...
