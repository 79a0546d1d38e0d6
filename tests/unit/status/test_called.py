"""That nothing calls `ccdr run` is told where something waits for one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.chronicle import Chronicle
from tests.support.harness import Site
from tests.support.judged import END

from ccdr.plans.job import Job
from ccdr.telling.status import uncalled


@pytest.mark.parametrize(
    ("schedules", "minutes", "told"),
    [
        ("backup: {schedule: '15 * * * *'}", 14, False),
        ("backup: {schedule: '15 * * * *'}", 15, True),
        ("restore_test: {schedule: '0 13 * * *'}", 59, False),
        ("restore_test: {schedule: '0 13 * * *'}", 60, True),
        ("settle: 1s", 9999, False),
    ],
)
def test_that_nothing_comes_by_itself_matters_once_something_is_due(
    site: Site, schedules: str, minutes: float, told: bool
) -> None:
    site.plan(f"calls: {{engine: files, paths: [/spool], {schedules}}}")
    job = Job(site.loaded(), "calls")
    past = Chronicle(END, str(job.engine.source_name), job.plan, job.asset, "/r")
    assert not uncalled(job.loaded, past.histories, END + timedelta(minutes=minutes)), "nothing was begun here"
    past.stored(0, "s")
    assert uncalled(job.loaded, past.histories, END + timedelta(minutes=minutes)) is told
