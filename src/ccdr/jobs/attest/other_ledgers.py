"""Ledgers beside ours, in `STATE/ledgers/ID`, read-only: lost ones that are brought back, and other hosts', taken in
from an evidence bucket; each is whole, or not there at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import IO

from msgspec import to_builtins

from ccdr.evidence.checkpoints.checkpoint import ledger_of_origin, read_checkpoint
from ccdr.evidence.checkpoints.names import ANCHORS, CHECKPOINTS, checkpoint_name
from ccdr.evidence.checkpoints.published import Published, PublishedCheckpoint
from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.ledger.ledger import NOTHING, SEGMENT_BYTES, Ledger, Numbered, files_in, line_as_record, segments_in
from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.lineage.comparison import (
    directory_of,
    id_in,
    is_id,
    itself,
    keep,
    lies_at,
    new_of,
    read,
    read_id,
    reader,
)
from ccdr.evidence.lineage.comparison import read as read_lineage
from ccdr.evidence.lineage.own_records import LEDGERS, LedgerBeside, Lost
from ccdr.evidence.package.bag import BY_LEDGER, DATA, examine, is_package
from ccdr.evidence.package.lines import TREE
from ccdr.evidence.records import BackupEnd, PlanVersion, TestEnd
from ccdr.evidence.records.lineage import LedgerCollected
from ccdr.evidence.records.plans import newest_of_each
from ccdr.host.files import remove_tree, sync_directory, write_durably
from ccdr.host.state import State
from ccdr.host.state_files import write_state
from ccdr.jobs.checkpoints.held_to import of_beside, of_live_against
from ccdr.jobs.checkpoints.store import directory_of as checkpoints_directory
from ccdr.jobs.checkpoints.store import published_at
from ccdr.jobs.checkpoints.store import published_in as kept_of
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import RecordRef, rfc3339
from ccdr.plans.versions import PlanRevision
from ccdr.storage.evidence_bucket import (
    ASIDE,
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
from ccdr.storage.evidence_bucket import (
    CHECKPOINTS as PUBLISHED_CHECKPOINTS,
)

# A copy of a ledger beside ours: whole, or not at all.


@dataclass(frozen=True)
class Taken:
    """A ledger that lies beside ours now."""

    ledger: str
    records: int
    head: str
    directory: Path
    new: int  # records that were not there before
    missing: int = 0  # how many more are known to have been in it
    lost: Lost | None = None  # what was known of it before it was brought back
    source: str | None = None  # the plan whose repository it came from
    record: RecordRef | None = None

    @property
    def until(self) -> str | None:
        """When its last record is of."""
        return next((str(record["time"]) for record in reader(self.directory).records(reverse=True)), None)

    def as_json(self) -> dict[str, object]:
        return {
            "ledger": self.ledger,
            "records": self.records,
            "head": self.head,
            "directory": str(self.directory),
            "new": self.new,
            "missing": self.missing,
            "source": self.source,
            "until": self.until,
            "record": self.record and self.record.as_json(),
        }


def copied(
    state: State, ledger: str, source: Path, verification: Verification, named: str, known: LedgerBeside | None = None
) -> Taken:
    """Copy a chain to beside its place, whole or not at all: it is told of before it is `placed`, so that whoever is
    killed between leaves one of the two there as our ledger tells. LedgerBroken where it must not be: it goes on from
    what is there, or (what lies there may have been changed) from what our own ledger says that it was: `known`."""
    if not verification.ok:
        raise LedgerBroken(
            f"the ledger in {named} does not verify: {verification.problems[0]}",
            hint="nothing was taken in"
            if named != str(source)
            else f"`ccdr ledger verify {source}` lists all damage; nothing was taken in",
        )
    target, before = directory_of(state, ledger), 0
    here = None if not target.is_dir() and known is None else known or verify(target)
    if here is not None and here.records:
        before = here.records if target.is_dir() else 0
        if verification.records < here.records:
            raise LedgerBroken(
                f"the ledger in {named} has {verification.records} records, and {here.records} of it are here already",
                hint=f"it was cut since; {target} has the longer one",
            )
        if reader(source).hash_of(here.records) != here.head:
            raise LedgerBroken(
                f"the ledger in {named} is another chain than what is here of {ledger[:8]}…: one of them was rewritten",
                hint=f"keep both as evidence; the one that was here first is in {target}",
            )
    temporary = new_of(state.directory(LEDGERS) / ledger)
    remove_tree(temporary)
    try:
        _copy(source, temporary)
        again = verify(temporary)
        if not again.ok or again.records < verification.records:
            raise LedgerBroken(f"the copy of {named} does not verify", hint="is the disk well? try again")
    except OSError as error:
        remove_tree(temporary)
        raise _unwritten(target, error) from None
    except CcdrError:
        remove_tree(temporary)
        raise
    return Taken(ledger, again.records, again.head, temporary, again.records - before)


def placed(state: State, taken: Taken) -> Taken:
    """Put what was copied, and is told of, in its place."""
    target = directory_of(state, taken.ledger)
    aside = taken.directory.with_suffix(".old")
    try:
        remove_tree(aside)
        if target.is_dir():
            target.rename(aside)
        taken.directory.rename(target)
        remove_tree(aside)
    except OSError as error:
        raise _unwritten(target, error) from None
    return replace(taken, directory=target)


def settle(state: State, known: LedgerBeside) -> None:
    """Put in its place what somebody told of, and was killed before that."""
    if (directory := lies_at(state, known)) != directory_of(state, known.ledger):
        placed(state, Taken(known.ledger, known.records, known.head, directory, 0))


def _unwritten(target: Path, error: OSError) -> CcdrError:
    return CcdrError(f"{target} cannot be written: {error.strerror}", hint="make room there, and try again")


def _copy(source: Path, target: Path) -> None:
    """The segments, what was set aside of torn lines, and the id; nobody writes to them any more."""
    target.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and (path.suffix in (".jsonl", ".bin") or path.name == "id"):
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(0o400)
    sync_directory(target)
    target.chmod(0o500)


# A ledger, put together from stretches of its lines: what is there already, and what follows on from it.


@dataclass
class Assembly:
    """In `directory`, so far `records` lines, the last of which has the hash `head`."""

    directory: Path
    records: int = 0
    head: str = NOTHING.hash
    _file: IO[bytes] | None = None

    @classmethod
    def on(cls, directory: Path, base: Path | None) -> Assembly:
        """Beginning with the ledger in `base`, if there is one; that stays as it is."""
        if base is None:
            return cls(directory)
        last = segments_in(base)[-1:]
        for path in files_in(base):
            if path.is_file() and path not in last:
                _linked(path, directory / path.name)
        for path in last:  # it will grow
            shutil.copyfile(path, directory / path.name)
        head = reader(directory).head()
        return cls(directory, head.seq, head.hash)

    def take(self, key: Key, lines: Iterable[bytes], what: str) -> Finding | None:
        """These lines, by their key the records `first` to `last`: those that are here already must be the same, the
        others follow on. What contradicts that is told, and ends it: the lines before it were taken."""
        here = Numbered(segments_in(self.directory)) if key.first <= self.records else None
        seq = key.first - 1
        for seq, line in enumerate(lines, start=key.first):
            try:
                record = line_as_record(line)
            except ValueError as why:
                return Finding("SEGMENT_UNREADABLE", f"{what} line {seq - key.first + 1} {why}", seq)
            if record["seq"] != seq or seq > key.last:
                return Finding("SEGMENT_UNREADABLE", f"{what} holds record {record['seq']} as {seq}", seq)
            if seq <= self.records:
                if here is None or here.find(seq) != line:
                    text = f"record {seq} is another one in {what} than what was taken before: two hosts, or a rewrite"
                    return Finding("FORK", text, seq)
            elif record["prev"] != self.head:
                text = f"record {seq} in {what} does not follow on from record {seq - 1}: two hosts, or a rewrite"
                return Finding("FORK", text, seq)
            else:
                self._append(seq, line)
        self.close()
        if seq != key.last:
            return Finding("SEGMENT_UNREADABLE", f"{what} ends with record {seq}", seq)
        return None

    def _append(self, seq: int, line: bytes) -> None:
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            self.close()
            last = next(reversed(segments_in(self.directory)), None)
            full = last is None or last.stat().st_size >= SEGMENT_BYTES
            path = self.directory / f"{seq:012}.jsonl" if full or last is None else last
            self._file = path.open("ab")
        self._file.write(line)
        self.records, self.head = seq, sha256(line).hexdigest()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _linked(path: Path, to: Path) -> None:
    """Another file system knows no link to it."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)


