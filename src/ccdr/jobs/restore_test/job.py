"""One restore test: under its lock, with a start and an end in the ledger, whatever happens between them; what it says
at its end of objectives, of the log, and of what to do next.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec import structs

from ccdr import __version__
from ccdr.checks.identical import Identical
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import step_after_coming_apart
from ccdr.evidence.judgement.asset_status import answered_for
from ccdr.evidence.log_standing import read_standing
from ccdr.evidence.records.restores import FetchedTo, LogRecovery, Newer, SandboxDisposal, TestStart
from ccdr.evidence.records.values import code
from ccdr.evidence.verdicts import of_the_source
from ccdr.host.at_rest import at_rest
from ccdr.jobs import attest
from ccdr.jobs.fetch import (
    bases_of,
    newer_attempts,
    newest_of,
    pruned_since,
    taken_back,
)
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.restore_test.course import CourseOfTest, by_point, by_rule, prepared, restore_and_check
from ccdr.jobs.restore_test.result import CHECKED, EQUAL, STORED, RestoreTest
from ccdr.jobs.services import BY_HAND, JobRun, Services, Trigger
from ccdr.jobs.shipping import log_repository
from ccdr.jobs.shipping.log_archive import archive_of, logged
from ccdr.jobs.shipping.recovery import recorded_target
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import (
    BackupBad,
    CcdrError,
    CommandFailed,
    LogBad,
    LogStops,
    RepositoryDamaged,
    RepositoryMissing,
    TestBroken,
    UsageProblem,
    failure_of,
)
from ccdr.model.finding import Finding
from ccdr.model.next_steps import AS_ITS_SOURCE, no_older, where_it_can_be_done, without_an_older
from ccdr.model.values import (
    LATEST,
    RULES,
    Achieved,
    CheckResult,
    Manifest,
    Snapshot,
    Verdict,
    details,
    rfc3339,
    verdict_of,
)
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import KEPT_LIFETIME, Docker
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future
from ccdr.storage.restic import PROBE_WAIT
from ccdr.storage.synchronised import vanished_finding

# Why a restore test that ended early or badly did, as far as others were in its way, and what to do next.


def pruned_meanwhile(course: CourseOfTest) -> str | None:
    """Was it another host's prune that took files away while they were fetched? One sentence."""
    if not course.fetching:
        return None
    return pruned_since(course.repo, course.job.plan, {s.id for s in course.synchronised.listed})


def never_to_count(course: CourseOfTest) -> str | None:
    """Was what is tested never to count? Only the repository tells what another host's backup has come to."""
    tested = course.test.snapshot
    if tested is None or tested.id in course.history.stored:
        return None
    return taken_back(course.job, tested, course.repo)


def look_closer(course: CourseOfTest, snapshot: Snapshot) -> str:
    job = course.job
    if course.test.verdict is not Verdict.FAIL:
        return f"`ccdr doctor {job.plan}` checks what a test needs; then test it again"
    if foretold := step_after_coming_apart(job, course.test.ended(), course.upkeep):
        return foretold
    which = f"--snapshot {snapshot.short}" if course.at is None else f'--at "{recorded_target(course.at)}"'
    keep = f"`ccdr test {job.plan} --asset {job.asset} {which} --keep` keeps the sandbox for a closer look"
    if of_the_source((check.kind, check.status.value) for check in course.test.checks):
        return f"{keep}; {AS_ITS_SOURCE}"
    older = f"`ccdr snapshots {job.plan}` lists older ones to test"
    return f"{keep}; {older if course.older(snapshot) else no_older(job.plan, job.asset)}"


def advised(course: CourseOfTest, hint: str | None) -> str | None:
    """What to do about a bad backup: whoever found it bad does not know whether there is an older one."""
    job, tested = course.job, course.test.snapshot
    if hint is None or tested is None or course.older(tested):
        return hint
    return without_an_older(hint, job.plan, job.asset, damaged=course.test.damaged)


# What a restore test says at its end of the objectives, of the log and of its own disposal.


