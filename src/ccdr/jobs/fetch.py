"""What a restore test and a restore share: which snapshots there are, the newest first where they are many, fetching
one, and seeing that all of it came.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from ccdr.evidence.history.asset_history import AssetHistory, FailedBackup
from ccdr.evidence.verdicts import other_source
from ccdr.jobs.services import Services
from ccdr.model import parents as chain
from ccdr.model.errors import BackupBad, CcdrError, UsageProblem
from ccdr.model.schedule import second_due
from ccdr.model.values import Manifest, Snapshot, rfc3339, so_many
from ccdr.plans.job import Job
from ccdr.ports.capture import UPON, WHOLE
from ccdr.ports.engine import Engine
from ccdr.ports.place import Digester, Progress
from ccdr.storage.catalogue import STREAM, Catalogue, Reads, genuine, of_source, stream_of
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.manifest import MANIFEST, text_digest
from ccdr.storage.removals import CLOCK_TOLERANCE, PRUNED, dated_in_future
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import FailureMark, Synchronised

# Where a repository holds many snapshots that this host has not read, as on a bare host: the newest by the moment
# that is asked for are read first, and no more of them than the choice needs. Pure.
#
# What is not known of a snapshot before its manifest was read is bounded by what restic lists: its consistent point
# lies behind the begin of its run, which the run's id tells, and before restic stored it; by clocks that may be
# apart.

FEW = 24  # that are new of an asset: all are read, as ever
FIRST = 8  # by the moment, when there are more; twice as many each time that these do not do
NEWEST = 2  # of all, whatever the moment: by these a host judges how much is exposed
CLOCKS_APART = timedelta(hours=1)
RUN_BEGINS = "%Y%m%dT%H%M%S"


@dataclass
class NewestFirst:
    """What is to be read by asset; each call of `further` wants more. `moment` None: the newest state is meant."""

    moment: datetime | None = None
    depth: dict[str, int] = field(default_factory=dict)
    first: int = FIRST
    tried: set[str] = field(default_factory=set)
    only: frozenset[str] | None = None

    def wanted(self, asset: str, new: Sequence[RepoSnapshot]) -> list[RepoSnapshot]:
        """Of an asset's snapshots that are new here; the newest comes first."""
        ordered = sorted(new, key=lambda s: (s.time, s.id), reverse=True)
        if len(new) <= FEW:
            return ordered
        if self.only is not None and asset not in self.only:
            # What was read and is new all the same cannot be read: left out now, it would count as not looked at.
            return [s for s in ordered if s.id in self.tried]
        by_then = [s for s in ordered if self._by_then(s)]
        depth = self.depth.get(asset, self.first)
        # Those by the moment did not do, all of them: what is told of there being none needs the others.
        if depth == sys.maxsize or (asset in self.depth and self.tried.issuperset(s.id for s in by_then)):
            return ordered
        taken = {s.id for s in [*ordered[:NEWEST], *by_then[:depth]]}
        self.tried |= taken
        return [s for s in ordered if s.id in taken]

    def further(self, assets: Collection[str]) -> None:
        """What was read of these did not do; of others it did."""
        self.only = frozenset(assets)
        self.depth |= {asset: 2 * self.depth.get(asset, self.first) for asset in assets}

    def all_of(self, assets: Collection[str]) -> None:
        """A choice that may need any of them."""
        self.depth |= dict.fromkeys(assets, sys.maxsize)

    def open(self, asset: str, synchronised: Synchronised) -> bool:
        """Are there any that were not looked at?"""
        return any(s.tag("asset") == asset for s in synchronised.unlooked)

    def settled(self, asset: str, synchronised: Synchronised, point: datetime) -> bool:
        """Is everything looked at that may be of the time from `point` to the moment?"""
        mine = (s for s in synchronised.unlooked if s.tag("asset") == asset)
        return all(s.time + CLOCKS_APART < point for s in mine if self._by_then(s))

    def _by_then(self, listed: RepoSnapshot) -> bool:
        return self.moment is None or _begun(listed) <= self.moment + CLOCKS_APART


def no_more() -> NewestFirst:
    """Where the choice is made: what is new since is learned, and nothing of long ago."""
    return NewestFirst(first=0)


def counted(progress: Progress) -> Reads:
    """Tells how far the reading is, where it takes long enough to be asked."""

    def reads(done: int, of: int) -> None:
        if of > FEW:
            progress.step(f"reading manifest {done} of {of}")

    return reads


def not_looked_at(plan: str, synchronised: Synchronised) -> Iterator[str]:
    """By asset, how many: a sentence."""
    for asset in sorted({s.tag("asset") or "" for s in synchronised.unlooked}):
        count = sum(s.tag("asset") == asset for s in synchronised.unlooked)
        were = "was" if count == 1 else "were"
        yield (
            f"{asset}: {so_many(count, 'snapshot')} further from the moment {were} not looked at: "
            f"`ccdr snapshots {plan}` reads and lists all"
        )


