"""Every snapshot that counts, by its full id, with its manifest: ours, beside the repository.

restic does not notice that a whole snapshot was removed, and its `latest` is whatever bears the greatest date;
so both are asked here. A lost catalogue loses nothing: `synchronise` reads it back from the repository.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha256
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ccdr.host.files import write_durably
from ccdr.host.interrupts import threads
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, RepositoryDamaged, WrittenByNewer
from ccdr.model.values import (
    MANIFEST_FORMAT,
    Attestation,
    FileDigest,
    GroupRun,
    Manifest,
    Needed,
    Snapshot,
    rfc3339,
    utc,
)
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic

MANIFEST = "ccdr-manifest.json"
SUFFIX = ".json"  # of an entry
OURS = "ccdr"
VANISHED = "docs/how-to/recover.md, A snapshot that vanished"
FUTURE = "bears a future date"
STREAM = "stream"  # the kind of a snapshot that holds a backup's dump, and the tag by which the backup's own names it
PRUNED = "pruned"  # the kind of the mark that a prune leaves, so that other hosts know what it removed
_BEGIN, _THEN, HEAD = b'{"snapshot": ', b', "manifest": "', 8192  # bytes; an entry's snapshot is nearly always shorter
_NO_ENTRY = (OSError, ValueError, KeyError, TypeError, RecursionError)  # what reading one that is none may raise
# Two hosts' clocks may differ; a snapshot further ahead than this is dated in the future.
CLOCK_TOLERANCE = timedelta(minutes=5)


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it goes into the snapshot: exact bytes, so that its hash can be compared."""
    body = asdict(manifest) | {"consistent_point": rfc3339(manifest.consistent_point)}
    body["files"] = {name: asdict(digest) for name, digest in manifest.files.items()}
    if manifest.group is None:
        del body["group"]
    if not manifest.upon:
        del body["upon"]
    del body["attested"]
    if manifest.attested is not None:
        body |= manifest.attested.flat()
    return json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n"


def parse_manifest(text: str) -> Manifest:
    """The inverse of `manifest_text`; BackupBad where the text is no manifest of ours, WrittenByNewer where it is one
    of a format that is yet to come. A key that we do not know is no damage."""
    try:
        body = json.loads(text)
        if type(body["format"]) is not int or body["format"] < 1:
            raise ValueError("its format is no number")
        if body["format"] > MANIFEST_FORMAT:
            raise WrittenByNewer("its manifest", body["format"], MANIFEST_FORMAT)
        body["attested"] = Attestation.of(body)
        body["consistent_point"] = utc(body["consistent_point"])
        body["files"] = {name: FileDigest(**digest) for name, digest in body["files"].items()}
        body["group"] = _group(body.get("group"))
        body["upon"] = _upon(body.get("upon"))
        return Manifest(**{key: value for key, value in body.items() if key in _KEYS})
    except RecursionError:
        raise BackupBad("its manifest cannot be read: it is nested without end") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupBad(f"its manifest cannot be read: {error}") from None


_KEYS = frozenset(key.name for key in fields(Manifest))


def text_digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Attempt:
    """A failed backup that another host left a mark of in the repository."""

    asset: str
    run: str
    at: datetime
    void: str | None  # the snapshot it stored all the same, which does not count
    ended: bool = False  # nothing that this run has stored counts


def vanished_finding(snapshot: Snapshot) -> str:
    """What is found where no retention has removed it."""
    said = f"snapshot {snapshot.short} of {rfc3339(snapshot.consistent_point)} vanished"
    return f"{said}, and no prune removed it: {VANISHED}"


