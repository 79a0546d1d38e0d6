"""`ccdr erasure add`, `list` and `withdraw`: the register itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import GoingOn, going_on_options
from ccdr.cli.erasure.shown import step_for, steps_for, unlooked_word, word_of
from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, dry_run_option, plan_argument, verb
from ccdr.host.state_files import plain
from ccdr.model.erasure import UNSHOWN, EntryState
from ccdr.model.errors import Exit
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.erasure.horizon import Horizon, Known
    from ccdr.jobs.erasure.register import Entry
    from ccdr.jobs.erasure.shown import Shown

SHOWN = 12  # digits of a pseudonym


@verb(short_help="Add a person to the register of PLAN.")
@plan_argument
@click.option(
    "--selector",
    metavar="FILE",
    default="-",
    show_default=True,
    help="By what the person is found: a YAML or JSON file, or - for standard input. Never an argument.",
)
@going_on_options
@dry_run_option
@as_one("going_on", GoingOn)
def add(plan: str, selector: str, going_on: GoingOn, dry_run: bool) -> Exit:
    """Add a person, erased at the source, to the register of PLAN; it is stored, encrypted, in the repository.

    Where the plan has an `approval:` block, it takes a request that somebody else has signed (`ccdr approval request
    PLAN register --about WORD`, with the word that --dry-run tells), or --break-glass.

    \b
    Examples:
      ccdr erasure add outbound --selector erased.yaml
      ccdr erasure add outbound < erased.yaml
      ccdr erasure add outbound --selector erased.yaml --dry-run     what a request is to be about
      ccdr erasure add outbound --selector erased.yaml --approval add.txt
    """
    from ccdr.jobs.approvals import NOTHING
    from ccdr.jobs.erasure import selectors
    from ccdr.jobs.erasure.adding import add as add_entry
    from ccdr.jobs.erasure.horizon import horizons
    from ccdr.jobs.erasure.shown import Shown
    from ccdr.plans.lint import open_to_others
    from ccdr.plans.one_server import sharing

    options = settings()
    loaded = options.load(plan)
    asked = selectors.read(selector, loaded.plan)
    if selector != "-" and (mode := open_to_others(Path(selector))):
        click.echo(f"ccdr: {selector}: {mode}; it names somebody: remove it now that it is read", err=True)
    services = options.services()
    given = NOTHING if dry_run else going_on.given(loaded, services)
    added = add_entry(loaded, asked, services, given, dry_run=dry_run)
    entry = added.entry
    listed = Shown.of(loaded, services, entry.asset)
    gone = None if entry.canary else horizons(loaded, services, entry.asset, listed.last_there(entry))
    body = {
        **_listed(plan, entry, gone, listed),
        "entries": added.entries,
        "known": added.known,
        "about": added.about,
        "unlooked": added.unlooked and added.unlooked.value,
        "snapshot": added.snapshot,
        "record": added.record and added.record.as_json(),
    }
    if options.json:
        print_json(body)
        return Exit.OK
    if added.known:
        click.echo(f"{entry.id} of {plan}/{entry.asset} names the same: nothing was added")
        return Exit.OK
    what = "would be added" if dry_run else "added"
    click.echo(f"{what}: {entry.id}, {entry.what} in {plan}/{entry.asset}")
    if gone is not None:
        click.echo(f"no copy holds what {entry.id} names in {entry.asset} from: {_day(gone)}")
        click.echo("what they left in other assets needs an entry for each of these")
        assets = loaded.plan.assets
        if twice := sharing(assets, entry.asset, assets):
            click.echo(f"{', '.join(twice)} of the same server holds them, too: it needs one in any case")
        _tell_shown(plan, entry, listed.state(entry))
    if added.unlooked is not None:
        click.echo(unlooked_word(plan, entry.asset, added.unlooked))
    if added.about is not None:
        click.echo(f"it takes an approval: ccdr approval request {plan} register --about {added.about} …")
    if not dry_run:
        click.echo(
            f"the register holds {so_many(added.entries, 'entry', 'entries')}, in snapshot {str(added.snapshot)[:8]}"
        )
    if loaded.plan.copies and not dry_run:
        click.echo(f"the copies {', '.join(loaded.plan.copies)} have it once `ccdr copy {plan}` has run")
    return Exit.OK


@verb("list", short_help="The register of PLAN; nobody is named.")
@plan_argument
def list_(plan: str) -> Exit:
    """What the register of PLAN holds: entries by their ids and keyed digests. Nobody is named.

    `found before` is the most that a replay has found of an entry: where it is none, its key may be mistyped.

    \b
    Examples:
      ccdr erasure list outbound
      ccdr erasure list outbound --json
    """
    from ccdr.jobs.erasure.adding import opened
    from ccdr.jobs.erasure.horizon import horizons
    from ccdr.jobs.erasure.shown import Shown
    from ccdr.jobs.services import limits_of

    options = settings()
    loaded, services = options.load(plan), options.services()
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    entries = register.standing if register else []
    known: Known = {}
    shown = {asset: Shown.of(loaded, services, asset) for asset in {one.asset for one in entries}}
    gone = {
        one.id: horizons(loaded, services, one.asset, shown[one.asset].last_there(one), known)
        for one in entries
        if not one.canary
    }
    if options.json:
        head = plain(register.head) if register else None
        listed = [_listed(plan, one, gone.get(one.id), shown[one.asset]) for one in entries]
        print_json({"plan": plan, "head": head, "entries": listed})
    elif not entries:
        click.echo(f"the register of {plan} holds nobody")
    else:
        states = {one.id: shown[one.asset].state(one) for one in entries}
        rows = [
            (
                one.id,
                one.asset,
                f"{one.what}, canary" if one.canary else one.what,
                rfc3339(one.erased_at),
                _found(one, shown[one.asset]),
                _day(gone.get(one.id)) if states[one.id] is not EntryState.LATE else "see the source",
                (one.person or one.pseudonym)[:SHOWN],
            )
            for one in sorted(entries, key=lambda one: one.person or "")
        ]
        table(("entry", "asset", "what", "erased", "found before", "in no copy from", "person"), rows)
        for step in steps_for(plan, states.items()):
            click.echo(step)
        click.echo(
            "as far as this host knows the copies, while backups and prunes go on, and later where something holds a "
            f"snapshot (`ccdr upkeep {plan} --dry-run` says what): docs/how-to/erase.md"
        )
    return Exit.OK


@verb(short_help="Withdraw an entry of the register of PLAN that was wrong.")
@plan_argument
@click.argument("entry")
@click.option("--why", required=True, help="What was wrong with it.")
@going_on_options
@as_one("going_on", GoingOn)
def withdraw(plan: str, entry: str, why: str, going_on: GoingOn) -> Exit:
    """Withdraw an ENTRY that was wrong: it is replayed no more. That it was there stays in the register.

    Where the plan has an `approval:` block, it takes a request that somebody else has signed (`ccdr approval request
    PLAN register --about ENTRY`), or --break-glass.

    \b
    Examples:
      ccdr erasure withdraw outbound e-000017 --why "another customer's number, OPS-1234"
      ccdr erasure withdraw outbound e-000017 --why "the same, OPS-1234" --approval withdraw.txt
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.jobs.erasure.adding import withdraw as withdrawn

    options = settings()
    loaded, services = options.load(plan), options.services()
    done = withdrawn(loaded, entry, services, why_of(why), going_on.given(loaded, services))
    if options.json:
        record = done.record and done.record.as_json()
        print_json(
            {"plan": plan, "withdrawn": entry, "entries": done.entries, "snapshot": done.snapshot, "record": record}
        )
    else:
        click.echo(f"withdrawn: {entry} of {plan}")
    return Exit.OK


