"""`sql`: a query gives one expected value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ccdr.checks.base import CheckConfig
from ccdr.schema import Text


class Sql(CheckConfig):
    kind: Literal["sql"]
    query: Text
    expect: StrictBool | StrictInt | StrictFloat | StrictStr | None = Field(
        description="the one value the query must give; null for SQL's NULL"
    )
