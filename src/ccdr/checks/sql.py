"""`sql`: a query gives one expected value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ccdr.checks.base import CheckConfig
from ccdr.interfaces import Bench, Restored
from ccdr.model import CheckResult, so_many
from ccdr.schema import Text

# Numbers, truth values and times are counts and measures; any other text may be a customer's.
_RECORDABLE = re.compile(r"[-+]?[0-9.]{1,20}(e[-+]?[0-9]{1,3})?|[tf]|\d{4}-\d\d-\d\d[ T][0-9:.+-]{5,24}")


class Sql(CheckConfig):
    needs_sql: ClassVar[bool] = True

    kind: Literal["sql"]
    query: Text
    expect: StrictBool | StrictInt | StrictFloat | StrictStr | None = Field(
        description="the one value the query must give; null for SQL's NULL"
    )

    def default_name(self) -> str:
        return " ".join(self.query.split())[:80]

    def run(self, engine: Restored, bench: Bench) -> Iterator[CheckResult]:
        rows = engine.query(bench.sandbox, bench.manifest, self.query)
        expected = _text(self.expect)
        if len(rows) != 1 or len(rows[0]) != 1:
            columns = len(rows[0]) if rows else 0
            yield self.result(
                False, expected, f"{so_many(len(rows), 'row')} of {so_many(columns, 'column')}, expected one value"
            )
            return
        value = rows[0][0]
        yield self.result(_equal(value, self.expect), expected, _shown(value, expected), value)


def _text(expect: bool | int | float | str | None) -> str:
    """As the server writes it."""
    if expect is None:
        return "NULL"
    if isinstance(expect, bool):
        return "t" if expect else "f"
    return str(expect)


def _equal(value: str | None, expect: bool | int | float | str | None) -> bool:
    if value is None or expect is None:
        return value is None and expect is None
    if isinstance(expect, bool):  # as PostgreSQL writes it, and as MariaDB and SQLite do
        return value in (("t", "1") if expect else ("f", "0"))
    if isinstance(expect, str):
        return value == expect
    try:
        return Decimal(value) == Decimal(str(expect))
    except InvalidOperation:
        return False


def _shown(value: str | None, expected: str) -> str:
    if value is None:
        return "NULL"
    if value == expected or _RECORDABLE.fullmatch(value):
        return value
    return f"a text of {len(value)} characters"
