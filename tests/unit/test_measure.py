"""RPO and RTO arithmetic, against the contract's wording, for any history of backups."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.model.measure import (
    NEVER,
    Point,
    exposure,
    full_in,
    growth,
    judge,
    judge_elsewhere,
    skew,
    worst_exposure,
    worst_exposures,
)
from ccdr.model.values import ObjectiveVerdict, human_seconds

EPOCH = datetime(2026, 11, 24, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def point(consistent: float, usable: float) -> Point:
    return Point(at(consistent), at(usable))


moments = st.integers(-10_000, 10_000)
# A backup is usable some time after its consistent point; a clock that was set may say otherwise.
good = st.builds(lambda c, took: point(c, c + took), moments, st.integers(0, 500))
any_point = st.builds(point, moments, moments)


@given(st.floats(0, 5), st.floats(-100, 100), st.floats(0, 1))
def test_a_clock_is_ahead_by_no_less_than_what_asking_it_does_not_explain(
    took: float, ahead: float, part: float
) -> None:
    """It is read some way through the asking, on a busy host long before or after the middle."""
    asked, answered = EPOCH, at(took)
    found = skew(asked, answered, EPOCH.timestamp() + took * part + ahead)
    assert abs(found - ahead) <= (answered - asked).total_seconds() + 1e-5


@given(st.floats(0, 5), st.floats(0.001, 0.999))
def test_the_same_clock_is_not_ahead_however_slowly_it_answers(took: float, part: float) -> None:
    assert skew(EPOCH, at(took), EPOCH.timestamp() + took * part) == pytest.approx(0, abs=1e-5)


def test_a_clock_that_is_ahead_or_behind_is_told_so() -> None:
    for ahead in (-30.0, -0.2, 0.2, 30.0):
        assert skew(EPOCH, at(0.1), EPOCH.timestamp() + 0.05 + ahead) == pytest.approx(ahead)


@given(moments, st.lists(any_point))
def test_exposure_is_never_negative(now: int, points: list[Point]) -> None:
    assert exposure(at(now), points) >= 0


def test_no_backup_is_infinite_exposure() -> None:
    assert exposure(EPOCH, []) == math.inf
    assert worst_exposure(EPOCH, at(60), []) == math.inf


@given(moments, st.lists(good))
def test_exposure_is_to_the_newest_point_usable_now(now: int, points: list[Point]) -> None:
    usable = [p for p in points if p.usable <= at(now)]
    expected = min(((at(now) - p.consistent).total_seconds() for p in usable), default=math.inf)
    assert exposure(at(now), points) == expected


@given(moments, st.lists(any_point), any_point)
def test_another_backup_never_raises_exposure(now: int, points: list[Point], more: Point) -> None:
    assert exposure(at(now), [*points, more]) <= exposure(at(now), points)


@given(st.integers(0, 9000), st.lists(any_point))
def test_a_point_in_the_future_proves_nothing(ahead: int, points: list[Point]) -> None:
    planted = Point(at(ahead + 1), at(0))
    assert exposure(at(ahead), [*points, planted]) == exposure(at(ahead), points)


def test_a_backup_counts_once_it_is_usable_not_once_it_is_consistent() -> None:
    points = [point(0, 10), point(100, 400)]
    assert exposure(at(399), points) == 399
    assert exposure(at(400), points) == 300


def test_worst_exposure_is_usable_next_minus_consistent_previous() -> None:
    points = [point(0, 10), point(100, 130), point(200, 260)]
    assert worst_exposure(at(10), at(270), points) == 160  # 260 - 100
    assert worst_exposure(at(10), at(900), points) == 700  # 900 - 200: now - consistent(last)


@given(st.lists(good, min_size=3, max_size=8), st.data())
def test_a_failed_backup_drops_out_and_widens_the_gap(points: list[Point], data: st.DataObject) -> None:
    start, end = at(-20_000), at(20_000)
    failed = data.draw(st.sampled_from(points))
    rest = [p for p in points if p is not failed]
    assert worst_exposure(start, end, rest) >= worst_exposure(start, end, points)


@given(st.lists(good), moments, st.integers(0, 5000))
def test_worst_exposure_is_no_less_than_exposure_at_the_end(points: list[Point], start: int, length: int) -> None:
    end = at(start + length)
    assert worst_exposure(at(start), end, points) >= exposure(end, points)


@given(st.lists(good, max_size=6), moments, st.integers(1, 3000), st.floats(0, 1))
def test_worst_exposure_bounds_exposure_at_any_moment(
    points: list[Point], start: int, length: int, where: float
) -> None:
    """Just before any moment of the period, no more would have been lost than the worst says."""
    moment = start + where * length
    assert exposure(at(moment), points) <= worst_exposure(at(start), at(start + length), points)


close = st.integers(-60, 60)  # seconds that often coincide


@given(st.lists(st.builds(point, close, close), max_size=8), st.lists(close, min_size=2, max_size=5).map(sorted))
def test_the_worst_of_each_period_is_the_worst_moment_of_it(points: list[Point], edges: list[int]) -> None:
    """Told again, slowly, from the contract's words, in whatever order the backups are given: what lay far apart
    before a period is not of it, and neither clock is believed before the other."""

    def slowly(start: datetime, end: datetime) -> float:
        known = [(max(p), p.consistent) for p in points]
        if not any(moment <= start for moment, _ in known):
            return math.inf
        before = [
            moment - max(c for m, c in known if m < moment) for moment, _ in known if start < moment <= end
        ]  # fmt: skip
        return max([*before, end - max(c for m, c in known if m <= end)]).total_seconds()

    marks = [at(edge) for edge in edges]
    expected = [slowly(start, end) for start, end in pairwise(marks)]
    assert worst_exposures(marks, points) == expected
    assert [worst_exposure(*pair, points) for pair in pairwise(marks)] == expected


def test_an_older_backup_that_comes_late_takes_nothing_back() -> None:
    """Another host's, whose upload took longer than the next one's."""
    good = [point(0, 0), point(100, 110)]
    late = point(50, 120)
    assert worst_exposure(at(0), at(200), good) == worst_exposure(at(0), at(200), [*good, late]) == 110


def test_a_backup_dated_after_it_became_usable_counts_from_its_date_only() -> None:
    """Its clock was ahead: until its date comes, what was there before is what there is."""
    assert worst_exposure(at(0), at(400), [point(0, 0), point(300, 10)]) == 300
    assert worst_exposure(at(0), at(400), [point(0, 0), point(10, 300)]) == 390, "its twin, whose upload took long"


def test_a_period_before_the_first_backup_is_infinite() -> None:
    assert worst_exposure(at(0), at(100), [point(40, 50)]) == math.inf


@given(st.integers(1, 10**6), st.one_of(st.none(), st.floats(0, 1e7), st.just(math.inf)))
def test_what_was_not_measured_is_never_met(objective: float, achieved: float | None) -> None:
    """Objectives are whole seconds; what is measured counts to the millisecond."""
    achieved = None if achieved is None else round(achieved, 3)
    judged = judge(objective, achieved)
    assert (judged.verdict is ObjectiveVerdict.MET) == (achieved is not None and achieved <= objective)
    if achieved is None:
        assert judged.verdict is ObjectiveVerdict.NOT_MEASURED
    elif achieved > objective:
        assert judged.verdict is ObjectiveVerdict.BREACHED


@pytest.mark.parametrize(
    ("achieved", "seen", "verdict"),
    [
        (60.0, 999.0, ObjectiveVerdict.MET),
        (60.0, 0.0, ObjectiveVerdict.MET),
        (61.0, 60.0, ObjectiveVerdict.NOT_KNOWN_HERE),
        (math.inf, 0.0, ObjectiveVerdict.NOT_KNOWN_HERE),
        (61.0, 61.0, ObjectiveVerdict.BREACHED),
        (math.inf, math.inf, ObjectiveVerdict.BREACHED),
    ],
)
def test_what_another_host_backs_up_is_breached_only_by_what_was_seen(
    achieved: float, seen: float, verdict: ObjectiveVerdict
) -> None:
    judged = judge_elsewhere(60, achieved, seen)
    assert (judged.objective_s, judged.achieved_s, judged.verdict) == (60, achieved, verdict)


def test_infinite_is_null_and_breached() -> None:
    assert judge(60, math.inf).as_json() == {"objective_s": 60, "achieved_s": None, "verdict": "BREACHED"}


@pytest.mark.parametrize("achieved", [60.0, 59.999])
def test_an_objective_reached_exactly_is_met(achieved: float) -> None:
    assert judge(60, achieved).verdict is ObjectiveVerdict.MET


def sizes(*counts: int) -> dict[str, int]:
    return {(EPOCH + timedelta(days=n)).date().isoformat(): count for n, count in enumerate(counts)}


@given(st.integers(0, 10**15), st.integers(-(10**12), 10**12), st.integers(2, 400))
def test_what_grows_on_a_straight_line_is_foretold(first: int, daily: int, days: int) -> None:
    slope = growth(sizes(*(first + daily * n for n in range(days))))
    assert slope == pytest.approx(daily, abs=max(1, abs(first) * 1e-9))


def test_growth_needs_two_days_and_takes_the_trend_over_a_prune() -> None:
    assert growth({}) is None and growth(sizes(5)) is None
    saw = growth(sizes(100, 200, 300, 150, 250, 350, 200, 300, 400))
    assert saw is not None and 0 < saw < 100


def test_a_disk_is_full_when_what_is_free_is_taken() -> None:
    assert full_in(1000, 100.0) == 10 * 86400
    assert full_in(1000, 0.5) == 2000 * 86400, "however slowly it grows"
    assert full_in(1000, 0.0) == full_in(1000, -5.0) == NEVER
    assert full_in(None, 100.0) is None and full_in(1000, None) is None


@given(st.floats(0.001, 1e7), st.floats(0, 1e7))
def test_what_was_measured_is_judged_and_told_as_the_record_of_it_is(objective: float, measured: float) -> None:
    first = judge(objective, measured)
    kept = first.as_json()["achieved_s"]
    assert isinstance(kept, float)
    again = judge(objective, kept)
    assert again == first and human_seconds(again.achieved_s) == human_seconds(first.achieved_s)


def test_just_under_a_minute_is_told_as_one() -> None:
    assert [human_seconds(s) for s in (59.94, 59.96, 60.0)] == ["59.9 s", "1m 00s", "1m 00s"]
