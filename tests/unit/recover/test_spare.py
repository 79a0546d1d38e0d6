"""A spare that does not fit another store stops nothing: nobody is to start it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.recovering import Watching

from ccdr.host.state import State
from ccdr.jobs.recover import again
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.turn import Comparing, Doing
from ccdr.jobs.restore.request import RestoreResult
from ccdr.jobs.restore.work import Restoring
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans.targets import Target


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
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    spare_of: str | None,
    status: Verdict,
    well: bool,
    wording: SnapshotAssertion,
) -> None:
    done, told = compared(monkeypatch, State(tmp_path / "state"), spare_of, status)
    bad = [] if well else ["every call's recording: rows"]
    assert done is well and told.restore.bad_checks == bad
    assert any("it is a spare" in note and "whole is what" in note for note in told.notes) is (
        status is Verdict.FAIL and spare_of is not None
    )
    if not well:
        assert "--despite-failed-checks" in told.restore.hint and told.restore.hint == wording


@pytest.mark.parametrize(("spare_of", "started", "code"), [("whole", False, 0), ("whole", True, 1), (None, False, 1)])
def test_a_spare_that_somebody_has_started_is_in_use_and_has_to_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spare_of: str | None, started: bool, code: int
) -> None:
    planned = Planned("crm", "s" * 64, None, None, None, 0.0, Target(directory=tmp_path / "crm"), spare_of=spare_of)
    check = CheckResult("reconcile", "every call's recording: rows", Verdict.FAIL, "0", "40")
    stands = SimpleNamespace(
        job=SimpleNamespace(checks=[SimpleNamespace(beside="recordings")]),
        result=SimpleNamespace(left_behind=[]),
        answering=("opening", "client") if started else None,
        look=lambda _: [],
    )
    monkeypatch.setattr(again, "Standing", lambda *_, **__: stands)
    monkeypatch.setattr(again, "Job", lambda *_: None)
    monkeypatch.setattr(again, "put_back", lambda *_: False)
    monkeypatch.setattr(again.Of, "told", lambda *_, **__: None)
    monkeypatch.setattr(Comparing, "compare", lambda *_: [check])
    told = SimpleNamespace(decided=Decision("p", None, (planned,), None, None).journaled)
    services = SimpleNamespace(state=State(tmp_path / "state"), clock=SimpleNamespace(now=lambda: None))
    run = SimpleNamespace(scratch=tmp_path)
    (one,) = again.check_again(*cast("Any", (None, told, services, run, Watching(), {})))
    assert one.code == code
