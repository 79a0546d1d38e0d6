"""What an auditor's report says of a period, beside what is wrong at its end: exposure and restores over it, what was
interrupted, removed or never restored, where the copies lie. From records, as the report takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle, digest
from tests.support.harness import Site
from tests.support.sparse import sparse_record
from tests.support.wording import lines_with

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.folded import RuleVerdict
from ccdr.host.nearby import WORDS
from ccdr.model.measure import Point
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.plans.versions import PlanRevision
from ccdr.telling.report import judge as exposures
from ccdr.telling.report.asset_evidence import AssetEvidence, LogFailure
from ccdr.telling.report.judge import interruptions, judge_asset, judge_plan
from ccdr.telling.report.judged import AssetReport, Exposure, PlanReport, ReportedFinding, Restores, Timing
from ccdr.telling.report.period import Period
from ccdr.telling.report.runs import BACKUP, CHECK, RESTORE, TEST, RecordedRun

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIOD = Period(END - 10 * DAY, END, until_now=True)
RPO, RTO = 3600, 1800  # seconds, as the plan below wants them


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """By name: what is tested daily, and what ships its log."""
    site = Site(tmp_path_factory.mktemp("site"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    site.plan(
        """
        crm: {engine: files, paths: [/spool], restore_test: {schedule: "0 3 * * *", checks: [t]}}
        log:
          engine: postgres
          method: physical
          log_shipping: {interval: 60s}
          connection: {host: /nowhere, user: postgres, database: postgres}
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        """
    )
    return {name: Job(site.loaded(), name) for name in ("crm", "log")}


def about(job: Job) -> Chronicle:
    return Chronicle(END, str(job.engine.source_name), job.plan, job.asset)


@pytest.fixture
def past(jobs: dict[str, Job]) -> Chronicle:
    return about(jobs["crm"])


def well(past: Chronicle) -> Chronicle:
    """Backed up each hour of its life but for the last half, and tested this night; it is some days old."""
    past.stored(-5, "old")
    past.tested(-4, "old", begun=True)
    for hours in (-4, -3, -2, -1):
        past.stored(hours, f"at{hours}")
    past.stored(-0.5, "new")
    return past


def judged(job: Job | None, past: Chronicle, period: Period = PERIOD) -> AssetReport:
    evidence = past.evidence(period)
    own = evidence.assets.get((past.plan, past.asset))
    known = own.points.keys() | own.removed if own else set()
    elsewhere = [s for s in past.there if s.id not in known and s.usable_at < period.end]
    return judge_asset(job, (past.plan, past.asset), own, elsewhere, evidence.history(past.plan, None), period)


def found(report: AssetReport | PlanReport) -> list[tuple[Level, str, str | None, str | None]]:
    return [(f.level, f.text, f.step, f.code) for f in report.findings]


def test_what_is_backed_up_and_tested_has_no_findings_and_its_numbers(jobs: dict[str, Job], past: Chronicle) -> None:
    report = judged(jobs["crm"], well(past))
    assert report.findings == () and (report.level, report.state, report.name) == (Level.FINE, "proven", "p/crm")
    assert report.rpo and report.rpo_now and report.rto
    assert report.rpo.as_json() == {"objective_s": RPO, "achieved_s": 3600.0, "verdict": "MET"}
    assert report.rpo_now.as_json() == {"objective_s": RPO, "achieved_s": 1800.0, "verdict": "MET"}
    assert report.rto.as_json() == {"objective_s": RTO, "achieved_s": 60.0, "verdict": "MET"}
    assert (report.plan, report.asset, report.service, report.engine) == ("p", "crm", "A test", "files")
    assert (
        report.in_plan
        and report.judged
        and not report.judged.away
        and report.basis == "throwaway"
        and report.coverage == "tested"
    )
    assert report.objectives == jobs["crm"].objectives
    assert report.last_backup and report.last_test and report.last_conclusive is report.last_test
    assert report.last_backup.snapshot == digest("new") and report.last_test.snapshot == digest("old")
    assert report.timings == (Timing(past.at(-4), 60.0, "throwaway", "MET"),) and report.restores[0].count == 1
    assert report.kept == 6 and len(report.untested) == 5 and report.removed_untested == 0
    assert report.untested[0] == (digest("new"), past.at(-0.5)), "newest first"
    assert report.completed.worst_s == 3600 and report.tested.worst_s == 5 * 3600
    assert report.completed.since == report.tested.since == past.at(-5), "nothing could be measured before"
    assert report.by_rule.keys() == {"latest"}


def test_what_is_wrong_at_the_end_is_as_the_one_judgement_has_it_the_worst_first(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).failed(-0.3)
    past.tested(-0.2, "new", "FAIL")
    report = judged(jobs["crm"], past)
    assert [(level.name, code) for level, _, _, code in found(report)] == [
        ("LOST", "TEST_FAILED"), ("NOTE", "BACKUP_FAILED"), ("NOTE", "FINDING"),
    ]  # fmt: skip
    assert (report.level, report.state) == (Level.LOST, "cannot be restored")
    assert all(step for _, _, step, code in found(report) if code != "FINDING")


def test_an_older_snapshot_that_vanished_is_told_and_is_not_among_what_is_kept(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    """The newest has passed its test: it comes back within what was promised all the same."""
    well(past).tested(-0.3, "new")
    before = judged(jobs["crm"], past)
    past.gone(-0.2, "at-1")
    report = judged(jobs["crm"], past)
    assert [(f.code, f.level) for f in report.findings] == [("SNAPSHOT_VANISHED", Level.NOTE)]
    assert (report.state, before.state) == ("proven", "proven")
    assert report.kept == before.kept - 1 == 5 and len(report.untested) == len(before.untested) - 1 == 3


def test_the_newest_snapshot_that_vanished_is_not_made_up_for(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).gone(-0.2, "new")
    assert judged(jobs["crm"], past).state == "not in time"


@pytest.mark.parametrize(
    ("level", "state"),
    [(Level.LOST, "cannot be restored"), (Level.UNPROVEN, "not proven"), (Level.LATE, "not in time"), (Level.NEAR, "proven"), (Level.NOTE, "proven")],
)  # fmt: skip
def test_its_worst_finding_is_its_state_in_a_word(
    jobs: dict[str, Job], past: Chronicle, level: Level, state: str
) -> None:
    report = replace(
        judged(jobs["crm"], well(past)), findings=(ReportedFinding(Level.NOTE, "-"), ReportedFinding(level, "-"))
    )
    assert (report.level, report.state) == (level, state)


def test_a_repository_that_is_away_is_told_as_unreached(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).failed(-0.2, repository="missing")
    assert judged(jobs["crm"], past).judged.away
    past.checked(-0.1)
    assert not judged(jobs["crm"], past).judged.away


def test_what_no_plan_names_any_more_is_shown_and_not_judged(past: Chronicle) -> None:
    well(past).by_log(-0.3, "new", "PASS", until=-0.3, reached=-0.1)  # of whatever it was
    past.failed(-0.2)
    report = judged(None, past)
    assert report.findings == () and report.state == "retired" and not report.in_plan and report.judged is None
    unsaid = (report.rpo, report.rpo_now, report.rto, report.service, report.engine, report.objectives, report.basis)
    assert set(unsaid) == {None} and report.coverage is None
    assert report.kept == 6 and report.completed.worst_s == 3600
    nobody = judged(None, about_nothing(past))
    assert nobody.kept == 0 and nobody.completed.worst_s == math.inf and nobody.findings == ()


def about_nothing(past: Chronicle) -> Chronicle:
    return Chronicle(END, past.source, past.plan, past.asset)


# --- exposure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ([-1], None),
        ([-3], ("LATE", "BREACH_RPO", "RPO breached: 3h 00m of data would be lost, the objective is 1h 00m")),
        (
            [-4, -0.5],
            (
                "NOTE", None,
                "up to 3h 30m of its data could have been lost at one time in the period, 2h 30m more than its RPO of "
                "1h 00m",
            ),
        ),
        ([-2, -1, -0.5], None),
    ],
)  # fmt: skip
def test_exposure_is_judged_over_the_period_where_it_is_well_again(
    jobs: dict[str, Job], past: Chronicle, hours: Sequence[float], said: tuple[str, str | None, str] | None
) -> None:
    for number, when in enumerate(hours):
        past.stored(when, f"s{number}")
    past.tested(hours[0] + 0.1, "s0")
    report = judged(jobs["crm"], past)
    assert [(level.name, code, text) for level, text, _, code in found(report)] == ([said] if said else [])
    assert report.completed.since == past.at(hours[0])
    assert len(report.completed.parts) == len(report.completed.edges) - 1


def test_what_was_exposed_in_the_period_is_told_beside_that_nothing_is_left(
    jobs: dict[str, Job], past: Chronicle, wording: SnapshotAssertion
) -> None:
    past.stored(-5, "s")
    past.tested(-4.9, "s")
    past.pruned(-1, "DONE", "s")
    report = judged(jobs["crm"], past)
    assert [(level.name, code) for level, _, _, code in found(report)] == [("LOST", "BREACH_RPO"), ("NOTE", None)]
    assert found(report)[1][1] == wording


def test_a_backup_of_before_the_period_is_measured_from_its_start(jobs: dict[str, Job], past: Chronicle) -> None:
    for hours in (-241, -240, -0.5):
        past.stored(hours, f"at{hours}")
    report = judged(jobs["crm"], past)
    assert report.completed.since is None and report.completed.worst_s == 239.5 * 3600
    assert report.completed.parts[-1] == report.completed.worst_s and report.completed.parts[0] == 12 * 3600

    def alone(hours: float) -> Exposure:
        one = about_nothing(past)
        one.stored(hours, "s")
        return judged(jobs["crm"], one).completed

    assert alone(-240).since is None and alone(-240).parts[0] == 12 * 3600, "nor one of its very start"
    assert alone(-12).parts == (*[math.inf] * 10, 12 * 3600), "a part that begins with it is measured whole"
    later = about_nothing(past)
    for hours in (-50, -0.5):
        later.stored(hours, f"at{hours}")
    exposed = judged(jobs["crm"], later).completed
    assert exposed.since == past.at(-50) and exposed.worst_s == 49.5 * 3600
    assert [math.isinf(part) for part in exposed.parts] == [edge <= past.at(-50) for edge in exposed.edges[1:]]


def test_the_periods_worst_is_judged_by_the_rpo_of_its_time(jobs: dict[str, Job], past: Chronicle) -> None:
    """The worst against its own objective: where one was loosened, what was too much until then stays so."""
    for hours in (-30, -29, -26, -24.5, -23, -0.5):
        past.stored(hours, f"at{hours}")
    past.tested(-0.4, "at-0.5")
    evidence = past.evidence(PERIOD)
    facts = jobs["crm"].loaded.facts

    def since(hours: float, rpo: float) -> PlanRevision:
        of = structs.replace(facts, assets={**facts.assets, "crm": structs.replace(facts.assets["crm"], rpo=rpo)})
        return PlanRevision("p", digest(str(hours)), of, 1, past.at(hours), "a", None, {})

    def worst(*versions: PlanRevision) -> tuple[float, float | None]:
        own, upkeep = evidence.assets["p", "crm"], evidence.history("p", None)
        report = judge_asset(jobs["crm"], ("p", "crm"), own, (), upkeep, PERIOD, versions=versions)
        assert report.rpo
        return report.rpo.objective_s, report.rpo.achieved_s

    assert worst() == worst(since(-300, RPO)) == (RPO, 22.5 * 3600)
    assert worst(since(-300, RPO), since(-25, 100 * 3600)) == (RPO, 3 * 3600)
    assert worst(since(-28, RPO), since(-25, 100 * 3600)) == (RPO, 3 * 3600), "so it was before the first, too"
    assert worst(since(-300, 100 * 3600), since(-25, 20 * 3600)) == (20 * 3600, 22.5 * 3600)


def test_nothing_that_never_was_is_measured(jobs: dict[str, Job], past: Chronicle) -> None:
    """That is a finding of its own, and no number."""
    report = judged(jobs["crm"], past)
    assert report.completed.worst_s == math.inf and report.completed.since is None
    assert set(report.completed.parts) == {math.inf} and len(report.completed.parts) == len(report.completed.edges) - 1
    assert not [text for _, text, _, _ in found(report) if "RPO" in text]
    assert report.rpo and report.rpo.verdict == "BREACHED" and report.rpo_now and report.rpo_now.verdict == "BREACHED"
    assert found(report)[0][1] == "no backup has succeeded yet"


def test_only_what_is_of_the_source_that_the_plan_names_counts(jobs: dict[str, Job], past: Chronicle) -> None:
    for told, now, shown in (("/spool", 1800, 1800), ("/elsewhere", 3600, 3600)):
        one = about_nothing(past)
        for hours in (-2, -1):
            one.stored(hours, f"at{hours}")
        one.tested(-0.9, "at-1")
        one.stored(-0.5, "new", source=told)
        one.by_log(-0.3, "new", "PASS", until=-0.3, reached=-0.3, source=told)
        report = judged(jobs["crm"], one)
        assert report.completed.worst_s == judged(None, one).completed.worst_s == 3600
        assert report.rpo_now and report.rpo_now.achieved_s == now and report.tested.worst_s == shown


def test_what_lies_in_a_repository_that_does_not_open_is_no_proof(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).by_log(-0.3, "new", "PASS", until=-0.3, reached=-0.2)
    assert judged(jobs["crm"], past).tested.worst_s < 5 * 3600, "the twin"
    past.checked(-0.1, "INCONCLUSIVE", repository="damaged")
    report = judged(jobs["crm"], past)
    assert report.tested.worst_s == report.completed.worst_s == math.inf


def test_in_a_damaged_repository_only_what_is_as_old_as_the_newest_proven_counts(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-1.5, "at-2", selected="random")
    assert judged(jobs["crm"], past).completed.worst_s == 3600
    past.checked(-0.2, "DAMAGED")
    assert judged(jobs["crm"], past).completed.worst_s == 2 * 3600
    past.tested(-0.1, "at-2", "FAIL", selected="random")
    assert judged(jobs["crm"], past).completed.worst_s == 5 * 3600, "the oldest alone has passed"
    past.tested(-0.1, "old", "FAIL", selected="oldest")
    assert judged(jobs["crm"], past).completed.worst_s == math.inf


def test_what_was_removed_or_never_restored_is_counted(jobs: dict[str, Job], past: Chronicle) -> None:
    for n, name in enumerate("abcde", 1):
        past.stored(-n, name)
    past.tested(-0.8, "a")
    past.tested(-0.7, "d", "FAIL", selected="random")
    past.pruned(-0.5, "DONE", "a", "b", "e")
    past.snapshot(-0.3, "z")
    report = judged(jobs["crm"], past)
    assert (report.kept, report.removed_untested) == (3, 2)
    assert report.untested == ((digest("z"), past.at(-0.3)), (digest("c"), past.at(-3))), "newest first"


# --- the shipped log ------------------------------------------------------------------------------------------


def counting(*failures: LogFailure) -> list[float]:
    """Of points every half hour from 0 to 4, with bases at 1 and 3."""
    points = [Point(END + n / 2 * HOUR, END + n / 2 * HOUR) for n in range(9)]
    bases = [Point(END + n * HOUR, END + n * HOUR) for n in (3, 1)]
    evidence = AssetEvidence(AssetHistory(), log_failures=list(failures))
    return [(p.consistent - END) / HOUR for p in exposures.log_that_counts(evidence, points, bases)]


def test_log_behind_a_base_counts_not_where_a_recovery_through_it_failed() -> None:
    """Until a newer base leads on anew; what lies at the bases themselves needs none of it."""
    assert counting() == [n / 2 for n in range(9)]
    assert counting(LogFailure(None, END + 2 * HOUR)) == [0, 0.5, 1, 3, 3.5, 4]
    assert counting(LogFailure(None, END + 4 * HOUR)) == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert counting(LogFailure(None, END)) == [1, 1.5, 2, 2.5, 3, 3.5, 4], "before the first base nothing is known"
    assert counting(LogFailure(END + 1 * HOUR, END + 4 * HOUR)) == [0, 0.5, 1], "it went through the newer base"
    both = counting(LogFailure(None, END + 2 * HOUR), LogFailure(None, END + 4 * HOUR))
    assert both == [0, 0.5, 1, 3]


def test_log_through_which_a_recovery_failed_does_not_count(jobs: dict[str, Job]) -> None:
    past = about(jobs["log"])
    past.stored(-1, "base")
    past.tested(-0.9, "base")
    past.shipped(-0.1, (-0.8, -0.8), (-0.4, -0.4), (-0.1, -0.1))
    report = judged(jobs["log"], past)
    assert report.completed.worst_s == pytest.approx(0.4 * 3600) and report.findings == ()
    assert report.rpo_now and report.rpo_now.achieved_s == pytest.approx(0.1 * 3600)
    past.by_log(-0.05, "base", "FAIL", until=-0.1)
    report = judged(jobs["log"], past)
    assert report.completed.worst_s == 3600 and report.rpo_now and report.rpo_now.achieved_s == 3600
    assert found(report)[0][3] == "LOG_FAILED"


# --- restores -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "before", "code", "level", "text"),
    [
        ({"took": RTO}, [], None, None, None),
        ({"took": 7200.0}, [], "BREACH_RTO", Level.LATE, "RTO breached: its last restore took 2h 00m, the objective is 30m 00s"),
        (
            {}, [{"took": 3600.0, "over": True}, {"took": 7200.0, "over": True}], None, Level.NOTE,
            "restoring it took up to 2h 00m in 2 tests of the period, and its RTO is 30m 00s",
        ),
        ({}, [{"took": RTO}], None, None, None),
        ({}, [{"took": 9999.0, "basis": "durable", "over": True}], None, None, None),
        (
            {"basis": "durable"}, [], "RTO_UNMEASURED", Level.LATE,
            "its RTO was not measured with throwaway settings, which its plan asks for",
        ),
    ],
)  # fmt: skip
def test_restores_are_judged_by_the_last_and_over_the_period(
    jobs: dict[str, Job], past: Chronicle, last: dict[str, Any], before: list[dict[str, Any]], code: str | None, level: Level | None,
    text: str | None,
) -> None:  # fmt: skip
    well(past)
    for number, one in enumerate([*before, last]):
        one = dict(one)
        over = one.pop("over", False)
        said = {"objective_s": float(RTO), "achieved_s": one.get("took", 60.0), "basis": one.get("basis", "throwaway")}
        past.tested(-0.4 + 0.1 * number, "new", rto=said | {"verdict": "BREACHED" if over else "MET"})
    step = next_step(Trouble.BREACH_RTO, "p", "crm") if code is None else next_step(Trouble[code], "p", "crm")
    assert found(judged(jobs["crm"], past)) == ([(level, text, step, code)] if level else [])


def test_a_restore_of_before_the_period_is_none_of_it(
    jobs: dict[str, Job], past: Chronicle, wording: SnapshotAssertion
) -> None:
    past.stored(-300, "s")
    slow = {"objective_s": float(RTO), "achieved_s": 7200.0, "basis": "throwaway", "verdict": "BREACHED"}
    past.tested(-299, "s", rto=slow)
    well(past)
    report = judged(jobs["crm"], past)
    assert len(report.timings) == 1 and not any("restoring it" in text for _, text, _, _ in found(report))
    whole = judged(jobs["crm"], past, Period(END - 20 * DAY, END, until_now=True))
    assert len(whole.timings) == 2
    assert lines_with((f[1] for f in found(whole)), "2h 00m in 1 test") == wording


def test_restores_are_summed_up_by_the_settings_that_they_ran_with(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past)
    taken = [("durable", 50.0, "BREACHED"), ("throwaway", 1.0, "MET"), ("throwaway", 4.0, "BREACHED")]
    for number, (basis, seconds, verdict) in enumerate(taken):
        said = {"objective_s": float(RTO), "achieved_s": seconds, "basis": basis, "verdict": verdict}
        past.tested(-0.4 + 0.1 * number, "new", rto=said)
    assert list(judged(jobs["crm"], past).restores) == [
        Restores("durable", 1, 50.0, 50.0, 50.0, 1),
        Restores("throwaway", 3, 60.0, 4.0, 4.0, 1),
    ]


def test_a_test_that_measured_nothing_has_no_timing(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.3, "new", "FAIL", took=None)
    past.tested(
        -0.2, "new", rto={"objective_s": 1.0, "achieved_s": None, "basis": "throwaway", "verdict": "NOT_MEASURED"}
    )
    assert [t.achieved_s for t in judged(jobs["crm"], past).timings] == [60.0]


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
        ([(-3, -3), (-0.2, 0.05)], -1.5, ("BREACHED", "BREACHED")),  # what is not usable yet is none of the period
        ([(-3, -3), (-0.2, 0.05)], None, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([(-1.8, -1.8), (-1.7, -0.5)], None, ("BREACHED", "NOT_KNOWN_HERE")),  # seen when that one became usable
        ([(-3, -0.5)], None, ("NOT_KNOWN_HERE", "NOT_KNOWN_HERE")),
        ([-6, -3], -5.5, ("BREACHED", "NOT_KNOWN_HERE")),  # what came since was seen by something else
    ],
)  # fmt: skip
def test_what_another_host_may_have_done_since_this_one_looked_is_not_known(
    jobs: dict[str, Job], past: Chronicle, hours: Sequence[Any], looked: float | None, verdicts: tuple[str, str]
) -> None:
    past.asked(-300, "test")
    at = [h if isinstance(h, tuple) else (h, h) for h in hours]
    for number, (consistent, usable) in enumerate(at):
        past.snapshot(consistent, f"s{number}", usable=usable)
    if looked is not None:
        newest = max((c for c, u in at if u <= looked), default=None)
        exposed = None if newest is None else (looked - newest) * 3600
        past.tested(looked, "s0", rpo={"objective_s": 3600.0, "achieved_s": exposed, "verdict": "MET"})
    report = judged(jobs["crm"], past)
    assert report.rpo and report.rpo_now
    assert (report.rpo.verdict, report.rpo_now.verdict) == verdicts
    past.asked(-300, "backup", "test")
    ours = judged(jobs["crm"], past)
    assert ours.rpo_now and ours.rpo_now.verdict == ("MET" if "MET" in verdicts else "BREACHED")


@pytest.mark.parametrize(("asked", "worst"), [(["test"], 0.6), (["backup", "test"], 0.9)])
def test_what_the_log_was_recovered_to_counts_where_another_host_ships_it(
    jobs: dict[str, Job], asked: list[str], worst: float
) -> None:
    job = jobs["log"]
    past = about(job)
    past.asked(-300, *asked)
    past.snapshot(-0.9, "base")
    past.by_log(-0.6, "base", "PASS", until=-0.6, reached=-0.6)
    past.by_log(-0.3, "base", "PASS", until=-0.3, reached=-0.3, source="elsewhere")
    report = judged(job, past)
    assert report.completed.worst_s == pytest.approx(worst * 3600) and report.tested.worst_s == pytest.approx(
        0.6 * 3600
    )


# --- in words and numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", ["disk", "machine", None])
def test_copies_that_lie_where_the_source_is_are_told_by_the_newest_good_backup(
    jobs: dict[str, Job], past: Chronicle, beside: str | None
) -> None:
    well(past).stored(-0.4, "s", beside_source=beside)
    past.failed(-0.3, beside_source="disk")
    past.stored(-0.2, "t", beside_source=beside)
    report = judged(jobs["crm"], past)
    known = [f"its repository is {WORDS[beside]}"] if beside else []
    assert [(level, text) for level, text, _, _ in found(report)] == [(Level.NEAR, text) for text in known]
    assert all(
        "docs/reference/plan.md" in str(step) and code == "REPOSITORY_NEAR" for _, _, step, code in found(report)
    )
    assert report.state == "proven"
    past.failed(-0.1, repository="unavailable")
    assert not [f for f in found(judged(jobs["crm"], past)) if f[0] is Level.NEAR], "nobody knows where it lies now"


def test_what_the_plan_leaves_out_is_told_by_the_newest_good_backup(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).stored(-0.4, "s", left_out=["tmp"])
    past.failed(-0.3, left_out=["nothing"])
    assert judged(jobs["crm"], past).left_out == ("tmp",)
    past.stored(-0.2, "t")
    assert judged(jobs["crm"], past).left_out == () == judged(jobs["crm"], about_nothing(past)).left_out


def test_a_finding_says_what_it_is_about() -> None:
    one = ReportedFinding(Level.LOST, "gone", "p", "crm", "do")
    assert one.about == "p/crm" and replace(one, asset=None).about == "p"
    assert replace(one, plan=None, asset=None).about == "the ledger"
    assert one.as_json() == {
        "level": "LOST", "code": None, "plan": "p", "asset": "crm", "text": "gone", "next_step": "do",
        "acknowledged": False, "because": None,
    }  # fmt: skip
    told = ReportedFinding.of(
        Problem(Trouble.BREACH_RPO, "late", step="do", as_bad_as=Level.LOST, acknowledged=END), "p", "crm"
    )
    assert (
        told == ReportedFinding(Level.LOST, "late", "p", "crm", "do", "BREACH_RPO", END)
        and told.as_json()["acknowledged"]
    )


def test_each_test_is_counted_in_the_part_of_the_period_that_it_began_in(jobs: dict[str, Job], past: Chronicle) -> None:
    past.stored(-300, "s")
    past.began(-240.001, "restore_test", "before")
    past.wrote(-240, "missed", verb="test", due="2026-11-14T12:00:00Z", first_due="2026-11-13T12:00:00Z", count=4)
    past.tested(-36 - 1 / 3600, "s")
    past.tested(-36, "s", "FAIL")
    past.tested(-31, "s")
    past.tested(-1, "s")
    calendar = judged(jobs["crm"], past).calendar
    assert len(calendar) == 11 and calendar[0] == {"MISSED": 4} and calendar[-1] == {"PASS": 1}
    assert calendar[-2] == {"PASS": 1, "FAIL": 1} and calendar[-3] == {"PASS": 1} and not any(calendar[1:-3])


# --- one plan -------------------------------------------------------------------------------------------------


def test_of_a_plan_its_care_is_told_and_what_was_removed(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).pruned(-300, "DONE", "old")
    past.pruned(-8, "DONE", "at-4", "at-3", repository_bytes=9)
    past.checked(-7)
    past.checked(-6, "INCONCLUSIVE")
    evidence = past.evidence(PERIOD)
    wrong = [Problem(Trouble.CHECK_INCONCLUSIVE, "no answer", step="do")]
    report = judge_plan("p", jobs["crm"].loaded, evidence.plans["p"], wrong, PERIOD, free=None)
    assert (report.plan, report.service, report.owner, report.in_plan) == ("p", "A test", "ops@example.test", True)
    assert found(report) == [(Level.NOTE, "no answer", "do", "CHECK_INCONCLUSIVE")] and report.removed == 2
    assert report.last_prune and report.last_prune.started == past.at(-8) and report.growth.now == 9
    assert report.last_check and report.last_check.outcome == "INCONCLUSIVE"
    assert report.last_conclusive_check and report.last_conclusive_check.result == "CLEAN"
    gone = judge_plan("p", None, evidence.plans["p"], (), PERIOD, free=None)
    assert (gone.in_plan, gone.service, gone.owner, gone.findings) == (False, None, None, ())


# --- what did not end well, over a period ---------------------------------------------------------------------


def ran(hours: float, verb: str, outcome: str, **more: Any) -> RecordedRun:
    seq, at = 100_000 + int(hours * 100), END + hours * HOUR
    made = RecordedRun(
        seq, seq, verb, "p", "crm", f"r{seq}", "h", "me", at, at, ended=at, end_number=seq, outcome=outcome
    )
    return replace(made, **more)


def test_runs_in_a_row_that_did_not_end_well_are_one_interruption() -> None:
    def of(hours: float, outcome: str, asset: str = "crm", **more: Any) -> RecordedRun:
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
    def check(hours: float, outcome: str, part: int = 1) -> RecordedRun:
        body = sparse_record({"kind": "check.end", "plan": "p", "run": "r", "part": part, "parts": 2})
        return ran(hours, CHECK, outcome, body=body)

    runs = [check(1, "DAMAGED"), check(2, "INCONCLUSIVE"), check(3, "CLEAN", 2)]
    assert [(i.runs, i.mended) for i in interruptions(runs)] == [((runs[0],), None), ((runs[1],), runs[2])]
    again = [*runs, check(4, "CLEAN")]
    assert [(i.runs, i.mended) for i in interruptions(again)] == [((runs[0],), again[3]), ((runs[1],), runs[2])]


def test_a_pass_by_weaker_checks_mends_nothing_and_is_named() -> None:
    runs = [ran(1, TEST, "FAIL"), ran(2, TEST, "PASS"), ran(3, TEST, "INCONCLUSIVE")]
    (weaker, since) = interruptions(runs, lambda bad, good: bad is not runs[0])
    assert (weaker.runs, weaker.mended, weaker.unchecked) == ((runs[0],), None, runs[1])
    assert (since.runs, since.mended, since.unchecked) == ((runs[2],), None, None)
    (mended, since) = interruptions(runs)
    assert (mended.mended, mended.unchecked, since.mended) == (runs[1], None, None)


def test_a_restore_that_was_refused_did_nothing_and_is_not_there_to_be_mended() -> None:
    runs = [ran(1, RESTORE, "REFUSED"), ran(2, RESTORE, "FAILED")]
    (found,) = interruptions(runs)
    assert found.runs == (runs[1],)


def test_a_test_that_found_no_snapshot_is_by_the_rule_that_it_asked_by(jobs: dict[str, Job], past: Chronicle) -> None:
    past.tested(-4, None, "FAIL", begun=True)
    report = judged(jobs["crm"], past)
    assert {rule: run.outcome for rule, run in report.by_rule.items()} == {"latest": "FAIL"}
    assert past.history().by_rule == {"latest": RuleVerdict(utc(past.records[-1]["time"]), "FAIL")}, "as status has it"
    past.stored(-3, "s")
    past.tested(-2, "s", begun=True, selected="0a1b")
    assert judged(jobs["crm"], past).by_rule.keys() == {"latest", "by id"}
