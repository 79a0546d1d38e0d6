"""Jobs whose assets are judged, and the past of one of them."""

from __future__ import annotations

import pytest
from tests.support.chronicle import Chronicle
from tests.support.harness import Site
from tests.support.judged import about

from ccdr.plans.job import Job


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """By name: what is tested daily, what is not, what has schedules, what ships its log; the second plan has no
    retention."""
    site = Site(tmp_path_factory.mktemp("site"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    site.plan(
        """
        crm:
          engine: files
          paths: [/spool]
          group: centre
          restore_test: {schedule: "0 3 * * *", snapshot: [latest, oldest], checks: [t]}
        idle: {engine: files, paths: [/idle], group: centre, objectives: {rpo: 2h}}
        hourly:
          engine: files
          paths: [/spool]
          backup: {schedule: "15 * * * *"}
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        log:
          engine: postgres
          method: physical
          log_shipping: {interval: 60s}
          connection: {host: /nowhere, user: postgres, database: postgres}
          settings: durable
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        """,
        extra='retention: {keep_last: 3}\nupkeep: {prune: "0 5 * * *", check: "0 6 * * 0"}\n',
    )
    site.plan("crm: {engine: files, paths: [/spool]}", name="q", extra='upkeep: {check: "0 6 * * *"}\n')
    made = {name: Job(site.loaded(), name) for name in ("crm", "idle", "hourly", "log")}
    return made | {"q": Job(site.loaded("q"), "crm")}


@pytest.fixture
def past(jobs: dict[str, Job]) -> Chronicle:
    """Of what is tested daily: nothing yet."""
    return about(jobs["crm"])
