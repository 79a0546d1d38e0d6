"""One negative control: under the lock of the asset's restore tests, with a start and an end in the ledger."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from ccdr import __version__
from ccdr.checks.command import Command
from ccdr.evidence.records.controls import NegativeControlStart
from ccdr.evidence.records.restores import Sandbox, SandboxDisposal
from ccdr.host.files import remove_tree
from ccdr.jobs.job_run import JobRun
from ccdr.jobs.negative_control.files import damage_a_file
from ccdr.jobs.negative_control.result import CopyResult, NegativeControl
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.restore_test.result import RestoreTest
from ccdr.jobs.restore_test.sandboxed import Prepared, check_alone, prepared, restored_in_sandbox
from ccdr.jobs.restore_test.work import chosen
from ccdr.jobs.services import BY_HAND, Services, Trigger
from ccdr.model.damage import OF_FILES, Damage, NothingToDamage, in_turn
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken, failure_of
from ccdr.model.values import LATEST, CheckResult, Verdict, verdict_of
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import Disposal

SEEDS = 2**32
IDENTICAL = "identical"  # the kind of a check


def negative_control(
    job: Job,
    services: Services,
    progress: Progress,
    *,
    damage: Damage | None = None,
    seed: int | None = None,
    trigger: Trigger = BY_HAND,
) -> NegativeControl:
    """Restore the newest snapshot, whose checks must pass; damage that copy, and they must not. `damage` is chosen in
    turn unless said, and all of its choices follow from the `seed`.

    Locked is raised before anything is done. All else ends in a result and a record; an interrupt too, which is raised
    again.
    """
    repo = services.repository(job.loaded, job.limits)
    with (
        services.state.lock(job.plan, job.asset, "test"),
        services.state.reading(repo.location),
        contextlib.ExitStack() as undisturbed,
        services.state.run(services.clock) as run,
    ):
        control = NegativeControl(job.plan, job.asset, run.id, secrets.randbelow(SEEDS) if seed is None else seed)
        recorded = RecordedRun(services, job.loaded, job.asset, run.id, trigger)
        recorded.begin(NegativeControlStart, restore_tests=dict(job.loaded.restore_tests))
        work = _Work(JobRun(job, services, repo, run, progress), control, chosen_seed=seed is not None)
        with recorded.attempt(partial(_ended, control)):
            work.carry_out(damage)
        undisturbed.enter_context(recorded.conclusion())
        run.clear()
        work.finish()
        if control.words:
            services.state.keep_words(run.id, control.words)
        control.record = recorded.end(control.ended())
    return control


def _ended(control: NegativeControl, error: KeyboardInterrupt | Exception) -> None:
    if isinstance(error, KeyboardInterrupt):
        control.broke("interrupted")
        return
    control.repository = getattr(error, "repository", None)
    broken = failure_of(error)
    control.words += broken.words
    control.broke(broken.reason, broken.hint)


class _Work:
    """What is done in one, and what has to be told of it at its end."""

    def __init__(self, of: JobRun, control: NegativeControl, *, chosen_seed: bool) -> None:
        self._of, self._control, self._chosen_seed = of, control, chosen_seed
        self._courses = list[CourseOfTest]()

    def carry_out(self, damage: Damage | None) -> None:
        """Raises as a restore test does; returns with a result set."""
        control, course = self._control, self._course()
        snapshot, manifest = chosen(course, LATEST)
        control.snapshot = snapshot
        of = prepared(course, snapshot, manifest)
        possible = self._possible(course, damage)
        seen, live = CopyResult(), [kind for kind in possible[:1] if kind not in OF_FILES]
        control.healthy = seen
        with _judged(seen), restored_in_sandbox(course, of) as (context, _):
            seen.checks = self._checked(course, context)
            seen.verdict = verdict_of(seen.checks)
            if seen.verdict is Verdict.PASS and live:
                self._damage_what_was_loaded(course, context, [k for k in possible if k not in OF_FILES])
        if seen.verdict is Verdict.PASS and control.damage is None:
            self._damage_what_is_fetched(course, of, [k for k in possible if k in OF_FILES])
        if self._doubtful():
            self._without_damage(course, of)
        control.conclude()

    def _doubtful(self) -> bool:
        """Need what failed not be the damage? Another time of day may fail a query, and a program may fail where it
        has run before; that contents are not as captured tells of damage, unless a program could write to them."""
        damaged, checks = self._control.damaged, self._of.job.checks
        if damaged is None or damaged.verdict is not Verdict.FAIL:
            return False
        if not damaged.checks and not self._twice:
            return False  # it could not be fetched whole, or loaded
        compared = any(c.kind == IDENTICAL and c.status is Verdict.FAIL for c in damaged.checks)
        wrote = self._twice and any(isinstance(check, Command) for check in checks)
        return not compared or wrote

    @property
    def _twice(self) -> bool:
        """Was one copy checked, damaged, and checked again?"""
        return self._control.damage not in (None, *OF_FILES)

    def _without_damage(self, before: CourseOfTest, of: Prepared) -> None:
        """All of it once more, but for the damage."""
        self._make_room()
        course, seen = self._course(before), CopyResult()
        self._control.afterwards = seen
        with _judged(seen), restored_in_sandbox(course, replace(of, part="again")) as (context, _):
            seen.checks = self._checked(course, context)
            if self._twice:
                failed = [c for c in seen.checks if c.status is not Verdict.PASS]
                seen.checks = [*self._checked(course, replace(context, out=_emptied(context.out))), *failed]
            seen.verdict = verdict_of(seen.checks)

    def _make_room(self) -> None:
        for name in ("fetched", "out", "cache"):
            for left in self._of.run.scratch.glob(f"{name}*"):
                remove_tree(left)

    def _possible(self, course: CourseOfTest, damage: Damage | None) -> list[Damage]:
        of_engine = self._of.job.engine.damages
        if damage is not None:
            if damage not in (*OF_FILES, *of_engine):
                raise TestBroken(f"{damage.value} cannot be done to {self._of.job.engine.engine_name}")
            return [damage]
        # Live ones and files in turn, whatever an engine has: so that the first few are not all of one sort.
        return in_turn([*of_engine, *OF_FILES], course.history.controls, [*course.history.not_caught])

    def _seed(self, course: CourseOfTest, kind: Damage) -> None:
        """Where the same was not caught when it was last done, it is to be the same damage: another row may be one that
        the checks look at."""
        missed = course.history.not_caught.get(kind)
        if missed is not None and not self._chosen_seed:
            self._control.seed = int((missed.get("damage") or {}).get("seed") or 0)

    def _damage_what_was_loaded(self, course: CourseOfTest, context: CheckContext, kinds: list[Damage]) -> None:
        control, seen = self._control, CopyResult()
        for kind in kinds:
            with contextlib.suppress(NothingToDamage):
                self._seed(course, kind)
                course.progress.step(f"damaging the restored copy: {kind.value.replace('_', ' ')}")
                control.table = course.engine.damage(context, kind, Random(control.seed))  # noqa: S311 - to be repeated
                control.damage = kind
                break
        else:
            return
        control.damaged = seen
        with _judged(seen):
            seen.checks = self._checked(course, replace(context, out=_emptied(context.out)))
            seen.verdict = verdict_of(seen.checks)

    def _damage_what_is_fetched(self, before: CourseOfTest, of: Prepared, kinds: list[Damage]) -> None:
        """Fetched and restored once more, the same way but for the damage."""
        if not kinds:
            raise NothingToDamage("there is nothing in the snapshot that could be damaged so")
        control, seen, kind = self._control, CopyResult(), kinds[0]
        self._seed(before, kind)
        self._make_room()
        course = self._course(before)

        def damage(fetched: Path) -> None:
            damage_a_file(fetched, kind, Random(control.seed))  # noqa: S311 - to be repeated
            control.damage, control.damaged = kind, seen
            course.fetching = False

        again = replace(of, part="damaged", damage=damage)
        with _judged(seen), restored_in_sandbox(course, again) as (context, _):
            seen.checks = self._checked(course, context)
            seen.verdict = verdict_of(seen.checks)
        if control.damaged is None:  # it broke before anything was damaged
            raise TestBroken(f"it could not be fetched again: {seen.reason}", hint="run the control again")

    def _checked(self, course: CourseOfTest, context: CheckContext) -> list[CheckResult]:
        with course.phase("check", f"checking {course.job.asset}"):
            return check_alone(course, context)

    def _course(self, before: CourseOfTest | None = None) -> CourseOfTest:
        of, control = self._of, self._control
        test = RestoreTest(control.plan, control.asset, control.run, LATEST, basis=of.job.engine.settings)
        made = (
            CourseOfTest(of, test, None, None, of.services.clock.now())
            if before is None
            else replace(before, test=test, disposal=Disposal(done=True))
        )
        self._courses.append(made)
        return made

    def finish(self) -> None:
        """Times, sizes, and the proof that nothing is left of it."""
        control, run = self._control, self._of.run
        for course in self._courses:
            for name, seconds in course.test.phases.items():
                control.phases[name] += seconds
            control.sandbox = control.sandbox if course.test.sandbox == Sandbox() else course.test.sandbox
        control.bytes_restored = sum(self._of.repo.restored) or None
        control.tools = {"ccdr": __version__}
        with contextlib.suppress(CommandFailed):
            control.tools["restic"] = self._of.repo.version()
        left = [problem for one in self._courses for problem in one.disposal.problems] + run.problems
        control.disposal = SandboxDisposal(
            sandbox_gone=all(one.disposal.clean for one in self._courses),
            scratch_gone=not run.scratch.exists(),
            left_behind=left,
        )


def _emptied(out: Path) -> Path:
    """A new directory in there, for what a check writes: the first ones have left theirs."""
    for left in list(out.iterdir()):
        remove_tree(left)
    second = out / "second"
    second.mkdir()
    for directory in (out, second):  # the sandbox's user is not ours
        directory.chmod(0o777)
    return second


@contextlib.contextmanager
def _judged(seen: CopyResult) -> Iterator[None]:
    """What ends it early says of the copy what it would say of a backup."""
    try:
        yield
    except BackupBad as error:
        seen.verdict, seen.reason = Verdict.FAIL, str(error)
    except NothingToDamage:
        raise
    except TestBroken as error:
        seen.verdict, seen.reason = Verdict.INCONCLUSIVE, str(error)
