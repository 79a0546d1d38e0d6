"""Before anything is done each asset's target is looked at: what an earlier process had brought, by its journal and by
what stands there now, is not brought again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ccdr.engines.files.scan import LISTING, entries
from ccdr.host import interrupts
from ccdr.host.file_times import Times, regular_files
from ccdr.host.files import extent, remove_tree
from ccdr.jobs.recover.asking import told_of_each
from ccdr.jobs.recover.journal import Progressed
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.recover.result import StepResult
from ccdr.jobs.recover.session import OfAsset, Session, View
from ccdr.jobs.restore import restoring
from ccdr.jobs.restore.directory import existing, named_before, root_for, take_back
from ccdr.jobs.restore.new_server import CHANGED, LeftServer
from ccdr.jobs.restore.request import Before, RestoreResult, Told
from ccdr.jobs.restore.ways import Order
from ccdr.model.errors import CcdrError, UsageProblem, failure_of
from ccdr.model.side_by_side import at_once
from ccdr.model.values import CheckResult, Verdict, human_bytes, so_many
from ccdr.plans.trust import require_confirmed
from ccdr.ports.place import Progress

# What had its final name before this process went on: has anybody written to it since? By the times of its files, as
# the journal has them; contents are read again only where these have changed.


@dataclass(frozen=True)
class Since:
    """`changed` of `files` bear other times; what they hold is not what was captured in `unlike` of them."""

    files: int
    changed: int
    unlike: int

    def finding(self, asset: str, place: Path, plan: str) -> str | None:
        if not self.unlike:
            return None
        what = so_many(self.unlike, "file is", "files are")
        return (
            f"{asset}: {what} not as brought to {place}: damaged, or in use since; `ccdr recover check {plan}` looks "
            "at all of it"
        )

    def note(self, asset: str, plan: str) -> str:
        left = self.files - self.changed
        return (
            f"{asset}: it had its name before. {so_many(left, 'file')} of {self.files} bear the times that they had "
            f"then and were not read again (`ccdr recover check {plan}` reads them)"
        )


def since_named(order: Order, before: Times, place: Path, scratch: Path, progress: Progress) -> Since:
    """CcdrError where it cannot be told. `scratch` is not there yet, and is the caller's to remove."""
    moved, files = place.is_mount(), sum(1 for _ in regular_files(place))
    changed = before.changed(place, moved=moved)
    if not changed:
        return Since(files, 0, 0)
    progress.step(f"reading {so_many(len(changed), 'file')} whose times have changed")
    wanted = set(changed)
    expected = {name: sha for name, sha in _captured(order, place, scratch) if name in wanted}
    digests = order.services.digest(place, list(expected), vanishing=True)
    unlike = sum(1 for name, known in expected.items() if name not in digests or digests[name].sha256 != known)
    return Since(files, len(changed), unlike)


def _captured(order: Order, place: Path, scratch: Path) -> Iterator[tuple[str, str]]:
    """Each file by its name below the place, with its SHA-256."""
    if "roots" not in order.manifest.contents:
        for name, digest in order.engine.listed(place, order.manifest).items():
            yield name, digest.sha256
        return
    order.repo.restore(order.snapshot.id, order.snapshot.root, scratch)  # ccdr's listing, and none of the data
    for entry in entries(scratch / LISTING):
        if entry.sha256 is not None:
            yield entry.path.lstrip("/"), entry.sha256


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
    place = planned.where.directory
    if planned.where.server is not None:
        try:
            with contextlib.ExitStack() as room:
                session.stands(planned, room).stand(told)
        except (CcdrError, OSError) as error:
            said = f"{asset}: {planned.where.shown} is not there any more, or cannot be asked"
            result.findings.append(f"{said}: {failure_of(error).reason}")
            return
    if place is None:
        again = f"{asset}: it had its name before, and was not looked at again"
        result.notes.append(f"{again}: `ccdr recover check {plan}` does")
        return
    scratch = session.run.scratch / f"since-named-{asset}"
    try:
        with contextlib.ExitStack() as room:
            order = session.stands(planned, room).order
            since = since_named(order, Times.read(past.facts["naming"]), place, scratch, told)
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
    inodes: Sequence[Sequence[int]] = past.facts["naming"]["inodes"] if "naming" in past.facts else []
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
    place = planned.where.directory and planned.place
    if place is None:
        return
    naming, (files, size) = past.facts["naming"], extent(place)
    if files < naming["files"] or size < naming["bytes"]:
        raise UsageProblem(
            f"{place} holds {so_many(files, 'file')} of {human_bytes(size)}, and {so_many(naming['files'], 'file')} of "
            f"{human_bytes(naming['bytes'])} were brought there",
            hint=f"put back what is missing, or begin a new recovery of it alone: --assets {planned.asset}",
        )


