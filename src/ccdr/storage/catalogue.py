"""Every snapshot that counts, by its full id, with its manifest, read at once: ours, beside the repository."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path, PurePosixPath

import msgspec

from ccdr.host.files import write_durably
from ccdr.host.interrupts import threads
from ccdr.host.state_files import StateDamaged, StateFile, decoded, plain, read_state
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, RepositoryDamaged, WrittenByNewer
from ccdr.model.finding import Finding
from ccdr.model.values import (
    Attestation,
    Manifest,
    Snapshot,
    rfc3339,
)
from ccdr.storage.listing import OF_BEFORE, OURS, RepoSnapshot
from ccdr.storage.manifest import CAPTURED, MANIFEST, parse_manifest, snapshot_of, text_digest
from ccdr.storage.removals import CLOCK_TOLERANCE, NOTHING_KNOWN, Expired, LedgerOfRemovals, explained_by_retention
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import FUTURE, Synchronised, vanished_finding

# An entry of the catalogue: a snapshot that counts, with its manifest, read at once.

SUFFIX = ".json"  # of an entry
FORMAT = 3  # of an entry
_BEGIN, _THEN = b'{"format": %d, "snapshot": ' % FORMAT, b', "manifest": "'
HEAD = 8192  # bytes; an entry's snapshot is nearly always shorter
NO_ENTRY = (OSError, ValueError, RecursionError)  # what reading one that is none may raise


class Entry(StateFile, frozen=True, tag_field="format", tag=FORMAT):
    """A whole one: the snapshot, and its manifest's text."""

    snapshot: Snapshot
    manifest: str


def entry_text(snapshot: Snapshot, text: str) -> str:
    """The entry of a snapshot with this manifest."""
    return json.dumps(plain(Entry(snapshot, text))) + "\n"


def entry_files(directory: str) -> Iterator[os.DirEntry[str]]:
    """By their names: they need not be whole."""
    with contextlib.suppress(OSError), os.scandir(directory) as there:
        for entry in there:
            if entry.name.endswith(SUFFIX):
                yield entry


def read_head(path: str | Path) -> Snapshot:
    """The entry's snapshot, without reading its manifest, which may be a hundred times longer; one of `NO_ENTRY` where
    it is not whole. `status` reads thousands: with `Path.open` and `json` it took three times as long."""
    file = os.open(path, os.O_RDONLY)
    try:
        start = os.read(file, HEAD)
        end = start if len(start) < HEAD else os.pread(file, 2, os.fstat(file).st_size - 2)
    finally:
        os.close(file)
    if not start.startswith(_BEGIN) or not end.rstrip().endswith(b"}"):
        raise ValueError("not a whole entry")
    try:
        snapshot = _DECODE(start[len(_BEGIN) : start.find(_THEN)])
    except ValueError:  # a source with many long paths, or with one that is not UTF-8
        snapshot = decoded(Path(path).read_bytes(), Entry).snapshot
    point, usable = snapshot.consistent_point, snapshot.usable_at
    there = snapshot.arrived or usable
    if point.tzinfo is UTC and usable.tzinfo is UTC and there.tzinfo is UTC:  # as we write them
        return snapshot
    if point.tzinfo is None or usable.tzinfo is None or there.tzinfo is None:
        raise ValueError("a time without a zone")
    at_home = replace(snapshot, consistent_point=point.astimezone(UTC), usable_at=usable.astimezone(UTC))
    return at_home if snapshot.arrived is None else replace(at_home, arrived=there.astimezone(UTC))


BY_TIME = attrgetter("consistent_point", "usable_at", "id")
_DECODE = msgspec.json.Decoder(Snapshot).decode


# restic does not notice that a whole snapshot was removed, and its `latest` is whatever bears the greatest date; so
# both are asked here. A lost catalogue loses nothing: `synchronise` reads it back from the repository.

Captured = Callable[[str, str], str | None]  # by asset and id: the SHA-256 of its manifest, as it was captured
Wanted = Callable[[str, Sequence[RepoSnapshot]], Sequence[RepoSnapshot]]  # by asset, of those that are new here
Reads = Callable[[int, int], None]  # how many manifests are read, and of how many
LEARNED_AT_ONCE = 4
Outcome = Finding | WrittenByNewer | None  # why a snapshot does not count, or cannot be read here
STREAM = "stream"  # the kind of a snapshot that holds a backup's dump, and the tag by which the backup's own names it


