"""Where one asset, and one plan, stands by what its records say: each finding with how bad it is and what to do next, and
its healthy twin. Values in, values out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.harness import Site

from ccdr.measure import Point
from ccdr.model import source_digest
from ccdr.nearby import WORDS
from ccdr.report.evidence import BACKUP, CHECK, PRUNE, TEST, AssetEvidence, LogFailure, PlanEvidence, Run, Stretch
from ccdr.report.judge import AssetReport, Level, PlanReport, Timing, interruptions, judge_asset, judge_plan
from ccdr.report.period import Period
from ccdr.services import Job
from ccdr.trouble import Trouble, next_step, no_older, where_it_can_be_done

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIOD = Period(END - 10 * DAY, END, until_now=True)
RPO, RTO = 3600, 1800  # seconds, as the plan below wants them


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """By name: what is tested daily, what is not, what ships its log; the second plan has no retention."""
    site = Site(tmp_path_factory.mktemp("site"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    site.plan(
        """
        crm:
          engine: files
          paths: [/spool]
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        idle: {engine: files, paths: [/idle], objectives: {rpo: 2h}}
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
    made = {name: Job(site.loaded(), name) for name in ("crm", "idle", "log")}
    return made | {"q": Job(site.loaded("q"), "crm")}


def at(hours: float) -> datetime:
    return END + hours * HOUR


def point(hours: float, usable: float | None = None) -> Point:
    return Point(at(hours), at(hours if usable is None else usable))


def ran(hours: float, verb: str, outcome: str, **more: Any) -> Run:
    """A run that ended then; its numbers grow with the time."""
    seq = 100_000 + int(hours * 100)
    made = Run(
        seq, verb, "p", "crm", f"r{seq}", "h", "me", at(hours), "", ended=at(hours), end_seq=seq, outcome=outcome
    )
    return replace(made, **more)


def tested(hours: float, outcome: str = "PASS", took: float | None = 60, basis: str = "throwaway", **body: Any) -> Run:
    said = {"rto": {"achieved_s": took, "basis": basis, "verdict": "?"}, "snapshot": {"verdict": outcome}, **body}
    return ran(hours, TEST, outcome, reason="so it was", body=said)


STORED, PASSED = ran(-0.5, BACKUP, "STORED", snapshot="new"), tested(-4)


OTHER = {"source_sha256": source_digest("/elsewhere"), "verdict": "PASS"}


def well(**changed: Any) -> AssetEvidence:
    """Backed up half an hour ago, and tested this night."""
    given: dict[str, Any] = {
        "points": {"old": point(-1), "new": point(-0.5)},
        "proven": {"old": "PASS"},
        "last": {BACKUP: STORED, TEST: PASSED},
        "last_good": {BACKUP: STORED, TEST: PASSED},
        "last_conclusive": PASSED,
        "tests": [PASSED],
    }
    return AssetEvidence(at(-300), **{**given, **changed})


def by(newest: Run, **more: Any) -> dict[str, Any]:
    """With a newer test than that."""
    found: dict[str, Any] = {"last": {BACKUP: STORED, TEST: newest}}
    if newest.outcome in ("PASS", "FAIL"):
        found |= {"last_conclusive": newest, "tests": [newest]}
    return found | more


def judged(
    job: Job | None, ev: AssetEvidence | None, plan: PlanEvidence | None = None, **elsewhere: Point
) -> AssetReport:
    return judge_asset(job, ("p", "crm"), ev, elsewhere, plan or PlanEvidence(), PERIOD)


def found(report: AssetReport | PlanReport) -> list[tuple[Level, str, str | None]]:
    return [(f.level, f.text, f.step) for f in report.findings]


def test_what_is_backed_up_and_tested_has_no_findings_and_its_numbers(jobs: dict[str, Job]) -> None:
    report = judged(jobs["crm"], well())
    assert report.findings == () and (report.level, report.state, report.name) == (Level.FINE, "proven", "p/crm")
    assert report.rpo and report.rpo_now and report.rto
    assert (report.rpo.as_json(), report.rpo_now.achieved_s) == (
        {"objective_s": RPO, "achieved_s": 1800.0, "verdict": "MET"}, 1800.0,
    )  # fmt: skip
    assert report.rto.as_json() == {"objective_s": RTO, "achieved_s": 60.0, "verdict": "MET"}
    assert (report.plan, report.asset, report.service, report.engine) == ("p", "crm", "A test", "files")
    assert report.in_plan and not report.unreached and report.basis == "throwaway"
    assert report.objectives == jobs["crm"].objectives
    assert (report.last_backup, report.last_test, report.last_conclusive) == (STORED, PASSED, PASSED)
    assert report.timings == (Timing(at(-4), 60.0, "throwaway", "?"),) and report.restores[0].count == 1
    assert report.kept == 2 and report.untested == (("new", at(-0.5)),) and report.removed_untested == 0
    assert report.completed.worst_s == 1800 and report.tested.worst_s == 3600
    assert report.completed.since == report.tested.since == at(-1), "nothing could be measured before"


