"""What a negative control concludes from its copies: the damage alone may be what a damaged one failed by."""

from __future__ import annotations

import pytest

from ccdr.jobs.negative_control import CopyResult, NegativeControl
from ccdr.model.values import CheckResult, Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def copy(verdict: Verdict, reason: str | None = None, **checks: Verdict) -> CopyResult:
    return CopyResult(verdict, reason, [CheckResult("sql", name, status, "1", "2") for name, status in checks.items()])


@pytest.mark.parametrize(
    ("damaged", "again", "result"),
    [
        (copy(FAIL, a=FAIL), None, "CAUGHT"),
        (copy(FAIL, a=FAIL), copy(PASS, a=PASS), "CAUGHT"),
        (copy(FAIL, a=FAIL), copy(FAIL, a=FAIL), "INCONCLUSIVE"),
        (copy(FAIL, a=FAIL, b=FAIL), copy(FAIL, a=FAIL, b=PASS), "CAUGHT"),
        (copy(FAIL, a=FAIL), copy(INCONCLUSIVE, a=INCONCLUSIVE), "INCONCLUSIVE"),
        (copy(FAIL, a=FAIL), copy(INCONCLUSIVE, "Docker does not answer"), "INCONCLUSIVE"),
        (copy(FAIL, a=FAIL, b=INCONCLUSIVE), copy(FAIL, a=FAIL, b=PASS), "INCONCLUSIVE"),
        (copy(FAIL, "it does not load"), copy(FAIL, "it does not load"), "INCONCLUSIVE"),
        (copy(INCONCLUSIVE, "Docker does not answer"), None, "INCONCLUSIVE"),
        (copy(PASS, a=PASS), None, "PASSED"),
        (None, None, "INCONCLUSIVE"),
    ],
)
def test_a_control_has_caught_what_only_the_damaged_copy_failed_by(
    damaged: CopyResult | None, again: CopyResult | None, result: str
) -> None:
    control = NegativeControl("p", "a", "r", 7, healthy=copy(PASS, a=PASS, b=PASS), damaged=damaged, afterwards=again)
    control.conclude()
    assert control.result == result and (control.reason is None) == (result == "CAUGHT")


@pytest.mark.parametrize("healthy", [None, copy(FAIL, a=FAIL), copy(INCONCLUSIVE, "no room"), copy(FAIL)])
def test_beside_a_copy_that_did_not_pass_nothing_is_caught(healthy: CopyResult | None) -> None:
    control = NegativeControl(
        "p", "a", "r", 7, healthy=healthy, damaged=copy(FAIL, a=FAIL), afterwards=copy(PASS, a=PASS)
    )
    control.conclude()
    assert control.result == "INCONCLUSIVE" and control.reason
