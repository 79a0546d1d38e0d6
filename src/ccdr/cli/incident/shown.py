"""`ccdr incident show`, `list` and `clocks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import package_option
from ccdr.cli.incident.statements import incident_argument, tell_incident
from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import complete_plans, verb
from ccdr.model.errors import Exit
from ccdr.model.values import so_many, to_the_second

if TYPE_CHECKING:
    from pathlib import Path

    from ccdr.jobs.services import Services
    from ccdr.plans.incident_clocks import Clock


def _services(package: Path | None) -> Services:
    """This host's; or what a package holds, at the moment that it was made."""
    from ccdr.cli.report_package import in_package

    return settings().recorded() if package is None else in_package(package)[1]


@verb(short_help="Show all of an incident.")
@incident_argument
@package_option
def show(name: str, package: Path | None) -> Exit:
    """Show the incident ID: its clocks, what was filed, what was said. Exits with 1 where something is overdue.

    \b
    Examples:
      ccdr incident show inc-20261124-3f9a2c
      ccdr incident show inc-20261124-3f9a2c --json
      ccdr incident show inc-20261124-3f9a2c --package /mnt/evidence
    """
    from ccdr.jobs.incidents import find

    services = _services(package)
    return tell_incident(find(services, name), services)


@verb(name="list", short_help="List incidents, with what is due next.")
@click.argument("names", metavar="[PLAN]...", nargs=-1, shell_complete=complete_plans)
@click.option("--all", "every", is_flag=True, help="Closed ones, too.")
@package_option
def list_(names: tuple[str, ...], every: bool, package: Path | None) -> Exit:
    """List the incidents that are open, of PLAN or of all plans, each with what is due next. Exits with 1 where
    something is overdue.

    \b
    Examples:
      ccdr incident list
      ccdr incident list outbound --all
      ccdr incident list --package /mnt/evidence --all
    """
    from ccdr.telling.incidents import listed

    services = _services(package)
    there = [one for one in listed(services, names or None) if every or one.incident.open]
    if settings().json:
        print_json({"incidents": [one.as_json() for one in there]})
    elif not there:
        click.echo("no incident is open" if not every else "there was no incident")
    else:
        rows = [
            (
                one.incident.name,
                one.incident.plan,
                "open" if one.incident.open else "closed",
                ", ".join(one.incident.kinds),
                to_the_second(one.incident.aware_at),
                one.next if one.incident.open else f"cause: {one.incident.cause}",
            )
            for one in there
        ]
        table(("incident", "plan", "", "kind", "aware since", ""), rows)
    return Exit.FINDING if any(one.overdue for one in there) else Exit.OK


@verb(short_help="List the clocks that incidents may have.")
@click.option("--print", "printed", is_flag=True, help="Print the file that is used, to be copied and edited.")
def clocks(printed: bool) -> Exit:
    """List what has to be notified after an incident, and how soon: by incidents.yaml beside the directory of plans, or
    by the file that comes with ccdr.

    \b
    Examples:
      ccdr incident clocks
      ccdr incident clocks --print > incidents.yaml
    """
    from ccdr.plans.incident_clocks import clocks_beside

    used = clocks_beside(settings().plans)
    if printed:
        click.echo(used.raw, nl=False)
        return Exit.OK
    of_roles = {role: getattr(used.value.roles, role) for role in ("controller", "processor")}
    if settings().json:
        listed = {name: one.model_dump(mode="json") for name, one in used.value.clocks.items()}
        print_json({"file": used.path and str(used.path), "sha256": used.sha256, "roles": of_roles, "clocks": listed})
        return Exit.OK
    rows = [
        (
            name,
            one.law,
            one.to,
            _within(one),
            ", ".join(role for role, names in of_roles.items() if name in names),
        )
        for name, one in used.value.clocks.items()
    ]
    table(("clock", "law", "to", "within", "of the role"), rows)
    click.echo(f"by {used.shown}")
    return Exit.OK


def _within(clock: Clock) -> str:
    """How long, and from when where that is not when the organisation became aware of it."""
    froms = {"aware": "", "year_end": " after the year's end", "stated": " of --since"}
    start = f" after {clock.after}" if clock.after else froms[clock.since]
    return f"{clock.within or so_many(clock.months or 0, 'month')}{start}"
