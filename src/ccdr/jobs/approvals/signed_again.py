"""What people signed is verified when it is told, by who may sign now: a record could have been written by whoever
writes the ledger, and who signed it may have left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ccdr.evidence.approvals import APPROVED_BEFORE, PLAN_APPROVED
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.history.places import Histories
from ccdr.evidence.verdicts import Record
from ccdr.evidence.whose import whose
from ccdr.jobs.approvals.plans import approval_in_force, block_of
from ccdr.jobs.services import Services
from ccdr.jobs.statements import verified_as
from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.plans.model import SIGNERS, Approval

_APPROVALS = (PLAN_APPROVED, APPROVED_BEFORE)


def believed(plans: Sequence[LoadedPlan], services: Services, histories: Histories | None = None) -> Histories:
    """The histories, in which each signed statement that is in force has what became of its signature (`whose`), but
    for those that are not by who may sign: these are `refused`, and nothing else. By the signers of these plans; what
    is stated of the host, by theirs or this host's. CcdrError where the ledger cannot be read."""
    told = dict(services.histories() if histories is None else histories)
    for loaded in plans:
        place = loaded.plan.plan, None
        if place in told:
            told[place] = _of_plan(told[place], loaded, services)
    if (host := told.get((None, None))) is not None:
        places = dict.fromkeys((*(p.plan.approval.signers for p in plans if p.plan.approval is not None), SIGNERS))
        attested, refused = _parted(host.attested, places, services)
        told[None, None] = replace(host, attested=attested, refused=refused)
    return told


def _of_plan(history: AssetHistory, loaded: LoadedPlan, services: Services) -> AssetHistory:
    approved, refused = approval_in_force(loaded, services, history)
    of_review = {kind: one for kind, one in history.newest.items() if kind == ACCESS_REVIEWED}
    review, strange = _parted(of_review, [(loaded.plan.approval or Approval()).signers], services)
    reviews, others = _parted(history.glass_reviews, _reviewers(loaded, services), services)
    newest = {kind: one for kind, one in history.newest.items() if kind not in (*_APPROVALS, ACCESS_REVIEWED)}
    newest |= review | ({} if approved is None else {PLAN_APPROVED: approved})
    return replace(history, newest=newest, glass_reviews=reviews, refused=[*refused, *strange, *others])


def _reviewers(loaded: LoadedPlan, services: Services) -> list[Path]:
    """By which files somebody may say that a broken glass was reviewed; none where nobody knows."""
    with suppress(UsageProblem):
        return [(block_of(loaded, services) or Approval()).signers]
    return []


def _parted(
    records: Mapping[str, Record], places: Collection[Path], services: Services
) -> tuple[dict[str, Record], list[Record]]:
    """With what became of their signatures; and those that are refused."""
    seen = {name: verified_as(one, places, services.host) for name, one in records.items()}
    refused = [one for one in seen.values() if whose(one).refused]
    return {name: one for name, one in seen.items() if not whose(one).refused}, refused
