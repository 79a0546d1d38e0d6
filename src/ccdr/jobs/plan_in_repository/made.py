"""A plan made from what a repository holds of one that is not stored there: it was lost, or never stored.

It is for recovery alone (`recovery_only: true`): engines, methods, sources and groups are what the newest manifests
say, and whether the log was shipped is what the log's repository says. What snapshots do not tell (who answers for it,
how the sources are reached, what must be true of a restored database) is said to be lacking.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ccdr.checks.integrity import Integrity
from ccdr.engines import AnyEngine, EngineConfig
from ccdr.engines.servers.connection import NOWHERE
from ccdr.host.state_files import plain
from ccdr.jobs.plan_in_repository.stored_versions import Planted, in_the_future
from ccdr.jobs.shipping.stored_batch import LOG
from ccdr.model.errors import CcdrError, RepositoryMissing
from ccdr.model.values import Manifest, rfc3339
from ccdr.plans.shape import is_name
from ccdr.plans.trust import Given
from ccdr.plans.versions import PLAN_FORMAT as MADE_FORMAT
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.manifest import CAPTURED, MANIFEST, parse_manifest
from ccdr.storage.restic import Restic

__all__ = ["MADE_FORMAT", "Made", "made_plan", "unstored_plans"]

TRIES = 3  # of an asset's newest manifests: one that cannot be read is passed over
LACKS = (
    "service, owner and objectives",
    "connection and credentials of the sources",
    "schedules and retention",
    "checks of its own in the restore tests",
)
_HEAD = """\
# Made by `ccdr bootstrap` on {now} from what the repository holds: nobody had stored a plan there.
# Good for recovery: to list, test and restore what is there. For backups it lacks:
# {lacks}.
# Addresses of servers are not known: {nowhere} leads nowhere. Once all is stated, remove `recovery_only`.

"""
_TEST = """\
# Made by `ccdr bootstrap`: what must be true of {asset} after a restore, as far as a backup alone can tell.

"""


@dataclass
class Made:
    """The files of the plan, as a stored version has them; `assets` are those that something was found of."""

    files: dict[str, bytes] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    lacks: tuple[str, ...] = LACKS
    passed_over: list[str] = field(default_factory=list)


def unstored_plans(there: Iterable[RepoSnapshot], known: Collection[str]) -> list[str]:
    """Plans that there are backups of, and no version that counts."""
    named = {s.tag("plan") or "" for s in there if s.tag("kind") == "backup"}
    return sorted(name for name in named if is_name(name) and name not in known)


def made_plan(plan: str, there: Sequence[RepoSnapshot], repo: Restic, given: Given, now: datetime) -> Made:
    """A plan of all assets that the repository holds a backup of. CcdrError where the repository fails."""
    made, assets = Made(), dict[str, dict[str, Any]]()
    manifests: dict[str, Manifest] = {}
    shipped = _shipped(plan, repo)
    for asset in _assets(plan, there):
        try:
            manifest = _newest(plan, asset, there, repo, now)
            assets[asset] = _stated(manifest, shipped=asset in shipped)
        except Planted as error:
            made.passed_over.append(f"{plan}/{asset} is left out of the plan: {error}")
        else:
            manifests[asset] = manifest
    if not assets:
        return made
    _grouped(assets, manifests)
    tests = {asset: _test_name(plan, asset) for asset in assets}
    for asset, stated in assets.items():
        stated["restore_test"] = {"schedule": "0 3 * * *", "checks": [tests[asset]]}
    body = {
        "plan": plan,
        "recovery_only": True,
        "repository": {key: value for key, value in plain(given).items() if value is not None},
        "assets": assets,
    }
    head = _HEAD.format(now=rfc3339(now)[:19] + "Z", lacks=", ".join(LACKS), nowhere=NOWHERE)
    made.files[f"plans/{plan}.yaml"] = (head + _yaml(body)).encode()
    for asset, name in tests.items():
        checks: list[dict[str, str]] = [{"kind": "identical"}]
        if assets[asset]["engine"] in Integrity.engines:
            checks.append({"kind": "integrity"})
        text = _TEST.format(asset=asset) + _yaml({"restore_test": name, "checks": checks})
        made.files[f"restore_tests/{name}.yaml"] = text.encode()
    made.assets = tuple(assets)
    return made


def _assets(plan: str, there: Iterable[RepoSnapshot]) -> list[str]:
    tagged = {s.tag("asset") or "" for s in there if s.tag("kind") == "backup" and s.tag("plan") == plan}
    return sorted(name for name in tagged if is_name(name))


def _newest(plan: str, asset: str, there: Iterable[RepoSnapshot], repo: Restic, now: datetime) -> Manifest:
    """Of the asset's newest backup that says what it is. Planted where none of the newest ones does."""
    of_asset = [s for s in there if (s.tag("kind"), s.tag("plan"), s.tag("asset")) == ("backup", plan, asset)]
    why = "its date is in the future"
    for s in [s for s in reversed(of_asset) if not in_the_future(s, now)][:TRIES]:
        root = next((p for p in s.paths if PurePosixPath(p).name == CAPTURED), None)
        if root is None:
            why = f"snapshot {s.id[:8]} holds no captured directory"
            continue
        try:
            manifest = parse_manifest(repo.read(s.id, PurePosixPath(root) / MANIFEST))
        except CcdrError as error:
            why = str(error)
            continue
        if (manifest.plan, manifest.asset) == (plan, asset):
            return manifest
        why = f"the manifest of snapshot {s.id[:8]} is of something else"
    raise Planted(why)


