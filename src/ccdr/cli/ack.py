"""`ccdr ack`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import key_option, signing_by
from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, asset_option, dry_run_option, verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.telling.acknowledge import InForce, Place


@dataclass(frozen=True)
class _Asked:
    """The trouble that is meant, where it stands, and what is said of it."""

    code: str | None
    plan: str | None
    asset: str | None
    why: str | None
    until: str | None
    key: Path | None

    def covers(self, place: Place) -> bool:
        return self.plan in (None, place[0]) and self.asset in (None, place[1])


@verb(short_help="Acknowledge a trouble for a while, and say why.")
@click.argument("code", required=False)
@click.argument("plan", required=False)
@asset_option
@click.option("--why", metavar="TEXT", help="Why it can stay so until then: at most 500 characters.")
@click.option("--until", metavar="D", help="For how long (14d), to which date, or to which time: at most 90 days.")
@click.option("--list", "listing", is_flag=True, help="Show what is acknowledged now.")
@click.option("--end", "ending", is_flag=True, help="End it now.")
@key_option
@dry_run_option
@as_one("asked", _Asked)
def ack(asked: _Asked, listing: bool, ending: bool, dry_run: bool) -> Exit:
    """Acknowledge the trouble CODE where it stands now: of PLAN, or of all plans; of one asset, with --asset. The codes
    are those that `ccdr status` shows at its lines' ends, such as BACKUP_LATE.

    Until then it is shown as acknowledged and counted, stays in reports, nobody is reminded of it, and it is no exit
    status of its own. What only follows from it, and grows by itself, is not covered; nor is another finding, or a
    restore test that fails for another cause. It ends by itself, or with --end. That the evidence was changed
    (LEDGER_BROKEN, SUMMARY_WRONG …) cannot be acknowledged. For a ledger that is gone (LEDGER_LOST), and a line of it
    that was changed (LEDGER_SPOILT), somebody answers once and for all, without --until: reports go on telling of it.

    Who, when and until when go into the ledger; what --why says is kept apart, in the state directory. With --key an
    end, and such an answer, are signed (`ssh-keygen -Y sign -n ccdr-statement`).

    \b
    Examples:
      ccdr ack BACKUP_LATE outbound --asset crm --until 14d --why "source moves to the new site, OPS-1234"
      ccdr ack --list
      ccdr ack --end BACKUP_LATE outbound
    """
    from ccdr.evidence.acknowledged import code_of
    from ccdr.telling.acknowledge import in_force

    if listing:
        if asked.code is not None or ending:
            raise UsageProblem("--list takes no code", hint="`ccdr ack --list` shows all that is acknowledged")
        services = settings().recorded()
        return _tell(in_force(services, services.histories()), "acknowledged")
    if asked.code is None:
        raise UsageProblem(
            "which trouble?", hint="`ccdr status` shows each trouble's code at the end of its line; `ccdr ack --list`"
        )
    services = signing_by(asked.key)
    if asked.code.strip().upper().replace("-", "_") == Trouble.LEDGER_SPOILT.name and not ending:
        return _spoilt(services, asked.why, dry_run=dry_run)
    trouble = code_of(asked.code)
    if trouble is Trouble.LEDGER_LOST and not ending:
        return _lost(services, asked.why, dry_run=dry_run)
    if ending:
        return _end(trouble, asked, services, dry_run=dry_run)
    if asked.key is not None:
        raise UsageProblem("what is acknowledged for a while is not signed", hint="leave --key out")
    return _begin(trouble, asked, services, dry_run=dry_run)


def _plans(trouble: Trouble, asked: _Asked) -> list[LoadedPlan]:
    loaded, _ = settings().load_told([asked.plan] if asked.plan else [])
    if (asset := asked.asset) is not None and not any(asset in p.plan.assets for p in loaded):
        raise UsageProblem(f"no asset is called {asset!a} there", hint=f"`ccdr ack {trouble.name}` is of all assets")
    return loaded


def _as_asked(trouble: Trouble, asked: _Asked) -> str:
    """The command of no wider scope than was typed."""
    asset = ["--asset", asked.asset] if asked.asset is not None else []
    return shlex.join(["ccdr", "ack", trouble.name, *([asked.plan] if asked.plan else []), *asset])


def _begin(trouble: Trouble, asked: _Asked, services: Services, *, dry_run: bool) -> Exit:
    from ccdr.evidence.acknowledged import until_of, why_of
    from ccdr.telling.acknowledge import acknowledge, what_stands

    loaded = _plans(trouble, asked)
    why = why_of(asked.why) if asked.why is not None else None
    if why is None or asked.until is None:
        raise UsageProblem(
            f"{'--why' if why is None else '--until'} is missing: an acknowledgement needs a reason and an end",
            hint=f'{_as_asked(trouble, asked)} --until {asked.until or "14d"} --why "…"',
        )
    done = acknowledge(
        trouble,
        list(what_stands(loaded, services, services.histories())),
        services,
        asset=asked.asset,
        until=until_of(asked.until, services.clock.now()),
        why=why,
        tenants=_tenants(loaded),
        dry_run=dry_run,
    )
    return _tell(done, "would be acknowledged" if dry_run else "acknowledged")


def _end(trouble: Trouble, asked: _Asked, services: Services, *, dry_run: bool) -> Exit:
    from ccdr.evidence.acknowledged import why_of
    from ccdr.telling.acknowledge import end, in_force

    tenants = _tenants(_plans(trouble, asked))
    why = why_of(asked.why) if asked.why is not None else None
    matching = [one for one in in_force(services, services.histories()) if asked.covers(one.place)]
    ended = end(trouble, matching, services, why=why, tenants=tenants, dry_run=dry_run)
    return _tell(ended, "would end" if dry_run else "ended")


def _lost(services: Services, why: str | None, *, dry_run: bool) -> Exit:
    """Somebody answers for a ledger that is gone: that ends no more, and reports tell of it for a year."""
    from ccdr.evidence.lineage.comparison import acknowledge, waiting
    from ccdr.jobs.statement_records import by_hand

    lost = waiting(services.state, services.ledger)
    if not dry_run or not lost:
        acknowledge(services.state, services.ledger, why or "", partial(by_hand, services=services))
    if settings().json:
        of = {"ledgers": [one.ledger for one in lost], "records_at_least": [one.seq for one in lost]}
        print_json({"acknowledged": [{"code": Trouble.LEDGER_LOST.name, **of}]})
    else:
        what = "would be acknowledged" if dry_run else "acknowledged"
        click.echo(f"{what} as lost: the ledger {'; the ledger '.join(map(str, lost))}")
    return Exit.OK


def _spoilt(services: Services, why: str | None, *, dry_run: bool) -> Exit:
    """The same for lines of this ledger that were changed: what was set aside stays as it is."""
    from ccdr.evidence.lineage.comparison import answer_for_spoilt, spoilt_of
    from ccdr.jobs.statement_records import by_hand

    lines = spoilt_of(services.state, services.ledger)
    if not dry_run or not lines:
        lines = answer_for_spoilt(services.state, services.ledger, why or "", partial(by_hand, services=services))
    if settings().json:
        print_json({"acknowledged": [{"code": Trouble.LEDGER_SPOILT.name, "records": lines}]})
    else:
        what = "would be acknowledged" if dry_run else "acknowledged"
        click.echo(f"{what} as lost, what stood where these records should: {', '.join(map(str, lines))}")
    return Exit.OK


def _tenants(loaded: Sequence[LoadedPlan]) -> dict[Place, str]:
    places: list[Place] = [(p.plan.plan, asset) for p in loaded for asset in (None, *p.plan.assets)]
    plans = {p.plan.plan: p.plan for p in loaded}
    return {(plan, asset): plans[str(plan)].tenant_of(asset) for plan, asset in places}


def _tell(acknowledgements: Sequence[InForce], what: str) -> Exit:
    from ccdr.evidence.payloads import GONE

    if settings().json:
        print_json({"acknowledged" if what == "acknowledged" else "ended": [one.as_json() for one in acknowledgements]})
    elif not acknowledgements:
        click.echo("nothing is acknowledged")
    else:
        rows = [
            (
                one.ack.code,
                "/".join(filter(None, one.place)),
                rfc3339(one.ack.until),
                one.why or GONE,
            )
            for one in acknowledgements
        ]
        table((what, "where", "until", "why"), rows)
    return Exit.OK
