"""Another server at the source's address, by its own number: a finding until somebody agrees, once."""

from __future__ import annotations

import pytest
from tests.support.chronicle import Chronicle, acknowledged
from tests.support.judged import codes, judged, whose

from ccdr.evidence.acknowledged import known_by
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job

OLD, NEW, THIRD = "7300000000000000001", "7300000000000000002", "7300000000000000003"


def well(past: Chronicle) -> Chronicle:
    past.stored(-5, "old", server=OLD)
    past.tested(-4, "old")
    past.stored(-0.9, "same", server=OLD)
    return past


def agreed(past: Chronicle, hours: float, number: str) -> None:
    named = known_by(Problem(Trouble.OTHER_CLUSTER, "", about=number))
    acknowledged(past, hours, "OTHER_CLUSTER", [named], rfc3339(past.at(hours + 0.01)))


@pytest.fixture
def job(jobs: dict[str, Job]) -> Job:
    return jobs["crm"]


def test_it_stands_until_somebody_agrees_and_then_for_good(job: Job, past: Chronicle) -> None:
    assert codes(judged(job, well(past))) == [], "the twin"
    past.stored(-0.8, "other", server=NEW)
    past.stored(-0.7, "later", server=NEW)
    found = judged(job, past)
    assert codes(found) == ["OTHER_CLUSTER"] and found.troubles[0].about == NEW
    whose(found.troubles)
    agreed(past, -0.6, THIRD)
    assert codes(judged(job, past)) == ["OTHER_CLUSTER"], "that was of another"
    agreed(past, -0.5, NEW)
    past.stored(-0.4, "newest", server=NEW)
    assert codes(judged(job, past)) == [], "though the acknowledgement's own time is up"
    past.stored(-0.3, "back", server=OLD)
    assert codes(judged(job, past)) == ["OTHER_CLUSTER"]


def test_it_ends_where_the_known_one_answers_again(job: Job, past: Chronicle) -> None:
    well(past).stored(-0.8, "other", server=NEW)
    past.stored(-0.7, "same again", server=OLD)
    assert codes(judged(job, past)) == []


def test_a_recovery_s_own_successor_is_agreed(job: Job, past: Chronicle) -> None:
    well(past).stored(-0.8, "recovered", server=NEW, made_by_recovery=True)
    assert codes(judged(job, past)) == []
    past.stored(-0.7, "given up", server=OLD)
    assert codes(judged(job, past)) == ["OTHER_CLUSTER"]


def test_what_is_not_known_claims_nothing_and_takes_nothing_back(job: Job, past: Chronicle) -> None:
    well(past).stored(-0.8, "not told")
    assert codes(judged(job, past)) == []
    past.stored(-0.7, "other", server=NEW)
    past.stored(-0.6, "not told again")
    assert codes(judged(job, past)) == ["OTHER_CLUSTER"]