def _begun(listed: RepoSnapshot) -> datetime:
    """When its run began; of a run whose id does not tell, it may be at any time."""
    try:
        return datetime.strptime((listed.tag("run") or "").partition("-")[0], RUN_BEGINS).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


A_DAY = timedelta(days=1)
LITERAL = str.maketrans({c: f"\\{c}" for c in "\\[*?"})  # in a pattern of restic's
SHORTEST_ID = 4  # characters of an id that are taken for one


@dataclass(frozen=True)
class NewerAttempt:
    """A newer backup that cannot be restored, in a sentence and of when: it failed, or what it stored `vanished`."""

    text: str
    at: datetime
    vanished: bool = False
    failed: FailedBackup | None = None  # where this host has tried it


@dataclass(frozen=True)
class Candidates:
    """An asset's snapshots, each list oldest first: all that are there, those of the source that the plan now names,
    and of these the ones that are not dated in the future."""

    there: list[Snapshot]
    ours: list[Snapshot]
    good: list[Snapshot]

    def by_id(self, job: Job, beginning: str) -> Snapshot:
        """The one whose id begins so; UsageProblem where there is none, or more than one."""
        matching = [s for s in self.there if s.id.startswith(beginning)] if len(beginning) >= SHORTEST_ID else []
        if len(matching) != 1:
            raise UsageProblem(
                f"{'no' if not matching else 'more than one'} snapshot of {job.plan}/{job.asset} has an id "
                f"that begins with {beginning!r}",
                hint=f"`ccdr snapshots {job.plan}` lists them",
            )
        return matching[0]


def candidates(job: Job, services: Services, synchronised: Synchronised) -> Candidates:
    """By the catalogue, right after it was synchronised with the repository."""
    now, gone = services.clock.now(), {s.id for s in synchronised.vanished}
    there = [s for s in services.catalogue.snapshots(job.plan, job.asset) if s.id not in gone]
    ours = [s for s in there if of_source(s, job.engine.source_name)]
    return Candidates(there, ours, [s for s in ours if not dated_in_future(s, now)])


def newest_of(
    job: Job, services: Services, repo: Restic, stored_here: Collection[str], progress: Progress | None = None
) -> Synchronised:
    """What the repository tells of the asset, read as far back as needed to be sure which snapshot is the newest of the
    plan's source: a host that is new to it need not read all."""
    reading = NewestFirst()
    reads = counted(progress) if progress is not None else lambda done, of: None
    while True:
        synchronised = services.synchronise(
            job.loaded, repo, [job.asset], stored_here, wanted=reading.wanted, reads=reads
        )
        good = candidates(job, services, synchronised).good
        if not reading.open(job.asset, synchronised):
            return synchronised
        if good and reading.settled(job.asset, synchronised, good[-1].consistent_point):
            return synchronised
        reading.further([job.asset])


def none_counts(job: Job, synchronised: Synchronised) -> tuple[str, str | None]:
    """That there is no snapshot of the asset, or none that can be read, in one sentence; and what then comes first."""
    asset, unread = f"{job.plan}/{job.asset}", _unread(job, synchronised)
    if not unread:
        return f"there is no snapshot of {asset} that counts", None
    count = f"{so_many(len(unread), 'snapshot')} of {asset} that cannot be read"
    return (
        f"there is {count}, the newest of {rfc3339(unread[-1].time)}, and none that counts",
        "keep the repository as it is (docs/how-to/recover.md, A damaged repository)",
    )


def unread_since(job: Job, snapshot: Snapshot, synchronised: Synchronised) -> Iterator[NewerAttempt]:
    """Newer ones than `snapshot` that by their tags are backups of the asset: nobody can tell what they hold."""
    for unread in _unread(job, synchronised):
        if unread.time > snapshot.usable_at:
            text = f"the newer snapshot {unread.id[:8]} of {rfc3339(unread.time)} cannot be read"
            yield NewerAttempt(text, unread.time, vanished=True)


def _unread(job: Job, synchronised: Synchronised) -> list[RepoSnapshot]:
    return [s for s in synchronised.unread if s.tag("asset") == job.asset]


