"""Why a restore test that ended early or badly did, as far as others were in its way, and what to do next."""

from __future__ import annotations

from ccdr.evidence.judgement.came_apart import step_after_coming_apart
from ccdr.evidence.records.writing import unsealed
from ccdr.jobs.fetch import (
    pruned_since,
    taken_back,
)
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.shipping.recovery import recorded_target
from ccdr.model.next_steps import no_older, without_an_older
from ccdr.model.values import Snapshot, Verdict


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
    if foretold := step_after_coming_apart(job, unsealed(course.test.ended()), course.upkeep):
        return foretold
    which = f"--snapshot {snapshot.short}" if course.at is None else f'--at "{recorded_target(course.at)}"'
    keep = f"`ccdr test {job.plan} --asset {job.asset} {which} --keep` keeps the sandbox for a closer look"
    older = f"`ccdr snapshots {job.plan}` lists older ones to test"
    return f"{keep}; {older if course.older(snapshot) else no_older(job.plan, job.asset)}"


def advised(course: CourseOfTest, hint: str | None) -> str | None:
    """What to do about a bad backup: whoever found it bad does not know whether there is an older one."""
    job, tested = course.job, course.test.snapshot
    if hint is None or tested is None or course.older(tested):
        return hint
    return without_an_older(hint, job.plan, job.asset, damaged=course.test.damaged)
