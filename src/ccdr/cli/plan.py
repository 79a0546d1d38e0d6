"""`ccdr plan check`, `plan schema` and `plan show`; `plan trust` is in trusting.py, `plan approve` in approving.py."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import approve
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import Settings, settings
from ccdr.cli.trusting import trust
from ccdr.cli.verbs import EXIT_STATUS, plan_argument, verb
from ccdr.model.errors import CcdrError, Exit, FileProblem, PlanInvalid, UsageProblem
from ccdr.model.values import rfc3339

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan


@click.group(epilog=EXIT_STATUS, short_help="Check plans, show them, describe them to editors.")
def plan() -> None:
    """Recovery plans: check them, show them, describe them to an editor."""


@verb(short_help="Check plans, and the restore tests they refer to.")
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> Exit:
    """Check every plan (or those NAMEd) and the restore tests they refer to.

    Every problem is reported at once. What lint finds in a well-formed plan is reported too, and does not
    change the exit status: it never stops `backup` or `test`.

    \b
    Examples:
      ccdr plan check
      ccdr plan check outbound --json
    """
    from ccdr.host.state import default_state
    from ccdr.plans import plan_names
    from ccdr.plans.beside import at_odds
    from ccdr.plans.loader import NO_PLAN
    from ccdr.plans.package_place import misplaced

    options = settings()
    state = options.state or default_state()
    problems: list[str] = []
    lint: list[str] = []
    checked = list(names or plan_names(options.plans))
    if not checked:
        raise UsageProblem(f"there is no plan in {options.plans}", hint=NO_PLAN)
    every = _sound(options)
    for name in checked:
        try:
            loaded = options.load(name)
        except PlanInvalid as error:
            problems += [str(p) for p in error.problems]
        else:
            more = (*at_odds(loaded, every), *_clocks(loaded), *misplaced(loaded, state))
            lint += [str(p) for p in (*loaded.lint, *more)]
    if options.json:
        print_json({"checked": checked, "problems": problems, "lint": lint})
    else:
        for line in problems:
            click.echo(f"{word('wrong')}  {line}")
        for line in lint:
            click.echo(f"{word('lint')}   {line}")
        if not problems:
            click.echo(f"{len(checked)} plan{'s are' if len(checked) != 1 else ' is'} well-formed")
    return Exit.USAGE if problems else Exit.OK


def _clocks(loaded: LoadedPlan) -> list[FileProblem]:
    """What is wrong with the clocks that its incidents would have: no plan is wrong by that, and a recovery takes
    ccdr's own."""
    from ccdr.jobs.incidents.opening import unknown_clocks
    from ccdr.plans.incident_clocks import clocks_beside

    try:
        clocks = clocks_beside(loaded.path.parent)
    except PlanInvalid as error:
        return list(error.problems)
    return unknown_clocks(loaded, clocks)


def _sound(options: Settings) -> list[LoadedPlan]:
    """Every plan of the directory that is right: the one asked for may be at odds with another."""
    from ccdr.plans import plan_names

    plans = []
    for name in plan_names(options.plans):
        with suppress(CcdrError):
            plans.append(options.load(name))
    return plans


@verb()
@click.option("--restore-test", is_flag=True, help="The schema of a restore-test file instead.")
@click.option("--controls", is_flag=True, help="The schema of a map of laws and standards (controls.yaml) instead.")
@click.option("--floors", is_flag=True, help="The schema of floors of versions (floors.yaml) instead.")
@click.option("--incidents", is_flag=True, help="The schema of the clocks of incidents (incidents.yaml) instead.")
@click.option("--anchors", is_flag=True, help="The schema of the anchors of the ledger (anchors.yaml) instead.")
def schema(restore_test: bool, controls: bool, floors: bool, incidents: bool, anchors: bool) -> Exit:
    """Print the JSON Schema of a plan file, for editors.

    \b
    Examples:
      ccdr plan schema > plan.schema.json
      ccdr plan schema --restore-test > restore_test.schema.json
      ccdr plan schema --controls > controls.schema.json
    """
    from ccdr.plans import plan_schema, restore_test_schema
    from ccdr.plans.anchors import anchors_schema
    from ccdr.plans.control_map import map_schema
    from ccdr.plans.floors import floors_schema
    from ccdr.plans.incident_clocks import clocks_schema

    asked = [
        made
        for wanted, made in (
            (restore_test, restore_test_schema),
            (controls, map_schema),
            (floors, floors_schema),
            (incidents, clocks_schema),
            (anchors, anchors_schema),
        )
        if wanted
    ]
    if len(asked) > 1:
        raise UsageProblem("more than one schema was asked for", hint="leave the others out")
    print_json((asked or [plan_schema])[0]())
    return Exit.OK


@verb(short_help="Show PLAN as ccdr understands it.")
@plan_argument
def show(plan: str) -> Exit:
    """Show PLAN as it is understood, defaults included, with its next due times.

    \b
    Examples:
      ccdr plan show outbound
      ccdr plan show outbound --json
    """
    from ccdr.plans import next_due

    options = settings()
    loaded = options.load(plan)
    now = options.services().clock.now()
    due = {
        asset: {what: when and rfc3339(when) for what, when in next_due(loaded.plan, asset, now).items()}
        for asset in loaded.plan.assets
    }
    document = loaded.plan.model_dump(mode="json", exclude_none=True)
    if options.json:
        print_json({**document, "next_due": due})
        return Exit.OK
    import yaml

    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    click.echo("\n# next due")
    table(
        ("asset", "backup", "restore test"), [(a, d["backup"] or "-", d["restore_test"] or "-") for a, d in due.items()]
    )
    return Exit.OK


plan.add_command(approve, "approve")
plan.add_command(check, "check")
plan.add_command(schema, "schema")
plan.add_command(show, "show")
plan.add_command(trust, "trust")
