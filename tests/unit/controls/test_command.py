"""`ccdr controls`, on a tree of files: what people and programs are told."""

from __future__ import annotations

import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.repository_damage import flip
from tests.support.schema import document_misfits as wrong
from tests.support.sites import copy_of
from tests.support.stored import settled_file
from tests.support.wording import lines_with


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("asked"))
    settled_file(made.root / "tree" / "a.wav", b"sound")
    made.recordings(made.root / "tree")
    made.backed_up()
    assert made.run("test", "p").code == 0
    return made


def test_each_measure_has_its_state_and_the_records_behind_it(site: Site) -> None:
    done = site.run("controls")
    assert done.code == 0, done
    measures = {one["id"]: one for one in done.json["measures"]}
    assert len(measures) == 12
    backup = measures["backup-and-recovery"]
    parts = {one["id"]: one for one in backup["parts"]}
    assert parts["restore-tests"]["state"] == "shown" and parts["restore-tests"]["who_must_attest"] is None
    (test,) = site.records("restore_test.end")
    (behind,) = parts["restore-tests"]["observed"][0]["records"]
    assert (behind["seq"], behind["time"], behind["kind"]) == (test["seq"], test["time"], test["kind"])
    assert behind["hash"] == site.services().ledger.hash_of(test["seq"]) and behind["ledger"] is None
    assert behind in backup["evidence"]
    assert backup["counts"] == {"contradicted": 0, "expired": 0, "shown": 3, "stated": 0, "nothing": 3}
    assert parts["recoveries"]["who_must_attest"] == "the plan's owner"


def test_a_real_test_tells_versions(site: Site) -> None:
    (updates,) = [one for one in site.run("controls").json["measures"] if one["id"] == "updates"]
    parts = {one["id"]: one for one in updates["parts"]}
    (versions,) = parts["versions"]["observed"]
    assert versions["state"] == "shown" and "restic " in versions["text"] and "ccdr " in versions["text"]
    (image,) = parts["images"]["observed"]
    assert image["state"] == "shown" and "needed no sandbox" in image["text"]


def test_people_are_told_the_same(site: Site, wording: SnapshotAssertion) -> None:
    process = site.start("controls", "p")
    out, _ = process.communicate()
    (test,) = site.records("restore_test.end")
    assert process.returncode == 0
    assert "Backup and recovery plan: 3 of 6 parts shown, 3 nothing" in out
    assert lines_with(out, "shown", "law") == wording
    assert f"1 check passed [record {test['seq']}]" in out
    assert "of the whole plan: nothing" in out
    assert "by: the plan's owner" in lines_with(out, "to be stated")[0]


def test_what_shows_it_is_told_with_its_values_and_which_files_it_was_judged_by(site: Site) -> None:
    process = site.start("controls", "p")
    out, _ = process.communicate()
    assert re.search(r"shown: p/\w+: RPO achieved [\d.]+ s, objective .+; RTO achieved .+, objective .+", out), out
    assert "shown: of " not in out
    told = site.run("controls", "p").json
    for file in ("map", "floors"):
        assert f"the file that comes with ccdr (SHA-256 {told[file]['sha256']})" in out
    assert site.run("controls", "--examine").code == 0
    (seen,) = site.records("plan.examined")
    assert (seen["controls_sha256"], seen["floors_sha256"]) == (told["map"]["sha256"], told["floors"]["sha256"])


def test_an_emptied_file_of_floors_is_no_evidence(site: Site, tmp_path: Path) -> None:
    own = copy_of(site, tmp_path / "own")
    (own.root / "floors.yaml").write_text("versions: {}\n")
    (updates,) = [one for one in own.run("controls", "--examine").json["measures"] if one["id"] == "updates"]
    (versions,) = [one for one in updates["parts"] if one["id"] == "versions"]
    assert versions["state"] == "nothing" and "nothing is asked of ccdr, restic" in versions["observed"][0]["text"]
    digest = sha256(b"versions: {}\n").hexdigest()
    assert own.records("plan.examined")[-1]["floors_sha256"] == digest


