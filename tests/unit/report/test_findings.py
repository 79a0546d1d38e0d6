"""What a report finds wrong, with what to do next and whose it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.past import DAY, HOUR, MINUTE, NOW, Past, written
from tests.support.schema import report_document

from ccdr.model.trouble import Level
from ccdr.telling.report import Report, html


@pytest.mark.parametrize(
    ("how", "word", "said"),
    [("missing", "No", "not there"), ("closed", "No", "did not open"), ("unavailable", "Not proven", "did not answer")],
)
@pytest.mark.parametrize("verb", ["backup", "test"])
def test_without_its_repository_nothing_can_be_brought_back(
    past: Past, how: str, word: str, said: str, verb: str
) -> None:
    """Every snapshot of it was proven, and none can be had: the newest run knows better than they."""
    proven = past.fine()
    assert past.report().answer.word.startswith("Yes")
    if verb == "backup":
        past.backup(NOW - 5 * MINUTE, failed="there is no repository", repository=how)
    else:
        past.test(NOW - 5 * MINUTE, proven, "INCONCLUSIVE", repository=how)
    found = past.report()
    assert found.answer.word == word and said in found.answer.sentence
    assert "older state" not in found.answer.sentence
    assert any(f.step and "ccdr doctor p" in f.step for f in found.findings)
    past.backup(NOW - MINUTE, took=timedelta(seconds=9))
    assert past.report().answer.word.startswith("Yes"), "it is there again"


def test_a_source_that_is_not_to_be_had_is_no_trouble_of_the_repository(past: Past) -> None:
    past.fine()
    past.backup(NOW - 5 * MINUTE, failed="the server does not answer")
    assert past.report().answer.word.startswith("Yes")


def test_a_finding_has_its_next_step_and_a_plan_its_owner(past: Past, wording: SnapshotAssertion) -> None:
    past.fine()
    past.wrote(NOW - 5 * MINUTE, "backup.start", run="broken")
    past.wrote(NOW - 5 * MINUTE, "backup.end", run="broken", result="FAILED", reason="disk <full>", findings=[])
    now = past.report()
    (found,) = now.findings
    assert found.as_json()["next_step"] == (wording)
    page = written(html(now))
    assert "<code>ccdr backup p --asset " in page
    assert "<td>A test</td>" in page and "<td>ops@example.test</td>" in page
    later = past.report(last="2026-11-24T11:59:00Z")
    assert later.findings and "Next:" not in written(html(later)), "what was wrong then is no task of today"


def test_a_breach_in_the_period_is_a_finding_though_all_is_well_now(past: Past) -> None:
    past.backup(NOW - 3 * DAY)
    past.fine()
    report = past.report()
    assert report.answer.word == "Yes" and report.exit_code == 1
    assert [f.level for f in report.findings] == [Level.NOTE] and "more than its RPO" in report.findings[0].text
    assert past.report((NOW - 40 * HOUR).isoformat()).exit_code == 0, "it was before this period"


def cared_for(report: Report) -> list[str]:
    return [f.text for f in report.plans[0].findings]


def test_upkeep_that_came_due_twice_and_was_not_done_is_a_finding(past: Past, wording: SnapshotAssertion) -> None:
    past.fine()  # for two days
    past.upkeep('{prune: "0 5 * * *", check: "0 6 * * *"}')
    assert cared_for(past.report()) == wording
    past.upkeep('{prune: "0 5 * * *", check: "0 6 * * *"}', "retention: {keep_within: 35d}")
    report = past.report()
    assert cared_for(report) == wording
    assert report.answer.word == "Yes" and "2 things are not as the plans want" in report.answer.sentence
    past.wrote(NOW - 40 * MINUTE, "prune.end", run="u", asset=None, result="DONE", reason=None, findings=[])
    past.wrote(NOW - 30 * MINUTE, "check.end", run="v", asset=None, result="CLEAN", reason=None, part=1, parts=2)
    assert cared_for(past.report()) == []
    yesterday = (NOW - DAY).date().isoformat()
    assert cared_for(past.report(None, yesterday)) == [], "by then each had come due but once"


def test_upkeep_that_is_another_hosts_is_no_finding(past: Past, wording: SnapshotAssertion) -> None:
    past.upkeep('{prune: "0 5 * * *", check: "0 6 * * *"}', "retention: {keep_within: 35d}")
    past.wrote(NOW - 9 * DAY, "duties", asset=None, verbs=["backup", "test", "check"], reason="-")
    past.fine()
    assert cared_for(past.report()) == wording
    past.wrote(NOW - DAY, "duties", asset=None, verbs=["backup", "test", "prune"], reason="-")
    assert cared_for(past.report()) == [], "the check is no longer its own to do, the prune has come due once"


def test_a_broken_ledger_is_said_first(past: Past) -> None:
    past.fine()
    (file,) = (past.site.state / "ledger").glob("*.jsonl")
    file.write_text(file.read_text().replace('"added_bytes":10', '"added_bytes":11', 1))
    report = past.report()
    assert report.answer.word == "Not proven" and report.exit_code == 1 and not report_document(report)["ledger"]["ok"]
    page = written(html(report))
    assert page.index("does not verify") < page.index("be brought back?</h2>")


def test_which_snapshots_were_never_restored(past: Past) -> None:
    ids = [past.backup(NOW - n * HOUR) for n in (5, 4, 3, 2)]
    past.test(NOW - HOUR, ids[1], selected="random")
    past.wrote(NOW - 30 * MINUTE, "prune.end", run="x", asset=None, result="DONE", findings=[], repository_bytes=7,
               removed=[{"asset": "recordings", "id": ids[0]}, {"asset": "recordings", "id": ids[1]}])  # fmt: skip
    (asset,) = past.report().assets
    assert [key for key, _ in asset.untested] == [ids[3], ids[2]] and asset.kept == 2 and asset.removed_untested == 1
    assert set(asset.by_rule) == {"random"} and past.report().plans[0].growth.now == 7
