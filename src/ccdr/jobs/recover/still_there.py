"""Which sources still answer: what a recovery would roll back, and what it may leave as it is. They are asked, all at
once and not for long, and nothing else is done to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from ccdr.host.state import Run
from ccdr.jobs.recover.states import ANSWERS, REFUSED, SILENT
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, CommandFailed
from ccdr.plans.job import Job
from ccdr.ports.place import Progress

PATIENCE = 5.0  # seconds without an answer after which a source counts as silent
WAIT = 2 * PATIENCE  # for all of them: a name that nobody resolves, a mount that hangs, are not waited for


def still_there(jobs: Sequence[Job], services: Services, run: Run, progress: Progress) -> dict[str, str]:
    """By asset: ANSWERS, REFUSED or SILENT."""
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


def _ask(job: Job, services: Services, run: Run) -> str:
    engine = job.engine
    directory = run.scratch / f"still-there-{job.asset}"
    into = directory / "into"
    try:
        for path in (directory, into):
            path.mkdir(mode=0o700)
        services.write_credentials(job, directory)
        with services.lab.source(
            engine, f"{run.id}-{job.asset}", into, directory, PATIENCE, Silent(), any_client=True, gentle=False
        ):
            return ANSWERS
    except CommandFailed as error:
        return REFUSED if engine.refused(error.stderr) else SILENT
    except (CcdrError, OSError):  # a tree that is not there, a socket that is gone, no client to ask with
        return SILENT


class Silent:
    """`Progress` for nobody."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...
