"""What `ccdr test --negative-control` does and tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.one_by_one import each_asset
from ccdr.cli.output import print_json, tell_checks, tell_end, word
from ccdr.cli.settings import settings
from ccdr.model.damage import OF_FILES, Damage
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import Verdict, rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.negative_control import NegativeControl
    from ccdr.jobs.services import Services
    from ccdr.plans.job import Job
    from ccdr.ports.place import Progress


def by_damage(jobs: list[Job], services: Services, damage: str | None, seed: int | None, *, dry_run: bool) -> Exit:
    """A negative control of each of these that has checks."""
    from ccdr.jobs.negative_control import negative_control

    jobs = [job for job in jobs if job.checks or len(jobs) == 1]
    kinds = [damage_of(job, damage) for job in jobs]
    if dry_run:
        return _dry_run(jobs, kinds)
    of = dict(zip([job.asset for job in jobs], kinds, strict=True))

    def do(job: Job, watched: Progress) -> NegativeControl:
        return negative_control(job, services, watched, damage=of[job.asset], seed=seed)

    return each_asset(jobs, do, tell, many="controls", locked={"result": "SKIPPED"})


def damage_of(job: Job, text: str | None) -> Damage | None:
    """As `--damage` names it. UsageProblem where that cannot be done to this asset."""
    if text is None:
        return None
    possible = [kind.value for kind in (*job.engine.damages, *OF_FILES)]
    name = text.strip().lower().replace("-", "_")
    if name not in possible:
        raise UsageProblem(
            f"--damage {text[:80]!a} cannot be done to {job.asset}, which is {job.engine.engine_name}",
            hint=f"there are {', '.join(possible)}",
        )
    return Damage(name)


def _dry_run(jobs: list[Job], kinds: list[Damage | None]) -> Exit:
    named = [kind.value if kind else "another one than last time" for kind in kinds]
    if settings().json:
        planned = [{"plan": j.plan, "asset": j.asset, "damage": k} for j, k in zip(jobs, kinds, strict=True)]
        print_json({"would_damage": planned})
        return Exit.OK
    for job, kind in zip(jobs, named, strict=True):
        click.echo(
            f"would restore the newest snapshot of {job.asset}, check it, damage that copy ({kind}), check again"
        )
    return Exit.OK


def tell(done: NegativeControl) -> None:
    """For people: did the checks find the damage, and which of them?"""
    click.echo(f"{word(done.result)}  {done.plan}/{done.asset}: {done.what}")
    if done.reason:
        click.echo(f"  {done.reason}")
    if done.hint:
        click.echo(f"  → {done.hint}")
    if done.snapshot is not None:
        click.echo(f"  snapshot {done.snapshot.short}, consistent at {rfc3339(done.snapshot.consistent_point)}")
    for name, one in (("undamaged", done.healthy), ("damaged", done.damaged), ("undamaged again", done.afterwards)):
        if one is not None:
            found = one.reason or ", ".join(one.found) or f"{len(one.checks)} checks passed"
            click.echo(f"  {name}: {word(one.verdict)}, {found}")
    if done.damaged is not None and done.damaged.checks:
        tell_checks(done.damaged.checks, detailed={Verdict.INCONCLUSIVE})
    if done.damage is not None:
        click.echo(f"the same again: --damage {done.damage.value} --seed {done.seed}")
    tell_end(done.disposal.left_behind, done.record)
