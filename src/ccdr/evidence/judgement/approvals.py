"""Is the version of a plan that is in force approved, and when is it to be looked at again? By records alone: whether a
signature holds is asked when it is recorded, again each day (`plan.examined`), and by whoever acts upon it
(jobs/approvals/)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ccdr.evidence.approvals import AHEAD, PLAN_APPROVED
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import EXAMINED
from ccdr.evidence.verdicts import Record
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339, to_the_second, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.versions import PLAN_VERSION, digest_of, files_of


def approval_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """What is wrong with a plan's approvals. Asked where it has an `approval:` block, or had one when it was approved
    last: to take it out is a change like any other."""
    yield from _broken_glass(history)
    approved, block = history.newest.get(PLAN_APPROVED), loaded.plan.approval
    if block is None and not (approved and approved["about"]["asks"]):
        return
    if why := unapproved(loaded, history, now):
        version = history.newest.get(PLAN_VERSION)
        since = utc(version["time"]) if version is not None else None
        yield Problem(Trouble.PLAN_UNAPPROVED, why, since, about=in_force(loaded, history)[:16])
        return
    due = review_by(loaded, approved or {})
    if due <= now:
        by = (approved or {})["by"]["name"]
        at = to_the_second(str((approved or {})["time"]))
        text = f"its review was due on {due:%Y-%m-%d}: {by} approved it at {at}"
        yield Problem(Trouble.PLAN_REVIEW, text, due, about=rfc3339(due))


def _broken_glass(history: AssetHistory) -> Iterator[Problem]:
    """Judged whatever the plan says now: else it would be over by taking the block out."""
    for nonce, record in history.glass.items():
        text = (
            f"{record['operation']} was carried out without an approval, at {to_the_second(str(record['time']))} by "
            f"{record['actor']} (record {record['seq']}), and nobody has reviewed it"
        )
        why = f"{record['operation']} by {record['actor']}"
        yield Problem(Trouble.BREAK_GLASS, text, utc(record["time"]), about=nonce[:16], why=why)


def in_force(loaded: LoadedPlan, history: AssetHistory) -> str:
    """The digest of the version: as recorded, or of its file where nobody has acted by it yet."""
    version = history.newest.get(PLAN_VERSION)
    return str(version["digest"]) if version is not None else digest_of(files_of(loaded))


def unapproved(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> str | None:
    """Why the version in force is not approved; None where it is."""
    approved, digest = history.newest.get(PLAN_APPROVED), in_force(loaded, history)
    which = f"version {digest[:8]} of the plan"
    if approved is None:
        return f"nobody has approved {which}, and it is to be approved (`approval:`)"
    if (before := str(approved["about"]["digest"])) != digest:
        gone = "; it has no `approval:` any more, which that one had" if loaded.plan.approval is None else ""
        then = f"{approved['by']['name']} has approved version {before[:8]}"
        return f"nobody has approved {which}: {then}, at {to_the_second(str(approved['time']))}{gone}"
    if utc(approved["time"]) > now + AHEAD:
        return f"the approval of {which} is dated in the future: {to_the_second(str(approved['time']))}"
    block = loaded.plan.approval
    if block is not None and block.second_factor and approved["by"].get("user_verified") is not True:
        return f"{which} is to be approved by a second factor, and {approved['by']['name']} signed without one"
    looked = history.newest.get(EXAMINED)
    if looked is not None and looked["seq"] > approved["seq"]:
        return _by_whom(str(looked.get("approval")), f"{which}, by {approved['by']['name']},", str(looked["time"]))
    return None


def _by_whom(found: str, which: str, at: str) -> str | None:
    """That the signature was verified again since, and did not hold."""
    if found == "refused":
        return f"the approval of {which} does not hold any more: who signed it may not approve, {to_the_second(at)}"
    if found == "unreadable":
        return f"the approval of {which} could not be verified: who may approve could not be read, {to_the_second(at)}"
    return None


def review_by(loaded: LoadedPlan, approved: Record) -> datetime:
    """No later than the plan says, whatever was signed."""
    signed, block = utc(approved["until"]), loaded.plan.approval
    return signed if block is None else min(signed, block.review_by(utc(approved["time"])))
