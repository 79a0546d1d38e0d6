"""What a shipped log adds to the exposure that a report tells: from which base, up to where, and when not."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.support.past import HOUR, MINUTE, NOW, Past

from ccdr.evidence.log_standing import LogStanding, write_standing
from ccdr.model.measure import Point
from ccdr.model.trouble import Level
from ccdr.model.values import rfc3339


def shipped_hour(
    past: Past,
    since: datetime,
    *,
    gaps: list[dict[str, str]] | None = None,
    trouble: str | None = None,
    vanished: bool = False,
    anew: bool = False,
) -> None:
    """The record of an hour's log: a point each minute, usable three seconds later."""
    points = [[60.0 * n, 60.0 * n + 3] for n in range(60)]
    past.wrote(since + HOUR, "log.shipped", run=past.run_id(), since=rfc3339(since), points=points, snapshots=60,
               added_bytes=1, gaps=gaps or [], trouble=trouble, findings=[], vanished=vanished, anew=rfc3339(since + HOUR) if anew else None)  # fmt: skip


def test_a_shipped_log_is_what_the_rpo_is_achieved_by(past: Past) -> None:
    past.backup(NOW - 5 * HOUR)
    for hours in (4, 3, 2, 1):
        shipped_hour(past, NOW - hours * HOUR)
    report = past.report(rfc3339(NOW - 3 * HOUR), rfc3339(NOW - MINUTE))
    (asset,) = report.assets
    assert asset.completed.worst_s == 63.0
    assert not [run for run in report.runs if run.verb.startswith("log")], "hours that went well are no rows"


def test_log_behind_a_gap_counts_from_the_next_base_on(past: Past) -> None:
    past.backup(NOW - 6 * HOUR)
    shipped_hour(past, NOW - 5 * HOUR)
    shipped_hour(past, NOW - 4 * HOUR, gaps=[{"after": "a", "before": "c"}], trouble="log is missing")
    shipped_hour(past, NOW - 3 * HOUR)  # of no use: no base lies behind the gap
    past.backup(NOW - 2 * HOUR)
    shipped_hour(past, NOW - HOUR)
    report = past.report(rfc3339(NOW - 5 * HOUR), rfc3339(NOW))
    (asset,) = report.assets
    assert asset.completed.worst_s == pytest.approx(2 * 3600 + 120, abs=120)
    assert [run.reason for run in report.runs if run.verb.startswith("log")] == ["log is missing"]


def test_log_that_failed_stays_red_and_does_not_count_until_it_has_passed(past: Past) -> None:
    """Its base is as good as it was; a newer one leads on anew."""
    past.site.plan(
        "recordings:\n  engine: postgres\n  method: physical\n  log_shipping: {interval: 60s}\n"
        "  connection: {host: /nowhere, user: postgres, database: postgres}"
    )
    first = past.backup(NOW - 5 * HOUR)
    shipped_hour(past, NOW - 4 * HOUR)
    shipped_hour(past, NOW - 3 * HOUR)
    period = rfc3339(NOW - 4 * HOUR), rfc3339(NOW)

    def by_log(when: datetime, verdict: str) -> None:
        recovery = {"target": "latest", "verdict": verdict, "until": rfc3339(when), "reached": None}
        said = {"id": first, "verdict": "PASS" if verdict == "PASS" else None, "selected": "at", "bytes": 5}
        said["consistent_point"] = rfc3339(NOW - 5 * HOUR)
        past.wrote(when, "restore_test.end", run=past.run_id(), verdict=verdict, reason="it broke", snapshot=said,
                   recovery=recovery, rto={"achieved_s": 9.0, "basis": "throwaway"})  # fmt: skip

    past.test(NOW - 2 * HOUR, first)
    (asset,) = past.report(*period).assets
    assert asset.completed.worst_s < 3 * 3600 and asset.level is not Level.LOST
    by_log(NOW - 110 * MINUTE, "FAIL")
    past.test(NOW - 100 * MINUTE, first)  # which proves the base, and nothing of its log
    report = past.report(*period)
    (asset,) = report.assets
    assert asset.completed.worst_s == 5 * 3600 and report.answer.word == "No", report.answer
    assert "its recovery by the log of 2026-" in report.answer.sentence.lower() and "it broke" in report.answer.sentence
    past.backup(NOW - 90 * MINUTE)
    shipped_hour(past, NOW - HOUR)
    (asset,) = past.report(*period).assets
    assert asset.level is Level.LOST and asset.completed.worst_s == pytest.approx(3.5 * 3600, abs=120)
    by_log(NOW - 5 * MINUTE, "PASS")
    (asset,) = past.report(*period).assets
    assert asset.level is not Level.LOST and asset.completed.worst_s < 3 * 3600


