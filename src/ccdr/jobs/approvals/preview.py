"""What somebody would sign: the version of a plan as it stands, and what of it differs from the one approved last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.approvals import PLAN_APPROVED
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.approvals import unapproved
from ccdr.jobs.approvals.plans import not_here, to_approve
from ccdr.jobs.approvals.signed_again import believed
from ccdr.jobs.in_force import kept_texts
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.changed_keys import changed_keys
from ccdr.plans.versions import files_of


@dataclass(frozen=True)
class ToBeApproved:
    """`before` is the version that was approved last, `keys` are those that differ from it; both None where there is
    none, or its files are gone. `why` says why the version in force is not approved; None where it is."""

    plan: str
    version: str
    review_by: datetime
    files: Mapping[str, str]
    before: str | None
    keys: tuple[str, ...] | None
    why: str | None
    not_here: tuple[str, ...] = ()  # ledgers in which an approval from before may stand

    @property
    def next(self) -> list[str]:
        command = f"ccdr plan approve {self.plan}"
        return [f"{command} --key KEY", f"{command} --write FILE"]

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "version": self.version,
            "review_by": rfc3339(self.review_by),
            "files": dict(self.files),
            "approved_before": self.before,
            "changed_keys": None if self.keys is None else list(self.keys),
            "why": self.why,
            "not_here": list(self.not_here),
            "next": self.next,
        }


def to_be_approved(loaded: LoadedPlan, services: Services) -> ToBeApproved:
    """UsageProblem where the plan is not to be approved."""
    text, plan = to_approve(loaded, services), loaded.plan.plan
    history = believed([loaded], services).get((plan, None), AssetHistory())
    approved = history.newest.get(PLAN_APPROVED)
    before = None if approved is None else str(approved["about"]["digest"])
    texts = None if before is None else kept_texts(services, plan, before)
    keys = None if texts is None else changed_keys(texts, loaded.texts)
    why = unapproved(loaded, history, services.clock.now())
    elsewhere = not_here(plan, services)
    return ToBeApproved(plan, text.about.digest, text.expiry, files_of(loaded), before, keys, why, elsewhere)
