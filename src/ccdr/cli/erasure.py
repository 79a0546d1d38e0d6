"""`ccdr erasure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, asset_option, assets_option, dry_run_option, one_only, plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem, worst
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.erasure.horizon import Horizon, Known
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
    from ccdr.plans.lint import open_to_others

    options = settings()
    loaded = options.load(plan)
    asked = selectors.read(selector, loaded.plan)
    if selector != "-" and (mode := open_to_others(Path(selector))):
        click.echo(f"ccdr: {selector}: {mode}; it names somebody: remove it now that it is read", err=True)
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
    if loaded.plan.copies and not dry_run:
        click.echo(f"the copies {', '.join(loaded.plan.copies)} have it once `ccdr copy {plan}` has run")
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
    from ccdr.jobs.erasure.horizon import horizons
    from ccdr.jobs.services import limits_of

    options = settings()
    loaded, services = options.load(plan), options.services()
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    entries = register.standing if register else []
    known: Known = {}
    gone = {one.id: horizons(loaded, services, one.asset, one.erased_at, known) for one in entries if not one.canary}
    if options.json:
        head = register.head.as_json() if register else None
        print_json({"plan": plan, "head": head, "entries": [_listed(plan, one, gone.get(one.id)) for one in entries]})
    elif not entries:
        click.echo(f"the register of {plan} holds nobody")
    else:
        rows = [
            (
                one.id,
                one.asset,
                f"{one.what}, canary" if one.canary else one.what,
                rfc3339(one.erased_at),
                _day(gone.get(one.id)),
                one.pseudonym[:SHOWN],
            )
            for one in entries
        ]
        table(("entry", "asset", "what", "erased", "in no copy from", "pseudonym"), rows)
        click.echo("as far as this host knows the copies, while backups and prunes go on: docs/how-to/erase.md")
    return Exit.OK


@verb(short_help="Withdraw an entry of the register of PLAN that was wrong.")
@plan_argument
@click.argument("entry")
@click.option("--why", required=True, help="What was wrong with it.")
def withdraw(plan: str, entry: str, why: str) -> Exit:
    """Withdraw an ENTRY that was wrong: it is replayed no more. That it was there stays in the register.

    \b
    Examples:
      ccdr erasure withdraw outbound e-000017 --why "another customer's number, OPS-1234"
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.jobs.erasure.adding import withdraw as withdrawn

    options = settings()
    done = withdrawn(options.load(plan), entry, options.services(), why_of(why))
    if options.json:
        record = done.record and done.record.as_json()
        print_json(
            {"plan": plan, "withdrawn": entry, "entries": done.entries, "snapshot": done.snapshot, "record": record}
        )
    else:
        click.echo(f"withdrawn: {entry} of {plan}")
    return Exit.OK


@verb(short_help="Replay the register where an asset was restored already.")
@plan_argument
@click.option("--asset", metavar="A", required=True, multiple=True, callback=one_only, help="Which asset of the plan.")
@click.option("--to", "target", metavar="TARGET", required=True, help="The directory or server where it stands.")
@click.option("--snapshot", metavar="latest|ID", default="latest", show_default=True, help="Which one stands there.")
@click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File whose first line is the password at TARGET.",
)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CA that signed TARGET's certificate (default: the system's).",
)
@click.option("--yes-i-mean", metavar="PLAN/ASSET", required=True, help="What is erased from: it is written there.")
def replay(
    plan: str,
    asset: str,
    target: str,
    snapshot: str,
    password_file: Path | None,
    ca_file: Path | None,
    yes_i_mean: str,
) -> Exit:
    """Erase whom the register of PLAN names from what was restored by hand: a dump that a person has loaded, or what
    was handed over by --break-glass. `restore` and `recover` do it by themselves.

    What is or could be the source of any plan is refused.

    \b
    Examples:
      ccdr erasure replay outbound --asset crm --to postgresql://dba@db2/crm --yes-i-mean outbound/crm
      ccdr erasure replay outbound --asset recordings --to /srv/restored --yes-i-mean outbound/recordings
    """
    from ccdr.jobs.erasure.by_hand import Where
    from ccdr.jobs.erasure.by_hand import replay as replayed

    options = settings()
    (job,) = options.jobs(plan, [asset])
    if yes_i_mean != f"{plan}/{asset}":
        raise UsageProblem(f"{yes_i_mean!a} is not {plan}/{asset}; nothing was done")
    others, _ = options.load_all(())
    where = Where(target, snapshot, password_file, ca_file, tuple(others))
    with progress() as watched:
        found = replayed(job, where, options.services(), watched)
    body = {
        "plan": plan,
        "asset": asset,
        "result": found and found.result,
        "reason": found and found.reason,
        "entries": found.entries if found else 0,
        "canaries": found.canaries if found else 0,
        "erased": found.erased if found else 0,
        "left": found.left if found else 0,
        "record": found and found.record and found.record.as_json(),
    }
    if options.json:
        print_json(body)
    elif found is None:
        click.echo(f"the register of {plan} holds nobody of {asset}")
    else:
        click.echo(f"{found.result}  {plan}/{asset}: {found.check.actual}")
    if found is None or found.reason is None:
        return Exit.OK
    return Exit.NOT_CARRIED_OUT if found.broken else Exit.FINDING


