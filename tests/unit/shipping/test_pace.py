"""When what ships a log does its work: how soon a source that is away is tried again, and what is stored before its
time. With clocks that stand still but for what is slept; no server."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.support.batches import MARK, NOW, Store, segment, walfile
from tests.support.harness import Quiet, Site

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.wal import Wal
from ccdr.evidence.history.kinds import STOPPED
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.host.state import Run
from ccdr.jobs.shipping import storing
from ccdr.jobs.shipping.ship import Shipping
from ccdr.jobs.shipping.shipment import Shipment
from ccdr.model.errors import CommandFailed
from ccdr.model.forks import Fork
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark
from ccdr.ports.place import Clock, Session, Source
from ccdr.sandbox.lab import Lab
from ccdr.storage.restic import Restic

INTERVAL = 60.0


class Sleeper:
    """Two clocks that go on while somebody sleeps; `wakes` is called each time."""

    def __init__(self) -> None:
        self.slept, self.wakes = 0.0, lambda: None

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.slept)

    def monotonic(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.wakes()


class Written(Wal):
    """The log of a source that answers, and says each time that all has been received, unless it is `held_up`."""

    clock: Sleeper
    asked: list[float]
    looked_at: list[float]
    held_up: bool

    def identity(self, source: Source) -> str:
        return "7312"

    def ready(self, source: Source) -> Iterator[str]:
        self.looked_at.append(self.clock.slept)
        return iter(())

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        return 1, ()

    def went_back(self, *_: object) -> str | None:
        return None

    def receiver(self, *_: object, stored: bool) -> tuple[list[str], dict[str, str]]:
        return ["receiver"], {}

    def beat(self, source: Source) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(lambda: None)

    def mark(self, source: Source, clock: Clock) -> LogMark:
        self.asked.append(clock.monotonic())
        return MARK

    def holds(self, *_: object) -> bool:
        return not self.held_up


class Shipped:
    """What ships the log of a source that is away, or receives for as long as a script says: seconds, each time that
    the source is looked for; after its last line somebody ends it."""

    def __init__(self, root: Path, clock: Sleeper, *, limit: str = "4GiB", away: bool = False) -> None:
        site = Site(root, bare=True)
        site.plan(
            f"crm:\n  engine: postgres\n  method: physical\n"
            f"  log_shipping: {{interval: {INTERVAL:.0f}s, spool_limit: {limit}}}\n"
            "  connection: {host: /nowhere, user: postgres, database: postgres}"
        )
        self.clock, self.looked, self._script = clock, list[float](), list[float]()
        lab = cast("Lab", SimpleNamespace(source=self._source))
        services = replace(site.services(clock), lab=lab)
        job, run = Job(site.loaded(), "crm"), cast("Run", SimpleNamespace(id="r", scratch=site.root))
        self.spool = services.state.directory("shipping", "p", "crm", "spool")
        self.log = Written(Connection(host="/nowhere", user="x", database="y"), LogShipping(), "p/crm")
        self.log.__dict__.update(clock=clock, asked=[], looked_at=[], held_up=False)
        shipment = replace(Shipment.of(job, services, run, Quiet()), log=self.log)
        self.shipping = Shipping(shipment, cast("Restic", Store(away=away)))

    @contextmanager
    def _source(self, *_: object) -> Iterator[tuple[Source, None]]:
        self.looked.append(self.clock.slept)
        if not self._script:
            raise KeyboardInterrupt
        if (lasts := self._script.pop(0)) == 0:
            raise CommandFailed(["psql"], 2, "no route to host")
        ends = self.clock.slept + lasts
        receiver = SimpleNamespace(ended=lambda: "it was told to" if self.clock.slept >= ends else None)
        yield Source(SimpleNamespace(session=lambda *_, **__: nullcontext(cast("Session", receiver))), Path()), None  # type: ignore[arg-type]

    def carry_out(self, script: Sequence[float]) -> None:
        self._script = list(script)
        with pytest.raises(KeyboardInterrupt):
            self.shipping.carry_out(once=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    made = Sleeper()
    monkeypatch.setattr(time, "sleep", made.sleep)
    return made


def test_a_source_that_stays_away_is_tried_less_and_less_often_but_each_minute(tmp_path: Path, clock: Sleeper) -> None:
    """From the beginning again once it has been there."""
    there = 600.0
    shipped = Shipped(tmp_path, clock)
    walfile(shipped.spool / f"{segment(3)}.partial", 3, 20000)  # where the source stands
    shipped.carry_out([0, 0, 0, 0, 0, 0, there, 0, 0])
    waited = [after - before for before, after in zip(shipped.looked, shipped.looked[1:], strict=False)]
    assert waited == [5, 10, 20, 40, 60, 60, there + 5, 10, 20]


def test_a_source_that_is_found_and_cannot_be_received_from_is_tried_no_oftener(
    tmp_path: Path, clock: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, but does not get as far as receiving."""
    shipped = Shipped(tmp_path, clock)

    def refused(*_: object) -> str:
        raise CommandFailed(["psql"], 2, "permission denied")

    monkeypatch.setattr(Written, "identity", refused)
    shipped.carry_out([600.0] * 4)
    assert shipped.looked == [0, 5, 15, 35, 75]


