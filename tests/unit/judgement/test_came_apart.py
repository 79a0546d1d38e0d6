"""A comparison that a recovery has foretold to be red leads to the person who decides, and not to older snapshots."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.chronicle import NOUGHT, PASSED, Chronicle
from tests.support.harness import Site
from tests.support.judged import about, judged

from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job

CRM = "engine: postgres, connection: {host: /x, user: u, database: d}"
BESIDE = {"name": "every call", "kind": "reconcile", "status": "FAIL", "expected": "0", "actual": "40"}
OWN = {"name": "rows", "kind": "query", "status": "FAIL", "expected": "1", "actual": "0"}
SECONDS = 1 / 3600


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """`crm` is compared with `rec`; `whole` is of the same server."""
    site = Site(tmp_path_factory.mktemp("site"), bare=True)
    check = "{kind: reconcile, name: every call, with: rec, query: select 1}"
    site.write("restore_tests/calls.yaml", f"restore_test: calls\nchecks:\n  - {check}\n")
    site.plan(
        "rec: {engine: files, paths: [/var/spool/rec]}\n"
        f"crm: {{{CRM}, restore_test: {{schedule: '0 3 * * *', checks: [calls]}}}}\n"
        f"whole: {{{CRM}, method: physical, log_shipping: {{}}}}\n"
    )
    return {"crm": Job(site.loaded(), "crm")}


def recovered(past: Chronicle, hours: float, state: str = "done", **points: float) -> None:
    assets: list[dict[str, Any]] = [
        {"asset": name, "state": state, "snapshot": NOUGHT, "point": rfc3339(past.at(at)),
         "target": {"kind": "directory", "name": "/d"}}
        for name, at in points.items()
    ]  # fmt: skip
    rpo = {"objective_s": 60.0, "achieved_s": 1.0, "verdict": "MET"}
    rto = {**rpo, "machine_s": 1.0, "waited_s": 0.0, "away_s": 0.0, "predicted_s": None, "low_s": None, "high_s": None}
    past.wrote(hours, "recover.end", "r", asset=None, state=state, reason=None, moment=None, resumes=None, rpo=rpo,
               rto=rto, assets=assets, findings=[], notes=[], left_behind=[])  # fmt: skip


def step(jobs: dict[str, Job], past: Chronicle, *failed: dict[str, Any], own: str | None = "PASS") -> str:
    past.tested(-0.2, "new", "FAIL", own=own, checks=[*failed, PASSED])
    (found,) = [p for p in judged(jobs["crm"], past).troubles if p.trouble is Trouble.TEST_FAILED]
    return str(found.step)


@pytest.mark.parametrize("own", ["PASS", None])
@pytest.mark.parametrize(
    "points",
    [{"crm": -2, "rec": -2.1}, {"crm": -2, "rec": -1.9}, {"crm": -2, "rec": -2, "whole": -1.9}],
    ids=["newer", "older", "a spare that goes on at a newer server"],
)
def test_what_was_foretold_leads_to_who_decides(
    jobs: dict[str, Job], points: dict[str, float], own: str | None
) -> None:
    past = about(jobs["crm"])
    recovered(past, -1, **points)
    past.stored(-0.5, "new")
    said = step(jobs, past, BESIDE, own=own)
    assert said.startswith("ccdr ack TEST_FAILED p --asset crm ") and "--until 14d --why" in said
    assert "ccdr snapshots" not in said
    assert "`ccdr status p` names the file" in said and "Stores that came back apart" in said


@pytest.mark.parametrize(
    ("points", "state", "stored", "failed"),
    [
        ({"crm": -2, "rec": -2 + 0.5 * SECONDS}, "done", -0.5, [BESIDE]),  # they came back together
        ({"crm": -2}, "done", -0.5, [BESIDE]),  # the other one was not brought back
        ({"crm": -2, "rec": -2.1}, "failed", -0.5, [BESIDE]),
        ({"crm": -2, "rec": -2.1}, "done", -1.5, [BESIDE]),  # of before the recovery
        ({"crm": -2, "rec": -2.1}, "done", -0.5, [BESIDE, OWN]),
        ({"crm": -2, "rec": -2.1}, "done", -0.5, [OWN]),
    ],
)
def test_what_was_not_leads_where_it_always_did(
    jobs: dict[str, Job], points: dict[str, float], state: str, stored: float, failed: list[dict[str, Any]]
) -> None:
    past = about(jobs["crm"])
    recovered(past, -1, state, **points)
    past.stored(stored, "new")
    said = step(jobs, past, *failed)
    assert not said.startswith("ccdr ack")
