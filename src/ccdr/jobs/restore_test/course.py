"""The course of one restore test: what it was asked for, which snapshot that is, and the measured part: fetched, loaded
and checked in a sandbox, which is then disposed of.
"""

from __future__ import annotations

import contextlib
import random
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ccdr.checks.base import run_check
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import LATE_GRACE, LATE_INTERVALS
from ccdr.evidence.log_standing import read_standing
from ccdr.host.clock import timed
from ccdr.host.interrupts import threads, tick
from ccdr.host.state import Run
from ccdr.jobs.companions import Alongside
from ccdr.jobs.erasure.replay import Outcome, rehearse
from ccdr.jobs.fetch import (
    Candidates,
    candidates,
    fetch,
    fetch_bases,
    none_counts,
)
from ccdr.jobs.restore_test.result import READABLE, RESTORED, RestoreTest
from ccdr.jobs.services import JobRun, Services, recorded_sandbox
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.jobs.shipping.ship import SHIP
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, LogNotYet, TestBroken
from ccdr.model.finding import Finding
from ccdr.model.values import CheckResult, Manifest, Snapshot, human_seconds
from ccdr.plans.job import Job
from ccdr.ports.capture import WHOLE
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import Engine
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.ports.restored import SandboxNeeds
from ccdr.sandbox import isolation
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import NOT_AS_ASKED, Disposal, Image
from ccdr.sandbox.lab import (
    SandboxOrder,
    given_inside,
    made_below,
    memory_available,
    readable_inside,
    room_for,
)
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


@dataclass
class CourseOfTest:
    """One restore test under way. `at` is the point to recover to by the log, `base` the id that somebody named for
    that; `answered`: the repository has said what it holds; `parents` are what the snapshot builds upon."""

    of: JobRun
    test: RestoreTest
    at: RecoveryTarget | None
    base: str | None
    began: datetime
    answered: bool = False
    fetching: bool = False
    synchronised: Synchronised = field(default_factory=Synchronised)
    history: AssetHistory = field(default_factory=AssetHistory)  # the asset's
    upkeep: AssetHistory = field(default_factory=AssetHistory)  # the plan's own
    parents: list[tuple[Snapshot, Manifest]] = field(default_factory=list)
    recovery: Recovery | None = None
    alongside: Alongside | None = None
    disposal: Disposal = field(default_factory=lambda: Disposal(done=True))
    look: str | None = None  # the line by which a person looks at what was restored, where that is kept

    @property
    def job(self) -> Job:
        return self.of.job

    @property
    def services(self) -> Services:
        return self.of.services

    @property
    def repo(self) -> Restic:
        return self.of.repo

    @property
    def run(self) -> Run:
        return self.of.run

    @property
    def progress(self) -> Progress:
        return self.of.progress

    @property
    def engine(self) -> Engine:
        return self.job.engine

    @contextlib.contextmanager
    def phase(self, name: str, text: str) -> Iterator[None]:
        self.progress.step(text)
        with timed(self.services.clock, self.test.phases, name):
            yield

    @property
    def candidates(self) -> Candidates:
        return candidates(self.job, self.services, self.synchronised)

    def older(self, snapshot: Snapshot) -> list[Snapshot]:
        """Those older than it that could be restored instead."""
        snapshots = self.candidates
        usable = chain.usable(snapshots.good, snapshots.there, self.history.disproved)
        return [s for s in usable if s.consistent_point < snapshot.consistent_point]


# Which snapshot a restore test restores, by the rule or the point that it was asked for.