def finish(course: CourseOfTest) -> None:
    """Objectives from what is known now, and the proof of disposal."""
    job, services, test = course.job, course.services, course.test
    if test.rto is None:
        test.rto = measure.judge(job.objectives.rto, None)
    if services.there is None:  # a copy lags behind by its schedule: that is told of the copy
        test.rpo = _exposed(course)
    if test.hint is not None:
        ours = any(of_source(s, job.engine.source_name) for s in services.catalogue.snapshots(job.plan, job.asset))
        backs_up = course.history.backs_up(course.upkeep, known=ours)
        test.hint = where_it_can_be_done(test.hint, backs_up=backs_up)
    if course.at is not None:
        applied = test.recovery or LogRecovery(target=recorded_target(course.at))
        judged, until = _log_judged(course, course.at)
        test.recovery = structs.replace(applied, verdict=code(judged), until=until, stops=test.log_stops)
    if test.proof is not None:
        test.bytes_restored = sum(course.repo.restored) + (course.recovery.bytes_restored if course.recovery else 0)
    test.tools = {"ccdr": __version__}
    with contextlib.suppress(CommandFailed):
        test.tools["restic"] = course.repo.version()
    beside = course.alongside.disposals if course.alongside else []
    left = [problem for d in (course.disposal, *beside) for problem in d.problems] + course.run.problems
    test.scratch = recorded_place(course.run.scratch.parent)
    if course.run.kept_until and (course.disposal.kept or not course.engine.in_sandbox):
        test.look = course.look
    test.disposal = SandboxDisposal(
        kept_until=course.run.kept_until,
        sandbox_gone=all(d.clean for d in (course.disposal, *beside)),
        scratch_gone=not course.run.scratch.exists(),
        left_behind=left,
    )


def recorded_place(path: Path) -> FetchedTo:
    """For a record: no path, and no address of another machine."""
    lies = at_rest(path)
    if (mount := lies.mount) is None:
        return FetchedTo(kept=code(lies.kept))
    return FetchedTo(kept=code(lies.kept), filesystem=mount.kind, device=mount.device)


def _exposed(course: CourseOfTest) -> Achieved:
    """The exposure now, by what counts once this test is recorded."""
    job, services, test = course.job, course.services, course.test
    there = services.catalogue.snapshots(job.plan, job.asset, besides={s.id for s in course.synchronised.vanished})
    ours = [s for s in there if of_source(s, job.engine.source_name)]
    recorded = _as_recorded(course)
    usable = chain.usable(ours, there, recorded.disproved)
    if closed := _closed_by_damage(course):
        usable = []
    elif _damage_is_open(course):
        usable = recorded.shown(usable)
    points = [measure.Point(s.whole_until, s.to_hand) for s in usable]
    if course.at is None:
        points += _logged(course, usable)
    elif course.recovery is not None and test.log_verdict is not Verdict.FAIL:
        points += course.recovery.points()
    # No snapshot known and no repository that answers: that is not known to be infinite, but where it is destroyed.
    known = (points or course.answered or closed) and not course.synchronised.newer
    exposed = measure.exposure(services.clock.now(), points) if known else None
    return measure.judge(job.objectives.rpo, exposed)


def _logged(course: CourseOfTest, usable: list[Snapshot]) -> list[measure.Point]:
    """How far the log is stored: the repository is asked, for what was written down of it does not know what has
    vanished since."""
    job, services, disproved = course.job, course.services, course.history.log_disproved
    claimed = logged(job, services, usable, disproved)
    elsewhere = job.engine.shipping is not None and read_standing(services.state, job.plan, job.asset) is None
    if not (claimed or elsewhere) or not course.answered:
        return claimed
    repo = log_repository(job, services).impatient(PROBE_WAIT)
    try:
        there = logged(job, services, usable, disproved, lambda: archive_of(job, repo))
    except (CcdrError, OSError) as error:
        if claimed or not isinstance(error, RepositoryMissing):  # nothing is shipped yet by another host
            text = f"ccdr could not ask for its log: {error}"
            course.test.findings.append(Finding(text, "its log not asked for", cause=type(error).__name__))
        return []
    if claimed and (not there or there[0].consistent < claimed[0].consistent):
        up_to = f"it is there up to {rfc3339(there[0].consistent)} only" if there else "what is there is of no use"
        loss = f"log that was stored up to {rfc3339(claimed[0].consistent)} has vanished: {up_to}"
        text = f"{loss}; back up again, and find out who removed it"
        course.test.findings.append(Finding(text, "vanished log"))
    return there


