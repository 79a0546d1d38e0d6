"""The register replayed on what was restored: all of the asset's entries, and what came of each; in a restore test, and
to prove an entry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.erasures import ErasureReplay, FoundEntry, RecordedHead
from ccdr.evidence.records.values import code, recorded_user
from ccdr.jobs.erasure.register import (
    Entry,
    Register,
    RegisterBad,
    Shown,
    anchored,
    newest_from_before,
    require_agreement,
    require_known_withdrawals,
    stored_register,
)
from ccdr.jobs.services import JobRun, Services, limits_of, wake
from ccdr.model.erasure import UNSHOWN, EntryFound, EntryState, Replayed
from ccdr.model.errors import CcdrError, Exit, UsageProblem, failure_of
from ccdr.model.finding import Finding
from ccdr.model.values import LATEST, CheckResult, Manifest, RecordRef, Snapshot, Verdict, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import as_in_file
from ccdr.plans.one_server import sharing
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.restic import PROBE_WAIT, Restic

PROVEN: Final = "PROVEN"
ERASED: Final = "ERASED"
FAILED: Final = "FAILED"
MOST_FOUND = 500  # entries that a record lists
TEST = "test"  # in a sandbox, where the canaries go too, and so show that what is found also goes
BY_HAND = "by_hand"  # why it is replayed: what stands somewhere may have been erased from before
GLASS = "hand it over all the same with --despite-erasures WHY, which stays red until `ccdr erasure review`"


class StillHeld(CcdrError):
    """What was restored must not be handed over: erased people may be in it."""

    exit_code = Exit.FINDING


@dataclass
class Outcome:
    """What a replay came to. `reason` is why it is not handed over."""

    result: Literal["PROVEN", "ERASED", "FAILED"] = FAILED
    reason: str | None = None
    hint: str | None = None
    entries: int = 0
    canaries: int = 0
    found: list[FoundEntry] = field(default_factory=list)
    each: list[EntryFound] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # not found, though they must be in this snapshot
    not_shown: list[str] = field(default_factory=list)  # never found, and somewhere they must be
    erased: int = 0  # rows, keys or files
    left: int = 0
    atomic: bool = True
    broken: bool = False  # it could not be carried out: nobody can tell
    seconds: float = 0.0
    point: datetime | None = None  # that what was restored is true for
    findings: list[Finding] = field(default_factory=list)
    record: RecordRef | None = None

    def failed(self, reason: str, hint: str | None = None, *, broken: bool = False) -> None:
        self.result, self.reason, self.hint, self.broken = FAILED, reason, hint, broken

    @property
    def check(self) -> CheckResult:
        """As one of the asset's checks."""
        status = Verdict.PASS if self.result != FAILED else Verdict.INCONCLUSIVE if self.broken else Verdict.FAIL
        actual = f"{self.erased} erased, {self.left} left{self._shown}" if self.reason is None else self.reason
        return CheckResult("erasure", "erased people", status, f"nobody of {_entries(self.entries)} left", actual)

    @property
    def _shown(self) -> str:
        """What it rests on, and what nothing shows."""
        canaries = f", {so_many(self.canaries, 'canary', 'canaries')} found before"
        shown = canaries if self.canaries else ", no canary shows that the probe finds anybody"
        return f"{shown}, nothing shows that {_listed(self.not_shown)} finds anybody" if self.not_shown else shown


def _entries(count: int) -> str:
    return so_many(count, "entry", "entries")


