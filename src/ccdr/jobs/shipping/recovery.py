"""What a recovery to a point needs beside its base: chosen from what is stored, fetched, and proven to have no gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import structs

from ccdr.evidence.log_standing import read_standing
from ccdr.evidence.records.restores import AppliedLog, LogReached, LogRecovery
from ccdr.host.files import remove_tree
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.choice import Base, Choice, choose, stored_again
from ccdr.jobs.shipping.fetching_log import PointSearch, batches_holding, fetch_log
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.log_repository import archive_of, log_of, log_repository
from ccdr.jobs.shipping.stored_batch import LOG
from ccdr.model.errors import BackupBad, TestBroken, UsageProblem, blaming_the_log
from ccdr.model.measure import Point
from ccdr.model.values import LATEST, CheckResult, Manifest, Snapshot, Verdict, rfc3339, so_many
from ccdr.plans.job import Job
from ccdr.ports.log import Reached, RecoveryTarget, ShippedLog
from ccdr.ports.place import Place, Progress
from ccdr.storage.restic import Restic


class Recovers(Protocol):
    """What applies a log: an engine, or whoever makes a new server of it."""

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached: ...


def recorded_target(target: RecoveryTarget) -> str:
    """As a record names it: the end of a branch that somebody has chosen is not the log's."""
    if target.to_the_end and target.branch is not None:
        return f"{LATEST} of timeline {target.branch}"
    return rfc3339(target.time) if target.time else target.name or LATEST


