"""What is wrong with one asset, and with the care of its repository, by records and what else is known at a moment: each
trouble with its code, how bad it is, what it says and what to do next, and its healthy twin. Values in, values out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.chronicle import Chronicle, digest
from tests.support.harness import Site
from tests.unit.test_acknowledged import acked

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.judgement.counting import why_not_counting
from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.evidence.log_standing import LogStanding
from ccdr.model.measure import Point
from ccdr.model.trouble import (
    CAUSES,
    NOTHING_TO_TEST,
    Level,
    Problem,
    Trouble,
    next_step,
    ship_again,
    where_it_can_be_done,
)
from ccdr.model.values import ObjectiveVerdict, Snapshot, Verb, rfc3339, to_the_second
from ccdr.plans.job import Job

END = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday
HOUR = timedelta(hours=1)
RPO, RTO = 3600, 1800  # seconds, as the plan below wants them
Told = tuple[str, Level, str, str | None]
NOON = "2026-11-24T"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """By name: what is tested daily, what is not, what has schedules, what ships its log; the second plan has no
    retention."""
    site = Site(tmp_path_factory.mktemp("site"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    site.plan(
        """
        crm:
          engine: files
          paths: [/spool]
          group: centre
          restore_test: {schedule: "0 3 * * *", snapshot: [latest, oldest], checks: [t]}
        idle: {engine: files, paths: [/idle], group: centre, objectives: {rpo: 2h}}
        hourly:
          engine: files
          paths: [/spool]
          backup: {schedule: "15 * * * *"}
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        log:
          engine: postgres
          method: physical
          log_shipping: {interval: 60s}
          connection: {host: /nowhere, user: postgres, database: postgres}
          settings: durable
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        """,
        extra='retention: {keep_last: 3}\nupkeep: {prune: "0 5 * * *", check: "0 6 * * 0"}\n',
    )
    site.plan("crm: {engine: files, paths: [/spool]}", name="q", extra='upkeep: {check: "0 6 * * *"}\n')
    made = {name: Job(site.loaded(), name) for name in ("crm", "idle", "hourly", "log")}
    return made | {"q": Job(site.loaded("q"), "crm")}


def about(job: Job) -> Chronicle:
    return Chronicle(END, str(job.engine.source_name), job.plan, job.asset)


@pytest.fixture
def past(jobs: dict[str, Job]) -> Chronicle:
    """Of what is tested daily: nothing yet."""
    return about(jobs["crm"])


def well(past: Chronicle, **more: Any) -> Chronicle:
    """Backed up half an hour ago, and tested this night."""
    past.stored(-5, "old", **more)
    past.tested(-4, "old", basis="durable" if past.asset == "log" else "throwaway")
    past.stored(-0.5, "new", **more)
    return past


def judged(job: Job, past: Chronicle, at: float = 0, *, at_work: Sequence[str] = (), **seen: Any) -> AssetStatus:
    found = past.histories
    for history in found.values():
        history.at_work = list(at_work)
    own, upkeep = (found.get((job.plan, asset), AssetHistory()) for asset in (job.asset, None))
    return judge(job, own, upkeep, Seen(past.there, **seen), past.at(at))


# Whose work each is about; None: whoever sees it is told. Of a finding, and of what could not begin, it says itself.
WHOSE = {
    Verb.BACKUP: "NEVER_SUCCEEDED BACKUP_FAILED BACKUP_LATE LOG_LATE LOG_GAP GROUP_INCOMPLETE BREACH_RPO",
    Verb.TEST: "TEST_FAILED LOG_FAILED NEWER_FAILED TEST_INCONCLUSIVE NEVER_TESTED TEST_LATE BREACH_RTO RTO_UNMEASURED",
    Verb.PRUNE: "PRUNE_FAILED PRUNE_LATE",
    Verb.CHECK: "CHECK_INCONCLUSIVE CHECK_LATE",
    None: "REPOSITORY_AWAY REPOSITORY_DAMAGED RESTORE_CRASHED",
}
OWN = {name: verb for verb, names in WHOSE.items() for name in names.split()}


def whose(problems: Iterable[Problem]) -> None:
    for p in problems:
        if p.trouble is Trouble.NOT_BEGUN:
            assert p.verb == p.about
        elif p.trouble is not Trouble.FINDING:
            assert p.verb is OWN[p.trouble.name], p


def told(found: AssetStatus) -> list[Told]:
    whose(found.troubles)
    return [(p.trouble.name, p.level, p.text, p.step) for p in found.troubles]


def codes(found: AssetStatus) -> list[str]:
    return [p.trouble.name for p in found.troubles]


def step(trouble: Trouble, job: Job, **more: Any) -> str | None:
    return next_step(trouble, job.plan, job.asset, **more)


def test_what_is_backed_up_and_tested_has_no_trouble_and_its_numbers(jobs: dict[str, Job], past: Chronicle) -> None:
    found = judged(jobs["crm"], well(past))
    assert found.troubles == () and found.proven and not found.finding and not found.away
    assert found.rpo.as_json() == {"objective_s": RPO, "achieved_s": 1800.0, "verdict": "MET"}
    assert found.rto.as_json() == {"objective_s": RTO, "achieved_s": 60.0, "verdict": "MET"}
    assert (found.plan, found.asset, found.coverage, found.backs_up) == ("p", "crm", "tested", True)
    assert found.good == past.there[-1] and list(found.counting) == list(found.usable) == past.there
    assert (found.last_backup or {})["seq"] == 3 and (found.last_test or {})["seq"] == 2
    assert found.by_rule == {"latest": (past.records[1]["time"], "PASS"), "oldest": None}


def test_a_line_as_json_holds_what_the_ledger_says_and_no_envelope(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.2, "new", "FAIL", selected="oldest", begun=True)
    said: Any = judged(jobs["crm"], past).as_json()
    time = past.records[-1]["time"]
    assert said["tested_by_rule"] == {
        "latest": {"time": past.records[1]["time"], "verdict": "PASS"}, "oldest": {"time": time, "verdict": "FAIL"},
    }  # fmt: skip
    assert (
        said["last_test"]["verdict"] == "FAIL" and said["last_test"]["seq"] == 5 and said["last_test"]["time"] == time
    )
    assert not {"prev", "host", "actor", "kind"} & said["last_test"].keys()
    assert said["last_good_backup"] == {
        "time": "2026-11-24T07:00:00Z",
        "snapshot": {"id": digest("old"), "consistent_point": "2026-11-24T07:00:00Z"},
    }
    assert said["problems"] and [t["code"] for t in said["troubles"]] == codes(judged(jobs["crm"], past))
    assert (said["asset"], said["coverage"], said["group"], said["private"]) == ("crm", "tested", None, [])


def test_a_test_that_did_not_pass_is_told_with_its_run_and_its_cause(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.3, "new", "FAIL", reason="12 rows are gone")
    past.tested(-0.2, "old", "INCONCLUSIVE", selected="oldest", reason="no room for 3 GiB")
    by_code = {p.trouble.name: p for p in judged(jobs["crm"], past).wrong}
    failed, broke = by_code["TEST_FAILED"], by_code["TEST_INCONCLUSIVE"]
    assert (failed.run, failed.cause, failed.since) == (past.records[3]["run"], "# rows are gone", past.at(-0.3))
    assert (broke.run, broke.cause, broke.since) == (past.records[4]["run"], "no room for # GiB", past.at(-0.2))


def test_what_only_follows_from_something_else_says_from_what_and_has_its_step(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    def because() -> dict[str, str | None]:
        found = judged(jobs["crm"], past)
        root = {p.trouble: p for p in found.troubles}
        assert all(p.step == root[p.because].step for p in found.troubles if p.because)
        return {p.trouble.name: p.because and p.because.name for p in found.troubles}

    past.failed(-3, "no answer", repository="unavailable")
    past.tested(-2.5, None, "INCONCLUSIVE", repository="unavailable")
    away = dict.fromkeys(("BACKUP_FAILED", "NEVER_SUCCEEDED", "TEST_INCONCLUSIVE", "NEVER_TESTED"), "REPOSITORY_AWAY")
    assert because() == {"REPOSITORY_AWAY": None, **away}
    past.failed(-2)
    past.tested(-1.5, None, "FAIL")
    assert because() == {"BACKUP_FAILED": None, "NEVER_SUCCEEDED": "BACKUP_FAILED", "TEST_FAILED": "BACKUP_FAILED"}
    past.stored(-1.2, "s")
    past.tested(-1.1, "s", "FAIL")
    failed = {"TEST_FAILED": None, "BREACH_RPO": "TEST_FAILED"}
    assert {k: v for k, v in because().items() if k != "FINDING"} == failed, (
        "of a snapshot: that says something of itself"
    )
    past.stored(-0.1, "t")
    past.tested(-0.05, "t")
    assert because() == {}


def test_each_snapshot_that_does_not_count_says_why(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).stored(-0.45, "bad")
    past.tested(-0.4, "bad", "FAIL")
    past.stored(-0.35, "upon", upon=("bad",))
    past.stored(-0.3, "noted", note="a file was gone")
    past.stored(-0.2, "other", source="/elsewhere")
    past.snapshot(30, "ahead")

    def reasons() -> dict[str, str | None]:
        job = jobs["crm"]
        said = why_not_counting(judged(job, past), job, past.history(), past.there, END)
        return {name: said[digest(name)] for name in ("old", "new", "bad", "upon", "noted", "other", "ahead")}

    assert reasons() == {
        "old": None, "new": None, "bad": "failed its last restore test",
        "upon": "builds upon one that failed its restore test",
        "noted": "restic stored it with a warning: a file was gone",
        "other": "is of something else than the plan now names",
        "ahead": "bears a future date, 2026-11-25T18:00:00Z",
    }  # fmt: skip
    past.checked(-0.1, "DAMAGED")
    damaged = "the repository was found damaged, and nothing as new has passed a test since"
    assert (reasons()["old"], reasons()["new"]) == (None, damaged)


def test_what_failed_its_test_was_backed_up_once(jobs: dict[str, Job], past: Chronicle) -> None:
    """Also where another host has done that, of which no record tells here."""
    past.snapshot(-2, "theirs")
    past.tested(-1, "theirs", "FAIL")
    assert codes(judged(jobs["crm"], past)) == ["TEST_FAILED", "FINDING"]
    past.there.clear()
    assert "NEVER_SUCCEEDED" in codes(judged(jobs["crm"], past)), "its twin: nothing is there"


def test_no_cause_follows_from_what_it_is_the_cause_of() -> None:
    def roots(code: Trouble, seen: tuple[Trouble, ...] = ()) -> None:
        assert code not in seen
        for cause in CAUSES.get(code, ()):
            roots(cause, (*seen, code))

    for code in (*CAUSES, *NOTHING_TO_TEST):
        roots(code)


def test_two_troubles_of_one_asset_that_are_called_alike_are_told_apart(jobs: dict[str, Job], past: Chronicle) -> None:
    def failed() -> list[tuple[str, str]]:
        return [(p.about, p.why) for p in judged(jobs["crm"], past).wrong if p.trouble is Trouble.TEST_FAILED]

    well(past).tested(-0.3, "new", "FAIL", reason="rows are gone")
    assert failed() == [("", "rows are gone")]
    past.tested(-0.2, "old", "FAIL", selected="oldest", reason="a key is gone")
    assert failed() == [("newest test", "a key is gone"), ("", "rows are gone")], "the one that was told keeps its name"
    past.tested(-0.1, "old", selected="oldest")
    assert failed() == [("", "rows are gone")]
    past.stored(-0.05, "s", findings=["2 files were in use", "3 files were in use"])
    found = [(p.about, p.text) for p in judged(jobs["crm"], past).wrong if "in use" in p.text]
    assert found == [("# files were in use", "2 files were in use"), ("# files were in use (2)", "3 files were in use")]


def test_what_was_made_good_and_has_measured_nothing_leaves_the_rto_unmeasured(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-0.3, "new", "FAIL", took=None, **NEWER)
    assert codes(judged(jobs["crm"], past)) == ["NEWER_FAILED"]
    past.stored(-0.2, "s")
    text = "its RTO was not measured by its last restore test that came to a verdict"
    assert told(judged(jobs["crm"], past)) == [
        ("RTO_UNMEASURED", Level.LATE, text, step(Trouble.RTO_UNMEASURED, jobs["crm"]))
    ]


# --- can it be brought back? ----------------------------------------------------------------------------------


def nothing(_: Chronicle) -> None:
    pass


def both_failed(past: Chronicle) -> None:
    for name in ("old", "new"):
        past.tested(-0.2, name, "FAIL")


def later_failed(past: Chronicle) -> None:
    past.tested(-0.2, "new", "FAIL")
    past.tested(-0.1, "old", selected="oldest")


def older_newer_failed(past: Chronicle) -> None:
    past.tested(-0.2, "new", "FAIL", own="PASS", newer_failed=True)
    past.tested(-0.1, "old", selected="oldest")


NEWER: dict[str, Any] = {"own": "PASS", "newer_failed": True}
DAMAGE = "found the repository damaged, and no test of the newest snapshot has passed since"
DOUBT = "1 newer snapshot does not count until one has passed a test: the repository was found damaged"


@pytest.mark.parametrize(
    ("then", "code", "level", "text"),
    [
        (both_failed, "BREACH_RPO", Level.LOST, "RPO breached: there is no snapshot that counts, the objective is 1h 00m"),
        (lambda p: p.tested(-0.2, "new", "FAIL"), "TEST_FAILED", Level.LOST, "its last restore test is FAIL: so it was"),
        (
            lambda p: p.tested(-0.2, "new", "FAIL", **NEWER), "NEWER_FAILED", Level.LATE,
            "its last restore test is FAIL for a newer backup alone: so it was",
        ),
        (
            lambda p: p.tested(-0.2, "new", source="/elsewhere"), "NEVER_TESTED", Level.UNPROVEN,
            "its last restore test was of something else than the plan now names",
        ),
        (
            later_failed, "TEST_FAILED", Level.LOST,
            f"its restore test of {NOON}11:48:00Z is FAIL, and no newer snapshot has passed: so it was",
        ),
        (
            older_newer_failed, "NEWER_FAILED", Level.LATE,
            f"its restore test of {NOON}11:48:00Z is FAIL, and no newer snapshot has passed: so it was",
        ),
        (
            lambda p: p.checked(-0.2, "DAMAGED"), "REPOSITORY_DAMAGED", Level.UNPROVEN,
            f"the check of {NOON}11:48:00Z {DAMAGE}",
        ),
        (
            lambda p: (p.failed(-0.2, repository="damaged"), p.stored(-0.1, "s")), "REPOSITORY_DAMAGED",
            Level.UNPROVEN, f"the backup of {NOON}11:48:00Z {DAMAGE}",
        ),
        (
            lambda p: (p.checked(-0.2, "INCONCLUSIVE", repository="damaged"), p.stored(-0.1, "s")),
            "REPOSITORY_DAMAGED", Level.UNPROVEN, f"the check of {NOON}11:48:00Z {DAMAGE}",
        ),
        (
            lambda p: (p.tested(-0.2, "old", "FAIL", damaged=True), p.tested(-0.1, "old", selected="oldest")),
            "REPOSITORY_DAMAGED", Level.UNPROVEN, DOUBT,
        ),
    ],
)  # fmt: skip
def test_whether_it_can_be_brought_back(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], code: str, level: Level, text: str
) -> None:
    then(well(past))
    found = judged(jobs["crm"], past)
    todo = step(Trouble[code], jobs["crm"])
    if code == "BREACH_RPO":  # it follows from that both have failed
        todo = step(Trouble.TEST_FAILED, jobs["crm"], alone=True)
    assert (code, level, text, todo) in told(found)
    assert max(p.level for p in found.troubles) is level and found.finding and not found.proven


def test_what_was_never_backed_up_nor_tested_says_both(jobs: dict[str, Job], past: Chronicle) -> None:
    """That its objective is breached is no trouble beside that."""
    job = jobs["crm"]
    found = judged(job, past)
    assert told(found) == [
        (
            "NEVER_SUCCEEDED",
            Level.LOST,
            "never backed up successfully yet",
            "ccdr backup p --asset crm   takes the first one now",
        ),
        ("NEVER_TESTED", Level.UNPROVEN, "never tested", step(Trouble.NEVER_SUCCEEDED, job)),
    ]
    assert (
        found.rpo.as_json() == {"objective_s": RPO, "achieved_s": None, "verdict": "BREACHED"}
        and found.coverage == "untested"
    )


def test_a_test_that_came_to_no_verdict_has_tested_nothing(jobs: dict[str, Job], past: Chronicle) -> None:
    past.stored(-0.5, "new")
    past.tested(-0.2, "new", "INCONCLUSIVE")
    text = "no restore test of it has ever come to a verdict"
    found = judged(jobs["crm"], past)
    assert ("NEVER_TESTED", Level.UNPROVEN, text, step(Trouble.TEST_INCONCLUSIVE, jobs["crm"])) in told(found)
    assert codes(found) == ["TEST_INCONCLUSIVE", "NEVER_TESTED"] and found.coverage == "untested"
    past.tested(-0.1, "new")
    assert codes(judged(jobs["crm"], past)) == []


@pytest.mark.parametrize(
    ("hours", "stale"), [(-8, False), (-32, False), (-33.1, True), (-50, True)]
)  # due each night at three
def test_a_test_that_came_due_twice_since_is_overdue(
    jobs: dict[str, Job], past: Chronicle, hours: float, stale: bool
) -> None:
    past.stored(hours, "old")
    past.tested(hours, "old")
    past.stored(-0.5, "new")
    found = judged(jobs["crm"], past)
    text = f"its restore test is overdue: the last one with a verdict is of {to_the_second(past.at(hours))}"
    late = ("TEST_LATE", Level.UNPROVEN, text, step(Trouble.TEST_LATE, jobs["crm"]))
    assert told(found) == ([late] if stale else []) and found.coverage == ("stale" if stale else "tested")


def test_what_has_no_restore_test_in_its_plan_says_so_and_is_never_overdue(jobs: dict[str, Job]) -> None:
    past = about(jobs["idle"])
    past.stored(-300, "old")
    past.stored(-0.5, "new")
    (never,) = judged(jobs["idle"], past).troubles
    assert never.text == "never tested, and its plan has no restore test for it"
    past.tested(-200, "old", "INCONCLUSIVE")
    (_, never) = judged(jobs["idle"], past).troubles
    assert never.text == "no restore test of it has ever come to a verdict, and its plan has none for it"
    past.tested(-200, "old")
    assert judged(jobs["idle"], past).troubles == ()


# --- what is over ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "then",
    [
        nothing,
        lambda p: (p.tested(-0.4, "new", "FAIL"), p.tested(-0.3, "new")),
        lambda p: (p.tested(-0.4, "old", "FAIL"), p.tested(-0.3, "new")),
        lambda p: (p.tested(-0.4, "new", "FAIL", **NEWER), p.stored(-0.3, "s")),
        lambda p: (p.checked(-0.4, "DAMAGED"), p.tested(-0.3, "new")),
        lambda p: (p.tested(-0.4, "old", "FAIL", damaged=True), p.tested(-0.3, "new")),
        lambda p: (p.failed(-0.4), p.stored(-0.3, "s")),
        lambda p: p.by_log(-0.3, "new", "FAIL", until=-0.3) and p.tested(-0.2, "new"),  # its plan ships no log any more
        lambda p: (p.began(-0.4, "restore", "x"), p.wrote(-0.3, "restore.end", "x", result="RESTORED", checks=[], phases={}, target={"kind": "directory", "name": None})),
        lambda p: p.stored(0, "s"),
    ],
)  # fmt: skip
def test_what_is_over_is_no_trouble(jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object]) -> None:
    then(well(past))
    assert told(judged(jobs["crm"], past)) == []


def test_a_failure_that_came_last_is_told_once(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.2, "new", "FAIL")
    found = judged(jobs["crm"], past)
    assert codes(found).count("TEST_FAILED") == 1
    assert {(p.trouble.name, p.about) for p in found.wrong} == {("TEST_FAILED", ""), ("FINDING", "newer")}


@pytest.mark.parametrize(("others", "alone"), [(False, True), (True, False)])
def test_a_test_that_failed_asks_for_another_snapshot_only_where_there_is_one(
    jobs: dict[str, Job], past: Chronicle, others: bool, alone: bool
) -> None:
    if others:
        past.stored(-3, "old")
    past.stored(-0.5, "new")
    past.tested(-0.2, "new", "FAIL")
    (failed,) = [p for p in judged(jobs["crm"], past).troubles if p.trouble is Trouble.TEST_FAILED]
    assert failed.step == step(Trouble.TEST_FAILED, jobs["crm"], alone=alone)
    assert ("takes a new one" in str(failed.step)) is alone


def test_a_failure_for_a_newer_backup_is_over_once_one_was_stored_and_another_stands(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-0.3, "new", "FAIL", **NEWER)
    assert codes(judged(jobs["crm"], past)) == ["NEWER_FAILED"]
    past.stored(-0.2, "s")
    assert codes(judged(jobs["crm"], past)) == []
    past.tested(-0.1, "s", "FAIL", own="PASS", newer_failed=False)
    (still,) = told(judged(jobs["crm"], past))
    assert still[0] == "NEWER_FAILED" and still[3] == step(Trouble.NEWER_FAILED, jobs["crm"])


# --- a test that failed for nothing but a newer backup that had failed -----------------------------------------


def failed_for_a_newer_one(past: Chronicle, newer: object, **more: Any) -> None:
    """Record 5, and record 7 is of something else."""
    past.stored(-5, "old")  # 1
    past.wrote(-4.9, "missed", verb="backup", due=rfc3339(END), first_due=rfc3339(END), count=1)  # 2
    for hours in (-4.8, -4.7):  # 3, 4
        past.pruned(hours)
    past.tested(-3, "old", "FAIL", own="PASS", **{"newer_failed": True, "newer": newer} | more)  # 5


@pytest.mark.parametrize(
    ("newer", "over"),
    [
        ({"seq": 5, "at": "2026-11-24T10:00:00Z"}, True),
        ({"seq": 7, "at": "2026-11-24T10:00:00Z"}, True),
        ({"seq": 8, "at": "2026-11-24T06:00:00Z"}, False),  # it is what was stored
        ({"seq": 9, "at": "2026-11-24T06:00:00Z"}, False),  # it failed since, whatever a clock said
        ({"seq": None, "at": "2026-11-24T10:59:59Z"}, True),  # another host's: its clock tells
        ({"seq": None, "at": "2026-11-24T11:00:00Z"}, False),
        ({"seq": None, "at": "2026-11-24T11:00:01Z"}, False),
        (None, True),  # an older record does not say: as of when the test ended
    ],
)
def test_it_is_made_good_by_what_was_stored_after_the_newer_one_had_failed(
    jobs: dict[str, Job], past: Chronicle, newer: object, over: bool
) -> None:
    failed_for_a_newer_one(past, newer)
    for hours in (-2.9, -2.8):  # 6, 7
        past.pruned(hours)
    assert past.stored(-1, "s") == 8
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


@pytest.mark.parametrize(
    ("newer", "over"),
    [
        ({"seq": 3, "at": "2026-11-24T07:12:00Z"}, True),  # stored since that failed, though before the test had ended
        ({"seq": 4, "at": "2026-11-24T07:18:00Z"}, False),
        (None, False),
    ],
)
def test_what_was_stored_while_the_test_went_on_makes_good_what_had_failed_before(
    jobs: dict[str, Job], past: Chronicle, newer: object, over: bool
) -> None:
    past.stored(-8, "old")  # 1
    past.pruned(-4.9)  # 2
    past.failed(-4.8)  # 3
    past.stored(-0.5, "s")  # 4
    past.tested(-0.4, "old", "FAIL", own="PASS", newer_failed=True, newer=newer)  # 5
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


@pytest.mark.parametrize(("at", "over"), [(-2.01, True), (-2, False), (-1.99, False)])
@pytest.mark.parametrize("seq", [None, 3])
def test_so_is_it_by_what_another_host_stored_after_that(
    jobs: dict[str, Job], past: Chronicle, at: float, over: bool, seq: int | None
) -> None:
    failed_for_a_newer_one(past, {"seq": seq, "at": rfc3339(END + at * HOUR)})
    past.snapshot(-3.5, "s", usable=-2)
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


@pytest.mark.parametrize(("usable", "over"), [(-2.9, True), (-3, False), (-3.1, False)])
def test_where_the_newer_one_is_not_told_another_hosts_counts_from_when_the_test_ended(
    jobs: dict[str, Job], past: Chronicle, usable: float, over: bool
) -> None:
    failed_for_a_newer_one(past, None)
    past.snapshot(-3.5, "s", usable=usable)
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


def test_what_was_stored_since_and_is_disproved_makes_nothing_good(jobs: dict[str, Job], past: Chronicle) -> None:
    failed_for_a_newer_one(past, {"seq": 4, "at": rfc3339(END)})
    past.stored(-1, "s")
    assert "NEWER_FAILED" not in codes(judged(jobs["crm"], past))
    past.tested(-0.9, "s", "FAIL")
    past.tested(-0.8, "old", selected="oldest")
    past.tested(-0.7, "old", "FAIL", own="PASS", newer_failed=True, newer={"seq": 4, "at": rfc3339(END)})
    assert "NEWER_FAILED" in codes(judged(jobs["crm"], past))


@pytest.mark.parametrize("more", [{"newer_failed": False}, {"own": "FAIL", "newer_failed": False}])
def test_no_backup_makes_good_what_failed_for_another_reason(
    jobs: dict[str, Job], past: Chronicle, more: dict[str, Any]
) -> None:
    failed_for_a_newer_one(past, None, **{k: v for k, v in more.items() if k != "own"})
    past.stored(-1, "s")
    assert "NEWER_FAILED" in codes(judged(jobs["crm"], past))


def test_only_what_is_good_in_itself_and_fits_is_blamed_on_a_newer_one(jobs: dict[str, Job], past: Chronicle) -> None:
    def check(status: str) -> dict[str, str]:
        return {"kind": "rows", "name": "n", "status": status, "expected": "1", "actual": "1"}

    for checks, own, code in (
        (["PASS"], "PASS", "NEWER_FAILED"),
        ([], "PASS", "NEWER_FAILED"),
        (["PASS", "FAIL"], "PASS", "TEST_FAILED"),
        (["PASS"], "FAIL", "TEST_FAILED"),
        (["PASS"], None, "TEST_FAILED"),
    ):
        one = well(replace(past, records=[], there=[], manifests={}))
        one.tested(-0.2, "new", "FAIL", own=own, checks=[check(status) for status in checks])
        assert code in codes(judged(jobs["crm"], one)), (checks, own)
    past = well(about(jobs["crm"]))
    past.tested(-0.2, None, "FAIL")
    assert "TEST_FAILED" in codes(judged(jobs["crm"], past)), "there was nothing to restore"


# --- the shipped log ------------------------------------------------------------------------------------------


def test_log_that_failed_is_told_as_that_and_beside_a_test_since(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = well(about(job))
    past.by_log(-0.3, "new", "FAIL", until=-0.3, reason="log is missing", basis="durable")
    bad = ("LOG_FAILED", Level.LOST, "its last restore test is FAIL: log is missing", step(Trouble.LOG_FAILED, job))
    assert told(judged(job, past))[0] == bad and codes(judged(job, past)).count("LOG_FAILED") == 1
    for verdict in ("PASS", "FAIL", "INCONCLUSIVE"):
        past.tested(-0.2, "new", verdict, basis="durable")
        text = (
            f"its recovery by the log of {NOON}11:42:00Z is FAIL, and none that goes as far has passed: log is missing"
        )
        found = [p for p in told(judged(job, past)) if p[0] == "LOG_FAILED"]
        assert found == [("LOG_FAILED", Level.LOST, text, step(Trouble.LOG_FAILED, job))], verdict
    past.tested(-0.2, "new", basis="durable")
    past.by_log(-0.1, "new", "PASS", until=-0.1, basis="durable")
    assert codes(judged(job, past)) == []


def shipping(past: Chronicle, job: Job, standing: LogStanding | None, leads: bool = True, **seen: Any) -> list[Told]:
    """What is told of the shipping by a host that knows of it."""

    def logged(bases: Sequence[Snapshot], _: object) -> Sequence[Point]:
        return [Point(END, END)] if leads and bases else ()

    return told(judged(job, past, standing=standing, ships=True, logged=logged, **seen))


def test_log_that_nobody_ships_or_that_does_not_come_is_late(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = well(about(job))
    todo = step(Trouble.LOG_LATE, job)
    never = "its log was never shipped: run `ccdr ship p`, or `ccdr run`"
    assert shipping(past, job, None) == [("LOG_LATE", Level.NOTE, never, todo)]
    good = LogStanding(point=past.at(-0.05), usable=past.at(-0.05), position="0/3")
    assert shipping(past, job, good) == []
    for minutes, late in ((4, False), (4.01, True), (30, True)):
        one = replace(good, point=END - timedelta(minutes=minutes), usable=END)
        since = to_the_second(END - timedelta(minutes=minutes))
        text = f"its log is stored up to {since} only: nothing ships it: run `ccdr ship p`"
        assert shipping(past, job, one) == ([("LOG_LATE", Level.NOTE, text, todo)] if late else [])
    text = f"its log is stored up to {since} only: what ships it does not get on"
    assert shipping(past, job, one, shipping=True) == [("LOG_LATE", Level.NOTE, text, todo)]
    away = replace(good, trouble="the source is away", troubled=past.at(-0.1))
    assert shipping(past, job, away) == [
        ("LOG_LATE", Level.NOTE, "its log is not shipped: the source is away", ship_again("p", "log"))
    ]
    assert shipping(past, job, replace(good, trouble="stopped")) == [], "somebody has told it to stop"
    ahead = replace(good, point=past.at(0.1))
    (early,) = shipping(past, job, ahead)
    assert early[2] == "its log is stored up to 2026-11-24T12:06:00Z, which is yet to come: a clock is, or was, wrong"
    assert shipping(past, job, replace(good, point=past.at(0.05))) == [], "two clocks may differ a little"


def test_what_is_known_of_shipping_is_judged_only_where_it_is_asked_for(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = well(about(job))
    assert told(judged(job, past, standing=None, ships=False)) == []
    late = LogStanding(point=past.at(-3), usable=past.at(-3), position="0/3")
    assert told(judged(job, past, standing=late)) == []
    assert shipping(well(about(jobs["crm"])), jobs["crm"], late) == [], "its plan ships none"
    other = about(job)
    other.snapshot(-0.5, "s")
    other.tested(-0.4, "s", basis="durable")
    assert shipping(other, job, None) == [], "another host backs it up, and ships"


def test_log_that_does_not_lead_on_from_the_newest_backup_is_a_gap(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = well(about(job))
    standing = LogStanding(point=END, usable=END, position="0/3")
    meanwhile = "until then it can be restored as of its backups only"
    text = f"its newest backup is no base that the log goes on from; {meanwhile}"
    todo = step(Trouble.LOG_GAP, job)
    assert shipping(past, job, standing, leads=False) == [("LOG_GAP", Level.NOTE, text, todo)]
    text = f"log is missing since noon; {meanwhile}"
    torn = replace(standing, gap="log is missing since noon", findings=("3 slots are lost",))
    assert shipping(past, job, torn, leads=False) == [
        ("LOG_GAP", Level.NOTE, text, todo),
        ("FINDING", Level.NOTE, "3 slots are lost", None),
    ]


# --- a repository that was not to be had ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "level", "said"),
    [
        ("missing", Level.LOST, "it was not there"),
        ("closed", Level.LOST, "it did not open with the plan's password"),
        ("unavailable", Level.UNPROVEN, "it did not answer"),
        ("damaged", Level.LOST, "it did not open, for what opens it is damaged"),
    ],
)
@pytest.mark.parametrize("verb", ["backup", "test"])
def test_what_could_not_be_reached_says_in_what_way(
    jobs: dict[str, Job], past: Chronicle, why: str, level: Level, said: str, verb: str
) -> None:
    well(past)
    if verb == "backup":
        past.failed(-0.2, "away", repository=why)
    else:
        past.tested(-0.2, None, "INCONCLUSIVE", reason="away", repository=why)
    found = judged(jobs["crm"], past)
    text = f"when its repository was last asked, {NOON}11:48:00Z, {said}: away"
    assert told(found)[0] == (
        "REPOSITORY_AWAY",
        level,
        text,
        "ccdr doctor p   looks at the repository; then ccdr test p",
    )
    assert found.away and found.wrong[0].since == past.at(-0.2)


@pytest.mark.parametrize(
    ("then", "away"),
    [
        (nothing, True),
        (lambda p: p.checked(-0.1), False),
        (lambda p: p.checked(-0.1, "DAMAGED"), False),
        (lambda p: p.checked(-0.1, "INCONCLUSIVE", repository="missing"), True),
        (lambda p: p.stored(-0.1, "s"), False),
        (lambda p: p.tested(-0.1, "new", "INCONCLUSIVE"), False),
        (lambda p: p.failed(-0.1), False),
        (lambda p: p.began(-0.1, "restore_test", "x"), True),  # a crash tells nothing of it
        (lambda p: p.began(-0.1, "backup", "x"), True),
        (lambda p: p.pruned(-0.1), True),
    ],
)
def test_who_could_not_be_reached_last_is_away_until_somebody_reads_it(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], away: bool
) -> None:
    well(past).checked(-0.3)
    past.failed(-0.2, repository="missing")
    then(past)
    assert judged(jobs["crm"], past).away is away


# --- in time? -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "lost"), [([-1], None), ([-1.01], "1h 00m"), ([-3], "3h 00m"), ([-4, -0.5], None), ([-0.5, -3], None)]
)
def test_exposure_is_judged_now(
    jobs: dict[str, Job], past: Chronicle, hours: Sequence[float], lost: str | None
) -> None:
    for number, when in enumerate(hours):
        past.stored(when, f"s{number}")
    past.tested(max(hours), "s0")
    text = f"RPO breached: {lost} of data would be lost, the objective is 1h 00m"
    breach = ("BREACH_RPO", Level.LATE, text, "ccdr backup p --asset crm   takes one now")
    found = judged(jobs["crm"], past)
    assert told(found) == ([breach] if lost else [])
    assert [p.since for p in found.breaches] == ([past.at(min(hours[-1:]) + 1)] if lost else [])


@pytest.mark.parametrize(("usable", "future"), [(0.05, False), (0.1, True)])
def test_what_cannot_be_used_yet_is_no_backup(
    jobs: dict[str, Job], past: Chronicle, usable: float, future: bool
) -> None:
    past.stored(-1, "s", usable=usable)
    found = judged(jobs["crm"], past)
    assert found.rpo.achieved_s == math.inf and [p.level for p in found.breaches] == [Level.LOST]
    assert any("which bears a future date" in p.text for p in found.wrong) is future


def test_what_a_damaged_repository_holds_of_newer_backups_asks_for_no_other_backup(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    """Nor would another one count."""
    past.stored(-3, "old")
    past.tested(-2.5, "old")
    past.stored(-0.5, "new")
    past.checked(-0.1, "DAMAGED")
    (breach,) = judged(jobs["crm"], past).breaches
    assert breach.text.startswith("RPO breached: 3h 00m") and breach.step == step(
        Trouble.REPOSITORY_DAMAGED, jobs["crm"]
    )
    past.there.pop()
    (breach,) = judged(jobs["crm"], past).breaches
    assert breach.step == step(Trouble.BREACH_RPO, jobs["crm"]), "nothing newer is there"


def test_in_a_damaged_repository_only_what_is_as_old_as_the_newest_proven_counts(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    for hours, name in ((-4, "a"), (-3, "b"), (-2, "c"), (-1, "d")):
        past.stored(hours, name)
    past.tested(-0.9, "a", selected="oldest")
    past.tested(-0.8, "c", selected="random")

    def counts() -> list[str]:
        return [s.id for s in judged(jobs["crm"], past).counting]

    assert counts() == [digest(name) for name in "abcd"]
    past.checked(-0.5, "DAMAGED")
    assert counts() == [digest(name) for name in "abc"]
    past.tested(-0.4, "c", "FAIL", selected="random")
    assert counts() == [digest("a")]
    past.tested(-0.3, "a", "FAIL", selected="oldest")
    assert counts() == []
    past.failed(-0.2, repository="damaged")
    past.tested(-0.1, "d")
    assert counts() == [digest(name) for name in "bd"], "somebody has been in there since"


def test_nothing_counts_in_a_repository_that_does_not_open(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).checked(-0.2, "INCONCLUSIVE", repository="damaged")
    found = judged(jobs["crm"], past)
    assert found.counting == () and [s.id for s in found.usable] == [digest("old"), digest("new")]
    assert found.rpo.achieved_s == math.inf
    past.stored(-0.1, "s")
    assert [s.id for s in judged(jobs["crm"], past).counting] == [digest("old")]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"took": RTO}, None),
        ({"took": 7200.0}, ("BREACH_RTO", "RTO breached: its last restore took 2h 00m, the objective is 30m 00s")),
        ({"basis": "durable"}, ("RTO_UNMEASURED", "its RTO was not measured with throwaway settings, which its plan asks for")),
        ({"took": None}, ("RTO_UNMEASURED", "its RTO was not measured with throwaway settings, which its plan asks for")),
    ],
)  # fmt: skip
def test_restores_are_judged_by_the_last(
    jobs: dict[str, Job], past: Chronicle, last: dict[str, Any], said: tuple[str, str] | None
) -> None:
    well(past).tested(-0.3, "new", took=9999)
    past.tested(-0.2, "new", **last)
    found = judged(jobs["crm"], past)
    assert told(found) == ([(said[0], Level.LATE, said[1], step(Trouble[said[0]], jobs["crm"]))] if said else [])
    assert found.finding is (said is not None) and found.proven is (said is None)
    past.tested(-0.1, "new", "INCONCLUSIVE", took=None)
    assert {p.trouble.name for p in judged(jobs["crm"], past).breaches} == ({said[0]} if said else set())


def test_an_rto_that_a_failed_test_has_not_measured_is_no_trouble_beside_that(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-0.2, "new", "FAIL", took=None)
    found = judged(jobs["crm"], past)
    assert not {"BREACH_RTO", "RTO_UNMEASURED"} & set(codes(found)) and found.rto.verdict == "NOT_MEASURED"


def test_settings_are_those_that_the_plan_asks_for(jobs: dict[str, Job]) -> None:
    past = well(about(jobs["log"]))
    assert judged(jobs["log"], past).rto.achieved_s == 60
    past.tested(-0.1, "new", basis="throwaway")
    (unmeasured,) = judged(jobs["log"], past).breaches
    assert unmeasured.text == "its RTO was not measured with durable settings, which its plan asks for"


def test_a_backup_that_came_due_twice_is_overdue(jobs: dict[str, Job]) -> None:
    """At a quarter past each hour; one that failed was tried."""
    job, past = jobs["hourly"], about(jobs["hourly"])
    past.stored(-1.7, "s")
    past.tested(-1.6, "s")
    assert codes(judged(job, past, -0.8)) == [], "it came due once"
    text = "its backup is overdue: the last one is of 2026-11-24T10:18:00Z"
    late = ("BACKUP_LATE", Level.NOTE, text, step(Trouble.BACKUP_LATE, job))
    assert told(judged(job, past, 0.3))[:1] == [late]
    assert "BACKUP_LATE" not in codes(judged(job, past, 0.3, backing_up=True)), "it is being taken"
    past.failed(-0.5)
    assert "BACKUP_LATE" not in codes(judged(job, past, 0.3)) and "BACKUP_LATE" in codes(judged(job, past, 1.5))
    past.asked(1, "test")
    assert "BACKUP_LATE" not in codes(judged(job, past, 1.5)), "another host's"


# --- what counts ----------------------------------------------------------------------------------------------


def test_only_what_is_of_the_source_that_the_plan_names_counts(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).snapshot(-0.3, "s", source="/elsewhere")
    found = judged(jobs["crm"], past)
    assert found.rpo.achieved_s == 1800 and found.good is not None and found.good.id == digest("new")
    text = "its newest snapshot is of something else than the plan now names"
    assert told(found) == [("FINDING", Level.NOTE, text, None)], "what to do is to read this"
    past.stored(-0.2, "t")
    assert told(judged(jobs["crm"], past)) == [], "one of its own is newer"


def test_newer_ones_that_do_not_count_are_told_with_why(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).stored(-0.4, "noted", note="a file was gone")
    past.stored(-0.3, "increment", upon=("noted",))
    past.snapshot(1, "ahead")
    (found,) = judged(jobs["crm"], past).wrong
    noted = f"{digest('increment')[:8]}, which builds upon one that restic stored with a warning"
    said = f"{digest('ahead')[:8]}, which bears a future date, 2026-11-24T13:00:00Z; {noted}; and 1 more"
    assert (found.trouble.name, found.about, found.text) == (
        "FINDING",
        "newer",
        f"3 newer snapshots do not count: {said}",
    )
    past.stored(-0.1, "good")
    (found,) = judged(jobs["crm"], past).wrong
    assert found.text.startswith("1 newer snapshot does not count: ")


def test_an_increment_without_what_it_builds_upon_does_not_count(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).stored(-0.4, "full")
    past.stored(-0.3, "increment", upon=("full",))
    assert judged(jobs["crm"], past).troubles == ()
    past.tested(-0.2, "full", "FAIL", selected="random")
    found = judged(jobs["crm"], past)
    assert any(
        f"{digest('increment')[:8]}, which builds upon one that failed its restore test" in p for p in found.problems
    )
    past.tested(-0.1, "increment")
    assert "newer" not in {p.about for p in judged(jobs["crm"], past).wrong}, "it has passed itself since"
    past.there = [s for s in past.there if s.id != digest("full")]
    (said,) = [p.text for p in judged(jobs["crm"], past).wrong if p.about == "newer"]
    assert f"builds upon {digest('full')[:8]}, which is not there" in said


# --- what did not go well last --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "text", "todo"),
    [
        (
            lambda p: p.failed(-0.2), "the backup of 2026-11-24T11:48:00Z failed: disk full",
            "`ccdr doctor p` looks for why; then `ccdr backup p --asset crm`",
        ),
        (
            lambda p: p.failed(-0.2, hint="make room"), "the backup of 2026-11-24T11:48:00Z failed: disk full",
            "make room; then `ccdr backup p --asset crm`",
        ),
        (
            lambda p: p.failed(-0.2, "interrupted"),
            "the backup of 2026-11-24T11:48:00Z was interrupted, and stored nothing",
            "`ccdr backup p --asset crm` takes a new one",
        ),
        (
            lambda p: p.began(-0.2, "backup", "dead"),
            "the backup of 2026-11-24T11:48:00Z crashed: its run dead has no end",
            "`ccdr doctor p` looks for why; then `ccdr backup p --asset crm`",
        ),
        (lambda p: p.began(-0.2, "backup", "alive"), None, None),
        (lambda p: (p.began(-0.2, "backup", "dead"), p.stored(-0.1, "s")), None, None),
    ],
)  # fmt: skip
def test_a_backup_that_did_not_end_well_is_noted(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], text: str | None, todo: str | None
) -> None:
    then(well(past))
    found = judged(jobs["crm"], past, at_work=["alive"])
    assert told(found) == ([("BACKUP_FAILED", Level.NOTE, text, todo)] if text else [])
    assert found.failed is (text is not None)


@pytest.mark.parametrize(
    ("then", "text"),
    [
        (lambda p: p.tested(-0.2, "new", "INCONCLUSIVE"), "its last restore test is INCONCLUSIVE: so it was"),
        (
            lambda p: p.began(-0.2, "restore_test", "dead"),
            "the restore test of 2026-11-24T11:48:00Z crashed: its run dead has no end",
        ),
        (lambda p: p.began(-0.2, "restore_test", "alive"), None),
        (lambda p: (p.began(-0.2, "restore_test", "dead"), p.tested(-0.1, "new")), None),
    ],
)
def test_a_test_that_came_to_no_end_is_noted(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], text: str | None
) -> None:
    then(well(past))
    noted = [("TEST_INCONCLUSIVE", Level.NOTE, text, step(Trouble.TEST_INCONCLUSIVE, jobs["crm"]))]
    found = judged(jobs["crm"], past, at_work=["alive"])
    assert told(found) == (noted if text else []) and found.coverage == "tested"


def test_a_restore_for_real_that_crashed_is_noted_for_a_week(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).began(-0.2, "restore", "dead", target={"kind": "directory", "name": "/srv"})
    text = "the restore of 2026-11-24T11:48:00Z into /srv crashed: its run dead has no end"
    assert told(judged(jobs["crm"], past)) == [
        ("RESTORE_CRASHED", Level.NOTE, text, step(Trouble.RESTORE_CRASHED, jobs["crm"]))
    ]
    assert "RESTORE_CRASHED" in codes(judged(jobs["crm"], past, 167)) and "RESTORE_CRASHED" not in codes(
        judged(jobs["crm"], past, 168)
    )
    assert told(judged(jobs["crm"], past, at_work=["dead"])) == []


def test_what_could_not_begin_is_noted_until_it_was_done_where_the_plan_asks_for_it(jobs: dict[str, Job]) -> None:
    for name, verbs in (("hourly", ["backup", "test"]), ("crm", ["test"]), ("idle", [])):
        job, past = jobs[name], well(about(jobs[name]))
        for verb in ("backup", "test"):
            past.wrote(-0.2, "not_begun", verb=verb, due=rfc3339(END), reason="no key")
        todo = step(Trouble.NOT_BEGUN, job)
        assert told(judged(job, past)) == [
            ("NOT_BEGUN", Level.NOTE, f"its {verb} could not begin: no key", todo) for verb in verbs
        ]
        past.stored(-0.1, "s")
        past.tested(-0.1, "s")
        assert told(judged(job, past)) == []


def test_what_the_last_good_backup_and_the_last_test_found_is_noted(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).stored(-0.4, "s", findings=["one of 2"])
    past.failed(-0.3, findings=["nothing"])
    past.tested(-0.2, "s", findings=["two", "3"])
    found = judged(jobs["crm"], past)
    assert [(p.text, p.about, p.step) for p in found.wrong if p.trouble is Trouble.FINDING] == [
        (text, about, None) for text, about in (("one of 2", "one of #"), ("two", "two"), ("3", "#"))
    ]
    past.stored(-0.1, "t")
    past.tested(-0.1, "t")
    assert told(judged(jobs["crm"], past)) == []


def test_who_was_captured_without_its_group_is_noted_where_its_own_backup_is_good(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    def captured(hours: float, group: str, *missing: str) -> None:
        past.wrote(hours, "group", asset=None, group=group, result="INCOMPLETE", complete=False, missing=list(missing),
                   skew_s=None, members={})  # fmt: skip

    captured(-0.4, "centre", "idle", "gone")
    text = "its group centre was not captured whole: there is no snapshot of idle with it"
    assert told(judged(jobs["crm"], well(past))) == [
        ("GROUP_INCOMPLETE", Level.NOTE, text, step(Trouble.GROUP_INCOMPLETE, jobs["crm"]))
    ]
    assert "GROUP_INCOMPLETE" not in codes(judged(jobs["hourly"], past)), "it is of no group"
    for missing in (["crm", "idle"], ["gone"], []):
        captured(-0.3, "centre", *missing)
        assert told(judged(jobs["crm"], past)) == [], missing


# --- where another host backs up ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "looked", "verdict"),
    [
        ([-0.5], -0.2, "MET"),
        ([-3], -2.5, "NOT_KNOWN_HERE"),  # it may have backed up since
        ([-3], -1.5, "BREACHED"),  # and had not by then
        ([-6, -3], -2.5, "NOT_KNOWN_HERE"),
        ([-3], None, "NOT_KNOWN_HERE"),
        ([], None, "NOT_KNOWN_HERE"),
        ([(-3, -3), (-0.2, 0.05)], -1.5, "NOT_KNOWN_HERE"),  # known, if not usable yet: something has looked since
        ([(-3, -3), (0, 0)], -1.5, "MET"),
        ([(-3, -1.4)], -1.5, "NOT_KNOWN_HERE"),  # something else has looked since
        ([(-3, -1.5)], -1.5, "BREACHED"),
    ],
)
def test_what_another_host_may_have_done_since_this_one_looked_is_not_known(
    jobs: dict[str, Job], past: Chronicle, hours: Sequence[Any], looked: float | None, verdict: str
) -> None:
    past.asked(-300, "test")
    for number, h in enumerate(hours):
        past.snapshot(h[0] if isinstance(h, tuple) else h, f"s{number}", usable=h[1] if isinstance(h, tuple) else None)
    if looked is not None:
        exposed = (looked - (hours[-1] if not isinstance(hours[-1], tuple) else hours[0][0])) * 3600 if hours else None
        exposed = None if exposed is None else max(exposed, 0.0)
        rpo = {"objective_s": 3600.0, "achieved_s": exposed, "verdict": "MET"}
        past.tested(looked, "s0", rpo=rpo)
    found = judged(jobs["crm"], past)
    assert found.rpo.verdict == verdict and not found.backs_up
    assert ("BREACH_RPO" in codes(found)) is (verdict == "BREACHED")
    past.asked(-0.1, "backup", "test")
    assert judged(jobs["crm"], past).rpo.verdict == ("MET" if verdict == "MET" else "BREACHED"), (
        "the same where it is its own"
    )


def test_that_another_host_had_nothing_when_it_was_looked_at_is_a_breach(jobs: dict[str, Job], past: Chronicle) -> None:
    past.asked(-300, "test")
    past.tested(
        -1, None, "INCONCLUSIVE", took=None, rpo={"objective_s": 3600.0, "achieved_s": None, "verdict": "BREACHED"}
    )
    found = judged(jobs["crm"], past)
    assert found.rpo.verdict == "BREACHED" and "NEVER_SUCCEEDED" in codes(found)
    past.snapshot(-0.5, "s")
    assert judged(jobs["crm"], past).rpo.verdict == "MET"


def test_what_the_last_test_reached_counts_where_another_host_ships(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = about(job)
    past.snapshot(-3, "base")
    past.by_log(-0.5, "base", "PASS", until=-0.6, reached=-0.6, basis="durable",
                rpo={"objective_s": 3600.0, "achieved_s": 360.0, "verdict": "MET"})  # fmt: skip
    past.asked(-0.4, "test")
    assert judged(job, past).rpo.achieved_s == pytest.approx(0.6 * 3600)
    past.asked(-0.3, "backup", "test")
    assert judged(job, past).rpo.achieved_s == 3 * 3600


@pytest.mark.parametrize(("asked", "where"), [(["test"], "on the host that backs it up: "), (["backup", "test"], "")])
def test_a_step_that_needs_the_source_is_for_the_host_that_has_it(
    jobs: dict[str, Job], past: Chronicle, asked: list[str], where: str
) -> None:
    well(past).asked(-0.4, *asked)
    past.tested(-0.2, "new", "FAIL", **NEWER)
    (failed,) = judged(jobs["crm"], past).troubles
    assert failed.step == f"{where}{step(Trouble.NEWER_FAILED, jobs['crm'])}"
    past.tested(-0.1, "new", "INCONCLUSIVE")
    broke = next(p for p in judged(jobs["crm"], past).troubles if p.trouble is Trouble.TEST_INCONCLUSIVE)
    assert broke.step == step(Trouble.TEST_INCONCLUSIVE, jobs["crm"]), "that it can do itself"


# --- codes, levels and steps ----------------------------------------------------------------------------------


def test_troubles_are_as_bad_as_what_they_keep_from_whoever_needs_it() -> None:
    assert [level.name for level in sorted(Level)] == ["FINE", "NOTE", "NEAR", "LATE", "UNPROVEN", "LOST"]
    by_level = {level: {t.name for t in Trouble if Problem(t, "").level is level} for level in Level}
    assert by_level[Level.LOST] == {"NEVER_SUCCEEDED", "TEST_FAILED", "LOG_FAILED", "REPOSITORY_AWAY"}
    assert by_level[Level.UNPROVEN] == {
        "NEVER_TESTED", "NOT_KNOWN_HERE", "TEST_LATE", "REPOSITORY_DAMAGED", "NO_LONGER_CHECKED", "RECORDS_NEWER",
        "RECORDS_WRONG", "CATALOGUE_WRONG",
    }  # fmt: skip
    assert by_level[Level.LATE] == {
        "NEWER_FAILED", "BREACH_RPO", "BREACH_RTO", "RTO_UNMEASURED", "SNAPSHOT_VANISHED",
    }  # fmt: skip
    assert by_level[Level.NEAR] == {"REPOSITORY_NEAR"}
    assert by_level[Level.FINE] == set() and len(by_level[Level.NOTE]) == len(Trouble) - 18


def test_a_trouble_is_told_with_its_code_and_when_it_began() -> None:
    one = Problem(Trouble.LOG_GAP, "torn", END, step="do")
    assert one.as_json() == {
        "code": "LOG_GAP", "level": "NOTE", "text": "torn", "since": "2026-11-24T12:00:00Z", "next_step": "do",
        "because": None, "acknowledged": False, "until": None,
    }  # fmt: skip
    worse = Problem(Trouble.LOG_GAP, "torn", as_bad_as=Level.LOST, acknowledged=END).as_json()
    assert (worse["level"], worse["since"], worse["next_step"]) == ("LOST", None, None)
    assert (worse["acknowledged"], worse["until"]) == (True, "2026-11-24T12:00:00Z")


def test_steps_are_filled_in() -> None:
    assert str(next_step(Trouble.REPOSITORY_DAMAGED, "p", "a")).startswith("ccdr test p --asset a --snapshot latest ")
    assert str(next_step(Trouble.REPOSITORY_DAMAGED, "p", None)).startswith("ccdr test p --snapshot latest ")
    assert next_step(Trouble.BREACH_RPO, "p", None) == "ccdr backup p --asset ASSET   takes one now"
    assert next_step(Trouble.BREACH_RPO, "p", "a") == "ccdr backup p --asset a   takes one now"
    assert next_step(Trouble.MISSED, "p", "a") is None
    for trouble in Trouble:
        told = next_step(trouble, "p", "a")
        assert told is None or "{" not in told
    assert where_it_can_be_done("ccdr test p", backs_up=False) == where_it_can_be_done("ccdr test p", backs_up=True)
    assert where_it_can_be_done("ccdr backup p", backs_up=True) == "ccdr backup p"
    assert where_it_can_be_done("ccdr backup p", backs_up=False) == "on the host that backs it up: ccdr backup p"


# --- the care of a repository ---------------------------------------------------------------------------------


def cared(job: Job, past: Chronicle, at: float = 0, *, at_work: Sequence[str] = (), busy: bool = False) -> list[Told]:
    found = past.histories
    for history in found.values():
        history.at_work = list(at_work)
    return [
        (p.trouble.name, p.level, p.text, p.step) for p in judge_upkeep(job.loaded, found, past.at(at), at_work=busy)
    ]


def test_what_is_looked_after_has_no_trouble(jobs: dict[str, Job], past: Chronicle) -> None:
    assert cared(jobs["crm"], past) == []
    past.pruned(-8)
    past.checked(-8)
    assert cared(jobs["crm"], past) == []


@pytest.mark.parametrize(
    ("then", "code", "text"),
    [
        (lambda p: p.pruned(-8, "FAILED", reason="locked"), "PRUNE_FAILED", "its last prune FAILED: locked"),
        (
            lambda p: p.began(-8, "prune", "dead", asset=None), "PRUNE_FAILED",
            "the prune of 2026-11-24T04:00:00Z crashed: its run dead has no end",
        ),
        (
            lambda p: p.began(-8, "check", "dead", asset=None), "CHECK_INCONCLUSIVE",
            "the check of 2026-11-24T04:00:00Z crashed: its run dead has no end",
        ),
        (
            lambda p: p.checked(-8, "INCONCLUSIVE", reason="no answer"), "CHECK_INCONCLUSIVE",
            "its last check is INCONCLUSIVE: no answer",
        ),
        (
            lambda p: p.checked(-8, "DAMAGED", part=2, parts=3), "REPOSITORY_DAMAGED",
            "a check found part 2 of 3 of the repository's data DAMAGED",
        ),
        (
            lambda p: p.checked(-8, "DAMAGED"), "REPOSITORY_DAMAGED",
            "a check that read all of the repository's data found some of it DAMAGED",
        ),
        (lambda p: p.pruned(-8, findings=["slow"]), "FINDING", "slow"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_repository_is_told_until_it_is_mended(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], code: str, text: str
) -> None:
    past.pruned(-9)
    past.checked(-9)
    then(past)
    level = Level.UNPROVEN if code == "REPOSITORY_DAMAGED" else Level.NOTE
    assert cared(jobs["crm"], past) == [(code, level, text, step_of_plan(code))]
    assert cared(jobs["crm"], past, at_work=["dead"]) == ([] if "crashed" in text else cared(jobs["crm"], past))
    past.pruned(-7)
    for part in (1, 2, 3):
        past.checked(-7, part=part, parts=3)
    assert cared(jobs["crm"], past) == []


def step_of_plan(code: str) -> str | None:
    return None if code == "FINDING" else next_step(Trouble[code], "p", None)


PRUNE_LATE, CHECK_LATE = "what retention lets go is overdue to be removed", "its check is overdue"


def first(hours: float) -> Callable[[Chronicle], object]:
    """The plan's first record, of then."""
    return lambda p: p.failed(hours)


