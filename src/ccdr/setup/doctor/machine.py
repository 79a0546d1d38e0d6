"""This host: programs and their versions, Docker, memory, the state directory and what lies below it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ccdr import __version__
from ccdr.host.at_rest import Kept, at_rest
from ccdr.host.processes import Host
from ccdr.host.state import State
from ccdr.jobs.by_itself import NOT_YET, has_come
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.retired import DAYS, kept
from ccdr.jobs.services import Services
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import Probe, human_bytes
from ccdr.plans.job import Job
from ccdr.sandbox.docker import Docker, DockerFacts
from ccdr.sandbox.lab import memory_available

OLDEST_RESTIC, TRIED_RESTIC = (0, 17), (0, 18)  # below the first, exit codes and options that we count on are missing
SPARE = 2**30  # bytes that a file system which holds the state should have left in any case
MOST_NAMED = 5  # leftovers


def programs(host: Host) -> Iterator[Probe]:
    yield Probe.ok("ccdr", f"{__version__}, Python {platform.python_version()}, {os.cpu_count()} processors")
    try:
        output = host.with_(no_progress=10.0).run(["restic", "version"], what="restic").stdout
    except CommandFailed as error:
        yield Probe.fail("restic", str(error), "install it: apt-get install restic")
        return
    match = re.search(r"(\d+)\.(\d+)[.\d]*", output)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    number = match[0] if match else output.strip()
    if version < OLDEST_RESTIC:
        yield Probe.fail("restic", f"{number} is too old", "install 0.17 or newer: https://restic.net")
    elif version < TRIED_RESTIC:
        yield Probe.warn("restic", f"{number}; ccdr is tried with 0.18", "install 0.18 or newer when you can")
    else:
        yield Probe.ok("restic", number)


def docker(daemon: Docker) -> tuple[DockerFacts | None, list[Probe]]:
    """The daemon's facts, None where it does not answer."""
    what = "Docker"
    try:
        facts = daemon.facts()
    except TestBroken as error:
        return None, [Probe.unknown(what, str(error), error.hint or "start it")]
    probes = [Probe.ok(what, f"{facts.version}, storage driver {facts.storage}")]
    if facts.unlimited:
        problem = f"it cannot limit {' and '.join(facts.unlimited)}, so a sandbox may use all of it"
        probes.append(
            Probe.warn(what, problem, "enable the cgroup controllers (see `docker info`), then restart Docker")
        )
    if facts.storage == "vfs":
        problem = "the storage driver vfs copies every image whole for each container"
        probes.append(Probe.warn(what, problem, "use overlay2 (`storage-driver` in /etc/docker/daemon.json)"))
    if facts.root.is_dir():
        free = shutil.disk_usage(facts.root).free
        if free < SPARE:
            problem = f"{facts.root} has {human_bytes(free)} free"
            probes.append(Probe.warn(what, problem, "free space there: `docker system df` shows what takes it"))
    return facts, probes


def state(services: Services, jobs: Sequence[Job]) -> Iterator[Probe]:
    """Whose it is, and whether what the plans' assets need fits there."""
    what, root = "state directory", services.state.root
    there = root
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        yield Probe.fail(
            what, f"{there} may not be written", "name a directory that you may write, with --state DIR or CCDR_STATE"
        )
        return
    if there == root:
        yield _owned(what, root)
    else:
        yield Probe.ok(what, f"{root} does not exist yet; ccdr makes it when it needs it")
    yield _room("free disk", there, jobs, services)
    yield memory()
    yield scratch(root / "scratch" if (root / "scratch").exists() else there)


def leftovers(services: Services, *, docker: bool) -> Iterator[Probe]:
    """What a run that was killed has left: restored data among it. restic's locks are told with the repository."""
    what = "leftovers"
    cleared = clear_leftovers(services, dry_run=True, docker=docker)
    if cleared.removed:
        shown = ", ".join(cleared.removed[:MOST_NAMED])
        more = f" and {len(cleared.removed) - MOST_NAMED} more" if len(cleared.removed) > MOST_NAMED else ""
        yield Probe.warn(what, f"of runs that were killed: {shown}{more}", "`ccdr sandbox reap` removes them")
    else:
        unasked = "no data of runs that were killed; Docker was not asked for their containers"
        yield Probe.ok(what, "none of runs that were killed" if docker else unasked)


