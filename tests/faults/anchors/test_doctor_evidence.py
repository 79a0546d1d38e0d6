"""`ccdr doctor` at evidence buckets of a real S3 server: what must be refused is tried, beside what must succeed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.doctor import lines
from tests.support.evidence_server import FLAT, GOVERNANCE, LOCKED, SHORT, UNLOCKED, EvidenceServer
from tests.support.harness import Ran, Site
from tests.support.stored import settled_file

from ccdr.demo.store import DemoStore
from ccdr.storage.evidence_bucket import CANARIES

LOCK, VERSIONS, PUT_ONLY, AUDITOR = (f"anchor bucket, {what}" for what in ("lock", "versions", "put only", "auditor"))
CUSTOMERS_DATA = "anchor bucket, customers' data (p)"


@pytest.fixture
def looked(site: Site, evidence: EvidenceServer, request: pytest.FixtureRequest) -> Any:
    """Run doctor with one object_lock anchor."""
    settled_file(site.root / "tree" / "a.wav", b"sound")
    site.recordings(site.root / "tree")

    def run(who: str, bucket: str = LOCKED, *, auditor: str | None = "auditor", folder: str = "doctor") -> Ran:
        site.write("evidence.env", evidence.env_file(who), mode=0o600)
        more = ""
        if auditor is not None:
            site.write("auditor.env", evidence.env_file(auditor), mode=0o600)
            more = ", auditor_env_file: auditor.env"
        anchor = (
            f"{{name: bucket, kind: object_lock, url: '{evidence.url(folder, bucket)}', env_file: evidence.env{more}}}"
        )
        site.write("anchors.yaml", f"anchors: [{anchor}]\n")
        return site.run("doctor", "--only", "backups")

    return run


def states(done: Ran) -> dict[str, str]:
    found = {what: str(line["state"]) for (what, asset), line in lines(done).items() if what.startswith("anchor")}
    return {what.removeprefix("anchor bucket, "): state for what, state in found.items()}


GOOD = {"anchor bucket": "OK", "lock": "OK", "versions": "OK", "put only": "OK", "auditor": "OK"}


def test_what_is_as_it_should_be_is_shown_and_the_canary_is_named(looked: Any, evidence: EvidenceServer) -> None:
    done = looked("by-policy-evidence", auditor="by-policy-auditor", folder="policies")
    assert states(done) == GOOD, done
    said = evidence.admin().list_object_versions(Bucket=LOCKED, Prefix=f"policies/{CANARIES}")
    keys = {one["Key"].removeprefix("policies/") for one in said["Versions"]}
    assert not said.get("DeleteMarkers")
    assert any(key in lines(done)["anchor bucket", None]["found"] for key in keys)


def test_coarse_actions_may_hide_and_that_is_told(looked: Any, evidence: EvidenceServer) -> None:
    """The marker that was set is gone again: that is the control of the lock."""
    done = looked("host", folder="coarse")
    assert states(done) == {**GOOD, "put only": "WARN"}, done
    assert "marker, which nothing locks" in lines(done)[LOCK, None]["found"]
    assert not evidence.admin().list_object_versions(Bucket=LOCKED, Prefix="coarse/").get("DeleteMarkers")


def test_without_the_auditors_credential_the_locks_mode_is_not_shown(looked: Any) -> None:
    done = looked("by-policy-evidence", auditor=None, folder="policies")
    found = states(done)
    assert found == {"anchor bucket": "OK", "lock": "WARN", "versions": "OK", "put only": "OK"}, done


@pytest.mark.parametrize(
    ("bucket", "wrong"),
    [
        (GOVERNANCE, {"lock": "FAIL"}),
        (UNLOCKED, {"lock": "FAIL"}),
        (FLAT, {"lock": "FAIL", "versions": "FAIL"}),
    ],
)
def test_a_bucket_that_locks_nothing_for_good_fails(
    looked: Any, evidence: EvidenceServer, bucket: str, wrong: dict[str, str]
) -> None:
    done = looked("host", bucket)
    found = states(done)
    assert {what: state for what, state in found.items() if state == "FAIL"} == wrong, done
    assert done.code == 1
    if bucket != GOVERNANCE:
        said = evidence.admin().list_object_versions(Bucket=bucket, Prefix="doctor/")
        assert not said.get("Versions") and not said.get("DeleteMarkers"), "what nothing locks does not stay"


def test_a_lock_that_ends_before_evidence_does_is_told(looked: Any) -> None:
    done = looked("host", SHORT)
    assert states(done) == {**GOOD, "lock": "WARN", "put only": "WARN"}, done
    assert "after 1 day" in lines(done)[LOCK, None]["found"]


def test_a_credential_that_others_may_read_fails(looked: Any, site: Site) -> None:
    assert states(looked("host"))["lock"] == "OK"
    (site.root / "evidence.env").chmod(0o644)
    assert states(site.run("doctor", "--only", "backups", "--no-canary"))["secret"] == "FAIL"


def test_a_credential_that_may_read_and_an_auditor_who_may_write_are_told(looked: Any) -> None:
    found = states(looked("nosy", auditor="nosy"))
    assert (found["put only"], found["auditor"], found["lock"]) == ("WARN", "FAIL", "OK")


@pytest.mark.parametrize("who", ["auditor", "nobody"])
def test_a_credential_that_may_not_put_or_is_unknown_fails(looked: Any, who: str) -> None:
    done = looked(who)
    assert states(done)["anchor bucket"] == "FAIL", done


def test_a_bucket_that_does_not_answer_is_unknown(looked: Any, site: Site) -> None:
    looked("host")
    text = (site.root / "anchors.yaml").read_text()
    site.write("anchors.yaml", text.replace(text.partition("s3:http://")[2].partition("/")[0], "127.0.0.1:1"))
    done = site.run("doctor", "--only", "backups")
    assert lines(done)["anchors", None]["state"] == "UNKNOWN", done


def test_no_canary_writes_nothing(looked: Any, site: Site, evidence: EvidenceServer) -> None:
    looked("host", folder="none")
    before = len(evidence.admin().list_object_versions(Bucket=LOCKED, Prefix="none/")["Versions"])
    done = site.run("doctor", "--only", "backups", "--no-canary")
    assert done.code in (0, 1, 3)
    assert len(evidence.admin().list_object_versions(Bucket=LOCKED, Prefix="none/")["Versions"]) == before


def test_customers_data_by_the_evidence_credential(looked: Any, site: Site, evidence: EvidenceServer) -> None:
    """A repository at the same server: whoever puts evidence must not come to it."""
    store: DemoStore = evidence.store
    site.write("plans/s3.env", store.env_file(), mode=0o600)
    plan = site.root / "plans/p.yaml"
    url = f"{{url: 's3:{store.endpoint}/customers/r', password_file: key, env_file: s3.env}}"
    text = plan.read_text().splitlines(keepends=True)
    plan.write_text("".join(f"repository: {url}\n" if n.startswith("repository:") else n for n in text))
    what = "customers' data (p)"
    assert states(looked("host"))[what] == "OK"
    assert states(looked("both"))[what] == "FAIL"
    site.write("plans/s3.env", evidence.env_file("host"), mode=0o600)
    assert states(looked("host"))[what] == "FAIL", "it is the one that backs up"
    site.write("plans/s3.env", evidence.env_file("nobody"), mode=0o600)
    assert states(looked("host"))[what] == "WARN"
