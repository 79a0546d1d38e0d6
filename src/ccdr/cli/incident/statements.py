"""`ccdr incident open`, `note`, `close` and `reopen`: what a person says of an incident; and what all verbs of
incidents share.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.approving import key_option, signing_by
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import F, settings
from ccdr.cli.verbs import as_one, complete_known, dry_run_option, plan_argument, verb
from ccdr.host.state_files import plain
from ccdr.model.errors import Exit, PlanInvalid, UsageProblem
from ccdr.model.values import rfc3339, to_the_second

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccdr.evidence.history.asset_history import Histories
    from ccdr.evidence.incidents import Duty
    from ccdr.jobs.incidents import Assessment, Known
    from ccdr.jobs.services import Services

# What the verbs of `ccdr incident` share: their arguments, and how an incident is told.

BREACHES = ("availability", "confidentiality", "integrity")


def incident_argument(function: F) -> F:
    """ID, completed from the incidents that are open."""
    return click.argument("name", metavar="ID", shell_complete=complete_known(_open))(function)


def _open(histories: Histories) -> Iterable[str]:
    return (name for history in histories.values() for name, of in history.incidents.items() if not of.closed)


def time_of(text: str, zone: Any, option: str) -> datetime:
    """A time, in the plan's zone where it names none. UsageProblem for whatever is none."""
    from ccdr.jobs.shipping.choice import target_of

    target = target_of(text, zone)
    if target.time is None:
        raise UsageProblem(f"{option} {text[:40]!a} is no time", hint='write one like "2026-11-24 06:30:00"')
    return target.time


def zone_of_incident(known: Known) -> Any:
    from ccdr.model.schema import zone_of

    return zone_of(known.timezone)


def tell_incident(known: Known, services: Services) -> Exit:
    """All of it, for people or a program; a deadline that has passed is a finding."""
    from ccdr.cli.report_package import gone_words
    from ccdr.telling.incidents import shown

    document = shown(known, services)
    if settings().json:
        print_json(document.as_json())
    else:
        _tell(known, document.now, document.words, gone_words(services))
    return Exit.FINDING if document.overdue else Exit.OK


def _tell(known: Known, now: datetime, words: list[tuple[str, str, str | None]], gone: str) -> None:
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
        click.echo(f"  {to_the_second(when)}  {what}: {text or gone}")


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


# `ccdr incident open`.


@verb(short_help="Open an incident of PLAN by hand.")
@plan_argument
@click.option(
    "--kind", "kinds", type=click.Choice(BREACHES), multiple=True, required=True, help="What was, or may be, breached."
)
@click.option("--why", metavar="TEXT", required=True, help="What has happened: at most 500 characters.")
@click.option("--aware-at", "aware", metavar="TIME", help="When you became aware of it (default: now): clocks start.")
@click.option("--recovery", metavar="RUN", help="The run of a recovery that has no incident yet.")
@dry_run_option
def open_(plan: str, kinds: tuple[str, ...], why: str, aware: str | None, recovery: str | None, dry_run: bool) -> Exit:
    """Open an incident of PLAN. Its clocks are those that the plan names (`incidents:`), or those of its role.

    They count from when the organisation became aware of it. Who, when and what kind go into the ledger; what --why
    says is kept apart, in the state directory.

    \b
    Examples:
      ccdr incident open outbound --kind confidentiality --why "a laptop with recordings is gone, INC-1234"
      ccdr incident open outbound --kind availability --kind integrity --why "ransomware" --aware-at "2026-11-24 06:30"
    """
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.incidents import find, open_by_hand
    from ccdr.jobs.incidents.opening import if_rehearsed, recorded_clocks, unknown_clocks
    from ccdr.plans.incident_clocks import clocks_beside

    options = settings()
    loaded, services = options.load(plan), options.services()
    words = words_of(why, "--why", "say what has happened: people will ask")
    at = None if aware is None else time_of(aware, loaded.plan.zone, "--aware-at")
    unique = list(dict.fromkeys(kinds))
    if not dry_run:
        opened = open_by_hand(loaded, services, unique, words, at, recovery)
        code = tell_incident(find(services, opened.name), services)
        if not options.json:
            click.echo(if_rehearsed(opened.name))
        return code
    clocks = clocks_beside(loaded.path.parent)
    if wrong := unknown_clocks(loaded, clocks):
        raise PlanInvalid(wrong, hint="`ccdr incident clocks` lists those that there are")
    since = at or services.clock.now()
    would = recorded_clocks(clocks, clocks.value.of(loaded.plan.incidents), since, loaded.plan.timezone)
    if options.json:
        print_json({"would_open": {"plan": plan, "kinds": unique, "aware_at": rfc3339(since), "clocks": plain(would)}})
        return Exit.OK
    click.echo(f"would open an incident of {plan}: {', '.join(unique)}, aware since {rfc3339(since)}")
    for one in would:
        due = f"by {rfc3339(one.due)}" if one.due else f"counted from when {one.after} is filed"
        click.echo(f"  {one.clock}  {one.law}, {due}")
    return Exit.OK


