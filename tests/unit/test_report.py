"""What a report says of a ledger: the population, the measures, the answer. What it looks like is in tests/e2e."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.catalogued import catalogued
from tests.support.chronicle import DISPOSED, PASSED, Chronicle
from tests.support.clocks import Clock
from tests.support.drawn import examples
from tests.support.harness import Site
from tests.support.older import append_older
from tests.support.years import Centre, write_ledger, write_plans

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.log_standing import LogStanding, write_standing
from ccdr.host.state import State
from ccdr.model.errors import UsageProblem
from ccdr.model.measure import Point, worst_exposure, worst_exposures
from ccdr.model.trouble import Level
from ccdr.model.values import FileDigest, Manifest, human_seconds, rfc3339, source_digest
from ccdr.storage.catalogue import manifest_text, snapshot_of
from ccdr.telling.report import Period, Report, csv_text, html, json_lines, make_report, period_of, reading
from ccdr.telling.report.choice import MOST_INTERRUPTIONS, MOST_TESTS
from ccdr.telling.report.evidence import Evidence
from ccdr.telling.report.growth import growth
from ccdr.telling.report.population import COLUMNS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


class Past:
    """A site whose ledger is written by hand, at any time."""

    def __init__(self, root: Path) -> None:
        self.site, self.clock, self._number = Site(root), Clock(), 0
        self.site.recordings(root / "spool")
        self.upkeep("{prune: 0 5 1 1 *, check: 0 6 1 1 *}")
        State(self.site.state).directory()  # of today's format
        self.ledger = Ledger(self.site.state / "ledger", self.clock, host="h", actor="a")

    def upkeep(self, when: str, retention: str = "") -> None:
        """The plan's `upkeep:`, and its `retention:`."""
        path = self.site.root / "plans" / "p.yaml"
        lines = [x for x in path.read_text().splitlines() if not x.startswith(("upkeep:", "retention:"))]
        at = lines.index("assets:")
        path.write_text(
            "\n".join([*lines[:at], f"upkeep: {when}", *([retention] if retention else []), *lines[at:], ""])
        )

    def wrote(self, when: datetime, kind: str, *, run: str | None = None, asset: str | None = "recordings",
              plan: str | None = "p", **body: Any) -> int:  # fmt: skip
        self.clock.at = when
        ref = append_older(self.ledger, kind, plan=plan, asset=asset, run=run, body=body)
        self.clock.at = NOW
        return ref.seq

    def run_id(self) -> str:
        self._number += 1
        return f"r{self._number}"

    def backup(self, when: datetime, took: timedelta = MINUTE, *, asset: str = "recordings", plan: str = "p",
               failed: str | None = None, added: int = 10, scheduled: bool = True, said: dict[str, Any] | None = None,
               during: Callable[[], object] = lambda: None, **more: Any) -> str:  # fmt: skip
        """A backup that began at `when`; the id of what it stored."""
        run = self.run_id()
        snapshot = sha256(run.encode()).hexdigest()
        trigger = {"by": "run", "due": rfc3339(when)} if scheduled else {"by": "command"}
        self.wrote(when, "backup.start", run=run, asset=asset, plan=plan, trigger=trigger)
        during()
        stored = {"id": snapshot, "consistent_point": rfc3339(when), "bytes": 5, "manifest_sha256": "m", **(said or {})}
        self.wrote(
            when + took, "backup.end", run=run, asset=asset, plan=plan, result="FAILED" if failed else "STORED", reason=failed,
            snapshot=None if failed else stored, added_bytes=added, findings=[], phases={"store": 1.5},
            **{"beside_source": None, **more},
        )  # fmt: skip
        return snapshot

    def test(self, when: datetime, snapshot: str, verdict: str = "PASS", *, own: str | None = None, took: float = 40.0,
             selected: str = "latest", basis: str = "throwaway", plan: str = "p", **more: Any) -> int:  # fmt: skip
        run = self.run_id()
        self.wrote(when, "restore_test.start", run=run, plan=plan, trigger={"by": "command"})
        checks = [{"kind": "identical", "name": "all files", "status": own or verdict, "expected": "0", "actual": "0"}]
        body = {
            "verdict": verdict, "reason": None if verdict == "PASS" else "it broke",
            "snapshot": {"id": snapshot, "verdict": own or verdict, "selected": selected, "consistent_point": rfc3339(when), "bytes": 5},
            "phases": {"fetch": 1.0, "load": 2.0}, "checks": checks, "findings": [],
            "rto": {"objective_s": 1800, "achieved_s": took if "PASS" in (verdict, own) else None, "basis": basis, "verdict": "MET"},
        }  # fmt: skip
        return self.wrote(when + MINUTE, "restore_test.end", run=run, plan=plan, **{**body, **more})

    def fine(self) -> str:
        """Backed up each half hour for two days, the newest but one tested."""
        snapshot = ""
        for halves in range(96, 1, -1):
            snapshot = self.backup(NOW - halves * 30 * MINUTE)
        self.test(NOW - 50 * MINUTE, snapshot)
        self.backup(NOW - 30 * MINUTE)
        return snapshot

    def report(self, first: str | None = None, last: str | None = None, *, named: tuple[str, ...] = ()) -> Report:
        services = self.site.services(self.clock)
        catalogued(services, self.site.loaded())
        period = period_of(first, last, NOW)
        return make_report([self.site.loaded()], services, period, named=named, command="ccdr report")


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def written(pieces: Iterator[bytes]) -> str:
    """Without what each cell says of its column, which is for narrow windows."""
    return re.sub(r' data-label="[^"]*"', "", b"".join(pieces).decode())


def rows_of(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(csv_text(report)), newline="")))


# --- a repository that is not to be had ------------------------------------------------------------------------


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


# --- what to do, and who ---------------------------------------------------------------------------------------


