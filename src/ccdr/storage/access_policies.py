"""What each role may do at an S3 store, as policies that are ready to be attached: the least that its work needs.

In AWS' own language, which SeaweedFS, MinIO and others read as well. What a policy does not allow is refused; what
nobody but the pruning role may ever do is denied by name too, so that another policy on the same user does not add it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.model.errors import UsageProblem
from ccdr.plans.access import Role
from ccdr.plans.model import Plan
from ccdr.plans.repository_url import place_in_bucket
from ccdr.storage.evidence_bucket import ASIDE, CANARIES, CHECKPOINTS, PLANS, RECEIPTS, SEGMENTS

VERSION = "2012-10-17"  # of the policies' language
LOG = "log"  # the folder of the repository in which shipped logs have a repository of their own
EVIDENCE = "evidence"  # no role of a plan's: each host that signs its ledger puts there, and can do nothing else
Policy = dict[str, Any]

_READ = ["s3:GetObject", "s3:GetObjectVersion"]
_PUT = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
_REMOVE = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
_POSTURE = ["s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"]
_NEVER = [
    "s3:DeleteObjectVersion",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:BypassGovernanceRetention",
]


@dataclass(frozen=True)
class Folder:
    """A bucket, and the prefix that all keys of something have in it; it ends in a slash, or is empty."""

    bucket: str
    prefix: str

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:::{self.bucket}"

    def objects(self, below: str = "") -> str:
        return f"{self.arn}/{self.prefix}{below}*"


@dataclass(frozen=True)
class Places:
    """Where a plan's backups lie, and where an auditor finds evidence, if that is said."""

    plan: str
    repository: Folder
    evidence: Folder | None = None

    @classmethod
    def of(cls, plan: Plan) -> Places:
        """UsageProblem where the repository lies in no bucket: its store knows no policies."""
        there = place_in_bucket(plan.repository.url)
        if there is None:
            raise UsageProblem(
                f"the repository of {plan.plan} lies in no S3 bucket: there are no policies for its store",
                hint="docs/how-to/access.md, Without S3, says what separates the roles there",
            )
        auditor = plan.access.auditor
        evidence = place_in_bucket(auditor.url) if auditor is not None and auditor.url is not None else None
        return cls(plan.plan, Folder(*there), Folder(*evidence) if evidence else None)


def policy(role: Role | str, places: Places) -> Policy:
    """Of a role, or EVIDENCE. UsageProblem for that and the auditor's where the plan names no place of evidence."""
    return {"Version": VERSION, "Statement": _OF[role](places)}


def _list(where: Folder, *, versions: bool) -> list[Policy]:
    """Only below its own prefix. What a bucket is like may be asked by everybody who may come to it."""
    actions = ["s3:ListBucket", *(["s3:ListBucketVersions"] if versions else [])]
    listing: Policy = {"Sid": "List", "Effect": "Allow", "Action": actions, "Resource": [where.arn]}
    if where.prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{where.prefix}*"]}}
    return [listing, {"Sid": "Posture", "Effect": "Allow", "Action": _POSTURE, "Resource": [where.arn]}]


def _allow(sid: str, actions: Sequence[str], *objects: str) -> Policy:
    return {"Sid": sid, "Effect": "Allow", "Action": [*actions], "Resource": [*objects]}


def _never(where: Folder, *more: str) -> Policy:
    return {
        "Sid": "NeverRemove",
        "Effect": "Deny",
        "Action": [*_NEVER, *more],
        "Resource": [where.arn, where.objects()],
    }


def _backup(places: Places) -> list[Policy]:
    """restic deletes nothing but its own locks while it backs up."""
    of = places.repository
    locks = [of.objects("locks/"), of.objects(f"{LOG}/locks/")]
    return [
        *_list(of, versions=False),
        _allow("ReadAndPut", [*_READ, *_PUT], of.objects()),
        _allow("DeleteLocks", ["s3:DeleteObject"], *locks),
        _never(of),
    ]


def _reader(places: Places) -> list[Policy]:
    """restic takes no lock where it only reads (`--no-lock`)."""
    of = places.repository
    return [
        *_list(of, versions=True),
        _allow("Read", _READ, of.objects()),
        _never(of, "s3:PutObject", "s3:DeleteObject"),
    ]


def _prune(places: Places) -> list[Policy]:
    """It writes as well: what a pack still holds of others moves to a new one. `PutObjectRetention` is not among it:
    locks are another credential's to push forward."""
    of = places.repository
    return [*_list(of, versions=True), _allow("ReadPutAndRemove", [*_READ, *_PUT, *_REMOVE], of.objects())]


def _evidence_of(places: Places) -> Folder:
    if places.evidence is None:
        raise UsageProblem(
            f"the plan {places.plan} does not say where evidence is put for the auditor",
            hint="write `access: {auditor: {env_file: …, url: 's3:https://…/evidence'}}`: docs/how-to/access.md",
        )
    return places.evidence


def _evidence(places: Places) -> list[Policy]:
    """It cannot even ask what is there: whoever has it learns nothing, and can take nothing back."""
    of = _evidence_of(places)
    return [
        _allow(
            "Put",
            ["s3:PutObject"],
            *(of.objects(below) for below in (CHECKPOINTS, SEGMENTS, ASIDE, RECEIPTS, PLANS, CANARIES)),
        ),
        _never(of, *_READ, "s3:DeleteObject", "s3:ListBucket", "s3:ListBucketVersions"),
    ]


def _auditor(places: Places) -> list[Policy]:
    """How a version is locked is told to who may ask for its retention."""
    of = _evidence_of(places)
    return [
        *_list(of, versions=True),
        _allow("Read", [*_READ, "s3:GetObjectRetention"], of.objects()),
        _never(of, "s3:PutObject", "s3:DeleteObject"),
    ]


_OF: dict[str, Callable[[Places], list[Policy]]] = {
    Role.BACKUP: _backup,
    Role.VERIFY: _reader,
    Role.PRUNE: _prune,
    Role.RESTORE: _reader,
    Role.AUDITOR: _auditor,
    EVIDENCE: _evidence,
}


def identities(policies: Mapping[str, Policy], plan: str) -> dict[str, Any]:
    """The same for SeaweedFS' `-s3.config`: users with policies. The keys are to be filled in; an administrator's
    identity, which makes buckets, belongs into the same file."""
    return {
        "identities": [
            {
                "name": f"{plan}-{role}",
                "credentials": [{"accessKey": f"KEY_OF_{role.upper()}", "secretKey": f"SECRET_OF_{role.upper()}"}],
                "policyNames": [f"{plan}-{role}"],
            }
            for role in policies
        ],
        "policies": [{"name": f"{plan}-{role}", "content": json.dumps(one)} for role, one in policies.items()],
    }
