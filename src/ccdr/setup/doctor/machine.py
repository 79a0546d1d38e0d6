"""This host: programs and their versions, Docker, sandboxes, memory, the state directory, sources that answer, and who
may read a plan's secrets.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccdr import __version__
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.judgement.upkeep import package_of
from ccdr.host.at_rest import Kept, at_rest
from ccdr.host.processes import Host
from ccdr.host.secrets import SHORTEST, password
from ccdr.host.state import State
from ccdr.host.strength import weak
from ccdr.jobs.by_itself import NOT_YET, has_come
from ccdr.jobs.leftovers import DAYS, clear_leftovers, kept
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad, BackupFailed, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.trouble import next_step
from ccdr.model.values import Probe, human_bytes, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.lint import open_secret, secret_files
from ccdr.plans.package_place import misplaced
from ccdr.ports.place import Unwatched
from ccdr.ports.restored import SandboxNeeds
from ccdr.sandbox.docker import Docker, DockerFacts, Image
from ccdr.sandbox.lab import Lab, memory_available

# Who may read a plan's secrets, and who could change them or the plan.


def secrets(loaded: LoadedPlan, host: Host, *, sources: bool) -> Iterator[Probe]:
    """`sources`: those of the sources too, which a host that only tests does not have."""
    what = "secrets"
    named = {path: where for where, path in secret_files(loaded.plan) if sources or where[0] != "assets"}
    bad = False
    for path in named:
        if fault := open_secret(path):
            refusal, _, do = fault.partition(": ")
            yield Probe.fail(what, f"the plan {refusal}", do)
        elif foreign := _foreign(path):
            yield Probe.warn(what, f"{path} belongs to {foreign}, who may replace it", f"chown {os.geteuid()} {path}")
        else:
            continue
        bad = True
    for path in (*named, loaded.path):
        for place, mode in _changeable(path):
            bad = True
            problem = f"other users can replace {path}: {place} has mode {mode:04o}"
            yield Probe.fail(what, problem, f"chmod go-w {place}")
    if not bad:
        count = so_many(len(named), "file") if named else "no files"
        yield Probe.ok(what, f"{count}, readable by their owner alone; nobody else can replace them or the plan")
    yield _password(loaded, host)


def _password(loaded: LoadedPlan, host: Host) -> Probe:
    what, better = "repository password", "make a longer one: head -c 32 /dev/urandom | base64, by `restic key passwd`"
    try:
        secret = password(loaded.plan.repository, host, what="repository", shortest=SHORTEST)
    except UsageProblem as error:
        return Probe.fail(what, str(error), error.hint or better)
    except CcdrError as error:
        return Probe.unknown(what, str(error), error.hint or better)
    length = len(secret or "")
    if weak(secret or "", of_repository=True):
        return Probe.warn(what, f"{length} characters: so short that somebody can guess it", better)
    return Probe.ok(what, f"{length} characters")


def _foreign(path: Path) -> str | None:
    owner = path.stat().st_uid
    return None if owner in (os.geteuid(), 0) else f"user {owner}"


def _changeable(path: Path) -> Iterator[tuple[Path, int]]:
    """The file itself and every directory above it, those that others may write to. What a directory with the
    sticky bit holds (/tmp) only its owner can replace; a group that has its owner's number is that user's own."""
    whole = Path(os.path.realpath(path))
    for place in (whole, *whole.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        shared = 0o022 if status.st_gid not in (0, status.st_uid) else 0o002
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & shared and not sticky:
            yield place, stat.S_IMODE(status.st_mode)


# Where backups are restored for a test: image, version, room.


@dataclass
class Majors:
    """Which version each image holds, asked of each once: many assets share one."""

    _known: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, job: Job, image: Image, services: Services) -> str | None:
        key = (job.engine.engine_name, image.id)
        with self._lock:
            if key not in self._known:
                with services.state.run(services.clock) as run:  # its name tells the reaper that it is in use
                    self._known[key] = services.lab.major_in(job.engine, image, run.id)
            return self._known[key]


def sandbox(job: Job, services: Services, daemon: DockerFacts | None, majors: Majors) -> Iterator[Probe]:
    """Nothing for an asset that is not tested, or is tested without a sandbox; unless another asset's test needs one
    to look at it."""
    what, engine = "sandbox", job.engine
    tested = engine.restore_test is not None and (engine.in_sandbox or any(c.needs_sandbox for c in job.checks))
    if not tested and not job.looked_into_beside:
        return
    if daemon is None:
        yield Probe.unknown(what, "Docker does not answer, and restore tests need it", "start Docker")
        return
    needs = _needs(job, services)
    major = needs.major if needs else None
    candidates = engine.image_candidates(major)
    image = services.lab.docker.find(engine.image, candidates)
    if image is None:
        names = engine.image or " or ".join(candidates[:2])
        yield Probe.fail(
            what, f"there is no image {names} on this host", f"docker pull {names.split()[0]}, or make images"
        )
        return
    held = majors.of(job, image, services)
    if engine.in_sandbox and held is None:
        yield Probe.fail(what, f"{image.name} holds no client of {engine.engine_name}", "name another with `image:`")
    elif engine.has_server and major is not None and held != major:
        problem = f"{image.name} holds version {held}, the newest backup is of {major}"
        yield Probe.fail(what, problem, f"name an image of major version {major} with `image:`")
    else:
        yield Probe.ok(what, f"{image.name}" + (f", version {held}, as the source" if held and major else ""))
    if needs is not None:
        yield _room(job, needs, daemon)


def _needs(job: Job, services: Services) -> SandboxNeeds | None:
    """What testing the newest snapshot needs; None where there is none, or its catalogue entry is damaged."""
    known = services.catalogue.snapshots(job.plan, job.asset)
    try:
        return job.engine.sandbox(services.catalogue.manifest(known[-1])) if known else None
    except BackupBad:
        return None


def _room(job: Job, needs: SandboxNeeds, daemon: DockerFacts) -> Probe:
    what = "room for a sandbox"
    data = f"up to {human_bytes(needs.bytes)} of data" if needs.bytes else "almost no data"
    size = f"{data} and {human_bytes(needs.memory)} of memory beside it"
    try:
        on_disk = Lab.on_disk(needs, job.engine.storage)
    except TestBroken as error:
        return Probe.fail(what, str(error), error.hint or "free memory")
    if not needs.data_dir or not on_disk:
        return Probe.ok(what, f"{size}: fits into memory")
    if not _is_here(daemon.root):
        return Probe.ok(what, f"{size}: the data goes to Docker's own disk")
    free = shutil.disk_usage(daemon.root).free
    if free < needs.bytes:
        problem = f"{size}, and {daemon.root} has {human_bytes(free)} free"
        return Probe.fail(what, problem, "free space there, or give this host more memory")
    return Probe.ok(what, f"{size}: the data goes to disk ({human_bytes(free)} free at {daemon.root})")


def _is_here(path: Path) -> bool:
    return path.is_dir()


# Where backups come from: does it answer, let us in, and let us read everything?

PATIENCE = 20.0  # seconds that one question to the source may take


def source(job: Job, services: Services) -> Iterator[Probe]:
    what = "source"
    with services.state.run(services.clock) as run:
        credentials, into = run.directory("credentials"), run.directory("into")
        try:
            services.write_credentials(job, credentials)
            with services.lab.source(job.engine, run.id, into, credentials, PATIENCE, Unwatched()) as (place, facts):
                kind = f"{job.engine.engine_name} {facts.version}" if job.engine.has_server else "there"
                yield Probe.ok(what, f"{job.engine.source_name}: {kind}")
                yield from job.engine.rights(place)
        except UsageProblem as error:
            yield Probe.unknown(what, str(error), error.hint or "put the password where the plan says")
        except BackupFailed as error:  # it can be told, and no backup would succeed
            yield Probe.fail(what, str(error), error.hint or "change the plan, or the source")
        except CommandFailed as error:
            failure = str(error)
            if job.engine.refused(error.stderr):
                secret = job.engine.secret()
                failure += (
                    f"; its password is from file {secret.password_file}" if secret and secret.password_file else ""
                )
                yield Probe.fail(what, failure, "check `connection:`, its password, and the server's access rules")
            else:
                yield Probe.unknown(what, failure, "check that the source runs, and that this host can reach it")
    for problem in run.problems:
        yield Probe.fail("scratch", problem, "`ccdr sandbox reap` removes it")


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
    yield _machine_room("free disk", there, jobs, services)
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


def _machine_room(what: str, place: Path, jobs: Sequence[Job], services: Services) -> Probe:
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


def package(loaded: LoadedPlan, services: Services, histories: Histories) -> Iterator[Probe]:
    """Nothing of a plan that has none written for a group."""
    if (wanted := loaded.plan.package) is None:
        return
    what, plan, good = "package", loaded.plan.plan, True
    for problem in misplaced(loaded, services.state.root):
        sentence, _, do = problem.message.partition(": ")
        good = False
        yield Probe.fail(what, f"{problem.path} {sentence}", do)
    for late in package_of(loaded, histories.get((plan, None), AssetHistory()), services.clock.now()):
        good = False
        yield Probe.fail(what, late.text, next_step(late.trouble, plan, None) or "")
    if good:
        yield Probe.ok(what, f"{wanted.directory}, for the group {wanted.group}")


def called(plan: str, state: State, *, begun: bool) -> Iterator[Probe]:
    """Does cron, or a timer, call `ccdr run` for it? Nothing is said of a plan of which nothing was `begun` here."""
    what = "ccdr run"
    if has_come(plan, state):
        yield Probe.ok(what, "has come by itself here")
    elif begun:
        yield Probe.warn(what, NOT_YET, "`ccdr status PLAN -v` has the line that has cron call it")
