"""The bucket behind an S3 repository. The only room that imports boto3; bulk transfers are restic's."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ccdr.host.retry import patiently
from ccdr.model.errors import CcdrError, RepositoryUnavailable
from ccdr.plans.repository_url import http_address

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CANARY = ".ccdr-canary/"  # beside restic's own folders, which it never looks outside of
LOCKED_FOR = 4.0  # seconds; long enough to try a deletion, short enough to be waited for
LEFT_AFTER = 60.0  # seconds; a canary that is older was left by a look that did not end
ANYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
_NO_BUCKET = ("NoSuchBucket", "404")
UNKNOWN_CALL = ("NotImplemented", "MethodNotAllowed", "501", "405")
_OF_A_KEY = {
    "InvalidAccessKeyId": "does not know the access key (InvalidAccessKeyId)",
    "SignatureDoesNotMatch": "does not take the secret key (SignatureDoesNotMatch)",
    "ExpiredToken": "says that the session token has expired (ExpiredToken)",
}
_OF_A_KEY_DO = {
    "InvalidAccessKeyId": "put the right AWS_ACCESS_KEY_ID into the env_file, with the AWS_SECRET_ACCESS_KEY of it",
    "SignatureDoesNotMatch": "put the AWS_SECRET_ACCESS_KEY that belongs to this AWS_ACCESS_KEY_ID into the env_file",
    "ExpiredToken": "put a new AWS_SESSION_TOKEN, with its keys, into the env_file",
}
_WRONG_KEY = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "AuthorizationHeaderMalformed",
)


class Refused(CcdrError):
    """The store answered, and said no. `code` is its own word for it."""

    def __init__(self, message: str, code: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or "give the credential that right, or run this with one that has it")
        self.code = code

    @property
    def unknown_credential(self) -> bool:
        return self.code in _WRONG_KEY

    @property
    def of_the_credential(self) -> str:
        return _OF_A_KEY.get(self.code, f"does not take the credential ({self.code})")

    @property
    def next_step(self) -> str:
        do = "put the right AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION into the env_file"
        return _OF_A_KEY_DO.get(self.code, do)


@dataclass(frozen=True)
class ObjectLock:
    """A bucket that can lock object versions; `days` and `mode` are of the retention that every new one is given,
    None where it is given none."""

    mode: str | None
    days: int | None


@dataclass(frozen=True)
class CanaryTrial:
    """What trying to delete has shown. `held`: a locked version could not be deleted (None: none was tried, as
    nothing can be deleted, or the credential may write or lock nothing). `deletable`: one that nothing locks could
    be."""

    held: bool | None
    deletable: bool
    lock_refusal: str | None = None  # the store's word for why nothing could be locked


@dataclass(frozen=True)
class Bucket:
    """A bucket at an S3 endpoint, path-style as self-hosted servers want it. Without keys, boto3 finds its own.

    Everything raises Refused where the store says no, RepositoryUnavailable where it does not answer.
    """

    endpoint: str
    name: str
    access_key: str | None
    secret_key: str | None = field(repr=False)
    token: str | None = field(default=None, repr=False)
    region: str = "us-east-1"

    @classmethod
    def of(cls, url: str, env: Mapping[str, str]) -> tuple[Bucket, str] | None:
        """The bucket of a repository, and the prefix its keys have there; None where it is in no bucket."""
        address = http_address(url)
        if address is None or not url.startswith("s3:"):
            return None
        path = url.partition("://")[2] if "://" in url else url.removeprefix("s3:").lstrip("/")
        name, _, prefix = path.partition("/")[2].strip("/").partition("/")
        return cls(
            endpoint=address,
            name=name,
            access_key=env.get("AWS_ACCESS_KEY_ID"),
            secret_key=env.get("AWS_SECRET_ACCESS_KEY"),
            token=env.get("AWS_SESSION_TOKEN"),
            region=env.get("AWS_DEFAULT_REGION") or env.get("AWS_REGION") or "us-east-1",
        ), f"{prefix}/" if prefix else ""

    def client(self) -> S3Client:
        """To read and write as the store's credential may."""
        return self._client(timeout=10)

    def _client(self, timeout: float, *, anonymous: bool = False) -> S3Client:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        config = Config(
            connect_timeout=timeout,
            read_timeout=20,
            retries={"max_attempts": 0},
            s3={"addressing_style": "path"},
            # Newer checksums are unknown to many S3-compatible servers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            **({"signature_version": UNSIGNED} if anonymous else {}),
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token,
            region_name=self.region,
            verify=os.environ.get("SSL_CERT_FILE"),  # what restic trusts
            config=config,
        )

    def create_versioned(self, *, patience: float) -> None:
        """Make the bucket, with versioning on; waits up to `patience` seconds for a server that is starting.

        Raises CcdrError where it never answers, or does not keep versions.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client(timeout=2)
        try:
            patiently(lambda: self._make(client), on=(BotoCoreError, ClientError), seconds=patience, wait=0.5)
        except (BotoCoreError, ClientError) as error:
            raise CcdrError(
                f"the S3 server at {self.endpoint} made no bucket in {patience:.0f} s: {error}",
                hint="see its log, and whether another program has its port",
            ) from None
        if client.get_bucket_versioning(Bucket=self.name).get("Status") != "Enabled":
            raise CcdrError(f"the S3 server at {self.endpoint} does not keep versions")

    def _make(self, client: S3Client) -> None:
        if self.name not in [b.get("Name") for b in client.list_buckets().get("Buckets", [])]:
            client.create_bucket(Bucket=self.name)
        client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        # An empty object says nothing: a server may know buckets and names well before it has a place for contents.
        client.put_object(Bucket=self.name, Key=".ccdr-ready", Body=b"ready")
        client.delete_object(Bucket=self.name, Key=".ccdr-ready")

    def ensure(self, *, lock_days: int | None) -> bool:
        """Make the bucket where there is none, with versioning, and with a default retention in mode COMPLIANCE where
        one is asked for; was it made? One that is there stays as it is: `ccdr doctor` tells what it lacks. Nothing is
        made where the credential may not even ask: the bucket is then somebody else's to make."""
        try:
            self.versioning()
        except Refused as refused:
            if refused.code not in _NO_BUCKET:
                return False
        else:
            return False
        how: dict[str, Any] = {"Bucket": self.name, "ObjectLockEnabledForBucket": lock_days is not None}
        if self.region != "us-east-1" and self.endpoint.endswith(".amazonaws.com"):
            how["CreateBucketConfiguration"] = {"LocationConstraint": self.region}
        with self.asked("to be made") as client:
            client.create_bucket(**how)
            client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
            if lock_days is not None:
                rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": lock_days}}
                wanted: Any = {"ObjectLockEnabled": "Enabled", "Rule": rule}
                client.put_object_lock_configuration(Bucket=self.name, ObjectLockConfiguration=wanted)
        return True

    # --- what lies in it --------------------------------------------------------------------------------

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys of all objects that begin so, page by page."""
        with self.asked("what it holds") as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                yield from (entry["Key"] for entry in page.get("Contents", []))

    def contents(self, key: str) -> bytes | None:
        """A small object; None where there is none."""
        try:
            with self.asked("for an object") as client:
                return client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except Refused as refused:
            if refused.code in ("NoSuchKey", "404"):
                return None
            raise

    def put_once(self, key: str, body: bytes) -> bool:
        """Write a small object where there is none of that key; was there none? A store that knows no conditions
        writes it all the same."""
        try:
            with self.asked("to take an object") as client:
                client.put_object(Bucket=self.name, Key=key, Body=body, IfNoneMatch="*")
        except Refused as refused:
            if refused.code in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
                return False
            raise
        return True

    def remove(self, key: str) -> None:
        """An object; where the bucket keeps versions, a marker hides them."""
        with self.asked("to delete an object") as client:
            client.delete_object(Bucket=self.name, Key=key)

    # --- posture: read only, but for the canary -------------------------------------------------------

    def versioning(self) -> str:
        """`Enabled`, `Suspended` or `Off`."""
        with self.asked("for its versioning") as client:
            return client.get_bucket_versioning(Bucket=self.name).get("Status") or "Off"

    def object_lock(self) -> ObjectLock | None:
        """None where the bucket, or the store, has none."""
        try:
            with self.asked("for its Object Lock") as client:
                configuration = (
                    client.get_object_lock_configuration(Bucket=self.name).get("ObjectLockConfiguration") or {}
                )
        except Refused as refused:
            if refused.code in ("ObjectLockConfigurationNotFoundError", *UNKNOWN_CALL):
                return None
            raise
        if configuration.get("ObjectLockEnabled") != "Enabled":
            return None
        rule = (configuration.get("Rule") or {}).get("DefaultRetention") or {}
        days = rule.get("Days") or 365 * (rule.get("Years") or 0)
        return ObjectLock(rule.get("Mode") if days else None, days or None)

    def strangers(self, prefix: str) -> list[str]:
        """What whoever knows the address may do without a credential: sentences, empty where nothing."""
        sentences = []
        with self.asked("as a stranger", anonymous=True) as client:
            from botocore.exceptions import ClientError

            for sentence, call in (
                ("anybody may list it", lambda: client.list_objects_v2(Bucket=self.name, MaxKeys=1)),
                ("anybody may read it", lambda: client.head_object(Bucket=self.name, Key=f"{prefix}config")),
            ):
                try:
                    call()
                    sentences.append(sentence)
                except ClientError as error:
                    if _status(error) not in (401, 403, 404):
                        raise
        with contextlib.suppress(Refused), self.asked("for its ACL") as client:  # not every credential may ask
            for grant in client.get_bucket_acl(Bucket=self.name).get("Grants", []):
                if "Grantee" in grant and grant["Grantee"].get("URI") in ANYBODY:
                    sentences.append(f"its ACL grants {grant.get('Permission')} to anybody")
        with contextlib.suppress(Refused), self.asked("for its policy") as client:
            sentences += _open_statements(client.get_bucket_policy(Bucket=self.name)["Policy"])
        return sentences

    def canary(self, prefix: str, *, lock: bool) -> CanaryTrial:
        """Write one small version and try to delete it: while it is locked (where `lock` is asked for), and once
        nothing locks it any more. The second is the control: only where it succeeds does a refusal prove the lock
        and not a missing right. What an earlier look could not remove is removed, or serves as the control.

        Takes LOCKED_FOR seconds and a little where it locks.
        """
        place = f"{prefix}{CANARY}"
        with self.asked("to delete a canary") as client:
            now, left = self._left(client, place)
            tried = [self._deleted(client, key, version) for key, version in left]
            if left and not any(tried):
                return CanaryTrial(None, deletable=False)  # and no second one that would stay as well
            key, began = f"{place}{secrets.token_hex(6)}", time.monotonic()
            extra: dict[str, Any] = {}
            if lock:
                until = now + timedelta(seconds=LOCKED_FOR)
                extra = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
            try:
                put = client.put_object(Bucket=self.name, Key=key, Body=b"canary", **extra)
            except Exception as error:
                if not refusal(error):
                    raise
                if lock:  # it may be that right alone which is missing
                    return replace(self.canary(prefix, lock=False), lock_refusal=code_of(error))
                # What is not there can be deleted by whoever may delete.
                return CanaryTrial(None, self._deleted(client, key, "null"), lock_refusal=code_of(error))
            version = put.get("VersionId") or "null"  # by name: without one, a deletion may leave a marker
            if not lock:
                return CanaryTrial(None, self._deleted(client, key, version))
            gone = self._deleted(client, key, version)
            if gone and time.monotonic() - began > LOCKED_FOR - 1:  # its Date is whole seconds
                raise RepositoryUnavailable(
                    f"{self.endpoint} took {time.monotonic() - began:.0f} s to answer, too long to try a lock",
                    hint="try again when the store answers faster",
                )
            if gone:
                return CanaryTrial(held=False, deletable=True)
            time.sleep(max(0.0, LOCKED_FOR + 1 - (time.monotonic() - began)))
            return CanaryTrial(held=True, deletable=self._deleted(client, key, version))

    def _left(self, client: S3Client, place: str) -> tuple[datetime, list[tuple[str, str]]]:
        """The store's clock, and what earlier looks left (key, version)."""
        try:
            listing = client.list_object_versions(Bucket=self.name, Prefix=place)
        except Exception as error:
            if not refusal(error):
                raise
            raise Refused(
                f"the bucket {self.name} does not let this credential list versions ({code_of(error)})",
                code_of(error),
                hint="allow the credential s3:ListBucketVersions",
            ) from None
        date = listing["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        now = parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
        old = now - timedelta(seconds=LEFT_AFTER)
        entries: list[Any] = [*listing.get("Versions", []), *listing.get("DeleteMarkers", [])]
        return now, [(e["Key"], e.get("VersionId") or "null") for e in entries if e["LastModified"] < old]

    def _deleted(self, client: S3Client, key: str, version: str) -> bool:
        """Delete one version for good; False where that is refused. Refused too (as an error) where the store says
        that it did and still has it."""
        try:
            client.delete_object(Bucket=self.name, Key=key, VersionId=version)
        except Exception as error:
            if refusal(error):  # stores have many words for a version that is locked
                return False
            raise
        try:
            client.head_object(Bucket=self.name, Key=key, VersionId=version)
        except Exception as error:
            if 400 <= _status(error) < 500:
                return True
            raise
        raise Refused(f"{self.endpoint} answers that it deleted a version, and still has it", "Contradiction")

    @contextlib.contextmanager
    def asked(self, what: str, *, anonymous: bool = False, by: S3Client | None = None) -> Iterator[S3Client]:
        """Ask, by this client where it is given; what goes wrong is told as `what` was asked."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield by or self._client(timeout=5, anonymous=anonymous)
        except ClientError as error:
            message = error.response.get("Error", {}).get("Message") or str(error)
            raise Refused(
                f"the bucket {self.name}, asked {what}, answered {code_of(error)}: {message}", code_of(error)
            ) from None
        except BotoCoreError as error:
            raise RepositoryUnavailable(
                f"the bucket {self.name} at {self.endpoint} cannot be asked {what}: {error}",
                hint="check the address, the network, the store itself and the repository's env_file",
            ) from None


def code_of(error: Exception) -> str:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def refusal(error: Exception) -> bool:
    """The store knows us and what we speak of, and does not do it."""
    return 400 <= _status(error) < 500 and _status(error) != 404 and code_of(error) not in _WRONG_KEY


def _status(error: Exception) -> int:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _open_statements(policy: str) -> list[str]:
    """What a bucket's policy lets anybody do, without a condition."""
    try:
        statements = json.loads(policy).get("Statement", [])
        sentences = []
        for s in statements if isinstance(statements, list) else [statements]:
            who = s.get("Principal")
            who = who.get("AWS") if isinstance(who, dict) else who
            anybody = who == "*" or (isinstance(who, list) and "*" in who)
            if s.get("Effect") == "Allow" and anybody and not s.get("Condition"):
                actions = s.get("Action", s.get("NotAction", "everything"))
                sentences.append(
                    f"its policy allows anybody {actions if isinstance(actions, str) else ', '.join(actions)}"
                )
        return sentences
    except (ValueError, AttributeError, TypeError):
        return ["its policy cannot be read"]
