"""Each part of a measure is a query over records: it finds its evidence, and sees it lacking, failed and stale."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import (
    BY,
    CASES,
    DAY,
    HISTORIES,
    OPENED,
    SECRET,
    SPOKEN,
    History,
    approved,
    attested,
    examined,
    recovered,
    version,
    versioned,
    well,
)
from tests.support.controls import known_of, measure_of, part_of
from tests.support.judged import about

from ccdr.evidence.attested import ATTESTABLE, ENDED
from ccdr.evidence.controls.judged import exit_of_measures, judge_measures
from ccdr.evidence.controls.registry import ATTESTED, EVERY, MEASURES, NAMES, PARTS
from ccdr.evidence.controls.values import ControlState, worst_state
from ccdr.model.errors import Exit
from ccdr.plans.floors import Floors
from ccdr.plans.job import Job


@pytest.fixture
def past(job: Job) -> Chronicle:
    return about(job)


@pytest.mark.parametrize(
    ("part", "state", "history"), CASES, ids=[f"{part} {state} {n}" for n, (part, state, _) in enumerate(CASES)]
)
def test_a_part_is_in_the_state_that_its_records_tell(
    job: Job, to_be_approved: Job, locked: Job, part: str, state: ControlState, history: History
) -> None:
    job = {"approved": to_be_approved, "locked": locked}.get(history.plan, job)
    past = about(job)
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
    past.checked(-1)
    version(past, -0.4)
    approved(past, -0.3)
    assert measure_of(known_of(job, past), "backup-and-recovery").state is ControlState.NOT_COVERED, "never recovered"
    recovered(past, -0.3)
    good = measure_of(known_of(job, past), "backup-and-recovery")
    assert (good.state, good.finding) == (ControlState.EVIDENCE_PRESENT, False), good
    assert [one.seq for one in good.evidence] == [2, 3, 4, 6, 7]
    past.tested(-0.2, "new", "FAIL")
    bad = measure_of(known_of(job, past), "backup-and-recovery")
    assert (bad.state, bad.finding) == (ControlState.FAILING, True)


@pytest.mark.parametrize("part", ["physical-security/copies", "legal-compliance/retention"])
def test_what_a_plan_does_not_have_is_not_covered(bare: Job, part: str) -> None:
    found = part_of(known_of(bare, well_of(bare)), part)
    assert found.state is ControlState.NOT_COVERED and found.owner == "the plan's owner"


@pytest.mark.parametrize("item", ATTESTABLE)
def test_what_only_people_can_say_is_shown_by_an_attestation_until_that_ends(
    job: Job, past: Chronicle, item: str
) -> None:
    (part,) = [one for one in ATTESTED if one.id == item]
    name = f"{part.measure}/{item}"
    lacking = part_of(known_of(job, past), name)
    assert (lacking.state, lacking.owner) == (ControlState.NOT_COVERED, part.owner)
    attested(past, -30, item, 300)
    shown = part_of(known_of(job, past), name)
    assert (shown.state, shown.owner, shown.finding) == (ControlState.EVIDENCE_PRESENT, None, False)
    assert [r.seq for r in shown.observed[0].records] == [1] and "and not signed" in shown.observed[0].text
    stale = part_of(known_of(job, past, 301), name)
    assert (stale.state, stale.finding) == (ControlState.STALE, True)
    attested(past, -20, item, -10, scope="cluj")
    assert part_of(known_of(job, past), name).state is ControlState.STALE, "the worst wins"
    for scope in (None, "cluj"):
        attested(past, -1, item, 300, ENDED, scope)
    assert part_of(known_of(job, past), name).state is ControlState.NOT_COVERED


def test_a_word_that_nobody_signed_shows_nothing_where_plans_name_who_may_sign(to_be_approved: Job) -> None:
    past = about(to_be_approved)
    attested(past, -30, "penetration-test", 300)
    found = part_of(known_of(to_be_approved, past), "security-testing/penetration-test")
    assert found.state is ControlState.NOT_COVERED and "and not signed" in found.observed[0].text
    assert found.observed[0].step and "--key KEY" in found.observed[0].step
    attested(past, -30, "penetration-test", 300, by=BY)
    found = part_of(known_of(to_be_approved, past), "security-testing/penetration-test")
    assert found.state is ControlState.EVIDENCE_PRESENT and "not signed" not in found.observed[0].text


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


def test_versions_of_which_nothing_is_asked_are_not_covered(job: Job, past: Chronicle) -> None:
    versioned(past, "0.18.0")
    assert part_of(known_of(job, past), "updates/versions").state is ControlState.EVIDENCE_PRESENT, "the twin"
    for floors, named in ((Floors(), "ccdr, restic"), (Floors(versions={"ccdr": ("0.1",)}), "restic")):
        found = part_of(known_of(job, past, floors=floors), "updates/versions")
        assert found.state is ControlState.NOT_COVERED and found.owner, found
        assert f"nothing is asked of {named} in floors.yaml" in found.observed[0].text
    less = known_of(job, past, lowered={"restic": "restic 0.1 (0.16)"})
    assert part_of(less, "updates/versions").state is ControlState.NOT_COVERED
    examined(past, repository=OPENED | {"tls": SPOKEN})
    assert part_of(known_of(job, past), "encryption/tls").state is ControlState.EVIDENCE_PRESENT
    less = known_of(job, past, lowered={"tls": "TLS 1.0 (1.2)"})
    assert part_of(less, "encryption/tls").state is ControlState.NOT_COVERED


def test_a_source_on_this_host_is_told_the_same_before_and_after_somebody_looks(job: Job, past: Chronicle) -> None:
    """A Unix socket's certificate is verified by nobody, and nothing of it leaves the host."""
    past.stored(-4, "s", tls=SPOKEN | {"verified": False, "ca_sha256": None})

    def told() -> list[tuple[ControlState, str]]:
        found = part_of(known_of(job, past), "encryption/tls").observed
        return [(one.state, one.text) for one in found if one.asset]

    before = told()
    examined(past, sources={"crm": "this_host"}, repository=OPENED | {"way": "this_host"})
    assert before == told() == [(ControlState.EVIDENCE_PRESENT, "the source speaks TLSv1.3, on this host")]
    assert part_of(known_of(job, past), "encryption/tls").state is ControlState.EVIDENCE_PRESENT
    past.stored(-2, "plain")
    (told_now,) = part_of(known_of(job, past), "encryption/tls").observed
    nothing = "nothing to show: no repository of it is reached by TLS (primary on this host)"
    assert (told_now.state, told_now.text) == (ControlState.NOT_COVERED, nothing)


