"""Clocks that were set back or forward: no negative RPO, no PASS on a snapshot from the future, durations unharmed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.harness import Quiet, ShiftedClock, Site, Source
from tests.support.sites import copy_of

from ccdr.jobs.backup import backup
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.values import ObjectiveVerdict, Verdict
from ccdr.plans.job import Job
from ccdr.telling.status import status

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clock") / "spool"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).write_text(name)
        os.utime(root / name, (1_700_000_000, 1_700_000_000))
    return root


@pytest.fixture(scope="module")
def stored(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Backed up by the right time."""
    site = Site(tmp_path_factory.mktemp("stored"))
    site.recordings(tree)
    site.backed_up()
    return site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(stored, tmp_path / "site")
    yield made
    made.ledger_holds()


def outcome(site: Site, clock: object, selection: str = "latest") -> RestoreTest:
    return restore_test(Job(site.loaded(), "recordings"), selection, site.services(clock), Quiet())


def sane(done: RestoreTest) -> None:
    assert done.rpo and (done.rpo.achieved_s is None or done.rpo.achieved_s >= 0)
    assert all(0 <= seconds < 120 for seconds in done.phases.values()), done.phases
    assert done.rto and (done.rto.achieved_s is None or 0 <= done.rto.achieved_s < 120)


def test_the_right_time_passes(site: Site) -> None:
    done = outcome(site, ShiftedClock())
    sane(done)
    assert done.verdict is Verdict.PASS and done.findings == [] and int(done.exit_code) == 0
    assert done.rpo and done.rpo.verdict is ObjectiveVerdict.MET


@pytest.mark.parametrize("back", [HOUR, 24 * HOUR, 24 * 365 * HOUR])
def test_clock_set_back_never_passes_on_a_snapshot_from_the_future(site: Site, back: timedelta) -> None:
    """By the clock of now, the only snapshot was taken in an hour: either clock may be wrong."""
    done = outcome(site, ShiftedClock(-back))
    sane(done)
    assert done.verdict is Verdict.FAIL and int(done.exit_code) == 1
    assert any("future" in said for said in map(str, done.findings)), done.findings
    assert done.rpo and done.rpo.verdict is ObjectiveVerdict.BREACHED and done.rpo.as_json()["achieved_s"] is None


def test_a_snapshot_from_the_future_never_passes_when_it_is_named(site: Site) -> None:
    (snapshot,) = site.services().catalogue.snapshots("p", "recordings")
    done = outcome(site, ShiftedClock(-HOUR), snapshot.id)
    sane(done)
    assert int(done.exit_code) == 1 and any("future" in said for said in map(str, done.findings))
    assert done.rpo and done.rpo.verdict is ObjectiveVerdict.BREACHED
    assert done.verdict is Verdict.FAIL and "in the future" in str(done.reason)


def test_a_little_skew_is_tolerated(site: Site) -> None:
    """Two hosts' clocks are never the same."""
    done = outcome(site, ShiftedClock(-timedelta(minutes=2)))
    sane(done)
    assert done.verdict is Verdict.PASS, (done.reason, done.findings)


def test_clock_set_forward_breaches_the_rpo_and_says_so(site: Site) -> None:
    done = outcome(site, ShiftedClock(3 * HOUR))
    sane(done)
    assert done.verdict is Verdict.PASS  # the backup is what it claims; it is old by this clock
    assert done.rpo and done.rpo.verdict is ObjectiveVerdict.BREACHED
    assert done.rpo.achieved_s and 3 * 3600 <= done.rpo.achieved_s < 4 * 3600
    assert int(done.exit_code) == 1


def test_a_backup_by_a_clock_set_forward_does_not_replace_a_good_one(tree: Path, tmp_path: Path) -> None:
    """The host was a day ahead when it backed up, and was set right since. restic's `latest` would be that one."""
    site = Site(tmp_path)
    site.recordings(tree)
    good = backup(Job(site.loaded(), "recordings"), site.services(), Quiet())
    ahead = backup(Job(site.loaded(), "recordings"), site.services(ShiftedClock(24 * HOUR)), Quiet())
    assert good.snapshot and ahead.snapshot
    done = outcome(site, ShiftedClock())
    sane(done)
    assert done.snapshot and done.snapshot.id == good.snapshot.id
    (found,) = status([site.loaded()], site.services())
    assert found.rpo.achieved_s is not None and 0 <= found.rpo.achieved_s < 600
    assert any("future" in problem for problem in found.problems)
    site.ledger_holds()


@pytest.mark.parametrize("hours", [-5, 5])
def test_status_by_a_wrong_clock_is_never_negative(site: Site, hours: int) -> None:
    outcome(site, ShiftedClock())
    (found,) = status([site.loaded()], site.services(ShiftedClock(hours * HOUR)))
    shown = found.as_json()
    assert shown["rpo"]["verdict"] == "BREACHED" and found.finding  # type: ignore[index]
    assert found.rpo.achieved_s is None or found.rpo.achieved_s > 0


@dataclass
class Jumping:
    """A wall clock that jumps back an hour at each look; its monotonic clock is sound."""

    looks: int = 0

    def now(self) -> datetime:
        self.looks += 1
        return datetime.now(UTC) - min(self.looks, 1) * timedelta(seconds=60) + (self.looks % 2) * timedelta(seconds=90)

    def monotonic(self) -> float:
        return ShiftedClock().monotonic()


def test_durations_are_from_the_monotonic_clock(site: Site) -> None:
    """The wall clock jumps to and fro while the test runs."""
    done = outcome(site, Jumping())
    sane(done)
    assert done.verdict is Verdict.PASS, (done.reason, done.findings)
    assert sum(done.phases.values()) < 60


def test_a_source_whose_clock_is_wrong_is_recorded(source: Source, tmp_path: Path) -> None:
    """The consistent point is this host's clock; what the source's said is the skew."""
    source.psql("create database clocked template template0")
    try:
        source.psql("create table t as select 1 a", "clocked")
        site = Site(tmp_path)
        site.crm(source, "clocked")
        done = backup(Job(site.loaded(), "crm"), site.services(ShiftedClock(-HOUR / 30)), Quiet())
        assert done.skew is not None and 110 < done.skew < 130
        assert done.snapshot and abs((datetime.now(UTC) - done.snapshot.consistent_point).total_seconds() - 120) < 60
    finally:
        source.psql("drop database clocked with (force)")


ASKED = "import time; from ccdr.host.clock import SystemClock; print(SystemClock().monotonic() - time.monotonic())"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a process a start of the machine of its own")
@pytest.mark.parametrize("slept", [0, 86400])
def test_what_the_machine_slept_counts_as_time_that_passed(slept: int) -> None:
    """An objective that was missed asleep is missed."""
    argv = ["unshare", "--time", "--boottime", str(slept), sys.executable, "-c", ASKED]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert float(told) == pytest.approx(slept, abs=1)
