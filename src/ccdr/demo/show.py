"""`ccdr demo`: the main job on a sample contact centre, from nothing to a proven restore, and a red one.

What is independent is done side by side, as `ccdr run` does it: so every time that is shown was measured beside others.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ccdr.demo import audited, evidence, plan, store
from ccdr.demo.centre import CALLER, Centre, Home, open_centre
from ccdr.demo.images import Images
from ccdr.demo.needs import find_needs
from ccdr.evidence.history.kinds import CAUGHT
from ccdr.host.files import remove_tree
from ccdr.host.interrupts import side_by_side, threads
from ccdr.jobs.backup import BackupResult, backup
from ccdr.jobs.group_backup import GroupResult, backup_together
from ccdr.jobs.negative_control import NegativeControl, negative_control
from ccdr.jobs.restore_test import AT, RestoreTest, restore_test
from ccdr.jobs.services import Services
from ccdr.jobs.shipping import background
from ccdr.jobs.shipping.ship import ship
from ccdr.model.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.model.values import Verdict
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import Docker
from ccdr.storage import copying
from ccdr.wiring import services

MARKER = ".ccdr-demo"  # only a directory that bears it is ever removed
DAMAGED = "damaged"
AT_ONCE = 3  # backups, or tests: on two cores, since each waits now and then


@dataclass
class Shown:
    """What the demo did, each list in the plan's order: two rounds of backups (an asset whose log is shipped has one),
    the tests, the test of a damaged copy, and the negative control of one of them. `held` is what each tested snapshot
    holds."""

    work: Path
    loaded: LoadedPlan
    rounds: list[list[BackupResult]] = field(default_factory=list)
    group: GroupResult | None = None
    tests: list[RestoreTest] = field(default_factory=list)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    damaged: RestoreTest | None = None
    control: NegativeControl | None = None
    approver: evidence.Approver | None = None
    audited: audited.Audited | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    kept: bool = False

    @property
    def exit_code(self) -> Exit:
        """Showing the damaged copy's FAIL is success; anything but a FAIL of it is a finding."""
        codes = [b.exit_code for round_ in self.rounds for b in round_] + [t.exit_code for t in self.tests]
        if self.damaged is None or self.damaged.verdict is not Verdict.FAIL:
            codes.append(Exit.FINDING)
        if self.control is None or self.control.result != CAUGHT or self.notes:
            codes.append(Exit.FINDING)
        return worst(codes)


def show(work: Path, progress: Progress, *, keep: bool) -> Shown:
    """Carry the demo out in `work`, afresh. Raises as the rooms it uses do."""
    began = time.monotonic()
    clean(work)
    docker = servers_of(work)
    images = find_needs(docker)
    work.mkdir(parents=True)
    (work / MARKER).touch()
    own = services(work / "state")
    home = Home(docker, work.absolute(), f"demo-{secrets.token_hex(3)}", keep)
    signer = evidence.approver(work)
    users = audited.Identities.new()
    with running(home, images, progress, users) as (centre, server):
        planted = own.clock.now()
        loaded = plan.write_plan(work, centre, images, server, own, signer.block if signer is not None else "")
        shown = Shown(work, loaded, kept=keep, approver=signer)
        evidence.approved(loaded, own, signer)
        auditor = audited.prepared(work, server, users, own)
        jobs = [Job(loaded, asset) for asset in loaded.plan.assets]
        progress.step(f"the first backup of {len(jobs)} stores")
        round_of(shown, jobs, own, progress)
        progress.step("2,000 more calls, 40 more recordings; the dialler dials, callers come and go")
        centre.carry_on()
        progress.step("the second backup; the server's log is shipped instead")
        round_of(shown, [job for job in jobs if job.engine.shipping is None], own, progress)
        progress.step("a caller is erased at the switchboard, and stands in the register of erasures")
        centre.switchboard.erase(CALLER)
        evidence.erased(loaded, own, planted, signer)
        progress.step("restoring all of it into sandboxes, and a copy with one byte flipped")
        shown.damaged, *shown.tests = side_by_side(
            [
                partial(_damaged_test, home.directory, centre, images, own, jobs[0], progress),
                *(partial(_test, job, own, progress) for job in jobs),
            ],
            AT_ONCE,
        )
        (controlled,) = [job for job in jobs if job.control is not None]
        progress.step(f"damaging a restored copy of {controlled.asset}, which its test must find")
        shown.control = negative_control(controlled, own, progress)
        shown.notes += evidence.looked_after(loaded, own, progress)
        for test in shown.tests:
            shown.held[test.asset] = _held(own, Job(loaded, test.asset), test)
        progress.step("a package of the evidence, verified by an auditor's key and a locked bucket")
        shown.audited, failed = audited.audited(auditor)
        shown.notes += failed
    shown.seconds = time.monotonic() - began
    return shown


