"""`ccdr copy`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, tell_why, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.trouble import show_words
from ccdr.cli.verbs import dry_run_option, plan_argument, verb
from ccdr.model.errors import Exit, Locked, UsageProblem, worst
from ccdr.model.values import human_seconds, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.copies import Copying


@verb(short_help="Copy the backups of PLAN to its other repositories.")
@plan_argument
@click.option("--copy", "names", metavar="NAME", multiple=True, help="Only this one of the plan's `copies:`.")
@dry_run_option
def copy(plan: str, names: tuple[str, ...], dry_run: bool) -> Exit:
    """Copy what the repository of PLAN holds to each of the plan's `copies:` (or one): the snapshots that retention
    keeps there, the shipped log that leads on from them, the plan's versions and the ledger.

    What is there already is passed over; what was interrupted goes on. `ccdr run` does it by the copy's `schedule:`.

    \b
    Examples:
      ccdr copy outbound
      ccdr copy outbound --copy offsite --dry-run
      ccdr snapshots outbound --from offsite      what is there
    """
    from ccdr.jobs.copies import copy as copy_to

    options = settings()
    loaded, services = options.load(plan), options.services()
    known = loaded.plan.copies
    if unknown := [name for name in names if name not in known] or ([] if known else ["any"]):
        there = f"it has {', '.join(known)}" if known else "write `copies:` into it: docs/how-to/second-copy.md"
        what = f"has no copy {unknown[0]!r}" if known else "names no copies"
        raise UsageProblem(f"plan {plan} {what}", hint=there)
    codes, documents = list[Exit](), list[dict[str, object]]()
    for name in known if not names else dict.fromkeys(names):
        one = partial(copy_to, loaded, name, services, dry_run=dry_run)
        try:
            with progress() as watched:
                done = one(watched)
        except Locked as error:
            codes.append(error.exit_code)
            documents.append({"plan": plan, "copy": name, "result": "LOCKED", "reason": str(error)})
            click.echo(f"ccdr: {error}", err=True)
            continue
        codes.append(done.exit_code if not dry_run else Exit.OK)
        documents.append(done.as_json())
        show_words(done.words, done.run, codes[-1])
        if not options.json:
            _tell(done, dry_run=dry_run)
    if options.json:
        print_json({"copies": documents})
    return worst(codes)


def _tell(done: Copying, *, dry_run: bool) -> None:
    where = f"{done.plan} → {done.copy}" + (f" ({done.site})" if done.site else "")
    count = so_many(sum(done.copied.values()), "snapshot")
    if dry_run:
        click.echo(f"would copy {count} to {where}")
        return
    log = f", {so_many(done.log_copied, 'snapshot')} of shipped log" if done.log_copied else ""
    made = ", into a new repository" if done.made else ""
    click.echo(f"{word(done.result)}  {where}  {count} copied{log}{made} in {human_seconds(done.seconds)}")
    tell_why(done.reason, done.hint)
    for asset, there in (done.there or {}).items():
        newest = done.newest.get(asset)
        until = f", by the log up to {rfc3339(done.log_until[asset])}" if asset in done.log_until else ""
        state = f"{so_many(there, 'snapshot')}, the newest of {rfc3339(newest)}{until}" if newest else "none yet"
        click.echo(f"  {asset}: {state}")
    for asset, ids in done.lacking.items():
        click.echo(f"  {asset}: {so_many(len(ids), 'snapshot')} could not be copied: {_some(ids)}")
    for asset, ids in done.vanished.items():
        click.echo(f"  finding: {asset}: {so_many(len(ids), 'snapshot')} vanished from the copy: {_some(ids)}")
    for line in map(str, done.findings):
        click.echo(f"  finding: {line}")
    for line in done.left_behind:
        click.echo(f"  {line}")


def _some(ids: list[str]) -> str:
    return ", ".join(one[:8] for one in ids[:5]) + (" …" if len(ids) > 5 else "")
