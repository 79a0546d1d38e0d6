"""Which sources still answer is asked of all at once, and nobody waits for one that does not."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Site, Source

from ccdr.jobs.recover import still_there as asking
from ccdr.jobs.recover.states import ANSWERS, SILENT
from ccdr.jobs.recover.still_there import still_there
from ccdr.plans.job import Job


def test_one_that_takes_calls_and_says_nothing_is_not_waited_for(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server whose disk hangs, or a firewall that drops; beside it one that answers, and one that is gone."""
    monkeypatch.setattr(asking, "PATIENCE", 2.0)
    site = Site(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        site.plan(
            f"deaf: {{engine: postgres, connection: {{host: 127.0.0.1, port: {port}, user: x, database: x}}}}\n"
            f"well: {{engine: postgres, connection: {{host: {source.sockets}, user: postgres, database: postgres}}}}\n"
            f"gone: {{engine: files, paths: [{tmp_path}/gone]}}\n"
            "nowhere: {engine: postgres, connection: {host: no-such-host.invalid, user: x, database: x}}\n"
        )
        services, loaded = site.services(), site.loaded()
        jobs = [Job(loaded, name) for name in loaded.plan.assets]
        began = time.monotonic()
        with services.state.run(services.clock) as run:
            found = still_there(jobs, services, run, Quiet())
        took = time.monotonic() - began
    assert found == {"deaf": SILENT, "well": ANSWERS, "gone": SILENT, "nowhere": SILENT}
    assert took < asking.WAIT + 2
    assert site.records() == [], "it is no run of anything"
