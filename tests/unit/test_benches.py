"""What the benches make of what they measured. That they run at all is shown by `--quick`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.wording import lines_with

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("rounds")


@pytest.fixture
def logs(rounds: ModuleType) -> ModuleType:
    return importlib.import_module("logs")


def test_a_ratio_is_of_one_round_and_told_with_its_range(
    rounds: ModuleType, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    found = rounds.Rounds({"backup": rounds.Measure("first backup", limits={"peer": 1.0})}, tmp_path / "part")
    for ours, other in ((1.0, 2.0), (10.0, 5.0), (3.0, 3.0)):
        found.keep("backup", "ccdr", ours)
        found.keep("backup", "peer", other)
    assert lines_with(found.table(), "first backup") == wording
    assert found.made == 3 and not found.missed


def test_what_was_measured_is_kept_at_once(rounds: ModuleType, tmp_path: Path) -> None:
    found = rounds.Rounds({"backup": rounds.Measure("first backup")}, tmp_path / "part")
    found.keep("backup", "ccdr", 1.5)
    assert json.loads((tmp_path / "part").read_text())["samples"] == {"backup": {"ccdr": [1.5]}}


def test_who_comes_first_changes(rounds: ModuleType, tmp_path: Path) -> None:
    found = rounds.Rounds({"backup": rounds.Measure("first backup")}, tmp_path / "part")
    order: list[str] = []
    sides = {name: lambda name=name: order.append(name) or 1.0 for name in ("ccdr", "peer")}
    found.turn("backup", 1, sides)
    found.turn("backup", 2, sides)
    assert order == ["ccdr", "peer", "peer", "ccdr"]


def test_no_round_is_begun_that_would_end_too_late(rounds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [rounds.BEGAN]
    monkeypatch.setattr(rounds.time, "monotonic", lambda: now[0])

    def made(minutes: float | None, after: float = 0) -> int:
        now[0], count = rounds.BEGAN, 0
        for _ in rounds.numbers(5, minutes, after=after):
            now[0] += 60
            count += 1
        return count

    assert made(None) == 5 and made(3) == 3 and made(3, after=1) == 2
    assert made(0.1) == 1, "one round there always is"


def test_what_ccdr_says_of_the_log_is_held_against_what_was_lost(logs: ModuleType) -> None:
    def wrong(lost: float, said: float, rpo: float = 60.0) -> list[str]:
        found: list[str] = logs.Measured("postgres", 500.0, 4, rpo, 1.0, 10, lost, said, 5.0, 0.001).wrong(75.0)
        return found

    assert wrong(4.0, 4.5) == []
    assert "too little" in wrong(4.0, 3.99)[0]
    assert "too much" in wrong(4.0, 6.5)[0]
    assert wrong(80.0, 80.0) == ["lost 80.0 s"]
    assert wrong(4.0, 4.0, rpo=76.0) == ["was exposed for 76.0 s"]


def test_size_counts_statements_without_imports_and_docstrings_by_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    size = importlib.import_module("size")
    module = '"""What it is."""\nimport os\n\ndef f(x):\n    """What it does."""\n    if x:\n        return os.name\n'
    for name, text in {"model/a.py": module, "model/b.py": "x = 1\n", "demo/c.sql": "a\nb\n", "d.py": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rooms = size.sizes(tmp_path)
    assert list(rooms) == [".", "demo", "model"]
    assert (rooms["model"]["modules"], rooms["model"]["statements"], rooms["model"]["names"]) == (2, 4, 1)
    assert rooms["demo"]["sql"] == 2
