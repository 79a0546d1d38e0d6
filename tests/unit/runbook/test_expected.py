"""The predicted finish of a runbook: its recovery is foretold as `ccdr recover` works, side by side."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.clocks import NOON
from tests.support.harness import Site
from tests.support.manifests import a_manifest, counted
from tests.support.sparse import sparse_record

from ccdr.evidence.history.kinds import RESTORE_END
from ccdr.evidence.records import Record
from ccdr.jobs.recover import outlook as foretelling
from ccdr.jobs.runbook.outlook import expected_of
from ccdr.model.values import Snapshot, rfc3339
from ccdr.plans.runbook_made import runbook_of

MB = 2**20
TWO = "one: {engine: files, paths: [/srv/one]}\ntwo: {engine: files, paths: [/srv/two]}\n"


def measured(asset: str, seconds: float) -> Record:
    return sparse_record({
        "kind": RESTORE_END, "plan": "p", "asset": asset, "time": rfc3339(NOON), "result": "RESTORED",
        "snapshot": {"bytes": 100 * MB}, "phases": {"fetch": seconds - 1.0, "finish": 1.0}, "run": "r",
    })  # fmt: skip


def services(monkeypatch: pytest.MonkeyPatch, *records: Record, size: int = 100 * MB) -> Any:
    monkeypatch.setattr(foretelling, "newest_first", lambda _: iter(records))
    monkeypatch.setattr(foretelling.os, "cpu_count", lambda: 2)

    def snapshots(plan: str, asset: str) -> list[Snapshot]:
        return [counted("1", plan, asset, "r", "x", "x", NOON, NOON, size, "/x", "0" * 64)]

    catalogue = SimpleNamespace(snapshots=snapshots, manifest=lambda _: a_manifest())
    return SimpleNamespace(catalogue=catalogue, clock=SimpleNamespace(now=lambda: NOON))


def asked(site: Site, services: Any, assets: str = TWO) -> float | None:
    site.plan(assets)
    loaded = site.loaded()
    return expected_of(runbook_of(loaded.plan), services, loaded).get("recover")


def test_what_goes_side_by_side_is_no_sum(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    took = asked(site, services(monkeypatch, measured("one", 10.0), measured("two", 10.0)))
    assert took is not None and 10.0 < took < 15.0
    after = TWO.replace("[/srv/two]", "[/srv/two], depends_on: [one]")
    took = asked(site, services(monkeypatch, measured("one", 10.0), measured("two", 10.0)), after)
    assert took == pytest.approx(20.0)


def test_more_than_was_measured_takes_longer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = "one: {engine: files, paths: [/srv/one]}\n"
    same = asked(site, services(monkeypatch, measured("one", 10.0)), alone)
    more = asked(site, services(monkeypatch, measured("one", 10.0), size=400 * MB), alone)
    assert same is not None and more is not None and more > 2 * same


def test_where_one_was_never_measured_nobody_knows(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(site, services(monkeypatch, measured("one", 10.0))) is None
