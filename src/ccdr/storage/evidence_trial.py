"""What the credential of an evidence bucket can do there, tried on a canary of a few bytes, which stays until its lock
is over: deleted by its very version, written over, read, listed, hidden by a marker. Beside each thing that must be
refused stands one that must succeed: the put itself; the marker, removed again; the auditor's reading."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from ccdr.storage.evidence_bucket import CANARIES, EvidenceBucket, Lock
from ccdr.storage.s3 import Bucket, Refused, refusal
from ccdr.storage.s3_rights import NO_VERSION, Rights

FIRST, SECOND = b"a canary of ccdr doctor\n", b"written over\n"


@dataclass(frozen=True)
class EvidenceTrial:
    """`key`: of the canary; None: nothing could be put. `versions`: does the bucket keep what is written over?
    `removed`: was its very version deleted, by the plain or the bypassing way? `hides`: could a marker be set;
    `unhides`: and removed again, which nothing locks. `reads`, `lists`: what must be refused. `lock`: how the store
    says that it is locked; `seen`: did anybody read it? `oldest`: is the oldest version still the first one?"""

    key: str | None = None
    versions: bool = False
    removed: bool = False
    hides: bool = False
    unhides: bool = False
    reads: bool = False
    lists: bool = False
    seen: bool = False
    lock: Lock | None = None
    oldest: bool | None = None
    auditor_writes: bool = False


def tried(store: EvidenceBucket, auditor: EvidenceBucket | None) -> EvidenceTrial:
    """Refused where the store does not know the credential or the bucket; RepositoryUnavailable where it does not
    answer."""
    key = f"{CANARIES}{secrets.token_hex(6)}"
    try:
        first = store.put(key, FIRST).version or NO_VERSION
    except Refused as refused:
        if refused.unknown_credential or refused.code == "NoSuchBucket":
            raise
        return EvidenceTrial()
    rights, there = Rights(store.bucket), store.prefix + key
    second = store.put(key, SECOND).version or NO_VERSION
    removed = _removed(rights, there, first)
    marker = _marked(rights, there)
    unhides = bool(marker) and rights.delete(there, marker)
    reads = rights.get(there, first) is not None or rights.get(there) is not None
    lists = rights.lists(store.prefix + CANARIES) or rights.versions(there) is not None
    reader = auditor or (store if reads and lists else None)
    seen, lock, oldest = False, None, None
    if reader is not None:
        seen, lock, oldest = _read(reader, key, first)
    writes = auditor is not None and Rights(auditor.bucket).put(there, SECOND) is not None
    if removed:  # nothing locks the rest, either
        rights.delete(there, second)
    return EvidenceTrial(
        key=key,
        versions=first not in (NO_VERSION, second),
        removed=removed,
        hides=marker is not None,
        unhides=unhides,
        reads=reads,
        lists=lists,
        seen=seen,
        lock=lock,
        oldest=None if removed else oldest,
        auditor_writes=writes,
    )


def _removed(rights: Rights, key: str, version: str) -> bool:
    """By a plain deletion, or by one that bypasses a lock of mode GOVERNANCE."""
    if rights.delete(key, version):
        return True
    with rights.bucket.asked("to delete a canary") as client:
        try:
            client.delete_object(Bucket=rights.bucket.name, Key=key, VersionId=version, BypassGovernanceRetention=True)
        except Exception as error:
            if not refusal(error):
                raise
            return False
    return True


def _marked(rights: Rights, key: str) -> str | None:
    """The version of a delete marker; None where none may be set."""
    with rights.bucket.asked("to hide a canary") as client:
        try:
            done: Any = client.delete_object(Bucket=rights.bucket.name, Key=key)
        except Exception as error:
            if not refusal(error):
                raise
            return None
    return done.get("VersionId") or NO_VERSION


def _read(reader: EvidenceBucket, key: str, first: str) -> tuple[bool, Lock | None, bool | None]:
    try:
        contents = [one for one in reader.versions(key) if not one.marker]
        if not contents:
            return True, None, False
        body, lock = reader.contents(contents[0])
    except Refused:
        return False, None, None
    return True, lock, contents[0].id == first and body == FIRST


def may_read(there: Bucket, prefix: str) -> bool:
    """May its credential read, or list, what a repository holds? False, too, where its store does not know it."""
    rights = Rights(there)
    try:
        return rights.get(f"{prefix}config") is not None or rights.lists(prefix)
    except Refused as refused:
        if not refused.unknown_credential and refused.code not in ("NoSuchBucket", "404"):
            raise
        return False
