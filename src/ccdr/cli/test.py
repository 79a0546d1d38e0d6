"""`ccdr test`, of a snapshot, or of the restore tests themselves (`--negative-control`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import click

from ccdr.cli.one_by_one import each_asset
from ccdr.cli.output import print_json, tell_checks, tell_end, tell_why, word
from ccdr.cli.restore_test_told import tell as tell_tests
from ccdr.cli.restore_test_told import tell_all
from ccdr.cli.settings import settings
from ccdr.cli.signing import signed_at_once
from ccdr.cli.verbs import (
    assets_option,
    dry_run_option,
    from_option,
    plan_argument,
    tell_paused,
    timeline_option,
    verb,
)
from ccdr.model.damage import OF_FILES, Damage
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import Verdict, rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.negative_control import NegativeControl
    from ccdr.jobs.restore_test import RestoreTest
    from ccdr.jobs.services import Services
    from ccdr.plans.job import Job
    from ccdr.ports.place import Progress

# What `ccdr test --negative-control` does and tells.


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
    tell_why(done.reason, done.hint)
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


ALONE = "say --negative-control, and with it no more than --asset, --damage and --seed"
WORDS = ("latest", "random", "oldest")


@verb(short_help="Restore into a sandbox, and check what came back.")
@plan_argument
@assets_option
@click.option(
    "--snapshot",
    metavar="latest|random|oldest|ID",
    help="Which one. By default as the plan says; of several rules, the one that was used longest ago.",
)
@click.option(
    "--at",
    metavar="TIME|latest|NAME",
    help="Recover to this point by the shipped log: a time, its end, a named point; from the base --snapshot ID names.",
)
@timeline_option
@from_option
@click.option(
    "--keep", is_flag=True, help="Leave the sandbox running for a closer look; it stops by itself after 4 hours."
)
@click.option(
    "--negative-control",
    "control",
    is_flag=True,
    help="Restore the newest snapshot, damage that copy, and have the checks find it: they must FAIL it.",
)
@click.option("--damage", metavar="KIND", help="What a damage test does; by default another one each time.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of a recorded control: the same damage again.")
@dry_run_option
@signed_at_once
def test(
    plan: str,
    assets: tuple[str, ...],
    snapshot: str | None,
    at: str | None,
    timeline: int | None,
    site: str | None,
    keep: bool,
    control: bool,
    damage: str | None,
    seed: int | None,
    dry_run: bool,
) -> Exit:
    """Restore a snapshot of every asset of PLAN (or one) into a throwaway sandbox, and check what came back.

    PASS: it was restored and every check passed. FAIL: the backup is bad, or is not what it claims.
    INCONCLUSIVE: the test itself broke; proves nothing either way.

    Where the plan names several rules for an asset's snapshot, one call tests by one of them: "rule 2 of 3 in turn".

    \b
    Examples:
      ccdr test outbound
      ccdr test outbound --asset crm --snapshot oldest
      ccdr test outbound --asset crm --snapshot 1f3e9a2b --json
      ccdr test outbound --asset crm --keep
      ccdr test outbound --asset crm --negative-control
      ccdr test outbound --asset crm --at latest
      ccdr test outbound --asset crm --at "2026-11-24 14:05:00"
      ccdr test outbound --from offsite
    """
    from ccdr.jobs.attest import store_due
    from ccdr.jobs.copies import jobs_from
    from ccdr.plans.access import Role

    options = settings()
    if control or damage is not None or seed is not None:
        if snapshot is not None or at is not None or timeline is not None or site is not None or keep:
            raise UsageProblem("a damage test restores the newest snapshot, and keeps nothing", hint=ALONE)
        if not control:
            raise UsageProblem("--damage and --seed are of --negative-control", hint=ALONE)
        return by_damage(options.jobs(plan, assets, Role.VERIFY), options.services(), damage, seed, dry_run=dry_run)
    stated, services = jobs_from(options.jobs(plan, assets, Role.VERIFY), options.services(), site)
    jobs = _holding(stated, snapshot, services)
    if not dry_run:
        tell_paused(services, plan)
    if at is not None:
        wanted = [j for j in jobs if assets or j.engine.shipping]
        return _recoveries(wanted, snapshot, At(at, timeline), services, keep, dry_run)
    if timeline is not None:
        raise UsageProblem("--timeline says by which log to recover", hint="say with --at how far")
    if dry_run:
        return _test_dry_run(jobs, snapshot, services)

    code = _by_rules(jobs, snapshot, services, keep=keep)
    if services.there is not None:
        return code
    with suppress(CcdrError):  # whether it could be is for `ccdr status` to tell
        store_due([jobs[0].loaded], services, options.every)
    return code


def _by_rules(jobs: list[Job], snapshot: str | None, services: Services, *, keep: bool) -> Exit:
    """Tests of the snapshot that is named, or of the one that the plan's rule chooses whose turn it is."""
    from ccdr.jobs.restore_test import next_turn, restore_test

    turns: dict[str, str] = {}

    def do(job: Job, watched: Progress) -> RestoreTest:
        # An empty one too is an id: a script's variable that was not set must not mean `latest`.
        selection, target = next_turn(job, services) if snapshot is None else (snapshot, None)
        turns[job.asset] = "" if snapshot is not None else _turn(job, selection)
        return restore_test(job, selection, services, watched, at=target, keep=keep)

    return _each_tested(jobs, do, turns)


