"""The reaper: removes what is ours and dead, or has ended and expired; touches nothing else."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.harness import ShiftedClock, Site, Source, eventually, small_database
from tests.support.sites import copy_of

from ccdr.host.state import State
from ccdr.jobs.leftovers import Cleared, clear_leftovers
from ccdr.model.values import rfc3339

CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
SLOW = CHECKS + '  - {kind: sql, name: slow, expect: 1, query: "select count(*) from pg_sleep(4)"}\n'


def docker(*args: str) -> str:
    return subprocess.run(["docker", *args], capture_output=True, text=True, check=True).stdout.strip()


def there(name: str) -> bool:
    return subprocess.run(["docker", "inspect", name], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def stored(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "reaped") as name:
        site = Site(tmp_path_factory.mktemp(name))
        site.crm(source, name, checks=CHECKS)
        site.backed_up()
        yield site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    return copy_of(stored, tmp_path / "site")


@pytest.fixture
def planted(source: Source, site: Site) -> Iterator[Callable[..., str]]:
    """Containers and volumes that somebody left: planted(kind, name, labels). A container runs, unless it is to have
    ended."""
    image = docker("inspect", "-f", "{{.Config.Image}}", source.container)
    made: list[tuple[str, str]] = []

    def plant(kind: str, name: str, labels: dict[str, str], *, ended: bool = False) -> str:
        flags = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        name = f"{name}-{State(site.state).id}"
        if kind == "volume":
            docker("volume", "create", *flags, name)
        else:
            docker("run", "-d", "--network", "none", "--name", name, *flags, image, "sleep", "0" if ended else "600")
            assert not ended or docker("wait", name) == "0"
        made.append((kind, name))
        return name

    yield plant
    for kind, name in made:
        argv = ["volume", "rm", "-f", name] if kind == "volume" else ["rm", "-f", name]
        subprocess.run(["docker", *argv], capture_output=True, check=False)


def soon(**delta: int) -> str:
    return rfc3339(datetime.now(UTC) + timedelta(**delta))


def test_reap_removes_ours_and_nothing_else(site: Site, planted: Callable[..., str]) -> None:
    ours, other = State(site.state).id, "0" * 12
    dead = {"ccdr.run": "20200101T000000-aaaaaa", "ccdr.state": ours, "ccdr.expires": soon(hours=5)}
    gone = [
        planted("container", "reap-dead", dead),
        planted("volume", "reap-dead", dead),
        planted("container", "reap-client", dead | {"ccdr.run": "20200101T000000-bbbbbb-client"}),
    ]
    kept = [
        planted("container", "reap-unlabelled", {}),
        planted("volume", "reap-unlabelled", {}),
        planted("container", "reap-lookalike", {"ccdr": "run", "ccdr.expires": soon(hours=-1)}),
        planted("container", "ccdr-20200101T000000-cccccc", {}),  # our kind of name, not our label
        planted("container", "reap-others", dead | {"ccdr.state": other}),
        planted("volume", "reap-others", dead | {"ccdr.state": other}),
        planted("container", "reap-unreadable", dead | {"ccdr.state": other, "ccdr.expires": "some day"}),
    ]  # fmt: skip
    planned = site.run("sandbox", "reap", "--dry-run")
    assert planned.code == 0 and planned.json["dry_run"]
    assert all(there(name) for name in gone + kept)
    assert site.records("sandbox.reap") == []
    done = site.run("sandbox", "reap")
    assert done.code == 0 and done.json["problems"] == []
    assert not any(there(name) for name in gone), done
    assert all(there(name) for name in kept), done
    assert {n for n in planned.json["removed"] if State(site.state).id in n} == {
        n for n in done.json["removed"] if State(site.state).id in n
    }
    (record,) = site.records("sandbox.reap")
    assert record["left_behind"] == [] and all(any(name in r for r in record["removed"]) for name in gone)
    site.ledger_holds()
    again = site.run("sandbox", "reap")
    assert not any(State(site.state).id in name for name in again.json["removed"])


def test_reap_removes_what_has_ended_and_expired_whosever_it_is(site: Site, planted: Callable[..., str]) -> None:
    expired = {"ccdr.run": "20200101T000000-aaaaaa", "ccdr.state": "0" * 12, "ccdr.expires": soon(hours=-1)}

    def removed_by_us() -> bool:
        """False where another ccdr of this machine was quicker: it is anybody's to remove."""
        names = [planted("container", "reap-expired", expired, ended=True), planted("volume", "reap-expired", expired)]
        planned = site.run("sandbox", "reap", "--dry-run")
        stayed = all(there(name) for name in names)
        done = site.run("sandbox", "reap")
        assert (planned.code, done.code, done.json["problems"]) == (0, 0, []), done
        assert not any(there(name) for name in names), done
        records = site.records("sandbox.reap")
        told = [planned.json["removed"], done.json["removed"], records[-1]["removed"] if records else []]
        return stayed and all(any(name in said for said in one) for name in names for one in told)

    assert eventually(removed_by_us, 60)
    site.ledger_holds()