@pytest.mark.parametrize(
    ("part", "seen", "step"),
    [
        ("physical-security/sites", {"site": None}, "add `site:` to the plan"),
        ("workplace-hygiene/secrets", {"secrets": [SECRET | {"open_to_others": True}]}, "chmod 600 FILE"),
        ("workplace-hygiene/secrets", {"secrets": [SECRET | {"weak": True}]}, "ccdr repository key rotate p"),
        (
            "encryption/tls",
            {"repository": OPENED | {"tls": SPOKEN | {"verified": False}}},
            "give the store a certificate that verifies",
        ),
        ("encryption/tls", {"repository": OPENED | {"tls": SPOKEN | {"version": "TLSv1.1"}}}, "raise what the store"),
        ("encryption/repositories", {"repository": OPENED | {"way": "plain"}}, "reach it by https"),
    ],
)
def test_the_next_step_is_what_mends_it(job: Job, past: Chronicle, part: str, seen: dict[str, Any], step: str) -> None:
    examined(past, **seen)
    (told,) = [
        one for one in part_of(known_of(job, past), part).observed if one.state is not ControlState.EVIDENCE_PRESENT
    ]
    assert told.step is not None and told.step.startswith(step) and "floors.yaml" not in told.step
    assert "then ccdr controls --examine" in told.step


def test_nothing_is_ever_called_compliant(job: Job, past: Chronicle) -> None:
    well(past)
    told = json.dumps([one.as_json() for one in judge_measures(known_of(job, past))])
    assert "complian" not in told.replace("legal-compliance", "").replace("Legal compliance", "").lower()


def test_a_record_that_no_ccdr_wrote_is_failing_and_stops_nothing(job: Job, past: Chronicle) -> None:
    well(past)
    recovered(past, -0.4)
    del past.records[-1]["rto"]
    told = measure_of(known_of(job, past), "backup-and-recovery")
    parts = {one.part.id: one.state for one in told.parts}
    assert parts["recoveries"] is ControlState.FAILING and parts["restore-tests"] is ControlState.EVIDENCE_PRESENT
