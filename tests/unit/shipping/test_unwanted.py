"""What ships a log that no plan wants any more is ended, and nothing beside it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccdr.host.state import State
from ccdr.jobs.shipping import background

HOLDER = """
import fcntl, sys, time
held = [open(path, "w") for path in sys.argv[2:]]
for lock in held: fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def holder(verb: str, *locks: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HOLDER, verb, *map(str, locks)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_what_ships_a_log_that_no_plan_wants_any_more_is_ended(tmp_path: Path) -> None:
    state = State(tmp_path)
    locks = state.directory("locks")
    of = {name: locks / f"{name}.ship.lock" for name in ("p.kept", "p.left", "p.gone", "p.both", "q.other")}
    engines = {name: SimpleNamespace(shipping=name == "kept" or None) for name in ("kept", "left", "both", "looker")}
    plan: Any = SimpleNamespace(plan=SimpleNamespace(plan="p", assets=engines))
    ended = [holder("ship", of[name]) for name in ("p.left", "p.gone")]
    spared = [
        holder("ship", of["p.kept"]),
        holder("ship", of["q.other"]),
        holder("status", locks / "p.looker.ship.lock"),
    ]
    of["p.both"].touch()  # of one that has ended long ago
    try:
        said = list(background.end_unwanted([plan], state))
        assert [f"p/{name} " in one for name, one in zip(("gone", "left"), said, strict=True)] == [True, True], said
        assert [process.wait(60) for process in ended] == [-signal.SIGTERM] * 2
        assert [process.poll() for process in spared] == [None] * 3
        assert list(background.end_unwanted([plan], state)) == []
    finally:
        for process in (*ended, *spared):
            process.kill()
            process.communicate()


def test_what_ships_a_wanted_log_beside_it_is_let_be(tmp_path: Path) -> None:
    state = State(tmp_path)
    locks = state.directory("locks")
    engines = {"kept": SimpleNamespace(shipping=True), "left": SimpleNamespace(shipping=None)}
    plan: Any = SimpleNamespace(plan=SimpleNamespace(plan="p", assets=engines))
    process = holder("ship", locks / "p.kept.ship.lock", locks / "p.left.ship.lock")
    try:
        (said,) = background.end_unwanted([plan], state)
        assert "p/left" in said and "start that one anew" in said and process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_ends_while_all_are_looked_at_hinders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "p.left.ship.lock"
    ships = holder("ship", lock)
    gone = subprocess.Popen(["true"])
    gone.wait()
    glob = Path.glob
    ended = Path("/proc", str(gone.pid))
    monkeypatch.setattr(
        Path,
        "glob",
        lambda self, pattern: [ended, *glob(self, pattern)] if self == Path("/proc") else glob(self, pattern),
    )
    try:
        assert background._holding(lock) == {ships.pid}
    finally:
        ships.kill()
        ships.wait()