# Other ledgers, in `STATE/ledgers/ID`, read-only: lost ones that are brought back, and other hosts'.

LARGEST = 1024**2  # bytes of a checkpoint, or of a receipt


def others(state: State) -> list[tuple[str, Path]]:
    """Every other ledger that is here, by its id."""
    entries = sorted((state.root / LEDGERS).glob("*")) if (state.root / LEDGERS).is_dir() else []
    return [(path.name, path) for path in entries if path.is_dir() and not path.name.startswith(".")]


def collect(source: Path, services: Services, named: str | None = None) -> Taken:
    """Take in another host's ledger, or more of one that is here; `named` is what people call where it came from.
    UsageProblem where there is none, or it is ours; LedgerBroken where it does not verify, is shorter than what is
    here, or another chain under the same id."""
    directory = source / "ledger" if (source / "ledger").is_dir() else source
    if is_package(source):
        directory = _in_package(source)
    verification = verify(directory)
    if not verification.records and verification.ok:
        raise UsageProblem(f"{source} holds no ledger", hint="name the directory of *.jsonl, or a state directory")
    ledger = id_in(directory) if verification.ok else read_id(directory)
    if ledger is None and verification.ok:
        raise UsageProblem(
            f"the ledger in {source} does not say which one it is",
            hint="run any ccdr of this version there once: its next record names it",
        )
    lineage = read(services.state, services.ledger)
    if ledger is not None and ledger == lineage.ledger:
        raise UsageProblem(f"the ledger in {source} is this host's own", hint="name another host's")
    if verification.ok:
        _as_known(directory, str(ledger), services)
    known = lineage.beside.get(str(ledger))
    if known is not None:
        settle(services.state, known)
    taken = copied(services.state, str(ledger), directory, verification, named or str(source), known)
    done = placed(services.state, _recorded(taken, services))
    _with_checkpoints(source, done.ledger, services.state)
    return done


