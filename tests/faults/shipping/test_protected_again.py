"""After a recovery everything goes on by itself: nobody gives another command than `ccdr run`, as cron does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.faults.shipping.test_recovered import NOTES, gone_back, inside, there, wrote
from tests.support.cluster import Cluster
from tests.support.harness import Site, eventually
from tests.support.shipping import based, standing

from ccdr.jobs.shipping.background import stop
from ccdr.model.values import utc

pytestmark = pytest.mark.long


def seldom(site: Site) -> None:
    """Schedules that nothing comes due by while the test is at work."""
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace('"0 1 * * *"', '"0 1 1 1 *"').replace('"0 3 * * *"', '"0 3 1 1 *"'))


def troubles(site: Site) -> list[str]:
    (plan,) = site.run("status", "p").json["plans"]
    return [one["code"] for one in (*plan["troubles"], *plan["assets"][0]["troubles"])]


def ran(site: Site) -> list[tuple[str, Any]]:
    done = site.run("run", "p").json["did"]
    return [(one["verb"], (one["result"] or {}).get("verdict") or (one["result"] or {}).get("result")) for one in done]


def protected(site: Site, made: Cluster) -> None:
    """By `ccdr run` alone: a new base, the restore test of it, the log on from there, and nothing wrong."""
    did: list[tuple[str, Any]] = []

    def both() -> bool:
        did.extend(ran(site))
        return len(did) >= 2

    assert eventually(both, 90), (did, standing(site))
    assert did == [("backup", "STORED"), ("test", "PASS")]
    recent = wrote(made, "on")
    assert eventually(lambda: utc(standing(site)["point"]) > recent, 60), standing(site)
    assert troubles(site) == [] and ran(site) == []


def test_a_server_that_was_recovered_to_a_moment_is_protected_again_and_once_more(tmp_path: Path) -> None:
    """The old history's moments stay within reach. A second crash right after is recovered from."""
    with based(tmp_path) as (site, made):
        seldom(site)
        inside(made, "ln", "-sfn", str(made.tablespaces), "/work")
        try:
            assert ran(site) == [] and site.run("test", "p").json["verdict"] == "PASS"
            moment = wrote(made, "first")
            time.sleep(1.1)
            last = wrote(made, "taken", switch=True)
            assert eventually(lambda: utc(standing(site)["point"]) > last, 60), standing(site)
            assert ran(site) == [] and troubles(site) == [], "the twin: nothing is due while all goes well"
            gone_back(site, made, moment.isoformat())
            protected(site, made)
            assert made.psql(NOTES, "postgres") == "first on"
            assert there(site, last.isoformat()) == "first taken", "of the history that was left"
            gone_back(site, made, "latest")
            assert made.psql(NOTES, "postgres") == "first on"
            protected(site, made)
        finally:
            stop(site.services().state)