@pytest.mark.parametrize(("needed", "counts"), [("a", False), ("b", False), ("c", True), ("d", True), (None, False)])
def test_a_gap_tears_what_lies_before_the_base_that_begins_behind_it(
    past: Past, needed: str | None, counts: bool
) -> None:
    """Whether it is told while that base is being stored, or after it was."""
    gap: list[dict[str, str]] = [{"after": "a", "before": "c"}]

    def within(first: datetime) -> float:
        for minutes in (120, 60):
            shipped_hour(past, NOW - minutes * MINUTE)
        (asset,) = past.report(rfc3339(first), rfc3339(NOW)).assets
        assert asset.rpo_now
        return asset.rpo_now.achieved_s

    past.backup(NOW - 7 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 6 * HOUR)
    past.backup(
        NOW - 4 * HOUR, HOUR, said={"needed_from": needed}, during=lambda: shipped_hour(past, NOW - 5 * HOUR, gaps=gap)
    )
    found = within(NOW - 7 * HOUR)
    assert (found < 120) == counts and (counts or found == 4 * 3600)


@pytest.mark.parametrize(("needed", "counts"), [("b", False), ("c", True), ("d", True)])
def test_a_gap_that_is_told_late_tears_nothing_of_a_base_behind_it(past: Past, needed: str, counts: bool) -> None:
    past.backup(NOW - 7 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 6 * HOUR)
    past.backup(NOW - 4 * HOUR, said={"needed_from": needed})
    shipped_hour(past, NOW - 3 * HOUR, gaps=[{"after": "a", "before": "c"}])
    for hours in (2, 1):
        shipped_hour(past, NOW - hours * HOUR)
    (asset,) = past.report(rfc3339(NOW - 6 * HOUR), rfc3339(NOW)).assets
    assert asset.rpo_now and (asset.rpo_now.achieved_s < 120) == counts
    assert asset.completed.worst_s == pytest.approx((3600 if counts else 4 * 3600) + 120, abs=180)


@pytest.mark.parametrize("vanished", [True, False])
@pytest.mark.parametrize("behind", [True, False])
def test_log_that_vanished_counts_no_more(past: Past, *, vanished: bool, behind: bool) -> None:
    """Up to a gap one could still go, if the log before it is there; and a base behind it leads on in any case."""
    past.backup(NOW - 7 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 6 * HOUR)
    shipped_hour(past, NOW - 5 * HOUR)
    if behind:
        past.backup(NOW - 4 * HOUR, said={"needed_from": "c"})
        shipped_hour(past, NOW - 3 * HOUR)
    shipped_hour(past, NOW - 2 * HOUR, gaps=[{"after": "a", "before": "c"}], vanished=vanished)
    (asset,) = past.report(rfc3339(NOW - 6 * HOUR), rfc3339(NOW)).assets
    lost = HOUR + MINUTE if behind else 7 * HOUR if vanished else 4 * HOUR + MINUTE
    assert asset.rpo_now and asset.rpo_now.achieved_s == lost.total_seconds()


BACK = [{"after": "f", "before": "c"}]


@pytest.mark.parametrize(("anew", "at", "counts"), [
    (False, "before", True), (True, "before", False), (True, "during", False), (True, "after", True),
])  # fmt: skip
def test_log_of_a_source_that_went_back_counts_from_bases_since_then_alone(
    past: Past, *, anew: bool, at: str, counts: bool
) -> None:
    """Whatever their segment: names say nothing of which history a base is. What was stored up to then counts."""

    def back() -> None:
        shipped_hour(past, NOW - 5 * HOUR, gaps=BACK, anew=anew)

    past.backup(NOW - 7 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 6 * HOUR)
    if at == "after":
        back()
    taken = NOW - 4 * HOUR + (MINUTE if at == "after" else -MINUTE)
    past.backup(taken, said={"needed_from": "d"}, during=back if at == "during" else lambda: None)
    if at == "before":
        back()
    for hours in (3, 2, 1):
        shipped_hour(past, NOW - hours * HOUR)
    home = past.site.services(past.clock).state.directory("shipping", "p", "recordings")
    point = NOW - MINUTE
    write_standing(home, LogStanding(since="c", point=point, usable=point, pending=(Point(point, point),)))
    (asset,) = past.report(rfc3339(NOW - 6 * HOUR), rfc3339(NOW)).assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == (60.0 if counts else (NOW - taken).total_seconds())
    if at == "after":
        (asset,) = past.report(rfc3339(NOW - 5 * HOUR), rfc3339(taken + MINUTE)).assets
        assert asset.completed.worst_s < 300


