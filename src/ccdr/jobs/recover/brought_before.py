"""What an earlier process had brought, by its journal and by what stands there now: it is not brought again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ccdr.host.file_times import Times
from ccdr.host.files import extent, remove_tree
from ccdr.jobs.recover.journal import Progressed
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.recover.result import StepResult
from ccdr.jobs.recover.session import Session
from ccdr.jobs.recover.since_named import since_named
from ccdr.jobs.recover.view import OfAsset, View
from ccdr.jobs.restore.directory import named_before, root_for, take_back
from ccdr.jobs.restore.left_server import CHANGED, LeftServer
from ccdr.jobs.restore.result import RestoreResult
from ccdr.model.errors import CcdrError, UsageProblem, failure_of
from ccdr.model.values import CheckResult, Verdict, human_bytes, so_many


def is_there(session: Session, planned: Planned) -> bool:
    """Had an earlier process brought it, to its final name? UsageProblem where that is gone, or was changed for
    something else."""
    past = session.past(planned.asset)
    if past is None or not past.past("naming"):
        return False
    if not _stands(planned, past, named=past.past("named")):
        return False
    was_done(session, planned)
    return True


def was_done(session: Session, planned: Planned) -> None:
    """A new server that `start:` is still to start is all but done; how a person starts one is told again."""
    step, past = session.result.steps[planned.asset], session.past(planned.asset)
    opened = not planned.starts or (past is not None and past.past("opened"))
    step.before, step.state = True, "done" if opened else "named"
    if past is not None:
        _told_before(session, step, past)
    if planned.where.new_server is not None:
        with contextlib.suppress(CcdrError):
            left = LeftServer.read(planned.where.new_server.directory)
            if past is None or not left.as_written(past.left_sha256):
                session.result.notes.append(f"{planned.asset}: {CHANGED}")
            elif left.untouched:
                step.start = left.lines


def as_facts(result: RestoreResult) -> dict[str, object]:
    """What an asset that is handed over is told to lack, for whoever goes on: it is no greener for having its name."""
    short = [c for c in result.checks if c.status in (Verdict.INCONCLUSIVE, Verdict.FAIL)]
    unlooked = [{"kind": c.kind, "name": c.name, "status": c.status.value} for c in short]
    return {"unlooked": unlooked, "findings": result.findings}


def _told_before(session: Session, step: StepResult, past: Progressed) -> None:
    """As the journal has it."""
    facts, asset = {**past.facts.get("checked", {}), **past.facts.get("named", {})}, step.planned.asset
    step.unlooked = [
        CheckResult(c["kind"], c["name"], Verdict(c["status"]), "a look", "so it was found as it was brought back")
        for c in facts.get("unlooked") or ()
    ]
    session.result.findings += [f"{asset}: {text}" for text in facts.get("findings") or ()]


def look_again(session: Session, view: View) -> None:
    """It is told as done: with what was, and was not, looked at again."""
    for step in session.result.steps.values():
        planned, past = step.planned, session.past(step.planned.asset)
        if step.before and past is not None:
            _look_again(session, planned, past, OfAsset(view, planned.asset))


def _look_again(session: Session, planned: Planned, past: Progressed, told: OfAsset) -> None:
    asset, plan, result = planned.asset, session.loaded.plan.plan, session.result
    place, times = planned.where.directory, Times.read(past.facts.get("naming", {}))
    if planned.where.server is not None:
        try:
            with contextlib.ExitStack() as room:
                session.stands(planned, room).stand(told)
        except (CcdrError, OSError) as error:
            said = f"{asset}: {planned.where.shown} is not there any more, or cannot be asked"
            result.findings.append(f"{said}: {failure_of(error).reason}")
            return
    if place is None or times is None:
        again = f"{asset}: it had its name before, and was not looked at again"
        result.notes.append(f"{again}: `ccdr recover check {plan}` does")
        return
    scratch = session.run.scratch / f"since-named-{asset}"
    try:
        with contextlib.ExitStack() as room:
            order = session.stands(planned, room).order
            since = since_named(order, times, place, scratch, told)
    except (CcdrError, OSError) as error:
        result.findings.append(f"{asset}: {place} could not be looked at again: {failure_of(error).reason}")
        return
    finally:
        result.left_behind += remove_tree(scratch)
    result.notes.append(since.note(asset, plan))
    result.findings += filter(None, [since.finding(asset, place, plan)])


def clear(session: Session, planned: Planned) -> None:
    """What stood beside it until it had its name goes, where a kill came between."""
    past, place, told = session.past(planned.asset), planned.place, session.told
    if place is None or past is None or told is None:
        return
    for run in {told.run, past.run} - {None}:
        for inside in (False, True):
            if (root := root_for(place, str(run), inside=inside)).is_dir():
                session.result.left_behind += remove_tree(root)


def _stands(planned: Planned, past: Progressed, *, named: bool) -> bool:
    """Has it its final name? By what was told before it got that: asked of the place itself. UsageProblem where it had
    it for sure (`named`), and what is there now is something else."""
    place = planned.place
    if place is None:
        return named
    inodes: Sequence[Sequence[int]] = past.facts.get("naming", {}).get("inodes") or []
    there = named_before(place, inodes)
    if there is None and past.run is not None:
        take_back(place, root_for(place, past.run, inside=True), inodes)
    if there:
        _refuse_less(planned, past)
        return True
    if named:
        raise UsageProblem(
            f"what was brought to {place} is not there any more",
            hint=f"put it back, or begin a new recovery of it alone: --assets {planned.asset}",
        )
    return False


def _refuse_less(planned: Planned, past: Progressed) -> None:
    """UsageProblem where a directory has lost some of what had been brought there."""
    place, naming = planned.where.directory and planned.place, past.facts.get("naming", {})
    if place is None or "files" not in naming:
        return
    files, size = extent(place)
    if files < naming["files"] or size < naming["bytes"]:
        raise UsageProblem(
            f"{place} holds {so_many(files, 'file')} of {human_bytes(size)}, and {so_many(naming['files'], 'file')} of "
            f"{human_bytes(naming['bytes'])} were brought there",
            hint=f"put back what is missing, or begin a new recovery of it alone: --assets {planned.asset}",
        )
