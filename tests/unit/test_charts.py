"""Marks of the report's charts stand where their values say: a wrong, flipped or joined line would tell a lie."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from ccdr.model.values import human_seconds
from ccdr.telling.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    TOP,
    Chart,
    exposure_chart,
    fleet_chart,
    growth_chart,
    restore_chart,
)
from ccdr.telling.report.growth import Growth
from ccdr.telling.report.judged import Exposure
from ccdr.telling.report.period import Period

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 10
PERIOD = Period(START, START + timedelta(days=DAYS), until_now=True)
EDGES = tuple(START + timedelta(days=n) for n in range(DAYS + 1))
HOUR = 3600.0


def exposure(*parts: float) -> Exposure:
    return Exposure(max(parts), None, EDGES[: len(parts) + 1], tuple(parts))


def asset(completed: Exposure, tested: Exposure, rpo: float | None = HOUR, **more: Any) -> Any:
    objectives = SimpleNamespace(rpo=rpo, rto=more.pop("rto", None)) if rpo else None
    return SimpleNamespace(name="p/a", completed=completed, tested=tested, objectives=objectives, **more)


def levels(chart: Chart, kind: str) -> list[tuple[float, float, float]]:
    """Each level of a line: from x, to x, at y; a drawn path goes on by L and begins again by M."""
    (line,) = (line for line in chart.lines if line.kind == kind)
    found = re.findall(r"[ML]([\d.]+) ([\d.]+)H([\d.]+)", line.path)
    return [(float(begin), float(end), float(y)) for begin, y, end in found]


def of_ticks(chart: Chart) -> dict[str, float]:
    return {tick.label: tick.at for tick in chart.y_ticks}


def test_each_part_of_the_period_has_its_level_and_more_is_higher() -> None:
    chart = exposure_chart(asset(exposure(600, 3600, 86400), exposure(600, 86400, 86400)), PERIOD, "k")
    low, wanted, high = levels(chart, "completed")
    assert low[2] > wanted[2] > high[2], "the view box counts from its top"
    assert chart.rule is not None and chart.rule.at == wanted[2], "an hour lost is just the objective"
    assert chart.rule.label == f"RPO {human_seconds(HOUR)}"
    ticks = of_ticks(chart)
    assert (ticks["10 m"], ticks["1 h"], ticks["1 d"]) == (low[2], wanted[2], high[2])
    assert [level[2] for level in levels(chart, "tested")] == [low[2], high[2], high[2]]
    assert all(TOP <= y <= HEIGHT - BOTTOM for *_, y in levels(chart, "completed"))


def test_parts_lie_side_by_side_from_edge_to_edge() -> None:
    chart = exposure_chart(asset(exposure(*[60.0] * DAYS), exposure(*[60.0] * DAYS)), PERIOD, "k")
    found = levels(chart, "completed")
    assert (found[0][0], found[-1][1]) == (LEFT, chart.frame.right)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    widths = [round(end - begin, 1) for begin, end, _ in found]
    assert max(widths) - min(widths) <= 0.3, "equal days are equally wide"


def test_where_there_was_no_backup_there_is_no_line() -> None:
    chart = exposure_chart(asset(exposure(math.inf, 60, math.inf, 60), exposure(*[math.inf] * 4)), PERIOD, "k")
    completed, tested = chart.lines
    assert completed.path.count("M") == 2 and "L" not in completed.path and tested.path == ""
    assert "no such backup at all" in chart.desc
    (first, second) = levels(chart, "completed")
    assert first[0] == chart.frame.x(EDGES[1]) and second[0] == chart.frame.x(EDGES[3])


@given(st.lists(st.floats(1, 10**7), min_size=1, max_size=DAYS), st.floats(60, 10**7))
def test_a_line_is_above_the_objective_exactly_where_it_is_breached(parts: list[float], rpo: float) -> None:
    chart = exposure_chart(asset(exposure(*parts), exposure(*parts), rpo), PERIOD, "k")
    assert chart.rule is not None
    for lost, (*_, y) in zip(parts, levels(chart, "completed"), strict=True):
        # To a tenth of a unit, as it is drawn.
        assert y <= chart.rule.at if lost >= rpo else y >= chart.rule.at
    assert len(levels(chart, "tested")) == len(parts)


def timing(day: float, seconds: float, basis: str = "throwaway") -> SimpleNamespace:
    return SimpleNamespace(at=START + timedelta(days=day), achieved_s=seconds, basis=basis)


def test_each_test_is_a_dot_where_it_was_and_as_high_as_it_took(wording: SnapshotAssertion) -> None:
    none = exposure(60)
    timings = (timing(0, 60), timing(5, 120, "durable"), timing(10, 600))
    chart = restore_chart(asset(none, none, rto=300.0, timings=timings), PERIOD, "k")
    first, middle, last = chart.dots
    assert [d.x for d in chart.dots] == [LEFT, (LEFT + chart.frame.right) / 2, chart.frame.right]
    floor = HEIGHT - BOTTOM
    assert floor - middle.y == pytest.approx(2 * (floor - first.y), abs=0.2)
    assert floor - last.y == pytest.approx(10 * (floor - first.y), abs=1)
    assert [d.kind for d in chart.dots] == ["within throwaway", "within durable", "over throwaway"]
    assert chart.rule is not None and last.y < chart.rule.at < middle.y
    assert chart.desc == wording
    assert last.says == f"2026-03-11: {human_seconds(600)}, throwaway settings"
    assert of_ticks(chart)["5 m"] == chart.rule.at


def test_restores_far_below_their_objective_are_told_apart(wording: SnapshotAssertion) -> None:
    none = exposure(60)
    chart = restore_chart(asset(none, none, rto=3600.0, timings=(timing(0, 0.4), timing(5, 4))), PERIOD, "k")
    first, second = chart.dots
    assert chart.rule is not None and first.y - second.y > 10 and second.y - chart.rule.at > 10
    assert len(chart.y_ticks) > 3
    (alone,) = restore_chart(asset(none, none, rto=3600.0, timings=(timing(0, 0.4),)), PERIOD, "k").dots
    assert alone.y < HEIGHT - BOTTOM, "not on the ground"
    one = restore_chart(asset(none, none, rto=3600.0, timings=(timing(0, 0.4),)), PERIOD, "k")
    assert one.desc == wording
    nothing = restore_chart(asset(none, none, rto=3600.0, timings=()), PERIOD, "k")
    assert nothing.desc == wording


def test_a_scale_has_marks_to_read_it_by() -> None:
    for lost in (60.0, 1200.0, 86400.0 * 40):
        chart = exposure_chart(asset(exposure(lost), exposure(lost), 3600.0), PERIOD, "k")
        assert 3 <= len(chart.y_ticks) <= 8, chart.y_ticks


def test_growth_is_drawn_from_first_to_last_and_as_high_as_it_is() -> None:
    sizes = ((EDGES[0], 2**30), (EDGES[5], 2 * 2**30), (EDGES[10], 4 * 2**30))
    chart = growth_chart("p", Growth(sizes, (), 0, None, None, None, None), PERIOD, "k")
    assert chart is not None
    points = [tuple(map(float, point.split())) for point in chart.lines[0].path.removeprefix("M").split("L")]
    assert [x for x, _ in points] == [chart.frame.x(at) for at, _ in sizes]
    floor = HEIGHT - BOTTOM
    heights = [floor - y for _, y in points]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2) and heights[2] == pytest.approx(4 * heights[0], abs=0.3)
    assert "4,294,967,296 bytes (4.0 GiB)" in chart.desc
    ticks = of_ticks(chart)
    assert ticks["0 B"] == floor and sorted(ticks.values(), reverse=True) == list(ticks.values())


def test_the_fleet_shows_whoever_used_most_of_its_objective(wording: SnapshotAssertion) -> None:
    modest = asset(exposure(600, 600), exposure(600, 600), HOUR)
    late = asset(exposure(600, 14400), exposure(600, 14400), 2 * HOUR)
    chart = fleet_chart([modest, late], PERIOD, "k")
    assert chart is not None and chart.rule is not None
    first, second = levels(chart, "completed")
    assert second[2] < chart.rule.at < first[2]
    assert of_ticks(chart)["200 %"] == second[2]
    assert "200 %" in chart.desc and chart.desc == wording
    assert fleet_chart([modest], PERIOD, "k") is None