@dataclass(frozen=True)
class Synchronised:
    """What the repository told: failed attempts, what vanished, what retention removed (here and interrupted, or on
    another host), and findings. `listed` is everything of the plan's that is there, `unread` are those with a
    backup's tags, oldest first, that have no manifest that counts; `newer` those that a newer ccdr wrote, and why
    they cannot be read here."""

    failed: tuple[Attempt, ...] = ()
    vanished: tuple[Snapshot, ...] = ()
    findings: tuple[tuple[str, str], ...] = ()  # asset, sentence
    pruned: tuple[Snapshot, ...] = ()
    listed: tuple[RepoSnapshot, ...] = ()
    unread: tuple[RepoSnapshot, ...] = ()
    newer: tuple[tuple[RepoSnapshot, WrittenByNewer], ...] = ()

    def understood(self, assets: Collection[str] | None = None) -> None:
        """WrittenByNewer where a backup of these assets (None: of any) is one that only a newer ccdr can read: nobody
        can tell here what there is."""
        for s, why in self.newer:
            if assets is None or s.tag("asset") in assets:
                what = f"the manifest of snapshot {s.id[:8]} ({s.tag('asset')}, {rfc3339(s.time)})"
                raise WrittenByNewer(what, why.written, why.known)

    @classmethod
    def of(cls, there: Sequence[RepoSnapshot]) -> Synchronised:
        """What the list of what is there tells by itself."""
        return cls(tuple(_attempt(s) for s in there if s.tag("kind") == "failed"), listed=tuple(there))

    @property
    def void(self) -> frozenset[str]:
        """Ids of what failed backups stored all the same; of a run that came to nothing also what it had stored before
        it heard of it: restic is done a moment earlier."""
        runs = {s.id: s.tag("run") for s in self.listed}
        # A snapshot that is gone from the repository has no tags any more: then the mark alone does not explain it.
        named = {a.void for a in self.failed if a.void and runs.get(a.void) == a.run}
        ended = {a.run for a in self.failed if a.ended}
        return frozenset(named | {s.id for s in self.listed if s.tag("kind") == "backup" and s.tag("run") in ended})


Expired = Callable[[Sequence[Snapshot]], Collection[str]]  # ids that the plan's retention would let go by now


class Pruning(Enum):
    """Whose work it is to remove what retention lets go, as far as this host knows."""

    OURS = "this host's"
    UNKNOWN = "nobody has said"
    ELSEWHERE = "another host's"


@dataclass(frozen=True)
class Told:
    """What the ledger knows of what retention may have removed. `stored` tells of an asset what it has seen stored and
    not removed, without those whose ids are given; `ever` is as `Expired`, by any rules that were in force here since a
    snapshot was taken."""

    pruning: Pruning = Pruning.OURS
    stored: Callable[[str, Collection[str]], list[Snapshot]] = lambda _, __: []
    ever: Expired = lambda _: ()


NOTHING_TOLD = Told()


