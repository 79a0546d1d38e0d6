"""`ccdr deviation assign`, `note` and `close`: what a person says of a deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import Signing, one_way, sign_or_write, signed_text, signing_options
from ccdr.cli.deviation.shared import deviation_argument, found, plans_there, signers_for, tell, tenant_of
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.evidence.deviations.values import Deviation
    from ccdr.jobs.services import Services


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
    from ccdr.evidence.until import until_of
    from ccdr.jobs.deviations import assign as record

    services, plans = settings().services(), plans_there()
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
    services, plans = settings().services(), plans_there()
    one = found(name, services, plans)
    record(one, services, given, tenant_of(one, plans))
    return tell(found(one.id, services, plans), services)


@dataclass(frozen=True)
class _Accepting:
    accept: bool
    until: str | None
    why: str | None


@verb(short_help="Accept the risk of a deviation until a day, by a signature.")
@deviation_argument
@click.option("--accept", is_flag=True, help="Its risk is accepted; with --until and --why.")
@click.option("--until", metavar="D", help="Until when: a date, a time, or 90d; 366 days at most.")
@click.option("--why", metavar="TEXT", help="Why it can stay as it is until then: at most 500 characters.")
@signing_options
@as_one("signing", Signing)
@as_one("accepting", _Accepting)
def close(name: str, accepting: _Accepting, signing: Signing) -> Exit:
    """Close the deviation ID: a retest does that, by the same or stronger checks, and nobody by hand. What a person can
    do is to accept its risk until a day: somebody who may approve signs it (`ssh-keygen -Y sign -n ccdr-deviation`),
    and that is recorded. It ends by itself; the deviation is open again then, and so it is at once where its signature
    does not hold any more.

    What may mean that evidence was changed, and restore tests that find nothing, are no risk that anybody may accept.

    \b
    Examples:
      ccdr deviation close 3f9a2c1b --accept --until 90d --why "replaced in March, OPS-77" --key ~/.ssh/id_ed25519
      ccdr deviation close 3f9a2c1b --accept --until 90d --why "replaced in March, OPS-77" --write risk.txt
      ccdr deviation close 3f9a2c1b --accept --signed risk.txt     reads risk.txt.sig, too
    """
    services, plans = settings().services(), plans_there()
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
        if one.code in ("TEST_FAILED", "TEST_INCONCLUSIVE", "NEWER_FAILED", "LOG_FAILED", "BREACH_RTO")
        else f"`{' '.join(('ccdr status', one.plan or '')).strip()}` says the next step"
    )
    unchecked = "" if one.unchecked is None else f": record {one.unchecked[0]} is good by fewer or weaker checks"
    raise UsageProblem(
        f"{one.id} is open, and nobody closes it by hand: a retest by the same or stronger checks does{unchecked}",
        hint=f'{again}; `ccdr deviation close {one.id} --accept --until D --why "…" --key KEY` accepts its risk',
    )


def _accepted(one: Deviation, accepting: _Accepting, signing: Signing, services: Services, command: str) -> Exit:
    from ccdr.evidence.acknowledged import why_of
    from ccdr.evidence.until import until_of
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
    accept(one, services, text, signature, signers_for(one, plans), tenant_of(one, plans))
    return tell(found(one.id, services, plans), services)
