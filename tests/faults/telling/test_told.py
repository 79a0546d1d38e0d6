"""The right person is told once of what is wrong, reminded of it, and told when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.listeners import Mailbox, Web, free_port
from tests.support.sparse import append_sparse
from tests.support.told import DAY, HOUR, MINUTE, NOW, World
from tests.support.wording import lines_with

from ccdr.model.errors import CcdrError
from ccdr.model.finding import Finding, recorded
from ccdr.telling.notify import after_run, ledger_broken, missed
from ccdr.telling.notify.concerns import RunAttempt


def test_the_first_failure_reaches_a_mailbox_once(world: World, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    world.notify(mailbox.url())
    assert world.tell().sent == [] and mailbox.raw == []
    world.failed()
    told = world.tell()
    assert [s.to for s in told.sent] == ["urls line 3 (mailto)"] and told.failures == {}
    assert mailbox.subjects == wording
    assert mailbox.raw[0][0] == ["ops@callcentre.test"]
    text = mailbox.text()
    assert "A test (plan p, owner ops@example.test)" in text and "no space left" in text
    assert "then `ccdr backup p --asset recordings`" in text and "ccdr status p" in text
    for _ in range(5):  # each as a new process
        world.failed()
        world.tell()
    assert len(mailbox.raw) == 1


def test_the_worst_comes_first_in_one_message(world: World, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tested(
        "FAIL",
        reason="3 of 5 files differ",
        findings=recorded([Finding("the image is of another major version", "image")]),
    )
    world.tell(after=2 * HOUR)
    (subject,) = mailbox.subjects
    assert "since 2026-11-24 12:20 UTC: 3 of 5 " in subject and subject == wording and len(mailbox.raw) == 1
    text = mailbox.text()
    order = [text.index(s) for s in ("3 of 5 files differ", "no space left", "another major version", "RPO breached")]
    assert order == sorted(order)


def test_reminded_and_then_fixed_again(world: World, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    world.notify(mailbox.url(), remind="6h")
    world.failed()
    world.tell()
    for _ in range(7):
        world.tell(after=HOUR)
    assert lines_with(mailbox.subjects, "still:") == wording
    before = len(mailbox.raw)
    world.stored()
    world.tell()
    assert mailbox.subjects[before:] == wording
    assert "it lasted 7h 05m" in mailbox.text() and "Over:" in mailbox.text()
    world.tell()
    assert len(mailbox.raw) == before + 1


RARELY, OFTEN = '"0 0 1 1 *"', '"*/30 * * * *"'


@dataclass(frozen=True)
class State:
    """Something that is wrong without a failure: the plan that shows it alone, how it comes, and how it goes."""

    subject: str
    text: str
    rpo: str
    backups: str
    tests: str
    comes: timedelta  # of nothing being done
    slow: bool = False  # its test took too long


STATES = {
    "RPO breach": State(
        "recordings RPO BREACHED", "RPO breached: 2h 05m of data would be lost, the objective is 1h 00m",
        "1h", RARELY, RARELY, 2 * HOUR,
    ),
    "RTO breach": State(
        "recordings RTO BREACHED", "RTO breached: its last restore took 1h 06m, the objective is 30m",
        "90d", RARELY, RARELY, MINUTE, slow=True,
    ),
    "backup late": State(
        "recordings backup OVERDUE", "its backup is overdue: the last one was at 2026-11-24T12:20:00",
        "90d", OFTEN, RARELY, 2 * HOUR,
    ),
    "restore test late": State(
        "recordings restore test OVERDUE", "its restore test is overdue", "90d", RARELY, '"0 3 * * *"', 3 * DAY
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_late_and_breach_are_told_once_then_reminded_of_then_fixed_again(
    name: str, tmp_path: Path, mailbox: Mailbox
) -> None:
    state, site = STATES[name], Site(tmp_path)
    site.write("restore_tests/files.yaml", "restore_test: files\nchecks:\n  - {kind: identical}\n")
    site.plan(
        f"""
        recordings:
          engine: files
          paths: [{tmp_path / "spool"}]
          objectives: {{rpo: {state.rpo}}}
          backup: {{schedule: {state.backups}}}
          restore_test: {{schedule: {state.tests}, checks: [files]}}
        """,
        extra=f"upkeep: {{prune: {RARELY}, check: {RARELY}}}\n",
    )
    world = World(site)
    world.notify(mailbox.url(), remind="6h")
    world.stored()
    world.tested()
    assert world.tell(after=timedelta()).sent == [] and mailbox.raw == [], "its undamaged twin"
    if state.slow:
        world.tested(rto={"achieved_s": 3960.0, "basis": "throwaway"})
    world.tell(after=state.comes)
    (subject,) = mailbox.subjects
    assert subject.startswith(f"ccdr: p: {state.subject}") and state.text in mailbox.text()
    for _ in range(5):
        world.tell(after=HOUR)
    assert len(mailbox.raw) == 1, "once per state and not per run"
    world.tell(after=2 * HOUR)
    assert [
        s.startswith(f"ccdr: p: still: {state.subject}{'' if state.slow else ' since 2026-11-2'}")
        for s in mailbox.subjects[1:]
    ] == [True]
    world.tell()
    assert len(mailbox.raw) == 2
    world.stored()
    world.tested()
    world.tell()
    assert mailbox.subjects[2:] == [f"ccdr: p: fixed: {state.subject}"] and "Over:" in mailbox.text()
    world.tell()
    assert len(mailbox.raw) == 3


def test_never_succeeded_yet_and_its_first_time(tmp_path: Path, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    world = World(site)
    world.notify(mailbox.url())
    world.tell()
    assert mailbox.subjects == wording
    assert "RPO" not in mailbox.text()  # it follows
    world.stored()
    world.tested()
    world.tell()
    assert mailbox.subjects[1:] == wording


def test_an_inconclusive_test_does_not_take_a_failure_back(
    world: World, mailbox: Mailbox, wording: SnapshotAssertion
) -> None:
    world.notify(mailbox.url())
    world.tested("FAIL", reason="bad")
    world.tell()
    world.tested("INCONCLUSIVE", reason="Docker is down")
    world.tell()
    assert mailbox.subjects[1:] == wording
    assert "Fixed" not in mailbox.text()


def test_what_was_missed_is_told_once(world: World, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    world.notify(mailbox.url())
    passed = missed("p", "recordings", "backup", NOW - 9 * HOUR, NOW - HOUR, 9)
    world.tell(extra=[passed])
    world.tell()
    assert mailbox.subjects == ["ccdr: p: recordings backup MISSED"]
    assert lines_with(mailbox.text(), "9 times") == wording


def test_upkeep_that_failed_and_a_broken_ledger_are_told(
    world: World, mailbox: Mailbox, wording: SnapshotAssertion
) -> None:
    world.notify(mailbox.url())
    body = {"result": "FAILED", "reason": "the repository is locked", "removed": [], "kept": {}, "findings": []}
    append_sparse(world.services.ledger, "prune.end", plan="p", asset=None, run="u1", body=body)
    world.tell(extra=[ledger_broken("p", CcdrError("000000000001.jsonl:3: not JSON"))])
    assert mailbox.subjects == wording
    assert lines_with(mailbox.text(), "the repository is locked") == wording


def test_what_could_not_begin_stays_until_it_has_begun(
    world: World, mailbox: Mailbox, wording: SnapshotAssertion
) -> None:
    world.notify(mailbox.url())
    why = "repository: password_file: no such file"
    body = {"verb": "backup", "due": "2026-11-24T12:30:00Z", "reason": why}
    append_sparse(world.services.ledger, "not_begun", plan="p", asset="recordings", run="r", body=body)
    world.tell(attempts=[RunAttempt("p", "recordings", "backup", why)])
    assert mailbox.subjects == wording
    world.tell()
    assert len(mailbox.raw) == 1
    world.stored()
    world.tell(attempts=[RunAttempt("p", "recordings", "backup")])
    assert mailbox.subjects[1:] == wording


def test_a_status_that_could_not_be_had_is_no_good_news(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tell()
    plans, services = [world.site.loaded()], world.services
    told = after_run(plans, services, [], {}, extra=[ledger_broken("p", CcdrError("it is torn"))], whole=False)
    assert [s.subject for s in told.sent] == ["ccdr: p: ledger does NOT VERIFY"]


def test_a_dry_run_tells_nobody(tmp_path: Path, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    world = World(Site(tmp_path), Clock(datetime.now(UTC)))
    world.site.recordings(tmp_path / "spool")
    world.notify(mailbox.url())
    world.stored()
    world.tested()
    world.failed()
    (first,) = world.site.run("notify", "test", "p", "--dry-run").json["next_run_would_send"]
    assert first["subject"] == wording and mailbox.raw == []
    (sent,) = world.site.run("run").json["telling"]["sent"]
    # The run has also seen that what this test calls stored is not in the repository.
    assert sent["subject"] == f"{first['subject']} (+2 more)" and mailbox.subjects == [sent["subject"]]
    told, before = world.told_file.read_text(), len(mailbox.raw)
    world.tested("FAIL", reason="3 of 5 files differ")
    done = world.site.run("notify", "test", "p", "--dry-run")
    assert done.code == 0, done
    (letter,) = done.json["next_run_would_send"]
    assert letter["subject"] == wording and "3 of 5 files" in letter["body"]
    assert len(mailbox.raw) == before and world.told_file.read_text() == told


def test_a_dry_run_shows_the_message_that_is_then_sent(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    would = world.site.run("notify", "test", "p", "--dry-run").json["would_send"]
    assert mailbox.raw == [] and len(would) == 1
    assert world.site.run("notify", "test", "p").code == 0
    assert mailbox.subjects == [would[0]["subject"]] and "This is a test: nothing is wrong" in would[0]["body"]


def test_a_test_message_goes_to_every_address(world: World, mailbox: Mailbox, web: Web) -> None:
    world.notify(mailbox.url(), web.url(), f"json://127.0.0.1:{free_port()}/nobody")
    done = world.site.run("notify", "test", "p")
    assert done.code == 3, done
    assert [s["taken"] for s in done.json["sent"]] == [True, True, False]
    assert mailbox.subjects == web.titles == ["ccdr: p: a test message"]
    assert not world.told_file.exists()
