"""What is wrong with who may do what: a role's credential that may do more than its role, a review that is too old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ccdr.evidence.access import HOLDS, Review
from ccdr.evidence.approvals import AHEAD
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ACCESS_REVIEWED, ACCESS_TESTED
from ccdr.evidence.verdicts import Record
from ccdr.model.access import SAYS, Held, Promise
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339, to_the_second, utc
from ccdr.plans import LoadedPlan


def tried(loaded: LoadedPlan, history: AssetHistory) -> Record | None:
    """The newest trial of the roles' credentials; none counts that was of another repository."""
    last, own = history.newest.get(ACCESS_TESTED), loaded.facts.repository
    if last is None or own is None or last["repository"] != own.location:
        return None
    return last


def broken(record: Record) -> list[str]:
    """The promises that did not hold, as sentences."""
    return [
        f"that {SAYS[Promise(one['promise'])]}: {one['why']}"
        for one in record["promises"]
        if one["result"] == Held.BROKEN.value
    ]


def too_old(record: Record, now: datetime) -> bool:
    return not -AHEAD <= now - utc(record["time"]) <= HOLDS


def access_of(loaded: LoadedPlan, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """By the newest trial, and by the newest review. What was never tried, or never reviewed, is told by `controls`."""
    last = tried(loaded, history)
    if last is not None and (wrong := broken(last)):
        text = f"tried at {to_the_second(str(last['time']))}, it does not hold {'; nor '.join(wrong)}"
        about = ",".join(one["promise"] for one in last["promises"] if one["result"] == Held.BROKEN.value)
        yield Problem(Trouble.ACCESS_BROKEN, text, utc(last["time"]), about=about)
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
