"""`rows`: a table holds as many rows as it should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ccdr.checks.base import CheckConfig, bounds, object_or_digest
from ccdr.model.schema import Text
from ccdr.model.values import CheckResult, so_many
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored


class Rows(CheckConfig):
    needs_sql: ClassVar[bool] = True
    floors: ClassVar[tuple[str, ...]] = ("at_least",)
    ceilings: ClassVar[tuple[str, ...]] = ("at_most",)

    kind: Literal["rows"]
    table: Text = Field(description="as in SQL, with its schema where it is not on the search path")
    at_least: int | None = Field(None, ge=0, description="fewer rows than this is a FAIL")
    at_most: int | None = Field(None, ge=0, description="more rows than this is a FAIL")

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("has no bound, expected at_least or at_most")
        return self

    def default_name(self) -> str:
        stated = bounds(self.at_least, self.at_most, "at least", "at most")
        return f"{object_or_digest(self.table)} has {' and '.join(stated)} rows"

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        rows = engine.query(context.sandbox, context.manifest, f"select count(*) from {self.table}")
        expected = " and ".join(bounds(self.at_least, self.at_most, "≥", "≤"))
        if [len(row) for row in rows] != [1] or not str(rows[0][0]).isdigit():  # more than a table stands there
            yield self.result(False, expected, f"{so_many(len(rows), 'row')}, expected one count")
            return
        count = int(str(rows[0][0]))
        enough = (self.at_least is None or count >= self.at_least) and (self.at_most is None or count <= self.at_most)
        yield self.result(enough, expected, str(count))
