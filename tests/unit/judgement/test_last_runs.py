"""What did not go well last: runs that failed, crashed or could not start, and what they found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.chronicle import Chronicle
from tests.support.judged import END, about, codes, judged, step, told, well
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.folded import opened
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import Seen
from ccdr.evidence.records import RecoverStart
from ccdr.model.trouble import Level, Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job


@pytest.mark.parametrize(
    ("then", "text", "todo"),
    [
        (
            lambda p: p.failed(-0.2), "the backup of 2026-11-24T11:48:00Z failed: disk full",
            "`ccdr doctor p` looks for the cause; then `ccdr backup p --asset crm`",
        ),
        (
            lambda p: p.failed(-0.2, hint="make room"), "the backup of 2026-11-24T11:48:00Z failed: disk full",
            "make room; then `ccdr backup p --asset crm`",
        ),
        (
            lambda p: p.failed(-0.2, hint="its log goes on from a new base: run `ccdr backup p`"),
            "the backup of 2026-11-24T11:48:00Z failed: disk full", "its log goes on from a new base: run `ccdr backup p`",
        ),
        (
            lambda p: p.failed(-0.2, "interrupted"),
            "the backup of 2026-11-24T11:48:00Z was interrupted, and stored nothing",
            "`ccdr backup p --asset crm` takes a new one",
        ),
        (
            lambda p: p.began(-0.2, "backup", "dead"),
            "the backup of 2026-11-24T11:48:00Z crashed: its run dead never recorded an end",
            "`ccdr doctor p` looks for the cause; then `ccdr backup p --asset crm`",
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
        (
            lambda p: p.tested(-0.2, "new", "INCONCLUSIVE"),
            "its last restore test, of 2026-11-24T11:48:00Z, is INCONCLUSIVE: so it was",
        ),
        (
            lambda p: p.began(-0.2, "restore_test", "dead"),
            "the restore test of 2026-11-24T11:48:00Z crashed: its run dead never recorded an end",
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


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (
            {"kind": "directory", "name": "/srv/back"},
            "remove /srv/.back.ccdr-restore-20261124T1148-r1 (or /srv/back/.ccdr-restore-20261124T1148-r1, on a mount), if",
        ),
        (
            {"kind": "server", "name": "postgresql://dba@db/crm"},
            "remove the database …_ccdr_restore_20261124t1148_r1 there, if",
        ),
        ({"kind": "unknown", "name": None}, "remove what it left"),
    ],
    ids=["directory", "server", "unknown"],
)
def test_the_next_step_names_what_a_crashed_restore_left(
    jobs: dict[str, Job], past: Chronicle, target: dict[str, str | None], left: str
) -> None:
    well(past).began(-0.2, "restore", "20261124T1148-r1", target=target)
    (found,) = (p for p in judged(jobs["crm"], past).troubles if p.trouble is Trouble.RESTORE_CRASHED)
    todo = found.step or step(Trouble.RESTORE_CRASHED, jobs["crm"])
    assert todo is not None and todo.startswith(left) and "ccdr restore p --asset crm --to …" in todo


def test_a_restore_for_real_that_crashed_is_noted_for_a_week(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).began(-0.2, "restore", "dead", target={"kind": "directory", "name": "/srv"})
    text = "the restore of 2026-11-24T11:48:00Z into /srv crashed: its run dead never recorded an end"
    assert [one[:3] for one in told(judged(jobs["crm"], past))] == [("RESTORE_CRASHED", Level.NOTE, text)]
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
            ("NOT_BEGUN", Level.NOTE, f"its {verb} could not start: no key", todo) for verb in verbs
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
        (text, about, None) for text, about in (("one of 2", "one of 2"), ("two", "two"), ("3", "3"))
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


@pytest.mark.parametrize(("name", "resumed"), [("/srv/back", True), ("/srv/elsewhere", False)])
def test_one_that_is_part_of_an_unfinished_recovery_goes_on_with_that(
    jobs: dict[str, Job], past: Chronicle, name: str, resumed: bool
) -> None:
    """Its twin is one that somebody began by hand, elsewhere."""
    well(past).began(-0.2, "restore", "20261124T1148-r1", target={"kind": "directory", "name": name})
    there = [{"asset": "crm", "target": {"kind": "directory", "name": "/srv/back"}}]
    job, at = jobs["crm"], past.at(-0.3).isoformat()
    begun = sparse_record(
        {"kind": "recover.start", "seq": 98, "plan": job.plan, "run": "x", "time": at, "assets": there}
    )
    assert isinstance(begun, RecoverStart)
    own = past.histories[job.plan, job.asset]
    found = judge(job, own, AssetHistory(open_runs={"x": opened(begun)}), Seen(past.there), past.at(0)).troubles
    (told,) = (p for p in found if p.trouble is Trouble.RESTORE_CRASHED)
    assert str(told.step).startswith("ccdr recover --resume p" if resumed else f"remove {name[:5]}")
