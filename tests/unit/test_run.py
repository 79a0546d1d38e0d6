"""`ccdr run` by a clock of our own: what is due is done once, whoever calls it, and however often."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.clocks import Clock
from tests.support.harness import Quiet, Site
from tests.support.older import append_older

from ccdr.evidence.ledger.verification import verify
from ccdr.jobs.retired import kept
from ccdr.jobs.services import Services, Trigger
from ccdr.model.errors import CcdrError, Exit, Locked, RepositoryUnavailable, UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress
from ccdr.run.scheduled import KINDS, Performed, RunResult, Task, Verb, run
from ccdr.setup.doctor import machine
from ccdr.telling.status import status

START = datetime(2026, 11, 24, 12, 0, 3, tzinfo=UTC)


@dataclass
class SetClock(Clock):
    """Stands where it is put; what it measures goes on."""

    at: datetime = START

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Result:
    exit_code: Exit = Exit.OK

    def as_json(self) -> dict[str, object]:
        return {}


@dataclass
class World:
    """A site, a clock, and work that is only noted."""

    site: Site
    clock: SetClock = field(default_factory=SetClock)
    did: list[tuple[str, str]] = field(default_factory=list)
    act: Callable[[Task], Performed | None] = lambda task: None
    together: list[list[str]] = field(default_factory=list)
    tries: list[int | None] = field(default_factory=list)

    @property
    def services(self) -> Services:
        return self.site.services(self.clock)

    @property
    def plans(self) -> list[LoadedPlan]:
        return [self.site.loaded(p.stem) for p in sorted((self.site.root / "plans").glob("*.yaml"))]

    def perform(self, task: Task, trigger: Trigger, services: Services, progress: Progress) -> Performed:
        assert trigger.due is not None
        self.tries.append(trigger.attempt)
        self.did.append((task.name, f"{trigger.due:%d %H:%M}"))
        return self.act(task) or Performed(Result(), done=True)

    def perform_together(
        self, tasks: Sequence[Task], triggers: Sequence[Trigger], services: Services, progress: Progress
    ) -> list[Performed | CcdrError]:
        self.together.append([task.name for task in tasks])
        done: list[Performed | CcdrError] = []
        for task, trigger in zip(tasks, triggers, strict=True):
            try:
                done.append(self.perform(task, trigger, services, progress))
            except CcdrError as error:
                done.append(error)
        return done

    def run(self, only: str | None = None, jobs: int = 1) -> RunResult:
        verbs, both = KINDS[only] if only else frozenset(Verb), self.perform_together
        return run(
            self.plans,
            self.services,
            Quiet(),
            only=verbs,
            jobs=jobs,
            stated=[p.stem for p in (self.site.root / "plans").glob("*.yaml")],
            perform=self.perform,
            perform_together=both,
        )

    def news(self) -> list[tuple[str, str]]:
        told, self.did = self.did, []
        return told

    def missed(self) -> list[tuple[object, object, object]]:
        return [(r["asset"], r["verb"], r["count"]) for r in self.site.records("missed")]


ONE = """
a:
  engine: files
  paths: [/srv/a]
  backup: {schedule: "*/30 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
"""
NEVER = "upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", "restore_test: c\nchecks:\n  - {kind: identical}\n")
    site.plan(ONE, extra=NEVER)
    return World(site)


def test_nothing_is_due_when_a_plan_is_first_seen(world: World) -> None:
    result = world.run()
    assert world.news() == [] and result.exit_code is Exit.OK and result.missed == []
    assert result.wakes == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def test_what_is_due_is_done_once(world: World) -> None:
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    result = world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and result.exit_code is Exit.OK
    for _ in range(6):
        world.clock.on(minutes=4)
        world.run()
    assert world.news() == []
    world.clock.to("2026-11-24T13:00:01Z")
    world.run()
    assert world.news() == [("p/a backup", "24 13:00")]


def test_a_backup_comes_before_the_test_of_the_same_asset(world: World) -> None:
    world.run()
    world.clock.to("2026-11-25T03:00:00Z")
    world.run()
    assert [name for name, _ in world.news()] == ["p/a backup", "p/a test"]


def test_asleep_over_a_night_is_caught_up_once_and_recorded(world: World) -> None:
    world.run()
    world.clock.to("2026-11-25T08:10:00Z")
    result = world.run()
    assert world.news() == [("p/a backup", "25 08:00"), ("p/a test", "25 03:00")]
    assert world.missed() == [("a", "backup", 39)] and result.exit_code is Exit.FINDING
    (record,) = world.site.records("missed")
    assert (record["first_due"], record["due"]) == ("2026-11-24T12:30:00Z", "2026-11-25T07:30:00Z")
    assert world.run().exit_code is Exit.OK and len(world.missed()) == 1


def test_failed_work_is_tried_again_with_back_off_and_is_not_missed(world: World) -> None:
    world.run()
    world.act = lambda task: Performed(Result(Exit.FINDING), done=False)
    tried = []
    world.clock.to("2026-11-24T12:30:00Z")
    while world.clock.at < datetime(2026, 11, 24, 13, 0, tzinfo=UTC):
        result = world.run()
        tried += [(world.clock.at.minute, due) for _, due in world.news()]
        assert result.exit_code is (Exit.FINDING if result.did else Exit.OK)
        world.clock.on(minutes=1)
    assert tried == [(30, "24 12:30"), (35, "24 12:30"), (45, "24 12:30")]
    world.act = lambda task: None
    result = world.run()
    assert world.news() == [("p/a backup", "24 13:00")] and world.missed() == []
    assert world.tries == [1, 2, 3, 1], "what came due anew is tried for the first time"


def test_work_that_raises_is_a_failure_of_its_own_asset_alone(world: World) -> None:
    world.site.plan(ONE + ONE.replace("a:\n", "b:\n", 1).replace("/srv/a", "/srv/b"), extra=NEVER)
    world.run()

    def act(task: Task) -> Performed | None:
        if task.asset == "a":
            raise RuntimeError("a defect")
        return None

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    result = world.run()
    assert [name for name, _ in world.news()] == ["p/a backup", "p/b backup"]
    assert result.exit_code is Exit.NOT_CARRIED_OUT and "RuntimeError" in str(result.did[0].reason)


def test_an_error_of_ours_is_told_with_its_next_step(world: World) -> None:
    world.run()

    def act(task: Task) -> Performed:
        raise RepositoryUnavailable("the repository does not answer", hint="is it up?")

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    (did,) = world.run().did
    assert (did.reason, did.hint, did.done) == ("the repository does not answer", "is it up?", False)


def test_what_could_not_begin_is_in_the_ledger_and_in_status_until_something_is_done(world: World) -> None:
    world.run()

    def act(task: Task) -> Performed:
        raise UsageProblem("repository: password_file: key: No such file or directory", hint="put it back")

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().exit_code is Exit.USAGE
    (record,) = world.site.records("not_begun")
    assert (record["asset"], record["verb"], record["due"]) == ("a", "backup", "2026-11-24T12:30:00Z")
    assert record["attempt"] == 1
    (found,) = status(world.plans, world.services)
    assert found.finding and any("its backup could not begin: repository: password_file" in p for p in found.problems)
    append_older(
        world.services.ledger, "backup.end", plan="p", asset="a", run="r", body={"result": "FAILED", "reason": "x"}
    )
    (found,) = status(world.plans, world.services)
    assert not any("could not begin" in p for p in found.problems)


def test_a_crash_in_the_work_is_tried_again_after_a_wait(world: World) -> None:
    class PowerCut(BaseException):
        pass

    def act(task: Task) -> Performed:
        raise PowerCut

    world.run()
    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    with pytest.raises(PowerCut):
        world.run()
    world.act = lambda task: None
    world.news()
    world.run()
    assert world.news() == [], "at once would be once a minute for what crashes every time"
    world.clock.on(minutes=5)
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and world.missed() == []
    assert world.tries == [1, 2], "what crashed was a try"


def test_what_a_person_is_at_is_passed_by_and_comes_to_its_turn(world: World) -> None:
    world.run()

    def act(task: Task) -> Performed:
        raise Locked("another `ccdr backup` of p/a is running")

    world.act = act
    world.clock.to("2026-11-24T12:30:00Z")
    result = world.run()
    assert result.exit_code is Exit.OK and [t.name for t in result.busy] == ["p/a backup"]
    world.act = lambda task: None
    world.news()
    world.clock.on(minutes=1)
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")]


def second_of_two(world: World) -> RunResult:
    """What a run gives that is called while another one is at its first work."""
    begun, go = threading.Event(), threading.Event()

    def act(task: Task) -> None:
        begun.set()
        assert go.wait(10)

    world.act = act
    first = threading.Thread(target=world.run)
    first.start()
    assert begun.wait(10)
    second = world.run()
    go.set()
    first.join()
    return second


def test_two_crons_at_once_do_it_once(world: World) -> None:
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    second = second_of_two(world)
    assert [t.name for t in second.busy] == ["p/a backup"] and second.did == [] and second.missed == []
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")]


def test_a_test_waits_for_the_backup_that_another_run_is_at(world: World) -> None:
    world.run()
    world.clock.to("2026-11-25T03:00:00Z")
    second = second_of_two(world)
    assert second.did == [] and [name for name, _ in world.news()] == ["p/a backup", "p/a test"]


def test_a_run_longer_than_its_interval(world: World) -> None:
    world.run()
    world.act = lambda task: world.clock.on(minutes=70) if task.verb is Verb.BACKUP else None  # type: ignore[func-returns-value]
    world.clock.to("2026-11-24T12:30:00Z")
    world.run()
    world.act = lambda task: None
    world.clock.to("2026-11-24T13:45:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 12:30"), ("p/a backup", "24 13:30")]
    assert world.missed() == [("a", "backup", 1)]


def test_what_came_due_during_a_long_run_is_not_slept_over(world: World) -> None:
    """Else the next call would find it missed, where one that looks at once is only late."""
    world.run()
    world.act = lambda task: world.clock.on(minutes=40)  # type: ignore[func-returns-value]
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().wakes == datetime(2026, 11, 24, 13, 0, tzinfo=UTC), "by then it is 13:10"
    world.act = lambda task: None
    world.clock.on(minutes=5)
    world.run()
    assert world.news() == [("p/a backup", "24 12:30"), ("p/a backup", "24 13:00")] and world.missed() == []


def test_after_a_short_run_the_next_due_time_is_slept_until(world: World) -> None:
    world.run()
    world.act = lambda task: world.clock.on(minutes=20)  # type: ignore[func-returns-value]
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().wakes == datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


def test_each_host_records_as_missed_what_was_its_own_to_do(world: World, tmp_path: Path) -> None:
    """Two hosts, two states, the same plans: one backs up, the other tests."""
    (tmp_path / "tests").mkdir()
    other = World(Site(tmp_path / "tests"), world.clock)
    for part in ("plans/p.yaml", "restore_tests/c.yaml"):
        other.site.write(part, (world.site.root / part).read_text())
    world.run("backups"), other.run("tests")
    world.clock.to("2026-11-27T03:10:00Z")
    world.run("backups"), other.run("tests")
    assert {verb for _, verb, _ in world.missed()} == {"backup"}
    assert other.missed() == [("a", "test", 2)]
    assert [name for name, _ in world.news()] == ["p/a backup"] and [name for name, _ in other.news()] == ["p/a test"]


def test_a_clock_that_was_ahead_does_not_stop_the_schedule(world: World) -> None:
    world.clock.to("2031-01-01T00:00:00Z")
    world.run()
    world.clock.to("2031-01-01T00:30:00Z")
    world.run()
    world.news()
    world.clock.to("2026-11-24T12:10:00Z")
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 12:30")] and world.missed() == []


@pytest.mark.parametrize("text", ["", "{", "null", '{"cron": 1}', '{"settled": "yesterday"}'])
def test_a_slot_that_cannot_be_read_counts_from_now(world: World, text: str) -> None:
    world.run()
    (path,) = (world.site.state / "schedule").glob("p.a.backup.json")
    path.write_text(text)
    world.clock.to("2026-11-24T12:30:00Z")
    assert world.run().exit_code is Exit.OK and world.news() == []
    world.clock.to("2026-11-24T13:00:00Z")
    world.run()
    assert world.news() == [("p/a backup", "24 13:00")]


def test_a_state_that_cannot_be_written_is_told(world: World) -> None:
    world.run()
    schedule = world.site.state / "schedule"
    for path in schedule.iterdir():
        path.unlink()
    schedule.rmdir()
    schedule.write_text("a file where a directory was")
    result = world.run()
    assert result.exit_code is Exit.NOT_CARRIED_OUT and all("schedule" in str(d.reason) for d in result.did)
    assert result.did and world.news() == []


def many(site: Site, names: str) -> None:
    site.plan(
        "".join(ONE.replace("a:\n", f"{n}:\n", 1).replace("/srv/a", f"/srv/{n}") for n in names),
        extra="upkeep: {prune: '*/30 * * * *', check: '*/30 * * * *'}\n",
    )


def test_jobs_are_side_by_side_and_upkeep_has_its_repository_alone(world: World) -> None:
    many(world.site, "abcd")
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")
    together = threading.Barrier(4, timeout=10)
    at_work, lock, seen = set[str](), threading.Lock(), list[tuple[str, int]]()

    def act(task: Task) -> None:
        with lock:
            at_work.add(task.name)
            seen.append((task.name, len(at_work)))
        if task.asset:
            together.wait()
        with lock:
            at_work.discard(task.name)

    world.act = act
    result = world.run(jobs=4)
    assert len(result.did) == 6 and result.exit_code is Exit.OK
    assert max(n for name, n in seen if "/" in name) == 4
    assert seen[-2:] == [("p prune", 1), ("p check", 1)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_interrupt_stops_all_and_leaves_it_to_be_tried_again(world: World, jobs: int) -> None:
    many(world.site, "abc")
    world.run()
    world.clock.to("2026-11-24T12:30:00Z")

    def act(task: Task) -> None:
        raise KeyboardInterrupt

    world.act = act
    with pytest.raises(KeyboardInterrupt):
        world.run(jobs=jobs)
    world.news()
    world.act = lambda task: None
    world.clock.on(minutes=6)
    assert world.run(jobs=jobs).exit_code is Exit.OK
    assert sorted({name for name, _ in world.news()}) == [
        "p check",
        "p prune",
        "p/a backup",
        "p/b backup",
        "p/c backup",
    ]
    assert verify(world.site.state / "ledger").ok


@pytest.fixture
def grouped(world: World) -> World:
    """`a` and `b` belong together, `c` does not; `b` is tested at another time than `a`."""
    group = "  group: calls\n  engine: files\n"
    a, b, c = (ONE.replace("a:\n", f"{n}:\n", 1).replace("/srv/a", f"/srv/{n}") for n in "abc")
    b = b.replace("0 3 * * *", "0 4 * * *")
    world.site.plan(
        "".join((a.replace("  engine: files\n", group), c, b.replace("  engine: files\n", group))), extra=NEVER
    )
    world.run()
    return world


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_group_is_backed_up_together_and_its_tests_follow(grouped: World, jobs: int) -> None:
    grouped.clock.to("2026-11-25T04:00:00Z")
    grouped.run(jobs=jobs)
    did = [name for name, _ in grouped.news()]
    assert grouped.together == [["p/a backup", "p/b backup"]]
    assert [n for n in did if "/c" not in n] == ["p/a backup", "p/b backup", "p/a test", "p/b test"]
    assert [n for n in did if "/c" in n] == ["p/c backup", "p/c test"]


def test_of_a_group_only_what_failed_is_tried_again(grouped: World) -> None:
    failing = Performed(Result(Exit.FINDING), done=False)
    grouped.act = lambda task: failing if task.asset == "b" else None
    grouped.clock.to("2026-11-24T12:30:00Z")
    assert grouped.run("backups").exit_code is Exit.FINDING
    grouped.news()
    grouped.act = lambda task: None
    grouped.clock.on(minutes=6)
    grouped.run("backups")
    assert grouped.news() == [("p/b backup", "24 12:30")] and len(grouped.together) == 1
    grouped.clock.to("2026-11-24T13:00:00Z")
    grouped.run("backups")
    assert grouped.together == [["p/a backup", "p/b backup"]] * 2 and grouped.missed() == []


def test_a_member_that_cannot_begin_is_told_alone(grouped: World) -> None:
    def act(task: Task) -> None:
        if task.asset == "a":
            raise UsageProblem("no password")

    grouped.act = act
    grouped.clock.to("2026-11-24T12:30:00Z")
    result = grouped.run("backups")
    assert {d.task.asset: d.reason for d in result.did} == {"a": "no password", "b": None, "c": None}
    assert [(r["asset"], r["reason"]) for r in grouped.site.records("not_begun")] == [("a", "no password")]


def test_a_group_of_which_a_person_has_one_is_left_for_later(grouped: World) -> None:
    grouped.clock.to("2026-11-24T12:30:00Z")

    def busy(*_: object) -> list[Performed | CcdrError]:
        raise Locked("a person is at it")

    grouped.perform_together = busy  # type: ignore[method-assign]
    result = grouped.run("backups")
    assert [t.name for t in result.busy] == ["p/a backup", "p/b backup"] and result.exit_code is Exit.OK
    assert [name for name, _ in grouped.news()] == ["p/c backup"]
    del grouped.perform_together
    grouped.run("backups")
    assert [name for name, _ in grouped.news()] == ["p/a backup", "p/b backup"]


def test_what_came_due_for_one_of_a_group_during_the_others_backup_is_not_slept_over(grouped: World) -> None:
    failing = Performed(Result(Exit.FINDING), done=False)
    grouped.act = lambda task: failing if task.asset == "a" else None
    grouped.clock.to("2026-11-24T12:30:00Z")
    grouped.run("backups")
    grouped.news()
    grouped.act = lambda task: grouped.clock.on(minutes=30) if task.asset == "a" else None  # type: ignore[func-returns-value]
    grouped.clock.to("2026-11-24T12:35:00Z")
    assert grouped.run("backups").wakes == datetime(2026, 11, 24, 13, 0, tzinfo=UTC), "by then it is 13:05"
    assert grouped.news() == [("p/a backup", "24 12:30"), ("p/c backup", "24 13:00")]


def test_a_group_whose_turn_another_run_has_is_left_to_it(grouped: World) -> None:
    grouped.clock.to("2026-11-24T12:30:00Z")
    with grouped.services.state.turn("run.p.b.backup") as mine:
        assert mine
        result = grouped.run("backups")
    assert [t.name for t in result.busy] == ["p/a backup", "p/b backup"]
    assert [name for name, _ in grouped.news()] == ["p/c backup"]


# --- what no plan names any more ------------------------------------------------------------------------------------


@pytest.fixture
def two(world: World) -> World:
    """Plans p and q, each seen by a run; of q there is everything that the state directory keeps of a plan."""
    world.site.plan(ONE, name="q", extra=NEVER)
    world.run()
    for of in ("index/q.a.files.jsonl", "catalogue/q/a/1.json", "shipping/q/a/spool/1", "index/p.a.files.jsonl"):
        world.site.write(f"state/{of}", "{}")
    return world


def slots(world: World, plan: str) -> set[str]:
    return {p.name for p in (world.site.state / "schedule").glob(f"{plan}.*")}


def days(world: World, count: int) -> None:
    for _ in range(count):
        world.clock.on(days=1)
        world.run()
        world.news()


OF_Q = {"q.a.backup.json", "q.a.test.json", "q..prune.json", "q..check.json"}


def test_a_plan_that_was_away_for_an_hour_misses_what_came_due_meanwhile(two: World) -> None:
    plan, away = two.site.root / "plans/q.yaml", two.site.root / "q.yaml"
    plan.rename(away)
    for _ in range(12):
        two.clock.on(minutes=5)
        two.run()
    away.rename(plan)
    two.news()
    two.run()
    assert two.news() == [("q/a backup", "24 13:00")]
    assert [(r["plan"], r["verb"], r["count"]) for r in two.site.records("missed")] == [("q", "backup", 1)]


def test_what_no_plan_has_named_for_long_goes_and_the_evidence_stays(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    records = len(two.site.records())
    days(two, 89)
    assert slots(two, "q") == OF_Q and kept({"p"}, two.services.state) == []
    days(two, 1)
    assert slots(two, "q") == set() and not (two.site.state / "index/q.a.files.jsonl").exists()
    assert slots(two, "p") == {name.replace("q", "p", 1) for name in OF_Q}, "its undamaged twin"
    assert (two.site.state / "index/p.a.files.jsonl").exists()
    assert kept({"p"}, two.services.state) == [two.site.state / "catalogue/q", two.site.state / "shipping/q"]
    assert kept({"p", "q"}, two.services.state) == [], "it has come back"
    told = list(machine.retired(two.services.state, {"p"}))
    assert [look.do for look in told] == [
        f"put the plan back, or rm -r {two.site.state}/{part}/q; what the ledger says of it stays"
        for part in ("catalogue", "shipping")
    ]
    assert len(two.site.records()) >= records
    two.site.ledger_holds()


def test_an_asset_that_left_its_plan_is_let_go_alone(two: World) -> None:
    two.site.plan(ONE.replace("\na:", "\nb:"), name="q", extra=NEVER)
    days(two, 90)
    assert slots(two, "q") == {"q.b.backup.json", "q.b.test.json", "q..prune.json", "q..check.json"}
    assert kept({"p", "q"}, two.services.state) == [], "prune sees to what a plan that is there has in its catalogue"


def test_whoever_sees_it_again_begins_the_count_anew(two: World) -> None:
    plan, away = two.site.root / "plans/q.yaml", two.site.root / "q.yaml"
    for _ in range(2):
        plan.rename(away)
        days(two, 89)
        away.rename(plan)
        two.run()  # on a day that was counted already
    plan.rename(away)
    days(two, 89)
    assert slots(two, "q") == OF_Q


def test_a_plan_that_is_wrong_or_not_asked_for_is_not_away(two: World) -> None:
    (p,) = [loaded for loaded in two.plans if loaded.plan.plan == "p"]
    for _ in range(100):
        two.clock.on(days=1)
        run([p], two.services, Quiet(), stated=["p", "q"], perform=two.perform)
    assert slots(two, "q") == OF_Q


def test_a_clock_that_was_a_year_ahead_for_an_hour_lets_nothing_go(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    days(two, 5)
    two.clock.on(days=365)
    two.run()
    two.clock.on(days=-365)
    days(two, 5)
    assert slots(two, "q") == OF_Q


def test_a_slot_whose_turn_somebody_has_stays(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    days(two, 89)
    with two.services.state.turn("run.q.a.backup"):
        days(two, 1)
    assert slots(two, "q") == {"q.a.backup.json"}
    days(two, 1)
    assert slots(two, "q") == set()


def test_a_count_that_was_lost_begins_anew(two: World) -> None:
    (two.site.root / "plans/q.yaml").unlink()
    days(two, 60)
    (two.site.state / "retired.json").write_text("{")
    days(two, 60)
    assert slots(two, "q") == OF_Q


def test_caches_of_repositories_that_nobody_uses_go(world: World) -> None:
    old, used, other = (world.site.state / "cache" / name for name in ("a" * 64, "b" * 64, "CACHEDIR.TAG.d"))
    for path, age in ((old, 31), (used, 29), (other, 31)):
        (path / "index").mkdir(parents=True)
        when = (world.clock.now() - timedelta(days=age)).timestamp()
        os.utime(path, (when, when))
    world.run()
    assert [path.exists() for path in (old, used, other)] == [False, True, True]
