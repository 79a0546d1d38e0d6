"""`freshness`: the newest row is as new as it should be, measured against the consistent point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.interfaces import Bench, Restored
from ccdr.model import CheckResult, human_seconds
from ccdr.schema import Duration, Text, format_duration

# A row newer than the consistent point by more than two hosts' clocks explain was not written "now": then
# the newest row says nothing about freshness, and a stale backup would pass.
CLOCKS = 300.0


class Freshness(CheckConfig):
    needs_sql: ClassVar[bool] = True

    kind: Literal["freshness"]
    query: Text = Field(description="gives one timestamp, that of the newest row")
    within: Duration

    def default_name(self) -> str:
        return f"newest row within {format_duration(self.within)}"

    def run(self, engine: Restored, bench: Bench) -> Iterator[CheckResult]:
        newest = engine.newest(bench.sandbox, bench.manifest, self.query)
        expected = f"at most {format_duration(self.within)} before the consistent point"
        if newest is None:
            yield self.result(False, expected, "no row, or NULL")
            return
        age = bench.manifest.consistent_point.timestamp() - newest
        skew = abs(bench.manifest.clock_skew_s or 0.0)
        if age < -(CLOCKS + skew):
            actual = f"{human_seconds(-age)} after it: a row from the future says nothing about freshness"
            yield self.result(False, expected, actual)
        else:
            yield self.result(age <= self.within, expected, f"{human_seconds(age)} before it")