def test_a_gap_that_was_told_with_it_is_none_of_the_log_behind_a_source_that_went_back(past: Past) -> None:
    past.backup(NOW - 7 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 6 * HOUR, gaps=[{"after": "e", "before": "h"}, *BACK], anew=True)
    past.backup(NOW - 4 * HOUR, said={"needed_from": "d"})
    shipped_hour(past, NOW - HOUR)
    report = past.report(rfc3339(NOW - 6 * HOUR), rfc3339(NOW))
    (asset,) = report.assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == 60.0
    assert asset.completed.worst_s == pytest.approx(3 * 3600, abs=120), "of its points nobody knows where they lie"


def test_what_was_stored_since_the_last_record_counts_from_a_base_that_it_begins_before(past: Past) -> None:
    past.backup(NOW - 7 * HOUR, said={"needed_from": "b"})
    past.wrote(NOW - 30 * MINUTE, "log.shipped", run=past.run_id(), since=rfc3339(NOW - HOUR), points=[], snapshots=0,
               added_bytes=0, gaps=[], trouble=None, findings=[])  # fmt: skip
    home, point = past.site.services(past.clock).state.directory("shipping", "p", "recordings"), NOW - 2 * MINUTE
    for since, achieved in (("a", 120.0), ("b", 120.0), ("c", 7 * 3600.0), (None, 7 * 3600.0)):
        write_standing(home, LogStanding(since=since, point=point, usable=point, pending=(Point(point, point),)))
        (asset,) = past.report().assets
        assert asset.rpo_now and asset.rpo_now.achieved_s == achieved, since


def test_no_log_that_stands_still_is_made_alive_for_a_report_either(past: Past) -> None:
    """Its last record is of two days ago, and somebody has written that it was stored a minute ago."""
    past.backup(NOW - 72 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 49 * HOUR)
    home, now = past.site.services(past.clock).state.directory("shipping", "p", "recordings"), NOW - MINUTE
    for point in (now, NOW - 47 * HOUR):
        pending = (Point(point, point), Point(now, NOW - 47 * HOUR))
        write_standing(home, LogStanding(since="a", point=now, usable=now, pending=pending))
        (asset,) = past.report(rfc3339(NOW - 71 * HOUR), rfc3339(NOW)).assets
        assert asset.rpo_now and asset.rpo_now.achieved_s and asset.rpo_now.achieved_s > 46 * 3600


def test_what_no_record_tells_of_a_log_is_believed_for_two_hours(past: Past) -> None:
    """What is shipped is recorded each hour: who writes that it never stopped makes no past better."""
    past.backup(NOW - 72 * HOUR, said={"needed_from": "a"})
    shipped_hour(past, NOW - 70 * HOUR)
    home = past.site.services(past.clock).state.directory("shipping", "p", "recordings")
    never_stopped = tuple(Point(NOW - n * MINUTE, NOW - n * MINUTE) for n in range(70 * 60, 0, -1))
    write_standing(home, LogStanding(since="a", point=never_stopped[-1].consistent, usable=NOW, pending=never_stopped))
    (asset,) = past.report(rfc3339(NOW - 71 * HOUR), rfc3339(NOW)).assets
    assert asset.completed.worst_s > 60 * 3600