def test_what_no_plan_names_any_more_is_shown_and_not_judged() -> None:
    reached = [(point(-0.1), {"snapshot": OTHER})]  # of whatever it was
    report = judged(None, well(recovered=reached, last={BACKUP: ran(-1, BACKUP, "FAILED")}))
    assert report.findings == () and report.state == "retired" and not report.in_plan
    for said in (
        report.rpo,
        report.rpo_now,
        report.rto,
        report.service,
        report.engine,
        report.objectives,
        report.basis,
    ):
        assert said is None
    assert report.kept == 2 and report.completed.worst_s == 1800 and report.tested.worst_s == 3240
    others = judged(None, well(points={"old": point(-1)}, recovered=reached, last={}))  # which another host backed up
    assert others.completed.worst_s == 3240 and others.rpo is None and others.findings == ()
    assert judged(None, None).kept == 0 and judged(None, None).completed.worst_s == math.inf


# --- can it be brought back? ----------------------------------------------------------------------------------

NEWER_FAILED = tested(-2, "FAIL", snapshot={"verdict": "PASS"}, newer_failed=True)
LOG_FAILED = {"time": "2026-11-24T09:00:00Z", "reason": "log is missing"}
NO_LOOK = "ccdr doctor p   looks at the repository; then ccdr test p"


@pytest.mark.parametrize(
    ("changed", "plan", "level", "text", "todo"),
    [
        ({"points": {}, "proven": {}}, {}, Level.LOST, "it has never been backed up", Trouble.NEVER_SUCCEEDED),
        ({"proven": {"old": "FAIL", "new": "FAIL"}}, {}, Level.LOST, "it has no backup that counts", Trouble.BREACH_RPO),
        (
            {"points": {"new": point(-1, 0.1)}}, {}, Level.LOST, "it has no backup that counts", Trouble.BREACH_RPO,
        ),  # usable only after the period's end
        (
            {"last": {BACKUP: STORED}, "last_conclusive": None}, {}, Level.UNPROVEN,
            "no backup of it was ever restored and checked to the end", Trouble.NEVER_TESTED,
        ),
        (
            by(tested(-2, "FAIL")), {}, Level.LOST,
            "its last conclusive restore test, on 2026-11-24 10:00, is FAIL: so it was", Trouble.TEST_FAILED,
        ),
        (
            by(NEWER_FAILED), {}, Level.LATE,
            "its newest backup failed; an older one was proven on 2026-11-24 10:00: so it was", Trouble.NEWER_FAILED,
        ),
        (
            by(tested(-50)), {}, Level.UNPROVEN,
            "its restore test is overdue: the last conclusive one was on 2026-11-22 10:00", Trouble.TEST_LATE,
        ),
        (
            by(tested(-2, snapshot=OTHER)), {}, Level.UNPROVEN,
            "its last restore test was of something else than the plan now names", Trouble.NEVER_TESTED,
        ),
        (
            {"failure": tested(-6, "FAIL")}, {}, Level.LOST,
            "its last conclusive restore test was not of what is newest; the one of 2026-11-24 06:00 failed, and no "
            "newer snapshot has passed: so it was", Trouble.TEST_FAILED,
        ),
        (
            {"failure": replace(NEWER_FAILED, started=at(-6), ended=at(-0.1), end_seq=10**6)}, {}, Level.LATE,
            "its last conclusive restore test was not of what is newest; the one of 2026-11-24 06:00 failed, and no "
            "newer snapshot has passed: so it was", Trouble.NEWER_FAILED,
        ),
        (
            {}, {"damaged": ran(-3, CHECK, "DAMAGED")}, Level.UNPROVEN,
            "a check found its repository damaged on 2026-11-24 09:00; its newest has not been restored since",
            Trouble.REPOSITORY_DAMAGED,
        ),
        (
            {}, {"damaged": ran(-3, BACKUP, "FAILED")}, Level.UNPROVEN,
            "a backup found its repository damaged on 2026-11-24 09:00; its newest has not been restored since",
            Trouble.REPOSITORY_DAMAGED,
        ),
        (
            {"damaged": ran(-3, TEST, "FAIL")}, {}, Level.UNPROVEN,
            "a restore test found its repository damaged on 2026-11-24 09:00; its newest has not been restored since",
            Trouble.REPOSITORY_DAMAGED,
        ),
    ],
)  # fmt: skip
def test_whether_it_can_be_brought_back(
    jobs: dict[str, Job], changed: dict[str, Any], plan: dict[str, Any], level: Level, text: str, todo: Trouble
) -> None:
    report = judged(jobs["crm"], well(**changed), PlanEvidence(**plan))
    assert (level, text, next_step(todo, "p", "crm")) in found(report)
    words = {Level.LOST: "cannot be restored", Level.UNPROVEN: "not proven", Level.LATE: "not in time"}
    assert (report.level, report.state) == (level, words[level])


