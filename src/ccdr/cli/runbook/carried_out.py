"""`ccdr runbook run`, `resume` and `take-over`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.runbook.going import (
    answer_option,
    answers_of,
    approval_option,
    desk_of,
    go_on,
    note,
    outlook_of,
    records_of,
    require_approval,
    require_confirmed,
    resumed,
    why_option,
)
from ccdr.cli.runbook.show import tell_steps
from ccdr.cli.settings import settings
from ccdr.cli.verbs import dry_run_option, plan_argument, verb
from ccdr.model.errors import CcdrError, Exit, Locked, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from ccdr.jobs.runbook.journal import Journal
    from ccdr.jobs.runbook.opening import Desk


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
    given = answers_of(desk, answers)
    if dry_run:
        return _dry_run(desk)
    if why is not None and not afresh:
        raise UsageProblem("--why says why an open run is ended, and --afresh is missing")
    with desk.holding():
        require_confirmed(desk)
        require_approval(desk, approval)
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
    given = answers_of(desk, answers)
    with desk.holding():
        require_confirmed(desk)
        require_approval(desk, approval)
        return go_on(desk, resumed(desk), given, approval)


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


def _dry_run(desk: Desk) -> Exit:
    from ccdr.jobs.runbook.outlook import described, expected_of
    from ccdr.jobs.runbook.states import Standing, forecast

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
