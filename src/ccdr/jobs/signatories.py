"""Whose word a statement may be, by the table's column for that: for who records one as for who reads it."""

from __future__ import annotations

import contextlib
import pwd
from collections.abc import Iterable, Iterator
from typing import Any

from ccdr.evidence.records.access import AccessExported
from ccdr.evidence.records.approvals import GlassBroken
from ccdr.evidence.records.erasures import ErasureReplay
from ccdr.evidence.records.statements import (
    ExportOfAccess,
    GlassBreak,
    Handover,
    MeasurePart,
    PeriodPopulation,
    Signatory,
    SignedBy,
    Statement,
)
from ccdr.evidence.records.values import RecordedUser
from ccdr.evidence.statements import ROOT, named_for, names_somebody, person
from ccdr.host.signatures import SignatureRefused, key_of, names_of
from ccdr.jobs.own_keys import account_of, host_key
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan


def refuse(
    given: Statement[Any],
    by: SignedBy | None,
    actor: str,
    signers: str,
    plans: Iterable[LoadedPlan],
    services: Services,
) -> None:
    """SignatureRefused where it may not be their word: who has signed it, by the text of that file of `signers`, or the
    `actor`, where nobody has. Who did what it is about is held against a signature alone."""
    name, named = by.name if by else actor, _named(given, plans)
    if named and name not in named:
        what = f" {given.about.item}" if isinstance(given.about, MeasurePart) else ""
        raise SignatureRefused(
            "not_named",
            f"{name} may not {given.row.to}{what}: for that the plans name {', '.join(named)}",
            hint="have one of these sign it, or name them in the plan: `declarations:`, `risk_owner:`",
        )
    if by is None:
        return
    if given.row.by in (Signatory.INDEPENDENT, Signatory.RISK_OWNER):
        _refuse_host(by, services)
    if given.row.by in (Signatory.INDEPENDENT, Signatory.OTHERS):
        _refuse_who_did_it(given, by, signers, services)


def _named(given: Statement[Any], plans: Iterable[LoadedPlan]) -> list[str]:
    match given.row.by:
        case Signatory.NAMED if isinstance(given.about, MeasurePart):
            return named_for(given.about.item, plans)
        case Signatory.RISK_OWNER:
            return [one.plan.risk_owner for one in plans if one.plan.plan == given.plan and one.plan.risk_owner]
        case _:
            return []


def _refuse_host(by: SignedBy, services: Services) -> None:
    if (where := host_key(by.key, services)) is not None:
        raise SignatureRefused(
            "host",
            f"{by.name} has signed by a key of this host ({where}): whoever administers the host could sign by it",
            hint="a person signs by a key of their own, best a security key",
        )


def _refuse_who_did_it(given: Statement[Any], by: SignedBy, signers: str, services: Services) -> None:
    accounts = sorted(_did(given, services))
    persons = {person(name) for name in (by.name, *names_of(by.signature, signers))}
    name = next((name for name in accounts if person(name) in persons), None)
    if name is None:
        name = account_of(key_of(by.signature), [one for one in accounts if names_somebody(one)])
    if name is not None:
        told = "as root, which may be anybody who has its rights" if name == ROOT else f"as {name}"
        did = "began a restore test of the period by hand" if isinstance(given.about, PeriodPopulation) else "did it"
        raise SignatureRefused(
            "did_it",
            f"{by.name} {did}, {told}: it is for somebody else to {given.row.to}",
            hint="have another person of allowed_signers sign it: docs/how-to/approve.md, Who may approve",
        )


def _did(given: Statement[Any], services: Services) -> Iterable[str]:
    """The accounts that did what it is about. SignatureRefused where no record tells of that."""
    match given.about:
        case PeriodPopulation(accounts=accounts):
            return accounts
        case GlassBreak(record=number) | Handover(replay=number) | ExportOfAccess(export=number):
            line = services.ledger.numbered(number)
        case _:
            return ()
    match given.about, line:
        case (
            (GlassBreak(glass=seen), GlassBroken(nonce=there, actor=actor, who=who))
            | (Handover(at=seen), ErasureReplay(time=there, actor=actor, who=who))
            | (ExportOfAccess(export_sha256=seen), AccessExported(export_sha256=there, actor=actor, who=who))
        ) if seen == there:
            return accounts_of(actor, who)
    raise SignatureRefused("other", f"record {number} is not what it is about")


def accounts_of(actor: str, who: RecordedUser | None) -> Iterator[str]:
    """Who began it, as far as the record tells: the account, who had logged in, who `sudo` says it was."""
    names = [*actor.partition("@")[0].split(" as "), who and who.claims.sudo_user]
    if who is not None and who.login_uid is not None:
        with contextlib.suppress(KeyError, OverflowError):
            names.append(pwd.getpwuid(who.login_uid).pw_name)
    return (name for name in names if name and name != ROOT)
