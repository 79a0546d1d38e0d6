"""Whoever cannot be told now is told later, and what is down hides nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.listeners import Mailbox, Web, free_port, web_server
from tests.support.told import MINUTE, World
from tests.support.wording import lines_with

from ccdr.telling.notify import Telling


def test_a_target_that_is_down_hides_no_other_and_is_told_of_itself(
    world: World, mailbox: Mailbox, wording: SnapshotAssertion
) -> None:
    port = free_port()
    world.notify(f"json://127.0.0.1:{port}/hook", mailbox.url())
    world.failed()
    told = world.tell()
    assert mailbox.subjects == wording
    assert "urls line 3 (json) did not take " in told.failures["p"][0]
    assert told.wakes is not None and told.wakes <= world.clock.at + 5 * MINUTE
    shown = world.site.run("status", "p")
    assert "urls line 3 (json)" in shown.json["plans"][0]["could_not_tell"][0]
    world.tell()
    assert mailbox.subjects[1:] == ["ccdr: p: an address took no message"]
    assert "urls line 3 (json) did not take " in mailbox.text()
    world.tell()
    assert len(mailbox.raw) == 2
    with web_server(port) as web:
        told = world.tell()
        assert told.failures == {}
        since = "since 2026-11-24 12:25 UTC"
        assert web.titles == [f"ccdr: p: recordings backup FAILED {since}: restic exited with 1: no space left"]
        assert lines_with(web.documents[0]["message"], "2026-11-24 12:25 UTC") == wording
        world.tell()
        assert len(web.documents) == 1
    assert mailbox.subjects[2:] == wording


def test_the_only_target_was_down_all_the_while(world: World, wording: SnapshotAssertion) -> None:
    port = free_port()
    world.notify(f"json://127.0.0.1:{port}/hook")
    world.failed()
    world.tell()
    world.stored()
    assert world.tell().failures
    with web_server(port) as web:
        world.tell()
        assert web.titles == wording
        assert world.tell().failures == {} and len(web.documents) == 1


def test_a_target_that_refuses_is_told_later(world: World, web: Web, wording: SnapshotAssertion) -> None:
    world.notify(web.url())
    world.failed()
    web.answer = 503
    assert "did not take the message" in world.tell().failures["p"][0]
    web.answer = 200
    assert world.tell().failures == {}
    assert web.titles == wording


def test_a_target_that_never_answers_keeps_nobody(
    world: World, mailbox: Mailbox, web: Web, wording: SnapshotAssertion
) -> None:
    """It trickles, so that no time-out of a single read ends it."""
    web.drip = True
    world.notify(web.url(), mailbox.url())
    world.failed()
    told = world.tell(seconds=2)
    assert "did not answer within 2 s" in told.failures["p"][0]
    assert mailbox.subjects == wording


def test_a_process_ends_though_a_target_still_trickles(world: World, web: Web) -> None:
    web.drip = True
    program = (
        "from ccdr.telling.notify.targets import at_once, send\n"
        "from ccdr.telling.notify.message import Message\n"
        f"print(at_once({{1: lambda: send({web.url()!r}, Message('s', 'b', True))}}, 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "did not answer within 2 s" in done.stdout


def test_addresses_that_cannot_be_read(world: World, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
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
    assert mailbox.subjects == wording
    assert "the addresses could not be read" in mailbox.text()


@pytest.mark.parametrize("text", ["", "# nobody\n", "ops@callcentre.test\n", "bogus://x/y\n"])
def test_addresses_that_are_none(world: World, text: str) -> None:
    world.notify("mailto://x")
    (world.site.root / "plans" / "urls").write_text(text)
    world.failed()
    assert world.tell().failures["p"]
    done = world.site.run("notify", "test", "p")
    assert done.code == 2, "the file is wrong: nothing was sent"
    assert "urls" in done.json["error"] and "x/y" not in done.stderr + done.stdout
    dry = world.site.run("notify", "test", "p", "--dry-run")
    assert (dry.code, dry.json["error"]) == (2, done.json["error"]), "it would send nothing, and shows none"


def test_a_plan_that_tells_nobody(world: World) -> None:
    world.failed()
    assert world.tell() == Telling() and not world.told_file.exists()
    done = world.site.run("notify", "test", "p")
    assert done.code == 2 and "urls_file" in done.json["error"]
