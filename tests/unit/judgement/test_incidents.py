"""Incidents by their records: what is due, what is overdue, and what settles it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import NOUGHT, Chronicle
from tests.support.control_histories import CLOCK, begun, closed, filed, opened, said_of_incident
from tests.support.drawn import examples

from ccdr.evidence.history.asset_history import AssetHistory, seen_from
from ccdr.evidence.incidents import MOST_CLOSED, Incident, incidents_of, open_one
from ccdr.evidence.judgement.incidents import Clocks, judge_incidents, open_incidents
from ccdr.evidence.records.statements import DECIDE_NOT_DUE, NOTE_INCIDENT
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339

NIS2 = {"clock": "nis2-23", "law": "NIS2 23(4)(b)", "to": "authority", "within_s": 259200.0, "before_s": 64800.0}
FINAL = {
    "clock": "final",
    "law": "NIS2 23(4)(d)",
    "to": "authority",
    "after": "nis2-23",
    "months": 1,
    "before_s": 604800.0,
}


CONTRACT = {"clock": "gdpr-33-2", "law": "GDPR 33(2)", "to": "customers", "within_s": 86400.0, "before_s": 21600.0}
TENANTS = [{"tenant": "acme", "assets": ["crm"]}, {"tenant": "beta", "assets": ["exchange"]}]


def opened_for_two(past: Chronicle, hours: float, name: str = "inc-1", **more: Any) -> dict[str, Any]:
    """An incident of a processor's two controllers; its clock."""
    clock = {**CONTRACT, "due": rfc3339(past.at(hours + 24))}
    opened(past, hours, name, **{"role": "processor", "tenants": TENANTS, "clocks": [clock], **more})
    return clock


def noted(past: Chronicle, hours: float, **about: Any) -> int:
    return said_of_incident(past, hours, NOTE_INCIDENT, **{"incident": "inc-1", **about})


def not_due(past: Chronicle, hours: float, clock: str, tenant: str | None = None) -> int:
    about = {"incident": "inc-1", "clocks": [clock], "for_tenant": tenant}
    return said_of_incident(past, hours, DECIDE_NOT_DUE, **about)


def settled(past: Chronicle) -> dict[str | None, tuple[int | None, int | None]]:
    """Of each controller the record of its filing, and the one by which nothing is due."""
    return {duty.tenant: (duty.filed_in, duty.not_due_by) for duty in only(past).duties}


def history(past: Chronicle) -> AssetHistory:
    return past.history(None)


def found(past: Chronicle, at: float) -> list[Problem]:
    return list(judge_incidents(past.plan, history(past).incidents, Clocks(past.at(at))))


def only(past: Chronicle) -> Incident:
    (one,) = incidents_of(past.plan, history(past).incidents, past.at(9999))
    return one


@pytest.mark.parametrize(
    ("hours", "troubles"),
    [
        (1, []),
        (53.9, []),
        (54, [Trouble.INCIDENT_DUE]),
        (72, [Trouble.INCIDENT_DUE]),
        (72.01, [Trouble.INCIDENT_OVERDUE]),
    ],
)
def test_a_notification_is_told_of_in_the_last_quarter_of_its_time_and_is_overdue_past_it(
    past: Chronicle, hours: float, troubles: list[Trouble]
) -> None:
    opened(past, 0)
    assert [p.trouble for p in found(past, hours)] == troubles


def test_what_was_filed_is_no_more_due_though_it_was_late(past: Chronicle) -> None:
    opened(past, 0)
    assert found(past, 80)
    filed(past, 81)
    (duty,) = only(past).duties
    assert not found(past, 82) and duty.late and duty.filed_in == 2


def test_what_is_filed_in_phases_was_filed_with_the_first(past: Chronicle) -> None:
    opened(past, 0)
    filed(past, 10)
    filed(past, 100)
    (duty,) = only(past).duties
    assert (duty.filed_at, duty.late) == (past.at(10), False)


def test_a_person_may_say_that_it_is_not_due(past: Chronicle) -> None:
    opened(past, 0)
    not_due(past, 1, "gdpr-33")
    assert not found(past, 90) and only(past).duties[0].not_due_by == 2
    assert only(past).next_due is None and only(past).open


