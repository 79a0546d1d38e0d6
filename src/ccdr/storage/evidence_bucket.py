"""The evidence bucket: checkpoints of ledgers, and their lines, each version locked for good by the bucket; and what
its credential can do there, tried on a canary of a few bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccdr.model.errors import UsageProblem
from ccdr.storage.s3 import Bucket, Refused
from ccdr.storage.s3_rights import NO_VERSION, Rights

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#     PREFIX/checkpoints/<origin>/<size, 12 digits>       one signed note
#     PREFIX/segments/<origin>/<first>-<last>.jsonl       those exact lines, 12 digits each
#     PREFIX/aside/<origin>/torn-….bin                    what records say was set aside of a torn or changed line
#     PREFIX/receipts/<origin>/<size>.<name>.tsr          a time-stamping authority's token over a checkpoint
#     PREFIX/plans/<origin>/<digest>/plans/<name>.yaml    a file of a plan's version, by that one's digest
#
# Whoever writes may only put. A put can overwrite, and then the store keeps both: so of several versions of a key the
# oldest is the true one. One of the same bytes is a put that was repeated after a crash.

CHECKPOINTS, SEGMENTS, ASIDE, RECEIPTS, CANARIES = "checkpoints/", "segments/", "aside/", "receipts/", "canaries/"
PLANS = "plans/"
COMPLIANCE = "COMPLIANCE"  # GOVERNANCE can be bypassed
LARGEST_NOTE, LARGEST_PLAN = 64 * 1024, 1024**2  # bytes of a checkpoint, and of a plan's file, that are read
LARGEST_LINE, LARGEST_SEGMENT = 16 * 1024**2, 64 * 1024**2  # bytes: whoever may put may put anything
_BLOCK = 1024 * 1024  # bytes
_ORIGIN = r"(?P<origin>ccdr\.ledger/[0-9a-f]{32})"
_CHECKPOINT = re.compile(rf"{CHECKPOINTS}{_ORIGIN}/(?P<first>[0-9]{{12}})")
_SEGMENT = re.compile(rf"{SEGMENTS}{_ORIGIN}/(?P<first>[0-9]{{12}})-(?P<last>[0-9]{{12}})\.jsonl")
_ASIDE = re.compile(rf"{ASIDE}{_ORIGIN}/(?P<name>torn-[0-9A-Za-z.-]{{1,100}}\.bin)")
_RECEIPT = re.compile(rf"{RECEIPTS}{_ORIGIN}/(?P<name>[0-9]{{12}}\.[a-z0-9][a-z0-9_-]{{0,62}}\.tsr)")
_FILE = r"(?:plans|restore_tests)/[a-z0-9][a-z0-9_-]{0,62}\.yaml"
_PLAN = re.compile(rf"{PLANS}{_ORIGIN}/(?P<digest>[0-9a-f]{{64}})/(?P<name>{_FILE})")


def checkpoint_key(origin: str, size: int) -> str:
    return f"{CHECKPOINTS}{origin}/{size:012}"


def segment_key(origin: str, first: int, last: int) -> str:
    return f"{SEGMENTS}{origin}/{first:012}-{last:012}.jsonl"


def aside_key(origin: str, name: str) -> str:
    return f"{ASIDE}{origin}/{name}"


def receipt_key(origin: str, name: str) -> str:
    return f"{RECEIPTS}{origin}/{name}"


def plan_key(origin: str, digest: str, name: str) -> str:
    return f"{PLANS}{origin}/{digest}/{name}"


@dataclass(frozen=True)
class Key:
    """What a key says of its object: which ledger's, and which records; `name` of a file of its own, or of one of a
    plan's version, with that one's `digest`."""

    below: str
    origin: str
    first: int = 0
    last: int = 0
    name: str = ""
    digest: str = ""

    @classmethod
    def of(cls, key: str) -> Key | None:
        """None for one that is no evidence of ours."""
        if found := _CHECKPOINT.fullmatch(key):
            return cls(CHECKPOINTS, found["origin"], 1, int(found["first"]))
        if found := _SEGMENT.fullmatch(key):
            return cls(SEGMENTS, found["origin"], int(found["first"]), int(found["last"]))
        if found := _ASIDE.fullmatch(key):
            return cls(ASIDE, found["origin"], name=found["name"])
        if found := _RECEIPT.fullmatch(key):
            return cls(RECEIPTS, found["origin"], name=found["name"])
        if found := _PLAN.fullmatch(key):
            return cls(PLANS, found["origin"], name=found["name"], digest=found["digest"])
        return None


class Stretch(io.RawIOBase):
    """Some bytes of a file, from `start` to `end`, as a file: what is put is streamed from the disk."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        super().__init__()
        self._file, self._start, self._end = path.open("rb"), start, end
        self._file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(memoryview(buffer)[: max(0, self._end - self._file.tell())])

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._end - self._start}[whence]
        return self._file.seek(self._start + base + offset) - self._start

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True)
class Stored:
    """What one put came to. `version` is the store's id of it; None where it keeps none."""

    key: str
    version: str | None
    sha256: str
    bytes: int


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object, or a marker that it was deleted; `at` by the store's own clock."""

    key: str
    id: str
    at: datetime
    etag: str = ""
    bytes: int = 0
    marker: bool = False


