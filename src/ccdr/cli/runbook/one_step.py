"""`ccdr runbook retry` and `skip`: what becomes of one step of the open run, which goes on then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.runbook.going import (
    answer_option,
    answers_of,
    approval_option,
    desk_of,
    go_on,
    require_approval,
    require_confirmed,
    resumed,
    why_option,
)
from ccdr.cli.settings import F
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from ccdr.jobs.runbook.opening import Desk
    from ccdr.jobs.runbook.states import StepState


def _complete_steps(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    from ccdr.cli.settings import Settings
    from ccdr.model.errors import CcdrError
    from ccdr.plans.runbook_made import runbook_of

    try:
        loaded = ctx.find_root().ensure_object(Settings).load(str(ctx.params.get("plan")))
    except CcdrError:
        return []
    return [name for name in runbook_of(loaded.plan).steps if name.startswith(incomplete)]


def step_argument(function: F) -> F:
    return click.argument("step", shell_complete=_complete_steps)(function)


@verb(short_help="Try a step again that failed, and go on.")
@plan_argument
@step_argument
@answer_option
@approval_option
def retry(plan: str, step: str, answers: tuple[str, ...], approval: Path | None) -> Exit:
    """Try STEP of the open run again, and go on. Only what failed, or was interrupted, can be tried again.

    \b
    Examples:
      ccdr runbook retry outbound recover
      ccdr runbook retry outbound recover --approval recover.txt
    """
    from ccdr.jobs.runbook.states import StepState

    desk = desk_of(plan)
    given = answers_of(desk, answers)
    with desk.holding():
        require_confirmed(desk)
        require_approval(desk, approval)
        one = _standing_step(desk, step)
        if one not in (StepState.FAILED, StepState.INTERRUPTED):
            raise UsageProblem(
                f"{step} has not failed: it is {one.replace('_', ' ')}, and what is done is never done again",
                hint=f"`ccdr runbook resume {plan}` goes on with what is left",
            )
        journal = resumed(desk)
        journal.append("step.retried", step=step)
        return go_on(desk, journal, given, approval)


@verb(short_help="Go on without a step, and say why.")
@plan_argument
@step_argument
@why_option("Why it is skipped: at most 500 characters.")
@answer_option
def skip(plan: str, step: str, why: str, answers: tuple[str, ...]) -> Exit:
    """Go on with the open run without STEP: what depends on it begins as if it were done.

    That is a deviation from the runbook, and is told as one: who, when and that a step was skipped go into the ledger;
    what --why says is kept apart, in the state directory. A health check that is skipped leaves the RTO unproven.

    \b
    Examples:
      ccdr runbook skip outbound tell --why "the service desk told everybody at 03:20"
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.evidence.payloads import keep_payload
    from ccdr.jobs.runbook.states import StepState
    from ccdr.plans.runbook import Decision

    desk = desk_of(plan)
    given, said = answers_of(desk, answers), why_of(why)
    with desk.holding():
        require_confirmed(desk)
        one = _standing_step(desk, step)
        if one in (StepState.DONE, StepState.SKIPPED, StepState.NOT_TAKEN):
            raise UsageProblem(f"{step} is {one.replace('_', ' ')} already", hint=f"`ccdr runbook status {plan}`")
        if isinstance(desk.runbook.steps[step], Decision):
            leads_to = ", ".join(desk.runbook.steps[step].leads_to())
            raise UsageProblem(
                f"{step} decides how it goes on, and cannot be skipped",
                hint=f"answer it: `ccdr runbook resume {plan} --answer {step}=…`, one of {leads_to}",
            )
        journal = resumed(desk)
        journal.append("step.skipped", step=step, text=keep_payload(desk.services.state, said))
        return go_on(desk, journal, given)


def _standing_step(desk: Desk, step: str) -> StepState:
    if step not in desk.runbook.steps:
        from ccdr.plans.problems import did_you_mean

        meant = did_you_mean(step, desk.runbook.steps)
        raise UsageProblem(
            f"the runbook has no step {step[:80]!r}",
            hint=f"did you mean {meant}?" if meant else f"it has {', '.join(desk.runbook.steps)}",
        )
    found = desk.newest()
    if found is None or found[1].ended is not None:
        raise UsageProblem("no run of this runbook is open", hint=f"`ccdr runbook run {desk.plan}` begins one")
    return found[1].steps[step].state
