"""Which snapshot a restore test restores, by the rule or the point that it was asked for."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from ccdr.evidence.judgement.shipped_log import LATE_GRACE, LATE_INTERVALS
from ccdr.evidence.log_standing import read_standing
from ccdr.host.interrupts import tick
from ccdr.jobs.fetch import (
    none_counts,
)
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.jobs.shipping.ship import SHIP
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, LogNotYet
from ccdr.model.finding import Finding
from ccdr.model.values import Snapshot, human_seconds
from ccdr.ports.log import RecoveryTarget


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
