"""`sql`: a query gives one expected value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ccdr.checks.base import CheckConfig, known_by
from ccdr.model.schema import Text
from ccdr.model.values import CheckResult, so_many
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored

MOST_DIGITS = 6  # of a number that is recorded unasked: a count; a telephone number has more
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]{1,3})?", re.IGNORECASE)
_LONGEST = 40  # characters of a number


class Sql(CheckConfig):
    needs_sql: ClassVar[bool] = True
    asides: ClassVar[tuple[str, ...]] = ("name", "measure")

    kind: Literal["sql"]
    query: Text = Field(description="run in the restored database; what it gives is compared with `expect`")
    expect: StrictBool | StrictInt | StrictFloat | StrictStr | None = Field(
        description="the one value the query must give; null for SQL's NULL"
    )

    measure: StrictBool = Field(False, description="the number it gives is recorded, however many digits it has")

    def default_name(self) -> str:
        """Its query may quote somebody: told by a digest."""
        return f"query {known_by(self.query)}"

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        rows = engine.query(context.sandbox, context.manifest, self.query)
        expected = self._shown(_text(self.expect))
        if len(rows) != 1 or len(rows[0]) != 1:
            columns = len(rows[0]) if rows else 0
            yield self.result(
                False, expected, f"{so_many(len(rows), 'row')} of {so_many(columns, 'column')}, expected one value"
            )
            return
        value = rows[0][0]
        passed = _equal(value, self.expect)
        detail = f"expected {_text(self.expect)}, and it gave {'NULL' if value is None else value}"
        yield self.result(passed, expected, self._shown(value, equal=passed), None if passed else detail)

    def _shown(self, value: str | None, *, equal: bool = False) -> str:
        """What may be recorded: NULL, a truth value where one is expected, a number where one is. Any other text may be
        a customer's, and so may a long number."""
        if value is None or value == "NULL":
            return "NULL"
        if value in ("t", "f", "0", "1"):
            return value
        number = _NUMBER.fullmatch(value) is not None and len(value) <= _LONGEST
        digits = sum(character.isdigit() for character in value)
        if number and (self.measure or (_is_number(self.expect) and digits <= MOST_DIGITS)):
            return value
        what = "number" if number else "text"
        return f"the {what} that is expected" if equal else f"a {what} of {so_many(len(value), 'character')}"


def _is_number(expect: object) -> bool:
    return isinstance(expect, int | float) and not isinstance(expect, bool)


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
