"""`ccdr deviation list` and `show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ccdr.cli.deviation.shared import deviation_argument, found, plans_there, tell
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, complete_plans, verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import rfc3339, to_the_second

if TYPE_CHECKING:
    from ccdr.jobs.services import Services
    from ccdr.telling.deviations import Told


@dataclass(frozen=True)
class _Wanted:
    """Which of them."""

    names: tuple[str, ...]
    only_open: bool
    every: bool
    first: str | None
    last: str | None


@verb(name="list", short_help="List deviations: open ones, or those of a period.")
@click.argument("names", metavar="[PLAN]...", nargs=-1, shell_complete=complete_plans)
@click.option(
    "--open", "only_open", is_flag=True, help="Only those that are open, or whose risk is accepted (default)."
)
@click.option("--all", "every", is_flag=True, help="Closed ones, too: the newest, or with --from all of the period.")
@click.option("--from", "first", metavar="D", help="Those that lasted from D on: a date, a time, or 90d.")
@click.option("--to", "last", metavar="D", help="… up to D, and as they stood then; with --from.")
@as_one("wanted", _Wanted)
def list_(wanted: _Wanted) -> Exit:
    """List what went wrong, of PLAN or of all plans: since when, how bad, by when it is to be over, who answers for it,
    what ended it. Exits with 1 where one is overdue.

    Without --from it is read from what is kept of the ledger, which has all that are open and the newest that ended.

    \b
    Examples:
      ccdr deviation list
      ccdr deviation list outbound --all
      ccdr deviation list --from 2026-07-01 --to 2026-09-30 --all
    """
    if wanted.only_open and wanted.every:
        raise UsageProblem("--open and --all contradict each other", hint="leave one out")
    if wanted.last is not None and wanted.first is None:
        raise UsageProblem("--to needs --from: since when?", hint="--from 90d --to D")
    services = settings().services()
    there, since, until = _of(wanted, services)
    shown = [one for one in there if wanted.every or one.state != "closed"]
    if settings().json:
        of_period = None if since is None else {"from": since, "to": until}
        print_json({"period": of_period, "deviations": [one.as_json() for one in shown]})
    else:
        _table(shown)
    return Exit.FINDING if any(one.overdue for one in shown) else Exit.OK


def _of(wanted: _Wanted, services: Services) -> tuple[list[Told], str | None, str | None]:
    from ccdr.telling.deviations import standing, told
    from ccdr.telling.report.deviations import of_period
    from ccdr.telling.report.period import period_of

    plans, now = plans_there(), services.clock.now()
    period = None if wanted.first is None else period_of(wanted.first, wanted.last, now)
    every = standing(plans, services) if period is None else of_period(plans, services, period)
    if wanted.names:
        known = {*services.histories()}
        plan_names = {p.plan.plan for p in plans} | {str(plan).partition("@")[0] for plan, _ in known if plan}
        if unknown := [name for name in wanted.names if name not in plan_names]:
            raise UsageProblem(
                f"there is no plan {', '.join(map(ascii, unknown))}, and the ledger has no record of one",
                hint=f"there are {', '.join(sorted(plan_names)) or 'none'}",
            )
        every = [one for one in every if one.plan in wanted.names]
    at = now if period is None else period.end
    edges = (None, None) if period is None else (rfc3339(period.start), rfc3339(period.end))
    return told(every, services.state, at), *edges


def _table(shown: list[Told]) -> None:
    if not shown:
        click.echo("no deviation")
        return
    rows = [
        (
            one.deviation.id,
            one.deviation.where,
            one.deviation.code,
            one.deviation.severity,
            to_the_second(one.deviation.since),
            word(one.word) if one.overdue else one.word,
            one.retest if one.deviation.retest else f"{one.deviation.due:%Y-%m-%d}",
            one.deviation.owner or "-",
        )
        for one in shown
    ]
    table(("deviation", "of", "code", "", "since", "", "due, or retest", "owner"), rows)


@verb(short_help="Show all of a deviation.")
@deviation_argument
def show(name: str) -> Exit:
    """Show the deviation ID: what opened it and what ends it, who answers for it, all that was said of it. Exits with 1
    where it is overdue.

    \b
    Examples:
      ccdr deviation show 3f9a2c1b
      ccdr deviation show 3f9a2c1b --json
    """
    services = settings().services()
    return tell(found(name, services, plans_there()), services)
