"""Could all of it be brought back, and in time? The answer of a report in one word, and why."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID
from tests.support.past import DAY, HOUR, MINUTE, NOW, Past, rows_of, written
from tests.support.wording import lines_with

from ccdr.model.trouble import Level
from ccdr.model.values import FileDigest, Manifest
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.report import html, json_lines


def test_yes_only_where_all_was_restored_checked_and_in_time(past: Past) -> None:
    past.fine()
    report = past.report()
    assert report.answer.word == "Yes" and report.findings == () and report.exit_code == 0
    assert "restored from its backup and checked" in report.answer.sentence


def test_yes_is_qualified_where_the_copies_lie_with_what_they_are_of(past: Past) -> None:
    past.fine()
    assert past.report().answer.word == "Yes"
    for beside, said in (
        ("disk", "on the same disk as what it protects"),
        ("machine", "on the same machine as what it"),
    ):
        past.backup(NOW - 10 * MINUTE, beside_source=beside)
        report = past.report()
        assert (report.answer.word, report.answer.level) == ("Yes, unless disk or machine is lost", Level.NEAR), (
            report.answer
        )
        assert said in report.answer.sentence and "restored from its backup and checked" in report.answer.sentence
        assert report.exit_code == 0 and [f.level for f in report.findings] == [Level.NEAR]
    assert "beside its source" in written(html(report)) and '"NEAR"' in written(json_lines(report))
    past.backup(NOW - 9 * MINUTE, beside_source=None)
    assert past.report().answer.word == "Yes", "it lies elsewhere by now"


def test_no_where_nothing_was_ever_backed_up(past: Past) -> None:
    report = past.report()
    assert (
        report.answer.word == "No" and "no backup has succeeded yet" in report.answer.sentence and report.exit_code == 1
    )


def test_no_where_the_last_conclusive_test_failed(past: Past) -> None:
    snapshot = past.fine()
    past.test(NOW - 5 * MINUTE, snapshot, "FAIL")
    past.test(NOW - 4 * MINUTE, snapshot, "INCONCLUSIVE")  # takes nothing back
    assert past.report().answer.word == "No" and "it broke" in past.report().answer.sentence


def test_what_a_program_has_said_at_length_does_not_fill_the_headline(past: Past) -> None:
    said = "Pack ID does not match, " * 50
    past.test(NOW - 5 * MINUTE, past.fine(), "FAIL", reason=f"restic: {said}")
    report = past.report()
    assert "restic: Pack ID" in report.answer.sentence and len(report.answer.sentence) < 350, report.answer.sentence
    assert "all of it below" in report.answer.sentence
    assert any(said.strip() in f.text for f in report.findings)


def test_not_proven_where_nothing_was_tested_or_that_is_long_ago(past: Past) -> None:
    snapshot = past.backup(NOW - 20 * DAY)
    past.backup(NOW - 30 * MINUTE)
    assert past.report().answer.word == "Not proven" and "never tested" in past.report().answer.sentence
    past.test(NOW - 19 * DAY, snapshot)  # due every Sunday
    assert past.report().answer.word == "Not proven" and "overdue" in past.report().answer.sentence


def test_yes_but_where_it_would_come_back_too_late(past: Past) -> None:
    snapshot = past.fine()
    past.test(NOW - 5 * MINUTE, snapshot, took=4000.0)
    report = past.report()
    assert report.answer.level is Level.LATE and report.answer.word.startswith("Yes, but") and report.exit_code == 1
    assert "1h 06m" in report.answer.sentence


def test_yes_but_where_the_newest_backup_failed_and_an_older_one_was_proven(past: Past) -> None:
    snapshot = past.fine()
    past.test(NOW - 5 * MINUTE, snapshot, "FAIL", own="PASS")
    assert past.report().answer.level is Level.LATE


def test_no_where_what_was_restored_does_not_fit_another_asset(past: Past) -> None:
    """Each is good by itself, and no backup has failed."""
    snapshot = past.fine()
    checks = [{"kind": kind, "name": kind, "status": status, "expected": "0", "actual": "0"}
              for kind, status in (("identical", "PASS"), ("reconcile", "FAIL"))]  # fmt: skip
    past.test(NOW - 5 * MINUTE, snapshot, "FAIL", own="PASS", checks=checks)
    answer = past.report().answer
    assert answer.word == "No" and "newest backup failed" not in answer.sentence


@pytest.mark.parametrize(("rule", "word"), [("random", "Yes, but not as promised"), ("latest", "Yes")])
def test_a_newer_backup_that_failed_elsewhere_is_not_over_with_an_older_ones_test(
    past: Past, rule: str, word: str
) -> None:
    """Another host's backups are known to the repository alone."""
    snapshot = past.fine()
    past.test(NOW - 20 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=True)
    past.test(NOW - 19 * MINUTE, snapshot, "PASS", selected=rule)
    assert past.report().answer.word == word, past.report().answer