def test_a_finding_has_its_next_step_and_a_plan_its_owner(past: Past) -> None:
    past.fine()
    past.wrote(NOW - 5 * MINUTE, "backup.start", run="broken")
    past.wrote(NOW - 5 * MINUTE, "backup.end", run="broken", result="FAILED", reason="disk <full>", findings=[])
    now = past.report()
    (found,) = now.findings
    assert found.as_json()["next_step"] == ("`ccdr doctor p` looks for why; then `ccdr backup p --asset recordings`")
    page = written(html(now))
    assert "<code>ccdr backup p --asset recordings</code>" in page
    assert "<td>A test</td><td>ops@example.test</td>" in page
    later = past.report(last="2026-11-24T11:59:00Z")
    assert later.findings and "Next:" not in written(html(later)), "what was wrong then is no task of today"


# --- the period ------------------------------------------------------------------------------------------------


def test_a_date_is_the_whole_day_and_the_default_is_90_days() -> None:
    period = period_of("2026-11-01", "2026-11-02", NOW)
    assert (period.start, period.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert not period.until_now
    default = period_of(None, None, NOW)
    assert (default.start, default.end, default.until_now) == (NOW - 90 * DAY, NOW, True)
    assert period_of(None, "2026-11-02", NOW).start == datetime(2026, 11, 3, tzinfo=UTC) - 90 * DAY


def test_a_period_may_begin_so_long_before_its_end() -> None:
    assert period_of("7d", None, NOW) == Period(NOW - 7 * DAY, NOW, True)
    assert period_of("12h", "2026-11-02", NOW).start == datetime(2026, 11, 2, 12, tzinfo=UTC)
    for wrong in ("0d", "7", "7w", "999999999d"):
        with pytest.raises(UsageProblem) as caught:
            period_of(wrong, None, NOW)
    with pytest.raises(UsageProblem):
        period_of(None, "7d", NOW)
    for text in re.findall(r"[-\dTZ:]{10,}|\d+d", str(caught.value.hint)):
        assert period_of(text, None, NOW), "what the hint suggests is understood"


def test_an_end_to_come_is_now() -> None:
    assert period_of("2026-11-01", "2030-01-01", NOW) == Period(datetime(2026, 11, 1, tzinfo=UTC), NOW, True)


@pytest.mark.parametrize(
    ("first", "last"),
    [("soon", None), (None, "2026-13-01"), ("2026-11-02T10:00:00", None), ("2026-11-02", "2026-11-01"), ("", None),
     ("2030-01-01", None), ("2026-11-24T12:00:00Z", None), (None, "0001-01-01T00:00:00+14:00"), ("2026-11-1", None)],
)  # fmt: skip
def test_what_is_no_period_is_a_mistake_of_the_command_line(first: str | None, last: str | None) -> None:
    with pytest.raises(UsageProblem) as caught:
        period_of(first, last, NOW)
    assert caught.value.hint


@pytest.mark.parametrize("option", ["--from", "--since"])
@pytest.mark.parametrize(("said", "to"), [("soon", None), ("999999999d", None), ("2026-11-02", "2026-11-01")])
def test_a_mistake_in_a_periods_begin_names_the_option_that_was_given(
    option: str, said: str, to: str | None, past: Past
) -> None:
    done = past.site.run("report", option, said, *(["--to", to] if to else []))
    other = {"--from": "--since", "--since": "--from"}[option]
    told = f"{done.json['error']} {done.json['hint']}"
    assert done.code == 2 and option in told and other not in told, done


def test_a_period_begins_once(past: Past) -> None:
    assert past.site.run("report", "--from", "2026-11-01", "--since", "7d").code == 2
    past.fine()
    (one, other) = (past.site.run("report", option, "2026-11-01").json["period"] for option in ("--from", "--since"))
    assert one["from"] == other["from"] == "2026-11-01T00:00:00Z"


@given(st.datetimes(datetime(2015, 1, 1), datetime(2026, 1, 1)), st.floats(0.001, 4000), st.integers(2, 120))
def test_parts_cover_the_period_without_gaps(start: datetime, days: float, most: int) -> None:
    period = Period(start.replace(tzinfo=UTC), start.replace(tzinfo=UTC) + timedelta(days=days), True)
    edges = period.edges(most)
    assert edges[0] == period.start and edges[-1] == period.end
    assert edges == sorted(set(edges)) and len(edges) <= most + 3


# --- the measures ----------------------------------------------------------------------------------------------

moments = st.integers(0, 10_000)
points_of = st.lists(st.builds(lambda c, took: Point(NOW + timedelta(seconds=c), NOW + timedelta(seconds=c + took)), moments, st.integers(-50, 500)), max_size=12)  # fmt: skip


@given(points_of, st.lists(moments, min_size=2, max_size=8, unique=True))
def test_parts_have_the_worst_exposure_of_each_and_the_period_the_worst_of_all(
    points: list[Point], at: list[int]
) -> None:
    edges = [NOW + timedelta(seconds=second) for second in sorted(at)]
    parts = worst_exposures(edges, points)
    for begin, end, worst in zip(edges, edges[1:], parts, strict=False):
        assert worst == worst_exposure(begin, end, points)
    assert worst_exposure(edges[0], edges[-1], points) == max(parts)


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
               added_bytes=1, gaps=gaps or [], trouble=trouble, findings=[], vanished=vanished, anew=anew)  # fmt: skip


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


def test_exposure_is_given_over_completed_and_over_tested_backups(past: Past) -> None:
    start = NOW - 4 * DAY
    first = past.backup(start)
    past.test(start + HOUR, first)
    for hours in range(1, 96):
        last = past.backup(start + hours * HOUR)
    past.test(NOW - 30 * MINUTE, last)
    (asset,) = past.report().assets
    assert (
        asset.completed.worst_s == 3660 and asset.completed.since == start + MINUTE
    )  # usable(next) - consistent(previous)
    assert asset.tested.worst_s == (95 * HOUR + MINUTE).total_seconds()
    assert asset.rpo and asset.rpo.verdict == "BREACHED"


