"""What a bucket itself says of who may come to it: its policy, statement by statement, and the grants of its ACL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ccdr.storage.s3 import Bucket, Refused

_NONE = ("NoSuchBucketPolicy", "404")


class PolicyStatement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="policy"):
    """Of the bucket's policy."""

    repository: str
    bucket: str
    effect: str
    principal: list[str]
    actions: list[str]
    resources: list[str]
    condition: bool


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="grant"):
    """Of the bucket's ACL."""

    repository: str
    bucket: str
    to: str
    permission: str | None


def statements(bucket: Bucket, repository: str) -> Iterator[PolicyStatement]:
    """Refused where the credential may not ask, and where the policy cannot be read."""
    try:
        with bucket.asked("for its policy") as client:
            text = client.get_bucket_policy(Bucket=bucket.name)["Policy"]
    except Refused as refused:
        if refused.code in _NONE:
            return
        raise
    try:
        told = json.loads(text).get("Statement", [])
        for one in told if isinstance(told, list) else [told]:
            actions, on = one.get("Action", one.get("NotAction")), one.get("Resource", one.get("NotResource"))
            yield PolicyStatement(
                repository=repository,
                bucket=bucket.name,
                effect=str(one["Effect"]),
                principal=_words(one.get("Principal", one.get("NotPrincipal"))),
                actions=_words(actions),
                resources=_words(on),
                condition=bool(one.get("Condition")),
            )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused(f"the policy of the bucket {bucket.name} cannot be read", "Unreadable") from None


def grants(bucket: Bucket, repository: str) -> Iterator[Grant]:
    """Refused where the credential may not ask."""
    with bucket.asked("for its ACL") as client:
        told = client.get_bucket_acl(Bucket=bucket.name).get("Grants", [])
    for one in told:
        to = one.get("Grantee", {})
        who, may = to.get("URI") or to.get("ID") or "?", one.get("Permission")
        yield Grant(repository=repository, bucket=bucket.name, to=who, permission=may)


def _words(value: Any) -> list[str]:
    """One word, several, or those of each kind of principal."""
    if isinstance(value, dict):
        return [word for one in value.values() for word in _words(one)]
    if isinstance(value, list):
        return [str(one) for one in value]
    return [] if value is None else [str(value)]
