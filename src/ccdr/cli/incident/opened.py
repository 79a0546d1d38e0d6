"""`ccdr incident open`."""

from __future__ import annotations

import click

from ccdr.cli.incident.shared import BREACHES, tell_incident, time_of
from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import dry_run_option, plan_argument, verb
from ccdr.model.errors import Exit, PlanInvalid
from ccdr.model.values import rfc3339


@verb(short_help="Open an incident of PLAN by hand.")
@plan_argument
@click.option(
    "--kind", "kinds", type=click.Choice(BREACHES), multiple=True, required=True, help="What was, or may be, breached."
)
@click.option("--why", metavar="TEXT", required=True, help="What has happened: at most 500 characters.")
@click.option("--aware-at", "aware", metavar="TIME", help="When you became aware of it (default: now): clocks start.")
@click.option("--recovery", metavar="RUN", help="The run of a recovery that has no incident yet.")
@dry_run_option
def open_(plan: str, kinds: tuple[str, ...], why: str, aware: str | None, recovery: str | None, dry_run: bool) -> Exit:
    """Open an incident of PLAN. Its clocks are those that the plan names (`incidents:`), or those of its role.

    They count from when the organisation became aware of it. Who, when and what kind go into the ledger; what --why
    says is kept apart, in the state directory.

    \b
    Examples:
      ccdr incident open outbound --kind confidentiality --why "a laptop with recordings is gone, INC-1234"
      ccdr incident open outbound --kind availability --kind integrity --why "ransomware" --aware-at "2026-11-24 06:30"
    """
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.incidents import find, open_by_hand
    from ccdr.jobs.incidents.opening import if_rehearsed, recorded_clocks, unknown_clocks
    from ccdr.plans.incident_clocks import clocks_beside

    options = settings()
    loaded, services = options.load(plan), options.services()
    words = words_of(why, "--why", "say what has happened: people will ask")
    at = None if aware is None else time_of(aware, loaded.plan.zone, "--aware-at")
    unique = list(dict.fromkeys(kinds))
    if not dry_run:
        opened = open_by_hand(loaded, services, unique, words, at, recovery)
        code = tell_incident(find(services, opened.name), services)
        if not options.json:
            click.echo(if_rehearsed(opened.name))
        return code
    clocks = clocks_beside(loaded.path.parent)
    if wrong := unknown_clocks(loaded, clocks):
        raise PlanInvalid(wrong, hint="`ccdr incident clocks` lists those that there are")
    since = at or services.clock.now()
    would = recorded_clocks(clocks, clocks.value.of(loaded.plan.incidents), since, loaded.plan.timezone)
    if options.json:
        print_json({"would_open": {"plan": plan, "kinds": unique, "aware_at": rfc3339(since), "clocks": would}})
        return Exit.OK
    click.echo(f"would open an incident of {plan}: {', '.join(unique)}, aware since {rfc3339(since)}")
    for one in would:
        due = f"by {one['due']}" if one["due"] else f"counted from when {one['after']} is filed"
        click.echo(f"  {one['clock']}  {one['law']}, {due}")
    return Exit.OK