@pytest.mark.parametrize(
    "changed",
    [
        by(tested(-30)),  # it came due once since
        by(replace(tested(-4), body={**(PASSED.body or {}), "snapshot": {"source_sha256": source_digest("/spool")}})),
        {"failure": replace(NEWER_FAILED, seq=1, end_seq=1, ended=at(-9))},  # a good backup was stored since
        by(replace(NEWER_FAILED, end_seq=1, seq=1), failure=NEWER_FAILED)
        | {"failure": None, "last_conclusive": PASSED},
        {"points": {"edge": point(-0.4, 0)}},
        {"damaged": ran(-30, TEST, "FAIL"), "last_latest_pass": PASSED},
        {"log_failure": LOG_FAILED},  # and its plan ships no log any more
    ],
)
def test_what_is_over_is_no_finding(jobs: dict[str, Job], changed: dict[str, Any]) -> None:
    assert [f for f in found(judged(jobs["crm"], well(**changed))) if f[0] > Level.NOTE] == []


def test_a_failure_that_came_last_is_told_once(jobs: dict[str, Job]) -> None:
    failed = tested(-2, "FAIL")
    (lost,) = [text for level, text, _ in found(judged(jobs["crm"], well(**by(failed, failure=failed)))) if level > 1]
    assert lost == "its last conclusive restore test, on 2026-11-24 10:00, is FAIL: so it was"


@pytest.mark.parametrize(("snapshots", "step"), [
    (("old", "new"), "--snapshot ID   finds a good one"), (("new",), "there is no other snapshot that may be good"),
])  # fmt: skip
def test_another_snapshot_is_advised_only_where_there_is_one(
    jobs: dict[str, Job], snapshots: tuple[str, ...], step: str
) -> None:
    """It did not fit what it was compared with: no other finding says that there is no backup."""
    misfit = tested(-2, "FAIL", snapshot={"id": "new", "verdict": "PASS"}, checks=[{"status": "FAIL"}])
    report = judged(jobs["crm"], well(**by(misfit), points={s: point(-1) for s in snapshots}, proven={"new": "PASS"}))
    (said,) = (f.step for f in report.findings if "is FAIL" in f.text)
    assert str(said).endswith(step)


def test_a_failure_for_a_newer_backup_is_over_once_one_was_stored(jobs: dict[str, Job]) -> None:
    """And only that one: another failure that came last stands."""
    last = replace(NEWER_FAILED, seq=1, end_seq=1, ended=at(-9))
    over = well(**by(last, failure=last))
    assert [f for f in found(judged(jobs["crm"], over)) if "newest backup failed" in f[1]] == []
    another = replace(last, body={**(last.body or {})}, reason="another")
    still = well(**by(another, failure=last))
    assert [f[2] for f in found(judged(jobs["crm"], still)) if "newest backup failed" in f[1]] == [
        next_step(Trouble.NEWER_FAILED, "p", "crm")
    ]


def test_what_has_no_restore_test_in_its_plan_says_so_and_is_never_overdue(jobs: dict[str, Job]) -> None:
    never = found(judged(jobs["idle"], well(last={BACKUP: STORED}, last_conclusive=None)))
    assert next(text for _, text, _ in never if "never" in text or "ever" in text).endswith(
        "checked to the end, and its plan has no restore test for it"
    )
    assert judged(jobs["idle"], well(**by(tested(-200)))).level is Level.FINE


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("last", ["PASS", "FAIL", None])
def test_log_that_failed_is_told_beside_the_last_test_unless_that_was_it(
    jobs: dict[str, Job], own: bool, last: str | None
) -> None:
    test = tested(-2, last or "PASS", basis="durable")
    changed = by(test) if last else {"last_conclusive": None}
    failure = test.body if own else LOG_FAILED
    if own and failure is not None:
        failure |= LOG_FAILED
    report = judged(jobs["log"], well(**changed, log_failure=failure))
    step = next_step(Trouble.LOG_FAILED, "p", "crm")
    text = "its recovery by the log on 2026-11-24 09:00 failed, and none that goes as far has passed: log is missing"
    assert ((Level.LOST, text, step) in found(report)) is not (own and last is not None)


@pytest.mark.parametrize(
    ("why", "level", "said"),
    [
        ("missing", Level.LOST, "it was not there"),
        ("closed", Level.LOST, "it did not open with the plan's password"),
        ("unavailable", Level.UNPROVEN, "it did not answer"),
        ("damaged", Level.LOST, "it did not open, for what opens it is damaged"),
    ],
)
def test_what_could_not_be_reached_says_in_what_way(jobs: dict[str, Job], why: str, level: Level, said: str) -> None:
    away = ran(-0.2, BACKUP, "FAILED", reason="away", body={"repository": why})
    report = judged(jobs["crm"], well(last={BACKUP: away, TEST: PASSED}))
    text = f"when its repository was last asked, on 2026-11-24 11:48, {said}: away"
    assert report.unreached and found(report)[0] == (level, text, NO_LOOK)


