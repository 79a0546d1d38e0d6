"""`ccdr ship`."""

from __future__ import annotations

import os
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

import click

from ccdr.cli.progress import progress
from ccdr.cli.settings import Settings, settings
from ccdr.cli.verbs import assets_option, plan_argument, tell_paused, verb
from ccdr.model.errors import CcdrError, Exit

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan


@verb(short_help="Ship the log of PLAN's assets continuously.")
@plan_argument
@assets_option
@click.option("--once", is_flag=True, help="Stop when everything that the source has written up to now is stored.")
def ship(plan: str, assets: tuple[str, ...], once: bool) -> Exit:
    """Ship the log of every asset of PLAN that asks for it (`log_shipping:`), or of one, until interrupted.

    Between two backups the source's own log (write-ahead log, binary log) is received as it is written, and stored
    at every interval: so no more than about an interval is ever lost, and `ccdr test --at` can go back to any
    moment. `ccdr run` starts this in the background where nothing else has; a systemd unit keeps it running.
    A source or a repository that is away is tried again; `ccdr status` tells of it. Once another plan is in the
    place of this one, it goes on by that.

    \b
    Examples:
      ccdr ship outbound
      ccdr ship outbound --asset crm --once
    """
    from ccdr.host import interrupts
    from ccdr.jobs.shipping.ship import ship as ship_log
    from ccdr.model.errors import UsageProblem
    from ccdr.plans.access import Role

    options = settings()
    jobs = [job for job in options.jobs(plan, assets, Role.BACKUP) if assets or job.engine.shipping is not None]
    if not jobs:
        raise UsageProblem(
            f"no asset of {plan} ships its log", hint="`log_shipping: {interval: 60s}` in the plan asks for it"
        )
    for job in jobs:
        job.refuse_recovery_only("shipping a log")
    services = options.services()
    if once:
        tell_paused(services, plan)
    with progress() as watched, ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        outdated = partial(_replaced, jobs[0].loaded, options) if not once else lambda: False
        running = {pool.submit(ship_log, job, services, watched, once=once, outdated=outdated) for job in jobs}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException as error:
            interrupts.stop_all()
            wait(running)
            if isinstance(error, KeyboardInterrupt) and not once:
                return Exit.OK  # it was told to stop: that is how it ends
            raise
    if not once:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  the same command, by the plan that is there now
    return Exit.OK


def _replaced(loaded: LoadedPlan, options: Settings) -> bool:
    """Is another plan in the place of this one, and a right one? A recovery has the plan name the new servers."""
    try:
        if loaded.path.read_bytes() == loaded.texts[f"plans/{loaded.plan.plan}.yaml"]:
            return False
        options.load(loaded.plan.plan)
    except (OSError, CcdrError):
        return False  # which is being written, or is told by all other commands
    return True
