"""`ccdr erasure`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from ccdr.cli.approving import (
    GoingOn,
    Signing,
    going_on_options,
    one_way,
    sign_or_write,
    signed_text,
    signing_by,
    signing_options,
)
from ccdr.cli.output import print_json, table
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import (
    EXIT_STATUS,
    as_one,
    asset_option,
    assets_option,
    dry_run_option,
    one_only,
    plan_argument,
    target_login_options,
    verb,
)
from ccdr.host.state_files import plain
from ccdr.model.erasure import UNSHOWN, EntryState, Unlooked
from ccdr.model.errors import Exit, UsageProblem, worst
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.erasure.horizon import Horizon, Known
    from ccdr.jobs.erasure.register import Entry, Shown
    from ccdr.jobs.erasure.replay import Outcome
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan

# What is shown of an entry of the register, and what to do where nothing is, in words.

MOST_NAMED = 5
_UNLOOKED = {
    Unlooked.SNAPSHOT: "this host knows no snapshot of {asset}: nobody has looked",
    Unlooked.TABLES: "the newest snapshot of {asset} does not tell its tables: nobody has looked",
    Unlooked.COLUMNS: "the newest snapshot of {asset} does not tell the table's columns: nobody has looked",
}
_WORDS = {
    EntryState.CANARY: "canary",
    EntryState.FOUND: "its key finds them",
    EntryState.LATE: "there after the erasure: see the source",
    EntryState.NEVER_FOUND: "never found",
    EntryState.NOT_LOOKED_FOR: "not looked for yet",
    EntryState.NOT_DUE: "not shown: no snapshot is from before",
    EntryState.STATED: "nobody to be found, as somebody stated",
}


def word_of(state: EntryState) -> str:
    return _WORDS[state]


def count(found: int | None) -> str:
    return "-" if found is None else str(found)


def unlooked_word(plan: str, asset: str, why: Unlooked) -> str:
    return (
        f"{_UNLOOKED[why].format(asset=asset)} whether the names are right, and a wrong one stops each restore: "
        f"`ccdr erasure prove {plan} --asset {asset}` tells"
    )


def step_for(plan: str, entry: str, state: EntryState) -> str:
    """Of one of which nothing shows that its key finds anybody."""
    look = f"`ccdr erasure prove {plan} --entry {entry}` looks in the newest snapshot from before they were erased"
    if state is EntryState.NOT_LOOKED_FOR:
        return f"nothing shows yet that its key finds anybody: {look}"
    return (
        f"no snapshot from before they were erased has shown that its key finds anybody: {look}. If it finds nobody "
        f"there, look in an older one (`--snapshot oldest`). If nobody is there either, the key may be mistyped: "
        f"`ccdr erasure withdraw {plan} {entry}`, and add it again. If they were never in these backups: "
        f"`ccdr erasure review {plan} --nobody {entry}`"
    )


def steps_for(plan: str, entries: Iterable[tuple[str, EntryState]]) -> Iterator[str]:
    """The same of many, once for all that are alike; the commands name the first."""
    known = list(entries)
    if late := [entry for entry, state in known if state is EntryState.LATE]:
        yield (
            f"{', '.join(late[:MOST_NAMED])}: a snapshot taken after the erasure holds them. Erase them at the source, "
            f"and back up; or the key is somebody else's by now: `ccdr erasure withdraw {plan} {late[0]}`"
        )
    for state in UNSHOWN:
        ids = [entry for entry, its in known if its is state]
        if ids:
            more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
            yield f"{', '.join(ids[:MOST_NAMED])}{more}: {step_for(plan, ids[0], state)}"


# `ccdr erasure add`, `list` and `withdraw`: the register itself.

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
    from ccdr.jobs.erasure import entries as selectors
    from ccdr.jobs.erasure.entries import add as add_entry
    from ccdr.jobs.erasure.horizon import horizons
    from ccdr.jobs.erasure.register import Shown
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
    from ccdr.jobs.erasure.entries import opened
    from ccdr.jobs.erasure.horizon import horizons
    from ccdr.jobs.erasure.register import Shown
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
    from ccdr.jobs.erasure.entries import withdraw as withdrawn

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
        "copies": to_builtins(found or ()),
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


# `ccdr erasure replay`, `prove` and `review`: what came of it in what was restored.


@verb(short_help="Replay the register where an asset was restored already.")
@plan_argument
@click.option("--asset", metavar="A", required=True, multiple=True, callback=one_only, help="Which asset of the plan.")
@click.option("--to", "target", metavar="TARGET", required=True, help="The directory or server where it stands.")
@click.option("--snapshot", metavar="latest|ID", default="latest", show_default=True, help="Which one stands there.")
@target_login_options
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
    was handed over by --despite-erasures. `restore` and `recover` do it by themselves.

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
    if options.json:
        print_json(_in_json(_replayed(plan, asset, found)))
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
@click.option("--entry", metavar="ID", help="Only this entry of the register, and those of the same person.")
@click.option(
    "--snapshot",
    metavar="latest|random|oldest|ID",
    help="Which one is restored: by default the latest; of an --entry the newest from before the person was erased.",
)
def prove(plan: str, assets: tuple[str, ...], entry: str | None, snapshot: str | None) -> Exit:
    """Restore each asset of which somebody was erased into a sandbox, replay the register, and look again.

    It is a restore test, with all its checks. Exit 0 only where a canary was found before, nobody after, and each
    entry has found somebody in one snapshot at least. An entry that never did may have a key that is mistyped.

    \b
    Examples:
      ccdr erasure prove outbound
      ccdr erasure prove outbound --entry e-000017
      ccdr erasure prove outbound --asset crm --snapshot oldest --json
    """
    from ccdr.jobs.erasure.entries import opened
    from ccdr.jobs.erasure.replay import proving
    from ccdr.jobs.restore_test import restore_test
    from ccdr.jobs.services import limits_of

    options = settings()
    jobs, services = {job.asset: job for job in options.jobs(plan, assets)}, options.services()
    loaded = next(iter(jobs.values())).loaded
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    proofs: list[dict[str, object]] = []
    codes: list[Exit] = []
    for one in proving(register, list(jobs), entry, snapshot, services, plan):
        with progress() as watched:
            test = restore_test(jobs[one.asset], one.snapshot, services, watched)
        failed = not one.proven(test.erasure) and test.exit_code is not Exit.NOT_CARRIED_OUT
        codes += [test.exit_code, *([Exit.FINDING] if failed else [])]
        shown = _replayed(plan, one.asset, test.erasure) | {"entries": one.shown(test.erasure)}
        of_test = {"verdict": test.verdict.value, "snapshot": test.snapshot and test.snapshot.id}
        proofs.append({**shown, **of_test, "reason": shown["reason"] or test.reason})
    _tell_proofs(plan, proofs)
    return worst(codes)


def _replayed(plan: str, asset: str, found: Outcome | None) -> dict[str, object]:
    """`found` is None where nothing was replayed."""
    return {
        "plan": plan,
        "asset": asset,
        "result": found and found.result,
        "reason": found and found.reason,
        "entries": found.each if found else [],
        "canaries": found.canaries if found else 0,
        "erased": found.erased if found else 0,
        "left": found.left if found else 0,
        "record": found and found.record and found.record.as_json(),
    }


def _in_json(proof: Mapping[str, Any]) -> dict[str, object]:
    return {**proof, "entries": to_builtins(proof["entries"])}


def _tell_proofs(plan: str, proofs: Sequence[Mapping[str, Any]]) -> None:
    if settings().json:
        print_json({"proofs": [_in_json(one) for one in proofs]})
        return
    if not proofs:
        click.echo(f"the register of {plan} holds nobody of these assets")
        return
    columns = ("asset", "verdict", "result", "entries", "canaries", "erased", "left")
    shown = [{**one, "entries": len(one["entries"])} for one in proofs]
    table(columns, [tuple(str("-" if one[name] is None else one[name]) for name in columns) for one in shown])
    each = [(proof["asset"], one) for proof in proofs for one in proof["entries"]]
    table(
        ("entry", "asset", "what", "found before", "found after", "shown"),
        [(one.id, asset, one.what, count(one.found_before), count(one.found_after), word_of(one.state))
         for asset, one in each],
    )  # fmt: skip
    for one in proofs:
        if one["reason"]:
            click.echo(f"{one['asset']}: {one['reason']}")
        elif not one["canaries"]:
            click.echo(f"{one['asset']}: no canary shows that the probe finds anybody: docs/how-to/erase.md, A canary")
    for step in steps_for(plan, [(entry.id, entry.state) for _, entry in each]):
        click.echo(step)


@verb(short_help="Answer for what left quarantine, or for an entry that finds nobody.")
@plan_argument
@asset_option
@click.option("--nobody", metavar="ENTRY", help="State that nobody is to be found by this entry in any snapshot.")
@click.option("--record", type=int, metavar="N", help="Which replay was handed over, by its record's number.")
@click.option("--why", help="What was found, and what was done about it.")
@signing_options
@as_one("signing", Signing)
@going_on_options
@as_one("going_on", GoingOn)
def review(
    plan: str,
    asset: str | None,
    nobody: str | None,
    record: int | None,
    why: str | None,
    signing: Signing,
    going_on: GoingOn,
) -> Exit:
    """Record that somebody has looked at what was handed over by --despite-erasures: until then it stays red. Where the
    plan has an `approval:` block, somebody who may approve signs that, other than who handed it over.

    With --nobody, answer for an ENTRY that no snapshot has found: the person was never in this asset's backups, say.
    It is replayed as before, and the answer is over once a replay finds somebody. Where the plan has an `approval:`
    block, --nobody takes a request that somebody else has signed (`ccdr approval request PLAN register --about
    nobody.ENTRY`), or --break-glass.

    \b
    Examples:
      ccdr erasure review outbound --asset crm --why "erased by hand there, OPS-1234"
      ccdr erasure review outbound --record 412 --why "erased by hand there, OPS-1234" --key ~/.ssh/id_ed25519
      ccdr erasure review outbound --nobody e-000017 --why "never called us, OPS-1235"
      ccdr erasure review outbound --nobody e-000017 --why "the same, OPS-1235" --approval nobody.txt
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.jobs.erasure.entries import nobody as state_nobody

    options = settings()
    if nobody is not None and any(one is not None for one in (asset, record, signing.into, signing.signed)):
        raise UsageProblem("--nobody names an entry, which is of one asset: leave --asset and --record out")
    if (why is None) != (signing.signed is not None):
        raise UsageProblem("--why says what was found; with --signed it stands in FILE", hint='--why "…"')
    if nobody is None and going_on.any:
        raise UsageProblem("--approval and --break-glass are for --nobody: what was handed over needs neither")
    job, *_ = options.jobs(plan, [asset] if asset else [])
    done: list[dict[str, object]] = []
    services = options.services() if nobody is None else signing_by(signing.key)
    if nobody is None:
        words = None if why is None else why_of(why)
        for name, seq in _reviewed(job.loaded, asset, record, words, signing, services):
            done.append({"plan": plan, "asset": name, "record": seq, "entry": None})
        if signing.into is not None:
            return Exit.OK
    else:
        given = going_on.given(job.loaded, services)
        entry, record = state_nobody(job.loaded, nobody, services, why_of(str(why)), given)
        done.append({"plan": plan, "asset": entry.asset, "record": record, "entry": entry.id})
    if options.json:
        print_json({"reviewed": done})
    for one in () if options.json else done:
        what = f"record {one['record']} of {plan}/{one['asset']}"
        click.echo(f"reviewed: {what}" if nobody is None else f"stated: nobody is to be found by {nobody}, {what}")
    return Exit.OK