# --- in time? -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ([-1], None),
        (
            [-1.01],
            (Level.LATE, "its newest good backup is true for 1h 00m ago, and its RPO is 1h 00m", Trouble.BREACH_RPO),
        ),
        (
            [-3],
            (Level.LATE, "its newest good backup is true for 3h 00m ago, and its RPO is 1h 00m", Trouble.BREACH_RPO),
        ),
        (
            [-4, -0.5],
            (
                Level.NOTE,
                "up to 3h 30m of its data could have been lost at one time in the period, 2h 30m more than its RPO of "
                "1h 00m",
                None,
            ),
        ),
        ([-2, -1, -0.5], None),
    ],
)
def test_exposure_is_judged_now_and_over_the_period(
    jobs: dict[str, Job], hours: Sequence[float], said: tuple[Level, str, Trouble | None] | None
) -> None:
    points = {f"s{n}": point(when) for n, when in enumerate(hours)}
    report = judged(jobs["crm"], well(points=points, proven={}))
    assert found(report) == ([] if said is None else [(*said[:2], said[2] and next_step(said[2], "p", "crm"))])
    assert report.completed.since == at(hours[0]) and len(report.completed.parts) == len(report.completed.edges) - 1


def test_a_backup_of_before_the_period_is_measured_from_its_start(jobs: dict[str, Job]) -> None:
    report = judged(jobs["crm"], well(points={"a": point(-241), "b": point(-240), "c": point(-0.5)}, proven={}))
    assert report.completed.since is None and report.completed.worst_s == 239.5 * 3600
    assert report.completed.parts[-1] == report.completed.worst_s and report.completed.parts[0] == 12 * 3600
    edge = judged(jobs["crm"], well(points={"b": point(-240)}, proven={})).completed
    assert edge.since is None and edge.parts[0] == 12 * 3600, "nor one of its very start"
    midnight = judged(jobs["crm"], well(points={"b": point(-12)}, proven={})).completed
    assert midnight.parts == (*[math.inf] * 10, 12 * 3600), "and a part that begins with it is measured whole"
    later = judged(jobs["crm"], well(points={"a": point(-50), "b": point(-0.5)}, proven={})).completed
    assert later.since == at(-50) and later.worst_s == 49.5 * 3600
    assert [math.isinf(part) for part in later.parts] == [edge <= at(-50) for edge in later.edges[1:]]


def test_nothing_that_never_was_is_measured(jobs: dict[str, Job]) -> None:
    """That is a finding of its own, and no number."""
    report = judged(jobs["crm"], well(points={}, proven={}))
    assert report.completed.worst_s == math.inf and report.completed.since is None
    assert set(report.completed.parts) == {math.inf} and len(report.completed.parts) == len(report.completed.edges) - 1
    assert not [text for _, text, _ in found(report) if "RPO" in text]
    assert report.rpo_now and report.rpo_now.as_json()["verdict"] == "BREACHED"
    never = judged(jobs["crm"], None)
    assert never.rpo and never.rpo.verdict == "BREACHED", "where nobody ever backed up, it is for this host to do"
    assert found(never)[0][1] == "it has never been backed up"


def test_what_a_damaged_repository_holds_of_newer_backups_asks_for_no_other_backup(jobs: dict[str, Job]) -> None:
    """Nor would another one count."""
    damaged = PlanEvidence(damaged=ran(-0.1, CHECK, "DAMAGED"))
    points = {"old": point(-3), "new": point(-0.5)}
    steps = {text: step for _, text, step in found(judged(jobs["crm"], well(points=points), damaged))}
    late = "its newest good backup is true for 3h 00m ago, and its RPO is 1h 00m"
    assert steps[late] == next_step(Trouble.REPOSITORY_DAMAGED, "p", "crm")
    alone = {text: step for _, text, step in found(judged(jobs["crm"], well(points={"old": point(-3)}), damaged))}
    assert alone[late] == next_step(Trouble.BREACH_RPO, "p", "crm")


@pytest.mark.parametrize(
    ("last", "before", "level", "text"),
    [
        (tested(-4, took=RTO), [], None, ""),
        (
            tested(-4, took=7200), [], Level.LATE,
            "restoring it took 2h 00m in its last conclusive test, and its RTO is 30m 00s",
        ),
        (
            PASSED, [tested(-30, took=3600), tested(-60, took=7200)], Level.NOTE,
            "restoring it took up to 2h 00m in 2 tests of the period, and its RTO is 30m 00s",
        ),
        (PASSED, [tested(-30, took=RTO)], None, ""),
        (PASSED, [tested(-30, took=9999, basis="durable")], None, ""),
        (
            tested(-4, basis="durable"), [], Level.LATE,
            "its RTO was not measured with throwaway settings, which its plan asks for",
        ),
        (
            tested(-4, took=None), [], Level.LATE,
            "its RTO was not measured with throwaway settings, which its plan asks for",
        ),
    ],
)  # fmt: skip
def test_restores_are_judged_by_the_last_and_over_the_period(
    jobs: dict[str, Job], last: Run, before: list[Run], level: Level | None, text: str
) -> None:
    report = judged(jobs["crm"], well(**by(last) | {"tests": [*before, last]}))
    if level is None:
        assert found(report) == []
        return
    todo = Trouble.NEVER_TESTED if "not measured" in text else Trouble.BREACH_RTO
    assert found(report) == [(level, text, next_step(todo, "p", "crm"))]


