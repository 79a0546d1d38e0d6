"""What the records say of one asset up to the period's end."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TypeVar

from msgspec import UNSET

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records import BackupEnd, Record, TestEnd
from ccdr.evidence.records.backups import StoredSnapshot
from ccdr.evidence.verdicts import point_of, reached_for, whole_until
from ccdr.jobs.shipping.log_archive import rank
from ccdr.model import parents as chain
from ccdr.model.measure import Point
from ccdr.model.values import AT, LATEST, Needed, Snapshot, source_digest
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.telling.report.runs import GOOD, RecordedRun, newer_run

BY_LOG, BY_ID = "by log", "by id"
RULES = ("latest", "random", "oldest", BY_LOG, BY_ID)  # how a test's snapshot was selected
Key = TypeVar("Key", str, int)


@dataclass(frozen=True)
class LogFailure:
    """Log that a recovery from `base` (None: not known) was to go through up to `until`, and could not."""

    base: datetime | None
    until: datetime


@dataclass(frozen=True)
class ReachedPoint:
    """What a test by the log has reached, of a source of this digest (None: not known)."""

    point: Point
    source: str | None


@dataclass
class Stretch:
    """Shipped log without a gap: its points, and the bases (ids) that it leads on from. Behind a gap it `begins` with
    that segment; where the source went back, that was found out at `anew`."""

    begins: str | None = None
    anew: datetime | None = None
    bases: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def compress(self, known: Mapping[str, Point], boundary: datetime) -> None:
        """Of bases that are still `known` only, and of the points between two of them the newest."""
        self.bases = [key for key in self.bases if key in known]
        begins = sorted(known[key].consistent for key in self.bases)
        between = defaultdict[int, dict[int, Point]](dict)
        for number, point in enumerate(self.points):
            if at := bisect_right(begins, point.consistent):
                between[at][number] = point
        kept = {number for some in between.values() for number in _standing(some, boundary)}
        self.points = [point for number, point in enumerate(self.points) if number in kept]


@dataclass
class AssetEvidence:
    """What the records say of one asset up to the period's end: its `history`, as every other command reads it, of
    which nothing that retention removed is forgotten; and what only a period asks for. `points` has every snapshot that
    was stored, by id, `stored` what the records tell of those that were not removed since."""

    history: AssetHistory
    points: dict[str, Point] = field(default_factory=dict)
    stored: dict[str, StoredSnapshot] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    removed_elsewhere: set[str] = field(default_factory=set)  # of those, what another host's ledger alone says
    removed_unseen: int = 0  # within the period, of which none had passed or failed a test
    log: list[Stretch] = field(default_factory=lambda: [Stretch()])
    log_recorded: datetime | None = None  # when the ledger was last told of it, whether or not within the period
    sources: dict[str, str] = field(default_factory=dict)  # digests of what snapshots are of, where records tell
    needed: dict[str, str | None] = field(default_factory=dict)  # segments that bases begin with; None: it is no base
    recovered: list[ReachedPoint] = field(default_factory=list)  # by tests by the log
    log_failures: list[LogFailure] = field(default_factory=list)  # whatever has passed since from a newer base
    parents: dict[str, list[str]] = field(default_factory=dict)  # what an increment builds upon, by id
    last: dict[str, RecordedRun] = field(default_factory=dict)  # by verb
    last_good: dict[str, RecordedRun] = field(default_factory=dict)
    last_conclusive: RecordedRun | None = None  # test
    by_rule: dict[str, RecordedRun] = field(
        default_factory=dict
    )  # the last conclusive test by how its snapshot was selected
    tests: list[RecordedRun] = field(default_factory=list)  # within the period

    def disproved(self, snapshot: str) -> bool:
        """By a test of it, or of what it builds upon; or as nobody has answered for what it looks like."""
        parents = self.parents.get(snapshot, ())
        return self.history.is_suspect(snapshot, *parents) or chain.disproved(snapshot, parents, self.history.proven)

    def of_source(self, snapshot: str, source: str) -> bool:
        """Is it of what the plan names now? An older record does not tell, and is believed."""
        recorded = self.sources.get(snapshot)
        return recorded is None or recorded == source_digest(source)

    def snapshots(
        self, plan: str, asset: str, source: str, end: datetime, others: Sequence[Snapshot] = ()
    ) -> list[Snapshot]:
        """Those that are there by the records alone, as the catalogue would have them; what it alone knows of them is
        left empty. `others`: of other hosts, that these may build upon."""
        of_others = {s.id: s.manifest_sha256 for s in others}

        def made(key: str, stored: StoredSnapshot) -> Snapshot:
            point = self.points[key]
            parents = tuple(Needed(one, digest_of(one)) for one in self.parents.get(key, ()))
            return Snapshot.outline(
                key, plan, asset, point.consistent, point.usable, bytes=stored.bytes,
                manifest_sha256=digest_of(key), source=source if self.of_source(key, source) else None, upon=parents,
            )  # fmt: skip

        def digest_of(key: str) -> str:
            stored = self.stored.get(key)
            return of_others.get(key, "") if stored is None else stored.manifest_sha256

        there = [made(key, stored) for key, stored in self.stored.items() if self.points[key].usable <= end]
        return sorted(there, key=lambda s: (s.consistent_point, s.usable_at, s.id))

    def take(self, run: RecordedRun, record: Record | None) -> None:
        newer_run(self.last, run)
        if run.outcome in GOOD:
            newer_run(self.last_good, run)
        at = run.ended or run.started
        match record:
            case BackupEnd(result="STORED", snapshot=StoredSnapshot() as stored):
                self._stored(_usable(whole_until(stored), at), stored)
            case TestEnd():
                reached = record.recovery.reached.at if record.recovery and record.recovery.reached else None
                if record.verdict == "PASS" and reached is not None:
                    source = record.snapshot.source_sha256 if record.snapshot else None
                    self.recovered.append(ReachedPoint(_usable(reached, at), source))
                self._log_judged(record)
                if record.verdict in ("PASS", "FAIL"):
                    self.last_conclusive = run
                    self.by_rule[_rule(run.selected)] = run

    def _stored(self, point: Point, stored: StoredSnapshot) -> None:
        key = stored.id
        self.points[key], self.stored[key] = point, stored
        if stored.source_sha256:
            self.sources[key] = stored.source_sha256
        if stored.needed_from is not UNSET:
            self.needed[key] = stored.needed_from
        newest = self.log[-1]
        of_it = newest.anew is None or newest.anew <= point.consistent  # else nobody knows of which history it is
        if of_it and self._leads(key, newest.begins):
            newest.bases.append(key)
        if stored.upon:
            self.parents[key] = stored.upon

    def forget(self, key: str, *, within: bool, ours: bool) -> None:
        """Retention removed it: what is counted of the period stays."""
        if not ours:
            self.removed_elsewhere.add(key)
        self.removed_unseen += within and key in self.points and key not in self.history.proven
        self.removed.add(key)
        self.history.recorded_beside.pop(key, None)  # it is no backup any more that one could count on
        self.stored.pop(key, None)

    def compress(self, boundary: datetime) -> None:
        """Let go of what no period that begins later can ask for: what retention removed, and points of log and of
        recoveries, but for the newest ones, which stood at the boundary."""
        good = {key: p for key, p in self.points.items() if key in self.removed and not self.disproved(key)}
        tested = {key: p for key, p in good.items() if self.history.proven.get(key) == "PASS"}
        standing = {key for some in (good, tested) for key in _standing(some, boundary)}
        for key in self.removed - standing:
            for known in (self.points, self.sources, self.needed, self.parents):
                known.pop(key, None)
            self.history.forget(key, ours=key not in self.removed_elsewhere)
        self.removed &= standing
        self.removed_elsewhere &= standing
        for stretch in self.log:
            stretch.compress(self.points, boundary)
        self.log = [s for s in self.log[:-1] if s.points and s.bases] + self.log[-1:]
        newest = dict[str | None, dict[int, Point]]()
        for number, one in enumerate(self.recovered):
            newest.setdefault(one.source, {})[number] = one.point
        kept = {number for some in newest.values() for number in _standing(some, boundary)}
        self.recovered = [one for number, one in enumerate(self.recovered) if number in kept]

    def _leads(self, base: str, begins: str | None) -> bool:
        """Does log that begins with this segment lead on from it? An older record does not tell: then every gap that
        was told before it is believed to lie before it."""
        needed = self.needed.get(base, "")
        return needed == "" or (needed is not None and (begins is None or rank(begins) <= rank(needed)))

    def torn(self, begins: str | None, *, vanished: bool = False, anew: datetime | None = None) -> None:
        """There is a gap, behind which the log begins so: it leads on from bases that lie behind it, no others. Where
        log has `vanished` that was stored once, the newest base before the gap leads nowhere any more. Where the source
        went back, and its log began `anew`, no base from before then leads on."""
        before = self.log[-1]
        bases = [b for b in before.bases if begins is not None and b in self.needed and self._leads(b, begins)]
        if vanished:
            last = max((self.points[b] for b in before.bases if b not in bases), default=None)
            first = min((self.points[b] for b in bases), default=None)
            before.points = [
                p
                for p in before.points
                if last is None
                or p.consistent <= last.consistent
                or (first is not None and p.consistent >= first.consistent)
            ]
        self.log.append(Stretch(begins, anew or before.anew, [] if anew else bases))

    def shipped(self, points: Iterable[Point], since: str | None = None) -> None:
        """`since`: all that is known of what the log begins with."""
        newest = self.log[-1]
        if since is not None:
            newest = Stretch(since, newest.anew, [b for b in newest.bases if self._leads(b, since)])
            self.log.append(newest)
        if newest.bases:
            newest.points += points

    def logged(self, bases: Mapping[str, Point]) -> list[Point]:
        """How far the log leads on from these bases: usable once one of them is that lies before it."""
        points = []
        for stretch in filter(lambda s: s.points, self.log):
            mine = sorted(bases[key] for key in stretch.bases if key in bases)
            begin, usable = [b.consistent for b in mine], list(accumulate((b.usable for b in mine), min))
            for point in stretch.points:
                if at := bisect_right(begin, point.consistent):
                    points.append(Point(point.consistent, max(point.usable, usable[at - 1])))
        return points

    def _log_judged(self, test: TestEnd) -> None:
        """A pass takes back what failed from its own base on, if it goes as far: of what lies before that it says
        nothing."""
        recovery, base = test.recovery, point_of(test)
        if recovery is None:
            return
        if recovery.verdict == "FAIL":
            wanted = reached_for(recovery)
            before = [p.consistent for p in self.points.values() if p.consistent <= wanted]
            failed = LogFailure(base or max(before, default=None), wanted)
            if failed not in self.log_failures:
                self.log_failures.append(failed)
        elif recovery.verdict == "PASS" and base is not None:
            still, until = [], recovery.until
            for failed in self.log_failures:
                if recovery.target != LATEST and (until is None or until < failed.until):
                    still.append(failed)
                elif failed.base is not None and failed.base < base:
                    still.append(replace(failed, until=min(failed.until, base - timedelta(microseconds=1))))
            self.log_failures = still


def _standing(points: Mapping[Key, Point], boundary: datetime) -> set[Key]:
    """Of these points: the newest that stood at the boundary, and those that came to stand, or lie, behind it."""
    before = {key: point for key, point in points.items() if max(point) < boundary}
    newest = max(before, key=lambda key: before[key], default=None)
    return points.keys() - before.keys() | ({newest} if newest is not None else set())


def _rule(selected: str | None) -> str:
    if selected == AT:
        return BY_LOG
    return selected if selected in RULES else BY_ID


def _usable(consistent: datetime, at: datetime) -> Point:
    """What is dated ahead is of use to nobody before that date has come, whenever it was written."""
    return Point(consistent, consistent if consistent > at + CLOCK_TOLERANCE else at)