def test_what_another_installation_runs_stays_whatever_our_clock_says(
    site: Site, source: Source, planted: Callable[..., str]
) -> None:
    """Nobody here can ask whether its run is alive."""
    theirs = {"ccdr.run": "20200101T000000-aaaaaa", "ccdr.state": "0" * 12}
    running = planted("container", "reap-running", theirs | {"ccdr.expires": soon(hours=-1)})
    fresh = planted("container", "reap-fresh", theirs | {"ccdr.expires": soon(hours=24)}, ended=True)
    volume = planted("volume", "reap-held", theirs | {"ccdr.expires": soon(hours=-1)})
    image = docker("inspect", "-f", "{{.Config.Image}}", source.container)
    label = f"ccdr.run={theirs['ccdr.run']}"
    holds = docker("run", "-d", "--network", "none", "--label", label, "-v", f"{volume}:/data", image, "sleep", "600")
    try:
        done = reaped_later(site, days=400)
        assert not {running, fresh, volume} & {said.split()[-1] for said in done.removed} and not done.problems, done
        assert all(there(name) for name in (running, fresh, volume, holds))
    finally:
        docker("rm", "-f", holds)


def test_reap_leaves_a_live_run_alone(site: Site, source: Source) -> None:
    site.crm(source, "reaped", checks=SLOW)
    process = site.start("test", "p")
    assert process.stderr
    for line in process.stderr:
        if "checking crm: slow" in line:
            break
    during = site.run("sandbox", "reap")
    assert during.code == 0 and not any("scratch" in name for name in during.json["removed"]), during
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "PASS" in out


def test_reap_removes_what_a_crash_left(site: Site, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scratch too, with what a restored tree may hold: directories without write permission."""
    site.crm(source, "reaped", checks=SLOW.replace("pg_sleep(4)", "pg_sleep(100)"))
    process = site.start("test", "p")
    assert process.stderr
    for line in process.stderr:
        if "checking crm: slow" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (scratch,) = [p for p in (site.state / "scratch").glob("run-*") if p.is_dir()]
    stubborn = scratch / "fetched/stubborn"
    stubborn.mkdir()
    (stubborn / "file").touch()
    stubborn.chmod(0o500)
    label = f"label=ccdr.state={State(site.state).id}"
    planned = site.run("sandbox", "reap", "--dry-run")
    assert f"scratch {scratch.name}" in planned.json["removed"] and scratch.exists()
    assert site.run("sandbox", "reap").code == 0
    assert not scratch.exists() and not list((site.state / "scratch").glob("run-*"))
    assert eventually(lambda: not docker("ps", "-aq", "--filter", label))


def reaped_later(site: Site, **delta: int) -> Cleared:
    return clear_leftovers(replace(site.services(), clock=ShiftedClock(timedelta(**delta))))


def test_kept_sandboxes_stay_until_they_expire(site: Site) -> None:
    kept = site.run("test", "p", "--keep")
    assert (kept.json["verdict"], kept.code) == ("PASS", 0), kept
    name, scratch = f"ccdr-{kept.json['run']}", site.state / "scratch" / f"run-{kept.json['run']}"
    try:
        assert there(name) and scratch.is_dir()
        assert site.run("sandbox", "reap").code == 0
        assert there(name) and scratch.is_dir()
        reaped_later(site, hours=3)
        assert there(name) and scratch.is_dir()
        done = reaped_later(site, hours=5)
        assert not there(name) and not scratch.exists() and done.problems == []
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
    site.ledger_holds()


def test_kept_sandbox_that_was_removed_by_hand_leaves_no_restored_data_once_reaped(site: Site) -> None:
    kept = site.run("test", "p", "--keep")
    name, scratch = f"ccdr-{kept.json['run']}", site.state / "scratch" / f"run-{kept.json['run']}"
    docker("rm", "-f", name)
    assert scratch.is_dir()
    done = site.run("sandbox", "reap")
    assert done.code == 0 and not scratch.exists(), done
    assert any(kept.json["run"] in said for said in done.json["removed"])
    assert not list((site.state / "scratch").glob("run-*"))


def test_reap_with_docker_down_still_removes_scratch(site: Site) -> None:
    dead = site.state / "scratch/run-20200101T000000-dddddd"
    (dead / "fetched").mkdir(parents=True)
    done = site.run("sandbox", "reap", env={"DOCKER_HOST": "unix:///nonexistent"})
    assert done.code == 3 and not dead.exists()


def test_reap_with_nothing_to_do_records_nothing(site: Site) -> None:
    before = len(site.records())
    done = site.run("sandbox", "reap", "--dry-run")
    assert done.code == 0 and len(site.records()) == before
