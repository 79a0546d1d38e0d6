"""What a recovery asks whoever sits there before it begins: which timeline, whether a suspect's older state will do,
and the plan's name. Where nobody does, nothing is begun."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ccdr.cli.progress import progress
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.recover.request import Question, RecoverRequest
    from ccdr.jobs.recover.states import RecoveryOutlook
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan


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
