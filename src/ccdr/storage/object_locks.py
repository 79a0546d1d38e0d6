"""Object Lock of what a repository is made of: listed without reading an object, and pushed forward.

restic writes each of its files once, under a name that is the SHA-256 of its contents. So of several versions of one
the oldest is the true one: whoever may put can put another on top, and can put nothing below. What a delete marker
hides is left as it is: nobody can tell a prune from an attack by it, and its lock still holds for as long as the plan
says, which is the time there is to notice.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ccdr.model.errors import CcdrError
from ccdr.storage.s3 import Bucket, Refused, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COMPLIANCE = "COMPLIANCE"  # GOVERNANCE can be bypassed
A_SECOND = 50.0  # requests at most: a store serves backups meanwhile
# What a snapshot needs to come back; `log/` is the repository of the shipped log, below the plan's.
_OURS = re.compile(r"(log/)?(config|(keys|snapshots|index)/[0-9a-f]{64}|data/[0-9a-f]{2}/[0-9a-f]{64})")
_GONE = ("NoSuchKey", "NoSuchVersion", "404")
_NO_LOCK = ("InvalidRequest", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")
_MADE_WITH = "a bucket has Object Lock from when it is made, or never: `object_lock:` of the plan, docs/how-to/keys.md"
_UNLOCKED = ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError")


class NoObjectLock(CcdrError):
    """Nothing in that bucket can be locked."""


@dataclass(frozen=True)
class LockedVersion:
    """The version of an object that is to be locked."""

    key: str
    id: str

    @property
    def name(self) -> str:
        return f"{self.id} {self.key}"


@dataclass
class InUse:
    """What a repository is made of now. `hidden` objects have a delete marker on top; of `overwritten` ones, which are
    never written anew, there are versions of different contents."""

    versions: list[LockedVersion] = field(default_factory=list)
    hidden: int = 0
    overwritten: int = 0


_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class _Seen:
    """One key's versions, as far as they were listed."""

    oldest: str = ""
    written: datetime = _NEVER
    newest: str = ""
    contents: set[tuple[int, str]] = field(default_factory=set)  # by size and ETag: an upload may be repeated as it is
    versions: int = 0
    hidden: bool = False


def in_use(bucket: Bucket, prefix: str) -> InUse:
    """List it. Refused, RepositoryUnavailable."""
    seen: dict[str, _Seen] = {}
    with bucket.asked("for the versions it holds") as client:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket.name, Prefix=prefix):
            for entry in page.get("Versions", []):
                if _OURS.fullmatch(entry["Key"].removeprefix(prefix)):
                    _take(seen.setdefault(entry["Key"], _Seen()), entry)
            for marker in page.get("DeleteMarkers", []):
                if marker.get("IsLatest") and _OURS.fullmatch(marker["Key"].removeprefix(prefix)):
                    seen.setdefault(marker["Key"], _Seen()).hidden = True
    found = InUse()
    for key, of in seen.items():
        if of.hidden or not of.versions:
            found.hidden += of.versions > 0
            continue
        found.versions.append(LockedVersion(key, of.oldest))
        if len(of.contents) > 1 and key.endswith("config"):  # no digest is its name: `restic migrate` writes it anew
            found.versions.append(LockedVersion(key, of.newest))
        elif len(of.contents) > 1:
            found.overwritten += 1
    return found


def _take(seen: _Seen, entry: Mapping[str, Any]) -> None:
    version, written = str(entry.get("VersionId") or "null"), entry["LastModified"]
    seen.versions += 1
    seen.contents.add((int(entry.get("Size", 0)), str(entry.get("ETag"))))
    if entry.get("IsLatest"):
        seen.newest = version
    if written <= seen.written:  # of one second the later in the listing is the older
        seen.oldest, seen.written = version, written


class Locks:
    """Asks for locks and puts them, at a pace."""

    def __init__(self, bucket: Bucket, client: S3Client) -> None:
        self._bucket, self._client, self._next = bucket, client, 0.0
        self.asked = 0  # requests

    def until(self, version: LockedVersion) -> datetime | None:
        """Until when nobody can remove it; None where nothing locks it so. KeyError where it is not there any more."""
        self._wait()
        try:
            of = self._client.get_object_retention(**self._named(version)).get("Retention") or {}
        except Exception as error:
            if code_of(error) in _GONE:
                raise KeyError(version.key) from None
            if code_of(error) in _UNLOCKED:
                return None
            raise
        end = of.get("RetainUntilDate")
        return end.astimezone(UTC) if end is not None and of.get("Mode") == COMPLIANCE else None

    def lock(self, version: LockedVersion, until: datetime) -> None:
        """Lock it until then, which must be later than it is locked. KeyError where it is not there any more."""
        self._wait()
        try:
            retention: Any = {"Mode": COMPLIANCE, "RetainUntilDate": until}
            self._client.put_object_retention(**self._named(version), Retention=retention)
        except Exception as error:
            if code_of(error) in _GONE:
                raise KeyError(version.key) from None
            raise

    def _named(self, version: LockedVersion) -> dict[str, Any]:
        return {"Bucket": self._bucket.name, "Key": version.key, "VersionId": version.id}

    def _wait(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / A_SECOND
        self.asked += 1


@contextlib.contextmanager
def locks(bucket: Bucket) -> Iterator[Locks]:
    """To ask and to put, as the bucket's credential may. Refused, RepositoryUnavailable; NoObjectLock where the bucket
    has none: some stores take a lock there all the same, and hold to nothing."""
    with contextlib.suppress(Refused):  # it may not ask
        if bucket.object_lock() is None:
            raise NoObjectLock(f"the bucket {bucket.name} has no Object Lock", hint=_MADE_WITH)
    try:
        with bucket.asked("about the Object Lock of what it holds") as client:
            yield Locks(bucket, client)
    except Refused as refused:
        if refused.code in _NO_LOCK:
            refused.hint = _MADE_WITH
        raise


def lock_of_config(bucket: Bucket, prefix: str) -> datetime | None:
    """Until when the repository's config is locked: one question, as a try of the credential. None where it is not, or
    is not there. Refused, RepositoryUnavailable."""
    with bucket.asked("for the versions it holds") as client:
        listed = client.list_object_versions(Bucket=bucket.name, Prefix=f"{prefix}config", MaxKeys=1)
    for entry in listed.get("Versions", []):
        with locks(bucket) as asking, contextlib.suppress(KeyError):
            return asking.until(LockedVersion(entry["Key"], str(entry.get("VersionId") or "null")))
    return None


def may_read(bucket: Bucket, key: str) -> bool:
    """May its credential? What is read is thrown away."""
    with contextlib.suppress(Refused):
        return bucket.contents(key) is not None
    return False
