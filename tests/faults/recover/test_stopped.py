"""What stops a recovery: a full disk, a repository that goes away, a signal, a bad check, somebody else. What is done
stays, what is not is gone on with, and nothing else is stopped by it. The healthy twin is in test_recovers.py."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.faults.recover.conftest import CDR
from tests.faults.recover.test_recovers import is_back
from tests.support.harness import ShiftedClock, Site, eventually
from tests.support.recovering import Watching, recovered, resumed
from tests.support.restored_files import mounted
from tests.support.stored import left

from ccdr.jobs.recover import Known, newest, resuming

pytestmark = pytest.mark.long


def restic(site: Site, script: str) -> None:
    """What happens when restic is called to restore something: `$S` is the site."""
    body = (
        f'#!/bin/sh\nS={site.root}\ncase " $* " in *" restore "*) {script};; esac\nexec {shutil.which("restic")} "$@"\n'
    )
    site.write("bin/restic", body, mode=0o755)
    site.env["PATH"] = f"{site.root / 'bin'}:{os.environ['PATH']}"


def go(site: Site, *args: str) -> list[str]:
    return ["recover", "p", "--under", str(site.root / "back"), "--yes-i-mean", "p", *args]


def states(document: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {step["asset"]: step["state"] for step in document["steps"]}


@pytest.fixture
def small_disk(centre: Site) -> Iterator[Site]:
    """Where everything is brought to is a small file system of its own."""
    (centre.root / "back").rmdir()
    mounted(centre.root / "back", "100m")
    yield centre
    subprocess.run(["umount", centre.root / "back"], check=True)


def test_a_disk_that_fills_up_stops_it_and_it_goes_on_once_there_is_room(small_disk: Site, lost: Path) -> None:
    site = small_disk
    restic(site, "head -c 200m /dev/zero > $S/back/filler 2>/dev/null")
    done = site.run(*go(site))
    assert (done.code, done.json["state"]) == (3, "paused_by_failed_step"), done
    assert "done" not in states(done.json).values() and "recover --resume p" in done.json["hint"]
    assert "No space left" not in str(site.records()), "nobody's words in a record"
    restic(site, ":")
    (site.root / "back/filler").unlink()
    again = site.run("recover", "--resume")
    assert (again.code, again.json["state"]) == (0, "done") and is_back(site, lost), again
    assert sorted(p.name for p in (site.root / "back").iterdir()) == ["cdr", "recordings"]


def test_a_repository_that_goes_away_meanwhile_stops_what_needs_it_alone(centre: Site, lost: Path) -> None:
    repo, plan = centre.root / "repo", centre.root / "plans/p.yaml"
    shutil.copytree(repo.resolve(), centre.root / "there")
    plan.write_text(plan.read_text().replace(str(repo.resolve()), str(repo)))
    repo.unlink()
    repo.symlink_to(centre.root / "there")
    restic(
        centre,
        "mkdir $S/first 2>/dev/null || { while [ ! -e $S/back/cdr -a ! -e $S/back/recordings ]; do sleep 0.1; done; rm -f $S/repo; }",
    )
    done = centre.run(*go(centre))
    assert (done.code, done.json["state"]) == (3, "paused_by_failed_step"), done
    assert sorted(states(done.json).values()) == ["done", "failed"], done
    there = next(name for name, state in states(done.json).items() if state == "done")
    repo.symlink_to(centre.root / "there")
    restic(centre, ":")
    again = centre.run("recover", "--resume", "p")
    assert (again.code, again.json["state"]) == (0, "done") and is_back(centre, lost), again
    assert [s["asset"] for s in again.json["steps"] if s["brought_before"]] == [there]
    told = centre.run("status").json["plans"][0]["troubles"]
    assert "RECOVERY_UNFINISHED" not in [one["code"] for one in told]


def test_a_check_that_fails_stops_what_depends_on_it_and_nothing_else(centre: Site) -> None:
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    back = centre.root / "back"
    result = recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"})
    assert (result.state, result.exit_code) == ("failed", 1), result.steps["cdr"]
    assert result.steps["recordings"].state == "done" and "did not pass" in str(result.steps["cdr"].reason)
    assert not (centre.root / "back/cdr").exists()


def test_what_depends_on_a_failed_one_is_not_begun(centre: Site, wording: SnapshotAssertion) -> None:
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    back = centre.root / "back"
    result = recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}, {"recordings": ["cdr"]})
    assert (result.state, result.steps["recordings"].state) == ("paused_by_failed_step", "stopped")
    assert result.steps["recordings"].reason == wording
    assert not (back / "recordings").exists()
    assert {r["asset"] for r in centre.records("restore.start")} == {"cdr"}
    (told,) = (t for t in centre.run("status").json["plans"][0]["troubles"] if t["code"] == "RECOVERY_UNFINISHED")
    assert "not brought back: cdr, recordings" in told["text"] and "ccdr recover --resume p" in told["next_step"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_it_goes_on(centre: Site, lost: Path, sign: int) -> None:
    restic(centre, "sleep 20")
    process = centre.start(*go(centre))
    assert process.stderr is not None
    for line in process.stderr:
        if "bringing" in line:
            break
    time.sleep(0.3)
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3 and "ccdr recover --resume p" in said, said
    (end,) = centre.records("recover.end")
    assert (end["state"], end["reason"]) == ("paused_by_failed_step", "interrupted")
    restic(centre, ":")
    again = centre.run("recover", "--resume")
    assert (again.code, again.json["state"]) == (0, "done") and is_back(centre, lost), again
    assert {p.name for p in (centre.root / "back").iterdir()} == {"recordings", "cdr"} and left(centre) == []


def test_two_people_at_once_and_the_second_is_told_who_it_is(centre: Site) -> None:
    restic(centre, "touch $S/begun; while [ ! -e $S/go ]; do sleep 0.1; done")
    process = centre.start(*go(centre))
    assert eventually(lambda: (centre.root / "begun").exists(), 60)
    for args in (go(centre), ["recover", "--resume", "p"]):
        second = centre.run(*args)
        assert second.code == 5 and f"process {process.pid}" in second.json["error"], second
    (centre.root / "go").touch()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_what_was_brought_and_is_gone_since_is_told_and_not_brought_twice(centre: Site) -> None:
    restic(centre, "mkdir $S/first 2>/dev/null || exit 1")
    done = centre.run(*go(centre))
    assert done.code != 0
    there = next(name for name, state in states(done.json).items() if state == "done")
    (centre.root / "back" / there).rename(centre.root / "away")
    restic(centre, ":")
    again = centre.run("recover", "--resume")
    assert again.code == 2 and "is not there any more" in again.json["error"], again
    (centre.root / "away").rename(centre.root / "back" / there)
    assert centre.run("recover", "--resume").code == 0


def test_the_time_that_looking_again_takes_is_in_its_rto(centre: Site) -> None:
    """A repository that answers slowly: nothing of the recovery is at work meanwhile, and people wait."""
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    assert recovered(centre, {"cdr": centre.root / "back" / "cdr"}).state == "failed"
    centre.write("restore_tests/cdr.yaml", CDR)
    clock = ShiftedClock()
    services, view = centre.services(clock), Watching()
    told = newest(services.state, "p")
    assert told is not None
    with resuming(centre.loaded(), told, services, view, Known((centre.loaded(),))) as one:
        clock.shift += timedelta(hours=1)
        clock.monotonic = lambda: time.monotonic() + 3600  # type: ignore[method-assign]
        one.carry_out(view)
    assert one.result.state == "done" and one.result.away >= 3600 > one.result.worked
    assert one.result.rto().verdict == "BREACHED"


@pytest.mark.parametrize("hours", [-24, 24], ids=["back", "ahead"])
def test_a_clock_that_jumps_changes_no_measured_time(centre: Site, lost: Path, hours: int) -> None:
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    back = centre.root / "back"
    assert recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}).state == "failed"
    centre.write("restore_tests/cdr.yaml", CDR)
    result = resumed(centre, clock=ShiftedClock(timedelta(hours=hours)))
    assert result.state == "done" and is_back(centre, lost)
    assert 0 < result.worked < 600 and 0 <= result.away < 600 and result.rto().verdict == "MET"


def quietly_damaged(path: Path) -> None:
    """Of the same size, and under the same time of its last change."""
    status = path.stat()
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("harm", [None, "chmod", "damage"])
def test_what_had_its_name_and_is_damaged_since_is_not_told_as_done_without_a_word(
    centre: Site, harm: str | None
) -> None:
    """The twins: nobody touched it; or somebody did, and what is there is what was brought."""
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    back = centre.root / "back"
    assert recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}).state == "failed"
    centre.write("restore_tests/cdr.yaml", CDR)
    file = next((back / "recordings").rglob("003.wav"))
    if harm is not None:
        quietly_damaged(file) if harm == "damage" else file.chmod(0o604)
    result = resumed(centre)
    read = 0 if harm is None else 1
    assert result.state == "done" and f"{20 - read} files of 20 bear the times" in str(result.notes), result.notes
    if harm == "damage":
        (found,) = result.found
        assert result.exit_code == 1 and "recordings: 1 file is not as brought" in found and "003" not in found
    else:
        assert (result.exit_code, result.found) == (0, []), result


def edited(site: Site, how: str) -> None:
    """By somebody who may write the state: all that is to be brought goes elsewhere; it is of another snapshot; or it is
    a recovery that nobody had begun."""
    (path,) = (site.state / "recover").glob("*/journal.jsonl")
    first, rest = path.read_text().split("\n", 1)
    decided = json.loads(first)
    (cdr,) = (one for one in decided["assets"] if one["asset"] == "cdr")
    if how == "target":
        cdr["where"] = {"directory": str(site.root / "back/elsewhere")}
    elif how == "snapshot":
        cdr["snapshot"] = "0" * 64
    elif how == "run":
        decided["run"] = "20991231T000000-ffffff"
        (site.state / "recover" / decided["run"]).mkdir(mode=0o700)
        path = site.state / "recover" / decided["run"] / path.name
    path.write_text(f"{json.dumps(decided, separators=(',', ':'))}\n{rest}")


@pytest.mark.parametrize("how", ["target", "snapshot", "run", "twin"])
def test_a_journal_that_says_another_thing_than_was_decided_is_not_gone_on_with(centre: Site, how: str) -> None:
    """The twin: written anew, and the same."""
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    back = centre.root / "back"
    assert recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}).state == "failed"
    centre.write("restore_tests/cdr.yaml", CDR)
    edited(centre, how)
    if how == "twin":
        assert centre.run("recover", "--resume", "p").code == 0
        assert centre.run("recover", "check", "p").code == 0
        return
    begun = len(centre.records("recover.start"))
    for asked in (["--resume", "p"], ["check", "p"]):
        told = centre.run("recover", *asked)
        assert told.code == 3 and "is not believed" in told.json["error"], told
    assert len(centre.records("recover.start")) == begun and not (back / "elsewhere").exists()


@pytest.mark.parametrize("line", ["named", "ended"])
def test_a_journal_that_was_told_of_what_never_happened_is_not_gone_on_with(centre: Site, line: str) -> None:
    """By somebody who may write the state, and does not have the repository's password."""
    centre.write("restore_tests/cdr.yaml", CDR.replace("3000", "99999"))
    back = centre.root / "back"
    assert recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}).state == "failed"
    centre.write("restore_tests/cdr.yaml", CDR)
    (path,) = (centre.state / "recover").glob("*/journal.jsonl")
    *_, last = path.read_text().splitlines()
    what: dict[str, object] = {"asset": "cdr", "stage": "named", "facts": {}} if line == "named" else {"ended": "done"}
    told = {key: value for key, value in json.loads(last).items() if key != "ended"} | what
    whole = path.read_text()
    path.write_text(f"{whole}{json.dumps(told, separators=(',', ':'))}\n")
    refused = centre.run("recover", "--resume", "p")
    assert refused.code == 3 and "with this plan's repository password" in refused.json["error"]
    assert not (back / "cdr").exists()
    path.write_text(whole)
    assert centre.run("recover", "--resume", "p").code == 0


def test_what_could_not_be_looked_at_is_told_by_whoever_goes_on(centre: Site, lost: Path) -> None:
    """Docker was away for the call records, and is there again; the recordings alone were still to be brought."""
    restic(centre, 'case "$*" in *recordings*) exit 1;; esac')
    docker = centre.env.get("DOCKER_HOST")
    centre.env["DOCKER_HOST"] = f"unix://{centre.root}/nowhere.sock"
    done = centre.run(*go(centre))
    assert states(done.json) == {"recordings": "failed", "cdr": "done"}, done
    del centre.env["DOCKER_HOST"]
    if docker:
        centre.env["DOCKER_HOST"] = docker
    restic(centre, ":")
    again = centre.run("recover", "--resume")
    assert (again.code, again.json["state"]) == (3, "done") and is_back(centre, lost), again
    assert "recover check p" in again.json["hint"], again
    assert centre.run("recover", "check", "p").code == 0
