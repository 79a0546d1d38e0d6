"""What came of a recovery, for whoever waits for it: what is there, what to type next, what to know; and before it
goes on, what is left to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import tell_checks, tell_record, tell_why, word
from ccdr.cli.trouble import show_words
from ccdr.model.values import Verdict, human_seconds, so_many

if TYPE_CHECKING:
    from ccdr.jobs.recover import Recovering, RecoveryResult
    from ccdr.jobs.recover.result import StepResult
    from ccdr.ports.new_server import StartLines

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
    tell_record(result.record)
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
    tell_why(step.reason, step.hint, indent="      ")
    if step.start is not None:
        _tell_start(step.start, step.planned.spare_of)
    for note in notes:
        click.echo(f"      note: {note}")
    looked_at = [c for c in step.checks if c.status is not Verdict.PASS]
    if looked_at:
        tell_checks(looked_at, detailed={Verdict.FAIL})
    if step.restore is not None:
        show_words(step.restore.words, step.restore.run, step.restore.exit_code)


def _tell_start(start: StartLines, spare_of: str | None) -> None:
    """One that is a spare is told how to be started, and not to be."""
    if spare_of is not None:
        click.echo(f"      a spare: {spare_of} has the same data. Only where that will not do:")
    ways = (("start it by Debian's own tools", start.debian), ("or by Docker", start.docker), *start.afterwards())
    for heading, lines in ways:
        click.echo(f"      {heading}:")
        for line in lines:
            click.echo(f"        {line}")