def test_an_rto_that_a_failed_test_has_not_measured_is_no_finding_beside_that(jobs: dict[str, Job]) -> None:
    report = judged(jobs["crm"], well(**by(tested(-2, "FAIL", took=None))))
    assert [text for _, text, _ in found(report) if "RTO" in text] == []
    assert report.rto and report.rto.as_json()["verdict"] == "NOT_MEASURED"


# --- what counts ----------------------------------------------------------------------------------------------


def test_only_what_is_of_the_source_that_the_plan_names_counts(jobs: dict[str, Job]) -> None:
    mine, others = source_digest("/spool"), source_digest("/elsewhere")
    for told, worst in ((mine, 1800), (others, 3600)):
        ev = well(sources={"new": told})
        assert judged(jobs["crm"], ev).completed.worst_s == worst
        assert judged(None, ev).completed.worst_s == 1800, "no plan names anything"
        reached = well(recovered=[(point(-0.2), {"snapshot": {"source_sha256": told}})], proven={"old": "PASS"})
        assert judged(jobs["crm"], reached).tested.worst_s == (2880 if told == mine else 3600)


def test_what_lies_in_a_repository_that_does_not_open_is_no_proof(jobs: dict[str, Job]) -> None:
    closed = PlanEvidence(damaged=ran(-0.1, CHECK, "DAMAGED", body={"repository": "damaged"}))
    ev = well(recovered=[(point(-0.2), {})])
    report = judged(jobs["crm"], ev, closed)
    assert report.tested.worst_s == report.completed.worst_s == math.inf
    assert judged(jobs["crm"], ev).tested.worst_s == 2880, "the twin"


def test_log_through_which_a_recovery_failed_does_not_count(jobs: dict[str, Job]) -> None:
    log = [Stretch(None, None, ["old"], [point(-0.8), point(-0.1)])]
    points = {"old": point(-1), "new": point(-0.5)}
    assert judged(jobs["log"], well(log=log, points=points)).completed.worst_s == 1440
    failed = [LogFailure(at(-1), at(-0.1))]
    assert judged(jobs["log"], well(log=log, points=points, log_failures=failed)).completed.worst_s == 1800


def test_what_was_removed_or_never_restored_is_counted(jobs: dict[str, Job]) -> None:
    points = {name: point(-n) for n, name in enumerate("abcde", 1)}
    ev = well(points=points, removed={"a", "b", "e", "gone"}, proven={"a": "PASS", "d": "FAIL"})
    report = judged(jobs["crm"], ev, z=point(-0.3))
    assert (report.kept, report.removed_untested) == (3, 2)
    assert report.untested == (("z", at(-0.3)), ("c", at(-3))), "newest first"


