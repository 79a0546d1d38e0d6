"""What records know and no file covers is a finding; and a file that is wrong stands in the document, too."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.harness import Site


@pytest.fixture
def two(tmp_path: Path) -> Site:
    """Plans p and q, which somebody has acted by."""
    site = Site(tmp_path, bare=True)
    for name in ("p", "q"):
        site.plan("lost: {engine: files, paths: [/not/there]}", name=name)
        assert site.run("backup", name).code == 1
    return site


def test_a_plan_whose_file_is_gone_is_a_finding_until_it_is_back(two: Site) -> None:
    file = two.root / "plans" / "q.yaml"
    text = file.read_text()
    file.unlink()
    done = two.run("status")
    (gone,) = done.json["without_file"]
    assert (done.code, gone["code"], done.json["plans_gone"]) == (1, "PLAN_GONE", ["q"])
    subprocess.run(["bash", "-c", gone["next_step"].partition("   ")[0]], check=True)
    assert file.read_text() == text
    assert two.run("status").json["without_file"] == []


def test_that_a_plan_is_gone_can_be_acknowledged(two: Site) -> None:
    (two.root / "plans" / "q.yaml").unlink()
    assert two.run("ack", "PLAN_GONE", "--until", "9d", "--why", "it moves").code == 0
    (gone,) = two.run("status").json["without_file"]
    assert gone["acknowledged"]


def test_a_plan_that_is_wrong_stands_in_the_document(two: Site) -> None:
    assert two.run("status").json["wrong"] == []
    two.write("plans/q.yaml", "plan: q\n")
    done = two.run("status")
    assert done.code == 2 and [one["plan"] for one in done.json["plans"]] == ["p"]
    assert done.json["wrong"] and all("plans/q.yaml:1: " in one for one in done.json["wrong"])


@pytest.mark.parametrize("there", [False, True], ids=["no directory", "nothing in it"])
def test_whoever_has_no_plan_yet_is_told_how_the_first_one_comes(tmp_path: Path, there: bool) -> None:
    site = Site(tmp_path, bare=True)
    if not there:
        shutil.rmtree(site.root / "plans")
    done = site.run("status")
    assert done.code == 2 and "`ccdr init" in done.json["hint"]


def test_a_plan_that_was_removed_stays_a_finding_whoever_runs(two: Site) -> None:
    """Cron's next call records that it is gone: that is no person's word that it is to be so."""
    file = two.root / "plans" / "q.yaml"
    text = file.read_text()
    file.unlink()
    two.run("run")
    done = two.run("status")
    (gone,) = done.json["without_file"]
    assert (done.code, gone["code"], done.json["plans_gone"]) == (1, "PLAN_GONE", ["q"])
    assert two.start("status").communicate()[0].splitlines()[0].split(",")[0] in ("No", "Not proven")
    subprocess.run(["bash", "-c", gone["next_step"].partition("   ")[0]], check=True)
    assert file.read_text() == text
    two.run("run")
    assert two.run("status").json["without_file"] == []


def test_the_only_plan_that_was_removed_is_told_as_that(two: Site) -> None:
    for name in ("p", "q"):
        (two.root / "plans" / f"{name}.yaml").unlink()
    done = two.run("status")
    assert (done.code, done.json["plans_gone"]) == (1, ["p", "q"])
    assert "coverage" not in two.plainly("status").stdout, "no table without a row"


@pytest.mark.parametrize(
    "argv", [("incident", "list"), ("deviation", "list"), ("ack", "--list"), ("ledger", "verify")], ids=" ".join
)
def test_where_nothing_is_recorded_nothing_is_said_to_be_well(two: Site, argv: tuple[str, ...]) -> None:
    assert two.run(*argv).code in (0, 1), "the twin"
    assert two.run("--state", str(two.root / "nowhere"), *argv).code == 3
