"""What was acknowledged covers what is as bad and for the same cause, and nothing that is worse."""

from __future__ import annotations

import pytest
from tests.support.chronicle import Chronicle
from tests.support.judged import END, acked, judged, well

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.model.trouble import Problem
from ccdr.plans.job import Job


def of_code(found: AssetStatus, code: str) -> Problem:
    (problem,) = [p for p in found.troubles if p.trouble.name == code]
    return problem


@pytest.mark.parametrize(
    ("kind", "then", "later", "covered"),
    [
        ("reconcile", "9997 of 10000 rows match, missing 3", "9997 of 10000 rows match, missing 3", True),
        ("reconcile", "9997 of 10000 rows match, missing 3", "3 of 10000 rows match, missing 9997", False),
        (
            "reconcile",
            "3 of 900 files without a row, in flight 0",
            "800 of 900 files without a row, in flight 0",
            False,
        ),
        ("reconcile", "3 of 900 files without a row, in flight 0", "2 of 900 files without a row, in flight 0", False),
        ("decodable", "1 of 300 files do not decode", "299 of 300 files do not decode", False),
        ("rows", "2999", "2999", True),
        ("rows", "2999", "0", False),
        ("rows", "2999", "9000000", False),  # it may have an upper bound
        ("identical", "differs: call", "differs: customer", False),
        ("freshness", "3h 10m before it", "27h 10m before it", True),  # an age, which grows with each look
    ],
)
def test_a_failed_check_is_acknowledged_as_bad_as_it_was(
    jobs: dict[str, Job], past: Chronicle, kind: str, then: str, later: str, covered: bool
) -> None:
    def failing(hours: float, name: str, actual: str) -> Problem:
        check = {"name": "the check", "kind": kind, "status": "FAIL", "expected": "-", "actual": actual}
        check |= {"varies": True} if kind == "freshness" else {}
        past.stored(hours - 0.2, name, begun=True)
        past.tested(hours, name, "FAIL", begun=True, checks=[check], reason=actual)
        return of_code(judged(jobs["crm"], past), "TEST_FAILED")

    assert acked(failing(-3, "a", then), failing(-0.5, "b", later)) is covered


def test_a_backup_that_fails_for_another_cause_was_not_acknowledged(jobs: dict[str, Job], past: Chronicle) -> None:
    def failing(hours: float, why: str) -> Problem:
        past.failed(hours, why)
        return of_code(judged(jobs["crm"], past), "BACKUP_FAILED")

    well(past)
    first = failing(-0.4, "the repository is locked since 3 min")
    assert acked(first, failing(-0.3, "the repository is locked since 40 min"))
    assert not acked(first, failing(-0.2, "the repository does not open: wrong key"))


def test_upkeep_that_breaks_for_another_cause_was_not_acknowledged(jobs: dict[str, Job], past: Chronicle) -> None:
    def caring(code: str) -> Problem:
        (problem,) = [p for p in judge_upkeep(jobs["crm"].loaded, past.histories, END) if p.trouble.name == code]
        return problem

    for code, tell in (
        ("CHECK_INCONCLUSIVE", lambda hours, why: past.checked(hours, "INCONCLUSIVE", reason=why)),
        ("PRUNE_FAILED", lambda hours, why: past.pruned(hours, "FAILED", reason=why)),
    ):
        tell(-3, "it is locked")
        first = caring(code)
        tell(-2, "it is locked")
        assert acked(first, caring(code))
        tell(-1, "it does not open: wrong key")
        assert not acked(first, caring(code)), code
