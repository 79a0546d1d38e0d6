"""A new server that its `start:` was carried out for: waited for, and not for ever."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.listeners import free_port

from ccdr.jobs.restore import opening
from ccdr.jobs.restore.left_server import CHECKING, LeftServer
from ccdr.jobs.restore.opening import Opening
from ccdr.model.errors import CcdrError
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import Owner, Site, StartLines


class Told:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def amount(self, done: int, total: int | None) -> None: ...


def opened(home: Path, port: int) -> Opening:
    lines, owner = StartLines((), ()), Owner(1, 1)
    left = LeftServer("p", "crm", "r", "s", "m", home, "127.0.0.1", port, home / "run", owner, "i", lines, {})
    (scratch := home / "scratch").mkdir()
    job: Any = SimpleNamespace(plan="p", asset="crm", limits=SimpleNamespace(no_progress=600.0))
    anything: Any = None
    run: Any = SimpleNamespace(scratch=scratch)
    return Opening(job, NewServer(directory=home), left, Site(home), anything, anything, anything, run)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever listens is the right one, and what does not within a second is not waited for."""
    monkeypatch.setattr(opening, "PATIENCE", 1.0)

    def answers(one: Opening) -> bool:
        with socket.socket() as client:
            return client.connect_ex((one.left.address, one.left.port)) == 0

    monkeypatch.setattr(Opening, "answers", answers)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("argv", "said"), [(["true"], "ended well"), (["sleep", "9"], "is still at work")])
def test_where_nothing_answers_it_stops_and_tells_what_was_tried(tmp_path: Path, argv: list[str], said: str) -> None:
    told, port, began = Told(), free_port(), time.monotonic()
    with pytest.raises(CcdrError) as refused:
        opened(tmp_path, port).start(argv, told)
    assert time.monotonic() - began < 5 and refused.value.exit_code == 3
    assert f"`start:` {said}" in str(refused.value) and f"127.0.0.1:{port}" in str(refused.value)
    assert "`ccdr recover --resume p` goes on" in str(refused.value.hint)
    assert told.steps[-1] == f"waiting until crm answers at 127.0.0.1:{port}"


@pytest.mark.usefixtures("impatient")
def test_one_that_is_checked_meanwhile_is_not_started(tmp_path: Path) -> None:
    (tmp_path / CHECKING).touch()
    with pytest.raises(CcdrError, match=r"a check of the server in .* is at work") as refused:
        opened(tmp_path, free_port()).start(["touch", str(tmp_path / "started")], Told())
    assert "`ccdr recover check p`" in str(refused.value.hint) and not (tmp_path / "started").exists()


@pytest.mark.usefixtures("impatient")
def test_its_twin_that_answers_is_open(tmp_path: Path) -> None:
    port = free_port()
    listens = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(3)"
    opened(tmp_path, port).start(["python3", "-c", listens], Told())