def _tell_shown(plan: str, entry: Entry, state: EntryState) -> None:
    if state is EntryState.NOT_DUE:
        click.echo(
            "no snapshot that this host knows of was taken before they were erased: nobody is to be found by it, and "
            "nothing shows that its key or its `erased_at` is right"
        )
    elif state in UNSHOWN:
        click.echo(step_for(plan, entry.id, state))


def _day(found: Sequence[Horizon] | None) -> str:
    from ccdr.jobs.erasure.horizon import latest

    if found is None:
        return "-"
    day = latest(found)
    return day.strftime("%Y-%m-%d") if day else "never: " + next(one.why for one in found if one.gone_by is None)


def _found(entry: Entry, shown: Shown) -> str:
    found = shown.looked(entry).found
    return str(found) if found else word_of(shown.state(entry))


def _listed(plan: str, entry: Entry, found: Sequence[Horizon] | None, shown: Shown) -> dict[str, object]:
    from ccdr.jobs.erasure.horizon import latest

    day = latest(found) if found is not None else None
    return {
        **_as_json(plan, entry),
        "found_before": shown.looked(entry).found,
        "state": shown.state(entry).value,
        "gone_by": day and rfc3339(day),
        "copies": [one.as_json() for one in found or ()],
    }


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
        "person": entry.person,
    }
