"""`ccdr erasure replay`, `prove` and `review`: what came of it in what was restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.approving import GoingOn, going_on_options
from ccdr.cli.erasure.shown import count, steps_for, word_of
from ccdr.cli.output import print_json, table
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, asset_option, assets_option, one_only, plan_argument, target_login_options, verb
from ccdr.model.errors import Exit, UsageProblem, worst

if TYPE_CHECKING:
    from ccdr.jobs.erasure.replaying import Outcome


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
    from ccdr.jobs.erasure.adding import opened
    from ccdr.jobs.erasure.proving import proving
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
    return {**proof, "entries": [one.as_json() for one in proof["entries"]]}


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
@click.option("--why", required=True, help="What was found, and what was done about it.")
@going_on_options
@as_one("going_on", GoingOn)
def review(plan: str, asset: str | None, nobody: str | None, why: str, going_on: GoingOn) -> Exit:
    """Record that somebody has looked at what was handed over by --despite-erasures: until then it stays red.

    With --nobody, answer for an ENTRY that no snapshot has found: the person was never in this asset's backups, say.
    It is replayed as before, and the answer is over once a replay finds somebody. Where the plan has an `approval:`
    block, --nobody takes a request that somebody else has signed (`ccdr approval request PLAN register --about
    nobody.ENTRY`), or --break-glass.

    \b
    Examples:
      ccdr erasure review outbound --asset crm --why "erased by hand there, OPS-1234"
      ccdr erasure review outbound --nobody e-000017 --why "never called us, OPS-1235"
      ccdr erasure review outbound --nobody e-000017 --why "the same, OPS-1235" --approval nobody.txt
    """
    from ccdr.evidence.acknowledged import why_of
    from ccdr.jobs.erasure.reviewing import nobody as state_nobody
    from ccdr.jobs.erasure.reviewing import review as reviewed

    options = settings()
    if nobody is not None and asset is not None:
        raise UsageProblem("--nobody names an entry, which is of one asset: leave --asset out")
    if nobody is None and going_on.any:
        raise UsageProblem("--approval and --break-glass are for --nobody: what was handed over needs neither")
    job, *_ = options.jobs(plan, [asset] if asset else [])
    done: list[dict[str, object]] = []
    if nobody is None:
        for name, seq in reviewed(job.loaded, asset, options.services(), why_of(why)):
            done.append({"plan": plan, "asset": name, "record": seq, "entry": None})
    else:
        services = options.services()
        given = going_on.given(job.loaded, services)
        entry, record = state_nobody(job.loaded, nobody, services, why_of(why), given)
        done.append({"plan": plan, "asset": entry.asset, "record": record, "entry": entry.id})
    if options.json:
        print_json({"reviewed": done})
    for one in () if options.json else done:
        what = f"record {one['record']} of {plan}/{one['asset']}"
        click.echo(f"reviewed: {what}" if nobody is None else f"stated: nobody is to be found by {nobody}, {what}")
    return Exit.OK
