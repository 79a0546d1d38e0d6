"""`ccdr runbook status`."""

from __future__ import annotations

from ccdr.cli.output import print_json
from ccdr.cli.runbook.going import desk_of, outlook_of
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem


@verb(short_help="Where the runbook stands.")
@plan_argument
def status(plan: str) -> Exit:
    """Where the newest run of PLAN's runbook stands: what is done, what runs, what waits for whom, what is next, and
    what to type. Also of a run that another host has begun, where the plan names the bucket for that
    (`runbook_state:`).

    Exit 0: it is done, or goes on. 1: a step failed. 3: it waits for a person, or nobody is at it.

    \b
    Examples:
      ccdr runbook status outbound
      ccdr runbook status outbound --json
    """
    from ccdr.jobs.runbook.outlook import expected_of

    desk = desk_of(plan)
    notes, found, elsewhere = [], desk.newest(), None
    notes += desk.doubts(found[0]) if found is not None else []
    try:
        elsewhere = desk.elsewhere()
    except CcdrError as error:
        notes.append(f"whether another host carries it out cannot be told: {error}")
    shown = elsewhere or found
    if shown is None:
        raise UsageProblem(
            f"the runbook of {plan} was never carried out from here", hint=f"`ccdr runbook run {plan}` begins it"
        )
    run, standing = shown
    at_work = elsewhere is None and standing.session is not None
    expected = expected_of(desk.runbook, desk.services, desk.loaded)
    if elsewhere is not None:
        notes.append(f"another host carries it out: `ccdr runbook take-over {plan}`, where that host is gone")
    outlook = outlook_of(desk, run, standing, expected, at_work=at_work, notes=notes)
    if settings().json:
        print_json(outlook.as_json())
    else:
        from ccdr.cli.runbook.shown import tell_outlook

        tell_outlook(outlook)
    if at_work and standing.ended is None:
        return Exit.FINDING if standing.stopping else Exit.OK
    if standing.ended is not None:
        return Exit.OK
    return standing.exit_code