@dataclass
class Replaying:
    """Of one restore. `register` is None where the plan has none, `bad` why it cannot be trusted."""

    services: Services
    loaded: LoadedPlan
    asset: str
    run: str
    purpose: str
    snapshot: Snapshot
    manifest: Manifest
    register: Register | None = None
    bad: RegisterBad | None = None

    @classmethod
    def opened(
        cls,
        services: Services,
        loaded: LoadedPlan,
        asset: str,
        run: str,
        purpose: str,
        repo: Restic,
        listed: Sequence[RepoSnapshot],
        snapshot: Snapshot,
        manifest: Manifest,
    ) -> Replaying:
        """Asks the repository only where it holds a register. `listed` is all of the plan's that it holds."""
        one = cls(services, loaded, asset, run, purpose, snapshot, manifest)
        try:
            one._take(repo, listed)
        except RegisterBad as error:  # or somebody was added since that was listed, hours ago
            one.bad = error
            with contextlib.suppress(CcdrError):
                one._take(repo, repo.snapshots([OURS, f"plan={loaded.plan.plan}"], within=PROBE_WAIT))
            if one.bad is not None:
                one._take_own()
        return one

    def _take(self, repo: Restic, listed: Sequence[RepoSnapshot]) -> None:
        plan, ledger = self.loaded.plan.plan, self.services.ledger
        register = stored_register(repo, listed, plan)
        require_agreement(register, anchored(ledger, listed, plan, self.manifest), plan)
        require_known_withdrawals(register, ledger, listed, plan, self.manifest)
        self.register, self.bad = register, None

    def _take_own(self) -> None:
        """A copy lags behind by its schedule: while the plan's own repository is there, its register counts."""
        if (there := self.services.there) is None:
            return
        own, home = as_in_file(self.loaded), replace(self.services, catalogue=there.catalogue, there=None)
        with contextlib.suppress(CcdrError):
            repo = home.repository(own, limits_of(own)).impatient()
            self._take(repo, repo.snapshots([OURS, f"plan={own.plan.plan}"], within=PROBE_WAIT))

    @property
    def entries(self) -> list[Entry]:
        return self.register.of(self.asset) if self.register is not None and self.bad is None else []

    @property
    def only_in_others(self) -> list[str]:
        """Assets of the same server, or of a part of it, of which people were erased, where nobody was of this one:
        what is restored of it holds them."""
        if self.register is None or self.bad is not None or any(not one.canary for one in self.entries):
            return []
        people = {one.asset for one in self.register.standing if not one.canary}
        return sharing(self.loaded.plan.assets, self.asset, people)

    @property
    def due(self) -> bool:
        """Is there anything to be replayed, or nobody can tell?"""
        return self.bad is not None or bool(self.entries)

    def impossible(self) -> Outcome:
        """What is handed over cannot be replayed: a dump that no server has loaded."""
        outcome = Outcome(entries=len(self.entries))
        if self.bad is not None:
            outcome.failed(str(self.bad), self.bad.hint)
        else:
            outcome.failed(
                f"{_entries(len(self.entries))} of the register of erasures cannot be replayed on a dump in a "
                "directory",
                hint=f"restore onto a server (--to URL, --new-server DIR); or {GLASS}",
            )
        return outcome

    def replay(
        self, restored: Restored, context: CheckContext, at: datetime | None = None, *, in_part: bool = False
    ) -> Outcome:
        """On what is loaded, and `identical` by now. `at`: the instant that it is true for, where that is not the
        snapshot's. `in_part`: of what was captured only some was restored, and no canary need be in it."""
        began = self.services.clock.monotonic()
        outcome = Outcome(entries=len(self.entries))
        if self.bad is not None:
            outcome.failed(str(self.bad), self.bad.hint)
            return outcome
        entries, point = self.entries, at or self.manifest.consistent_point
        shown = Shown.of(self.loaded, self.services, self.asset)
        outcome.each = [EntryFound(one.id, one.what, shown.state(one)) for one in entries]
        canaries = {one.id for one in entries if one.canary and one.erased_at <= point and not in_part}
        try:
            assert self.register is not None
            wanted = self.register.wanted(entries, canaries_stay=self.purpose != TEST)
            replayed = restored.erase(context, wanted, in_part=in_part)
        except (CcdrError, OSError) as error:
            why = failure_of(error)
            outcome.failed(f"the register of erasures was not replayed: {why.reason}", why.hint, broken=True)
        else:
            whole = not in_part and self.purpose != BY_HAND
            due = {one.id for one in entries if not one.canary and point < one.erased_at} if whole else set()
            late = self._late(replayed, point) if whole else []
            self._show(outcome, replayed, due, canaries, shown, late)
            self._judge(outcome, replayed, canaries, late)
            self._note(outcome, replayed, late)
            outcome.point = point if whole else None  # of what somebody has loaded, nothing tells the time
        outcome.seconds = self.services.clock.monotonic() - began
        return outcome

    def _late(self, replayed: Replayed, point: datetime) -> list[str]:
        """Who was erased before it was taken, and is in it all the same."""
        erased = {one.id: one.erased_at for one in self.entries if not one.canary}
        return [one.id for one in replayed.entries if one.before and one.id in erased and erased[one.id] < point]

    def _show(
        self,
        outcome: Outcome,
        replayed: Replayed,
        due: set[str],
        canaries: set[str],
        shown: Shown,
        late: Collection[str],
    ) -> None:
        """Of each entry, what was found, and whether its key is shown to find anybody by now."""
        known = {one.id: one for one in self.entries}
        outcome.each = [
            EntryFound(
                one.id,
                known[one.id].what,
                EntryState.LATE if one.id in late else shown.after(known[one.id], one.before, due=one.id in due),
                one.before,
                one.after,
            )
            for one in replayed.entries
        ]
        outcome.missing = [one.id for one in replayed.entries if one.id in due and not one.before]
        outcome.not_shown = [one.id for one in outcome.each if one.state in UNSHOWN]
        found = [one for one in replayed.entries if one.id in canaries or one.before or one.beside or one.after]
        found.sort(key=lambda one: shown.looked(known[one.id]).found > 0)  # of whom nothing tells yet comes first
        found.sort(key=lambda one: one.id not in late)
        outcome.found = [
            FoundEntry(
                id=one.id,
                canary=one.id in canaries,
                found_before=one.before,
                beside=one.beside,
                found_after=one.after,
                late=one.id in late,
                kept=one.stays,
            )
            for one in found[:MOST_FOUND]
        ]

    def _judge(self, outcome: Outcome, replayed: Replayed, canaries: set[str], late: Collection[str]) -> None:
        missed = sorted(one.id for one in replayed.entries if one.id in canaries and not one.before)
        outcome.canaries, outcome.atomic = len(canaries), replayed.atomic
        outcome.erased, outcome.left = replayed.before - replayed.after, replayed.after
        if replayed.after:
            left = [one.id for one in replayed.entries if one.after and not one.stays]
            outcome.failed(
                f"erased people are still in it: {_listed(left)} found after the replay",
                hint=f"see what puts them back there (a trigger, a rule); or {GLASS}",
            )
        elif missed:
            outcome.failed(
                f"the canary {_listed(missed)} was not found before the replay: the probe proves nothing",
                hint=f"was it taken out of the source, or by a recovery? Plant it there again, and back up; or {GLASS}",
            )
        else:
            outcome.result = PROVEN if canaries and not outcome.not_shown and not late else ERASED

    def _note(self, outcome: Outcome, replayed: Replayed, late: Sequence[str]) -> None:
        """Who was erased before the snapshot was taken was not to be in it; and a canary was to stay."""
        if gone := [one.id for one in replayed.entries if one.stays and one.after < one.before]:
            text = (
                f"the canary {_listed(gone)} of the register of erasures went with what another entry names: plant it "
                "again before the next backup, whose restore test would not find it"
            )
            outcome.findings.append(Finding(text, "erased canary", cause=" ".join(gone)))
        if late:
            text = (
                f"{_listed(late)} of the register of erasures was in the source when this snapshot was taken, after "
                "the person was erased there: the source may hold them still, or their key was given to somebody else"
            )
            outcome.findings.append(Finding(text, "erased, and in the source", cause=" ".join(late)))

    def record(self, outcome: Outcome, *, broken_glass: str | None = None) -> None:
        """`broken_glass`: why it is handed over all the same."""
        head = self.register.head if self.register is not None and self.bad is None else None
        why = keep_payload(self.services.state, broken_glass) if broken_glass is not None else None
        replay = ErasureReplay(
            plan=self.loaded.plan.plan,
            asset=self.asset,
            run=self.run,
            purpose=code(self.purpose),
            result=outcome.result,
            reason=outcome.reason,
            snapshot=self.snapshot.id,
            point=outcome.point,
            head=RecordedHead(**asdict(head)) if head else None,
            entries=outcome.entries,
            canaries=outcome.canaries,
            found=outcome.found,
            missing=outcome.missing,
            not_shown=outcome.not_shown,
            atomic=outcome.atomic,
            handed_over=broken_glass is not None,
            why_sha256=why,
            seconds=round(outcome.seconds, 3),
            tenant=self.loaded.plan.tenant_of(self.asset),
            who=recorded_user(),
        )
        outcome.record = self.services.ledger.write(replay)
        if broken_glass is not None:  # people are told with the next `ccdr run`, whatever is due then
            wake(self.services)


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"


