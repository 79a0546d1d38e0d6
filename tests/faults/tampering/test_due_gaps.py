"""What a ledger lacks by the schedules of its own plan versions; told by `ledger verify`, and no verification failure."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.support.clocks import NOON, Clock
from tests.support.harness import Site
from tests.support.sparse import append_sparse

from ccdr.evidence.due_gaps import DueRuns, LedgerGap
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.jobs import in_force


class Days:
    """A plan whose files are backed up each hour, by hand of the test."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock, self.site = Clock(NOON + timedelta(days=20)), Site(tmp_path)
        self.site.recordings(tmp_path / "spool")
        services = self.site.services(self.clock)
        in_force.record_all([self.site.loaded()], services)
        self.ledger: Ledger = services.ledger
        body = {"verbs": ["backup", "test", "prune", "check"], "gained": [], "lost": [], "asked_last": {}}
        append_sparse(self.ledger, "duties", plan="p", asset=None, run=None, body=body)

    def backed_up(self, hours: int) -> None:
        """Once for each due time."""
        for _ in range(hours):
            due = (self.clock.at + timedelta(minutes=45)).replace(minute=15, second=0, microsecond=0)
            self.clock.at = due + timedelta(seconds=5)
            run = f"r{due:%d%H}"
            trigger = {"by": "run", "due": due.isoformat().replace("+00:00", "Z")}
            about = {"plan": "p", "asset": "recordings", "run": run}
            append_sparse(self.ledger, "backup.start", **about, body={"trigger": trigger})

    def missed(self, count: int) -> None:
        body = {"verb": "backup", "count": count}
        append_sparse(self.ledger, "missed", plan="p", asset="recordings", run=None, body=body)

    def gaps(self) -> list[LedgerGap]:
        found = DueRuns()
        for record in self.ledger.as_read():
            found.take(record)
        return [gap for gap in found.gaps() if gap.verb == "backup"]


@pytest.fixture
def days(tmp_path: Path) -> Days:
    made = Days(tmp_path)
    schedule = made.site.loaded().plan.assets["recordings"].backup
    assert schedule is not None and schedule.schedule.split()[1:] == ["*"] * 4, "these tests count hours"
    return made


def test_where_each_hour_was_served_nothing_lacks(days: Days) -> None:
    days.backed_up(30)
    assert days.gaps() == []


def test_hours_without_a_start_are_one_gap(days: Days) -> None:
    days.backed_up(5)
    began: datetime = days.clock.at
    days.clock.at += timedelta(hours=12)
    days.backed_up(5)
    (gap,) = days.gaps()
    assert (gap.plan, gap.asset, gap.missed, gap.recorded) == ("p", "recordings", 12, 0)
    assert began < gap.first_due <= began + timedelta(hours=1) and gap.last_due - gap.first_due == timedelta(hours=11)
    assert "12 due times" in str(gap) and "0 told as missed" in str(gap)


def test_what_was_told_as_missed_says_so(days: Days) -> None:
    days.backed_up(2)
    days.clock.at += timedelta(hours=7)
    days.missed(7)
    days.backed_up(2)
    (gap,) = days.gaps()
    assert (gap.missed, gap.recorded) == (7, 7) and "all told as missed" in str(gap)


def test_verify_tells_gaps_and_they_are_no_failure(days: Days) -> None:
    """Of the live ledger, and of a copy; its twin: `test_where_each_hour_was_served_nothing_lacks`."""
    days.backed_up(2)
    days.clock.at += timedelta(hours=7)
    days.backed_up(2)
    for where in ((), (str(days.ledger.directory),)):
        done = days.site.run("ledger", "verify", *where)
        (gap,) = [one for one in done.json["gaps"] if one["verb"] == "backup"]
        assert done.code == 0 and (gap["missed"], gap["recorded"]) == (7, 0)
