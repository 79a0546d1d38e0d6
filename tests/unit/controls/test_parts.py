"""Each part of a measure is a query over records: it finds its evidence, and sees it lacking, failed and stale."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import to_builtins
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

from ccdr.evidence.controls.registry import ATTESTED, EVERY, MEASURES, NAMES, PARTS, exit_of_measures, judge_measures
from ccdr.evidence.controls.values import ControlState, Observed, PartState, SignatureState, StatedBy
from ccdr.evidence.history.fold import read_history
from ccdr.evidence.records import of_mapping
from ccdr.evidence.statements import ATTESTABLE, ENDED
from ccdr.evidence.whose import HOLDS, seen
from ccdr.model.errors import Exit
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
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
    assert (found.owner is not None) == (state is ControlState.NOTHING), "who must attest it is named"
    assert found.finding == (state in (ControlState.CONTRADICTED, ControlState.EXPIRED))


def well_of(job: Job) -> Chronicle:
    past = about(job)
    well(past)
    return past


def test_each_part_has_a_history_of_each_kind() -> None:
    assert HISTORIES.keys() == {f"{one.measure}/{one.id}" for one in PARTS}
    least = {ControlState.CONTRADICTED, ControlState.EXPIRED, ControlState.NOTHING}
    assert all(least < set(states) for states in HISTORIES.values())


def test_there_are_twelve_measures_each_with_parts_and_each_part_once() -> None:
    known = {one.id for one in MEASURES}
    assert len(MEASURES) == len(known) == 12
    assert {one.measure for one in EVERY} == known
    assert len({(one.measure, one.id) for one in EVERY}) == len(EVERY) == sum(map(len, NAMES.values()))


@pytest.mark.parametrize("state", ControlState)
def test_the_worst_place_of_a_part_is_its_state(state: ControlState) -> None:
    contradicted, expired, shown, stated, nothing = ControlState
    order = [contradicted, expired, nothing, stated, shown]
    seen = tuple(Observed(one, "so") for one in order[order.index(state) :])
    assert PartState(PARTS[0], seen).state is PartState(PARTS[0], seen[::-1]).state is state
    assert PartState(PARTS[0], ()).state is nothing, "no evidence, no pass"


def test_no_part_of_a_measure_speaks_for_another(job: Job, past: Chronicle) -> None:
    """One that nothing shows wipes out no other; what is wrong comes first."""
    well(past)
    past.checked(-1)
    version(past, -0.4)
    approved(past, -0.3)
    lacking = measure_of(known_of(job, past), "backup-and-recovery")
    assert (lacking.tally, lacking.finding) == ("5 of 6 parts shown, 1 nothing", False), "never recovered"
    recovered(past, -0.3)
    good = measure_of(known_of(job, past), "backup-and-recovery")
    assert (good.tally, good.finding) == ("6 of 6 parts shown", False), good
    assert [one.seq for one in good.evidence] == [2, 3, 4, 6, 7]
    past.tested(-0.2, "new", "FAIL")
    bad = measure_of(known_of(job, past), "backup-and-recovery")
    told = bad.as_json()
    assert told["counts"] == {"contradicted": 2, "expired": 0, "shown": 4, "stated": 0, "nothing": 0} and bad.finding
    assert "state" not in told and [one.part.id for one in bad.parts[:2]] == ["restore-tests", "objectives"]
    assert bad.tally == "4 of 6 parts shown, 2 contradicted"


def test_a_statement_never_counts_as_shown(job: Job, past: Chronicle) -> None:
    for item, _ in ((one, well(past)) for one in ("staff-training", "instructions")):
        attested(past, -30, item, 300)
    found = measure_of(known_of(job, past), "policies-and-training")
    assert found.counts == {state: {"stated": 2, "nothing": 5}.get(state, 0) for state in ControlState}
    assert found.tally == "0 of 7 parts shown, 2 stated, 5 nothing" and not found.finding


def test_whose_word_it_is_is_told_with_what_their_signature_was_found_to_be(to_be_approved: Job) -> None:
    past = about(to_be_approved)
    attested(past, -30, "siem", 300, by=BY)
    until = rfc3339(past.at(300))

    def stated(*state: str) -> object:
        histories = past.histories
        there = histories[None, None].attested
        there |= {of: seen(one, *state) for of, one in there.items() if state}
        (told,) = part_of(known_of(to_be_approved, past, histories=histories), "monitoring-and-audit/siem").observed
        return to_builtins(told)["stated"]

    assert stated() == {"by": "Ana", "until": until, "signature": "not verified"}
    assert stated(HOLDS) == {"by": "Ana", "until": until, "signature": "verified"}
    attested(past, -2, "siem", 300)
    assert part_of(known_of(to_be_approved, past), "monitoring-and-audit/siem").state is ControlState.NOTHING


@pytest.mark.parametrize("part", ["physical-security/copies", "legal-compliance/retention"])
def test_what_a_plan_does_not_have_is_not_covered(bare: Job, part: str) -> None:
    found = part_of(known_of(bare, well_of(bare)), part)
    assert found.state is ControlState.NOTHING and found.owner == "the plan's owner"


@pytest.mark.parametrize("item", ATTESTABLE)
def test_what_only_people_can_say_is_stated_until_that_ends(job: Job, past: Chronicle, item: str) -> None:
    (part,) = [one for one in ATTESTED if one.id == item]
    name = f"{part.measure}/{item}"
    lacking = part_of(known_of(job, past), name)
    assert (lacking.state, lacking.owner) == (ControlState.NOTHING, part.owner)
    attested(past, -30, item, 300)
    shown = part_of(known_of(job, past), name)
    assert (shown.state, shown.owner, shown.finding) == (ControlState.STATED, None, False)
    assert [r.seq for r in shown.observed[0].records] == [1]
    assert shown.observed[0].stated == StatedBy(past.records[0]["actor"], past.at(300), SignatureState.UNSIGNED)
    stale = part_of(known_of(job, past, 301), name)
    assert (stale.state, stale.finding) == (ControlState.EXPIRED, True)
    attested(past, -20, item, -10, scope="cluj")
    assert part_of(known_of(job, past), name).state is ControlState.EXPIRED, "the worst wins"
    for scope in (None, "cluj"):
        attested(past, -1, item, 300, ENDED, scope)
    assert part_of(known_of(job, past), name).state is ControlState.NOTHING


def test_a_word_that_nobody_signed_shows_nothing_where_plans_name_who_may_sign(to_be_approved: Job) -> None:
    past = about(to_be_approved)
    attested(past, -30, "penetration-test", 300)
    found = part_of(known_of(to_be_approved, past), "security-testing/penetration-test")
    assert found.state is ControlState.NOTHING and "(unsigned)" in found.observed[0].text
    assert found.observed[0].step and "--key KEY" in found.observed[0].step
    attested(past, -29, "penetration-test", 300, by=BY)
    found = part_of(known_of(to_be_approved, past), "security-testing/penetration-test")
    assert found.state is ControlState.STATED and "(not verified)" in found.observed[0].text


def test_what_is_acknowledged_is_no_finding_and_stays_failing(job: Job, past: Chronicle) -> None:
    well(past)
    past.tested(-0.2, "new", "FAIL")
    known = known_of(job, past)
    (plan,) = known.plans
    (asset,) = plan.statuses
    noted = [replace(p, acknowledged=known.now) for p in asset.wrong]
    told = replace(known, plans=[replace(plan, statuses=[replace(asset, wrong=tuple(noted))])])
    found = part_of(told, "backup-and-recovery/restore-tests")
    assert (found.state, found.finding) == (ControlState.CONTRADICTED, False)
    assert part_of(known, "backup-and-recovery/restore-tests").finding


def test_what_is_not_covered_is_no_finding_and_what_is_failing_or_stale_is_one(job: Job, past: Chronicle) -> None:
    well(past)
    asked = judge_measures(known_of(job, past))
    assert exit_of_measures(asked) is Exit.OK and all(one.counts[ControlState.NOTHING] for one in asked[:2])
    assert exit_of_measures(judge_measures(known_of(job, past, 3 * DAY))) is Exit.FINDING


def test_without_a_backup_an_objective_is_breached(job: Job, past: Chronicle) -> None:
    assert part_of(known_of(job, past), "backup-and-recovery/objectives").state is ControlState.CONTRADICTED


def test_versions_of_which_nothing_is_asked_are_not_covered(job: Job, past: Chronicle) -> None:
    versioned(past, "0.18.0")
    assert part_of(known_of(job, past), "updates/versions").state is ControlState.SHOWN, "the twin"
    for floors, named in ((Floors(), "ccdr, restic"), (Floors(versions={"ccdr": ("0.1",)}), "restic")):
        found = part_of(known_of(job, past, floors=floors), "updates/versions")
        assert found.state is ControlState.NOTHING and found.owner, found
        assert f"nothing is asked of {named} in floors.yaml" in found.observed[0].text
    less = known_of(job, past, lowered={"restic": "restic 0.1 (0.16)"})
    assert part_of(less, "updates/versions").state is ControlState.NOTHING
    examined(past, repository=OPENED | {"tls": SPOKEN})
    assert part_of(known_of(job, past), "encryption/tls").state is ControlState.SHOWN
    less = known_of(job, past, lowered={"tls": "TLS 1.0 (1.2)"})
    assert part_of(less, "encryption/tls").state is ControlState.NOTHING


def test_a_source_on_this_host_is_told_the_same_before_and_after_somebody_looks(job: Job, past: Chronicle) -> None:
    """A Unix socket's certificate is verified by nobody, and nothing of it leaves the host."""
    past.stored(-4, "s", tls=SPOKEN | {"verified": False, "ca_sha256": None})

    def told() -> list[tuple[ControlState, str]]:
        found = part_of(known_of(job, past), "encryption/tls").observed
        return [(one.state, one.text) for one in found if one.asset]

    before = told()
    examined(past, sources={"crm": "this_host"}, repository=OPENED | {"way": "this_host"})
    assert before == told() == [(ControlState.SHOWN, "the source speaks TLSv1.3, on this host")]
    assert part_of(known_of(job, past), "encryption/tls").state is ControlState.SHOWN
    past.stored(-2, "plain")
    (told_now,) = part_of(known_of(job, past), "encryption/tls").observed
    nothing = "nothing to show: no repository of it is reached by TLS (primary on this host)"
    assert (told_now.state, told_now.text) == (ControlState.NOTHING, nothing)


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
    (told,) = [one for one in part_of(known_of(job, past), part).observed if one.state is not ControlState.SHOWN]
    assert told.step is not None and told.step.startswith(step) and "floors.yaml" not in told.step
    assert "then ccdr controls --examine" in told.step


def test_nothing_is_ever_called_compliant(job: Job, past: Chronicle) -> None:
    well(past)
    told = json.dumps([one.as_json() for one in judge_measures(known_of(job, past))])
    assert "complian" not in told.replace("legal-compliance", "").replace("Legal compliance", "").lower()


def test_a_record_that_no_ccdr_wrote_shows_nothing_is_told_and_stops_nothing(job: Job, past: Chronicle) -> None:
    well(past)
    recovered(past, -0.4)
    del past.records[-1]["rto"]
    known = known_of(job, past, histories=read_history(map(of_mapping, past.records)))
    parts = {one.part.id: one.state for one in measure_of(known, "backup-and-recovery").parts}
    assert parts["recoveries"] is ControlState.NOTHING and parts["restore-tests"] is ControlState.SHOWN
    assert [one.trouble for one in known.plans[0].care] == [Trouble.RECORDS_WRONG]
