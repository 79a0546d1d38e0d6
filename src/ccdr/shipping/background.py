"""Where nothing else ships a log, `ccdr run` starts it in the background: cron is enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from ccdr.proc import Daemon
from ccdr.services import Job, Services
from ccdr.shipping.ship import SHIP
from ccdr.shipping.standing import directory

WAKES = 60.0  # seconds; how often it is looked at


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
