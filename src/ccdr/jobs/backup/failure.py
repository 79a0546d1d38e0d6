"""Why a backup ended early, and what to do next."""

from __future__ import annotations

import contextlib
import errno
import shutil

from ccdr.evidence.history.kinds import INTERRUPTED, STORED
from ccdr.jobs.backup.result import BackupResult
from ccdr.jobs.job_run import JobRun
from ccdr.model.answers import at
from ccdr.model.errors import (
    ROOM,
    BackupFailed,
    CcdrError,
    CommandFailed,
    failure_of,
    for_plan,
)
from ccdr.model.values import human_bytes


def failed(of: JobRun, result: BackupResult, error: KeyboardInterrupt | Exception) -> None:
    """Why it ended early, and what to do next."""
    job = of.job
    if isinstance(error, KeyboardInterrupt):
        result.reason = INTERRUPTED if result.result != STORED else result.reason
        return
    result.repository = getattr(error, "repository", None)
    why = failure_of(_without_room(of, error))
    result.reason, result.hint = why.reason, for_plan(why.hint, job.plan)
    result.words += why.words
    if result.repository is None and why.words.nobody_answers:
        result.source = "away"
    database = getattr(getattr(job.engine, "connection", None), "database", "")  # the plan's word, and no program's
    result.reason += at(why.words, [database])
    if isinstance(error, CommandFailed) and result.hint is None:
        asks = "checks the source, the rights of its role, and the repository"
        result.hint = f"`ccdr doctor {job.plan}` {asks}"


def _without_room(of: JobRun, error: Exception) -> Exception:
    """Where it is this host's own disk that is full: which, what is free there, and what the last capture took."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    job, place = of.job, of.services.state.root.absolute()
    took = None
    with contextlib.suppress(CcdrError, OSError, IndexError):
        last = of.services.catalogue.snapshots(job.plan, job.asset)[-1]
        took = sum(file.bytes for file in of.services.catalogue.manifest(last).files.values())
    needs = "more than that" if took is None else f"more than that: the last one took {human_bytes(took)}"
    free = human_bytes(shutil.disk_usage(place).free)
    return BackupFailed(f"{place} has {free} free, the capture needs {needs}", hint=ROOM)
