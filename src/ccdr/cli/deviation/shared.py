"""What the verbs of `ccdr deviation` share: which deviation is meant, and how it is told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, word
from ccdr.cli.settings import F, settings
from ccdr.cli.verbs import complete_known
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import to_the_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ccdr.evidence.deviations.values import Deviation
    from ccdr.evidence.history.places import Histories
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan


def deviation_argument(function: F) -> F:
    """ID, completed from those that are open."""
    return click.argument("name", metavar="ID", shell_complete=complete_known(_open))(function)


def _open(histories: Histories) -> Iterable[str]:
    from ccdr.evidence.deviations.standing import deviations_of

    return (one.id for one in deviations_of(histories, ended=False))


def plans_there() -> list[LoadedPlan]:
    """Those that are right: what was recorded of the others is told without their files."""
    loaded: list[LoadedPlan] = []
    with suppress(UsageProblem, CcdrError):
        loaded, wrong = settings().load_all(())
        for one in wrong:
            click.echo(f"ccdr: {one}", err=True)
    return loaded


def found(name: str, services: Services, plans: Sequence[LoadedPlan]) -> Deviation:
    """By its id: an open one or one that ended lately, else by all of the ledger. UsageProblem where there is none."""
    from ccdr.jobs.deviations import find
    from ccdr.telling.deviations import standing
    from ccdr.telling.report.deviations import of_period
    from ccdr.telling.report.period import LONG_AGO, Period

    with suppress(UsageProblem):
        return find(name, standing(plans, services))
    return find(name, of_period(plans, services, Period(LONG_AGO, services.clock.now(), until_now=True)))


def signers_for(one: Deviation, plans: Sequence[LoadedPlan]) -> Path:
    from ccdr.jobs.deviations import signers_of
    from ccdr.plans.model import SIGNERS

    return signers_of(plans).get(one.plan or "", SIGNERS)


def tenant_of(one: Deviation, plans: Sequence[LoadedPlan]) -> str:
    plan = next((p.plan for p in plans if p.plan.plan == one.plan), None)
    if plan is None:
        return "default"
    return plan.tenant_of(one.asset if one.asset in plan.assets else None)


def tell(one: Deviation, services: Services) -> Exit:
    """All of it, for people or a program; one that is overdue is a finding."""
    from ccdr.evidence.payloads import GONE
    from ccdr.telling.deviations import told

    (shown,) = told([one], services.state, services.clock.now())
    if settings().json:
        print_json(shown.as_json())
        return Exit.FINDING if shown.overdue else Exit.OK
    by = "no record yet" if one.number is None else f"record {one.number}"
    ledger = f" of ledger {one.ledger[:8]}" if one.ledger else ""
    state = word(shown.word) if shown.overdue else shown.word
    click.echo(f"{one.id}  {one.where}: {one.code}, {one.severity}; {state}")
    click.echo(f"  opened {to_the_second(one.opened_at)}, by {by}{ledger}")
    click.echo(f"  since {to_the_second(one.since)}, last seen {to_the_second(one.last)}, {one.times} times")
    own = "" if one.due_assigned is None else f" (by the plan {to_the_second(one.due_by_rule)})"
    click.echo(f"  owner {one.owner or '-'}; to be over by {to_the_second(one.due)}{own}")
    click.echo(f"  retest: {shown.retest}")
    for record in one.refused:
        click.echo(f"  record {record}, which accepts its risk, does not count: nobody who may approve has signed it")
    for said, what in shown.said():
        text = "" if said.words is None else f": {shown.words.get(said.words) or GONE}"
        click.echo(f"  {to_the_second(said.at)}  {what}, by {said.actor} (record {said.record}){text}")
    return Exit.FINDING if shown.overdue else Exit.OK
