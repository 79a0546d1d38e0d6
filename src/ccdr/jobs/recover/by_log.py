"""The state nearest to a moment that an asset's stored log gives: from what the repository lists, before anything of it
is fetched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.evidence.log_standing import LogStanding, read_standing
from ccdr.jobs.recover.choosing import Candidate
from ccdr.jobs.recover.request import Answer, Question
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.choice import Base, choose
from ccdr.jobs.shipping.choice import Choice as LogChoice
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.log_repository import log_of
from ccdr.model.errors import BackupBad, TestBroken, TwoBranches, UsageProblem
from ccdr.model.forks import Fork
from ccdr.model.values import Snapshot, rfc3339
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget, ShippedLog

WALKED_BACK = 50  # stored points that are tried where the log does not lead to the moment


@dataclass(frozen=True)
class StateByLog:
    """The state, if there is one; else why there is none, or none that is nearer: sentences. Or a question."""

    state: Candidate | None = None
    why: tuple[str, ...] = ()
    question: Question | None = None


@dataclass(frozen=True)
class LogToGoBy:
    """An asset's stored log, and the bases that it can be applied to, oldest first. `standing` is as this host wrote it
    down, where it ships it."""

    asset: str
    log: ShippedLog
    archive: LogArchive
    bases: Sequence[Base]
    standing: LogStanding | None = None

    @classmethod
    def of(cls, job: Job, services: Services, usable: Sequence[Snapshot], archive: LogArchive) -> LogToGoBy:
        """`archive` is what its repository told."""
        _, log = log_of(job)
        bases: list[Base] = []
        for s in usable:
            with contextlib.suppress(BackupBad):  # an entry of the catalogue that cannot be read
                if log.goes_on_from(manifest := services.catalogue.manifest(s)):
                    bases.append((s, manifest))
        return cls(job.asset, log, archive, bases, read_standing(services.state, job.plan, job.asset))

    def nearest(self, moment: datetime | None, timeline: int | None = None) -> StateByLog:
        """Not after the moment (None: the log's end). UsageProblem where no such timeline was asked for."""
        bases = [(s, m) for s, m in self.bases if moment is None or s.consistent_point <= moment]
        if not bases:
            return StateByLog()  # before the first of them the log leads nowhere
        newest = self.archive.newest
        behind = newest is None or moment is None or moment > max(newest.point, newest.taken)
        target = RecoveryTarget(time=None if behind else moment, branch=timeline)
        try:
            choice = self._choose(target, bases)
        except TwoBranches as error:
            return StateByLog(question=self._question(error.branches, moment))
        except BackupBad as error:
            return self._before_the_fault(str(error), moment, bases, timeline)
        except TestBroken as error:
            return StateByLog(why=(f"its log: {error}",))
        except UsageProblem as error:
            if timeline is None:
                return StateByLog(why=(f"its log: {error}",))
            raise UsageProblem(
                f"{self.asset}: {error}", hint=f"leave `--timeline {self.asset}={timeline}` out"
            ) from None
        left = choice.target.left
        if left is not None and timeline is None and not self._ends_there(choice, left):
            return StateByLog(question=self._question((left.parent, left.branch), moment))
        if not choice.target.beyond:
            return self._state(choice, moment)
        # How far it goes behind that, only a recovery finds out: what is sure is taken.
        surely = replace(target, time=choice.batches[-1].point, branch=choice.target.branch)
        try:
            return self._state(self._choose(surely, bases), moment)
        except (BackupBad, TestBroken, UsageProblem):
            return StateByLog(why=(f"its log: it surely reaches to {rfc3339(choice.batches[-1].point)} alone",))

    def _ends_there(self, choice: LogChoice, left: Fork) -> bool:
        """Is the former branch stored just to where the other goes on, as after an orderly switch? Then nobody need say
        which is meant: what is stored of it is in both."""
        stored, before = choice.batches[-1].position, self.log.reached_before
        return bool(stored) and before(stored, left.position) and before(left.position, stored)

    def _choose(self, target: RecoveryTarget, bases: Sequence[Base]) -> LogChoice:
        standing = self.standing
        anew, point = (standing.anew, standing.point) if standing else (None, None)
        return choose([s for s, _ in bases], [m for _, m in bases], self.archive, self.log, target, anew, point)

    def _state(self, choice: LogChoice, moment: datetime | None) -> StateByLog:
        target, ends = choice.target, choice.batches[-1].point
        point = min(target.time or ends, moment or ends)
        if point < choice.base.consistent_point:  # what is surely of it is all in the base
            return StateByLog()
        asked = RecoveryTarget(time=target.time, branch=target.branch)
        size = sum(batch.bytes for batch in choice.batches)
        return StateByLog(Candidate(choice.base, point, asked, size, len(choice.batches)))

    def _before_the_fault(
        self, fault: str, moment: datetime | None, bases: Sequence[Base], timeline: int | None
    ) -> StateByLog:
        """Where log is missing, or bad, on the way: as near as the stored points before that lead."""
        why = (f"its log: {fault}",)
        for point in self._points(moment):
            try:
                found = self._choose(RecoveryTarget(time=point, branch=timeline), bases)
            except (BackupBad, TestBroken, UsageProblem):
                continue
            if not found.target.beyond and found.target.left is None:
                return replace(self._state(found, moment), why=why)
        return StateByLog(why=why)

    def _points(self, moment: datetime | None) -> Iterator[datetime]:
        stored = {batch.point for batch in (*self.archive.batches, *self.archive.spare)}
        yield from sorted((p for p in stored if moment is None or p <= moment), reverse=True)[:WALKED_BACK]

    def _question(self, branches: tuple[int, int], moment: datetime | None) -> Question:
        """Which of two timelines is meant, each with what it holds as far as is known."""
        assert moment is not None
        one, other = branches
        text = f"its source failed over, and {rfc3339(moment)} may mean timeline {one} or timeline {other} of its log"
        return Question(self.asset, text, tuple(self._answer(branch) for branch in (one, other)))

    def _answer(self, branch: int) -> Answer:
        points = [b.point for b in self.archive.batches if self.log.branch(b.ends) == branch]
        fork = next((f for f in self.archive.forks(None) if f.branch == branch), None)
        newest = self.archive.newest
        if newest is not None:
            fork = next((f for f in self.archive.forks(newest.anew) if f.branch == branch), fork)
        until = f", stored up to {rfc3339(max(points))}" if points else ""
        begun = f", begun {f'on {rfc3339(fork.at)} ' if fork.at else ''}at {fork.position}" if fork else ""
        return Answer(f"--timeline {self.asset}={branch}", f"takes timeline {branch}{begun}{until}")
