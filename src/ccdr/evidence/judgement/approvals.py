"""Is the version of a plan that is in force approved, and when is it to be looked at again? By records, with what
became of their signatures (`ccdr.jobs.approvals.signed_again`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise

from ccdr.evidence.approvals import AHEAD, PLAN_APPROVED
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.statements import refusal
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record
from ccdr.evidence.whose import UNREADABLE, whose
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339, to_the_second, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.versions import PLAN_VERSION, PlanRevision, digest_of, files_of


def approval_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """What is wrong with a plan's approvals. Asked where it has an `approval:` block, or had one when it was approved
    last: to take it out is a change like any other."""
    yield from _broken_glass(history)
    approved, block = history.newest.get(PLAN_APPROVED), loaded.plan.approval
    refused = any(kind_of(one) == PLAN_APPROVED for one in history.refused)
    if block is None and not refused and not (approved and approved["about"]["asks"]):
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
    for nonce, record in history.broken_glass.items():
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
    refused = (one for one in history.refused if kind_of(one) == PLAN_APPROVED)
    said = next((one for one in refused if one["about"]["digest"] == digest), None)
    if said is not None:
        return f"nobody has approved {which}: {refusal(said)}"
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
    by = whose(approved)
    return f"the approval of {which}, by {by}, could not be verified: {by.why}" if by.state == UNREADABLE else None


@dataclass(frozen=True)
class ApprovalGiven:
    """What counts of a plan's approval for how long its versions were in force without one."""

    at: datetime
    digest: str
    asks: bool  # the version that it was given to has an `approval:` block
    second_factor: bool

    @classmethod
    def of(cls, record: Record, at: datetime) -> ApprovalGiven:
        version, second_factor = record["about"], record["by"].get("user_verified") is True
        return cls(at, str(version["digest"]), version["asks"] is True, second_factor)

    def approves(self, version: PlanRevision) -> bool:
        block = version.facts.approval
        return self.digest == version.digest and (self.second_factor or block is None or not block.second_factor)


def seconds_unapproved(
    given: Sequence[ApprovalGiven], version: PlanRevision, since: datetime, until: datetime
) -> float | None:
    """Of the time from `since` to `until`, in which it was in force: for how long the newest approval was of another
    one, or there was none. None: nobody was to approve it. By records alone, as above: whether a signature held is not
    asked."""
    block, asked, seconds = version.facts.approval, False, 0.0
    starts = accumulate((min(max(one.at, since), until) for one in given), max, initial=since)
    for newest, (at, then) in zip((None, *given), pairwise((*starts, until)), strict=True):
        if then > at and (block is not None or (newest is not None and newest.asks)):
            asked = True
            seconds += 0.0 if newest is not None and newest.approves(version) else (then - at).total_seconds()
    return seconds if asked and not version.gone else None


def review_by(loaded: LoadedPlan, approved: Record) -> datetime:
    """No later than the plan says, whatever was signed."""
    signed, block = utc(approved["until"]), loaded.plan.approval
    return signed if block is None else min(signed, block.review_by(utc(approved["time"])))