def newer_attempts(
    job: Job, snapshot: Snapshot, services: Services, repo: Restic, synchronised: Synchronised, *, stored: float
) -> Iterator[NewerAttempt]:
    """Backups of the asset newer than `snapshot` that failed, vanished or cannot be read, by this host's ledger and by
    the repository as both are now. `snapshot` was chosen some time ago by what was `synchronised`, when the ledger's
    last good backup was the record `stored`: one that was stored since has made up for what failed before it."""
    history = services.history(job)
    mended = history.last_stored if history.last_stored > stored else 0
    if failed := history.failed_since(snapshot.usable_at, snapshot=snapshot.id, mended=mended):
        yield NewerAttempt(failed.text, failed.at, failed=failed)
    yield from _failed_by_the_repository(job, snapshot, services, repo, synchronised)
    for lost in synchronised.vanished:
        if lost.asset == job.asset and lost.consistent_point > snapshot.consistent_point:
            text = f"the newer snapshot {lost.short} of {rfc3339(lost.consistent_point)} vanished"
            yield NewerAttempt(text, lost.consistent_point, vanished=True)
    yield from unread_since(job, snapshot, synchronised)
    yield from _gone(job, snapshot, history, synchronised, stored=stored)


def _gone(
    job: Job, snapshot: Snapshot, history: AssetHistory, synchronised: Synchronised, *, stored: float
) -> Iterator[NewerAttempt]:
    """What this host's ledger says was stored last, and no record says was removed, though the catalogue, which may be
    lost, does not know of it."""
    newest = history.last_good_backup
    of = newest.snapshot if newest else None
    if newest is None or of is None or newest.order > stored:  # stored since the repository was asked
        return
    known = {s.id for s in synchronised.listed} | {s.id for s in synchronised.vanished}
    if of.id in known or of.id not in history.stored or other_source(newest, job.engine.source_name):
        return
    if (point := of.consistent_point) > snapshot.consistent_point:
        text = f"the newer snapshot {of.id[:8]} of {rfc3339(point)} vanished"
        yield NewerAttempt(text, point, vanished=True)


def _failed_by_the_repository(
    job: Job, snapshot: Snapshot, services: Services, repo: Restic, synchronised: Synchronised
) -> Iterator[NewerAttempt]:
    """By the marks that failed backups leave there. It is asked again only where it told of one."""

    def newer(listing: Synchronised) -> list[FailureMark]:
        ours = [a for a in listing.failed if a.asset == job.asset and a.run != snapshot.run]
        return [a for a in ours if a.at > snapshot.usable_at]

    if not newer(synchronised):
        return
    now = synchronised
    with contextlib.suppress(CcdrError):  # a store that has gone away since: it stays with what it said
        now = Synchronised.of(repo.snapshots([OURS, f"plan={job.plan}"]))
    ids, void, before = {s.id for s in now.listed}, now.void, {s.id for s in synchronised.listed}
    whole = [
        s
        for s in now.listed
        if (s.tag("kind"), s.tag("asset")) == ("backup", job.asset)
        and s.id not in void
        and (s.tag(STREAM) is None or s.tag(STREAM) in ids)
    ]
    runs, since = {s.tag("run") for s in whole}, [s for s in whole if s.id not in before]
    for attempt in newer(now):
        if any(s.time > attempt.at for s in since) or _goes_on(attempt, runs, job, services.clock.now()):
            continue
        yield NewerAttempt(f"a newer backup, run {attempt.run} of {rfc3339(attempt.at)}, failed", attempt.at)


def _goes_on(attempt: FailureMark, runs: Collection[str | None], job: Job, now: datetime) -> bool:
    """Of a backup that has said of one of its tries that it came to nothing, and not that it has ended: has another try
    been stored, or may it be under way? A host that stores nothing until the next but one is due does not go on."""
    if attempt.ended:
        return False
    if attempt.run in runs:
        return True
    if attempt.at > now + CLOCK_TOLERANCE:
        return False
    planned = job.engine.backup
    if planned is None:
        return now - attempt.at < A_DAY
    return second_due(planned.schedule, job.loaded.plan.timezone, attempt.at, now) is None


def taken_back(job: Job, snapshot: Snapshot, repo: Restic) -> str | None:
    """Has its own backup, which had not ended when another host chose it, found since that it does not count? One
    sentence."""
    with contextlib.suppress(CcdrError):
        if snapshot.id in Synchronised.of(repo.snapshots([OURS, f"plan={job.plan}"])).void:
            return (
                f"its own backup, run {snapshot.run}, was still running when this test chose it, and removed it since"
            )
    return None


