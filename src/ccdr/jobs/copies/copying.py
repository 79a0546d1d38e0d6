"""Copy what a plan's repository holds to one of its copies: snapshots, shipped log, the plan's versions, the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import COPIED, COPY_START, DONE
from ccdr.evidence.records.copies import CopyStart
from ccdr.host.state import Run
from ccdr.jobs.attest.claims import compare
from ccdr.jobs.copies.outcome import Copying
from ccdr.jobs.copies.view import at
from ccdr.jobs.copies.wanted import Wanted, stored_ledgers, wanted, wanted_log
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.services import BY_HAND, Services, Trigger, limits_of
from ccdr.jobs.shipping import archive_of, log_repository
from ccdr.jobs.shipping.stored_until import stored
from ccdr.jobs.upkeep.outcome import PLANNED
from ccdr.jobs.upkeep.shared import tenths
from ccdr.model import parents as chain
from ccdr.model.errors import (
    BackupBad,
    CcdrError,
    CommandFailed,
    Exit,
    RepositoryLocked,
    RepositoryMissing,
    failure_of,
)
from ccdr.model.finding import Finding
from ccdr.model.values import Snapshot, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import seen_from
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage import copying as storage
from ccdr.storage.catalogue import of_source
from ccdr.storage.restic import Restic
from ccdr.storage.restic_failures import judged
from ccdr.storage.synchronised import Synchronised

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
        with recorded.attempt(partial(_failed, result)):
            work.carry_out()
        result.seconds = services.clock.monotonic() - began
        with recorded.conclusion():
            services.state.keep_words(run.id, result.words)
            result.record = recorded.end(result.ended())
    return result


def _failed(result: Copying, error: KeyboardInterrupt | Exception) -> None:
    """Why it ended early, and what to do next. What was copied stays, and the next one goes on from there."""
    if isinstance(error, KeyboardInterrupt):
        result.reason = "interrupted"
        return
    why = failure_of(error)
    result.reason, result.hint = why.reason, why.hint
    result.words += why.words
    result.failure = getattr(error, "exit_code", Exit.NOT_CARRIED_OUT)


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
            ours = COPIED in begun.newest or begun.crashed(COPY_START) is not None
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
        return ((history.last_copy or {}).get("log_until") or {}).get(asset)


def _by_asset(of: Mapping[str, str]) -> dict[str, list[str]]:
    """`of` has the asset of each id."""
    assets: dict[str, list[str]] = {}
    for one, asset in of.items():
        assets.setdefault(asset, []).append(one)
    return {asset: sorted(ids) for asset, ids in assets.items()}


def _counted(of: Mapping[str, str]) -> dict[str, int]:
    return {asset: len(ids) for asset, ids in _by_asset(of).items()}
