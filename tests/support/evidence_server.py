"""A real S3 server with evidence buckets: a credential that may only put there, and an auditor's, who may only read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.demo.store import DemoStore, start
from ccdr.storage.access_policies import EVIDENCE, Folder, Places, policy
from ccdr.storage.access_policies import identities as as_identities
from ccdr.storage.evidence_bucket import EvidenceBucket

LOCKED, SHORT, GOVERNANCE, UNLOCKED, FLAT = "evidence", "short", "governance", "unlocked", "flat"
CUSTOMERS = "customers"
BUCKETS = (LOCKED, SHORT, GOVERNANCE, UNLOCKED, FLAT)


@dataclass
class EvidenceServer:
    """`folder` is a test's own in each of the buckets."""

    store: DemoStore

    def url(self, folder: str, bucket: str = LOCKED) -> str:
        return f"s3:{self.store.endpoint}/{bucket}/{folder}"

    def env(self, who: str) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": f"KEY{who}", "AWS_SECRET_ACCESS_KEY": f"secret-of-{who}"}

    def env_file(self, who: str) -> str:
        return "".join(f"{name}={value}\n" for name, value in self.env(who).items())

    def by(self, who: str, folder: str, bucket: str = LOCKED) -> EvidenceBucket:
        return EvidenceBucket.of(self.url(folder, bucket), self.env(who))

    def admin(self, bucket: str = LOCKED) -> Any:
        return self.store.bucket(bucket).client()


def _identity(who: str, actions: Collection[str]) -> dict[str, object]:
    keys = [{"accessKey": f"KEY{who}", "secretKey": f"secret-of-{who}"}]
    return {"name": who, "credentials": keys, "actions": [*actions]}


def evidence_server(data: Path) -> EvidenceServer:
    """`by-policy-evidence`, `-auditor` and `-backup` have the policies that ccdr prints, the others SeaweedFS' own
    coarse actions. Its buckets: one that locks each version for six years in mode COMPLIANCE, one for a day, one in mode GOVERNANCE, one that could and
    does not, one without versions; and one of customers' data."""
    identities = [
        _identity("host", [f"Write:{one}" for one in BUCKETS]),
        _identity("auditor", [f"{may}:{one}" for one in BUCKETS for may in ("Read", "List")]),
        _identity("nosy", [f"{may}:{one}" for one in BUCKETS for may in ("Read", "List", "Write")]),
        _identity("both", [f"{may}:{one}" for one in (LOCKED, CUSTOMERS) for may in ("Read", "List", "Write")]),
    ]
    places = Places("host", Folder(CUSTOMERS, "r/"), Folder(LOCKED, "policies/"))
    by_policy = as_identities({role: policy(role, places) for role in (EVIDENCE, "auditor", "backup")}, "by-policy")
    for user in by_policy["identities"]:
        user["credentials"] = _identity(user["name"], ())["credentials"]
    users = [*identities, *by_policy["identities"]]
    store = start(data, beside={"identities": users, "policies": by_policy["policies"]})
    store.bucket(CUSTOMERS).create_versioned(patience=60)
    store.bucket(LOCKED).ensure(lock_days=2191)
    store.bucket(SHORT).ensure(lock_days=1)
    client = store.bucket(LOCKED).client()
    for bucket in (GOVERNANCE, UNLOCKED):
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock: Any = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket=GOVERNANCE, ObjectLockConfiguration=lock)
    client.create_bucket(Bucket=FLAT)
    client.put_object(Bucket=CUSTOMERS, Key="r/config", Body=b"a customer's data")
    return EvidenceServer(store)
