"""What people read of a runbook: while it goes on, and where it stands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import table
from ccdr.jobs.runbook.outlook import Outlook
from ccdr.jobs.runbook.states import Standing, StepState
from ccdr.model.answers import FreeText, visible
from ccdr.model.values import human_seconds, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.runbook.opening import Desk

SAID = 1500  # characters of what a failed program has said
COLOURS = {
    "done": "green", "running": "cyan", "waiting": "yellow", "failed": "red", "interrupted": "red",
    "skipped": "yellow", "paused_by_failed_step": "red", "waiting_for_decision": "yellow",
}  # fmt: skip
MARKS = {
    StepState.DONE: "✓", StepState.FAILED: "✕", StepState.INTERRUPTED: "!", StepState.SKIPPED: "–",
    StepState.RUNNING: "…", StepState.WAITING: "?",
}  # fmt: skip


def coloured(word: str) -> str:
    return click.style(word, fg=COLOURS.get(word), bold=word in COLOURS)


class Watched:
    """`View` on standard error: a line for each step that comes to another state, and what follows from it."""

    def __init__(self, desk: Desk, run: str, expected: Mapping[str, float]) -> None:
        self._desk, self._run, self._expected = desk, run, expected
        self._seen: dict[str, StepState] = {}
        self._last: object = None

    def title(self, name: str) -> str:
        return self._desk.runbook.title(name)

    def began(self, standing: Standing, changed: str | None) -> None:
        self._seen = {name: one.state for name, one in standing.steps.items()}
        done = standing.of_state(StepState.DONE)
        click.echo(f"runbook of {self._desk.plan}, run {self._run}: {len(self._seen)} steps", err=True)
        if done:
            click.echo(f"  done before: {', '.join(done)}", err=True)
        if changed:
            self.note(changed)
        self._next(standing)

    def note(self, text: str) -> None:
        click.echo(f"  ! {text}", err=True)

    def said(self, words: FreeText, kept: Path | None) -> None:
        """At a terminal, and nowhere else: it may quote a customer's row, and cron would mail it."""
        if sys.stderr.isatty():
            for line in visible(words.tail(SAID).shown).strip().splitlines():
                click.echo(f"      | {line}", err=True)
        if kept is not None:
            click.echo(f"      what it said is in {kept}", err=True)

    def step(self, text: str) -> None:
        """As `Progress`: what a step has reached."""
        click.echo(f"      {text}", err=True)

    def amount(self, done: int, total: int | None) -> None:
        """Bytes of one step would drown what the others tell."""

    def changed(self, standing: Standing) -> None:
        for name, one in standing.steps.items():
            if self._seen.get(name) is one.state:
                continue
            self._seen[name] = one.state
            if one.state is StepState.PENDING:
                continue
            took = f"  ({human_seconds(one.seconds)})" if one.state in (StepState.DONE, StepState.FAILED) else ""
            said = f": {one.answer}" if one.answer else ""
            mark = MARKS.get(one.state, "·")
            click.echo(f"  {mark} {name} {coloured(one.state.replace('_', ' '))}{said}{took}", err=True)
            for subject, fact in (one.facts or {}).items():
                click.echo(f"      {subject}: {fact}", err=True)
            for text in filter(None, (one.reason, one.hint and f"→ {one.hint}")):
                click.echo(f"      {text}", err=True)
        self._next(standing)

    def _next(self, standing: Standing) -> None:
        """What runs, what waits for whom, what is next, when it will be over."""
        desk = self._desk
        outlook = Outlook(desk.loaded, self._run, standing, self._expected, desk.services.clock.now(), True)
        who = (standing.of_state(StepState.RUNNING), standing.for_people, standing.stopping)
        if who != self._last and standing.ended is None:
            self._last = who
            click.echo(click.style(f"    {summary(outlook)}", dim=True), err=True)


def summary(outlook: Outlook) -> str:
    """One line."""
    standing, ahead = outlook.standing, outlook.forecast
    people = standing.for_people
    following = [n for n in standing.ready if n not in people] or _after(standing)
    rto, mtd = outlook.loaded.plan.objectives.rto, outlook.loaded.plan.objectives.mtd
    limits = f"RTO {human_seconds(rto)}" + (f", MTD {human_seconds(mtd)}" if mtd else "")
    parts = [
        f"{human_seconds(outlook.time.seconds)} of {limits}",
        f"runs: {', '.join(standing.of_state(StepState.RUNNING)) or 'nothing'}",
        f"waits for you: {', '.join(people)}" if people else "",
        f"failed: {', '.join(standing.stopping)}" if standing.stopping else "",
        f"next: {', '.join(following)}" if following else "",
        _finish(outlook, ahead.seconds, len(ahead.unknown)),
    ]
    return "; ".join(filter(None, parts))


