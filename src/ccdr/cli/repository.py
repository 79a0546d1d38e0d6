"""`ccdr repository key`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE, GoingOn, going_on_options
from ccdr.cli.output import print_json, table
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, as_one, dry_run_option, from_option, plan_argument, verb
from ccdr.host.state_files import plain
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import PRIMARY, rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.repository_keys import Opened, Rotation
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.storage.repository_keys import RepositoryKey

NOT_A_ROTATION = (
    "the master key did not change: who has an old version of a key file (a versioned bucket keeps them) and its "
    "password opens the repository as before",
    "where the old password is known to somebody who must not have it, make a new repository and copy into it: name it "
    "in `copies:`, `ccdr copy PLAN`, then make it the plan's own (docs/how-to/keys.md)",
)


@click.group(epilog=EXIT_STATUS, short_help="A plan's repository: its passwords.")
def repository() -> None:
    """The repository that a plan stores its backups in."""


@click.group(epilog=EXIT_STATUS, short_help="The passwords that open a repository.")
def key() -> None:
    """The passwords that open a plan's repository: restic keeps a key for each. All of them open the same master key,
    which never changes."""


def _there(plan: str, site: str | None) -> tuple[LoadedPlan, Services, list[Opened]]:
    from ccdr.jobs.repository_keys import repositories_of

    options = settings()
    own = options.services()
    loaded, name = _which(options.load(plan), own, site)
    return loaded, own, repositories_of(loaded, own, name)


def _which(loaded: LoadedPlan, services: Services, site: str | None) -> tuple[LoadedPlan, str | None]:
    """The plan as it is seen from what `--from` names, and what records call that: a copy, or the ledger's own
    repository; None: the plan's."""
    from ccdr.jobs.copies import from_site
    from ccdr.model.values import LEDGER_REPOSITORY

    if site == LEDGER_REPOSITORY and loaded.plan.ledger_repository is not None:
        return loaded, LEDGER_REPOSITORY
    seen, _ = from_site(loaded, services, site)
    return seen, seen.plan.seen_from


@verb(short_help="List the keys of PLAN's repository.")
@plan_argument
@from_option
def list_(plan: str, site: str | None) -> Exit:
    """List the keys of PLAN's repository, and of the shipped log's below it: when each was set, by whom, and which one
    the plan's own password opens.

    \b
    Examples:
      ccdr repository key list outbound
      ccdr repository key list outbound --from offsite     a copy's repository; or ledger_repository
    """
    from ccdr.jobs.repository_keys import keys_listed

    _, services, places = _there(plan, site)
    listed = keys_listed(places, services)
    if settings().json:
        print_json({"plan": plan, "repositories": [_as_json(one, keys) for one, keys in listed]})
        return Exit.OK
    rows = [
        (
            k.short,
            one.named,
            rfc3339(k.created) if k.created else "not known",
            f"{k.user}@{k.host}" if k.twin_of is None else f"ccdr: the fast one of {k.twin_of[:8]}",
            "in use" if k.current else "",
        )
        for one, keys in listed
        for k in keys
    ]
    table(("key", "repository", "set", "by", ""), rows)
    return Exit.OK


def _as_json(one: Opened, keys: list[RepositoryKey]) -> dict[str, object]:
    return {"repository": one.repository, "of_log": one.of_log, "keys": plain(keys)}


@verb(short_help="Add a password to PLAN's repository.")
@plan_argument
@click.option("--new-password-file", "given", type=FILE, metavar="FILE", help="FILE holds the new password.")
@click.option("--generate", type=FILE, metavar="FILE", help="Write a new random password into FILE (mode 0600).")
@from_option
@dry_run_option
def add(plan: str, given: Path | None, generate: Path | None, site: str | None, dry_run: bool) -> Exit:
    """Have another password open PLAN's repository, and the shipped log's below it, beside the one in use. It is tried
    before this ends. The plan goes on with its own.

    \b
    Examples:
      ccdr repository key add outbound --generate /root/outbound-2.key
      ccdr repository key add outbound --new-password-file /root/outbound-2.key
    """
    from ccdr.jobs.repository_keys import add as do

    if (given is None) == (generate is None):
        raise UsageProblem(
            "which password is added?",
            hint="--generate FILE writes a new one there; --new-password-file FILE takes the one that is there",
        )
    path = generate if generate is not None else given
    assert path is not None
    _, services, places = _there(plan, site)
    if dry_run:
        return _would(plan, "add", [one.named for one in places])
    added = do(places, path, services, generate=generate is not None)
    if settings().json:
        print_json({"plan": plan, "added": {one.named: k for one, k in added}, "password_file": str(path)})
    else:
        for one, k in added:
            click.echo(f"added  {k[:8]}  what {path} holds opens {one.named} of {plan}")
    return Exit.OK


