"""Which comparisons of two stores stay red after a recovery that brought these back apart, and what a person decides.
Rows that have no file any more are no damage of a backup, and no new backup brings the file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.judgement.came_apart import ALIKE
from ccdr.model.values import human_seconds
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job


@dataclass(frozen=True)
class ThenRed:
    """A check of `asset` that compares it with another one: `newer` comes back by `ahead` seconds newer than `older`.
    `acknowledge` is what a person types who has decided that it may stay so; for how long, and why, are his."""

    asset: str
    check: str
    newer: str
    older: str
    ahead: float
    acknowledge: str

    @property
    def text(self) -> str:
        return (
            f"{self.newer} comes back {human_seconds(self.ahead)} newer than {self.older}: what it got in between has "
            f"no counterpart there, and no new backup mends that. If there is any, “{self.check}” is FAIL in every "
            f"restore test of {self.asset} from then on. Look at which; then a person decides: `{self.acknowledge}`"
        )

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "check": self.check,
            "newer": self.newer,
            "older": self.older,
            "ahead_s": round(self.ahead, 3),
            "acknowledge": self.acknowledge,
        }


def then_red(loaded: LoadedPlan, points: Mapping[str, datetime], spares: Mapping[str, str]) -> Iterator[ThenRed]:
    """`points` is what each asset was, or is to be, brought to. One of `spares` goes on at the server of the asset that
    it is a spare of, and so at that one's point."""
    at = {asset: points.get(spares.get(asset, asset), point) for asset, point in points.items()}
    for asset, point in at.items():
        for check in Job(loaded, asset).checks:
            if check.beside is None or check.beside not in at:
                continue
            ahead = (point - at[check.beside]).total_seconds()
            if abs(ahead) <= ALIKE:
                continue
            newer, older = (asset, check.beside) if ahead > 0 else (check.beside, asset)
            ack = ["ccdr", "ack", "TEST_FAILED", loaded.plan.plan, "--asset", asset, "--until", "14d", "--why", "…"]
            yield ThenRed(asset, check.label, newer, older, abs(ahead), shlex.join(ack))