def test_a_closing_settles_what_it_names_and_another_opening_takes_that_back(past: Chronicle) -> None:
    opened(past, 0)
    closed(past, 1)
    assert not found(past, 90) and only(past).cause == "rehearsal"
    opened(past, 2, reopens=2, clocks=[])
    assert [p.trouble for p in found(past, 90)] == [Trouble.INCIDENT_OVERDUE]
    one = only(past)
    assert one.open and one.records == (1, 2, 3) and one.aware_at == past.at(0), "nothing is overwritten"


def test_what_was_filed_stays_so_when_it_is_opened_once_more(past: Chronicle) -> None:
    opened(past, 0)
    filed(past, 1)
    closed(past, 2, not_due=[])
    opened(past, 3, reopens=3, clocks=[])
    assert not found(past, 90) and only(past).duties[0].filed_in == 2


def test_a_final_report_counts_from_when_the_notification_was_filed(past: Chronicle) -> None:
    opened(past, 0, clocks=[{**NIS2, "due": rfc3339(past.at(72))}, FINAL])
    before = {one.clock: one.due for one in only(past).duties}
    assert before["final"] == past.at(72).replace(month=12, day=27), "a month after that is due, until it is filed"
    filed(past, 24, clock="nis2-23")
    assert {one.clock: one.due for one in only(past).duties}["final"] == past.at(24 * 31)
    assert [p.trouble for p in found(past, 24 * 32)] == [Trouble.INCIDENT_OVERDUE]


def test_where_nothing_is_to_be_notified_nothing_follows_it(past: Chronicle) -> None:
    opened(past, 0, clocks=[{**NIS2, "due": rfc3339(past.at(72))}, FINAL])
    not_due(past, 1, "nis2-23")
    assert not found(past, 24 * 90) and not only(past).unsettled


@given(st.floats(-1000, 1000), st.floats(0, 500))
@settings(max_examples=examples(100))
def test_a_clock_that_was_set_back_gives_nobody_more_time(turned: float, elapsed: float) -> None:
    from tests.support.judged import END

    past = Chronicle(END, "/x")
    opened(past, 0, boot=NOUGHT, elapsed_s=3600.0)
    entries = history(past).incidents
    clocks = Clocks(past.at(turned), 3600.0 + elapsed * 3600, NOUGHT)
    (standing,) = open_incidents("p", entries, clocks)
    assert standing.now >= past.at(elapsed) - timedelta(seconds=1) and standing.now >= clocks.now
    other = Clocks(past.at(turned), 3600.0 + elapsed * 3600, "1" * 64)
    assert open_incidents("p", entries, other)[0].now == other.now, "of another start of the machine nothing is known"


def test_a_recovery_belongs_to_the_newest_that_is_open(past: Chronicle) -> None:
    opened(past, 0)
    opened(past, 1, "inc-2")
    entries = history(past).incidents
    assert (one := open_one("p", entries, past.at(9))) and one.name == "inc-2"
    closed(past, 2, "inc-2")
    assert (one := open_one("p", history(past).incidents, past.at(9))) and one.name == "inc-1"
    closed(past, 3)
    assert open_one("p", history(past).incidents, past.at(9)) is None


def test_each_recovery_for_real_is_without_an_incident_until_one_tells_of_it(past: Chronicle) -> None:
    begun(past, 0, "r-1")
    past.began(1, "restore", "part-of-it")  # its asset's
    assert [one.run for one in history(past).without_incident] == ["r-1"]
    opened(past, 2, run="r-1")
    assert history(past).without_incident == []
    past.began(3, "restore", "inside")
    assert history(past).without_incident == [], "the recovery has not ended: it is a part of it"


def test_a_restore_for_real_wants_one_and_one_that_was_refused_does_not(past: Chronicle) -> None:
    past.began(0, "restore", "by-hand")
    past.began(1, "restore", "refused")
    target = {"kind": "directory", "name": None}
    past.wrote(2, "restore.end", "refused", result="REFUSED", target=target, phases={}, checks=[])
    assert [one.run for one in history(past).without_incident] == ["by-hand"]
    opened(past, 3)
    past.wrote(4, "incident.recovery", "by-hand", asset=None, incident="inc-1", recovery="by-hand")
    assert history(past).without_incident == [] and only(past).runs == ("by-hand",)


