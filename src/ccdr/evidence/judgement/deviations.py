"""Which deviations are past the day by which they were to be over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from ccdr.evidence.deviations.values import Deviation
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import to_the_second


def judge_deviations(deviations: Iterable[Deviation], now: datetime) -> Iterator[Problem]:
    for one in deviations:
        if one.overdue(now):
            ended = "; the acceptance of its risk has ended" if one.accepted and not one.refused else ""
            refused = "; the acceptance of its risk is not signed by who may approve" if one.refused else ""
            whose = f", {one.owner}" if one.owner else ""
            text = (
                f"deviation {one.id} of {one.where} ({one.code}, {one.severity}{whose}), open since "
                f"{to_the_second(one.since)}, was to be over by {to_the_second(one.due)}{ended}{refused}"
            )
            step = (
                f"ccdr deviation show {one.id}   tells of it; ccdr deviation assign {one.id} --owner NAME --due D   "
                "gives it another day; docs/how-to/deviations.md"
            )
            yield Problem(Trouble.DEVIATION_OVERDUE, text, one.due, about=one.id, step=step, why=one.code)
