"""Whether `ccdr run` comes by itself: what cron is, what a person is, and the line that has cron do it."""

from __future__ import annotations

import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccdr.host.state import State
from ccdr.host.who import CRON, OTHER, SYSTEMD, TERMINAL, Who
from ccdr.jobs.by_itself import by_itself, came, cron_line, has_come


@pytest.mark.parametrize(
    ("started_by", "login", "wanted"),
    [(CRON, None, True), (SYSTEMD, None, True), (OTHER, None, False), (TERMINAL, 0, False), (OTHER, 1000, False)],
)
def test_only_cron_and_services_are_certainly_no_person(started_by: str, login: int | None, wanted: bool) -> None:
    assert by_itself(Who(0, login, None, started_by, None)) is wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        ([0], False),
        ([0, 300], False),
        ([0, 5, 10], False),
        ([0, 300, 320], False),
        ([0, 300, 610], False),
        ([0, 300, 610, 910, 1215], True),
        ([0, 20, 320, 625, 925, 1230], True),
    ],
)
def test_what_comes_without_terminal_or_login_counts_once_it_came_evenly(
    tmp_path: Path, seconds: list[int], wanted: bool
) -> None:
    """One line over ssh, or by `docker exec`, has neither, as a container's loop."""
    for at in seconds:
        came(["p"], Who(0, None, None, OTHER, None), at_second(tmp_path, at))
    assert has_come("p", State(tmp_path)) is wanted


def test_one_run_of_cron_is_enough(tmp_path: Path) -> None:
    came(["p"], Who(0, None, None, CRON, None), at_second(tmp_path, 0))
    assert has_come("p", State(tmp_path))


def at_second(root: Path, seconds: int) -> Any:
    now = datetime(2026, 11, 28, 9, tzinfo=UTC) + timedelta(seconds=seconds)
    return SimpleNamespace(state=State(root), clock=SimpleNamespace(now=lambda: now))


def test_the_line_writes_what_cron_takes(tmp_path: Path) -> None:
    plans = tmp_path / "my 100%/plans"
    line = cron_line("p", plans, plans.parent / "restore_tests", tmp_path / "state", Path("/opt/ccdr/bin/ccdr"))
    assert line.endswith(" > /etc/cron.d/ccdr-p")
    subprocess.run(["sh", "-c", line.replace("/etc/cron.d", str(tmp_path))], check=True)
    schedule, call = (tmp_path / "ccdr-p").read_text().split(" root ")
    assert schedule == "*/5 * * * *" and call.count("%") == call.count("\\%") == 2
    words = shlex.split(call.replace("\\%", "%"))
    assert words[-8:] == ["/opt/ccdr/bin/ccdr", "run", "p", "--plans", str(plans), "--restore-tests",
                          str(plans.parent / "restore_tests"), "--state", str(tmp_path / "state")][-8:]  # fmt: skip
