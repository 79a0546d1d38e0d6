"""Remove what a plan's retention lets go, and the old log that led on from it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.kinds import DAMAGED, DONE
from ccdr.evidence.judgement.asset_status import answered_for
from ccdr.evidence.records.upkeep import PruneStart
from ccdr.evidence.statements import Operation
from ccdr.host.state import Run
from ccdr.jobs.approvals import FREELY, NOTHING, Allowed, Given, Wanted, allowed, scheduled
from ccdr.jobs.attest import prune_stored
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.services import BY_HAND, Services, Trigger, limits_of, policy_of
from ccdr.jobs.shipping.log_archive import (
    StoredBatch,
    archive_of,
    let_go,
    log_of,
    log_repository,
    rank,
    stored,
    void_of,
)
from ccdr.jobs.upkeep.outcome import NO_RETENTION, PLANNED, Prune, capacity_of, size, tenths
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.errors import CcdrError, Locked
from ccdr.model.finding import Finding
from ccdr.model.retention import AssetSnapshots, Decision, Policy, decide, expired, leapt
from ccdr.model.values import Manifest, Snapshot, human_seconds, rfc3339, so_many, stamped
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.ports.place import Progress
from ccdr.storage import upkeep as storage
from ccdr.storage.catalogue import STREAM, of_listed, of_source
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.removals import PRUNED, Removal, dated_in_future, removals, removals_text
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import ENDED, FUTURE, Synchronised, vanished_finding

# Old log goes with the bases that it leads on from.

PATIENCE = 60.0  # seconds; whoever ships stores for some seconds at a time


def prune_log(job: Job, services: Services, kept: Sequence[Snapshot]) -> list[StoredBatch]:
    """Remove the log that none of the asset's `kept` snapshots needs; what was removed. Never what one of them does."""
    _, log = log_of(job)
    repo = log_repository(job, services)
    deadline = services.clock.monotonic() + PATIENCE
    while True:
        try:
            with services.state.rewriting(repo.location):
                needed, since = needed_log(log, map(services.catalogue.manifest, kept))
                gone, void = let_go(archive_of(job, repo), needed, log, since), void_of(job, repo)
                storage.forget(repo, [*(batch.id for batch in gone), *void])
                if gone or void:
                    storage.prune(repo)
                return gone
        except Locked:
            if services.clock.monotonic() > deadline:
                raise
            time.sleep(0.2)


def needed_log(log: ShippedLog, kept: Iterable[Manifest]) -> tuple[str | None, datetime | None]:
    """The first segment that any base begins with, and of when the oldest is."""
    earliest: str | None = None
    since: datetime | None = None
    for manifest in kept:
        if not log.goes_on_from(manifest):
            continue
        needed = log.needed_from(manifest)
        if earliest is None or rank(needed) < rank(earliest):  # of another branch, too: what was written first
            earliest = needed
        since = min(since or manifest.consistent_point, manifest.consistent_point)
    return earliest, since


# A snapshot goes only by its full id, from our own catalogue or our own tags; what is not ours is never touched.
# Other hosts learn of it from a mark (a small snapshot tagged `kind=pruned`), which is left before anything is
# removed.

ORPHANED = timedelta(days=1)  # no backup stores its manifest this long after its dump
NO_BASE = "a snapshot that it depends on is gone"
REMEMBERED = timedelta(days=90)  # a host that looks less often goes by the rules alone


def prune(
    loaded: LoadedPlan,
    services: Services,
    progress: Progress,
    *,
    trigger: Trigger = BY_HAND,
    dry_run: bool = False,
    given: Given = NOTHING,
) -> Prune:
    """Remove the snapshots that the plan's retention lets go, then the data that nothing refers to any more.

    UsageProblem, NotApproved and Locked are raised before anything is done; what happens after that is in the result
    and in the ledger, an interrupt included (and raised again). `dry_run` only decides: it takes no lock and records
    nothing. `given` is by what somebody prunes a plan that is to be approved, outside its schedule.
    """
    repo = services.repository(loaded, limits_of(loaded))
    if dry_run:
        result = Prune(loaded.plan.plan)
        _Pruning(loaded, services, repo, progress, result).decide()
        result.result = PLANNED
        return result
    state, plan = services.state, loaded.plan.plan
    with state.lock(plan, "", "upkeep"), state.rewriting(repo.location), state.run(services.clock) as run:
        if trigger.due is not None:
            may = scheduled(loaded, services)
        else:
            may = allowed(Wanted(Operation.PRUNE, loaded), services, given)
        result = Prune(plan, run=run.id)
        work = _Pruning(loaded, services, repo, progress, result, may)
        recorded = RecordedRun(services, loaded, None, run.id, trigger)
        recorded.begin(PruneStart)
        with recorded.attempt(result.failed):
            work.carry_out(run)
        result.conclude(recorded)
    return result


