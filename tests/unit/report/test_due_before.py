"""Of which plans it is not known what was due before their first version was recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ccdr.telling.report.headline import over_the_period
from ccdr.telling.report.period import Period
from ccdr.telling.report.promises import PlanPromises

END = datetime(2026, 11, 24, 22, tzinfo=UTC)
PERIOD = Period(END - timedelta(days=1), END, until_now=True)


def said(*since: int | None) -> str:
    """Of plans p0, p1 …: minutes before the end when each one's first version was recorded."""
    plans = [
        PlanPromises(f"p{n}", None if ago is None else END - timedelta(minutes=ago), (), ())
        for n, ago in enumerate(since)
    ]
    text = over_the_period(PERIOD, (), (), {}, plans, PERIOD.start, 0)
    return text.partition("nothing was due")[2]


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ((None, None), "."),
        ((4,), ", and what was due before 2026-11-24 21:56 is not known, as no version of it is recorded."),
        (
            (None, 8, 4),
            ", and what was due of p1 before 2026-11-24 21:52, of p2 before 2026-11-24 21:56 is not known, as no version of "
            "it is recorded.",
        ),
        (
            (9, 8, 7, 6),
            ", and what of 4 plans was due before the first version of each, the last of 2026-11-24 21:54, is not known, as "
            "no version of it is recorded.",
        ),
    ],
)  # fmt: skip
def test_each_plan_has_its_own_time_before_which_nothing_is_known(since: tuple[int | None, ...], text: str) -> None:
    assert said(*since) == text
