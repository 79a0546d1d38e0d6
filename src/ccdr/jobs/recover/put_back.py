"""File trees and databases of one file that a person has put back where they were, by the lines that a recovery
printed: looked at there, at these paths alone, and nothing of it is touched, for it is the source again."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccdr.checks.base import CheckConfig
from ccdr.host.state import Run
from ccdr.jobs.recover.repointed import BESIDE_SQLITE, moved_to
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.ways import Held, skipped
from ccdr.model.errors import CcdrError
from ccdr.model.values import CheckResult
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.place import Progress

ROOT = Path("/")
IN_USE = "it stands where the plan has it, and is in use: its next restore test looks at it"
NO_PROGRAMS = "it stands where the plan has it, and no sandbox looks at it there: its next restore test does"


class NotLookedAt(CcdrError):
    """It stands where it may not be looked at in this way."""


def put_back(job: Job, where: Target) -> bool:
    """Is nothing of it where it was brought to, and all of it where the plan says that it lives?"""
    if where.directory is None or job.engine.has_server:
        return False
    pairs = moved_to(job, where.directory)
    return all(not os.path.lexists(now) and os.path.lexists(was) for was, now in pairs)


def shown(job: Job) -> str:
    return ", ".join(map(str, job.engine.source_paths))


def in_use(job: Job) -> bool:
    """A database of one file that something has open, or was not closed."""
    return job.engine.in_sandbox and any(
        os.path.lexists(f"{path}{end}") for path in job.engine.source_paths for end in BESIDE_SQLITE
    )


def copied(job: Job, run: Run) -> Path:
    """Its database, copied to where a sandbox may open it."""
    directory = run.directory(f"put-back-{job.asset}")
    for path in job.engine.source_paths:
        shutil.copy2(path, directory / path.name)
    return directory


class WhereItWas(IntoDirectory):
    """A tree at the paths that it was captured at: compared there; modes stay as they are, so no sandbox sees it."""

    def _in_sandbox(self, checks: Sequence[CheckConfig], progress: Progress) -> list[CheckResult]:
        return [skipped(check, NO_PROGRAMS) for check in checks]

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        if programs:
            raise NotLookedAt(NO_PROGRAMS)
        yield Held(self.order.engine, self._bench(None))
