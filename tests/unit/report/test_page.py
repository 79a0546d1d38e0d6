"""What the page of a report says. What it looks like is in tests/e2e."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.pages import shape_of
from tests.support.past import DAY, HOUR, MINUTE, NOW, Past, written
from tests.support.schema import report_document
from tests.support.years import Centre, write_ledger, write_plans

from ccdr.host.state import State
from ccdr.model.values import human_seconds, rfc3339
from ccdr.telling.report import html, make_report, period_of
from ccdr.telling.report.choice import MOST_INTERRUPTIONS, MOST_TESTS


def test_numbers_say_what_they_are_of(past: Past, wording: SnapshotAssertion) -> None:
    """A test that failed took a time too, and what was at risk in the period is more than what is now."""
    snapshot = past.backup(NOW - 3 * DAY)
    past.test(NOW - 3 * DAY + HOUR, snapshot, took=900.0)
    snapshot = past.fine()
    report = past.report()
    assert report.answer.sentence == wording
    page = written(html(report))
    figures = dict(re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", page.replace("&#39;", "'")))
    slowest = figures["Slowest restore, compared with its RTO"]
    at_risk = figures["Most data at risk, compared with its RPO"]
    assert "40.0 s" in slowest and slowest == wording
    assert "1d 0h" in at_risk and at_risk == wording
    assert "largest share of its RTO" in slowest
    before = past.report(None, rfc3339(NOW - MINUTE))
    assert "29m 00s" in before.answer.sentence and before.answer.sentence == wording
    past.test(NOW - 5 * MINUTE, snapshot, "FAIL")
    assert "no test that passed was measured" in written(html(past.report()))


def test_a_restore_is_measured_though_its_test_failed_for_a_newer_backup_and_is_not_said_to_have_passed(
    past: Past,
) -> None:
    snapshot = past.fine()
    past.test(NOW - 20 * MINUTE, snapshot, "FAIL", own="PASS", newer_failed=True, took=4000.0)
    past.test(NOW - 10 * MINUTE, snapshot, "FAIL")
    report = past.report()
    head, row = cells(written(html(report)), 'id="c-objectives"')
    assert "Tests that passed" not in head
    assert dict(zip(head, row, strict=True))["Restores that were measured"].startswith("2 with throwaway settings")
    assert (
        "1 of 3 restore tests passed" in report.over_the_period
        and "restore tests that passed" not in report.over_the_period
    )


def test_now_and_the_period_have_a_sentence_each_true_by_itself(past: Past, wording: SnapshotAssertion) -> None:
    """What was once lost, failed and slow is well again now: the one does not say the other."""
    snapshot = past.backup(NOW - 5 * DAY)
    past.test(NOW - 5 * DAY + HOUR, snapshot, "FAIL")
    past.test(NOW - 4 * DAY, snapshot, "INCONCLUSIVE")
    past.fine()
    report = past.report(rfc3339(NOW - 5 * DAY))
    assert report.answer.word == "Yes" and "never" not in report.answer.sentence
    assert report.over_the_period == (wording)
    page = written(html(report))
    assert f"<b>Now:</b> {report.answer.sentence}" in page and f"<b>In the period:</b> {report.over_the_period}" in page
    answer = report_document(report)["answer"]
    assert answer["over_the_period"] == report.over_the_period and answer["sentence"] == report.answer.sentence
    assert "all of it" in page, "what was lost without any good backup is most of all"
    ended = past.report(rfc3339(NOW - DAY), rfc3339(NOW - HOUR))
    assert "<b>At the period&#39;s end:</b>" in written(html(ended))
    assert ended.over_the_period == wording
    assert "no restore test was carried out" in ended.over_the_period


def test_what_was_due_where_no_version_tells_is_not_known_and_not_nought(past: Past) -> None:
    past.fine()
    past.wrote(NOW - DAY, "missed", verb="backup", count=3, due=rfc3339(NOW - DAY), reason="asleep")
    report = past.report()
    row, page = (
        next(t for t in report_document(report)["population"]["tallies"] if t["what"] == "backup"),
        written(html(report)),
    )
    assert row["due"] is None and row["due_recorded"] == 99
    due, missed = re.findall(r"<td.*?</td>", page.partition(">backup</th>")[2])[:2]
    assert "not known" in due and 'class="num warn">3<' in missed
    past.wrote(NOW - 2 * HOUR, "sandbox.reap", plan=None, asset=None, removed=["one"])
    page = written(html(past.report()))
    assert page.count('<th scope="row">sandbox.reap</th>') == 1, "of no plan: counted once, and never due"
    assert 'sandbox.reap</th><td class="num nil">–' in page
    figures = dict(re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", page))
    assert "<b>3</b>" in figures["Missed"] and "what was due in the period is not known" in figures["Missed"]
    assert "3 of it are recorded as missed" in report.over_the_period


def test_what_tests_fetched_is_told_by_month_and_before_the_limit_is_reached(
    past: Past, wording: SnapshotAssertion
) -> None:
    snapshot = past.fine()
    for when, size in ((NOW - 40 * DAY, 5 * 2**20), (NOW - 2 * DAY, 70 * 2**20), (NOW - DAY, 12 * 2**20)):
        past.test(when, snapshot, bytes_restored=size)
    path = past.site.root / "plans/p.yaml"
    plain = path.read_text()
    for limit, near in (("200MiB", False), ("100MiB", True)):
        path.write_text(plain.replace("assets:", f"limits: {{fetch_per_month: {limit}}}\nassets:", 1))
        report = past.report()
        told = [f.text for f in report.findings if "allowed this month" in f.text]
        assert told == ([wording] if near else [])
    (plan,) = report_document(report)["plans"]
    assert plan["fetched_by_tests"]["by_month"] == {"2026-10": 5 * 2**20, "2026-11": 82 * 2**20}
    assert plan["fetched_by_tests"]["limit_per_month"] == 100 * 2**20
    _, row = cells(written(html(report)), 'id="c-fetched"')
    assert row[1:] == ["3", "87.0 MiB", "29.0 MiB", "2026-10: 5.0 MiB 2026-11: 82.0 MiB", "100.0 MiB"]


def cells(page: str, name: str) -> list[list[str]]:
    """The texts of a table's cells, row by row; it is found by its caption, or by what its region is called."""
    table = page[page.index(name) :].split("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in re.split(r"</t[hd]>", row)[:-1]] for row in rows
    ]