def test_laws_and_standards_are_answered_by_measures(site: Site, wording: SnapshotAssertion) -> None:
    done = site.run("controls", "--framework", "gdpr")
    (gdpr,) = done.json["frameworks"]
    asked = {one["id"]: one for one in gdpr["requirements"]}
    assert asked["32(1)(d)"]["counts"]["shown"] > 0 and asked["32(1)(c)"]["measures"] == ["backup-and-recovery"]
    assert done.json["map"]["file"] is None
    unknown = site.run("controls", "--framework", "gdpx")
    assert unknown.code == 2 and "it has gdpr, hipaa" in unknown.json["hint"]
    process = site.start("controls", "--framework", "gdpr")
    out, _ = process.communicate()
    assert lines_with(out, "32(1)(c)") == wording


def test_a_map_of_ones_own_is_used_and_its_mistakes_are_told(site: Site, tmp_path: Path) -> None:
    own = copy_of(site, tmp_path / "own")
    process = own.start("controls", "--print", "map")
    text, _ = process.communicate()
    (own.root / "controls.yaml").write_text(text.replace("measures: [incident-reporting]", "measures: [incidents]", 1))
    told = own.run("controls")
    assert told.code == 2 and "controls.yaml:" in told.json["error"] and "is no measure" in told.json["error"]
    (own.root / "controls.yaml").write_text(text)
    assert own.run("controls").json["map"]["file"] == str(own.root / "controls.yaml")


def test_an_export_of_the_ledger_holds_them_too(site: Site, tmp_path: Path) -> None:
    done = site.run("ledger", "export", str(tmp_path / "given"))
    assert done.code == 0, done
    told = json.loads((tmp_path / "given/data/controls.json").read_text("utf-8"))
    now = site.run("controls").json
    assert [one["counts"] for one in told["measures"]] == [one["counts"] for one in now["measures"]]
    assert told["frameworks"] == now["frameworks"] and wrong("controls", told) == []
    assert site.run("ledger", "verify", str(tmp_path / "given")).code in (0, 3)


def test_an_export_needs_no_plan_where_the_ledger_knows_them(site: Site, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = site.run("ledger", "export", str(tmp_path / "given"), "--plans", str(tmp_path / "none"))
    assert done.code == 0, done
    assert (tmp_path / "given/data/controls.json").exists()


def test_a_report_holds_them_as_page_and_as_json(site: Site, wording: SnapshotAssertion) -> None:
    told = site.run("report").json["controls"]
    now = site.run("controls").json
    assert [one["counts"] for one in told["measures"]] == [one["counts"] for one in now["measures"]]
    assert told["frameworks"] == now["frameworks"]
    process = site.start("report")
    page, _ = process.communicate()
    assert lines_with(page, "“Shown”", "law") == wording
    assert "Twelve measures" in page and "Backup and recovery plan" in page and "32(1)(c)" in page


def test_a_backup_that_is_damaged_turns_it(site: Site, tmp_path: Path) -> None:
    """The healthy twin is above."""
    own = copy_of(site, tmp_path / "own")
    own.repo.unlink()  # a link to the others'
    shutil.copytree(site.repo, own.repo)
    plan = own.root / "plans/p.yaml"
    plan.write_text(plan.read_text("utf-8").replace(str(site.repo), str(own.repo)), "utf-8")
    for pack in (p for p in (own.repo / "data").rglob("*") if p.is_file()):
        flip(pack)
    assert own.run("test", "p").code == 1
    done = own.run("controls")
    (backup,) = [one for one in done.json["measures"] if one["id"] == "backup-and-recovery"]
    assert done.code == 1 and backup["parts"][0]["state"] == "contradicted", done
    process = own.start("controls")
    out, _ = process.communicate()
    assert process.returncode == 1 and out.startswith("Backup and recovery plan, "), "listed first"
