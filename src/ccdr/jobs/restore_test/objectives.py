"""What a restore test says at its end of the objectives, of the log and of its own disposal."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from msgspec import structs

from ccdr import __version__
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.log_standing import read_standing
from ccdr.evidence.records.restores import FetchedTo, LogRecovery, SandboxDisposal
from ccdr.evidence.records.values import code
from ccdr.host.at_rest import at_rest
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.jobs.shipping import log_repository
from ccdr.jobs.shipping.log_repository import archive_of
from ccdr.jobs.shipping.recovery import recorded_target
from ccdr.jobs.shipping.stored_until import logged
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.errors import CcdrError, CommandFailed, RepositoryDamaged, RepositoryMissing
from ccdr.model.finding import Finding
from ccdr.model.next_steps import where_it_can_be_done
from ccdr.model.values import LATEST, Achieved, Snapshot, Verdict, rfc3339
from ccdr.ports.log import RecoveryTarget
from ccdr.storage.catalogue import of_source
from ccdr.storage.restic import PROBE_WAIT


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
    points = [measure.Point(s.consistent_point, s.to_hand) for s in usable]
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