def test_the_page_tells_each_test_with_its_phases_and_checks(past: Past) -> None:
    good = past.backup(NOW - 3 * HOUR)
    checks = [
        {
            "kind": "identical",
            "name": "all files",
            "status": "PASS",
            "expected": "12 files",
            "actual": "12 files, equal",
        },
        {"kind": "rows", "name": "calls", "status": "FAIL", "expected": "≥ 900", "actual": "7"},
    ]
    failed = past.test(NOW - HOUR, good, "FAIL", checks=checks, phases={"fetch": 61.0, "load": 2.5, "check": 30.5})
    page = written(html(past.report()))
    head, first, second = cells(page, f"Checks of record {failed - 1}")
    assert head == ["Check", "Outcome", "Expected", "Actual"]
    assert (first[0], *first[2:]) == ("all files identical", "12 files", "12 files, equal") and "PASS" in first[1]
    assert (second[0], *second[2:]) == ("calls rows", "≥ 900", "7") and "FAIL" in second[1]
    _, *phases = cells(page, f"Phases of record {failed - 1}")
    assert [row[:2] for row in phases] == [
        [n, human_seconds(s)] for n, s in (("fetch", 61), ("load", 2.5), ("check", 30.5))
    ]
    assert re.findall(r"width:([\d.]+)%", page[page.index(f"Phases of record {failed - 1}") :])[:3] == [
        "100.0",
        "4.1",
        "50.0",
    ]


def test_the_page_tells_by_which_rule_each_asset_was_tested_last_and_what_never_was(past: Past) -> None:
    ids = [past.backup(NOW - n * HOUR) for n in (8, 7, 6)]
    past.test(NOW - 5 * HOUR, ids[2])
    past.test(NOW - 4 * HOUR, ids[0], "FAIL", selected="oldest")
    past.test(NOW - 3 * HOUR, ids[0], selected="oldest")
    head, row = cells(written(html(past.report())), 'id="c-coverage"')
    assert "By the log" not in head and "By its id" not in head
    past.test(NOW - 2 * HOUR, ids[2], selected="at")
    head, row = cells(written(html(past.report())), 'id="c-coverage"')
    told = dict(zip(head, row, strict=True))
    assert "PASS" in told["By the log"] and "By its id" not in told
    assert "PASS" in told["Newest snapshot"] and f"{NOW - 5 * HOUR:%H:%M}" in told["Newest snapshot"]
    assert "PASS" in told["Oldest snapshot"] and f"{NOW - 3 * HOUR:%H:%M}" in told["Oldest snapshot"]
    assert (told["At random"], told["Never restored"]) == ("never", "1 of 3 kept")


def test_what_does_not_fit_is_counted_and_never_silently_cut(past: Past) -> None:
    snapshot = past.fine()
    for n in range(MOST_TESTS + 30):
        past.test(NOW - (n + 70) * MINUTE, snapshot)
    bad = past.test(NOW - 30 * HOUR, snapshot, "INCONCLUSIVE")
    report = past.report()
    page = written(html(report))
    assert f"{MOST_TESTS} of the period's {MOST_TESTS + 32} tests" in page.replace("\n", " ")
    assert page.count('<details class="test"') == MOST_TESTS and f"to {bad}, run" in page, (
        "what did not pass is always there"
    )
    assert len(report_document(report)["tests"]) == MOST_TESTS + 32


def test_a_year_of_failures_is_one_line(past: Past) -> None:
    for n in range(MOST_INTERRUPTIONS + 5):
        past.backup(NOW - (n + 2) * MINUTE, timedelta(0), failed="no room")
    report = past.report()
    (found,) = report.interruptions
    assert found.count == MOST_INTERRUPTIONS + 5 and f"(×{found.count})" in written(html(report))


def test_years_of_a_centre_fold_into_what_was_made(tmp_path: Path) -> None:
    centre = Centre(2, 3, NOW, 60, 6 * HOUR, 3 * DAY)
    write_plans(centre, tmp_path)
    site = Site(tmp_path)
    State(site.state).directory()
    count = write_ledger(centre, site.state / "ledger")
    plans = [site.loaded(centre.plan_name(n)) for n in range(2)]
    report = make_report(plans, site.services(Clock()), period_of("2026-01-01", None, NOW), named=(), command="x")
    assert report.ledger.verification.ok and report.ledger.verification.records == count
    starts = sum(run.end_number is not None and run.end_number != run.number for run in report.runs)
    assert count == 2 * starts + (len(report.runs) - starts)
    assert len(report.assets) == 6 and all(a.timings for a in report.assets)
    shape_of(written(html(report)))
