"""Rows and files of one recovery are compared before either has its final name, and can be compared again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.faults.recover.conftest import TWO
from tests.faults.recover.test_kills import CRM, CRM_CHECKS
from tests.support.harness import SQLITE_SMALL, Site, Source, ask_sqlite, small_database
from tests.support.sites import copy_of
from tests.support.stored import settled_file
from tests.support.target import PASSWORD, Target, server

RECONCILE = """\
  - kind: reconcile
    with: recordings
    query: select path from recorded
    match: ["*.wav"]
    allow: {files_without_row: any}
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with server(tmp_path_factory.mktemp("target")) as made:
        yield made


@pytest.fixture(scope="module")
def three(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "compared") as database:
        root = tmp_path_factory.mktemp("compared")
        site = Site(root)
        for number in range(10):
            settled_file(root / "tree" / f"{number:03}.wav", bytes([number]) * 3000, 1_700_000_000)
        rows = ", ".join(f"('{number:03}.wav')" for number in range(10))
        source.psql(f"create table recorded (path text); insert into recorded values {rows}", database)
        ask_sqlite(root / "cdr.db", SQLITE_SMALL)
        site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
        site.write("restore_tests/cdr.yaml", "restore_test: cdr\nchecks:\n  - {kind: identical}\n")
        site.write("restore_tests/crm.yaml", CRM_CHECKS + RECONCILE)
        site.plan(TWO.format(root=root) + CRM.format(sockets=source.sockets, database=database))
        site.backed_up()
        yield site


