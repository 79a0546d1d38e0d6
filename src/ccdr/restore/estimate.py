"""How long a restore should take: from the asset's restore tests, phase by phase, by bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from ccdr.history import TEST_END, Record
from ccdr.model import human_seconds

NEWEST = 5  # tests that are looked at: the data and the machines of last year say little
PHASES: tuple[str, ...] = ("fetch", "load", "check")


@dataclass(frozen=True)
class Estimate:
    """Seconds, and how many tests they come from."""

    phases: dict[str, float]
    tests: int

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {human_seconds(seconds)}" for name, seconds in self.phases.items())
        return f"about {human_seconds(self.seconds)} ({parts}), by {self.tests} restore tests in sandboxes"


def estimate(records: Iterable[Record], plan: str, asset: str, size: int, phases: Iterable[str]) -> Estimate | None:
    """The median over the newest tests that passed, scaled to `size` bytes; None where nothing was measured."""
    passed = [
        record
        for record in records
        if record["kind"] == TEST_END
        and (record["plan"], record["asset"]) == (plan, asset)
        and (record.get("snapshot") or {}).get("verdict") == "PASS"
    ][-NEWEST:]
    if not passed:
        return None
    found = {}
    for phase in phases:
        scaled = [float(r["phases"].get(phase) or 0.0) * _scale(size, int(r["snapshot"]["bytes"])) for r in passed]
        found[phase] = median(scaled)
    return Estimate(found, len(passed))


def _scale(size: int, measured: int) -> float:
    return size / measured if size > 0 and measured > 0 else 1.0
