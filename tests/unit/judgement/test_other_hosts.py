"""Where another host backs up: what this one knows, and whose step it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.judged import NEWER, about, codes, judged, step, well

from ccdr.model.trouble import Trouble
from ccdr.model.values import ObjectiveVerdict
from ccdr.plans.job import Job


@pytest.mark.parametrize(
    ("hours", "looked", "verdict"),
    [
        ([-0.5], -0.2, "MET"),
        ([-3], -2.5, "NOT_KNOWN_HERE"),  # it may have backed up since
        ([-3], -1.5, "BREACHED"),  # and had not by then
        ([-6, -3], -2.5, "NOT_KNOWN_HERE"),
        ([-3], None, "NOT_KNOWN_HERE"),
        ([], None, "NOT_KNOWN_HERE"),
        ([(-3, -3), (-0.2, 0.05)], -1.5, "NOT_KNOWN_HERE"),  # known, if not usable yet: something has looked since
        ([(-3, -3), (0, 0)], -1.5, "MET"),
        ([(-3, -1.4)], -1.5, "NOT_KNOWN_HERE"),  # something else has looked since
        ([(-3, -1.5)], -1.5, "BREACHED"),
    ],
)
def test_what_another_host_may_have_done_since_this_one_looked_is_not_known(
    jobs: dict[str, Job], past: Chronicle, hours: Sequence[Any], looked: float | None, verdict: str
) -> None:
    past.asked(-300, "test")
    for number, h in enumerate(hours):
        past.snapshot(h[0] if isinstance(h, tuple) else h, f"s{number}", usable=h[1] if isinstance(h, tuple) else None)
    if looked is not None:
        exposed = (looked - (hours[-1] if not isinstance(hours[-1], tuple) else hours[0][0])) * 3600 if hours else None
        exposed = None if exposed is None else max(exposed, 0.0)
        rpo = {"objective_s": 3600.0, "achieved_s": exposed, "verdict": "MET"}
        past.tested(looked, "s0", rpo=rpo)
    found = judged(jobs["crm"], past)
    assert found.rpo.verdict == verdict and not found.backs_up
    assert ("BREACH_RPO" in codes(found)) is (verdict == "BREACHED")
    past.asked(-0.1, "backup", "test")
    assert judged(jobs["crm"], past).rpo.verdict == ("MET" if verdict == "MET" else "BREACHED"), (
        "the same where it is its own"
    )


def test_that_another_host_had_nothing_when_it_was_looked_at_is_a_breach(jobs: dict[str, Job], past: Chronicle) -> None:
    past.asked(-300, "test")
    past.tested(
        -1, None, "INCONCLUSIVE", took=None, rpo={"objective_s": 3600.0, "achieved_s": None, "verdict": "BREACHED"}
    )
    found = judged(jobs["crm"], past)
    assert found.rpo.verdict == "BREACHED" and "NEVER_SUCCEEDED" in codes(found)
    past.snapshot(-0.5, "s")
    assert judged(jobs["crm"], past).rpo.verdict == "MET"


def test_what_the_last_test_reached_counts_where_another_host_ships(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = about(job)
    past.snapshot(-3, "base")
    past.by_log(-0.5, "base", "PASS", until=-0.6, reached=-0.6, basis="durable",
                rpo={"objective_s": 3600.0, "achieved_s": 360.0, "verdict": "MET"})  # fmt: skip
    past.asked(-0.4, "test")
    assert judged(job, past).rpo.achieved_s == pytest.approx(0.6 * 3600)
    past.asked(-0.3, "backup", "test")
    assert judged(job, past).rpo.achieved_s == 3 * 3600


@pytest.mark.parametrize(("asked", "where"), [(["test"], "on the host that backs it up: "), (["backup", "test"], "")])
def test_a_step_that_needs_the_source_is_for_the_host_that_has_it(
    jobs: dict[str, Job], past: Chronicle, asked: list[str], where: str
) -> None:
    well(past).asked(-0.4, *asked)
    past.tested(-0.2, "new", "FAIL", **NEWER)
    (failed,) = judged(jobs["crm"], past).troubles
    assert failed.step == f"{where}{step(Trouble.NEWER_FAILED, jobs['crm'])}"
    past.tested(-0.1, "new", "INCONCLUSIVE")
    broke = next(p for p in judged(jobs["crm"], past).troubles if p.trouble is Trouble.TEST_INCONCLUSIVE)
    assert broke.step == step(Trouble.TEST_INCONCLUSIVE, jobs["crm"]), "that it can do itself"


def test_a_host_that_looked_after_what_it_does_not_back_up_is_not_breached(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    past.asked(-300, "prune", "check")
    past.snapshot(-30, "s")
    assert judged(jobs["crm"], past).rpo.verdict is ObjectiveVerdict.NOT_KNOWN_HERE
