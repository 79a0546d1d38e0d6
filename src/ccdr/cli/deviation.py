"""`ccdr deviation`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import Signing, one_way, package_option, sign_or_write, signed_text, signing_options
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import F, settings
from ccdr.cli.verbs import EXIT_STATUS, as_one, complete_known, complete_plans, verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.trouble import FAILED_TESTS, Trouble
from ccdr.model.values import rfc3339, to_the_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ccdr.evidence.deviations.values import Deviation
    from ccdr.evidence.history.asset_history import Histories
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.telling.deviations import Told

# What the verbs of `ccdr deviation` share: which deviation is meant, and how it is told.


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
        loaded, _ = settings().load_told(())
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


def tenant_of(one: Deviation, plans: Sequence[LoadedPlan]) -> str:
    plan = next((p.plan for p in plans if p.plan.plan == one.plan), None)
    if plan is None:
        return "default"
    return plan.tenant_of(one.asset if one.asset in plan.assets else None)


def tell(one: Deviation, services: Services) -> Exit:
    """All of it, for people or a program; one that is overdue is a finding."""
    from ccdr.cli.report_package import gone_words
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
        text = "" if said.words is None else f": {shown.words.get(said.words) or gone_words(services)}"
        click.echo(f"  {to_the_second(said.at)}  {what}, by {said.actor} (record {said.record}){text}")
    return Exit.FINDING if shown.overdue else Exit.OK


# `ccdr deviation assign`, `note` and `close`: what a person says of a deviation.


@verb(short_help="Say who answers for a deviation.")
@deviation_argument
@click.option("--owner", metavar="NAME", required=True, help="Who answers for it: a login, or an address of work.")
@click.option(
    "--due", metavar="D", help="By when it is to be over: a date, a time, or 14d. As the plan says unless said."
)
def assign(name: str, owner: str, due: str | None) -> Exit:
    """Say who answers for the deviation ID, and by when it is to be over. It is recorded with who said so; what stood
    before stays in the ledger, and reports show by when the plan wanted it.

    \b
    Examples:
      ccdr deviation assign 3f9a2c1b --owner dba@callcentre.example
      ccdr deviation assign 3f9a2c1b --owner dba@callcentre.example --due 2026-12-15
    """
    from ccdr.evidence.statements import until_of
    from ccdr.jobs.deviations import assign as record

    services, plans = settings().recorded(), plans_there()
    one = found(name, services, plans)
    until = None if due is None else until_of(due, services.clock.now(), "14d", option="--due")
    record(one, services, owner, until, tenant_of(one, plans))
    return tell(found(one.id, services, plans), services)


@verb(short_help="Note the cause of a deviation, or what is done about it.")
@deviation_argument
@click.option("--cause", metavar="TEXT", help="Why it came to be: at most 500 characters.")
@click.option("--action", metavar="TEXT", help="What is done so that it does not happen again.")
@click.option("--note", "words", metavar="TEXT", help="What else is to be known.")
def note(name: str, cause: str | None, action: str | None, words: str | None) -> Exit:
    """Note the cause of the deviation ID, what is done about it (corrective action), or something else; of one that is
    closed, too. The words are kept apart, in the state directory; a record has their salted digest. The newest counts,
    and those before stay.

    \b
    Examples:
      ccdr deviation note 3f9a2c1b --cause "the disk of db1 was full" --action "an alert at 80 %, OPS-77"
      ccdr deviation note 3f9a2c1b --note "see the provider's report of 2026-11-26"
    """
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.deviations import note as record

    said = {"cause": cause, "action": action, "note": words}
    given = {what: words_of(text, f"--{what}") for what, text in said.items() if text is not None}
    if not given:
        raise UsageProblem("what is to be noted?", hint='--cause "…", --action "…" or --note "…"')
    services, plans = settings().recorded(), plans_there()
    one = found(name, services, plans)
    record(one, services, given, tenant_of(one, plans))
    return tell(found(one.id, services, plans), services)


@dataclass(frozen=True)
class _Accepting:
    accept: bool
    until: str | None
    why: str | None


@verb(short_help="Accept the risk of a finding until a day, by a signature.")
@deviation_argument
@click.option("--accept", is_flag=True, help="Its risk is accepted; with --until and --why.")
@click.option("--until", metavar="D", help="Until when: a date, a time, or 90d; 366 days at most.")
@click.option("--why", metavar="TEXT", help="Why it can stay as it is until then: at most 500 characters.")
@signing_options
@as_one("signing", Signing)
@as_one("accepting", _Accepting)
def close(name: str, accepting: _Accepting, signing: Signing) -> Exit:
    """Close the deviation ID: a retest does that, by the same or stronger checks, and nobody by hand. What a person can
    do is to accept its risk until a day: the plan's risk owner, or who may approve, signs it (`ssh-keygen -Y sign -n
    ccdr-deviation`), and that is recorded. It ends by itself; the finding is open again then, and so it is at once
    where its signature does not hold any more.

    What may mean that evidence was changed, and restore tests that find nothing, are no risk that anybody may accept.

    \b
    Examples:
      ccdr deviation close 3f9a2c1b --accept --until 90d --why "replaced in March, OPS-77" --key ~/.ssh/id_ed25519
      ccdr deviation close 3f9a2c1b --accept --until 90d --why "replaced in March, OPS-77" --write risk.txt
      ccdr deviation close 3f9a2c1b --accept --signed risk.txt     reads risk.txt.sig, too
    """
    services, plans = settings().recorded(), plans_there()
    one = found(name, services, plans)
    if not accepting.accept:
        return _by_a_retest(one, accepting, signing, services)
    command = f"ccdr deviation close {one.id} --accept"
    if signing.signed is None and (accepting.until is None or accepting.why is None):
        lacking = "--until" if accepting.until is None else "--why"
        raise UsageProblem(f"{lacking} is missing", hint=f'{command} --until 90d --why "…" --key KEY')
    if signing.signed is not None and (accepting.until, accepting.why) != (None, None):
        raise UsageProblem(
            "--signed takes neither --until nor --why: both stand in FILE", hint=f"{command} --signed FILE"
        )
    one_way(signing.key, signing.into, signing.signed, f'{command} --until D --why "…"')
    return _accepted(one, accepting, signing, services, command)


def _by_a_retest(one: Deviation, accepting: _Accepting, signing: Signing, services: Services) -> Exit:
    if one.retest is not None:
        return tell(one, services)
    if accepting.until is not None or accepting.why is not None or signing.any:
        raise UsageProblem("what is said with --until and --why is why a risk is accepted", hint="add --accept")
    again = (
        f"`ccdr test {one.plan}{f' --asset {one.asset}' if one.asset else ''}` tests again"
        if one.code in [trouble.name for trouble in (*FAILED_TESTS, Trouble.TEST_INCONCLUSIVE, Trouble.BREACH_RTO)]
        else f"`{' '.join(('ccdr status', one.plan or '')).strip()}` says the next step"
    )
    unchecked = "" if one.unchecked is None else f": record {one.unchecked.record} is good by fewer or weaker checks"
    raise UsageProblem(
        f"{one.id} is open, and nobody closes it by hand: a retest by the same or stronger checks does{unchecked}",
        hint=f'{again}; `ccdr deviation close {one.id} --accept --until D --why "…" --key KEY` accepts its risk',
    )


def _accepted(one: Deviation, accepting: _Accepting, signing: Signing, services: Services, command: str) -> Exit:
    from ccdr.evidence.acknowledged import why_of
    from ccdr.evidence.statements import until_of
    from ccdr.jobs.deviations import accept, to_accept

    plans = plans_there()
    if signing.signed is not None:
        text, signature = signed_text(signing.signed)
    else:
        assert accepting.until is not None and accepting.why is not None
        until = until_of(accepting.until, services.clock.now(), "90d")
        given = to_accept(one, services, until, why_of(accepting.why))
        text, signature = given.text(), sign_or_write(given, signing.key, signing.into, command, services)
        if not signature:
            return Exit.OK
    accept(one, services, text, signature, plans, tenant_of(one, plans))
    return tell(found(one.id, services, plans), services)


# `ccdr deviation list` and `show`.


@dataclass(frozen=True)
class _Wanted:
    """Which of them."""

    names: tuple[str, ...]
    only_open: bool
    every: bool
    first: str | None
    last: str | None
    package: Path | None


@verb(name="list", short_help="List deviations: open ones, or those of a period.")
@click.argument("names", metavar="[PLAN]...", nargs=-1, shell_complete=complete_plans)
@click.option(
    "--open", "only_open", is_flag=True, help="Only those that are open, or whose risk is accepted (default)."
)
@click.option("--all", "every", is_flag=True, help="Closed ones, too: the newest, or with --from all of the period.")
@click.option("--from", "first", metavar="D", help="Those that lasted from D on: a date, a time, or 90d.")
@click.option("--to", "last", metavar="D", help="… up to D, and as they stood then; with --from.")
@package_option
@as_one("wanted", _Wanted)
def list_(wanted: _Wanted) -> Exit:
    """List what went wrong, of PLAN or of all plans: since when, how bad, by when it is to be over, who answers for it,
    what ended it. Exits with 1 where one is overdue.

    Without --from it is read from what is kept of the ledger, which has all that are open and the newest that ended.

    \b
    Examples:
      ccdr deviation list
      ccdr deviation list outbound --all
      ccdr deviation list --from 2026-07-01 --to 2026-09-30 --all
      ccdr deviation list --package /mnt/evidence --all
    """
    if wanted.only_open and wanted.every:
        raise UsageProblem("--open and --all contradict each other", hint="leave one out")
    if wanted.last is not None and wanted.first is None:
        raise UsageProblem("--to needs --from: since when?", hint="--from 90d --to D")
    there, since, until = _of(wanted)
    shown = [one for one in there if wanted.every or one.state != "closed"]
    if settings().json:
        of_period = None if since is None else {"from": since, "to": until}
        print_json({"period": of_period, "deviations": [one.as_json() for one in shown]})
    else:
        _table(shown)
    return Exit.FINDING if any(one.overdue for one in shown) else Exit.OK


def _of(wanted: _Wanted) -> tuple[list[Told], str | None, str | None]:
    from ccdr.cli.report_package import in_package
    from ccdr.telling.deviations import standing, told
    from ccdr.telling.report.deviations import of_period
    from ccdr.telling.report.period import period_of

    if wanted.package is not None:
        if wanted.first is not None:
            raise UsageProblem("--package tells of its own period", hint="leave --from and --to out")
        _, services, report = in_package(wanted.package)
        plans, now, period = [], services.clock.now(), None
        every = [one.deviation for one in report.deviations]
    else:
        services, plans = settings().recorded(), plans_there()
        now = services.clock.now()
        period = None if wanted.first is None else period_of(wanted.first, wanted.last, now)
        every = standing(plans, services) if period is None else of_period(plans, services, period)
    if wanted.names:
        known = {*services.histories()}
        plan_names = {p.plan.plan for p in plans} | {str(plan).partition("@")[0] for plan, _ in known if plan}
        if unknown := [name for name in wanted.names if name not in plan_names]:
            raise UsageProblem(
                f"there is no plan {', '.join(map(ascii, unknown))}, and the ledger has no record of one",
                hint=f"there are {', '.join(sorted(plan_names)) or 'none'}",
            )
        every = [one for one in every if one.plan in wanted.names]
    at = now if period is None else period.end
    edges = (None, None) if period is None else (rfc3339(period.start), rfc3339(period.end))
    return told(every, services.state, at), *edges


def _table(shown: list[Told]) -> None:
    if not shown:
        click.echo("no deviation")
        return
    rows = [
        (
            one.deviation.id,
            one.deviation.where,
            one.deviation.code,
            one.deviation.severity,
            to_the_second(one.deviation.since),
            word(one.word) if one.overdue else one.word,
            one.retest if one.deviation.retest else f"{one.deviation.due:%Y-%m-%d}",
            one.deviation.owner or "-",
        )
        for one in shown
    ]
    table(("deviation", "of", "code", "", "since", "", "due, or retest", "owner"), rows)


@verb(short_help="Show all of a deviation.")
@deviation_argument
@package_option
def show(name: str, package: Path | None) -> Exit:
    """Show the deviation ID: what opened it and what ends it, who answers for it, all that was said of it. Exits with 1
    where it is overdue.

    \b
    Examples:
      ccdr deviation show 3f9a2c1b
      ccdr deviation show 3f9a2c1b --json
      ccdr deviation show 3f9a2c1b --package /mnt/evidence
    """
    from ccdr.cli.report_package import in_package
    from ccdr.jobs.deviations import find

    if package is not None:
        _, services, report = in_package(package)
        return tell(find(name, [one.deviation for one in report.deviations]), services)
    services = settings().recorded()
    return tell(found(name, services, plans_there()), services)


@click.group(epilog=EXIT_STATUS, short_help="Deviations: what went wrong, who answers for it, what ended it.")
def deviation() -> None:
    """What went wrong: each failed backup or restore test, objective that was breached, run that was missed, test that
    proved nothing twice in a row, loosening of a plan, finding of the ledger. ccdr opens a deviation by its records and
    closes it by a retest: nobody does either by hand.

    People say who answers for it, its cause, and what is done. Somebody who may approve can accept its risk until a
    day, by a signature.
    """


deviation.add_command(assign, "assign")
deviation.add_command(close, "close")
deviation.add_command(list_, "list")
deviation.add_command(note, "note")
deviation.add_command(show, "show")
