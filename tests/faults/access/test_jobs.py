"""Each job comes to the store with its role's credential, which may do no more than the role's policy allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.roles import Staffed, role_site
from tests.support.stored import settled_file

from ccdr.plans.access import Role


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, server: Staffed) -> Site:
    """The plan's own `env_file` is nobody's: whoever takes it is refused."""
    made = role_site(Site(tmp_path_factory.mktemp("site")), server, "jobs", extra="")
    made.write("plans/s3.env", "AWS_ACCESS_KEY_ID=nobody\nAWS_SECRET_ACCESS_KEY=nobodys-secret\n", mode=0o600)
    return made


def objects(server: Staffed) -> dict[str, str]:
    """By key and version what lies in the bucket, locks left out."""
    said = server.client("jobs").list_object_versions(Bucket="jobs")
    there = [*said.get("Versions", []), *said.get("DeleteMarkers", [])]
    return {f"{one['Key']} {one['VersionId']}": one["Key"] for one in there if "/locks/" not in one["Key"]}


def test_backup_test_check_restore_and_prune_each_by_their_own(site: Site, server: Staffed, tmp_path: Path) -> None:
    site.backed_up()
    stored = objects(server)
    tested = site.run("test", "p")
    assert (tested.code, tested.json["verdict"]) == (0, "PASS"), tested
    checked = site.run("upkeep", "p", "--check", "--all-data")
    assert (checked.code, checked.json["check"]["result"]) == (0, "CLEAN"), checked
    restored = site.run("restore", "p", "--asset", "recordings", "--to", str(tmp_path / "back"), "--yes-i-mean", "back")
    assert restored.code == 0, restored
    assert (tmp_path / "back").rglob("a.wav")
    gone = [key for key in stored if key not in objects(server)]
    assert gone == [], "nothing of it was removed"


def test_prune_removes_by_its_own_and_backup_could_not(site: Site, server: Staffed) -> None:
    settled_file(site.root / "tree" / "b.wav", b"more" * 1000)
    site.backed_up()
    plan = site.root / "plans/p.yaml"
    before = plan.read_text()
    plan.write_text(before.replace("access:", "retention: {keep_last: 1}\naccess:", 1))
    kept = (site.root / "plans/prune.env").read_text()
    try:
        site.write("plans/prune.env", server.env("jobs", Role.BACKUP), mode=0o600)
        refused = site.run("upkeep", "p", "--prune")
        assert refused.code == 1 and refused.json["prune"]["result"] == "FAILED", refused
        site.write("plans/prune.env", kept, mode=0o600)
        done = site.run("upkeep", "p", "--prune")
        assert (done.code, done.json["prune"]["result"]) == (0, "DONE"), done
    finally:
        plan.write_text(before)


def test_a_job_without_its_roles_credential_takes_the_plans_own(site: Site, server: Staffed) -> None:
    """Which is nobody's here: the healthy twin is above."""
    there = site.root / "plans/verify.env"
    away = there.rename(there.with_suffix(".away"))
    try:
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
        assert "does not know the access key" in done.json["reason"]
    finally:
        away.rename(there)
