"""The anchors whose proof is a lock: can this host put, and can it do nothing else?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ccdr.host.secrets import env_file
from ccdr.model.values import Probe, rfc3339, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.anchors import ObjectLock
from ccdr.plans.lint import open_secret
from ccdr.storage.evidence_bucket import COMPLIANCE, EvidenceBucket
from ccdr.storage.evidence_trial import EvidenceTrial, may_read, tried
from ccdr.storage.s3 import Bucket, Refused

SIX_YEARS = 6 * 365  # days
LATER = "then whoever may delete there can put another in its place"
_NARROW = "attach the policy of `ccdr access policies PLAN --role evidence`: docs/how-to/evidence-bucket.md"
_POLICY_OF_AUDITOR = "attach the policy of `ccdr access policies PLAN --role auditor`"
_MADE = "make the bucket as docs/how-to/evidence-bucket.md, Make the bucket, says"


def evidence_bucket(anchor: ObjectLock, plans: Sequence[LoadedPlan], *, canary: bool) -> Iterator[Probe]:
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
    elif may_read(by_evidence, prefix):
        yield Probe.fail(what, f"the credential that puts evidence may read or list {there.name}", _NARROW)
    elif not may_read(there, prefix):
        do = "run it on a host whose own credential may read the repository"
        yield Probe.warn(what, "refused; but here nobody may, so that this shows little", do)
    else:
        yield Probe.ok(what, f"{there.name} refuses it, and lets the plan's own credential read")
