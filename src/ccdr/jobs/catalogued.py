"""An asset's snapshots as this host knows them: the catalogue's, held to what its records say of those stored here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records import BackupEnd, Record
from ccdr.jobs.services import Services
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import Needed, Snapshot, rfc3339, so_many, source_digest
from ccdr.plans.job import Job

MOST = 1000  # that records alone tell of: the newest


def catalogued(
    job: Job, services: Services, history: AssetHistory, removed: Collection[str] = ()
) -> tuple[list[Snapshot], list[Problem]]:
    """By consistent point, oldest first; and where the catalogue says otherwise than the records. `removed`: what
    `history` still knows of, though retention has removed it. CcdrError where the ledger cannot be read."""
    there = services.catalogue.snapshots(job.plan, job.asset)
    lacking = _lacking(job, services, history, there, removed)
    dated, wrong = _as_recorded(there, history, services)
    if lacking:
        wrong.append(_gone(lacking, job, history))
    return sorted([*dated, *lacking], key=lambda s: (s.consistent_point, s.usable_at, s.id)), wrong


def _gone(lacking: Sequence[Snapshot], job: Job, history: AssetHistory) -> Problem:
    """Of what a ledger alone tells that was brought back, the catalogue was lost with that: nobody has changed it."""
    newest = lacking[-1]
    which = f"snapshot {newest.short} of {rfc3339(newest.consistent_point)}"
    if len(lacking) > 1:
        which = f"{so_many(len(lacking), 'snapshot')} that were stored here, the newest {which}"
    else:
        which += ", which was stored here"
    step = f"ccdr snapshots {job.plan}   reads what is there from the repository again"
    beside = [history.recorded_beside.get(s.id) for s in lacking]
    if all(one is not None and one.ours for one in beside):
        text = f"the catalogue was lost with the ledger that was brought back, and has no entry of {which}"
        text += ": what the records say of it stands"
        return Problem(Trouble.FINDING, text, about="catalogue lost", cause=newest.id, step=step)
    step += "; and find out who removed them"
    text = f"the catalogue has no entry any more of {which}: what the records say of it stands"
    return Problem(Trouble.CATALOGUE_WRONG, text, about=f"gone {newest.id}", step=step)


@dataclass(frozen=True)
class _Stored:
    """What a record says of a snapshot that was stored here."""

    id: str
    consistent: datetime
    usable: datetime
    bytes: int
    manifest_sha256: str
    of: str | None
    parents: Sequence[str]


def _lacking(
    job: Job, services: Services, history: AssetHistory, there: Sequence[Snapshot], removed: Collection[str]
) -> list[Snapshot]:
    """What was stored here and is newer than all that is `there`, oldest first. Retention leaves an asset's newest
    snapshot, whoever removes older ones: so the entries of these are gone. Of older ones another host's prune may be
    the reason."""
    known, newest = {s.id: s for s in there}, there[-1].consistent_point if there else None
    out, stored = {*removed, *history.vanished}, list[_Stored]()
    for one in _stored(services, history, out):
        if one.id in known or (newest is not None and one.consistent <= newest) or len(stored) == MOST:
            break
        stored.append(one)
    source, digests = job.engine.source_name, {s.id: s.manifest_sha256 for s in there}
    digests |= {one.id: one.manifest_sha256 for one in stored}

    def made(one: _Stored) -> Snapshot:
        return Snapshot.outline(
            one.id, job.plan, job.asset, one.consistent, one.usable, bytes=one.bytes,
            manifest_sha256=digests[one.id], source=source if one.of in (None, source_digest(source)) else None,
            upon=tuple(Needed(base, digests.get(base, "")) for base in one.parents),
        )  # fmt: skip

    return sorted(map(made, stored), key=lambda s: (s.consistent_point, s.usable_at, s.id))


def _stored(services: Services, history: AssetHistory, out: Collection[str]) -> Iterator[_Stored]:
    """By this host's ledgers, the newest first; without those that are `out`."""
    last, numbered = history.last_good_backup, None
    for key in reversed(history.stored):
        if key in out:
            continue
        if (beside := history.recorded_beside.get(key)) is not None:
            if beside.ours:
                yield _Stored(key, beside.consistent, beside.usable, 0, "", beside.source, beside.upon)
            continue
        seq = int(history.stored[key])
        record: Record | None = last
        if last is None or last.order != seq:  # seldom asked: the newest is in the catalogue
            numbered = numbered or services.ledger.numbering()
            record = numbered(seq)
        if isinstance(record, BackupEnd) and (of := record.snapshot) is not None:
            yield _Stored(
                key, of.consistent_point, record.time, of.bytes, of.manifest_sha256, of.source_sha256, of.upon
            )


def _as_recorded(
    known: Sequence[Snapshot], history: AssetHistory, services: Services
) -> tuple[list[Snapshot], list[Problem]]:
    """Exposure is by the newest moments: those of the newest snapshots that this host's ledgers have seen stored are as
    their records have it, and so is what they depend on, until one that counts says the same. Of another host's only a
    restore test can tell."""
    dated, changed = list(known), list[Problem]()
    for s in sorted((s for s in known if s.id in history.stored), key=lambda s: s.consistent_point, reverse=True):
        at, parents = s.consistent_point, list[str]()
        if (beside := history.recorded_beside.get(s.id)) is not None:  # by another ledger
            if not beside.ours:
                continue
            at, where, parents = beside.consistent, "the ledger that was brought back", beside.upon
        else:
            seq = int(history.stored[s.id])
            record: Record | None = history.last_good_backup
            if record is None or record.order != seq:
                record = services.ledger.numbered(seq)
            where = f"record {seq}"
            if isinstance(record, BackupEnd) and record.snapshot is not None:
                at, parents = record.snapshot.consistent_point, record.snapshot.upon
        needed = _needed(s, known, parents)
        if at == s.consistent_point and needed == s.upon:
            if history.disproved(s):  # what counts is further back
                continue
            break
        true = replace(s, consistent_point=at, usable_at=max(s.usable_at, at))
        dated[dated.index(s)] = replace(true, upon=needed)
        changed.append(Problem(Trouble.CATALOGUE_WRONG, _differing(s, true, where), about=s.id))
    return dated, changed


def _needed(s: Snapshot, known: Sequence[Snapshot], parents: Sequence[str]) -> tuple[Needed, ...]:
    """What it depends on as its record has it. Not every record tells: then as its entry does."""
    if not parents or [n.id for n in s.upon] == list(parents):
        return s.upon
    digests = {one.id: one.manifest_sha256 for one in known}
    return tuple(Needed(base, digests.get(base, "")) for base in parents)


def _differing(entry: Snapshot, true: Snapshot, where: str) -> str:
    if entry.consistent_point == true.consistent_point:
        text = f"the catalogue names other snapshots that {entry.short} depends on than were recorded as it was stored"
        return f"{text} ({where}): the entry was changed"
    claim = f"the catalogue says of snapshot {entry.short} that it is of {rfc3339(entry.consistent_point)}"
    return f"{claim}, and it was stored as one of {rfc3339(true.consistent_point)} ({where}): the entry was changed"
