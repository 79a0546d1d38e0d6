"""A spare that does not fit another store stops nothing: nobody is to start it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.recovering import Watching

from ccdr.host.state import State
from ccdr.jobs.recover.comparing import Comparing
from ccdr.jobs.recover.one_turn import Doing
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.restore.work import Restoring
from ccdr.model.values import CheckResult, Verdict


def compared(monkeypatch: pytest.MonkeyPatch, state: State, spare_of: str | None, status: Verdict) -> tuple[bool, Any]:
    check = CheckResult("reconcile", "every call's recording: rows", status, "0", "40")
    monkeypatch.setattr(Comparing, "compare", lambda *_: [check])
    restoring = cast("Any", Restoring.__new__(Restoring))
    restoring.result, restoring._keep, restoring._unknown = RestoreResult("p", "crm", "r"), True, True
    restoring.request = SimpleNamespace(despite_failed_checks=False, goes_on=True)
    restoring.job, restoring._way = SimpleNamespace(plan="p", asset="crm"), SimpleNamespace()
    restoring.examination = SimpleNamespace(has_older=True)
    step = SimpleNamespace(
        planned=SimpleNamespace(asset="crm", spare_of=spare_of), before=False, state="bringing", borne=[]
    )
    session = SimpleNamespace(
        run=None,
        services=SimpleNamespace(state=state),
        result=SimpleNamespace(steps={"crm": step}, notes=[]),
        job=lambda _: SimpleNamespace(checks=[SimpleNamespace(beside="recordings")]),
        open={"crm": restoring},
        reached=lambda *_: None,
    )
    well = Doing(cast("Any", session))._compare("crm", cast("Any", Watching()))
    return well, SimpleNamespace(notes=session.result.notes, restore=restoring.result)


@pytest.mark.parametrize(
    ("spare_of", "status", "well"),
    [
        ("whole", Verdict.FAIL, True),
        (None, Verdict.FAIL, False),
        (None, Verdict.PASS, True),
        ("whole", Verdict.PASS, True),
    ],
)
def test_a_comparison_of_a_spare_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spare_of: str | None, status: Verdict, well: bool
) -> None:
    done, told = compared(monkeypatch, State(tmp_path / "state"), spare_of, status)
    bad = [] if well else ["every call's recording: rows"]
    assert done is well and told.restore.bad_checks == bad
    assert any("it is a spare" in note and "whole is what" in note for note in told.notes) is (
        status is Verdict.FAIL and spare_of is not None
    )
    if not well:
        assert "ccdr restore p --asset crm … --despite-failed-checks" in told.restore.hint
