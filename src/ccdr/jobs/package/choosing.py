"""Which lines of a ledger a package shows: those of the rows of its population, and what is needed to judge them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from ccdr.evidence.checkpoints.keys import KEY
from ccdr.evidence.checkpoints.walk import time_in
from ccdr.evidence.ledger.ledger import BEGIN, Ledger
from ccdr.evidence.lineage.values import COLLECTED, LINKED
from ccdr.model.values import utc
from ccdr.plans.versions import PLAN_VERSION

_EDGES = ("start", "end")


@dataclass(frozen=True)
class Choice:
    """What was asked for: a half-open period in UTC (None: all of it), plans (None: all), and whether it is for one
    tenant, whose package tells nothing of how the ledger itself goes on."""

    period: tuple[datetime, datetime] | None
    plans: frozenset[str] | None
    tenant: bool = False

    @property
    def whole(self) -> bool:
        return self.period is None and self.plans is None

    def wants(self, plan: object) -> bool:
        return self.plans is None or plan in self.plans


def needed(choice: Choice, ledger: Ledger) -> set[int]:
    """Records that are shown whatever the period: which ledger it is, its keys, the versions of plans in force as it
    begins, and (they name other hosts) how other ledgers were taken in."""
    numbers = {int(record["seq"]) for kind in (BEGIN, KEY) for record in ledger.newest(kind)}
    started = set[str]()
    for record in ledger.newest(PLAN_VERSION):
        plan = str(record["plan"])
        if choice.period is not None and utc(record["time"]) >= choice.period[1]:
            continue
        if choice.wants(plan) and plan not in started:
            numbers.add(int(record["seq"]))
            if choice.period is not None and utc(record["time"]) <= choice.period[0]:
                started.add(plan)
    if not choice.tenant:
        known = set[object]()
        for kind in (COLLECTED, LINKED):
            for record in ledger.newest(kind):
                named = [record.get("ledger"), *(record.get("ledgers") or ())]
                if not known.issuperset(one for one in named if one):
                    known.update(named)
                    numbers.add(int(record["seq"]))
    return numbers


class Chosen:
    """Says of each line, in order, whether it is shown. `rows` are the numbers of the records that the population has
    rows of, `always` those of `needed`."""

    def __init__(self, choice: Choice, rows: Collection[int], always: Collection[int]) -> None:
        self._choice, self._shown = choice, {*rows, *always}
        begin, end = choice.period or (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        self._begin, self._end = _as_written(begin), _as_written(end)

    def shows(self, seq: int, line: bytes) -> bool:
        if seq in self._shown:
            return True
        return self._begin <= time_in(line) < self._end and self._by_itself(line)

    def _by_itself(self, line: bytes) -> bool:
        """It is no run's, and has no row: an hour of shipped log, or what a later ccdr wrote. A run's start and end
        have rows, or are of another period."""
        try:
            record = orjson.loads(line)
            kind, plan = str(record["kind"]), record["plan"]
        except (ValueError, KeyError, TypeError):
            return False
        verb, _, edge = kind.rpartition(".")
        if edge in _EDGES and verb != "pause":
            return False
        return plan in self._choice.plans if self._choice.plans is not None else not self._choice.tenant


def _as_written(moment: datetime) -> bytes:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
