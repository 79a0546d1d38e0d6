"""A plan's copies: what its repository holds, copied to others at other sites.

`SeenFrom` is the plan as seen from a copy, with which every other use-case works there; `copy` fills one with what its
retention would keep, and a `Copying` of that goes into the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import COPY_START, DONE, FAILED
from ccdr.evidence.records.copies import CopyEnd, CopyStart
from ccdr.evidence.records.values import Repository, code
from ccdr.host.state import Run
from ccdr.jobs.attest.comparison import compare
from ccdr.jobs.attest.storing import KIND as LEDGER
from ccdr.jobs.attest.storing import number
from ccdr.jobs.erasure.register import ERASURES
from ccdr.jobs.plan_in_repository.stored_versions import PLAN
from ccdr.jobs.recorded import RecordedRun, document
from ccdr.jobs.restore_test import AT, RestoreTest, restore_test
from ccdr.jobs.services import BY_HAND, SeenFrom, Services, Trigger, limits_of, policy_of
from ccdr.jobs.shipping import archive_of, log_repository
from ccdr.jobs.shipping.log_archive import LogArchive, let_go, log_of, stored
from ccdr.jobs.upkeep.outcome import PLANNED, RepositoryWork, tenths
from ccdr.jobs.upkeep.prune import needed_log
from ccdr.model import parents as chain
from ccdr.model.errors import (
    BackupBad,
    CcdrError,
    CommandFailed,
    Exit,
    Locked,
    RepositoryLocked,
    RepositoryMissing,
    worst,
)
from ccdr.model.finding import Finding
from ccdr.model.retention import kept_by_rules
from ccdr.model.values import LATEST, Manifest, Snapshot, at_copy, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import copy_named, seen_from
from ccdr.plans.copies import seen_from as plan_at
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.storage import copying as storage
from ccdr.storage.catalogue import STREAM, Catalogue, of_source
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.removals import dated_in_future
from ccdr.storage.restic import Restic
from ccdr.storage.restic_failures import judged
from ccdr.storage.synchronised import ENDED, Synchronised

# What one copying gives: for people, for programs and for the ledger.


@dataclass
class Copying(RepositoryWork):
    """What was copied to one of a plan's copies, and what is there now, by asset: `there` is None where that is not
    known. `lacking` are the ids of snapshots that should be there and could not be copied, `vanished` of those that
    were there, and that nobody here has removed. `source` and `repository` say how the plan's own repository and the
    copy's were found, where that is why it ended."""

    copy: str
    site: str | None
    result: Literal["DONE", "FAILED", "PLANNED"] = FAILED
    made: bool = False  # the repository, just now
    copied: dict[str, int] = field(default_factory=dict)
    log_copied: int = 0
    there: dict[str, int] | None = None
    newest: dict[str, datetime] = field(default_factory=dict)
    arrived: dict[str, datetime] = field(default_factory=dict)  # when the newest was there
    log_until: dict[str, datetime] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    vanished: dict[str, list[str]] = field(default_factory=dict)
    damaged: bool = False  # the plan's own repository could not give back what is lacking
    source: Repository = None
    repository: Repository = None
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> Exit:
        codes = [] if self.result == DONE else [Exit.FINDING if self.damaged else self.failure]
        codes += [Exit.FINDING] if self.findings or any(self.vanished.values()) else []
        codes += [Exit.LEFT_BEHIND] if self.left_behind else []
        return worst(codes)

    @property
    def done(self) -> bool:
        return self.result == DONE

    def ended(self) -> CopyEnd:
        return CopyEnd(
            plan=self.plan,
            run=self.run,
            copy=self.copy,
            site=self.site,
            result=code(self.result),
            reason=self.reason,
            made=self.made,
            copied=self.copied,
            log_copied=self.log_copied,
            there=self.there,
            newest=self.newest,
            arrived=self.arrived,
            log_until=self.log_until,
            lacking=self.lacking,
            vanished=self.vanished,
            damaged=self.damaged,
            source=self.source,
            repository=self.repository,
            findings=self.findings,
            seconds=round(self.seconds, 3),
            left_behind=self.left_behind,
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record, run=self.run or None, hint=self.hint)


# A plan, and all that is known of it here, as seen from one of its copies.


