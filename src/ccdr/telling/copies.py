"""How it stands with a plan's copies, for whoever asks: what each holds, and how much would be lost if it were all that
is left. Never counted as the plan's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.fold import Histories
from ccdr.evidence.history.kinds import COPIED
from ccdr.model.values import at_copy, human_seconds, so_many, to_the_second, utc
from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class CopyStatus:
    """One of a plan's copies, as its newest copying told. `points` are by asset: up to when each can be brought back
    from there (None: not at all), by its log where that leads on."""

    plan: str
    copy: str
    site: str | None
    filled: datetime | None  # when that was told
    result: str | None  # of the newest copying, which may have come to nothing
    points: Mapping[str, datetime | None]
    snapshots: int
    tests: Mapping[str, str | None]  # by asset: the verdict of its last restore test from there
    now: datetime

    def exposure(self, asset: str) -> float | None:
        """Seconds that would be lost of it; None: all."""
        point = self.points.get(asset)
        return None if point is None else (self.now - point).total_seconds()

    def as_json(self) -> dict[str, object]:
        return {
            "copy": self.copy,
            "site": self.site,
            "filled": self.filled and to_the_second(self.filled),
            "last_result": self.result,
            "snapshots": self.snapshots,
            "assets": {
                asset: {
                    "newest": point and to_the_second(point),
                    "exposure_s": None if point is None else round((self.now - point).total_seconds(), 3),
                    "last_test": self.tests.get(asset),
                }
                for asset, point in self.points.items()
            },
        }

    def __str__(self) -> str:
        where = f"copy {self.copy}" + (f" ({self.site})" if self.site else "")
        if self.filled is None:
            return f"{self.plan}: {where}: nothing was ever copied there"
        lost = {asset: self.exposure(asset) for asset in self.points}
        lacking = [asset for asset, seconds in lost.items() if seconds is None]
        worst = max((seconds for seconds in lost.values() if seconds is not None), default=None)
        loses = "" if worst is None else f"; if it were all that is left, up to {human_seconds(worst)} would be lost"
        none = f"; nothing of {', '.join(lacking)} is there" if lacking else ""
        tested = sum(verdict == "PASS" for verdict in self.tests.values())
        shown = f"; {tested} of {so_many(len(self.points), 'asset')} restored from there well"
        held = f"{so_many(self.snapshots, 'snapshot')}, filled {to_the_second(self.filled)}"
        return f"{self.plan}: {where}: {held}{loses}{none}{shown}"


def copies_of(loaded: LoadedPlan, histories: Histories, now: datetime) -> Iterator[CopyStatus]:
    """As the plan names them."""
    plan = loaded.plan.plan
    for name, copy in loaded.plan.copies.items():
        history = histories.get((at_copy(plan, name), None), AssetHistory())
        told = history.last_copy or {}
        newest, logged = told.get("newest") or {}, told.get("log_until") or {}
        points = {
            a: max(map(utc, filter(None, (newest.get(a), logged.get(a)))), default=None) for a in loaded.plan.assets
        }
        tests = {a: histories.get((at_copy(plan, name), a), AssetHistory()).last_test for a in loaded.plan.assets}
        yield CopyStatus(
            plan,
            name,
            copy.site,
            utc(told["time"]) if told else None,
            (history.newest.get(COPIED) or {}).get("result"),
            points,
            sum((told.get("there") or {}).values()),
            {asset: str(test["verdict"]) if test else None for asset, test in tests.items()},
            now,
        )
