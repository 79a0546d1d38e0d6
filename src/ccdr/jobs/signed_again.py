"""What somebody signed is verified again, by who may sign now: a record could have been written by whoever writes the
ledger, and who signed it may have left."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from ccdr.evidence import statements
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import signatures_of
from ccdr.evidence.verdicts import Record
from ccdr.host.signatures import SignatureRefused, names_of, trusted_signers
from ccdr.jobs.own_keys import host_key
from ccdr.jobs.services import Services
from ccdr.jobs.statements import signer_of
from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.plans.model import Approval

HOLDS, REFUSED, UNREADABLE = "holds", "refused", "unreadable"
HOST_KEY = "host_key"  # it holds, and is no person's


def review_again(loaded: LoadedPlan, services: Services) -> str | None:
    """Of the plan's newest review of who has access; None where nobody has signed one."""
    record = services.histories().get((loaded.plan.plan, None), AssetHistory()).newest.get(ACCESS_REVIEWED)
    if record is None or not record.get("by"):
        return None
    return _again(record, [(loaded.plan.approval or Approval()).signers], services)


def attestations_again(loaded: LoadedPlan, services: Services) -> dict[str, str]:
    """Of each signed attestation, by the number of its record; none where the plan names nobody who may sign. By the
    plan's own signers."""
    if loaded.plan.approval is None:
        return {}
    newest = services.histories().get((None, None), AssetHistory()).attested
    signed = [one for one in newest.values() if kind_of(one) == statements.ATTESTATION and one.get("by")]
    return {str(one["seq"]): _again(one, [loaded.plan.approval.signers], services) for one in signed}


def sign_off_again(record: Record, places: Collection[Path], services: Services) -> tuple[str, tuple[str, ...]]:
    """Of a period, by these files of who may sign; `host_key` where it was signed by a key of this host's. And every
    name by which these files have the key."""
    state = _again(record, places, services)
    own = host_key(str(record["by"]["key"]), services)
    names = list[str]()
    for place in places:
        with suppress(UsageProblem):
            names += names_of(str(record["by"]["signature"]), trusted_signers(place))
    return HOST_KEY if state == HOLDS and own is not None else state, tuple(names)


def _again(record: Record, places: Collection[Path], services: Services) -> str:
    """By any of these files; `unreadable` where none of them can be read."""
    (made,), states = signatures_of(record), set[str]()
    for place in places:
        try:
            signer_of(made, record, trusted_signers(place), services.host)
        except SignatureRefused:
            states.add(REFUSED)
        except UsageProblem:
            states.add(UNREADABLE)
        else:
            states.add(HOLDS)
    return next(one for one in (HOLDS, REFUSED, UNREADABLE) if one in states)
