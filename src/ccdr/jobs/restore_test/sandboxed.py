"""The measured part of a restore test: fetched, loaded and checked in a sandbox, which is then disposed of."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.checks.base import run_check
from ccdr.host.interrupts import threads
from ccdr.jobs.companions import Alongside
from ccdr.jobs.erasure.in_test import rehearse
from ccdr.jobs.erasure.replaying import Outcome
from ccdr.jobs.fetch import (
    fetch,
    fetch_bases,
)
from ccdr.jobs.job_run import recorded_sandbox
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.restore_test.result import READABLE, RESTORED
from ccdr.model.errors import BackupBad, TestBroken
from ccdr.model.values import CheckResult, Manifest, Snapshot
from ccdr.ports.capture import WHOLE
from ccdr.ports.check import CheckContext
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