def fetch(
    repo: Restic,
    engine: Engine,
    snapshot: Snapshot,
    manifest: Manifest,
    into: Path,
    progress: Progress,
    *,
    root: str = "/",
    only: Sequence[str] = (),
    delivered: Callable[[Path], None] | None = None,
) -> Path:
    """Write the snapshot (its subtree `root`) into `into`; the captured directory of it. `only` are the captured files
    that are wanted, where that is not all: then `manifest` is of these alone. restic's exit code, then: is
    the manifest the one we know, is every captured file there in full, and none beside them? BackupBad where not. What
    an earlier call has left in `into` is not fetched again, and gets back the modes and times that it had. A negative
    control damages what restic has `delivered`."""
    if len(repo.held_as(snapshot.id)) > 1:
        genuine(repo, snapshot.id, snapshot.manifest_sha256, PurePosixPath(snapshot.root) / MANIFEST)
    below = snapshot.root.removeprefix(root.rstrip("/"))
    wanted = [f"{below}/{name}".translate(LITERAL) for name in (*only, MANIFEST)] if only else []
    whole = sum(manifest.files[name].bytes for name in only) if only else snapshot.bytes
    repo.restore(snapshot.id, root, into, on_bytes=lambda done: progress.amount(done, whole), only=wanted)
    restored = Path(f"{into}{below}")
    if stream := stream_of(manifest):
        # A dump goes beside its manifest; a tree is where it was.
        to = into if manifest.contents.get("apart") else restored
        repo.restore(stream, "/", to, on_bytes=lambda done: progress.amount(done, snapshot.bytes))
    if delivered is not None:
        delivered(into)
    try:
        text = (restored / MANIFEST).read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise BackupBad(f"the fetched snapshot has no manifest: {error.strerror}") from None
    if text_digest(text) != snapshot.manifest_sha256:
        raise BackupBad(
            "the manifest in the repository is not the one in the catalogue",
            hint="one of them was changed after the backup; compare `ccdr ledger show` of the backup's run",
        )
    listed = engine.listed(restored, manifest)
    for name, digest in listed.items():
        path = restored / name
        size = path.lstat().st_size if path.is_file() and not path.is_symlink() else None
        if size != digest.bytes:
            difference = "is missing" if size is None else f"has {size} bytes instead of {digest.bytes}"
            raise BackupBad(f"the restore is incomplete: {name} {difference}")
    if more := _more(restored, [*listed, MANIFEST]):
        raise BackupBad(
            f"the snapshot holds files that were not captured: {', '.join(more[:3])}",
            hint="see who else writes to the repository; restore an older snapshot",
        )
    return restored


def _more(restored: Path, listed: Sequence[str]) -> list[str]:
    """Files below `restored` that the list does not name. A name may lead through a link to another place in there."""
    top, named = restored.resolve(), [restored / name for name in listed]
    real = {parent: parent.resolve() for parent in {path.parent for path in named}}
    known = {str(real[path.parent] / path.name) for path in named}
    there = (Path(where, name) for where, _, names in os.walk(top) for name in names)
    return sorted(str(path.relative_to(top)) for path in there if str(path) not in known and not path.is_symlink())


def bases_of(snapshot: Snapshot, there: Sequence[Snapshot], catalogue: Catalogue) -> list[tuple[Snapshot, Manifest]]:
    """What an increment builds upon, the full one first; none of a snapshot that stands on its own. BackupBad where
    one of them is gone, or is another one."""
    if missing := chain.lacks(snapshot, there):
        raise BackupBad(missing, hint="restore an older snapshot; the next backup takes a full base")
    known = {s.id: s for s in there}
    return [(known[needed.id], catalogue.manifest(known[needed.id])) for needed in snapshot.upon]


def fetch_bases(
    repo: Restic,
    engine: Engine,
    bases: Sequence[tuple[Snapshot, Manifest]],
    restored: Path,
    progress: Progress,
) -> None:
    """Fetch what the increment in `restored` builds upon: each as `fetch` does, into a directory `UPON`/N beside what
    it holds itself. An empty directory `WHOLE` is made there, too: what they give together may be put into it."""
    for number, (snapshot, manifest) in enumerate(bases):
        progress.step(f"fetching {snapshot.short}, which it depends on")
        into = restored / UPON / str(number)
        into.mkdir(parents=True, mode=0o700)
        fetch(repo, engine, snapshot, manifest, into, progress, root=snapshot.root)
    if bases:
        (restored / WHOLE).mkdir(mode=0o700)


def verify(engine: Engine, restored: Path, manifest: Manifest, digest: Digester) -> int:
    """Every captured file has the SHA-256 that was taken down: BackupBad where not. Their number."""
    listed = engine.listed(restored, manifest)
    digests = digest(restored, list(listed))
    bad = sorted(name for name, expected in listed.items() if digests[name].sha256 != expected.sha256)
    if bad:
        raise BackupBad(
            f"{len(bad)} of {len(listed)} files are not as captured: {', '.join(bad[:3])}",
            hint="restore an older snapshot, and run `restic check --read-data` on the repository",
        )
    return len(listed)


def pruned_since(repo: Restic, plan: str, before: Collection[str]) -> str | None:
    """Was it another host's prune that took files away while they were fetched? One sentence. It leaves its mark
    before it removes anything; `before` are the ids of all that was there when we began."""
    with contextlib.suppress(CcdrError):
        for s in repo.snapshots([OURS, f"plan={plan}", f"kind={PRUNED}"]):
            if s.id not in before:
                return f"another host removed old data from the repository meanwhile (run {s.tag('run')})"
    return None
