"""`ccdr restore`: what it is going to do, before the question; what came of it, and what to type next."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from ccdr.cli.approving import GoingOn, going_on_options, may_recover
from ccdr.cli.output import print_json, tell_checks, tell_record, tell_why
from ccdr.cli.progress import progress
from ccdr.cli.settings import Settings, settings
from ccdr.cli.trouble import show_words
from ccdr.cli.verbs import (
    as_one,
    despite_erasures_option,
    dry_run_option,
    from_option,
    one_only,
    plan_argument,
    target_login_options,
    timeline_option,
    verb,
)
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import Verdict, human_bytes, human_seconds, rfc3339

if TYPE_CHECKING:
    from ccdr.checks.base import CheckConfig
    from ccdr.jobs.restore import Request, RestoreResult, Restoring
    from ccdr.model.values import CheckResult
    from ccdr.plans.job import Job
    from ccdr.plans.targets import NewServer
    from ccdr.ports.new_server import StartLines

# A restore, for people: before the question what it is going to do, afterwards what came of it and what to type next.

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
    tell_why(result.reason, result.hint)
    for text in result.left_behind:
        click.echo(f"  left behind: {text}")
    for text in notes:
        click.echo(f"  note: {text}")
    if result.checks:
        tell_checks(result.checks, detailed={Verdict.FAIL})
    show_words(result.words, result.run, result.exit_code)
    click.echo()
    phases = ", ".join(f"{name} {human_seconds(s)}" for name, s in result.phases.items())
    estimated = f"; estimated {human_seconds(result.estimate_s)}" if result.estimate_s is not None else ""
    click.echo(f"took {human_seconds(sum(result.phases.values()))} ({phases}){estimated}")
    for line in result.incident.lines:
        click.echo(line)
    tell_record(result.record)


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


@dataclass(frozen=True)
class _Asked:
    """Which snapshot, or which point by the log, is to be restored where, and what is allowed."""

    snapshot: str
    at: str | None
    timeline: int | None
    target: str | None
    new_server: Path | None
    owner: str | None
    port: int | None
    password_file: Path | None
    ca_file: Path | None
    parts: tuple[str, ...]
    onto_source_server: bool
    despite_failed_test: bool
    despite_failed_checks: bool
    despite_erasures: str | None

    def request(self, job: Job, options: Settings) -> Request:
        from ccdr.evidence.acknowledged import why_of
        from ccdr.jobs.restore import Request
        from ccdr.jobs.shipping.choice import target_of

        if self.at is None and self.timeline is not None:
            raise UsageProblem("--timeline says by which log to recover", hint="say with --at how far")
        made = self._new_server()
        others, wrong = options.load_all(())
        return Request(
            to=str(made.directory) if made else str(self.target),
            new_server=made,
            snapshot=self.snapshot,
            at=None if self.at is None else target_of(self.at, job.loaded.plan.zone, self.timeline),
            password_file=self.password_file,
            ca_file=self.ca_file,
            parts=self.parts,
            onto_source_server=self.onto_source_server,
            despite_failed_test=self.despite_failed_test,
            despite_failed_checks=self.despite_failed_checks,
            despite_erasures=None if self.despite_erasures is None else why_of(self.despite_erasures),
            others=tuple(others),
            unknown=tuple(sorted({problem.file for error in wrong for problem in error.problems})),
        )

    def _new_server(self) -> NewServer | None:
        """UsageProblem unless one place is named."""
        from ccdr.plans.targets import NewServer

        if (self.target is None) == (self.new_server is None):
            raise UsageProblem("restore where to?", hint="name one place: --to TARGET, or --new-server DIR")
        if self.new_server is None:
            if self.owner is not None or self.port is not None:
                raise UsageProblem("--owner and --port are of a new server", hint="name it with --new-server DIR")
            return None
        directory = self.new_server.expanduser().absolute()
        return NewServer(directory=directory, owner=self.owner, port=self.port)


@verb(short_help="Restore an asset of PLAN for real.")
@plan_argument
@click.option("--asset", metavar="A", required=True, multiple=True, callback=one_only, help="Which asset of the plan.")
@click.option(
    "--snapshot",
    metavar="latest|ID",
    default="latest",
    show_default=True,
    help="Which one; `latest` is the newest that has not failed a restore test.",
)
@click.option("--at", metavar="TIME|latest|NAME", help="The newest base before this point, and the log up to it.")
@timeline_option
@from_option
@click.option(
    "--to",
    "target",
    metavar="TARGET",
    help="A directory (absent or empty), or postgresql:// or mysql://user@host:port/database (absent or empty).",
)
@click.option(
    "--new-server",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Make a new server ready there (absent or empty), with all that it needs to be started.",
)
@click.option("--owner", metavar="USER", help="Whom the new server runs as (default: the engine's own user).")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the new server listens (default: the port of the source)."
)
@target_login_options
@click.option(
    "--part",
    "parts",
    metavar="PART",
    multiple=True,
    help="Of files these alone (rec/2026/*, **/0815.wav), of a dump these tables (public.call); may be given several "
    "times.",
)
@click.option("--onto-source-server", is_flag=True, help="Allow another database on a server that is backed up.")
@click.option("--despite-failed-test", is_flag=True, help="Allow a snapshot that failed its restore test.")
@click.option("--despite-failed-checks", is_flag=True, help="Give it its final name even if checks fail.")
@despite_erasures_option
@click.option("--yes-i-mean", metavar="NAME", help="The last part of TARGET, or all of it, instead of typing it.")
@going_on_options
@dry_run_option
@as_one("asked", _Asked)
@as_one("going_on", GoingOn)
def restore(
    plan: str,
    asset: str,
    asked: _Asked,
    site: str | None,
    yes_i_mean: str | None,
    going_on: GoingOn,
    dry_run: bool,
) -> Exit:
    """Restore an asset of PLAN for real: into a new directory, a new database on a server, or a new server.

    Nothing that exists is written over: a target that is not empty, or that is or could be the source of any plan, is
    refused.
    What is restored has its final name only when it is whole and the asset's checks have passed.

    Files stand below a directory each at its own path. A directory for a server's database gets the captured dump, for
    a SQLite database the database file itself.

    Where the plan says `approval: {recover: true}`, it takes a request that somebody else has signed, or --break-glass.

    \b
    Examples:
      ccdr restore outbound --asset recordings --to /srv/restored
      ccdr restore outbound --asset crm --to postgresql://postgres@db2/crm --password-file pw --dry-run
      ccdr restore outbound --asset dialler --to mysql://root@/dialler?socket=/run/mysqld --password-file pw
      ccdr restore outbound --asset crm --snapshot 1f3e9a2b --to /srv/dump
      ccdr restore outbound --asset recordings --to /srv/restored --yes-i-mean restored
      ccdr restore outbound --asset recordings --part 'rec/2026/*' --to /srv/part
      ccdr restore outbound --asset crm --part public.call --to postgresql://postgres@db2/part --password-file pw
      ccdr restore outbound --asset crm --at "2026-11-24 14:05:00" --to /srv/crm
      ccdr restore outbound --asset crm --at latest --new-server /srv/crm --port 5433
      ccdr restore outbound --asset crm --from offsite --to /srv/crm
    """
    from ccdr.jobs.copies import jobs_from
    from ccdr.jobs.restore import restoring
    from ccdr.plans.access import Role

    options = settings()
    (job,), services = jobs_from(options.jobs(plan, [asset], Role.RESTORE), options.services(), site)
    request = asked.request(job, options)
    with contextlib.ExitStack() as stack:
        with progress() as watched:
            one = stack.enter_context(restoring(job, request, services, watched, dry_run=dry_run))
        if dry_run:
            return _dry_run(one)
        tell_intention(one)
        notes_told = len(one.result.notes)
        _agree(one.examination.name, yes_i_mean, {*_whole(asked.target), str(one.result.target.name)})
        may_recover(job.loaded, services, going_on)
        _carry_out(one)
    if options.json:
        print_json(one.result.as_json())
    else:
        tell_result(one.result, one.result.notes[notes_told:])
        tell_start(one.result.start)
    return one.result.exit_code


def _dry_run(one: Restoring) -> Exit:
    if settings().json:
        print_json(intention_document(one))
    else:
        tell_intention(one)
        click.echo("nothing was done")
    return Exit.OK


def _whole(target: str | None) -> Iterator[str]:
    if target is not None:
        yield target
        yield target.rstrip("/")


def _carry_out(one: Restoring) -> None:
    try:
        with progress() as watched:
            one.carry_out(watched)
    except KeyboardInterrupt:
        if one.result.result == "RESTORED":
            click.echo(
                f"ccdr: the restore is complete: it is at {one.result.target.name}, under its final name", err=True
            )
        raise


def _agree(name: str, given: str | None, whole: Container[str] = ()) -> None:
    """UsageProblem, and nothing was done, unless somebody has given the target's name, or the whole of it as --to has
    it: who copies that has seen where it goes."""
    if given is None and not sys.stdin.isatty():
        raise UsageProblem(
            "ccdr needs a terminal to ask for the target's name; nothing was done",
            hint=f"in a script add --yes-i-mean {shlex.quote(name)}",
        )
    if given is None:
        try:
            given = click.prompt(f"To continue, type the target's name ({name}), or the whole of it", err=True)
        except click.Abort:
            raise UsageProblem("nothing was done") from None
    if given != name and given not in whole:
        raise UsageProblem(f"{given!r} is not the target's name, {name!r}; nothing was done")
