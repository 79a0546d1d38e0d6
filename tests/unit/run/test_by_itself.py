"""Whether `ccdr run` comes by itself: what cron is, what a person is, and the line that has cron do it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from ccdr.host.who import CRON, OTHER, SYSTEMD, TERMINAL, Who
from ccdr.jobs.by_itself import by_itself, cron_line


@pytest.mark.parametrize(
    ("started_by", "login", "wanted"),
    [(CRON, None, True), (SYSTEMD, None, True), (OTHER, None, True), (TERMINAL, 0, False), (OTHER, 1000, False)],
)
def test_who_has_logged_in_is_a_person(started_by: str, login: int | None, wanted: bool) -> None:
    assert by_itself(Who(0, login, None, started_by, None)) is wanted


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
