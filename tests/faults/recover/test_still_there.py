"""Which sources still answer is asked of all at once, and nobody waits for one that does not."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site, Source

from ccdr.jobs.recover import outlook as asking
from ccdr.jobs.recover.outlook import still_there
from ccdr.jobs.recover.states import ABSENT, ANSWERS, DEAF, REFUSED, SILENT, UNASKED
from ccdr.plans.job import Job
from ccdr.ports.engine import Engine
from ccdr.sandbox.lab import Lab


def test_a_server_that_nothing_listens_for_is_asked_by_no_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets that a dead server left behind, and one that is alive: that alone is worth a client."""
    site, asked = Site(tmp_path), list[str]()

    @contextlib.contextmanager
    def client(lab: Lab, engine: Engine, run: str, *given: Any, **how: Any) -> Iterator[None]:
        asked.append(str(how["part"]))
        yield

    monkeypatch.setattr(Lab, "source", client)
    with socket.socket(socket.AF_UNIX) as alive, socket.create_server(("127.0.0.1", 0)) as free:
        for name in ("alive", "dead", "empty"):
            (tmp_path / name).mkdir()
        alive.bind(f"{tmp_path}/alive/.s.PGSQL.5432")
        alive.listen()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{tmp_path}/dead/.s.PGSQL.5432")
        port = free.getsockname()[1]
        free.close()
        servers = "".join(
            f"{name}: {{engine: postgres, connection: {{host: {tmp_path}/{name}, user: x, database: x}}}}\n"
            for name in ("alive", "dead", "empty", "gone")
        )
        connection = f"{{host: 127.0.0.1, port: {port}, user: x, database: x}}"
        locked = f"host: {tmp_path}/alive, user: x, database: x, password_file: lost.pw"
        servers += f"locked: {{engine: postgres, connection: {{{locked}}}}}\n"
        site.plan(f"{servers}refuses: {{engine: postgres, connection: {connection}}}\n")
        services, loaded = site.services(), site.loaded()
        with services.state.run(services.clock) as run:
            found = still_there([Job(loaded, name) for name in loaded.plan.assets], services, run, Quiet())
    assert found == {
        "locked": UNASKED,
        "alive": ANSWERS,
        "dead": SILENT,
        "empty": SILENT,
        "gone": SILENT,
        "refuses": SILENT,
    }
    assert len(asked) == 1 and asked[0].endswith("-alive")


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
            f"lost: {{engine: postgres, connection: {{host: {source.sockets}, user: postgres, database: lost}}}}\n"
            f"stranger: {{engine: postgres, connection: {{host: {source.sockets}, user: x, database: postgres}}}}\n"
        )
        services, loaded = site.services(), site.loaded()
        jobs = [Job(loaded, name) for name in loaded.plan.assets]
        began = time.monotonic()
        with services.state.run(services.clock) as run:
            found = still_there(jobs, services, run, Quiet())
        took = time.monotonic() - began
    others = {"lost": ABSENT, "stranger": REFUSED}
    assert found == {"deaf": DEAF, "well": ANSWERS, "gone": SILENT, "nowhere": SILENT, **others}
    assert took < asking.WAIT + 2
    assert site.records() == [], "it is no run of anything"
