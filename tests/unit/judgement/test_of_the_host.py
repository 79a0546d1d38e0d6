"""What is wrong with this host's own records, and is about none of its plans."""

from __future__ import annotations

import pytest

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.troubles import judge_host
from ccdr.evidence.records.values import UNKNOWN, WRONG
from ccdr.model.trouble import Trouble
from ccdr.plans.job import Job

SPOILT = [(None, 3), ("ab" * 16, 4), (None, 5)]


@pytest.mark.parametrize("many", [1, 2, 3])
def test_lines_that_somebody_changed_are_named_the_last_two_and_known_by_all(many: int) -> None:
    host = AssetHistory()
    assert judge_host([], {(None, None): host}) == ()
    host.spoilt = SPOILT[:many]
    (one,) = judge_host([], {(None, None): host})
    assert (one.trouble, one.about) == (Trouble.LEDGER_SPOILT, " ".join(str(seq) for _, seq in SPOILT[:many]))
    assert ("record 3 of the ledger" in one.text) is (many < 3) and ("and 1 more" in one.text) is (many == 3)
    assert (("record 4 of ledger abababab" in one.text) is (many > 1) and "more" not in one.text) or many == 3


def test_records_that_nothing_is_taken_from_are_the_host_s_where_they_are_of_no_plan_that_is_shown(
    jobs: dict[str, Job],
) -> None:
    own, other, none = AssetHistory(), AssetHistory(), AssetHistory()
    own.passed_over, other.passed_over = {WRONG: (2, 9)}, {WRONG: (1, 7)}
    histories = {("p", "crm"): own, ("gone", "crm"): other, (None, None): none}
    (one,) = judge_host([jobs["crm"].loaded], histories)
    assert (one.trouble, one.about) == (Trouble.RECORDS_WRONG, f"{WRONG} 7")
    none.passed_over = {WRONG: (2, 5), UNKNOWN: (1, 4)}
    unknown, wrong = judge_host([jobs["crm"].loaded], histories)
    assert (unknown.trouble, unknown.about) == (Trouble.RECORDS_UNKNOWN, f"{UNKNOWN} 4")
    assert wrong.about == f"{WRONG} 7" and wrong.text.startswith("3 records")
