"""What a look may say of a source, and a step of a log that was never received here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site

from ccdr.cli.progress import SILENT
from ccdr.jobs.runbook import runners
from ccdr.jobs.runbook import runners as sources
from ccdr.jobs.runbook.runners import StepResult, Work
from ccdr.plans.runbook import Command

SHIP = Command(kind="command", argv=("ccdr", "ship", "p", "--once"))


@pytest.fixture
def work(site: Site) -> Iterator[Work]:
    site.plan("crm: {engine: postgres, connection: {host: /run/nowhere, user: ccdr, database: crm}}")
    services = site.services()
    with services.state.run(services.clock) as scratch, SILENT as progress:
        yield Work(site.loaded(), services, scratch, {}, progress)


def test_a_process_of_that_name_is_not_said_to_be_the_source(
    work: Work, monkeypatch: pytest.MonkeyPatch, wording: SnapshotAssertion
) -> None:
    monkeypatch.setattr(sources, "_sources_asked", lambda *_: "it answers no question")
    monkeypatch.setattr(sources, "_process", lambda _: True)
    said = sources.look_at(("crm",), work)["crm"]
    assert said == wording and "socket is not there" in said
    monkeypatch.setattr(sources, "_process", lambda _: False)
    assert sources.look_at(("crm",), work)["crm"].startswith("no process postgres runs here")


def test_where_no_log_was_ever_received_there_is_none_to_store(
    work: Work, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    ran: list[tuple[str, ...]] = []

    def run_command(argv: tuple[str, ...], work: Work, **_: object) -> StepResult:
        ran.append(argv)
        return StepResult(False)

    monkeypatch.setattr(runners, "run_command", run_command)
    found = runners.command("store-spool", SHIP, work)
    assert found.ok and found.reason is not None and "never received" in found.reason and not ran
    spool: Path = work.services.state.root / "shipping" / "p" / "crm" / "spool"
    spool.mkdir(parents=True)
    assert not runners.command("store-spool", SHIP, work).ok and ran == [SHIP.argv]
