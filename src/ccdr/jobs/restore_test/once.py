"""One restore test: under its lock, with a start and an end in the ledger, whatever happens between them."""

from __future__ import annotations

import contextlib

from ccdr.evidence.history import TEST_END, TEST_START
from ccdr.host import interrupts
from ccdr.jobs import in_force
from ccdr.jobs.restore_test.result import RestoreTest
from ccdr.jobs.restore_test.work import Work
from ccdr.jobs.services import BY_HAND, Services, Trigger, facts_of_end
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import BackupBad, LogBad, RepositoryDamaged, UsageProblem, told
from ccdr.model.values import Verdict, details
from ccdr.plans.job import Job
from ccdr.ports.log import Target
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import KEPT_LIFETIME


def restore_test(
    job: Job,
    selection: str,
    services: Services,
    progress: Progress,
    *,
    at: Target | None = None,
    keep: bool = False,
    trigger: Trigger = BY_HAND,
) -> RestoreTest:
    """Test one snapshot now: `latest`, `oldest`, `random`, or an id (or its beginning). With `at`, the newest base
    before that point and the shipped log from there on; `selection` is then only what it is called.

    UsageProblem and Locked are raised before anything is done. All else ends in a verdict and a record; an
    interrupt too, which is raised again.
    """
    repo = services.repository(job.loaded, job.limits)
    with (
        services.state.lock(job.plan, job.asset, "test"),
        services.state.reading(repo.location),
        contextlib.ExitStack() as undisturbed,
    ):
        with services.state.run(services.clock) as run:
            if keep:
                run.kept_until = services.clock.now() + KEPT_LIFETIME
            test = RestoreTest(job.plan, job.asset, run.id, selection, basis=job.engine.settings)
            body = {
                "plan_sha256": job.loaded.sha256,
                "restore_tests": dict(job.loaded.restore_tests),
                "selection": selection,
                "tenant": job.tenant,
                **trigger.facts(),
            }
            ending = facts_of_end(job.loaded, job.asset, trigger)
            where = {"plan": job.plan, "asset": job.asset, "run": run.id}
            in_force.record(job.loaded, services)
            services.ledger.append(TEST_START, **where, body=body)
            interrupted: BaseException | None = None
            bench_work = Work(job, services, repo, run, progress, test, at)
            try:
                bench_work.carry_out(selection)
            except KeyboardInterrupt as error:
                interrupted = error
                test.broke("interrupted")
            except UsageProblem as error:
                test.verdict, test.own_verdict, test.reason = Verdict.SKIPPED, None, str(error)
                services.ledger.append(TEST_END, **where, body={**test.body(), **ending})
                raise
            except BackupBad as error:
                test.words += words_of(error)
                if why := bench_work.pruned_meanwhile() or bench_work.taken_back():
                    test.broke(f"{error}; but {why}", "run the test again")
                else:
                    if isinstance(error, LogBad):
                        test.log_verdict = Verdict.FAIL
                    else:
                        test.own_verdict, test.repository = Verdict.FAIL, error.repository
                        test.damaged = bench_work.fetching or isinstance(error, RepositoryDamaged)
                    test.fail(str(error), bench_work.advised(error.hint))
            except Exception as error:  # a run always has an end, and what we did not foresee proves nothing
                test.repository = getattr(error, "repository", None)
                broken = told(error)
                test.words += broken.words
                test.broke(broken.reason, broken.hint)
            # What was found out is recorded; somebody who stops us waits for that.
            undisturbed.enter_context(interrupts.deferred())
            run.clear()  # its scratch is gone now, or it is not: the record says which
            bench_work.conclude(run)
            if kept := services.state.keep_words(run.id, test.words + FreeText(details(test.checks))):
                test.said = services.state.kept_as(kept, services.clock.now())
            test.record = services.ledger.append(TEST_END, **where, body={**test.body(), **ending})
            if interrupted is not None:
                raise interrupted
    return test
