"""What people see of a recovery: each asset's phase, and what has elapsed against what the plan promises."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from ccdr.cli.recover_view import LiveView, PlainView
from ccdr.jobs.recover import Decision, Planned
from ccdr.jobs.recover.states import Predicted
from ccdr.plans.model import PlanObjectives
from ccdr.plans.targets import Target

OBJECTIVES = PlanObjectives.model_validate({"rpo": "1h", "rto": "30m", "mtd": "4h"})


def decision(predicted: Predicted | None) -> Decision:
    assets = tuple(
        Planned(name, "a" * 64, None, None, None, None, Target(directory=Path(f"/srv/{name}")))
        for name in ("crm", "cdr")
    )
    return Decision("p", None, assets, predicted, None)


def drawn(view: LiveView) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_terminal_shows_each_asset_and_all_time_against_rto_and_mtd() -> None:
    view = LiveView(OBJECTIVES)
    assert "looking at the targets" in drawn(view)
    view.begins(decision(Predicted(600, 500, 700, 5)), 60.0)
    view.phase("crm", "bringing")
    view.step("crm", "fetching 1a2b3c4d [not markup]")
    view.amount("crm", 2**20, 2**30)
    shown = drawn(view)
    (against,) = (line for line in shown.splitlines() if "elapsed" in line)
    assert all(word in against for word in ("RTO ", "MTD ", "should be done at ")), against
    assert "bringing" in shown and "fetching 1a2b3c4d [not markup]" in shown and "1.0 MiB of 1.0 GiB" in shown
    assert "waiting" in shown
    view.phase("crm", "done")
    assert "fetching" not in drawn(view)


def test_what_takes_longer_than_predicted_says_so() -> None:
    view = LiveView(OBJECTIVES)
    view.begins(decision(Predicted(10, 5, 20, 5)), 60.0)
    assert "longer than predicted" in drawn(view)


def test_a_pipe_gets_one_line_for_each_phase(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView()
    view.begins(decision(None), 0.0)
    view.phase("crm", "bringing")
    view.step("crm", "fetching")
    view.phase("crm", "done")
    said = capsys.readouterr()
    assert said.out == "" and [line.split(",")[0] for line in said.err.splitlines()] == [
        "ccdr: recovering p: 2 assets",
        "ccdr: crm: bringing",
        "ccdr: crm: done",
    ]
