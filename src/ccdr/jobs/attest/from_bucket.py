"""Other hosts' ledgers, taken in from an evidence bucket: by whoever may read it, and needs nothing of the host.

Of each key the oldest version counts; whatever lies over it is told, and so is what lacks. Only versions that were not
read before are fetched. What was found is kept beside the ledger's checkpoints: whoever verifies it later is told, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from ccdr.evidence.checkpoints.checkpoint import ledger_of_origin, read_checkpoint
from ccdr.evidence.checkpoints.found import Finding
from ccdr.evidence.checkpoints.names import ANCHORS, checkpoint_name
from ccdr.evidence.checkpoints.published import Published, PublishedCheckpoint
from ccdr.evidence.lineage.beside import id_in, lies_at, reader
from ccdr.evidence.lineage.comparing import read as read_lineage
from ccdr.host.files import write_durably
from ccdr.host.state_files import write_state
from ccdr.jobs.attest.assembling import Assembly
from ccdr.jobs.attest.beside import collect
from ccdr.jobs.attest.taking_in import Taken
from ccdr.jobs.checkpoints.held_to import of_beside, of_live_against
from ccdr.jobs.checkpoints.kept import directory_of as checkpoints_of
from ccdr.jobs.checkpoints.kept import published_at
from ccdr.jobs.checkpoints.kept import published_in as kept_of
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans.versions import PLAN_VERSION, PlanRevision, newest_of_each
from ccdr.storage.evidence_bucket import (
    ASIDE,
    CHECKPOINTS,
    COMPLIANCE,
    LARGEST_LINE,
    LARGEST_PLAN,
    LARGEST_SEGMENT,
    PLANS,
    RECEIPTS,
    SEGMENTS,
    EvidenceBucket,
    Key,
    ObjectVersion,
)

COLLECTED_PLANS = "collected"  # below STATE: by the id of their ledger, as the host has put them into its bucket


@dataclass(frozen=True)
class FromBucket:
    """What a bucket has brought of one ledger. `taken`: as it lies beside ours now; None where it is `own`, or where
    nothing could be taken: `refused` says why."""

    ledger: str
    url: str
    checkpoints: int
    findings: tuple[Finding, ...]
    taken: Taken | None = None
    own: bool = False
    refused: CcdrError | None = None
    plans: Path | None = None  # where the files lie of its plans' newest versions, if the host has put them there

    def as_json(self) -> dict[str, object]:
        return {
            **(self.taken.as_json() if self.taken else {"ledger": self.ledger}),
            "bucket": self.url,
            "own": self.own,
            "plans": str(self.plans) if self.plans else None,
            "checkpoints": self.checkpoints,
            "findings": [one.as_json() for one in self.findings],
            "refused": self.refused and str(self.refused),
        }


Versions = dict[Key, list[ObjectVersion]]  # of each key, the oldest first


def collect_bucket(store: EvidenceBucket, services: Services) -> list[FromBucket]:
    """Take in each ledger that it holds, or more of one that is here. UsageProblem where it holds none; as the bucket's
    calls. What is wrong with one ledger stops no other."""
    by_origin: dict[str, dict[str, Versions]] = {}
    for below in (
        CHECKPOINTS,
        SEGMENTS,
        ASIDE,
        RECEIPTS,
        PLANS,
    ):  # in this order: what a checkpoint knows of was put before it
        for name, versions in groupby(store.versions(below), key=lambda one: one.key):
            if (key := Key.of(name)) is not None:
                by_origin.setdefault(key.origin, {}).setdefault(below, {})[key] = list(versions)
    if not by_origin:
        raise UsageProblem(f"{store.url} holds no evidence of ccdr's", hint="name the bucket, and the folder in it")
    return [_ledger(store, origin, there, services) for origin, there in sorted(by_origin.items())]


def _ledger(store: EvidenceBucket, origin: str, there: dict[str, Versions], services: Services) -> FromBucket:
    ledger = ledger_of_origin(origin)
    assert ledger is not None, "the key's form says so"
    before = kept_of(services.state, ledger, store.url) or Published(store.url)
    findings: list[Finding] = []
    checkpoints = tuple(_checkpoints(store, there.get(CHECKPOINTS, {}), before, findings, services.clock.now()))
    published = Published(store.url, checkpoints, before.read)
    lineage = read_lineage(services.state, services.ledger)
    if ledger == lineage.ledger:
        checked = of_live_against(services, published.anchors)
        found = (*findings, *checked.findings)
        return FromBucket(ledger, store.url, len(checkpoints), found, own=True)
    taken, read, broken = None, before.read, None
    try:
        taken, read = _taken(store, ledger, there, before, findings, services)
    except LedgerBroken as refused:
        broken = refused
    records = taken.records if taken else 0
    if (newest := max((_size(one) for one in checkpoints), default=0)) > records and broken is None:
        text = f"a checkpoint there is of {newest} records, and the segments there end with record {records}"
        findings.append(Finding("SEGMENT_MISSING", text, newest))
    _fetched(store, there.get(RECEIPTS, {}), checkpoints_of(services.state, ledger) / ANCHORS, findings)
    plans = None if taken is None else _plans(store, there.get(PLANS, {}), taken, services, findings)
    _keep(services, ledger, replace(published, read=read, findings=tuple(findings)))
    found = of_beside(services, ledger).findings if taken is not None else tuple(findings)
    return FromBucket(ledger, store.url, len(checkpoints), found, taken, refused=broken, plans=plans)


def _size(one: PublishedCheckpoint) -> int:
    return read_checkpoint(one.note.encode()).size


def _oldest(store: EvidenceBucket, versions: Sequence[ObjectVersion], found: list[Finding]) -> ObjectVersion | None:
    """The one that counts; what lies over it is a finding."""
    key, contents = versions[0].key, [one for one in versions if not one.marker]
    size = (Key.of(key) or Key("", "")).last or None
    for marker in (one for one in versions if one.marker):
        what = "hides it: its versions are there still, and were read" if contents else "is all that is left of it"
        found.append(Finding("REMOVED", f"{key}: a delete marker, put at {rfc3339(marker.at)}, {what}", size))
    if not contents:
        return None
    oldest, digest = contents[0], None
    for later in contents[1:]:
        if (later.etag, later.bytes) == (oldest.etag, oldest.bytes):
            continue
        digest = digest or store.digest(oldest)
        if store.digest(later) != digest:
            text = f"{key} was written over with something else at {rfc3339(later.at)}; the version of"
            found.append(Finding("FORK", f"{text} {rfc3339(oldest.at)} counts", size))
    return oldest


def _checkpoints(
    store: EvidenceBucket, there: Versions, before: Published, found: list[Finding], now: datetime
) -> Iterator[PublishedCheckpoint]:
    for key, versions in there.items():
        oldest = _oldest(store, versions, found)
        if oldest is None:
            continue
        if known := before.known.get((oldest.key, oldest.id)):
            yield known
            continue
        contents, lock = store.contents(oldest)
        try:
            checkpoint = read_checkpoint(contents)
            if (checkpoint.origin, checkpoint.size) != (key.origin, key.last):
                raise ValueError(f"is a checkpoint of {checkpoint.size} records of {checkpoint.origin}")
        except ValueError as why:
            found.append(Finding("CHECKPOINT_UNREADABLE", f"{oldest.key} {why}", key.last))
            continue
        locked = lock is not None and lock.mode == COMPLIANCE and lock.until > now  # else another may be in its place
        yield PublishedCheckpoint(oldest.key, oldest.id, oldest.at, locked, contents.decode())


def _taken(
    store: EvidenceBucket,
    ledger: str,
    there: dict[str, Versions],
    before: Published,
    found: list[Finding],
    services: Services,
) -> tuple[Taken | None, frozenset[str]]:
    """The ledger as its segments make it, beside ours; and which versions were read. LedgerBroken where what comes of
    it does not verify, or is not what is here already."""
    known = read_lineage(services.state, services.ledger).beside.get(ledger)
    here = None if known is None else lies_at(services.state, known)
    with services.state.run(services.clock) as run:
        assembly = Assembly.on(run.directory("ledger"), here if here is not None and here.is_dir() else None)
        read, wanted = before.read, []
        for key, versions in there.get(SEGMENTS, {}).items():
            oldest = _oldest(store, versions, found)
            if oldest is not None and not (_named(oldest) in read and key.last <= assembly.records):
                wanted.append((oldest, key))
        taken = {_named(one) for one in _assembled(store, wanted, assembly, found)}
        _fetched(store, there.get(ASIDE, {}), assembly.directory, found)
        assembly.close()
        if known is not None and here is not None and (assembly.records, assembly.head) == (known.records, known.head):
            return Taken(ledger, known.records, known.head, here, 0), read | taken
        if not assembly.records or (named := id_in(assembly.directory)) is None:
            return None, read  # of one from before there were ids, that is being put: no line tells yet
        if named != ledger:
            problem = f"the segments of {ledger[:8]}… in {store.url} are of the ledger {named[:8]}…"
            raise LedgerBroken(problem, hint="find out who wrote there; nothing of it was taken in")
        return collect(assembly.directory, services, named=store.url), read | taken


def _named(one: ObjectVersion) -> str:
    return f"{one.id} {one.key}"


def _assembled(
    store: EvidenceBucket, wanted: Sequence[tuple[ObjectVersion, Key]], assembly: Assembly, found: list[Finding]
) -> Iterator[ObjectVersion]:
    """Whatever was there first comes first; what does not follow yet waits for what lacks."""
    waiting = sorted(wanted, key=lambda one: (one[0].at, one[1].first))
    while ready := next((one for one in waiting if one[1].first <= assembly.records + 1), None):
        waiting.remove(ready)
        version, key = ready
        what = f"{version.key}, of {rfc3339(version.at)},"
        if version.bytes > LARGEST_SEGMENT:
            found.append(Finding("SEGMENT_UNREADABLE", f"{what} is larger than any that ccdr puts", key.first))
        elif (wrong := assembly.take(key, store.lines(version), what)) is None:
            yield version
        else:
            found.append(wrong)  # and the next time it is read, and told, again
    if waiting:
        first = min(key.first for _, key in waiting)
        text = f"records {assembly.records + 1} to {first - 1} are in no segment there: what follows them is not taken"
        found.append(Finding("SEGMENT_MISSING", text, first - 1))


def _fetched(store: EvidenceBucket, there: Versions, directory: Path, found: list[Finding]) -> None:
    for key, versions in there.items():
        oldest = _oldest(store, versions, found)
        if oldest is not None and not (directory / key.name).exists():
            write_durably(directory / key.name, store.contents(oldest, LARGEST_LINE)[0])


def _plans(
    store: EvidenceBucket, there: Versions, taken: Taken, services: Services, found: list[Finding]
) -> Path | None:
    """The files of the newest version of each plan that the ledger tells of, where they lie as a person has them: in
    `plans` and `restore_tests`. A version is taken whole, each file as its record has the digest, or not at all. None
    where there are none."""
    directory, texts = services.state.root / COLLECTED_PLANS / taken.ledger, dict[str, bytes]()
    newest = newest_of_each(reader(taken.directory).newest(PLAN_VERSION)) if there else {}
    for version in newest.values():
        of_it = {key.name: of for key, of in there.items() if version is not None and key.digest == version.digest}
        if version is not None and of_it:
            for name, text in (_of_version(store, version, of_it, found) or {}).items():
                texts.setdefault(name, text)  # of a restore test that several plans name: as the newest has it
    for path in [*directory.glob("plans/*.yaml"), *directory.glob("restore_tests/*.yaml")]:
        if str(path.relative_to(directory)) not in texts:
            path.unlink(missing_ok=True)
    for name, text in texts.items():
        write_durably(directory / name, text)
    return directory if texts else None


def _of_version(
    store: EvidenceBucket, version: PlanRevision, there: Mapping[str, list[ObjectVersion]], found: list[Finding]
) -> dict[str, bytes] | None:
    """Its files by their names; None where one lacks, or is another: that is told."""
    texts, wrong = dict[str, bytes](), list[str]()
    for name, digest in version.files.items():
        oldest = _oldest(store, there[name], found) if name in there else None
        text = store.contents(oldest, LARGEST_PLAN)[0] if oldest is not None else b""
        if oldest is not None and sha256(text).hexdigest() == digest:
            texts[name] = text
        else:
            what = "is not there" if oldest is None else "is not that file"
            wrong.append(f"{version.plan}: {name}, of which record {version.number} tells, {what}")
    found += (Finding("PLAN_UNLIKE", one, version.number) for one in wrong)
    return None if wrong else texts


def _keep(services: Services, ledger: str, published: Published) -> None:
    """The checkpoints where those of a ledger lie, and what was found. CcdrError where the disk refuses."""
    directory = checkpoints_of(services.state, ledger)
    for one in published.checkpoints:
        path = directory / checkpoint_name(_size(one))
        if not path.exists():
            write_durably(path, one.note)
    write_state(published_at(services.state, ledger, published.url), published)
