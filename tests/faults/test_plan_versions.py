"""What is due, missed or mended cannot be made to look better by editing a plan, or losing a file. Named after what
somebody does to look better."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.catalogued import catalogued
from tests.support.harness import ShiftedClock, Site
from tests.support.past import NOW, Past
from tests.support.runs import World
from tests.support.schema import report_document
from tests.support.stored import restic_of, settled_file
from tests.support.wording import lines_with

from ccdr.evidence.records import of_mapping
from ccdr.evidence.records.plans import version_of
from ccdr.jobs import in_force
from ccdr.jobs.plan_in_repository import store
from ccdr.model.errors import CcdrError, Exit
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.loosened import Code
from ccdr.plans.versions import PLAN_VERSION, digest_of
from ccdr.storage.restic import Restic
from ccdr.telling.report import Report, html, make_report, period_of
from ccdr.telling.status import upkeep_problems

PLAN = """
crm:
  engine: files
  paths: [/srv/crm]
  backup: {schedule: "0 2 * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
queues:
  engine: files
  paths: [/srv/queues]
  backup: {schedule: "0 * * * *"}
"""
CHECKS = "restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: decodable, at_least: 10}\n"
FEWER = "restore_test: c\nchecks:\n  - {kind: decodable, at_least: 10}\n"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", CHECKS)
    site.plan(PLAN)
    return site


@pytest.fixture
def world(site: Site) -> World:
    return World(site)


def versions(site: Site) -> list[Mapping[str, Any]]:
    return site.records(PLAN_VERSION)


# What is recorded, and when


def test_a_plan_that_was_edited_is_another_version_and_names_the_one_before(site: Site, world: World) -> None:
    for _ in range(2):
        in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    for _ in range(2):
        in_force.record(site.loaded(), world.services)
    first, second = versions(site)
    assert first["predecessor"] is None and second["predecessor"] == {"digest": first["digest"], "seq": first["seq"]}
    assert (second["plan"], second["asset"], second["run"], second["actor"] != "") == ("p", None, None, True)
    assert [digest_of(one["files"]) for one in (first, second)] == [first["digest"], second["digest"]]
    found = version_of(of_mapping(second))
    assert found is not None and found.facts == site.loaded().facts
    site.ledger_holds()


def test_the_files_of_each_version_are_kept_byte_for_byte_and_for_nobody_else(site: Site, world: World) -> None:
    before = {name: (site.root / name).read_bytes() for name in ("plans/p.yaml", "restore_tests/c.yaml")}
    in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    in_force.record(site.loaded(), world.services)
    first, second = versions(site)
    kept = site.state / "plans" / "p"
    assert {name: (kept / first["digest"] / name).read_bytes() for name in before} == before
    assert (kept / second["digest"] / "restore_tests/c.yaml").read_text() == FEWER
    assert {path.stat().st_mode & 0o077 for path in kept.rglob("*")} == {0}


def test_a_note_that_names_an_older_version_hides_none_that_is_in_force_again(site: Site, world: World) -> None:
    """Whoever has the checks of before back, and the note of then, acts by another version than the newest."""
    note = site.state / "plans/p/newest.json"
    site.write("restore_tests/c.yaml", FEWER)
    in_force.record(site.loaded(), world.services)
    older = note.read_text()
    site.write("restore_tests/c.yaml", CHECKS)
    in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    note.write_text(older)
    for _ in range(2):
        in_force.record(site.loaded(), world.services)
    weak, strong, again = versions(site)
    assert again["digest"] == weak["digest"] != strong["digest"] and again["predecessor"]["seq"] == strong["seq"]


def test_a_plan_that_lies_in_another_directory_as_only_a_note_says_is_gone(site: Site, world: World) -> None:
    """And one that does lie there is not: another command names that directory."""
    plans, elsewhere = site.root / "plans", site.root / "elsewhere"
    in_force.record(site.loaded(), world.services)
    note = site.state / "plans/p/newest.json"
    assert in_force.lost(["p"], plans, world.services) == []
    elsewhere.mkdir()
    (plans / "p.yaml").rename(elsewhere / "p.yaml")
    note.write_text(json.dumps({**json.loads(note.read_text()), "plans": str(elsewhere)}))
    assert in_force.lost([], plans, world.services) == []
    (elsewhere / "p.yaml").unlink()
    assert [one.plan for one in in_force.lost([], plans, world.services)] == ["p"]
    in_force.withdraw([], plans, world.services)
    assert len(versions(site)) == 1, "whether it is no more, a run of its own directory sees"


def test_a_lost_note_or_a_lost_copy_makes_no_other_version(site: Site, world: World) -> None:
    in_force.record(site.loaded(), world.services)
    [first] = versions(site)
    (site.state / "plans/p/newest.json").write_text('{"seq": 99}')
    (site.state / f"plans/p/{first['digest']}/plans/p.yaml").unlink()
    in_force.record(site.loaded(), world.services)
    assert len(versions(site)) == 1
    assert json.loads((site.state / "plans/p/newest.json").read_text())["seq"] == first["seq"]
    version = version_of(of_mapping(first))
    assert version is not None and in_force.kept_version(version, world.services) is not None


def test_of_two_that_act_at_once_one_records_it(site: Site, world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: in_force.record(site.loaded(), site.services()), range(16)))
    assert len(versions(site)) == 1


@pytest.mark.parametrize("verb", ["status", "report", "snapshots p", "plan check", "plan show p", "ledger show"])
def test_whoever_only_reads_records_nothing(site: Site, world: World, verb: str) -> None:
    in_force.record(site.loaded(), world.services)
    site.write("restore_tests/c.yaml", FEWER)
    before = site.records()
    site.run(*verb.split())
    assert site.records() == before


def test_run_records_it_before_it_does_anything(world: World) -> None:
    world.run()
    kinds = [record["kind"] for record in world.site.records()]
    assert next(kind for kind in kinds if not kind.startswith("ledger.")) == PLAN_VERSION


def test_a_kept_file_that_was_changed_is_no_version(site: Site, world: World) -> None:
    in_force.record(site.loaded(), world.services)
    [record] = versions(site)
    version = version_of(of_mapping(record))
    assert version is not None
    path = site.state / f"plans/p/{record['digest']}/restore_tests/c.yaml"
    assert in_force.kept_version(version, world.services) is not None
    path.write_text(FEWER)
    assert in_force.kept_version(version, world.services) is None


# What somebody does to look better. Stories, written into a ledger as if at their time; the report is asked.

BEGIN = NOW - 30 * DAY  # at noon
ONE = """
recordings:
  engine: files
  paths: [/srv/recordings]
  backup: {schedule: "0 2 * * *"}
  restore_test: {schedule: "0 3 * * 0", checks: [c]}
"""
NEVER = "upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"


class Story(Past):
    """A contact centre whose recordings are backed up at two, and what somebody does about that."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.site.write("restore_tests/c.yaml", CHECKS)
        self.says(ONE)

    def says(self, assets: str, *, rpo: str = "26h", tests: str | None = None) -> None:
        """What the plan's file says from now on."""
        self.site.plan(assets, extra=NEVER)
        path = self.site.root / "plans/p.yaml"
        path.write_text(path.read_text().replace("rpo: 1h", f"rpo: {rpo}"))
        if tests is not None:
            self.site.write("restore_tests/c.yaml", tests)

    def acts(self, when: datetime) -> None:
        """`ccdr run` is called, and finds nothing to do."""
        self.clock.at = when
        services = self.site.services(self.clock)
        in_force.record(self.site.loaded(), services)
        self.clock.at = NOW

    def begins(self) -> None:
        self.wrote(BEGIN, "duties", asset=None, verbs=["backup", "test", "prune", "check"], gained=[], lost=[])
        self.acts(BEGIN)

    def nights(self, first: int, last: int, asset: str = "recordings") -> str:
        """Backed up at two on the days of these numbers; the newest snapshot."""
        snapshot = ""
        for day in range(first, last + 1):
            snapshot = self.backup((BEGIN + day * DAY).replace(hour=2), asset=asset)
        return snapshot

    def tells(self, first: datetime = BEGIN, last: datetime = NOW) -> tuple[Report, dict[str, Any]]:
        services = self.site.services(self.clock)
        period = period_of(rfc3339(first), rfc3339(last), NOW)
        path = self.site.root / "plans/p.yaml"
        plans = [self.site.loaded()] if path.exists() else []
        for loaded in plans:
            catalogued(services, loaded)
        made = make_report(plans, services, period, there=["p"] if plans else [], command="ccdr report")
        assert "".join(map(bytes.decode, html(made)))
        return made, report_document(made)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def backups(said: dict[str, Any]) -> tuple[int, int]:
    """Of the period: how many were due, and how many of these were missed."""
    found = [one for one in said["population"]["tallies"] if one["what"] == "backup"]
    return sum(one["due"] for one in found), sum(one.get("MISSED", 0) for one in found)


def test_cron_that_is_dead_for_twenty_days_has_missed_twenty(story: Story) -> None:
    """And nobody is left to write a `missed` record."""
    story.begins()
    story.nights(1, 10)
    made, said = story.tells(NOW - 20 * DAY)
    assert backups(said) == (20, 20)
    [schedule] = [one for one in said["due"][0]["schedules"] if one["what"] == "backup"]
    assert schedule["gaps"] == [{"from": "2026-11-05T02:00:00Z", "to": "2026-11-24T02:00:00Z", "count": 20}]
    page = "".join(map(bytes.decode, html(made)))
    assert "<b>23 of 23</b>" in page, "and the restore tests of three Sundays"


def test_cron_that_lives_has_missed_nothing(story: Story) -> None:
    story.begins()
    story.nights(1, 30)
    assert backups(story.tells()[1]) == (30, 0)


def test_a_slot_file_that_is_lost_takes_no_missed_run_with_it(world: World) -> None:
    """Nor does one that was edited: the machine slept for two days, and what it then finds says that nothing was due."""
    path = world.site.state / "schedule/p.crm.backup.json"
    world.run()
    world.clock.on(days=2, hours=3)
    path.unlink()
    world.run()
    world.clock.on(days=2)
    path.write_text(path.read_text().replace('"settled": "20', '"settled": "29'))
    world.clock.on(hours=7)
    period = period_of("90d", None, world.clock.now())
    made = make_report(world.plans, world.services, period, there=["p"], command="ccdr report")
    [crm] = [due for due in made.promises[0].due if (due.asset, due.verb) == ("crm", "backup")]
    assert ("crm", "backup") not in [(record["asset"], record["verb"]) for record in world.site.records("missed")]
    assert (crm.due, crm.missed) == (4, 4)


EIGHT = range(8, 0, -1)


def eight_failures(story: Story) -> None:
    story.begins()
    snapshot = story.nights(1, 29)
    for days in EIGHT:
        story.test(NOW - days * DAY, snapshot, "FAIL")


def passes_at_last(story: Story) -> None:
    story.test(NOW - 2 * HOUR, story.nights(30, 30))


def test_failing_checks_that_are_deleted_mend_nothing(story: Story) -> None:
    eight_failures(story)
    story.says(ONE, tests=FEWER)
    story.acts(NOW - 3 * HOUR)
    passes_at_last(story)
    made, said = story.tells()
    [failures] = [one for one in said["interruptions"] if one["what"] == "test"]
    assert failures["outcomes"] == {"FAIL": 8} and failures["mended"] is None
    assert failures["no_longer_checked"]["time"] == rfc3339(NOW - 2 * HOUR)
    assert made.answer.word == "Not proven" and "passed only with fewer or weaker checks" in made.answer.sentence
    assert "no longer checked" in "".join(map(bytes.decode, html(made)))
    [change] = said["plan_changes"]
    assert [(one["code"], one["asset"], one["item"]) for one in change["loosenings"]] == [
        ("CHECK_GONE", "recordings", "identical")
    ]


def test_failures_that_the_same_checks_pass_later_are_mended(story: Story) -> None:
    eight_failures(story)
    passes_at_last(story)
    made, said = story.tells()
    [failures] = [one for one in said["interruptions"] if one["what"] == "test"]
    assert failures["mended"] and failures["no_longer_checked"] is None
    assert made.answer.word == "Yes", made.findings


def test_checks_that_are_put_back_and_pass_have_mended_it(story: Story) -> None:
    eight_failures(story)
    story.says(ONE, tests=FEWER)
    story.acts(NOW - 3 * HOUR)
    passes_at_last(story)
    story.says(ONE, tests=CHECKS)
    story.acts(NOW - HOUR)
    story.test(NOW - HOUR / 2, story.backup(NOW - HOUR))
    made, said = story.tells()
    [failures] = [one for one in said["interruptions"] if one["what"] == "test"]
    assert failures["mended"]["time"] == rfc3339(NOW - HOUR / 2) and failures["no_longer_checked"] is None
    assert made.answer.word == "Yes", made.findings


def bad_then_good(story: Story) -> datetime:
    """Three nights without a backup, in a period that is over; when it was."""
    story.begins()
    story.nights(1, 6)
    story.nights(10, 29)
    story.test(NOW - 3 * DAY, story.nights(30, 30))
    return BEGIN + 20 * DAY


def test_an_rpo_that_was_loosened_afterwards_makes_no_period_better(story: Story) -> None:
    end = bad_then_good(story)
    before = story.tells(last=end)[1]
    assert before["assets"][0]["rpo"]["verdict"] == "BREACHED"
    story.says(ONE, rpo="90d")
    story.acts(NOW - HOUR)
    assert story.tells(last=end)[1]["assets"][0] == before["assets"][0]
    assert story.tells(last=end)[1]["findings"] == before["findings"]
    whole, said = story.tells()
    [asset] = said["assets"]
    assert asset["rpo"]["verdict"] == "BREACHED" and asset["rpo"]["objective_s"] == 26 * 3600
    [loosened] = whole.promises[0].changes[0].loosenings
    assert (loosened.code, loosened.before, loosened.after) == (Code.RPO_LONGER, 26 * 3600, 90 * 86400)
    assert "its RPO was 26h and is 90d" in "".join(map(bytes.decode, html(whole)))


def test_an_rpo_that_was_loose_from_the_start_was_met(story: Story) -> None:
    story.says(ONE, rpo="90d")
    end = bad_then_good(story)
    assert story.tells(last=end)[1]["assets"][0]["rpo"]["verdict"] == "MET"
    assert story.tells()[1]["plan_changes"] == []


def test_a_past_period_is_told_in_the_same_words_whatever_the_plan_says_today(story: Story) -> None:
    end = bad_then_good(story)

    def told() -> str:
        said = story.tells(last=end)[1]
        return json.dumps({key: value for key, value in said.items() if key != "made"}, sort_keys=True)

    before = told()
    story.says("crm:\n  engine: files\n  paths: [/srv/crm]\n", rpo="1h", tests=FEWER)
    assert told() == before
    (story.site.root / "plans/p.yaml").unlink()
    assert told() == before


BOTH = (
    ONE
    + """
queues:
  engine: files
  paths: [/srv/queues]
  backup: {schedule: "0 2 * * *"}
"""
)


def test_an_asset_that_was_taken_out_of_the_plan_stays_in_the_population_of_its_time(story: Story) -> None:
    story.says(BOTH)
    story.begins()
    story.nights(1, 30)
    story.says(ONE)
    story.acts(BEGIN + 20 * DAY)
    made, said = story.tells()
    assert backups(said) == (30 + 20, 20)
    [change] = said["plan_changes"]
    assert [(one["code"], one["asset"]) for one in change["loosenings"]] == [("ASSET_GONE", "queues")]
    assert change["changed_keys"] == ["assets.queues (gone)"]
    page = "".join(map(bytes.decode, html(made)))
    assert "What was changed" in page and "assets.queues (gone)" in page


def test_a_file_that_was_edited_promises_nothing_before_somebody_acts_by_it(
    story: Story, wording: SnapshotAssertion
) -> None:
    bad_then_good(story)
    story.says(ONE, rpo="90d")
    made, said = story.tells()
    assert said["assets"][0]["objectives"]["rpo_s"] == 26 * 3600
    [version] = said["plan_versions"]
    assert version["file"] == "differs" and version["why"] is None
    page = "".join(map(bytes.decode, html(made)))
    assert "the file of the plan p was changed" in page
    assert "its RPO was 26h and is 90d" in page
    text = story.site.plainly("status")
    assert lines_with(text.stdout, "the file of the plan p") == wording, text
    asked = story.site.run("status").json
    assert asked["plans"][0]["assets"][0]["rpo"]["objective_s"] == 26 * 3600
    assert asked["plans"][0]["version"]["file"] == "differs"


def test_a_file_that_is_as_recorded_needs_no_words(story: Story) -> None:
    bad_then_good(story)
    made, said = story.tells()
    assert [one["file"] for one in said["plan_versions"]] == ["same"]
    assert "nobody has acted by it" not in "".join(map(bytes.decode, html(made)))


def test_a_plan_file_that_was_deleted_is_judged_all_the_same(story: Story) -> None:
    story.begins()
    story.nights(1, 10)
    (story.site.root / "plans/p.yaml").unlink()
    made, said = story.tells()
    assert [one["file"] for one in said["plan_versions"]] == ["gone"]
    assert backups(said) == (30, 20)
    assert said["assets"][0]["in_plans"] and made.exit_code is Exit.FINDING
    story.site.run("report", "--out", str(story.site.root / "r.html"))
    assert (story.site.root / "r.html").exists()
    assert story.site.run("ledger", "show", "--kind", PLAN_VERSION, "--json").json["records"][0]["plan"] == "p"


def test_a_plan_that_run_sees_is_gone_is_recorded_as_that(site: Site, world: World) -> None:
    site.plan(PLAN.replace("crm", "other"), name="q")
    world.run()
    (site.root / "plans/q.yaml").unlink()
    for _ in range(2):
        world.run()
    found = [version_of(of_mapping(record)) for record in versions(site) if record["plan"] == "q"]
    assert [one is not None and one.gone for one in found] == [False, True]
    site.plan(PLAN.replace("crm", "other"), name="q")
    world.run()
    assert [record["plan"] for record in versions(site)].count("q") == 3
    assert [record["plan"] for record in versions(site)].count("p") == 1


def test_due_before_the_first_version_is_not_known_and_not_nought(story: Story) -> None:
    story.wrote(BEGIN, "duties", asset=None, verbs=["backup", "test"], gained=[], lost=[])
    story.nights(1, 30)
    story.acts(BEGIN + 20 * DAY)
    said = story.tells()[1]
    [due] = said["due"]
    assert due["known_since"] == rfc3339(BEGIN + 20 * DAY)
    assert backups(said) == (30, 0), "twenty of them because they were recorded as due"


def test_what_another_host_answers_for_is_not_known_here(story: Story) -> None:
    story.wrote(BEGIN, "duties", asset=None, verbs=["test"], gained=[], lost=[])
    story.acts(BEGIN)
    said = story.tells()[1]
    assert backups(said) == (0, 0)
    [tally] = [one for one in said["population"]["tallies"] if one["what"] == "backup"]
    assert tally["NOT_KNOWN_HERE"] == 30


# Kept in the repository


def stored(site: Site) -> list[Any]:
    loaded = site.loaded()
    repo = site.services().repository(loaded, loaded.plan.limits_of(next(iter(loaded.plan.assets))))
    return repo.snapshots(["ccdr-3", "kind=plan", "plan=p"])


def test_each_version_is_in_the_repository_once_and_upkeep_leaves_it_there(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.wav").write_bytes(b"one")
    os.utime(tree / "a.wav", (1, 1))
    site.recordings(tree)
    for _ in range(2):
        site.backed_up()
    [first] = stored(site)
    path = site.root / "plans/p.yaml"
    path.write_text(
        path.read_text().replace("rpo: 1h", "rpo: 2h").replace("assets:", "retention: {keep_last: 1}\nassets:")
    )
    site.backed_up()
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0, done
    one, two = stored(site)
    assert one.id == first.id and [s.tag("version") for s in (one, two)] == [r["digest"] for r in versions(site)]
    assert [r["snapshot"] for r in site.records("plan.stored")] == [one.id, two.id]
    shown = site.run("snapshots", "p").json
    assert {one["asset"] for one in shown["snapshots"]} == {"recordings"} and shown["findings"] == []
    assert len(shown["snapshots"]) == 3, "they are no snapshots of an asset"
    repo = site.services().repository(site.loaded(), site.loaded().plan.limits_of("recordings"))
    repo.restore(two.id, "/", tmp_path / "back")
    [again] = (tmp_path / "back").rglob("plans/p.yaml")
    assert again.read_bytes() == path.read_bytes()


def at_odds(site: Site) -> set[str]:
    return {t["code"] for p in site.run("status", "p").json["plans"] for t in p["troubles"]} & {"PLAN_NOT_STORED"}


def test_a_plan_that_is_in_force_again_is_the_newest_in_the_repository_too(tmp_path: Path) -> None:
    site = Site(tmp_path)
    settled_file(tmp_path / "tree" / "a.wav", b"sound")
    site.recordings(tmp_path / "tree")
    path = site.root / "plans/p.yaml"
    first = path.read_text()
    for text in (first, first.replace("rpo: 1h", "rpo: 2h"), first):
        path.write_text(text)
        site.backed_up()
    a, b, again = (s.tag("version") for s in stored(site))
    assert a == again != b
    site.backed_up()
    assert len(stored(site)) == 3, "once it is there, it is not stored again"
    assert all(s.tag("writer") and s.tag("host") and s.tag("ccdr") for s in stored(site))


def test_a_plan_that_is_not_in_its_repository_is_told_and_a_run_stores_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    settled_file(tmp_path / "tree" / "a.wav", b"sound")
    site.recordings(tmp_path / "tree")
    site.backed_up()
    assert at_odds(site) == set(), "the healthy twin"
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("rpo: 1h", "rpo: 2h"))
    in_force.record(site.loaded(), site.services())
    assert at_odds(site) == set(), "the next run stores it"
    two_days = site.services(ShiftedClock(timedelta(days=2)))
    [problems] = upkeep_problems([site.loaded()], two_days).values()
    assert Trouble.PLAN_NOT_STORED in {p.trouble for p in problems}
    site.run("run", "p")
    assert [s.tag("version") for s in stored(site)] == [v["digest"] for v in versions(site)]
    [problems] = upkeep_problems([site.loaded()], two_days).values()
    assert Trouble.PLAN_NOT_STORED not in {p.trouble for p in problems}


def test_a_stored_plan_that_somebody_removed_is_stored_again_within_a_day(tmp_path: Path) -> None:
    site = Site(tmp_path)
    settled_file(tmp_path / "tree" / "a.wav", b"sound")
    site.recordings(tmp_path / "tree")
    site.backed_up()
    [first] = stored(site)
    restic_of(site.root, "forget", "-q", first.id)
    assert store([site.loaded()], site.services()) == [] and stored(site) == []
    assert store([site.loaded()], site.services(ShiftedClock(timedelta(days=1, hours=1)))) == []
    assert len(stored(site)) == 1


def test_a_repository_that_cannot_hold_the_plan_fails_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wording: SnapshotAssertion
) -> None:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    (tmp_path / "tree").mkdir()
    site.recordings(tmp_path / "tree")
    in_force.record(site.loaded(), site.services())
    loaded, services = site.loaded(), site.services()
    monkeypatch.setattr(Restic, "backup", lambda *_, **__: (_ for _ in ()).throw(CcdrError("no room there")))
    [said] = store([loaded], services)
    assert said == wording
    monkeypatch.undo()
    assert store([loaded], services) == [] and len(stored(site)) == 1
