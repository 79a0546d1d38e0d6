"""`rows`: a table holds as many rows as it should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ccdr.checks.base import CheckConfig, object_or_digest
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
        bounds = [f"at least {self.at_least}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most}"] if self.at_most is not None else []
        return f"{object_or_digest(self.table)} has {' and '.join(bounds)} rows"

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        rows = engine.query(context.sandbox, context.manifest, f"select count(*) from {self.table}")
        expected = [f"≥ {self.at_least}"] if self.at_least is not None else []
        expected += [f"≤ {self.at_most}"] if self.at_most is not None else []
        if [len(row) for row in rows] != [1] or not str(rows[0][0]).isdigit():  # more than a table stands there
            actual = f"{so_many(len(rows), 'row')}, expected one count"
            yield self.result(False, " and ".join(expected), actual)
            return
        count = int(str(rows[0][0]))
        enough = (self.at_least is None or count >= self.at_least) and (self.at_most is None or count <= self.at_most)
        yield self.result(enough, " and ".join(expected), str(count))
