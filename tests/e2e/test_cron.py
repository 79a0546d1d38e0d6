"""`ccdr run` as cron calls it: whole processes, real backups and restore tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Ran, Site, containers, eventually
from tests.support.stored import LIMITS, assert_clean, settled_file, with_repository

ASSET = """
{name}:
  engine: files
  paths: [{tree}/{name}]
  settle: 1s
  {limits}
  backup: {{schedule: "{cron}"}}
  restore_test: {{schedule: "{cron}", checks: [c]}}
"""
# Ten minutes ago, whenever the tests run: nothing comes due while they look.
HOURLY = f"{(datetime.now(UTC) - timedelta(minutes=10)).minute} * * * *"
NEVER = "upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"
LOOK = "restore_test: c\nchecks:\n  - {kind: identical}\n"
# A check that is under way until somebody ends it; the other asset's may have begun a while before.
PATIENT = "limits: {lock_wait: 1s, no_progress: 5m}"
IN_SANDBOX = LOOK + "  - {kind: command, name: slow, argv: [sleep, '300']}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = with_repository(Site(tmp_path))
    for name in "ab":
        for n in range(4):
            settled_file(tmp_path / "tree" / name / f"{n}.wav", os.urandom(5000))
    planned(made)
    return made


def planned(site: Site, checks: str = LOOK, limits: str = LIMITS) -> None:
    site.write("restore_tests/c.yaml", checks)
    assets = "".join(ASSET.format(name=n, tree=site.root / "tree", limits=limits, cron=HOURLY) for n in "ab")
    site.plan(assets, extra=NEVER)


def an_hour_passes(site: Site) -> None:
    """As if the last call had been more than an hour ago: exactly one time came due for each schedule."""
    before = datetime.now(UTC) - timedelta(hours=1)
    for path in (site.state / "schedule").glob("*.json"):
        slot = json.loads(path.read_text())
        if "settled" in slot and slot["cron"] == HOURLY:
            path.write_text(json.dumps({**slot, "settled": before.isoformat()}))
        elif "until" in slot:
            path.unlink()


def names(done: Ran) -> list[str]:
    return [f"{d['asset']} {d['verb']}" for d in done.json["did"]]


def test_a_day_of_cron(site: Site) -> None:
    first = site.plainly("run")
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    an_hour_passes(site)
    done = site.run("run", "--jobs", "2")
    assert done.code == 0 and sorted(names(done)) == ["a backup", "a test", "b backup", "b test"], done
    assert {d["result"].get("verdict", d["result"].get("result")) for d in done.json["did"]} == {"PASS", "STORED"}
    (start, *_) = site.records("backup.start")
    assert start["trigger"]["by"] == "run" and start["trigger"]["due"].endswith(f":{int(HOURLY.split()[0]):02}:00Z")
    assert start["attempt"] == 1 and start["who"]["uid"] == os.geteuid()
    again = site.plainly("run")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(site.records("backup.end")) == 2
    assert_clean(site)


def test_cron_mail_says_what_is_wrong_and_only_then(site: Site, wording: SnapshotAssertion) -> None:
    site.run("run")
    an_hour_passes(site)
    (site.root / "tree" / "b").rename(site.root / "unmounted")
    done = site.plainly("run")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == wording
    assert "FAILED  p/b" in done.stdout and "is its file system mounted?" in done.stdout
    again = site.plainly("run")
    assert (again.returncode, again.stdout) == (0, ""), "it waits before it tries again, and says nothing meanwhile"
    dry = site.run("run", "--dry-run")
    waiting = {f"{s['asset']} {s['verb']}": s["failures"] for s in dry.json["schedules"] if s["due"]}
    assert dry.code == 0 and waiting == {"b backup": 1}, "a test that has shown a bad backup is done"


def test_two_crons_at_once(site: Site) -> None:
    site.run("run")
    an_hour_passes(site)
    both = [subprocess.Popen([*site.argv("run"), "--json"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(p.communicate(timeout=120)[0]) for p in both]
    assert [p.returncode for p in both] == [0, 0], told
    assert sum(len(t["did"]) for t in told) == 4 and not any(t["missed"] for t in told)
    assert len(site.records("backup.end")) == len(site.records("restore_test.end")) == 2
    assert_clean(site)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_run_that_is_told_to_end_leaves_nothing(site: Site, jobs: str) -> None:
    planned(site, IN_SANDBOX, PATIENT)
    site.run("run")
    an_hour_passes(site)
    process = site.start("run", "-v", "--jobs", jobs)
    assert process.stderr
    for said in process.stderr:
        if "checking a: slow" in said:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 3
    ends = site.records("restore_test.end")
    assert ends and {(r["verdict"], r["reason"]) for r in ends} == {("INCONCLUSIVE", "interrupted")}
    assert eventually(lambda: not {f"ccdr-{r['run']}" for r in site.records()} & containers())
    assert_clean(site)


def test_what_a_killed_run_has_left_goes_with_the_next(site: Site) -> None:
    planned(site, IN_SANDBOX, PATIENT)
    site.run("run")
    an_hour_passes(site)
    process = site.start("run", "-v")
    assert process.stderr
    for said in process.stderr:
        if "checking a: slow" in said:
            break
    process.kill()
    process.communicate()
    assert list((site.state / "scratch").glob("run-*"))
    planned(site)
    done = site.run("run")
    # What the killed run was at waits for its next try; the rest is done.
    assert names(done) == ["b backup", "b test"], done
    assert eventually(lambda: not {f"ccdr-{r['run']}" for r in site.records()} & containers())
    assert_clean(site)


def test_missed_work_is_a_finding_and_in_the_ledger(site: Site) -> None:
    site.run("run")
    for path in (site.state / "schedule").glob("p.*.json"):
        slot = json.loads(path.read_text())
        path.write_text(json.dumps({**slot, "settled": (datetime.now(UTC) - timedelta(hours=5)).isoformat()}))
    for path in (site.state / "schedule").glob("wake-*"):
        path.unlink()
    done = site.plainly("run", "--only", "backups")
    assert done.returncode == 1 and "MISSED  p/a backup, due 4 times, from" in done.stdout
    assert {(r["asset"], r["verb"], r["count"]) for r in site.records("missed")} == {
        ("a", "backup", 4),
        ("b", "backup", 4),
    }


def test_no_plan_is_not_green(site: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = site.plainly("run", "--plans", str(tmp_path / "empty"))
    assert done.returncode == 2 and "there is no plan" in done.stderr


def test_a_changed_plan_is_seen_at_once(site: Site) -> None:
    site.run("run")
    assert list((site.state / "schedule").glob("wake-*"))
    site.write("plans/q.yaml", "plan: q\n")
    done = site.plainly("run")
    assert done.returncode == 2 and "q.yaml" in done.stderr


def test_a_mistake_in_one_plan_does_not_stop_the_others(site: Site) -> None:
    site.run("run")
    an_hour_passes(site)
    site.write("plans/q.yaml", "plan: q\n")
    done = site.run("run", "--only", "backups")
    assert done.code == 2 and names(done) == ["a backup", "b backup"] and "q.yaml" in done.stderr, done
    seen = site.run("status")
    assert seen.code == 2 and len(seen.json["plans"][0]["assets"]) == 2 and "q.yaml" in seen.stderr
    assert site.run("run", "q").code == 2
    assert site.plainly("run").returncode == 2, "until it is mended"


def test_a_key_that_is_gone_is_no_green_status(site: Site) -> None:
    site.run("run")
    an_hour_passes(site)
    site.backed_up()
    assert site.run("test", "p").code == 0
    (site.root / "plans" / "key").rename(site.root / "key-away")
    assert site.plainly("run").returncode == 2
    seen = site.run("status")
    assert seen.code == 1 and "could not start" in str(seen.json), seen
    report = site.run("report")
    assert report.code == 1 and {r["outcome"] for r in report.json["runs"] if r.get("trigger") == "run"} == {
        "FAILED",
        "INCONCLUSIVE",
    }