def test_seen_from_a_copy_the_plan_has_its_own_incidents(past: Chronicle) -> None:
    opened(past, 0)
    past.began(1, "restore", "from-a-copy", copy="offsite")
    plan = seen_from(past.histories, "p", "offsite")["p", None]
    assert list(plan.incidents) == ["inc-1"] and [one.run for one in plan.without_incident] == ["from-a-copy"]
    past.wrote(
        2, "recover.start", "r-1", asset=None, plan_sha256=NOUGHT, decided_sha256=NOUGHT, assets=[], copy="offsite"
    )
    past.began(3, "restore", "part-of-it", copy="offsite")
    assert [one.run for one in history(past).without_incident] == ["from-a-copy", "r-1"]


def test_of_closed_ones_the_newest_are_kept_and_open_ones_all(past: Chronicle) -> None:
    opened(past, 0, "inc-open")
    for number in range(MOST_CLOSED + 5):
        opened(past, 1, f"inc-{number}")
        closed(past, 2, f"inc-{number}")
    entries = history(past).incidents
    assert "inc-open" in entries and len(entries) == MOST_CLOSED + 2, "the last one was open when it was last tidied"


def test_what_is_to_be_done_names_a_draft_or_says_that_there_is_none(
    past: Chronicle, wording: SnapshotAssertion
) -> None:
    media = {**CLOCK, "clock": "hipaa-406", "law": "45 CFR 164.406(b)", "to": "media"}
    opened(past, 0, clocks=[{**one, "due": rfc3339(past.at(72))} for one in (CLOCK, media)])
    breach, told = found(past, 90)
    assert str(breach.step) == wording
    assert "to the media (hipaa-406)" in told.text
    assert str(told.step) == wording


def test_a_clock_that_is_added_counts_as_well(past: Chronicle) -> None:
    opened(past, 0, clocks=[])
    assert not found(past, 90)
    also = [{**CLOCK, "due": rfc3339(past.at(72))}]
    noted(past, 1, clocks=also)
    assert [p.trouble for p in found(past, 90)] == [Trouble.INCIDENT_OVERDUE]


def test_a_recovery_that_was_killed_before_it_had_one_goes_on_as_the_one_that_resumes_it(past: Chronicle) -> None:
    begun(past, 0, "r-1")
    past.wrote(
        1, "recover.start", "r-2", asset=None, plan_sha256=NOUGHT, decided_sha256=NOUGHT, assets=[], resumes="r-1"
    )
    assert [one.run for one in history(past).without_incident] == ["r-2"]
    opened(past, 2, run="r-2")
    assert history(past).without_incident == []


def test_a_clock_that_was_filed_with_one_controller_counts_again_for_another(past: Chronicle) -> None:
    clock = opened_for_two(past, 0)
    filed(past, 1, clock="gdpr-33-2", for_tenant="acme")
    not_due(past, 2, "gdpr-33-2", "beta")
    assert settled(past) == {"acme": (2, None), "beta": (None, 3)} and not found(past, 30)
    noted(past, 4, clocks=[clock])
    assert settled(past) == {"acme": (2, None), "beta": (None, None)} and found(past, 30)
    filed(past, 5, clock="gdpr-33-2", for_tenant="beta")
    noted(past, 6, clocks=[clock])
    assert settled(past) == {"acme": (2, None), "beta": (5, None)}, "what was filed with each stays so"


def test_a_closing_leaves_what_was_said_of_one_controller_before(past: Chronicle) -> None:
    opened_for_two(past, 0)
    not_due(past, 1, "gdpr-33-2", "beta")
    closed(past, 2, cause="hardware", not_due=["gdpr-33-2"])
    assert settled(past) == {"acme": (None, 3), "beta": (None, 2)}
    opened(past, 3, reopens=3, role="processor", clocks=[])
    assert settled(past) == {"acme": (None, None), "beta": (None, 2)}


def test_what_is_told_of_one_controller_settles_a_reopening_that_names_none(past: Chronicle) -> None:
    """Of an incident that was forgotten, as an older ccdr opened it once more."""
    clock = opened_for_two(past, 0, tenants=[], reopens=1)
    assert clock["clock"] in only(past).unsettled and found(past, 30)
    filed(past, 1, clock="gdpr-33-2", for_tenant="acme")
    assert settled(past) == {None: (2, None)} and not found(past, 30)


