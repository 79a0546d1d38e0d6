"""`freshness`: the newest row is as new as it should be, measured against the consistent point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.interfaces import Bench, Restored
from ccdr.model import CheckResult, Manifest, human_seconds
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
        yield self.result(*aged(bench.manifest, newest, self.within, "row"))


def aged(manifest: Manifest, newest: float | None, within: float, what: str) -> tuple[bool, str, str]:
    """Is the newest of its kind (seconds since the epoch) new enough? And what was expected, and found."""
    expected = f"at most {format_duration(within)} before the consistent point"
    if newest is None:
        return False, expected, "no row, or NULL" if what == "row" else f"no {what}"
    age = manifest.consistent_point.timestamp() - newest
    skew = abs(manifest.clock_skew_s or 0.0)
    if age < -(CLOCKS + skew):
        article = "an" if what[0] in "aeiou" else "a"
        said = f"{human_seconds(-age)} after it: {article} {what} from the future says nothing about freshness"
        return False, expected, said
    return age <= within, expected, f"{human_seconds(age)} before it"
