"""What somebody with a free hand on the state directory does to it is told by the next command, and changes no judgement.

docs/evidence.md lists all manipulations and who notices; each test here has its healthy twin."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.harness import Site
from tests.stored import two_days

from ccdr.clock import SystemClock
from ccdr.ledger import Ledger


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All is well: two backups, a restore test, and a run that found nothing to do."""
    site = two_days(tmp_path_factory.mktemp("well"))
    assert (site.run("test", "p").code, site.run("run").code) == (0, 0)
    return site


def codes(site: Site) -> tuple[int, set[str]]:
    """What `status` exits with, and the troubles it tells of."""
    done = site.run("status")
    plans = done.json["plans"]
    return done.code, {t["code"] for p in plans for one in (p, *p["assets"]) for t in one["troubles"]}


def said(site: Site) -> tuple[int, str]:
    """What `report` exits with, and its answer."""
    done = site.run("report")
    return done.code, done.json["answer"]["word"]


def test_records_of_a_later_ccdr_are_inconclusive_whoever_looks(twin: Site) -> None:
    assert codes(twin) == (0, set()) and said(twin) == (0, "Yes, unless disk or machine is lost")
    newest: dict[str, Any] = twin.records("restore_test.end")[-1]
    keep = {key: newest[key] for key in newest if key not in ("seq", "prev", "time", "host", "actor")}
    Ledger(twin.state / "ledger", SystemClock())._append({**keep, "version": 99, "verdict": "FAIL"})
    assert codes(twin) == (3, {"RECORDS_NEWER"}) and said(twin) == (3, "Not proven")
    assert twin.run("ledger", "verify").code == 3
    assert json.loads(twin.run("run", "--dry-run").stdout) is not None
