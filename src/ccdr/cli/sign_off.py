"""`ccdr sign-off`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE, Signing, one_way, sign_or_write, signed_text, signing_options
from ccdr.cli.output import print_json, table, word
from ccdr.cli.report import plans_of
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, complete_plans, verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import rfc3339

if TYPE_CHECKING:
    from ccdr.evidence.records.statements import PeriodPopulation, Statement
    from ccdr.jobs.services import Services
    from ccdr.telling.report import Period, Report


@dataclass(frozen=True)
class _Asked:
    """Which period, of which plans; no plan: all."""

    first: str | None
    last: str | None
    plan: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return self.first is None and self.last is None and not self.plan

    def period(self, services: Services) -> Period:
        """UsageProblem where it is not over."""
        from ccdr.telling.report.period import ended_period

        if self.first is None or self.last is None:
            raise UsageProblem(
                "which period? --from and --to say when it begins and ends",
                hint="ccdr sign-off --from 2026-07-01 --to 2026-09-30   shows what would be signed",
            )
        return ended_period(self.first, self.last, services.clock.now())


@dataclass(frozen=True)
class _Signing(Signing):
    """By which key, or where it was signed; none: it is shown."""

    signers: Path | None

    @property
    def file(self) -> Path:
        from ccdr.plans.model import SIGNERS

        return self.signers or SIGNERS


@verb("sign-off", short_help="Sign a period: its whole population, by its hash.")
@click.option("--from", "first", metavar="D", help="Begin of the period: a date, an RFC 3339 time, or 90d before --to.")
@click.option("--to", "last", metavar="D", help="End of the period, which has passed; a date is the whole day (UTC).")
@click.option("--plan", metavar="PLAN", multiple=True, shell_complete=complete_plans, help="Only of it; several times.")
@signing_options
@click.option("--signers", type=FILE, metavar="FILE", help="Who may sign (/etc/ccdr/allowed_signers).")
@click.option("--list", "listing", is_flag=True, help="Show what was signed, and whether it still fits.")
@as_one("asked", _Asked)
@as_one("signing", _Signing)
def sign_off(asked: _Asked, signing: _Signing, listing: bool) -> Exit:
    """Sign a period that has ended: somebody who may signs its whole population (rows, and their SHA-256, as
    `ccdr report --format csv` has them) with what it comes to, by OpenSSH's `ssh-keygen -Y sign -n ccdr-sign-off`. The
    text and the signature are recorded. What a second person signs is one more.

    Neither a key of this host signs a period, nor who began a restore test of it by hand. Where the population is
    another one later, the report and --list say that it was signed for another one. Without a way to sign it shows what
    would be signed.

    \b
    Examples:
      ccdr sign-off --from 2026-07-01 --to 2026-09-30                          shows what would be signed
      ccdr sign-off --from 2026-07-01 --to 2026-09-30 --key ~/.ssh/id_ed25519
      ccdr sign-off --from 2026-07-01 --to 2026-09-30 --write q3.txt           for who signs elsewhere
      ccdr sign-off --signed q3.txt                                            reads q3.txt.sig, too
      ccdr sign-off --list
    """
    from ccdr.telling.signing_off import to_sign_off

    services = settings().services()
    if listing:
        if not asked.empty or signing.any:
            raise UsageProblem("--list takes nothing else but --signers", hint="ccdr sign-off --list")
        return _list(services, signing)
    if signing.signed is not None:
        return _signed_elsewhere(asked, signing, services)
    made = _report(asked.period(services), asked.plan, services, signing)
    given = to_sign_off(made, services)
    of = given.about
    command = shlex.join(["ccdr", "sign-off", "--from", rfc3339(of.begins), "--to", rfc3339(of.ends)])
    command += "".join(f" --plan {shlex.quote(name)}" for name in of.plans)
    if signing.key is None and signing.into is None:
        return _shown(given, command)
    one_way(signing.key, signing.into, None, command)
    signature = sign_or_write(given, signing.key, signing.into, "ccdr sign-off", services)
    return _record(given, made, services, signature, signing) if signature else Exit.OK


def _report(
    period: Period, names: Sequence[str], services: Services, signing: _Signing, *, whole: bool = True
) -> Report:
    """Of the period, all of the ledger verified."""
    from ccdr.plans import plan_names
    from ccdr.telling.controls import Asked
    from ccdr.telling.report import make_report

    options = settings()
    there = plan_names(options.plans) if options.plans.is_dir() else []
    return make_report(
        plans_of(names, there, services),
        services,
        period,
        named=names,
        there=there,
        command=shlex.join(["ccdr", *sys.argv[1:]]),
        whole=whole,
        asked=Asked.beside(options.plans),
        signers=signing.file,
    )


def _shown(given: Statement[PeriodPopulation], command: str) -> Exit:
    steps = [f"{command} --key KEY", f"{command} --write FILE"]
    if settings().json:
        print_json({"would_sign": given.text(), "next": steps})
        return Exit.OK
    click.echo(given.text(), nl=False)
    click.echo(f"→ {steps[0]}   signs it here\n→ {steps[1]}   writes it, for who signs elsewhere", err=True)
    return Exit.OK


def _signed_elsewhere(asked: _Asked, signing: _Signing, services: Services) -> Exit:
    from ccdr.evidence.records.statements import SIGN_PERIOD
    from ccdr.telling.report.period import past_period

    assert signing.signed is not None
    if not asked.empty or signing.key is not None or signing.into is not None:
        raise UsageProblem("--signed takes nothing else: all of it stands in FILE", hint="ccdr sign-off --signed FILE")
    text, signature = signed_text(signing.signed)
    given = SIGN_PERIOD.read(text)
    of = given.about
    made = _report(past_period(of.begins, of.ends), of.plans, services, signing)
    return _record(given, made, services, signature, signing)


def _record(
    given: Statement[PeriodPopulation], made: Report, services: Services, signature: str, signing: _Signing
) -> Exit:
    from ccdr.evidence.statements import told_of_not_known
    from ccdr.telling.signing_off import sign_off as record

    seq, signer = record(given, made, services, signature, signing.file)
    again = _report(made.period, given.about.plans, services, signing, whole=False)
    (done,) = (one for one in again.sign_offs if one.record == seq and one.given == given.about)
    if settings().json:
        print_json({"signed_off": done.as_json()})
        return Exit.OK
    click.echo(f"signed  {done.about}: {given.about.rows} rows, by {signer}; record {seq}")
    if told := told_of_not_known(given.about):
        click.echo(f"  {told}")
    return Exit.OK


def _list(services: Services, signing: _Signing) -> Exit:
    """What signs nothing off is a finding, until the same was signed again."""
    from ccdr.evidence.records.statements import PeriodPopulation, StatementRecord
    from ccdr.telling.report.period import past_period
    from ccdr.telling.report.sign_offs import findings_of

    ledgers = [services.ledger, *(chain.reader for chain in services.population().chains if chain.ours)]
    every = (record for ledger in ledgers for record in ledger.newest(StatementRecord))
    there = [one.about for one in every if isinstance(one, StatementRecord) and isinstance(one.about, PeriodPopulation)]
    made = None
    if there:
        period = past_period(min(one.begins for one in there), max(one.ends for one in there))
        made = _report(period, (), services, signing, whole=False)
    sign_offs = made.sign_offs if made else ()
    if settings().json:
        print_json({"sign_offs": [one.as_json() for one in sign_offs]})
    elif not sign_offs:
        click.echo("nobody has signed a period")
    else:
        rows = [
            (
                f"{rfc3339(one.given.begins)[:16]} to {rfc3339(one.given.ends)[:16]}",
                ", ".join(one.given.plans) or "all",
                one.by,
                rfc3339(one.at)[:10],
                "fits" if one.good else word("WRONG"),
                "; ".join(filter(None, [*one.wrong, one.not_known])),
                str(one.record),
            )
            for one in sign_offs
        ]
        table(("period (UTC)", "plans", "by", "signed", "", "why", "record"), rows)
    return Exit.FINDING if any(findings_of(sign_offs)) else Exit.OK
