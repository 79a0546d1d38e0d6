"""What fails, or is too old, is not hidden by something newer that is well: by a part that came back alone, by an asset
that was taken out of its plan, by a plan that nobody has looked at as it is now, by a clock that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.chronicle import NOUGHT, Chronicle, digest
from tests.support.control_histories import (
    BOX,
    DAY,
    YEAR,
    approved,
    boxed,
    compared,
    controlled,
    erased,
    examined,
    fetched,
    recovered,
    replayed,
    verified,
    version,
    well,
)
from tests.support.controls import known_of, measure_of, part_of
from tests.support.harness import Site
from tests.support.judged import about

from ccdr.evidence.controls.values import ControlState
from ccdr.evidence.judgement.upkeep import unapproved
from ccdr.evidence.whose import HOLDS, REFUSED, UNREADABLE, seen
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job

SHOWN, CONTRADICTED = ControlState.SHOWN, ControlState.CONTRADICTED
EXPIRED, NOTHING = ControlState.EXPIRED, ControlState.NOTHING


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Of a plan with two assets."""
    site = Site(tmp_path_factory.mktemp("two"), bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}\nqueues: {engine: files, paths: [/queues]}")
    return Job(site.loaded(), "crm")


def planned(job: Job) -> Chronicle:
    """That both are in the plan is recorded."""
    past = about(job)
    version(past, -99)
    past.records[-1]["facts"]["assets"] = {name: {"checks": []} for name in ("crm", "queues")}
    return past


def came_back(past: Chronicle, hours: float, *assets: str, lost: tuple[str, ...] = (), **more: Any) -> None:
    """A recovery of these; it ended badly where something was `lost`."""
    recovered(past, hours, "paused_by_failed_step" if lost else "done", **more)
    (of,) = past.records[-1]["assets"]
    each = [(name, "done") for name in assets] + [(name, "failed") for name in lost]
    past.records[-1]["assets"] = [of | {"asset": name, "state": state} for name, state in each]


def state_of(job: Job, past: Chronicle, part: str = "backup-and-recovery/recoveries", at: float = 0.1) -> ControlState:
    return part_of(known_of(job, past, at), part).state


def test_a_recovery_of_some_assets_is_none_of_the_plan(two: Job) -> None:
    past = planned(two)
    came_back(past, -9, "queues")
    assert state_of(two, past) is NOTHING
    came_back(past, -8, "crm", "queues")
    assert state_of(two, past) is SHOWN, "the twin"
    came_back(past, -7, "queues")
    found = part_of(known_of(two, past), "backup-and-recovery/recoveries")
    assert found.state is SHOWN and [r.seq for r in found.observed[0].records] == [3], "it was whole before"
    assert state_of(two, past, at=YEAR) is EXPIRED


def test_an_asset_that_did_not_come_back_is_failing_until_it_does(two: Job) -> None:
    past = planned(two)
    came_back(past, -10, "crm", "queues")
    came_back(past, -9, "crm", lost=("queues",))
    came_back(past, -8, "crm")
    found = part_of(known_of(two, past), "backup-and-recovery/recoveries")
    assert found.state is CONTRADICTED and "queues did not come back" in found.observed[0].text
    assert [r.seq for r in found.observed[0].records] == [3]
    came_back(past, -7, "queues")
    assert state_of(two, past) is SHOWN, "each came back since, and all of them together before"


def test_a_breach_of_the_whole_is_not_over_by_a_quick_part(two: Job) -> None:
    past = planned(two)
    came_back(past, -9, "crm", "queues", verdict="BREACHED")
    came_back(past, -8, "queues")
    assert state_of(two, past) is CONTRADICTED
    came_back(past, -7, "crm", "queues")
    assert state_of(two, past) is SHOWN


TAKEN_OUT: dict[str, Callable[[Chronicle], object]] = {
    "backup-and-recovery/restore-tests": lambda p: p.tested(-4, "old", "FAIL"),
    "threats/leaps": lambda p: p.stored(-4, "z", suspect=["incompressible"]),
    "security-testing/negative-controls": lambda p: controlled(p, -4, "PASSED"),
}


@pytest.mark.parametrize("part", TAKEN_OUT)
def test_a_failure_does_not_go_with_the_asset_that_is_taken_out_of_the_plan(job: Job, part: str) -> None:
    past = about(job)
    well(past)
    past.asset = "gone"
    past.stored(-5, "old")
    TAKEN_OUT[part](past)
    past.asset = job.asset

    def of_gone(at: float) -> list[ControlState]:
        return [one.state for one in part_of(known_of(job, past, at), part).observed if one.asset == "gone"]

    assert of_gone(0.1) == of_gone(80 * DAY) == [CONTRADICTED] and of_gone(91 * DAY) == []
    (seen,) = [one for one in part_of(known_of(job, past), part).observed if one.asset == "gone"]
    assert "no plan names it any more" in seen.text and seen.records


