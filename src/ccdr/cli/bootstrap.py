"""`ccdr bootstrap`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import Settings, settings
from ccdr.cli.verbs import dry_run_option, verb
from ccdr.model.errors import Exit
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.plan_in_repository.bootstrap import Bootstrapped, Taken

_FILE = click.Path(path_type=Path)  # a pipe too, as of <(pass show outbound)


@verb(short_help="Plans back from a repository alone.")
@click.argument("url", metavar="URL")
@click.option("--password-file", type=_FILE, required=True, metavar="F", help="Its first line opens the repository.")
@click.option("--env-file", type=_FILE, metavar="F", help="The store's credentials, NAME=value lines.")
@click.option(
    "--into", type=_FILE, required=True, metavar="DIR", help="Where to; absent (the one above exists) or empty."
)
@click.option("--all-versions", is_flag=True, help="Older versions of the plans too, in DIR/versions.")
@dry_run_option
def bootstrap(
    url: str, password_file: Path, env_file: Path | None, into: Path, all_versions: bool, dry_run: bool
) -> Exit:
    """Write the plans and restore tests that the repository at URL holds into DIR: all of them, or nothing.

    For the day on which its address and its password are all that is left. Where a repository holds backups and no
    plan, a plan is made from them, which is good for recovery alone. `snapshots`, `test`, `restore` and `recover` work
    with what is written at once: they open the repository as this command did, and need no secret of the sources.

    Whoever holds the repository's password could have stored a plan there: no command that a plan names runs before
    `ccdr plan trust` has shown it, and somebody has confirmed it.

    A finding (exit 1) is something that was passed over; a plan that only a newer ccdr understands is written too.

    \b
    Examples:
      ccdr bootstrap s3:https://s3.example/ccdr-outbound --password-file key --env-file s3.env --into /srv/dr
      ccdr bootstrap sftp:backup@vault:/srv/outbound --password-file key --into /srv/dr --dry-run
      ccdr bootstrap /mnt/outbound --password-file <(pass show outbound) --into /srv/dr --all-versions
    """
    from ccdr.jobs.plan_in_repository.bootstrap import BootstrapRequest
    from ccdr.jobs.plan_in_repository.bootstrap import bootstrap as begin

    options = settings()
    request = BootstrapRequest(url, password_file, env_file, into, all_versions, dry_run)
    with progress() as watched:
        done = begin(request, options.services(), watched)
    following = [*_next(options, done)]
    if options.json:
        print_json(
            {
                "into": str(done.into),
                "dry_run": dry_run,
                "plans": [one.as_json() for one in done.plans],
                "older_versions": done.older,
                "passed_over": done.passed_over,
                "next": following,
            }
        )
    else:
        _tell(done, following, all_versions=all_versions)
    return done.exit_code


def _next(options: Settings, done: Bootstrapped) -> Iterator[str]:
    state = ["--state", str(options.state)] if options.state and options.state != Settings().state else []
    for one in done.plans:
        if one.wrong is None:
            where = ["--plans", str(one.directory), *state]
            yield shlex.join(["ccdr", "snapshots", one.plan, *where])
            if "recover" in click.get_current_context().find_root().command.commands:  # type: ignore[attr-defined]
                under = ["--under", str(_below(done.into))] if one.untargeted else []
                yield shlex.join(["ccdr", "recover", one.plan, *under, "--dry-run", *where])
                yield shlex.join(["ccdr", "recover", one.plan, *under, *where])


def _below(into: Path) -> Path:
    """Where a recovery may go to: beside it, as the README and the printed pages have it; in it, where something is
    there already."""
    from ccdr.jobs.plan_in_repository.bootstrap import RECOVERED

    beside = into.parent / RECOVERED
    return into / RECOVERED if os.path.lexists(beside) else beside


def _tell(done: Bootstrapped, following: list[str], *, all_versions: bool) -> None:
    wrote = "would write" if done.dry_run else "wrote"
    for one in done.plans:
        click.echo(f"{wrote} {one.path}")
        _tell_plan(one)
    if done.older:
        where = f"in {done.into / 'versions'}" if all_versions else "there too: --all-versions writes them"
        click.echo(f"{so_many(done.older, 'older version')} {where}")
    if done.key_kept:
        click.echo(f"the password came through a pipe, and is kept in {done.key_kept}")
    for finding in done.passed_over:
        click.echo(f"{word('finding')}: {finding}")
    if following:
        click.echo("\nnext:")
        for command in following:
            click.echo(f"  {command}")


def _tell_plan(one: Taken) -> None:
    from ccdr.jobs.plan_in_repository.bootstrap import BACKUPS, RECOVERY

    if one.version is not None:
        by = f" by {one.version.writer}" if one.version.writer else ""
        on = f" on {one.version.host}" if one.version.host else ""
        click.echo(f"  stored {rfc3339(one.version.at)[:19]}Z{by}{on}, version {one.version.digest[:12]}")
    if one.made:
        click.echo("  made from the repository's backups, which hold no plan: for recovery alone, it lacks")
        click.echo(f"  {', '.join(one.lacks)}")
    if one.wrong:
        click.echo(f"  {word('wrong')}: {one.wrong}")
        return
    for command in one.commands:
        click.echo(f"  not confirmed, and not run: {command.where}\n      {command.shown}")
    if one.commands:
        click.echo(f"  `ccdr plan trust {one.plan} --plans {shlex.quote(str(one.directory))}` confirms them")
    for asset, first, why in one.twice:
        click.echo(f"  {asset} and {first} protect the same server: recover from {first} ({why})")
        click.echo(f"    {asset} comes back too, as a spare; `--except {asset}` leaves it out")
    needed = [secret for secret in one.secrets if not secret.there]
    for secret in needed:
        what = f"{secret.expected} is expected" if secret.expected else "its command is to be confirmed"
        use = secret.use if secret.use == RECOVERY else f"{secret.use}, not for a recovery"
        if secret.use == BACKUPS:  # a server that is open is asked by the plan's own user
            use = f"{secret.use} and for `ccdr recover check --opened`, not for a recovery"
        click.echo(f"  needed for {use}: {secret.where}: {what}")
    if not needed and not one.made:
        click.echo("  every secret that it names is there")