@dataclass(frozen=True)
class Catalogue:
    """Directory of `PLAN/ASSET/ID.json`; each written whole or not at all."""

    directory: Path

    def add(self, snapshot: Snapshot, text: str) -> None:
        """Durable when this returns; after it the snapshot counts."""
        write_durably(self._path(snapshot), entry_text(snapshot, text))

    def snapshots(self, plan: str, asset: str, *, besides: Collection[str] = ()) -> list[Snapshot]:
        """What counts of an asset, by consistent point, oldest first; without those whose ids are in `besides`."""
        found = []
        for entry in _entries(f"{self.directory}/{plan}/{asset}"):
            if entry.name.removesuffix(SUFFIX) in besides:
                continue
            with contextlib.suppress(*_NO_ENTRY):
                found.append(_head(entry.path))
        return sorted(found, key=_BY_TIME)

    def newest(self) -> list[Snapshot]:
        """Of every asset of every plan, the one with the newest consistent point."""
        named = sorted((path.parent.name, path.name) for path in self.directory.glob("*/*") if path.is_dir())
        return [found[-1] for name in named if (found := self.snapshots(*name))]

    def attested(self, plan: str, asset: str, snapshot: str) -> Attestation | None:
        """What the manifest of a snapshot says of its ledger; None where it says nothing, or is not known."""
        with contextlib.suppress(*_NO_ENTRY):
            return _head(self.directory / plan / asset / f"{snapshot}{SUFFIX}").attested
        return None

    def manifest(self, snapshot: Snapshot) -> Manifest:
        """BackupBad where it is damaged."""
        try:
            text = json.loads(self._path(snapshot).read_text("utf-8"))["manifest"]
            if text_digest(text) != snapshot.manifest_sha256:
                raise BackupBad(f"the catalogue's manifest of {snapshot.short} was changed")
            return parse_manifest(text)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackupBad(f"the catalogue's entry of {snapshot.short} cannot be read: {error}") from None

    def knows(self, plan: str) -> bool:
        """Was anything of this plan ever backed up, as far as we know?"""
        return any((self.directory / plan).glob("*/*.json"))

    def known_of(self, plan: str, asset: str) -> bool:
        """Has it an entry of this asset?"""
        return any(True for _ in _entries(f"{self.directory}/{plan}/{asset}"))

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
        ledger: Told = NOTHING_TOLD,
    ) -> dict[str, list[str]]:
        """By asset: ids of what is known here and not `there` any more, though no retention has removed it. `before`
        are those that were known before the repository was asked. Nothing is learned; what retention has removed is let
        go of at once, for the mark that says so is forgotten one day, and the rules are changed."""
        ids, found = {s.id for s in there}, dict[str, list[str]]()
        listed = {s.id: s for s in there if s.tag(STREAM) in ids or s.tag(STREAM) is None}
        for asset in self.assets(plan):
            known = self.snapshots(plan, asset)
            gone = [s for s in known if s.id not in listed and s.id in before]
            at_hand = {s.id for s in known}
            besides = ledger.stored(asset, at_hand | listed.keys())
            unknown = [s for s in listed.values() if s.tag("asset") == asset and s.tag("kind") == "backup"]
            seen = [*known, *besides, *(of_listed(s, plan) for s in unknown if s.id not in at_hand)]
            explained = _let_go(repo, there, [*gone, *besides], seen, expired, now, ledger, besides)
            found[asset] = sorted(s.id for s in [*gone, *besides] if s.id not in explained)
            with contextlib.suppress(OSError):  # who may only read learns of it all the same
                for snapshot in gone:
                    if snapshot.id in explained:
                        self.remove(snapshot)
        return found

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
        ledger: Told = NOTHING_TOLD,
    ) -> Synchronised:
        """Learn what other hosts backed up and removed, and notice what vanished or bears a future date.

        `assets` None: every asset that there is anything of. A mark of a failed backup takes its own run's snapshot
        back, never one of `stored_here`: those that the ledger has seen stored well. `expired` is the plan's
        retention; without it, whatever is gone has vanished. `at_work` tells of a run of this host whether it goes on:
        what it has stored does not count before it says so itself. `ledger` is as it was before this was called.
        """
        # First: what a backup here adds while the repository lists what it holds has not vanished from the list.
        before = {path.stem for path in (self.directory / plan).glob("*/*.json")}
        there = repo.snapshots([OURS, f"plan={plan}"])
        told = Synchronised.of(there)
        void = told.void - set(stored_here)
        ids = {s.id for s in there}
        # A backup whose stream is gone is gone.
        whole = [s for s in there if s.tag(STREAM) in ids or s.tag(STREAM) is None]
        findings, vanished, pruned, unread, newer = [], [], [], [], []
        for asset in self._all_assets(plan, there) if assets is None else assets:
            known = {s.id: s for s in self.snapshots(plan, asset)}
            for snapshot_id in void & known.keys():  # we learned of it before its own host took it back
                self.remove(known.pop(snapshot_id))
            listed = {s.id: s for s in whole if s.tag("asset") == asset and s.tag("kind") == "backup"}
            new = [s for s in listed.values() if s.id not in known and s.id not in void]
            if new := [s for s in new if not at_work(s.tag("run") or "")]:
                known = {s.id: s for s in self.snapshots(plan, asset)}  # it may have said so since
                new = [s for s in new if s.id not in known]
            with threads(2) as pool:
                for listing, said in zip(new, pool.map(lambda s: self._learn(repo, plan, s), new), strict=True):
                    if isinstance(said, WrittenByNewer):
                        newer.append((listing, said))
                    elif said:
                        findings.append((asset, said))
                        unread.append(listing)
            learned = {s.id: s for s in self.snapshots(plan, asset)} if new else known
            gone = [s for s in known.values() if s.id not in listed and s.id in before]
            besides = ledger.stored(asset, learned.keys() | known.keys() | {s.id for s in whole})
            gone += besides
            seen = [*learned.values(), *besides, *(of_listed(s, plan) for s, _ in newer if s.tag("asset") == asset)]
            explained = _let_go(repo, there, gone, seen, expired, now, ledger, besides)
            for snapshot in gone:
                if snapshot.id in explained:
                    if snapshot not in besides:
                        self.remove(snapshot)
                        pruned.append(snapshot)
                    continue
                vanished.append(snapshot)
                findings.append((asset, vanished_finding(snapshot)))
            left = [s for s in learned.values() if s.id in listed]
            findings += [(asset, said) for s in left if (said := chain.lacks(s, left))]
            for s in listed.values():
                claimed = learned.get(s.id)
                date = max(s.time, claimed.consistent_point) if claimed else s.time
                if date > now + CLOCK_TOLERANCE:
                    findings.append((asset, f"snapshot {s.id[:8]} {FUTURE}, {rfc3339(date)}; it is not used"))
        return replace(
            told,
            vanished=tuple(vanished),
            findings=tuple(findings),
            pruned=tuple(pruned),
            unread=tuple(sorted(unread, key=lambda s: s.time)),
            newer=tuple(newer),
        )

    def _all_assets(self, plan: str, there: Iterable[RepoSnapshot]) -> list[str]:
        tagged = {s.tag("asset") for s in there if s.tag("kind") in ("backup", "failed")}
        return sorted({a for a in tagged if a} | set(self.assets(plan)))

    def _learn(self, repo: Restic, plan: str, listed: RepoSnapshot) -> str | WrittenByNewer | None:
        """Read a snapshot's manifest into the catalogue; why not, where it has none that counts."""
        root = next((p for p in listed.paths if PurePosixPath(p).name == CAPTURED), None)
        try:
            if root is None:
                raise BackupBad("it holds no captured directory")
            text = repo.read(listed.id, PurePosixPath(root) / MANIFEST)
            manifest = parse_manifest(text)
            if (manifest.plan, manifest.asset) != (plan, listed.tag("asset")):
                raise BackupBad(f"its manifest is of {manifest.plan}/{manifest.asset}")
        except RepositoryDamaged:  # which says nothing of this one alone
            raise
        except WrittenByNewer as error:
            return error
        except BackupBad as error:
            return f"snapshot {listed.id[:8]} does not count: {error}"
        # restic's own date counts too: a snapshot from the future is not usable before then.
        usable = max(listed.time, listed.finished)
        self.add(snapshot_of(manifest, text, listed.id, root, usable), text)
        return None


