"""What the verbs of `ccdr incident` share: their arguments, and how an incident is told."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import F, settings
from ccdr.cli.verbs import complete_known
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import to_the_second

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccdr.evidence.history.places import Histories
    from ccdr.evidence.incidents import Duty
    from ccdr.jobs.incidents import Known
    from ccdr.jobs.services import Services

BREACHES = ("availability", "confidentiality", "integrity")


def incident_argument(function: F) -> F:
    """ID, completed from the incidents that are open."""
    return click.argument("name", metavar="ID", shell_complete=complete_known(_open))(function)


def _open(histories: Histories) -> Iterable[str]:
    return (name for history in histories.values() for name, of in history.incidents.items() if not of["closed"])


def time_of(text: str, zone: Any, option: str) -> datetime:
    """A time, in the plan's zone where it names none. UsageProblem for whatever is none."""
    from ccdr.jobs.shipping.targets import target_of

    target = target_of(text, zone)
    if target.time is None:
        raise UsageProblem(f"{option} {text[:40]!a} is no time", hint='write one like "2026-11-24 06:30:00"')
    return target.time


def zone_of_incident(known: Known) -> Any:
    from ccdr.model.schema import zone_of

    return zone_of(known.timezone)


def tell_incident(known: Known, services: Services) -> Exit:
    """All of it, for people or a program; a deadline that has passed is a finding."""
    from ccdr.telling.incidents import shown

    document = shown(known, services)
    if settings().json:
        print_json(document.as_json())
    else:
        _tell(known, document.now, document.words)
    return Exit.FINDING if document.overdue else Exit.OK


def _tell(known: Known, now: datetime, words: list[tuple[str, str, str | None]]) -> None:
    from ccdr.evidence.payloads import GONE
    from ccdr.telling.incidents.draft import whose

    one = known.incident
    state = word("open") if one.open else f"closed {to_the_second(one.closed_at or now)}, cause {one.cause}"
    click.echo(f"{one.name}  {one.plan}: {', '.join(one.kinds)}; {state}")
    click.echo(f"  opened {to_the_second(one.opened_at)} by {_by(one.by, one.actor)}, on {one.host}")
    click.echo(f"  aware since {to_the_second(one.aware_at)}; the organisation is the {one.role}")
    if set(one.tenants) - {"default"}:
        click.echo(f"  whose data: {whose(one.tenants)}")
    if one.runs:
        click.echo(f"  recoveries: {', '.join(one.runs)}")
    click.echo(f"  records {', '.join(map(str, one.records))}")
    if one.duties:
        table(
            ("clock", "law", "to", "due", ""),
            [
                (d.clock, d.law, d.tenant or d.to, to_the_second(d.due), _standing(d, now, over=not one.open))
                for d in one.duties
            ],
        )
    else:
        click.echo("  it has no clocks")
    for when, what, text in words:
        click.echo(f"  {to_the_second(when)}  {what}: {text or GONE}")


def _by(by: str, actor: str) -> str:
    return actor if by == "person" else f"`ccdr {by}` of {actor}"


def _standing(duty: Duty, now: datetime, *, over: bool) -> str:
    if duty.filed_at is not None:
        late = f" {word('LATE')}" if duty.late else ""
        return f"filed {to_the_second(duty.filed_at)}{late}, record {duty.filed_in}"
    if duty.not_due_by is not None:
        return f"not due, record {duty.not_due_by}"
    if over:
        return "-"
    return word("OVERDUE") if duty.overdue(now) else "open"
