"""A new server as it stands under its final name: is it the one that was brought, and what was looked at?"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.test_opening import left_in

from ccdr.checks.identical import Identical
from ccdr.cli.progress import SILENT
from ccdr.jobs.recover import standing_assets as standing
from ccdr.jobs.recover.standing_assets import NOTHING, Of, Standing, StandingServer
from ccdr.jobs.restore.opening import Opening
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans.targets import Target

PASSED = CheckResult("not_empty", "not_empty", Verdict.PASS, "rows", "20")
SKIPPED = replace(PASSED, status=Verdict.SKIPPED)


def standing_at(home: Path, monkeypatch: pytest.MonkeyPatch, *, must_be_opened: bool = False) -> Any:
    """Of the server that `left_in` leaves there: nobody has started it, and no copy of it can be opened here."""
    (home / "run").mkdir(parents=True)
    left = left_in(home, 5433)
    one = cast(Any, object.__new__(Standing))
    where = Target.model_validate({"new_server": {"directory": home}})
    told = SimpleNamespace(left=left, wanted=where.new_server, maker=SimpleNamespace(told_by=lambda _: ["conf"]))
    monkeypatch.setattr(Opening, "of", lambda *_: told)
    monkeypatch.setattr(standing, "may_reopen", lambda *_: False)
    one.planned = SimpleNamespace(where=where, snapshot=left.snapshot, asset="crm")
    one.job, one.order = SimpleNamespace(checks=(), asset="crm"), SimpleNamespace(manifest=None)
    one._services = one._run = None
    one._of, one._must_be_opened, one._stack = Of(left.mark, left.run), must_be_opened, contextlib.ExitStack()
    return one


class InUse:
    """The server that the spare is a spare of: it answers, and tells `results`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *results: CheckResult) -> None:
        self.planned, self.moment, self.recovered, self.asked = SimpleNamespace(asset="server"), None, False, 0
        self.answering: Any = SimpleNamespace(maker=SimpleNamespace(asked=lambda *_: None)), None
        self.results = list(results)
        nothing = all(one.status is Verdict.SKIPPED for one in results)
        way = SimpleNamespace(check=self._check, looked_at_nothing=nothing)
        monkeypatch.setattr(standing, "StandingServer", lambda *_, **__: way)

    def _check(self, _: object) -> list[CheckResult]:
        self.asked += 1
        return self.results


@pytest.mark.parametrize("must", [True, False])
def test_one_that_nobody_started_fails_once_it_must_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, must: bool
) -> None:
    one = standing_at(tmp_path / "crm", monkeypatch, must_be_opened=must)
    with SILENT as progress:
        (found,) = one._new_server(progress)
    assert found.status is (Verdict.FAIL if must else Verdict.PASS)


@pytest.mark.parametrize("changed", ["nothing", "snapshot", "recovery", "run", "files"])
def test_a_spare_of_another_recovery_is_not_passed_for_the_server_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """It may hold anything; and it is what somebody starts when the other one dies."""
    one, first = standing_at(tmp_path / "crm", monkeypatch), InUse(monkeypatch, PASSED)
    if changed == "snapshot":
        one.planned.snapshot = "another"
    elif changed in ("recovery", "run"):
        one._of = Of("another", "r") if changed == "recovery" else Of("m", "another")
    elif changed == "files":
        Opening.of(*[None] * 5).maker.told_by = lambda _: ["conf", "pg_hba.conf"]  # type: ignore[arg-type]
    with SILENT as progress:
        server, *checks = one.look_in(first, progress)
    expected = (Verdict.PASS, [PASSED], 1) if changed == "nothing" else (Verdict.FAIL, [], 0)
    assert (server.status, checks, first.asked) == expected
    if changed == "nothing":
        assert "its rows were not asked for" in server.actual and NOTHING not in server.actual


def test_where_no_check_could_ask_the_server_in_use_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = standing_at(tmp_path / "crm", monkeypatch)
    with SILENT as progress:
        server, *_ = one.look_in(InUse(monkeypatch, SKIPPED), progress)
    assert server.actual.endswith(NOTHING)


@pytest.mark.parametrize(("found", "nothing"), [((), True), ((SKIPPED,), True), ((SKIPPED, PASSED), False)])
def test_of_one_in_use_without_a_check_that_may_ask_it_nothing_was_looked_at(
    tmp_path: Path, found: tuple[CheckResult, ...], nothing: bool
) -> None:
    """As where the plan has `identical` alone: that was done before it had its name."""
    order = SimpleNamespace(
        job=SimpleNamespace(checks=[Identical(kind="identical")], asset="crm"),
        run=SimpleNamespace(scratch=tmp_path, directory=lambda name: (tmp_path / name).mkdir()),
        services=SimpleNamespace(host=None, digest=None),
        manifest=None,
        phase=lambda *_: contextlib.nullcontext(),
        check=lambda *_: list(found),
    )
    one = StandingServer(cast("Any", order), cast("Any", None), cast("Any", SimpleNamespace(place=None)), opened=True)
    with SILENT as progress:
        assert [check.kind for check in one.check(progress)][-1] == "identical"
    assert one.looked_at_nothing is nothing