def test_a_failed_backup_widens_the_gap_and_a_disproved_one_drops_out(past: Past) -> None:
    past.backup(NOW - 5 * HOUR)
    past.backup(NOW - 4 * HOUR, failed="disk full")
    bad = past.backup(NOW - 3 * HOUR)
    past.backup(NOW - 2 * HOUR)
    assert past.report().assets[0].completed.worst_s == 2 * 3600 + 60
    past.test(NOW - HOUR, bad, "FAIL")
    assert past.report().assets[0].completed.worst_s == 3 * 3600 + 60
    past.test(NOW - HOUR, bad, "PASS")  # the latest verdict on it holds
    assert past.report().assets[0].completed.worst_s == 2 * 3600 + 60


def test_a_period_without_any_backup_is_infinite_not_zero(past: Past) -> None:
    past.backup(NOW - HOUR, failed="no room")
    (asset,) = past.report().assets
    assert asset.completed.worst_s == math.inf and asset.rpo and asset.rpo.verdict == "BREACHED"
    document = json.loads(written(json_lines(past.report())))
    assert document["assets"][0]["exposure_completed"]["worst_s"] is None
    assert "never" in written(html(past.report()))


def test_a_snapshot_that_another_host_took_counts(past: Past) -> None:
    """The ledger of the host that tests has no backups; its catalogue learned of them from the repository."""
    when = NOW - 30 * MINUTE
    manifest = Manifest(
        "p", "recordings", "b1", "files", "scan", "other", when, 0.0, {}, {}, {"f": FileDigest(1, "a" * 64)}
    )
    mine = past.site.loaded().plan.assets["recordings"].source_name
    manifest = replace(manifest, contents={"source": mine})
    text = manifest_text(manifest)
    services = past.site.services(past.clock)
    services.catalogue.add(snapshot_of(manifest, text, "5" * 64, "/r", when + MINUTE), text)
    (asset,) = past.report().assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == 1800 and [key for key, _ in asset.untested] == ["5" * 64]


@pytest.mark.parametrize("told", [True, False])
def test_only_what_is_of_the_source_that_the_plan_names_counts(past: Past, *, told: bool) -> None:
    """Records of before they told whose they are were believed, and are."""
    mine = past.site.loaded().plan.assets["recordings"].source_name

    def said(source: str) -> dict[str, str | None]:
        return {"source_sha256": source_digest(source)} if told else {}

    past.backup(NOW - 3 * HOUR, said=said(mine))
    past.backup(NOW - HOUR, said=said("another"))
    (asset,) = past.report().assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == (3 if told else 1) * 3600


def test_bases_are_never_mixed(past: Past) -> None:
    snapshot = past.fine()
    past.test(NOW - 20 * MINUTE, snapshot, took=4000.0, basis="durable")
    (asset,) = past.report().assets
    assert {(r.basis, r.worst_s) for r in asset.restores} == {("throwaway", 40.0), ("durable", 4000.0)}
    assert asset.rto and asset.rto.verdict == "NOT_MEASURED", (
        "the last test was not with the settings that the plan asks for"
    )


def test_growth_is_a_line_through_what_was_measured() -> None:
    period = Period(NOW - 20 * DAY, NOW, True)
    sizes = [(NOW - n * DAY, 1000 - 10 * n) for n in range(20)]
    found = growth(sizes, [(NOW - DAY, 5), (NOW - 2 * DAY, 6)], period, free=100)
    assert found.now == 1000 and found.per_day == pytest.approx(10) and found.in_90_days == 1900
    assert found.full == NOW + 10 * DAY and found.added_bytes == 11 and found.added[-1] == (NOW, 11)
    assert growth(sizes[:1], [], period, free=100).per_day is None


# --- the population --------------------------------------------------------------------------------------------


def test_every_run_is_a_row_whatever_became_of_it(past: Past) -> None:
    snapshot = past.backup(NOW - 9 * HOUR)
    past.backup(NOW - 8 * HOUR, failed="disk full", scheduled=False)
    past.test(NOW - 7 * HOUR, snapshot, "INCONCLUSIVE")
    past.test(NOW - 6 * HOUR, snapshot, "SKIPPED")
    past.wrote(
        NOW - 5 * HOUR,
        "missed",
        verb="backup",
        due=rfc3339(NOW - 5 * HOUR),
        first_due=rfc3339(NOW - 6 * HOUR),
        count=3,
        reason="asleep",
    )
    past.wrote(
        NOW - 5 * HOUR, "missed", asset=None, verb="prune", due=rfc3339(NOW - 5 * HOUR), count=1, reason="asleep"
    )
    past.wrote(NOW - 4 * HOUR, "backup.start", run="killed")
    past.wrote(NOW - 3 * HOUR, "restore.start", run="x")
    past.wrote(NOW - 3 * HOUR, "restore.end", run="x", result="REFUSED", reason="not empty")
    past.wrote(NOW - 2 * HOUR, "sandbox.reap", plan=None, asset=None, removed=1)
    report = past.report()
    told = [(r["what"], r["outcome"], r["count"], r["reason"]) for r in rows_of(report)[:-1]]
    assert told == [
        ("backup", "STORED", "1", ""),
        ("backup", "FAILED", "1", "disk full"),
        ("test", "INCONCLUSIVE", "1", "it broke"),
        ("test", "SKIPPED", "1", "it broke"),
        ("backup", "MISSED", "3", "asleep"),
        ("prune", "MISSED", "1", "asleep"),
        ("backup", "CRASHED", "1", ""),
        ("restore", "REFUSED", "1", "not empty"),
        ("sandbox.reap", "NOTED", "1", ""),
    ]
    assert report.tallies["p", "backup"] == {
        "STORED": 1,
        "FAILED": 1,
        "MISSED": 3,
        "CRASHED": 1,
        "started": 3,
        "due": None,
        "due_recorded": 4,
    }
    page = written(html(report))
    assert "disk full" in page and "not empty" in page and "asleep" in page