def from_site(loaded: LoadedPlan, services: Services, where: str | None) -> tuple[LoadedPlan, Services]:
    """What `--from WHERE` means: the plan and the services that every use-case is to be called with, so that it asks,
    fetches from, and tells of that copy. `where` is a copy's name, or its site; None, `primary` or the site of the
    plan's own repository: both as they are. UsageProblem where there is no such copy."""
    name = None if where is None else copy_named(loaded.plan, where)
    return (loaded, services) if name is None else (plan_at(loaded, name), at(loaded, services, name))


def jobs_from(jobs: Sequence[Job], services: Services, where: str | None) -> tuple[list[Job], Services]:
    """As `from_site`, of one plan's assets."""
    loaded, there = from_site(jobs[0].loaded, services, where)
    return [Job(loaded, job.asset) for job in jobs], there


def at(loaded: LoadedPlan, services: Services, copy: str) -> Services:
    """What is known here of a copy: which snapshots it holds, and what was done there."""
    there = SeenFrom(loaded.plan.plan, copy, services.catalogue)
    return replace(services, catalogue=services.catalogue_of(copy), there=there)


# Restore tests that fetch from a copy: of so many tests of an asset, one more is made there.


def from_copies(job: Job, services: Services, progress: Progress, trigger: Trigger) -> Iterator[RestoreTest]:
    """Test the newest state of the asset from each of the plan's copies whose turn it is: it was never restored from
    there, or so many tests ago. By the log where that is how the plan tests it. One that broke has not had its turn."""
    for name, copy in job.loaded.plan.copies.items():
        known = services.histories()
        there, own = (known.get((at_copy(job.plan, at), job.asset), AssetHistory()) for at in (name, None))
        filled = known.get((at_copy(job.plan, name), None), AssetHistory()).last_copy
        if filled is None or not (filled.there or {}).get(job.asset):
            continue
        if there.last_conclusive_test is not None and own.tests - there.tests_then < copy.test_every:
            continue
        (seen,), services_there = jobs_from([job], services, name)
        by_log = AT in job.rules and job.asset in filled.log_until
        rule, at = (AT, RecoveryTarget()) if by_log else (LATEST, None)
        with suppress(Locked):
            yield restore_test(seen, rule, services_there, progress, at=at, trigger=trigger)


# What is to be copied: what the copy's retention would keep there, with all that it depends on, and no more.


@dataclass(frozen=True)
class Wanted:
    """Ids in the order in which they are to be copied: what another depends on before it. `kept` are an asset's
    snapshots that stay at the copy, or will."""

    backups: dict[str, str] = field(default_factory=dict)  # by id: the asset
    ids: list[str] = field(default_factory=list)  # backups, what these consist of, marks, plans, registers, the ledger
    kept: dict[str, list[Snapshot]] = field(default_factory=dict)


def wanted(view: LoadedPlan, own: Services, there: Services, here: Synchronised, held: Synchronised) -> Wanted:
    """`here` is what the plan's own repository has told, `held` what the copy's has; each side's catalogue knows it."""
    plan, present = view.plan.plan, {s.id for s in held.listed} - {s.id for s in held.unread}
    listed = {s.id: s for s in here.listed}
    found = Wanted()
    for asset in dict.fromkeys([*view.plan.assets, *own.catalogue.assets(plan)]):
        kept = _kept(view, own, there, asset, {s.id for s in here.vanished})
        found.kept[asset] = kept
        for snapshot in kept:
            if snapshot.id in present or snapshot.id not in listed or snapshot.id in here.void:
                continue
            if (stream := listed[snapshot.id].tag(STREAM)) and stream not in present:
                found.ids.append(stream)
            found.ids.append(snapshot.id)
            found.backups[snapshot.id] = asset
    found.ids.extend(_marks(here.listed, held.listed, present))
    found.ids.extend(s.id for s in here.listed if s.tag("kind") in (PLAN, ERASURES) and s.id not in present)
    return found


