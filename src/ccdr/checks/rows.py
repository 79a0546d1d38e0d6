"""`rows`: a table holds as many rows as it should."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ccdr.checks.base import CheckConfig
from ccdr.schema import Text


class Rows(CheckConfig):
    kind: Literal["rows"]
    table: Text = Field(description="as in SQL, with its schema where it is not on the search path")
    at_least: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("has no bound, expected at_least or at_most")
        return self
