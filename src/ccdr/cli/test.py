"""`ccdr test`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ccdr.cli.one_by_one import each_asset
from ccdr.cli.output import print_json, table, tell_checks, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import (
    assets_option,
    dry_run_option,
    from_option,
    plan_argument,
    tell_paused,
    timeline_option,
    verb,
)
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import ObjectiveVerdict, Verdict, human_bytes, human_seconds, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccdr.jobs.restore_test import RestoreTest
    from ccdr.jobs.services import Services
    from ccdr.plans.job import Job
    from ccdr.ports.place import Progress

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
@click.option("--damage", metavar="KIND", help="What a negative control does; by default another one each time.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of a recorded control: the same damage again.")
@dry_run_option
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
        from ccdr.cli.control import by_damage

        if snapshot is not None or at is not None or timeline is not None or site is not None or keep:
            raise UsageProblem("a negative control restores the newest snapshot, and keeps nothing", hint=ALONE)
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
        return _dry_run(jobs, snapshot, services)

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

    done: list[RestoreTest] = []

    def tell_one(one: RestoreTest) -> None:
        done.append(one)
        tell(one, turns[one.asset])

    code = each_asset(jobs, do, tell_one, many="tests", locked={"verdict": "SKIPPED"})
    _tell_all(done, jobs)
    return code


class At(NamedTuple):
    """How far, and by which of the log's timelines."""

    text: str
    timeline: int | None


def _recoveries(jobs: list[Job], snapshot: str | None, at: At, services: Services, keep: bool, dry_run: bool) -> Exit:
    """Tests that recover to a point: only of assets that ship their log."""
    from ccdr.jobs.restore_test import AT, restore_test
    from ccdr.jobs.shipping.targets import target_of

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
        return _dry_run(jobs, f"{base}, and the log from there on", services)

    def do(job: Job, watched: Progress) -> RestoreTest:
        return restore_test(job, AT, services, watched, at=targets[job.plan, job.asset], base=snapshot, keep=keep)

    done: list[RestoreTest] = []

    def tell_one(one: RestoreTest) -> None:
        done.append(one)
        tell(one)

    code = each_asset(jobs, do, tell_one, many="tests", locked={"verdict": "SKIPPED"})
    _tell_all(done, jobs)
    return code


def _tell_all(done: Sequence[RestoreTest], jobs: Sequence[Job]) -> None:
    """After several: one line for each, what another run held included."""
    if len(jobs) < 2 or settings().json:
        return
    by_asset = {one.asset: one for one in done}
    rows = []
    for job in jobs:
        one = by_asset.get(job.asset)
        if one is None:
            rows.append((word("SKIPPED"), job.asset, "-", "-", "-", "another run holds it"))
            continue
        rpo, rto = (human_seconds(a.achieved_s) if a is not None else "-" for a in (one.rpo, one.rto))
        snapshot = one.snapshot.short if one.snapshot is not None else "-"
        rows.append((word(one.verdict), job.asset, snapshot, rpo, rto, _why(one)))
    table(("", "asset", "snapshot", "RPO", "RTO", "why"), rows)


def _why(one: RestoreTest) -> str:
    """What of it is not as it should be: a PASS, too, may have findings that nobody has acknowledged."""
    if one.reason:
        return one.reason
    if findings := [finding for finding in one.findings if finding not in one.noted]:
        return findings[0] + (f"; {len(findings) - 1} more above" if findings[1:] else "")
    measured = (("RPO", one.rpo), ("RTO", one.rto))
    bad = (ObjectiveVerdict.BREACHED, ObjectiveVerdict.NOT_MEASURED)
    return ", ".join(f"{name} {a.verdict}" for name, a in measured if a is not None and a.verdict in bad) or "-"


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


def _dry_run(jobs: list[Job], snapshot: str | None, services: Services) -> Exit:
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


def tell(done: RestoreTest, turn: str = "") -> None:
    """The test for people: verdict first, then why, then what was looked at and measured. `turn` follows the rule that
    chose the snapshot."""
    from ccdr.evidence.verdicts import misfits

    click.echo(f"{word(done.verdict)}  {done.plan}/{done.asset}", nl=False)
    if done.snapshot is not None:
        s = done.snapshot
        size = human_bytes(s.bytes)
        what = f"snapshot {s.short} ({done.selected}{turn}), consistent at {rfc3339(s.consistent_point)}, {size}"
        good = done.verdict is Verdict.FAIL and done.own_verdict is Verdict.PASS
        why = "for what does not fit it" if misfits(done.body()) else "for a newer backup alone"
        click.echo(f"  {why}; {what}, is good" if good else f"  {what}")
    else:
        click.echo()
    if done.reason:
        click.echo(f"  {done.reason}")
    if done.hint:
        click.echo(f"  → {done.hint}")
    if done.left_out:
        click.echo(f"  left out, as the plan says: {', '.join(done.left_out)}")
    for finding in done.findings:
        click.echo(f"  finding: {finding}")
    if done.checks:
        tell_checks(done.checks, detailed=set(Verdict) - {Verdict.PASS})
    _tell_measures(done)


def _tell_measures(done: RestoreTest) -> None:
    from ccdr.host.state import default_state

    click.echo()
    rows = []
    for name, achieved in (("RPO", done.rpo), ("RTO", done.rto)):
        if achieved is not None:
            objective = human_seconds(achieved.objective_s)
            rows.append((name, word(achieved.verdict), human_seconds(achieved.achieved_s), objective))
    table(("", "", "achieved", "objective"), rows)
    phases = ", ".join(f"{name} {human_seconds(s)}" for name, s in done.phases.items())
    click.echo(f"phases: {phases}")
    if done.disposal.get("kept_until"):
        click.echo(f"kept: docker exec -it ccdr-{done.run} bash    (PostgreSQL: psql -h /ccdr/run -U postgres)")
        click.echo(f"when you are done: docker rm -f ccdr-{done.run}; ccdr sandbox reap")
    for other in done.others:
        _tell_other(other)
    if done.private is not None:
        where = (settings().state or default_state()) / str(done.private["file"])
        click.echo(f"by name, for your eyes: {where}, {done.private['lines']} lines, until {done.private['until']}")
    left = done.disposal.get("left_behind")
    for problem in left if isinstance(left, list) else ():
        click.echo(f"left behind: {problem}")
    if done.record is not None:
        click.echo(f"record: {done.record.seq} {done.record.hash[:16]}…")
    click.echo()


def _tell_other(other: dict[str, Any]) -> None:
    """An asset that was restored beside the tested one."""
    snapshot, how = other["snapshot"], "captured together" if other["group_run"] else "captured apart"
    phases = ", ".join(f"{name} {human_seconds(s)}" for name, s in other["phases"].items())
    click.echo(
        f"restored with it: {other['asset']}, snapshot {snapshot['id'][:8]}, consistent at "
        f"{snapshot['consistent_point']},"
        f" {human_seconds(other['skew_s'])} apart ({how}); {phases}"
    )
