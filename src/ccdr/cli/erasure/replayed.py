"""`ccdr erasure replay`, `prove` and `review`: what came of it in what was restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import asset_option, assets_option, one_only, plan_argument, target_login_options, verb
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
        print_json(_replayed(plan, asset, found))
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
        shown = _replayed(plan, job.asset, found)
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
        "entries": found.entries if found else 0,
        "canaries": found.canaries if found else 0,
        "erased": found.erased if found else 0,
        "left": found.left if found else 0,
        "record": found and found.record and found.record.as_json(),
    }


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
    """Record that somebody has looked at what was handed over by --despite-erasures: until then it stays red.

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
