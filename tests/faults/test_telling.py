"""The right person is told once, whatever is down: real mail and HTTP servers on loopback, a clock of our own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site, in_background
from tests.support.listeners import Mailbox, Web, free_port, mail_server, refuse_logins, web_server
from tests.support.older import append_older

from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit
from ccdr.model.schedule import Missed
from ccdr.model.trouble import Trouble
from ccdr.model.values import FileDigest, Manifest, Verb
from ccdr.run.ending import conclude
from ccdr.run.tasks import Did, Passed, RunResult, Task
from ccdr.storage.catalogue import manifest_text, snapshot_of
from ccdr.telling.notify import Attempt, Telling, after_run, ledger_broken, missed, untold
from ccdr.telling.notify.concerns import Concern
from ccdr.telling.status import status, upkeep_problems

NOW = datetime(2026, 11, 24, 12, 20, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class HandClock:
    """Goes when it is told to."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0


@dataclass
class World:
    """A site whose past is written by hand: what matters here is what is told of it."""

    site: Site
    clock: HandClock = field(default_factory=HandClock)
    number: int = 0

    @property
    def services(self) -> Services:
        """New ones each time, as a new process has: nothing is carried over but the state directory."""
        return self.site.services(self.clock)

    def notify(self, *urls: str, ping: str | None = None, remind: str = "24h") -> None:
        """The plan's addresses, anew."""
        self.site.write("plans/urls", "# who is told\n\n" + "".join(f"{u}\n" for u in urls), mode=0o600)
        self.site.write("plans/ping", f"{ping}\n", mode=0o600)
        files = [f"remind: {remind}", *(["urls_file: urls"] if urls else []), *(["ping_file: ping"] if ping else [])]
        path = self.site.root / "plans" / "p.yaml"
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("notify:"))
        path.write_text(text.replace("assets:", f"notify: {{{', '.join(files)}}}\nassets:", 1) + "\n")

    def stored(self) -> None:
        """A backup, five minutes old."""
        self.number += 1
        when, run = self.clock.time - 5 * MINUTE, f"b{self.number}"
        contents = {"source": str(self.site.root / "spool")}
        files = {"files.jsonl": FileDigest(1, "a" * 64)}
        manifest = Manifest("p", "recordings", run, "files", "scan", "h", when, 0.0, {}, contents, files)
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, f"{self.number:064x}", "/r", when), text)
        self._wrote(
            "backup.end", run, result="STORED", reason=None, findings=[], snapshot={"id": f"{self.number:064x}"}
        )

    def failed(self, reason: str = "restic exited with 1: no space left") -> None:
        self.number += 1
        self._wrote("backup.end", f"b{self.number}", result="FAILED", reason=reason, findings=[], snapshot=None)

    def tested(self, verdict: str = "PASS", **more: Any) -> None:
        snapshot = {"id": f"{self.number:064x}", "verdict": verdict}
        rto = {"achieved_s": 5.0, "basis": "throwaway"}
        body: dict[str, Any] = {"verdict": verdict, "reason": None, "findings": [], "snapshot": snapshot, "rto": rto}
        self._wrote("restore_test.end", f"t{self.number}", **{**body, **more})

    def _wrote(self, kind: str, run: str, **body: Any) -> None:
        append_older(self.services.ledger, kind, plan="p", asset="recordings", run=run, body=body)

    def tell(self, after: timedelta = 5 * MINUTE, **options: Any) -> Telling:
        """A run's end."""
        self.clock.time += after
        plans, services = [self.site.loaded()], self.services
        options = {"seconds": 10, **options}
        return after_run(plans, services, status(plans, services), upkeep_problems(plans, services), **options)

    @property
    def told_file(self) -> Path:
        return self.site.state / "told.json"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Backed up and tested: all is well."""
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    made = World(site)
    made.stored()
    made.tested()
    return made


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as running:
        yield running


# --- what is told -----------------------------------------------------------------------------------------------


def test_the_first_failure_reaches_a_mailbox_once(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    assert world.tell().sent == [] and mailbox.raw == []
    world.failed()
    told = world.tell()
    assert [s.to for s in told.sent] == ["urls line 3 (mailto)"] and told.failures == {}
    assert mailbox.subjects == ["ccdr: p: recordings backup FAILED: restic exited with 1: no space left"]
    assert mailbox.raw[0][0] == ["ops@callcentre.test"]
    text = mailbox.text()
    assert "A test (plan p, owner ops@example.test)" in text and "no space left" in text
    assert "then `ccdr backup p --asset recordings`" in text and "ccdr status p" in text
    for _ in range(5):  # each as a new process
        world.failed()
        world.tell()
    assert len(mailbox.raw) == 1


def test_the_worst_comes_first_in_one_message(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tested("FAIL", reason="3 of 5 files differ", findings=["the image is of another major version"])
    world.tell(after=2 * HOUR)
    (subject,) = mailbox.subjects
    assert (
        subject.startswith("ccdr: p: recordings restore test FAILED since 2026-11-24 12:20 UTC: 3 of 5 files differ (+")
        and len(mailbox.raw) == 1
    )
    text = mailbox.text()
    order = [text.index(s) for s in ("3 of 5 files differ", "no space left", "another major version", "RPO breached")]
    assert order == sorted(order)


def test_reminded_and_then_fixed_again(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url(), remind="6h")
    world.failed()
    world.tell()
    for _ in range(7):
        world.tell(after=HOUR)
    assert any(s.startswith("ccdr: p: still: recordings backup FAILED") for s in mailbox.subjects)
    before = len(mailbox.raw)
    world.stored()
    world.tell()
    assert mailbox.subjects[before:] == ["ccdr: p: fixed: recordings backup FAILED (+2 more)"]
    assert "it lasted 7h 05m" in mailbox.text() and "Fixed again:" in mailbox.text()
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
        "recordings backup OVERDUE", "its backup is overdue: the last one is of 2026-11-24T12:20:00",
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
    assert mailbox.subjects[2:] == [f"ccdr: p: fixed: {state.subject}"] and "Fixed again:" in mailbox.text()
    world.tell()
    assert len(mailbox.raw) == 3


def test_never_succeeded_yet_and_its_first_time(tmp_path: Path, mailbox: Mailbox) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    world = World(site)
    world.notify(mailbox.url())
    world.tell()
    assert mailbox.subjects == ["ccdr: p: recordings never backed up (+1 more)"]
    assert "RPO" not in mailbox.text()  # it follows
    world.stored()
    world.tested()
    world.tell()
    assert mailbox.subjects[1:] == ["ccdr: p: fixed: recordings backed up for the first time (+1 more)"]


def test_an_inconclusive_test_does_not_take_a_failure_back(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.tested("FAIL", reason="bad")
    world.tell()
    world.tested("INCONCLUSIVE", reason="Docker is down")
    world.tell()
    assert mailbox.subjects[1:] == ["ccdr: p: recordings restore test INCONCLUSIVE: Docker is down"]
    assert "Fixed" not in mailbox.text()


def test_what_was_missed_is_told_once(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    passed = missed("p", "recordings", "backup", NOW - 9 * HOUR, NOW - HOUR, 9)
    world.tell(extra=[passed])
    world.tell()
    assert mailbox.subjects == ["ccdr: p: recordings backup MISSED"]
    assert "its backup was missed 9 times, due from 2026-11-24T03:20:00Z" in mailbox.text()


def test_upkeep_that_failed_and_a_broken_ledger_are_told(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    body = {"result": "FAILED", "reason": "the repository is locked", "removed": [], "kept": {}, "findings": []}
    append_older(world.services.ledger, "prune.end", plan="p", asset=None, run="u1", body=body)
    world.tell(extra=[ledger_broken("p", CcdrError("000000000001.jsonl:3: not JSON"))])
    assert mailbox.subjects == ["ccdr: p: ledger does NOT VERIFY (+1 more)"]
    assert "its last prune FAILED: the repository is locked" in mailbox.text()


def test_what_could_not_begin_stays_until_it_has_begun(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    why = "repository: password_file: no such file"
    body = {"verb": "backup", "due": "2026-11-24T12:30:00Z", "reason": why}
    append_older(world.services.ledger, "not_begun", plan="p", asset="recordings", run="r", body=body)
    world.tell(attempts=[Attempt("p", "recordings", "backup", why)])
    assert mailbox.subjects == ["ccdr: p: recordings backup could not begin: repository: password_file: no such file"]
    world.tell()
    assert len(mailbox.raw) == 1
    world.stored()
    world.tell(attempts=[Attempt("p", "recordings", "backup")])
    assert mailbox.subjects[1:] == ["ccdr: p: fixed: recordings backup could not begin"]


def test_a_status_that_could_not_be_had_is_no_good_news(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tell()
    plans, services = [world.site.loaded()], world.services
    told = after_run(plans, services, [], {}, extra=[ledger_broken("p", CcdrError("it is torn"))], whole=False)
    assert [s.subject for s in told.sent] == ["ccdr: p: ledger does NOT VERIFY"]


def test_a_dry_run_tells_nobody(tmp_path: Path, mailbox: Mailbox) -> None:
    world = World(Site(tmp_path), HandClock(datetime.now(UTC)))
    world.site.recordings(tmp_path / "spool")
    world.notify(mailbox.url())
    world.stored()
    world.tested()
    world.failed()
    (first,) = world.site.run("notify", "test", "p", "--dry-run").json["would_send"]
    assert (
        first["subject"] == "ccdr: p: recordings backup FAILED: restic exited with 1: no space left"
        and mailbox.raw == []
    )
    (sent,) = world.site.run("run").json["telling"]["sent"]
    # The run has also seen that what this test calls stored is not in the repository.
    assert sent["subject"] == f"{first['subject']} (+2 more)" and mailbox.subjects == [sent["subject"]]
    told, before = world.told_file.read_text(), len(mailbox.raw)
    world.tested("FAIL", reason="3 of 5 files differ")
    done = world.site.run("notify", "test", "p", "--dry-run")
    assert done.code == 0, done
    (letter,) = done.json["would_send"]
    assert (
        letter["subject"] == "ccdr: p: recordings restore test FAILED: 3 of 5 files differ"
        and "3 of 5 files" in letter["body"]
    )
    assert len(mailbox.raw) == before and world.told_file.read_text() == told


def test_a_test_message_goes_to_every_address(world: World, mailbox: Mailbox, web: Web) -> None:
    world.notify(mailbox.url(), web.url(), f"json://127.0.0.1:{free_port()}/nobody")
    done = world.site.run("notify", "test", "p")
    assert done.code == 3, done
    assert [s["taken"] for s in done.json["sent"]] == [True, True, False]
    assert mailbox.subjects == web.titles == ["ccdr: p: a test message"]
    assert not world.told_file.exists()


# --- what is down -----------------------------------------------------------------------------------------------


def test_a_target_that_is_down_hides_no_other_and_is_told_of_itself(world: World, mailbox: Mailbox) -> None:
    port = free_port()
    world.notify(f"json://127.0.0.1:{port}/hook", mailbox.url())
    world.failed()
    told = world.tell()
    assert mailbox.subjects == ["ccdr: p: recordings backup FAILED: restic exited with 1: no space left"]
    assert "urls line 3 (json) did not take the message" in told.failures["p"][0]
    assert told.wakes is not None and told.wakes <= world.clock.time + 5 * MINUTE
    shown = world.site.run("status", "p")
    assert "urls line 3 (json)" in shown.json["plans"][0]["could_not_tell"][0]
    world.tell()
    assert mailbox.subjects[1:] == ["ccdr: p: an address could not be told"]
    assert "urls line 3 (json) did not take the message" in mailbox.text()
    world.tell()
    assert len(mailbox.raw) == 2
    with web_server(port) as web:
        told = world.tell()
        assert told.failures == {}
        since = "since 2026-11-24 12:25 UTC"
        assert web.titles == [f"ccdr: p: recordings backup FAILED {since}: restic exited with 1: no space left"]
        assert "could not be reached from 2026-11-24 12:25 UTC until now" in web.documents[0]["message"]
        world.tell()
        assert len(web.documents) == 1
    assert mailbox.subjects[2:] == ["ccdr: p: fixed: an address could not be told"]


def test_the_only_target_was_down_all_the_while(world: World) -> None:
    port = free_port()
    world.notify(f"json://127.0.0.1:{port}/hook")
    world.failed()
    world.tell()
    world.stored()
    assert world.tell().failures
    with web_server(port) as web:
        world.tell()
        assert web.titles == ["ccdr: p: fixed: recordings backup FAILED"]
        assert world.tell().failures == {} and len(web.documents) == 1


def test_a_target_that_refuses_is_told_later(world: World, web: Web) -> None:
    world.notify(web.url())
    world.failed()
    web.answer = 503
    assert "did not take the message" in world.tell().failures["p"][0]
    web.answer = 200
    assert world.tell().failures == {}
    assert web.titles == ["ccdr: p: recordings backup FAILED: restic exited with 1: no space left"]


def test_a_target_that_never_answers_keeps_nobody(world: World, mailbox: Mailbox, web: Web) -> None:
    """It trickles, so that no time-out of a single read ends it."""
    web.drip = True
    world.notify(web.url(), mailbox.url())
    world.failed()
    told = world.tell(seconds=2)
    assert "did not answer within 2 s" in told.failures["p"][0]
    assert mailbox.subjects == ["ccdr: p: recordings backup FAILED: restic exited with 1: no space left"]


def test_a_process_ends_though_a_target_still_trickles(world: World, web: Web) -> None:
    web.drip = True
    program = (
        "from ccdr.telling.notify.targets import at_once, send\n"
        "from ccdr.telling.notify.message import Message\n"
        f"print(at_once({{1: lambda: send({web.url()!r}, Message('s', 'b', True))}}, 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "did not answer within 2 s" in done.stdout


def test_addresses_that_cannot_be_read(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    kept = (world.site.root / "plans" / "urls").read_text()
    (world.site.root / "plans" / "urls").unlink()
    world.failed()
    told = world.tell()
    assert "could not be read" in told.failures["p"][0] and told.sent == []
    (world.site.root / "plans" / "urls").write_text(kept)
    (world.site.root / "plans" / "urls").chmod(0o600)
    told = world.tell()
    assert told.failures == {}
    assert mailbox.subjects == ["ccdr: p: recordings backup FAILED: restic exited with 1: no space left (+1 more)"]
    assert "the addresses could not be read" in mailbox.text()


@pytest.mark.parametrize("text", ["", "# nobody\n", "ops@callcentre.test\n", "bogus://x/y\n"])
def test_addresses_that_are_none(world: World, text: str) -> None:
    world.notify("mailto://x")
    (world.site.root / "plans" / "urls").write_text(text)
    world.failed()
    assert world.tell().failures["p"]
    done = world.site.run("notify", "test", "p")
    assert done.code in (2, 3), done


def test_a_plan_that_tells_nobody(world: World) -> None:
    world.failed()
    assert world.tell() == Telling() and not world.told_file.exists()
    done = world.site.run("notify", "test", "p")
    assert done.code == 2 and "urls_file" in done.json["error"]


# --- the ping ---------------------------------------------------------------------------------------------------


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
    Trouble.REPOSITORY_NEAR,  # of which nobody is told
    Trouble.FINDING,
    Trouble.GROUP_INCOMPLETE,
    Trouble.TEST_INCONCLUSIVE,
    Trouble.NEVER_TESTED,
    Trouble.NOT_KNOWN_HERE,
    Trouble.RTO_UNMEASURED,
    Trouble.RESTORE_CRASHED,
    Trouble.CHECK_INCONCLUSIVE,
    Trouble.DUTIES,
    Trouble.MISSED,
    Trouble.UNTOLD,
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
    telling = conclude([world.site.loaded()], world.services, result, seconds=1.0).telling
    assert telling is not None
    return telling


@pytest.mark.parametrize("what", ["failed", "missed"])
def test_a_run_whose_work_failed_or_came_too_late_is_not_pinged(world: World, web: Web, what: str) -> None:
    """Though nothing is wrong any more by what status says."""
    world.notify(ping=web.url("ping", "http"))
    now = world.clock.time
    task = Task(world.site.loaded(), Verb.TEST, "recordings", "0 3 * * 0")
    well = RunResult(did=[Did(task, now, None, True, Exit.OK)])
    assert ended(world, well).pinged == ["p"]
    late = Passed(task, Missed(now, now, 1))
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
    telling, now = threading.Event(), world.clock.time

    def another() -> None:
        with world.services.state.turn("told") as mine:
            assert mine
            telling.set()
            time.sleep(0.5)

    thread = in_background(another)
    assert telling.wait(10)
    task = Task(world.site.loaded(), Verb.TEST, "recordings", "0 3 * * 0")
    done = ended(world, RunResult(missed=[Passed(task, Missed(now, now, 1))]))
    thread.join()
    assert not done.busy and [s for s in mailbox.subjects if "MISSED" in s] == mailbox.subjects != []


def test_where_assets_stand_goes_into_no_metric_while_it_cannot_be_found_out(world: World, tmp_path: Path) -> None:
    """What is there grows old, and whoever watches it hears of that; numbers of nothing would look well."""
    textfile, plans = tmp_path / "ccdr.prom", [world.site.loaded()]
    assert conclude(plans, world.services, RunResult(), seconds=1.0, textfile=textfile).summary is not None
    before = textfile.read_text()
    assert 'asset="recordings"' in before
    world.clock.time += HOUR
    assert not conclude(plans, world.services, RunResult(), seconds=1.0, textfile=textfile).troubles
    assert (later := textfile.read_text()) != before
    # It leads to itself: a lock that cannot be opened, as one of somebody else's.
    (world.services.state.directory("locks") / "p..upkeep.lock").symlink_to("p..upkeep.lock")
    world.clock.time += HOUR
    end = conclude(plans, world.services, RunResult(), seconds=1.0, textfile=textfile)
    assert end.summary is None and end.troubles, "status could not be had"
    assert textfile.read_text() == later


def test_not_pinged_while_somebody_could_not_be_told(world: World, web: Web) -> None:
    """So that a mail server that is down does not go unnoticed."""
    world.notify(f"json://127.0.0.1:{free_port()}/hook", ping=web.url("ping", "http"))
    world.tested("INCONCLUSIVE", reason="Docker is down")
    assert world.tell().failures and web.asked == []


def test_a_ping_that_fails_is_told_the_next_time(world: World, mailbox: Mailbox, web: Web) -> None:
    web.answer = 500
    world.notify(mailbox.url(), ping=web.url("ping", "http"))
    told = world.tell()
    assert "the ping answered 500" in told.failures["p"][0] and told.pinged == []
    web.answer = 200
    assert world.tell().pinged == ["p"]
    assert mailbox.subjects == ["ccdr: p: an address could not be told"]
    world.tell()
    assert mailbox.subjects[1:] == ["ccdr: p: fixed: an address could not be told"]


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


# --- the state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1, "plans": {"p": {"entries": 3}}}', b"\x00" * 50])
def test_a_damaged_file_is_told_again_rather_than_never(world: World, mailbox: Mailbox, damage: bytes) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tell()
    world.told_file.write_bytes(damage)
    told = world.tell()
    assert told.notes and len(mailbox.raw) == 2
    assert world.tell().notes == [] and len(mailbox.raw) == 2


def test_a_file_of_a_newer_version_is_left_alone(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.tell()
    text = json.dumps({"format": 99, "plans": {}})
    world.told_file.write_text(text)
    with pytest.raises(CcdrError, match="newer ccdr"):
        world.tell()
    assert world.told_file.read_text() == text and len(mailbox.raw) == 1
    assert "newer ccdr" in untold(world.services.state, ["p"])["p"][0]
    assert world.site.run("status").code == 1


def test_what_cannot_be_written_down_is_told_all_the_same(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    world.told_file.mkdir()
    with pytest.raises(CcdrError, match=r"told\.json cannot be written"):
        world.tell()
    assert len(mailbox.raw) == 1


def test_two_runs_at_once_tell_once(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed()
    with world.services.state.turn("told") as mine:
        assert mine
        told = world.tell()
    assert told.busy and told.wakes == world.clock.time + MINUTE and mailbox.raw == []
    world.tell()
    assert len(mailbox.raw) == 1


# --- secrets ----------------------------------------------------------------------------------------------------

SECRET = "hunter2-very-s3cret"


def test_no_secret_of_an_address_is_ever_shown(world: World, web: Web, capfd: pytest.CaptureFixture[str]) -> None:
    """Refused, unreachable, unknown, no URL at all, a login that is not taken: an error tells why, and nothing else."""
    web.answer = 403
    with mail_server(**refuse_logins()) as mail:
        world.notify(
            f"json://me:{SECRET}@127.0.0.1:{web.port}/{SECRET}/hook?token={SECRET}",
            f"json://me:{SECRET}@127.0.0.1:{free_port()}/{SECRET}",
            f"jsons://me:{SECRET}@127.0.0.1:{web.port}/{SECRET}",
            f"mailto://me:{SECRET}@127.0.0.1:{mail.port}/?from=a@b.test&to=c@d.test",
            f"bogus://{SECRET}/x",
            f"slack://{SECRET}",
            f"json://[{SECRET}",
            ping=f"http://127.0.0.1:{free_port()}/{SECRET}",
        )
        assert len(world.tell().failures["p"]) >= 1  # the ping
        world.failed(f"restic said: {'x' * 2000}")
        told = world.tell()
        assert len(told.failures["p"]) >= 7
        told = world.tell()
        shown = [json.dumps(told.as_json()), world.told_file.read_text()]
        for args in (
            ["status"],
            ["notify", "test", "p"],
            ["notify", "test", "p", "-v"],
            ["notify", "test", "p", "--dry-run"],
        ):
            shown.append(str(world.site.run(*args)))
            plain = subprocess.run(world.site.argv(*args), capture_output=True, text=True, check=False)
            shown.append(plain.stdout + plain.stderr)
        shown += [json.dumps(r) for r in world.site.records()]
        out, err = capfd.readouterr()
    for text in (*shown, out, err):
        for piece in (SECRET, "very-s3cret", "/hook"):
            assert piece not in text, text
    assert "403" in shown[0] and "refused" in shown[0]


def test_a_line_that_is_no_url_is_not_quoted(world: World) -> None:
    world.notify(f"{SECRET}")
    assert "urls:3: is no Apprise URL" in world.tell().failures["p"][0]
    assert SECRET not in str(world.site.run("notify", "test", "p")) + world.told_file.read_text()


def test_what_a_program_said_cannot_add_a_header(world: World, mailbox: Mailbox) -> None:
    world.notify(mailbox.url())
    world.failed("no\r\nBcc: everybody@example.test\r\n\r\n\x1b[31m" + "y" * 5000)
    world.tell()
    (message,) = mailbox.messages
    assert message["Bcc"] is None and "\x1b" not in mailbox.text()
    assert max(map(len, mailbox.text().splitlines())) < 600