def _each_tested(jobs: list[Job], do: Callable[[Job, Progress], RestoreTest], turns: Mapping[str, str] = {}) -> Exit:
    """Each is told once it is done, and all of them at the end. `turns`: by asset, which of the plan's rules it was."""
    done: list[RestoreTest] = []

    def tell_one(one: RestoreTest) -> None:
        done.append(one)
        tell_tests(one, turns.get(one.asset, ""))

    code = each_asset(jobs, do, tell_one, many="tests", locked={"verdict": "SKIPPED"})
    tell_all(done, jobs)
    return code


class At(NamedTuple):
    """How far, and by which of the log's timelines."""

    text: str
    timeline: int | None


def _recoveries(jobs: list[Job], snapshot: str | None, at: At, services: Services, keep: bool, dry_run: bool) -> Exit:
    """Tests that recover to a point: only of assets that ship their log."""
    from ccdr.jobs.restore_test import AT, restore_test
    from ccdr.jobs.shipping.choice import target_of

    if snapshot in WORDS:
        raise UsageProblem(
            f"with --at the log is applied to one base backup, and {snapshot} does not say which",
            hint="name it by its id, or leave --snapshot out: then it is the newest before that point",
        )
    if not jobs:
        raise UsageProblem("no asset of this plan ships its log", hint="`log_shipping:` in the plan asks for it")
    targets = {(job.plan, job.asset): target_of(at.text, job.loaded.plan.zone, at.timeline) for job in jobs}
    if dry_run:
        base = f"the base {snapshot}" if snapshot else f"the newest base before {at.text}"
        return _test_dry_run(jobs, f"{base}, and the log from there on", services)

    def do(job: Job, watched: Progress) -> RestoreTest:
        return restore_test(job, AT, services, watched, at=targets[job.plan, job.asset], base=snapshot, keep=keep)

    return _each_tested(jobs, do)


def _holding(jobs: list[Job], snapshot: str | None, services: Services) -> list[Job]:
    """With an id and no asset named: only the assets that have such a snapshot."""
    if snapshot is None or snapshot in WORDS or len(jobs) == 1:
        return jobs
    holding = [j for j in jobs if any(s.id.startswith(snapshot) for s in services.catalogue.snapshots(j.plan, j.asset))]
    if not holding:
        hint = f"`ccdr snapshots {jobs[0].plan}` lists them; one of another host's needs its --asset"
        raise UsageProblem(f"no snapshot here has an id that begins with {snapshot!r}", hint=hint)
    return holding


def _turn(job: Job, rule: str) -> str:
    """Which of the plan's rules it is, where there are several: one call tests by one of them."""
    return f"; rule {job.rules.index(rule) + 1} of {len(job.rules)} in turn" if len(job.rules) > 1 else ""


def _test_dry_run(jobs: list[Job], snapshot: str | None, services: Services) -> Exit:
    from ccdr.jobs.restore_test import next_turn

    planned, turns = [], []
    for j in jobs:
        which = next_turn(j, services)[0] if snapshot is None else snapshot
        turns.append(_turn(j, which) if snapshot is None else "")
        planned.append({"plan": j.plan, "asset": j.asset, "snapshot": which, "checks": [c.label for c in j.checks]})
    if settings().json:
        print_json({"would_test": planned})
        return Exit.OK
    for line, turn in zip(planned, turns, strict=True):
        checks = ", ".join(map(str, line["checks"])) or "nothing: no checks, no PASS"
        which = f"{line['snapshot']}{turn and f' ({turn[2:]})'}"
        click.echo(f"would restore the snapshot {which} of {line['asset']} and check: {checks}")
    return Exit.OK