@pytest.mark.parametrize(("own", "gap", "counts"), [("PASS", True, True), ("FAIL", True, False), ("FAIL", False, True)])
def test_log_counts_from_a_good_base_that_leads_on_to_it(past: Past, own: str, *, gap: bool, counts: bool) -> None:
    """A base that is disproved leads nowhere; without a gap the log goes on from the one before it."""
    past.backup(NOW - 7 * HOUR, said={"needed_from": "a"})
    gaps = [{"after": "a", "before": "c"}] if gap else []
    shipped_hour(past, NOW - 6 * HOUR, gaps=gaps)
    behind = past.backup(NOW - 4 * HOUR, said={"needed_from": "c"})
    past.test(NOW - 230 * MINUTE, behind, own)
    for hours in (3, 2, 1):
        shipped_hour(past, NOW - hours * HOUR)
    (asset,) = past.report(rfc3339(NOW - 6 * HOUR), rfc3339(NOW)).assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == (60.0 if counts else 7 * 3600.0)


def by_log(past: Past, when: datetime, base: str, taken: datetime, verdict: str, target: str = "latest",
           until: datetime | None = None) -> None:  # fmt: skip
    """A recovery by the log from a base, to its end."""
    recovery = {"target": target, "verdict": verdict, "until": rfc3339(until or when), "reached": None}
    said = {"id": base, "verdict": "PASS" if verdict == "PASS" else None, "selected": "at", "bytes": 5}
    past.wrote(when, "restore_test.end", run=past.run_id(), verdict=verdict, reason="it broke",
               snapshot={**said, "consistent_point": rfc3339(taken)}, recovery=recovery,
               rto={"achieved_s": 9.0, "basis": "throwaway"})  # fmt: skip


@pytest.mark.parametrize("again", ["newer", "same", "not as far"])
def test_log_that_failed_is_taken_back_by_none_but_a_pass_that_goes_through_it(past: Past, again: str) -> None:
    """That the log of a newer base passes says nothing of the log before it."""
    first, hours = past.backup(NOW - 8 * HOUR), (7, 6, 5)
    for n in hours:
        shipped_hour(past, NOW - n * HOUR)
    by_log(past, NOW - 230 * MINUTE, first, NOW - 8 * HOUR, "FAIL")
    newer = past.backup(NOW - 220 * MINUTE)
    for n in (3, 2, 1):
        shipped_hour(past, NOW - n * HOUR)
    if again == "newer":
        by_log(past, NOW - 5 * MINUTE, newer, NOW - 220 * MINUTE, "PASS")
    elif again == "same":
        by_log(past, NOW - 5 * MINUTE, first, NOW - 8 * HOUR, "PASS")
    else:
        by_log(past, NOW - 5 * MINUTE, first, NOW - 8 * HOUR, "PASS", "t", until=NOW - 6 * HOUR)
    (asset,) = past.report(rfc3339(NOW - 7 * HOUR), rfc3339(NOW)).assets
    lost = (480 - 220 + 1) * 60.0 if again != "same" else 61 * 60.0
    assert asset.completed.worst_s == pytest.approx(lost, abs=120)
    assert asset.rpo_now and asset.rpo_now.achieved_s < 120, "the newer base's log is good"


def test_a_base_that_was_being_stored_when_its_log_failed_leads_on_once_it_has_passed(past: Past) -> None:
    first = past.backup(NOW - 8 * HOUR)
    for n in (7, 6, 5, 4, 3, 2, 1):
        shipped_hour(past, NOW - n * HOUR)
    second = past.backup(NOW - 130 * MINUTE, 20 * MINUTE)
    by_log(past, NOW - 2 * HOUR, first, NOW - 8 * HOUR, "FAIL")
    (asset,) = past.report(rfc3339(NOW - 7 * HOUR), rfc3339(NOW)).assets
    assert asset.rpo_now and asset.rpo_now.achieved_s > 2 * 3600
    by_log(past, NOW - 5 * MINUTE, second, NOW - 130 * MINUTE, "PASS")
    (asset,) = past.report(rfc3339(NOW - 7 * HOUR), rfc3339(NOW)).assets
    assert asset.rpo_now and asset.rpo_now.achieved_s < 120
    assert asset.completed.worst_s == pytest.approx((480 - 120) * 60, abs=700)


def test_log_without_a_base_is_worth_nothing(past: Past) -> None:
    shipped_hour(past, NOW - 2 * HOUR)
    past.backup(NOW - 10 * MINUTE)
    (asset,) = past.report(rfc3339(NOW - 3 * HOUR), rfc3339(NOW)).assets
    assert asset.completed.since == NOW - 9 * MINUTE
