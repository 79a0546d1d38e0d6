"""How much of an asset's newest data could have been lost, backup by backup: longer than its RPO is a deviation.

Counted from what was stored, as it was stored: that a test disproved it later is a deviation of its own. A restore test
says for itself whether the RPO was kept then, as far as its host knew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ccdr.evidence.deviations.spans import Kept, Record, base_of, opened, settled
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339, utc

CODE = Trouble.BREACH_RPO.name
BY_POINTS, BY_TEST = "points", "test"


@dataclass(slots=True)  # one for each backup of millions: a frozen one takes twice as long to make
class Points:
    """Of one asset. `rules` are of deviations, as its plan's facts have them."""

    own: Kept
    asset: str
    rules: Mapping[str, Any]

    def stored(self, record: Record, version: Record | None) -> None:
        """A backup was. It is a base from which the log leads on."""
        consistent = (record.get("snapshot") or {}).get("consistent_point")
        if consistent is None:
            return
        at, usable = utc(consistent), utc(record["time"])
        if self._as_it_should_be(at, usable, self._rpo(version)):  # as a rule: for millions of records the rest shows
            self.own.point = [consistent, record["time"], base_of(record), True]
            return
        self._reached(record, [(at, usable)], version)
        self._log_leads_on(True)

    def _as_it_should_be(self, consistent: datetime, usable: datetime, rpo: float | None) -> bool:
        """Nothing is open that it could settle, and it opens nothing."""
        if self.own.spans:
            return False
        newest = utc(self.own.point[0]) if self.own.point else None
        if newest is not None and consistent <= newest:
            return False
        return rpo is None or (usable - (newest or consistent)).total_seconds() <= rpo

    def shipped(self, record: Record, version: Record | None) -> None:
        """So was log; behind a gap it leads on from the next backup only."""
        if record.get("gaps"):
            self._log_leads_on(False)
        elif self.own.point and self.own.point[3] and record.get("points"):
            since = utc(record["since"])
            seconds = (
                (since + timedelta(seconds=at), since + timedelta(seconds=usable)) for at, usable in record["points"]
            )
            self._reached(record, list(seconds), version)

    def objective_ends(self, record: Record, version: Record) -> None:
        """The version that asked for an RPO is in force no more: was it kept until then?"""
        rpo = self._rpo(version)
        if rpo is not None and self.own.point:
            self._late(record, utc(self.own.point[0]), utc(record["time"]), rpo)

    def tested(self, record: Record) -> None:
        rpo = record.get("rpo") or {}
        objective, achieved = rpo.get("objective_s"), rpo.get("achieved_s")
        if rpo.get("verdict") == "BREACHED":
            base = self.own.point[2] if self.own.point else None
            opened(self.own, CODE, record, self.rules, what=BY_TEST, detail=objective, base=base, together=min)
        elif rpo.get("verdict") == "MET" and achieved is not None:
            settled(self.own, CODE, record, BY_TEST, lambda then: achieved <= then)

    def _reached(self, record: Record, points: Iterable[tuple[datetime, datetime]], version: Record | None) -> None:
        before, rpo = self.own.point, self._rpo(version)
        newest = utc(before[0]) if before else None
        last = None
        for consistent, usable in points:
            if newest is not None and consistent <= newest:
                continue  # an older one, or the same once more
            if rpo is not None:
                if newest is not None:
                    self._late(record, newest, usable, rpo)
                age = (usable - consistent).total_seconds()
                settled(self.own, CODE, record, BY_POINTS, partial(_in_time, age), asset=self.asset)
            newest = consistent
            last = [rfc3339(consistent), rfc3339(usable), base_of(record), before[3] if before else True]
            if rpo is not None and usable - consistent > timedelta(seconds=rpo):
                self.own.point = last
                self._late(record, consistent, usable, rpo)
        self.own.point = last or before

    def _late(self, record: Record, consistent: datetime, at: datetime, rpo: float) -> None:
        since = consistent + timedelta(seconds=rpo)
        if at > since:
            opened(
                self.own, CODE, record, self.rules, what=BY_POINTS, detail=rpo, base=self.own.point[2], since=since,
                asset=self.asset, together=min,
            )  # fmt: skip

    def _log_leads_on(self, leads: bool) -> None:
        if self.own.point:
            self.own.point = [*self.own.point[:3], leads]

    def _rpo(self, version: Record | None) -> float | None:
        """As the version asks for it; None where none is known."""
        of = (((version or {}).get("facts") or {}).get("assets") or {}).get(self.asset)
        return float(of["rpo"]) if of else None


def _in_time(age: float, objective: float) -> bool:
    return age <= objective
