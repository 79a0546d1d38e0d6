"""A restore, for people: before the question what it is going to do, afterwards what came of it and what to type
next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from ccdr.cli.output import tell_checks
from ccdr.cli.settings import settings
from ccdr.cli.trouble import show_words
from ccdr.model.errors import Exit
from ccdr.model.values import Verdict, human_bytes, human_seconds, rfc3339

if TYPE_CHECKING:
    from ccdr.checks.base import CheckConfig
    from ccdr.jobs.restore import RestoreResult, Restoring
    from ccdr.model.values import CheckResult
    from ccdr.ports.new_server import StartLines

NOT_MEASURED = "not measured yet: no restore test of this asset has passed"


def tell_intention(one: Restoring) -> None:
    """What it will do, how long it should take, and what a person should know, before the question."""
    result, snapshot, to_stderr = one.result, one.result.snapshot, settings().json
    recovery, estimate = one.examination.recovery, one.examination.estimate
    assert snapshot is not None
    tested = {"PASS": "its last restore test passed", "FAIL": "its last restore test FAILED"}
    size, proof = human_bytes(snapshot.bytes), tested.get(result.proven or "", "this host never tested a restore of it")
    until = recovery.until if recovery else rfc3339(snapshot.consistent_point)
    lines = [
        ("from", f"snapshot {snapshot.short}, {size}; {proof}"),
        ("as of", f"{until}: what was written later is not in it"),
        ("to", str(result.target.name)),
        *(("", f"it {text}") for text in one.will),
        *checks_told(one.job.checks, one.passed_over),
        ("time", str(estimate) if estimate else NOT_MEASURED),
        *(("note", text) for text in result.notes),
        *(("finding", text) for text in result.findings),
    ]
    click.echo(f"restore {result.plan}/{result.asset}", err=to_stderr)
    for label, text in lines:
        click.echo(f"  {label:8}{text}", err=to_stderr)


def checks_told(asked: Sequence[CheckConfig], passed_over: Sequence[CheckResult]) -> Iterator[tuple[str, str]]:
    """Those that will be carried out, and only then those that will not: none is told as both."""
    if not asked:
        yield "checks", "nothing: the asset names no checks"
        return
    skipped = {(check.kind, check.name) for check in passed_over}
    done = [check.label for check in asked if (check.kind_name, check.label) not in skipped]
    yield "checks", ", ".join(done) or "none of the asset's checks can run there"
    for check in passed_over:
        yield "skipped", f"{check.name}: {check.actual.removeprefix('not looked at: ')}"


def intention_document(one: Restoring) -> dict[str, object]:
    """The same, for a program."""
    result, estimate = one.result, one.examination.estimate
    return {
        "would_restore": {
            "plan": result.plan,
            "asset": result.asset,
            "snapshot": to_builtins(result.shown_snapshot),
            "target": to_builtins(result.target),
            "will": one.will,
            "checks": [check.label for check in one.job.checks],
            "skipped": [check.name for check in one.passed_over],
            "estimate_s": result.estimate_s,
            "estimate": str(estimate) if estimate else NOT_MEASURED,
            "notes": result.notes,
            "findings": result.findings,
        }
    }


def tell_result(result: RestoreResult, notes: Sequence[str]) -> None:
    """What came of it; `notes` are those that were not told before it."""
    colour = "green" if result.exit_code in (Exit.OK, Exit.LEFT_BEHIND) else "red"
    click.echo(
        f"{click.style(result.result, fg=colour, bold=True)}  {result.plan}/{result.asset}  to {result.target.name}"
    )
    if result.reason:
        click.echo(f"  {result.reason}")
    if result.hint:
        click.echo(f"  → {result.hint}")
    for text in result.left_behind:
        click.echo(f"  left behind: {text}")
    for text in notes:
        click.echo(f"  note: {text}")
    if result.checks:
        tell_checks(result.checks, detailed={Verdict.FAIL})
    show_words(result.words, result.run)
    click.echo()
    phases = ", ".join(f"{name} {human_seconds(s)}" for name, s in result.phases.items())
    estimated = f"; estimated {human_seconds(result.estimate_s)}" if result.estimate_s is not None else ""
    click.echo(f"took {human_seconds(sum(result.phases.values()))} ({phases}){estimated}")
    for line in result.incident.lines:
        click.echo(line)
    if result.record is not None:
        click.echo(f"record: {result.record.seq} {result.record.hash[:16]}…")


def tell_start(lines: StartLines | None) -> None:
    """How a person starts what was made."""
    if lines is None:
        return
    for how, commands in (("Debian's own tools", lines.debian), ("Docker", lines.docker)):
        click.echo(f"\nto start it, as root, by {how}:")
        for command in commands:
            click.echo(f"  {command}")
    for heading, commands in lines.afterwards():
        click.echo(f"\n{heading}:")
        for command in commands:
            click.echo(f"  {command}")
