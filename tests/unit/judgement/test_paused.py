"""While a plan is paused nothing is late for that; its exposure grows all the same, and what vanished is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support import records
from tests.support.chronicle import Chronicle
from tests.support.judged import END, about, codes, judged, well

from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.evidence.log_standing import LogStanding
from ccdr.evidence.records.statements import STATEMENT
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job


def pause(past: Chronicle, hours: float, lasts: float) -> None:
    past.wrote(hours, STATEMENT, asset=None, **records.pause(rfc3339(past.at(hours + lasts))))


@pytest.mark.parametrize("paused", [False, True])
def test_a_backup_that_comes_due_while_paused_is_not_overdue(jobs: dict[str, Job], paused: bool) -> None:
    """At a quarter past each hour. The clock of the exposure goes on; once the pause is over, it has two due times."""
    job, past = jobs["hourly"], about(jobs["hourly"])
    past.stored(-5, "s")
    past.tested(-4.9, "s")
    if paused:
        pause(past, -4, 4)
    late = {"BACKUP_LATE"} if not paused else set()
    assert set(codes(judged(job, past, -0.1))) & {"BACKUP_LATE", "BREACH_RPO"} == late | {"BREACH_RPO"}
    assert ("BACKUP_LATE" in codes(judged(job, past, 0.5))) is not paused
    assert "BACKUP_LATE" in codes(judged(job, past, 1.3))


@pytest.mark.parametrize("paused", [False, True])
def test_a_test_that_comes_due_while_paused_leaves_its_coverage(jobs: dict[str, Job], paused: bool) -> None:
    """At three each night, of which two have passed."""
    job, past = jobs["crm"], about(jobs["crm"])
    past.stored(-40, "s")
    past.tested(-39, "s")
    if paused:
        pause(past, -20, 23)
    assert judged(job, past).coverage == ("tested" if paused else "stale")
    assert ("TEST_LATE" in codes(judged(job, past))) is not paused


@pytest.mark.parametrize("paused", [False, True])
def test_a_log_that_is_not_shipped_while_paused_is_not_late(jobs: dict[str, Job], paused: bool) -> None:
    job = jobs["log"]
    past = well(about(job))
    if paused:
        pause(past, -1, 1)
    old = LogStanding(point=past.at(-0.9), usable=past.at(-0.9), position="0/3")

    def late(at: float, standing: LogStanding = old) -> bool:
        return "LOG_LATE" in codes(judged(job, past, at, standing=standing, ships=True))

    assert late(-0.01) is not paused and late(0.05) is not paused and late(0.1)
    away = LogStanding(point=past.at(-0.9), usable=past.at(-0.9), trouble="no route to host", troubled=past.at(-0.5))
    assert late(-0.01, away) is not paused and late(0.01, away)


def test_a_pause_hides_no_claim_of_the_state_that_no_record_confirms(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = well(about(job))
    pause(past, -1, 2)
    forged = LogStanding(point=past.at(-3), usable=past.at(-3), claimed=END + timedelta(minutes=1))
    assert "LOG_LATE" in codes(judged(job, past, standing=forged, ships=True))


@pytest.mark.parametrize("paused", [False, True])
def test_a_prune_that_comes_due_while_paused_is_not_overdue(jobs: dict[str, Job], paused: bool) -> None:
    job, past = jobs["crm"], about(jobs["crm"])
    past.pruned(-34)  # at 02:00; it is due at five each day
    past.checked(-34)
    if paused:
        pause(past, -20, 23)
    found = {p.trouble.name for p in judge_upkeep(job.loaded, past.histories, past.at(0))}
    assert found == ({"PAUSED"} if paused else {"PRUNE_LATE"})
