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
    assert "ccdr.cli.verbs" in done.stdout.split() and not more, more


def test_no_command_imports_a_room_before_it_runs() -> None:
    look = f"from ccdr.cli import main; [main.commands[verb] for verb in main.commands]; {LOOK}"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    more = [name for name in done.stdout.split() if not f"{name}.".startswith(tuple(f"{room}." for room in AT_ONCE))]
    assert {"ccdr.cli.recover", "ccdr.cli.runbook"} <= set(done.stdout.split()) and not more, more


def test_a_command_imports_no_other_verb() -> None:
    look = "import sys; from ccdr.cli import main; main.commands['status']; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    rooms = set(done.stdout.split())
    assert "ccdr.cli.status" in rooms and not rooms & {f"ccdr.cli.{verb}" for verb in ("recover", "ledger", "demo")}


def test_a_backup_that_nobody_signs_loads_nothing_that_signs_verifies_or_tells() -> None:
    look = (
        "import sys, ccdr.wiring, ccdr.cli.backup, ccdr.jobs.backup, ccdr.jobs.checkpoints.store; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    rooms = set(done.stdout.split())
    assert "ccdr.jobs.backup" in rooms
    assert not rooms & {"cryptography", "rfc3161_client", "ccdr.jobs.attest.other_ledgers", "ccdr.telling", "docker"}
