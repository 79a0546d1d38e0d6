"""Whoever watches that ccdr runs is pinged when all went well, and only then."""

from __future__ import annotations

import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import in_background
from tests.support.listeners import Mailbox, Web, free_port, web_server
from tests.support.told import HOUR, World

from ccdr.model.errors import Exit
from ccdr.model.schedule import Missed
from ccdr.model.trouble import Trouble
from ccdr.model.values import Verb
from ccdr.run.ending import end_run
from ccdr.run.tasks import Did, Passed, RunResult, Task
from ccdr.telling.notify import Telling
from ccdr.telling.notify.concerns import Concern


def test_pinged_when_all_went_well_and_only_then(world: World, mailbox: Mailbox, web: Web) -> None:
    world.notify(mailbox.url(), ping=web.url("ping/1", "http"))
    assert world.tell().pinged == ["p"] and web.asked == ["GET /ping/1"]
    assert world.tell(failed={"p"}).pinged == []
    world.failed()
    assert world.tell().pinged == []
    assert len(web.asked) == 1
    world.stored()
    assert world.tell().pinged == ["p"]


# What may be so while a run goes well: it is told, and the run that finds it out is not pinged.
PINGED_ALL_THE_SAME = {
    Trouble.PLAN_UNAPPROVED,  # what it says is done all the same
    Trouble.PLAN_REVIEW,
    Trouble.ACCESS_BROKEN,  # what is backed up is whole, until somebody uses it
    Trouble.ACCESS_REVIEW,
    Trouble.ACCESS_REVIEW_ENDS,
    Trouble.INCIDENT_DUE,
    Trouble.ATTESTATION_STALE,
    Trouble.ATTESTATION_ENDS,
    Trouble.DEVIATION_OVERDUE,  # what went wrong is told for itself
    Trouble.PACKAGE_LATE,  # the evidence is there; a group waits for it
    Trouble.ANCHOR_OVERDUE,  # the record is there; nobody else holds it yet
    Trouble.PLAN_GONE,  # another one, whose own address is not pinged any more
    Trouble.PLAN_NOT_STORED,  # an older one is, and all backups are
    Trouble.REPOSITORY_NEAR,  # of which nobody is told
    Trouble.PAUSED,  # by somebody who knows of it, and it ends by itself
    Trouble.RECOVERY_UNFINISHED,  # somebody is at it
    Trouble.COPY_UNTESTED,
    Trouble.COPY_UPKEEP,
    Trouble.FINDING,
    Trouble.GROUP_INCOMPLETE,
    Trouble.TEST_INCONCLUSIVE,
    Trouble.CONTROL_INCONCLUSIVE,
    Trouble.NEVER_TESTED,
    Trouble.NOT_KNOWN_HERE,
    Trouble.RTO_UNMEASURED,
    Trouble.RESTORE_CRASHED,
    Trouble.CHECK_INCONCLUSIVE,
    Trouble.DUTIES,
    Trouble.FETCH_LIMIT,
    Trouble.MISSED,
    Trouble.UNTOLD,
    Trouble.STATEMENT_REFUSED,
}


def test_no_ping_while_data_may_be_lost_or_nobody_looks_whatever_was_due(world: World, web: Web) -> None:
    """A dead-man's switch is for whoever reads no mail: for each kind of trouble it is said which it is."""
    world.notify(ping=web.url("ping", "http"))
    pinged = set()
    for trouble in Trouble:
        world.told_file.unlink(missing_ok=True)
        if world.tell(timedelta(0), extra=[Concern("p", "recordings", trouble, "something is wrong")]).pinged:
            pinged.add(trouble)
    assert pinged == PINGED_ALL_THE_SAME
    world.told_file.unlink()
    assert world.tell().pinged == ["p"]


def ended(world: World, result: RunResult) -> Telling:
    """The end of a run that did this."""
    telling = end_run([world.site.loaded()], world.services, result, seconds=1.0).telling
    assert telling is not None
    return telling