def test_what_was_well_when_it_was_taken_out_is_not_told_of(job: Job) -> None:
    past = about(job)
    past.asset = "gone"
    well(past)
    controlled(past, -4, "CAUGHT")
    known = known_of(job, past)
    assert not any(one.asset == "gone" for part in TAKEN_OUT for one in part_of(known, part).observed)


def test_somebody_else_may_answer_for_taking_it_out(to_be_approved: Job) -> None:
    past, part = about(to_be_approved), "backup-and-recovery/restore-tests"
    past.asset = "gone"
    past.stored(-5, "old")
    past.tested(-4, "old", "FAIL")
    past.asset = to_be_approved.asset
    version(past, -2)
    assert CONTRADICTED in {one.state for one in part_of(known_of(to_be_approved, past), part).observed}
    approved(past, -1)
    assert not [one for one in part_of(known_of(to_be_approved, past), part).observed if one.asset == "gone"]


def test_a_plan_without_a_file_leaves_its_failures_behind(job: Job) -> None:
    """Once that is recorded: a plan that is another host's, or that nobody asked for, is none of it."""
    past, part = about(job), "backup-and-recovery/restore-tests"
    past.plan = "q"
    past.stored(-5, "old")
    past.tested(-4, "old", "FAIL")

    def told() -> list[str]:
        return [str(one.plan) for one in part_of(known_of(job, past), part).observed if one.state is CONTRADICTED]

    assert told() == []
    version(past, -3)
    assert told() == []
    past.wrote(
        -2, "plan.version", asset=None, digest=NOUGHT, predecessor=None, files={}, facts=past.records[-1]["facts"]
    )
    assert told() == ["q"]


LOOKED_AT = ("encryption/repositories", "encryption/sources", "physical-security/sites", "workplace-hygiene/secrets")


@pytest.mark.parametrize("part", LOOKED_AT)
def test_what_was_seen_of_an_older_version_shows_nothing_of_this_one(job: Job, part: str) -> None:
    past = about(job)
    version(past, -9)
    examined(past)
    assert state_of(job, past, part) is SHOWN, "the twin"
    version(past, -2)
    assert state_of(job, past, part) is NOTHING


def test_what_is_dated_in_the_future_shows_nothing_of_now(job: Job) -> None:
    """As where a clock is set back: nothing would ever get old."""
    past = about(job)
    well(past)
    verified(past, -3)
    compared(past, -3)
    parts = {"monitoring-and-audit": ("ledger", "comparisons"), "backup-and-recovery": ("backups", "restore-tests")}

    def states(hours: float) -> dict[str, ControlState]:
        known = known_of(job, past, hours)
        found = {one.part.id: one.state for m in parts for one in measure_of(known, m).parts}
        return {name: found[name] for names in parts.values() for name in names}

    assert set(states(0.1).values()) == {SHOWN}, "the twin"
    back = states(-30 * DAY)
    assert back["ledger"] is back["comparisons"] is CONTRADICTED and SHOWN not in back.values(), back


@pytest.mark.parametrize(
    ("state", "says"), [(HOLDS, None), (REFUSED, "nobody whom it names"), (UNREADABLE, "no such file")]
)
def test_an_approval_holds_as_long_as_who_signed_it_may_approve(
    to_be_approved: Job, state: str, says: str | None
) -> None:
    past = about(to_be_approved)
    version(past, -5)
    approved(past, -4)
    histories = past.histories
    of = histories["p", None]
    assert of.approval is not None
    record = seen(of.approval, state, says or "")
    if state == REFUSED:
        of.approval = None
        of.refused.append(record)
    else:
        of.approval = record
    known = known_of(to_be_approved, past, histories=histories)
    why = unapproved(to_be_approved.loaded, known.history("p"), known.now)
    assert (why is None) == (says is None) and (says or "") in (why or "")
    expected = SHOWN if says is None else CONTRADICTED
    for part in ("policies-and-training/approval", "access-control/four-eyes", "access-control/second-factor"):
        assert part_of(known, part).state is expected, part
    approved(past, -1)
    assert unapproved(to_be_approved.loaded, known_of(to_be_approved, past).history("p"), known.now) is None, rfc3339


