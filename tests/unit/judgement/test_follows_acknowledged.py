"""Who has acknowledged a cause has acknowledged the finding that tells of the same, and nothing that grows by itself."""

from __future__ import annotations

from tests.support.chronicle import Chronicle, acknowledged
from tests.support.judged import END, judged, well

from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job


def because(found: AssetStatus) -> dict[str, str | None]:
    return {p.trouble.name: p.because and p.because.name for p in found.troubles}


def test_a_failed_test_that_is_acknowledged_leaves_open_what_could_be_lost(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-0.2, "new", "FAIL")
    found = judged(jobs["crm"], past)
    follows = dict.fromkeys(("FINDING", "BREACH_RPO"), "TEST_FAILED")
    assert because(found) == {"TEST_FAILED": None, **follows} and found.finding
    (cause,) = (p for p in found.troubles if p.trouble is Trouble.TEST_FAILED)
    acknowledged(past, -0.1, "TEST_FAILED", [known_by(cause)], rfc3339(END.replace(day=30)))
    found = judged(jobs["crm"], past)
    assert {p.trouble.name for p in found.troubles if p.acknowledged == END.replace(day=30)} == {
        "TEST_FAILED",
        "FINDING",
    }
    assert {p.trouble.name for p in found.troubles if p.acknowledged is None} == {"BREACH_RPO"}
