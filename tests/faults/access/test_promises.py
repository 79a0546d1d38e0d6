"""`ccdr access test`: what each role's credential may do is tried at a real S3 server, and nothing is left there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Ran, Site
from tests.support.roles import Staffed, role_site

from ccdr.jobs.access.trials import CANARY
from ccdr.model.access import Promise
from ccdr.plans.access import Role

ALL = {promise.value: "HELD" for promise in Promise}


def results(done: Ran) -> dict[str, str]:
    return {one["promise"]: one["result"] for one in done.json["promises"]}


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