@dataclass(frozen=True)
class Catalogue:
    """Directory of `PLAN/ASSET/ID.json`; each written whole or not at all."""

    directory: Path

    def add(self, snapshot: Snapshot, text: str) -> None:
        """Durable when this returns; after it the snapshot counts."""
        write_durably(self._path(snapshot), entry_text(snapshot, text))

    def snapshots(self, plan: str, asset: str, *, besides: Collection[str] = ()) -> list[Snapshot]:
        """What counts of an asset, by consistent point, oldest first; without those whose ids are in `besides`."""
        snapshots = []
        for entry in entry_files(f"{self.directory}/{plan}/{asset}"):
            if entry.name.removesuffix(SUFFIX) in besides:
                continue
            with contextlib.suppress(*NO_ENTRY):
                snapshots.append(read_head(entry.path))
        return sorted(snapshots, key=BY_TIME)

    def newest(self) -> list[Snapshot]:
        """Of every asset of every plan, the one with the newest consistent point."""
        named = sorted((path.parent.name, path.name) for path in self.directory.glob("*/*") if path.is_dir())
        return [snapshots[-1] for name in named if (snapshots := self.snapshots(*name))]

    def attested(self, plan: str, asset: str, snapshot: str) -> Attestation | None:
        """What the manifest of a snapshot says of its ledger; None where it says nothing, or is not known."""
        with contextlib.suppress(*NO_ENTRY):
            return read_head(self.directory / plan / asset / f"{snapshot}{SUFFIX}").attested
        return None

    def sha256(self, plan: str, asset: str, snapshot: str) -> str | None:
        """Of a snapshot's manifest; None where it is not known."""
        with contextlib.suppress(*NO_ENTRY):
            return read_head(self.directory / plan / asset / f"{snapshot}{SUFFIX}").manifest_sha256
        return None

    def manifest(self, snapshot: Snapshot) -> Manifest:
        """BackupBad where it is damaged."""
        try:
            entry = read_state(self._path(snapshot), Entry)
        except StateDamaged as why:
            raise BackupBad(f"the catalogue's entry of {snapshot.short} cannot be read: {why}") from None
        if entry is None:
            raise BackupBad(f"the catalogue's entry of {snapshot.short} is gone")
        if text_digest(entry.manifest) != snapshot.manifest_sha256:
            raise BackupBad(f"the catalogue's manifest of {snapshot.short} was changed")
        return parse_manifest(entry.manifest)

    def knows(self, plan: str) -> bool:
        """Was anything of this plan ever backed up, as far as we know?"""
        return any((self.directory / plan).glob("*/*.json"))

    def known_of(self, plan: str, asset: str) -> bool:
        """Has it an entry of this asset?"""
        return any(True for _ in entry_files(f"{self.directory}/{plan}/{asset}"))

    def _path(self, snapshot: Snapshot) -> Path:
        return self.directory / snapshot.plan / snapshot.asset / f"{snapshot.id}{SUFFIX}"

    def remove(self, snapshot: Snapshot) -> None:
        """It counts no longer: the repository has confirmed that it is gone."""
        self._path(snapshot).unlink(missing_ok=True)

    def assets(self, plan: str) -> list[str]:
        """Those that anything was ever backed up of, whether the plan still names them or not."""
        return sorted(p.name for p in (self.directory / plan).glob("*") if p.is_dir())

    def vanished(
        self,
        repo: Restic,
        plan: str,
        there: Sequence[RepoSnapshot],
        before: Collection[str],
        now: datetime,
        expired: Expired | None = None,
        ledger: LedgerOfRemovals = NOTHING_KNOWN,
    ) -> dict[str, list[str]]:
        """By asset: ids of what is known here and not `there` any more, though no retention has removed it. `before`
        are those that were known before the repository was asked. Nothing is learned; what retention has removed is let
        go of at once, for the mark that says so is forgotten one day, and the rules are changed."""
        ids, by_asset = {s.id for s in there}, dict[str, list[str]]()
        listed = {s.id: s for s in there if s.tag(STREAM) in ids or s.tag(STREAM) is None}
        for asset in self.assets(plan):
            known = self.snapshots(plan, asset)
            gone = [s for s in known if s.id not in listed and s.id in before]
            at_hand = {s.id for s in known}
            besides = ledger.stored(asset, at_hand | listed.keys())
            unknown = [s for s in listed.values() if s.tag("asset") == asset and s.tag("kind") == "backup"]
            seen = [*known, *besides, *(of_listed(s, plan) for s in unknown if s.id not in at_hand)]
            explained = explained_by_retention(repo, there, [*gone, *besides], seen, expired, now, ledger, besides)
            by_asset[asset] = sorted(s.id for s in [*gone, *besides] if s.id not in explained)
            with contextlib.suppress(OSError):  # who may only read learns of it all the same
                for snapshot in gone:
                    if snapshot.id in explained:
                        self.remove(snapshot)
        return by_asset

    def known(self, plan: str) -> frozenset[str]:
        """Ids of all snapshots of a plan."""
        return frozenset(path.stem for path in (self.directory / plan).glob("*/*.json"))

    def synchronise(
        self,
        repo: Restic,
        plan: str,
        assets: Iterable[str] | None,
        now: datetime,
        stored_here: Collection[str] = (),
        expired: Expired | None = None,
        at_work: Callable[[str], bool] = lambda _: False,
        ledger: LedgerOfRemovals = NOTHING_KNOWN,
        captured: Captured = lambda asset, snapshot: None,
        arriving: bool = False,
        wanted: Wanted = lambda asset, new: new,
        reads: Reads = lambda done, of: None,
    ) -> Synchronised:
        """Learn what other hosts backed up and removed, and notice what vanished or has a date in the future.

        `assets` None: every asset that there is anything of. A mark of a failed backup takes its own run's snapshot
        back, never one of `stored_here`: those that the ledger has seen stored well. `expired` is the plan's
        retention; without it, whatever is gone has vanished. `at_work` tells of a run of this host whether it goes on:
        what it has stored does not count before it says so itself. `ledger` is as it was before this was called.
        `captured`: what is known elsewhere of a snapshot that is new here, and may only claim to be it. `arriving`: it
        was brought there just now. `wanted`: which of those that are new here are read, in that order; what these
        build upon is read, too.
        """
        # First: what a backup here adds while the repository lists what it holds has not vanished from the list.
        before = {path.stem for path in (self.directory / plan).glob("*/*.json")}
        everything = repo.snapshots([f"plan={plan}"])
        there = [s for s in everything if OURS in s.tags]
        synchronised = Synchronised.of(there)
        void = synchronised.void - set(stored_here)
        ids = {s.id for s in there}
        # A backup whose stream is gone is gone.
        whole = [s for s in there if s.tag(STREAM) in ids or s.tag(STREAM) is None]
        findings, vanished, pruned, unread, newer = [], [], [], [], []
        of_assets: dict[str, _OfAsset] = {}
        for asset in self._all_assets(plan, there) if assets is None else assets:
            known = {s.id: s for s in self.snapshots(plan, asset)}
            for snapshot_id in void & known.keys():  # we learned of it before its own host took it back
                self.remove(known.pop(snapshot_id))
            listed = {s.id: s for s in whole if s.tag("asset") == asset and s.tag("kind") == "backup"}
            new = [s for s in listed.values() if s.id not in known and s.id not in void]
            if new := [s for s in new if not at_work(s.tag("run") or "")]:
                known = {s.id: s for s in self.snapshots(plan, asset)}  # it may have said so since
                new = [s for s in new if s.id not in known]
            of_assets[asset] = _OfAsset(known, listed, new)
        outcomes = self._learn_wanted(repo, plan, of_assets, captured, now if arriving else None, wanted, reads)
        unlooked = [s for of in of_assets.values() for s in of.new if s.id not in outcomes]
        for asset, of in of_assets.items():
            known, listed, new = of.known, of.listed, of.new
            for listing in new:
                finding = outcomes.get(listing.id)
                if isinstance(finding, WrittenByNewer):
                    newer.append((listing, finding))
                elif finding:
                    findings.append((asset, finding))
                    unread.append(listing)
            learned = {s.id: s for s in self.snapshots(plan, asset)} if new else known
            gone = [s for s in known.values() if s.id not in listed and s.id in before]
            besides = ledger.stored(asset, learned.keys() | known.keys() | {s.id for s in whole})
            gone += besides
            by_tags = [s for s in [*(s for s, _ in newer), *unlooked] if s.tag("asset") == asset]
            seen = [*learned.values(), *besides, *(of_listed(s, plan) for s in by_tags)]
            explained = explained_by_retention(repo, there, gone, seen, expired, now, ledger, besides)
            for snapshot in gone:
                if snapshot.id in explained:
                    if snapshot not in besides:
                        self.remove(snapshot)
                        pruned.append(snapshot)
                    continue
                vanished.append(snapshot)
                findings.append((asset, vanished_finding(snapshot)))
            left = [s for s in learned.values() if s.id in listed]
            lacking = [(s, text) for s in left if (text := chain.lacks(s, left))]
            findings += [(asset, Finding(text, "not whole", cause=s.short)) for s, text in lacking]
            for s in listed.values():
                claimed = learned.get(s.id)
                date = max(s.time, claimed.consistent_point) if claimed else s.time
                if date > now + CLOCK_TOLERANCE:
                    text = f"snapshot {s.id[:8]} {FUTURE}, {rfc3339(date)}; it is not used"
                    findings.append((asset, Finding(text, FUTURE, cause=s.id[:8])))
        return replace(
            synchronised,
            vanished=tuple(vanished),
            findings=tuple(findings),
            pruned=tuple(pruned),
            unread=tuple(sorted(unread, key=lambda s: s.time)),
            newer=tuple(newer),
            unlooked=tuple(unlooked),
            of_before=tuple(s for s in everything if OF_BEFORE in s.tags),
        )

    def _all_assets(self, plan: str, there: Iterable[RepoSnapshot]) -> list[str]:
        tagged = {s.tag("asset") for s in there if s.tag("kind") in ("backup", "failed")}
        return sorted({a for a in tagged if a} | set(self.assets(plan)))

    def _learn_wanted(
        self,
        repo: Restic,
        plan: str,
        of_assets: Mapping[str, _OfAsset],
        captured: Captured,
        arrived: datetime | None,
        wanted: Wanted,
        reads: Reads,
    ) -> dict[str, Outcome]:
        """What is wanted of each asset, and whatever it builds upon."""
        outcomes: dict[str, Outcome] = {}
        todo = [s for asset, of in of_assets.items() for s in wanted(asset, of.new)]
        while todo:
            outcomes |= self._learn_all(repo, plan, todo, captured, arrived, reads)
            todo = []
            for asset, of in of_assets.items():
                if left := [s for s in of.new if s.id not in outcomes]:
                    needed = {n.id for s in self.snapshots(plan, asset) for n in s.upon}
                    todo += [s for s in left if s.id in needed]
        return outcomes

    def _learn_all(
        self,
        repo: Restic,
        plan: str,
        new: Sequence[RepoSnapshot],
        captured: Captured,
        arrived: datetime | None,
        reads: Reads,
    ) -> dict[str, Outcome]:
        """As `_learn`, by id. Each is a call of restic, which computes its key for half a second and then waits for the
        store; each writes a file of its own here."""
        outcomes: dict[str, Outcome] = {}
        with threads(LEARNED_AT_ONCE) as pool:
            for s, outcome in zip(
                new, pool.map(lambda s: self._learn(repo, plan, s, captured, arrived), new), strict=True
            ):
                outcomes[s.id] = outcome
                reads(len(outcomes), len(new))
        return outcomes

    def _learn(
        self, repo: Restic, plan: str, listed: RepoSnapshot, captured: Captured, arrived: datetime | None
    ) -> Outcome:
        """Read a snapshot's manifest into the catalogue; why not, where it has none that counts."""
        root = next((p for p in listed.paths if PurePosixPath(p).name == CAPTURED), None)
        try:
            if root is None:
                raise BackupBad("it holds no captured directory")
            known = captured(listed.tag("asset") or "", listed.id)
            text = genuine(repo, listed.id, known, PurePosixPath(root) / MANIFEST)
            manifest = parse_manifest(text)
            if (manifest.plan, manifest.asset) != (plan, listed.tag("asset")):
                raise BackupBad(f"its manifest is of {manifest.plan}/{manifest.asset}")
            # restic's own date counts too: a snapshot from the future is not usable before then.
            learned = snapshot_of(manifest, text, listed.id, root, max(listed.time, listed.finished))
        except RepositoryDamaged:  # which says nothing of this one alone
            raise
        except WrittenByNewer as error:
            return error
        except BackupBad as error:
            text = f"snapshot {listed.id[:8]} does not count: {error}"
            return Finding(text, f"does not count: {error}", cause=listed.id[:8])
        self.add(replace(learned, arrived=arrived), text)
        return None


