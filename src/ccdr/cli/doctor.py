"""`ccdr doctor`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import Health

if TYPE_CHECKING:
    from ccdr.setup.doctor import DoctorFinding


@verb(short_help="Check everything that the plans need.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option(
    "--only",
    type=click.Choice(("backups", "tests")),
    help="What this host does: a host that only tests needs no sources, one that only backs up needs no Docker.",
)
@click.option(
    "--no-canary",
    is_flag=True,
    help="Write nothing into the bucket, and so do not try Object Lock and the right to delete.",
)
def doctor(names: tuple[str, ...], only: str | None, no_canary: bool) -> Exit:
    """Look at everything that plans rest on, before it is needed: programs, Docker, images, secrets, repository,
    bucket, sources and rights, disk, clocks, and whether the objectives can be met by what was measured.

    Each line is OK, WARN, FAIL or UNKNOWN (it could not be looked at), and says what to do. Nothing is changed;
    in a bucket one small object is written, tried to be deleted while it is locked, and removed; in an evidence bucket
    (anchors.yaml) its lock keeps it there.

    \b
    Examples:
      ccdr doctor                      this host and every plan
      ccdr doctor outbound --json
      ccdr doctor --only tests         on a host that has no database credentials
    """
    from ccdr.plans import plan_names
    from ccdr.plans.anchors import anchors_beside
    from ccdr.setup.doctor import HostRole, examine

    options = settings()
    stated = plan_names(options.plans)
    loaded = [options.load(name) for name in names or stated]
    if not loaded:  # a wrong --plans must not look well
        raise UsageProblem(f"there is no plan in {options.plans}", hint="name the directory with --plans")
    with progress() as watched:
        watched.step(f"looking at this host and {len(loaded)} plan{'s' if len(loaded) > 1 else ''}")
        diagnosis = examine(
            loaded,
            options.services(),
            HostRole(only or "all"),
            canary=not no_canary,
            stated=stated,
            anchored=lambda: anchors_beside(options.plans),
        )
    if options.json:
        print_json(diagnosis.as_json())
        return diagnosis.exit_code
    for where, findings in groupby(diagnosis.findings, key=_where):
        click.echo(click.style(where, bold=True))
        for finding in findings:
            _tell(finding)
    counts = {state: sum(f.probe.state is state for f in diagnosis.findings) for state in Health}
    click.echo(", ".join(f"{count} {word(state)}" for state, count in counts.items() if count))
    return diagnosis.exit_code


def _where(finding: DoctorFinding) -> str:
    return "/".join(part for part in (finding.plan, finding.asset) if part) or "this host"


def _tell(finding: DoctorFinding) -> None:
    probe = finding.probe
    padding = " " * (len(Health.UNKNOWN) - len(probe.state))
    click.echo(f"  {word(probe.state)}{padding}  {probe.what}: {probe.answer}")
    if probe.do:
        click.echo(f"  {' ' * len(Health.UNKNOWN)}  → {probe.do}")