def test_a_run_that_is_at_work_is_no_crash(past: Past) -> None:
    services = past.site.services(past.clock)
    with services.state.run(past.clock) as run:
        past.wrote(NOW - MINUTE, "backup.start", run=run.id)
        assert [r["outcome"] for r in rows_of(past.report())[:-1]] == ["RUNNING"]
    assert [r["outcome"] for r in rows_of(past.report())[:-1]] == ["CRASHED"]


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "crashes"])
def test_a_run_that_ended_while_the_ledger_was_read_is_no_crash(
    past: Past, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    services, really = past.site.services(past.clock), reading.read_verified
    with contextlib.ExitStack() as going:
        run = going.enter_context(services.state.run(past.clock))
        past.wrote(NOW - MINUTE, "backup.start", run=run.id)
        if not ends:
            going.close()  # it was dead before anybody looked

        def read(*args: Any) -> Any:
            found = really(*args)
            if ends:
                past.wrote(NOW, "backup.end", run=run.id, result="STORED", reason=None, snapshot=None)
                going.close()
            return found

        monkeypatch.setattr(reading, "read_verified", read)
        (row, *_) = rows_of(past.report())
    assert row["outcome"] == ("RUNNING" if ends else "CRASHED")


def test_what_failed_elsewhere_is_made_good_by_what_was_stored_after_it_whenever_the_test_ended(past: Past) -> None:
    """The test's record comes after the backup that made up for it: it had looked by then."""
    snapshot = past.fine()
    seq = past.wrote(NOW - 24 * MINUTE, "backup.end", result="FAILED", reason="disk full", snapshot=None)
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
        and found.mended.end_seq == 6
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
def test_what_was_stored_since_damage_was_found_counts_once_it_has_passed(past: Past, found_by: str) -> None:
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
    assert all("ccdr test p --asset recordings --snapshot latest" in (step or "") for step in steps) and steps
    past.test(NOW - 10 * MINUTE, new)
    word, lost, worst = now()
    assert (word, lost) == ("Yes", 30 * 60) and worst < 5 * 3600


def test_in_a_damaged_repository_nothing_that_failed_is_an_older_state(past: Past) -> None:
    for hours in (6, 5):
        past.test(NOW - hours * HOUR + 30 * MINUTE, past.backup(NOW - hours * HOUR), "FAIL", damaged=True)
    past.backup(NOW - 30 * MINUTE)
    said = past.report().answer
    assert said.word == "No" and "cannot be restored" in said.sentence and "older state" not in said.sentence, said


@pytest.mark.parametrize(("older", "said"), [("PASS", "only an older state may come back"), ("FAIL", "no state"), (None, "no state")])  # fmt: skip
def test_an_older_state_is_promised_only_where_one_has_passed(past: Past, older: str | None, said: str) -> None:
    past.backup(NOW - 30 * HOUR)  # never tested: it counts as a backup, and shows nothing
    first, second = (past.backup(NOW - hours * HOUR) for hours in (4, 2))
    if older is not None:
        past.test(NOW - 3 * HOUR, first, older)
    past.test(NOW - HOUR, second, "FAIL")
    report = past.report()
    assert report.answer.word == "No" and said in report.answer.sentence.lower(), report.answer.sentence
    assert ("older state" in report.answer.sentence) is (older == "PASS")


events = st.lists(
    st.tuples(
        st.sampled_from(["backup", "restore_test", "prune", "missed"]),
        st.integers(0, 2000),  # minutes after the first
        st.one_of(st.none(), st.integers(0, 300)),  # how long it took; None: it crashed
        st.sampled_from(["PASS", "FAIL", "STORED", "FAILED", "DONE"]),
        st.integers(1, 5),
    ),
    max_size=25,
)


def records_of(made: list[tuple[str, int, int | None, str, int]]) -> list[tuple[dict[str, Any], datetime]]:
    found = []
    for number, (verb, at, took, outcome, count) in enumerate(made):
        begun = NOW + at * MINUTE
        asset = None if verb == "prune" else "a"
        base = {"host": "h", "actor": "x", "plan": "p", "asset": asset, "run": f"r{number}", "prev": ""}
        if verb == "missed":
            found.append(({**base, "kind": "missed", "verb": "backup", "count": count, "due": rfc3339(begun)}, begun))
            continue
        trigger = {"by": "run", "due": rfc3339(begun)} if count % 2 else {"by": "command"}
        found.append(({**base, "kind": f"{verb}.start", "trigger": trigger}, begun))
        if took is not None:
            ended = begun + took * MINUTE
            found.append(({**base, "kind": f"{verb}.end", "result": outcome, "verdict": outcome}, ended))
    found.sort(key=lambda entry: entry[1])
    return [({**record, "seq": seq, "time": rfc3339(when)}, when) for seq, (record, when) in enumerate(found, start=1)]


def taken(records: list[tuple[dict[str, Any], datetime]], start: datetime, end: datetime) -> Evidence:
    evidence = Evidence(Period(start, end, False))
    for record, when in records:
        evidence.take(record, when)
    evidence.close(lambda *_: False)
    return evidence


@given(events, st.integers(1, 2400))
def test_two_periods_in_a_row_hold_each_run_once(made: list[tuple[str, int, int | None, str, int]], cut: int) -> None:
    records = records_of(made)
    first, last, middle = NOW, NOW + 3000 * MINUTE, NOW + cut * MINUTE
    both = taken(records, first, middle).runs + taken(records, middle, last).runs
    whole = taken(records, first, last).runs
    assert sorted((r.seq, r.outcome, r.count) for r in both) == [(r.seq, r.outcome, r.count) for r in whole]
    assert len(whole) == len(made)


@given(events)
def test_the_sums_add_up(made: list[tuple[str, int, int | None, str, int]]) -> None:
    evidence = taken(records_of(made), NOW, NOW + 3000 * MINUTE)
    for (_, verb), tally in evidence.tallies().items():
        outcomes = sum(count for key, count in tally.items() if key not in ("due", "started", "MISSED"))
        scheduled = sum(r.verb == verb and r.by == "run" and r.outcome != "MISSED" for r in evidence.runs)
        assert tally["started"] == outcomes and tally["due"] == scheduled + tally["MISSED"]


# --- the answer ------------------------------------------------------------------------------------------------


def test_yes_only_where_all_was_restored_checked_and_in_time(past: Past) -> None:
    past.fine()
    report = past.report()
    assert report.answer.word == "Yes" and report.findings == () and report.exit_code == 0
    assert "restored from its backup and checked" in report.answer.sentence


def test_numbers_say_what_they_are_of(past: Past) -> None:
    """A test that failed took a time too, and what was at risk in the period is more than what is now."""
    snapshot = past.backup(NOW - 3 * DAY)
    past.test(NOW - 3 * DAY + HOUR, snapshot, took=900.0)
    snapshot = past.fine()
    report = past.report()
    assert report.answer.sentence.endswith(
        "the slowest of those that passed in 40.0 s, and if all were lost now, the newest 30m 00s of data at most would"
        " be gone; 1 thing is not as the plans want, see below."
    )
    page = written(html(report))
    figures = dict(re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", page.replace("&#39;", "'")))
    slowest = figures["Slowest restore, compared with its RTO"]
    at_risk = figures["Most data at risk, compared with its RPO"]
    assert "40.0 s" in slowest and "by each asset's last conclusive test, where that passed" in slowest
    assert "1d 0h" in at_risk and "at the worst moment of the period; the largest share of its RPO" in at_risk
    assert "largest share of its RTO" in slowest
    before = past.report(None, rfc3339(NOW - MINUTE))
    assert "if all had been lost at the period's end, the newest 29m 00s" in before.answer.sentence
    past.test(NOW - 5 * MINUTE, snapshot, "FAIL")
    assert "no test that passed was measured" in written(html(past.report()))


def test_now_and_the_period_have_a_sentence_each_true_by_itself(past: Past) -> None:
    """What was once lost, failed and slow is well again now: the one does not say the other."""
    snapshot = past.backup(NOW - 5 * DAY)
    past.test(NOW - 5 * DAY + HOUR, snapshot, "FAIL")
    past.test(NOW - 4 * DAY, snapshot, "INCONCLUSIVE")
    past.fine()
    report = past.report(rfc3339(NOW - 5 * DAY))
    assert report.answer.word == "Yes" and "never" not in report.answer.sentence
    assert report.over_the_period == (
        "From 2026-11-19 12:00 to 2026-11-24 12:00 UTC, none of 1 asset stayed within the data loss that is allowed (RPO), "
        "1 did not: p/recordings went furthest beyond, with all of its data where 1h 00m is allowed; 1 of 3 restore tests "
        "passed, 1 failed, 1 proved nothing; what was due is not known, as no version of a plan is recorded."
    )
    page = written(html(report))
    assert f"<b>Now:</b> {report.answer.sentence}" in page and f"<b>In the period:</b> {report.over_the_period}" in page
    answer = json.loads(written(json_lines(report)))["answer"]
    assert answer["over_the_period"] == report.over_the_period and answer["sentence"] == report.answer.sentence
    assert "all of it" in page, "what was lost without any good backup is most of all"
    ended = past.report(rfc3339(NOW - DAY), rfc3339(NOW - HOUR))
    assert "<b>At the period&#39;s end:</b>" in written(html(ended))
    assert "1 of 1 asset stayed within the data loss that is allowed (RPO) all the time;" in ended.over_the_period
    assert "no restore test was carried out" in ended.over_the_period


def test_of_the_time_before_the_first_record_nothing_is_said_to_be_known(past: Past) -> None:
    past.fine()
    early = past.report("2026-11-01")
    told = "the first record is of 2026-11-22 12:00: of the time before, nothing is known."
    assert early.over_the_period.endswith(told) and told in written(html(early))
    assert "nothing is known" not in past.report(rfc3339(NOW - DAY)).over_the_period
    before = past.report("2026-11-01", "2026-11-02")
    assert "nothing was recorded: what was done then, and what was not, is not known" in before.over_the_period


def test_what_was_due_where_no_version_tells_is_not_known_and_not_nought(past: Past) -> None:
    past.fine()
    past.wrote(NOW - DAY, "missed", verb="backup", count=3, due=rfc3339(NOW - DAY), reason="asleep")
    report = past.report()
    row, page = (
        next(t for t in json.loads(written(json_lines(report)))["population"]["tallies"] if t["what"] == "backup"),
        written(html(report)),
    )
    assert row["due"] is None and row["due_recorded"] == 99
    assert re.search(r'<th scope="row">backup</th><td class="num">not known</td><td class="num warn">3</td>', page)
    past.wrote(NOW - 2 * HOUR, "sandbox.reap", plan=None, asset=None, removed=1)
    page = written(html(past.report()))
    assert page.count('<th scope="row">sandbox.reap</th>') == 1, "of no plan: counted once, and never due"
    assert '<th scope="row">sandbox.reap</th><td class="num nil">–</td>' in page
    figures = dict(re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", page))
    assert "<b>3</b>" in figures["Missed"] and "what was due in the period is not known" in figures["Missed"]
    assert "3 of it are recorded as missed" in report.over_the_period


def test_who_and_whose_and_how_far_it_was_proven_is_told_in_each_format(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    past = Chronicle(NOW, str(site.loaded().plan.assets["recordings"].source_name), asset="recordings")
    who = {"uid": 0, "login_uid": 1000, "terminal": "pts/3", "started_by": "terminal", "claims": {"sudo_user": "=ann"}}
    whose = {"tenant": "acme", "copy": "primary", "site": "Cluj <2>", "attempt": 2}
    snapshot = {"id": "a" * 64, "consistent_point": rfc3339(NOW - 2 * HOUR), "bytes": 5, "manifest_sha256": "b" * 64}
    chosen = snapshot | {"selected": "latest", "verdict": "PASS"}
    tested = {"verdict": "PASS", "checks": [PASSED], "snapshot": chosen, **DISPOSED}
    for kind, more in (("backup", {"added_bytes": 7}), ("restore_test", {"proof": "equal", "bytes_restored": 2048})):
        past.began(-2, kind, kind, who=who, tenant="acme", attempt=2)
        body = {"result": "STORED", "snapshot": snapshot} if kind == "backup" else tested
        past.wrote(-1, f"{kind}.end", kind, phases={}, **body, **whose, **more)
    past.began(-0.5, "backup", "crash", who=who, tenant="acme")
    past.wrote(-0.4, "backup.end", "older", result="STORED", phases={}, snapshot=snapshot | {"id": "c" * 64})
    services = site.services(Clock())
    past.keep(services.state.ledger, services.catalogue)
    report = make_report([site.loaded()], services, period_of(None, None, NOW), command="ccdr report")
    backup, test, crash, older, _ = rows_of(report)
    for row in (backup, test):
        assert (row["tenant"], row["copy"], row["site"], row["attempt"]) == ("acme", "primary", "Cluj <2>", "2")
        assert (row["uid"], row["login_uid"], row["terminal"], row["started_by"]) == ("0", "1000", "pts/3", "terminal")
        assert row["sudo_user_claimed"] == "'=ann", "no formula"
    assert (test["proof"], test["bytes_restored"], backup["proof"], backup["added_bytes"]) == ("equal", "2048", "", "7")
    assert (crash["outcome"], crash["uid"], crash["tenant"], crash["copy"]) == ("CRASHED", "0", "acme", "")
    assert older["uid"] == older["login_uid"] == older["attempt"] == "", "what no record tells is not made up"
    document = json.loads(written(json_lines(report)))
    assert [run.get("who") for run in document["runs"]] == [who, who, who, None]
    assert document["runs"][1].items() >= {**whose, "proof": "equal", "bytes_restored": 2048}.items()
    assert document["tests"][0]["who"] == who
    page = written(html(report))
    assert "<dt>Proven</dt><dd>equal to the source; 2.0 KiB were restored for it</dd>" in page
    who_said = "user id 0, login user id 1000, terminal pts/3, started by terminal, SUDO_USER says =ann, a claim"
    assert f"<dt>Who</dt><dd>a: {who_said}</dd>" in page and ", try 2</dd>" in page
    assert "<dt>Whose data</dt><dd>acme; the primary copy, at Cluj &lt;2&gt;</dd>" in page


def test_yes_is_qualified_where_the_copies_lie_with_what_they_are_of(past: Past) -> None:
    past.fine()
    assert past.report().answer.word == "Yes"
    for beside, said in (("disk", "on the disk of what it protects"), ("machine", "on the machine of what it")):
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
    past.backup(NOW - 8 * MINUTE, beside_source=["nonsense"])
    assert past.report().answer.word == "Yes"


def test_what_an_older_ccdr_did_not_record_is_not_known(past: Past) -> None:
    """Where the copies lie, until the next backup has looked."""
    past.fine()
    del (last := dict(past.ledger.records(reverse=True).__next__()))["beside_source"]
    body = {key: last[key] for key in ("result", "reason", "snapshot", "added_bytes", "findings", "phases")}
    past.wrote(NOW - 9 * MINUTE, "backup.end", run="older", **body)
    answer = past.report().answer
    assert (answer.word, answer.level) == ("Yes, but where the copies lie is not known", Level.NEAR), answer
    past.backup(NOW - 8 * MINUTE)
    assert past.report().answer.word == "Yes"


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_checks_a_report_says_which_state_it_was_made_from(
    past: Past, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    past.fine()
    if not elsewhere:
        monkeypatch.setattr("ccdr.telling.report.build.default_state", lambda: past.site.state)
    state = f" --state {past.site.state}" if elsewhere else ""
    page = written(html(past.report()))
    assert f"<pre><code>ccdr ledger verify{state}\nccdr report{state} --from " in page


def test_no_where_nothing_was_ever_backed_up(past: Past) -> None:
    report = past.report()
    assert report.answer.word == "No" and "never backed up" in report.answer.sentence and report.exit_code == 1


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
                        {"source": str(past.site.root / "spool")}, {"files.jsonl": FileDigest(1, "a" * 64)})  # fmt: skip
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


def test_a_breach_that_this_host_saw_is_one_whoever_backs_up(past: Past) -> None:
    rpo = {"objective_s": 3600, "achieved_s": 19.0 * 3600, "verdict": "BREACHED"}
    past.test(NOW - HOUR, other_hosts(past, NOW - 20 * HOUR), rpo=rpo)
    (asset,) = past.report((NOW - DAY).isoformat()).assets
    assert asset.rpo_now and asset.rpo_now.verdict == "BREACHED" and asset.level is Level.LATE
    assert any(str(f.step).startswith("on the host that backs it up: ccdr backup") for f in asset.findings)


def test_a_breach_in_the_period_is_a_finding_though_all_is_well_now(past: Past) -> None:
    past.backup(NOW - 3 * DAY)
    past.fine()
    report = past.report()
    assert report.answer.word == "Yes" and report.exit_code == 1
    assert [f.level for f in report.findings] == [Level.NOTE] and "more than its RPO" in report.findings[0].text
    assert past.report((NOW - 40 * HOUR).isoformat()).exit_code == 0, "it was before this period"


def cared_for(report: Report) -> list[str]:
    return [f.text for f in report.plans[0].findings]


def test_upkeep_that_came_due_twice_and_was_not_done_is_a_finding(past: Past) -> None:
    past.fine()  # for two days
    past.upkeep('{prune: "0 5 * * *", check: "0 6 * * *"}')
    assert cared_for(past.report()) == ["its check is overdue: never done, though due since 2026-11-24T06:00:00Z"]
    past.upkeep('{prune: "0 5 * * *", check: "0 6 * * *"}', "retention: {keep_within: 35d}")
    report = past.report()
    assert cared_for(report) == [
        "what retention lets go is overdue to be removed: never done, though due since 2026-11-24T05:00:00Z",
        "its check is overdue: never done, though due since 2026-11-24T06:00:00Z",
    ]
    assert report.answer.word == "Yes" and "2 things are not as the plans want" in report.answer.sentence
    past.wrote(NOW - 40 * MINUTE, "prune.end", run="u", asset=None, result="DONE", reason=None, findings=[])
    past.wrote(NOW - 30 * MINUTE, "check.end", run="v", asset=None, result="CLEAN", reason=None, part=1, parts=2)
    assert cared_for(past.report()) == []
    yesterday = (NOW - DAY).date().isoformat()
    assert cared_for(past.report(None, yesterday)) == [], "by then each had come due but once"


def test_upkeep_that_is_another_hosts_is_no_finding(past: Past) -> None:
    past.upkeep('{prune: "0 5 * * *", check: "0 6 * * *"}', "retention: {keep_within: 35d}")
    past.wrote(NOW - 9 * DAY, "duties", asset=None, verbs=["backup", "test", "check"], reason="-")
    past.fine()
    assert cared_for(past.report()) == ["its check is overdue: never done, though due since 2026-11-17T06:00:00Z"]
    past.wrote(NOW - DAY, "duties", asset=None, verbs=["backup", "test", "prune"], reason="-")
    assert cared_for(past.report()) == [], "the check is no longer its own to do, the prune has come due once"


def test_a_report_of_a_past_period_does_not_know_what_came_after(past: Past) -> None:
    snapshot = past.fine()
    before = past.report(None, rfc3339(NOW - MINUTE))
    past.test(NOW - 30 * timedelta(seconds=1), snapshot, "FAIL")
    assert past.report().answer.word == "No"
    after = past.report(None, rfc3339(NOW - MINUTE))
    assert after.answer == before.answer and after.population == before.population


def test_a_broken_ledger_is_said_first(past: Past) -> None:
    past.fine()
    (file,) = (past.site.state / "ledger").glob("*.jsonl")
    file.write_text(file.read_text().replace('"added_bytes":10', '"added_bytes":11', 1))
    report = past.report()
    assert (
        report.answer.word == "Not proven"
        and report.exit_code == 1
        and not json.loads(written(json_lines(report)))["ledger"]["ok"]
    )
    page = written(html(report))
    assert page.index("The evidence does not verify") < page.index("Can the contact centre be brought back?</h2>")


def test_an_empty_ledger_and_torn_lines_are_no_traceback(past: Past) -> None:
    assert past.report().population.rows == 0
    past.backup(NOW - HOUR)
    (file,) = (past.site.state / "ledger").glob("*.jsonl")
    with file.open("ab") as out:
        out.write(b'{"seq":3,')
    report = past.report()
    assert report.ledger.verification.torn_bytes == 9 and report.population.rows == 1
    assert "9 bytes of a last line" in written(html(report))


def test_what_no_plan_names_any_more_is_shown_as_such(past: Past) -> None:
    past.fine()
    past.backup(NOW - HOUR, asset="crm", plan="gone")
    report = past.report()
    (old,) = [a for a in report.assets if a.plan == "gone"]
    assert not old.in_plan and old.state == "retired" and not old.findings and report.answer.word == "Yes"
    assert "no longer in a plan" in written(html(report))
    assert {p.plan: p.in_plan for p in report.plans} == {"p": True, "gone": False}


def test_only_the_plans_asked_for(past: Past) -> None:
    past.fine()
    past.backup(NOW - HOUR, asset="crm", plan="other")
    assert {r["plan"] for r in rows_of(past.report(named=("p",)))[:-1]} == {"p"}
    with pytest.raises(UsageProblem, match="no plan"):
        past.report(named=("p", "nowhere"))


def test_which_snapshots_were_never_restored(past: Past) -> None:
    ids = [past.backup(NOW - n * HOUR) for n in (5, 4, 3, 2)]
    past.test(NOW - HOUR, ids[1], selected="random")
    past.wrote(NOW - 30 * MINUTE, "prune.end", run="x", asset=None, result="DONE", findings=[], repository_bytes=7,
               removed=[{"asset": "recordings", "id": ids[0]}, {"asset": "recordings", "id": ids[1]}])  # fmt: skip
    (asset,) = past.report().assets
    assert [key for key, _ in asset.untested] == [ids[3], ids[2]] and asset.kept == 2 and asset.removed_untested == 1
    assert set(asset.by_rule) == {"random"} and past.report().plans[0].growth.now == 7


# --- hostile texts ---------------------------------------------------------------------------------------------

NASTY = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'\"", "a\r\nb\nc", "=HYPERLINK(\"http://x\")", "@SUM(A1)",
    "+1", "-1", "\t=1", "\x00\x1b[31m", "\udcff", "\u202egnp.exe", "{{ 7*7 }}{% raw %}", "</title></style></svg>", "]]>", "\u2028",
    "a,b;c", "  x  ", "", "\uff1d1+1",
]  # fmt: skip
nasty = st.one_of(st.sampled_from(NASTY), st.text(max_size=30))
junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        nasty,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(nasty, inner, max_size=3)),
    max_leaves=6,
)
KEYS = ["verdict", "result", "reason", "snapshot", "phases", "checks", "rpo", "rto", "findings", "sandbox", "disposal", "tools",
        "trigger", "added_bytes", "removed", "part", "parts", "covered", "full_since", "repository_bytes", "verb", "count", "due",
        "target", "seconds"]  # fmt: skip


class Shape(HTMLParser):
    """Elements that may not be there, elements that are not closed, and attributes that run something."""

    VOID = frozenset(["meta", "br", "img", "input", "link", "hr"])

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        if tag in ("script", "img", "iframe", "link", "object", "form"):
            self.wrong.append(f"a {tag}")
        self.wrong += [
            f"{name}={value}"
            for name, value in attrs
            if name.startswith("on") or (name in ("href", "src") and not str(value).startswith("#"))
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def shape_of(page: str) -> Shape:
    shape = Shape()
    shape.feed(page)
    shape.close()
    assert shape.open == [] and shape.wrong == []
    return shape


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(["restore_test", "backup", "prune", "check", "restore", "missed", "x"]),
                          nasty, st.dictionaries(st.sampled_from(KEYS), junk, max_size=10), st.booleans()), min_size=1, max_size=4))  # fmt: skip
