"""`ccdr runbook run`, `resume`, `retry`, `skip` and `take-over`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE
from ccdr.cli.output import print_json
from ccdr.cli.runbook.going import desk_of, go_on, note, outlook_of, records_of, resumed
from ccdr.cli.runbook.show import tell_steps
from ccdr.cli.settings import F, settings
from ccdr.cli.verbs import dry_run_option, plan_argument, verb
from ccdr.model.errors import CcdrError, Exit, Locked, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from ccdr.jobs.runbook.journal import Journal
    from ccdr.jobs.runbook.opening import Desk
    from ccdr.jobs.runbook.people import Given
    from ccdr.jobs.runbook.states import StepState


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


def _answers(desk: Desk, options: tuple[str, ...]) -> dict[str, Given]:
    from ccdr.jobs.runbook.people import read_answers

    return read_answers(options, desk.runbook)


@verb(short_help="Carry the runbook out.")
@plan_argument
@answer_option
@approval_option
@click.option("--afresh", is_flag=True, help="End the run that is open, and begin anew; --why says why.")
@why_option("Why the open run is ended.", required=False)
@dry_run_option
def run(
    plan: str, answers: tuple[str, ...], approval: Path | None, afresh: bool, why: str | None, dry_run: bool
) -> Exit:
    """Carry the runbook of PLAN out, from its beginning.

    What may begin does, side by side, and a failed step stops only what depends on it. You see what runs, what waits
    for whom, what is next and when it will be over. At a terminal people are asked; elsewhere a step that waits for a
    person waits (exit 3), and the plan's people are told once: nothing is assumed. Everything that was done is written
    down before the next thing begins: whatever stops ccdr, `ccdr runbook resume` goes on and repeats nothing.

    \b
    Examples:
      ccdr runbook run outbound
      ccdr runbook run outbound --dry-run
      ccdr runbook run outbound --answer dead=dead --answer fence="power is off"
      ccdr runbook run outbound --approval recover.txt     where the plan says `approval: {recover: true}`
    """
    desk = desk_of(plan)
    given = _answers(desk, answers)
    if dry_run:
        return _dry_run(desk)
    if why is not None and not afresh:
        raise UsageProblem("--why says why an open run is ended, and --afresh is missing")
    with desk.holding():
        _require_confirmed(desk)
        _require_approval(desk, approval)
        if afresh:
            _abandon(desk, why)
        return go_on(desk, desk.begin(), given, approval)


def _abandon(desk: Desk, why: str | None) -> None:
    """What is open ends here; what it had done stays in the ledger."""
    from ccdr.evidence.acknowledged import why_of
    from ccdr.evidence.payloads import keep_payload

    if why is None:
        raise UsageProblem("--afresh ends the run that is open: --why is missing", hint='add --why "…"')
    said = why_of(why)
    journal = _open_run(desk)
    if journal is None:
        return
    journal.append("ended", state="ABANDONED", text=keep_payload(desk.services.state, said))
    records_of(desk, journal).catch_up()


def _open_run(desk: Desk) -> Journal | None:
    """As far as it is believed: what somebody else has written there ends nothing, and is not recorded."""
    from ccdr.jobs.runbook.journal import Forged

    found = desk.newest()
    try:
        return resumed(desk)
    except Locked:
        raise
    except CcdrError as error:
        if found is None or (not isinstance(error, Forged) and desk.seals is not None):
            raise
        note(f"{error}; it is put aside")
        return desk.only_believed(found[0], error.before if isinstance(error, Forged) else ())


@verb(short_help="Go on with the runbook, after whatever stopped it.")
@plan_argument
@answer_option
@approval_option
def resume(plan: str, answers: tuple[str, ...], approval: Path | None) -> Exit:
    """Go on with the run of PLAN's runbook that is open: after a crash, a lost connection, a failed step that was
    mended, or to answer a question.

    What is done is never done again. A command that ran when ccdr was killed is not run again unasked, unless the plan
    says that it may be (`repeat: true`): `retry` runs it again, `skip` goes on without it.

    \b
    Examples:
      ccdr runbook resume outbound
      ccdr runbook resume outbound --answer dead=dead
    """
    desk = desk_of(plan)
    given = _answers(desk, answers)
    with desk.holding():
        _require_confirmed(desk)
        _require_approval(desk, approval)
        return go_on(desk, resumed(desk), given, approval)


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
    given = _answers(desk, answers)
    with desk.holding():
        _require_confirmed(desk)
        _require_approval(desk, approval)
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
    given, said = _answers(desk, answers), why_of(why)
    with desk.holding():
        _require_confirmed(desk)
        one = _standing_step(desk, step)
        if one in (StepState.DONE, StepState.SKIPPED, StepState.NOT_TAKEN):
            raise UsageProblem(f"{step} is {one.replace('_', ' ')} already", hint=f"`ccdr runbook status {plan}`")
        if isinstance(desk.runbook.steps[step], Decision):
            answers_of = ", ".join(desk.runbook.steps[step].leads_to())
            raise UsageProblem(
                f"{step} decides how it goes on, and cannot be skipped",
                hint=f"answer it: `ccdr runbook resume {plan} --answer {step}=…`, one of {answers_of}",
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


@verb(short_help="Go on with a run that another host has begun.")
@plan_argument
def take_over(plan: str) -> Exit:
    """Take the open run of PLAN's runbook over from the host that has begun it: from now on only this host goes on.

    For where that host is gone, or nobody is at it. The plan names the bucket through which it is seen from here
    (`runbook_state:`). What is done stays done; a step that the other host was at is looked at here as one that was
    interrupted.

    \b
    Examples:
      ccdr runbook take-over outbound
    """
    desk = desk_of(plan, must=True)
    with desk.holding():
        journal = desk.take_over()
        records = records_of(desk, journal)
        records.catch_up()
        found = desk.newest()
        assert found is not None
        outlook = outlook_of(desk, *found, records.expected, at_work=False)
    if settings().json:
        print_json(outlook.as_json())
    else:
        from ccdr.cli.runbook.shown import tell_outlook

        note(f"this host goes on with the run {outlook.run} from now on")
        tell_outlook(outlook)
    return Exit.OK


def _require_confirmed(desk: Desk) -> None:
    """A command of a plan that came from a repository runs only once a person has seen it."""
    from ccdr.cli.trusting import agree
    from ccdr.jobs.runbook.trusted import commands_of

    agree(desk.loaded, commands_of(desk.runbook))


def _require_approval(desk: Desk, approval: Path | None) -> None:
    """UsageProblem where the file that was given cannot be read: whether it holds is asked by the step. Where none was
    given and one will be wanted, that is said before anything begins."""
    from ccdr.cli.approving import GoingOn
    from ccdr.jobs.runbook.runners import wants_approval
    from ccdr.plans.runbook import Recover

    if approval is not None:
        GoingOn(approval, None).given(desk.loaded, desk.services)
    elif wants_approval(desk.loaded) and any(isinstance(step, Recover) for step in desk.runbook.steps.values()):
        note(f"a step that recovers will want another person's approval (`ccdr approval request {desk.plan} recover`)")


def _dry_run(desk: Desk) -> Exit:
    from ccdr.jobs.runbook.outlook import described, expected_of
    from ccdr.jobs.runbook.states import Standing
    from ccdr.jobs.runbook.timing import forecast

    expected = expected_of(desk.runbook, desk.services, desk.loaded)
    standing = Standing(desk.runbook, ())
    ahead = forecast(standing, expected)
    if settings().json:
        steps = [described(n, desk.runbook.steps[n], desk.runbook, expected) for n in standing.order]
        body = {"plan": desk.plan, "runbook": "made" if desk.runbook.made else "plan", "steps": steps}
        print_json({"would_run": {**body, "predicted_s": ahead.seconds, "unknown": list(ahead.unknown)}})
    else:
        tell_steps(desk.runbook, expected, ahead)
        click.echo("nothing was done")
    return Exit.OK
