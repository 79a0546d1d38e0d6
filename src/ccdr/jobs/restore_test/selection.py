"""Which snapshot a restore test restores, by the rule or the point that it was asked for."""

from __future__ import annotations

import random

from ccdr.jobs.fetch import (
    none_counts,
)
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad
from ccdr.model.values import Snapshot
from ccdr.ports.log import RecoveryTarget


def by_rule(course: CourseOfTest, selection: str) -> Snapshot:
    """The latest, the oldest, one at random; or the one whose id, or its beginning, was named."""
    job, test = course.job, course.test
    snapshots = course.candidates
    good = snapshots.good
    if snapshots.there[-1:] != snapshots.ours[-1:]:
        test.findings.append("the newest snapshot is of something else than the plan now names")
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
    job, services, test = course.job, course.services, course.test
    snapshots = course.candidates
    usable = chain.usable(snapshots.good, snapshots.there, course.history.disproved)
    if snapshots.good and not usable:
        why = (
            chain.lacks(snapshots.good[-1], snapshots.there)
            or "each failed its last restore test, or what it builds upon"
        )
        raise BackupBad(f"there is no base to recover from: {why}", hint=f"run `ccdr backup {job.plan}`")
    if course.base is not None:
        usable = the_base(snapshots.by_id(job, course.base), usable)
    course.recovery = Recovery.prepared(job, services, usable, target, course.run, course.progress)
    test.snapshot, test.recovery = course.recovery.choice.base, course.recovery.facts()
    return course.recovery.choice.base
