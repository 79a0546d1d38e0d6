"""What a recovery says to whoever sits there: what it would do, the questions before it begins, what came of it, and
what to type next.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import table, tell_checks, word
from ccdr.cli.progress import progress
from ccdr.cli.trouble import show_words
from ccdr.jobs.recover.outlook import rather
from ccdr.jobs.recover.result import then_red
from ccdr.jobs.recover.states import ANSWERS, SILENT
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import Verdict, human_bytes, human_seconds, rfc3339, so_many, to_the_second

if TYPE_CHECKING:
    from ccdr.jobs.recover import Recovering, RecoveryResult
    from ccdr.jobs.recover.request import Question, RecoverRequest
    from ccdr.jobs.recover.result import StepResult
    from ccdr.jobs.recover.states import AssetStep, ChosenState, Predicted, RecoveryOutlook
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.ports.new_server import StartLines

# What a recovery asks whoever sits there before it begins: which timeline, whether a suspect's older state will do,
# and the plan's name. Where nobody does, nothing is begun.


def looked_ahead(
    loaded: LoadedPlan, request: RecoverRequest, services: Services
) -> tuple[RecoveryOutlook, RecoverRequest]:
    """The outlook, and what was asked for with the answers of whoever sits there. Undecided where nobody does."""
    from ccdr.jobs.recover.outlook import outlook
    from ccdr.jobs.recover.request import Undecided

    while True:
        try:
            with progress() as looking:
                return outlook(loaded, request, services, looking), request
        except Undecided as error:
            if not sys.stdin.isatty():
                raise
            request = replace(request, timelines={**request.timelines, **_answered(error.questions)})


def _answered(questions: Sequence[Question]) -> dict[str, int]:
    """Which timeline each asset follows. CcdrError, and nothing was begun, where nobody says."""
    from ccdr.jobs.recover.request import timelines_of

    options = []
    for question in questions:
        click.echo(f"{question.asset}: {question.text}.", err=True)
        for number, answer in enumerate(question.answers, 1):
            click.echo(f"  {number}  {answer.means}  ({answer.option})", err=True)
        try:
            kind = click.IntRange(1, len(question.answers))
            number = click.prompt(f"Which one does {question.asset} follow", type=kind, err=True)
        except click.Abort:
            raise CcdrError("nothing was begun") from None
        options.append(question.answers[number - 1].option.removeprefix("--timeline "))
    return timelines_of(options)


def ask_of_suspects(outlook: RecoveryOutlook, request: RecoverRequest, loaded: LoadedPlan, services: Services) -> None:
    """The latest state is not the one that is wanted where that looks encrypted; nor is it for us to say which one is.
    CcdrError, and nothing was begun, where nobody answers."""
    if request.at is not None:
        return
    points = {step.asset: step.state.point for step in outlook.steps}
    histories = services.histories()
    suspects = [a for a in points if (h := histories.get((loaded.plan.plan, a))) is not None and h.suspect is not None]
    if not suspects:
        return
    told = ", ".join(f"{asset} (the one before is of {rfc3339(points[asset])})" for asset in suspects)
    text = f"the latest snapshot is suspect, and nobody has answered for that: {told}"
    if not sys.stdin.isatty():
        ack = f"`ccdr ack SNAPSHOT_SUSPECT {outlook.plan}`"
        raise CcdrError(f"{text}; nothing was begun", hint=f"name the moment with --at TIME; or, if all is well, {ack}")
    try:
        click.confirm(f"{text}. Recover the one before it?", abort=True, err=True)
    except click.Abort:
        raise CcdrError("nothing was begun") from None


def ask_for_name(name: str, given: str | None) -> None:
    """CcdrError (exit 3), and nothing was begun, where nobody can be asked."""
    if given is None and not sys.stdin.isatty():
        raise CcdrError(
            "ccdr needs a terminal to ask for the plan's name; nothing was begun",
            hint=f"in a script add --yes-i-mean {shlex.quote(name)}",
        )
    if given is None:
        try:
            given = click.prompt(f"To continue, type the plan's name ({name})", err=True)
        except click.Abort:
            raise CcdrError("nothing was begun") from None
    if given != name:
        raise UsageProblem(f"{given!r} is not the plan's name, {name!r}; nothing was begun")


# What a recovery would do, for whoever has to say yes to it at night: one screen, the worst first.

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


COLOURS = {"done": "green", "failed": "red", "stopped": "red"}


def tell_left(one: Recovering) -> None:
    """What is there already, and what is left to do."""
    done = [name for name, step in one.result.steps.items() if step.before]
    if done:
        click.echo(f"ccdr: brought back before: {', '.join(done)}", err=True)
    left = ", ".join(planned.asset for planned in one.left) or "nothing"
    click.echo(f"ccdr: left to do: {left}", err=True)
    if one.result.away >= 1:
        click.echo(f"ccdr: {human_seconds(one.result.away)} passed in which nothing was at work", err=True)


def tell_result(result: RecoveryResult) -> None:
    colour = "green" if result.state == "done" else "red"
    steps = list(result.steps.values())
    done = sum(step.state == "done" for step in steps)
    click.echo(
        f"{click.style(result.state, fg=colour, bold=True)}  {result.decision.plan}: "
        f"{done} of {so_many(len(steps), 'asset')} brought back"
    )
    for step in steps:
        _tell_step(step, _notes_of(step, result.notes))
    if result.repoints:
        click.echo("before the next backup, so that what is backed up is what lives:")
    for text in result.repoints:
        click.echo(f"  {text}")
    for one in result.then_red:
        click.echo(f"then red: {one.text}")
    for text in (*result.left_behind, *(text for step in steps if step.restore for text in step.restore.left_behind)):
        click.echo(f"  left behind: {text}")
    for text in result.found:
        click.echo(f"  finding: {text}")
    rpo, rto, predicted = result.rpo(), result.rto(), result.decision.predicted
    took = f"took {human_seconds(result.elapsed)}{' and more' if result.untimed else ''}"
    parts = [f"{human_seconds(result.waited)} of it waiting for people"] if result.waited >= 1 else []
    parts += [f"{human_seconds(result.away)} of it with nothing at work"] if result.away >= 1 else []
    parts += [f"predicted {human_seconds(predicted.seconds)}"] if predicted else []
    parts.append(f"RTO {human_seconds(result.rto_s)} {word(rto.verdict)}")
    parts.append(f"RPO {human_seconds(result.rpo_s)} {word(rpo.verdict)}")
    click.echo(f"{took}; {'; '.join(parts)}")
    for line in result.incident.lines:
        click.echo(line)
    if result.hint:
        click.echo(f"→ {result.hint}")
    if result.record is not None:
        click.echo(f"record: {result.record.seq} {result.record.hash[:16]}…")
    if result.exit_code:
        click.echo(f"exit {int(result.exit_code)}: {'; '.join(result.why)}")


def _notes_of(step: StepResult, told: Iterable[str]) -> Iterable[str]:
    """What a person should know of what was brought back: as its restore says it, and where it had none yet, as was
    known before."""
    mark = f"{step.planned.asset}: "
    before = [note.removeprefix(mark) for note in told if note.startswith(mark)]
    return dict.fromkeys([*before, *(step.restore.notes if step.restore is not None else [])])


def _tell_step(step: StepResult, notes: Iterable[str]) -> None:
    where = f"  at {step.planned.where.shown}" if step.state == "done" else ""
    before = ", brought back before" if step.before else ""
    state = click.style(step.state, fg=COLOURS.get(step.state), bold=True)
    click.echo(f"  {state}  {step.planned.asset}{where}{before}")
    if step.reason:
        click.echo(f"      {step.reason}")
    if step.hint:
        click.echo(f"      → {step.hint}")
    if step.start is not None:
        _tell_start(step.start, step.planned.spare_of)
    for note in notes:
        click.echo(f"      note: {note}")
    looked_at = [c for c in step.checks if c.status is not Verdict.PASS]
    if looked_at:
        tell_checks(looked_at, detailed={Verdict.FAIL})
    if step.restore is not None:
        show_words(step.restore.words, step.restore.run)


def _tell_start(start: StartLines, spare_of: str | None) -> None:
    """One that is a spare is told how to be started, and not to be."""
    if spare_of is not None:
        click.echo(f"      a spare: {spare_of} has the same data. Only where that will not do:")
    ways = (("start it by Debian's own tools", start.debian), ("or by Docker", start.docker), *start.afterwards())
    for heading, lines in ways:
        click.echo(f"      {heading}:")
        for line in lines:
            click.echo(f"        {line}")