def _log_judged(course: CourseOfTest, target: RecoveryTarget) -> tuple[Verdict | None, datetime | None]:
    """The verdict on the log, and up to when that is true. Where a name lies is known only once it was reached."""
    verdict, until = course.test.log_verdict, target.time or course.began
    failed = verdict is Verdict.FAIL or course.test.log_stops
    if course.recovery is not None and (former := course.recovery.former) is not None:
        return verdict, former if failed else None
    if target.name is not None and not failed:
        return verdict, course.recovery.moment if course.recovery else None
    return verdict, until


def _closed_by_damage(course: CourseOfTest) -> bool:
    """Once this test is recorded: can nothing in the repository be restored, as far as anybody has found?"""
    destroyed = course.test.repository == RepositoryDamaged.repository
    return destroyed or (not course.answered and course.history.closed_by_damage(course.upkeep))


def _damage_is_open(course: CourseOfTest) -> bool:
    """Once this test is recorded: was the repository found damaged, and no test of the newest has passed since?"""
    test = course.test
    if test.verdict is Verdict.PASS and LATEST in (test.selected, course.at and recorded_target(course.at)):
        return False
    return test.damaged or course.history.doubt(course.upkeep) is not None


def _as_recorded(course: CourseOfTest) -> AssetHistory:
    """What tests have proven, once this one is recorded."""
    tested, verdict = course.test.snapshot, course.test.own_verdict
    proven = dict(course.history.proven)
    if tested is not None and verdict in (Verdict.PASS, Verdict.FAIL):
        proven.pop(tested.id, None)
        proven[tested.id] = verdict.value
    return replace(course.history, proven=proven)


def carry_out(course: CourseOfTest, selection: str) -> None:
    """Raises BackupBad or TestBroken; returns with a verdict set."""
    job, test = course.job, course.test
    snapshot, manifest = chosen(course, selection)
    shown = restore_and_check(course, prepared(course, snapshot, manifest))
    test.checks = [*shown.own, *shown.compared]
    if shown.erased is not None:
        test.erasure = shown.erased
        test.checks.append(shown.erased.check)
        test.findings += shown.erased.findings
    if verdict_of(test.checks) is Verdict.FAIL and (why := never_to_count(course)):
        raise TestBroken(why, hint="run the test again")
    test.verdict = verdict_of(test.checks)
    _judge_apart(course, shown.own)
    if test.verdict is Verdict.PASS:
        test.rto = measure.judge(job.objectives.rto, shown.seconds)
    else:
        bad = [c.name for c in test.checks if c.status is not Verdict.PASS]
        how = "failed" if test.verdict is Verdict.FAIL else "could not be carried out"
        test.reason = f"{how}: {', '.join(bad)}"
        test.hint = look_closer(course, snapshot)
    _judge_as_stored(course, snapshot)
    _judge_newer_attempts(course, snapshot, selection)


def chosen(course: CourseOfTest, selection: str) -> tuple[Snapshot, Manifest]:
    """The snapshot that is to be restored, by what the repository says it holds. Raises as `carry_out`."""
    job, services, test = course.job, course.services, course.test
    _ask_repository(course, selection)
    snapshot = by_rule(course, selection) if course.at is None else by_point(course, course.at)
    test.proof = STORED
    manifest = services.catalogue.manifest(snapshot)
    test.left_out = [str(name) for name in _listed(manifest.contents.get("left_out"))]
    course.parents = bases_of(snapshot, course.candidates.there, services.catalogue)
    if not job.checks:
        raise TestBroken(
            "no checks, no PASS: the asset names no restore test",
            hint=f"write restore_tests/{job.asset}.yaml and name it in `restore_test: checks:` of the plan",
        )
    return snapshot, manifest


