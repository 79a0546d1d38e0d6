"""What is to be copied: what the copy's retention would keep there, with all that it depends on, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ccdr.jobs.attest.recovering import KIND as LEDGER
from ccdr.jobs.attest.recovering import number
from ccdr.jobs.erasure.register import ERASURES
from ccdr.jobs.plan_in_repository.stored_versions import PLAN
from ccdr.jobs.services import Services, policy_of
from ccdr.jobs.shipping.log_archive import LogArchive, let_go
from ccdr.jobs.shipping.log_repository import log_of
from ccdr.jobs.upkeep.log import needed_log
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad
from ccdr.model.retention import kept_by_rules
from ccdr.model.values import Manifest, Snapshot
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.storage.catalogue import STREAM, Catalogue
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.removals import dated_in_future
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import ENDED, Synchronised


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
