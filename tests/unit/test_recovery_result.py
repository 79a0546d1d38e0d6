"""What a recovery amounts to: its exit code, and what it tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.cli.recover_told import tell_result
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import RecoveryResult, StepResult
from ccdr.jobs.restore.request import RESTORED, RestoreResult
from ccdr.plans.targets import Target
from ccdr.ports.new_server import StartLines


def ended(
    *, lost: float = 60.0, worked: float = 60.0, state: str = "done", start: StartLines | None = None
) -> RecoveryResult:
    planned = Planned("crm", "s" * 64, None, None, None, lost, Target(directory=Path("/back/crm")))
    step = StepResult(planned, state, start=start)
    result = RecoveryResult(Decision("p", None, (planned,), None, None), "r", 3600.0, 1800.0, {"crm": step})
    result.worked = worked
    result.conclude()
    return result


@pytest.mark.parametrize(
    ("lost", "worked", "breached"),
    [(60, 60, []), (3601, 60, ["RPO"]), (60, 1801, ["RTO"]), (3601, 1801, ["RPO", "RTO"])],
)
def test_an_objective_that_is_breached_is_a_finding(lost: float, worked: float, breached: list[str]) -> None:
    result = ended(lost=lost, worked=worked)
    assert (result.exit_code, result.breached) == (1 if breached else 0, breached)
    assert result.why == [f"{name} BREACHED" for name in breached]


@pytest.mark.parametrize(
    ("own", "lost", "spare_of", "code"),
    [(300.0, 301.0, None, 1), (300.0, 299.0, None, 0), (None, 301.0, None, 0), (300.0, 301.0, "whole", 0)],
)
def test_an_assets_own_objective_counts_where_it_is_the_stricter_one(
    own: float | None, lost: float, spare_of: str | None, code: int, wording: SnapshotAssertion
) -> None:
    """Of a spare nothing is lost that the one has which is started."""
    result = ended(lost=lost)
    step = result.steps["crm"]
    step.own_rpo_s, step.planned = own, replace(step.planned, spare_of=spare_of)
    assert (result.exit_code, result.rpo().verdict) == (code, "MET")
    assert result.found == ([wording] if code else [])


def test_the_last_line_says_why_the_exit_code_is_not_0(capsys: pytest.CaptureFixture[str]) -> None:
    tell_result(ended(lost=3601))
    assert capsys.readouterr().out.splitlines()[-1] == "exit 1: RPO BREACHED"
    tell_result(ended())
    assert "exit" not in capsys.readouterr().out
    tell_result(ended(state="failed"))
    assert capsys.readouterr().out.splitlines()[-1] == "exit 3: crm is failed"


def test_one_that_is_not_done_has_not_measured_them() -> None:
    assert ended(lost=3601, worked=1801, state="stopped").exit_code == 3


def test_what_a_restore_found_is_among_its_findings() -> None:
    result = ended()
    restore = result.steps["crm"].restore = RestoreResult("p", "crm", "r", result=RESTORED)
    assert (result.exit_code, result.as_json()["findings"]) == (0, [])
    restore.findings.append("the ledger was cut")
    assert (result.exit_code, result.as_json()["findings"]) == (1, ["crm: the ledger was cut"])


@pytest.mark.parametrize(("start", "told"), [(None, False), (StartLines((), ()), True)])
def test_an_objective_that_was_met_says_which_servers_nobody_has_started(start: StartLines | None, told: bool) -> None:
    end = ended(start=start).ended()
    assert end.rto.verdict == "MET"
    assert any(note.startswith("crm: it is still to be started") for note in end.notes) is told


def test_what_is_there_does_not_make_green_what_was_never_begun() -> None:
    """As where ccdr itself broke between two assets: the first is back, and the second waits."""
    done, waits = (
        Planned(name, "s" * 64, None, None, None, 0.0, Target(directory=Path(f"/back/{name}")))
        for name in ("crm", "web")
    )
    restore = RestoreResult("p", "crm", "r", result=RESTORED)
    steps = {"crm": StepResult(done, "done", restore=restore), "web": StepResult(waits)}
    result = RecoveryResult(Decision("p", None, (done, waits), None, None), "r", 60.0, 60.0, steps)
    result.conclude()
    assert result.state == "paused_by_failed_step"
    assert (result.exit_code, result.why) == (3, ["web is waiting"])
