"""`ccdr recover check`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, tell_checks, tell_why
from ccdr.cli.recover_view import watched
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem, worst
from ccdr.model.values import Verdict

if TYPE_CHECKING:
    from ccdr.jobs.recover.again import CheckedAgain
    from ccdr.plans import LoadedPlan

CHECK = "check"


@verb(name=CHECK, short_help="Check what was brought back, where it stands.")
@plan_argument
@click.option(
    "--to",
    "targets_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with `targets:`, where somebody has put an asset since.",
)
@click.option("--run", "of", metavar="RUN", help="Of this recovery (default: the newest).")
@click.option("--opened", is_flag=True, help="A new server that nobody has started yet fails.")
def check(plan: str, targets_file: Path | None, of: str | None, *, opened: bool) -> Exit:
    """Check again what the newest recovery of PLAN brought back, where it stands: each asset's checks, and those that
    compare two assets. Nothing is changed.

    What was put into use since is no longer what was captured: then `identical` says so.

    \b
    Examples:
      ccdr recover check outbound
      ccdr recover check outbound --to moved.yaml
    """
    from ccdr.jobs.copies import from_site
    from ccdr.jobs.recover import Decision, newest
    from ccdr.jobs.recover.again import check_again
    from ccdr.jobs.recover.journal import require_as_decided
    from ccdr.plans.targets import load_targets

    options = settings()
    loaded, services = options.load(plan), options.services()
    told = newest(services.state, plan, of)
    if told is None:
        which = "" if of is None else f" with the run {of}"
        raise UsageProblem(
            f"no recovery of {plan} was begun on this host{which}", hint=f"`ccdr recover {plan}` begins one"
        )
    require_as_decided(told, services)
    decision = Decision.read(told)
    places = load_targets(targets_file)
    known_assets(loaded, [*places, *(one.asset for one in decision.assets)], str(targets_file or told.directory))
    loaded, services = from_site(loaded, services, decision.site)
    with (
        services.state.lock(loaded.plan.plan, "", "recover"),  # a new server may be opened for it, and closed again
        watched(loaded.plan.objectives) as view,
        services.state.run(services.clock) as run,
    ):
        found = check_again(loaded, told, services, run, view, places, must_be_opened=opened)
    code = worst([one.code for one in found])
    if options.json:
        print_json({"plan": plan, "run": told.run, "state": told.ended, "steps": [one.as_json() for one in found]})
        return code
    _tell(found)
    return code


def _tell(found: Sequence[CheckedAgain]) -> None:
    from ccdr.jobs.recover.standing_assets import NOTHING

    for one in found:
        click.echo(f"{one.planned.asset}  at {one.at}{_instead(one)}")
        tell_why(one.reason, one.hint)
        if any(NOTHING in (check.actual or "") for check in one.checks):
            click.echo(f"  {NOTHING}")
        if one.checks:
            tell_checks(one.checks, detailed={Verdict.FAIL})
        click.echo()


def _instead(one: CheckedAgain) -> str:
    return f", where the plan has it: nothing of it is in {one.planned.where.shown}" if one.put_back else ""


def known_assets(loaded: LoadedPlan, named: Iterable[str], where: str) -> None:
    if unknown := [name for name in named if name not in loaded.plan.assets]:
        raise UsageProblem(
            f"{where}: plan {loaded.plan.plan} has no asset {', '.join(unknown)}",
            hint=f"it has {', '.join(loaded.plan.assets)}",
        )
