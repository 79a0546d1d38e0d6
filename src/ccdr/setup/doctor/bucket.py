"""The bucket that an S3 repository lies in: can what is there be overwritten, deleted, read by strangers?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.host.secrets import env_file
from ccdr.model.values import Probe, rfc3339, so_many
from ccdr.plans import LoadedPlan, Repository
from ccdr.storage.object_locks import lock_of_config, may_read
from ccdr.storage.s3 import LOCKED_FOR, Bucket, CanaryTrial, ObjectLock, Refused

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
