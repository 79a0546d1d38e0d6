"""What proves nothing once may be chance; twice in a row it is a deviation, until something is proven again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.deviations import wanted
from ccdr.evidence.deviations.spans import Kept, Record, opened, settled
from ccdr.model.trouble import Trouble
from ccdr.model.values import utc

TWICE = 2
_TEST = "test"


@dataclass(frozen=True)
class Attempts:
    """One record of what was tried. `checks`: of a restore test, by which it was carried out, None where nobody knows.
    `of`: of which kind it was, where kinds take turns ("": of none, or it came to none). There is a row of all, and one
    of each kind."""

    kept: Kept
    record: Record
    rules: Mapping[str, Any]
    checks: wanted.Checks

    def prove_nothing(self, trouble: Trouble, verb: str, of: str) -> None:
        mine = [self.checks, wanted.point_of(self.record) if verb == _TEST else None]
        seen = False
        for one in dict.fromkeys(("", of)):
            count, since, before = self.kept.rows.get(_row(verb, one)) or (0, str(self.record["time"]), mine)
            asked = wanted.tested(before, mine)
            self.kept.rows[_row(verb, one)] = [count + 1, since, asked]
            if count + 1 >= TWICE:
                times = 0 if seen else TWICE if count + 1 == TWICE else 1
                first = utc(since) if count + 1 == TWICE else None
                opened(
                    self.kept, trouble.name, self.record, self.rules, what=one, detail=asked, since=first, times=times,
                    together=wanted.tested,
                )  # fmt: skip
                seen = True

    def prove(self, trouble: Trouble, verb: str, of: str) -> None:
        """It ends the row, and the deviation, if it asks as much of what is as new."""
        for one in dict.fromkeys(("", of)):
            row = self.kept.rows.get(_row(verb, one))
            if row is not None and self._good(row[2]):
                del self.kept.rows[_row(verb, one)]
            settled(self.kept, trouble.name, self.record, one, self._good)

    def _good(self, asked: list[Any]) -> bool:
        return wanted.as_strict(asked[0], self.checks) and wanted.as_new(self.record, asked[1])


def _row(verb: str, of: str) -> str:
    return f"{verb} {of}" if of else verb