# The one call that a restore test makes: what a restore for real would erase before it hands anything over is erased
# here too, after all checks, and proven.


def rehearse(
    of: JobRun, listed: Sequence[RepoSnapshot], snapshot: Snapshot, manifest: Manifest, context: CheckContext
) -> Outcome | None:
    """None where the plan's register holds nobody of the asset."""
    job, services = of.job, of.services
    replaying = Replaying.opened(services, job.loaded, job.asset, of.run.id, TEST, of.repo, listed, snapshot, manifest)
    if not replaying.due:
        return None
    of.progress.step(f"erasing who was erased at the source of {job.asset}")
    outcome = replaying.replay(job.engine, context, context.point)
    replaying.record(outcome)
    return outcome


# Which entries of a register are to be proven, on which snapshot, and whether that came of it.


@dataclass(frozen=True)
class Proving:
    """Of one asset. `only`: the entries that were asked for; None: all of it."""

    asset: str
    snapshot: str
    only: frozenset[str] | None = None

    def shown(self, found: Outcome | None) -> list[EntryFound]:
        return [one for one in found.each if self.only is None or one.id in self.only] if found is not None else []

    def proven(self, found: Outcome | None) -> bool:
        """Of all of it, as the record says. Of single entries: whoever was found now shows that the probe finds them,
        of others a canary does."""
        if found is None or found.result == FAILED:
            return False
        if self.only is None:
            return found.result == PROVEN
        each = self.shown(found)
        if any(one.state in (*UNSHOWN, EntryState.LATE) for one in each):
            return False
        return bool(each) and all(one.found_before or found.canaries for one in each)


