"""The policies of the roles: each allows the least that its work needs, in the plan's own bucket and folder."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site

from ccdr.plans.access import Role
from ccdr.storage.access_policies import EVIDENCE as PUTS
from ccdr.storage.access_policies import Folder, Places, identities, policy

EXAMPLE = Places("outbound", Folder("ccdr-outbound", "crm/"), Folder("ccdr-evidence", ""))
DEPLOY = Path(__file__).parents[2] / "deploy/access"
PACK, LOCK = "arn:aws:s3:::ccdr-outbound/crm/data/ab/abcd", "arn:aws:s3:::ccdr-outbound/crm/locks/abcd"
OTHERS, EVIDENCE = "arn:aws:s3:::ccdr-outbound/other/data/ab/abcd", "arn:aws:s3:::ccdr-evidence/2026/a.json"


def may(role: Role | str, action: str, on: str) -> bool:
    """As AWS decides it: what is denied is denied, what nothing allows is, too."""

    def says(effect: str) -> bool:
        return any(
            s["Effect"] == effect
            and any(fnmatchcase(action, a) for a in s["Action"])
            and any(fnmatchcase(on, r) for r in s["Resource"])
            for s in policy(role, EXAMPLE)["Statement"]
        )

    return says("Allow") and not says("Deny")


@pytest.mark.parametrize(
    ("role", "action", "on", "allowed"),
    [
        (Role.BACKUP, "s3:PutObject", PACK, True),
        (Role.BACKUP, "s3:DeleteObject", LOCK, True),
        (Role.BACKUP, "s3:DeleteObject", LOCK.replace("locks", "log/locks"), True),
        (Role.BACKUP, "s3:DeleteObject", PACK, False),
        (Role.BACKUP, "s3:DeleteObjectVersion", LOCK, False),
        (Role.BACKUP, "s3:PutBucketVersioning", "arn:aws:s3:::ccdr-outbound", False),
        (Role.BACKUP, "s3:GetObject", OTHERS, False),
        (Role.VERIFY, "s3:GetObject", PACK, True),
        (Role.VERIFY, "s3:PutObject", LOCK, False),
        (Role.RESTORE, "s3:GetObjectVersion", PACK, True),
        (Role.RESTORE, "s3:DeleteObject", LOCK, False),
        (Role.PRUNE, "s3:DeleteObjectVersion", PACK, True),
        (Role.PRUNE, "s3:DeleteObjectVersion", OTHERS, False),
        (Role.AUDITOR, "s3:GetObject", EVIDENCE, True),
        (Role.AUDITOR, "s3:PutObject", EVIDENCE, False),
        (Role.AUDITOR, "s3:GetObject", PACK, False),
        (PUTS, "s3:PutObject", EVIDENCE.replace("2026", "checkpoints"), True),
        (PUTS, "s3:PutObject", EVIDENCE, False),
        (PUTS, "s3:GetObject", EVIDENCE.replace("2026", "checkpoints"), False),
        (PUTS, "s3:DeleteObject", EVIDENCE.replace("2026", "checkpoints"), False),
        (PUTS, "s3:GetObject", PACK, False),
        (PUTS, "s3:ListBucket", "arn:aws:s3:::ccdr-evidence", False),
    ],
)
def test_a_role_may_what_its_work_needs(role: Role | str, action: str, on: str, allowed: bool) -> None:
    assert may(role, action, on) is allowed


def test_what_lies_in_deploy_is_what_is_printed() -> None:
    made = {str(role): policy(role, EXAMPLE) for role in (*Role, PUTS)}
    there: dict[str, Any] = {path.stem: json.loads(path.read_text("utf-8")) for path in DEPLOY.glob("*.json")}
    assert there == {**made, "seaweedfs": identities(made, "outbound")}


def test_a_plan_names_the_credentials_and_each_mistake_is_told(site: Site, tmp_path: Path) -> None:
    site.bare = True
    site.recordings(tmp_path, repository="{url: 's3:https://s3.example/b/crm/', password_file: key}")
    path = site.root / "plans/p.yaml"
    plan = path.read_text()
    told = site.run("access", "policies", "p", "--role", "verify").json
    assert told["Statement"][0]["Condition"] == {"StringLike": {"s3:prefix": ["crm/*"]}}
    assert not {"auditor", "evidence"} & set(site.run("access", "policies", "p").json)
    assert site.run("access", "policies", "p", "--role", "auditor").code == 2
    path.write_text(plan.replace("assets:", "access: {auditor: {env_file: a, url: /evidence}}\nassets:", 1))
    assert "is no bucket" in str(site.run("plan", "check", "p").json["problems"])
    path.write_text(plan.replace("assets:", "access: {nobody: {env_file: a}}\nassets:", 1))
    assert site.run("plan", "check", "p").code == 2
    path.write_text(plan.replace("s3:https://s3.example/b/crm/", str(tmp_path / "there")))
    refused = site.run("access", "policies", "p")
    assert refused.code == 2 and "lies in no S3 bucket" in refused.json["error"]