# --- where another host backs up ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "looked", "verdicts"),
    [
        ([-0.5], -0.2, ("MET", "MET")),
        ([-3], -2.5, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),  # it may have backed up since
        ([-3], -1.5, ("BREACHED", "BREACHED")),  # and had not by then
        ([-6, -3], -2.5, ("BREACHED", "NOT_KNOWN_HERE")),
        ([-3], None, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([], None, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([], -2.5, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([(-3, -3), (-0.2, 0.5)], -1.5, ("BREACHED", "BREACHED")),  # what is not usable yet has seen nothing
        ([(-3, -3), (-0.2, 0.5)], None, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([(-3, -3), (0, 0)], -1.5, ("BREACHED", "MET")),
        ([(-3, -3), (0, 0)], None, ("NOT_KNOWN_HERE", "MET")),
        ([(-1.8, -1.8), (-1.7, -0.5)], None, ("BREACHED", "BREACHED")),  # seen when that one became usable
        ([(-1.8, -1.8), (-1.7, -0.5)], -1, ("BREACHED", "BREACHED")),
        ([(-3, -0.5)], None, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([-6, -3], -5.5, ("BREACHED", "NOT_KNOWN_HERE")),  # what came since was seen by something else
    ],
)
def test_what_another_host_may_have_done_since_this_one_looked_is_not_known(
    jobs: dict[str, Job], hours: Sequence[Any], looked: float | None, verdicts: tuple[str, str]
) -> None:
    last = {} if looked is None else {TEST: tested(looked)}
    ev = well(points={}, proven={}, last=last, last_good={}, tests=[])
    points = {f"s{n}": point(*h) if isinstance(h, tuple) else point(h) for n, h in enumerate(hours)}
    report = judged(jobs["crm"], ev, PlanEvidence(duties={}), **points)
    assert report.rpo and report.rpo_now
    assert (report.rpo.verdict, report.rpo_now.verdict) == verdicts
    ours = judged(jobs["crm"], ev, PlanEvidence(duties={BACKUP: at(-300)}), **{"s": point(-3)})
    assert ours.rpo_now and ours.rpo_now.verdict == "BREACHED"


def test_what_the_log_was_recovered_to_counts_where_another_host_ships_it(jobs: dict[str, Job]) -> None:
    ev = well(points={"a": point(-3)}, recovered=[(point(-0.6), {}), (point(-0.3), {"snapshot": OTHER})])
    there, here = (judged(jobs["crm"], ev, PlanEvidence(duties=d)) for d in ({}, {BACKUP: at(-300)}))
    assert there.rpo_now and here.rpo_now
    assert (there.rpo_now.achieved_s, here.rpo_now.achieved_s) == (0.6 * 3600, 3 * 3600)


def test_a_step_that_needs_the_source_is_for_the_host_that_has_it(jobs: dict[str, Job]) -> None:
    ev = well(**by(NEWER_FAILED))
    for duties, where in (({}, "on the host that backs it up: "), ({BACKUP: at(-300)}, "")):
        (step,) = [
            s for level, _, s in found(judged(jobs["crm"], ev, PlanEvidence(duties=duties))) if level >= Level.LATE
        ]
        assert step == f"{where}{next_step(Trouble.NEWER_FAILED, 'p', 'crm')}"


def test_findings_are_as_bad_as_what_they_keep_from_whoever_needs_it() -> None:
    assert [level.name for level in sorted(Level)] == ["FINE", "NOTE", "NEAR", "LATE", "UNPROVEN", "LOST"]


def test_steps_are_filled_in() -> None:
    assert next_step(Trouble.REPOSITORY_DAMAGED, "p", "a").startswith("ccdr test p --asset a --snapshot latest ")  # type: ignore[union-attr]
    assert next_step(Trouble.REPOSITORY_DAMAGED, "p", None).startswith("ccdr test p --snapshot latest ")  # type: ignore[union-attr]
    assert next_step(Trouble.BREACH_RPO, "p", None) == "ccdr backup p --asset ASSET   takes one now"
    assert next_step(Trouble.BREACH_RPO, "p", "a") == "ccdr backup p --asset a   takes one now"
    assert next_step(Trouble.MISSED, "p", "a") is None
    for trouble in Trouble:
        step = next_step(trouble, "p", "a")
        assert step is None or "{" not in step
    assert where_it_can_be_done("ccdr test p", backs_up=False) == where_it_can_be_done("ccdr test p", backs_up=True)
    assert where_it_can_be_done("ccdr backup p", backs_up=True) == "ccdr backup p"
    assert where_it_can_be_done("ccdr backup p", backs_up=False) == "on the host that backs it up: ccdr backup p"
    alone = f"look here; {no_older('p', 'a')}"
    assert where_it_can_be_done(alone, backs_up=False) == (
        "look here; there is no older snapshot that may be good: on the host that backs it up, `ccdr backup p --asset a`"
        " takes a new one"
    )
    assert where_it_can_be_done(alone, backs_up=True) == alone


# --- what did not go well last --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backup", "said"),
    [
        (ran(-0.2, BACKUP, "FAILED", reason="full"), "is FAILED: full"),
        (ran(-0.2, BACKUP, "CRASHED"), "crashed: it has no end"),
        (ran(-0.2, BACKUP, "RUNNING"), None),
        (STORED, None),
    ],
)
def test_a_backup_that_did_not_end_well_is_noted(jobs: dict[str, Job], backup: Run, said: str | None) -> None:
    report = judged(jobs["crm"], well(last={BACKUP: backup, TEST: PASSED}))
    text = f"its last backup, on 2026-11-24 11:48, {said}"
    assert found(report) == ([(Level.NOTE, text, next_step(Trouble.BACKUP_FAILED, "p", "crm"))] if said else [])
    assert report.state == "proven", "it can be brought back"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (ran(-0.2, TEST, "INCONCLUSIVE", reason="no room"), "is INCONCLUSIVE: no room"),
        (ran(-0.2, TEST, "CRASHED"), "crashed: it has no end"),
        (ran(-0.2, TEST, "RUNNING"), None),
    ],
)
def test_a_test_that_came_to_no_end_is_noted(jobs: dict[str, Job], test: Run, said: str | None) -> None:
    text = f"its last restore test, on 2026-11-24 11:48, {said}"
    steps = [(Level.NOTE, text, next_step(Trouble.TEST_INCONCLUSIVE, "p", "crm"))] if said else []
    assert found(judged(jobs["crm"], well(last={BACKUP: STORED, TEST: test}))) == steps


def test_what_the_last_good_backup_and_the_last_test_found_is_noted(jobs: dict[str, Job]) -> None:
    backup = replace(STORED, body={"findings": ["one"]}, beside="machine", left_out=("tmp",))
    test = tested(-4, findings=["two", 3])
    report = judged(jobs["crm"], well(last={BACKUP: backup, TEST: test}, last_good={BACKUP: backup}))
    assert found(report)[-3:] == [(Level.NOTE, text, None) for text in ("one", "two", "3")]
    assert report.left_out == ("tmp",) and judged(jobs["crm"], well(last_good={})).left_out == ()


@pytest.mark.parametrize("beside", ["disk", "machine", "elsewhere", None])
def test_copies_that_lie_where_the_source_is_are_told(jobs: dict[str, Job], beside: str | None) -> None:
    report = judged(jobs["crm"], well(last_good={BACKUP: replace(STORED, beside=beside)}))
    known = [f"its repository lies {WORDS[beside]}"] if beside in WORDS else []
    assert [(level, text) for level, text, _ in found(report)] == [(Level.NEAR, text) for text in known]
    assert all("docs/plan.md" in str(step) for _, _, step in found(report)) and report.state == "proven"


@pytest.mark.parametrize(("how", "told"), [("missing", False), ("unavailable", False), ("closed", True)])
def test_copies_that_are_away_are_not_told_to_lie_where_the_source_is(
    jobs: dict[str, Job], how: str, told: bool
) -> None:
    unmet = tested(-0.2, "INCONCLUSIVE", repository=how)
    report = judged(
        jobs["crm"], well(last={BACKUP: STORED, TEST: unmet}, last_good={BACKUP: replace(STORED, beside="disk")})
    )
    assert any(level is Level.NEAR for level, _, _ in found(report)) is told


# --- the care of a repository ---------------------------------------------------------------------------------


def cared(jobs: Sequence[Job], first: float | None = None, **given: Any) -> PlanReport:
    began = None if first is None else at(first)
    return judge_plan("p", jobs, PlanEvidence(**given), PERIOD, first=began, free=None)


def test_a_plan_without_trouble_has_no_findings(jobs: dict[str, Job]) -> None:
    pruned, checked = ran(-8, PRUNE, "DONE"), ran(-8, CHECK, "CLEAN")
    last = {PRUNE: pruned, CHECK: checked}
    report = cared([jobs["crm"], jobs["idle"]], last=last, last_conclusive_check=checked, removed=7)
    assert report.findings == () and (report.plan, report.service, report.owner) == ("p", "A test", "ops@example.test")
    assert (report.last_prune, report.last_check, report.last_conclusive_check) == (pruned, checked, checked)
    assert report.in_plan and report.removed == 7
    gone = cared([], -300, last={PRUNE: ran(-300, PRUNE, "FAILED")}, damage=[checked])
    assert (gone.in_plan, gone.service, gone.owner, gone.findings) == (False, None, None, ())
    assert cared([jobs["q"], jobs["crm"]], -30).findings == (), "one plan's jobs are all of it"


@pytest.mark.parametrize(
    ("given", "text", "todo"),
    [
        (
            {"last": {PRUNE: ran(-8, PRUNE, "FAILED", reason="locked")}},
            "its last prune, on 2026-11-24 04:00, is FAILED: locked", Trouble.PRUNE_FAILED,
        ),
        (
            {"last": {PRUNE: ran(-8, PRUNE, "CRASHED")}},
            "its last prune, on 2026-11-24 04:00, crashed: it has no end", Trouble.PRUNE_FAILED,
        ),
        (
            {"damage": [ran(-8, CHECK, "DAMAGED", reason="a pack is bad")]},
            "its check on 2026-11-24 04:00 found damage, not read and found clean since: a pack is bad",
            Trouble.REPOSITORY_DAMAGED,
        ),
        ({"last": {PRUNE: ran(-8, PRUNE, "DONE", body={"findings": ["slow"]})}}, "slow", None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_repository_is_noted(
    jobs: dict[str, Job], given: dict[str, Any], text: str, todo: Trouble | None
) -> None:
    assert found(cared([jobs["crm"]], **given)) == [(Level.NOTE, text, todo and next_step(todo, "p", None))]


PRUNE_LATE = ("what its retention lets go is overdue to be removed", Trouble.PRUNE_LATE)
CHECK_LATE = ("its check is overdue", Trouble.CHECK_LATE)


@pytest.mark.parametrize(
    ("plan", "first", "given", "late"),
    [
        ("crm", None, {}, {}),
        ("crm", -30, {}, {}),  # once due, or twice right now
        ("crm", -32, {}, {PRUNE_LATE: "it was never done"}),
        ("crm", -24 * 9.5, {}, {PRUNE_LATE: "it was never done", CHECK_LATE: "it was never done"}),
        ("q", -24 * 9.5, {}, {CHECK_LATE: "it was never done"}),
        ("crm", -24 * 9.5, {"duties": {}}, {}),
        ("crm", -24 * 9.5, {"duties": {CHECK: at(-24 * 9.5)}}, {CHECK_LATE: "it was never done"}),
        ("crm", -24 * 9.5, {"duties": {CHECK: at(-2), PRUNE: at(-2)}}, {}),
        (
            "crm", -300, {"last": {PRUNE: ran(-32, PRUNE, "DONE"), CHECK: ran(-32, CHECK, "CLEAN")}},
            {PRUNE_LATE: "the last one was on 2026-11-23 04:00"},
        ),
        ("crm", -300, {"last": {PRUNE: ran(-29, PRUNE, "FAILED", ended=None), CHECK: ran(-29, CHECK, "CLEAN")}}, {}),
        ("crm", None, {"last": {PRUNE: replace(ran(-32, PRUNE, "DONE"), ended=at(-29))}}, {}),
        (
            "crm", None, {"last": {PRUNE: replace(ran(-32, PRUNE, "RUNNING"), ended=None)}},
            {PRUNE_LATE: "the last one was on 2026-11-23 04:00"},
        ),
        ("crm", -29, {"last": {PRUNE: ran(-100, PRUNE, "DONE"), CHECK: ran(-29, CHECK, "CLEAN")}}, {}),
    ],
)  # fmt: skip
def test_upkeep_that_came_due_twice_since_it_was_tried_or_asked_for_is_overdue(
    jobs: dict[str, Job], plan: str, first: float | None, given: dict[str, Any], late: dict[tuple[str, Trouble], str]
) -> None:
    overdue = [f for f in found(cared([jobs[plan]], first, **given)) if "overdue" in f[1]]
    assert overdue == [
        (Level.NOTE, f"{what}: {last}", next_step(todo, "p", None)) for (what, todo), last in late.items()
    ]


# --- what did not end well, over a period ---------------------------------------------------------------------


def test_runs_in_a_row_that_did_not_end_well_are_one_interruption() -> None:
    def of(hours: float, outcome: str, asset: str = "crm", **more: Any) -> Run:
        return replace(ran(hours, BACKUP, outcome, **more), asset=asset)

    runs = [
        of(1, "FAILED", reason="full"),
        of(2, "FAILED", "idle"),
        of(3, "RUNNING"),
        of(4, "CRASHED"),
        of(5, "NOTED"),
        of(6, "MISSED", count=3, reason="off"),
        of(7, "STORED", "log"),
        of(8, "STORED"),
        of(9, "STORED"),
    ]
    open_, mended = sorted(interruptions(runs), key=lambda i: i.mended is not None)
    assert interruptions(runs) == [open_, mended], "newest last"
    assert (open_.plan, open_.asset, open_.verb, open_.runs, open_.mended) == ("p", "idle", BACKUP, (runs[1],), None)
    assert open_.reasons == {"no reason given": 1}
    assert (mended.runs, mended.mended) == ((runs[0], runs[3], runs[5]), runs[7])
    assert mended.outcomes == {"FAILED": 1, "CRASHED": 1, "MISSED": 3} and mended.count == 5
    assert mended.reasons == {"full": 1, "it has no end": 1, "off": 3}


def test_damage_that_was_not_read_again_is_not_mended_with_the_rest() -> None:
    def check(hours: float, outcome: str, part: int = 1) -> Run:
        return ran(hours, CHECK, outcome, body={"part": part, "parts": 2})

    runs = [check(1, "DAMAGED"), check(2, "INCONCLUSIVE"), check(3, "CLEAN", 2)]
    assert [(i.runs, i.mended) for i in interruptions(runs)] == [((runs[0],), None), ((runs[1],), runs[2])]
    again = [*runs, check(4, "CLEAN")]
    assert [(i.runs, i.mended) for i in interruptions(again)] == [((runs[0],), again[3]), ((runs[1],), runs[2])]


def test_each_test_is_counted_in_the_part_of_the_period_that_it_began_in(jobs: dict[str, Job]) -> None:
    midnight = END.replace(hour=0) - DAY
    tests = [
        replace(tested(0, "PASS"), started=midnight + 5 * HOUR),
        replace(tested(0, "FAIL"), started=midnight),
        replace(tested(0, "PASS"), started=midnight - timedelta(seconds=1)),
        replace(tested(0, "MISSED"), started=PERIOD.start, count=4),
        replace(tested(0, "PASS"), started=END - HOUR),
    ]
    calendar = judged(jobs["crm"], well(tests=tests)).calendar
    assert len(calendar) == 11 and calendar[0] == {"MISSED": 4} and calendar[-1] == {"PASS": 1}
    assert calendar[-2] == {"PASS": 1, "FAIL": 1} and calendar[-3] == {"PASS": 1} and not any(calendar[1:-3])