def _after(standing: Standing) -> list[str]:
    """What may begin once that which runs, or is asked, is done."""
    now = {*standing.of_state(StepState.RUNNING), *standing.for_people}
    return [
        name
        for name, one in standing.steps.items()
        if one.state is StepState.PENDING and name not in now and set(standing.waits_for(name)) <= now
    ][:3]


def _finish(outlook: Outlook, seconds: float, unknown: int) -> str:
    if not seconds:
        return ""
    at = (outlook.now + timedelta(seconds=seconds)).strftime("%H:%M")
    without = f", without {so_many(unknown, 'step')} of unknown length" if unknown else ""
    return f"over at about {at} UTC, in {human_seconds(seconds)}{without}"


def tell_outlook(outlook: Outlook, *, err: bool = False) -> None:
    """Where it stands, and what a person types next."""
    standing, time, plan = outlook.standing, outlook.time, outlook.loaded.plan.plan
    who = standing.who
    click.echo(f"runbook of {plan}  {coloured(outlook.state)}{deviations(standing)}", err=err)
    begun = rfc3339(standing.events[0].time.replace(microsecond=0))
    click.echo(f"  begun {begun} by {standing.events[0].by} on {standing.events[0].host}, run {outlook.run}", err=err)
    if who is not None and outlook.state not in ("done", "abandoned"):
        at_work = "goes on with it now" if outlook.at_work else "was the last at it: nobody is now"
        click.echo(f"  {who.by} on {who.host} {at_work}, since {rfc3339(who.time.replace(microsecond=0))}", err=err)
    elapsed = (
        f"{human_seconds(time.seconds)}: machines {human_seconds(time.machine)}, waited {human_seconds(time.waited)}"
    )
    click.echo(f"  took {elapsed}", err=err)
    rto = outlook.as_json()["rto"]
    assert isinstance(rto, dict)
    if rto["achieved_s"] is not None:
        shown = f"by {rto['shown_by']}" + (f"; assumed: {', '.join(rto['assumed'])}" if rto["assumed"] else "")
        click.echo(
            f"  RTO {coloured(str(rto['verdict']))}: back after {human_seconds(rto['achieved_s'])} of "
            f"{human_seconds(rto['objective_s'])} ({shown})",
            err=err,
        )
    elif standing.ended is not None:
        click.echo(f"  RTO {rto['verdict']}: nothing has shown that it is back", err=err)
    for jump in time.jumps:
        click.echo(f"  note: this host's clock jumped by {jump:+.0f} s meanwhile", err=err)
    for text in outlook.notes:
        click.echo(f"  note: {text}", err=err)
    click.echo(err=err)
    rows = []
    for name, one in standing.steps.items():
        what = one.reason or "; ".join(f"{k}: {v}" for k, v in (one.facts or {}).items())
        said = outlook.words(one.text)
        detail = " – ".join(filter(None, (one.answer, said, what)))
        if one.state is StepState.PENDING and (waits := outlook.why_not(name)):
            detail = f"waits for {waits}"
        took = human_seconds(one.seconds) if one.state in (StepState.DONE, StepState.FAILED) else ""
        rows.append((coloured(one.state.replace("_", " ")), name, one.by, took, detail))
    table(("", "step", "who", "took", ""), rows)
    for name in standing.for_people if standing.ended is None else ():
        for number, line in enumerate(outlook.shows(name)):
            click.echo(f"{name}: {line}" if number == 0 else f"    {line}", err=err)
    for line in next_commands(outlook):
        click.echo(f"→ {line}", err=err)


def deviations(standing: Standing) -> str:
    """What was not done as the runbook has it, behind the headline."""
    skipped = standing.of_state(StepState.SKIPPED)
    failed = standing.of_state(StepState.FAILED, StepState.INTERRUPTED)
    parts = [f"{word} {', '.join(names)}" for word, names in (("skipped", skipped), ("failed", failed)) if names]
    return f", with deviations: {'; '.join(parts)}" if parts else ""


def next_commands(outlook: Outlook) -> list[str]:
    """What a person types next."""
    standing, plan = outlook.standing, outlook.loaded.plan.plan
    if standing.ended is not None:
        return []
    if outlook.state == "taken_over":
        return [f"ccdr runbook take-over {plan}   takes it back, where the other host is gone"]
    lines = [
        f"ccdr runbook retry {plan} {name}   tries it again; "
        f'ccdr runbook skip {plan} {name} --why "…"   goes on without it'
        for name in standing.stopping
    ]
    for name in standing.for_people:
        lines.append(f"ccdr runbook resume {plan} --answer {name}=ANSWER   answers it; at a terminal it asks")
    if not lines and outlook.stands:
        lines.append(f"ccdr runbook resume {plan}   goes on with it")
    return lines