def retired(state: State, plans: Collection[str]) -> Iterator[Probe]:
    """What is kept of plans that have no file any more, for long enough that nobody waits for them."""
    for path in kept(plans, state):
        problem = f"{path} is of a plan that has had no file for {DAYS} days or longer"
        yield Probe.warn(
            "retired plans", problem, f"put the plan back, or rm -r {path}; what the ledger says of it stays"
        )


def _owned(what: str, root: Path) -> Probe:
    status, me = root.stat(), os.geteuid()
    if status.st_uid != me:
        problem = f"{root} belongs to user {status.st_uid}, and ccdr runs as user {me}"
        return Probe.warn(
            what, problem, "always run ccdr as its owner: the owner cannot change what another user writes there"
        )
    if status.st_mode & 0o077:
        problem = f"other users can read {root} (mode {status.st_mode & 0o777:04o})"
        return Probe.fail(what, problem, f"chmod 700 {root}")
    return Probe.ok(what, f"{root}, for its owner alone")


def _room(what: str, place: Path, jobs: Sequence[Job], services: Services) -> Probe:
    needs = {f"{job.plan}/{job.asset}": need for job in jobs if (need := scratch_need(job, services))}
    usage = shutil.disk_usage(place)
    name, need = max(needs.items(), key=lambda n: n[1], default=("", 0))
    sentence = f"{human_bytes(usage.free)} free of {human_bytes(usage.total)} at {place}"
    wants = f"; {name}, the largest asset, takes up to {human_bytes(need)} of it" if need else ""
    do = "free space there, or name another place with --state"
    if usage.free < max(need, SPARE // 4):
        return Probe.fail(what, sentence + wants, do)
    if usage.free < 2 * need or usage.free < SPARE:
        return Probe.warn(what, f"{sentence}{wants}, and there is little room to grow", do)
    return Probe.ok(what, sentence + wants)


def scratch_need(job: Job, services: Services) -> int:
    """Bytes that testing the newest snapshot takes in scratch: as fetched, and dumped again to be compared."""
    known = services.catalogue.snapshots(job.plan, job.asset)
    if not known:
        return 0
    return int(known[-1].bytes * (2.1 if job.engine.in_sandbox else 1.05)) + 2**24


def memory() -> Probe:
    free = memory_available()
    sentence = f"{human_bytes(free)} available"
    if free < SPARE // 2:
        return Probe.warn("memory", sentence, "free memory: a sandbox's server needs half a GiB at the least")
    return Probe.ok("memory", sentence)


def scratch(path: Path) -> Probe:
    """Where fetched snapshots, customers' data, lie for as long as a test takes."""
    what, do = "scratch", "put STATE/scratch on tmpfs or on an encrypted volume (LUKS)"
    lies = at_rest(path)
    mount = lies.mount
    if mount is None:
        return Probe.unknown(what, f"this host does not say which device holds {path}", do)
    if lies.kept is Kept.IN_MEMORY:
        return Probe.ok(what, f"in memory ({mount.kind})")
    if lies.kept is Kept.ENCRYPTED:
        return Probe.ok(what, f"on an encrypted device ({mount.source})")
    if lies.kept is Kept.UNKNOWN:
        problem = f"on {mount.kind} ({mount.source}), and this host cannot see whether that is encrypted"
        return Probe.warn(what, problem, do)
    problem = f"during a test, restored data is unencrypted on {mount.source} ({mount.kind})"
    return Probe.warn(what, problem, do)


def called(plan: str, state: State, *, begun: bool) -> Iterator[Probe]:
    """Does cron, or a timer, call `ccdr run` for it? Nothing is said of a plan of which nothing was `begun` here."""
    what = "ccdr run"
    if has_come(plan, state):
        yield Probe.ok(what, "has come by itself here")
    elif begun:
        yield Probe.warn(what, NOT_YET, "`ccdr status PLAN` has the line that has cron call it")
