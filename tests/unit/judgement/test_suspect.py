"""A snapshot that looks as if its source had been encrypted: what counts is the one before it, until somebody answers."""

from __future__ import annotations

import pytest
from tests.support.chronicle import Chronicle, acknowledged, digest
from tests.support.judged import codes, judged, well
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.folded import answer_to
from ccdr.evidence.records import BackupEnd
from ccdr.model.leaps import Growth, Sign
from ccdr.model.values import rfc3339, source_digest
from ccdr.plans.job import Job

GROWTH = {"processed": 10**8, "added": 10**6, "packed": 2 * 10**5, "files": 9, "new": 1, "changed": 0}
LEAPT = Growth(10**8, 10**8, 99 * 10**6, 9, 0, 9)


def of(past: Chronicle, job: Job) -> AssetHistory:
    return past.histories[job.plan, job.asset]


def answered(past: Chronicle, job: Job, hours: float, *, suspect: str | None = None) -> None:
    found = of(past, job).suspect
    run = suspect or str(found and found.run)
    one = sparse_record({"kind": "backup.end", "plan": job.plan, "asset": job.asset, "run": run, "result": "FAILED"})
    assert isinstance(one, BackupEnd)
    acknowledged(past, hours, "SNAPSHOT_SUSPECT", [answer_to(one)], rfc3339(past.at(24)))


@pytest.fixture
def job(jobs: dict[str, Job]) -> Job:
    return jobs["crm"]


def test_neither_it_nor_a_newer_one_counts_until_somebody_answers(job: Job, past: Chronicle) -> None:
    well(past)
    assert codes(judged(job, past)) == []
    past.stored(-0.4, "encrypted", suspect=["incompressible"])
    past.stored(-0.3, "later")
    found = judged(job, past)
    assert codes(found)[0] == "SNAPSHOT_SUSPECT" and found.good is not None and found.good.id == digest("new")
    assert [p.because for p in found.troubles if p.trouble.name == "FINDING"] == [found.troubles[0].trouble]
    answered(past, job, -0.2, suspect="another")
    assert codes(judged(job, past))[0] == "SNAPSHOT_SUSPECT", "that was of another"
    answered(past, job, -0.1)
    found = judged(job, past)
    assert codes(found) == [] and found.good is not None and found.good.id == digest("later")


def test_that_it_passes_its_test_says_nothing_against_it(job: Job, past: Chronicle) -> None:
    well(past)
    past.stored(-0.4, "encrypted", suspect=["canary_gone"])
    past.tested(-0.3, "encrypted")
    assert "SNAPSHOT_SUSPECT" in codes(judged(job, past))


def test_a_leap_is_told_once_three_are_known_and_of_the_same_source_alone(job: Job, past: Chronicle) -> None:
    source = source_digest(past.source)
    for hours in (-5, -4, -3):
        assert not past.records or of(past, job).suspicion(LEAPT, {}, source) == []
        past.stored(hours, f"s{hours}", growth=GROWTH)
    assert of(past, job).suspicion(LEAPT, {}, source) == [Sign.INCOMPRESSIBLE]
    assert of(past, job).suspicion(LEAPT, {}, source_digest("/elsewhere")) == []
    assert of(past, job).suspicion(Growth(**GROWTH), {}, source) == [], "a day like others"


def test_a_canary_is_known_though_its_source_has_another_name(job: Job, past: Chronicle) -> None:
    """Else whoever changes a path in the plan has what there is then taken for what is to be."""
    for hours in (-5, -4):
        past.stored(hours, f"s{hours}", growth=GROWTH, canaries={"front": digest("c")})
    elsewhere = source_digest("/elsewhere")
    assert of(past, job).suspicion(None, {"front": digest("c")}, elsewhere) == [], "the twin"
    assert of(past, job).suspicion(None, {"front": digest("d")}, elsewhere) == [Sign.CANARY_CHANGED]
    past.stored(-3, "moved", source="/elsewhere", growth=GROWTH, canaries={"front": digest("c")})
    assert of(past, job).suspicion(None, {"front": None}, elsewhere) == [Sign.CANARY_GONE]


def test_what_came_after_an_attack_is_nothing_to_go_by(job: Job, past: Chronicle) -> None:
    for hours in (-5, -4, -3):
        past.stored(hours, f"s{hours}", growth=GROWTH, canaries={"front": digest("c")})
    past.stored(-2, "encrypted", suspect=["incompressible", "canary_changed"], canaries={"front": digest("d")})
    source = source_digest(past.source)
    same = {"front": digest("c")}
    assert len(of(past, job).grown) == 3 and of(past, job).suspicion(Growth(**GROWTH), same, source) == []
    assert of(past, job).suspicion(None, {"front": digest("d")}, source) == [Sign.CANARY_CHANGED]
    answered(past, job, -1)
    assert of(past, job).suspicion(None, {"front": digest("d")}, source) == [], "as it is now, it is to be"
    assert of(past, job).suspicion(None, same | {"back": None}, source) == [Sign.CANARY_CHANGED]
    assert of(past, job).suspicion(None, {"front": None}, source) == [Sign.CANARY_GONE]
