"""What is done in one restore test: choose a snapshot, restore it into a sandbox, check it, and judge."""

from __future__ import annotations

from ccdr.checks.identical import Identical
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.counting import answered_for
from ccdr.evidence.records.restores import Newer
from ccdr.jobs import attest
from ccdr.jobs.fetch import (
    bases_of,
    newer_attempts,
    newest_of,
)
from ccdr.jobs.restore_test.advice import look_closer, never_to_count
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.restore_test.result import CHECKED, EQUAL, STORED
from ccdr.jobs.restore_test.sandboxed import prepared, restore_and_check
from ccdr.jobs.restore_test.selection import by_point, by_rule
from ccdr.model import measure
from ccdr.model.errors import RepositoryMissing, TestBroken
from ccdr.model.values import RULES, CheckResult, Manifest, Snapshot, Verdict, rfc3339, verdict_of
from ccdr.plans.job import Job
from ccdr.storage.removals import dated_in_future
from ccdr.storage.synchronised import vanished_finding


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
    """Whatever its checks say: what was stored with a warning, or bears a date that is yet to come, is no good."""
    job, test, services = course.job, course.test, course.services
    if snapshot.note:
        again = f"`ccdr backup {job.plan} --asset {job.asset}` takes another"
        test.fail(f"restic stored this snapshot with a warning: {snapshot.note}", again)
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
