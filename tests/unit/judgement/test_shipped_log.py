"""A log that is shipped: whether it has failed, is late, or does not lead on from the newest backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle
from tests.support.judged import END, NOON, Told, about, codes, judged, step, told, well

from ccdr.evidence.log_standing import LogStanding
from ccdr.model.finding import Finding
from ccdr.model.measure import Point
from ccdr.model.next_steps import ship_again
from ccdr.model.trouble import Level, Trouble
from ccdr.model.values import Snapshot, to_the_second
from ccdr.plans.job import Job


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


def test_log_that_nobody_ships_or_that_does_not_come_is_late(jobs: dict[str, Job], wording: SnapshotAssertion) -> None:
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
        text = f"its log is stored only up to {since}: nothing ships it: run `ccdr ship p`"
        assert shipping(past, job, one) == ([("LOG_LATE", Level.NOTE, text, todo)] if late else [])
    text = f"its log is stored only up to {since}: the process that ships it makes no progress"
    assert shipping(past, job, one, shipping=True) == [("LOG_LATE", Level.NOTE, text, todo)]
    away = replace(good, trouble="the source is away", troubled=past.at(-0.1))
    assert shipping(past, job, away) == [("LOG_LATE", Level.NOTE, wording, ship_again("p", "log"))]
    assert shipping(past, job, replace(good, trouble="stopped")) == [], "somebody has told it to stop"
    ahead = replace(good, point=past.at(0.1))
    (early,) = shipping(past, job, ahead)
    assert early[2] == wording
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
    meanwhile = "until then it can be restored only to its backups, not to points between them"
    text = f"the log cannot continue from its newest backup; {meanwhile}"
    todo = step(Trouble.LOG_GAP, job)
    assert shipping(past, job, standing, leads=False) == [("LOG_GAP", Level.NOTE, text, todo)]
    text = f"log is missing since noon; {meanwhile}"
    torn = replace(standing, gap="log is missing since noon", findings=(Finding("3 slots are lost", "slots"),))
    assert shipping(past, job, torn, leads=False) == [
        ("LOG_GAP", Level.NOTE, text, todo),
        ("FINDING", Level.NOTE, "3 slots are lost", None),
    ]
