"""Cron starts ccdr every minute, and people wait for `--help`: what a verb needs is imported when it runs."""

from __future__ import annotations

import subprocess
import sys

LOOK = (
    "import ccdr.cli, sys; print(*(name for name in sys.modules if name.startswith(('ccdr.', 'pydantic', 'docker'))))"
)
AT_ONCE = ("ccdr.cli", "ccdr.host", "ccdr.model", "ccdr.ports")


def test_the_command_line_imports_no_room_before_a_verb_runs() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    more = [name for name in done.stdout.split() if not f"{name}.".startswith(tuple(f"{room}." for room in AT_ONCE))]
    assert "ccdr.cli.recover" in done.stdout.split() and not more, more
