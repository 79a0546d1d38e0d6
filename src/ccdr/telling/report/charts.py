"""Where the marks of a chart go. Geometry only, in the units of its view box; `page.html` draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.model.values import human_bytes, human_seconds, so_many
from ccdr.telling.report.growth import Growth
from ccdr.telling.report.judged import AssetReport, Exposure
from ccdr.telling.report.period import Period

HEIGHT = 176
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 14, 22

FAR = 10.0  # how many times the least of a chart the most may be on a linear scale
_NICE_TIMES = (0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400)
_FINER_SECONDS = tuple(
    n * unit for unit, many in ((1, (1, 2, 5, 10, 20, 30)), (60, (1, 2, 5, 10, 20, 30)), (3600, (1, 2, 4, 8, 12)),
                                (86400, (1, 2, 4, 7, 14, 30, 60, 120, 365))) for n in many
)  # fmt: skip
_NICE_SECONDS = (60, 600, 3600, 21600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)


@dataclass(frozen=True)
class Frame:
    """The period along a view box `width` wide."""

    period: Period
    width: int = 360
    height: int = HEIGHT
    left: int = LEFT

    @property
    def right(self) -> int:
        return self.width - RIGHT

    def x(self, moment: datetime) -> float:
        share = (moment - self.period.start) / (self.period.end - self.period.start)
        return round(LEFT + min(max(share, 0.0), 1.0) * (self.right - LEFT), 1)

    def dates(self) -> tuple[Tick, ...]:
        """A few dates along the period."""
        period, count = self.period, max(4, self.width // 110)
        form = "%d %b" if period.days <= 200 else "%b %Y"
        if period.days < 4:
            form, count = "%d %b %H:%M", 2
        ticks = []
        for n in range(count):
            moment = period.start + (period.end - period.start) * (n + 0.5) / count
            if period.days >= 4:
                moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            ticks.append(Tick(self.x(moment), moment.strftime(form).lstrip("0")))
        return tuple(ticks)


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class ChartLine:
    """`kind` is its class for colour and dash; `path` an SVG path."""

    kind: str
    path: str


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    kind: str
    says: str


@dataclass(frozen=True)
class Chart:
    """`title` and `desc` say in words what the marks show; `legend` names each kind of line or dot."""

    key: str
    title: str
    desc: str
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    frame: Frame
    lines: tuple[ChartLine, ...] = ()
    dots: tuple[Dot, ...] = ()
    rule: Tick | None = None
    legend: tuple[tuple[str, str], ...] = ()


Scale = Callable[[float], float]


def exposure_chart(asset: AssetReport, period: Period, key: str) -> Chart:
    """What would have been lost at worst in each part of the period, over completed and over restore-tested backups."""
    frame = Frame(period)
    both = (("completed", asset.completed), ("tested", asset.tested))
    finite = [s for _, exposure in both for s in exposure.parts if math.isfinite(s) and s > 0]
    wanted = asset.objectives.rpo if asset.objectives else None
    scale, ticks = _logarithmic([*finite, *([wanted] if wanted else [])], _NICE_SECONDS, _short_seconds, _FINER_SECONDS)
    worst = human_seconds(asset.completed.worst_s)
    desc = (
        f"The worst over completed backups is {worst}, over restore-tested ones {human_seconds(asset.tested.worst_s)}"
    )
    if wanted:
        desc += f"; the objective is {human_seconds(wanted)}"
    if any(math.isinf(s) for s in asset.completed.parts):
        desc += ". Where a line is missing, there was no such backup at all"
    return Chart(
        key=key,
        title=f"{asset.name}: data that could have been lost",
        desc=f"{desc}.",
        y_ticks=ticks,
        x_ticks=frame.dates(),
        frame=frame,
        lines=tuple(ChartLine(kind, _steps(exposure, frame, scale)) for kind, exposure in both),
        rule=Tick(scale(wanted), f"RPO {human_seconds(wanted)}") if wanted else None,
        legend=(("completed", "over completed backups"), ("tested", "over restore-tested ones")),
    )


def restore_chart(asset: AssetReport, period: Period, key: str) -> Chart:
    """What each passed test of the period took; one kind of dot for each kind of server settings, never joined."""
    frame = Frame(period)
    wanted = asset.objectives.rto if asset.objectives else None
    shown = [t.achieved_s for t in asset.timings] + ([wanted] if wanted else [])
    least, most = min(shown, default=1.0), max(shown, default=1.0)
    if least > 0 and most / least > FAR:  # on a linear scale all dots would lie on the ground
        scale, ticks = _logarithmic(shown, _NICE_TIMES, _short_seconds)
    else:
        scale, ticks = _linear(most, _time_step(most), _short_seconds)
    dots = tuple(
        Dot(
            frame.x(t.at),
            scale(t.achieved_s),
            f"{'over' if wanted and t.achieved_s > wanted else 'within'} {_word(t.basis)}",
            f"{t.at:%Y-%m-%d}: {human_seconds(t.achieved_s)}, {t.basis} settings",
        )
        for t in asset.timings
    )
    over = sum(bool(wanted and t.achieved_s > wanted) for t in asset.timings)
    objective = f"the objective of {human_seconds(wanted)}" if wanted else "an objective"
    desc = f"{so_many(len(dots), 'measured restore')}, {over} of them over {objective}"
    if not dots:
        desc = "No restore of the period was measured" + (
            f"; the objective is {human_seconds(wanted)}" if wanted else ""
        )
    legend = [(f"within {_word(b)}", f"{b} settings") for b in sorted({t.basis for t in asset.timings})]
    if over:
        legend.append(("over", "over the objective"))
    return Chart(
        key=key,
        title=f"{asset.name}: time to restore and check",
        desc=f"{desc}.",
        y_ticks=ticks,
        x_ticks=frame.dates(),
        frame=frame,
        dots=dots,
        rule=Tick(scale(wanted), f"RTO {human_seconds(wanted)}") if wanted else None,
        legend=tuple(legend),
    )


def fleet_chart(assets: Sequence[AssetReport], period: Period, key: str) -> Chart | None:
    """The asset that used most of its RPO, in each part of the period: percent. None for fewer than two assets."""
    judged = [a for a in assets if a.objectives and a.completed.parts]
    if len(judged) < 2:
        return None
    frame, edges = Frame(period, 1080), judged[0].completed.edges
    worst = []
    for part in range(len(edges) - 1):
        some = [a.completed.parts[part] / a.objectives.rpo for a in judged if a.objectives]
        finite = [share * 100 for share in some if math.isfinite(share)]
        worst.append(max(finite, default=math.inf))
    shares = [share for share in worst if math.isfinite(share) and share > 0]
    scale, ticks = _logarithmic([*shares, 100.0], (1, 10, 50, 100, 200, 500, 1000, 10000, 100000), lambda p: f"{p:g} %")
    over = sum(share > 100 for share in worst)
    most = max(shares, default=0)
    return Chart(
        key=key,
        title="The asset that came closest to its RPO, or went furthest beyond it",
        desc=f"By share of its own RPO: at most {most:.0f} % of one was used; in {over} of {len(worst)} parts of the "
        "period more than 100 %. An asset counts from its first good backup on.",
        y_ticks=ticks,
        x_ticks=frame.dates(),
        frame=frame,
        lines=(ChartLine("completed", _steps(Exposure(most, None, edges, tuple(worst)), frame, scale)),),
        rule=Tick(scale(100), "RPO"),
        legend=(("completed", "share of the RPO that was used, at worst"),),
    )


def growth_chart(name: str, growth: Growth, period: Period, key: str) -> Chart | None:
    """The repository's size as measured; else what backups added. None where neither is known."""
    points = growth.sizes or (growth.added if growth.added_bytes else ())
    if len(points) < 2:
        return None
    frame, measured = Frame(period), bool(growth.sizes)
    most = max(size for _, size in points)
    scale, ticks = _linear(float(most), _byte_step(float(most)), _short_bytes)
    path = _joined((frame.x(at), scale(size)) for at, size in points)
    last = f"{points[-1][1]:,} bytes ({human_bytes(points[-1][1])})"
    what = "size as measured after upkeep" if measured else "added by backups since the period began"
    return Chart(
        key=key,
        title=f"{name}: {'size of the repository' if measured else 'data added to the repository'}",
        desc=f"At the end {last}.",
        y_ticks=ticks,
        x_ticks=frame.dates(),
        frame=frame,
        lines=(ChartLine("completed", path),),
        legend=(("completed", what),),
    )


