"""Which snapshot a restore takes, by the rule, the id or the point that it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.host.state import Run
from ccdr.jobs.fetch import Candidates, none_counts, unread_since
from ccdr.jobs.restore.request import Request
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, UsageProblem
from ccdr.model.values import Snapshot, rfc3339
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future
from ccdr.storage.synchronised import Synchronised


@dataclass(frozen=True)
class Selection:
    """What there is to choose from, and what is known of it; notes on the choice go into the result."""

    job: Job
    services: Services
    request: Request
    result: RestoreResult
    snapshots: Candidates
    history: AssetHistory  # the asset's

    def by_rule(self, synchronised: Synchronised) -> Snapshot:
        """The newest that counts and has not failed a test; or the one that was named."""
        if self.request.snapshot == "latest":
            chosen = self.latest(synchronised)
        else:
            chosen = self.snapshots.by_id(self.job, self.request.snapshot)
        self._refuse_bad(chosen, synchronised)
        self.result.notes += self._notes(chosen, synchronised)
        return chosen

    @property
    def _usable(self) -> list[Snapshot]:
        """Of all that are there, whatever source they are of."""
        return chain.usable(self.snapshots.there, self.snapshots.there, self.history.disproved)

    def _suspect(self, snapshot: Snapshot) -> bool:
        return self.history.is_suspect(snapshot.id, *(needed.id for needed in snapshot.upon))

    def latest(self, synchronised: Synchronised) -> Snapshot:
        """UsageProblem where there is none."""
        job, snapshots = self.job, self.snapshots
        if not snapshots.good:
            none, first = none_counts(job, synchronised)
            raise UsageProblem(none, hint=first or "check the plan, and its repository")
        if self.request.despite_failed_test:
            usable = [s for s in snapshots.good if not chain.lacks(s, snapshots.there)]
        else:
            ids = {s.id for s in self._usable}
            usable = [s for s in snapshots.good if s.id in ids]
        if not usable:
            raise UsageProblem(
                f"there is no snapshot of {job.plan}/{job.asset} that counts and has not failed its test",
                hint=f"`ccdr snapshots {job.plan}` lists them; name one with --snapshot ID --despite-failed-test",
            )
        return usable[-1]

    def _refuse_bad(self, chosen: Snapshot, synchronised: Synchronised) -> None:
        """UsageProblem where it lacks what it builds upon, or failed a test and nobody wants it all the same."""
        usable = self._usable
        older = any(s.consistent_point < chosen.consistent_point for s in usable) or _before(chosen, synchronised)
        instead = "take an older one" if older else "there is no older one that may be good"
        if missing := chain.lacks(chosen, self.snapshots.there):
            raise UsageProblem(
                missing, hint=f"{instead}: without the snapshots that it depends on, it cannot be restored"
            )
        if chosen.id not in {s.id for s in usable} and not self.request.despite_failed_test:
            why = f"snapshot {chosen.short} failed its last restore test, or a snapshot that it depends on did"
            if self._suspect(chosen):
                why = f"snapshot {chosen.short} is suspect, and nobody has answered for that (SNAPSHOT_SUSPECT)"
            raise UsageProblem(
                why if chosen.note is None else f"restic stored snapshot {chosen.short} with a warning: {chosen.note}",
                hint=f"{instead}; to restore it anyway, {self._anyway(chosen)}",
            )

    def _anyway(self, chosen: Snapshot) -> str:
        if not self.request.goes_on:
            return "add --despite-failed-test"
        of = f"ccdr restore {self.job.plan} --asset {self.job.asset} --snapshot {chosen.short} --despite-failed-test"
        return f"do so alone, a recovery does not: `{of} …`"

    def _notes(self, chosen: Snapshot, synchronised: Synchronised) -> Iterator[str]:
        """What is not as it should be around it: its source, its date, and newer ones that cannot be restored."""
        if not of_source(chosen, self.job.engine.source_name):
            yield f"it is a snapshot of {chosen.source}, which is not what the plan names now"
        if dated_in_future(chosen, self.services.clock.now()):
            yield "its date is in the future: a clock was wrong"
        usable = {s.id for s in self._usable}
        for s in self.snapshots.there:
            if s.consistent_point > chosen.consistent_point and s.id not in usable:
                how = "is suspect" if self._suspect(s) else "failed its test"
                yield f"the newer snapshot {s.short} of {rfc3339(s.consistent_point)} {how}"
        for s in synchronised.vanished:
            if s.consistent_point > chosen.consistent_point:
                yield f"a newer snapshot, {s.short} of {rfc3339(s.consistent_point)}, has vanished"
        yield from (newer.text for newer in unread_since(self.job, chosen, synchronised))

    def by_point(self, run: Run, progress: Progress) -> Recovery:
        """The newest good base before the point, or the one that was named, and the log from there on."""
        assert self.request.at is not None
        if self.request.is_url:
            raise UsageProblem(
                "a recovery by the log goes into a directory", hint="name one with --to, and start a server on it"
            )
        usable = chain.usable(self.snapshots.good, self.snapshots.there, self.history.disproved)
        if self.request.snapshot != "latest":
            usable = the_base(self.snapshots.by_id(self.job, self.request.snapshot), usable)
        if self.history.log_failure is not None:
            failure = f"{self.history.log_failure['time']} is FAIL: {self.history.log_failure.get('reason')}"
            self.result.notes.append(f"its recovery by the log of {failure}; an earlier point may still be good")
        try:
            told = self.request.told
            archive = told.archive if told is not None else None
            return Recovery.prepared(self.job, self.services, usable, self.request.at, run, progress, archive)
        except BackupBad as error:
            raise UsageProblem(str(error), hint=error.hint) from None

    def doubts(self, chosen: Snapshot, upkeep: AssetHistory) -> list[str]:
        """As the function of this name."""
        return doubts(self.job, chosen, self.history, upkeep)

    def has_older(self, chosen: Snapshot, synchronised: Synchronised) -> bool:
        """Is there an older one that may be good?"""
        usable = chain.usable(self.snapshots.good, self.snapshots.there, self.history.disproved)
        return any(s.consistent_point < chosen.consistent_point for s in usable) or _before(chosen, synchronised)


def _before(chosen: Snapshot, synchronised: Synchronised) -> bool:
    """Are there older ones that were not looked at?"""
    return any(s.tag("asset") == chosen.asset and s.time < chosen.consistent_point for s in synchronised.unlooked)


def doubts(job: Job, chosen: Snapshot, history: AssetHistory, upkeep: AssetHistory) -> list[str]:
    """That the repository was found damaged, and when this snapshot was stored into it. `upkeep` is the plan's own
    history."""
    damage, doubt = history.doubt(upkeep), history.doubted(upkeep)
    if damage is None or doubt is None:
        return []
    if history.proven.get(chosen.id) == "PASS":
        return [doubt]
    own = "was stored after that" if history.stored.get(chosen.id, 0) > damage["seq"] else "has not passed a test"
    test = f"`ccdr test {job.plan} --asset {job.asset} --snapshot {chosen.short}`"
    return [f"{doubt}; this snapshot {own}: {test} tells whether it is whole"]