def _stated(manifest: Manifest, *, shipped: bool) -> dict[str, Any]:
    """What a plan says of the asset. Planted where the manifest does not tell."""
    kind = _engines().get(manifest.engine)
    if kind is None:
        raise Planted(f"this ccdr does not know the engine {manifest.engine!a}")
    try:
        source = manifest.contents["source"]
        stated = kind.stated_by(str(source), manifest.contents)
    except (KeyError, ValueError, TypeError):
        raise Planted("its manifest does not say what was captured") from None
    body: dict[str, Any] = {"engine": manifest.engine, "method": manifest.method, **stated}
    if "method" not in kind.model_fields:
        del body["method"]
    logged = {**body, "log_shipping": {"interval": "60s"}}
    return logged if shipped and "log_shipping" in kind.model_fields and _is_right(kind, logged) else body


def _is_right(kind: type[EngineConfig], stated: Mapping[str, Any]) -> bool:
    """Not where what was captured last is no base that a log goes on from."""
    with contextlib.suppress(ValidationError):
        kind.model_validate_json(json.dumps(stated), strict=True)
        return True
    return False


def _engines() -> dict[str, type[EngineConfig]]:
    union, *_ = get_args(AnyEngine)
    return {get_args(kind.model_fields["engine"].annotation)[0]: kind for kind in get_args(union)}


def _grouped(assets: Mapping[str, dict[str, Any]], manifests: Mapping[str, Manifest]) -> None:
    """What was captured together: where more than one of them is there."""
    named = {asset: m.group.name for asset, m in manifests.items() if m.group is not None and is_name(m.group.name)}
    for asset, group in named.items():
        if sum(other == group for other in named.values()) > 1:
            assets[asset]["group"] = group


def _shipped(plan: str, repo: Restic) -> set[str]:
    """Assets whose log was shipped: there is some of it, below the repository."""
    place = replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")
    with contextlib.suppress(RepositoryMissing):
        return {s.tag("asset") or "" for s in place.snapshots([OURS, f"kind={LOG}", f"plan={plan}"])}
    return set()


def _test_name(plan: str, asset: str) -> str:
    name = asset if asset.startswith(plan) else f"{plan}-{asset}"
    return name if is_name(name) else asset


def _yaml(body: object) -> str:
    return str(yaml.dump(body, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000))


class _Plain(yaml.SafeDumper):
    """A plan knows no anchors: what is said twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True
