"""One restore: everything is looked at first, a person agrees, then it is carried out and recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from ccdr.evidence.history.kinds import INTERRUPTED
from ccdr.evidence.records.restores import RestoreStart
from ccdr.host import interrupts
from ccdr.host.state import Run
from ccdr.jobs.incidents.opening import for_recovery
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.restore.examination import Examination
from ccdr.jobs.restore.request import RESTORED, Request, RestoreResult
from ccdr.jobs.restore.ways import Held, Way
from ccdr.jobs.services import BY_HAND, Services
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import BackupBad, CcdrError, Exit, LogBad, LogStops, UsageProblem, failure_of
from ccdr.model.next_steps import without_an_older
from ccdr.model.values import CheckResult, Verdict, details
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.restic import Restic


@contextlib.contextmanager
def restoring(
    job: Job, request: Request, services: Services, progress: Progress, *, dry_run: bool = False
) -> Iterator[Restoring]:
    """Look at everything, and give what would be done; whoever is asked then calls `carry_out`, or raises
    UsageProblem. UsageProblem and Locked mean that nothing was done; a refusal is recorded all the same, unless it is
    a `dry_run`. The record is written when the context ends."""
    repo = services.repository(job.loaded, job.limits)
    with (
        services.state.lock(job.plan, job.asset, "restore"),
        services.state.reading(repo.location),
        services.state.run(services.clock) as run,
    ):
        one: Restoring | None = None
        try:
            with contextlib.ExitStack() as stack:
                one = Restoring(job, request, services, repo, run, stack)
                one.silent = dry_run
                one.examine(progress)
                yield one
        except UsageProblem as error:
            if one is not None:
                one.result.refused(str(error), error.hint)
            raise
        except CcdrError as error:
            if one is not None and one.result.reason is None and one.result.result != RESTORED:
                one.result.failed(str(error), error.exit_code, error.hint)
                one.result.words += words_of(error)
            raise
        except KeyboardInterrupt:
            if one is not None and one.result.reason is None and one.result.result != RESTORED:
                one.result.failed(INTERRUPTED, Exit.NOT_CARRIED_OUT)
            raise
        finally:
            run.clear()
            if one is not None and not one.silent:
                with interrupts.deferred():
                    one.record_end()


class Restoring:
    """One run of `restoring`."""

    def __init__(
        self,
        job: Job,
        request: Request,
        services: Services,
        repo: Restic,
        run: Run,
        stack: contextlib.ExitStack,
    ) -> None:
        self.job, self.request = job, request
        self._services, self._run = services, run
        self.result = RestoreResult(job.plan, job.asset, run.id, selected=request.snapshot)
        self.examination = Examination(job, request, services, repo, run, stack, self.result)
        self._recorded = RecordedRun(services, job.loaded, job.asset, run.id, BY_HAND)
        self._started = self._unknown = self._keep = False  # unknown: which name it has
        self.silent = False  # nothing was begun, and nobody is to read of it
        self._way: Way | None = None

    def examine(self, progress: Progress) -> None:
        """UsageProblem where it must not be done; nothing is changed."""
        self._way = self.examination.way(progress)

    @property
    def way(self) -> Way:
        assert self._way is not None
        return self._way

    @property
    def recovered(self) -> bool:
        """By its log."""
        return self.examination.recovery is not None

    @property
    def moment(self) -> datetime | None:
        """Of what was recovered by its log: the instant that it is true for, as far as that is known."""
        recovery = self.examination.recovery
        return recovery.moment if recovery is not None else None

    def beside(self, *, programs: bool) -> contextlib.AbstractContextManager[Held | None]:
        """Between `bring` and `finish`: what a check that compares it may look at."""
        return self.way.beside(programs=programs)

    @property
    def will(self) -> list[str]:
        """What it is going to do, sentence by sentence."""
        return self.way.will()

    @property
    def passed_over(self) -> list[CheckResult]:
        """Checks that it is not going to carry out, each with why."""
        return self.way.passed_over()

    def carry_out(self, progress: Progress) -> None:
        """Do it. What happens is in `result`; an interrupt is raised again once all is cleaned up."""
        if self.bring(progress):
            self.finish(progress)

    def bring(self, progress: Progress) -> bool:
        """The first part of `carry_out`: all but its final name. Is it whole, and has it passed what was looked at?"""
        result, way = self.result, self.way
        self._start()
        if not self.request.goes_on:
            job = self.job
            result.incident = for_recovery(job.loaded, self._services, self._run.id, "restore", [job.asset])

        def work() -> None:
            way.bring(progress)
            result.checks = way.check(progress)
            self._keep = True  # it is whole: what comes now is no reason to throw it away
            self._judge()
            self._erase(progress)

        return self._guarded(work, progress)

    def add(self, checks: Sequence[CheckResult], progress: Progress, borne: Sequence[str] = ()) -> bool:
        """Between the two: what others looked at. What they had put off is no longer told as passed over. What did not
        pass and is `borne` does not end it."""
        result, names = self.result, {check.name.split(":")[0] for check in checks}
        result.borne += borne
        result.checks = [c for c in result.checks if c.status is not Verdict.SKIPPED or c.name not in names]
        result.checks += checks
        return self._guarded(self._judge, progress)

    def finish(self, progress: Progress) -> bool:
        """The second part of `carry_out`: its final name."""
        return self._guarded(lambda: self._finish(self.way, progress), progress)

    def stop(self, reason: str, progress: Progress) -> None:
        """Between the two parts: there will be no second one. It is left where it stands."""

        def stopped() -> None:
            self.result.failed(reason, Exit.NOT_CARRIED_OUT)

        self._guarded(stopped, progress)

    def _judge(self) -> None:
        result = self.result
        if result.bad_checks and not self.request.despite_failed_checks:
            again = self._in_a_recovery if self.request.goes_on else "restore again with --despite-failed-checks"
            advice = f"look at it there; restore an older snapshot, or {again}"
            result.failed(f"it did not pass: {', '.join(result.bad_checks)}", Exit.FINDING, self._advised(advice))

    @property
    def _in_a_recovery(self) -> str:
        """A recovery has no such option: its asset alone is restored then."""
        job = self.job
        return (
            f"leave it out (--except {job.asset}) and restore it alone: "
            f"ccdr restore {job.plan} --asset {job.asset} … --despite-failed-checks"
        )

    def _erase(self, progress: Progress) -> None:
        """Whoever was erased at the source is erased here, after all that compares it with what was captured."""
        erasing, new_server = self.examination.erasing, self.examination.new_server
        if erasing is None or self.result.reason is not None or not erasing.due():
            return
        if new_server is not None:
            new_server.changes()
        erasing.replay(self.beside, self.moment, progress)
        if new_server is not None:
            new_server.changed()

    def _guarded(self, work: Callable[[], None], progress: Progress) -> bool:
        """Whatever ends the work is in `result`, and what was not finished is removed. Did all go well?"""
        result, interrupted, bad = self.result, None, False
        try:
            work()
        except KeyboardInterrupt as error:
            interrupted = error
            if result.result != RESTORED:
                result.failed(INTERRUPTED, Exit.NOT_CARRIED_OUT)
        except UsageProblem as error:  # too late to be one: something was done
            result.failed(str(error), Exit.NOT_CARRIED_OUT, error.hint)
        except Exception as error:  # a run always has an end
            why = failure_of(error)
            bad = isinstance(error, BackupBad)
            if isinstance(error, LogBad | LogStops) and (recovery := self.examination.recovery) is not None:
                result.recovery = recovery.stops()
            result.failed(why.reason, getattr(error, "exit_code", Exit.NOT_CARRIED_OUT), self._advised(why.hint))
            result.words += why.words
        if result.result != RESTORED and result.reason is not None:
            self._leave(progress, bad=bad)
        if interrupted is not None:
            raise interrupted
        return result.reason is None or result.result == RESTORED

    def _leave(self, progress: Progress, *, bad: bool) -> None:
        """What has no final name is removed, unless it is whole, or somebody may go on with it."""
        result, way = self.result, self.way
        if self._keep:
            progress.step("leaving it under its working name")
            if not self._unknown:
                result.left_behind.append(way.standing())
            return
        if self.request.goes_on and not bad and (rest := way.rest()):
            result.left_behind.append(rest)
            return
        progress.step("removing what was not finished")
        result.left_behind += self._undone(way)

    def _advised(self, hint: str | None) -> str | None:
        """What to do about a bad backup: whoever found it bad does not know whether there is an older one."""
        if hint is None or self.examination.has_older:
            return hint
        return without_an_older(hint, self.job.plan, self.job.asset)

    def _finish(self, way: Way, progress: Progress) -> None:
        """Its final name. Whatever stops us after that does not make it undone: the record says what is true."""
        result = self.result
        self.request.reached("naming", way.token())
        try:
            result.left_behind += way.finish(progress)
            result.result = RESTORED
        except (KeyboardInterrupt, CcdrError, OSError) as error:
            named = way.named()
            if named:
                result.result = RESTORED
                why = failure_of(error).reason if isinstance(error, Exception) else "interrupted"
                result.notes.append(f"stopped when it had its final name already: {why}")
                result.left_behind += way.settle()
            elif named is None:
                self._unknown = True
                where = f"{way.standing()}; or it has its final name by now: nobody there says so"
                result.left_behind.append(where)
            if not named or isinstance(error, KeyboardInterrupt):
                raise

    @staticmethod
    def _undone(way: Way) -> list[str]:
        """Whoever presses Ctrl-C again is not to be left with half of a database: it waits until that is gone."""
        left = [f"cleaning up was interrupted; {way.standing()}"]
        try:
            with contextlib.suppress(KeyboardInterrupt), interrupts.deferred():
                left = way.undo()
        except (CcdrError, OSError) as error:
            return [f"cleaning up failed: {failure_of(error).reason}; {way.standing()}"]
        return left

    def _start(self) -> None:
        if not self._started:
            self._started, self.silent = True, False
            self._recorded.begin(
                RestoreStart,
                snapshot=self.result.snapshot and self.result.snapshot.id,
                target=self.result.target,
                despite_failed_test=self.request.despite_failed_test,
                despite_failed_checks=self.request.despite_failed_checks,
            )

    def record_end(self) -> None:
        """The record; the run's scratch is gone by now, or told."""
        result = self.result
        result.left_behind += self._run.problems
        recovery = self.examination.recovery
        result.log_bytes = recovery.bytes_restored if recovery is not None else None
        self._start()
        self._services.state.keep_words(result.run, result.words + FreeText(details(result.checks)))
        result.record = self._recorded.end(result.ended())
