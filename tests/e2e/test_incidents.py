"""`ccdr incident` from its opening to its register, as people type it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.wording import lines_with


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.plan(
        "crm: {engine: files, paths: [/spool]}", extra="timezone: Europe/Bucharest\nincidents: {role: processor}\n"
    )
    return made


def opened(site: Site, *more: str) -> str:
    done = site.run("incident", "open", "p", "--kind", "confidentiality", "--why", "a laptop is gone", *more)
    assert done.code in (0, 1), done
    return str(done.json["incident"])


def test_an_incident_from_its_opening_to_its_register(site: Site) -> None:
    name = opened(site, "--aware-at", "2026-01-05 08:00")
    told = site.plainly("incident", "show", name)
    assert told.returncode == 1 and "OVERDUE" in told.stdout and "GDPR 33(2)" in told.stdout, told
    assert "aware since 2026-01-05T06:00:00Z" in told.stdout, "in the plan's time zone"
    status = site.plainly("status").stdout
    assert f"p: incident {name}, open since" in status and "[INCIDENT_OVERDUE]" not in status
    assert f"ccdr incident note {name} --filed gdpr-33-2 --receipt FILE" in status
    refused = site.plainly("incident", "close", name, "--cause", "attack", "--effects", "x", "--remedy", "x")
    assert refused.returncode == 2 and "still has to notify gdpr-33-2" in refused.stderr, refused
    receipt = site.write("receipt.txt", "number 1234\n")
    filed = ("--filed", "gdpr-33-2", "--receipt", str(receipt), "--filed-at", "2026-01-05 20:00")
    noted = site.plainly("incident", "note", name, *filed)
    assert noted.returncode == 0 and "filed 2026-01-05T18:00:00Z" in noted.stdout, noted
    assert site.records("decide.filing")[0]["files"] == [sha256(receipt.read_bytes()).hexdigest()]
    closing = ("--cause", "human_error", "--effects", "three people", "--remedy", "the disk was encrypted")
    assert site.plainly("incident", "close", name, *closing).returncode == 0
    assert site.plainly("incident", "list").stdout == "no incident is open\n"
    assert name in site.plainly("incident", "list", "--all").stdout
    register(site, name)
    reopened = site.plainly("incident", "reopen", name, "--why", "a fourth person")
    assert reopened.returncode == 0 and "open" in reopened.stdout
    assert len(site.records("decide.closing")) == 1, "nothing is overwritten"
    site.ledger_holds()


def register(site: Site, name: str) -> None:
    text = subprocess.run(site.argv("incident", "register"), capture_output=True, check=True).stdout
    *rows, closing = csv.DictReader(io.StringIO(text.decode()))
    assert [row["incident"] for row in rows] == [name]
    assert (rows[0]["effects"], rows[0]["remedial_action"]) == ("three people", "the disk was encrypted")
    assert "GDPR 33(2) (gdpr-33-2): due 2026-01-06" in rows[0]["notifications"]
    assert "T06:00:00Z, filed 2026-01-05T18:00:00Z," in rows[0]["notifications"]
    body = text[: text[:-2].rindex(b"\r\n") + 2]
    assert f"SHA-256 with the heading {sha256(body).hexdigest()}" in closing["facts"] and closing["records"] == "1"
    as_json = json.loads(site.plainly("incident", "register", "--format", "json").stdout)
    assert as_json["population"] == {"rows": 1, "csv_sha256": sha256(body).hexdigest()}
    later = json.loads(site.plainly("incident", "register", "--from", "1s", "--format", "json").stdout)
    assert later["population"]["rows"] in (0, 1) and later["law"] == "GDPR 33(5)"


def test_a_draft_is_written_once_and_for_its_owner_alone(site: Site, wording: SnapshotAssertion) -> None:
    name, out = opened(site), site.root / "draft.md"
    done = site.plainly("incident", "draft", name, "--to", "customers", "--lang", "ro", "--out", str(out))
    assert done.returncode == 0 and "nothing was sent" in done.stdout, done
    assert out.stat().st_mode & 0o777 == 0o600
    assert lines_with(out.read_text("utf-8"), "Persoana împuternicită") == wording
    again = site.plainly("incident", "draft", name, "--to", "customers", "--out", str(out))
    assert again.returncode == 2 and "is there already" in again.stderr