@dataclass(frozen=True)
class Removal:
    """One line of a prune's mark: what it was about to remove, and when."""

    asset: str
    id: str
    at: datetime


def removals_text(removals: Iterable[Removal]) -> str:
    return "".join(f"{r.asset} {r.id} {rfc3339(r.at)}\n" for r in removals)


def removals(repo: Restic, there: Iterable[RepoSnapshot]) -> list[Removal]:
    """What the marks of earlier prunes say that they removed; a line that is none is left out.

    Whoever may write to the repository may write a mark: it explains nothing that retention would have kept.
    """
    found = []
    for mark in there:
        if mark.tag("kind") != PRUNED:
            continue
        with contextlib.suppress(BackupBad, IndexError):
            for line in repo.read(mark.id, PurePosixPath(mark.paths[0])).splitlines():
                with contextlib.suppress(ValueError):
                    asset, snapshot_id, at = line.split(" ")
                    found.append(Removal(asset, snapshot_id, utc(at)))
    return found


def _let_go(
    repo: Restic,
    there: Iterable[RepoSnapshot],
    gone: Collection[Snapshot],
    known: list[Snapshot],
    expired: Expired | None,
    now: datetime,
    ledger: Told,
    besides: Collection[Snapshot],
) -> set[str]:
    """Ids among `gone` that retention has removed, or may have. A newer one of the same asset is always left by it. On
    the host that prunes, a prune's mark names them, and the plan's rules would let them go by now. Another host learns
    late: marks are forgotten, so that its time is up is enough where anybody prunes at all; and where that is surely
    another's work, what its mark names is let go, and what any rules since would have: it may have learned of these
    earlier or later than this one. All else has vanished. `besides` are those that the catalogue has not any more: what
    was let go once needs no mark, whatever the rules have become."""
    if not gone or expired is None:
        return set()
    marked, marks = {(r.asset, r.id) for r in removals(repo, there)}, any(s.tag("kind") == PRUNED for s in there)
    past = [s for s in known if not dated_in_future(s, now)]
    let_go, lost = set(expired(past)), {s.id for s in gone}
    elsewhere = ledger.pruning is Pruning.ELSEWHERE
    ever = let_go.union(ledger.ever(past)) if elsewhere or besides else let_go
    newest = max((s.consistent_point for s in past if s.id not in lost), default=None)

    def explained(s: Snapshot) -> bool:
        named = (s.asset, s.id) in marked
        if s in besides:
            return s.id in ever or (named and elsewhere)
        if elsewhere:
            return named or (marks and s.id in ever)
        return s.id in let_go and (named or (bool(marked) and ledger.pruning is Pruning.UNKNOWN))

    return {s.id for s in gone if newest is not None and newest > s.consistent_point and explained(s)}


