"""A week of cron in which source, store and Docker fail at random, and the machine sleeps: the report tells exactly
what happened. Real backups and restore tests; only the wall clock is ours."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site
from tests.support.schema import report_document
from tests.support.stored import assert_clean, settled_file, with_repository

from ccdr.model.schedule import occurrences
from ccdr.model.values import utc
from ccdr.run.scheduled import Verb, run
from ccdr.run.tasks import Did, RunResult
from ccdr.telling.report import make_report, period_of

SEED = int(os.environ.get("CCDR_SEED", "2"))
SCHEDULES = {"backup": "0 */12 * * *", "test": "30 6 * * *"}
RPO = timedelta(minutes=870)  # two and a half hours more than between two backups
PLAN = f"""
recordings:
  engine: files
  paths: [{{tree}}]
  settle: 1s
  objectives: {{{{rpo: 870m}}}}
  limits: {{{{lock_wait: 1s, no_progress: 10s}}}}
  backup: {{{{schedule: "{SCHEDULES["backup"]}"}}}}
  restore_test: {{{{schedule: "{SCHEDULES["test"]}", checks: [c]}}}}
"""
CHECKS = "restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: command, name: there, argv: ['true']}\n"
NEVER = "upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"
# What the reason of a run that did not end well must say, by what was broken.
GISTS = {
    "source": "entry 1 of `paths:` is not there",
    "store": "/repo",
    "docker": "Docker",
    "nothing": "there is no snapshot",
}
GOOD = ("STORED", "PASS")


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


@dataclass(frozen=True)
class Happened:
    """One row that the report must have: due when, begun between which moments, and what its reason must say."""

    what: str
    outcome: str
    due: datetime
    after: datetime
    before: datetime
    gist: str | None = None
    count: int = 1

    def is_told_by(self, row: Mapping[str, Any]) -> bool:
        said = row.get("reason")
        return (
            (row["what"], row["plan"], row["asset"]) == (self.what, "p", "recordings")
            and (row["trigger"], utc(row["due"])) == ("run", self.due)
            and (row["outcome"], row.get("count", 1)) == (self.outcome, self.count)
            and self.after <= utc(row["started"]) <= self.before
            and (said is None if self.gist is None else self.gist in said)
        )


@dataclass
class World:
    """What is broken, what must come of it, and what has."""

    site: Site
    patch: pytest.MonkeyPatch
    broken: str | None = None
    conclusive: Happened | None = None  # the last restore test that proved anything
    happened: list[Happened] = field(default_factory=list)
    due: dict[str, datetime] = field(default_factory=dict)

    @property
    def backup(self) -> Happened | None:
        """The newest one, whatever came of it."""
        return next((h for h in reversed(self.happened) if h.what == "backup" and h.outcome != "MISSED"), None)

    @property
    def stored(self) -> list[Happened]:
        return [one for one in self.happened if one.outcome == "STORED"]

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

    def lives_through(self, result: RunResult, previous: datetime | None, began: datetime, ended: datetime) -> None:
        """One call of cron, told here by other means than ccdr's: by what is broken just now, and by the clock."""
        did = {d.task.verb.value: d for d in result.did}
        for verb, cron in SCHEDULES.items():
            due = [] if previous is None else _between(cron, previous, began)
            if len(due) > 1:
                missed = Happened(verb, "MISSED", due[-2], began, ended, "nothing ran then", len(due) - 1)
                self.happened.append(missed)
            if due:
                self.due[verb] = due[-1]
                assert verb in did, f"what came due is tried at once: {verb} of {due[-1]}"
            if verb in did:
                outcome, gist = self._expected(did[verb])
                self.happened.append(one := Happened(verb, outcome, self.due[verb], began, ended, gist))
                if outcome in ("PASS", "FAIL"):
                    self.conclusive = one

    def _expected(self, did: Did) -> tuple[str, str | None]:
        if did.task.verb is Verb.BACKUP:
            return ("FAILED", GISTS[self.broken]) if self.broken in ("source", "store") else ("STORED", None)
        if self.broken == "store" or (self.broken == "docker" and self.stored):
            return "INCONCLUSIVE", GISTS[self.broken]
        if not self.stored:
            return "FAIL", GISTS["nothing"]
        if (newest := self.backup) is not None and newest.outcome == "FAILED":
            return (
                "FAIL",
                f"this snapshot is good, and can be restored, but the backup of {newest.after:%Y-%m-%dT%H:%M:}",
            )
        return "PASS", None

    def headline(self, now: datetime) -> tuple[str, str]:
        """The word that answers whether the contact centre can be brought back, and what its sentence must say."""
        last = self.conclusive
        newest = next((one for one in reversed(self.happened) if one.outcome != "MISSED"), None)
        if newest is not None and newest.gist == GISTS["store"]:
            return "No", "it was not there"
        if not self.stored:
            return "No", "no backup has succeeded yet"
        if last is None:
            return "Not proven", "test"  # never tested, or none was conclusive
        if last.outcome == "FAIL" and last.gist == GISTS["nothing"]:
            return "No", GISTS["nothing"]
        if last.outcome == "FAIL" and self.stored[-1].after < last.after:
            return "Yes, but not as promised", "is FAIL for a newer backup alone"
        if len(_between(SCHEDULES["test"], last.after, now)) > 1:
            return "Not proven", "its restore test is overdue"
        if now - self.stored[-1].after > RPO:
            return "Yes, but not as promised", "RPO breached"
        return "Yes, unless disk or machine is lost", "its repository is"


