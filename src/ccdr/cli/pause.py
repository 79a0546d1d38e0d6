"""`ccdr pause`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import key_option, signing_by
from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import dry_run_option, verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.pausing import PausedPlan
    from ccdr.plans import LoadedPlan


@verb(short_help="Let a plan's scheduled work stand still for a while.")
@click.argument("plan", required=False)
@click.option("--for", "length", metavar="TIME", help="For how long (90m, 4h): at most 24h.")
@click.option("--why", metavar="TEXT", help="Why: at most 500 characters.")
@click.option("--end", "ending", is_flag=True, help="End it now.")
@key_option
@dry_run_option
def pause(plan: str | None, length: str | None, why: str | None, ending: bool, key: Path | None, dry_run: bool) -> Exit:
    """Let all that cron would do for PLAN stand still: backups, restore tests, prunes and checks that come due, and
    the shipping of its log. Without arguments: what is paused.

    What is at work is let end. What comes due waits, and is done when the pause is over; what comes due again
    meanwhile is recorded as SKIPPED, not as missed. Alarms on tampering and vanished snapshots go on, and so does the
    RPO clock: a breach is told. Commands that a person gives (`ccdr backup`, `ccdr test`, `ccdr ship --once`) go on.

    It ends by itself, or with --end. A second one while the first goes on can only make it longer. It is of this
    host: where several hosts work for a plan, pause it on each. Who, when and until when go into the ledger; what
    --why says is kept apart, in the state directory.

    \b
    Examples:
      ccdr pause outbound --for 4h --why "recovering the CRM, INC-1234"
      ccdr pause
      ccdr pause outbound --end
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.evidence.pauses import lasting
    from ccdr.jobs.pausing import end, paused
    from ccdr.jobs.pausing import pause as begin

    options = settings()
    if plan is None:
        if length is not None or why is not None or ending:
            raise UsageProblem("which plan?", hint='ccdr pause PLAN --for 4h --why "…"')
        return _tell(paused(options.services()), "paused", "nothing is paused")
    if ending and length is not None:
        raise UsageProblem("--end and --for are two things", hint=f"`ccdr pause {plan} --end`, or --for 4h")
    if key is not None and not ending:
        raise UsageProblem("a pause is not signed; its end may be", hint=f"ccdr pause {plan} --end --key KEY")
    words = why_of(why) if why is not None else None
    if ending:
        loaded, services = options.load(plan), signing_by(key)
        if dry_run:
            there = [one for one in paused(services) if one.plan == plan]
            return _tell(there, "would end", f"{plan} is not paused")
        return _tell(end(loaded, services, words), "ended", "")
    if length is None and words is None:
        options.load(plan)
        there = [one for one in paused(options.services()) if one.plan == plan]
        return _tell(there, "paused", f"{plan} is not paused")
    if length is None or words is None:
        raise UsageProblem(
            f"{'--for' if length is None else '--why'} is missing: a pause needs a reason and an end",
            hint=f'ccdr pause {plan} --for 4h --why "…"',
        )
    span, loaded = lasting(length), options.load(plan)
    services = options.services()
    if dry_run:
        until = rfc3339((services.clock.now() + span).replace(microsecond=0))
        return _would(loaded, until)
    return _tell([begin(loaded, services, span, words)], "paused", "")


def _would(loaded: LoadedPlan, until: str) -> Exit:
    if settings().json:
        print_json({"would_pause": [{"plan": loaded.plan.plan, "until": until}]})
    else:
        click.echo(f"would pause {loaded.plan.plan} until {until}")
    return Exit.OK


def _tell(there: Sequence[PausedPlan], what: str, none: str) -> Exit:
    from ccdr.evidence.payloads import GONE

    if settings().json:
        print_json({what.replace(" ", "_"): [one.as_json() for one in there]})
    elif not there:
        click.echo(none)
    else:
        rows = [
            (one.plan, rfc3339(one.pause.until), f"{one.pause.actor} on {one.pause.host}", one.why or GONE)
            for one in there
        ]
        table((what, "until", "by", "why"), rows)
    return Exit.OK