class Recovery:
    """One recovery: what it begins with, what it fetched, how far it went."""

    def __init__(
        self,
        job: Job,
        repo: Restic,
        log: ShippedLog,
        choice: Choice,
        needed: str,
        *,
        ahead: bool,
        asked: RecoveryTarget | None = None,
    ) -> None:
        self._job, self._repo, self._log, self._needed = job, repo, log, needed
        self._asked = asked or replace(choice.target, branch=None)
        self.choice, self.ahead = choice, ahead  # dated so: how far the log reaches nobody knows then
        self._reached: Reached | None = None

    @classmethod
    def prepared(
        cls,
        job: Job,
        services: Services,
        usable: Sequence[Snapshot],
        target: RecoveryTarget,
        run: Run,
        progress: Progress,
        archive: LogArchive | None = None,
    ) -> Recovery:
        """`archive` is what is stored of the log, where that was asked for already. Raises as `choose`, LogBad where
        that raises BackupBad; UsageProblem where the asset ships no log, or none that is stored has a point of that
        name: the log is fetched to look for it."""
        _, log = log_of(job)
        repo = log_repository(job, services)
        known = [(s, services.catalogue.manifest(s)) for s in usable]
        bases = [(s, m) for s, m in known if log.goes_on_from(m)]
        with blaming_the_log():
            archive = archive_of(job, repo) if archive is None else archive
            standing = read_standing(services.state, job.plan, job.asset)
            anew = standing.anew if standing else None
            point = standing.point if standing else None

            def chosen(wanted: RecoveryTarget, among: Sequence[Base]) -> Choice:
                return choose([s for s, _ in among], [m for _, m in among], archive, log, wanted, anew, point)

            if target.name is None:
                choice = chosen(target, bases)
            else:
                progress.step(f"looking for {target.name} in the log")
                with services.state.reading(repo.location):
                    search = PointSearch(
                        job, repo.with_cache(run.directory("points-cache")), log, archive, run.directory("points")
                    )
                    choice = batches_holding(target, log, archive, bases, chosen, search)
        needed = next(log.needed_from(m) for s, m in bases if s == choice.base)
        ahead = choice.batches[-1].dated_ahead(services.clock.now())
        return cls(job, repo, log, choice, needed, ahead=ahead, asked=target)

    @property
    def bytes_restored(self) -> int:
        """What was fetched of the log."""
        return sum(self._repo.restored)

    def fetch(self, fetched: Path, cache: Path, services: Services) -> CheckResult:
        """What was chosen, as it is there now: whoever ships it has stored it again since, and a prune on another host
        lets go of what a newer snapshot of the same batch holds."""
        repo, into = self._repo.with_cache(cache), fetched / LOG
        with services.state.reading(self._repo.location), blaming_the_log():
            try:
                return fetch_log(self._job, repo, self.choice, self._needed, self._log, into, services.digest)
            except BackupBad:
                if (newer := stored_again(self.choice, archive_of(self._job, self._repo))) is None:
                    raise
            self.choice = newer
            self.ahead = self.ahead or newer.batches[-1].dated_ahead(services.clock.now())
            remove_tree(into)
            return fetch_log(self._job, repo, newer, self._needed, self._log, into, services.digest)

    def carry_out(
        self,
        engine: Recovers,
        box: Place,
        restored: Path,
        fetched: Path,
        manifest: Manifest,
        reopened: Callable[[Mapping[str, str]], Place],
    ) -> CheckResult:
        """Load the base and apply the log; the result says which point was reached. Where the log makes files outside
        of the base (`Engine.outside`), it is applied in a box that was `reopened` with these paths."""
        target, point, taken = self.choice.target, self.choice.batches[-1].point, self.choice.batches[-1].taken
        if not target.position:
            raise TestBroken(
                "the log's newest snapshot does not say which position it reaches",
                hint="`ccdr ship PLAN` stores it again",
            )
        if outside := self._job.engine.outside(box, fetched / LOG, manifest, target):
            box = reopened(outside)
        reached = engine.recover(box, restored, fetched / LOG, manifest, target)
        if target.to_the_end:  # all that was there at that point was in it, and is restored
            later = reached.at is not None and point < reached.at <= taken
            reached = replace(reached, at=reached.at if later else point)  # what is ahead of the clock tells nothing
        elif reached.at is not None:  # whatever a clock says: nothing of it was written after it was stored
            reached = replace(reached, at=min(reached.at, taken))
        self._reached = reached
        where = reached.position if reached.at is None else f"{reached.position}, {rfc3339(reached.at)}"
        return CheckResult(
            kind="log",
            name="recovered to the target",
            status=Verdict.PASS,
            expected=self._wanted(),
            actual="; ".join([where, *self.lost]),
        )

    @property
    def reached(self) -> Reached | None:
        """How far it went; None before it has."""
        return self._reached

    @property
    def lost(self) -> list[str]:
        """Of which tables it brings back no rows, as sentences."""
        left = self._reached.left_out if self._reached else {}
        changes = [f"{so_many(n, 'change')} of {name}" for name, n in left.items() if n]
        unlogged = [name for name, n in left.items() if not n]
        some = ", ".join([*unlogged[:5], *["…"] * (len(unlogged) > 5)])
        comes = so_many(len(unlogged), "unlogged table comes", "unlogged tables come")
        told = [f"left out: {', '.join(changes)}, whose rows are in memory alone"] * bool(changes)
        return [*told, *[f"{comes} back empty ({some})"] * bool(unlogged)]

    def resumed(self, reached: Reached) -> None:
        """An earlier run has carried it out."""
        self._reached = reached

    @property
    def place(self) -> str:
        """Where `fetch` puts the log."""
        return LOG

    @property
    def described(self) -> str:
        """What of the log is fetched."""
        batches = self.choice.batches
        return f"{so_many(len(batches), 'snapshot')} of it, up to {rfc3339(batches[-1].point)}"

    @property
    def until(self) -> str:
        """Where the restored data ends once the log is applied."""
        target, point = self.choice.target, rfc3339(self.choice.batches[-1].point)
        ends = rfc3339(target.time) if target.time else target.name or f"the end of the stored log, {point} or later"
        if target.beyond and target.left is None:
            ends += f" (if the log reaches as far: it surely does to {point}, and `ccdr test --at` looks further)"
        if not self.choice.current:
            ends += f", on timeline {target.branch}"
        if target.left is not None:
            ends += f" (if that reaches as far: timeline {target.left.branch} goes on from {target.left.position})"
        return f"{ends}, once the log is applied to the base of {rfc3339(self.choice.base.consistent_point)}"

    def _wanted(self) -> str:
        target = self.choice.target
        on = "" if self.choice.current else f", on timeline {target.branch}"
        if target.time is not None:
            return f"{rfc3339(target.time)}{on}"
        return f"{target.name or f'the end of the log, not before {target.position}'}{on}"

    @property
    def former(self) -> datetime | None:
        """Up to when the log was gone through, where that is of a branch that was left since; None: of the newest."""
        return None if self.choice.current else self.choice.target.time or self.choice.batches[-1].point

    def facts(self) -> LogRecovery:
        """For the record."""
        target, batches, reached = self.choice.target, self.choice.batches, self._reached
        applied = AppliedLog(
            snapshots=len(batches),
            first=self._needed,
            last=batches[-1].open or batches[-1].last,
            point=batches[-1].point,
            timeline=target.branch,
        )
        return LogRecovery(
            target=recorded_target(self._asked),
            log=applied,
            reached=None
            if reached is None
            else LogReached(
                position=reached.position,
                at=reached.at,
                last_commit=reached.last_commit,
                left_out=dict(reached.left_out),
            ),
        )

    def stops(self) -> LogRecovery:
        """For the record, where it was found that not all of the log up to there can be applied."""
        until = self.choice.target.time or max(self.choice.base.consistent_point, self.choice.batches[-1].point)
        return structs.replace(self.facts(), until=until, stops=True)

    @property
    def moment(self) -> datetime | None:
        """The instant that the restored data is true for; None where nothing tells more than the base does."""
        return (self._reached and self._reached.at) or self.choice.target.time

    def points(self) -> list[Point]:
        """What this recovery has proven."""
        if self._reached is None or self._reached.at is None or self.ahead or not self.choice.current:
            return []
        return [Point(self._reached.at, self.choice.batches[-1].usable_at)]


def the_base(named: Snapshot, usable: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshot that somebody named to recover from. UsageProblem where no recovery may begin with it."""
    if named not in usable:
        raise UsageProblem(
            f"no recovery begins with the snapshot {named.short}: it is incomplete, failed its last test, or lacks what"
            " it depends on",
            hint="leave --snapshot out: then the newest base before that point is taken",
        )
    return [named]
