"""What failed or was damaged, and what has made it good since."""

from __future__ import annotations

from datetime import datetime

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.past import HOUR, MINUTE, NOW, Past

from ccdr.model.trouble import Level
from ccdr.model.values import rfc3339


def test_what_failed_elsewhere_is_made_good_by_what_was_stored_after_it_whenever_the_test_ended(past: Past) -> None:
    """The test's record comes after the backup that made up for it: it had looked by then."""
    snapshot = past.fine()
    seq = past.wrote(NOW - 24 * MINUTE, "backup.end", run="full", result="FAILED", reason="disk full", snapshot=None)
    past.backup(NOW - 20 * MINUTE)
    newer = {"seq": seq, "at": rfc3339(NOW - 24 * MINUTE)}
    past.test(NOW - 18 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=True, newer=newer)
    assert past.report().answer.word == "Yes"
    past.test(NOW - 17 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=True, newer={**newer, "seq": seq + 9})
    assert past.report().answer.level is Level.LATE, "its twin failed after what was stored"
    for at, word in ((21, "Yes"), (18, "Yes, but not as promised")):  # elsewhere: by the clock of who left the mark
        said = {"seq": None, "at": rfc3339(NOW - at * MINUTE)}
        past.test(NOW - 16 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=True, newer=said)
        assert past.report().answer.word == word, at


def test_a_failure_stays_and_what_mended_it_is_linked(past: Past) -> None:
    past.backup(NOW - 3 * HOUR, failed="one")
    past.backup(NOW - 2 * HOUR, failed="two")
    assert [i.mended for i in past.report().interruptions] == [None]
    past.backup(NOW - HOUR)
    (found,) = past.report().interruptions
    assert (
        found.mended
        and found.mended.end_number == 6
        and found.outcomes == {"FAILED": 2}
        and set(found.reasons) == {"one", "two"}
    )


def test_damage_is_mended_only_by_a_check_that_read_it_again(past: Past) -> None:
    def check(hours: int, result: str, part: int, full: datetime | None = None) -> None:
        run = past.run_id()
        past.wrote(NOW - hours * HOUR, "check.start", run=run, asset=None)
        body = {"result": result, "reason": None, "part": part, "parts": 3, "covered": 1, "findings": []}
        past.wrote(
            NOW - hours * HOUR + MINUTE, "check.end", run=run, asset=None, full_since=full and rfc3339(full), **body
        )

    snapshot = past.fine()
    assert past.report().answer.word == "Yes"
    check(9, "DAMAGED", 2)
    past.test(NOW - 8 * HOUR, snapshot)
    check(7, "CLEAN", 3)
    (found,) = past.report().interruptions
    assert found.mended is None and any("DAMAGED" in f.text for f in past.report().findings)
    check(6, "CLEAN", 2)
    (found,) = past.report().interruptions
    assert found.mended is not None and not past.report().findings


def test_damage_makes_its_assets_unproven_until_the_newest_snapshot_was_restored(past: Past) -> None:
    snapshot = past.fine()
    past.wrote(
        NOW - 9 * MINUTE,
        "check.end",
        run="c",
        asset=None,
        result="DAMAGED",
        reason="pack",
        part=1,
        parts=1,
        findings=[],
    )
    assert past.report().answer.word == "Not proven"
    past.test(NOW - 8 * MINUTE, snapshot, selected="oldest")
    assert past.report().answer.word == "Not proven"
    past.test(NOW - 7 * MINUTE, snapshot)
    assert past.report().answer.word == "Yes"


@pytest.mark.parametrize("found_by", ["check", "test"])
def test_what_was_stored_since_damage_was_found_counts_once_it_has_passed(
    past: Past, found_by: str, wording: SnapshotAssertion
) -> None:
    def now() -> tuple[str, float | None, float]:
        (asset,) = past.report().assets
        assert asset.rpo_now is not None
        return past.report().answer.word, asset.rpo_now.achieved_s, asset.completed.worst_s

    old = past.backup(NOW - 5 * HOUR)
    past.test(NOW - 4 * HOUR, old)
    if found_by == "check":
        body = {"result": "DAMAGED", "reason": "pack", "part": 1, "parts": 1, "findings": []}
        past.wrote(NOW - 3 * HOUR, "check.end", run="c", asset=None, **body)
    else:
        past.test(NOW - 3 * HOUR, "f" * 64, "FAIL", selected="ffff", damaged=True)
    new = past.backup(NOW - 30 * MINUTE)
    past.test(NOW - 20 * MINUTE, old, selected="oldest")
    word, lost, worst = now()
    assert word == "Not proven" and lost == worst == 5 * 3600
    steps = {f.step for f in past.report().findings if "RPO breached" in f.text}
    assert steps == wording and steps
    past.test(NOW - 10 * MINUTE, new)
    word, lost, worst = now()
    assert (word, lost) == ("Yes", 30 * 60) and worst < 5 * 3600


def test_in_a_damaged_repository_nothing_that_failed_is_an_older_state(past: Past) -> None:
    for hours in (6, 5):
        past.test(NOW - hours * HOUR + 30 * MINUTE, past.backup(NOW - hours * HOUR), "FAIL", damaged=True)
    past.backup(NOW - 30 * MINUTE)
    said = past.report().answer
    assert said.word == "No" and "cannot be restored" in said.sentence and "older state" not in said.sentence, said


@pytest.mark.parametrize(("older", "said"), [("PASS", "only an older state of"), ("FAIL", "no restore of"), (None, "no restore of")])  # fmt: skip
def test_an_older_state_is_promised_only_where_one_has_passed(past: Past, older: str | None, said: str) -> None:
    past.backup(NOW - 30 * HOUR)  # never tested: it counts as a backup, and shows nothing
    first, second = (past.backup(NOW - hours * HOUR) for hours in (4, 2))
    if older is not None:
        past.test(NOW - 3 * HOUR, first, older)
    past.test(NOW - HOUR, second, "FAIL")
    report = past.report()
    assert report.answer.word == "No" and said in report.answer.sentence.lower(), report.answer.sentence
    assert ("older state" in report.answer.sentence) is (older == "PASS")
