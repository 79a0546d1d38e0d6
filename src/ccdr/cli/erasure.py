"""`ccdr erasure`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, dry_run_option, plan_argument, verb
from ccdr.model.errors import Exit
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.erasure.register import Entry

SHOWN = 12  # digits of a pseudonym


@click.group(epilog=EXIT_STATUS, short_help="People who were erased, and stay erased in whatever is restored.")
def erasure() -> None:
    """People who were erased at the source, and must stay erased in whatever is restored.

    Backups are not changed. A register beside them says who was erased; `restore`, `recover` and each restore test
    replay it before anything is handed over, and record what was found.
    """


@verb(short_help="Add a person to the register of PLAN.")
@plan_argument
@click.option(
    "--selector",
    metavar="FILE",
    default="-",
    show_default=True,
    help="By what the person is found: a YAML or JSON file, or - for standard input. Never an argument.",
)
@dry_run_option
def add(plan: str, selector: str, dry_run: bool) -> Exit:
    """Add a person, erased at the source, to the register of PLAN; it is stored, encrypted, in the repository.

    \b
    Examples:
      ccdr erasure add outbound --selector erased.yaml
      ccdr erasure add outbound < erased.yaml
    """
    from ccdr.jobs.erasure import selectors
    from ccdr.jobs.erasure.adding import add as add_entry

    options = settings()
    loaded = options.load(plan)
    asked = selectors.read(selector, loaded.plan)
    added = add_entry(loaded, asked, options.services(), dry_run=dry_run)
    body = {
        **_as_json(plan, added.entry),
        "entries": added.entries,
        "known": added.known,
        "snapshot": added.snapshot,
        "record": added.record and added.record.as_json(),
    }
    if options.json:
        print_json(body)
        return Exit.OK
    if added.known:
        click.echo(f"{added.entry.id} of {plan}/{added.entry.asset} names the same: nothing was added")
        return Exit.OK
    what = "would be added" if dry_run else "added"
    click.echo(f"{what}: {added.entry.id}, {added.entry.what} in {plan}/{added.entry.asset}")
    if not dry_run:
        click.echo(
            f"the register holds {so_many(added.entries, 'entry', 'entries')}, in snapshot {str(added.snapshot)[:8]}"
        )
    return Exit.OK


@verb("list", short_help="The register of PLAN; nobody is named.")
@plan_argument
def list_(plan: str) -> Exit:
    """What the register of PLAN holds: entries by their ids and keyed digests. Nobody is named.

    \b
    Examples:
      ccdr erasure list outbound
      ccdr erasure list outbound --json
    """
    from ccdr.jobs.erasure.adding import opened
    from ccdr.jobs.services import limits_of

    options = settings()
    loaded, services = options.load(plan), options.services()
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    entries = register.entries if register else ()
    if options.json:
        head = register.head.as_json() if register else None
        print_json({"plan": plan, "head": head, "entries": [_as_json(plan, one) for one in entries]})
    elif not entries:
        click.echo(f"the register of {plan} holds nobody")
    else:
        rows = [
            (
                one.id,
                one.asset,
                f"{one.what}, canary" if one.canary else one.what,
                rfc3339(one.erased_at),
                one.pseudonym[:SHOWN],
            )
            for one in entries
        ]
        table(("entry", "asset", "what", "erased", "pseudonym"), rows)
    return Exit.OK


def _as_json(plan: str, entry: Entry) -> dict[str, object]:
    return {
        "plan": plan,
        "asset": entry.asset,
        "entry": entry.id,
        "what": entry.what,
        "canary": entry.canary,
        "erased_at": rfc3339(entry.erased_at),
        "added_at": rfc3339(entry.added_at),
        "pseudonym": entry.pseudonym,
    }


erasure.add_command(add, "add")
erasure.add_command(list_, "list")
