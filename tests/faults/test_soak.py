"""SIGKILL at random over `ccdr run`: whatever moment it meets, nothing that is not true reads PASS, nothing is lost or
left, and the next run goes on. A seeded few kills here; `make soak` does 500 (CCDR_SOAK, CCDR_SEED)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site, containers, eventually
from tests.support.stored import left, restic_of, settled_file, with_repository

from ccdr.model.values import utc

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("CCDR_SOAK", "8"))
SEED = int(os.environ.get("CCDR_SEED", "20261124"))
LONGEST = 4.0  # seconds into a run; a whole one takes about three
KEPT = 1  # by retention's rule: it alone would let the last restore-tested one go while a newer one is not tested
VERBS = ("backup", "test", "prune", "check")
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
# What is to change does so when it has been hashed, and right before restic reads it.
RESTIC = """\
#!/bin/sh
case "$*" in *kind=backup*) if [ -e {root}/change ]; then mv {root}/change {root}/tree/newest.wav; fi;; esac
exec {restic} "$@"
"""
EXTRA = f"retention: {{keep_last: {KEPT}}}\nupkeep: {{prune: '{CRON}', check: '{CRON}', parts: 2}}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = with_repository(Site(tmp_path))
    made.write("restore_tests/c.yaml", CHECKS)
    made.plan(PLAN.format(tree=tmp_path / "tree", cron=CRON), extra=EXTRA)
    made.write("bin/restic", RESTIC.format(root=tmp_path, restic=shutil.which("restic")), mode=0o755)
    made.env["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return made


@dataclass
class Tree:
    """What is backed up, by versions: each adds a file and writes another one anew, of the same size."""

    site: Site
    since: list[datetime] = field(default_factory=list)  # when each version was there in full
    changed: set[int] = field(default_factory=set)  # versions whose newest file was written anew while it was read

    def grow(self) -> None:
        version = len(self.since)
        (self.site.root / "tree").mkdir(exist_ok=True)
        for name in (f"{version:05}.wav", "newest.wav"):
            new = settled_file(self.site.root / "new", self._contents(version), 1_700_000_000 + version)
            new.replace(self.site.root / "tree" / name)
        self.since.append(datetime.now(UTC))

    def changes_while_it_is_read(self) -> None:
        """The newest file is written anew, of the same size and time, once the next backup has its digest."""
        version = len(self.since) - 1
        self.changed.add(version)
        settled_file(self.site.root / "change", self._contents(version, "changed"), 1_700_000_000 + version)

    def were_there(self, digests: Mapping[str, str], moment: datetime) -> bool:
        """Is that, by name the SHA-256, everything that was there then? The newest file may be as it was, or became."""
        version = max(n for n, since in enumerate(self.since) if since <= moment)
        there = {f"{n:05}.wav": sha256(self._contents(n)).hexdigest() for n in range(version + 1)}
        words = ("version", "changed") if version in self.changed else ("version",)
        newest = {sha256(self._contents(version, word)).hexdigest() for word in words}
        return digests == {**there, "newest.wav": digests.get("newest.wav")} and digests["newest.wav"] in newest

    @staticmethod
    def _contents(version: int, word: str = "version") -> bytes:
        return f"{word} {version:05}\n".encode() * 200


def make_due(site: Site, verbs: Collection[str] = VERBS) -> None:
    """As if an hour had passed since these were last looked at, and every wait for another try with it."""
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for path in (site.state / "schedule").glob("*.json"):
        if path.name.startswith("wake-"):
            path.unlink()
        elif path.stem.rpartition(".")[2] in verbs:
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


@dataclass(frozen=True)
class Known:
    """By id, when the snapshots are of that ledger and catalogue call good, and those that a restore test has passed;
    no word of what is in the repository."""

    good: Mapping[str, datetime]
    passed: Mapping[str, datetime]

    def newest(self) -> dict[str, tuple[datetime, str]]:
        every = {"good": self.good, "restore-tested good": self.passed}
        return {what: max((at, id_) for id_, at in found.items()) for what, found in every.items() if found}


def known(site: Site) -> Known:
    good = {s.id: s.consistent_point for s in site.services().catalogue.snapshots("p", "recordings")}
    passed = {}
    for record in site.records():
        snapshot = record.get("snapshot") or {}
        if record["kind"] == "backup.end" and record["result"] == "STORED":
            good[snapshot["id"]] = utc(snapshot["consistent_point"])
        elif record["kind"] == "restore_test.end" and snapshot.get("verdict") == "PASS":
            passed[snapshot["id"]] = utc(snapshot["consistent_point"])
    return Known(good, passed)


def there(site: Site, kind: str = "snapshots") -> set[str]:
    """What the repository holds, without asking anybody: a local one has a file for each snapshot, and each lock. What
    a restic that was killed had not yet given its name (`ID-tmp-…`) is neither."""
    return {path.name for path in (site.repo / kind).iterdir() if "-tmp-" not in path.name}


def nothing_promised_is_gone(site: Site, before: Known) -> None:
    """The last good snapshot and the last restore-tested good one are there, right after the kill: those known before,
    or newer ones."""
    after, held = known(site).newest(), there(site)
    for what, newest in before.newest().items():
        assert what in after and after[what] >= newest, f"the last {what} one is known no more: {newest}"
    for what, (_, newest_id) in after.items():
        assert newest_id in held, f"the last {what} snapshot {newest_id} is gone"


def goes_on(site: Site, tree: Tree) -> Ran:
    """The run after a kill does all that is due, finds all in order, and leaves nothing of either of them. What changes
    while it is backed up is backed up as it is then, and never half of each."""
    time.sleep(1)  # what the kernel told to end has ended
    make_due(site)
    tree.changes_while_it_is_read()
    done = site.run("run")
    assert not (site.root / "change").exists(), "else nothing has changed"
    verbs = {d["verb"]: d for d in done.json["did"]}
    assert set(verbs) == set(VERBS) and all(d["done"] for d in verbs.values()), done
    # A crash before this run's own backup may still be told, never the other way round.
    assert verbs["test"]["result"]["verdict"] == "PASS", done
    site.ledger_holds()
    assert left(site) == []
    assert eventually(lambda: not {f"ccdr-{r['run']}" for r in site.records()} & containers())
    assert there(site, "locks") == set(), "no lock stuck"
    return done


def passes_are_true(site: Site, tree: Tree) -> None:
    """Every PASS stands on all of its checks; and every snapshot that is there and was called good holds the whole tree
    of its time, its newest files included, byte for byte."""
    for record in site.records("restore_test.end"):
        if record["verdict"] == "PASS":
            assert all(c["status"] == "PASS" for c in record["checks"]) and len(record["checks"]) == 2
    told, held = known(site), there(site)
    judged = {id_: at for id_, at in {**told.good, **told.passed}.items() if id_ in held}
    tags = {s["id"]: s.get("tags") or () for s in json.loads(restic_of(site.root, "--no-lock", "snapshots", "--json"))}
    for id_, moment in judged.items():
        into = site.root / "restored" / id_
        # A tree in motion was stored in a snapshot of its own, which the backup's names.
        for one in (id_, *(tag.removeprefix("stream=") for tag in tags[id_] if tag.startswith("stream="))):
            restic_of(site.root, "--no-lock", "restore", one, "--target", str(into))
        found = {p.name: sha256(p.read_bytes()).hexdigest() for p in into.rglob("*.wav")}
        shutil.rmtree(into)
        assert tree.were_there(found, moment), f"{id_} of {moment} is not what was there"


@pytest.mark.timeout(60 + 30 * KILLS)
def test_random_kills_over_run(site: Site) -> None:
    choose = random.Random(SEED)
    looked_at = choose.sample(range(1, KILLS), max(1, KILLS // 8))  # the kills after which a whole run follows at once
    tree = Tree(site)
    tree.grow()
    site.run("run")
    for number in range(1, KILLS + 1):
        tree.grow()
        make_due(site, {"backup", "prune", *(verb for verb in ("test", "check") if choose.random() < 0.7)})
        before = known(site)
        killed(site, choose.uniform(0.05, LONGEST))
        nothing_promised_is_gone(site, before)
        if choose.random() < 0.3:  # cron comes again before anything is due
            killed(site, choose.uniform(0.05, 1.0))
            nothing_promised_is_gone(site, before)
        site.ledger_holds()
        if number in looked_at:
            passes_are_true(site, tree)
            goes_on(site, tree)
    last = goes_on(site, tree)
    restic_of(site.root, "check", "--read-data")
    assert {s["id"] for s in json.loads(restic_of(site.root, "--no-lock", "snapshots", "--json"))} == there(site)
    passes_are_true(site, tree)
    good = [s.id for s in site.services().catalogue.snapshots("p", "recordings")]
    assert set(good) <= there(site), "what the catalogue counts is in the repository"
    # Retention: the last good one, the last tested one, and what the policy keeps; not what it lets go.
    verbs = {d["verb"]: d for d in last.json["did"]}
    assert verbs["backup"]["result"]["snapshot"]["id"] == good[-1] and 1 <= len(good) <= KEPT + 2
    assert site.run("status").json["plans"][0]["assets"][0]["coverage"] == "tested"
    # After all that, too: a newer one that nobody has tested does not let the tested one go.
    tree.grow()
    make_due(site, {"backup", "prune"})
    before = known(site)
    assert {d["verb"]: d["done"] for d in site.run("run").json["did"]} == {"backup": True, "prune": True}
    nothing_promised_is_gone(site, before)
    assert len(known(site).good.keys() & there(site)) == KEPT + 1