# Before anything is done: each asset's target is looked at, what an earlier process had brought among them.


def look(session: Session, view: View) -> None:
    """At all of them; each is then open, or done. UsageProblem with all that is wrong; else as repository and Docker
    raise."""
    _Looking(session, view).all()


@dataclass(frozen=True)
class _Looking:
    session: Session
    view: View

    def all(self) -> None:
        session, problems, absent = self.session, list[UsageProblem](), list[Planned]()
        require_confirmed(session.loaded, session.decision.starts)
        for planned in session.decision.assets:
            with _noting(planned, problems):
                if not is_there(session, planned):
                    absent.append(planned)
        with self._asked(absent) as told:
            looks = [partial(self._problems_of, planned, told.get(planned.asset)) for planned in absent]
            for found in interrupts.each_to_its_end(looks, at_once(os.cpu_count() or 1)):
                problems += found
        opened = [(planned.asset, session.open[planned.asset]) for planned in absent if planned.asset in session.open]
        session.result.notes += [f"{asset}: {note}" for asset, one in opened for note in one.result.notes]
        if problems:
            hints = dict.fromkeys(error.hint for error in problems if error.hint)
            raise UsageProblem("\n".join(map(str, problems)), hint="; ".join(hints) or None)
        self._refuse_without_room()

    @contextlib.contextmanager
    def _asked(self, wanted: Sequence[Planned]) -> Iterator[Mapping[str, Told]]:
        """The repository is asked once for all of them, and nothing is removed there from here until each has been
        looked at."""
        if not wanted:
            yield {}
            return
        session = self.session
        jobs, by_log = [session.job(one.asset) for one in wanted], {one.asset for one in wanted if one.target}
        repo = session.services.repository(session.loaded, jobs[0].limits)
        with session.services.state.reading(repo.location):
            yield told_of_each(session.loaded, jobs, by_log, session.services, session.asked)

    def _problems_of(self, planned: Planned, told: Told | None) -> list[UsageProblem]:
        found: list[UsageProblem] = []
        with _noting(planned, found):
            self._look_at(planned, told)
        return found

    def _look_at(self, planned: Planned, told: Told | None) -> None:
        session, asset = self.session, planned.asset
        room = session.room(asset)
        request = planned.request(
            session.known.others,
            session.known.unknown,
            onto_source_server=session.decision.onto_source_server,
            before=self._before(asset),
            reached=partial(session.reached, asset),
            working=session.told.run if session.told is not None else session.run.id,
            makes=session.decision.under,
            told=told,
        )
        request = replace(request, despite_erasures=session.known.despite_erasures)
        progress = OfAsset(self.view, asset)
        one = room.enter_context(restoring(session.job(asset), request, session.services, progress, dry_run=True))
        if one.examination.there:
            was_done(session, planned)
            room.close()
            return
        session.open[asset] = one

    def _before(self, asset: str) -> Before | None:
        """What an earlier process has left of it."""
        past = self.session.past(asset)
        if past is None or past.run is None:
            return None
        return Before(past.run, past.stage, past.facts.get("naming"))

    def _refuse_without_room(self) -> None:
        """Each target has room for its own: have they together, on each file system?"""
        needed: dict[int, tuple[Path, int]] = {}
        for planned in self.session.left:
            place = planned.where.directory
            if place is None:
                continue
            base = place if place.is_dir() else existing(place.parent)
            at, size = needed.get(device := base.stat().st_dev, (base, 0))
            needed[device] = at, size + planned.bytes
        for base, size in needed.values():
            file_system = os.statvfs(base)
            free = file_system.f_bavail * file_system.f_frsize
            if self.session.told is None and free < size:
                raise UsageProblem(
                    f"{base} has {human_bytes(free)} free, what is to be brought there needs {human_bytes(size)}",
                    hint="free space there, name other targets (--to FILE), or bring some of it first (--assets)",
                )


@contextlib.contextmanager
def _noting(planned: Planned, problems: list[UsageProblem]) -> Iterator[None]:
    try:
        yield
    except UsageProblem as error:
        problems.append(UsageProblem(f"{planned.asset}: {error}", hint=error.hint))
