"""Is the version of a plan that is in force approved, by whom, and until when; and may anybody do more than their role?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import convert
from tests.support.chronicle import NOUGHT, Chronicle, digest
from tests.support.control_histories import BY, access_reviewed, glass_broken, glass_reviewed, roles_tried, stated
from tests.support.control_histories import version as versioned
from tests.support.harness import Site
from tests.support.judged import END
from tests.support.records import body_of
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.upkeep import (
    ApprovalGiven,
    access_of,
    approval_of,
    in_force,
    review_by,
    seconds_unapproved,
    too_old,
    unapproved,
)
from ccdr.evidence.records import AccessTested
from ccdr.evidence.records.statements import StatementRecord
from ccdr.evidence.whose import HOLDS, REFUSED, UNREADABLE, State, seen
from ccdr.model.trouble import Problem
from ccdr.model.values import AHEAD, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.facts import PlanFacts
from ccdr.plans.versions import PlanRevision, digest_of, files_of

ONE, TWO = "1" * 64, "2" * 64
DAY, SECOND = 24.0, 1 / 3600
REVIEW = timedelta(days=30)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedPlan]:
    """By whether it is to be approved: not at all, for thirty days, by a second factor."""
    site = Site(tmp_path_factory.mktemp("approved"), bare=True)
    blocks = {
        "none": "",
        "asks": "approval: {review: 30d}\n",
        "factor": "approval: {review: 30d, second_factor: true}\n",
    }
    for name, block in blocks.items():
        site.plan("crm: {engine: files, paths: [/spool]}", name=name, extra=block)
    return {name: site.loaded(name) for name in blocks}


@pytest.fixture
def past() -> Chronicle:
    return Chronicle(END, "/spool")


def version(past: Chronicle, hours: float, of: str) -> None:
    versioned(past, hours)
    past.records[-1]["digest"] = of


def approved(past: Chronicle, hours: float, of: str, *, asks: bool = True, days: float = 30, **by: Any) -> None:
    until, by = rfc3339(past.at(hours + days * DAY)), BY | by
    stated(past, hours, "approve.plan", {"digest": of, "asks": asks}, until=until, by=by)


def found(loaded: LoadedPlan, past: Chronicle, hours: float = 0, *refused: StatementRecord) -> list[Problem]:
    return list(approval_of(loaded, history(past, *refused), past.at(hours)))


def history(past: Chronicle, *refused: StatementRecord) -> AssetHistory:
    return replace(past.history(None), refused=list(refused))


def codes(*of: Any) -> list[str]:
    return [p.trouble.name for p in found(*of)]


def statement(record: dict[str, Any]) -> StatementRecord:
    made = sparse_record(record)
    assert isinstance(made, StatementRecord)
    return made


def marked(past: Chronicle, state: State, why: str = "no such signer", **more: Any) -> StatementRecord:
    """The newest record, with what became of its signature."""
    return seen(statement(past.records[-1] | more), state, why)


# --- approvals ----------------------------------------------------------------------------------------------------


def test_a_version_is_approved_once_its_own_approval_is_recorded(plans: dict[str, LoadedPlan], past: Chronicle) -> None:
    assert codes(plans["none"], past) == [] and codes(plans["asks"], past) == ["PLAN_UNAPPROVED"]
    version(past, -9, ONE)
    (one,) = found(plans["asks"], past)
    assert (one.since, one.about, "11111111" in one.text) == (past.at(-9), ONE[:16], True)
    approved(past, -8, TWO)
    (other,) = found(plans["asks"], past)
    assert (other.about, other.since) == (one.about, one.since) and "22222222" in other.text and "Ana" in other.text
    assert "1" * 9 not in other.text and "2" * 9 not in other.text, "eight letters name a version"
    assert "no `approval:` any more" not in other.text
    approved(past, -7, ONE)
    assert codes(plans["asks"], past) == []


def test_before_anybody_acted_by_a_plan_its_file_is_what_is_in_force(
    plans: dict[str, LoadedPlan], past: Chronicle
) -> None:
    own = digest_of(files_of(plans["asks"]))
    assert in_force(plans["asks"], history(past)) == own
    (one,) = found(plans["asks"], past)
    assert (one.about, one.since) == (own[:16], None)
    approved(past, -1, own)
    assert codes(plans["asks"], past) == []
    version(past, -0.5, ONE)
    assert in_force(plans["asks"], history(past)) == ONE


def test_to_take_the_block_out_is_a_change_that_is_to_be_approved(
    plans: dict[str, LoadedPlan], past: Chronicle
) -> None:
    version(past, -9, ONE)
    approved(past, -9, TWO)
    (one,) = found(plans["none"], past)
    assert one.trouble.name == "PLAN_UNAPPROVED" and "no `approval:` any more" in one.text
    approved(past, -8, ONE, asks=False)
    assert codes(plans["none"], past) == []
    version(past, -7, TWO)
    assert codes(plans["none"], past) == [], "then it is a plan like any other"


def test_an_approval_is_to_be_looked_at_again_when_the_plan_says_whatever_was_signed(
    plans: dict[str, LoadedPlan], past: Chronicle
) -> None:
    version(past, 0, ONE)
    approved(past, 0, ONE, days=365)
    assert codes(plans["asks"], past, 30 * DAY - SECOND) == []
    (due,) = found(plans["asks"], past, 30 * DAY)
    assert (due.trouble.name, due.since, due.about) == ("PLAN_REVIEW", END + REVIEW, rfc3339(END + REVIEW))
    assert "Ana" in due.text and "2026-12-24" in due.text
    approved(past, DAY, ONE, days=2)
    assert codes(plans["asks"], past, 3 * DAY - SECOND) == [] and codes(plans["asks"], past, 3 * DAY) == ["PLAN_REVIEW"]
    record = statement(past.records[-1])
    assert review_by(plans["none"], record) == review_by(plans["asks"], record) == past.at(3 * DAY)
    assert codes(plans["none"], past, 3 * DAY) == ["PLAN_REVIEW"], "until what takes the block out is approved"


def test_an_approval_that_is_dated_ahead_approves_nothing(plans: dict[str, LoadedPlan], past: Chronicle) -> None:
    version(past, -9, ONE)
    approved(past, 0, ONE)
    now = past.at(0)
    assert unapproved(plans["asks"], history(past), now - AHEAD) is None
    assert "future" in str(unapproved(plans["asks"], history(past), now - AHEAD - timedelta(seconds=1)))


@pytest.mark.parametrize(("verified", "told"), [(True, False), (False, True), (None, True)])
def test_a_second_factor_is_one_that_knew_its_user(
    plans: dict[str, LoadedPlan], past: Chronicle, verified: bool | None, told: bool
) -> None:
    version(past, -9, ONE)
    approved(past, -8, ONE, user_verified=verified)
    assert codes(plans["factor"], past) == (["PLAN_UNAPPROVED"] if told else [])
    assert codes(plans["asks"], past) == [], "where none is asked for"
    assert not told or "Ana" in found(plans["factor"], past)[0].text


def test_an_approval_that_is_refused_is_none_and_one_that_nobody_could_verify_is_told(
    plans: dict[str, LoadedPlan], past: Chronicle
) -> None:
    version(past, -9, ONE)
    approved(past, -8, ONE)
    bare = history(past)
    states: tuple[State, ...] = (HOLDS, UNREADABLE)
    there = {
        state: unapproved(plans["asks"], replace(bare, approval=marked(past, state)), past.at(0)) for state in states
    }
    assert there[HOLDS] is None and "no such signer" in str(there[UNREADABLE]) and "Ana" in str(there[UNREADABLE])
    refused = marked(past, REFUSED, "it is not among them")
    other = marked(past, REFUSED, "no", **body_of("accept.finding"))
    gone = replace(bare, approval=None, refused=[other, refused])
    (one,) = approval_of(plans["none"], gone, past.at(0))
    assert one.trouble.name == "PLAN_UNAPPROVED" and "it is not among them" in one.text and "record 2" in one.text
    assert list(approval_of(plans["none"], replace(gone, refused=[other]), past.at(0))) == []
    before = history(past, marked(past, REFUSED, about={"of": "plan", "digest": TWO, "asks": True}))
    assert unapproved(plans["asks"], before, past.at(0)) is None, "of another version"


def test_broken_glass_stands_until_somebody_has_reviewed_it_whatever_the_plan_says(
    plans: dict[str, LoadedPlan], past: Chronicle
) -> None:
    glass_broken(past, -5, "recover")
    (one,) = found(plans["none"], past)
    assert (one.trouble.name, one.since, one.about, one.why) == (
        "BREAK_GLASS", past.at(-5), NOUGHT[:16], "recover by a",
    )  # fmt: skip
    assert "record 1" in one.text
    glass_reviewed(past, -4)
    assert codes(plans["none"], past) == []


# --- for how long -------------------------------------------------------------------------------------------------


def revision(of: str, asks: bool = True, second_factor: bool = False, gone: bool = False) -> PlanRevision:
    block = {"signers": NOUGHT, "review": 86400.0, "second_factor": second_factor, "recover": False}
    facts = {"format": 2, "timezone": "UTC", "mtd": None, "retention": None, "prune": "0 5 * * *"}
    asset = {"engine": "files", "method": "scan", "source": NOUGHT, "rpo": 1.0, "rto": 1.0, "settings": "throwaway"}
    facts |= {"assets": {} if gone else {"crm": asset}}
    facts |= {"check": "0 6 * * *", "parts": 2, "approval": block if asks else None}
    facts |= {"repository": {"location": NOUGHT, "on_host": False, "apart": True}}
    return PlanRevision("p", of, convert(facts, PlanFacts), 1, END, "root", None, {})


def given(hours: float, of: str = ONE, *, asks: bool = True, second_factor: bool = False) -> ApprovalGiven:
    return ApprovalGiven(END + timedelta(hours=hours), of, asks, second_factor)


@pytest.mark.parametrize(
    ("approvals", "version", "hours"),
    [
        ([], revision(ONE), 4),
        ([], revision(ONE, asks=False), None),  # nobody was to approve it
        ([given(1)], revision(ONE), 1),
        ([given(-1)], revision(ONE), 0),
        ([given(9)], revision(ONE), 4),
        ([given(1), given(2, TWO), given(3)], revision(ONE), 2),
        ([given(1, asks=False), given(2, TWO, asks=False)], revision(ONE, asks=False), None),
        ([given(-1, TWO)], revision(ONE, asks=False), 4),  # to take the block out
        ([given(-1, TWO), given(1, asks=False)], revision(ONE, asks=False), 1),
        ([given(1, TWO)], revision(ONE, asks=False), 3),  # before that, nobody had to
        ([given(1)], revision(ONE, second_factor=True), 4),
        ([given(1, second_factor=True)], revision(ONE, second_factor=True), 1),
        ([given(1), given(0.5, TWO)], revision(ONE), 4),  # by a clock that went back
        ([], revision(ONE, gone=True), None),
    ],
)
def test_the_time_without_an_approval_is_what_the_newest_one_was_not_of(
    approvals: list[ApprovalGiven], version: PlanRevision, hours: float | None
) -> None:
    told = seconds_unapproved(approvals, version, END, END + timedelta(hours=4))
    assert told == (None if hours is None else hours * 3600)


def test_what_counts_of_an_approval_is_what_was_signed(past: Chronicle) -> None:
    for verified in (True, False, None):
        approved(past, -1, ONE, asks=verified is True, user_verified=verified)
        one = ApprovalGiven.of(statement(past.records[-1]), END)
        assert (one.at, one.digest, one.asks, one.second_factor) == (END, ONE, verified is True, verified is True)


# --- who may do what ----------------------------------------------------------------------------------------------


@pytest.fixture
def tried(plans: dict[str, LoadedPlan]) -> tuple[LoadedPlan, Chronicle]:
    """A plan, and a past at its repository."""
    loaded = plans["none"]
    assert loaded.facts.repository is not None
    return loaded, Chronicle(END, "/spool", repository=loaded.facts.repository.location)


def broken(loaded: LoadedPlan, past: Chronicle, hours: float = 0) -> list[Problem]:
    return list(access_of(loaded, past.history(None), past.at(hours)))


def test_a_promise_that_did_not_hold_is_told_until_it_was_tried_again_and_held(
    tried: tuple[LoadedPlan, Chronicle],
) -> None:
    loaded, past = tried
    roles_tried(past, -9)
    assert broken(loaded, past) == []
    roles_tried(past, -8, "BROKEN")
    (one,) = broken(loaded, past)
    assert (one.trouble.name, one.since, one.about) == ("ACCESS_BROKEN", past.at(-8), "verify_cannot_write")
    assert "so it is" in one.text and "verify reads" in one.text
    roles_tried(past, -7, "NOT_SHOWN")
    assert [p.since for p in broken(loaded, past)] == [past.at(-8)], "that it cannot be tried mends nothing"
    roles_tried(past, -6)
    assert broken(loaded, past) == []


def test_a_trial_says_nothing_of_another_repository_nor_of_a_role_that_is_named_no_more(
    tried: tuple[LoadedPlan, Chronicle],
) -> None:
    loaded, past = tried
    roles_tried(past, -8, "BROKEN")
    roles_tried(past, -7, "NOT_SHOWN", state="not_named")
    assert broken(loaded, past) == []
    roles_tried(past, -6, "NOT_SHOWN")
    assert len(broken(loaded, past)) == 1, "the twin"
    roles_tried(past, -5, "NOT_SHOWN", repository=digest("other"))
    assert broken(loaded, past) == []
    other = Chronicle(END, "/spool", repository=digest("other"))
    roles_tried(other, -8, "BROKEN")
    assert broken(loaded, other) == []
    roles_tried(other, -7, "NOT_SHOWN", repository=past.repository)
    assert broken(loaded, other) == [], "what was broken there says nothing of here"


def test_a_review_of_access_ends_after_three_months_and_is_told_a_month_before(
    tried: tuple[LoadedPlan, Chronicle],
) -> None:
    loaded, past = tried
    assert broken(loaded, past) == []
    access_reviewed(past, 0, by=BY)
    ends = past.at(92 * DAY)
    assert broken(loaded, past, 62 * DAY - SECOND) == []
    (soon,) = broken(loaded, past, 62 * DAY)
    assert (soon.trouble.name, soon.about, soon.since) == ("ACCESS_REVIEW_ENDS", rfc3339(ends), None)
    assert "Ana" in soon.text and "record 1" in soon.text
    assert [p.trouble.name for p in broken(loaded, past, 92 * DAY - SECOND)] == ["ACCESS_REVIEW_ENDS"]
    (over,) = broken(loaded, past, 92 * DAY)
    assert (over.trouble.name, over.about, over.since) == ("ACCESS_REVIEW", rfc3339(ends), ends)


def test_a_review_that_found_something_is_told_at_once(tried: tuple[LoadedPlan, Chronicle]) -> None:
    loaded, past = tried
    access_reviewed(past, -1, "to_be_changed")
    (one,) = broken(loaded, past)
    assert (one.trouble.name, one.since, one.about) == (
        "ACCESS_REVIEW", past.at(-1), rfc3339(past.at(92 * DAY - 1)),
    )  # fmt: skip
    access_reviewed(past, -0.5)
    assert broken(loaded, past) == []


def test_a_trial_shows_something_for_three_months() -> None:
    record = sparse_record({"kind": "access.tested", "plan": "p", "run": "r", "time": rfc3339(END)})
    assert isinstance(record, AccessTested)
    moments = [-AHEAD - timedelta(seconds=1), -AHEAD, timedelta(days=92), timedelta(days=92, seconds=1)]
    assert [too_old(record, END + after) for after in moments] == [True, False, False, True]