def by_rule(course: CourseOfTest, selection: str) -> Snapshot:
    """The latest, the oldest, one at random; or the one whose id, or its beginning, was named."""
    job, test = course.job, course.test
    snapshots = course.candidates
    good = snapshots.good
    if snapshots.there[-1:] != snapshots.ours[-1:]:
        text = "the newest snapshot is from another source than the plan names now"
        test.findings.append(Finding(text, "another source"))
    if selection in ("latest", "oldest", "random") and not good:
        reason, first = none_counts(job, course.synchronised)
        raise BackupBad(reason, hint=f"{f'{first}, and ' if first else ''}run `ccdr backup {job.plan}`")
    if selection == "latest":
        chosen = good[-1]
    elif selection == "oldest":
        chosen = good[0]
    elif selection == "random":
        test.seed = random.SystemRandom().randrange(2**32)
        chosen = random.Random(test.seed).choice(good)  # noqa: S311 - recorded, so that it can be repeated
    else:
        chosen = snapshots.by_id(job, selection)
    test.snapshot = chosen
    return chosen


def by_point(course: CourseOfTest, target: RecoveryTarget) -> Snapshot:
    """The newest good base before the target, or the one that was named; the log that leads there with it."""
    job, test = course.job, course.test
    snapshots = course.candidates
    usable = chain.usable(snapshots.good, snapshots.there, course.history.disproved)
    if snapshots.good and not usable:
        why = (
            chain.lacks(snapshots.good[-1], snapshots.there)
            or "each, or a snapshot that it depends on, failed its last restore test"
        )
        raise BackupBad(f"there is no base to recover from: {why}", hint=f"run `ccdr backup {job.plan}`")
    if course.base is not None:
        usable = the_base(snapshots.by_id(job, course.base), usable)
    course.recovery = _leading_on(course, usable, target)
    test.snapshot, test.recovery = course.recovery.choice.base, course.recovery.facts()
    return course.recovery.choice.base


def _leading_on(course: CourseOfTest, usable: Sequence[Snapshot], target: RecoveryTarget) -> Recovery:
    """As `Recovery.prepared`. Right after a backup nothing that is stored leads on from it: that is waited for while a
    process here ships it, for as long as its log is not late."""
    job, services = course.job, course.services
    every = job.engine.shipping.interval if job.engine.shipping is not None else 0.0
    until = services.clock.monotonic() + LATE_INTERVALS * every + LATE_GRACE

    def may_come() -> bool:
        return services.state.held(job.plan, job.asset, SHIP) and services.clock.monotonic() < until

    while True:
        stood = read_standing(services.state, job.plan, job.asset)
        try:
            return Recovery.prepared(job, services, usable, target, course.run, course.progress)
        except LogNotYet:
            if not may_come():
                raise
        course.progress.step(f"waiting for log that leads on from the newest base (each {human_seconds(every)})")
        while may_come() and read_standing(services.state, job.plan, job.asset) == stood:
            tick()
            time.sleep(1)


# The measured part of a restore test: fetched, loaded and checked in a sandbox, which is then disposed of.


@dataclass(frozen=True)
class Prepared:
    """What is restored, and the sandbox that it needs with the image for it; both None where none is needed. A run that
    restores it more than once names each `part`; `damage` is what a negative control does to the directory that it was
    fetched into, before it is loaded."""

    snapshot: Snapshot
    manifest: Manifest
    needs: SandboxNeeds | None = None
    image: Image | None = None
    part: str = ""
    damage: Callable[[Path], None] | None = None

    def directory(self, course: CourseOfTest, name: str) -> Path:
        return course.run.directory(f"{name}-{self.part}" if self.part else name)


@dataclass(frozen=True)
class SandboxResults:
    """What came of it: the asset's own results, those of comparing it with others, the seconds of its recovery, and
    what came of replaying the register of erasures."""

    own: list[CheckResult]
    compared: list[CheckResult]
    seconds: float
    erased: Outcome | None = None


def prepared(course: CourseOfTest, snapshot: Snapshot, manifest: Manifest) -> Prepared:
    """Everything that is not part of a restore: is there an image, and room."""
    again = snapshot.bytes if course.engine.in_sandbox else 0  # the second dump or copy, to compare
    room_for(course.run.scratch, int((snapshot.bytes + again) * 1.05) + 2**24)
    if not course.engine.in_sandbox and not any(c.needs_sandbox for c in course.job.checks):
        return Prepared(snapshot, manifest)
    needs = course.engine.sandbox(manifest)
    course.progress.step("finding the sandbox's image")
    return Prepared(snapshot, manifest, needs, course.services.lab.image(course.engine, needs))