@pytest.mark.parametrize("what", ["failed", "missed"])
def test_a_run_whose_work_failed_or_came_too_late_is_not_pinged(world: World, web: Web, what: str) -> None:
    """Though nothing is wrong any more by what status says."""
    world.notify(ping=web.url("ping", "http"))
    now = world.clock.at
    task = Task(world.site.loaded(), Verb.TEST, "recordings", "0 3 * * 0")
    well = RunResult(did=[Did(task, now, None, True, Exit.OK)])
    assert ended(world, well).pinged == ["p"]
    late = Passed(task, Missed(now, now, 1), "r")
    bad = (
        RunResult(did=[Did(task, now, None, True, Exit.NOT_CARRIED_OUT)])
        if what == "failed"
        else RunResult(missed=[late])
    )
    assert ended(world, bad).pinged == []
    assert ended(world, well).pinged == ["p"] and len(web.asked) == 2


def test_what_this_run_alone_has_seen_is_told_though_another_is_telling(world: World, mailbox: Mailbox) -> None:
    """That it was missed is told by the run that found it, or never."""
    world.notify(mailbox.url())
    telling, now = threading.Event(), world.clock.at

    def another() -> None:
        with world.services.state.turn("told") as mine:
            assert mine
            telling.set()
            time.sleep(0.5)

    thread = in_background(another)
    assert telling.wait(10)
    task = Task(world.site.loaded(), Verb.TEST, "recordings", "0 3 * * 0")
    done = ended(world, RunResult(missed=[Passed(task, Missed(now, now, 1), "r")]))
    thread.join()
    assert not done.busy and [s for s in mailbox.subjects if "MISSED" in s] == mailbox.subjects != []


def test_where_assets_stand_goes_into_no_metric_while_it_cannot_be_found_out(world: World, tmp_path: Path) -> None:
    """What is there grows old, and whoever watches it hears of that; numbers of nothing would look well."""
    textfile, plans = tmp_path / "ccdr.prom", [world.site.loaded()]
    assert end_run(plans, world.services, RunResult(), seconds=1.0, textfile=textfile).summary is not None
    before = textfile.read_text()
    assert 'asset="recordings"' in before
    world.clock.at += HOUR
    assert not end_run(plans, world.services, RunResult(), seconds=1.0, textfile=textfile).troubles
    assert (later := textfile.read_text()) != before
    # It leads to itself: a lock that cannot be opened, as one of somebody else's.
    (world.services.state.directory("locks") / "p..upkeep.lock").symlink_to("p..upkeep.lock")
    world.clock.at += HOUR
    end = end_run(plans, world.services, RunResult(), seconds=1.0, textfile=textfile)
    assert end.summary is None and end.troubles, "status could not be had"
    assert textfile.read_text() == later


def test_not_pinged_while_somebody_could_not_be_told(world: World, web: Web) -> None:
    """So that a mail server that is down does not go unnoticed."""
    world.notify(f"json://127.0.0.1:{free_port()}/hook", ping=web.url("ping", "http"))
    world.tested("INCONCLUSIVE", reason="Docker is down")
    assert world.tell().failures and web.asked == []


def test_a_ping_that_fails_is_told_the_next_time(
    world: World, mailbox: Mailbox, web: Web, wording: SnapshotAssertion
) -> None:
    web.answer = 500
    world.notify(mailbox.url(), ping=web.url("ping", "http"))
    told = world.tell()
    assert "the ping answered 500" in told.failures["p"][0] and told.pinged == []
    web.answer = 200
    assert world.tell().pinged == ["p"]
    assert mailbox.subjects == ["ccdr: p: an address took no message"]
    world.tell()
    assert mailbox.subjects[1:] == wording


def test_a_ping_goes_only_to_whom_it_can_trust(world: World, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=True)
    with web_server(certificate=(certificate, key)) as web:
        world.notify(ping=web.url("ping-s3cret", "https"))
        told = world.tell()
    assert "certificate verify failed" in told.failures["p"][0] and web.asked == []


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://x/y", "http://", "http://[", "http://a b/c"])
def test_a_ping_url_that_is_none(world: World, url: str) -> None:
    world.notify(ping=url or "  ")
    assert "is no http:// or https:// URL" in world.tell().failures["p"][0]
