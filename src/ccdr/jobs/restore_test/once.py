"""One restore test: under its lock, with a start and an end in the ledger, whatever happens between them."""

from __future__ import annotations

import contextlib
from functools import partial

from ccdr.evidence.records.restores import TestStart
from ccdr.jobs.job_run import JobRun
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.restore_test.advice import advised, never_to_count, pruned_meanwhile
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.restore_test.objectives import finish
from ccdr.jobs.restore_test.result import RestoreTest
from ccdr.jobs.restore_test.work import carry_out
from ccdr.jobs.services import BY_HAND, Services, Trigger
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import BackupBad, LogBad, LogStops, RepositoryDamaged, UsageProblem, failure_of
from ccdr.model.values import Verdict, details
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import KEPT_LIFETIME


def restore_test(
    job: Job,
    selection: str,
    services: Services,
    progress: Progress,
    *,
    at: RecoveryTarget | None = None,
    base: str | None = None,
    keep: bool = False,
    trigger: Trigger = BY_HAND,
) -> RestoreTest:
    """Test one snapshot now: `latest`, `oldest`, `random`, or an id (or its beginning). With `at`, the newest base
    before that point (or the one whose id `base` is) and the shipped log from there on; `selection` is then only what
    it is called.

    UsageProblem and Locked are raised before anything is done. All else ends in a verdict and a record; an
    interrupt too, which is raised again.
    """
    repo = services.repository(job.loaded, job.limits)
    not_done: UsageProblem | None = None
    with (
        services.state.lock(job.plan, job.asset, "test"),
        services.state.reading(repo.location),
        contextlib.ExitStack() as undisturbed,
    ):
        with services.state.run(services.clock) as run:
            if keep:
                run.kept_until = services.clock.now() + KEPT_LIFETIME
            test = RestoreTest(job.plan, job.asset, run.id, selection, basis=job.engine.settings)
            recorded = RecordedRun(services, job.loaded, job.asset, run.id, trigger)
            recorded.begin(TestStart, restore_tests=dict(job.loaded.restore_tests), selection=selection)
            course = CourseOfTest(JobRun(job, services, repo, run, progress), test, at, base, services.clock.now())
            with recorded.attempt(partial(_ended, course, test)):
                try:
                    carry_out(course, selection)
                except UsageProblem as error:
                    not_done = error
                    test.verdict, test.own_verdict, test.reason = Verdict.SKIPPED, None, str(error)
            if not_done is not None:
                recorded.end(test.ended())
                raise not_done
            undisturbed.enter_context(recorded.conclusion())
            run.clear()  # its scratch is gone now, or it is not: the record says which
            finish(course)
            if kept := services.state.keep_words(run.id, test.words + FreeText(details(test.checks))):
                test.kept_words = services.state.kept_as(kept, services.clock.now())
            test.record = recorded.end(test.ended())
    return test


def _ended(course: CourseOfTest, test: RestoreTest, error: KeyboardInterrupt | Exception) -> None:
    """What it says of the backup that the test ended early: a test that could not be carried out proves nothing, and
    neither does what nobody foresaw."""
    if isinstance(error, KeyboardInterrupt):
        test.broke("interrupted")
    elif isinstance(error, BackupBad):
        test.words += words_of(error)
        if why := pruned_meanwhile(course) or never_to_count(course):
            test.broke(f"{error}; but {why}", "run the test again")
            return
        if isinstance(error, LogBad):
            test.log_verdict = Verdict.FAIL
        else:
            test.own_verdict, test.repository = Verdict.FAIL, error.repository
            test.damaged = course.fetching or isinstance(error, RepositoryDamaged)
        test.fail(str(error), advised(course, error.hint))
    else:
        test.repository, test.log_stops = getattr(error, "repository", None), isinstance(error, LogStops)
        broken = failure_of(error)
        test.words += broken.words
        test.broke(broken.reason, broken.hint)
