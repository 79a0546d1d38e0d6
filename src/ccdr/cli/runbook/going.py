"""What the verbs share that carry a runbook out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE
from ccdr.cli.output import print_json
from ccdr.cli.settings import F, Settings, settings
from ccdr.model.errors import CcdrError, Exit

if TYPE_CHECKING:
    from pathlib import Path

    from ccdr.jobs.runbook.evidence import RunbookRecords
    from ccdr.jobs.runbook.journal import Journal, SharedState
    from ccdr.jobs.runbook.opening import Desk
    from ccdr.jobs.runbook.outlook import Outlook
    from ccdr.jobs.runbook.people import Given
    from ccdr.jobs.runbook.states import Standing


def answer_option(function: F) -> F:
    return click.option(
        "--answer",
        "answers",
        multiple=True,
        metavar="STEP=ANSWER",
        help="What is answered to a question, given beforehand; may be given several times.",
    )(function)


def approval_option(function: F) -> F:
    """For a plan that wants another person's approval of a recovery."""
    return click.option(
        "--approval",
        type=FILE,
        metavar="FILE",
        help="For the step that recovers: a request that somebody else has signed (FILE, and FILE.sig).",
    )(function)


def why_option(text: str, *, required: bool = True) -> Callable[[F], F]:
    return click.option("--why", metavar="TEXT", required=required, help=text)


def note(text: str) -> None:
    click.echo(f"ccdr: {text}", err=True)


def desk_of(plan: str, *, must: bool = False) -> Desk:
    """The plan's runbook here. A bucket whose credential cannot be had stops nobody, unless it `must` be asked."""
    from ccdr.jobs.runbook.journal import shared_of
    from ccdr.jobs.runbook.opening import Desk

    options = settings()
    loaded, services = options.load(plan), options.services()
    store: SharedState | None = None
    try:
        store = shared_of(loaded, services.host)
    except CcdrError as error:
        if must:
            raise
        note(f"the runbook's state is on this host alone: {error}")
    return Desk(loaded, services, store, note)


def directories(options: Settings) -> dict[str, Path]:
    """By the option that names them: what a `ccdr` that a step runs works with."""
    from ccdr.host.state import default_state

    return {
        "--plans": options.plans,
        "--restore-tests": options.restore_tests,
        "--state": options.state or default_state(),
    }


def resumed(desk: Desk) -> Journal:
    """The open run, to go on with. Where another host has taken it over, that is recorded here, and told."""
    from ccdr.jobs.runbook.opening import TakenOver

    try:
        return desk.resume()
    except TakenOver as taken:
        records_of(desk, taken.journal).catch_up()
        raise


def records_of(desk: Desk, journal: Journal) -> RunbookRecords:
    from ccdr.jobs.runbook.evidence import RunbookRecords
    from ccdr.jobs.runbook.outlook import expected_of

    expected = expected_of(desk.runbook, desk.services, desk.loaded)
    return RunbookRecords(desk.services, desk.loaded, desk.runbook, journal, expected)


def go_on(desk: Desk, journal: Journal, answers: Mapping[str, Given], approval: Path | None = None) -> Exit:
    """Carry out what may be carried out, and say where it stands then. A step that recovers is handed `approval`."""
    from ccdr.cli.runbook.shown import Watched, tell_outlook
    from ccdr.cli.runbook.terminal import AtTerminal
    from ccdr.jobs.runbook.course import Course
    from ccdr.jobs.runbook.people import Nobody
    from ccdr.jobs.runbook.runners import RUNNERS, Work
    from ccdr.telling.runbook import tell_once

    options, services = settings(), desk.services
    records = records_of(desk, journal)
    records.catch_up()
    for line in records.incident.lines:
        note(line)
    there = sys.stdin.isatty() and sys.stderr.isatty()
    watched = Watched(desk, journal.run, records.expected)
    with ExitStack() as stack:
        scratch = stack.enter_context(services.state.run(services.clock))
        work = Work(desk.loaded, services, scratch, directories(options), watched, approval=approval)
        people = AtTerminal(answers, watched) if there else Nobody(answers)
        course = Course(
            desk.runbook,
            journal,
            records,
            RUNNERS,
            people,
            watched,
            work,
            lambda name: tell_once(desk.loaded, services, name),
        )
        watched.began(course.standing, desk.changed(course.standing))
        try:
            standing = course.carry_out()
        except KeyboardInterrupt:
            note(f"stopped; `ccdr runbook resume {desk.plan}` goes on, and repeats nothing that is done")
            raise
    outlook = outlook_of(desk, journal.run, standing, records.expected, at_work=False)
    if options.json:
        print_json(outlook.as_json())
    else:
        tell_outlook(outlook)
    return standing.exit_code


def outlook_of(
    desk: Desk, run: str, standing: Standing, expected: Mapping[str, float], *, at_work: bool, notes: Sequence[str] = ()
) -> Outlook:
    from ccdr.jobs.runbook.outlook import Outlook, words_in

    changed = desk.changed(standing)
    return Outlook(
        desk.loaded,
        run,
        standing,
        expected,
        desk.services.clock.now(),
        at_work,
        words_in(desk.services.state),
        (*notes, *([changed] if changed and standing.ended is None else [])),
        desk.services.state,
    )


def answers_of(desk: Desk, options: tuple[str, ...]) -> dict[str, Given]:
    from ccdr.jobs.runbook.people import read_answers

    return read_answers(options, desk.runbook)


def require_confirmed(desk: Desk) -> None:
    """A command of a plan that came from a repository runs only once a person has seen it."""
    from ccdr.cli.trusting import agree
    from ccdr.jobs.runbook.opening import commands_of

    agree(desk.loaded, commands_of(desk.runbook))


def require_approval(desk: Desk, approval: Path | None) -> None:
    """UsageProblem where the file that was given cannot be read: whether it holds is asked by the step. Where none was
    given and one will be wanted, that is said before anything begins."""
    from ccdr.cli.approving import GoingOn
    from ccdr.jobs.runbook.runners import wants_approval
    from ccdr.plans.runbook import Recover

    if approval is not None:
        GoingOn(approval, None).given(desk.loaded, desk.services)
    elif wants_approval(desk.loaded) and any(isinstance(step, Recover) for step in desk.runbook.steps.values()):
        note(f"a step that recovers will want another person's approval (`ccdr approval request {desk.plan} recover`)")