def _steps(exposure: Exposure, frame: Frame, scale: Scale) -> str:
    """A level for each part; a gap where it is infinite."""
    path, drawing = [], False
    for begin, end, worst in zip(exposure.edges, exposure.edges[1:], exposure.parts, strict=False):
        if not math.isfinite(worst):
            drawing = False
            continue
        y = scale(worst)
        path.append(f"{'L' if drawing else 'M'}{frame.x(begin)} {y}H{frame.x(end)}")
        drawing = True
    return "".join(path)


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _linear(most: float, step: float, label: Callable[[float], str]) -> tuple[Scale, tuple[Tick, ...]]:
    top = most * 1.08 or 1.0
    room = HEIGHT - TOP - BOTTOM

    def scale(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * room, 1)

    count = int(top / step) + 1
    return scale, tuple(Tick(scale(n * step), label(n * step)) for n in range(count))


def _logarithmic(
    values: Sequence[float], nice: Sequence[float], label: Callable[[float], str], finer: Sequence[float] = ()
) -> tuple[Scale, tuple[Tick, ...]]:
    """Seconds and weeks on one chart. `nice` are values that may be ticks, `finer` where these are too few."""
    usable = [v for v in values if v > 0] or [nice[0]]
    low, high = math.log(min(usable) / 1.6), math.log(max(usable) * 1.5)
    room = HEIGHT - TOP - BOTTOM

    def scale(value: float) -> float:
        share = (math.log(max(value, 1e-9)) - low) / (high - low)
        return round(HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * room, 1)

    some, more = ([v for v in values if low <= math.log(v) <= high] for values in (nice, finer))
    return scale, tuple(Tick(scale(v), label(v)) for v in (some if len(some) > 2 or not more else more))


def _time_step(most: float) -> float:
    steps = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 21600, 86400, 7 * 86400)
    return next((float(step) for step in steps if most / step <= 5), most / 4)


def _byte_step(most: float) -> float:
    step = 1.0
    while most / step > 5:
        step *= 2 if most / step / 2 > 2.5 else 1.5
    unit = 1024.0 ** int(math.log(step, 1024)) if step > 1 else 1.0
    return max(1.0, round(step / unit)) * unit


def _short_seconds(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def _short_bytes(count: float) -> str:
    text = human_bytes(count)
    return text.replace(".0 ", " ")


def _word(basis: str) -> str:
    """A class for a basis; anything unknown is drawn as the first."""
    return basis if basis in ("throwaway", "durable") else "throwaway"
