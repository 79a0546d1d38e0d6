"""Object Lock of what is in use, and an attacker who holds the backup's credential: all comes back from versions."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.harness import Quiet, Site

from ccdr.demo.store import DemoStore, start
from ccdr.jobs.object_locks import extend
from ccdr.storage.object_locks import Locks, in_use
from ccdr.storage.s3 import Bucket

BUCKET = "locked"
# Each may do what its role needs, and nothing else.
ROLES = {
    "backup": ["Read", "Write", "List"],
    "keeper": ["List", "GetObjectRetention", "PutObjectRetention"],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoStore]:
    made = [
        {
            "name": role,
            "credentials": [{"accessKey": role, "secretKey": role * 4}],
            "actions": [f"{a}:{BUCKET}" for a in may],
        }
        for role, may in ROLES.items()
    ]
    running = start(tmp_path_factory.mktemp("s3"), beside={"identities": made})
    yield running
    running.stop()


def by(store: DemoStore, role: str) -> Bucket:
    return replace(store.bucket(BUCKET), access_key=role, secret_key=role * 4)


@pytest.fixture(scope="module")
def site(store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A plan whose repository is in a bucket that locks each new version for a day, with one backup."""
    store.bucket("first").create_versioned(patience=60)
    store.bucket(BUCKET).ensure(lock_days=1)
    root = tmp_path_factory.mktemp("locked-site")
    site = Site(root, bare=True)
    for role in ROLES:
        site.write(f"plans/{role}.env", f"AWS_ACCESS_KEY_ID={role}\nAWS_SECRET_ACCESS_KEY={role * 4}\n", mode=0o600)
    (root / "tree").mkdir()
    (root / "tree/one").write_bytes(os.urandom(50_000))
    url = f"s3:{store.endpoint}/{BUCKET}/r"
    site.plan(
        f"tree:\n  engine: files\n  paths: [{root}/tree]\n  settle: 0s",
        repository=f"{{url: '{url}', password_file: key, env_file: backup.env, lock: {{keep: 35d, env_file: keeper.env}}}}",
    )
    site.backed_up()
    return site


def days(until: datetime) -> float:
    return (until - datetime.now(UTC)) / timedelta(days=1)


def test_what_is_in_use_is_locked_for_as_long_as_the_plan_says_and_no_object_is_read(
    site: Site, store: DemoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = Bucket._client

    def watched(bucket: Bucket, timeout: float, **more: Any) -> Any:
        client = real(bucket, timeout, **more)
        client.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
        return client

    monkeypatch.setattr(Bucket, "_client", watched)
    done = extend(site.loaded(), "primary", site.services(), Quiet())
    assert done.result == "DONE" and done.objects == done.extended > 3 and done.hidden == done.overwritten == 0, done
    assert done.holds_until is not None and 41 < days(done.holds_until) < 42.5
    assert set(asked) == {"ListObjectVersions", "GetObjectRetention", "PutObjectRetention"}
    there = in_use(store.bucket(BUCKET), "r/")
    with store.bucket(BUCKET).asked("for a test") as client:
        locks = Locks(store.bucket(BUCKET), client)
        assert {round(days(locks.until(v) or datetime.now(UTC))) for v in there.versions} == {42}
    asked.clear()
    again = extend(site.loaded(), "primary", site.services(), Quiet())
    assert again.held == again.objects and again.extended == 0 and set(asked) == {"ListObjectVersions"}, "remembered"
    asked.clear()
    again = extend(site.loaded(), "primary", site.services(), Quiet(), ask_all=True)
    assert again.held == again.objects and set(asked) == {"ListObjectVersions", "GetObjectRetention"}
    site.ledger_holds()


def refused(call: Any, **what: Any) -> bool:
    try:
        call(Bucket=BUCKET, **what)
    except ClientError as error:
        return 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    return False


def test_whatever_the_backups_credential_does_all_comes_back_from_versions(
    site: Site, store: DemoStore, tmp_path: Path
) -> None:
    extend(site.loaded(), "primary", site.services(), Quiet())
    there = in_use(store.bucket(BUCKET), "r/").versions
    attacker = by(store, "backup").client()
    soon = datetime.now(UTC) + timedelta(seconds=5)
    for version in there:
        of = {"Key": version.key, "VersionId": version.id}
        assert refused(attacker.delete_object, **of), "a version that is locked"
        assert refused(attacker.delete_object, **of, BypassGovernanceRetention=True)
        for mode in ("COMPLIANCE", "GOVERNANCE"):
            assert refused(attacker.put_object_retention, **of, Retention={"Mode": mode, "RetainUntilDate": soon})
        with contextlib.suppress(ClientError):
            attacker.put_object_retention(**of, Bucket=BUCKET, Retention={})
    for version in there[::2]:
        attacker.put_object(Bucket=BUCKET, Key=version.key, Body=b"pay 3 BTC")
    for version in there[1::2]:
        attacker.delete_object(Bucket=BUCKET, Key=version.key)
    assert site.run("snapshots", "p").code != 0, "it looks destroyed"
    done = site.run("lock", "extend", "p")
    (found,) = done.json["locks"]
    assert done.code == 1 and found["overwritten"] == len(there[::2]) - 1 and found["hidden"] == len(there[1::2]), found
    (plan,) = site.run("status", "p").json["plans"]
    assert "OBJECTS_OVERWRITTEN" in {t["code"] for t in plan["troubles"]}
    came_back(store, tmp_path, site)
    for version in there:
        until = Locks(store.bucket(BUCKET), store.bucket(BUCKET).client()).until(version)
        assert until is not None and days(until) > 41, "as it was"


def came_back(store: DemoStore, into: Path, site: Site) -> None:
    """The oldest version of each object, by an administrator's credential: it is the repository as it was."""
    client = store.bucket(BUCKET).client()
    oldest: dict[str, Any] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix="r/"):
        for entry in page.get("Versions", []):
            before = oldest.get(entry["Key"])
            if before is None or entry["LastModified"] <= before["LastModified"]:
                oldest[entry["Key"]] = entry
    for key, entry in oldest.items():
        if "/locks/" not in key:
            path = into / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(client.get_object(Bucket=BUCKET, Key=key, VersionId=entry["VersionId"])["Body"].read())
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD_FILE": str(site.root / "plans/key")}
    argv = ["restic", "-r", str(into / "r"), "--no-cache", "--no-lock"]
    for args in (
        ["check", "--read-data"],
        ["restore", "latest", "--tag", "asset=tree", "--target", str(into / "back")],
    ):
        done = subprocess.run([*argv, *args], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (one,) = (into / "back").rglob("one")
    assert one.read_bytes() == (site.root / "tree/one").read_bytes()