def then_asked(hours: float, *verbs: str, since: float = -24 * 9.5) -> Callable[[Chronicle], object]:
    return lambda p: (p.failed(hours), p.asked(since, *verbs))


@pytest.mark.parametrize(
    ("plan", "then", "late"),
    [
        ("crm", nothing, {}),
        ("crm", first(-30), {}),  # once due, or twice right now
        ("crm", first(-32), {PRUNE_LATE: "never done, though due since 2026-11-24T05:00:00Z"}),
        (
            "crm", first(-24 * 9.5),
            {PRUNE_LATE: "never done, though due since 2026-11-16T05:00:00Z", CHECK_LATE: "never done, though due since 2026-11-22T06:00:00Z"},
        ),
        ("q", first(-24 * 9.5), {CHECK_LATE: "never done, though due since 2026-11-16T06:00:00Z"}),
        ("crm", then_asked(-24 * 9.5), {}),
        ("crm", then_asked(-24 * 9.5, "check"), {CHECK_LATE: "never done, though due since 2026-11-22T06:00:00Z"}),
        ("crm", then_asked(-24 * 9.5, "check", "prune", since=-2), {}),
        (
            "crm", lambda p: (p.failed(-300), p.pruned(-32), p.checked(-32)),
            {PRUNE_LATE: "the last one is of 2026-11-23T04:00:00Z"},
        ),
        ("crm", lambda p: (p.failed(-300), p.began(-29, "prune", "alive", asset=None), p.checked(-29)), {}),
        (
            "crm", lambda p: (p.began(-32, "prune", "alive", asset=None), p.checked(-32)),
            {PRUNE_LATE: "the last one is of 2026-11-23T04:00:00Z"},
        ),
        (
            "crm",
            lambda p: (p.wrote(-32, "not_begun", asset=None, verb="prune", due=rfc3339(END), reason="x"), p.checked(-29), p.pruned(-29)),
            {},
        ),
    ],
)  # fmt: skip
def test_upkeep_that_came_due_twice_since_it_was_tried_or_asked_for_is_overdue(
    jobs: dict[str, Job], plan: str, then: Callable[[Chronicle], object], late: dict[str, str]
) -> None:
    job = jobs[plan]
    past = about(job)
    then(past)
    found = [(code, level, text) for code, level, text, _ in cared(job, past, at_work=["alive"]) if "overdue" in text]
    code = {PRUNE_LATE: "PRUNE_LATE", CHECK_LATE: "CHECK_LATE"}
    assert found == [(code[what], Level.NOTE, f"{what}: {last}") for what, last in late.items()]
    assert not [text for _, _, text, _ in cared(job, past, at_work=["alive"], busy=True) if "overdue" in text]


