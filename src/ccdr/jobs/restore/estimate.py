"""How long a restore should take: from the asset's restore tests, phase by phase, by bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from ccdr.evidence.history.kinds import TEST_END
from ccdr.evidence.verdicts import Record
from ccdr.model.values import human_bytes, human_seconds, so_many

NEWEST = 5  # tests that are looked at: the data and the machines of last year say little
FIXED = 32 * 2**20  # bytes that are restored in about the time that each phase takes at least
FAR = 4  # times what was measured: from there on it is extrapolated more than scaled
PHASES: tuple[str, ...] = ("fetch", "load", "check")


@dataclass(frozen=True)
class Estimate:
    """Seconds, how many tests they come from, and (bytes) what is to be restored and the largest that was measured."""

    phases: dict[str, float]
    tests: int
    size: int = 0
    measured: int = 0

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {human_seconds(seconds)}" for name, seconds in self.phases.items())
        by = so_many(self.tests, "restore test in a sandbox", "restore tests in sandboxes") + self._guessed
        return f"about {human_seconds(self.seconds)} ({parts}), by {by}"

    @property
    def _guessed(self) -> str:
        """Far from what was measured nobody knows which part of it grows."""
        if not 0 < self.measured * FAR < self.size:
            return ""
        return f", of no more than {human_bytes(self.measured)} where this is {human_bytes(self.size)}: a guess"


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
    by_phase = {}
    for phase in phases:
        scaled = [float(r["phases"].get(phase) or 0.0) * _scale(size, int(r["snapshot"]["bytes"])) for r in passed]
        by_phase[phase] = median(scaled)
    return Estimate(by_phase, len(passed), size, max(int(r["snapshot"]["bytes"]) for r in passed))


def _scale(size: int, measured: int) -> float:
    """How much longer than what was measured. What a restore costs however little there is counts as so many bytes: a
    test of some kilobytes would else be taken for work that is proportional to them."""
    return (size + FIXED) / (measured + FIXED) if size > 0 and measured > 0 else 1.0