def restore_and_check(course: CourseOfTest, of: Prepared) -> SandboxResults:
    """The measured part: provision beside fetch, load, check. Then, with the asset's own recovery over, what compares
    it with others; then the sandbox is disposed of, that timed too."""
    services, test, asset = course.services, course.test, course.job.asset
    began = services.clock.monotonic()
    with restored_in_sandbox(course, of) as (context, results):
        test.answering_s = services.clock.monotonic() - began
        test.proof = RESTORED
        with course.phase("check", f"checking {asset}"):
            results += check_alone(course, context)
        seconds = services.clock.monotonic() - began
        compared = _compare(course, of.snapshot, context)
        erased = rehearse(course.of, course.synchronised.listed, of.snapshot, of.manifest, context)
        if erased is not None:  # a recovery for real has to do it, too
            test.phases["check"] += erased.seconds
            seconds += erased.seconds
        disposing = services.clock.monotonic()
    test.phases["dispose"] += services.clock.monotonic() - disposing
    return SandboxResults(results, compared, seconds, erased)


@contextlib.contextmanager
def restored_in_sandbox(course: CourseOfTest, of: Prepared) -> Iterator[tuple[CheckContext, list[CheckResult]]]:
    """What was restored, for checks to look at while the context lasts, and the results that there are by then."""
    services = course.services
    fetched, out = of.directory(course, "fetched"), of.directory(course, "out")
    restored = Path(f"{fetched}{of.snapshot.root}")
    with contextlib.ExitStack() as stack:
        box, results = _provided_and_fetched(course, of, stack, fetched, out)
        with course.phase("load", f"loading {course.job.asset}"):
            if course.engine.in_sandbox and box is not None:
                box, applied = _load(course, of, stack, box, fetched, restored, out)
                results += applied
                argv = course.engine.shell(box, of.manifest)
                course.look = shlex.join(["docker", "exec", "-it", f"ccdr-{course.run.id}", *argv])
            elif not course.engine.in_sandbox:
                course.look = f"cd {shlex.quote(str(fetched))}"
        recovered, reached = course.recovery is not None, course.recovery.moment if course.recovery else None
        context = CheckContext(
            of.manifest, fetched, restored, out, box, services.host, services.digest, recovered, reached
        )
        yield context, results


def _provided_and_fetched(
    course: CourseOfTest, of: Prepared, stack: contextlib.ExitStack, fetched: Path, out: Path
) -> tuple[Box | None, list[CheckResult]]:
    """Side by side: both wait more than they work. The fetch may be long, so it is what an interrupt meets."""
    results: list[CheckResult] = []

    def provide() -> Box | None:
        with course.phase("provision", f"providing a sandbox for {course.job.asset}"):
            if of.needs is None or of.image is None:
                return None
            box = _open(course, stack, of, fetched, out)
            course.engine.start(box, of.manifest)
            return box

    with threads(1) as pool:
        providing = pool.submit(provide)
        with course.phase("fetch", f"fetching {of.snapshot.short}"):
            _fetch(course, of, fetched)
            if course.recovery is not None:
                results.append(course.recovery.fetch(fetched, course.run.directory("log-cache"), course.services))
        return providing.result(), results


