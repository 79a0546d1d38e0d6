"""What a recovery would do, for whoever has to say yes to it at night: one screen, the worst first."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import table
from ccdr.jobs.recover.outlook import rather
from ccdr.jobs.recover.result import then_red
from ccdr.jobs.recover.states import ANSWERS, SILENT
from ccdr.model.values import human_bytes, human_seconds, so_many, to_the_second

if TYPE_CHECKING:
    from ccdr.jobs.recover.states import AssetStep, ChosenState, Predicted, RecoveryOutlook

WIDTH = 100
LABEL = 12
NOT_MEASURED = "not measured"


def tell_outlook(outlook: RecoveryOutlook, *, err: bool = False) -> None:
    """The table, and below it what all of them have in common. To standard error where `err` is asked for."""
    width = _width(err=err)
    click.echo(click.style(_heading(outlook), bold=True), err=err)
    click.echo(err=err)
    rows = [_row(number, step, outlook) for number, step in enumerate(outlook.steps, 1)]
    table(("", "asset", "state", "how it was proven", "lost", "minutes"), rows, room=width, err=err)
    click.echo(err=err)
    table(
        ("", "", "goes to", "then checked"), [_where(n, s) for n, s in enumerate(outlook.steps, 1)], room=width, err=err
    )
    click.echo(err=err)
    for label, text in _lines(outlook):
        lines = textwrap.wrap(text, width - LABEL, break_long_words=False, break_on_hyphens=False) or [""]
        click.echo(f"{click.style(label, bold=True)}{' ' * (LABEL - len(label))}{lines[0]}", err=err)
        for line in lines[1:]:
            click.echo(" " * LABEL + line, err=err)


def _width(*, err: bool) -> int:
    stream = sys.stderr if err else sys.stdout
    return max(60, min(WIDTH, shutil.get_terminal_size().columns)) if stream.isatty() else WIDTH


def _heading(outlook: RecoveryOutlook) -> str:
    if outlook.moment is None:
        return f"recover {outlook.plan}: the latest state of each"
    zone = outlook.steps[0].job.loaded.plan.timezone if outlook.steps else "UTC"
    text = f"recover {outlook.plan} to {to_the_second(outlook.moment)}"
    if zone == "UTC":
        return text
    local = outlook.moment.astimezone(outlook.steps[0].job.loaded.plan.zone or UTC)
    return f"{text} ({local:%Y-%m-%d %H:%M:%S} in {zone})"


def _row(number: int, step: AssetStep, outlook: RecoveryOutlook) -> list[str]:
    after = f" (after {', '.join(step.after)})" if step.after else ""
    return [
        str(number),
        f"{step.asset}{after}",
        _state(step.state, outlook.moment),
        _proof(step.state),
        _lost(step.state, outlook),
        _takes(step.predicted),
    ]


def _state(state: ChosenState, moment: datetime | None) -> str:
    when = to_the_second(state.point)
    if moment is not None and moment.date() == state.point.date():
        when = when.partition("T")[2]  # the moment's own day stands above
    if state.target is None:
        return f"snapshot {state.snapshot.short}, {when}"
    timeline = f", timeline {state.target.branch}" if state.target.branch and state.target.branch > 1 else ""
    if state.target.to_the_end:
        return f"its log's end, {when} or later{timeline}"
    return f"by its log, {when}{timeline}"


def _proof(state: ChosenState) -> str:
    if state.proof is None:
        return click.style("no test of it", fg="yellow") + " known here"
    day = f"{state.proven_at:%Y-%m-%d}" if state.proven_at else "long ago"
    passed = "passed" if state.proof == "PASS" else click.style("FAILED", fg="red", bold=True)
    if not state.by_log:
        return f"its test {passed} {day}"
    if state.proof_by == "log":
        return f"a recovery by the log {passed} {day}"
    return f"its base {passed} {day}, the log since was " + click.style("never", fg="yellow") + " tested"


def _lost(state: ChosenState, outlook: RecoveryOutlook) -> str:
    """Against the moment; for the latest against now."""
    if state.lost_s is None:
        return "not known"
    if state.lost_s < 0:
        return f"{human_seconds(-state.lost_s)} too late"
    if state.lost_s < 1 and outlook.moment is not None:
        return "nothing"
    return human_seconds(state.lost_s)


def _takes(predicted: Predicted | None) -> str:
    if predicted is None:
        return NOT_MEASURED
    guess = "a guess: " if predicted.far else ""
    if predicted.high < 60:
        return f"{guess}<1"
    return f"{guess}{_minutes(predicted.seconds)} ({_minutes(predicted.low)} to {_minutes(predicted.high)})"


def _minutes(seconds: float) -> str:
    return "<1" if seconds < 60 else f"{round(seconds / 60)}"


def _where(number: int, step: AssetStep) -> list[str]:
    kind = {"new_server": "new server in ", "directory": "", "server": ""}[step.where.kind]
    checks = "; ".join(step.checks) or click.style("nothing", fg="yellow")
    return [str(number), step.asset, f"{kind}{step.where.shown}", checks]


def _sources(steps: Sequence[AssetStep]) -> Iterator[tuple[str, str]]:
    """Of those that did not simply answer: which is gone, and which is there."""
    silent = [step.asset for step in steps if step.source == SILENT]
    if silent:
        yield "sources", f"{', '.join(silent)}: {'does' if len(silent) == 1 else 'do'} not answer"
    for step in steps:
        if step.source not in (ANSWERS, SILENT):
            yield "sources", f"{step.asset}: {step.source}"


def _lines(outlook: RecoveryOutlook) -> Iterator[tuple[str, str]]:
    steps, whole = outlook.steps, outlook.predicted
    rto = steps[0].job.loaded.plan.objectives.rto if steps else 0.0
    if whole is None:
        known = [step.predicted.seconds for step in steps if step.predicted is not None]
        least = f", and what was takes {human_seconds(max(known))} at the least" if known else ""
        yield "minutes", f"nobody knows: not all of it was ever measured{least}"
    else:
        runs = so_many(whole.runs, "measured run")
        guess = ", and what was measured is much smaller: a guess" if whole.far else ""
        guess += f". That is longer than the RTO of {human_seconds(rto)}" if whole.seconds > rto else ""
        at_once = min(outlook.workers, len(steps))
        beside = f", {at_once} side by side" if at_once > 1 else ""
        yield (
            "minutes",
            f"all of it about {human_seconds(whole.seconds)} ({human_seconds(whole.low)} to "
            f"{human_seconds(whole.high)}){beside}; by {runs} of each at the least{guess}",
        )
    if outlook.apart is not None and outlook.skew_s is not None:
        oldest, newest = outlook.apart
        far = "are of one moment" if outlook.skew_s < 1 else f"lie up to {human_seconds(outlook.skew_s)} apart"
        yield (
            "skew",
            f"the states {far}" + ("" if outlook.skew_s < 1 else f": {oldest} is the oldest, {newest} the newest"),
        )
    if steps:
        spares = {step.asset: step.instead.asset for step in steps if step.instead is not None and step.instead.in_full}
        points = {step.asset: step.state.point for step in steps}
        yield from (("then red", one.text) for one in then_red(steps[0].job.loaded, points, spares))
    for step in steps:
        if step.instead is not None:
            yield "same data", rather(step.asset, step.instead)
    for step in steps:
        for text in step.state.passed_over:
            yield "passed over", f"{step.asset}: {text}"
    for step in steps:
        for text in step.skipped:
            yield "not checked", f"{step.asset}: {text}"
    for room in outlook.rooms:
        yield "room", f"{human_bytes(room.needed)} are needed in {room.at}, {human_bytes(room.free)} are free"
    yield (
        "memory",
        f"up to {human_bytes(outlook.memory)} are needed at once, {human_bytes(outlook.memory_free)} are free",
    )
    yield from (("still up", text) for text in outlook.healthy)
    yield from _sources(steps)
    if outlook.left:
        yield "left", f"{', '.join(outlook.left)}: not part of this recovery"
    yield from (("note", text) for text in outlook.notes)
    for step in steps:
        yield from (("note", f"{step.asset}: {text}") for text in step.notes)
