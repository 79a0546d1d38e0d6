"""By what each trouble of an asset is known again, so that what somebody took note of stays so, and nothing else does:
what it is about, what it comes from, whose work it is, since when, in which run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.chronicle import DISPOSED, HOUR, PASSED, Chronicle, digest
from tests.support.control_histories import compared
from tests.support.harness import Site
from tests.support.judged import END, about, judged, well

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.judgement.asset import kinds_of
from ccdr.evidence.judgement.asset_status import Missing, vanished_problem
from ccdr.evidence.log_standing import LogStanding
from ccdr.model.damage import OF_FILES
from ccdr.model.measure import Point
from ccdr.model.next_steps import mend_first
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import Verb, rfc3339
from ccdr.plans.job import Job


@pytest.fixture
def past(jobs: dict[str, Job]) -> Chronicle:
    return well(about(jobs["crm"]))


def found(job: Job, past: Chronicle, at: float = 0, **seen: Any) -> dict[str, Problem]:
    status = judged(job, past, at, **seen)
    return {p.trouble.name: p for p in status.troubles}


def mark(one: Problem) -> tuple[str, Verb | None, str, str]:
    return one.about, one.verb, one.why, one.cause


DIFFERS = PASSED | {"status": "FAIL", "name": "identical", "actual": "2 differ"}
VARIES = PASSED | {"status": "FAIL", "name": "age", "actual": "7 hours", "varies": True}
Then = Callable[[Chronicle], object]

# What is told of, by code; None: the run of the newest record. The last is hours before the end, since when.
KNOWN: dict[str, tuple[Then, str, tuple[str, Verb | None, str, str], str | None, float | None]] = {
    "a backup failed": (
        lambda p: p.failed(-0.2, "disk 7 full"), "BACKUP_FAILED",
        ("", Verb.BACKUP, "disk 7 full", steady("disk 7 full")), None, None,
    ),
    "a test failed by its checks": (
        lambda p: p.tested(-0.2, "new", "FAIL", checks=[VARIES, DIFFERS]), "TEST_FAILED",
        ("", Verb.TEST, "age; identical", "age: \nidentical: 2 differ"), None, -0.2,
    ),
    "a test failed before any check": (
        lambda p: p.tested(-0.2, "new", "FAIL", reason="port 7 is closed"), "TEST_FAILED",
        ("", Verb.TEST, "port 7 is closed", steady("port 7 is closed")), None, -0.2,
    ),
    "a test came to nothing": (
        lambda p: p.tested(-0.2, "new", "INCONCLUSIVE", reason="no Docker"), "TEST_INCONCLUSIVE",
        ("", Verb.TEST, "no Docker", steady("no Docker")), None, -0.2,
    ),
    "a test crashed": (
        lambda p: p.began(-0.2, "restore_test", "dead", restore_tests={}), "TEST_INCONCLUSIVE",
        ("crash", Verb.TEST, "it crashed", ""), "", -0.2,
    ),
    "a restore crashed": (
        lambda p: p.began(-0.2, "restore", "dead", target={"kind": "directory", "name": "/srv/back"}), "RESTORE_CRASHED",
        ("", None, "", ""), "", -0.2,
    ),
    "a negative control came to nothing": (
        lambda p: p.wrote(-0.2, "negative_control.end", result="INCONCLUSIVE", reason="no Docker", phases={}, **DISPOSED),
        "CONTROL_INCONCLUSIVE", ("", Verb.CONTROL, "no Docker", steady("no Docker")), None, -0.2,
    ),
    "a negative control crashed": (
        lambda p: p.began(-0.2, "negative_control", "dead", restore_tests={}), "CONTROL_INCONCLUSIVE",
        ("crash", Verb.CONTROL, "it crashed", ""), "", -0.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", KNOWN)
def test_a_trouble_is_known_again(jobs: dict[str, Job], controlled: Job, past: Chronicle, what: str) -> None:
    then, code, known, run, since = KNOWN[what]
    job = controlled if code.startswith("CONTROL") else jobs["crm"]
    assert found(job, past) == {}, "the twin"
    then(past)
    one = found(job, past)[code]
    assert mark(one) == known and one.run == (past.records[-1]["run"] if run is None else run or None)
    assert one.since == (None if since is None else past.at(since))


def test_a_restore_that_crashed_says_where_it_went_and_what_to_remove(jobs: dict[str, Job], past: Chronicle) -> None:
    past.began(-0.2, "restore", "dead", target={"kind": "directory", "name": "/srv/back"})
    one = found(jobs["crm"], past)["RESTORE_CRASHED"]
    assert "into /srv/back" in one.text and "/srv/.back." in str(one.step) and "dead" in str(one.step)
    past.began(-0.1, "restore", "other")
    one = found(jobs["crm"], past)["RESTORE_CRASHED"]
    assert "into" not in one.text and one.since == past.at(-0.1)


def test_what_follows_a_newer_failure_keeps_its_own_name(jobs: dict[str, Job], past: Chronicle) -> None:
    """A failure stands by its own record though the newest test, of an older snapshot, failed as well."""
    past.tested(-0.3, "new", "FAIL", reason="first")
    past.tested(-0.2, "old", "FAIL", reason="then", selected="oldest")
    both = [p for p in judged(jobs["crm"], past).troubles if p.trouble is Trouble.TEST_FAILED]
    assert {(p.about, p.why, p.since) for p in both} == {
        ("newest test", "then", past.at(-0.2)), ("", "first", past.at(-0.3)),
    }  # fmt: skip


def test_a_breach_of_the_rpo_lasts_from_the_newest_point_on(jobs: dict[str, Job], past: Chronicle) -> None:
    assert "BREACH_RPO" not in found(jobs["crm"], past, 0.5)
    one = found(jobs["crm"], past, 2)["BREACH_RPO"]
    assert (one.since, one.verb, one.as_bad_as, one.cause) == (past.at(0.5), Verb.BACKUP, Level.LATE, "")
    assert one.values == (2.5 * 3600,) and one.lasting == past.at(-0.5).timestamp()


def test_where_nothing_counts_any_more_the_breach_is_of_all_of_it(jobs: dict[str, Job], past: Chronicle) -> None:
    compared(past, -0.2)
    past.records[-1]["vanished"] = {"crm": [digest("old"), digest("new")]}
    one = found(jobs["crm"], past)["BREACH_RPO"]
    assert (one.since, one.as_bad_as, one.cause, one.values, one.lasting) == (None, Level.LOST, "none", (), None)


def test_a_breach_of_the_rto_is_known_by_how_long_it_took(jobs: dict[str, Job], past: Chronicle) -> None:
    past.tested(-0.2, "new", took=1800)
    assert "BREACH_RTO" not in found(jobs["crm"], past)
    past.tested(-0.1, "new", took=5400)
    past.records[-1]["rto"]["verdict"] = "BREACHED"
    one = found(jobs["crm"], past)["BREACH_RTO"]
    assert (one.verb, one.values) == (Verb.TEST, (5400.0,)) and one.why == "1h 30m of 30m 00s"


def test_what_vanished_is_counted_and_known_by_all_of_it(jobs: dict[str, Job]) -> None:
    past = about(jobs["crm"])
    snapshots = [past.snapshot(-9 + n, f"s{n}") for n in range(5)]

    def told(of: int, besides: list[str], made_up: Missing = Missing.NOTHING) -> Problem:
        (one,) = vanished_problem(jobs["crm"], snapshots[:of], besides, made_up)
        return one

    assert list(vanished_problem(jobs["crm"], [], [], Missing.NOTHING)) == []
    one = told(1, [])
    assert one.cause == snapshots[0].short and one.text.startswith("1 snapshot is gone") and "remove it" in one.text
    assert rfc3339(snapshots[0].consistent_point) in one.text and "more" not in one.text
    two = told(2, [])
    assert two.text.startswith("2 snapshots are gone") and "remove them" in two.text
    beside = sorted([digest("x"), digest("y")])
    many = told(5, beside[::-1])
    assert many.cause == " ".join(sorted([*(s.short for s in snapshots), *(one[:8] for one in beside)]))
    named = [s for s in snapshots if s.short in many.text]
    left = 7 - len(named) - sum(one[:8] in many.text for one in beside)
    assert (
        named and named[-1] is snapshots[-1] and (f"and {left} more" in many.text if left else "more" not in many.text)
    )
    assert (many.as_bad_as, told(1, [], Missing.SHOWN).as_bad_as) == (None, Level.NOTE)


def test_a_group_that_was_not_whole_is_known_by_who_is_missing(jobs: dict[str, Job], past: Chronicle) -> None:
    past.wrote(-0.4, "group", asset=None, group="centre", result="INCOMPLETE", complete=False, missing=["idle"],
               skew_s=None, members={})  # fmt: skip
    one = found(jobs["crm"], past)["GROUP_INCOMPLETE"]
    assert mark(one) == ("", Verb.BACKUP, "there is no snapshot of idle", "idle") and one.since == past.at(-0.4)


def test_a_snapshot_that_looks_ruined_is_known_by_its_run(jobs: dict[str, Job], past: Chronicle) -> None:
    past.stored(-0.2, "ruined", suspect=["shrunk"])
    one = found(jobs["crm"], past)["SNAPSHOT_SUSPECT"]
    assert (one.about, one.verb, one.run, one.since) == ("b-ruined", Verb.BACKUP, "b-ruined", past.at(-0.2))
    assert one.why and digest("ruined")[:8] in one.text


def test_another_host_s_tests_are_not_known_here_as_tests(jobs: dict[str, Job], past: Chronicle) -> None:
    past.asked(-3 * 24, "backup", "prune", "check")
    one = found(jobs["crm"], past, 24 * 9)["NOT_KNOWN_HERE"]
    assert (one.about, one.verb) == (Verb.TEST, Verb.TEST)


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Job:
    site = Site(tmp_path_factory.mktemp("c"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    site.plan(
        'crm: {engine: files, paths: [/spool], restore_test: {schedule: "0 3 * * *", checks: [t]}}',
        extra='negative_control: {schedule: "0 4 * * *"}\n',
    )
    return Job(site.loaded(), "crm")


def test_what_can_be_done_to_a_copy_is_its_engine_s_too(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    connection = "{host: /nowhere, user: postgres, database: postgres}"
    site.plan(f"files: {{engine: files, paths: [/spool]}}\ndb: {{engine: postgres, connection: {connection}}}\n")
    files, db = (kinds_of(Job(site.loaded(), name)) for name in ("files", "db"))
    assert files == {kind.value for kind in OF_FILES} < db and "row_changed" in db


def test_a_backup_that_failed_before_the_newest_was_stored_is_made_up_for_whatever_a_clock_said(
    jobs: dict[str, Job],
) -> None:
    past = about(jobs["crm"])
    past.failed(3, "by a clock that is ahead")
    well(past)
    assert "BACKUP_FAILED" not in found(jobs["crm"], past)
    past.failed(-3, "by a clock that is behind")
    assert found(jobs["crm"], past)["BACKUP_FAILED"].why == "by a clock that is behind"


def test_damage_that_an_older_snapshot_s_test_met_does_not_send_to_the_repository_first(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    past.tested(-0.2, "old", "FAIL", selected="oldest", damaged=True)
    older = found(jobs["crm"], past)["TEST_FAILED"].step
    past.tested(-0.1, "new", "FAIL", damaged=True)
    newest = found(jobs["crm"], past)["TEST_FAILED"].step
    assert older == next_step(Trouble.REPOSITORY_DAMAGED, "p", "crm") and newest == mend_first("p", "crm") != older


@pytest.mark.parametrize(
    ("standing", "since", "why"),
    [
        (LogStanding(point=END - 3 * HOUR, usable=END, position="0/3"), -3, "nothing ships it"),
        (LogStanding(point=END - 3 * HOUR, usable=END, position="0/3", running=True), -3, "is gone"),
        (LogStanding(point=END - 3 * HOUR, usable=END, position="0/3", claimed=END), -3, "nothing ships it"),
        (LogStanding(claimed=END), None, "nothing ships it"),
        (LogStanding(point=END, usable=END, trouble="no answer", troubled=END - HOUR), -1, "no answer"),
    ],
)
def test_a_late_log_is_known_by_what_keeps_it(
    jobs: dict[str, Job], standing: LogStanding, since: float | None, why: str
) -> None:
    past = well(about(jobs["log"]))
    one = found(jobs["log"], past, standing=standing, ships=True, logged=lambda *_: [Point(END, END)])["LOG_LATE"]
    assert (one.verb, one.since) == (Verb.BACKUP, None if since is None else past.at(since)) and why in one.why
    assert since is not None or "not stored" in one.text
    assert since is None or why == "no answer" or rfc3339(past.at(since))[:16] in one.text


def test_a_log_that_begins_anew_is_late_from_its_new_base_on_and_no_other(jobs: dict[str, Job]) -> None:
    """Of a base from before, none of the new log leads on."""
    past = well(about(jobs["log"]))
    new, old = LogStanding(anew=past.at(-0.6)), LogStanding(anew=past.at(-0.4))

    def told(standing: LogStanding, at: float) -> dict[str, Problem]:
        there = found(jobs["log"], past, at, standing=standing, ships=True, logged=lambda *_: [])
        return {code: one for code, one in there.items() if code.startswith("LOG_")}

    assert told(new, -0.45) == {}, "nothing need be stored yet"
    assert told(new, 0.2)["LOG_LATE"].since == past.at(-0.5)
    assert told(old, -0.45).keys() == {"LOG_GAP"} and told(old, 0.2).keys() == {"LOG_GAP"}


def test_one_snapshot_that_looks_ruined_is_told_alone_and_more_with_their_number(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    past.stored(-0.3, "first", suspect=["shrunk"])
    assert "no more does" not in found(jobs["crm"], past)["SNAPSHOT_SUSPECT"].text
    past.stored(-0.2, "second", suspect=["shrunk"])
    past.stored(-0.1, "third", suspect=["shrunk"])
    assert "2 snapshots" in found(jobs["crm"], past)["SNAPSHOT_SUSPECT"].text


def test_log_that_was_shipped_before_it_began_anew_makes_no_new_beginning(jobs: dict[str, Job]) -> None:
    past = well(about(jobs["log"]))
    standing = LogStanding(anew=past.at(-0.6), point=past.at(-0.55), usable=past.at(-0.55), position="0/3")
    one = found(jobs["log"], past, 0.2, standing=standing, ships=True, logged=lambda *_: [Point(END, END)])["LOG_LATE"]
    assert one.since == past.at(-0.55), "up to which nothing is missing, and not from the new base"


def test_an_old_snapshot_s_backup_is_no_mend_of_what_failed_since(jobs: dict[str, Job]) -> None:
    """Where another host took them, and this one has seen none stored: by the newest one's time."""
    past = about(jobs["crm"])
    past.snapshot(-9, "a")
    past.snapshot(-1, "b")
    past.failed(-5, "between them")
    assert "BACKUP_FAILED" not in found(jobs["crm"], past)
    past.failed(-0.5, "since")
    assert found(jobs["crm"], past)["BACKUP_FAILED"].why == "since"
