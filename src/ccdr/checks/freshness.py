"""`freshness`: the newest row is as new as it should be, against the consistent point or the one a log led to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.model.errors import TestBroken
from ccdr.model.schema import Duration, Text, format_duration
from ccdr.model.values import CheckResult, human_seconds
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored

# A row newer than the consistent point by more than two hosts' clocks explain was not written "now": then
# the newest row says nothing about freshness, and a stale backup would pass.
CLOCKS = 300.0


class Freshness(CheckConfig):
    needs_sql: ClassVar[bool] = True
    ceilings: ClassVar[tuple[str, ...]] = ("within",)

    kind: Literal["freshness"]
    query: Text = Field(description="gives one timestamp, that of the newest row")
    within: Duration = Field(description="how old that may be at the snapshot's consistent point")

    def default_name(self) -> str:
        return f"newest row within {format_duration(self.within)}"

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        newest = engine.newest(context.sandbox, context.manifest, self.query)
        yield self.result(*aged(context, newest, self.within, "row"), varies=True)


def aged(context: CheckContext, newest: float | None, within: float, what: str) -> tuple[bool, str, str]:
    """Is the newest of its kind (seconds since the epoch) new enough? And what was expected, and found. TestBroken
    after a recovery to a point whose time nothing tells."""
    before = "the point that was reached" if context.recovered else "the consistent point"
    expected = f"at most {format_duration(within)} before {before}"
    if newest is None:
        return False, expected, "no row, or NULL" if what == "row" else f"no {what}"
    if context.point is None:
        raise TestBroken(
            f"the time of the recovered point is not known, so ccdr cannot judge how old the newest {what} is",
            hint="recover to a time, or to `latest`",
        )
    age = context.point.timestamp() - newest
    skew = abs(context.manifest.clock_skew_s or 0.0)
    if age < -(CLOCKS + skew):
        article = "an" if what[0] in "aeiou" else "a"
        actual = f"{human_seconds(-age)} after it: {article} {what} from the future says nothing about freshness"
        return False, expected, actual
    return age <= within, expected, f"{human_seconds(age)} before it"