def test_a_newer_backup_that_failed_is_over_once_one_was_stored(past: Past) -> None:
    snapshot = past.fine()
    past.backup(NOW - 25 * MINUTE, failed="disk full")
    past.test(NOW - 20 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=True)
    assert past.report().answer.level is Level.LATE
    past.backup(NOW - 5 * MINUTE)
    assert past.report().answer.word == "Yes"
    assert any(row["outcome"] == "FAIL" for row in rows_of(past.report())), "what was stays told"


def test_what_a_test_failed_for_besides_a_newer_backup_is_not_over_with_the_next_one(past: Past) -> None:
    snapshot = past.fine()
    past.test(NOW - 20 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=False)
    past.backup(NOW - 5 * MINUTE)
    assert past.report().answer.level is Level.LATE


def other_hosts(past: Past, when: datetime) -> str:
    """A snapshot that another host took; the repository told of it."""
    key = sha256(when.isoformat().encode()).hexdigest()
    manifest = Manifest("p", "recordings", key[:6], "files", "scan", "other", when, 0.0, {},
                        {"source": str(past.site.root / "spool")}, {"files.jsonl": FileDigest(1, "a" * 64)}, attested=SAID)  # fmt: skip
    catalogue, text = past.site.services(past.clock).catalogue, manifest_text(manifest)
    catalogue.add(snapshot_of(manifest, text, key, "/r", when), text)
    return key


@pytest.mark.parametrize("asked", [True, False])
def test_what_another_host_may_have_backed_up_since_is_no_breach_here(past: Past, asked: bool) -> None:
    """It tests once a week, and last found backups of each half hour."""
    if asked:
        past.wrote(NOW - 9 * DAY, "duties", asset=None, verbs=["test"], gained=[], lost=[], reason="-")
    keys = [other_hosts(past, NOW - 5 * DAY + half * 30 * MINUTE) for half in range(48)]
    past.test(NOW - 4 * DAY, keys[-1])
    (asset,) = past.report((NOW - 5 * DAY).isoformat()).assets
    assert asset.rpo and asset.rpo_now and {asset.rpo.verdict, asset.rpo_now.verdict} == {"NOT_KNOWN_HERE"}
    assert asset.level is Level.FINE, asset.findings


def test_a_breach_that_this_host_saw_is_one_whoever_backs_up(past: Past, wording: SnapshotAssertion) -> None:
    rpo = {"objective_s": 3600, "achieved_s": 19.0 * 3600, "verdict": "BREACHED"}
    past.test(NOW - HOUR, other_hosts(past, NOW - 20 * HOUR), rpo=rpo)
    (asset,) = past.report((NOW - DAY).isoformat()).assets
    assert asset.rpo_now and asset.rpo_now.verdict == "BREACHED" and asset.level is Level.LATE
    assert lines_with((f.step for f in asset.findings), "ccdr backup") == wording
