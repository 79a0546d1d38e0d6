"""Where backups go: does it answer and open, who holds it, what lies on the way, what its clock says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from ccdr.jobs.services import Services
from ccdr.model.errors import CommandFailed, RepositoryClosed, RepositoryDamaged, RepositoryMissing
from ccdr.model.values import Probe, human_bytes, human_seconds
from ccdr.plans import LoadedPlan
from ccdr.plans.repository_url import http_address, is_loopback
from ccdr.storage.endpoint import server_time
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.storage.restic import Restic

PATIENCE = 15.0  # seconds that one question to the repository may take
STALE = timedelta(minutes=30)  # restic's own word for a lock that nobody renews
PACK, SPARE = 2**24, 2**28  # bytes: a pack of restic's, and what should be left in any case
SKEW = timedelta(seconds=30)  # a good clock is right to the second; S3 refuses requests from a quarter of an hour


def repository(loaded: LoadedPlan, services: Services, *, known: bool) -> Iterator[Probe]:
    """`known`: something of this plan was backed up already, as far as catalogue and ledger tell."""
    what = "repository"
    repo = opened(loaded, services)
    try:
        repo.probe()
    except RepositoryMissing as error:
        if known:
            yield Probe.fail(what, str(error), error.hint or "find out where it is")
        else:
            problem = f"there is none yet at {repo.location}"
            yield Probe.warn(
                what, problem, f"the first `ccdr {'copy' if repo.copied else 'backup'} {loaded.plan.plan}` makes it"
            )
        return
    except (RepositoryClosed, RepositoryDamaged) as error:
        yield Probe.fail(what, str(error), error.hint or "give the right password")
        return
    yield Probe.ok(what, f"{repo.location} answers and decrypts")
    yield from _locks(repo, services)


def opened(loaded: LoadedPlan, services: Services) -> Restic:
    """The plan's repository for short questions, whatever its assets' limits."""
    limits = loaded.plan.limits_of(next(iter(loaded.plan.assets)))
    return services.repository(loaded, limits).impatient(PATIENCE)


def _locks(repo: Restic, services: Services) -> Iterator[Probe]:
    what = "repository locks"
    try:
        count, locks = repo.locks()
    except CommandFailed as error:
        yield Probe.unknown(what, str(error), "run `restic list locks --no-lock` by hand to see why")
        return
    now = services.clock.now()
    stale = [lock for lock in locks if now - lock.time > STALE]
    for lock in stale:
        kind = "an exclusive lock" if lock.exclusive else "a lock"
        age = human_seconds((now - lock.time).total_seconds())
        do = "make sure that no restic runs there, then run `restic unlock`: it removes only locks that nobody renews"
        yield Probe.warn(what, f"{kind} of {lock.holder} was not renewed for {age}", do)
    if not stale:
        yield Probe.ok(what, f"{count} held now" if count else "none")


def way(loaded: LoadedPlan) -> Iterator[Probe]:
    """Is what is sent to it, or asked of it, readable on the way? A plan that would do so is refused already."""
    what, url = "way to the repository", loaded.plan.repository.url
    address = http_address(url)
    host = (address or "").partition("://")[2].rpartition(":")[0].strip("[]") or (address or "").partition("://")[2]
    if loaded.plan.repository.is_local:
        yield Probe.ok(what, "a path of this host")
    elif address is None:
        yield Probe.ok(what, f"by {url.partition(':')[0]}, which encrypts by itself")
    elif address.startswith("https://"):
        yield Probe.ok(what, f"{address}, by TLS")
    elif is_loopback(host):
        yield Probe.ok(what, f"{address}, which never leaves this machine")
    else:
        yield Probe.fail(what, f"{address} sends in plain text to another host", "use https")


def clock(loaded: LoadedPlan, services: Services) -> Iterator[Probe]:
    """This host's clock against the store's: consistent points, locks and retention go by it."""
    what, address = "clock", http_address(loaded.plan.repository.url)
    if address is None:
        return
    before = services.clock.now()
    there = server_time(address)
    after = services.clock.now()
    # The Date is cut to whole seconds.
    ahead = (before + (after - before) / 2 - there).total_seconds() - 0.5
    uncertain = 0.5 + (after - before).total_seconds() / 2
    off = max(0.0, abs(ahead) - uncertain)
    sentence = f"this host's is {human_seconds(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} {address}"
    do = (
        "set both clocks by NTP (`timedatectl status`): with a wrong date, a snapshot does not count, or is "
        "removed too early"
    )
    if off > CLOCK_TOLERANCE.total_seconds():
        yield Probe.fail(what, sentence, do)
    elif off > SKEW.total_seconds():
        yield Probe.warn(what, sentence, do)
    else:
        yield Probe.ok(what, f"agrees with {address} (to {max(1.0, off + uncertain):.0f} s)")


def local_path(loaded: LoadedPlan, services: Services) -> Iterator[Probe]:
    """A repository on a path: it is there, may be written, and does not die together with what it protects."""
    if not loaded.plan.repository.is_local:
        return
    what, path = "repository path", Path(loaded.plan.repository.location)
    there = _nearest(path)
    if not os.access(there, os.W_OK | os.X_OK):
        yield Probe.fail(what, f"{there} may not be written", "mount it writable, or run ccdr as its owner")
        return
    if there != path:
        problem = f"{path} is not there; nearest is {there}"
        if services.knows(loaded.plan.plan):
            do = "mount it: backups were stored there, and ccdr makes no new repository in its place"
            yield Probe.fail(what, problem, do)
            return  # what lies there instead says nothing of it
        yield Probe.warn(what, problem, "mount it; the first backup makes missing directories")
    shared = [name for name, other in _dear(loaded, services) if _device(other) == there.stat().st_dev]
    if shared:
        problem = f"it is on the same file system as {', '.join(shared)}: one failure destroys both"
        yield Probe.warn(what, problem, "use another disk, or better another machine")
    elif there == path:
        yield Probe.ok(what, f"{path}, on a file system of its own")


def disk(loaded: LoadedPlan, services: Services) -> Iterator[Probe]:
    """Has the file system of a repository on a path room for a backup of which nothing was stored before?"""
    plan, path = loaded.plan.plan, Path(loaded.plan.repository.location)
    if not loaded.plan.repository.is_local or (not path.exists() and services.knows(plan)):
        return  # what lies there instead says nothing of it
    usage = shutil.disk_usage(_nearest(path))
    known = ((asset, services.catalogue.snapshots(plan, asset)[-1:]) for asset in loaded.plan.assets)
    need, asset = max(((newest[0].bytes, asset) for asset, newest in known if newest), default=(0, ""))
    what, sentence = "repository disk", f"{human_bytes(usage.free)} free of {human_bytes(usage.total)} at {path}"
    do = "free space there, or move the repository to a larger disk; `retention:` says what `ccdr run` removes"
    if usage.free < PACK:
        yield Probe.fail(what, sentence, do)
    elif usage.free < max(need, SPARE):
        wants = f"; {asset} whole once more is {human_bytes(need)}" if need else ""
        yield Probe.warn(what, f"{sentence}{wants}", do)
    else:
        yield Probe.ok(what, sentence)


def _nearest(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _dear(loaded: LoadedPlan, services: Services) -> Iterator[tuple[str, Path]]:
    for name, asset in loaded.plan.assets.items():
        for path in asset.source_paths:
            yield f"{name} ({path})", path
    yield "ccdr's state", services.state.root


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None
