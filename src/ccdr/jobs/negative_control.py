"""Tests the restore tests: a copy of the newest snapshot is damaged on purpose, and the asset's checks must find it.

The same copy undamaged must pass in the same run, else nothing was shown. What was fetched is damaged here, what was
loaded by its engine. Repository and source are only read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

from ccdr import __version__
from ccdr.checks.command import Command
from ccdr.evidence.history.kinds import CAUGHT, INCONCLUSIVE, PASSED
from ccdr.evidence.records.controls import (
    ControlledSnapshot,
    ControlRun,
    DamageDone,
    NegativeControlEnd,
    NegativeControlStart,
)
from ccdr.evidence.records.restores import Sandbox, SandboxDisposal
from ccdr.evidence.records.values import RecordedCheckResult, Repository, code
from ccdr.host.files import remove_tree
from ccdr.jobs.recorded import JobResult, RecordedRun
from ccdr.jobs.restore_test.course import CourseOfTest, Prepared, check_alone, prepared, restored_in_sandbox
from ccdr.jobs.restore_test.job import chosen
from ccdr.jobs.restore_test.result import RestoreTest
from ccdr.jobs.services import BY_HAND, JobRun, Services, Trigger
from ccdr.model.damage import OF_FILES, Damage, NothingToDamage, in_turn
from ccdr.model.errors import BackupBad, CommandFailed, Exit, TestBroken, failure_of, worst
from ccdr.model.values import LATEST, PHASES, CheckResult, Snapshot, Verdict, verdict_of
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import Disposal
from ccdr.storage.manifest import MANIFEST

# Damages one of the files that were fetched, before it is loaded.

PAGE = 8192  # bytes, as PostgreSQL's; SQLite's and InnoDB's lie within, or across, two of them
BLOCK = 2**20


def damage_a_file(fetched: Path, kind: Damage, chance: Random) -> None:
    """One of them, whichever `chance` says. NothingToDamage where there is none with anything in it."""
    files = sorted(path for path in _files(fetched) if path.name != MANIFEST and path.lstat().st_size)
    if not files:
        raise NothingToDamage("no file in the snapshot holds anything")
    path = chance.choice(files)
    before = path.lstat()
    if kind is Damage.FILE_REMOVED:
        path.unlink()
        return
    path.chmod(stat.S_IMODE(before.st_mode) | stat.S_IWUSR)
    if kind is Damage.FILE_TRUNCATED:
        os.truncate(path, before.st_size // 2)
    elif kind is Damage.FILE_REPLACED:
        _overwrite(path, 0, before.st_size, chance)
    else:
        pages = max(1, before.st_size // PAGE)
        begin = chance.randrange(pages) * PAGE
        _overwrite(path, begin, min(PAGE, before.st_size - begin), chance)
    path.chmod(stat.S_IMODE(before.st_mode))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its contents alone may tell


def _files(top: Path) -> Iterator[Path]:
    for where, _, names in os.walk(top):
        for name in names:
            path = Path(where, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _overwrite(path: Path, begin: int, count: int, chance: Random) -> None:
    """With other bytes, each another than it was."""
    with path.open("r+b") as file:
        for at in range(begin, begin + count, BLOCK):
            file.seek(at)
            block = file.read(min(BLOCK, begin + count - at))
            noise = chance.randbytes(len(block))
            file.seek(at)
            file.write(bytes(b ^ (n | 1) for b, n in zip(block, noise, strict=True)))


# What one negative control has shown, as it goes into the ledger.


@dataclass
class CopyResult:
    """How the asset's checks judged one copy; where it could not even be loaded, `reason` alone."""

    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str | None = None
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def found(self) -> list[str]:
        """The checks that did not pass, by name."""
        return [c.name for c in self.checks if c.status is not Verdict.PASS]

    def beyond(self, other: CopyResult) -> bool:
        """Did it fail by anything that the other one, which was looked at to the end, did not fail by?"""
        if other.verdict is Verdict.PASS:
            return True
        too = {(c.kind, c.name) for c in other.checks if c.status is not Verdict.PASS}
        mine = {(c.kind, c.name) for c in self.checks if c.status is Verdict.FAIL}
        return other.reason is None and bool(mine - too)

    def recorded(self) -> ControlRun:
        checks = [RecordedCheckResult(**c.as_json()) for c in self.checks]
        return ControlRun(verdict=code(self.verdict), reason=self.reason, checks=checks)