def proving(
    register: Register | None,
    assets: Sequence[str],
    wanted: str | None,
    snapshot: str | None,
    services: Services,
    plan: str,
) -> list[Proving]:
    """Of each of the assets that somebody was erased of; or of the entry `wanted` and those of the same person, and
    then on the newest snapshot from before they were erased, where `snapshot` says nothing else. UsageProblem where
    there is no such entry in these assets."""
    if wanted is None:
        with_entries = [one for one in assets if register is not None and register.of(one)]
        return [Proving(one, snapshot or LATEST) for one in with_entries]
    entry = register.standing_one(wanted) if register is not None else None
    if register is None or entry is None or entry.asset not in assets:
        raise UsageProblem(
            f"the register of {plan} has no entry {wanted!a} of these assets that stands",
            hint=f"`ccdr erasure list {plan}`",
        )
    theirs = register.of_person(entry)
    return [
        _of([one for one in theirs if one.asset == asset], snapshot, services, plan)
        for asset in assets
        if any(one.asset == asset for one in theirs)
    ]


def _of(entries: Sequence[Entry], snapshot: str | None, services: Services, plan: str) -> Proving:
    asset, erased_at = entries[0].asset, min(one.erased_at for one in entries)
    there = snapshot or newest_from_before(services, plan, asset, erased_at) or LATEST
    return Proving(asset, there, frozenset(one.id for one in entries))