def of_listed(listed: RepoSnapshot, plan: str) -> Snapshot:
    """A snapshot that never came into the catalogue, as far as its tags tell."""
    return Snapshot(
        id=listed.id,
        plan=plan,
        asset=listed.tag("asset") or "",
        run=listed.tag("run") or "",
        engine="",
        method="",
        consistent_point=listed.time,
        usable_at=listed.finished,
        bytes=0,
        root="/",
        manifest_sha256="",
    )


ENDED = "ended=failed"  # a tag of the mark that a failed run leaves last
# The last part of the captured directory's path; a snapshot's paths tell by it where the manifest is.
CAPTURED = "ccdr-capture"


def snapshot_of(
    manifest: Manifest, text: str, snapshot_id: str, root: str, usable_at: datetime, note: str | None = None
) -> Snapshot:
    own = sum(d.bytes for d in manifest.files.values())
    outside = manifest.contents.get("bytes", 0)
    return Snapshot(
        id=snapshot_id,
        plan=manifest.plan,
        asset=manifest.asset,
        run=manifest.run,
        engine=manifest.engine,
        method=manifest.method,
        consistent_point=manifest.consistent_point,
        usable_at=max(usable_at, manifest.consistent_point),
        bytes=own + (outside if isinstance(outside, int) else 0),
        root=root,
        manifest_sha256=text_digest(text),
        note=note,
        source=str(manifest.contents.get("source")),
        group=manifest.group,
        upon=manifest.upon,
        attested=manifest.attested,
    )


def stream_of(manifest: Manifest) -> str | None:
    """The id of the snapshot that holds what was stored as a stream; None where nothing was."""
    stream = manifest.contents.get("stream")
    return str(stream["snapshot"]) if isinstance(stream, dict) else None


def of_source(snapshot: Snapshot, source: str) -> bool:
    """Is it a snapshot of what the plan names now? The plan may have been changed since it was taken."""
    return snapshot.source == source


def dated_in_future(snapshot: Snapshot, now: datetime) -> bool:
    return max(snapshot.consistent_point, snapshot.usable_at) > now + CLOCK_TOLERANCE


def _attempt(listed: RepoSnapshot) -> Attempt:
    run, ended = listed.tag("run") or "", ENDED in listed.tags
    return Attempt(listed.tag("asset") or "", run, listed.time, listed.tag("void"), ended)


def entry_text(snapshot: Snapshot, text: str) -> str:
    """The entry of a snapshot with this manifest."""
    body = asdict(snapshot) | {
        "consistent_point": rfc3339(snapshot.consistent_point),
        "usable_at": rfc3339(snapshot.usable_at),
    }
    if snapshot.group is None:
        del body["group"]
    if not snapshot.upon:
        del body["upon"]
    if snapshot.attested is None:
        del body["attested"]
    elif snapshot.attested.prev is None:
        del body["attested"]["prev"]
    return json.dumps({"snapshot": body, "manifest": text}) + "\n"


def _entries(directory: str) -> Iterator[os.DirEntry[str]]:
    """By their names: they need not be whole."""
    with contextlib.suppress(OSError), os.scandir(directory) as there:
        for entry in there:
            if entry.name.endswith(SUFFIX):
                yield entry


def _head(path: str | Path) -> Snapshot:
    """The entry's snapshot, without reading its manifest, which may be a hundred times longer; one of `_NO_ENTRY` where
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
        found = _DECODE(start[len(_BEGIN) : start.find(_THEN)])
    except ValueError:  # a source with many long paths, or with one that is not UTF-8
        found = msgspec.convert(json.loads(Path(path).read_text("utf-8"))["snapshot"], Snapshot)
    point, usable = found.consistent_point, found.usable_at
    if point.tzinfo is UTC and usable.tzinfo is UTC:  # as we write them
        return found
    if point.tzinfo is None or usable.tzinfo is None:
        raise ValueError("a time without a zone")
    return replace(found, consistent_point=point.astimezone(UTC), usable_at=usable.astimezone(UTC))


_BY_TIME = attrgetter("consistent_point", "usable_at", "id")
_DECODE = msgspec.json.Decoder(Snapshot).decode


def _group(body: Mapping[str, Any] | None) -> GroupRun | None:
    """KeyError or TypeError where it is none."""
    return None if body is None else GroupRun(str(body["name"]), str(body["run"]), tuple(map(str, body["assets"])))


def _upon(body: Sequence[Mapping[str, Any]] | None) -> tuple[Needed, ...]:
    """KeyError or TypeError where it is none."""
    return tuple(Needed(str(one["id"]), str(one["manifest_sha256"])) for one in body or ())