def _kept(view: LoadedPlan, own: Services, there: Services, asset: str, gone: set[str]) -> list[Snapshot]:
    """Of all that is known at either place what the copy's rules keep, and what that depends on; oldest first. One that
    is dated in the future is let be until then."""
    plan, policy, now = view.plan.plan, policy_of(view.plan), own.clock.now()
    known = {s.id: s for services in (there, own) for s in services.catalogue.snapshots(plan, asset)}
    usable = sorted(
        (s for s in known.values() if s.id not in gone and not dated_in_future(s, now)),
        key=lambda s: (s.consistent_point, s.usable_at, s.id),
    )
    if policy is None or not usable:
        return usable
    ids = {*kept_by_rules(usable, policy, now, view.plan.zone), usable[-1].id}
    ids |= chain.needed_by(s for s in usable if s.id in ids).keys()
    return [s for s in usable if s.id in ids]


def _marks(here: Sequence[RepoSnapshot], held: Sequence[RepoSnapshot], present: set[str]) -> Iterator[str]:
    """That a backup failed: where it has stored something all the same, and that was copied before it was known."""
    runs = {s.tag("run") for s in held if s.tag("kind") == "backup"}
    for mark in here:
        ended = ENDED in mark.tags and mark.tag("run") in runs
        if mark.tag("kind") == "failed" and mark.id not in present and (ended or mark.tag("void") in present):
            yield mark.id


def stored_ledgers(source: Restic, target: Restic) -> list[str]:
    """Of each ledger that is stored with the backups the one with most records, where the copy has less."""
    tags = [OURS, f"kind={LEDGER}"]
    known: dict[str, int] = {}
    for s in target.snapshots(tags):
        known[s.tag("ledger") or ""] = max(number(s), known.get(s.tag("ledger") or "", -1))
    newest = {s.tag("ledger") or "": s for s in sorted(source.snapshots(tags), key=lambda s: (number(s), s.time))}
    return [s.id for ledger, s in newest.items() if number(s) > known.get(ledger, -1)]


def wanted_log(job: Job, archive: LogArchive, held: LogArchive, kept: Sequence[Snapshot], there: Services) -> list[str]:
    """Ids of the batches in the `archive` that lead on from a base which stays at the copy, and that are not in the
    one there (`held`). Where what a base needs cannot be told, all of them."""
    _, log = log_of(job)
    needed, since = None, None
    with suppress(BackupBad):
        needed, since = needed_log(log, [_manifest(s, there.catalogues) for s in kept])
    gone = {batch.id for batch in let_go(archive, needed, log, since)}
    present = {batch.id for batch in (*held.batches, *held.spare)}
    return [batch.id for batch in archive.batches if batch.id not in gone | present]


def _manifest(snapshot: Snapshot, catalogues: Sequence[Catalogue]) -> Manifest:
    for catalogue in catalogues[:-1]:
        with suppress(BackupBad):
            return catalogue.manifest(snapshot)
    return catalogues[-1].manifest(snapshot)


VERB = "copy"
MOST_ALONE = 50  # snapshots that are tried one by one, where all at once could not be copied


def copy(
    loaded: LoadedPlan,
    name: str,
    services: Services,
    progress: Progress,
    *,
    trigger: Trigger = BY_HAND,
    dry_run: bool = False,
) -> Copying:
    """Copy what is new to the plan's copy `name`; make its repository where nothing was ever copied there.

    UsageProblem and Locked are raised before anything is done; what happens after that is in the result and in the
    ledger, an interrupt included (and raised again). `dry_run` only asks both what they hold, and records nothing.
    """
    view, there = seen_from(loaded, name), at(loaded, services, name)
    limits, state, plan = limits_of(loaded), services.state, loaded.plan.plan
    source, target = services.repository(loaded, limits), there.repository(view, limits)
    result = Copying(plan, name, view.plan.copy_facts["site"])
    with (
        state.lock(plan, name, VERB),
        state.reading(source.location),
        state.reading(target.location),
        state.run(services.clock) as run,
    ):
        work = _Copying(loaded, view, services, there, source, target, progress, result, run)
        if dry_run:
            work.look()
            result.copied, result.result = _counted(work.wanted.backups), PLANNED
            return result
        result.run = run.id
        recorded = RecordedRun(services, view, None, run.id, trigger)
        recorded.begin(CopyStart)
        began = services.clock.monotonic()
        with recorded.attempt(result.failed):  # what was copied stays, and the next one goes on from there
            work.carry_out()
        result.seconds = services.clock.monotonic() - began
        result.conclude(recorded)
    return result


