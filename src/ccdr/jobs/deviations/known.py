"""Deviations with their acceptances verified: by who may approve now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ccdr.evidence.deviations.values import Acceptance, Deviation, State
from ccdr.evidence.records.statements import ACCEPT_FINDING
from ccdr.host.signatures import SignatureRefused, Signer, trusted_signers, verify
from ccdr.jobs.own_keys import host_key
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import utc
from ccdr.plans import LoadedPlan
from ccdr.plans.model import SIGNERS

Signers = Mapping[str, Path]  # by plan: the file of who may approve


def signers_of(plans: Iterable[LoadedPlan]) -> Signers:
    return {p.plan.plan: p.plan.approval.signers for p in plans if p.plan.approval is not None}


def checked(
    deviations: Iterable[Deviation], services: Services, signers: Signers, now: datetime, *, at: datetime | None = None
) -> list[Deviation]:
    """Each whose acceptance would count, with those refused whose signature does not hold: a record could have been
    written by whoever writes the ledger, and who signed it may have left."""
    return [_checked(one, services, signers.get(one.plan or "", SIGNERS), at or now) for one in deviations]


def _checked(one: Deviation, services: Services, signers: Path, now: datetime) -> Deviation:
    while one.state(now) is State.ACCEPTED:
        accepted = one.acceptance(now)
        assert accepted is not None
        try:
            holds(one, accepted, services, signers)
        except UsageProblem:  # where the file of signers cannot be read nobody may approve: it does not count
            one = replace(one, refused=(*one.refused, accepted.number))
        else:
            return one
    return one


def holds(one: Deviation, accepted: Acceptance, services: Services, signers: Path) -> Signer:
    """SignatureRefused where it is not signed by who may approve, of this deviation."""
    by, given = accepted.record["by"], ACCEPT_FINDING.recorded(accepted.record)
    of = given.about
    if (of.deviation, given.plan, of.asset, of.code) != (one.id, one.plan, one.asset, one.code):
        raise SignatureRefused("other", "it is of another deviation")
    signed = verified(given.text(), str(by["signature"]), services, signers, at=utc(accepted.record["time"]))
    if (signed.name, signed.key) != (by["name"], by["key"]):
        raise SignatureRefused("other", "somebody else has signed it")
    return signed


def verified(text: str, signature: str, services: Services, signers: Path, *, at: datetime | None = None) -> Signer:
    """By who may approve, and by no key of this host's own. SignatureRefused or UsageProblem where it is not."""
    signer = verify(text, signature, trusted_signers(signers), ACCEPT_FINDING.namespace, services.host, at=at)
    if (where := host_key(signer.key, services)) is not None:
        raise SignatureRefused(
            "host",
            f"{signer} is a key of this host's own ({where}): whoever administers the host could sign by it",
            hint="have a person sign it, by a key of their own",
        )
    return signer


def find(name: str, deviations: Sequence[Deviation]) -> Deviation:
    """By its id, or the beginning of one. UsageProblem where there is none such, or several."""
    wanted = name.strip().lower()
    found = [one for one in deviations if wanted and one.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageProblem(
            f"{name[:40]!a} is the beginning of several: {', '.join(one.id for one in found)}", hint="write all of it"
        )
    raise UsageProblem(
        f"there is no deviation {name[:40]!a}", hint="`ccdr deviation list --all` shows those that there were"
    )
