"""What a recovery to a point needs beside its base: chosen from what is stored, fetched, and proven to have no gap."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ccdr.evidence.log_standing import Standing, read_standing
from ccdr.host.interrupts import threads
from ccdr.host.state import Run, remove_tree
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.branches import covers, line_to
from ccdr.jobs.shipping.choice import Choice, Written, choose, holding, stored_again
from ccdr.jobs.shipping.shelf import INDEX, INDEX_FORMAT, LOG, OPEN, Batch, Shelf, log_of, log_repository, shelf_of
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, UsageProblem, WrittenByNewer, blaming_the_log
from ccdr.model.forks import written
from ccdr.model.measure import Point
from ccdr.model.values import LATEST, CheckResult, Manifest, Snapshot, Verdict, rfc3339, so_many, utc
from ccdr.plans.job import Job
from ccdr.ports.engine import Engine
from ccdr.ports.log import Reached, RecoveryTarget, ShippedLog
from ccdr.ports.place import Digester, Place, Progress
from ccdr.storage.restic import Restic

# A time written out. What else Python would take for one (20261124, 2026-W48) may be the name of a point.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
AT_ONCE = 2  # batches that are fetched side by side


def target_of(text: str, zone: Any, timeline: int | None = None) -> RecoveryTarget:
    """What `--at` and `--timeline` say."""
    return replace(_target_of(text, zone), branch=timeline)


def _target_of(text: str, zone: Any) -> RecoveryTarget:
    """`latest`, a time (in the plan's zone where it names none), or the name of a point."""
    if text == LATEST:
        return RecoveryTarget()
    if not text.strip():  # a script's variable that was not set must not mean a point that nobody named
        raise UsageProblem("--at is empty", hint='write a time like "2026-11-24 14:05:00", `latest`, or a name')
    if _TIME.fullmatch(text) is None:
        return RecoveryTarget(name=text)
    try:
        when = datetime.fromisoformat(text)
        return RecoveryTarget(time=when.astimezone(UTC) if when.tzinfo else _local(text, when, zone))
    except (ValueError, OverflowError):
        raise UsageProblem(f"there is no such time as {text}", hint="is a part of it out of its range?") from None


def _local(text: str, when: datetime, zone: Any) -> datetime:
    """The one moment at which clocks there show it; UsageProblem where there are two, or none."""
    earlier, later = (when.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if earlier.utcoffset() == later.utcoffset():
        return earlier.astimezone(UTC)
    one, other = (f"`{text}{str(moment)[len(str(when)) :]}`" for moment in (earlier, later))
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == when:
        raise UsageProblem(f"{text} comes twice in {zone}: clocks are set back", hint=f"write {one}, or {other}")
    raise UsageProblem(
        f"{text} never comes in {zone}: clocks are set forward", hint=f"write {one}, if it is by a clock that was not"
    )


def told(target: RecoveryTarget) -> str:
    """As a record names it: the end of a branch that somebody has chosen is not the log's."""
    if target.to_the_end and target.branch is not None:
        return f"{LATEST} of timeline {target.branch}"
    return rfc3339(target.time) if target.time else target.name or LATEST


def _on_its_branch(standing: Standing, shelf: Shelf, log: ShippedLog) -> Standing:
    """The same, with where in the log's history it stands as the repository has it."""
    if shelf.newest is None:
        return standing
    return replace(standing, branch=log.branch(shelf.newest.ends), forks=shelf.forks(shelf.newest.anew))


def logged(
    job: Job,
    services: Services,
    usable: Sequence[Snapshot],
    disproved: Callable[[Snapshot], bool] = lambda _: False,
    shelf: Callable[[], Shelf] | None = None,
    standing: Standing | None = None,
) -> list[Point]:
    """How far the log is stored, as this host wrote it down (`standing`: as far as that is believed), if the newest
    usable base is one that it goes on from, and the log from there on is not `disproved`. With a `shelf`, no more than
    what is there: it is asked after what was written down was read, for it may grow meanwhile. Where another host ships
    it, the shelf alone tells."""
    standing = standing or read_standing(services.state, job.plan, job.asset)
    log = job.engine.log("")
    if standing is None and log is not None and shelf is not None:  # another host ships it
        return stored(job, services, usable, disproved, shelf())
    if standing is not None and log is not None and standing.newest is not None and shelf is not None:
        asked = shelf()
        there = asked.contiguous(log)
        since, point = (there[0].begins, min(standing.newest.consistent, there[-1].point)) if there else (None, None)
        standing = replace(standing, since=standing.since and since, point=point)
        standing = _on_its_branch(standing, asked, log)
    if log is None or standing is None or standing.newest is None or standing.since is None:
        return []
    for snapshot in reversed(usable):
        with suppress(BackupBad):
            manifest = services.catalogue.manifest(snapshot)
            if log.goes_on_from(manifest):
                if disproved(snapshot) or (standing.anew and manifest.consistent_point < standing.anew):
                    return []
                branch = max(log.branch(log.needed_from(manifest)), standing.branch or 1)
                if not line_to(log, standing.forks, branch).leads_on_from(manifest):
                    continue  # the source was recovered to before it: an older one may lead there
                return [standing.newest] if covers(log, standing.since, log.needed_from(manifest)) else []
    return []


def stored(
    job: Job, services: Services, usable: Sequence[Snapshot], disproved: Callable[[Snapshot], bool], shelf: Shelf
) -> list[Point]:
    """The same by what is in the repository alone: for a host that ships nothing itself. `usable` are oldest first."""
    _, log = log_of(job)
    there, newest = shelf.contiguous(log), shelf.newest
    if newest is None or newest.dated_ahead(services.clock.now()):
        return []
    for snapshot in reversed(usable):
        manifest = services.catalogue.manifest(snapshot)
        if log.goes_on_from(manifest):
            if disproved(snapshot) or shelf.torn_from(manifest.consistent_point) is not None:
                return []
            if not shelf.line(log).leads_on_from(manifest):
                continue  # as in `logged`
            held = covers(log, there[0].begins, log.needed_from(manifest))
            return [Point(newest.point, newest.usable_at)] if held else []
    return []


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
    ) -> Recovery:
        """Raises as `choose`, LogBad where that raises BackupBad; UsageProblem where the asset ships no log, or none
        that is stored has a point of that name: the log is fetched to look for it."""
        _, log = log_of(job)
        repo = log_repository(job, services)
        known = [(s, services.catalogue.manifest(s)) for s in usable]
        bases = [(s, m) for s, m in known if log.goes_on_from(m)]
        with blaming_the_log():
            shelf, standing = shelf_of(job, repo), read_standing(services.state, job.plan, job.asset)
            anew = standing.anew if standing else None
            point = standing.point if standing else None

            def chosen(wanted: RecoveryTarget, among: Sequence[tuple[Snapshot, Manifest]]) -> Choice:
                return choose([s for s, _ in among], [m for _, m in among], shelf, log, wanted, anew, point)

            if target.name is None:
                choice = chosen(target, bases)
            else:
                progress.step(f"looking for {target.name} in the log")
                with services.state.reading(repo.location):
                    look = _Looking(
                        job, repo.with_cache(run.directory("points-cache")), log, shelf, run.directory("points")
                    )
                    choice = _holding(target, log, shelf, bases, chosen, look)
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
                if (newer := stored_again(self.choice, shelf_of(self._job, self._repo))) is None:
                    raise
            self.choice = newer
            self.ahead = self.ahead or newer.batches[-1].dated_ahead(services.clock.now())
            remove_tree(into)
            return fetch_log(self._job, repo, newer, self._needed, self._log, into, services.digest)

    def carry_out(self, engine: Engine, box: Place, restored: Path, fetched: Path, manifest: Manifest) -> CheckResult:
        """Load the base and apply the log; the result says which point was reached."""
        target, point, taken = self.choice.target, self.choice.batches[-1].point, self.choice.batches[-1].taken
        if not target.position:
            raise TestBroken(
                "the log's newest snapshot does not say which position it reaches",
                hint="`ccdr ship PLAN` stores it again",
            )
        reached = engine.recover(box, restored, fetched / LOG, manifest, target)
        if target.to_the_end:  # all that was there at that point was in it, and is restored
            later = reached.at is not None and point < reached.at <= taken
            reached = replace(reached, at=reached.at if later else point)  # what is ahead of the clock tells nothing
        elif reached.at is not None:  # whatever a clock says: nothing of it was written after it was stored
            reached = replace(reached, at=min(reached.at, taken))
        self._reached = reached
        return CheckResult(
            kind="log",
            name="recovered to the target",
            status=Verdict.PASS,
            expected=self._wanted(),
            actual=reached.position if reached.at is None else f"{reached.position}, {rfc3339(reached.at)}",
        )

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

    def facts(self) -> dict[str, object]:
        """For the record."""
        target, batches, reached = self.choice.target, self.choice.batches, self._reached
        return {
            "target": told(self._asked),
            "log": {
                "snapshots": len(batches),
                "first": self._needed,
                "last": batches[-1].open or batches[-1].last,
                "point": rfc3339(batches[-1].point),
                "timeline": target.branch,
            },
            "reached": reached
            and {
                "position": reached.position,
                "at": reached.at and rfc3339(reached.at),
                "last_commit": reached.last_commit and rfc3339(reached.last_commit),
            },
        }

    @property
    def moment(self) -> datetime | None:
        """The instant that the restored data is true for; None where nothing tells more than the base does."""
        return (self._reached and self._reached.at) or self.choice.target.time

    def points(self) -> list[Point]:
        """What this recovery has proven."""
        if self._reached is None or self._reached.at is None or self.ahead or not self.choice.current:
            return []
        return [Point(self._reached.at, self.choice.batches[-1].usable_at)]


_Known = Sequence[tuple[Snapshot, Manifest]]


def the_base(named: Snapshot, usable: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshot that somebody named to recover from. UsageProblem where no recovery may begin with it."""
    if named not in usable:
        raise UsageProblem(
            f"no recovery begins with the snapshot {named.short}: it is incomplete, failed its last test, or lacks what"
            " it builds upon",
            hint="leave --snapshot out: then the newest base before that point is taken",
        )
    return [named]


def _holding(
    target: RecoveryTarget,
    log: ShippedLog,
    shelf: Shelf,
    bases: _Known,
    chosen: Callable[[RecoveryTarget, _Known], Choice],
    look: _Looking,
) -> Choice:
    """By the newest branch of the log that has a point of that name; what the first of them said, where none has."""
    first: CcdrError | None = None
    assert target.name is not None
    newest = shelf.newest
    others = Written(shelf, log, newest.anew).branches[-2::-1] if newest and target.branch is None else []
    for branch in (target.branch, *others):
        wanted = replace(target, branch=branch)
        try:
            return holding(target.name, bases, partial(chosen, wanted), look.meets)
        except (BackupBad, TestBroken, UsageProblem) as error:
            first = first or error
    assert first is not None
    raise first


@dataclass(frozen=True)
class _Looking:
    """For a point in the log: each batch is fetched once, into a directory of its own below `into`."""

    job: Job
    repo: Restic
    log: ShippedLog
    shelf: Shelf
    into: Path

    def meets(self, choice: Choice, manifest: Manifest) -> bool:
        needed, files = self.log.needed_from(manifest), []
        line = self.shelf.line(self.log, choice.target.branch, choice.batches[-1].anew)
        for batch in choice.batches:
            place = self.into / batch.id
            if not place.exists():
                _fetched(self.repo, batch, place)
            index = index_of(self.job, place, batch)
            files += [(name, place / name) for name in index["segments"]]
            if index["open"] is not None and batch == choice.batches[-1]:
                files.append((index["open"], place / f"{index['open']}{OPEN}"))
        start = self.log.place(needed)
        wanted = [(name, file) for name, file in files if line.takes(name) and self.log.place(name) >= start]
        return self.log.finds(wanted, str(choice.target.name), manifest)


def fetch_log(
    job: Job, repo: Restic, choice: Choice, needed: str, log: ShippedLog, into: Path, digest: Digester
) -> CheckResult:
    """Every segment of the chosen batches into the directory `into`, under the names that recovery asks for.

    Each whole one has the SHA-256 that was taken before it was stored, and follows the one before: BackupBad where
    not. The result says so, for the record.
    """
    into.mkdir(mode=0o700)
    with threads(AT_ONCE) as pool:
        named = [(batch, into / f"batch-{n}") for n, batch in enumerate(choice.batches)]
        places = list(pool.map(lambda pair: _fetched(repo, *pair), named))
    chain: list[str] = []
    compared = 0
    branch = choice.target.branch
    for number, place in enumerate(places):
        index = index_of(job, place, choice.batches[number])
        files: dict[str, Any] = index["files"]
        found = digest(place, sorted(files))
        wrong = sorted(name for name, said in files.items() if found[name].sha256 != said["sha256"])
        if wrong:
            raise BackupBad(f"segments of the log are not as they were stored: {', '.join(wrong[:3])}")
        if flawed := next(filter(None, (log.flaw(place / name) for name in sorted(files))), None):
            raise BackupBad(f"the log snapshot {choice.batches[number].id[:8]} is not what was received: {flawed}")
        compared += len(files)
        last = number == len(places) - 1
        for name in files:
            (place / name).replace(into / name)
        chain += index["segments"]
        if last and index["open"] is not None:
            (place / f"{index['open']}{OPEN}").replace(into / index["open"])
            log.fill_up(into / index["open"])
            chain.append(index["open"])
    branch = log.branch(needed) if branch is None else branch
    if (lacks := log.lacks(into, branch)) is not None:
        raise BackupBad(f"the log lacks {lacks}, by which a recovery finds its way", hint="back up again")
    wanted = line_to(log, log.forks(into), branch).stretch(chain, needed)
    log.reserve(into, choice.forks)
    return CheckResult(
        kind="log",
        name="shipped log",
        status=Verdict.PASS,
        expected=f"{len(wanted)} segments without a gap",
        actual=f"{wanted[0]} to {wanted[-1]}, {compared} equal by SHA-256",
    )


def _fetched(repo: Restic, batch: Batch, into: Path) -> Path:
    into.mkdir(mode=0o700)
    repo.restore(batch.id, batch.root, into)
    return into


def index_of(job: Job, place: Path, batch: Batch) -> dict[str, Any]:
    """What the fetched snapshot says of itself: BackupBad where that is not what its tags say, by which it was chosen,
    and which anybody who writes to the repository can change."""
    try:
        body: dict[str, Any] = json.loads((place / INDEX).read_text("utf-8"))
        if body.get("format", INDEX_FORMAT) > INDEX_FORMAT:
            raise WrittenByNewer(f"the log snapshot {batch.id[:8]}", body["format"], INDEX_FORMAT)
        whose = (body["plan"], body["asset"], body["source"])
        if whose != (job.plan, job.asset, job.engine.source_name):
            raise BackupBad(f"the log snapshot {batch.id[:8]} is of another source: {whose[0]}/{whose[1]}")
        whole = body["segments"]
        ends = (whole[0], whole[-1]) if whole else (None, None)
        said = {"point": utc(body["point"]), "position": body["position"], "open": body["open"]}
        said |= {"first": ends[0], "last": ends[1]}
        claimed = {name: getattr(batch, name) for name in said} | {"point": batch.told or batch.point}
        heads = {name: head for name, head in body.get("heads", {}).items() if name in {*ends, body["open"]}}
        later: dict[str, object] = {"batch": batch.name, "server": batch.server, "heads": batch.heads}
        body.setdefault("anew", None)
        later["anew"] = batch.anew and rfc3339(batch.anew)
        later["forks"] = written(batch.forks) or None
        for name, tag in (later if batch.told else later | {"clock_skew_s": batch.skew}).items():
            if name in body:  # an index did not always say so
                said[name], claimed[name] = heads if name == "heads" else body[name], tag
        if wrong := [name for name in said if said[name] != claimed[name]]:
            raise BackupBad(
                f"the log snapshot {batch.id[:8]} claims another {wrong[0]} than was stored: {claimed[wrong[0]]} "
                f"instead of {said[wrong[0]]}",
                hint="its tags were changed since: find out who writes to the repository",
            )
        every = dict.fromkeys((*body["segments"], *body["files"]))
        missing = [n for n in every if n not in body["files"] or not (place / n).is_file()]
        if body["open"] and not (place / f"{body['open']}{OPEN}").is_file():
            missing.append(body["open"])
        if missing:
            raise BackupBad(f"the log snapshot {batch.id[:8]} lacks {', '.join(missing[:3])}")
        return body
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupBad(f"the log snapshot {batch.id[:8]} cannot be read: {error}") from None
