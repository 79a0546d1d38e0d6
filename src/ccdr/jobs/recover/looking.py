"""Before anything is done: each asset's target is looked at, what an earlier process had brought among them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ccdr.host import interrupts
from ccdr.jobs.recover.asking import told_of_each
from ccdr.jobs.recover.brought_before import is_there, was_done
from ccdr.jobs.recover.planned import Planned
from ccdr.jobs.recover.session import Session
from ccdr.jobs.recover.view import OfAsset, View
from ccdr.jobs.restore import restoring
from ccdr.jobs.restore.directory import existing
from ccdr.jobs.restore.request import Before, Told
from ccdr.model.errors import UsageProblem
from ccdr.model.side_by_side import at_once
from ccdr.model.values import human_bytes
from ccdr.plans.trust import require_confirmed


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
