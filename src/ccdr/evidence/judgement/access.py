"""What is wrong with who may do what: a role's credential that may do more than its role, a review that is too old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ccdr.evidence.access import HOLDS, Review
from ccdr.evidence.approvals import AHEAD
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_REVIEWED, ACCESS_TESTED
from ccdr.evidence.verdicts import Record
from ccdr.model.access import OF_ROLE, SAYS, Promise, RoleState
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339, to_the_second, utc
from ccdr.plans import LoadedPlan


def tried(loaded: LoadedPlan, history: AssetHistory) -> Record | None:
    """The newest trial of the roles' credentials; none counts that was of another repository."""
    last, own = history.newest.get(ACCESS_TESTED), loaded.facts.repository
    if last is None or own is None or last["repository"] != own.location:
        return None
    return last


def broken(loaded: LoadedPlan, history: AssetHistory) -> dict[Promise, Record]:
    """The promises that did not hold when somebody could last try them at this repository, each with that trial: that
    it cannot be tried any more, here or with what lies here, mends nothing."""
    if (last := tried(loaded, history)) is None:
        return {}
    there = {promise: history.newest.get(f"{ACCESS_TESTED}.{promise.value}") for promise in Promise}
    named = {promise for promise in Promise if last["roles"].get(OF_ROLE.get(promise)) != RoleState.NOT_NAMED.value}
    return {
        promise: record
        for promise, record in there.items()
        if record is not None and record["repository"] == last["repository"] and promise in named
    }


def _said(promise: Promise, record: Record) -> str:
    why = next(one["why"] for one in record["promises"] if one["promise"] == promise.value)
    return f"that {SAYS[promise]}: {why}"


def too_old(record: Record, now: datetime) -> bool:
    return not -AHEAD <= now - utc(record["time"]) <= HOLDS


def access_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """By the newest trial, and by the newest review. What was never tried, or never reviewed, is told by `controls`."""
    if wrong := broken(loaded, history):
        first = min((str(record["time"]) for record in wrong.values()), key=utc)
        said = "; nor ".join(_said(*one) for one in wrong.items())
        about = ",".join(promise.value for promise in wrong)
        text = f"tried at {to_the_second(first)}, it does not hold {said}"
        yield Problem(Trouble.ACCESS_BROKEN, text, utc(first), about=about)
    if (record := history.newest.get(ACCESS_REVIEWED)) is not None:
        yield from _review(Review.of(record), now)


def _review(review: Review, now: datetime) -> Iterator[Problem]:
    until, about = to_the_second(rfc3339(review.valid_until)), rfc3339(review.valid_until)
    said = f"who has access was last looked at by {review.by} (record {review.seq})"
    if not review.holds(now):
        yield Problem(Trouble.ACCESS_REVIEW, f"{said}, and that held until {until}", review.valid_until, about=about)
    elif not review.in_order:
        yield Problem(
            Trouble.ACCESS_REVIEW, f"{said}, who found something that is to be changed", review.made, about=about
        )
    elif review.ends_soon(now):
        yield Problem(Trouble.ACCESS_REVIEW_ENDS, f"{said}, and that holds until {until}", about=about)
