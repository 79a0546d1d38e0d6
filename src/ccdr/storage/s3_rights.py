"""What a credential may do in a bucket, tried on small objects of our own: each call says whether the store did it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ccdr.storage.s3 import UNKNOWN_CALL, Bucket, Refused, code_of, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_VERSION = "null"  # the id of what a bucket keeps only once
_GONE = ("NoSuchKey", "NoSuchVersion", "404")
T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """A version of an object, or a marker that it was deleted."""

    key: str
    id: str
    written: datetime


@dataclass(frozen=True)
class Rights:
    """One credential at one bucket. A call that is refused is no error: its answer is False, or None.

    All raise Refused where the store does not know the credential or the bucket, RepositoryUnavailable where it does
    not answer.
    """

    bucket: Bucket

    def lists(self, prefix: str) -> bool:
        return self._tried(lambda c: c.list_objects_v2(Bucket=self._name, Prefix=prefix, MaxKeys=1)) is not None

    def put(self, key: str, body: bytes) -> str | None:
        """The id of the version that was written; None where it was refused."""
        done = self._tried(lambda c: c.put_object(Bucket=self._name, Key=key, Body=body))
        return None if done is None else done.get("VersionId") or NO_VERSION

    def get(self, key: str, version: str | None = None) -> bytes | None:
        """What is there, by this version's id where there is one; None where that is refused, or gone."""
        if version is None:
            return self._tried(lambda c: c.get_object(Bucket=self._name, Key=key)["Body"].read())
        return self._tried(lambda c: c.get_object(Bucket=self._name, Key=key, VersionId=version)["Body"].read())

    def delete(self, key: str, version: str | None = None, *, bypass: bool = False) -> bool:
        """Without a version's id a store that keeps versions only leaves a marker. `bypass` asks to pass over a lock of
        mode GOVERNANCE."""
        if version is None:
            return self.hide(key) is not None
        more: Any = {"BypassGovernanceRetention": True} if bypass else {}
        call = lambda c: c.delete_object(Bucket=self._name, Key=key, VersionId=version, **more)  # noqa: E731
        return self._tried(call, () if bypass else _GONE) is not None

    def hide(self, key: str) -> str | None:
        """The version of the marker that hides it; None where none may be set."""
        done = self._tried(lambda c: c.delete_object(Bucket=self._name, Key=key), ())
        return None if done is None else done.get("VersionId") or NO_VERSION

    def keep_versions(self) -> bool:
        """Switch versions on, in a bucket in which they are: it changes nothing, and shows who may change it."""
        wanted = {"Status": "Enabled"}
        call = lambda c: c.put_bucket_versioning(Bucket=self._name, VersioningConfiguration=wanted)  # noqa: E731
        return self._tried(call) is not None

    def versions(self, prefix: str) -> list[Version] | None:
        """All of them, markers too; None where they may not be listed."""
        return self._tried(lambda c: list(self._versions(c, prefix)))

    def _versions(self, client: S3Client, prefix: str) -> list[Version]:
        pages = client.get_paginator("list_object_versions").paginate(Bucket=self._name, Prefix=prefix)
        entries = [one for page in pages for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]
        return [Version(one["Key"], one.get("VersionId") or NO_VERSION, one["LastModified"]) for one in entries]

    def versioning(self) -> str | None:
        """`Enabled`, `Suspended` or `Off`; None where it may not be asked. Refused with a code of UNKNOWN_CALL where
        the store knows no versions at all."""
        try:
            return self.bucket.versioning()
        except Refused as refused:
            if refused.code in UNKNOWN_CALL or refused.unknown_credential:
                raise
            return None

    def knows_policies(self) -> bool:
        """False where the store says that it has none at all; a refusal says nothing of that."""
        try:
            self._tried(lambda c: c.get_bucket_policy(Bucket=self._name))
        except Refused as refused:
            if refused.code not in (*UNKNOWN_CALL, "NoSuchBucketPolicy"):
                raise
            return refused.code == "NoSuchBucketPolicy"
        return True

    @cached_property
    def _client(self) -> S3Client:
        """One for all calls: to make one takes longer than to ask."""
        return self.bucket.client()

    @property
    def _name(self) -> str:
        return self.bucket.name

    def _tried(self, ask: Callable[[S3Client], T], gone: Collection[str] = _GONE) -> T | None:
        """What is refused is None; so is what is `gone`, as the store says it."""
        with self.bucket.asked("to try a right", by=self._client) as client:
            try:
                return ask(client)
            except Exception as error:
                if not refusal(error) and code_of(error) not in gone:
                    raise
        return None
