"""`ccdr demo`: the main job on a sample contact centre, from nothing to a proven restore, and a red one."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.backup import BackupResult
from ccdr.demo import store
from ccdr.demo.centre import Centre, open_centre
from ccdr.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.interfaces import Progress
from ccdr.model import Verdict
from ccdr.plans import LoadedPlan, load_plan
from ccdr.restore_test import RestoreTest, restore_test
from ccdr.sandbox.docker import Docker
from ccdr.services import Job, Services
from ccdr.state import remove_tree
from ccdr.together import backup_together
from ccdr.wiring import services

MARKER = ".ccdr-demo"  # only a directory that bears it is ever removed
PLAN, DAMAGED = "outbound", "damaged"

_PLAN = """\
plan: {name}
service: Outbound dialler (a sample)
owner: ops@callcentre.example
objectives: {{rpo: 1h, rto: 30m, mtd: 4h}}
repository:
  url: {url}
  password_file: secrets/repository.key{env}
assets:
  crm:
    engine: postgres
    group: calls        # captured together with the recordings
    method: dump
    connection: {{host: {sockets}, user: ccdr_backup, database: crm}}
    image: {image}      # what the source itself runs: the same locales, the same extensions
    backup: {{schedule: "*/30 * * * *"}}
    restore_test: {{schedule: "0 3 * * *", snapshot: latest, checks: [{checks}]}}
"""
_RECORDINGS = """\
  recordings:
    engine: files
    group: calls
    paths: [{recordings}]
    backup: {{schedule: "*/30 * * * *"}}
    restore_test: {{schedule: "30 3 * * 0", snapshot: latest, checks: [recordings]}}
"""


@dataclass
class Shown:
    """What the demo did: the second backups, the tests of the good repository, the test of the damaged copy."""

    work: Path
    backups: list[BackupResult] = field(default_factory=list)
    tests: list[RestoreTest] = field(default_factory=list)
    damaged: RestoreTest | None = None
    seconds: float = 0.0
    kept: bool = False

    @property
    def exit_code(self) -> Exit:
        """Showing the damaged copy's FAIL is success; anything but a FAIL of it is a finding."""
        codes = [b.exit_code for b in self.backups] + [t.exit_code for t in self.tests]
        if self.damaged is None or self.damaged.verdict is not Verdict.FAIL:
            codes.append(Exit.FINDING)
        return worst(codes)


def show(work: Path, progress: Progress, *, keep: bool) -> Shown:
    """Carry the demo out in `work`, afresh. Raises as the rooms it uses do."""
    began = time.monotonic()
    clean(work)
    work.mkdir(parents=True)
    (work / MARKER).touch()
    shown = Shown(work, kept=keep)
    own = services(work / "state")
    run = f"demo-{secrets.token_hex(3)}"
    with _running(work, run, progress, keep=keep) as (centre, server):
        loaded = _plan(work, centre, server)
        jobs = [Job(loaded, asset) for asset in loaded.plan.assets]
        for round_ in ("first", "second"):
            if round_ == "second":
                progress.step("2,000 more calls, 40 more recordings")
                centre.carry_on()
            progress.step(f"the {round_} backup of {' and '.join(job.asset for job in jobs)}, at the same time")
            together = backup_together(jobs, own, progress)
            for error in together.errors.values():
                raise error
            for asset, done in together.results.items():
                if done.reason is not None:
                    raise CcdrError(f"the {round_} backup of {asset} failed: {done.reason}", hint=done.hint)
                shown.backups.append(done)
        shown.tests = [restore_test(job, "latest", own, progress) for job in jobs]
        progress.step("damaging a copy of the repository")
        shown.damaged = _damaged_test(work, centre, own, jobs[0], progress)
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
    store.stop_left(work / "s3")
    for docker in (services(work / "state").lab.docker, _servers(work)):
        for leftover in docker.leftovers():
            if leftover.of(docker.state):
                docker.remove(leftover)
    if left := remove_tree(work):
        raise CcdrError("; ".join(left), hint="is a `ccdr demo --keep` still running? `docker ps` shows it")
    return True


def _servers(work: Path) -> Docker:
    """Labels of their own: `ccdr sandbox reap` must not take the server that `--keep` has left running."""
    return services(work / "servers").lab.docker


@contextlib.contextmanager
def _running(work: Path, run: str, progress: Progress, *, keep: bool) -> Iterator[tuple[Centre, store.Store]]:
    """Database server and S3 server, started side by side; both stopped at the end unless kept."""
    progress.step("starting a PostgreSQL server and an S3 server")
    server = store.start(work / "s3", outlive=keep)
    try:
        with open_centre(_servers(work), work, run, keep=keep) as centre, ThreadPoolExecutor(1) as pool:
            ready = pool.submit(server.bucket("ccdr-outbound").create_versioned, patience=store.PATIENCE)
            progress.step("filling the sample contact centre: 100,000 calls, 260 recordings")
            centre.begin()
            ready.result()
            yield centre, server
    except BaseException:
        server.stop()
        raise
    if not keep:
        server.stop()


def _plan(work: Path, centre: Centre, server: store.Store) -> LoadedPlan:
    """Write the sample plan and its restore tests, as a user would."""
    shutil.copytree(_examples(), work / "restore_tests")
    _secret(work / "plans" / "secrets" / "repository.key", secrets.token_urlsafe(24) + "\n")
    _secret(work / "plans" / "secrets" / "outbound.env", server.env_file())
    path = work / "plans" / f"{PLAN}.yaml"
    text = _PLAN.format(
        name=PLAN,
        url=f"s3:{server.endpoint}/ccdr-outbound",
        env="\n  env_file: secrets/outbound.env",
        sockets=centre.sockets,
        image=centre.image.name,
        checks="crm, calls",
    )
    path.write_text(text + _RECORDINGS.format(recordings=centre.recordings), "utf-8")
    return load_plan(path, work / "restore_tests")


def _damaged_test(work: Path, centre: Centre, own: Services, job: Job, progress: Progress) -> RestoreTest:
    """Copy the newest snapshot into a repository elsewhere, flip one byte of it, and test that copy."""
    place = work / DAMAGED
    snapshot = own.catalogue.snapshots(job.plan, job.asset)[-1]
    key = place / "plans" / "secrets" / "repository.key"
    _secret(key, (work / "plans" / "secrets" / "repository.key").read_text("ascii"))
    path = place / "plans" / f"{PLAN}.yaml"
    text = _PLAN.format(
        name=PLAN, url="../repository", env="", sockets=centre.sockets, image=centre.image.name, checks="crm"
    )
    path.write_text(text, "utf-8")
    loaded = load_plan(path, work / "restore_tests")
    elsewhere = services(place / "state")
    copy = Job(loaded, job.asset)
    target = elsewhere.repository(loaded, copy.limits)
    target.copy_from(own.repository(job.loaded, job.limits), snapshot.id)
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


def _examples() -> Path:
    """The restore tests that ship with ccdr: in the package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "restore_tests"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "restore_tests"


def _secret(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, "ascii")
