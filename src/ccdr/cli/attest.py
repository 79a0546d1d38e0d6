"""`ccdr attest`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import (
    FILE,
    Signing,
    one_way,
    sign,
    signed_text,
    signing_by,
    signing_options,
    write_to_sign,
)
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import rfc3339

if TYPE_CHECKING:
    from ccdr.evidence.records.statements import MeasurePart, Statement
    from ccdr.jobs.attesting import Attested
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class _Stated:
    """What is declared, and on which evidence."""

    item: str | None
    scope: str | None
    statement: str | None
    evidence: tuple[Path, ...]
    until: str | None

    @property
    def empty(self) -> bool:
        return not self.evidence and all(one is None for one in (self.scope, self.statement, self.until))


@dataclass(frozen=True)
class _Signing(Signing):
    """By which key, or where it was signed; none: `actor` stands for it."""

    signers: Path | None


@verb(short_help="Declare what no tool can test, for a while.")
@click.argument("item", required=False)
@click.option("--of", "scope", metavar="NAME", help="Of which host, site or tenant, where there are several.")
@click.option("--statement", metavar="TEXT", help="What is so: at most 500 characters.")
@click.option(
    "--evidence",
    type=FILE,
    metavar="FILE",
    multiple=True,
    help="What shows it: its SHA-256 is recorded, it stays here. May be given several times.",
)
@click.option("--until", metavar="D", help="For how long (365d), to which date, or to which time.")
@signing_options
@click.option("--signers", type=FILE, metavar="FILE", help="Who may sign (/etc/ccdr/allowed_signers).")
@click.option("--list", "listing", is_flag=True, help="Show what is declared, and what is stale.")
@click.option("--end", "ending", is_flag=True, help="It does not hold any more; --statement says why.")
@as_one("stated", _Stated)
@as_one("signing", _Signing)
def attest(stated: _Stated, signing: _Signing, listing: bool, ending: bool) -> Exit:
    """Declare ITEM: what a contact centre does and no tool can test. Who states it, on which evidence (by its SHA-256)
    and until when go into the ledger; the words are kept apart, in the state directory. `ccdr attest --list` names
    every ITEM that there is.

    `ccdr status` tells a month before it ends, and after that it is STALE, until somebody declares it anew. With a key
    it is signed (`ssh-keygen -Y sign -n ccdr-attestation`), by somebody who stands in the file of signers; without, the
    account that recorded it stands for it.

    \b
    Examples:
      ccdr attest staff-training --statement "all 41 agents" --evidence list.pdf --until 365d --key ~/.ssh/id_ed25519
      ccdr attest disk-encryption --of db1 --statement "LUKS, checked by hand" --evidence db1.txt --until 2027-06-30
      ccdr attest --list
      ccdr attest disk-encryption --of db1 --end --statement "the disk was replaced"
    """
    from ccdr.evidence.statements import item_of, scope_of
    from ccdr.jobs.attesting import attest as record
    from ccdr.jobs.attesting import attested
    from ccdr.plans.model import SIGNERS

    services, signers = settings().services(), signing.signers or SIGNERS
    if listing or (stated.item is None and signing.signed is None):
        if stated.item is not None or not stated.empty or ending:
            raise UsageProblem("--list takes nothing else", hint="`ccdr attest --list` shows all that is declared")
        return _list(attested(services))
    if signing.signed is not None:
        return _signed_elsewhere(stated, signing, services, signers)
    assert stated.item is not None
    item, scope = item_of(stated.item), None if stated.scope is None else scope_of(stated.scope)
    if ending:
        return _end(item, scope, stated, signing_by(signing.key, signing.signers))
    given = _given(item, scope, stated, services)
    if signing.into is not None or signing.key is not None:
        one_way(signing.key, signing.into, None, f"ccdr attest {item}")
    if signing.into is not None:
        return write_to_sign(signing.into, given, f"ccdr attest --signed {signing.into}")
    signature = sign(given, signing.key, services) if signing.key is not None else None
    return _tell(record(given, services, signature, signers, _plans(signing)), "attested")


def _plans(signing: _Signing) -> list[LoadedPlan]:
    """All of this host's: whom they name is known only where each can be read."""
    plans, wrong = settings().load_all(())
    if wrong:
        raise wrong[0]
    asked = {plan.plan.approval.signers for plan in plans if plan.plan.approval is not None}
    if asked and signing.signers not in (None, *asked):
        told = ", ".join(map(str, sorted(asked)))
        raise UsageProblem(f"who may sign stands in {told}, as the plans say", hint="leave --signers out")
    return plans


