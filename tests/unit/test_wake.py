"""The quick way of `ccdr run`: nothing is read while there is nothing to do, and no due time is ever slept over."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.evidence.log_standing import LogStanding, directory, write_standing
from ccdr.host.state import State
from ccdr.model.finding import Finding
from ccdr.model.schedule import advance, occurrences
from ccdr.run.next_due import LONGEST, Log, asleep, calm_standing, fingerprint, sleep

NOON = datetime(2026, 11, 24, 12, 0, 3, tzinfo=UTC).timestamp()
KEY = "plans\nrestore_tests\n\n"


@dataclass
class Slept:
    """A state and plans, after a run at noon that found nothing to do for `seconds`."""

    root: Path
    key: str = KEY
    watched: Sequence[Path] = field(default=())

    def __post_init__(self) -> None:
        self.watched = (self.root / "plans", self.root / "restore_tests")
        (self.root / "state" / "schedule").mkdir(parents=True)
        for watched in self.watched:
            watched.mkdir()
        self.write("plans/p.yaml", "plan: p\n")
        self.write("restore_tests/c.yaml", "restore_test: c\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text)
        return path

    @property
    def state(self) -> Path:
        return self.root / "state"

    def sleeps(self, seconds: float = 1800, at: float = NOON, logs: Sequence[Log] = ()) -> None:
        sleep(self.state, self.key, fingerprint(self.watched), at, at + seconds, logs)

    def asleep(self, at: float = NOON + 60, key: str | None = None) -> bool:
        return asleep(self.state, key or self.key, fingerprint(self.watched), at)


@pytest.fixture
def slept(tmp_path: Path) -> Slept:
    made = Slept(tmp_path)
    made.sleeps()
    return made


def test_it_sleeps_until_the_moment_and_no_longer(slept: Slept) -> None:
    assert slept.asleep(NOON) and slept.asleep(NOON + 1799.9)
    assert not slept.asleep(NOON + 1800) and not slept.asleep(NOON + 86400)


def test_it_never_sleeps_longer_than_what_is_told_may_be_old(slept: Slept) -> None:
    slept.sleeps(7 * 86400)
    assert slept.asleep(NOON + LONGEST - 1) and not slept.asleep(NOON + LONGEST)


def test_what_is_to_be_done_by_now_is_not_slept_over(slept: Slept) -> None:
    slept.sleeps(-600)
    assert not slept.asleep(NOON) and not slept.asleep(NOON - 300)


@pytest.mark.parametrize("back", [1.0, 3600.0, 10 * 365 * 86400.0])
def test_a_clock_set_back_wakes_it(slept: Slept, back: float) -> None:
    """It stands before the moment from which there was nothing to do: nobody knows what there is."""
    assert not slept.asleep(NOON - back)


@pytest.mark.parametrize("directory", ["plans", "restore_tests"])
def test_any_change_of_a_file_wakes_it(slept: Slept, directory: str) -> None:
    (path,) = (slept.root / directory).iterdir()
    was = path.stat()
    path.write_text(path.read_text()[:-2] + "q\n")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns + 1))
    assert not slept.asleep()


def test_another_file_under_the_name_wakes_it_though_size_and_time_are_the_same(slept: Slept) -> None:
    """As a deployment does that unpacks an archive, or changes a link."""
    path = slept.root / "plans" / "p.yaml"
    was, new = path.stat(), slept.write("new", "plan: q\n")
    os.utime(new, ns=(was.st_atime_ns, was.st_mtime_ns))
    new.replace(path)
    assert path.stat().st_size == was.st_size and not slept.asleep()


@pytest.mark.parametrize("directory", ["plans", "restore_tests"])
def test_a_file_that_comes_or_goes_wakes_it(slept: Slept, directory: str) -> None:
    new = slept.write(f"{directory}/q.yaml", "plan: q\n")
    assert not slept.asleep()
    new.unlink()
    assert slept.asleep(), "all is as it was when there was nothing to do"
    next((slept.root / directory).iterdir()).unlink()
    assert not slept.asleep()


def test_plans_that_are_gone_wake_it(slept: Slept) -> None:
    shutil.rmtree(slept.root / "plans")
    assert not slept.asleep()


def test_a_run_that_is_asked_for_something_else_is_awake(slept: Slept) -> None:
    assert not slept.asleep(key=KEY + "backups")


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"since": 0, "until": "late", "files": []}'])
def test_what_cannot_be_read_wakes_it(slept: Slept, text: str) -> None:
    (path,) = (slept.state / "schedule").iterdir()
    path.write_text(text)
    assert not slept.asleep()


def test_state_that_was_brought_back_from_a_copy_sleeps_no_longer_than_when_it_was_copied(slept: Slept) -> None:
    """The copy says until when there was nothing to do; what was due since then is due by the copy's slots, too."""
    shutil.copytree(slept.state, slept.root / "copy")
    slept.sleeps(1800, at=NOON + 3000)
    shutil.rmtree(slept.state)
    shutil.move(slept.root / "copy", slept.state)
    assert slept.asleep(NOON + 1700) and not slept.asleep(NOON + 1801) and not slept.asleep(NOON + 3100)