@verb(short_help="Prove on a restored snapshot of PLAN that nobody comes back.")
@plan_argument
@assets_option
@click.option(
    "--snapshot", metavar="latest|random|oldest|ID", default="latest", show_default=True, help="Which one is restored."
)
def prove(plan: str, assets: tuple[str, ...], snapshot: str) -> Exit:
    """Restore each asset of which somebody was erased into a sandbox, replay the register, and look again.

    It is a restore test, with all its checks. Exit 0 only where a canary was found before, and nobody after.

    \b
    Examples:
      ccdr erasure prove outbound
      ccdr erasure prove outbound --asset crm --snapshot oldest --json
    """
    from ccdr.jobs.erasure.adding import opened
    from ccdr.jobs.restore_test import restore_test
    from ccdr.jobs.services import limits_of

    options = settings()
    jobs, services = options.jobs(plan, assets), options.services()
    loaded = jobs[0].loaded
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    proofs: list[dict[str, object]] = []
    codes: list[Exit] = []
    for job in jobs:
        if register is None or not register.of(job.asset):
            continue
        with progress() as watched:
            test = restore_test(job, snapshot, services, watched)
        found = test.erasure
        proven = found is not None and found.result == "PROVEN"
        codes += [test.exit_code, *([] if proven or test.exit_code is Exit.NOT_CARRIED_OUT else [Exit.FINDING])]
        proofs.append(
            {
                "plan": plan,
                "asset": job.asset,
                "verdict": test.verdict.value,
                "result": found and found.result,
                "reason": (found and found.reason) or test.reason,
                "snapshot": test.snapshot and test.snapshot.id,
                "entries": found.entries if found else 0,
                "canaries": found.canaries if found else 0,
                "erased": found.erased if found else 0,
                "left": found.left if found else 0,
                "record": found and found.record and found.record.as_json(),
            }
        )
    _tell_proofs(plan, proofs)
    return worst(codes)


def _tell_proofs(plan: str, proofs: Sequence[Mapping[str, object]]) -> None:
    if settings().json:
        print_json({"proofs": proofs})
        return
    if not proofs:
        click.echo(f"the register of {plan} holds nobody of these assets")
        return
    columns = ("asset", "verdict", "result", "entries", "canaries", "erased", "left")
    table(columns, [tuple(str("-" if one[name] is None else one[name]) for name in columns) for one in proofs])
    for one in proofs:
        if one["result"] == "ERASED":
            click.echo(f"{one['asset']}: no canary shows that the probe finds anybody: docs/how-to/erase.md, A canary")
        elif one["reason"]:
            click.echo(f"{one['asset']}: {one['reason']}")


@verb(short_help="Answer for what left quarantine though erased people may be in it.")
@plan_argument
@asset_option
@click.option("--why", required=True, help="What was found, and what was done about it.")
def review(plan: str, asset: str | None, why: str) -> Exit:
    """Record that somebody has looked at what was handed over by --break-glass: until then it stays red.

    \b
    Examples:
      ccdr erasure review outbound --asset crm --why "erased by hand there, OPS-1234"
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.jobs.erasure.reviewing import review as reviewed

    options = settings()
    job, *_ = options.jobs(plan, [asset] if asset else [])
    done = reviewed(job.loaded, asset, options.services(), why_of(why))
    if options.json:
        print_json({"reviewed": [{"plan": plan, "asset": name, "record": seq} for name, seq in done]})
    else:
        for name, seq in done:
            click.echo(f"reviewed: record {seq} of {plan}/{name}")
    return Exit.OK


def _day(found: Sequence[Horizon] | None) -> str:
    from ccdr.jobs.erasure.horizon import latest

    if found is None:
        return "-"
    day = latest(found)
    return day.strftime("%Y-%m-%d") if day else "never: " + next(one.why for one in found if one.gone_by is None)


def _listed(plan: str, entry: Entry, found: Sequence[Horizon] | None) -> dict[str, object]:
    from ccdr.jobs.erasure.horizon import latest

    day = latest(found) if found is not None else None
    return {
        **_as_json(plan, entry),
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
    }


erasure.add_command(add, "add")
erasure.add_command(list_, "list")
erasure.add_command(prove, "prove")
erasure.add_command(replay, "replay")
erasure.add_command(review, "review")
erasure.add_command(withdraw, "withdraw")