@pytest.mark.parametrize(("comes", "asked"), [([16], [0, 60]), ([17, 17, 17], [0, 10, 20, 30, 90])], ids=str)
def test_where_much_comes_it_is_stored_before_its_time_and_no_later_for_that(
    tmp_path: Path, clock: Sleeper, comes: list[int], asked: list[float]
) -> None:
    """More than a quarter of what may wait here is not waited with. The next interval begins then: however much came,
    what comes behind it waits for one and no longer."""
    shipped = Shipped(tmp_path, clock, limit="64MiB", away=True)
    shipped.shipping.continuity.server = "7312"  # as it was written down
    coming = [(10.0 * n, shipped.spool / segment(n + 1), mib) for n, mib in enumerate(comes, 1)]

    def received() -> None:
        while coming and coming[0][0] <= clock.slept:
            _, path, mib = coming.pop(0)
            path.touch()
            os.truncate(path, mib * 2**20)

    (shipped.spool / segment(1)).write_bytes(b"begun")
    clock.wakes = received
    shipped.carry_out([100.0])
    assert shipped.log.asked == asked


def test_what_threatens_the_source_is_looked_at_again_while_all_goes_well(tmp_path: Path, clock: Sleeper) -> None:
    """At the first interval after five minutes."""
    shipped = Shipped(tmp_path, clock)
    walfile(shipped.spool / f"{segment(3)}.partial", 3, 20000)
    shipped.carry_out([800.0])
    assert shipped.log.looked_at == [0, 360, 720]


@pytest.mark.parametrize("held_up", [False, True])
def test_where_what_was_written_does_not_come_the_receiver_is_begun_anew(
    tmp_path: Path, clock: Sleeper, held_up: bool
) -> None:
    """Half a minute after the source was asked where its log ends."""
    shipped = Shipped(tmp_path, clock)
    walfile(shipped.spool / f"{segment(3)}.partial", 3, 20000)
    shipped.log.__dict__.update(held_up=held_up)
    shipped.carry_out([100.0])
    (began, again) = shipped.looked
    assert (began, round(again)) == (0, 35 if held_up else 105)
    assert ("has not come" in str(shipped.shipping.shipment.standing.trouble)) == held_up


def test_the_ledger_is_told_at_once_and_each_hour_though_no_segment_is_ever_whole(
    tmp_path: Path, clock: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a quiet server a segment takes days to fill, and what no record tells of is not believed. An hour is five
    minutes here."""
    hour = timedelta(minutes=5)
    monkeypatch.setattr(storing, "CLOSE_AFTER", hour)
    shipped = Shipped(tmp_path, clock)
    path, written = shipped.spool / f"{segment(3)}.partial", [0]

    def received() -> None:
        if clock.slept >= len(written) * 30:
            written.append(len(written) * 8192)
            walfile(path, 3, 20000 + written[-1])

    clock.wakes = received
    walfile(path, 3, 20000)
    shipped.carry_out([16 * 60.0])
    stored = len(cast("Store", shipped.shipping.storing.repo).stored)
    ledger = Ledger(shipped.shipping.shipment.services.state.ledger, clock)
    told = [r for r in ledger.records() if r["kind"] == "log.shipped"]
    assert told[-1]["trouble"] == STOPPED and sum(len(r["points"]) for r in told) == stored > 10
    times = [utc(str(r["time"])) for r in told]
    assert times[0] - NOW <= timedelta(seconds=INTERVAL), "at once: what was before it nobody knows"
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(gap <= hour + timedelta(seconds=INTERVAL) for gap in gaps) and len(told) <= 6, "and no oftener"
