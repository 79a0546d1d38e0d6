"""One run of a restore test: choose a snapshot, restore it into a sandbox, check what came back, measure, destroy."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ccdr import __version__
from ccdr.checks.base import run_check
from ccdr.checks.identical import Identical
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.counting import answered_for
from ccdr.evidence.log_standing import read_standing
from ccdr.host.clock import timed
from ccdr.host.interrupts import threads
from ccdr.host.state import Run
from ccdr.jobs import attest
from ccdr.jobs.companions import Alongside
from ccdr.jobs.fetch import (
    bases_of,
    candidates,
    fetch,
    fetch_bases,
    newer_attempts,
    none_counts,
    pruned_since,
    taken_back,
)
from ccdr.jobs.restore_test.result import CHECKED, EQUAL, READABLE, RESTORED, STORED, RestoreTest
from ccdr.jobs.services import Services
from ccdr.jobs.shipping import log_repository, shelf_of
from ccdr.jobs.shipping.recovery import Recovery, logged, the_base, told
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, RepositoryDamaged, RepositoryMissing, TestBroken
from ccdr.model.trouble import no_older, where_it_can_be_done, without_an_older
from ccdr.model.values import LATEST, RULES, CheckResult, Manifest, Snapshot, Verdict, rfc3339, verdict_of
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import Engine
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.ports.restored import SandboxNeeds
from ccdr.sandbox import isolation
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import NOT_AS_ASKED, Disposal, Image
from ccdr.sandbox.lab import given_inside, memory_available, readable_inside, room_for
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future
from ccdr.storage.restic import PROBE_WAIT, Restic
from ccdr.storage.synchronised import Synchronised, vanished_finding


class Work:
    """One run of `restore_test`, from selection to disposal."""

    def __init__(
        self,
        job: Job,
        services: Services,
        repo: Restic,
        run: Run,
        progress: Progress,
        test: RestoreTest,
        at: RecoveryTarget | None,
        named: str | None = None,
    ) -> None:
        self._job, self._services, self._repo, self._run = job, services, repo, run
        self._progress, self._test = progress, test
        self._engine: Engine = job.engine
        self._disposal = Disposal(done=True)
        self._synchronised = Synchronised()
        self._asked = self.fetching = False
        self._at, self._named, self._began = at, named, services.clock.now()
        self._recovery: Recovery | None = None
        self._alongside: Alongside | None = None
        self._history = self._upkeep = AssetHistory()
        self._bases: list[tuple[Snapshot, Manifest]] = []

    def carry_out(self, selection: str) -> None:
        """Raises BackupBad or TestBroken; returns with a verdict set."""
        job, services, test = self._job, self._services, self._test
        known = services.histories()
        self._history = known.get((job.plan, job.asset), AssetHistory())
        self._upkeep = known.get((job.plan, None), AssetHistory())
        self._progress.step("asking the repository")
        assets = [job.asset, *dict.fromkeys(c.beside for c in job.checks if c.beside)]
        stored_here = {s for asset in assets for s in services.history(Job(job.loaded, asset)).stored_here}
        try:
            self._synchronised = services.synchronise(job.loaded, self._repo, assets, stored_here)
        except RepositoryMissing as error:
            if services.catalogue.knows(job.plan) or self._history.last_backup is not None:
                raise
            raise TestBroken(
                f"nothing was backed up yet, as far as this host knows: {error}",
                hint=f"run `ccdr backup {job.plan}`; if another host backs it up, check the mounted disk or the bucket",
            ) from None
        self._asked = True
        attest.learned(services, job.plan, self._synchronised, assets)
        test.findings = [said for asset, said in self._synchronised.findings if asset == job.asset]
        gone = [s for s in self._synchronised.vanished if s.asset == job.asset]
        if gone and answered_for(gone, self._history, services.clock.now()):
            test.noted = frozenset(map(vanished_finding, gone))
        if self._at is not None or selection in RULES:  # which one that would be, only a newer ccdr can tell
            self._synchronised.understood(assets)
        snapshot = self._select(selection) if self._at is None else self._base(self._at)
        test.proof = STORED
        manifest = services.catalogue.manifest(snapshot)
        test.left_out = [str(name) for name in _listed(manifest.contents.get("left_out"))]
        self._bases = bases_of(snapshot, candidates(job, services, self._synchronised).there, services.catalogue)
        if not job.checks:
            raise TestBroken(
                "no checks, no PASS: the asset names no restore test",
                hint=f"write restore_tests/{job.asset}.yaml and name it in `restore_test: checks:` of the plan",
            )
        needs, image = self._prepared(snapshot, manifest)
        began = services.clock.monotonic()
        own, compared, elapsed = self._restore_and_check(snapshot, manifest, needs, image, began)
        test.checks = [*own, *compared]
        if verdict_of(test.checks) is Verdict.FAIL and (why := self.taken_back()):
            raise TestBroken(why, hint="run the test again")
        test.verdict = verdict_of(test.checks)
        self._judge(own)
        if test.verdict is Verdict.PASS:
            test.rto = measure.judge(job.objectives.rto, elapsed)
        else:
            bad = [c.name for c in test.checks if c.status is not Verdict.PASS]
            how = "failed" if test.verdict is Verdict.FAIL else "could not be carried out"
            test.reason = f"{how}: {', '.join(bad)}"
            test.hint = self._look_closer(snapshot)
        if snapshot.note:
            again = f"`ccdr backup {job.plan} --asset {job.asset}` takes another"
            test.fail(f"restic stored this snapshot with a warning: {snapshot.note}", again)
        if dated_in_future(snapshot, services.clock.now()):
            test.fail(
                f"this snapshot claims to be of {rfc3339(snapshot.consistent_point)}, which is in the future",
                hint="set this host's clock right, or find out whose clock was wrong when it was taken",
            )
        if self._recovery is not None and self._recovery.ahead:
            test.fail(
                "the newest of the log's snapshots claims to be of a time which is in the future",
                hint="set this host's clock right, or find out whose clock was wrong when it was stored",
            )
        self._newer_attempts(snapshot, selection)

    def _judge(self, own: list[CheckResult]) -> None:
        """The snapshot and the log, by its own checks: that two snapshots do not fit each other does not say which of
        them is bad. Nor does what the log led to say anything bad of its base, which was as captured when it was
        loaded: a test of the base alone does."""
        test = self._test
        test.own_verdict = verdict_of(own) if own else None
        if self._recovery is not None:
            test.log_verdict = test.own_verdict
            if test.log_verdict is Verdict.FAIL:
                test.own_verdict = None
        if test.own_verdict is Verdict.PASS:
            # What came by the log was in no capture.
            equal = self._recovery is None and any(isinstance(c, Identical) for c in self._job.checks)
            test.proof = EQUAL if equal else CHECKED

    def _select(self, selection: str) -> Snapshot:
        job, test = self._job, self._test
        found = candidates(job, self._services, self._synchronised)
        good = found.good
        if found.there[-1:] != found.ours[-1:]:
            test.findings.append("the newest snapshot is from another source than the plan names now")
        if selection in ("latest", "oldest", "random") and not good:
            said, first = none_counts(job, self._synchronised)
            raise BackupBad(said, hint=f"{f'{first}, and ' if first else ''}run `ccdr backup {job.plan}`")
        if selection == "latest":
            chosen = good[-1]
        elif selection == "oldest":
            chosen = good[0]
        elif selection == "random":
            test.seed = random.SystemRandom().randrange(2**32)
            chosen = random.Random(test.seed).choice(good)  # noqa: S311 - recorded, so that it can be repeated
        else:
            chosen = found.by_id(job, selection)
        test.snapshot = chosen
        return chosen

    def _base(self, target: RecoveryTarget) -> Snapshot:
        """The newest good base before the target, or the one that was named; the log that leads there with it."""
        job, services, test = self._job, self._services, self._test
        found = candidates(job, services, self._synchronised)
        usable = chain.usable(found.good, found.there, self._history.disproved)
        if found.good and not usable:
            why = (
                chain.lacks(found.good[-1], found.there)
                or "each, or a snapshot that it depends on, failed its last restore test"
            )
            raise BackupBad(f"there is no base to recover from: {why}", hint=f"run `ccdr backup {job.plan}`")
        if self._named is not None:
            usable = the_base(found.by_id(job, self._named), usable)
        self._recovery = Recovery.prepared(job, services, usable, target, self._run, self._progress)
        test.snapshot, test.recovery = self._recovery.choice.base, self._recovery.facts()
        return self._recovery.choice.base

    def _prepared(self, snapshot: Snapshot, manifest: Manifest) -> tuple[SandboxNeeds | None, Image | None]:
        """Everything that is not part of a restore: is there an image, and room."""
        again = snapshot.bytes if self._engine.in_sandbox else 0  # the second dump or copy, to compare
        room_for(self._run.scratch, int((snapshot.bytes + again) * 1.05) + 2**24)
        if not self._engine.in_sandbox and not any(c.needs_sandbox for c in self._job.checks):
            return None, None
        needs = self._engine.sandbox(manifest)
        self._progress.step("finding the sandbox's image")
        return needs, self._services.lab.image(self._engine, needs)

    @contextlib.contextmanager
    def _phase(self, name: str, text: str) -> Iterator[None]:
        self._progress.step(text)
        with timed(self._services.clock, self._test.phases, name):
            yield

    def _restore_and_check(
        self, snapshot: Snapshot, manifest: Manifest, needs: SandboxNeeds | None, image: Image | None, began: float
    ) -> tuple[list[CheckResult], list[CheckResult], float]:
        """The measured part: provision beside fetch, load, check: its results and the seconds it took. Then, with the
        asset's own recovery over, what compares it with others; then the sandbox is disposed of, that timed too."""
        services, test, asset = self._services, self._test, self._job.asset
        fetched, out = self._run.directory("fetched"), self._run.directory("out")
        restored = Path(f"{fetched}{snapshot.root}")
        results: list[CheckResult] = []

        def provide() -> Box | None:
            with self._phase("provision", f"providing a sandbox for {asset}"):
                if needs is None or image is None:
                    return None
                box = self._open(stack, needs, image, fetched, out)
                self._engine.start(box, manifest)
                return box

        with contextlib.ExitStack() as stack:
            # Side by side: both wait more than they work. The fetch may be long, so it is what an interrupt meets.
            with threads(1) as pool:
                providing = pool.submit(provide)
                with self._phase("fetch", f"fetching {snapshot.short}"):
                    self._fetch(snapshot, manifest, fetched)
                    if self._recovery is not None:
                        results.append(self._recovery.fetch(fetched, self._run.directory("log-cache"), services))
                box = providing.result()
            with self._phase("load", f"loading {asset}"):
                if self._engine.in_sandbox and box is not None:
                    readable_inside(services.host, fetched)
                    if needs is not None and services.lab.in_place(needs, self._job.engine.storage):
                        given_inside(services.host, box, out, [restored / name for name in needs.in_place])
                    if self._recovery is None:
                        self._engine.load(box, restored, manifest)
                    else:
                        results.append(self._recovery.carry_out(self._engine, box, restored, fetched, manifest))
                        test.recovery = self._recovery.facts()
            test.answering_s = services.clock.monotonic() - began
            test.proof = RESTORED
            reached = self._recovery.moment if self._recovery else None
            context = CheckContext(
                manifest,
                fetched,
                restored,
                out,
                box,
                services.host,
                services.digest,
                self._recovery is not None,
                reached,
            )
            with self._phase("check", f"checking {asset}"):
                results += self._check(context)
            elapsed = services.clock.monotonic() - began
            compared = self._compare(snapshot, context)
            disposing = services.clock.monotonic()
        test.phases["dispose"] += services.clock.monotonic() - disposing
        return results, compared, elapsed

    def _open(self, stack: contextlib.ExitStack, needs: SandboxNeeds, image: Image, fetched: Path, out: Path) -> Box:
        self._disposal = Disposal()
        box = stack.enter_context(
            self._services.lab.sandbox(
                needs,
                image,
                run=self._run.id,
                fetched=fetched,
                out=out,
                storage=self._job.engine.storage,
                no_progress=self._job.limits.no_progress,
                disposal=self._disposal,
                keep=self._run.kept_until is not None,
            )
        )
        self._test.sandbox = {
            "image": image.name,
            "image_digest": image.id,
            **box.facts,
            "memory_available": memory_available(),
        }
        if box.differs:
            self._test.findings.append(isolation.not_shut_off(box.differs))
            raise TestBroken(isolation.not_shut_off(box.differs), hint=NOT_AS_ASKED)
        return box

    def _fetch(self, snapshot: Snapshot, manifest: Manifest, fetched: Path) -> None:
        # With an empty cache, as after a disaster: the backup's own cache would hide that metadata is damaged.
        repo = self._repo.with_cache(self._run.directory("cache"))
        self.fetching = True
        restored = fetch(repo, self._engine, snapshot, manifest, fetched, self._progress)
        fetch_bases(repo, self._engine, self._bases, restored, self._progress)
        self.fetching = False
        self._engine.complete(fetched, restored, manifest)
        self._test.proof = READABLE

    def pruned_meanwhile(self) -> str | None:
        """Was it another host's prune that took files away while they were fetched? One sentence."""
        if not self.fetching:
            return None
        return pruned_since(self._repo, self._job.plan, {s.id for s in self._synchronised.listed})

    def taken_back(self) -> str | None:
        """Was what is tested never to count? Only the repository tells what another host's backup has come to."""
        tested = self._test.snapshot
        if tested is None or tested.id in self._history.stored:
            return None
        return taken_back(self._job, tested, self._repo)

    def _check(self, context: CheckContext) -> list[CheckResult]:
        results: list[CheckResult] = []
        opened = self._engine.in_sandbox
        for check in (c for c in self._job.checks if c.beside is None):
            self._progress.step(f"checking {self._job.asset}: {check.label}")
            if check.needs_sandbox and not opened:
                readable_inside(self._services.host, context.fetched)
                opened = True
            results += run_check(check, self._engine, context)
        return results

    def _compare(self, snapshot: Snapshot, context: CheckContext) -> list[CheckResult]:
        """What looks at another asset too, restored beside this one."""
        checks, recovery = [c for c in self._job.checks if c.beside is not None], self._recovery
        if not checks:
            return []
        self._alongside = Alongside(
            self._job,
            self._services,
            self._repo,
            self._run,
            self._progress,
            self._synchronised,
            snapshot,
            point=snapshot.consistent_point if recovery is None else recovery.moment,
            recovered=recovery is not None,
            latest=self._test.selected == "latest",
        )
        with self._alongside as others:
            results = [r for check in checks for r in others.compare(check, self._engine, context)]
        self._test.others, self._test.private = others.body(), others.private
        self._test.findings += others.findings
        return results

    def _look_closer(self, snapshot: Snapshot) -> str:
        job = self._job
        if self._test.verdict is not Verdict.FAIL:
            return f"`ccdr doctor {job.plan}` checks what a test needs; then test it again"
        which = f"--snapshot {snapshot.short}" if self._at is None else f'--at "{told(self._at)}"'
        keep = f"`ccdr test {job.plan} --asset {job.asset} {which} --keep` keeps the sandbox for a closer look"
        older = f"`ccdr snapshots {job.plan}` lists older ones to test"
        return f"{keep}; {older if self._older(snapshot) else no_older(job.plan, job.asset)}"

    def advised(self, hint: str | None) -> str | None:
        """What to do about a bad backup: whoever found it bad does not know whether there is an older one."""
        job, tested = self._job, self._test.snapshot
        if hint is None or tested is None or self._older(tested):
            return hint
        return without_an_older(hint, job.plan, job.asset, damaged=self._test.damaged)

    def _older(self, snapshot: Snapshot) -> list[Snapshot]:
        """Those older than it that could be restored instead."""
        found = candidates(self._job, self._services, self._synchronised)
        usable = chain.usable(found.good, found.there, self._history.disproved)
        return [s for s in usable if s.consistent_point < snapshot.consistent_point]

    def _newer_attempts(self, snapshot: Snapshot, selection: str) -> None:
        """With `latest`, a newer attempt that failed is the backup that would be wanted: FAIL, and named."""
        if selection != "latest":
            return
        job, test = self._job, self._test
        good = test.own_verdict is Verdict.PASS
        but = f"this snapshot is {'good, and can be restored' if good else 'bad'}, but "
        again = f"ccdr backup {job.plan} --asset {job.asset}"
        meanwhile = f"; until one succeeds, snapshot {snapshot.short} is the one to restore" if good else ""
        alone, stored = test.verdict is Verdict.PASS, self._history.last_stored
        found = list(newer_attempts(job, snapshot, self._services, self._repo, self._synchronised, stored=stored))
        for attempt in found:
            step = attempt.failed.step(job.plan, job.asset) if attempt.failed else f"`{again}` takes a new one"
            test.fail(f"{but}{attempt.text}", f"{step}{meanwhile}")
        if alone and found and not any(attempt.vanished for attempt in found):
            own = found[0].failed if len(found) == 1 else None
            test.newer_failed = True
            seq = own.seq if own and isinstance(own.seq, int) else None  # of a record of our own ledger
            test.newer = {"seq": seq, "at": rfc3339(max(attempt.at for attempt in found))}

    def conclude(self, run: Run) -> None:
        """Objectives from what is known now, and the proof of disposal."""
        job, services, test = self._job, self._services, self._test
        if test.rto is None:
            test.rto = measure.judge(job.objectives.rto, None)
        now = services.clock.now()
        there = services.catalogue.snapshots(job.plan, job.asset, besides={s.id for s in self._synchronised.vanished})
        ours = [s for s in there if of_source(s, job.engine.source_name)]
        recorded = self._as_recorded()
        usable = chain.usable(ours, there, recorded.disproved)
        if closed := self._closed_by_damage():
            usable = []
        elif self._damage_is_open():
            usable = recorded.shown(usable)
        points = [measure.Point(s.consistent_point, s.usable_at) for s in usable]
        if self._at is None:
            points += self._logged(usable)
        elif self._recovery is not None and test.log_verdict is not Verdict.FAIL:
            points += self._recovery.points()
        # No snapshot known and no repository that answers: that is not known to be infinite, but where it is destroyed.
        known = (points or self._asked or closed) and not self._synchronised.newer
        if test.hint is not None:
            backs_up = self._history.backs_up(self._upkeep, known=bool(ours))
            test.hint = where_it_can_be_done(test.hint, backs_up=backs_up)
        test.rpo = measure.judge(job.objectives.rpo, measure.exposure(now, points) if known else None)
        if self._at is not None:
            test.recovery = {**(test.recovery or {"target": told(self._at)}), **self._log_judged(self._at)}
        if test.proof is not None:
            test.bytes_restored = sum(self._repo.restored) + (self._recovery.bytes_restored if self._recovery else 0)
        test.tools = {"ccdr": __version__}
        with contextlib.suppress(CommandFailed):
            test.tools["restic"] = self._repo.version()
        beside = self._alongside.disposals if self._alongside else []
        left = [problem for d in (self._disposal, *beside) for problem in d.problems] + run.problems
        test.disposal = {
            "kept_until": run.kept_until and rfc3339(run.kept_until),
            "sandbox_gone": all(d.clean for d in (self._disposal, *beside)),
            "scratch_gone": not run.scratch.exists(),
            "left_behind": left,
        }

    def _logged(self, usable: list[Snapshot]) -> list[measure.Point]:
        """How far the log is stored: the repository is asked, for what was written down of it does not know what has
        vanished since."""
        job, services, disproved = self._job, self._services, self._history.log_disproved
        claimed = logged(job, services, usable, disproved)
        elsewhere = job.engine.shipping is not None and read_standing(services.state, job.plan, job.asset) is None
        if not (claimed or elsewhere) or not self._asked:
            return claimed
        repo = log_repository(job, services).impatient(PROBE_WAIT)
        try:
            there = logged(job, services, usable, disproved, lambda: shelf_of(job, repo))
        except (CcdrError, OSError) as error:
            if claimed or not isinstance(error, RepositoryMissing):  # nothing is shipped yet by another host
                self._test.findings.append(f"ccdr could not ask for its log: {error}")
            return []
        if claimed and (not there or there[0].consistent < claimed[0].consistent):
            up_to = f"it is there up to {rfc3339(there[0].consistent)} only" if there else "what is there is of no use"
            told = f"log that was stored up to {rfc3339(claimed[0].consistent)} has vanished: {up_to}"
            self._test.findings.append(f"{told}; back up again, and find out who removed it")
        return there

    def _log_judged(self, target: RecoveryTarget) -> dict[str, object]:
        """The verdict on the log, and up to when that is true. Where a name lies is known only once it was reached."""
        verdict, until = self._test.log_verdict, target.time or self._began
        if self._recovery is not None and (former := self._recovery.former) is not None:
            return {"verdict": verdict, "until": rfc3339(former) if verdict is Verdict.FAIL else None}
        if target.name is not None and verdict is not Verdict.FAIL:
            reached = self._recovery and self._recovery.moment
            return {"verdict": verdict, "until": reached and rfc3339(reached)}
        return {"verdict": verdict, "until": rfc3339(until)}

    def _closed_by_damage(self) -> bool:
        """Once this test is recorded: can nothing in the repository be restored, as far as anybody has found?"""
        found = self._test.repository == RepositoryDamaged.repository
        return found or (not self._asked and self._history.closed_by_damage(self._upkeep))

    def _damage_is_open(self) -> bool:
        """Once this test is recorded: was the repository found damaged, and no test of the newest has passed since?"""
        test = self._test
        if test.verdict is Verdict.PASS and LATEST in (test.selected, self._at and told(self._at)):
            return False
        return test.damaged or self._history.doubt(self._upkeep) is not None

    def _as_recorded(self) -> AssetHistory:
        """What tests have proven, once this one is recorded."""
        tested, verdict = self._test.snapshot, self._test.own_verdict
        proven = dict(self._history.proven)
        if tested is not None and verdict in (Verdict.PASS, Verdict.FAIL):
            proven.pop(tested.id, None)
            proven[tested.id] = verdict.value
        return replace(self._history, proven=proven)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