def _load(
    course: CourseOfTest,
    of: Prepared,
    stack: contextlib.ExitStack,
    box: Box,
    fetched: Path,
    restored: Path,
    out: Path,
) -> tuple[Box, list[CheckResult]]:
    """The sandbox it is in, and what the log gave, where that is applied to it."""
    services, needs = course.services, of.needs
    assert needs is not None
    in_place = services.lab.in_place(needs, course.job.engine.storage)
    readable_inside(services.host, fetched)

    def given(to: Box) -> Box:
        if in_place:
            given_inside(services.host, to, out, [restored / name for name in needs.in_place])
        return to

    def reopened(outside: Mapping[str, str]) -> Box:
        """As the log wants it: a container's paths are made with it."""
        nonlocal box
        if in_place:
            paths = made_below(restored / WHOLE if of.manifest.upon else restored, outside)
        else:
            uid, gid = box.run(["sh", "-c", "id -u; id -g"]).stdout.split()
            paths = dict.fromkeys(outside, f"mode=0700,uid={uid},gid={gid}")
        box.keep = False
        stack.close()
        box = _open(course, stack, of, fetched, out, paths)
        course.engine.start(box, of.manifest)
        return given(box)

    given(box)
    if course.recovery is None:
        course.engine.load(box, restored, of.manifest)
        return box, []
    applied = course.recovery.carry_out(course.engine, box, restored, fetched, of.manifest, reopened)
    course.test.recovery = course.recovery.facts()
    return box, [applied]


def _open(
    course: CourseOfTest,
    stack: contextlib.ExitStack,
    of: Prepared,
    fetched: Path,
    out: Path,
    outside: Mapping[str, Path | str] = {},
) -> Box:
    needs, image = of.needs, of.image
    assert needs is not None and image is not None
    course.disposal = Disposal(problems=course.disposal.problems)
    box = stack.enter_context(
        course.services.lab.sandbox(
            needs,
            image,
            SandboxOrder(
                run=course.run.id,
                part=of.part,
                fetched=fetched,
                out=out,
                storage=course.job.engine.storage,
                no_progress=course.job.limits.no_progress,
                keep=course.run.kept_until is not None,
                outside=outside,
            ),
            course.disposal,
        )
    )
    course.test.sandbox = recorded_sandbox(image, box, memory_available())
    if box.differs:
        course.test.findings.append(isolation.found_open(box.differs))
        raise TestBroken(isolation.not_shut_off(box.differs), hint=NOT_AS_ASKED)
    return box


def _fetch(course: CourseOfTest, of: Prepared, fetched: Path) -> None:
    # With an empty cache, as after a disaster: the backup's own cache would hide that metadata is damaged.
    repo = course.repo.with_cache(of.directory(course, "cache"))
    course.fetching = True
    restored = fetch(repo, course.engine, of.snapshot, of.manifest, fetched, course.progress, delivered=of.damage)
    try:
        fetch_bases(repo, course.engine, course.parents, restored, course.progress)
    except BackupBad as error:
        if of.damage is None:
            raise
        raise TestBroken(f"what the damaged copy depends on could not be fetched: {error}", hint=error.hint) from None
    course.fetching = False
    course.engine.complete(fetched, restored, of.manifest)
    course.test.proof = READABLE


def check_alone(course: CourseOfTest, context: CheckContext) -> list[CheckResult]:
    results: list[CheckResult] = []
    opened = course.engine.in_sandbox
    for check in (c for c in course.job.checks if c.beside is None):
        course.progress.step(f"checking {course.job.asset}: {check.label}")
        if check.needs_sandbox and not opened:
            readable_inside(course.services.host, context.fetched)
            opened = True
        results += run_check(check, course.engine, context)
    return results


def _compare(course: CourseOfTest, snapshot: Snapshot, context: CheckContext) -> list[CheckResult]:
    """What looks at another asset too, restored beside this one."""
    checks, recovery = [c for c in course.job.checks if c.beside is not None], course.recovery
    if not checks:
        return []
    course.alongside = Alongside(
        course.of,
        course.synchronised,
        snapshot,
        point=snapshot.consistent_point if recovery is None else recovery.moment,
        recovered=recovery is not None,
        latest=course.test.selected == "latest",
    )
    with course.alongside as others:
        results = [r for check in checks for r in others.compare(check, course.engine, context)]
    course.test.others, course.test.private = others.recorded(), others.private
    course.test.findings += others.findings
    return results
