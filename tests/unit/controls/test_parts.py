"""Each part of a measure is a query over records: it finds its evidence, and sees it lacking, failed and stale."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import CASES, DAY, HISTORIES, History, recovered, well
from tests.support.controls import known_of, measure_of, part_of
from tests.support.judged import about

from ccdr.evidence.controls.judged import exit_of_measures, judge_measures
from ccdr.evidence.controls.registry import EVERY, MEASURES, NAMES, PARTS
from ccdr.evidence.controls.values import ControlState, worst_state
from ccdr.model.errors import Exit
from ccdr.plans.job import Job


@pytest.fixture
def past(job: Job) -> Chronicle:
    return about(job)


@pytest.mark.parametrize(
    ("part", "state", "history"), CASES, ids=[f"{part} {state} {n}" for n, (part, state, _) in enumerate(CASES)]
)
def test_a_part_is_in_the_state_that_its_records_tell(
    job: Job, past: Chronicle, part: str, state: ControlState, history: History
) -> None:
    history.tell(past)
    found = part_of(known_of(job, past, history.at, *history.wrong), part)
    assert found.state is state, found
    worst = [one for one in found.observed if one.state is state]
    behind = {r.seq for one in found.observed for r in one.records}
    assert behind == set(history.records), found
    assert all(one.text and not one.text.endswith(".") for one in worst)
    assert (found.owner is not None) == (state is ControlState.NOT_COVERED), "who must attest it is named"
    assert found.finding == (state in (ControlState.FAILING, ControlState.STALE))


def well_of(job: Job) -> Chronicle:
    past = about(job)
    well(past)
    return past


def test_each_part_has_a_history_of_each_kind() -> None:
    assert HISTORIES.keys() == {f"{one.measure}/{one.id}" for one in PARTS}
    assert all(set(states) == set(ControlState) for states in HISTORIES.values())


def test_there_are_twelve_measures_each_with_parts_and_each_part_once() -> None:
    known = {one.id for one in MEASURES}
    assert len(MEASURES) == len(known) == 12
    assert {one.measure for one in EVERY} == known
    assert len({(one.measure, one.id) for one in EVERY}) == len(EVERY) == sum(map(len, NAMES.values()))


def test_the_worst_part_wins() -> None:
    present, lacking, stale, failing = ControlState
    assert worst_state([present, lacking, stale, failing]) is failing
    assert worst_state([present, stale, lacking]) is stale
    assert worst_state([present, lacking, present]) is lacking
    assert worst_state([present]) is present
    assert worst_state([]) is lacking, "no evidence, no pass"


def test_a_measure_turns_with_its_worst_part(job: Job, past: Chronicle) -> None:
    well(past)
    past.checked(-1, parts=2)
    assert measure_of(known_of(job, past), "backup-and-recovery").state is ControlState.NOT_COVERED, "never recovered"
    recovered(past, -0.4)
    good = measure_of(known_of(job, past), "backup-and-recovery")
    assert (good.state, good.finding) == (ControlState.EVIDENCE_PRESENT, False), good
    assert [one.seq for one in good.evidence] == [2, 3, 4, 5]
    past.tested(-0.2, "new", "FAIL")
    bad = measure_of(known_of(job, past), "backup-and-recovery")
    assert (bad.state, bad.finding) == (ControlState.FAILING, True)


@pytest.mark.parametrize("part", ["physical-security/copies", "legal-compliance/retention"])
def test_what_a_plan_does_not_have_is_not_covered(bare: Job, part: str) -> None:
    found = part_of(known_of(bare, well_of(bare)), part)
    assert found.state is ControlState.NOT_COVERED and found.owner == "the plan's owner"


def test_what_is_acknowledged_is_no_finding_and_stays_failing(job: Job, past: Chronicle) -> None:
    well(past)
    past.tested(-0.2, "new", "FAIL")
    known = known_of(job, past)
    (plan,) = known.plans
    (asset,) = plan.statuses
    noted = [replace(p, acknowledged=known.now) for p in asset.wrong]
    told = replace(known, plans=[replace(plan, statuses=[replace(asset, wrong=tuple(noted))])])
    found = part_of(told, "backup-and-recovery/restore-tests")
    assert (found.state, found.finding) == (ControlState.FAILING, False)
    assert part_of(known, "backup-and-recovery/restore-tests").finding


def test_what_is_not_covered_is_no_finding_and_what_is_failing_or_stale_is_one(job: Job, past: Chronicle) -> None:
    well(past)
    asked = judge_measures(known_of(job, past))
    assert exit_of_measures(asked) is Exit.OK and ControlState.NOT_COVERED in {one.state for one in asked}
    assert exit_of_measures(judge_measures(known_of(job, past, 3 * DAY))) is Exit.FINDING


def test_without_a_backup_an_objective_is_breached(job: Job, past: Chronicle) -> None:
    assert part_of(known_of(job, past), "backup-and-recovery/objectives").state is ControlState.FAILING


def test_nothing_is_ever_called_compliant(job: Job, past: Chronicle) -> None:
    well(past)
    told = json.dumps([one.as_json() for one in judge_measures(known_of(job, past))])
    assert "complian" not in told.replace("legal-compliance", "").replace("Legal compliance", "").lower()