def _would(plan: str, what: str, about: list[str]) -> Exit:
    if settings().json:
        print_json({"would": {"plan": plan, what: about}})
    else:
        click.echo(f"would {what}: {', '.join(about)}")
    return Exit.OK


@verb(short_help="Remove a key of PLAN's repository.")
@plan_argument
@click.argument("key_id", metavar="KEY")
@from_option
@going_on_options
@dry_run_option
@as_one("going_on", GoingOn)
def remove(plan: str, key_id: str, site: str | None, going_on: GoingOn, dry_run: bool) -> Exit:
    """Remove KEY (6 characters of its id, or more; `list` shows it) of PLAN's repository: its password does not open it
    any more. The key in use, and the last one, are not removed.

    A plan with an `approval:` block wants a request that somebody else has signed (`ccdr approval request PLAN
    key-remove --about ID`, the whole id), or --break-glass.

    \b
    Examples:
      ccdr repository key remove outbound 1f2e3d4c
      ccdr repository key remove outbound 1f2e3d4c --approval remove.txt
    """
    from ccdr.jobs.repository_keys import key_named, keys_listed
    from ccdr.jobs.repository_keys import remove as do

    loaded, services, places = _there(plan, site)
    listed = keys_listed(places, services)
    if dry_run:
        one, keys = key_named(listed, key_id)
        return _would(plan, "remove", [f"{keys[0].id} of {one.named}"])
    one, removed = do(listed, key_id, settings().every(), services, going_on.given(loaded, services))
    if settings().json:
        print_json({"plan": plan, "removed": {one.named: removed.id}, "notes": list(NOT_A_ROTATION)})
    else:
        click.echo(f"removed  {removed.short}  of {one.named}")
        _tell_notes()
    return Exit.OK


def _tell_notes() -> None:
    for line in NOT_A_ROTATION:
        click.echo(f"  {line}")


@verb(short_help="Put a new password in the place of the one in use.")
@plan_argument
@click.option("--new-password-file", "given", type=FILE, metavar="FILE", help="The new password; else it is generated.")
@click.option("--keep-old", is_flag=True, help="Leave the old password valid, until this is run again without.")
@from_option
@going_on_options
@dry_run_option
@as_one("going_on", GoingOn)
def rotate(plan: str, given: Path | None, keep_old: bool, site: str | None, going_on: GoingOn, dry_run: bool) -> Exit:
    """Rotate the password of PLAN's repository: add a new one, try it, write it into the plan's password_file, and
    remove the old one. Every repository that the same file opens is changed with it: of other plans, of copies, and of
    shipped logs.

    Killed at any moment, it goes on when it is run again; until all is done, FILE.next or FILE.previous lies beside the
    password file, and at each moment the password file opens all.

    Where other hosts have a copy of the file, rotate with --keep-old, give them the new file, and rotate again: that
    removes the old one. Where the password comes from a command, add and remove by hand.

    \b
    Examples:
      ccdr repository key rotate outbound
      ccdr repository key rotate outbound --keep-old         then: copy the password file to the other hosts
      ccdr repository key rotate outbound --approval remove.txt
    """
    from ccdr.jobs.repository_keys import rotate as do

    options = settings()
    plans, services = options.every(), options.services()
    loaded, name = _which(options.load(plan), services, site)
    if dry_run:
        from ccdr.jobs.repository_keys import opened_by, stated_in

        path = stated_in(loaded)[name or PRIMARY].password_file
        there = opened_by(path, plans, services) if path is not None else []
        return _would(plan, "rotate", [f"{one.named} of {one.plan}" for one in there])
    with progress() as watched:
        done = do(
            loaded,
            plans,
            services,
            watched,
            name=name,
            new_password_file=given,
            keep_old=keep_old,
            given=going_on.given(loaded, services),
        )
    _tell(done)
    return Exit.OK


def _tell(done: Rotation) -> None:
    if settings().json:
        print_json({**plain(done), "notes": list(NOT_A_ROTATION)})
        return
    for where, new in done.new.items():
        old = ", ".join(one[:8] for one in done.removed.get(where, ())) or "nothing"
        click.echo(f"rotated  {where}: key {new[:8]} is in use, {old} removed")
    if done.previous is not None:
        click.echo(f"  the old password still opens all: it is in {done.previous}")
        click.echo(
            f"  → copy {done.password_file} to every host that uses it, then ccdr repository key rotate {done.plan}"
        )
    click.echo(f"  → put a copy of the new password where you keep it for an emergency: ccdr kit page {done.plan}")
    _tell_notes()


key.add_command(list_, "list")
key.add_command(add, "add")
key.add_command(remove, "remove")
key.add_command(rotate, "rotate")
repository.add_command(key, "key")
