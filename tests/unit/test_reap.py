"""What the reaper takes for a crash's leftovers, and what for work that is still being done."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.harness import ShiftedClock, Site

from ccdr.host.state import Run
from ccdr.jobs.leftovers import CLIENT, Cleared, clear_leftovers
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339
from ccdr.ports.place import Clock
from ccdr.sandbox.docker import EXPIRES, RUN, STATE, Leftover

DEAD, OTHER = "20200101T000000-aaaaaa", "0" * 12  # a run, and an installation


@dataclass
class Labelled:
    """Docker, as far as the reaper asks it: its host's clock cannot be set, nor can containers of other programs be had
    to leave these alone. `clock` None: it does not tell the time."""

    state: str
    there: list[Leftover] = field(default_factory=list)
    clock: Clock | None = field(default_factory=ShiftedClock)

    def leftovers(self) -> list[Leftover]:
        return list(self.there)

    def remove(self, leftover: Leftover) -> list[str]:
        self.there.remove(leftover)
        return []

    def now(self) -> datetime | None:
        return None if self.clock is None else self.clock.now()

    def has(self, name: str, run: str, *, state: str | None = None, expires: timedelta, ended: bool = False) -> None:
        labels = {RUN: run, STATE: state or self.state, EXPIRES: rfc3339(datetime.now(UTC) + expires)}
        self.there.append(Leftover("container", name, labels, ended))


@dataclass(frozen=True)
class Room:
    docker: Labelled


@pytest.fixture
def services(tmp_path: Path) -> Services:
    made = Site(tmp_path).services()
    return replace(made, lab=cast("Any", Room(Labelled(made.state.id))))


@pytest.fixture
def docker(services: Services) -> Labelled:
    return cast("Labelled", services.lab.docker)


@pytest.fixture
def alive(services: Services) -> Iterator[Run]:
    """A run that is under way, in this process."""
    with services.state.run(services.clock) as run:
        yield run


PAST, AHEAD = timedelta(hours=-1), timedelta(hours=1)


@pytest.mark.parametrize("end", ["", CLIENT])
def test_a_run_that_is_alive_keeps_its_containers_however_long_it_takes(
    services: Services, docker: Labelled, alive: Run, end: str
) -> None:
    """A restore of terabytes outlives the expiry that its labels bear: that is for hosts that cannot see it alive."""
    docker.has("working", alive.id + end, expires=PAST)
    docker.has("crashed", DEAD + end, expires=AHEAD)
    done = clear_leftovers(services)
    assert [one.name for one in docker.there] == ["working"]
    assert done.removed == ["container crashed"] and any("working is in use" in said for said in done.left)
    assert alive.scratch.is_dir()


def test_what_another_installation_labelled_goes_once_it_has_ended_and_expired_and_not_before(
    services: Services, docker: Labelled
) -> None:
    docker.has("theirs", DEAD, state=OTHER, expires=AHEAD, ended=True)
    docker.has("theirs, at work", DEAD, state=OTHER, expires=PAST)
    docker.has("theirs, long ago", DEAD, state=OTHER, expires=PAST, ended=True)
    assert clear_leftovers(services).removed == ["container theirs, long ago"]
    assert [one.name for one in docker.there] == ["theirs", "theirs, at work"]


@pytest.mark.parametrize("theirs", [ShiftedClock(), None], ids=["told", "not told"])
def test_a_clock_of_ours_that_jumped_says_nothing_about_what_another_installation_left(
    services: Services, docker: Labelled, theirs: Clock | None
) -> None:
    docker.clock = theirs
    docker.has("theirs", DEAD, state=OTHER, expires=AHEAD)
    docker.has("theirs, ended", DEAD, state=OTHER, expires=AHEAD, ended=True)
    assert clear_leftovers(replace(services, clock=ShiftedClock(timedelta(days=400)))).removed == []
    assert len(docker.there) == 2


@pytest.fixture
def capture(services: Services) -> Path:
    """Something that a backup has captured, or is about to."""
    path = services.state.capture_path("p", "crm")
    path.mkdir(parents=True)
    (path / "dump").write_text("half of it")
    return path


def without_docker(services: Services, **more: bool) -> Cleared:
    return clear_leftovers(services, docker=False, **more)


def test_the_capture_of_a_backup_that_is_under_way_stays(services: Services, capture: Path) -> None:
    with services.state.lock("p", "crm", "backup"):
        done = without_docker(services)
    assert (capture / "dump").is_file()
    assert (done.removed, done.problems, done.left) == ([], [], ["capture of p/crm is under way"])
    assert not list(services.ledger.records())


def test_while_a_capture_is_removed_no_backup_of_it_begins(
    services: Services, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that cron begins at that moment would capture into a directory that is being taken away."""
    held: list[bool] = []
    room = importlib.import_module("ccdr.jobs.leftovers")
    really = room.remove_tree

    def remove(path: Path) -> list[str]:
        held.append(services.state.held("p", "crm", "backup"))
        return really(path)

    monkeypatch.setattr(room, "remove_tree", remove)
    without_docker(services)
    assert held == [True] and not capture.exists()


def test_the_capture_that_a_crash_left_goes_and_is_recorded(services: Services, capture: Path) -> None:
    assert without_docker(services, dry_run=True).removed == ["capture of p/crm"] and capture.exists()
    assert without_docker(services).removed == ["capture of p/crm"] and not capture.exists()
    *_, record = services.ledger.records()
    assert (record["kind"], record["removed"]) == ("sandbox.reap", ["capture of p/crm"])
