"""`ccdr incident note`, `close` and `reopen`: what a person says of an incident."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.incident.shared import BREACHES, incident_argument, tell_incident, time_of, zone_of_incident
from ccdr.cli.settings import F, settings
from ccdr.cli.verbs import as_one, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.evidence.incidents import Duty
    from ccdr.jobs.incidents import Assessment, Known
    from ccdr.jobs.services import Services

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
@weight_options
@as_one("said", _Said)
def note(name: str, said: _Said) -> Exit:
    """Note something of the incident ID: words, that a notification was filed, that none is due.

    That it was filed is recorded with who says so, when it was, and the SHA-256 of the receipt; the words are kept
    apart, in the state directory. What is filed in phases (GDPR 33(4)) counts as filed with the first of them. Where it
    was late, --text says why: GDPR 33(1) asks for the reasons.

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

    services = settings().services()
    known = find(services, name)
    return tell_incident(_noted(known, said, services), services)


def _noted(known: Known, said: _Said, services: Services) -> Known:
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.incidents import assess, file, not_due, noting
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
        return noting.count_also(known, services, said.clocks, clocks_beside(settings().plans), words, since)
    if said.since is not None:
        raise UsageProblem("--since says from when a clock counts: which one?", hint="--clock CLOCK --since TIME")
    if weight:
        return assess(known, services, weight, clocks_beside(settings().plans), words)
    if words is None:
        raise UsageProblem("--text is missing: say what is to be noted, or why", hint='--text "…"')
    if said.not_due:
        return not_due(known, services, said.not_due, words, said.tenant)
    return noting.note(known, services, words)


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

    of_plans = ((plan, own) for (plan, asset), own in services.histories().items() if plan and not asset)
    every = (one for plan, own in of_plans for one in incidents_of(plan, own.incidents))
    return same_receipts(every).get(str(receipt), [])


@verb(short_help="Close an incident: its cause, effects and remedy.")
@incident_argument
@click.option("--cause", type=click.Choice(CAUSES), required=True, help="What it came from.")
@click.option("--effects", metavar="TEXT", required=True, help="What came of it: at most 500 characters.")
@click.option("--remedy", metavar="TEXT", required=True, help="The remedial action taken: at most 500 characters.")
@click.option("--not-due", metavar="CLOCK", multiple=True, help="Nothing is to be notified by it; --effects says why.")
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

    services = settings().services()
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