def test_no_text_of_a_record_breaks_page_csv_or_json(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str, dict[str, Any], bool]]
) -> None:
    past = Past(tmp_path_factory.mktemp("nasty"))
    for number, (kind, text, body, crashes) in enumerate(made):
        asset = "recordings" if number % 2 else text
        kind_of = kind if kind in ("missed", "x") else f"{kind}.{'start' if crashes else 'end'}"
        try:
            past.wrote(NOW - HOUR, kind_of, run=text, asset=asset, **body)
        except ValueError:  # the ledger itself refuses what JSON cannot hold
            continue
    report = past.report()
    shape = shape_of(written(html(report)))
    assert shape.seen["h1"] == 1
    document = json.loads(written(json_lines(report)))
    assert len(document["runs"]) == report.population.rows
    whole = written(csv_text(report))
    rows = list(csv.reader(io.StringIO(whole, newline="")))
    assert {len(row) for row in rows} == {len(COLUMNS)} and len(rows) == report.population.rows + 2
    assert whole.count("\n") == whole.count("\r\n") == len(rows), "a row is a line"
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r")) and (not cell.startswith("-") or cell[1:2].isdigit()), (
            cell
        )


def test_texts_are_told_in_words_on_the_page_and_cannot_turn_around(past: Past) -> None:
    for text in NASTY:
        past.backup(NOW - HOUR, failed=text or "nothing")
        past.backup(NOW - HOUR)
    page = written(html(past.report()))
    shape_of(page)
    assert "&lt;script&gt;alert(1)" in page and "{{ 7*7 }}{% raw %}" in page
    assert "\u202e" not in page and "\x00" not in page and "\x1b" not in page