def test_what_is_due_is_known_by_its_clock_its_time_and_whom_it_is_for(past: Chronicle) -> None:
    clock = opened_for_two(past, 0)
    assert found(past, 1) == []
    soon = found(past, 20)
    assert {p.trouble for p in soon} == {Trouble.INCIDENT_DUE}
    assert {p.about for p in soon} == {f"inc-1 gdpr-33-2 {clock['due']} {tenant}" for tenant in ("acme", "beta")}
    assert all(p.why.endswith(p.about.rpartition(" ")[2]) and "--tenant" in str(p.step) for p in soon)
    late = found(past, 25)
    assert {p.trouble for p in late} == {Trouble.INCIDENT_OVERDUE} and {p.since for p in late} == {past.at(24)}
    assert [(p.about, p.why) for p in late] == [(p.about, p.why) for p in soon]


def test_one_that_is_for_nobody_alone_names_nobody(past: Chronicle) -> None:
    opened(past, 0)
    (one,) = found(past, 73)
    assert one.about == f"inc-1 gdpr-33 {rfc3339(past.at(72))}" and one.why == "GDPR 33(1), to the authority"
    assert "--tenant" not in str(one.step)


def test_open_incidents_are_told_in_the_order_in_which_they_were_opened(past: Chronicle) -> None:
    for hours, name in enumerate(("inc-3", "inc-1", "inc-2", "inc-4")):
        opened(past, hours, name)
    noted(past, 5, incident="inc-3", clocks=[])
    closed(past, 6, "inc-2")
    opened(past, 6.5, "inc-1", reopens=3)
    there = open_incidents(past.plan, history(past).incidents, Clocks(past.at(7)))
    assert [one.incident.name for one in there] == ["inc-3", "inc-1", "inc-4"]
    assert there[0].as_json() == there[0].incident.as_json()


def test_an_incident_says_what_is_due_next_and_in_what_time(past: Chronicle) -> None:
    opened(past, 0)

    def told(hours: float) -> str:
        (one,) = open_incidents(past.plan, history(past).incidents, Clocks(past.at(hours)))
        assert str(one).endswith(one.next) and "incident inc-1" in str(one)
        return one.next

    assert "GDPR 33(1)" in told(1) and "in 2d 23h" in told(1) and "in 0.0 s" in told(72)
    assert "overdue by 1h" in told(73) and "overdue" not in told(72 - 1 / 3600)
    filed(past, 74)
    assert "nothing is left" in told(75)


def due_of(past: Chronicle, clock: str = "gdpr-33") -> float:
    """Hours since the beginning."""
    (due,) = (one.due for one in only(past).duties if one.clock == clock)
    return (due - past.at(0)).total_seconds() / 3600


def test_a_note_gives_a_clock_that_counts_no_more_time(past: Chronicle) -> None:
    """Neither by a later day, nor by another length, nor by letting it follow what is due later; an earlier day holds."""
    opened(past, 0)
    for late in (
        {"due": rfc3339(past.at(9000))},
        {"due": None, "within_s": 9e6},
        {"due": None, "after": "nis2-23", "months": 30},
    ):
        noted(past, 1, clocks=[{**NIS2, "due": rfc3339(past.at(9000))}, {**CLOCK, **late}])
        assert due_of(past) == 72 and found(past, 73), late
    noted(past, 2, clocks=[{**CLOCK, "due": rfc3339(past.at(48))}])
    assert due_of(past) == 48


def test_what_follows_from_now_on_is_due_when_it_was_until_that_is_filed(past: Chronicle) -> None:
    opened(past, 0, clocks=[{**FINAL, "due": rfc3339(past.at(72)), "after": None}])
    noted(past, 1, clocks=[{**NIS2, "due": rfc3339(past.at(72))}, FINAL])
    assert due_of(past, "final") == 72
    filed(past, 24, clock="nis2-23")
    assert due_of(past, "final") == 24 * 31


@pytest.mark.parametrize("at", [-1, 3])
def test_what_was_filed_before_anybody_knew_or_is_yet_to_be_filed_was_not(past: Chronicle, at: float) -> None:
    opened(past, 0)
    filed(past, 2, filed_at=rfc3339(past.at(at)))
    assert only(past).unsettled == ["gdpr-33"] and found(past, 73)
    filed(past, 4)
    assert only(past).unsettled == [], "its twin"


def test_a_closing_that_is_dated_ahead_closes_nothing_yet(past: Chronicle) -> None:
    opened(past, 0)
    closed(past, 900)
    for hours in (73, 899):
        assert [p.trouble for p in found(past, hours)] == [Trouble.INCIDENT_OVERDUE]
        assert all(one.open for one in incidents_of(past.plan, history(past).incidents, past.at(hours)))
    assert not found(past, 900)