def genuine(repo: Restic, snapshot: str, sha256: str | None, path: PurePosixPath) -> str:
    """The snapshot's manifest. A copy bears whatever id its writer gave it: of several that claim to be this one that
    is asked from now on whose manifest is the one which is known. BackupBad where none has it."""
    held, refused = repo.held_as(snapshot), BackupBad("its manifest is not the one that was captured")
    for one in held:
        try:
            text = repo.read(snapshot, path, one)
        except RepositoryDamaged:
            raise
        except BackupBad as error:
            refused = error
            continue
        if sha256 is None or text_digest(text) == sha256:
            repo.prefer(snapshot, one)
            return text
    raise refused


@dataclass(frozen=True)
class _OfAsset:
    """What is known of an asset here, by id, what the repository lists of it, and what of that is new here."""

    known: dict[str, Snapshot]
    listed: dict[str, RepoSnapshot]
    new: list[RepoSnapshot]


def of_listed(listed: RepoSnapshot, plan: str) -> Snapshot:
    """A snapshot that never came into the catalogue, as far as its tags tell."""
    asset, run = listed.tag("asset") or "", listed.tag("run") or ""
    return Snapshot.outline(listed.id, plan, asset, listed.time, listed.finished, run=run)


def stream_of(manifest: Manifest) -> str | None:
    """The id of the snapshot that holds what was stored as a stream; None where nothing was."""
    stream = manifest.contents.get("stream")
    return str(stream["snapshot"]) if isinstance(stream, dict) else None


def of_source(snapshot: Snapshot, source: str) -> bool:
    """Is it a snapshot of what the plan names now? The plan may have been changed since it was taken."""
    return snapshot.source == source