@dataclass
class NegativeControl(JobResult):
    """One negative control. `damage` is None until something was damaged."""

    plan: str
    asset: str
    run: str
    seed: int
    result: Literal["INCONCLUSIVE", "CAUGHT", "PASSED"] = INCONCLUSIVE
    repository: Repository = None
    snapshot: Snapshot | None = None
    damage: Damage | None = None
    table: str | None = None
    healthy: CopyResult | None = None
    damaged: CopyResult | None = None
    afterwards: CopyResult | None = None  # undamaged, after that: where what failed need not be the damage
    bytes_restored: int | None = None
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    sandbox: Sandbox = field(default_factory=Sandbox)
    disposal: SandboxDisposal = field(default_factory=SandboxDisposal)
    tools: dict[str, str] = field(default_factory=dict)

    def broke(self, reason: str, hint: str | None = None) -> None:
        self.result, self.reason, self.hint = INCONCLUSIVE, reason, hint

    def conclude(self) -> None:
        """From what the two copies came to."""
        healthy, damaged = self.healthy, self.damaged
        if healthy is None or healthy.verdict is not Verdict.PASS:
            why = (healthy and (healthy.reason or ", ".join(healthy.found))) or "it was not looked at"
            told = f"the copy that nobody damaged did not pass: {why}; beside it a control shows nothing"
            self.broke(told, f"`ccdr test {self.plan} --asset {self.asset}` says what is wrong with it")
        elif damaged is None or damaged.verdict is Verdict.INCONCLUSIVE:
            why = (damaged and (damaged.reason or ", ".join(damaged.found))) or "it was not looked at"
            self.broke(f"whether the damaged copy is bad could not be told: {why}")
        elif damaged.verdict is Verdict.FAIL and self.afterwards is not None and not damaged.beyond(self.afterwards):
            why = self.afterwards.reason or ", ".join(self.afterwards.found)
            self.broke(
                f"the damaged copy failed ({', '.join(damaged.found)}), and so did one that nobody damaged, looked at "
                f"after it ({why}): whether the damage was found cannot be told",
                "checks that depend on the time of day, or leave something behind, need {kind: identical} beside them",
            )
        elif damaged.verdict is Verdict.FAIL:
            self.result, self.reason = CAUGHT, None
        else:
            self.result = PASSED
            self.reason = (
                f"a damaged copy passed every check ({self.what}): a PASS of this asset proves nothing of such damage"
            )
            self.hint = "add `{kind: identical}` to its restore test; then " + self.again

    @property
    def what(self) -> str:
        """What was done, in our words."""
        word = self.damage.value.replace("_", " ") if self.damage else "nothing damaged"
        return f"{word}, in table {self.table}" if self.table else word

    @property
    def again(self) -> str:
        return f"`ccdr test {self.plan} --asset {self.asset} --negative-control` does the same damage again"

    def ended(self) -> NegativeControlEnd:
        return NegativeControlEnd(
            plan=self.plan,
            asset=self.asset,
            run=self.run,
            result=self.result,
            reason=self.reason,
            repository=self.repository,
            snapshot=self._damaged_snapshot(),
            damage=DamageDone(kind=code(self.damage), table=self.table, seed=self.seed) if self.damage else None,
            healthy=self.healthy.recorded() if self.healthy else None,
            damaged=self.damaged.recorded() if self.damaged else None,
            afterwards=self.afterwards.recorded() if self.afterwards else None,
            bytes_restored=self.bytes_restored,
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            sandbox=self.sandbox,
            disposal=self.disposal,
            tools=self.tools,
        )

    def _damaged_snapshot(self) -> ControlledSnapshot | None:
        s = self.snapshot
        if s is None:
            return None
        return ControlledSnapshot(
            id=s.id, consistent_point=s.consistent_point, bytes=s.bytes, manifest_sha256=s.manifest_sha256
        )

    @property
    def exit_code(self) -> Exit:
        codes = {PASSED: [Exit.FINDING], INCONCLUSIVE: [Exit.NOT_CARRIED_OUT]}.get(self.result, [])
        return worst([*codes, *([Exit.LEFT_BEHIND] if self.disposal.left_behind else [])])


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
        if missed is not None and missed.damage is not None and not self._chosen_seed:
            self._control.seed = missed.damage.seed

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