def _ask_repository(course: CourseOfTest, selection: str) -> None:
    """What is there, of the asset and of those that it is compared with; and what this host knows of them."""
    job, services = course.job, course.services
    known = services.histories()
    course.history = known.get((job.plan, job.asset), AssetHistory())
    course.upkeep = known.get((job.plan, None), AssetHistory())
    course.progress.step("asking the repository")
    if job.engine.in_sandbox:
        Docker.load()
    assets = [job.asset, *dict.fromkeys(c.beside for c in job.checks if c.beside)]
    stored_here = {s for asset in assets for s in services.history(Job(job.loaded, asset)).stored_here}
    try:
        if course.at is None and selection == "latest" and assets == [job.asset]:
            course.synchronised = newest_of(job, services, course.repo, stored_here, course.progress)
        else:
            course.synchronised = services.synchronise(job.loaded, course.repo, assets, stored_here)
    except RepositoryMissing as error:
        if services.catalogue.knows(job.plan) or course.history.last_backup is not None:
            raise
        raise TestBroken(
            f"nothing was backed up yet, as far as this host knows: {error}",
            hint=f"run `ccdr backup {job.plan}`; if another host backs it up, check the mounted disk or the bucket",
        ) from None
    course.answered = True
    attest.learned(services, job.plan, course.synchronised, assets)
    course.test.findings = [finding for asset, finding in course.synchronised.findings if asset == job.asset]
    gone = [s for s in course.synchronised.vanished if s.asset == job.asset]
    if gone and answered_for(gone, course.history, services.clock.now()):
        course.test.noted = frozenset(map(vanished_finding, gone))
    if course.at is not None or selection in RULES:  # which one that would be, only a newer ccdr can tell
        course.synchronised.understood(assets)


def _judge_apart(course: CourseOfTest, own: list[CheckResult]) -> None:
    """The snapshot and the log, by its own checks: that two snapshots do not fit each other does not say which of
    them is bad. Nor does what the log led to say anything bad of its base, which was as captured when it was
    loaded: a test of the base alone does."""
    test = course.test
    test.own_verdict = verdict_of(own) if own else None
    if course.recovery is not None:
        test.log_verdict = test.own_verdict
        if test.log_verdict is Verdict.FAIL:
            test.own_verdict = None
    if test.own_verdict is Verdict.PASS:
        # What came by the log was in no capture.
        equal = course.recovery is None and any(isinstance(c, Identical) for c in course.job.checks)
        test.proof = EQUAL if equal else CHECKED


def _judge_as_stored(course: CourseOfTest, snapshot: Snapshot) -> None:
    """Whatever its checks say: what bears a date that is yet to come is no good."""
    test, services = course.test, course.services
    if dated_in_future(snapshot, services.clock.now()):
        test.fail(
            f"this snapshot claims to be of {rfc3339(snapshot.consistent_point)}, which is in the future",
            hint="set this host's clock right, or find out whose clock was wrong when it was taken",
        )
    if course.recovery is not None and course.recovery.ahead:
        test.fail(
            "the newest of the log's snapshots claims to be of a time which is in the future",
            hint="set this host's clock right, or find out whose clock was wrong when it was stored",
        )


def _judge_newer_attempts(course: CourseOfTest, snapshot: Snapshot, selection: str) -> None:
    """With `latest`, a newer attempt that failed is the backup that would be wanted: FAIL, and named."""
    if selection != "latest":
        return
    job, test = course.job, course.test
    good = test.own_verdict is Verdict.PASS
    but = f"this snapshot is {'good, and can be restored' if good else 'bad'}, but "
    again = f"ccdr backup {job.plan} --asset {job.asset}"
    meanwhile = f"; until one succeeds, snapshot {snapshot.short} is the one to restore" if good else ""
    alone, stored = test.verdict is Verdict.PASS, course.history.last_stored
    attempts = list(newer_attempts(job, snapshot, course.services, course.repo, course.synchronised, stored=stored))
    for attempt in attempts:
        step = attempt.failed.step(job.plan, job.asset) if attempt.failed else f"`{again}` takes a new one"
        test.fail(f"{but}{attempt.text}", f"{step}{meanwhile}")
    if alone and attempts and not any(attempt.vanished for attempt in attempts):
        own = attempts[0].failed if len(attempts) == 1 else None
        test.newer_failed = True
        seq = own.seq if own and isinstance(own.seq, int) else None  # of a record of our own ledger
        test.newer = Newer(seq=seq, at=max(attempt.at for attempt in attempts))


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


# One restore test: under its lock, with a start and an end in the ledger, whatever happens between them.


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