def _with_checkpoints(source: Path, ledger: str, state: State) -> None:
    """The signed checkpoints that lie with it, and the receipts of their anchors. What is here stays as it is: who
    verifies is told where they differ from the lines. CcdrError where the disk refuses."""
    below = source / DATA if is_package(source) else source
    there, here = below / CHECKPOINTS / ledger, checkpoints_directory(state, ledger)
    for path in (*sorted(there.glob("*.txt")), *sorted((there / ANCHORS).glob("*"))):
        to = here / path.relative_to(there)
        if path.is_file() and not path.is_symlink() and not to.exists() and path.stat().st_size <= LARGEST:
            write_durably(to, path.read_bytes())


def _in_package(source: Path) -> Path:
    """Where the ledger of the host that made it lies in a package. LedgerBroken where the package is not as it was
    written; UsageProblem where it shows a part of the ledger only."""
    package, wrong = examine(source)
    if wrong:
        raise LedgerBroken(
            f"the package {source} is not as it was written: {wrong[0]}",
            hint=f"`ccdr ledger verify {source}` lists all damage; nothing was taken in",
        )
    own = package.info.get(BY_LEDGER, "")
    if not is_id(own):  # it must not lead elsewhere
        raise UsageProblem(f"the package {source} does not say which ledger it is of ({BY_LEDGER})")
    directory = source / DATA / "ledgers" / own
    if (directory / TREE).exists():
        raise UsageProblem(
            f"the package {source} shows a part of a ledger", hint="`ccdr ledger export DIR` there packs all of it"
        )
    return directory