def clean(work: Path) -> bool:
    """Remove an earlier demo and stop what still runs of it; False where there is none.

    UsageProblem for a directory that is not a demo's.
    """
    if not work.exists():
        return False
    if not (work / MARKER).is_file():
        raise UsageProblem(f"{work} is not a demo's directory", hint="move it away, or call ccdr from elsewhere")
    own = services(work / "state")
    background.stop(own.state)  # that `ccdr run` has started, where the servers were kept
    store.stop_left(work / "s3")
    for docker in (own.lab.docker, servers_of(work)):
        for leftover in docker.leftovers():
            if leftover.of(docker.state):
                docker.remove(leftover)
    if left := remove_tree(work):
        raise CcdrError("; ".join(left), hint="is a `ccdr demo --keep` still running? `docker ps` shows it")
    return True


def servers_of(work: Path) -> Docker:
    """Labels of their own: `ccdr sandbox reap` must not take the servers that `--keep` has left running."""
    return services(work / "servers").lab.docker


@contextlib.contextmanager
def running(
    home: Home, images: Images, progress: Progress, users: audited.Identities | None = None
) -> Iterator[tuple[Centre, store.DemoStore]]:
    """The contact centre and an S3 server, started side by side; all stopped at the end unless kept. `users` are the
    server's beside the demo's own."""
    progress.step("starting PostgreSQL, MariaDB, Redis and an S3 server; 100,000 calls, 260 recordings and more")
    server = store.start(home.directory / "s3", outlive=home.keep, beside=users.beside() if users else None)
    try:
        with threads(1, stopped_by=BaseException) as pool:  # a server that never answers is not waited for
            ready = pool.submit(server.bucket(plan.BUCKET).create_versioned, patience=store.PATIENCE)
            with open_centre(home, images, secrets.token_urlsafe(16)) as centre:
                ready.result()
                yield centre, server
    except BaseException:
        server.stop()
        raise
    if not home.keep:
        server.stop()


def round_of(shown: Shown, jobs: Sequence[Job], own: Services, progress: Progress) -> None:
    """Back these assets up, those of a group at the same instant."""
    together = [job for job in jobs if job.grouped]

    def group() -> list[BackupResult]:
        shown.group = backup_together(together, own, progress)
        for error in shown.group.errors.values():
            raise error
        return list(shown.group.results.values())

    def alone(job: Job) -> list[BackupResult]:
        return [backup(job, own, progress)]

    work: list[Callable[[], list[BackupResult]]] = [group, *(partial(alone, job) for job in jobs if not job.grouped)]
    done = {result.asset: result for results in side_by_side(work, AT_ONCE) for result in results}
    for result in done.values():
        if result.reason is not None:
            raise CcdrError(f"the backup of {result.asset} failed: {result.reason}", hint=result.hint)
    shown.rounds.append([done[job.asset] for job in jobs])


def _test(job: Job, own: Services, progress: Progress) -> RestoreTest:
    """As the plan says: the newest snapshot, or the newest base and all of the log that there is by now."""
    if job.engine.shipping is None:
        return restore_test(job, "latest", own, progress)
    ship(job, own, progress, once=True)
    return restore_test(job, AT, own, progress, at=RecoveryTarget())


def _held(own: Services, job: Job, test: RestoreTest) -> dict[str, int]:
    return {} if test.snapshot is None else dict(job.engine.holds(own.catalogue.manifest(test.snapshot)))


def _damaged_test(
    work: Path, centre: Centre, images: Images, own: Services, job: Job, progress: Progress
) -> RestoreTest:
    """Copy the newest snapshot into a repository elsewhere, flip one byte of it, and test that copy."""
    place = work / DAMAGED
    snapshot = own.catalogue.snapshots(job.plan, job.asset)[-1]
    copy = Job(plan.write_damaged(place, work, centre, images), job.asset)
    elsewhere = services(place / "state")
    target = elsewhere.repository(copy.loaded, copy.limits)
    source = own.repository(job.loaded, job.limits)
    copying.init_like(target, source, place)
    copying.copy(target, source, [snapshot.id], place)
    _flip_a_byte(place / "repository")
    return restore_test(copy, "latest", elsewhere, progress)


def _flip_a_byte(repository: Path) -> None:
    """In the middle of the largest pack: no size, no name and no date tells of it."""
    pack = max((p for p in (repository / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
