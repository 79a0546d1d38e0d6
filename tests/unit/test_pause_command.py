"""`ccdr pause`, and what status, report and the other commands say of it."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest
from tests.support.harness import Site
from tests.support.records import record_in

from ccdr.jobs.services import Services


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("pause")
    site = Site(root)
    (root / "tree").mkdir()
    (root / "tree" / "one").write_text("one")
    os.utime(root / "tree" / "one", (1_700_000_000, 1_700_000_000))
    site.recordings(root / "tree")
    return site


def begin(site: Site) -> None:
    done = site.run("pause", "p", "--for", "4h", "--why", "INC-1 of Mrs Example")
    assert done.code == 0, done


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["p", "--for", "25h", "--why", "x"], "--for 25h is longer than 24h"),
        (["p", "--for", "2d", "--why", "x"], "--for 2d is longer than 24h"),
        (["p", "--for", "0s", "--why", "x"], "is no duration"),
        (["p", "--for", "soon", "--why", "x"], "is no duration"),
        (["p", "--for", "99999999999999999999d", "--why", "x"], "--for"),
        (["p", "--for", "4h"], "--why is missing"),
        (["p", "--for", "4h", "--why", "  "], "--why says nothing"),
        (["p", "--why", "x"], "--for is missing"),
        (["p", "--for", "1h", "--why", "x", "--end"], "two things"),
        (["p", "--end"], "p is not paused"),
        (["nobody", "--for", "1h", "--why", "x"], "nobody"),
        (["--for", "1h", "--why", "x"], "which plan?"),
    ],
)
def test_what_is_no_pause_is_refused_and_nothing_is_recorded(site: Site, args: list[str], said: str) -> None:
    done = site.run("pause", *args)
    assert done.code == 2 and said in done.json["error"], done
    assert site.records("pause.schedule") == [] and site.run("pause").json == {"paused": []}


def test_it_is_listed_and_told_by_status_until_it_ends(site: Site) -> None:
    begin(site)
    (there,) = site.run("pause").json["paused"]
    assert there["plan"] == "p" and there["why"] == "INC-1 of Mrs Example"
    (plan,) = site.run("status").json["plans"]
    assert plan["paused"] == there
    (told,) = (one for one in plan["troubles"] if one["code"] == "PAUSED")
    assert there["by"] in told["text"] and told["next_step"].startswith("ccdr pause p --end")
    assert "Example" not in json.dumps(site.records())
    assert site.run("pause", "p", "--end").json["ended"] == [there]
    (plan,) = site.run("status").json["plans"]
    assert plan["paused"] is None and not [one for one in plan["troubles"] if one["code"] == "PAUSED"]


def test_a_command_that_a_person_gives_goes_on_and_says_so(site: Site) -> None:
    begin(site)
    done = site.run("backup", "p")
    assert done.code == 0 and done.json["result"] == "STORED"
    assert "p is paused until" in done.stderr and "this command goes on" in done.stderr
    site.run("pause", "p", "--end")
    assert "paused" not in site.run("backup", "p").stderr


def test_what_was_skipped_is_a_row_of_the_report_and_nothing_is_missed(site: Site) -> None:
    """Its own row, its own count; no finding of the report's own."""
    begin(site)
    services: Services = site.services()
    body = {"verb": "backup", "count": 3, "reason": "paused", "tenant": "default"}
    body |= {"first_due": "2026-11-24T12:15:00Z", "due": "2026-11-24T14:15:00Z"}
    record_in(services.ledger, "skipped", plan="p", asset="recordings", run="r", body=body)
    text = site.start("report", "--format", "csv").communicate()[0]
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["outcome"] in ("SKIPPED", "MISSED")]
    assert [(row["what"], row["asset"], row["outcome"], row["reason"], row["count"]) for row in rows] == [
        ("backup", "recordings", "SKIPPED", "paused", "3")
    ]
    report = site.run("report", "--format", "json").json
    assert "MISSED" not in {key for tally in report["population"]["tallies"] for key in tally}
    page = site.start("report").communicate()[0]
    assert "the plan was paused then" in page
    assert "PAUSED" in {finding["code"] for finding in report["findings"]}
