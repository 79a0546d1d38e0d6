"""How far a restore test has proven its snapshot, and what else records carry of whose data it was and which copy: real
backups of files, which need no sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Quiet, Site

from ccdr.engines.files import Files
from ccdr.evidence.records.values import RecordedUser
from ccdr.host.who import who
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.restore_test.result import EQUAL, RESTORED, STORED
from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest
from ccdr.plans.job import Job

CONTENTS = b"a recording" * 1000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One good backup of one file, of a plan that says whose it is and where it lies."""
    made = Site(tmp_path_factory.mktemp("proof"))
    tree = made.root / "tree"
    tree.mkdir()
    (tree / "one.wav").write_bytes(CONTENTS)
    assets = f"""
        recordings:
          engine: files
          paths: [{tree}]
          settle: 0s
          tenant: acme
          backup: {{schedule: "15 * * * *"}}
          restore_test: {{schedule: "0 3 * * 0", checks: [recordings]}}
        """
    checks(made, "{kind: identical}")
    made.plan(assets, repository=repository(made), extra="tenant: operator\n")
    made.backed_up()
    return made


def repository(site: Site) -> str:
    return f"{{url: {site.with_repository().repo}, password_file: key, site: Second floor}}"


def checks(site: Site, *kinds: str) -> None:
    listed = "".join(f"  - {kind}\n" for kind in kinds)
    site.write("restore_tests/recordings.yaml", f"restore_test: recordings\nchecks:\n{listed}")


def test_equal_where_all_checks_pass_and_one_compares_with_what_was_captured(site: Site) -> None:
    checks(site, "{kind: identical}")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["proof"]) == (0, "PASS", EQUAL), done
    assert done.json["bytes_restored"] >= len(CONTENTS)


def test_restored_where_what_came_back_did_not_pass(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: Files, fetched: Path, restored: Path, manifest: Manifest) -> None:
        (found,) = fetched.rglob("one.wav")
        found.write_bytes(CONTENTS[:-1] + b"?")

    monkeypatch.setattr(Files, "complete", damaged)
    done = restore_test(Job(site.loaded(), "recordings"), "latest", site.services(), Quiet())
    assert (done.verdict, done.proof) == ("FAIL", RESTORED)


def test_stored_where_what_came_is_not_what_was_stored(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def incomplete(self: Files, fetched: Path, restored: Path, manifest: Manifest) -> None:
        raise BackupBad("a file is missing")

    monkeypatch.setattr(Files, "complete", incomplete)
    done = restore_test(Job(site.loaded(), "recordings"), "latest", site.services(), Quiet())
    assert (done.verdict, done.proof) == ("FAIL", STORED) and done.bytes_restored


def test_stored_where_nobody_could_read_it(site: Site) -> None:
    hidden = site.repo.with_name("elsewhere")
    packs = [path for path in (site.repo / "data").rglob("*") if path.is_file()]
    for pack in packs:
        target = hidden / pack.relative_to(site.repo)
        target.parent.mkdir(parents=True, exist_ok=True)
        pack.rename(target)
    try:
        done = site.run("test", "p")
    finally:
        for pack in packs:
            (hidden / pack.relative_to(site.repo)).rename(pack)
    assert (done.json["verdict"], done.json["proof"], done.json["bytes_restored"]) == ("FAIL", STORED, 0)


def test_none_where_there_was_no_snapshot_to_prove(tmp_path: Path) -> None:
    fresh = Site(tmp_path)
    (tmp_path / "tree").mkdir()
    fresh.recordings(tmp_path / "tree")
    assert fresh.loaded().plan.tenant_of("recordings") == "default", "where the plan says nothing"
    done = fresh.run("test", "p")
    assert done.json["proof"] is None and done.json["bytes_restored"] is None


def test_every_record_of_a_run_says_whose_data_it_is_and_every_end_which_copy(site: Site) -> None:
    checks(site, "{kind: identical}")
    site.run("test", "p")
    site.run("upkeep", "p", "--check")
    newest = {record["kind"]: record for record in site.records()}
    for kind in ("backup", "restore_test", "check"):
        start, end = newest[f"{kind}.start"], newest[f"{kind}.end"]
        tenant = "operator" if kind == "check" else "acme"
        assert (start["tenant"], end["tenant"]) == (tenant, tenant)
        assert (end["copy"], end["site"], end["attempt"]) == ("primary", "Second floor", None)
        assert (start["trigger"]["by"], start["attempt"]) == ("command", None)
        assert start["who"]["uid"] == who().uid and start["who"].keys() == {*RecordedUser.__struct_fields__}
    assert newest["backup.end"]["added_bytes"] > 0
