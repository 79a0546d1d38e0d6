"""`ccdr incident` refuses what cannot be, and records nothing of it."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from tests.support.harness import Site

from ccdr.model.deadlines import Length, deadline
from ccdr.model.values import rfc3339, utc


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.plan("crm: {engine: files, paths: [/spool]}", extra="incidents: {role: processor}\n")
    return made


def opened(site: Site) -> str:
    done = site.run("incident", "open", "p", "--kind", "confidentiality", "--why", "a laptop is gone")
    assert done.code == 0, done
    return str(done.json["incident"])


def test_what_follows_a_notification_that_was_filed_counts_from_then(site: Site) -> None:
    name = opened(site)
    site.run("incident", "note", name, "--clock", "nis2-23")
    filed = ("--filed", "nis2-23", "--receipt", "/etc/hostname")
    at = next(d for d in site.run("incident", "note", name, *filed).json["duties"] if d["clock"] == "nis2-23")
    added = site.run("incident", "note", name, "--clock", "nis2-23-final").json["duties"]
    final = next(d for d in added if d["clock"] == "nis2-23-final")
    assert final["due"] == rfc3339(deadline(utc(at["filed_at"]), Length(months=1), UTC))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["note", "inc-0"], "there is no incident 'inc-0'"),
        (["open", "p", "--kind", "integrity", "--why", " "], "--why says nothing"),
        (["open", "p", "--kind", "integrity", "--why", "x", "--aware-at", "2099-01-01 00:00"], "is in the future"),
        (["open", "p", "--kind", "integrity", "--why", "x", "--aware-at", "soon"], "is no time"),
        (["open", "p", "--why", "x"], "Missing option '--kind'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_recorded(site: Site, args: list[str], said: str) -> None:
    done = site.run("incident", *args)
    assert done.code == 2 and said in done.json["error"], done
    assert not site.records("incident.opened")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--filed", "gdpr-33-2"], "--receipt is missing"),
        (["--filed", "gdpr-33", "--receipt", "/etc/hostname"], "has no clock 'gdpr-33'"),
        (["--filed", "gdpr-33-2", "--receipt", "/nowhere"], "the receipt, cannot be read"),
        (
            ["--filed", "gdpr-33-2", "--receipt", "/etc/hostname", "--filed-at", "2020-01-01 00:00"],
            "before anybody was aware",
        ),
        (["--receipt", "/etc/hostname"], "which notification was filed?"),
        (["--not-due", "gdpr-33-2"], "--text is missing"),
        (["--clock", "gdpr-3"], "has no clock 'gdpr-3'"),
        ([], "--text is missing"),
    ],
)
def test_a_note_that_cannot_be_is_refused(site: Site, args: list[str], said: str) -> None:
    name = opened(site)
    done = site.run("incident", "note", name, *args)
    assert done.code == 2 and said in done.json["error"], done
    assert len([r for r in site.records() if r["kind"].startswith("incident.")]) == 1