def test_a_half_written_one_is_never_read(slept: Slept) -> None:
    """It comes whole under its name, and what a crash left beside it is not looked at."""
    (path,) = (slept.state / "schedule").iterdir()
    path.with_suffix(".4711.new").write_text(path.read_text()[:10])
    assert slept.asleep()
    assert set(json.loads(path.read_text())) >= {"since", "until", "files"}


CALM = LogStanding(since="000000010000000000000003", point=datetime.fromtimestamp(NOON, UTC))


class Shipped(Slept):
    """It sleeps beside a log that another process ships, which is late after 240 seconds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stands(CALM)
        self.follows()

    def follows(self) -> None:
        said = calm_standing(State(self.state), "p", "crm")
        self.sleeps(logs=[Log("p", "crm", "ship", 240.0, said)])

    def stands(self, standing: LogStanding) -> None:
        write_standing(directory(State(self.state), "p", "crm"), standing)


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Shipped]:
    made = Shipped(tmp_path)
    with State(made.state).lock("p", "crm", "ship"):
        yield made


def test_it_sleeps_while_a_log_is_shipped(shipped: Shipped) -> None:
    assert shipped.asleep()
    shipped.stands(replace(CALM, point=datetime.fromtimestamp(NOON + 600, UTC), position="0/3000060"))
    assert shipped.asleep(NOON + 620), "that it goes on is no news"


def test_what_ships_a_log_and_has_ended_wakes_it(tmp_path: Path) -> None:
    made = Shipped(tmp_path)
    assert not made.asleep(), "nothing has the lock"
    with State(made.state).lock("p", "crm", "ship"):
        assert made.asleep()
    assert not made.asleep()


def test_a_log_that_is_late_wakes_it(shipped: Shipped) -> None:
    assert shipped.asleep(NOON + 239) and not shipped.asleep(NOON + 240)


def test_a_log_that_is_dated_in_the_future_wakes_it(shipped: Shipped) -> None:
    shipped.stands(replace(CALM, point=datetime.fromtimestamp(NOON + 3600, UTC)))
    assert not shipped.asleep()


@pytest.mark.parametrize(
    "news",
    [
        {"trouble": "the source does not answer", "troubled": CALM.point},
        {"findings": (Finding("its slot holds 3 GB", "slot"),)},
        {"gap": "log is missing between A and B"},
        {"since": "000000010000000000000009"},
        {"point": None},
    ],
    ids=lambda news: next(iter(news)),
)
def test_what_is_to_be_told_of_a_log_wakes_it(shipped: Shipped, news: dict[str, Any]) -> None:
    shipped.stands(replace(CALM, **news))
    assert not shipped.asleep()


def test_what_was_told_of_a_log_lets_it_sleep_but_never_a_log_that_is_not_shipped(shipped: Shipped) -> None:
    shipped.stands(replace(CALM, findings=(Finding("its slot holds 3 GB", "slot"),)))
    shipped.follows()
    assert shipped.asleep()
    shipped.stands(replace(CALM, trouble="the source does not answer"))
    shipped.follows()
    assert not shipped.asleep()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_standing_that_cannot_be_read_wakes_it(shipped: Shipped, text: str) -> None:
    (directory(State(shipped.state), "p", "crm") / "standing.json").write_text(text)
    assert not shipped.asleep()
    shipped.follows()
    assert not shipped.asleep(), "nor is it slept over when it was so before"


def test_what_an_older_ccdr_has_left_is_not_slept_by(slept: Slept) -> None:
    """It watched no logs."""
    (path,) = (slept.state / "schedule").iterdir()
    kept = json.loads(path.read_text())
    del kept["logs"]
    path.write_text(json.dumps(kept))
    assert not slept.asleep()


CRONS = ["*/30 * * * *", "30 2 * * *", "0 3 * * *", "15 * * * *", "59 23 * * 0", "5 1,2,3 * * *"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
# Around the changes of daylight-saving time of 2026 in these zones.
CHANGES = ["2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z", "2026-03-08T06:30:00Z", "2026-11-01T05:30:00Z"]
CHANGES += ["2026-04-04T14:30:00Z", "2026-10-03T15:00:00Z", "2026-06-01T12:00:00Z"]


@given(
    cron=st.sampled_from(CRONS),
    zone=st.sampled_from(ZONES),
    around=st.sampled_from(CHANGES),
    before=st.integers(0, 6 * 3600),
    calls=st.lists(st.integers(1, 3 * 3600), min_size=1, max_size=8),
    work=st.integers(0, 5400),
)
def test_no_due_time_is_slept_over(
    cron: str,
    zone: str,
    around: str,
    before: int,
    calls: list[int],
    work: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever the zone's daylight saving does, and however long the work takes: a call that comes while something is
    due is awake. Cron's own reckoning tells what is due, from the last look on."""
    slept = Slept(tmp_path_factory.mktemp("slept"))
    now = datetime.fromisoformat(around) - timedelta(seconds=before)
    slot, _ = advance(None, cron, zone, now)
    slept.sleeps((slot.wakes(now) - now).total_seconds(), at=now.timestamp())
    for step in calls:
        now += timedelta(seconds=step)
        due = next(occurrences(cron, zone, slot.settled)) <= now
        if slept.asleep(now.timestamp()):
            assert not due, f"{cron} in {zone}: {now} is slept over"
            continue
        began = now
        slot, _ = advance(slot, cron, zone, now)
        if slot.ready(now):
            now += timedelta(seconds=work)
            slot = slot.done()
        slept.sleeps((slot.wakes(began) - began).total_seconds(), at=began.timestamp())


@pytest.mark.parametrize("what", ["gone", "emptied", "begun anew", "another one"])
def test_a_ledger_that_is_lost_is_not_slept_over(slept: Slept, what: str) -> None:
    ledger = slept.state / "ledger"
    ledger.mkdir()
    slept.write("state/ledger/id", "a" * 32)
    slept.write("state/ledger/000000000001.jsonl", "{}\n")
    slept.sleeps()
    assert slept.asleep()
    if what == "gone":
        shutil.rmtree(ledger)
    elif what == "emptied":
        (ledger / "000000000001.jsonl").unlink()
    elif what == "begun anew":
        slept.write("state/ledger/id", "b" * 32)
    else:
        (ledger / "000000000001.jsonl").rename(ledger / "000000000077.jsonl")
    assert not slept.asleep()


def test_a_ledger_that_grew_is_slept_over(slept: Slept) -> None:
    (slept.state / "ledger").mkdir()
    slept.write("state/ledger/id", "a" * 32)
    slept.write("state/ledger/000000000001.jsonl", "{}\n")
    slept.sleeps()
    slept.write("state/ledger/000000000009.jsonl", "{}\n")
    assert slept.asleep()