def test_a_week_of_cron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = random.Random(SEED)
    site = with_repository(Site(tmp_path))
    site.write("restore_tests/c.yaml", CHECKS)
    site.plan(PLAN.format(tree=tmp_path / "tree"), extra=NEVER)
    settled_file(tmp_path / "tree" / "0.wav", os.urandom(3000))
    # Of tomorrow: at whatever hour it is told, the story is the same.
    start = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=5, second=0, microsecond=0)
    clock, world = Running(start), World(site, monkeypatch)
    previous: datetime | None = None
    words = set()
    while clock.at < start + timedelta(days=7):
        if choose.random() < 0.12 and world.stored:  # before, a store that is away is one to be made
            world.breaks(choose.choice([None, "source", "store", "docker"]))
        began = clock.now()
        result = run([site.loaded()], site.services(clock), Quiet())
        assert all(did.outcome is not None for did in result.did), result
        world.lives_through(result, previous, began, clock.now())
        if result.did:
            words.add(told_as_it_happened(world, clock))
        previous = began
        asleep = choose.random() < 0.03
        clock.on(timedelta(hours=choose.randrange(20, 60) if asleep else 1))
    world.breaks(None)
    outcomes = {one.outcome for one in world.happened}
    assert outcomes >= {"STORED", "FAILED", "PASS", "FAIL", "INCONCLUSIVE", "MISSED"}, "a week worth telling"
    assert len(words | {told_as_it_happened(world, clock)}) >= 3, "headlines worth reading"
    assert_clean(site)


def told_as_it_happened(world: World, clock: Running) -> str:
    """The report of now, compared run by run; its headline's word."""
    services, now = world.site.services(clock), clock.now()
    made = make_report([world.site.loaded()], services, period_of(None, None, now), named=(), command="test")
    report = report_document(made)
    rows = [row for row in report["runs"] if row["what"] in SCHEDULES]
    for one, row in itertools.zip_longest(world.happened, rows):
        assert one is not None and row is not None and one.is_told_by(row), f"{one}\n{row}"
    told = [
        (i["what"], utc(i["from"]), utc(i["to"]), sum(i["outcomes"].values()), i["mended"] is not None)
        for i in report["interruptions"]
    ]
    started = {id(one): utc(row["started"]) for one, row in zip(world.happened, rows, strict=True)}
    assert sorted(told) == sorted(
        (what, started[id(bad[0])], started[id(bad[-1])], sum(one.count for one in bad), mended)
        for what, bad, mended in _stretches(world.happened)
    )
    word, gist = world.headline(now)
    assert report["answer"]["word"] == word and gist in report["answer"]["sentence"], (report["answer"], word, gist)
    assert report["ledger"]["ok"] and report["population"]["rows"] == len(report["runs"])
    return word


def _stretches(happened: list[Happened]) -> list[tuple[str, list[Happened], bool]]:
    """What did not end well, one after the other, of each kind of work, and whether a good one came after it."""
    found = []
    for what in SCHEDULES:
        groups = itertools.groupby((one for one in happened if one.what == what), lambda one: one.outcome in GOOD)
        stretches = [(good, list(group)) for good, group in groups]
        found += [(what, group, n < len(stretches) - 1) for n, (good, group) in enumerate(stretches) if not good]
    return found


def _between(cron: str, after: datetime, until: datetime) -> list[datetime]:
    found = []
    for when in occurrences(cron, "UTC", after):
        if when > until:
            break
        found.append(when)
    return found