def _given(item: str, scope: str | None, stated: _Stated, services: Services) -> Statement[MeasurePart]:
    from ccdr.evidence.acknowledged import words_of
    from ccdr.evidence.statements import ATTESTABLE, attested_until_of
    from ccdr.jobs.attesting import to_attest

    wanted = {"--statement": stated.statement, "--evidence": stated.evidence or None, "--until": stated.until}
    if missing := [name for name, one in wanted.items() if one is None]:
        raise UsageProblem(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            hint=f'ccdr attest {item} --statement "…" --evidence FILE --until {ATTESTABLE[item].until}',
        )
    assert stated.statement is not None and stated.until is not None
    words, until = (
        words_of(stated.statement, "--statement"),
        attested_until_of(stated.until, item, services.clock.now()),
    )
    return to_attest(item, scope, words, stated.evidence, until, services)


def _signed_elsewhere(stated: _Stated, signing: _Signing, services: Services, signers: Path) -> Exit:
    from ccdr.evidence.records.statements import DECLARE_PART
    from ccdr.jobs.attesting import attest as record

    assert signing.signed is not None
    if stated.item is not None or not stated.empty or signing.key is not None or signing.into is not None:
        raise UsageProblem("--signed takes nothing else: all of it stands in FILE", hint="ccdr attest --signed FILE")
    text, signature = signed_text(signing.signed)
    return _tell(record(DECLARE_PART.read(text), services, signature, signers, _plans(signing)), "attested")


def _end(item: str, scope: str | None, stated: _Stated, services: Services) -> Exit:
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.attesting import end

    if stated.statement is None or stated.evidence or stated.until is not None:
        raise UsageProblem(
            "--end takes a --statement, why it does not hold any more, and nothing else",
            hint=f'ccdr attest {item} --end --statement "…"',
        )
    return _tell(end(item, scope, words_of(stated.statement, "--statement"), services), "ended")


def _tell(done: Attested, what: str) -> Exit:
    one = done.attestation
    if settings().json:
        print_json({what: done.as_json()})
    else:
        told = "declared" if what == "attested" else what
        click.echo(f"{told}  {one.name}, until {rfc3339(one.valid_until)}, by {one.by}")
        if done.same_files:
            click.echo(f"  a file of it stands for {', '.join(done.same_files)}, too: `ccdr controls` says so")
    return Exit.OK


def _list(there: Sequence[Attested]) -> Exit:
    """A stale one is a finding."""
    from ccdr.evidence.payloads import GONE
    from ccdr.evidence.statements import ATTESTABLE

    items = {one.attestation.item for one in there}
    if settings().json:
        print_json(
            {
                "attestations": [one.as_json() for one in there],
                "nobody_attests": [item for item in ATTESTABLE if item not in items],
            }
        )
    else:
        rows = [
            (
                one.attestation.name,
                word(one.state) if one.state == "STALE" else one.state,
                rfc3339(one.attestation.valid_until)[:10],
                f"{one.attestation.by}{'' if one.attestation.key else ' (not signed)'}",
                one.statement or GONE,
                ", ".join(f"{digest[:16]}…" for digest in one.attestation.evidence)
                + (f" (the same for {', '.join(one.same_files)})" if one.same_files else ""),
            )
            for one in there
        ]
        rows += [
            (item, "-", "", "", f"nobody declares: {of.what}", "")
            for item, of in ATTESTABLE.items()
            if item not in items
        ]
        table(("item", "", "until", "by", "statement", "evidence (SHA-256)"), rows)
    return Exit.FINDING if any(one.state == "STALE" for one in there) else Exit.OK