FILE = click.Path(dir_okay=False, path_type=Path)
CAUSES = (
    "hardware", "software", "human_error", "loss_or_theft", "attack", "third_party", "disaster",
    "unknown", "rehearsal", "false_alarm",
)  # fmt: skip
RISKS = ("unlikely", "risk", "high")


def weight_options(function: F) -> F:
    """What the register has a column for, in a person's own words."""
    for option in reversed(
        (
            click.option(
                "--kind",
                "kinds",
                type=click.Choice(BREACHES),
                multiple=True,
                help="What was breached, all of it: in the place of what a recovery assumed, or somebody said before.",
            ),
            click.option(
                "--risk",
                type=click.Choice(RISKS),
                help="To people, by GDPR 33(1) and 34(1); with --risk-why. With high the people are to be notified, "
                "too.",
            ),
            click.option("--risk-why", metavar="TEXT", help="Why that is the risk."),
            click.option("--persons", metavar="TEXT", help="Categories and number of the persons concerned."),
            click.option("--records", metavar="TEXT", help="Categories and number of the data records concerned."),
        )
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class _Weight:
    """What is said of its weight."""

    kinds: tuple[str, ...]
    risk: str | None
    risk_why: str | None
    persons: str | None
    records: str | None

    def assessment(self) -> Assessment:
        """UsageProblem where a risk has no reason, or a reason no risk."""
        from ccdr.evidence.acknowledged import words_of
        from ccdr.jobs.incidents import Assessment

        if (self.risk is None) != (self.risk_why is None):
            lacking = "--risk-why" if self.risk_why is None else "--risk"
            raise UsageProblem(
                f"{lacking} is missing: the register wants the risk, and why it is that",
                hint='--risk unlikely --risk-why "the disk was encrypted"',
            )

        def words(text: str | None, option: str) -> str | None:
            return None if text is None else words_of(text, option)

        return Assessment(
            self.risk,
            words(self.risk_why, "--risk-why"),
            words(self.persons, "--persons"),
            words(self.records, "--records"),
            tuple(dict.fromkeys(self.kinds)),
        )


@dataclass(frozen=True)
class _Closing(_Weight):
    """What an incident is closed with."""

    cause: str
    effects: str
    remedy: str
    not_due: tuple[str, ...]
    key: Path | None


@dataclass(frozen=True)
class _Said(_Weight):
    """What is noted: that something was filed, is not due, counts as well; its weight; or words alone."""

    text: str | None
    filed: str | None
    receipt: Path | None
    filed_at: str | None
    not_due: tuple[str, ...]
    tenant: str | None
    clocks: tuple[str, ...]
    since: str | None
    key: Path | None


@verb(short_help="Note something of an incident; that a notification was filed, too.")
@incident_argument
@click.option("--text", metavar="TEXT", help="What is to be known, or why: at most 500 characters.")
@click.option("--filed", metavar="CLOCK", help="The notification that was filed, by its clock's name.")
@click.option("--receipt", type=FILE, metavar="FILE", help="What shows that: its SHA-256 is recorded, it stays here.")
@click.option("--filed-at", metavar="TIME", help="When it was filed (default: now).")
@click.option("--not-due", metavar="CLOCK", multiple=True, help="Nothing is to be notified by it; --text says why.")
@click.option("--tenant", metavar="T", help="With --filed or --not-due: to this one of several controllers.")
@click.option("--clock", "clocks", metavar="CLOCK", multiple=True, help="This clock of incidents.yaml counts as well.")
@click.option("--since", metavar="TIME", help="With --clock: when they asked, or when it was handled (NIS2 23(4)).")
@key_option
@weight_options
@as_one("said", _Said)
def note(name: str, said: _Said) -> Exit:
    """Note something of the incident ID: words, that a notification was filed, that none is due.

    That it was filed is recorded with who says so, when it was, and the SHA-256 of the receipt; the words are kept
    apart, in the state directory. What is filed in phases (GDPR 33(4)) counts as filed with the first of them. Where it
    was late, --text says why: GDPR 33(1) asks for the reasons. With --key, that something was filed, or is not due, is
    signed (`ssh-keygen -Y sign -n ccdr-statement`).

    A recovery opens an incident as one of availability. Were data read, or changed? --kind states it.

    \b
    Examples:
      ccdr incident note inc-20261124-3f9a2c --text "the provider confirms: the disk array lost power"
      ccdr incident note inc-20261124-3f9a2c --filed gdpr-33 --receipt receipt.pdf --filed-at "2026-11-25 10:12"
      ccdr incident note inc-20261124-3f9a2c --not-due gdpr-33 --text "no personal data was affected, see INC-1234"
      ccdr incident note inc-20261124-3f9a2c --filed gdpr-33-2 --tenant acme --receipt acme.eml
      ccdr incident note inc-20261124-3f9a2c --clock hipaa-410
      ccdr incident note inc-20261124-3f9a2c --clock nis2-23-interim --since "2026-11-30 09:00"
      ccdr incident note inc-20261124-3f9a2c --risk unlikely --risk-why "the disk was encrypted" --persons "about 40"
      ccdr incident note inc-20261124-3f9a2c --kind availability --kind confidentiality --text "a dump was copied"
    """
    from ccdr.jobs.incidents import find

    if said.key is not None and not (said.filed or said.not_due):
        raise UsageProblem(
            "a note is not signed; that something was filed, or is not due, may be", hint="--filed CLOCK"
        )
    services = signing_by(said.key)
    known = find(services, name)
    return tell_incident(_noted(known, said, services), services)


def _noted(known: Known, said: _Said, services: Services) -> Known:
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.incidents import assess, file, not_due, statements
    from ccdr.plans.incident_clocks import clocks_beside

    weight = said.assessment()
    asked = [bool(said.filed), bool(said.not_due), bool(said.clocks), bool(weight)]
    if sum(asked) > 1:
        raise UsageProblem(
            "--filed, --not-due, --clock, and --kind and --risk with --persons and --records are four things",
            hint="note them one by one",
        )
    if said.filed is None and (said.receipt is not None or said.filed_at is not None):
        raise UsageProblem("which notification was filed?", hint=f"ccdr incident note {known.name} --filed CLOCK …")
    if said.tenant is not None and not (said.filed or said.not_due):
        raise UsageProblem("--tenant says to whom something was filed, or is not due", hint="--filed CLOCK --tenant T")
    words = None if said.text is None else words_of(said.text, "--text")
    if said.filed is not None:
        if said.receipt is None:
            hint = f"ccdr incident note {known.name} --filed {said.filed} --receipt FILE"
            raise UsageProblem("--receipt is missing: a notification is filed by its receipt", hint=hint)
        at = None if said.filed_at is None else time_of(said.filed_at, zone_of_incident(known), "--filed-at")
        done = file(known, services, said.filed, said.receipt, at, words, said.tenant)
        _tell_filed(known, done, said, words, services)
        return done
    if said.clocks:
        since = None if said.since is None else time_of(said.since, zone_of_incident(known), "--since")
        return statements.count_also(known, services, said.clocks, clocks_beside(settings().plans), words, since)
    if said.since is not None:
        raise UsageProblem("--since says from when a clock counts: which one?", hint="--clock CLOCK --since TIME")
    if weight:
        return assess(known, services, weight, clocks_beside(settings().plans), words)
    if words is None:
        raise UsageProblem("--text is missing: say what is to be noted, or why", hint='--text "…"')
    if said.not_due:
        return not_due(known, services, said.not_due, words, said.tenant)
    return statements.note(known, services, words)


def _tell_filed(before: Known, done: Known, said: _Said, words: str | None, services: Services) -> None:
    """What whoever filed it may not expect: that the first phase counts, that the receipt is another filing's, that a
    reason is missing."""

    def duty(one: Known) -> Duty:
        return next(d for d in one.incident.duties if d.clock == said.filed and d.tenant == said.tenant)

    first, now = duty(before), duty(done)
    if first.filed_in is not None:
        click.echo(f"{said.filed} was filed before, by record {first.filed_in}: that time counts", err=True)
    if filings := _filings_of(now.receipt, services):
        click.echo(f"this receipt stands for {' and '.join(filings)}: a receipt belongs to one filing", err=True)
    if now.late and words is None and first.filed_in is None:
        more = f" --tenant {said.tenant}" if said.tenant else ""
        click.echo(
            f"{said.filed} was filed late, and the authority asks why (GDPR 33(1)): "
            f"ccdr incident note {done.name} --filed {said.filed}{more} --receipt FILE --text WHY   adds the reason",
            err=True,
        )


def _filings_of(receipt: str | None, services: Services) -> list[str]:
    """All that it stands for, of every plan's incidents, where that is more than one filing."""
    from ccdr.evidence.incidents import incidents_of, same_receipts

    now = services.clock.now()
    of_plans = ((plan, own) for (plan, asset), own in services.histories().items() if plan and not asset)
    every = (one for plan, own in of_plans for one in incidents_of(plan, own.incidents, now))
    return same_receipts(every).get(str(receipt), [])


@verb(short_help="Close an incident: its cause, effects and remedy.")
@incident_argument
@click.option("--cause", type=click.Choice(CAUSES), required=True, help="What it came from.")
@click.option("--effects", metavar="TEXT", required=True, help="What came of it: at most 500 characters.")
@click.option("--remedy", metavar="TEXT", required=True, help="The remedial action taken: at most 500 characters.")
@click.option("--not-due", metavar="CLOCK", multiple=True, help="Nothing is to be notified by it; --effects says why.")
@key_option
@weight_options
@as_one("said", _Closing)
def close(name: str, said: _Closing) -> Exit:
    """Close the incident ID with what GDPR 33(5) wants documented. After a rehearsal, or a false alarm, nothing is to
    be notified; else each notification was filed, or is said not to be due.

    \b
    Examples:
      ccdr incident close inc-20261124-3f9a2c --cause rehearsal --effects "none" --remedy "none needed"
      ccdr incident close inc-20261124-3f9a2c --cause hardware --effects "two hours without the CRM, nothing lost" \\
        --remedy "recovered onto db2; the array is replaced" --not-due gdpr-33
    """
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.incidents import close as closed
    from ccdr.jobs.incidents import find
    from ccdr.plans.incident_clocks import clocks_beside

    services = signing_by(said.key)
    what, done = words_of(said.effects, "--effects"), words_of(said.remedy, "--remedy")
    weight = said.assessment()
    clocks = clocks_beside(settings().plans) if weight else None
    known = closed(find(services, name), services, said.cause, what, done, said.not_due, weight, clocks)
    return tell_incident(known, services)


@verb(short_help="Open a closed incident once more.")
@incident_argument
@click.option("--why", metavar="TEXT", required=True, help="Why it is not over: at most 500 characters.")
def reopen(name: str, why: str) -> Exit:
    """Open the incident ID once more, by a record of its own. What was filed stays so; its other clocks count as they
    did, from when the organisation became aware of it.

    \b
    Examples:
      ccdr incident reopen inc-20261124-3f9a2c --why "recordings were read after all, INC-1240"
    """
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.incidents import find
    from ccdr.jobs.incidents import reopen as reopened

    services = settings().services()
    words = words_of(why, "--why", "say why it is not over: people will ask")
    return tell_incident(reopened(find(services, name), services, words), services)