@dataclass(frozen=True)
class EvidenceBucket:
    """It at its place. All calls raise Refused where the store says no, RepositoryUnavailable where it does not
    answer. `lock_days`: each put asks for a lock of so many days itself; None: the bucket's default retention locks."""

    bucket: Bucket
    prefix: str = ""
    lock_days: int | None = None
    url: str = field(default="", compare=False)

    @classmethod
    def of(cls, url: str, env: Mapping[str, str], *, lock_days: int | None = None) -> EvidenceBucket:
        """UsageProblem where the URL names no bucket."""
        found = Bucket.of(url, env)
        if found is None or not found[0].name:
            raise UsageProblem(f"{url} names no bucket", hint="name one like s3:https://s3.example/evidence")
        return cls(found[0], found[1], lock_days, url)

    @cached_property
    def _client(self) -> S3Client:
        return self.bucket.client()

    # --- by whoever may only put ------------------------------------------------------------------------

    def put(self, key: str, body: bytes | Stretch, now: datetime | None = None) -> Stored:
        """Write it. The store is given its digest: what arrives otherwise it refuses. `now` is when a lock that is
        asked for begins."""
        md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        opened: Any = io.BytesIO(body) if isinstance(body, bytes) else body
        with opened as file:
            while block := file.read(_BLOCK):
                md5.update(block)
                sha256.update(block)
                size += len(block)
            file.seek(0)
            extra: dict[str, Any] = {"ContentMD5": base64.b64encode(md5.digest()).decode(), "ContentLength": size}
            if self.lock_days is not None:
                until = (now or datetime.now(UTC)) + timedelta(days=self.lock_days)
                extra |= {"ObjectLockMode": COMPLIANCE, "ObjectLockRetainUntilDate": until}
            with self.bucket.asked("to take evidence", by=self._client) as client:
                done = client.put_object(Bucket=self.bucket.name, Key=self.prefix + key, Body=file, **extra)
        return Stored(key, done.get("VersionId"), sha256.hexdigest(), size)

    # --- by whoever may read ----------------------------------------------------------------------------

    def versions(self, below: str) -> list[ObjectVersion]:
        """Of all keys that begin so, markers too, page by page; of each key the oldest first. Of those of the same
        second the one that the store lists last is the older."""
        found: list[ObjectVersion] = []
        with self.bucket.asked("for the versions it holds", by=self._client) as client:
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket.name, Prefix=self.prefix + below
            )
            for page in pages:
                found += (self._version(one) for one in page.get("Versions", []))
                found += (self._version(one, marker=True) for one in page.get("DeleteMarkers", []))
        found.reverse()
        return sorted(found, key=lambda one: (one.key, one.at))

    def _version(self, one: Any, *, marker: bool = False) -> ObjectVersion:
        key, version, at = (
            str(one["Key"]).removeprefix(self.prefix),
            one.get("VersionId") or "null",
            one["LastModified"],
        )
        etag, size = str(one.get("ETag", "")).strip('"'), int(one.get("Size", 0))
        return ObjectVersion(key, version, at.astimezone(UTC), etag, size, marker)

    def contents(self, one: ObjectVersion, most: int = LARGEST_NOTE) -> tuple[bytes, Lock | None]:
        """A small object, no more than a byte beyond `most`, and how the store says that it is locked; None where it
        does not say."""
        with self.bucket.asked("for an object", by=self._client) as client:
            got = client.get_object(Bucket=self.bucket.name, Key=self.prefix + one.key, VersionId=one.id)
            mode, until = got.get("ObjectLockMode"), got.get("ObjectLockRetainUntilDate")
            return got["Body"].read(most + 1), Lock(mode, until.astimezone(UTC), one.at) if mode and until else None

    def lines(self, one: ObjectVersion) -> Iterator[bytes]:
        """An object's lines as they come, each with its newline."""
        with self.bucket.asked("for an object", by=self._client) as client:
            got = client.get_object(Bucket=self.bucket.name, Key=self.prefix + one.key, VersionId=one.id)
            yield from got["Body"].iter_lines(_BLOCK, keepends=True)

    def digest(self, one: ObjectVersion) -> str:
        """SHA-256 of an object, however large."""
        digest = hashlib.sha256()
        with self.bucket.asked("for an object", by=self._client) as client:
            got = client.get_object(Bucket=self.bucket.name, Key=self.prefix + one.key, VersionId=one.id)
            for block in got["Body"].iter_chunks(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Lock:
    """Of a version that the store took at `at`."""

    mode: str
    until: datetime
    at: datetime

    @property
    def days(self) -> int:
        return (self.until - self.at + timedelta(minutes=1)).days


# What the credential of an evidence bucket can do there, tried on a canary of a few bytes, which stays until its lock
# is over: deleted by its very version, written over, read, listed, hidden by a marker. Beside each thing that must be
# refused stands one that must succeed: the put itself; the marker, removed again; the auditor's reading.

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
    removed = rights.delete(there, first) or rights.delete(there, first, bypass=True)
    marker = rights.hide(there)
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
