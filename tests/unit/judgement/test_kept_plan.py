"""Is the plan that is in force in its repository, and is that its own; and what was begun, and nobody has ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.chronicle import NOUGHT, Chronicle, acknowledged, digest
from tests.support.control_histories import version as versioned
from tests.support.harness import Site
from tests.support.judged import END, about
from tests.support.records import pause

from ccdr.engines.base import PlanLimits
from ccdr.evidence.acknowledged import known_by, steady
from ccdr.evidence.judgement.upkeep import elsewhere, judge_runbook, judge_upkeep
from ccdr.host.state_files import write_state
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import Verb, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.trust import MARK, Given, Mark, Origin

ONE, TWO = "1" * 64, "2" * 64
DAY, SECOND = 24.0, 1 / 3600
SOON = 400 / 3600  # what two clocks may differ by


def version(past: Chronicle, hours: float, of: str, **facts: Any) -> None:
    versioned(past, hours, **facts)
    past.records[-1]["digest"] = of


def kept(past: Chronicle, hours: float, of: str, **more: Any) -> None:
    body = {"digest": of, "snapshot": NOUGHT, "repository": past.repository} | more
    past.wrote(hours, "plan.stored", asset=None, **body)


def found(loaded: LoadedPlan, past: Chronicle, hours: float = 0) -> dict[str, Problem]:
    told = judge_upkeep(loaded, past.histories, past.at(hours))
    return {p.trouble.name: p for p in told if p.trouble.name not in ("PRUNE_LATE", "CHECK_LATE")}


def came(loaded: LoadedPlan, of: str, *, made: bool = False) -> None:
    """The plan came from a repository, as this version; or was made from what that holds."""
    origin = Origin(loaded.plan.plan, of, {}, 1, made=made)
    given = Given("/r", Path("/key"))
    write_state(loaded.path.parent / MARK, Mark(taken=rfc3339(END), repository=given, plans={loaded.plan.plan: origin}))


# --- is it kept ---------------------------------------------------------------------------------------------------


def test_a_plan_that_a_newer_backup_did_not_store_is_told(jobs: dict[str, Job], past: Chronicle) -> None:
    loaded = jobs["crm"].loaded
    version(past, -9, ONE)
    assert "PLAN_NOT_STORED" not in found(loaded, past, 99), "there is no backup that it would lead to"
    past.stored(-9 + SECOND, "a")
    assert "PLAN_NOT_STORED" not in found(loaded, past), "with the next one"
    past.stored(-9 + SOON, "b")
    one = found(loaded, past)["PLAN_NOT_STORED"]
    assert (one.since, one.about, one.verb) == (past.at(-9), ONE[:16], Verb.BACKUP) and "record 1" in one.text
    kept(past, -8, TWO)
    assert "PLAN_NOT_STORED" in found(loaded, past), "another version"
    kept(past, -7, ONE)
    assert "PLAN_NOT_STORED" not in found(loaded, past)


def test_a_plan_is_to_be_stored_within_a_day_though_nothing_is_backed_up(jobs: dict[str, Job], past: Chronicle) -> None:
    loaded = jobs["crm"].loaded
    past.stored(-20, "a")
    version(past, -9, ONE)
    assert "PLAN_NOT_STORED" not in found(loaded, past, -9 + DAY)
    assert "PLAN_NOT_STORED" in found(loaded, past, -9 + DAY + SECOND)
    past.asked(-8, "test", "prune")
    assert "PLAN_NOT_STORED" not in found(loaded, past, 99), "the host that takes backups stores it"


def test_a_plan_that_came_from_its_repository_need_not_be_stored_there(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}")
    loaded = site.loaded()
    past = about(Job(loaded, "crm"))
    version(past, -50, ONE)
    past.stored(-20, "a")
    told = [
        "PLAN_NOT_STORED" in found(loaded, past)
        for come in (
            lambda: None,
            lambda: came(loaded, ONE),
            lambda: came(loaded, TWO),  # edited since
            lambda: came(loaded, ONE, made=True),
        )
        for _ in [come()]  # type: ignore[func-returns-value]
    ]
    assert told == [True, False, True, True]


# --- is it its own ------------------------------------------------------------------------------------------------


def test_what_is_known_of_another_repository_than_a_plan_came_from_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}")
    loaded = site.loaded()
    past = about(Job(loaded, "crm"))
    facts = {"location": TWO, "on_host": True, "apart": False}

    def told() -> list[str]:
        return [p.about for p in elsewhere(loaded, past.history(None))]

    kept(past, -9, ONE, repository=digest("other"))
    assert told() == [], "a person wrote it here"
    came(loaded, ONE)
    assert told() == [digest("other")[:16]]
    (one,) = elsewhere(loaded, past.history(None))
    assert one.trouble is Trouble.PLAN_ELSEWHERE and one.step == next_step(Trouble.PLAN_ELSEWHERE, "p", None)
    assert "PLAN_ELSEWHERE" in found(loaded, past)
    came(loaded, ONE, made=True)
    assert told() == [], "a made one is never stored"
    version(past, -8, ONE, repository=facts)
    assert told() == [TWO[:16]], "but has a version"
    came(loaded, ONE)
    past.records[-1]["facts"]["repository"]["location"] = past.repository
    assert told() == [digest("other")[:16]]
    kept(past, -7, ONE)
    assert told() == []


# --- what was begun -----------------------------------------------------------------------------------------------


def runbook(past: Chronicle, hours: float, run: str = "rb") -> None:
    start = {"plan_sha256": NOUGHT, "trigger": {"by": "command"}, "runbook_sha256": NOUGHT, "made": True, "steps": []}
    past.wrote(hours, "runbook.start", run, asset=None, **start)


def stepped(past: Chronicle, hours: float, step: str, result: str, reason: str | None = None, run: str = "rb") -> None:
    body = {"step": step, "result": result, "at": rfc3339(past.at(hours)), "reason": reason}
    past.wrote(hours, "runbook.step", run, asset=None, **body)


def standing(past: Chronicle) -> list[Problem]:
    return list(judge_runbook("p", past.history(None), past.at(0)))


def test_a_runbook_that_stands_is_told_step_by_step(past: Chronicle) -> None:
    assert judge_runbook("p", past.history(None), past.at(0)) == ()
    runbook(past, -9)
    (alone,) = standing(past)
    assert (alone.trouble, alone.since, alone.about) == (Trouble.RUNBOOK_STANDS, past.at(-9), "")
    assert alone.step == next_step(Trouble.RUNBOOK_STANDS, "p", None) and rfc3339(past.at(-9))[:19] in alone.text
    stepped(past, -8, "call", "WAITING")
    stepped(past, -7, "crm", "FAILED", "no disk")
    stepped(past, -6, "phones", "DONE")
    call, crm = standing(past)
    assert (call.about, call.since, call.cause) == ("call", past.at(-8), "WAITING")
    assert (crm.about, crm.since, crm.cause) == ("crm", past.at(-7), "FAILED")
    assert "runbook resume p" in str(call.step) and "runbook retry p crm" in str(crm.step)
    assert "no disk" in crm.text and crm.why == "crm failed" and "failed" not in f"{call.text}{call.why}"
    assert "call" in call.why and "waits for a person" in call.text and "waits" not in crm.text
    stepped(past, -5, "call", "DONE")
    stepped(past, -5, "crm", "RETRIED")
    assert [p.about for p in standing(past)] == [""]


def test_a_runbook_s_step_that_somebody_took_note_of_is_marked(past: Chronicle) -> None:
    runbook(past, -9)
    stepped(past, -8, "call", "WAITING")
    acknowledged(past, -7, "RUNBOOK_STANDS", [known_by(standing(past)[0])], rfc3339(past.at(9)), asset=None)
    assert [p.acknowledged for p in standing(past)] == [past.at(9)]


def test_a_recovery_without_an_end_is_known_by_its_run(jobs: dict[str, Job], past: Chronicle) -> None:
    loaded = jobs["crm"].loaded
    past.wrote(-9, "recover.start", "lost", asset=None, plan_sha256=NOUGHT, assets=[], decided_sha256=NOUGHT)
    one = found(loaded, past)["RECOVERY_UNFINISHED"]
    assert (one.about, one.run, one.since) == ("lost", "lost", past.at(-9)) and "crashed" in one.text
    failed = [{"asset": name, "state": state, "snapshot": NOUGHT} for name, state in (("crm", "failed"), ("b", "done"))]
    target = {"kind": "directory", "name": "/back"}
    rpo = {"objective_s": 3600.0, "achieved_s": None, "verdict": "NOT_MEASURED"}
    rto = {
        "objective_s": 1.0,
        "achieved_s": None,
        "machine_s": 1.0,
        "waited_s": 0.0,
        "away_s": 0.0,
        "verdict": "NOT_MEASURED",
    }
    past.wrote(-8, "recover.end", "half", asset=None, state="failed", rpo=rpo, rto=rto,
               assets=[one | {"target": target} for one in failed])  # fmt: skip
    one = found(loaded, past)["RECOVERY_UNFINISHED"]
    assert (one.about, one.since) == ("half", past.at(-8)) and one.text.endswith("not brought back: crm")
    assert "crashed" not in one.text


# --- by what the care of a repository is known again ----------------------------------------------------------------


def test_what_went_wrong_in_its_care_is_known_by_its_cause(jobs: dict[str, Job], past: Chronicle) -> None:
    loaded = jobs["crm"].loaded
    past.pruned(-8, "FAILED", reason="port 7")
    past.checked(-7, "INCONCLUSIVE", reason="port 8")
    told = found(loaded, past)
    for code, verb, why, hours in (
        ("PRUNE_FAILED", Verb.PRUNE, "port 7", -8),
        ("CHECK_INCONCLUSIVE", Verb.CHECK, "port 8", -7),
    ):
        one = told[code]
        assert (one.verb, one.why, one.cause, one.since) == (verb, why, steady(why), past.at(hours))
        assert one.run == past.records[9 + hours - 1]["run"]
    for number in (1, 3):
        past.checked(-6, "DAMAGED", part=number, parts=3)
    one = found(loaded, past)["REPOSITORY_DAMAGED"]
    assert (one.cause, one.since) == ("1 3", past.at(-6))
    past.began(-5, "prune", "dead", asset=None)
    one = next(
        p for p in judge_upkeep(loaded, past.histories, past.at(0)) if p.trouble.name == "PRUNE_FAILED" and p.about
    )
    assert (one.about, one.verb, one.why, one.since) == ("crash", Verb.PRUNE, "it crashed", past.at(-5))


def test_who_paused_a_plan_is_told_by_the_record(jobs: dict[str, Job], past: Chronicle) -> None:
    loaded = jobs["crm"].loaded
    past.wrote(-2, "pause.schedule", asset=None, **pause(rfc3339(past.at(9))))
    one = found(loaded, past)["PAUSED"]
    assert (one.about, one.since) == ("1", past.at(-2)) and one.why


def test_what_tests_fetch_is_known_by_the_month_and_by_whether_the_limit_is_reached(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    loaded = jobs["crm"].loaded
    past.stored(-24, "a")
    past.tested(-8, "a", bytes_restored=800)
    for limit, cause in ((1000, "near"), (801, "near"), (800, "reached"), (500, "reached")):
        limits = PlanLimits().model_copy(update={"fetch_per_month": limit})
        limited = replace(loaded, plan=loaded.plan.model_copy(update={"limits": limits}))
        one = found(limited, past)["FETCH_LIMIT"]
        assert (one.about, one.cause, one.why, one.verb) == ("2026-11", cause, f"limit {cause}", Verb.TEST)