def test_the_digest_is_of_the_file_without_its_last_row(past: Past, tmp_path: Path) -> None:
    past.fine()
    past.backup(NOW - HOUR, failed='two\nlines, "quoted" and =1+1')
    report = past.report()
    file = tmp_path / "population.csv"
    file.write_bytes(b"".join(csv_text(report)))
    said = subprocess.run(
        ["bash", "-c", f"head -n -1 {file} | sha256sum"], capture_output=True, text=True, check=True
    ).stdout
    assert said.split()[0] == report.population.sha256
    last = rows_of(report)[-1]
    assert (last["what"], last["outcome"], last["count"]) == ("report", "COMPLETE", str(report.population.rows))
    assert report.population.sha256 in last["reason"] and "ccdr report" in last["reason"] and "UTC" in last["reason"]
    assert report.population.sha256 in written(html(report)) and report.ledger.verification.head in written(
        html(report)
    )


def test_numbers_of_a_test_are_in_its_row(past: Past) -> None:
    past.fine()
    (row,) = [r for r in rows_of(past.report()) if r["what"] == "test"]
    assert (row["rto_achieved_s"], row["rto_basis"], row["checks"], row["checks_passed"]) == (
        "40.0",
        "throwaway",
        "1",
        "1",
    )
    assert row["seconds"] == "3.0" and row["selected"] == "latest"


