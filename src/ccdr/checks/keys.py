"""`keys`: as many keys match as should; the newest entry of a stream is as new as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Protocol, Self, cast

from pydantic import Field, model_validator

from ccdr.checks.base import CheckConfig, bounds, known_by
from ccdr.checks.freshness import aged
from ccdr.model.schema import Duration, Text, format_duration
from ccdr.model.values import CheckResult, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored

Type = Literal["string", "list", "set", "zset", "hash", "stream"]


class Counts(Protocol):
    """A server that counts its keys, and tells when the newest entry of the streams among them was made (seconds since
    the epoch, as ids tell), where `kind` is stream and there is one; None where it may not be asked."""

    def matching(
        self, context: CheckContext, pattern: str, kind: str | None, database: int | None
    ) -> tuple[int, float | None] | None: ...


class Keys(CheckConfig):
    engines: ClassVar[tuple[str, ...]] = ("redis",)
    floors: ClassVar[tuple[str, ...]] = ("at_least",)
    ceilings: ClassVar[tuple[str, ...]] = ("at_most", "newest_within")

    kind: Literal["keys"]
    match: Text = Field("*", description="pattern of key names, as SCAN takes it: queue:*")
    type: Type | None = Field(None, description="only keys of this type")
    database: int | None = Field(None, ge=0, description="only keys of this database (left out: of all)")
    at_least: int | None = Field(None, ge=0, description="fewer keys than this is a FAIL")
    at_most: int | None = Field(None, ge=0, description="more keys than this is a FAIL")
    newest_within: Duration | None = Field(
        None, description="how old the newest entry of the matching streams may be, by its id, at the consistent point"
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.at_least is None and self.at_most is None and self.newest_within is None:
            raise ValueError("has no bound, expected at_least, at_most or newest_within")
        if self.newest_within is not None and self.type not in (None, "stream"):
            raise ValueError(
                f"has newest_within and the type {self.type}, expected stream: only its entries have a time"
            )
        return self

    def default_name(self) -> str:
        """Keys are named after people, and its pattern may be: told by a digest."""
        match = f"of pattern {known_by(self.match)}" if self.match != "*" else self.match
        what = " ".join(filter(None, (self.type, match)))
        where = "" if self.database is None else f" in database {self.database}"
        limits = bounds(self.at_least, self.at_most, "at least", "at most")
        if self.newest_within is not None:
            limits.append(f"newest entry within {format_duration(self.newest_within)}")
        return f"keys {what}{where}: {', '.join(limits)}"

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        kind = "stream" if self.newest_within is not None else self.type
        found = cast("Counts", engine).matching(context, self.match, kind, self.database)
        if found is None:
            may = "+info +select +eval +scan +xrevrange"
            why = f"not looked at: the plan's user may not count keys there ({may}); backups and tests need none of it"
            yield CheckResult(self.kind_name, self.label, Verdict.SKIPPED, "a look", why)
            return
        count, newest = found
        if expected := bounds(self.at_least, self.at_most, "≥", "≤"):
            enough = self.at_least is None or count >= self.at_least
            yield self.result(
                enough and (self.at_most is None or count <= self.at_most), " and ".join(expected), str(count)
            )
        if self.newest_within is not None:
            yield self.result(*aged(context, newest, self.newest_within, "entry"), varies=True)
