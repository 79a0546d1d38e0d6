"""Who may come to a repository's store, as far as the store tells: its bucket's policy and grants, and by which
credential ccdr itself comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ccdr.host.secrets import env_file
from ccdr.model.errors import CcdrError
from ccdr.model.values import LEDGER_REPOSITORY, PRIMARY
from ccdr.plans import Plan, Repository
from ccdr.plans.access import here
from ccdr.storage.s3 import Bucket
from ccdr.storage.s3_access import grants, statements

Lacks = Callable[[str, str], None]
USERS = "the store's users, and which policies each has"
ADMINISTRATOR = "only the store's administrator may list them: AWS' IAM, or SeaweedFS' -s3.config"


def store_of(plan: Plan, name: str, repository: Repository, lacks: Lacks) -> Iterator[dict[str, Any]]:
    """What is known of one repository's store."""
    yield from _credentials(plan, name, repository, lacks)
    try:
        env = env_file(repository.env_file) if repository.env_file else {}
    except CcdrError as error:
        lacks(f"the bucket of {name}", str(error))
        return
    there = Bucket.of(repository.url, env)
    if there is None:
        lacks(f"the store of {name}", "it is in no S3 bucket: look at its directory, or its accounts, there")
        return
    bucket = there[0]
    lacks(f"{USERS} ({name})", ADMINISTRATOR)
    for what, ask in (("policy", statements), ("grant", grants)):
        try:
            for one in ask(bucket):
                yield {"repository": name, "kind": what, "bucket": bucket.name, **one}
        except CcdrError as error:
            lacks(f"the bucket's {what} of {name}", str(error))


def _credentials(plan: Plan, name: str, repository: Repository, lacks: Lacks) -> Iterator[dict[str, Any]]:
    block = {PRIMARY: "repository", LEDGER_REPOSITORY: LEDGER_REPOSITORY}.get(name, f"copies.{name}")
    named = [("plan", f"{block}.env_file", repository.env_file)]
    if name == PRIMARY:
        named += [(role.value, f"access.{role}.env_file", one.env_file) for role, one in plan.access.named()]
    for role, where, path in named:
        if path is None:
            continue
        told: dict[str, Any] = {"repository": name, "kind": "credential", "role": role, "named_by": where}
        if not here(path):
            yield {**told, "here": False, "key_ends_in": None}
            continue
        try:
            key = env_file(path).get("AWS_ACCESS_KEY_ID")
        except CcdrError as error:
            lacks(f"the credential at {where}", str(error))
            continue
        yield {**told, "here": True, "key_ends_in": key[-4:] if key and len(key) >= 12 else None}
