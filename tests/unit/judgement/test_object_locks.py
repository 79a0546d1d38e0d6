"""Is what is in use locked for as long as the plan says? By what was recorded of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.judged import END

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.upkeep import locks_of
from ccdr.model.trouble import Problem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan, load_named

DAY = 24.0
PLAN = """
plan: p
service: s
owner: o
objectives: {rpo: 1h, rto: 1h}
repository: {url: 's3:http://127.0.0.1:1/b', password_file: key, lock: {keep: 35d, env_file: lock.env}}
assets:
  crm: {engine: files, paths: [/tree]}
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedPlan:
    root = tmp_path_factory.mktemp("locks")
    (root / "p.yaml").write_text(PLAN)
    return load_named("p", root, root)


def extended(past: Chronicle, hours: float, ends: float | None, result: str = "DONE", **more: Any) -> None:
    until = None if ends is None else rfc3339(past.at(ends * DAY))
    counts = {"objects": 9, "extended": 9, "held": 0}
    body = {"repository": "primary", "keep": 35 * 86400.0, "holds_until": until, "seconds": 1.0}
    past.wrote(hours, "lock.extended", asset=None, result=result, **{**counts, **body, **more})


def looked(past: Chronicle, hours: float, there: bool) -> None:
    secret = {"place": "repository.lock.env_file", "there": there}
    past.wrote(hours, "plan.examined", asset=None, repositories={}, sources={}, secrets=[secret])


def found(loaded: LoadedPlan, past: Chronicle, days: float = 0) -> list[Problem]:
    history = past.histories.get(("p", None), AssetHistory())
    return list(locks_of(loaded, history, past.at(days * DAY)))


def test_locks_that_end_too_soon_are_told_once_there_is_no_slack_left(loaded: LoadedPlan) -> None:
    past = Chronicle(END, "/tree")
    extended(past, -1, 38.5)
    assert found(loaded, past) == [] and found(loaded, past, 3) == []
    (late,) = found(loaded, past, 4)
    assert late.trouble.name == "LOCK_SHORT" and "ends at" in late.text
    extended(past, 4 * DAY, 43)
    assert found(loaded, past, 4.1) == [], "over when they are pushed forward"


def test_what_the_store_refused_is_told_at_once_and_what_was_stopped_early_is_not(loaded: LoadedPlan) -> None:
    past = Chronicle(END, "/tree")
    extended(past, -2, 38.5)
    extended(past, -1, None, "FAILED", reason="the bucket b answered AccessDenied")
    (refused,) = found(loaded, past)
    assert refused.trouble.name == "LOCK_SHORT" and "AccessDenied" in refused.text
    extended(past, 0, None, "PARTIAL", reason="its time was up")
    assert found(loaded, past) == [], "the next run goes on, and what was known before holds"
    assert [p.trouble.name for p in found(loaded, past, 4)] == ["LOCK_SHORT"]


def test_what_somebody_overwrote_is_told(loaded: LoadedPlan) -> None:
    past = Chronicle(END, "/tree")
    extended(past, -1, 38.5, overwritten=2)
    assert [p.trouble.name for p in found(loaded, past)] == ["OBJECTS_OVERWRITTEN"]


@pytest.mark.parametrize("there", [True, False])
def test_a_host_that_holds_the_credential_and_never_used_it_tells(loaded: LoadedPlan, there: bool) -> None:
    past = Chronicle(END, "/tree")
    looked(past, -3 * DAY, there)
    looked(past, -1, there)
    assert [p.trouble.name for p in found(loaded, past)] == (["LOCK_SHORT"] if there else []), "another host does it"
    assert found(loaded, Chronicle(END, str(Path("/tree")))) == []


def test_a_host_that_has_had_the_credential_for_two_days_has_run_once(loaded: LoadedPlan) -> None:
    past = Chronicle(END, "/tree")
    looked(past, -2 * DAY, there=True)
    assert found(loaded, past) == [] and [p.about for p in found(loaded, past, 0.01)] == ["primary"]
