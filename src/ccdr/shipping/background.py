"""Where nothing else ships a log, `ccdr run` starts it in the background: cron is enough."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ccdr.proc import Daemon
from ccdr.services import Job, Services
from ccdr.shipping.ship import SHIP
from ccdr.shipping.standing import directory
from ccdr.state import State

WAKES = 60.0  # seconds; how often it is looked at
STOPS_WITHIN = 20.0  # seconds that one may take to end as it should


def start_missing(jobs: Sequence[Job], services: Services, options: Sequence[str]) -> list[Job]:
    """Start `ccdr OPTIONS ship` for each asset whose log nothing ships; those that were started. It outlives us, has
    the asset's lock for as long as it runs, and what it says goes into `ship.log` beside its spool."""
    started = []
    for job in jobs:
        if job.engine.shipping is None or services.state.held(job.plan, job.asset, SHIP):
            continue
        log = directory(services.state, job.plan, job.asset) / "ship.log"
        with suppress(OSError):
            log.unlink()
        argv = (sys.executable, "-m", "ccdr", *options, "ship", job.plan, "--asset", job.asset)
        Daemon.start(argv, log=log, env=dict(os.environ), outlive=True)
        started.append(job)
    return started


def stop(state: State) -> None:
    """End every `ccdr ship` of this state on this host, whoever has started it; returns when they have ended."""
    left = {pid for lock in (state.root / "locks").glob(f"*.{SHIP}.lock") for pid in _holding(lock)}
    for sign, patience in ((signal.SIGTERM, STOPS_WITHIN), (signal.SIGKILL, STOPS_WITHIN)):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        deadline = time.monotonic() + patience
        while left := {pid for pid in left if Path(f"/proc/{pid}/fd").is_dir()}:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)


def _holding(path: Path) -> Iterator[int]:
    """Processes that have a file open."""
    wanted = str(path.resolve())
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(fd.readlink()) == wanted:
                yield int(fd.parts[2])
