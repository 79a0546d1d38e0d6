"""The care of a repository: what is wrong with it, and upkeep that is overdue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from tests.support.chronicle import Chronicle, digest
from tests.support.judged import END, Told, about, nothing

from ccdr.engines.base import PlanLimits
from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.model.finding import Finding
from ccdr.model.trouble import Level, Trouble, next_step
from ccdr.model.values import Verb, rfc3339
from ccdr.plans.job import Job


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
            "the prune of 2026-11-24T04:00:00Z crashed: its run dead never recorded an end",
        ),
        (
            lambda p: p.began(-8, "check", "dead", asset=None), "CHECK_INCONCLUSIVE",
            "the check of 2026-11-24T04:00:00Z crashed: its run dead never recorded an end",
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


PRUNE_LATE, CHECK_LATE = "its prune is overdue", "its check is overdue"


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
        ("crm", first(-32), {PRUNE_LATE: "it never ran, and is due since 2026-11-24T05:00:00Z"}),
        (
            "crm", first(-24 * 9.5),
            {PRUNE_LATE: "it never ran, and is due since 2026-11-16T05:00:00Z", CHECK_LATE: "it never ran, and is due since 2026-11-22T06:00:00Z"},
        ),
        ("q", first(-24 * 9.5), {CHECK_LATE: "it never ran, and is due since 2026-11-16T06:00:00Z"}),
        ("crm", then_asked(-24 * 9.5), {}),
        ("crm", then_asked(-24 * 9.5, "check"), {CHECK_LATE: "it never ran, and is due since 2026-11-22T06:00:00Z"}),
        ("crm", then_asked(-24 * 9.5, "check", "prune", since=-2), {}),
        (
            "crm", lambda p: (p.failed(-300), p.pruned(-32), p.checked(-32)),
            {PRUNE_LATE: "the last one was at 2026-11-23T04:00:00Z"},
        ),
        ("crm", lambda p: (p.failed(-300), p.began(-29, "prune", "alive", asset=None), p.checked(-29)), {}),
        (
            "crm", lambda p: (p.began(-32, "prune", "alive", asset=None), p.checked(-32)),
            {PRUNE_LATE: "the last one was at 2026-11-23T04:00:00Z"},
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


def fetching(job: Job, limit: int | None) -> Job:
    limits = PlanLimits().model_copy(update={"fetch_per_month": limit})
    return replace(job, loaded=replace(job.loaded, plan=job.loaded.plan.model_copy(update={"limits": limits})))


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (None, None),
        (1001, None),
        (1000, "800 B of the 1000 B"),
        (800, "800 B of the 800 B"),
        (500, "800 B of the 500 B"),
    ],
)
def test_what_tests_fetch_in_a_month_is_told_before_the_limit_is_reached(
    jobs: dict[str, Job], past: Chronicle, limit: int | None, told: str | None
) -> None:
    """Of all assets, those too that are gone from the plan; an earlier month's counts no more, nor does a test that broke
    before it fetched anything."""
    past.stored(-24 * 41, "a")
    past.tested(-24 * 40, "a", bytes_restored=10_000)
    past.tested(-300, "a", bytes_restored=300)
    past.tested(-8, "a", "FAIL", bytes_restored=400)
    past.tested(-7, "a", "INCONCLUSIVE")
    past.tested(-6, "a", "INCONCLUSIVE", asset="gone", bytes_restored=100)
    job = fetching(jobs["crm"], limit)
    found = [one for one in cared(job, past) if one[0] == "FETCH_LIMIT"]
    text = f"its restore tests fetched {told} allowed this month"
    assert found == (
        [] if told is None else [("FETCH_LIMIT", Level.NOTE, text, next_step(Trouble.FETCH_LIMIT, "p", None))]
    )
    assert "FETCH_LIMIT" not in {one[0] for one in cared(job, past, 24 * 7)}, "the month is over"


def test_who_acknowledged_that_a_limit_is_near_has_not_seen_it_reached(jobs: dict[str, Job], past: Chronicle) -> None:
    def known(limit: int) -> str:
        wrong = judge_upkeep(fetching(jobs["crm"], limit).loaded, past.histories, past.at(0))
        (found,) = (known_by(p) for p in wrong if p.trouble is Trouble.FETCH_LIMIT)
        return found

    past.stored(-24, "a")
    past.tested(-8, "a", bytes_restored=850)
    near = known(1000)
    past.tested(-0.5, "a", bytes_restored=100)
    assert known(1000) == near, "it stays the same while it is only near"
    assert known(950) != near


@pytest.mark.parametrize("what", [Chronicle.checked, Chronicle.pruned, lambda p, at: p.asked(at, *Verb)])
@pytest.mark.parametrize(("ahead", "late"), [(24 * 3650, True), (1, True), (-1, False)])
def test_care_that_is_dated_ahead_puts_no_other_off(
    jobs: dict[str, Job], what: Callable[[Chronicle, float], object], ahead: float, late: bool
) -> None:
    """The next check or prune is late from when the last one was, whose date has come; what is asked for, from the
    beginning."""
    past = about(jobs["crm"])
    past.pruned(-20 * 24)
    past.checked(-20 * 24)
    before = {code for code, *_ in cared(jobs["crm"], past)}
    assert before == {"PRUNE_LATE", "CHECK_LATE"}
    what(past, ahead)
    assert ({code for code, *_ in cared(jobs["crm"], past)} == before) is late


@pytest.mark.parametrize("named", ["one", "other"])
def test_what_a_prune_missed_is_told_by_its_asset_alone(jobs: dict[str, Job], past: Chronicle, named: str) -> None:
    """Which somebody may have acknowledged. What the asset does not tell of yet is the prune's finding."""
    past.wrote(-9, "ledger.compared", asset=None, result="AGREES", reason=None, snapshots=0, elsewhere=0,
               newest=0, problems=[], whole=True, vanished={"crm": [digest("one")]})  # fmt: skip
    said = f"crm: snapshot {digest(named)[:8]} of 2026-11-24T01:00:00Z vanished, and no prune removed it"
    past.pruned(-8, findings=[Finding(said, "crm: vanished", cause=digest(named)[:8]), "slow"])
    told = [text for _, _, text, _ in cared(jobs["crm"], past)]
    assert told == (["slow"] if named == "one" else [said, "slow"])