def test_what_tests_fetched_is_told_by_month_and_before_the_limit_is_reached(past: Past) -> None:
    snapshot = past.fine()
    for when, size in ((NOW - 40 * DAY, 5 * 2**20), (NOW - 2 * DAY, 70 * 2**20), (NOW - DAY, 12 * 2**20)):
        past.test(when, snapshot, bytes_restored=size)
    path = past.site.root / "plans/p.yaml"
    plain = path.read_text()
    for limit, near in (("200MiB", False), ("100MiB", True)):
        path.write_text(plain.replace("assets:", f"limits: {{fetch_per_month: {limit}}}\nassets:", 1))
        report = past.report()
        told = [f.text for f in report.findings if "allowed this month" in f.text]
        assert told == (["its restore tests fetched 82.0 MiB of the 100.0 MiB allowed this month"] if near else [])
    (plan,) = json.loads(written(json_lines(report)))["plans"]
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


# --- what is too much for a page -------------------------------------------------------------------------------


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
    assert len(json.loads(written(json_lines(report)))["tests"]) == MOST_TESTS + 32


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
    starts = sum(run.end_seq is not None and run.end_seq != run.seq for run in report.runs)
    assert count == 2 * starts + (len(report.runs) - starts)
    assert len(report.assets) == 6 and all(a.timings for a in report.assets)
    shape_of(written(html(report)))


