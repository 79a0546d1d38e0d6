"""SIGKILL at random over `ccdr run`: whatever moment it meets, nothing that is not true reads PASS, nothing is lost or
left, and the next run goes on. A seeded few kills here; `make soak` does 500 (CCDR_SOAK, CCDR_SEED)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Site, containers, eventually
from tests.stored import left, restic_of, settled_file, with_repository

KILLS = int(os.environ.get("CCDR_SOAK", "8"))
SEED = int(os.environ.get("CCDR_SEED", "20261124"))
LONGEST = 4.0  # seconds into a run; a whole one takes about three
PLAN = """
recordings:
  engine: files
  paths: [{tree}]
  settle: 1s
  backup: {{schedule: "{cron}"}}
  restore_test: {{schedule: "{cron}", checks: [c]}}
"""
CHECKS = "restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: command, name: there, argv: ['true']}\n"
CRON = f"{(datetime.now(UTC) - timedelta(minutes=10)).minute} * * * *"
EXTRA = f"retention: {{keep_last: 3}}\nupkeep: {{prune: '{CRON}', check: '{CRON}', parts: 2}}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = with_repository(Site(tmp_path))
    made.write("restore_tests/c.yaml", CHECKS)
    made.plan(PLAN.format(tree=tmp_path / "tree", cron=CRON), extra=EXTRA)
    return made


def grown(site: Site, version: int) -> None:
    """The tree as it is at one version: so many files, and every file says the version it came with."""
    settled_file(
        site.root / "tree" / f"{version:05}.wav", f"version {version}\n".encode() * 200, 1_700_000_000 + version
    )


def all_is_due(site: Site) -> None:
    """As if an hour had passed since the last call, and every wait for another try with it."""
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for path in (site.state / "schedule").glob("*.json"):
        if path.name.startswith("wake-"):
            path.unlink()
        else:
            slot = json.loads(path.read_text())
            path.write_text(json.dumps({**slot, "settled": before, "pending": None, "retry_at": None, "tries": 0}))


def killed(site: Site, after: float) -> None:
    """One `ccdr run`, ended by SIGKILL after so many seconds, if it has not ended by then."""
    process = subprocess.Popen(site.argv("run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def files_of(site: Site, snapshot: str) -> list[str]:
    lines = restic_of(site.root, "--no-lock", "ls", "--json", snapshot).splitlines()
    return sorted(Path(n["path"]).name for n in map(json.loads, lines) if n.get("path", "").endswith(".wav"))


def passes_are_true(site: Site, there: set[str]) -> None:
    """Every snapshot that a test has called good, and that is still there, holds the whole tree of its time."""
    for record in site.records("restore_test.end"):
        snapshot: dict[str, Any] = record.get("snapshot") or {}
        if record["verdict"] == "PASS":
            assert all(c["status"] == "PASS" for c in record["checks"]) and len(record["checks"]) == 2
            if snapshot["id"] in there:
                found = files_of(site, snapshot["id"])
                assert found == [f"{n:05}.wav" for n in range(len(found))], "a tree with a hole"


@pytest.mark.timeout(60 + 30 * KILLS)
def test_random_kills_over_run(site: Site) -> None:
    choose = random.Random(SEED)
    grown(site, 0)
    site.run("run")
    for version in range(1, KILLS + 1):
        grown(site, version)
        all_is_due(site)
        killed(site, choose.uniform(0.05, LONGEST))
        if choose.random() < 0.3:  # cron comes again before anything is due
            killed(site, choose.uniform(0.05, 1.0))
        site.ledger_holds()
    time.sleep(1)  # what the kernel told to end has ended
    all_is_due(site)
    last = site.run("run")
    verbs = {d["verb"]: d for d in last.json["did"]}
    assert set(verbs) == {"backup", "test", "prune", "check"} and all(d["done"] for d in verbs.values()), last
    # A crash before this run's own backup may still be told, never the other way round.
    assert verbs["test"]["result"]["verdict"] == "PASS", last
    site.ledger_holds()
    assert left(site) == []
    assert eventually(lambda: not {f"ccdr-{r['run']}" for r in site.records()} & containers())
    assert restic_of(site.root, "list", "locks", "--no-lock").split() == [], "no lock stuck"
    restic_of(site.root, "check", "--read-data")
    there = {s["id"] for s in json.loads(restic_of(site.root, "--no-lock", "snapshots", "--json"))}
    passes_are_true(site, there)
    known = site.services().catalogue.snapshots("p", "recordings")
    assert {s.id for s in known} <= there, "what the catalogue counts is in the repository"
    # Retention: the last good one, the last tested one, and what the policy keeps; not what it lets go.
    good = [s.id for s in known]
    assert verbs["backup"]["result"]["snapshot"]["id"] == good[-1] and 1 <= len(good) <= 3 + 2
    assert site.run("status").json["plans"][0]["assets"][0]["coverage"] == "tested"
