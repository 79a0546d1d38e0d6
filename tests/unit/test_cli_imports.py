"""Cron starts ccdr every minute, and people wait for `--help`: what a verb needs is imported when it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_no_other_package_has_a_say_in_how_a_plan_is_read(tmp_path: Path) -> None:
    """pydantic asks every package that is installed whether it wants to."""
    there = tmp_path / "there"
    told = there / "meddler-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: meddler\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[pydantic]\nmeddler = meddler:plugin\n")
    (there / "meddler.py").write_text(f"open({str(tmp_path / 'asked')!r}, 'w')\nplugin = None\n")
    (tmp_path / "p.yaml").write_text("plan: p\n")
    argv = [sys.executable, "-m", "ccdr", "--plans", str(tmp_path), "--state", str(tmp_path / "state"), "plan", "check"]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(there)}, capture_output=True, text=True)
    assert done.returncode == 2 and "service" in done.stdout + done.stderr
    assert not (tmp_path / "asked").exists()