def test_what_was_stored_and_found_bad_leaves_the_period_no_better_once_it_is_mended(past: Past) -> None:
    """The first good one came an hour after the first: until then nothing would have come back."""
    bad = past.backup(NOW - 5 * HOUR)
    past.test(NOW - 290 * MINUTE, bad, "FAIL")
    before = past.report(last=rfc3339(NOW - 285 * MINUTE)).assets[0]
    assert before.rpo is not None and before.rpo.verdict == "BREACHED"
    good = ""
    for halves in range(8, 0, -1):
        good = past.backup(NOW - halves * 30 * MINUTE)
    past.test(NOW - 20 * MINUTE, good)
    report = past.report()
    (asset,) = report.assets
    assert asset.rpo_now is not None and asset.rpo_now.verdict == "MET"
    assert asset.rpo is not None and asset.rpo.verdict == "BREACHED" and asset.completed.worst_s == math.inf
    assert "none of its backups was good" in " ".join(f.text for f in asset.findings) and report.exit_code == 1


def test_before_the_first_backup_of_all_nothing_could_be_measured(past: Past) -> None:
    """The twin: nothing was stored before it."""
    good = ""
    for halves in range(8, 0, -1):
        good = past.backup(NOW - halves * 30 * MINUTE)
    past.test(NOW - 20 * MINUTE, good)
    (asset,) = past.report().assets
    assert asset.rpo is not None and asset.rpo.verdict == "MET" and asset.completed.since is not None