def _reviewed(
    loaded: LoadedPlan, asset: str | None, record: int | None, why: str | None, signing: Signing, services: Services
) -> Iterator[tuple[str, int]]:
    from ccdr.evidence.records.statements import REVIEW_HANDOVER
    from ccdr.jobs.erasure.entries import review as record_review
    from ccdr.jobs.erasure.entries import to_review

    command = f"ccdr erasure review {loaded.plan.plan}"
    if signing.any:
        one_way(signing.key, signing.into, signing.signed, command)
    if signing.signed is not None:
        text, signature = signed_text(signing.signed)
        yield record_review(loaded, services, REVIEW_HANDOVER.read(text), signature)
        return
    given = to_review(loaded, services, str(why), asset, record)
    if signing.into is not None and len(given) > 1:
        known = ", ".join(str(one.about.replay) for one in given)
        raise UsageProblem("--write is for one: which of them?", hint=f"--record N; what waits for a review: {known}")
    for one in given:
        if not signing.any:
            yield record_review(loaded, services, one)
        elif signature := sign_or_write(one, signing.key, signing.into, command, services):
            yield record_review(loaded, services, one, signature)


@click.group(epilog=EXIT_STATUS, short_help="People who were erased, and stay erased in whatever is restored.")
def erasure() -> None:
    """People who were erased at the source, and must stay erased in whatever is restored.

    Backups are not changed. A register beside them says who was erased; `restore`, `recover` and each restore test
    replay it before anything is handed over, and record what was found.
    """


erasure.add_command(add, "add")
erasure.add_command(list_, "list")
erasure.add_command(prove, "prove")
erasure.add_command(replay, "replay")
erasure.add_command(review, "review")
erasure.add_command(withdraw, "withdraw")
