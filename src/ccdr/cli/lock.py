"""`ccdr lock`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, tell_why, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, dry_run_option, from_option, plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem, worst
from ccdr.model.values import PRIMARY, human_seconds, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.object_locks import LockExtension


@click.group(epilog=EXIT_STATUS, short_help="Object Lock of what backups are made of.")
def lock() -> None:
    """Object Lock of what a plan's backups are made of."""


@verb(short_help="Push the Object Lock of what is in use forward.")
@plan_argument
@from_option
@click.option("--ask-all", is_flag=True, help="Ask the store for each lock, whatever this host remembers.")
@dry_run_option
def extend(plan: str, site: str | None, ask_all: bool, dry_run: bool) -> Exit:
    """Lock whatever PLAN's repository is made of now (packs, index, snapshots, keys, config; the shipped log's, too) as
    long as `lock: {keep: 35d}` of the plan says, in mode COMPLIANCE: nobody can remove it sooner. Locks are only pushed
    forward, and no object is read. `ccdr run` does it once a day, on the host that has the credential.

    Without it a lock ends though new snapshots still need the pack: it was locked when it was first written. Killed, it
    goes on when it is run again.

    \b
    Examples:
      ccdr lock extend outbound
      ccdr lock extend outbound --from offsite     a copy's repository
      ccdr lock extend outbound --ask-all
    """
    from ccdr.jobs.object_locks import extend as do
    from ccdr.plans.copies import copy_named, kept_locked

    options = settings()
    loaded = options.load(plan)
    named = None if site is None else copy_named(loaded.plan, site) or PRIMARY
    there = kept_locked(loaded)
    names = list(there) if named is None else [named]
    if not names:
        raise UsageProblem(
            f"{plan} asks for no lock to be pushed forward",
            hint="add `lock: {keep: 35d, env_file: …}` to its repository: docs/how-to/keys.md",
        )
    if dry_run:
        return _would(plan, {name: there[name].lock.keep for name in names if name in there})  # type: ignore[union-attr]
    services, done = options.services(), list["LockExtension"]()
    for name in names:
        with progress() as watched:
            done.append(do(loaded, name, services, watched, ask_all=ask_all))
    if options.json:
        print_json({"locks": [one.as_json() for one in done]})
    else:
        for one in done:
            _tell(one)
    return worst([one.exit_code for one in done])


def _would(plan: str, keeps: dict[str, float]) -> Exit:
    if settings().json:
        print_json({"would_lock": [{"plan": plan, "repository": name, "keep": keep} for name, keep in keeps.items()]})
    else:
        for name, keep in keeps.items():
            click.echo(f"would lock what {name} of {plan} is made of for {human_seconds(keep)} from now")
    return Exit.OK


def _tell(done: LockExtension) -> None:
    until = f", locked until {rfc3339(done.holds_until)} at least" if done.holds_until else ""
    click.echo(f"{word(done.result)}  {done.plan} {done.repository}: {so_many(done.objects, 'object')} in use{until}")
    click.echo(f"  {done.extended} pushed forward, {done.held} locked for long enough already")
    if done.hidden:
        click.echo(f"  {so_many(done.hidden, 'object')} hidden by a delete marker: left as they are, locked as before")
    if done.overwritten:
        click.echo(f"  finding: somebody wrote {so_many(done.overwritten, 'object')} again, with other contents")
    tell_why(done.reason, done.hint)


lock.add_command(extend, "extend")
