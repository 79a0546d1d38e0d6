"""What an auditor's report concludes, asked piece by piece: what has been made good, what was never reached, which log
counts, how restores are summed up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ccdr.measure import Point
from ccdr.report import judge
from ccdr.report.evidence import TEST, AssetEvidence, LogFailure, PlanEvidence, Run
from ccdr.report.judge import Finding, Level, Restores, Timing

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_run(seq: int, verb: str = TEST, **changed: Any) -> Run:
    at = NOW + seq * HOUR
    made = Run(seq, verb, "p", "crm", f"r{seq}", "h", "me", at, at.isoformat(), ended=at, end_seq=seq)
    return replace(made, **changed)


def evidence(**given: Any) -> AssetEvidence:
    return AssetEvidence(NOW - HOUR, **given)


def point(hours: float) -> Point:
    return Point(NOW + hours * HOUR, NOW + hours * HOUR)


# --- a test that failed for nothing but a newer backup that had failed ----------------------------------------------

FAILED = a_run(5, outcome="FAIL", body={"newer_failed": True})


@pytest.mark.parametrize(
    ("stored", "good", "over"),
    [
        (a_run(6, "backup", snapshot="s"), {"s"}, True),
        (a_run(6, "backup", snapshot="s"), {"t"}, False),  # disproved since
        (a_run(4, "backup", snapshot="s"), {"s"}, False),  # stored before it failed
        (a_run(1, "backup", snapshot="s", end_seq=5), {"s"}, False),
        (None, {"s"}, False),
    ],
)
def test_a_good_backup_since_makes_good_a_failure_of_a_newer_one(
    stored: Run | None, good: set[str], over: bool
) -> None:
    found = evidence(failure=FAILED, last_good={} if stored is None else {"backup": stored})
    assert judge._made_good(found, {name: point(0) for name in good}, {}) is over


@pytest.mark.parametrize(
    ("hours", "good", "over"), [(6, True, True), (6, False, False), (5, True, False), (4, True, False)]
)
def test_so_does_one_that_another_host_stored(hours: float, good: bool, over: bool) -> None:
    found = evidence(failure=FAILED)
    assert judge._made_good(found, {"s": point(hours)} if good else {}, {"s": point(hours)}) is over


@pytest.mark.parametrize(
    "failed",
    [None, replace(FAILED, body=None), replace(FAILED, body={}), replace(FAILED, body={"newer_failed": "yes"}), replace(FAILED, ended=None)],
)  # fmt: skip
def test_no_backup_makes_good_what_failed_for_another_reason(failed: Run | None) -> None:
    stored = a_run(6, "backup", snapshot="s")
    found = evidence(failure=failed, last_good={"backup": stored})
    assert judge._made_good(found, {"s": point(6)}, {"s": point(6)}) is False


@pytest.mark.parametrize(
    ("newer", "stored", "usable", "over"),
    [
        ({"seq": 3}, 4, 0, True),  # stored since the newer one failed, though before the test had ended
        ({"seq": 4}, 4, 99, False),
        ({"seq": 6}, 6, 99, False),  # it failed while the test went on
        ({"seq": 6}, 7, 0, True),
        ({"seq": None, "at": "2026-11-24T14:00:00Z"}, 1, 2.01, True),  # by another host: its clock tells
        ({"seq": None, "at": "2026-11-24T14:00:00Z"}, 99, 2, False),
        ({"seq": None, "at": "2026-11-24T14:00:00Z"}, None, 2.01, False),
        ({"seq": None, "at": "some day"}, 1, 5, False),  # as of when the test ended
        ({"seq": None, "at": "some day"}, 1, 5.01, True),
        ({"seq": None}, 1, 5.01, True),
        ("x", 6, 0, True),
        ("x", 5, 99, False),
        (None, 5, 99, False),
    ],
)
def test_it_is_made_good_by_what_was_stored_after_the_newer_one_had_failed(
    newer: object, stored: int | None, usable: float, over: bool
) -> None:
    failed = replace(FAILED, body={"newer_failed": True, "newer": newer})
    last = {} if stored is None else {"backup": a_run(1, "backup", snapshot="s", end_seq=stored)}
    assert judge._made_good(evidence(failure=failed, last_good=last), {"s": point(usable)}, {}) is over


@pytest.mark.parametrize(("at", "over"), [(1.99, True), (2, False), (2.01, False)])
def test_so_is_it_by_what_another_host_stored_after_that(at: float, over: bool) -> None:
    said = (NOW + at * HOUR).isoformat().replace("+00:00", "Z")
    failed = replace(FAILED, body={"newer_failed": True, "newer": {"seq": 1, "at": said}})
    assert judge._made_good(evidence(failure=failed), {"s": point(2)}, {"s": point(2)}) is over


# --- a repository that was not to be had ----------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["missing", "closed", "unavailable"])
def test_who_could_not_be_reached_last_is_not_reached_until_somebody_reads_it(why: str) -> None:
    away = a_run(5, "backup", body={"repository": why})
    before = a_run(4, body={})
    found = evidence(last={"backup": away, TEST: before})
    assert judge._unreached(found, PlanEvidence()) == away
    assert judge._unreached(found, PlanEvidence(last_conclusive_check=a_run(4, "check"))) == away
    assert judge._unreached(found, PlanEvidence(last_conclusive_check=a_run(5, "check"))) == away
    assert judge._unreached(found, PlanEvidence(last_conclusive_check=a_run(6, "check"))) is None
    since = evidence(last={"backup": away, TEST: a_run(6, body={})})
    assert judge._unreached(since, PlanEvidence()) is None
    crashed = evidence(last={"backup": away, TEST: a_run(6, body={}, end_seq=None)})
    assert judge._unreached(crashed, PlanEvidence()) == away, "a crash tells nothing of it"
    assert judge._unreached(evidence(), PlanEvidence()) is None
    assert judge._unreached(evidence(last={"backup": a_run(5, "backup", body=None)}), PlanEvidence()) is None


# --- log that a failed recovery was to go through -------------------------------------------------------------------


def counting(*failures: LogFailure) -> list[float]:
    """Of points every half hour from 0 to 4, with bases at 1 and 3."""
    logged, bases = [point(n / 2) for n in range(9)], [point(3), point(1)]
    found = judge._log_that_counts(evidence(log_failures=list(failures)), logged, bases)
    return [(p.consistent - NOW) / HOUR for p in found]


def test_log_behind_a_base_counts_not_where_a_recovery_through_it_failed() -> None:
    """Until a newer base leads on anew; what lies at the bases themselves needs none of it."""
    everything = [n / 2 for n in range(9)]
    assert counting() == everything
    assert counting(LogFailure(None, NOW + 2 * HOUR)) == [0, 0.5, 1, 3, 3.5, 4]
    assert counting(LogFailure(None, NOW + 4 * HOUR)) == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert counting(LogFailure(None, NOW)) == [1, 1.5, 2, 2.5, 3, 3.5, 4], "before the first base nothing is known"
    assert counting(LogFailure(NOW + 1 * HOUR, NOW + 4 * HOUR)) == [0, 0.5, 1], "it went through the newer base"
    both = counting(LogFailure(None, NOW + 2 * HOUR), LogFailure(None, NOW + 4 * HOUR))
    assert both == [0, 0.5, 1, 3]


def test_in_a_damaged_repository_only_what_is_as_old_as_the_newest_proven_counts() -> None:
    good = {"a": point(1), "b": point(2), "c": point(3), "d": point(4)}
    damaged = PlanEvidence(damaged=a_run(9, "check"))
    proven = {"a": "PASS", "c": "PASS", "d": "FAIL"}
    assert judge._counting(good, evidence(proven=proven), damaged).keys() == {"a", "b", "c"}
    assert judge._counting(good, evidence(proven={"d": "FAIL"}), damaged) == {}
    assert judge._counting(good, evidence(), PlanEvidence()) == good


# --- in words and numbers -------------------------------------------------------------------------------------------


def test_a_finding_says_what_it_is_about() -> None:
    found = Finding(Level.LOST, "gone", "p", "crm", "do")
    assert found.about == "p/crm" and replace(found, asset=None).about == "p"
    assert replace(found, plan=None, asset=None).about == "the ledger"
    assert found.as_json() == {"level": "LOST", "plan": "p", "asset": "crm", "text": "gone", "next_step": "do"}


def test_restores_are_summed_up_by_the_settings_that_they_ran_with() -> None:
    taken = [
        ("throwaway", 9.0, "MET"),
        ("durable", 50.0, "BREACHED"),
        ("throwaway", 1.0, "MET"),
        ("throwaway", 4.0, "BREACHED"),
    ]
    timings = [Timing(NOW, seconds, basis, verdict) for basis, seconds, verdict in taken]
    assert list(judge._restores(timings)) == [
        Restores("durable", 1, 50.0, 50.0, 50.0, 1),
        Restores("throwaway", 3, 9.0, 4.0, 4.0, 1),
    ]


def test_a_timing_is_what_the_record_says_and_none_where_it_says_none() -> None:
    body = {"rto": {"achieved_s": 41, "basis": "durable", "verdict": "MET"}}
    assert judge._timing(a_run(1, body=body)) == Timing(NOW + HOUR, 41.0, "durable", "MET")
    for other in (None, {}, {"rto": None}, {"rto": {"achieved_s": None}}, {"rto": {"achieved_s": "fast"}}):
        assert judge._timing(a_run(1, body=other)) is None


def test_how_a_run_ended_is_said() -> None:
    assert judge._ended(a_run(1)) == "crashed: it has no end"
    assert judge._ended(a_run(1, outcome="FAIL", reason="the disk is full")) == "is FAIL: the disk is full"


def test_only_what_is_good_in_itself_and_fits_is_blamed_on_a_newer_one() -> None:
    passed = {"snapshot": {"verdict": "PASS"}, "checks": [{"status": "PASS"}]}
    assert judge._of_newer_alone(a_run(1, body=passed))
    assert not judge._of_newer_alone(a_run(1, body={**passed, "checks": [{"status": "PASS"}, {"status": "FAIL"}]}))
    for other in (None, {}, {"snapshot": {"verdict": "FAIL"}}, {"snapshot": None, "checks": []}):
        assert not judge._of_newer_alone(a_run(1, body=other))
