"""`ccdr init`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import Settings, settings
from ccdr.cli.verbs import dry_run_option, verb
from ccdr.model.errors import Exit

if TYPE_CHECKING:
    from ccdr.setup.discover.init import Initialised, InitRequest

_FILE = click.Path(dir_okay=False, path_type=Path)


@verb(short_help="Write a first plan from what is found.")
@click.argument("given", metavar="URL|PATH...", nargs=-1, required=True)
@click.option("--name", metavar="NAME", help="The plan's name (default: the database's, host's or directory's).")
@click.option("--repository", metavar="URL", help="Any restic repository (default: a directory of this machine).")
@click.option(
    "--password-file",
    "password_files",
    multiple=True,
    metavar="FILE|URL=FILE",
    help="Its first line is the database user's password; with URL=, of that server alone. May be repeated.",
)
@click.option("--env-file", type=_FILE, metavar="FILE", help="The repository's credentials, NAME=value lines.")
@click.option("--force", is_flag=True, help="Replace a plan of that name and its restore tests; never a key.")
@dry_run_option
def init(
    given: tuple[str, ...],
    name: str | None,
    repository: str | None,
    password_files: tuple[str, ...],
    env_file: Path | None,
    force: bool,
    dry_run: bool,
) -> Exit:
    """Write a first plan and its restore tests from what is found at each URL and PATH.

    A server's URL without a database stands for all of its databases; a SQLite database is named by its file. Looks at
    tables, row counts, newest rows, extensions, keys and audio; changes nothing there. What cannot be found out is
    assumed, and the plan says so.
    A finding (exit 1) is something left out, or a right that the user lacks; ccdr writes the plan anyway.

    \b
    Examples:
      ccdr init postgresql://ccdr_backup@127.0.0.1/crm --password-file crm.pw
      ccdr init postgresql:///?host=/var/run/postgresql /var/spool/recordings --name outbound
      ccdr init mysql://ccdr_backup@/dialler?socket=/run/mysqld/mysqld.sock --password-file dialler.pw
      ccdr init redis://ccdr_backup@127.0.0.1:6379 --password-file queues.pw --name queues
      ccdr init /var/lib/asterisk/cdr.sqlite3 sqlite:/var/lib/pbx/state --name pbx
      ccdr init postgresql://u@db1/crm redis://u@q1 --password-file postgresql://u@db1/crm=crm.pw --password-file q.pw
      ccdr init /etc/asterisk --repository sftp:backup@vault:/srv/asterisk --dry-run
    """
    from ccdr.setup.discover.init import InitRequest
    from ccdr.setup.discover.init import init as begin

    options = settings()
    wanted = InitRequest(
        given=given, plans=options.plans, restore_tests=options.restore_tests, name=name, repository=repository,
        password_files=password_files, env_file=env_file, force=force, dry_run=dry_run,
    )  # fmt: skip
    with progress() as watched:
        made = begin(wanted, options.services(), watched)
    following = [_command(options, [verb, made.plan]) for verb in ("backup", "test")]
    if made.grants:  # a backup would fail: what is to be typed elsewhere, then this command again
        following = [*made.grants, _again(options, wanted)]
    keep = [] if dry_run else _to_keep(options, made)
    if options.json:
        print_json(
            {
                "plan": made.plan,
                "dry_run": dry_run,
                "written": [str(path) for path in made.written],
                "files": {str(path): text for path, text in made.files.items()} if dry_run else None,
                "assets": made.assets,
                "notes": made.notes,
                "findings": made.findings,
                "keep_elsewhere": keep,
                "next": following,
            }
        )
    else:
        _tell(made, following, keep, dry_run=dry_run)
    return made.exit_code


def _to_keep(options: Settings, made: Initialised) -> list[dict[str, object]]:
    """What opens the repository from elsewhere."""
    from ccdr.telling.kit.sheet import to_keep

    repository = options.load(made.plan).plan.repository
    return [{"what": "the repository's address", "where": repository.url, "fingerprint": None, "why_none": None,
             "needed": True}, *(one.as_json() for one in to_keep(repository))]  # fmt: skip


def _tell(made: Initialised, following: list[str], keep: list[dict[str, object]], *, dry_run: bool) -> None:
    for line in made.contents:
        click.echo(line)
    for note in made.notes:
        click.echo(f"note: {note}")
    for finding in made.findings:
        click.echo(f"{word('finding')}: {finding}")
    click.echo("")
    if dry_run:
        for path, text in made.files.items():
            click.echo(f"# would write {path}\n{text}")
        return
    for path in made.written:
        key = path.suffix == ".key"
        click.echo(f"wrote {path}" + (": without it no backup can be read; keep a copy of it elsewhere" if key else ""))
    click.echo("\nkeep elsewhere: with these alone `ccdr bootstrap` brings the plan back, without them nothing does")
    for one in keep:
        mark = f"  (sha256sum begins with {one['fingerprint']})" if one["fingerprint"] else ""
        click.echo(f"  {one['what']}: {one['where']}{mark}")
    click.echo(f"  `ccdr kit page {made.plan} --out page.html` makes a page of it, to print")
    click.echo("\nnext:")
    for command in following:
        click.echo(f"  {command}")


def _again(options: Settings, wanted: InitRequest) -> str:
    words = ["init", *wanted.given]
    for flag, value in (
        ("--name", wanted.name),
        ("--repository", wanted.repository),
        *(("--password-file", file) for file in wanted.password_files),
        ("--env-file", wanted.env_file),
    ):
        words += [flag, str(value)] if value is not None else []
    return _command(options, [*words, "--force"])


def _command(options: Settings, words: list[str]) -> str:
    """The next command, with those directories that the environment does not name already."""
    default = Settings()
    words = ["ccdr", *words]
    for flag, given, usual in (
        ("--plans", options.plans, default.plans),
        ("--restore-tests", options.tests, default.tests),
        ("--state", options.state, default.state),
    ):
        if given is not None and given != usual:
            words += [flag, os.fspath(given)]
    return shlex.join(words)
