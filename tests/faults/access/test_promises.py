"""`ccdr access test`: what each role's credential may do is tried at a real S3 server, and nothing is left there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Ran, Site
from tests.support.roles import Staffed, role_site

from ccdr.jobs.access.trials import CANARY
from ccdr.model.access import Promise
from ccdr.plans.access import Role

ALL = {promise.value: "HELD" for promise in Promise}


def results(done: Ran) -> dict[str, str]:
    return {one["promise"]: one["result"] for one in done.json["promises"]}


def roles(site: Site) -> dict[str, Any]:
    (measure,) = [one for one in site.run("controls").json["measures"] if one["id"] == "access-control"]
    (part,) = [one for one in measure["parts"] if one["id"] == "roles"]
    return dict(part)


def canaries(server: Staffed, bucket: str) -> list[str]:
    said = server.client(bucket).list_object_versions(Bucket=bucket)
    there = [one["Key"] for one in (*said.get("Versions", []), *said.get("DeleteMarkers", []))]
    return [key for key in there if CANARY in key]


@pytest.fixture
def swapped(tmp_path: Path, server: Staffed) -> Site:
    """Each test puts other credentials into its files."""
    return role_site(Site(tmp_path), server, "swapped")


def test_by_the_policies_that_ccdr_prints_every_promise_holds(site: Site, server: Staffed) -> None:
    role_site(site, server, "healthy")
    done = site.run("access", "test", "p")
    assert results(done) == ALL, done
    assert done.code == 0 and set(done.json["roles"].values()) == {"works"}
    assert canaries(server, "healthy") == [] and done.json["left"] == 0
    (record,) = site.records("access.tested")
    assert record["promises"] == done.json["promises"] and record["seq"] == done.json["record"]["seq"]
    assert all(one["tried"] for one in record["promises"])
    site.ledger_holds()


@pytest.mark.parametrize(
    ("role", "by", "broken"),
    [
        (Role.VERIFY, Role.BACKUP, {"verify_cannot_write"}),
        (Role.RESTORE, Role.PRUNE, {"restore_cannot_write", "prune_alone_removes"}),
        (Role.BACKUP, Role.PRUNE, {"old_versions_stay", "deletes_only_locks", "prune_alone_removes"}),
        (Role.AUDITOR, Role.VERIFY, {"auditor_reads_evidence_alone"}),
    ],
)
def test_a_role_with_another_ones_credential_is_found(
    swapped: Site, server: Staffed, role: Role, by: Role, broken: set[str]
) -> None:
    """The healthy twin is above."""
    swapped.write(f"plans/{role}.env", server.env("swapped", by), mode=0o600)
    done = swapped.run("access", "test", "p")
    assert done.code == 1, done
    found = results(done)
    assert {name for name, result in found.items() if result == "BROKEN"} == broken | {"credentials_differ"}, done
    assert canaries(server, "swapped") == []


def test_a_credential_that_the_store_does_not_know_is_told(swapped: Site, server: Staffed) -> None:
    swapped.write("plans/verify.env", "AWS_ACCESS_KEY_ID=nobody\nAWS_SECRET_ACCESS_KEY=wrongsecretkey42\n", mode=0o600)
    done = swapped.run("access", "test", "p")
    assert done.code == 1 and done.json["roles"]["verify"] == "unknown", done
    assert results(done) == {**ALL, "verify_cannot_write": "NOT_SHOWN"}
    assert "wrongsecretkey42" not in str(done) and canaries(server, "swapped") == []


def test_what_was_broken_stands_until_somebody_could_try_it_again(swapped: Site, server: Staffed) -> None:
    """To take the credential away, or to try on another host, shows nothing of what it may do."""
    path = swapped.write("plans/verify.env", server.env("swapped", Role.BACKUP), mode=0o600)
    assert results(swapped.run("access", "test", "p"))["verify_cannot_write"] == "BROKEN"
    assert roles(swapped)["state"] == "contradicted"
    path.unlink()
    assert results(swapped.run("access", "test", "p"))["verify_cannot_write"] == "NOT_SHOWN"
    part = roles(swapped)
    assert part["state"] == "contradicted" and "verify can write" in part["observed"][0]["text"]
    swapped.write("plans/verify.env", server.env("swapped", Role.VERIFY), mode=0o600)
    assert results(swapped.run("access", "test", "p")) == ALL
    assert roles(swapped)["state"] == "shown"


@pytest.mark.parametrize("away", [Role.PRUNE, Role.BACKUP])
def test_what_could_not_be_removed_again_is_not_written(swapped: Site, server: Staffed, away: Role) -> None:
    """Without one of the two credentials, as on each host that has only its own."""
    (swapped.root / f"plans/{away}.env").unlink()
    done = swapped.run("access", "test", "p")
    assert done.code == 0 and done.json["roles"][away] == "not_here", done
    found = results(done)
    assert found["old_versions_stay"] == found["verify_cannot_write"] == "NOT_SHOWN"
    assert found["credentials_differ"] == "HELD" and canaries(server, "swapped") == []
    assert swapped.run("plan", "check", "p").code == swapped.run("plan", "check").code == 0, "it is another host's"


def test_a_bucket_without_versions_is_broken(site: Site, server: Staffed) -> None:
    role_site(site, server, "flat")
    server.client("flat").put_bucket_versioning(Bucket="flat", VersioningConfiguration={"Status": "Suspended"})
    done = site.run("access", "test", "p")
    found = results(done)
    assert done.code == 1 and found["old_versions_stay"] == found["keeps_versioning"] == "BROKEN", done
    assert found["verify_cannot_write"] == "HELD" and canaries(server, "flat") == []


def test_what_a_bucket_locks_stays_for_a_while_and_is_told(site: Site, server: Staffed) -> None:
    client = server.client("locked")
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    role_site(site, server, "locked")
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=lock)
    done = site.run("access", "test", "p")
    found = results(done)
    assert done.code == 4 and done.json["left"] > 0, done
    assert found["old_versions_stay"] == found["prune_alone_removes"] == "NOT_SHOWN"


def test_where_the_bucket_refuses_everybody_a_credential_that_may_remove_all_does_not_pass(
    site: Site, server: Staffed
) -> None:
    """A lock of the bucket's own ends; backup with prune's rights then removes every version. The twin is above."""
    client = server.client("thief")
    client.create_bucket(Bucket="thief", ObjectLockEnabledForBucket=True)
    role_site(site, server, "thief")
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket="thief", ObjectLockConfiguration=lock)
    site.write("plans/backup.env", server.env("thief", Role.PRUNE), mode=0o600)
    found = results(site.run("access", "test", "p"))
    assert "HELD" not in {found[one] for one in ("old_versions_stay", "deletes_only_locks", "prune_alone_removes")}


def test_actions_that_know_no_difference_between_put_and_delete_are_found(site: Site, server: Staffed) -> None:
    """SeaweedFS' own, in place of the policies: a thief could remove every version."""
    role_site(site, server, "coarse")
    key = "AWS_ACCESS_KEY_ID=KEYcoarse\nAWS_SECRET_ACCESS_KEY=secret-of-coarse\n"
    site.write("plans/backup.env", key, mode=0o600)
    done = site.run("access", "test", "p")
    found = results(done)
    assert done.code == 1 and found["old_versions_stay"] == found["prune_alone_removes"] == "BROKEN", done
    assert canaries(server, "coarse") == []


def test_without_a_bucket_nothing_can_be_separated(site: Site, tmp_path: Path) -> None:
    site.write("plans/verify.env", "AWS_ACCESS_KEY_ID=x\n", mode=0o600)
    site.recordings(tmp_path, extra="")
    plan = site.root / "plans/p.yaml"
    assert site.run("access", "test", "p").code == 2, "it names no role's credential"
    plan.write_text(plan.read_text().replace("assets:", "access: {verify: {env_file: verify.env}}\nassets:", 1))
    done = site.run("access", "test", "p")
    assert (done.code, set(results(done).values())) == (0, {"CANNOT_SEPARATE"}), done
    part = roles(site)
    assert (part["state"], part["who_must_attest"]) == ("nothing", "whoever runs the hosts")
    site.ledger_holds()
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", bare=True)
    other.write("plans/p.yaml", plan.read_text())
    other.write("restore_tests/recordings.yaml", (site.root / "restore_tests/recordings.yaml").read_text())
    assert "nobody has tried" in roles(other)["observed"][0]["text"]
    assert other.run("ledger", "collect", str(site.state)).code == 0
    assert "cannot be separated here" in roles(other)["observed"][0]["text"], "it was tried on another host"
