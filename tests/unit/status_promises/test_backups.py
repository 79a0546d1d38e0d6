"""What `status` says of backups: each sentence with since when, what to do and whose work it is, and when it is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.asked import IDS, NOON, Centre, ago

from ccdr.model.trouble import Trouble


def test_that_there_never_was_a_backup_is_said_only_where_there_was_none(centre: Centre) -> None:
    never = (Trouble.NEVER_SUCCEEDED, "no backup has succeeded yet")
    assert never in centre.says()
    centre.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    assert never not in centre.says(), "it is gone from the catalogue, but there was one"
    assert never in centre.says("queue")
    centre.snapshot(2, ago(minutes=5), "queue")
    assert never not in centre.says("queue"), "another host has taken it"


def test_a_host_that_only_tests_says_that_there_is_none_once_it_has_looked(
    centre: Centre, wording: SnapshotAssertion
) -> None:
    centre.asked("test")
    assert Trouble.NEVER_SUCCEEDED not in {trouble for trouble, _ in centre.says()}
    centre.wrote("restore_test.end", verdict="INCONCLUSIVE", reason="no snapshot", snapshot=None, findings=[])
    never, broke, untested = centre.told()
    assert never.trouble is Trouble.NEVER_SUCCEEDED and untested.trouble is Trouble.NEVER_TESTED
    assert str(never.step) == wording, never
    assert {never.because, broke.because, untested.because} == {None, Trouble.NEVER_SUCCEEDED}
    assert broke.trouble is Trouble.TEST_INCONCLUSIVE and broke.step == never.step, "there is nothing to test"
    assert centre.whose("backup") == {Trouble.NEVER_SUCCEEDED}


def test_what_failed_is_told_with_the_step_that_it_gave_itself_wherever_that_is_to_be_done(centre: Centre) -> None:
    centre.well()
    centre.wrote("backup.end", result="FAILED", reason="disk full", hint="make room")
    (failed,) = centre.told()
    again = "make room; then `ccdr backup p --asset calls`"
    assert (failed.trouble, failed.step) == (Trouble.BACKUP_FAILED, again)
    assert centre.whose("backup") == {Trouble.BACKUP_FAILED}
    centre.asked("test")
    (failed,) = centre.told()
    assert failed.step == f"on the host that backs it up: {again}"


def test_what_another_host_has_stored_mends_what_failed_here_before_that(centre: Centre) -> None:
    centre.clock.at = ago(minutes=30)
    centre.wrote("backup.end", result="FAILED", reason="disk full")
    centre.clock.at = NOON
    centre.snapshot(1, ago(minutes=31))
    assert Trouble.BACKUP_FAILED in {c.trouble for c in centre.told()} and centre.of().failed
    centre.snapshot(2, ago(minutes=29))
    assert Trouble.BACKUP_FAILED not in {c.trouble for c in centre.told()} and not centre.of().failed


def test_what_failed_after_a_backup_is_told_though_the_clock_was_set_back_between_them(centre: Centre) -> None:
    centre.stored(1, ago(minutes=5))
    centre.clock.at = ago(hours=1)
    centre.wrote("backup.end", result="FAILED", reason="disk full")
    centre.clock.at = NOON
    assert Trouble.BACKUP_FAILED in {c.trouble for c in centre.told()}
    centre.stored(2, ago(minutes=4))
    assert Trouble.BACKUP_FAILED not in {c.trouble for c in centre.told()}


def test_a_backup_is_late_where_it_has_a_schedule_and_is_this_hosts_to_take(
    centre: Centre, wording: SnapshotAssertion
) -> None:
    centre.well()
    centre.well("byhand", 2)
    centre.clock.at += timedelta(hours=3)
    (late,) = centre.told()
    assert late.trouble is Trouble.BACKUP_LATE and late.text == wording  # fmt: skip
    assert centre.told("byhand") == []
    with centre.services.state.lock("p", "calls", "backup"):
        assert centre.told() == [], "it is being taken"
    centre.asked("test")
    assert centre.told() == []


def test_a_test_is_late_where_it_is_only_tested_too(centre: Centre) -> None:
    centre.well()
    centre.asked("test")
    centre.clock.at += timedelta(days=12.5)  # Sunday, after the second one came due
    text = "its restore test is overdue: the last conclusive one was at 2026-11-24T12:00:00Z"
    assert centre.says() == [(Trouble.TEST_LATE, text)] and not centre.of().proven
    assert centre.whose("test") >= {Trouble.NOT_KNOWN_HERE}, "another host may have tested it since"


@pytest.mark.parametrize("verb", ["backup", "test"])
def test_what_could_not_begin_is_told_until_it_has_been_done_where_the_plan_asks_for_it(
    centre: Centre, verb: str
) -> None:
    for asset, number in (("calls", 1), ("byhand", 2)):
        centre.well(asset, number)
        centre.wrote("not_begun", asset, verb=verb, reason="no such image")
    (told,) = centre.told()
    assert (told.trouble, told.text) == (Trouble.NOT_BEGUN, f"its {verb} could not start: no such image")
    assert (told.since, told.about) == (NOON, verb)
    assert centre.told("byhand") == [] and Trouble.NOT_BEGUN in centre.whose(verb)
    centre.well(number=3)
    assert centre.told() == []


def test_a_restore_that_crashed_says_where_it_went_if_that_is_known(centre: Centre) -> None:
    centre.well()
    centre.wrote("restore.start", run="r1")
    text = "the restore of 2026-11-24T12:00:00Z crashed: its run r1 never recorded an end"
    assert centre.says() == [(Trouble.RESTORE_CRASHED, text)] and centre.told()[0].since == NOON
    centre.wrote("restore.start", run="r2", target={"kind": "directory", "name": "/srv/back"})
    text = "the restore of 2026-11-24T12:00:00Z into /srv/back crashed: its run r2 never recorded an end"
    assert centre.says() == [(Trouble.RESTORE_CRASHED, text)]
