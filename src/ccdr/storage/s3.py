"""The bucket behind an S3 repository. The only room that imports boto3; bulk transfers are restic's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccdr.errors import CcdrError
from ccdr.retry import patiently

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Bucket:
    """A bucket at an S3 endpoint, path-style as self-hosted servers want it."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str = field(repr=False)

    def _client(self, timeout: float) -> S3Client:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=timeout,
            read_timeout=20,
            retries={"max_attempts": 0},
            s3={"addressing_style": "path"},
            # Newer checksums are unknown to many S3-compatible servers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
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
        client.put_object(Bucket=self.name, Key=".ccdr-ready", Body=b"")
        client.delete_object(Bucket=self.name, Key=".ccdr-ready")
