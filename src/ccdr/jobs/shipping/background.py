"""Where nothing else ships a log, `ccdr run` starts it in the background: cron is enough."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ccdr.evidence.log_standing import directory, read_standing
from ccdr.host.processes import Daemon
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.ship import SHIP, WAITS
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job

WAKES = 60.0  # seconds; when to look again whether one has ended
LOG = "ship.log"
STOPS_WITHIN = 20.0  # seconds that one may take to end as it should


def start_missing(jobs: Sequence[Job], services: Services, options: Sequence[str]) -> list[Job]:
    """Start `ccdr OPTIONS ship` for each asset whose log nothing ships; those that were started. It outlives us, has
    the asset's lock for as long as it runs, and what it says goes into `ship.log` beside its spool."""
    started = []
    for job in jobs:
        if job.engine.shipping is None or _shipped(services.state, job.plan, job.asset):
            continue
        log = directory(services.state, job.plan, job.asset) / LOG
        with suppress(OSError):
            log.unlink()
        argv = (sys.executable, "-m", "ccdr", *options, "ship", job.plan, "--asset", job.asset)
        Daemon.start(argv, log=log, env=dict(os.environ), outlive=True)
        started.append(job)
    return started


def gone(job: Job, state: State) -> bool:
    """Has the process that shipped its log died, without an end as it should have?"""
    standing = read_standing(state, job.plan, job.asset)
    return standing is not None and standing.running and not _shipped(state, job.plan, job.asset)


def end_unwanted(plans: Iterable[LoadedPlan], state: State) -> Iterator[str]:
    """Tell what ships a log that its plan does not want shipped any more to end, whoever has started it: for as long as
    it runs its slot cannot be dropped. A process that ships what is wanted beside it is let be. Sentences on each."""
    for loaded in plans:
        shipped: dict[str, set[int]] = {}
        for lock in _locks(state, loaded.plan.plan):
            shipped.setdefault(lock.name.split(".")[1], set()).update(_holding(lock))
        wanted = {asset for asset, engine in loaded.plan.assets.items() if engine.shipping is not None}
        others = {pid for asset in shipped.keys() & wanted for pid in shipped[asset]}
        for asset in sorted(shipped.keys() - wanted):
            if not _shipped(state, loaded.plan.plan, asset):
                continue
            for pid in sorted(shipped[asset]):
                if pid in others:
                    yield (
                        f"{loaded.plan.plan}/{asset} ships no log any more by the plan, and process {pid} still does, "
                        "for others too: start that one anew"
                    )
                    continue
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                    yield f"told process {pid} to end: {loaded.plan.plan}/{asset} ships no log any more by the plan"


def stop(state: State) -> None:
    """End every `ccdr ship` of this state on this host, whoever has started it; returns when they have ended."""
    begun = (state.root / "shipping").glob(f"*/*/{LOG}")  # one that has hardly begun has not come to its lock yet
    left = {pid for path in (*_locks(state), *begun) for pid in _holding(path)}
    for sign, patience in ((signal.SIGTERM, STOPS_WITHIN), (signal.SIGKILL, STOPS_WITHIN)):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        deadline = time.monotonic() + patience
        while left := {pid for pid in left if Path(f"/proc/{pid}/fd").is_dir()}:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)


def _shipped(state: State, plan: str, asset: str) -> bool:
    """Does a process ship it, or wait for the end of a pause to?"""
    return any(state.held(plan, asset, verb) for verb in (SHIP, WAITS))


def _locks(state: State, plan: str = "*") -> list[Path]:
    return sorted((state.root / "locks").glob(f"{plan}.*.{SHIP}*.lock"))


def _holding(path: Path) -> set[int]:
    """Processes of `ccdr ship` that have a file open; others open a lock for a moment, to see whether it is free."""
    wanted = str(path.resolve())
    pids = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while it is looked at
            opened = any(_is_open(fd, wanted) for fd in (process / "fd").iterdir())
            if opened and SHIP.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                pids.add(int(process.name))
    return pids


def _is_open(fd: Path, wanted: str) -> bool:
    with suppress(OSError):
        return str(fd.readlink()) == wanted
    return False