def _apart(taken: Taken, services: Services) -> list[str]:
    """Plans of it that this host has one of the same name of, and no snapshot in common with: two hosts may have called
    something else the same. Where one of them knows of no snapshot at all, nobody can tell."""
    theirs, ours = _snapshots(reader(taken.directory)), _snapshots(services.ledger)
    for other in (path for name, path in others(services.state) if name != taken.ledger):
        for plan, ids in _snapshots(reader(other)).items():
            ours.setdefault(plan, set()).update(ids)
    for plan in theirs:
        known = services.catalogue.directory.joinpath(plan).glob("*/*.json")
        ours.setdefault(plan, set()).update(path.stem for path in known)
    return sorted(plan for plan, ids in theirs.items() if ours[plan] and not ids & ours[plan])


def _snapshots(ledger: Ledger) -> dict[str, set[str]]:
    """By plan: whatever it tells of as stored or tested."""
    by_plan: dict[str, set[str]] = {}
    for record in ledger.as_read():
        if isinstance(record, BackupEnd | TestEnd) and record.snapshot is not None:
            by_plan.setdefault(record.plan, set()).add(record.snapshot.id)
    return by_plan


def _as_known(directory: Path, ledger: str, services: Services) -> None:
    """What the snapshots that this host knows of attest of it: whoever may write there may have chained it anew.
    LedgerBroken where it is not that."""
    there, says, catalogue = reader(directory), itself(directory), services.catalogue
    for plan in (path.name for path in catalogue.directory.glob("*") if path.is_dir()):
        for s in (s for asset in catalogue.assets(plan) for s in catalogue.snapshots(plan, asset)):
            attested = s.attested
            if attested.ledger != ledger:
                continue
            line = there.hash_of(attested.seq)
            if line is not None and line != attested.head and not says.excuses(there, attested.seq, attested.prev):
                raise LedgerBroken(
                    f"record {attested.seq} of the ledger in {directory} is not the one that snapshot {s.short} of "
                    f"{s.plan} attests: it was rewritten",
                    hint="nothing was taken in: find out who wrote to it, on its host; keep both as evidence",
                )


def _recorded(taken: Taken, services: Services) -> Taken:
    """Have our ledger say that it lies there, as it is: only what it says so of is read with it."""
    known, apart = read(services.state, services.ledger).beside.get(taken.ledger), _apart(taken, services)
    if known is not None and (known.records, known.head, list(known.apart)) == (taken.records, taken.head, apart):
        return taken
    last = next(reader(taken.directory).as_read(reverse=True))
    collected = LedgerCollected(
        ledger=taken.ledger,
        of_host=last.host,
        records=taken.records,
        head=taken.head,
        until=last.time,
        apart=apart,
    )
    ref = services.ledger.write(collected)
    keep(services.state, services.ledger)
    return replace(taken, record=ref)


# Of each key the oldest version counts; whatever lies over it is told, and so is what lacks. Only versions that were
# not read before are fetched. What was found is kept beside the ledger's checkpoints: whoever verifies it later is
# told, too.

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
            "findings": to_builtins(self.findings),
            "refused": self.refused and str(self.refused),
        }


Versions = dict[Key, list[ObjectVersion]]  # of each key, the oldest first


def collect_bucket(store: EvidenceBucket, services: Services) -> list[FromBucket]:
    """Take in each ledger that it holds, or more of one that is here. UsageProblem where it holds none; as the bucket's
    calls. What is wrong with one ledger stops no other."""
    by_origin: dict[str, dict[str, Versions]] = {}
    for below in (
        PUBLISHED_CHECKPOINTS,
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
    checkpoints = tuple(
        _checkpoints(store, there.get(PUBLISHED_CHECKPOINTS, {}), before, findings, services.clock.now())
    )
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
    _fetched(store, there.get(RECEIPTS, {}), checkpoints_directory(services.state, ledger) / ANCHORS, findings)
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
            return None, read  # what is being put there: no line tells yet
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
    newest = newest_of_each(reader(taken.directory).newest(PlanVersion)) if there else {}
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
    directory = checkpoints_directory(services.state, ledger)
    for one in published.checkpoints:
        path = directory / checkpoint_name(_size(one))
        if not path.exists():
            write_durably(path, one.note)
    write_state(published_at(services.state, ledger, published.url), published)
