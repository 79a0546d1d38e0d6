"""A week of cron in which source, store and Docker fail at random, and the machine sleeps: the report tells exactly
what happened. Real backups and restore tests; only the wall clock is ours."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.harness import Quiet, Site
from tests.stored import assert_clean, settled_file, with_repository

from ccdr.report import json_lines, make_report, period_of
from ccdr.run import Did, Verb, run
from ccdr.schedule import occurrences

SEED = int(os.environ.get("CCDR_SEED", "7"))
BACKUPS, TESTS = "0 */12 * * *", "30 6 * * *"
PLAN = f"""
recordings:
  engine: files
  paths: [{{tree}}]
  settle: 1s
  limits: {{{{lock_wait: 1s, no_progress: 10s}}}}
  backup: {{{{schedule: "{BACKUPS}"}}}}
  restore_test: {{{{schedule: "{TESTS}", checks: [c]}}}}
"""
CHECKS = "restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: command, name: there, argv: ['true']}\n"
NEVER = "upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"


@dataclass
class Running:
    """The wall clock of the story, which goes on while the work is done."""

    at: datetime
    began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=time.monotonic() - self.began)

    def monotonic(self) -> float:
        return time.monotonic()

    def on(self, delta: timedelta) -> None:
        self.at, self.began = self.at + delta, time.monotonic()


@dataclass
class World:
    """What is broken, and what must come of it."""

    site: Site
    patch: pytest.MonkeyPatch
    broken: str | None = None
    newer_failure: bool = False
    ever_stored: bool = False

    def breaks(self, what: str | None) -> None:
        places = {"source": "tree", "store": "repo"}
        for name, part in places.items():
            here, away = self.site.root / part, self.site.root / f"{part}-away"
            if self.broken == name:
                away.rename(here)
            if what == name:
                here.rename(away)
        if what == "docker":
            self.patch.setenv("DOCKER_HOST", "unix:///nonexistent")
        else:
            self.patch.delenv("DOCKER_HOST", raising=False)
        self.broken = what

    def expected(self, did: Did) -> str:
        """Of one attempt, by what is broken just now: told here by other means than ccdr's."""
        if did.task.verb is Verb.BACKUP:
            well = self.broken in (None, "docker")
            self.newer_failure = not well
            self.ever_stored |= well
            return "STORED" if well else "FAILED"
        if self.broken in ("store", "docker"):
            return "FAIL" if self.broken == "docker" and not self.ever_stored else "INCONCLUSIVE"
        return "FAIL" if self.newer_failure or not self.ever_stored else "PASS"


def test_a_week_of_cron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = random.Random(SEED)
    site = with_repository(Site(tmp_path))
    site.write("restore_tests/c.yaml", CHECKS)
    site.plan(PLAN.format(tree=tmp_path / "tree"), extra=NEVER)
    settled_file(tmp_path / "tree" / "0.wav", os.urandom(3000))
    start = datetime.now(UTC).replace(minute=5, second=0, microsecond=0)
    clock, world = Running(start), World(site, monkeypatch)
    happened: Counter[tuple[str, str]] = Counter()
    previous: datetime | None = None
    while clock.at < start + timedelta(days=7):
        if choose.random() < 0.12:
            world.breaks(choose.choice([None, "source", "store", "docker"]))
        result = run([site.loaded()], site.services(clock), Quiet())
        for did in result.did:
            assert did.outcome is not None, did
            said = str(did.outcome.as_json().get("verdict") or did.outcome.as_json().get("result"))
            assert said == world.expected(did), (clock.at, world.broken, did)
            happened[did.task.verb.value, said] += 1
        if previous is not None:
            for verb, cron in (("backup", BACKUPS), ("test", TESTS)):
                due = _between(cron, previous, clock.at)
                happened[verb, "MISSED"] += max(0, len(due) - 1)
        previous = clock.at
        asleep = choose.random() < 0.03
        clock.on(timedelta(hours=choose.randrange(20, 60) if asleep else 1))
    world.breaks(None)
    assert {o for _, o in happened} >= {"STORED", "FAILED", "PASS", "INCONCLUSIVE", "MISSED"}, "a week worth telling"

    services = site.services(clock)
    period = period_of(None, None, clock.now())
    report = json.loads(b"".join(json_lines(make_report([site.loaded()], services, period, named=(), command="test"))))
    told: Counter[tuple[str, str]] = Counter()
    for row in report["runs"]:
        if row["what"] in ("backup", "test"):
            told[row["what"], row["outcome"]] += row.get("count", 1)
    assert +told == +happened
    assert report["ledger"]["ok"] and report["population"]["rows"] == len(report["runs"])
    assert_clean(site)


def _between(cron: str, after: datetime, until: datetime) -> list[datetime]:
    found = []
    for when in occurrences(cron, "UTC", after):
        if when > until:
            break
        found.append(when)
    return found
