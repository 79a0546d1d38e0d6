"""How long a recovery should take: from what records tell of measured restores, phase by phase, by bytes. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import combinations
from statistics import NormalDist, median

from ccdr.evidence.records import Record, RestoreEnd, TestEnd
from ccdr.jobs.recover.states import Predicted

# What the records tell of an asset for a recovery: how its states were proven, and how long restores of it took.

NEWEST = 24  # runs that are looked at: the data and the machines of last year say little
LONG_AGO, VERY_LONG_AGO = timedelta(days=100), timedelta(days=400)
DURABLE, THROWAWAY = "durable", "throwaway"


@dataclass(frozen=True)
class Proof:
    verdict: str
    at: datetime


@dataclass(frozen=True)
class MeasuredRun:
    """One restore that went well: seconds of each phase, bytes of what was restored and of the log that was applied to
    it. `basis` is as a restore test's: whether the server's settings were durable."""

    phases: Mapping[str, float]
    bytes: int
    log_bytes: int
    basis: str


@dataclass
class Told:
    """Of one asset: each snapshot's last verdict by a test of itself, that of the last recovery by the log from it, and
    the newest measured runs, oldest first."""

    by_snapshot: dict[str, Proof] = field(default_factory=dict)
    by_log: dict[str, Proof] = field(default_factory=dict)
    runs: list[MeasuredRun] = field(default_factory=list)


def told_of(newest_first: Iterable[Record], plan: str, assets: Collection[str], now: datetime) -> dict[str, Told]:
    """By asset. A ledger of years is not read to its beginning: no further than to where enough was measured of each
    asset, or to `LONG_AGO` where at least something was."""
    found = {asset: Told() for asset in assets}
    for record in newest_first:
        if _enough(found.values(), now, record):
            break
        told = found.get(str(record.asset)) if record.plan == plan else None
        if told is None:
            continue
        if isinstance(record, TestEnd):
            _of_test(told, record)
        elif isinstance(record, RestoreEnd):
            _of_restore(told, record)
    for told in found.values():
        told.runs = told.runs[:NEWEST][::-1]
    return found


def _enough(told: Iterable[Told], now: datetime, record: Record) -> bool:
    fewest = min(len(one.runs) for one in told)
    if fewest >= NEWEST:
        return True
    age = now - record.time
    return age > (LONG_AGO if fewest else VERY_LONG_AGO)


def _of_test(told: Told, record: TestEnd) -> None:
    snapshot, recovery = record.snapshot, record.recovery
    if snapshot is None:
        return
    if snapshot.verdict in ("PASS", "FAIL"):
        told.by_snapshot.setdefault(snapshot.id, Proof(snapshot.verdict, record.time))
    if recovery is not None and recovery.verdict in ("PASS", "FAIL"):
        told.by_log.setdefault(snapshot.id, Proof(recovery.verdict, record.time))
    if snapshot.verdict == "PASS":
        size, fetched = snapshot.bytes, record.bytes_restored
        log = max(0, fetched - size) if recovery and fetched and not record.others else 0
        basis = record.rto.basis if record.rto else THROWAWAY
        if not recovery or log:  # how much log it was is what its time is of
            told.runs.append(MeasuredRun(_seconds(record.phases), size, log, basis))


def _of_restore(told: Told, record: RestoreEnd) -> None:
    """One for real, alone or in a recovery: its server is one for good."""
    if record.result != "RESTORED" or not record.snapshot or not record.snapshot.bytes or not record.phases:
        return
    told.runs.append(MeasuredRun(_seconds(record.phases), record.snapshot.bytes, record.log_bytes or 0, DURABLE))


def _seconds(measured: Mapping[str, float]) -> dict[str, float]:
    phases = dict(measured)
    if "fetch" in phases:  # side by side: the longer of them is what is waited for
        phases["fetch"] = max(phases["fetch"], phases.pop("provision", 0.0))
    return phases


# Each phase takes a fixed time and a rate, fitted robustly where what was measured differs enough in size; else what
# was measured is scaled. How sure that is comes from how far the measured runs lie from it, and from how far what is
# to be restored lies from them.

FIXED = 32 * 2**20  # bytes that are restored in about the time that each phase takes at least
FAR = 4  # times what was measured: from there on it is a guess
FEWEST = 4  # runs that a line is fitted to …
SPREAD, SPAN = 1.5, 8 * 2**20  # … whose sizes differ by this factor at least, and by so many bytes
COVERED = 0.95  # of what comes lies below the upper bound, and as much above the lower one
LEAST_NOISE = 0.03  # of the time: two restores of the same are never more alike
ALONE_NOISE = 0.25  # where a single run was measured
EACH_DOUBLING = 0.04  # of the time, for each time that it is twice as large as what was measured
DURABLE_LOAD = 1.5  # times what a throwaway server takes to load (docs/explanation/benchmarks.md) …
DURABLE_BOUNDS = 1.0, 2.2  # … and between which bounds


@dataclass(frozen=True)
class Work:
    """What is to be done: bytes of the base, bytes of log that are applied to it, which phases, and whether the server
    has durable settings (None: there is none)."""

    bytes: int
    log_bytes: int = 0
    phases: tuple[str, ...] = ("fetch", "load", "check", "finish")
    durable: bool | None = None


@dataclass(frozen=True)
class Line:
    """Seconds for so many bytes. `fitted`: else it is what was measured, scaled."""

    fixed: float
    rate: float
    fitted: bool

    def at(self, size: float) -> float:
        return self.fixed + self.rate * size


def predicted(runs: Sequence[MeasuredRun], work: Work) -> Predicted | None:
    """None where nothing was measured. The runs are of one asset, oldest first."""
    used, basis = _fitting(runs, work)
    if not used:
        return None
    if all(run.log_bytes for run in used):  # nothing tells the base's time from the log's
        used = [replace(run, bytes=run.bytes + run.log_bytes, log_bytes=0) for run in used]
        work = replace(work, bytes=work.bytes + work.log_bytes, log_bytes=0)
    bare = [run for run in used if not run.log_bytes]
    whole = [(float(run.bytes), sum(run.phases.get(phase, 0.0) for phase in work.phases)) for run in bare]
    line = line_of(whole, work.bytes)
    low, high = _bounds(whole, line, work.bytes)
    phases = {
        phase: line_of([(float(r.bytes), r.phases.get(phase, 0.0)) for r in bare], work.bytes) for phase in work.phases
    }
    seconds = {phase: of.at(work.bytes) for phase, of in phases.items()}
    if basis is not None:
        load = seconds.get("load", 0.0)
        low, high = (bound + load * (factor - 1.0) for bound, factor in zip((low, high), DURABLE_BOUNDS, strict=True))
        seconds["load"] = load * DURABLE_LOAD
    if work.log_bytes:
        log, spread = _log(used, phases, work.log_bytes)
        seconds["log"] = log
        low, high = low + log / spread, high + log * spread
    total = sum(seconds.values())
    largest = max(run.bytes for run in bare)
    far = 0 < largest * FAR < work.bytes
    return Predicted(total, min(low, total), max(high, total), len(bare), far, seconds, basis)


def _fitting(runs: Sequence[MeasuredRun], work: Work) -> tuple[list[MeasuredRun], str | None]:
    """Those that were measured as it will be done; else all of them, and what is not quite the same then."""
    if work.durable is None:
        return list(runs), None
    alike = [run for run in runs if (run.basis == DURABLE) == work.durable and "load" in run.phases]
    if alike:
        return alike, None
    others = [run for run in runs if "load" in run.phases]
    return others, "measured on throwaway servers" if work.durable and others else None


def line_of(points: Sequence[tuple[float, float]], size: float) -> Line:
    """By bytes and seconds: the median of the slopes between any two that differ in size (Theil and Sen), and the
    median of what is left. Neither grows less than nothing."""
    sizes = [x for x, _ in points]
    enough = len(points) >= FEWEST and max(sizes) >= SPREAD * min(sizes) and max(sizes) - min(sizes) >= SPAN
    if not enough:
        seconds = median(t * _scale(size, x) for x, t in points)
        return Line(seconds, 0.0, fitted=False)
    slopes = [(u - t) / (y - x) for (x, t), (y, u) in combinations(points, 2) if abs(y - x) > SPAN / 8]
    rate = max(0.0, median(slopes))
    fixed = median(t - rate * x for x, t in points)
    if fixed < 0.0:  # through nothing
        return Line(0.0, median(t / x for x, t in points if x > 0), fitted=True)
    return Line(fixed, rate, fitted=True)


def _scale(size: float, measured: float) -> float:
    """How much longer than what was measured: what a phase costs however little there is counts as so many bytes."""
    return (size + FIXED) / (measured + FIXED) if size > 0 and measured > 0 else 1.0


def _bounds(points: Sequence[tuple[float, float]], line: Line, size: float) -> tuple[float, float]:
    """Between which nine of ten lie."""
    expected = line.at(size)
    largest = max(x for x, _ in points)
    model = EACH_DOUBLING * math.log2(size / largest) if 0 < largest < size else 0.0
    if not line.fitted:
        return _bounds_of_scaled(points, expected, size, model)
    ratios = [t / line.at(x) - 1.0 for x, t in points if line.at(x) > 0]
    noise = _noise(ratios, taken=2)
    lever = _leverage(points, line, size)
    spread = _quantile(len(points) - 2) * noise * math.sqrt(1.0 + 1.1 * lever) + model
    return max(expected * (1.0 - spread), line.fixed * 0.5, 0.0), expected * (1.0 + spread)


def _bounds_of_scaled(
    points: Sequence[tuple[float, float]], expected: float, size: float, model: float
) -> tuple[float, float]:
    """Which part of what was measured grows with the bytes, nobody knows: none of it, or all."""
    scaled = [t * _scale(size, x) for x, t in points]
    same = [t for _, t in points]
    in_full = [t * (size / x if size > 0 and x > 0 else 1.0) for x, t in points]
    noise = _noise([t / expected - 1.0 for t in scaled], taken=1) if expected > 0 else ALONE_NOISE
    spread = min(_quantile(len(points) - 1) * noise * math.sqrt(1.0 + 1.0 / len(points)) + model, 2.0)
    low, high = (median(sorted(bounds)) for bounds in ([*_less(same, in_full)], [*_more(same, in_full)]))
    return min(low, expected) * max(1.0 - spread, 0.2), max(high, expected) * (1.0 + spread)


def _less(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [min(pair) for pair in zip(one, other, strict=True)]


def _more(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [max(pair) for pair in zip(one, other, strict=True)]


def _noise(ratios: Sequence[float], *, taken: int) -> float:
    """The standard deviation of what is left, by the median of its sizes; `taken` are the parameters that were fitted
    to it."""
    if len(ratios) <= taken:
        return ALONE_NOISE
    middle = median(ratios)
    robust = 1.4826 * median(abs(ratio - middle) for ratio in ratios)
    spread = math.sqrt(sum(ratio**2 for ratio in ratios) / (len(ratios) - taken))
    return max(robust * math.sqrt(len(ratios) / (len(ratios) - taken)), min(spread, 2 * robust), LEAST_NOISE)


def _leverage(points: Sequence[tuple[float, float]], line: Line, size: float) -> float:
    """How much of the noise of one run the line itself carries at this size: weighted least squares', the noise being
    a part of the time."""
    weights = [1.0 / max(line.at(x), 1e-9) ** 2 for x, _ in points]
    one = sum(weights)
    first = sum(w * x for w, (x, _) in zip(weights, points, strict=True))
    second = sum(w * x * x for w, (x, _) in zip(weights, points, strict=True))
    determinant = one * second - first * first
    if determinant <= 0:
        return 1.0
    return max(0.0, (second - 2 * size * first + size * size * one) / determinant) / max(line.at(size), 1e-9) ** 2


def _quantile(freedom: int) -> float:
    """Student's, by its expansion about the normal one; few runs make it wide."""
    z, v = NormalDist().inv_cdf(COVERED), max(freedom, 1)
    return z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v * v) + (0.9 if v == 1 else 0.0)


LOG_RATE = 1 / (20 * 2**20)  # seconds a byte, where no recovery by the log was measured
LOG_SPREADS = 1.5, 4.0  # between which bounds: measured, or not


def _log(runs: Sequence[MeasuredRun], phases: dict[str, Line], log_bytes: int) -> tuple[float, float]:
    """Seconds that fetching and applying so much log takes, and the factor up and down that it may be wrong by. From
    recoveries by the log: what these took longer than their base does."""
    over = []
    for run in (run for run in runs if run.log_bytes):
        base = sum(line.at(run.bytes) for phase, line in phases.items() if phase != "check")
        took = sum(seconds for phase, seconds in run.phases.items() if phase in phases and phase != "check")
        over.append(max(took - base, 0.0) / (run.log_bytes + FIXED))
    if not over:
        return LOG_RATE * log_bytes, LOG_SPREADS[1]
    return median(over) * (log_bytes + FIXED), LOG_SPREADS[0]
