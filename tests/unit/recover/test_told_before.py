"""An asset that an earlier process handed over is no greener for having its name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ccdr.jobs.recover.first_look import as_facts, was_done
from ccdr.jobs.recover.journal import Progressed
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import RecoveryResult, StepResult
from ccdr.jobs.restore.request import RESTORED, RestoreResult
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans.targets import Target


@pytest.mark.parametrize(
    ("status", "finding", "code"),
    [
        (Verdict.PASS, None, 0),
        (Verdict.SKIPPED, None, 0),
        (Verdict.INCONCLUSIVE, None, 3),
        (Verdict.FAIL, None, 1),  # as where the glass was broken
        (Verdict.PASS, "the ledger was cut", 1),
    ],
)
def test_whoever_goes_on_ends_as_the_first_would_have(status: Verdict, finding: str | None, code: int) -> None:
    planned = Planned("crm", "s" * 64, None, None, None, 0.0, Target(directory=Path("/back/crm")))
    restore = RestoreResult("p", "crm", "r", result=RESTORED, checks=[CheckResult("rows", "rows", status, "", "")])
    restore.findings += [finding] if finding else []

    def ended(step: StepResult) -> RecoveryResult:
        decision = Decision("p", None, (planned,), None, None)
        return RecoveryResult(decision, "r", 60.0, 60.0, {"crm": step})

    first = ended(StepResult(planned, "done", restore=restore))
    again = ended(StepResult(planned))
    past = Progressed("crm", "r", "named", {"checked": as_facts(restore), "named": {}})
    session = SimpleNamespace(result=again, past=lambda _: past)
    was_done(cast("Any", session), planned)
    for result in (first, again):
        result.conclude()
    assert (again.state, again.exit_code, again.found) == ("done", first.exit_code, first.found)
    assert again.exit_code == code