class _Copying:
    """One run of `copy`, from asking both repositories to what is there in the end."""

    def __init__(
        self,
        loaded: LoadedPlan,
        view: LoadedPlan,
        own: Services,
        there: Services,
        source: Restic,
        target: Restic,
        progress: Progress,
        result: Copying,
        run: Run,
    ) -> None:
        self._loaded, self._view, self._own, self._there = loaded, view, own, there
        self._source, self._target = source, target
        self._progress, self._result, self._bridge = progress, result, run.directory("bridge")
        self._here, self._held = Synchronised(), Synchronised()
        self.wanted = Wanted()

    def carry_out(self) -> None:
        self.look(make=True)
        result = self._result
        lacking = self._copy(self._source, self._target, self.wanted.ids, "copying snapshots")
        with self._of(self._target):
            ledgers = stored_ledgers(self._source, self._target)
        self._copy(self._source, self._target, ledgers, "copying the ledger")
        self._take_stock(lacking)
        self._copy_logs()
        if not result.lacking and result.reason is None:
            result.result = DONE

    def look(self, *, make: bool = False) -> None:
        """Ask both what they hold. `make` the copy's repository, where there is none and there never was."""
        self._progress.step("asking both repositories")
        known = self._own.histories()
        plan = self._loaded.plan.plan
        stored_here = {i for (p, _), h in known.items() if p == plan for i in h.stored_here}
        with self._of(self._source):
            self._here = self._own.synchronise(self._loaded, self._source, None, stored_here)
            self._here.understood()
        with self._of(self._target):
            try:
                self._target.probe()
            except RepositoryMissing as error:
                self._never_there(error)
                if not make:
                    self.wanted = wanted(self._view, self._own, self._there, self._here, self._held)
                    return
                self._progress.step("making the copy's repository")
                storage.init_like(self._target, self._source, self._bridge)
                self._result.made = True
            # What is new there came by a copying of this host's that was cut off, unless none was ever begun here.
            begun = self._there.histories().get((plan, None), AssetHistory())
            ours = begun.copied is not None or begun.crashed(COPY_START) is not None
            self._held = self._there.synchronise(self._view, self._target, None, arriving=ours)
        self._result.vanished = _by_asset({s.id: s.asset for s in self._held.vanished})
        attested = compare(self._there, plan, self._held.listed).problems
        self._result.findings += [Finding(problem, "attested", cause=problem) for problem in attested]
        self.wanted = wanted(self._view, self._own, self._there, self._here, self._held)

    def _never_there(self, error: RepositoryMissing) -> None:
        """Raises where something was copied there before: an unmounted disk must not become a new, empty copy."""
        history = self._there.histories().get((self._loaded.plan.plan, None), AssetHistory())
        if self._there.catalogue.knows(self._loaded.plan.plan) or history.last_copy is not None:
            raise RepositoryMissing(
                str(error), hint="something was copied there: check that the disk is mounted, and the address is right"
            )

    # --- copying ------------------------------------------------------------------------------------------

    def _copy(self, source: Restic, target: Restic, ids: Sequence[str], what: str) -> list[str]:
        """What of it could not be copied, though both repositories answer: then the others are, one by one."""
        if not ids:
            return []
        self._progress.step(f"{what}: {len(ids)}")
        try:
            self._call(source, target, ids, what)
            return []
        except CcdrError as error:
            self._blame(source, target, error)
        failed: list[str] = []
        for one in ids[:MOST_ALONE]:
            try:
                self._call(source, target, [one], what)
            except CcdrError as error:
                self._blame(source, target, error)
                failed.append(one)
        return [*failed, *ids[MOST_ALONE:]]

    def _call(self, source: Restic, target: Restic, ids: Sequence[str], what: str) -> None:
        count = tenths(self._progress, what)
        try:
            storage.copy(target, source, ids, self._bridge, count)
        except RepositoryLocked:
            storage.unlock(source, target)
            storage.copy(target, source, ids, self._bridge, count)

    def _blame(self, source: Restic, target: Restic, error: CcdrError) -> None:
        """Raises where one of the two cannot be used. Else what the plan's own holds is damaged: it is read there, and
        all that is written is new."""
        with self._of(self._target):
            target.probe()
        with self._of(self._source):
            source.probe()
        if not isinstance(error, CommandFailed):
            raise error
        with self._of(self._source):
            why = judged(source, error, "copying failed")
        if not isinstance(why, BackupBad):
            raise why
        self._result.damaged = True
        self._result.words += error.stderr
        self._result.reason = f"some of it could not be read from the plan's own repository: {error}"
        self._result.hint = (
            f"`ccdr upkeep {self._result.plan} --check --all-data` says what is damaged there; what the copy holds "
            "already is not affected: docs/how-to/recover.md, A damaged repository"
        )

    @contextmanager
    def _of(self, repo: Restic) -> Iterator[None]:
        """How that repository was found is taken down where it is why this ended."""
        try:
            yield
        except CcdrError as error:
            if (how := getattr(error, "repository", None)) is not None:
                if repo is self._target:
                    self._result.repository = how
                else:
                    self._result.source = how
            raise

    # --- what is there now --------------------------------------------------------------------------------

    def _take_stock(self, lacking: Collection[str]) -> None:
        result, there = self._result, self._there
        with self._of(self._target):
            self._held = there.synchronise(self._view, self._target, None, arriving=True)
        present = {s.id for s in self._held.listed} - {s.id for s in self._held.unread}
        result.findings += [
            Finding(
                f"what is there of snapshot {s.id[:8]} ({s.tag('asset')}) cannot be read, or is not what was captured",
                "unreadable there",
                cause=s.id[:8],
            )
            for s in self._held.unread
        ]
        backups = self.wanted.backups
        result.copied = _counted({one: asset for one, asset in backups.items() if one in present})
        result.lacking = _by_asset({one: asset for one, asset in backups.items() if one not in present})
        if lacking and not result.lacking:  # a mark, a plan's version or the ledger
            text = f"{so_many(len(lacking), 'snapshot')} beside the backups could not be copied"
            result.findings.append(Finding(text, "not copied, beside the backups", (float(len(lacking)),)))
        result.there = {}
        for asset in self._loaded.plan.assets:
            usable = self._usable(asset)
            result.there[asset] = len(usable)
            if usable:
                result.newest[asset] = usable[-1].consistent_point
                if usable[-1].arrived is not None:
                    result.arrived[asset] = usable[-1].arrived

    def _usable(self, asset: str) -> list[Snapshot]:
        job, gone = Job(self._view, asset), {s.id for s in self._held.vanished}
        known = [s for s in self._there.catalogue.snapshots(job.plan, asset) if s.id not in gone]
        ours = [s for s in known if of_source(s, job.engine.source_name)]
        history = self._there.histories().get((job.plan, asset), AssetHistory())
        return chain.usable(ours, known, history.disproved)

    def _copy_logs(self) -> None:
        for asset, engine in self._loaded.plan.assets.items():
            if engine.shipping is not None:
                self._copy_log(asset)

    def _copy_log(self, asset: str) -> None:
        here, there = Job(self._loaded, asset), Job(self._view, asset)
        source, target = log_repository(here, self._own), log_repository(there, self._there)
        with self._of(self._source):
            archive = archive_of(here, source)
        if archive.newest is None:
            return
        with self._of(self._target), self._own.state.reading(source.location):
            try:
                target.probe()
            except RepositoryMissing:
                if (self._last_log(asset)) is not None:
                    raise
                storage.init_like(target, source, self._bridge)
            held = archive_of(there, target)
            ids = wanted_log(here, archive, held, self.wanted.kept.get(asset, ()), self._there)
            failed = self._copy(source, target, ids, f"copying the log of {asset}")
            self._result.log_copied += len(ids) - len(failed)
            usable, history = self._usable(asset), self._there.histories().get((here.plan, asset), AssetHistory())
            logged = stored(there, self._there, usable, history.log_disproved, archive_of(there, target))
        if logged:
            self._result.log_until[asset] = logged[0].consistent

    def _last_log(self, asset: str) -> object:
        history = self._there.histories().get((self._loaded.plan.plan, None), AssetHistory())
        return history.last_copy.log_until.get(asset) if history.last_copy else None


def _by_asset(of: Mapping[str, str]) -> dict[str, list[str]]:
    """`of` has the asset of each id."""
    assets: dict[str, list[str]] = {}
    for one, asset in of.items():
        assets.setdefault(asset, []).append(one)
    return {asset: sorted(ids) for asset, ids in assets.items()}


def _counted(of: Mapping[str, str]) -> dict[str, int]:
    return {asset: len(ids) for asset, ids in _by_asset(of).items()}
