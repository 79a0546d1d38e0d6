"""A real S3 server at which each role of a plan has a credential of its own, by the policies that ccdr prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccdr.demo.store import DemoStore, start
from ccdr.plans.access import Role
from ccdr.storage.access_policies import Folder, Places, identities, policy
from tests.support.harness import Site
from tests.support.stored import on_store, settled_file, with_repository

EVIDENCE = "evidence"


@dataclass
class Staffed:
    """A server, and by bucket the keys of each role in its folder `r/`."""

    store: DemoStore
    keys: dict[str, dict[Role, tuple[str, str]]] = field(default_factory=dict)

    def env(self, bucket: str, role: Role) -> str:
        access, secret = self.keys[bucket][role]
        return f"AWS_ACCESS_KEY_ID={access}\nAWS_SECRET_ACCESS_KEY={secret}\n"

    def client(self, bucket: str) -> Any:
        """The administrator's."""
        return self.store.bucket(bucket).client()


def staffed(data: Path, *buckets: str, more: Mapping[str, Any] | None = None) -> Staffed:
    """Start it; `more` are identities beside those of the roles."""
    users, rules, keys = [], [], dict[str, dict[Role, tuple[str, str]]]()
    for bucket in buckets:
        places = Places(bucket, Folder(bucket, "r/"), Folder(EVIDENCE, ""))
        made = identities({role.value: policy(role, places) for role in Role}, bucket)
        for role, user in zip(Role, made["identities"], strict=True):
            pair = f"KEY{bucket}{role}", f"secret-of-{bucket}-{role}"
            user["credentials"] = [{"accessKey": pair[0], "secretKey": pair[1]}]
            keys.setdefault(bucket, {})[role] = pair
        users += made["identities"]
        rules += made["policies"]
    store = start(data, beside={"identities": [*users, *(more or {}).get("identities", ())], "policies": rules})
    store.bucket(EVIDENCE).create_versioned(patience=60)
    return Staffed(store, keys)


def role_site(
    site: Site, server: Staffed, bucket: str, *, extra: str = "", named: tuple[Role, ...] = tuple(Role)
) -> Site:
    """A tree of recordings in a repository at `bucket`, and the credentials of these roles in files that the plan
    names."""
    with_repository(site)
    settled_file(site.root / "tree" / "a.wav", b"sound" * 1000)
    site.recordings(site.root / "tree", extra=extra)
    on_store(site, server.store, bucket)
    for role in Role:
        site.write(f"plans/{role}.env", server.env(bucket, role), mode=0o600)
    lines = [f"  {role}: {{env_file: {role}.env}}" for role in named if role is not Role.AUDITOR]
    if Role.AUDITOR in named:
        lines.append(f"  auditor: {{env_file: auditor.env, url: 's3:{server.store.endpoint}/{EVIDENCE}'}}")
    plan = site.root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace("assets:", "access:\n" + "\n".join(lines) + "\nassets:", 1))
    return site
