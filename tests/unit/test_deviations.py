"""Which records open a deviation, which end it, and what tells one from another. Each with a history that has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.chronicle import DISPOSED, NOUGHT, PASSED, Chronicle
from tests.support.judged import END
from tests.support.records import answered
from tests.support.sparse import history_of

from ccdr.evidence.deviations.standing import deviations_of, within
from ccdr.evidence.deviations.values import Deviation
from ccdr.evidence.records.statements import STATEMENT
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.deviation_rules import SEVERITY, DeviationCode

DAY = 24.0
FAILED_CHECK = {**PASSED, "status": "FAIL"}
BROKEN_CHECK = {**PASSED, "status": "INCONCLUSIVE"}
DIFFERENT = "b" * 64


@pytest.fixture
def past() -> Chronicle:
    return Chronicle(END, "/srv", records=[])


def check(kind: str = "identical", fingerprint: str = NOUGHT, **floors: float) -> dict[str, Any]:
    return {"kind": kind, "fingerprint": fingerprint, "subject": fingerprint, "floors": floors, "ceilings": {}}


def version(past: Chronicle, hours: float, *, checks: Sequence[dict[str, Any]] = (check(),), **more: Any) -> int:
    """A version of the plan, with one asset or several."""
    asset = {
        "engine": "files", "method": "scan", "source": NOUGHT, "rpo": 3600.0 * 100, "rto": 1800.0,
        "settings": "throwaway", "backup": "0 * * * *", "test": {"schedule": "0 3 * * *", "rules": ["latest"]},
        "checks": list(checks), "settle": 0.0, "image": "",
    }  # fmt: skip
    of_plan = {key: more.pop(key) for key in ("assets", "deviations", "retention", "mtd", "owner") if key in more}
    facts = {
        "format": 2, "timezone": "UTC", "mtd": None, "retention": None, "prune": "0 5 * * 0", "check": "0 6 * * *",
        "parts": 1, "assets": {past.asset: asset | more}, "owner": "ops@callcentre.example", "copies": {},
        "repository": {"location": NOUGHT, "on_host": False, "apart": True},
    }  # fmt: skip
    body = {"digest": NOUGHT, "predecessor": None, "files": {}, "facts": facts | of_plan}
    return past.wrote(hours, "plan.version", asset=None, **body)


def found(past: Chronicle) -> list[Deviation]:
    return deviations_of(past.histories)


def told(past: Chronicle) -> list[tuple[str, int | None, int | None]]:
    """Of each: its code, the record that opened it, the one that ended it."""
    return [(one.code, one.number, one.retest and one.retest.record) for one in found(past)]


def well(past: Chronicle) -> None:
    version(past, -50)
    past.stored(-5, "old")
    past.tested(-4, "old")
    past.stored(-0.5, "new")


def test_where_all_went_well_there_is_none(past: Chronicle) -> None:
    well(past)
    assert not found(past)


# --- restore tests --------------------------------------------------------------------------------------------------


def test_a_failed_test_opens_one_and_a_good_one_ends_it(past: Chronicle) -> None:
    well(past)
    bad = past.tested(1, "new", "FAIL")
    (one,) = found(past)
    assert (one.code, one.number, one.asset, one.severity) == ("TEST_FAILED", bad, "crm", "critical")
    assert one.owner == "ops@callcentre.example"
    assert rfc3339(one.due) == "2026-12-01T13:00:00Z"  # seven days
    past.stored(2, "newer")
    good = past.tested(3, "newer")
    assert told(past) == [("TEST_FAILED", bad, good)]


def test_its_owner_is_the_one_of_the_version_in_force_when_it_began(past: Chronicle) -> None:
    """Whoever is named since answers for what begins since; a hand-over is a statement."""
    well(past)
    version(past, 0.5, owner="ana@x")
    past.tested(1, "new", "FAIL")
    version(past, 2, owner="ion@x")
    past.failed(3)
    owners = {one.code: one.owner for one in found(past)}
    assert owners == {"TEST_FAILED": "ana@x", "BACKUP_FAILED": "ion@x"}
    past.wrote(
        3.5, "missed", verb="check", asset=None, due=rfc3339(past.at(1.5)), first_due=rfc3339(past.at(1.5)), count=1
    )
    assert {one.owner for one in found(past) if one.code == "MISSED"} == {"ana@x"}, "told of later than it began"
    version(past, 4, owner="dan@x", mtd=5.0)
    version(past, 5, owner="eve@x", mtd=9.0)
    assert {one.owner for one in found(past) if one.code == "MTD_LONGER"} == {"dan@x"}, "not who made it easier"
    failed = next(one for one in found(past) if one.code == "TEST_FAILED")
    of = {"of": "finding", "deviation": failed.id, "code": "TEST_FAILED", "owner": "mia@x"}
    past.wrote(6, "assign.finding", asset=None, says="assign", about=of, made=rfc3339(past.at(6)), nonce="1" * 32)
    version(past, 7, owner=None)
    assert {one.code: one.owner for one in found(past)} == owners | {
        "TEST_FAILED": "mia@x", "MISSED": "ana@x", "MTD_LONGER": "dan@x",
    }  # fmt: skip
    past.wrote(8, "not_begun", asset=None, verb="prune", due=rfc3339(past.at(8)), reason="x")
    assert {one.owner for one in found(past) if one.code == "PRUNE_FAILED"} == {None}, "that version names nobody"


def test_what_began_before_any_version_is_nobodys(past: Chronicle) -> None:
    past.stored(-0.5, "new")
    past.tested(1, "new", "FAIL")
    version(past, 2)
    assert [one.owner for one in found(past)] == [None]


def test_twenty_bad_nights_are_one(past: Chronicle) -> None:
    version(past, -50)
    past.stored(-5, "old")
    first, *_ = [past.tested(day * DAY, "old", "FAIL") for day in range(20)]
    (one,) = found(past)
    assert (one.number, one.times) == (first, 20)
    assert rfc3339(one.since) == "2026-11-24T12:00:00Z"
    assert rfc3339(one.last) == "2026-12-13T12:00:00Z"


def test_two_spans_with_a_good_test_between_are_two(past: Chronicle) -> None:
    well(past)
    first = past.tested(1, "new", "FAIL")
    past.stored(2, "a")
    good = past.tested(3, "a")
    second = past.tested(4, "a", "FAIL")
    assert told(past) == [("TEST_FAILED", first, good), ("TEST_FAILED", second, None)]
    assert len({one.id for one in found(past)}) == 2


def test_what_passed_by_fewer_checks_stays_open_and_says_so(past: Chronicle) -> None:
    version(past, -50)
    past.stored(-5, "old")
    bad = past.tested(-4, "old", "FAIL", checks=[FAILED_CHECK])
    version(past, -3, checks=[])
    past.stored(-2, "new")
    weaker = past.tested(-1, "new")
    of_test = next(one for one in found(past) if one.code == "TEST_FAILED")
    assert (of_test.number, of_test.retest) == (bad, None)
    assert of_test.unchecked is not None and of_test.unchecked.record == weaker
    version(past, 0)
    as_strict = past.tested(1, "new")
    of_test = next(one for one in found(past) if one.code == "TEST_FAILED")
    assert of_test.retest is not None and of_test.retest.record == as_strict


def test_an_older_snapshot_that_passes_takes_nothing_back(past: Chronicle) -> None:
    well(past)
    bad = past.tested(1, "new", "FAIL")
    past.tested(2, "old", selected="random")
    assert told(past) == [("TEST_FAILED", bad, None)]


def test_one_that_proves_nothing_is_none_and_two_in_a_row_are_one(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    past.tested(2, "new")
    past.tested(3, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    assert not found(past)
    second = past.tested(4, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    past.tested(5, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    (one,) = found(past)
    assert (one.code, one.number, one.times) == ("TEST_INCONCLUSIVE", second, 3)
    assert rfc3339(one.since) == "2026-11-24T15:00:00Z"
    good = past.tested(6, "new")
    assert told(past) == [("TEST_INCONCLUSIVE", second, good)]


def test_what_proved_nothing_is_not_ended_by_fewer_checks(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "INCONCLUSIVE")
    second = past.tested(2, "new", "INCONCLUSIVE")
    version(past, 3, checks=[])
    past.tested(4, "new")
    assert ("TEST_INCONCLUSIVE", second, None) in told(past)


def test_tests_that_crash_prove_nothing_either(past: Chronicle) -> None:
    well(past)
    for hour in (1, 2):
        past.began(hour, "restore_test", f"crash-{hour}")
    assert not found(past)  # the second may be at work
    third = past.began(3, "restore_test", "at work")
    assert told(past) == [("TEST_INCONCLUSIVE", third, None)]


def test_a_test_that_fails_for_a_newer_backup_is_of_another_code(past: Chronicle) -> None:
    well(past)
    bad = past.tested(1, "new", "FAIL", own="PASS")
    (one,) = found(past)
    assert (one.code, one.number) == ("NEWER_FAILED", bad)


def test_a_log_that_fails_is_of_another_code(past: Chronicle) -> None:
    well(past)
    bad = past.by_log(1, "new", "FAIL", until=0.5)
    assert told(past) == [("LOG_FAILED", bad, None)]
    good = past.by_log(2, "new", "PASS", until=1.5, reached=1.5)
    assert told(past) == [("LOG_FAILED", bad, good)]


def test_another_asset_has_one_of_its_own(past: Chronicle) -> None:
    well(past)
    ours = past.tested(1, "new", "FAIL")
    past.asset = "dialler"
    theirs = past.tested(2, "new", "FAIL")
    past.tested(3, "new")
    assert [(one.asset, one.number, one.retest is None) for one in found(past)] == [
        ("crm", ours, True),
        ("dialler", theirs, False),
    ]


def test_what_fails_at_a_copy_is_the_copys(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "FAIL", copy="offsite")
    past.tested(2, "new")
    (one,) = found(past)
    assert (one.code, one.copy, one.where, one.retest) == ("COPY_TEST_FAILED", "offsite", "p@offsite/crm", None)


# --- objectives -----------------------------------------------------------------------------------------------------


def rto(achieved: float, objective: float = 1800.0, basis: str = "throwaway") -> dict[str, Any]:
    verdict = "MET" if achieved <= objective else "BREACHED"
    return {"objective_s": objective, "achieved_s": achieved, "basis": basis, "verdict": verdict}


def test_a_restore_that_took_too_long_is_open_until_one_is_as_quick_as_was_asked(past: Chronicle) -> None:
    well(past)
    slow = past.tested(1, "new", rto=rto(2000))
    past.tested(2, "new", rto=rto(2000, objective=7200))  # the plan asks for less by now
    past.tested(3, "new", took=None)
    assert told(past) == [("BREACH_RTO", slow, None)]
    quick = past.tested(4, "new", rto=rto(1700))
    assert told(past) == [("BREACH_RTO", slow, quick)]


def test_easier_settings_take_no_slow_restore_back(past: Chronicle) -> None:
    well(past)
    slow = past.tested(1, "new", rto=rto(2000, basis="durable"))
    past.tested(2, "new", rto=rto(1000))
    assert told(past) == [("BREACH_RTO", slow, None)]
    quick = past.tested(3, "new", rto=rto(1000, basis="durable"))
    assert told(past) == [("BREACH_RTO", slow, quick)]


def test_backups_too_far_apart_are_a_breach_between_them(past: Chronicle) -> None:
    version(past, -50, rpo=7200.0)
    past.stored(-10, "a")
    past.stored(-9, "b")
    assert not found(past)
    late = past.stored(-5, "c")
    (one,) = found(past)
    assert (one.code, one.retest and one.retest.record, one.number) == ("BREACH_RPO", late, late)
    assert rfc3339(one.since) == "2026-11-24T05:00:00Z"  # two hours after what b holds


def test_a_longer_objective_takes_no_breach_back_that_was_one(past: Chronicle) -> None:
    version(past, -50, rpo=7200.0)
    past.stored(-10, "a")
    version(past, -5, rpo=7200.0 * 10)
    past.stored(-4, "b")
    assert "BREACH_RPO" in [one.code for one in found(past)]


def test_a_longer_objective_in_time_makes_none(past: Chronicle) -> None:
    version(past, -50, rpo=7200.0)
    past.stored(-10, "a")
    version(past, -9, rpo=7200.0 * 10)
    past.stored(-4, "b")
    assert "BREACH_RPO" not in [one.code for one in found(past)]


def test_log_keeps_an_rpo_and_behind_a_gap_it_does_not(past: Chronicle) -> None:
    version(past, -50, rpo=3600.0)
    past.stored(-10, "a")
    past.shipped(-9, (-9.5, -9.4), (-9.2, -9.1))
    past.shipped(-8, (-8.4, -8.3))
    assert not found(past)
    past.shipped(-7.9, gaps=[{"after": "1", "before": "3"}])
    past.shipped(-7, (-7.5, -7.4))
    past.stored(-3, "b")
    assert [one.code for one in found(past)] == ["BREACH_RPO"]


# --- backups, upkeep, controls ---------------------------------------------------------------------------------------


def test_failed_backups_in_a_row_are_one_until_one_is_stored(past: Chronicle) -> None:
    well(past)
    first = past.failed(1)
    past.failed(2)
    past.wrote(3, "not_begun", verb="backup", due=rfc3339(past.at(3)), reason="no room")
    good = past.stored(4, "x")
    assert told(past) == [("BACKUP_FAILED", first, good)]
    assert found(past)[0].times == 3


def test_a_backup_that_crashed_is_told_once_the_next_begins(past: Chronicle) -> None:
    well(past)
    past.began(1, "backup", "dead")
    assert not found(past)
    past.began(2, "backup", "next")
    assert [(one.code, one.retest) for one in found(past)] == [("BACKUP_FAILED", None)]
    assert rfc3339(found(past)[0].since) == "2026-11-24T13:00:00Z"


def test_a_damaged_repository_is_the_plans_until_it_is_read_clean(past: Chronicle) -> None:
    past.checked(1)
    bad = past.checked(2, "DAMAGED")
    past.checked(3, "INCONCLUSIVE")
    (one,) = found(past)
    assert (one.code, one.asset, one.number, one.retest) == ("REPOSITORY_DAMAGED", None, bad, None)
    good = past.checked(4)
    assert told(past) == [("REPOSITORY_DAMAGED", bad, good)]


def test_the_same_of_a_prune_and_of_copying(past: Chronicle) -> None:
    past.pruned(1)
    bad = past.pruned(2, "FAILED")
    copied = past.wrote(3, "copy.end", asset=None, copy="offsite", result="FAILED")
    assert told(past) == [("PRUNE_FAILED", bad, None), ("COPY_FAILED", copied, None)]
    past.pruned(4)
    past.wrote(5, "copy.end", asset=None, copy="offsite", result="DONE")
    assert all(one.retest for one in found(past))


def control(past: Chronicle, hours: float, result: str, kind: str = "file_truncated") -> int:
    copies: dict[str, Any] = {"healthy": {"verdict": "PASS", "checks": [PASSED]}, "damaged": {"verdict": "FAIL"}}
    if result == "PASSED":
        copies["damaged"] = {"verdict": "PASS"}
    if result == "INCONCLUSIVE":
        copies["damaged"] = {"verdict": "INCONCLUSIVE"}
    damage = {"kind": kind, "table": None, "seed": 7}
    past.snapshot(hours, f"c{hours}")
    snapshot = {"id": NOUGHT, "consistent_point": rfc3339(past.at(0)), "bytes": 5, "manifest_sha256": NOUGHT}
    said = {"snapshot": snapshot, "damage": damage, **copies, **DISPOSED}
    return past.wrote(hours, "negative_control.end", result=result, phases={}, **said)


def test_a_damaged_copy_that_passed_is_open_until_the_same_is_caught(past: Chronicle) -> None:
    control(past, 1, "CAUGHT")
    bad = control(past, 2, "PASSED")
    control(past, 3, "INCONCLUSIVE")
    assert told(past) == [("CONTROL_PASSED", bad, None)]
    good = control(past, 4, "CAUGHT")
    assert told(past) == [("CONTROL_PASSED", bad, good)]


# --- what was missed ------------------------------------------------------------------------------------------------


def missed(past: Chronicle, hours: float, verb: str, first: float, count: int, **more: Any) -> int:
    due, first_due = rfc3339(past.at(hours)), rfc3339(past.at(first))
    return past.wrote(hours, "missed", verb=verb, due=due, first_due=first_due, count=count, **more)


def test_twenty_dead_days_are_one(past: Chronicle) -> None:
    well(past)
    back = 20 * DAY
    first = missed(past, back, "backup", 1, 479)
    missed(past, back, "test", 15, 19)
    (one,) = found(past)
    assert (one.code, one.number, one.times) == ("MISSED", first, 498)
    assert rfc3339(one.since) == "2026-11-24T13:00:00Z"
    past.stored(back + 1, "x")
    assert found(past)[0].retest is None  # its test waits
    tested = past.tested(back + 2, "x")
    assert ("MISSED", first, tested) in told(past)


def test_a_run_that_comes_back_and_works_in_between_tells_of_one_all_the_same(past: Chronicle) -> None:
    well(past)
    back = 20 * DAY
    first = missed(past, back, "backup", 1, 479)
    past.stored(back + 0.1, "x", begun=True)  # as `ccdr run` does: then it comes to the test
    missed(past, back + 0.2, "test", 15, 19)
    one = next(one for one in found(past) if one.code == "MISSED")
    assert (one.number, one.times, one.retest) == (first, 498, None)
    tested = past.tested(back + 0.3, "x")
    assert [one.retest and one.retest.record for one in found(past) if one.code == "MISSED"] == [tested]


def test_what_was_missed_again_after_it_was_done_is_another(past: Chronicle) -> None:
    well(past)
    missed(past, 2, "backup", 1, 1)
    past.stored(3, "a")
    missed(past, 6, "backup", 5, 1)
    assert len({one.id for one in found(past)}) == 2


def test_a_test_by_fewer_checks_makes_up_for_none_that_was_missed(past: Chronicle) -> None:
    well(past)
    missed(past, 2, "test", 1, 1)
    version(past, 3, checks=[])
    past.tested(4, "new")
    assert next(one for one in found(past) if one.code == "MISSED").retest is None


def test_what_a_pause_skipped_was_not_missed(past: Chronicle) -> None:
    well(past)
    due = rfc3339(past.at(2))
    past.wrote(2, "skipped", verb="backup", due=due, first_due=due, count=1, reason="paused")
    assert not found(past)


# --- what a plan promises no more ------------------------------------------------------------------------------------


def test_a_loosening_is_open_until_it_is_promised_again(past: Chronicle) -> None:
    version(past, 0, rpo=3600.0)
    loose = version(past, 1, rpo=7200.0)
    version(past, 2, rpo=7200.0 * 2)
    version(past, 3, rpo=7200.0)  # less than it was, yet more than at first
    assert told(past) == [("RPO_LONGER", loose, None)]
    (one,) = found(past)
    assert (one.asset, one.plan, one.severity, one.times) == ("crm", "p", "major", 2)
    tight = version(past, 4, rpo=3600.0)
    assert told(past) == [("RPO_LONGER", loose, tight)]


def test_what_asks_for_more_is_none(past: Chronicle) -> None:
    version(past, 0, rpo=3600.0)
    version(past, 1, rpo=1800.0)
    assert not found(past)


def test_a_check_that_was_replaced_and_is_not_back_stays_open(past: Chronicle) -> None:
    version(past, 0)
    gone = version(past, 1, checks=[])
    version(past, 2, checks=[check(fingerprint=DIFFERENT)])
    assert told(past) == [("CHECK_GONE", gone, None)]
    back = version(past, 3, checks=[check(), check(fingerprint=DIFFERENT)])
    assert told(past) == [("CHECK_GONE", gone, back)]


def test_an_asset_that_is_back_with_fewer_checks_has_them_open(past: Chronicle) -> None:
    version(past, 0)
    whole = past.records[-1]["facts"]["assets"]
    gone = version(past, 1, assets={"other": whole["crm"]})
    back = version(past, 2, assets={**whole, "other": whole["crm"], "crm": {**whole["crm"], "checks": []}})
    assert told(past) == [("ASSET_GONE", gone, back), ("CHECK_GONE", back, None)]
    version(past, 3, assets={**whole, "other": whole["crm"]})
    assert all(one.retest for one in found(past))


# --- the ledger -----------------------------------------------------------------------------------------------------


def of_ledger(past: Chronicle, hours: float, kind: str, **body: Any) -> int:
    seq = past.wrote(hours, kind, asset=None, **body)
    past.records[-1]["plan"] = None
    return seq


def verified(past: Chronicle, hours: float, result: str = "HOLDS", summary: str = "EQUAL") -> int:
    return of_ledger(past, hours, "ledger.verified", result=result, records=1, head=NOUGHT, summary=summary)


def test_a_ledger_that_does_not_verify_is_a_deviation_of_no_plan(past: Chronicle) -> None:
    verified(past, 0)
    assert not found(past)
    bad = verified(past, 1, "BROKEN", "NONE")
    (one,) = found(past)
    assert (one.plan, one.asset, one.where, one.owner) == (None, None, "the ledger", None)
    good = verified(past, 2)
    assert told(past) == [("LEDGER_BROKEN", bad, good)]


def test_a_look_at_the_newest_alone_takes_no_contradiction_back(past: Chronicle) -> None:
    said = {"snapshots": 1, "elsewhere": 0, "newest": 1}
    bad = past.wrote(1, "ledger.compared", asset=None, result="DIFFERS", whole=True, **said)
    past.wrote(2, "ledger.compared", asset=None, result="AGREES", whole=False, **said)
    assert told(past) == [("LEDGER_CONTRADICTED", bad, None)]
    good = past.wrote(3, "ledger.compared", asset=None, result="AGREES", whole=True, **said)
    assert told(past) == [("LEDGER_CONTRADICTED", bad, good)]


def test_a_lost_ledger_is_open_until_somebody_answers_for_it(past: Chronicle) -> None:
    name = "ab" * 16
    lost = of_ledger(past, 1, "ledger.lost", ledger=name, last_seq=4, last_head=NOUGHT)
    of_ledger(past, 2, STATEMENT, **answered(["cd" * 16]))
    assert told(past) == [("LEDGER_LOST", lost, None)]
    answer = of_ledger(past, 3, STATEMENT, **answered([name]))
    assert told(past) == [("LEDGER_LOST", lost, answer)]


# --- ids, periods, rules ---------------------------------------------------------------------------------------------


def test_it_has_the_same_id_whenever_it_is_asked_for(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "FAIL")
    then = found(past)[0].id
    past.tested(2, "new", "FAIL")
    past.stored(3, "x")
    past.tested(4, "x")
    assert [one.id for one in found(past)] == [then]
    assert len(then) == 8


def test_another_ledgers_record_of_the_same_number_makes_another_id(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "FAIL")
    here = found(past)[0].id
    past.records = [record | {"prev": "1" * 64} for record in past.records]
    assert found(past)[0].id != here


def test_a_period_has_those_that_lasted_in_it(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "FAIL")
    past.stored(2, "x")
    past.tested(3, "x")
    every = found(past)
    at = past.at

    def lasted(start: float, end: float) -> int:
        return len(within(every, at(start), at(end)))

    assert [lasted(0, 1), lasted(0, 1.5), lasted(1.5, 2), lasted(3, 4), lasted(3.5, 4)] == [0, 1, 1, 1, 0]


def test_a_plan_says_how_bad_it_is_and_by_when_it_is_to_be_over(past: Chronicle) -> None:
    rules = {"severity": {"BACKUP_FAILED": "critical", "LOOSENED": "critical"}, "due": {"critical": 3600.0}}
    version(past, 0, rpo=3600.0, deviations=rules)
    past.failed(1)
    version(past, 2, rpo=7200.0)  # and who makes the rules easier is held to them for what that version loosens
    by_code = {one.code: one for one in found(past)}
    assert [by_code[code].severity for code in ("BACKUP_FAILED", "RPO_LONGER")] == ["critical"] * 2
    assert rfc3339(by_code["BACKUP_FAILED"].due) == "2026-11-24T14:00:00Z"
    assert {"DEVIATIONS_MILDER", "DEVIATIONS_LATER"} <= by_code.keys()


def test_each_code_that_a_plan_may_weigh_has_a_weight() -> None:
    from typing import get_args

    assert set(get_args(DeviationCode)) <= SEVERITY.keys()
    assert set(SEVERITY) - set(Trouble.__members__) == {"ERASURE_FAILED", "LOOSENED"}


def test_the_fold_kept_and_gone_on_with_is_the_fold_of_all(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "FAIL")
    missed(past, 4, "backup", 2, 2)
    past.stored(5, "x")
    for n in range(len(past.records)):
        known = history_of(past.records[:n])
        assert deviations_of(history_of(past.records[n:], known)) == deviations_of(past.histories)
