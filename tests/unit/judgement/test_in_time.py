"""In time? The exposure, how long a recovery takes, and backups that are overdue, against what the plan asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle, digest
from tests.support.judged import RTO, about, codes, judged, step, told, well

from ccdr.model.trouble import Level, Trouble
from ccdr.plans.job import Job


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
    assert any("which has a date in the future" in p.text for p in found.wrong) is future


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


def test_settings_are_those_that_the_plan_asks_for(jobs: dict[str, Job], wording: SnapshotAssertion) -> None:
    past = well(about(jobs["log"]))
    assert judged(jobs["log"], past).rto.achieved_s == 60
    past.tested(-0.1, "new", basis="throwaway")
    (unmeasured,) = judged(jobs["log"], past).breaches
    assert unmeasured.text == wording


def test_a_backup_that_came_due_twice_is_overdue(jobs: dict[str, Job]) -> None:
    """At a quarter past each hour; one that failed was tried."""
    job, past = jobs["hourly"], about(jobs["hourly"])
    past.stored(-1.7, "s")
    past.tested(-1.6, "s")
    assert codes(judged(job, past, -0.8)) == [], "it came due once"
    text = "its backup is overdue: the last one was at 2026-11-24T10:18:00Z"
    late = ("BACKUP_LATE", Level.NOTE, text, step(Trouble.BACKUP_LATE, job))
    assert told(judged(job, past, 0.3))[:1] == [late]
    assert "BACKUP_LATE" not in codes(judged(job, past, 0.3, backing_up=True)), "it is being taken"
    past.failed(-0.5)
    assert "BACKUP_LATE" not in codes(judged(job, past, 0.3)) and "BACKUP_LATE" in codes(judged(job, past, 1.5))
    past.asked(1, "test")
    assert "BACKUP_LATE" not in codes(judged(job, past, 1.5)), "another host's"


@pytest.mark.parametrize(("settle", "told"), [(3601.0, True), (3600.0, False), (60.0, False)])
def test_a_settle_time_that_its_rpo_cannot_bear_is_told(
    jobs: dict[str, Job], past: Chronicle, settle: float, told: bool
) -> None:
    job = jobs["crm"]
    plan = job.loaded.plan
    assets = {**plan.assets, "crm": plan.assets["crm"].model_copy(update={"settle": settle})}
    changed = replace(job, loaded=replace(job.loaded, plan=plan.model_copy(update={"assets": assets})))
    found = [p.text for p in judged(changed, well(past)).troubles]
    assert any("so it cannot meet its RPO of 1h" in text for text in found) is told
