"""Where backups go: does it answer and open, who holds it, what lies on the way; can what is in its bucket, or in that
of an anchor, be overwritten, deleted, read by strangers?
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ccdr.host.secrets import env_file
from ccdr.jobs.services import Services
from ccdr.model.errors import CommandFailed, RepositoryClosed, RepositoryDamaged, RepositoryMissing
from ccdr.model.values import Probe, human_bytes, human_seconds, rfc3339, so_many
from ccdr.plans import LoadedPlan, Repository
from ccdr.plans.anchors import ObjectLock as LockAnchor
from ccdr.plans.lint import open_secret
from ccdr.plans.repository_url import http_address, is_loopback
from ccdr.storage.endpoint import server_time
from ccdr.storage.evidence_bucket import COMPLIANCE, EvidenceBucket, EvidenceTrial, tried
from ccdr.storage.evidence_bucket import may_read as evidence_bucket_may_read
from ccdr.storage.object_locks import lock_of_config, may_read
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.storage.restic import Restic
from ccdr.storage.s3 import LOCKED_FOR, Bucket, CanaryTrial, ObjectLock, Refused

# The bucket that an S3 repository lies in: can what is there be overwritten, deleted, read by strangers?

_RIGHTS = "allow it what docs/how-to/keys.md, Lock what is in use, names"
NARROW = (
    "give each backup host a credential that may get, put and list, and may delete only below locks/; prune from "
    "elsewhere, with a credential that may delete"
)


def bucket(loaded: LoadedPlan, *, canary: bool, known: bool = False) -> Iterator[Probe]:
    """Nothing for a repository that is in no bucket. `canary`: try Object Lock by a small object. `known`: something of
    this plan was backed up already, as far as catalogue and ledger tell: no backup makes a new one in its place."""
    settings = loaded.plan.repository
    stored_in = Bucket.of(settings.url, env_file(settings.env_file) if settings.env_file else {})
    if stored_in is None:
        return
    store, prefix = stored_in
    try:
        versioning = store.versioning()
    except Refused as refused:
        if refused.code == "NoSuchBucket":
            yield _missing(store, loaded, known=known)
            return
        if refused.unknown_credential:
            yield Probe.fail("bucket", f"the store {refused.of_the_credential}", refused.next_step)
            return
        yield Probe.unknown("bucket versioning", str(refused), "allow the credential s3:GetBucketVersioning")
        versioning = ""
    if versioning:
        yield _versioning(store, versioning)
    yield _strangers(store, prefix)
    yield from _keeper(settings, store, prefix)
    try:
        lock = store.object_lock()
    except Refused as refused:
        yield Probe.unknown("Object Lock", str(refused), "allow the credential s3:GetBucketObjectLockConfiguration")
        return
    yield _configured(store, lock, settings.lock_days)
    if canary:
        tried = store.canary(prefix, lock=lock is not None)
        if lock is not None:
            yield _enforced(tried)
        if not (tried.lock_refusal and lock and lock.mode):  # there, what cannot be deleted may just be locked
            yield _deletion(tried, lock)


def _keeper(settings: Repository, store: Bucket, prefix: str) -> Iterator[Probe]:
    """The credential that pushes locks forward, where it is on this host: may it ask, and can it do nothing more?"""
    what = "lock's credential"
    if settings.lock is None or not settings.lock.env_file.is_file():
        return
    found = Bucket.of(settings.url, env_file(settings.lock.env_file))
    assert found is not None, "the repository is in a bucket"
    keeper = found[0]
    if keeper.access_key == store.access_key:
        yield Probe.fail(what, "it is the one that backs up", "give `lock: env_file` a credential of its own")
        return
    try:
        until = lock_of_config(keeper, prefix)
    except Refused as refused:
        yield Probe.fail(what, str(refused), _RIGHTS)
        return
    if may_read(keeper, f"{prefix}config"):
        yield Probe.warn(
            what,
            "it may read what is stored, and need not",
            _RIGHTS,
        )
        return
    held = f"config is locked until {rfc3339(until)[:10]}" if until is not None else "config is not locked yet"
    yield Probe.ok(what, f"it may list versions and ask for locks, and read nothing; {held}")


def _missing(store: Bucket, loaded: LoadedPlan, *, known: bool) -> Probe:
    if known:
        problem = f"there is no bucket {store.name}, and backups of {loaded.plan.plan} were stored there"
        return Probe.fail(
            "bucket", problem, "are the address and the bucket's name right? else find out who removed it"
        )
    days = loaded.plan.repository.lock_days
    lock = f"Object Lock of {so_many(days, 'day')}" if days else "no Object Lock: the plan has no `object_lock:`"
    do = f"the first `ccdr backup {loaded.plan.plan}` makes it, with versioning and {lock}"
    return Probe.warn("bucket", f"there is no bucket {store.name} yet", do)


def _versioning(store: Bucket, status: str) -> Probe:
    what = "bucket versioning"
    if status == "Enabled":
        return Probe.ok(what, "on: overwritten or deleted files can be brought back")
    problem = (
        f"{'suspended' if status == 'Suspended' else 'off'}: one write or delete destroys a backup, and "
        f"nothing brings it back"
    )
    do = f"aws s3api put-bucket-versioning --bucket {store.name} --versioning-configuration Status=Enabled"
    return Probe.fail(what, problem, do)


def _strangers(store: Bucket, prefix: str) -> Probe:
    what = "public access"
    if open_to := store.strangers(prefix):
        do = "remove it from the bucket's policy and ACL, block public access, and change the repository's password"
        return Probe.fail(what, f"{store.name}: {'; '.join(open_to)}", do)
    return Probe.ok(what, "requests without a credential are refused")


def _configured(store: Bucket, lock: ObjectLock | None, wanted: int | None = None) -> Probe:
    """`wanted`: days that the plan asks for."""
    what = "Object Lock"
    if wanted is not None and (lock is None or (lock.days or 0) < wanted):
        has = "cannot lock versions" if lock is None else f"locks each version for {so_many(lock.days or 0, 'day')}"
        problem = f"{store.name} {has}, and the plan asks for {so_many(wanted, 'day')} (`object_lock:`)"
        more = "set the bucket's default retention to that, in mode COMPLIANCE"
        return Probe.fail(what, problem, "move to a bucket made with Object Lock" if lock is None else more)
    if lock is None:
        problem = f"{store.name} cannot lock versions: anybody with the right to delete can delete every backup"
        return Probe.warn(what, problem, "move to a bucket made with Object Lock and a default retention")
    if lock.mode is None or lock.days is None:
        problem = "on, but the bucket has no default retention, so nothing that restic writes is locked"
        do = (
            f"aws s3api put-object-lock-configuration --bucket {store.name} --object-lock-configuration"
            " ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=COMPLIANCE,Days=…}}"
        )
        return Probe.warn(what, problem, do)
    if lock.mode != "COMPLIANCE":
        problem = f"every version is locked for {lock.days} days, in mode {lock.mode}, which some may bypass"
        return Probe.warn(what, problem, "use COMPLIANCE, or see that nobody has s3:BypassGovernanceRetention")
    return Probe.ok(what, f"every version is locked for {lock.days} days, in mode COMPLIANCE")


def _enforced(tried: CanaryTrial) -> Probe:
    what = "Object Lock, tried"
    other = "run `ccdr doctor` once with a credential that may lock and delete versions (pruning's)"
    if tried.held is False:
        sentence = "the store let a version be deleted that was locked in mode COMPLIANCE"
        return Probe.fail(
            what, sentence, "do not rely on its locks: keep a second copy, or use a store that enforces them"
        )
    if tried.held is None and tried.lock_refusal:
        return Probe.warn(what, f"not proven: no version could be locked ({tried.lock_refusal})", other)
    if not tried.deletable:
        sentence = "not proven: this credential may delete no version at all, locked or not"
        return Probe.warn(what, sentence, other)
    sentence = f"a version locked for {LOCKED_FOR:.0f} s could not be deleted, and could be afterwards"
    return Probe.ok(what, sentence)


def _deletion(tried: CanaryTrial, lock: ObjectLock | None) -> Probe:
    what = "right to delete"
    if not tried.deletable:
        return Probe.ok(what, "this credential may not delete what is stored")
    if lock is not None and lock.mode == "COMPLIANCE" and tried.held:
        return Probe.ok(what, f"this credential may delete, but nothing before its {lock.days} days are over")
    return Probe.warn(what, "this credential may delete what is stored; so may a thief who has it", NARROW)


# The anchors whose proof is a lock: can this host put, and can it do nothing else?

SIX_YEARS = 6 * 365  # days
LATER = "then whoever may delete there can put another in its place"
_NARROW = "attach the policy of `ccdr access policies PLAN --role evidence`: docs/how-to/evidence-bucket.md"
_POLICY_OF_AUDITOR = "attach the policy of `ccdr access policies PLAN --role auditor`"
_MADE = "make the bucket as docs/how-to/evidence-bucket.md, Make the bucket, says"


def evidence_bucket(anchor: LockAnchor, plans: Sequence[LoadedPlan], *, canary: bool) -> Iterator[Probe]:
    """`canary`: it is tried, by an object of a few bytes that its lock keeps there."""
    what = f"anchor {anchor.name}"
    if fault := open_secret(anchor.env_file):
        refusal, _, do = fault.partition(": ")
        yield Probe.fail(f"{what}, secret", f"its env_file {refusal}", do)
        if not anchor.env_file.is_file():
            return
    env = env_file(anchor.env_file)
    store = EvidenceBucket.of(anchor.url, env, lock_days=anchor.lock_days)
    auditor, auditors = None, anchor.auditor_env_file
    if auditors is not None and auditors.is_file():
        auditor = EvidenceBucket.of(anchor.url, env_file(auditors))
    if canary:
        try:
            done = tried(store, auditor)
        except Refused as refused:
            known = not refused.unknown_credential
            problem = f"there is no bucket {store.bucket.name}" if known else f"the store {refused.of_the_credential}"
            yield Probe.fail(what, problem, _MADE if known else refused.next_step)
            return
        yield from _told(what, done, auditor is not None)
    for loaded in plans:
        yield from _customers(f"{what}, customers' data", env, loaded)


def _told(what: str, done: EvidenceTrial, auditor: bool) -> Iterator[Probe]:
    if done.key is None:
        yield Probe.fail(what, "its credential may not put: nothing is anchored", _NARROW)
        return
    yield Probe.ok(what, f"it takes what this host puts; the canary {done.key} stays there until its lock is over")
    yield _locked(f"{what}, lock", done, auditor)
    yield _versions(f"{what}, versions", done)
    yield _put_only(f"{what}, put only", done)
    if auditor:
        yield _auditor(f"{what}, auditor", done)


def _locked(what: str, done: EvidenceTrial, auditor: bool) -> Probe:
    if done.removed:
        return Probe.fail(what, "this host's credential could delete the very version that it had put", _MADE)
    if done.lock is not None and done.lock.mode != COMPLIANCE:
        return Probe.fail(what, f"versions are locked in mode {done.lock.mode}, which some may bypass", _MADE)
    if done.lock is not None and done.lock.days < SIX_YEARS:
        problem = f"mode COMPLIANCE, and deleting that very version was refused; but the lock ends after {_days(done)}"
        do = f"{LATER}; set the default retention to as long as evidence has to be kept: HIPAA asks for six years"
        return Probe.warn(what, problem, do)
    if done.lock is not None:
        control = "; a marker, which nothing locks, could be removed" if done.unhides else ""
        until = rfc3339(done.lock.until)[:10]
        return Probe.ok(what, f"mode COMPLIANCE until {until}, and deleting that very version was refused{control}")
    if done.seen and auditor:
        return Probe.fail(what, "nothing locks what is put: the bucket has no default retention", _MADE)
    if done.unhides:
        problem = "the version could not be deleted, and a marker could; the lock's mode nobody here may read"
    else:
        problem = "deleting was refused, and nothing here shows whether by a lock or for want of the right"
    do = "name the auditor's credential (`auditor_env_file`) on a host that may have it, and run doctor there"
    return Probe.warn(what, problem, do)


def _days(done: EvidenceTrial) -> str:
    return so_many(done.lock.days if done.lock else 0, "day")


def _versions(what: str, done: EvidenceTrial) -> Probe:
    if not done.versions:
        return Probe.fail(what, "the bucket keeps no versions: one put over another destroys it", _MADE)
    if done.oldest is False:
        return Probe.fail(what, "after it was written over, the oldest version is not the first any more", _MADE)
    read = "; the oldest one read as it was put" if done.oldest else ""
    return Probe.ok(what, f"on: what was written over is still there{read}")


def _put_only(what: str, done: EvidenceTrial) -> Probe:
    may = [
        *(["read"] if done.reads else []),
        *(["list"] if done.lists else []),
        *(["hide by delete markers, which `ccdr ledger collect` reports"] if done.hides else []),
    ]
    if may:
        return Probe.warn(what, f"this host's credential may also {', '.join(may)}", _NARROW)
    return Probe.ok(what, "the put succeeded; to read, list and delete was refused")


def _auditor(what: str, done: EvidenceTrial) -> Probe:
    if not done.seen:
        return Probe.fail(what, "the auditor's credential may not list and read there", _POLICY_OF_AUDITOR)
    if done.auditor_writes:
        return Probe.fail(what, "the auditor's credential may write there", _POLICY_OF_AUDITOR)
    return Probe.ok(what, "it reads and lists what this host put; to write was refused")


def _customers(what: str, env: dict[str, str], loaded: LoadedPlan) -> Iterator[Probe]:
    """Of each plan whose repository is in a bucket: by what may put evidence, nothing of it may be read."""
    settings = loaded.plan.repository
    own = env_file(settings.env_file) if settings.env_file and settings.env_file.is_file() else {}
    found = Bucket.of(settings.url, own)
    if found is None:
        return
    (there, prefix), what = found, f"{what} ({loaded.plan.plan})"
    by_evidence = replace(
        there,
        access_key=env.get("AWS_ACCESS_KEY_ID"),
        secret_key=env.get("AWS_SECRET_ACCESS_KEY"),
        token=env.get("AWS_SESSION_TOKEN"),
    )
    if there.access_key is not None and there.access_key == by_evidence.access_key:
        yield Probe.fail(what, "evidence is put by the credential that backs up", _NARROW)
    elif evidence_bucket_may_read(by_evidence, prefix):
        yield Probe.fail(what, f"the credential that puts evidence may read or list {there.name}", _NARROW)
    elif not evidence_bucket_may_read(there, prefix):
        do = "run it on a host whose own credential may read the repository"
        yield Probe.warn(what, "refused; but here nobody may, so that this shows little", do)
    else:
        yield Probe.ok(what, f"{there.name} refuses it, and lets the plan's own credential read")


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