class _Pruning:
    """One run of `prune`, from the decisions to the last removed byte."""

    def __init__(
        self,
        loaded: LoadedPlan,
        services: Services,
        repo: Restic,
        progress: Progress,
        result: Prune,
        may: Allowed = FREELY,
    ) -> None:
        self._loaded, self._services, self._repo, self._may = loaded, services, repo, may
        self._progress, self._result = progress, result
        self._plan = loaded.plan.plan
        self._synchronised = Synchronised()
        self._histories: Histories = {}
        self._lapsed: list[Snapshot] = []

    def carry_out(self, run: Run) -> None:
        services, result, repo = self._services, self._result, self._repo
        self.decide()
        if policy_of(self._loaded.plan) is None:
            result.result = DONE
            return
        for snapshot in self._synchronised.pruned:
            result.removed.append((snapshot, "removed earlier, by a prune that was interrupted or on another host"))
        for snapshot in self._lapsed:
            services.catalogue.remove(snapshot)
            result.removed.append((snapshot, "it had vanished; by now its time would be up"))
        before = size(repo)
        going = [(d.snapshot, ", ".join(d.why)) for _, d in result.each() if not d.keep]
        self._leave_mark([s for s, _ in going], run)
        if going:
            self._remove(going)
        self._drop_marks()
        prune_stored(repo, services.clock.now())
        self._progress.step("removing data that nothing refers to")
        storage.prune(repo, tenths(self._progress, "removing data that nothing refers to"))
        result.log_removed = self._prune_logs()
        result.result = DONE
        result.capacity = capacity_of(self._loaded, services, repo)
        if before is not None and result.capacity.taken is not None:
            result.freed = max(0, before - result.capacity.taken)
        services.state.forget_caches(services.clock.now())
        result.left_behind += self._tidy_indexes()

    def _prune_logs(self) -> int:
        """Log that no kept base leads on to; how many of its snapshots. Of a log that failed its test nothing goes:
        what a newer snapshot of a batch lacks, an older one may hold."""
        count = 0
        for asset, engine in self._loaded.plan.assets.items():
            history = self._histories.get((self._plan, asset), AssetHistory())
            if engine.shipping is not None and history.log_failure is None:
                self._progress.step(f"removing old log of {asset}")
                known = {s.id for s in self._services.catalogue.snapshots(self._plan, asset)}  # a failed one is no base
                kept = [d.snapshot for d in self._result.decisions[asset] if d.keep and d.snapshot.id in known]
                count += len(prune_log(Job(self._loaded, asset), self._services, kept))
        return count

    # --- what to remove -----------------------------------------------------------------------------------

    def decide(self) -> None:
        """Ask the repository what is there, and decide on each snapshot."""
        services, result, plan = self._services, self._result, self._loaded.plan
        policy = policy_of(plan)
        self._progress.step("asking the repository")
        self._histories = services.histories()
        stored_here = {i for (p, _), h in self._histories.items() if p == self._plan for i in h.stored_here}
        self._synchronised = services.synchronise(self._loaded, self._repo, None, stored_here)
        self._synchronised.understood()  # what there is, and what builds upon what, is for a newer ccdr to tell
        result.findings += [finding.within(asset) for asset, finding in self._synchronised.findings]
        result.noted = frozenset(self._acknowledged())
        assets = list(plan.assets)
        assets += [a for a in services.catalogue.assets(self._plan) if a not in plan.assets]
        if policy is None:
            result.reason = NO_RETENTION
        for asset in assets:
            standing = self._standing(asset, policy or Policy())
            now = services.clock.now()
            if policy is None:
                every = [*standing.good, *(s for g in (*standing.others.values(), *standing.kept.values()) for s in g)]
                decisions = [Decision(s, True, (NO_RETENTION,)) for s in every]
            else:
                decisions = self._as_approved(decide(standing, policy, now, plan.zone))
            result.decisions[asset] = decisions
            named = asset if asset in plan.assets else f"{asset} (no longer in the plan)"
            result.findings += [
                Finding(
                    f"snapshot {d.snapshot.short} of {rfc3339(d.snapshot.consistent_point)} should have gone on "
                    f"{d.held_since:%Y-%m-%d}, and is still held: {', '.join(d.why)}",
                    "held too long",
                    cause=d.snapshot.short,
                ).within(named)
                for d in decisions
                if d.overdue and d.held_since is not None
            ]

    def _as_approved(self, decisions: Sequence[Decision]) -> list[Decision]:
        """What the approval does not name stays, whatever has come to its time since it was asked for; and what that
        builds upon."""
        spared = {d.snapshot.id for d in decisions if not d.keep and not self._may.may_go(d.snapshot.id)}
        below = {needed.id for d in decisions if d.snapshot.id in spared for needed in d.snapshot.upon}

        def stays(one: Decision) -> Decision:
            if one.keep or one.snapshot.id not in spared | below:
                return one
            why = "the approval does not name it" if one.snapshot.id in spared else "what stays builds upon it"
            return replace(one, keep=True, why=(why,))

        return [stays(one) for one in decisions]

    def _acknowledged(self) -> Iterator[Finding]:
        """The findings on what vanished that somebody has answered for."""
        for asset in self._loaded.plan.assets:
            gone = [s for s in self._synchronised.vanished if s.asset == asset]
            history = self._histories.get((self._plan, asset), AssetHistory())
            if gone and answered_for(gone, history, self._services.clock.now()):
                yield from (vanished_finding(s).within(asset) for s in gone)

    def _standing(self, asset: str, policy: Policy) -> AssetSnapshots:
        """What there is of an asset in the repository: ours, and as the catalogue and our tags have it."""
        services, now = self._services, self._services.clock.now()
        history = self._histories.get((self._plan, asset), AssetHistory())
        gone = {s.id for s in self._synchronised.vanished}
        known = services.catalogue.snapshots(self._plan, asset)
        there = [s for s in known if s.id not in gone]
        source = self._loaded.plan.assets[asset].source_name if asset in self._loaded.plan.assets else None
        places: dict[str, list[Snapshot]] = {}
        good: list[Snapshot] = []
        future = []
        for s in there:
            if dated_in_future(s, now):
                future.append(s)
            elif why := (chain.lacks(s, there) and NO_BASE) or self._not_counting(s, history, source):
                places.setdefault(why, []).append(s)
            else:
                good.append(s)
        ids = self._synchronised.void
        void = [of_listed(s, self._plan) for s in self._synchronised.listed if s.id in ids and s.tag("asset") == asset]
        if stored := [s for s in void if s.id not in {k.id for k in known}]:
            places["of a backup that failed"] = stored
        self._lapse(asset, there, policy)
        lost = [s for s in known if s.id in gone]  # what lapses now, too: it is explained from the next prune on
        return AssetSnapshots(
            good=tuple(good),
            others={why: tuple(group) for why, group in places.items()},
            kept={"dated in the future": tuple(future)} if future else {},
            proven=frozenset(i for i, verdict in history.proven.items() if verdict == "PASS"),
            open=tuple(self._open(asset, history, good, lost, policy)),
            held_since=self._held_since(),
        )

    @staticmethod
    def _not_counting(snapshot: Snapshot, history: AssetHistory, source: str | None) -> str | None:
        if history.is_suspect(snapshot.id, *(needed.id for needed in snapshot.upon)):
            return "it is suspect"
        if history.disproved(snapshot):
            return "it failed a restore test"
        if source is not None and not of_source(snapshot, source):
            return "from another source than the plan names now"
        return None

    def _lapse(self, asset: str, there: Sequence[Snapshot], policy: Policy) -> None:
        """What vanished is a finding until its time would be up anyway; a newer one must be there."""
        services = self._services
        lost = [s for s in self._synchronised.vanished if s.asset == asset]
        if not there and asset not in self._loaded.plan.assets:
            self._lapsed += lost  # nobody backs it up any more, and nothing of it is left
        if not lost or not there:
            return
        proven = self._histories.get((self._plan, asset), AssetHistory()).proven
        last_proven = max((s.consistent_point for s in there if proven.get(s.id) == "PASS"), default=None)
        past = expired([*there, *lost], policy, services.clock.now(), self._loaded.plan.zone)
        newest = max(s.consistent_point for s in there)
        # One that was to stay for having been proven lapses only once a newer one is.
        self._lapsed += [
            s
            for s in lost
            if s.id in past
            and s.consistent_point < newest
            and (proven.get(s.id) != "PASS" or (last_proven is not None and s.consistent_point < last_proven))
        ]

    def _open(
        self, asset: str, history: AssetHistory, good: Sequence[Snapshot], lost: Sequence[Snapshot], policy: Policy
    ) -> Iterator[str]:
        """Findings that are open on an asset: while there is one, nothing of it goes."""
        if lost:
            yield f"{len(lost)} of its snapshots vanished"
        if not good:
            yield "it has no good snapshot"
        if history.suspect is not None:
            yield "a newer snapshot of it is suspect, and nobody has answered for that"
        upkeep = self._histories.get((self._plan, None), AssetHistory())
        if any(one.result == DAMAGED for one in upkeep.read.values()):
            yield "a part of the repository was found damaged, and not found clean since"
        yield from (str(one) for name, one in self._synchronised.findings if name == asset and one.about == FUTURE)
        if asset not in self._loaded.plan.assets and not (history.stored or history.proven):
            yield "this host's plan does not name it, and its ledger knows nothing of it: it may be another host's"
        if not good or asset not in self._loaded.plan.assets:
            return  # nobody backs it up or tests it any more: its last good snapshot stays
        job = Job(self._loaded, asset)
        newest = max(good, key=lambda s: (s.consistent_point, s.usable_at, s.id))
        if failed := history.failed_since(newest.usable_at, snapshot=newest.id):
            yield failed.text
        if elsewhere := [a for a in self._synchronised.failed if a.asset == asset and a.at > newest.usable_at]:
            yield f"a newer backup, run {elsewhere[-1].run} of {rfc3339(elsewhere[-1].at)}, failed"
        if history.last_good_backup is not None:
            yield from (one.text for one in history.last_good_backup.findings)
        last = history.last_conclusive_test
        if last is None or not any(history.proven.get(s.id) == "PASS" for s in good):
            yield "no restore test of what is there has passed"
        elif last.verdict != "PASS":
            yield f"its last restore test is {last.verdict}: {last.reason}"
        if (failure := history.older_failure) is not None:
            yield f"its restore test of {stamped(failure.time)} is FAIL, and no newer snapshot has passed"
        if (failure := history.older_log_failure) is not None and job.engine.shipping is not None:
            yield f"its recovery by the log of {stamped(failure.time)} is FAIL, and none that goes as far has passed"
        if last is not None:
            yield from (one.text for one in last.findings)
        if damage := history.damage_since(upkeep):
            yield damage
        if self._services.there is None:  # a copy lags behind by its schedule
            yield from self._exposed(job, good, history)
        if apart := leapt(good, policy, job.objectives.rpo):
            yield f"its newest good snapshot is {human_seconds(apart)} newer than the one before: is the clock right?"

    def _exposed(self, job: Job, good: Sequence[Snapshot], history: AssetHistory) -> Iterator[str]:
        """Is more at stake than the RPO? The log that leads on from the newest base counts, as far as it is there."""
        rpo, now = job.objectives.rpo, self._services.clock.now()
        points = [measure.Point(s.consistent_point, s.to_hand) for s in good]
        exposed = measure.exposure(now, points)
        if exposed <= rpo:
            return
        what = "its newest good snapshot is"
        if job.engine.shipping is not None:
            usable = sorted(good, key=lambda s: (s.consistent_point, s.usable_at, s.id))
            try:
                archive = archive_of(job, log_repository(job, self._services))
                logged = stored(job, self._services, usable, history.log_disproved, archive)
            except (CcdrError, OSError) as error:
                yield f"ccdr could not ask for its log: {error}"
                return
            exposed = measure.exposure(now, [*points, *logged])
            what = "its log is stored up to a point that is" if logged else f"no log counts, and {what}"
        if exposed > rpo:
            yield f"{what} {human_seconds(exposed)} old, more than its RPO"

    def _held_since(self) -> dict[str, datetime]:
        """Since when snapshots are held, as the last prune has recorded it."""
        last = self._histories.get((self._plan, None), AssetHistory()).last_done_prune
        return {one.id: one.since for one in last.end.held} if last is not None else {}

    # --- removing it --------------------------------------------------------------------------------------

    def _remove(self, going: Sequence[tuple[Snapshot, str]]) -> None:
        """The catalogue last, so that it never misses what is still there."""
        repo, services, result = self._repo, self._services, self._result
        self._progress.step(f"removing {so_many(len(going), 'snapshot')}")
        storage.forget(repo, [s.id for s, _ in going])
        left = {s.id for s in repo.snapshots([OURS, f"plan={self._plan}"])}
        for snapshot, why in going:
            if snapshot.id not in left:
                services.catalogue.remove(snapshot)
                result.removed.append((snapshot, why))
        if still := [s.short for s, _ in going if s.id in left]:
            raise CcdrError(
                f"the repository kept {len(still)} of the snapshots that were to be removed: {', '.join(still[:5])}",
                hint="check that this host's credentials may delete there: an append-only key may not",
            )

    def _leave_mark(self, going: Sequence[Snapshot], run: Run) -> None:
        """Before anything is removed, so that whatever is interrupted is explained, and a test on another host whose
        files are taken away while it fetches them knows why. It holds what earlier ones said, too: these go."""
        now = self._services.clock.now()
        earlier = [r for r in removals(self._repo, self._synchronised.listed) if now - r.at < REMEMBERED]
        path = run.scratch / "pruned"
        path.write_text(removals_text([*earlier, *(Removal(s.asset, s.id, now) for s in going)]), "utf-8")
        tags = [OURS, f"kind={PRUNED}", f"plan={self._plan}", f"run={run.id}"]
        self._repo.backup([path], tags=tags)

    def _drop_marks(self) -> None:
        """Marks that say nothing any more: of prunes that a later one repeats, and of failed backups that a newer good
        one has made up for. A mark whose snapshot is still there stays: without it, that snapshot would count."""
        listed = self._repo.snapshots([OURS, f"plan={self._plan}"])
        ids, stored = {s.id for s in listed}, {s.tag("run") for s in listed if s.tag("kind") == "backup"}
        marks = [s for s in listed if s.tag("kind") == PRUNED]
        old = [s.id for s in marks[:-1]]
        for s in listed:
            needed = s.tag("void") in ids or (ENDED in s.tags and s.tag("run") in stored)
            if s.tag("kind") == "failed" and not needed and self._made_up_for(s):
                old.append(s.id)
        old += self._orphans(listed)
        if old:
            storage.forget(self._repo, old)

    def _orphans(self, listed: Sequence[RepoSnapshot]) -> list[str]:
        """Streams that no backup names: theirs has gone now, or never came about. One that is new may belong to a
        backup that is under way on another host."""
        named = {s.tag(STREAM) for s in listed if s.tag("kind") == "backup"}
        gone, now = {s.run for s, _ in self._result.removed}, self._services.clock.now()
        return [
            s.id
            for s in listed
            if s.tag("kind") == STREAM and s.id not in named and (s.tag("run") in gone or now - s.finished > ORPHANED)
        ]

    def _made_up_for(self, mark: RepoSnapshot) -> bool:
        decisions = self._result.decisions.get(mark.tag("asset") or "", [])
        return any(d.keep and d.held_since is None and d.snapshot.usable_at > mark.time for d in decisions)

    def _tidy_indexes(self) -> list[str]:
        """Listings of file trees that the plan no longer names."""
        left = []
        directory = self._services.state.directory("index")
        for path in directory.glob(f"{self._plan}.*"):
            parts = path.name.split(".", 2)
            if parts[0] == self._plan and len(parts) == 3 and parts[1] not in self._loaded.plan.assets:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    left.append(f"{path} is still there: {error.strerror}")
        return left
