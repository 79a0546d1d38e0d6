"""A plan that is paused: what is due waits or is skipped, and is done once the pause is over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from tests.support.records import body_of, record_in
from tests.support.records import pause as of_pause
from tests.support.runs import SetClock, World

from ccdr.evidence.acknowledged import exit_of
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.ledger.ledger import as_findings
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.pauses import PAUSE, PAUSE_END, windows
from ccdr.evidence.payloads import payload
from ccdr.evidence.records.statements import STATEMENT
from ccdr.jobs.pausing import Pauses, end, pause, paused
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339, utc
from ccdr.telling.notify import concerns_of
from ccdr.telling.report.build import make_report
from ccdr.telling.report.period import Period
from ccdr.telling.status import status, upkeep_problems

HOURS_4 = timedelta(hours=4)


@dataclass
class Passing(SetClock):
    """Time passes by it: what it measures goes on as far as it is put; `jump` sets it, and no time passes."""

    jumped: timedelta = timedelta(0)

    def monotonic(self) -> float:
        return 1000.0 + (self.at - self.jumped - datetime(2026, 11, 24, tzinfo=self.at.tzinfo)).total_seconds()

    def jump(self, **delta: float) -> None:
        self.jumped += timedelta(**delta)
        self.at += timedelta(**delta)


@pytest.fixture
def world(world: World) -> World:
    world.clock = Passing()
    world.run()
    return world


def begin(world: World, length: timedelta = HOURS_4) -> None:
    pause(world.plans[0], world.services, length, "INC-1 of Mrs Example")


def skipped(world: World) -> list[tuple[object, object, object]]:
    return [(r["asset"], r["verb"], r["count"]) for r in world.site.records("skipped")]


def test_what_is_due_waits_and_is_done_once_the_pause_is_over(world: World) -> None:
    """Half an hour's backups of four hours: the newest is done then, those before it are skipped, none is missed."""
    begin(world)
    for _ in range(8):
        world.clock.on(minutes=29, seconds=30)
        result = world.run()
        assert world.news() == [] and result.exit_code is Exit.OK and result.missed == []
    assert [task.name for task in result.paused] == ["p/a backup"]
    world.clock.to("2026-11-24T16:00:00Z")
    assert world.run().next_due == utc("2026-11-24T16:00:03Z"), "it wakes when the pause is over"
    assert world.news() == []
    world.clock.to("2026-11-24T16:00:03Z")
    result = world.run()
    assert world.news() == [("p/a backup", "24 16:00")]
    assert (world.missed(), result.exit_code) == ([], Exit.OK)
    assert sum(int(str(count)) for _, _, count in skipped(world)) == 7
    assert {(r["reason"], r["verb"]) for r in world.site.records("skipped")} == {("paused", "backup")}
    world.clock.to("2026-11-24T16:30:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 16:30")]


def test_what_passed_before_and_after_a_pause_is_missed_all_the_same(world: World) -> None:
    world.clock.to("2026-11-24T14:05:00Z")  # nothing has called it: 12:30 to 14:00
    begin(world, timedelta(hours=1))
    world.clock.to("2026-11-24T16:05:00Z")  # nor since: 15:30 and 16:00 were after the pause
    world.run()
    assert world.news() == [("p/a backup", "24 16:00")]
    assert skipped(world) == [("a", "backup", 2)] and world.missed() == [("a", "backup", 5)]


def test_a_twin_that_is_not_paused_goes_on(world: World) -> None:
    world.site.write("plans/q.yaml", (world.site.root / "plans/p.yaml").read_text().replace("plan: p", "plan: q"))
    world.run()
    begin(world)
    world.clock.to("2026-11-24T12:30:00Z")
    world.run()
    assert world.news() == [("q/a backup", "24 12:30")]


def test_it_is_ended_before_its_time_and_what_waits_is_done_at_once(world: World) -> None:
    begin(world)
    world.clock.to("2026-11-24T12:31:00Z")
    world.run()
    (ended,) = end(world.plans[0], world.services, "all is well")
    assert ended.plan == "p" and ended.why == "INC-1 of Mrs Example"
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and skipped(world) == []
    assert ended.pause.seq == world.site.records(PAUSE)[0]["seq"] and len(world.site.records(PAUSE_END)) == 1
    with pytest.raises(UsageProblem, match="p is not paused"):
        end(world.plans[0], world.services, None)