def test_another_plans_records_are_none_of_this_ones(jobs: dict[str, Job], past: Chronicle) -> None:
    past.failed(-300)
    assert cared(jobs["q"], past) == [] and [p for p in cared(jobs["crm"], past) if "overdue" in p[2]]


def test_a_host_that_looked_after_what_it_does_not_back_up_is_not_breached(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    past.asked(-300, "prune", "check")
    past.snapshot(-30, "s")
    assert judged(jobs["crm"], past).rpo.verdict is ObjectiveVerdict.NOT_KNOWN_HERE


@pytest.mark.parametrize(("settle", "told"), [(3601.0, True), (3600.0, False), (60.0, False)])
def test_a_settle_time_that_its_rpo_cannot_bear_is_told(
    jobs: dict[str, Job], past: Chronicle, settle: float, told: bool
) -> None:
    job = jobs["crm"]
    plan = job.loaded.plan
    assets = {**plan.assets, "crm": plan.assets["crm"].model_copy(update={"settle": settle})}
    changed = replace(job, loaded=replace(job.loaded, plan=plan.model_copy(update={"assets": assets})))
    found = [p.text for p in judged(changed, well(past)).troubles]
    assert any("is in no backup, so that its RPO of 1h" in text for text in found) is told


@pytest.mark.parametrize(("hours", "coverage"), [(24 * 3650, "stale"), (0.05, "tested")])
def test_a_test_that_is_dated_ahead_puts_no_other_off(
    jobs: dict[str, Job], past: Chronicle, hours: float, coverage: str
) -> None:
    """By a clock that was wrong: nobody knows when it was. A little ahead is as good as now."""
    well(past).tested(hours, "new", "PASS")
    assert judged(jobs["crm"], past).coverage == coverage


def of_code(found: AssetStatus, code: str) -> Problem:
    (problem,) = [p for p in found.troubles if p.trouble.name == code]
    return problem


@pytest.mark.parametrize(
    ("kind", "then", "later", "covered"),
    [
        ("reconcile", "9997 of 10000 rows match, missing 3", "9997 of 10000 rows match, missing 3", True),
        ("reconcile", "9997 of 10000 rows match, missing 3", "3 of 10000 rows match, missing 9997", False),
        (
            "reconcile",
            "3 of 900 files without a row, in flight 0",
            "800 of 900 files without a row, in flight 0",
            False,
        ),
        ("reconcile", "3 of 900 files without a row, in flight 0", "2 of 900 files without a row, in flight 0", False),
        ("decodable", "1 of 300 files do not decode", "299 of 300 files do not decode", False),
        ("rows", "2999", "2999", True),
        ("rows", "2999", "0", False),
        ("rows", "2999", "9000000", False),  # it may have an upper bound
    ],
)
def test_a_failed_check_is_acknowledged_as_bad_as_it_was(
    jobs: dict[str, Job], past: Chronicle, kind: str, then: str, later: str, covered: bool
) -> None:
    def failing(hours: float, name: str, actual: str) -> Problem:
        check = {"name": "the check", "kind": kind, "status": "FAIL", "expected": "-", "actual": actual}
        past.stored(hours - 0.2, name, begun=True)
        past.tested(hours, name, "FAIL", begun=True, checks=[check], reason=actual)
        return of_code(judged(jobs["crm"], past), "TEST_FAILED")

    assert acked(failing(-3, "a", then), failing(-0.5, "b", later)) is covered


def test_a_backup_that_fails_for_another_cause_was_not_acknowledged(jobs: dict[str, Job], past: Chronicle) -> None:
    def failing(hours: float, why: str) -> Problem:
        past.failed(hours, why)
        return of_code(judged(jobs["crm"], past), "BACKUP_FAILED")

    well(past)
    first = failing(-0.4, "the repository is locked since 3 min")
    assert acked(first, failing(-0.3, "the repository is locked since 40 min"))
    assert not acked(first, failing(-0.2, "the repository does not open: wrong key"))


def test_upkeep_that_breaks_for_another_cause_was_not_acknowledged(jobs: dict[str, Job], past: Chronicle) -> None:
    def caring(code: str) -> Problem:
        (problem,) = [p for p in judge_upkeep(jobs["crm"].loaded, past.histories, END) if p.trouble.name == code]
        return problem

    for code, tell in (
        ("CHECK_INCONCLUSIVE", lambda hours, why: past.checked(hours, "INCONCLUSIVE", reason=why)),
        ("PRUNE_FAILED", lambda hours, why: past.pruned(hours, "FAILED", reason=why)),
    ):
        tell(-3, "it is locked")
        first = caring(code)
        tell(-2, "it is locked")
        assert acked(first, caring(code))
        tell(-1, "it does not open: wrong key")
        assert not acked(first, caring(code)), code