def test_a_replay_that_failed_is_not_hidden_by_one_of_an_older_snapshot(job: Job) -> None:
    """As `ccdr erasure prove --snapshot oldest` would, or one of something that stands somewhere."""
    part = "legal-compliance/erasures"

    def past_of(**failed: Any) -> Chronicle:
        past = about(job)
        past.stored(-9, "old")
        erased(past, -8)
        past.stored(-6, "new")
        replayed(past, -5, "FAILED", found=[], **{"snapshot": digest("new"), "point": rfc3339(past.at(-6)), **failed})
        return past

    for failed in ({}, {"point": None}):
        past = past_of(**failed)
        replayed(past, -4, snapshot=digest("old"), point=rfc3339(past.at(-9)))
        (seen,) = part_of(known_of(job, past), part).observed
        assert seen.state is CONTRADICTED and [r.seq for r in seen.records] == [2, 4], seen
        replayed(past, -3.5, "FAILED", found=[], snapshot=digest("old"), point=rfc3339(past.at(-9)))
        if not failed:
            replayed(past, -3.2, snapshot=digest("old"), point=rfc3339(past.at(-9)))
        replayed(past, -3, snapshot=digest("new"), point=None, purpose="by_hand")
        assert state_of(job, past, part) is CONTRADICTED, "of what stands somewhere nothing tells the time"
        replayed(past, -2, snapshot=digest("new"), point=rfc3339(past.at(-6)))
        assert state_of(job, past, part) is SHOWN, "the same passed since"
    past = past_of(purpose="by_hand", point=None)
    replayed(past, -3, purpose="by_hand", snapshot=digest("old"), point=None)
    assert state_of(job, past, part) is SHOWN, "it was looked at again by hand"


def test_each_damage_that_was_missed_stands_until_that_one_is_caught(job: Job) -> None:
    """Two of one kind: another file by another seed, the newer of which is caught."""
    past, part = about(job), "security-testing/negative-controls"

    def damaged(hours: float, result: str, seed: int) -> None:
        controlled(past, hours, result)
        past.records[-1]["damage"]["seed"] = seed

    damaged(-9, "PASSED", 7)
    damaged(-8, "PASSED", 8)
    (seen,) = part_of(known_of(job, past), part).observed
    assert seen.state is CONTRADICTED and [r.seq for r in seen.records] == [1, 2], seen
    damaged(-7, "CAUGHT", 8)
    (seen,) = part_of(known_of(job, past), part).observed
    assert seen.state is CONTRADICTED and [r.seq for r in seen.records] == [1], seen
    assert past.histories["p", "crm"].not_caught["file_truncated"].damage.seed == 7, "it is done again next"
    damaged(-6, "CAUGHT", 7)
    assert state_of(job, past, part) is SHOWN
    damaged(-5, "PASSED", 7)
    damaged(-4, "PASSED", 8)
    damaged(-3, "CAUGHT", 7)
    assert past.histories["p", "crm"].not_caught["file_truncated"].damage.seed == 8, "it is done again next"


def test_a_control_of_what_its_engine_does_not_have_shows_nothing(job: Job) -> None:
    """The asset was of another engine then."""
    past, part = about(job), "security-testing/negative-controls"
    controlled(past, -9, "CAUGHT")
    assert state_of(job, past, part) is SHOWN, "the twin"
    past.records[-1]["damage"] = {"kind": "row_changed", "table": "t", "seed": 7}
    assert state_of(job, past, part) is NOTHING


def test_a_second_factor_of_an_older_version_is_none_of_this_one(job: Job) -> None:
    """Its `approval:` was taken out, by an approval, and the plan was changed since."""
    past, part = about(job), "access-control/second-factor"
    version(past, -9)
    approved(past, -8)
    past.records[-1]["about"]["asks"] = False
    assert state_of(job, past, part) is SHOWN, "the twin"
    version(past, -7)
    past.records[-1]["digest"] = "1" * 64
    assert state_of(job, past, part) is NOTHING


def test_what_a_later_test_without_a_verdict_left_behind_is_not_hidden(job: Job) -> None:
    past, part = about(job), "encryption/sandbox-storage"
    fetched(past, {"kept": "memory", "filesystem": "tmpfs", "device": "0:30"})
    past.tested(-0.15, "old", "INCONCLUSIVE")
    assert state_of(job, past, part) is SHOWN, "the twin"
    past.tested(-0.1, "old", "INCONCLUSIVE", disposal={"left_behind": ["a volume"]})
    (seen,) = part_of(known_of(job, past), part).observed
    assert seen.state is CONTRADICTED and [r.seq for r in seen.records] == [4], seen


def test_a_sandbox_that_was_not_shut_off_is_not_hidden_by_an_older_test(job: Job) -> None:
    """Such a test ends without a verdict."""
    past, part = about(job), "security-testing/isolation"
    boxed(past)
    past.tested(-0.15, "old", "INCONCLUSIVE", sandbox={})
    assert state_of(job, past, part) is SHOWN, "the twin"
    open_ = BOX | {"network": "bridge", "differs": [{"fact": "network", "asked": "none", "observed": "bridge"}]}
    past.tested(-0.1, "old", "INCONCLUSIVE", sandbox=open_)
    (seen,) = part_of(known_of(job, past), part).observed
    assert seen.state is CONTRADICTED and [r.seq for r in seen.records] == [4], seen
    past.tested(-0.05, "old", sandbox=BOX)
    assert state_of(job, past, part) is SHOWN