def test_why_is_kept_apart_and_no_word_of_it_is_in_the_ledger(world: World) -> None:
    begin(world)
    (record,) = world.site.records(PAUSE)
    assert "Example" not in json.dumps(record)
    assert payload(world.services.state, record["words_sha256"]) == "INC-1 of Mrs Example"
    assert record["until"] == "2026-11-24T16:00:03Z" and record["who"]["uid"] is not None


@pytest.mark.parametrize("jump", [{"hours": 7}, {"hours": -7}, {"days": 900}, {"days": -900}])
def test_a_clock_that_jumps_neither_ends_a_pause_nor_makes_it_longer(world: World, jump: dict[str, float]) -> None:
    """What passes is measured by this machine's other clock."""
    begin(world)
    world.clock.on(hours=1)
    world.clock.jump(**jump)
    world.run()
    assert world.news() == [], "it is paused all the same"
    (there,) = paused(world.services)
    assert abs(there.pause.until - world.clock.at - timedelta(hours=3)) < timedelta(seconds=1)
    world.clock.on(hours=3, seconds=1)
    assert paused(world.services) == [] and Pauses(world.services).of("p") is None


def test_of_another_start_of_the_machine_the_times_tell(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back far then is no reason to be paused for years."""
    begin(world)
    monkeypatch.setattr("ccdr.jobs.services.boot", lambda: "0" * 64)
    world.clock.on(hours=3)
    assert [one.plan for one in paused(world.services)] == ["p"]
    world.clock.on(days=-900)
    assert paused(world.services) == []
    world.clock.on(days=900, hours=1)
    assert paused(world.services) == []


def test_a_pause_that_is_dated_back_skips_nothing_that_was_missed(world: World) -> None:
    """The clock is set back, the plan is paused over hours in which nothing ran, and the clock is set right again."""
    world.clock.on(hours=3)
    world.clock.jump(hours=-3)
    begin(world, timedelta(hours=3))
    world.clock.jump(hours=3)
    end(world.plans[0], world.services, None)
    _seen_alike(world, hours=0)
    world.run()
    assert skipped(world) == [] and world.site.records("missed") != []


def test_of_one_dated_back_that_ended_by_itself_what_passed_counts(world: World) -> None:
    world.clock.on(hours=3)
    world.clock.jump(hours=-3)
    begin(world, timedelta(hours=3))
    world.clock.jump(hours=3)
    world.clock.on(hours=4)
    _seen_alike(world, hours=3, since="2026-11-24T15:00:03Z")


def test_of_another_start_it_reaches_back_no_further_than_the_record_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.clock.on(hours=3)
    record_in(world.services.ledger, STATEMENT, plan="q", asset=None, run=None, body=body_of(PAUSE_END))
    world.clock.jump(hours=-3)
    begin(world, timedelta(hours=3))
    for module in ("services", "pausing"):
        monkeypatch.setattr(f"ccdr.jobs.{module}.boot", lambda: "0" * 64)
    monkeypatch.setattr("ccdr.telling.report.build.boot", lambda: "0" * 64, raising=False)
    world.clock.jump(hours=3)
    _seen_alike(world, hours=0)


def paused_for(world: World, back: timedelta, **after: str | None) -> None:
    """A record of a pause, and of its end by which it began `back` ago, of the same start of the machine."""
    at, boot = world.clock.at, "a" * 64
    for kind, of in ((PAUSE, {"elapsed_s": 0.0, **after}), (PAUSE_END, {"elapsed_s": back.total_seconds()})):
        body = body_of(kind) | {"until": rfc3339(at + HOURS_4) if kind == PAUSE else None}
        body["about"] = {"of": "schedule", "boot": boot, **of}
        record_in(world.services.ledger, STATEMENT, plan="p", asset=None, run=None, body=body)


def test_an_end_moves_no_pause_back_before_the_record_before_it(world: World) -> None:
    """Nor does one that says nothing of that record."""
    world.clock.on(hours=3)
    paused_for(world, HOURS_4)
    _seen_alike(world, hours=0)
    world.run()
    assert skipped(world) == [] and world.site.records("missed") != []


@pytest.mark.parametrize(("minutes", "code"), [(4, 0), (6, 1)])
def test_a_pause_that_says_that_the_record_before_it_was_older_is_a_finding(
    world: World, minutes: int, code: int
) -> None:
    world.clock.on(hours=3)
    begin(world)
    before = utc(world.site.records(PAUSE)[-1]["time"])
    paused_for(world, HOURS_4, after=rfc3339(before - timedelta(minutes=minutes)))
    found = as_findings(verify(world.services.ledger.directory).problems)
    assert [one["code"] for one in found] == ["PAUSE_REACHES_BACK"] * code


def test_a_pause_by_a_right_clock_is_as_long_as_its_times_say(world: World) -> None:
    begin(world)
    world.clock.on(hours=1)
    end(world.plans[0], world.services, None)
    world.clock.on(hours=1)
    _seen_alike(world, hours=1)


def _seen_alike(world: World, *, hours: int, since: str = "2026-11-24T00:00:00Z") -> None:
    """By the fold and by the report."""
    period = Period(utc(since), world.clock.at, until_now=True)
    report = make_report(world.plans, world.services, period, command="ccdr report")
    assert sum(due.paused for one in report.promises for due in one.due) == 2 * hours, "every half hour a backup"
    for seen in (windows(world.services.histories()["p", None].pauses), Pauses(world.services).windows("p")):
        assert abs(sum((max(e - b, timedelta(0)) for b, e in seen), -timedelta(hours=hours))) < timedelta(seconds=1)


def test_of_two_people_the_longer_pause_holds_and_an_end_ends_both(world: World) -> None:
    begin(world)
    begin(world, timedelta(hours=1))
    (there,) = paused(world.services)
    assert there.pause.until == utc("2026-11-24T16:00:03Z")
    begin(world, timedelta(hours=6))
    assert [one.pause.until for one in paused(world.services)] == [utc("2026-11-24T18:00:03Z")]
    assert len(end(world.plans[0], world.services, None)) == 3
    assert paused(world.services) == []


def test_a_record_of_whatever_length_pauses_for_a_day_at_most(world: World) -> None:
    begin(world, timedelta(hours=24))
    record_in(
        world.services.ledger,
        STATEMENT,
        plan="p",
        asset=None,
        run=None,
        body=of_pause("2036-01-01T00:00:00Z"),
    )
    world.clock.on(hours=23)
    assert paused(world.services)
    world.clock.on(hours=1, seconds=1)
    assert paused(world.services) == []


def test_what_was_begun_before_is_let_end_and_the_next_waits(world: World) -> None:
    """A person pauses while a run is at work: its next task waits."""
    world.clock.to("2026-11-25T03:00:00Z")
    world.act = lambda task: begin(world)
    result = world.run()
    assert [name for name, _ in world.news()] == ["p/a backup"]
    assert [task.name for task in result.paused] == ["p/a test"]


def test_a_full_disk_pauses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise CcdrError("no space left on device")

    monkeypatch.setattr("ccdr.evidence.payloads.write_state", full)
    with pytest.raises(CcdrError, match="no space"):
        begin(world)
    assert world.site.records(PAUSE) == []
    world.clock.to("2026-11-24T12:30:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")]


def test_it_is_told_and_is_no_finding_and_lateness_waits_for_its_end(world: World) -> None:
    """The twin of lateness is in tests/unit/judgement."""

    def codes() -> set[str]:
        assets = status(world.plans, world.services)
        care = upkeep_problems(world.plans, world.services)["p"]
        return {p.trouble.name for one in assets for p in one.troubles} | {p.trouble.name for p in care}

    world.clock.to("2026-11-24T12:30:00Z")
    world.site.write("plans/p.yaml", (world.site.root / "plans/p.yaml").read_text().replace("rpo: 1h", "rpo: 3h"))
    before = codes()
    begin(world)
    assert codes() - before == {"PAUSED"}
    (told,) = (p for p in upkeep_problems(world.plans, world.services)["p"] if p.trouble is Trouble.PAUSED)
    assert "until 2026-11-24T16:30Z by " in told.text and "ccdr pause p --end" in str(told.step)
    of_plan = world.services.histories().get(("p", None), AssetHistory())
    assert of_plan.let_be(world.clock.at) == world.clock.at
    world.clock.on(hours=3, minutes=59)
    late = {"BACKUP_LATE", "TEST_LATE", "CHECK_LATE", "PRUNE_LATE", "LOG_LATE"}
    assert not codes() & late and "PAUSED" in codes()
    world.clock.on(minutes=2)
    assert "PAUSED" not in codes()


def test_a_pause_alone_is_no_finding_and_people_are_told_of_it(world: World) -> None:
    begin(world)
    care = upkeep_problems(world.plans, world.services)
    only = [p for p in care["p"] if p.trouble is Trouble.PAUSED]
    assert exit_of(only) is Exit.OK and exit_of([*only, Problem(Trouble.PRUNE_LATE, "late")]) is Exit.FINDING
    assert [(c.asset, c.trouble, c.passing) for c in concerns_of([], {"p": only})] == [(None, Trouble.PAUSED, False)]