@pytest.fixture
def site(three: Site, target: Target, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(three, tmp_path / "site")
    (made.root / "back").mkdir()
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    made.write(
        "targets.yaml",
        f"targets:\n  recordings: {{directory: {made.root}/back/recordings}}\n"
        f"  crm: {{server: '{target.url('back')}', password_file: pw}}\n",
    )
    yield made
    target.clear()


def asked(site: Site) -> list[str]:
    return ["recover", "p", "--to", str(site.root / "targets.yaml"), "--except", "cdr", "--yes-i-mean", "p"]


def compared(document: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[str]:
    return [c["status"] for step in document["steps"] for c in step["checks"] if c["kind"] == "reconcile"]


def test_rows_and_files_that_fit_are_named_and_compared_again_by_themselves(site: Site, target: Target) -> None:
    done = site.run(*asked(site))
    assert (done.code, done.json["state"]) == (0, "done"), done
    assert compared(done.json) == ["PASS", "PASS", "PASS"], done
    assert done.stderr.index("crm: comparing") < done.stderr.index("recordings: naming")
    again = site.run("recover", "check", "p")
    assert again.code == 0 and compared(again.json) == ["PASS", "PASS", "PASS"], again
    next((site.root / "back/recordings").rglob("003.wav")).unlink()
    target.psql("delete from call", "back")
    bad = site.run("recover", "check", "p")
    assert bad.code == 1, bad
    failed = {(s["asset"], c["kind"]) for s in bad.json["steps"] for c in s["checks"] if c["status"] == "FAIL"}
    assert failed == {("recordings", "identical"), ("crm", "rows")}
    (site.root / "back/recordings").rename(site.root / "back/elsewhere")
    moved = site.run("recover", "check", "p")
    where = {s["asset"]: s["target"]["name"] for s in moved.json["steps"]}
    assert where["recordings"].endswith("/tree"), (
        "nothing of it is where it was brought to, and its source was not lost"
    )
    assert compared(moved.json) == ["PASS", "PASS", "PASS"], moved
    programs = RECONCILE.replace("  - kind: reconcile", "  - kind: reconcile\n    decodable: true")
    site.write("restore_tests/crm.yaml", CRM_CHECKS + programs)
    assert compared(site.run("recover", "check", "p").json) == ["SKIPPED"], "no sandbox is shown what lives"


def test_rows_whose_files_are_missing_stop_the_rows_and_not_the_files(site: Site, target: Target) -> None:
    checks = (CRM_CHECKS + RECONCILE).replace("select path from recorded", "select path || 'x' from recorded")
    site.write("restore_tests/crm.yaml", checks)
    done = site.run(*asked(site))
    assert (done.code, done.json["state"]) == (1, "failed"), done
    assert "back" not in target.databases and (site.root / "back/recordings").is_dir()
    assert {s["asset"]: s["state"] for s in done.json["steps"]} == {"recordings": "done", "crm": "failed"}


def test_what_did_not_fit_does_not_fit_after_a_resume_either(site: Site, target: Target) -> None:
    """Recordings have their name since; rows are compared with them where they stand."""
    checks = (CRM_CHECKS + RECONCILE).replace("select path from recorded", "select path || 'x' from recorded")
    site.write("restore_tests/crm.yaml", checks)
    assert site.run(*asked(site)).code == 1
    again = site.run("recover", "--resume", "p")
    assert (again.code, again.json["state"]) == (1, "failed") and "FAIL" in compared(again.json), again
    assert "back" not in target.databases
    site.write("restore_tests/crm.yaml", CRM_CHECKS + RECONCILE)
    mended = site.run("recover", "--resume", "p")
    assert (mended.code, mended.json["state"]) == (0, "done"), mended
    assert compared(mended.json) == ["PASS", "PASS", "PASS"]


def test_rows_without_the_files_they_are_compared_with_are_not_known_to_fit(site: Site) -> None:
    """No recordings at first; later, the rows are compared with them where they stand."""
    identical = "restore_test: recordings\nchecks:\n  - {kind: identical}\n"
    site.write("restore_tests/recordings.yaml", identical + "  - {kind: decodable}\n")
    done = site.run(*asked(site))
    assert {s["asset"]: s["state"] for s in done.json["steps"]} == {"recordings": "failed", "crm": "done"}, done
    assert compared(done.json) == ["INCONCLUSIVE"]
    site.write("restore_tests/recordings.yaml", identical)
    again = site.run("recover", "--resume", "p")
    assert (again.code, again.json["state"]) == (0, "done"), again
    assert compared(again.json) == ["PASS", "PASS", "PASS"]


@pytest.mark.parametrize("gone", [True, False], ids=["dropped", "there"])
def test_a_database_that_was_dropped_since_is_not_told_as_brought_back(site: Site, target: Target, gone: bool) -> None:
    """The recordings were still to be brought; nothing compares the two."""
    site.write("restore_tests/crm.yaml", CRM_CHECKS)
    identical = "restore_test: recordings\nchecks:\n  - {kind: identical}\n"
    site.write("restore_tests/recordings.yaml", identical + "  - {kind: decodable}\n")
    done = site.run(*asked(site))
    assert {s["asset"]: s["state"] for s in done.json["steps"]} == {"recordings": "failed", "crm": "done"}, done
    site.write("restore_tests/recordings.yaml", identical)
    if gone:
        target.psql("drop database back")
    again = site.run("recover", "--resume", "p")
    assert (again.code, again.json["state"]) == (1 if gone else 0, "done"), again
    found = [text for text in again.json["findings"] if text.startswith("crm: ") and "is not there any more" in text]
    assert len(found) == gone, again.json["findings"]


@pytest.fixture
def doubled(three: Site, target: Target, tmp_path: Path) -> Iterator[Site]:
    """The rows are protected twice; what holds them without being compared is newer, so that the other is its spare."""
    made = copy_of(three, tmp_path / "site")
    plan = made.root / "plans" / "p.yaml"
    document = yaml.safe_load(plan.read_text())
    document["assets"]["whole"] = {**document["assets"]["crm"], "restore_test": None}
    plan.write_text(yaml.safe_dump(document))
    assert made.run("backup", "p", "--asset", "whole").code == 0
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    (made.root / "back").mkdir()
    made.write(
        "targets.yaml",
        f"targets:\n  recordings: {{directory: {made.root}/back/recordings}}\n"
        f"  crm: {{server: '{target.url('back')}', password_file: pw}}\n"
        f"  whole: {{directory: {made.root}/back/whole}}\n",
    )
    yield made
    target.clear()


def test_a_spare_that_does_not_fit_to_another_store_leaves_the_recovery_whole(doubled: Site, target: Target) -> None:
    """Nobody starts it, and what is to be started is there: that was foretold, and is told."""
    checks = (CRM_CHECKS + RECONCILE).replace("select path from recorded", "select path || 'x' from recorded")
    doubled.write("restore_tests/crm.yaml", checks)
    done = doubled.run(*asked(doubled))
    spares = {s["asset"]: s["spare_of"] for s in done.json["steps"]}
    assert spares == {"recordings": None, "crm": "whole", "whole": None}, done
    told = [
        done.stderr[-1500:],
        done.json["reason"],
        *[(s["asset"], s["state"], s["reason"]) for s in done.json["steps"]],
    ]
    assert (done.code, done.json["state"], done.json["rto"]["verdict"]) == (0, "done", "MET"), told
    assert "FAIL" in compared(done.json) and "back" in target.databases
    assert any(n.startswith("crm: it is a spare, and did not pass") for n in done.json["notes"]), done.json["notes"]
    again = doubled.run("recover", "check", "p")
    assert again.code == 0 and "FAIL" in compared(again.json), again


def test_a_spare_that_is_bad_by_itself_fails_and_says_how_to_do_without(doubled: Site, target: Target) -> None:
    doubled.write("restore_tests/crm.yaml", CRM_CHECKS.replace("3000", "300000"))
    done = doubled.run(*asked(doubled))
    assert (done.code, done.json["state"]) == (1, "failed") and "back" not in target.databases, done
    hint = next(s["hint"] for s in done.json["steps"] if s["asset"] == "crm")
    assert "whole has the same data" in hint and "--except crm" in hint, hint
    assert "--despite-failed-checks" in hint, "`ccdr recover` has no such option"
