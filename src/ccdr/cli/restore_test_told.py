"""What came of restore tests, for people: each with its verdict first, and a table of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import table, tell_checks, tell_end, tell_why, word
from ccdr.cli.settings import settings
from ccdr.model.values import ObjectiveVerdict, Verdict, human_bytes, human_seconds, rfc3339

if TYPE_CHECKING:
    from ccdr.evidence.records.restores import RestoredBeside
    from ccdr.jobs.restore_test import RestoreTest
    from ccdr.plans.job import Job


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
        why = "for what does not fit it" if misfits(done.ended()) else "for a newer backup alone"
        click.echo(f"  {why}; {what}, is good" if good else f"  {what}")
    else:
        click.echo()
    tell_why(done.reason, done.hint)
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
    if done.disposal.kept_until:
        click.echo(f"kept: {done.look}" if done.look else "no sandbox was kept: the test ended before it was loaded")
        click.echo(f"when you are done: docker rm -f ccdr-{done.run}; ccdr sandbox reap")
    for other in done.others:
        _tell_other(other)
    if done.private is not None:
        where = (settings().state or default_state()) / done.private.file
        click.echo(f"by name, for your eyes: {where}, {done.private.lines} lines, until {rfc3339(done.private.until)}")
    tell_end(done.disposal.left_behind, done.record)


def _tell_other(other: RestoredBeside) -> None:
    """An asset that was restored beside the tested one."""
    snapshot, how = other.snapshot, "captured together" if other.group_run else "captured apart"
    phases = ", ".join(f"{name} {human_seconds(s)}" for name, s in other.phases.items())
    click.echo(
        f"restored with it: {other.asset}, snapshot {snapshot.id[:8]}, consistent at "
        f"{rfc3339(snapshot.consistent_point)}, {human_seconds(other.skew_s)} apart ({how}); {phases}"
    )


def tell_all(done: Sequence[RestoreTest], jobs: Sequence[Job]) -> None:
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
        return str(findings[0]) + (f"; {len(findings) - 1} more above" if findings[1:] else "")
    measured = (("RPO", one.rpo), ("RTO", one.rto))
    bad = (ObjectiveVerdict.BREACHED, ObjectiveVerdict.NOT_MEASURED)
    return ", ".join(f"{name} {a.verdict}" for name, a in measured if a is not None and a.verdict in bad) or "-"
