"""What `status` says of assets, and of the care of their repositories, for what stands in ledger and catalogue: each
sentence with since when, what to do and whose work it is, and when it is over. By what commands call alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.older import append_older

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.answers import FreeText
from ccdr.model.trouble import Trouble
from ccdr.model.values import GroupRun, Manifest, Needed, Verb, source_digest
from ccdr.run.ending import our_own
from ccdr.storage.catalogue import manifest_text, snapshot_of
from ccdr.telling.notify.concerns import Concern, concerns_of
from ccdr.telling.status import exit_code, status, upkeep_problems

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday
IDS = [f"{n:08x}{'0' * 56}" for n in range(9)]

ASSETS = """\
calls:
  engine: files
  paths: [/srv/calls]
  group: centre
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * 0", checks: [all]}
queue:
  engine: files
  paths: [/srv/queue]
  group: centre
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * 0", checks: [all]}
byhand:
  engine: files
  paths: [/srv/byhand]
"""
SOURCES = {name: f"/srv/{name}" for name in ("calls", "queue", "byhand")}
PART = {"parts": 3, "reason": None, "findings": []}


def ago(**delta: float) -> datetime:
    return NOON - timedelta(**delta)


class Centre:
    """Plans whose past is written by hand. What is written is of when the clock stands."""

    def __init__(self, root: Path) -> None:
        self.site, self.clock = Site(root, bare=True), Clock()
        self.site.write("restore_tests/all.yaml", "restore_test: all\nchecks:\n  - {kind: identical}\n")
        self.plan()
        self.services = self.site.services(self.clock)

    def plan(self, name: str = "p", assets: str = ASSETS) -> None:
        self.site.plan(assets, name=name, extra="retention: {keep_within: 35d}\n")

    def snapshot(
        self, number: int, when: datetime, asset: str = "calls", *, note: str | None = None, **more: Any
    ) -> None:
        usable = more.pop("usable", when)
        source = {"source": self.site.loaded().plan.assets[asset].source_name}
        manifest = Manifest("p", asset, f"b{number}", "files", "scan", "h", when, 0.0, {}, source, **more)
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", usable, note), text)

    def wrote(self, kind: str, asset: str | None = "calls", *, plan: str = "p", run: str = "r", **body: Any) -> None:
        append_older(self.services.ledger, kind, plan=plan, asset=asset, run=run, body=body)

    def stored(self, number: int, when: datetime, asset: str = "calls", **body: Any) -> None:
        self.snapshot(number, when, asset)
        self.wrote("backup.end", asset, result="STORED", reason=None, snapshot={"id": IDS[number]}, **body)

    def tested(self, verdict: str = "PASS", number: int = 1, asset: str = "calls", **more: Any) -> None:
        body = {
            "verdict": verdict, "reason": None, "findings": [], "rto": {"achieved_s": 5.0, "basis": "throwaway"},
            "snapshot": {"id": IDS[number], "verdict": verdict, "selected": "latest"},
        }  # fmt: skip
        self.wrote("restore_test.end", asset, **body | more)

    def asked(self, *verbs: str) -> None:
        self.wrote("duties", None, run="d", verbs=list(verbs), gained=[], lost=[], reason="-")

    def well(self, asset: str = "calls", number: int = 1) -> None:
        """Backed up minutes ago, and that has passed."""
        self.stored(number, ago(minutes=5), asset)
        self.tested(number=number, asset=asset)

    def of(self, asset: str = "calls") -> AssetStatus:
        (found,) = [s for s in status([self.site.loaded()], self.services) if s.asset == asset]
        return found

    def told(self, asset: str | None = "calls", plan: str = "p") -> list[Concern]:
        """What people are told of it, objectives left out."""
        loaded = [self.site.loaded(plan)]
        told = concerns_of(status(loaded, self.services), upkeep_problems(loaded, self.services))
        objectives = (Trouble.BREACH_RPO, Trouble.BREACH_RTO, Trouble.RTO_UNMEASURED)
        return [c for c in told if c.asset == asset and c.trouble not in objectives]

    def says(self, asset: str | None = "calls") -> list[tuple[Trouble, str]]:
        return [(c.trouble, c.text) for c in self.told(asset)]

    def whose(self, verb: str, asset: str | None = "calls") -> set[Trouble]:
        """What a host is not told of that does everything but this, though there it is to be seen, too."""
        self.asked(*(other.value for other in Verb if other != verb))
        loaded = [self.site.loaded()]
        own = our_own(loaded, self.services)
        told = concerns_of(own.assets, own.upkeep)
        left = {c.key for c in self.told(asset)} - {c.key for c in told if c.asset == asset}
        self.asked(*(other.value for other in Verb))
        return {Trouble(trouble) for _, trouble, _ in left}


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path)


# --- proven, and what is a finding -----------------------------------------------------------------------------------


def test_what_has_passed_and_is_as_it_should_be_is_proven_and_no_finding(centre: Centre) -> None:
    centre.well()
    found = centre.of()
    assert found.proven and not found.finding and exit_code([found]) == 0


@pytest.mark.parametrize(
    ("minutes", "seconds", "findings"),
    [(60.1, 5.0, []), (5, 1800.1, []), (5, 5.0, ["3 files were in use"])],
    ids=["rpo", "rto", "finding"],
)
def test_one_thing_alone_is_a_finding_and_keeps_it_from_being_proven(
    centre: Centre, minutes: float, seconds: float, findings: list[str]
) -> None:
    """Just past an objective, with nothing else the matter; or that something was said, with both objectives met."""
    centre.stored(1, ago(minutes=minutes), findings=findings)
    centre.tested(rto={"achieved_s": seconds, "basis": "throwaway"})
    found = centre.of()
    verdicts = (found.rpo.verdict, found.rto.verdict)
    assert verdicts == ("BREACHED" if minutes > 60 else "MET", "BREACHED" if seconds > 1800 else "MET")
    assert found.problems == tuple(findings) and found.coverage == "tested"
    assert not found.proven and found.finding
    centre.well("queue", 2)
    assert exit_code([centre.of("queue"), found]) == 1 and exit_code([centre.of("queue")]) == 0


def test_an_objective_that_is_just_met_is_met(centre: Centre) -> None:
    centre.stored(1, ago(minutes=60))
    centre.tested(rto={"achieved_s": 1800.0, "basis": "throwaway"})
    assert centre.of().proven and not centre.of().finding


def test_where_another_host_backs_up_what_it_may_have_stored_since_is_no_finding_here(centre: Centre) -> None:
    centre.asked("test")
    centre.snapshot(1, ago(hours=3))
    centre.tested()
    found = centre.of()
    assert found.rpo.verdict == "NOT_KNOWN_HERE" and found.proven and not found.finding


def test_what_was_tested_stays_tested_where_the_plan_asks_for_no_tests(centre: Centre) -> None:
    centre.well("byhand")
    centre.well()
    centre.clock.at += timedelta(days=400)
    assert centre.of("byhand").coverage == "tested" and centre.of().coverage == "stale"
    assert not any(c.trouble in (Trouble.BACKUP_LATE, Trouble.TEST_LATE) for c in centre.told("byhand"))


def test_a_breach_that_the_last_look_found_stands_until_anything_newer_is_known_here(centre: Centre) -> None:
    """Two hours ago a test found the newest backup a day old. What was stored since was seen, and is too old as well:
    but who backs up elsewhere may have stored another one."""
    centre.asked("test")
    centre.snapshot(1, ago(hours=26))
    centre.clock.at = ago(hours=2)
    centre.tested(rpo={"objective_s": 3600, "achieved_s": 86400.0, "verdict": "BREACHED"})
    centre.clock.at = NOON
    assert centre.of().rpo.verdict == "BREACHED" and centre.of().rpo.achieved_s == 26 * 3600
    centre.snapshot(2, ago(hours=1.5))
    assert centre.of().rpo.verdict == "NOT_KNOWN_HERE" and centre.of().rpo.achieved_s == 1.5 * 3600


@pytest.mark.parametrize("rpo", [{}, {"rpo": None}])
def test_a_look_that_did_not_come_to_what_is_exposed_tells_nothing_of_it(centre: Centre, rpo: dict[str, Any]) -> None:
    centre.asked("test")
    centre.snapshot(1, ago(hours=26))
    centre.tested("INCONCLUSIVE", **rpo)
    assert centre.of().rpo.verdict == "NOT_KNOWN_HERE"


# --- backups -----------------------------------------------------------------------------------------------------


def test_that_there_never_was_a_backup_is_said_only_where_there_was_none(centre: Centre) -> None:
    never = (Trouble.NEVER_SUCCEEDED, "never backed up successfully yet")
    assert never in centre.says()
    centre.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    assert never not in centre.says(), "it is gone from the catalogue, but there was one"
    assert never in centre.says("queue")
    centre.snapshot(2, ago(minutes=5), "queue")
    assert never not in centre.says("queue"), "another host has taken it"


def test_a_host_that_only_tests_says_that_there_is_none_once_it_has_looked(centre: Centre) -> None:
    centre.asked("test")
    assert Trouble.NEVER_SUCCEEDED not in {trouble for trouble, _ in centre.says()}
    centre.wrote("restore_test.end", verdict="INCONCLUSIVE", reason="no snapshot", snapshot=None, findings=[])
    never, broke, untested = centre.told()
    assert never.trouble is Trouble.NEVER_SUCCEEDED and untested.trouble is Trouble.NEVER_TESTED
    assert str(never.step).startswith("on the host that backs it up: ccdr backup p --asset calls"), never
    assert {never.because, broke.because, untested.because} == {None, Trouble.NEVER_SUCCEEDED}
    assert broke.trouble is Trouble.TEST_INCONCLUSIVE and broke.step == never.step, "there is nothing to test"
    assert centre.whose("backup") == {Trouble.NEVER_SUCCEEDED}


def test_what_failed_is_told_with_the_step_that_it_gave_itself_wherever_that_is_to_be_done(centre: Centre) -> None:
    centre.well()
    centre.wrote("backup.end", result="FAILED", reason="disk full", hint="make room")
    (failed,) = centre.told()
    again = "make room; then `ccdr backup p --asset calls`"
    assert (failed.trouble, failed.step) == (Trouble.BACKUP_FAILED, again)
    assert centre.whose("backup") == {Trouble.BACKUP_FAILED}
    centre.asked("test")
    (failed,) = centre.told()
    assert failed.step == f"on the host that backs it up: {again}"


def test_what_another_host_has_stored_mends_what_failed_here_before_that(centre: Centre) -> None:
    centre.clock.at = ago(minutes=30)
    centre.wrote("backup.end", result="FAILED", reason="disk full")
    centre.clock.at = NOON
    centre.snapshot(1, ago(minutes=31))
    assert Trouble.BACKUP_FAILED in {c.trouble for c in centre.told()} and centre.of().failed
    centre.snapshot(2, ago(minutes=29))
    assert Trouble.BACKUP_FAILED not in {c.trouble for c in centre.told()} and not centre.of().failed


def test_what_failed_after_a_backup_is_told_though_the_clock_was_set_back_between_them(centre: Centre) -> None:
    centre.stored(1, ago(minutes=5))
    centre.clock.at = ago(hours=1)
    centre.wrote("backup.end", result="FAILED", reason="disk full")
    centre.clock.at = NOON
    assert Trouble.BACKUP_FAILED in {c.trouble for c in centre.told()}
    centre.stored(2, ago(minutes=4))
    assert Trouble.BACKUP_FAILED not in {c.trouble for c in centre.told()}


def test_a_backup_is_late_where_it_has_a_schedule_and_is_this_hosts_to_take(centre: Centre) -> None:
    centre.well()
    centre.well("byhand", 2)
    centre.clock.at += timedelta(hours=3)
    (late,) = centre.told()
    assert (late.trouble, late.text) == (
        Trouble.BACKUP_LATE, "its backup is overdue: the last one is of 2026-11-24T12:00:00Z",
    )  # fmt: skip
    assert centre.told("byhand") == []
    with centre.services.state.lock("p", "calls", "backup"):
        assert centre.told() == [], "it is being taken"
    centre.asked("test")
    assert centre.told() == []


def test_a_test_is_late_where_it_is_only_tested_too(centre: Centre) -> None:
    centre.well()
    centre.asked("test")
    centre.clock.at += timedelta(days=12.5)  # Sunday, after the second one came due
    text = "its restore test is overdue: the last one with a verdict is of 2026-11-24T12:00:00Z"
    assert centre.says() == [(Trouble.TEST_LATE, text)] and not centre.of().proven
    assert centre.whose("test") >= {Trouble.NOT_KNOWN_HERE}, "another host may have tested it since"


@pytest.mark.parametrize("verb", ["backup", "test"])
def test_what_could_not_begin_is_told_until_it_has_been_done_where_the_plan_asks_for_it(
    centre: Centre, verb: str
) -> None:
    for asset, number in (("calls", 1), ("byhand", 2)):
        centre.well(asset, number)
        centre.wrote("not_begun", asset, verb=verb, reason="no such image")
    (told,) = centre.told()
    assert (told.trouble, told.text) == (Trouble.NOT_BEGUN, f"its {verb} could not begin: no such image")
    assert (told.since, told.about) == (NOON, verb)
    assert centre.told("byhand") == [] and Trouble.NOT_BEGUN in centre.whose(verb)
    centre.well(number=3)
    assert centre.told() == []


def test_a_restore_that_crashed_says_where_it_went_if_that_is_known(centre: Centre) -> None:
    centre.well()
    centre.wrote("restore.start", run="r1")
    text = "the restore of 2026-11-24T12:00:00Z crashed: its run r1 has no end"
    assert centre.says() == [(Trouble.RESTORE_CRASHED, text)] and centre.told()[0].since == NOON
    centre.wrote("restore.start", run="r2", target={"kind": "directory", "name": "/srv/back"})
    text = "the restore of 2026-11-24T12:00:00Z into /srv/back crashed: its run r2 has no end"
    assert centre.says() == [(Trouble.RESTORE_CRASHED, text)]


# --- tests -------------------------------------------------------------------------------------------------------


def test_that_it_was_never_tested_is_told_to_who_tests(centre: Centre) -> None:
    centre.stored(1, ago(minutes=5))
    assert centre.says() == [(Trouble.NEVER_TESTED, "never tested")] and centre.of().coverage == "untested"
    assert centre.whose("test") == {Trouble.NOT_KNOWN_HERE}, "another host may have tested it"


@pytest.mark.parametrize(
    ("verdict", "trouble"), [("FAIL", Trouble.TEST_FAILED), ("INCONCLUSIVE", Trouble.TEST_INCONCLUSIVE)]
)
def test_a_test_that_did_not_pass_is_told_with_why_and_since_when(
    centre: Centre, verdict: str, trouble: Trouble
) -> None:
    centre.stored(1, ago(minutes=5))
    centre.tested(verdict, reason="so it was", findings=["2 files were skipped"])
    told = [(c.trouble, c.text, c.since) for c in centre.told() if c.about not in ("newer", "verdict")]
    assert told[-2:] == [
        (trouble, f"its last restore test is {verdict}: so it was", NOON),
        (Trouble.FINDING, "2 files were skipped", None),
    ]
    never = {Trouble.NEVER_TESTED} if verdict == "INCONCLUSIVE" else set()
    assert centre.whose("test") == {trouble, Trouble.FINDING} | never


def test_a_test_that_crashed_is_told_to_who_tests(centre: Centre) -> None:
    centre.well()
    centre.wrote("restore_test.start", run="t9")
    text = "the restore test of 2026-11-24T12:00:00Z crashed: its run t9 has no end"
    assert centre.says() == [(Trouble.TEST_INCONCLUSIVE, text)] and centre.whose("test") == {Trouble.TEST_INCONCLUSIVE}


def test_a_failure_before_a_test_that_broke_is_told_as_of_when_it_was(centre: Centre) -> None:
    centre.stored(1, ago(minutes=5))
    centre.clock.at = ago(minutes=2)
    centre.tested("FAIL", reason="rows are gone")
    centre.clock.at = NOON
    centre.tested("INCONCLUSIVE", reason="no room", snapshot=None)
    assert [(c.trouble, c.text, c.since) for c in centre.told() if c.about != "newer"] == [
        (Trouble.TEST_INCONCLUSIVE, "its last restore test is INCONCLUSIVE: no room", NOON),
        (
            Trouble.TEST_FAILED,
            "its restore test of 2026-11-24T11:58:00Z is FAIL, and no newer snapshot has passed: rows are gone",
            ago(minutes=2),
        ),
    ]
    assert centre.whose("test") == {Trouble.TEST_INCONCLUSIVE, Trouble.TEST_FAILED}


def test_a_failure_for_a_newer_backup_is_over_once_one_is_stored_though_a_test_broke_meanwhile(centre: Centre) -> None:
    centre.stored(1, ago(minutes=50))
    centre.wrote("backup.end", result="FAILED", reason="disk full", snapshot=None)
    good = {"id": IDS[1], "verdict": "PASS", "selected": "latest"}
    centre.tested("FAIL", reason="the backup failed", newer_failed=True, snapshot=good)
    centre.tested("INCONCLUSIVE", reason="no room", snapshot=None)
    kinds = [Trouble.BACKUP_FAILED, Trouble.TEST_INCONCLUSIVE, Trouble.NEWER_FAILED]
    assert [trouble for trouble, _ in centre.says()] == kinds
    centre.stored(2, ago(minutes=5))
    assert [trouble for trouble, _ in centre.says()] == [Trouble.TEST_INCONCLUSIVE]


@pytest.mark.parametrize("other", [True, False])
def test_a_test_of_another_source_proves_nothing_of_what_the_plan_names_now(centre: Centre, other: bool) -> None:
    centre.stored(1, ago(minutes=5))
    source = "/srv/elsewhere" if other else centre.site.loaded().plan.assets["calls"].source_name
    snapshot = {"id": IDS[1], "verdict": "PASS", "selected": "latest", "source_sha256": source_digest(source)}
    centre.tested(snapshot=snapshot)
    found, told = centre.of(), centre.told()
    if not other:
        assert told == [] and found.coverage == "tested" and found.rto.verdict == "MET"
        return
    assert [(c.trouble, c.text, c.about) for c in told] == [
        (Trouble.NEVER_TESTED, "its last restore test was of something else than the plan now names", "source")
    ]
    assert found.coverage == "untested" and found.rto.verdict == "NOT_MEASURED"
    assert centre.whose("test") == {Trouble.NEVER_TESTED}


@pytest.mark.parametrize("rto", [None, {}, {"achieved_s": None, "basis": "throwaway"}])
def test_how_long_a_recovery_takes_is_not_known_where_the_test_did_not_measure_it(centre: Centre, rto: Any) -> None:
    centre.stored(1, ago(minutes=5))
    centre.tested("FAIL", rto=rto)
    assert centre.of().as_json()["rto"] == {"objective_s": 1800, "achieved_s": None, "verdict": "NOT_MEASURED"}


def test_a_test_that_found_nothing_to_restore_failed_itself(centre: Centre) -> None:
    centre.stored(1, ago(minutes=5))
    centre.tested("FAIL", reason="its snapshot is gone", snapshot=None)
    assert centre.says() == [(Trouble.TEST_FAILED, "its last restore test is FAIL: its snapshot is gone")]


def test_a_log_that_failed_is_no_trouble_of_a_plan_that_ships_none(centre: Centre) -> None:
    """It did when that was tested."""
    centre.stored(1, ago(minutes=5))
    until = {"target": "latest", "verdict": "FAIL", "until": "2026-11-24T11:58:00Z"}
    centre.tested("FAIL", snapshot={"id": IDS[1], "verdict": None, "selected": "at"}, recovery=until)
    assert [trouble for trouble, _ in centre.says()] == [Trouble.LOG_FAILED]
    centre.tested()
    assert centre.says() == []


# --- snapshots that do not count -----------------------------------------------------------------------------------


def newer(centre: Centre) -> list[str]:
    return [c.text for c in centre.told() if c.about == "newer"]


def test_as_many_newer_snapshots_as_are_named_are_all_of_them(centre: Centre) -> None:
    centre.snapshot(1, ago(minutes=50))
    for number in (2, 3):
        centre.snapshot(number, ago(minutes=10 - number), note="a file was gone")
    why = "which restic stored with a warning: a file was gone"
    assert newer(centre) == [f"2 newer snapshots do not count: 00000003, {why}; 00000002, {why}"]
    centre.snapshot(4, ago(minutes=6), note="a file was gone")
    assert newer(centre) == [f"3 newer snapshots do not count: 00000004, {why}; 00000003, {why}; and 1 more"]


def test_one_as_old_as_the_newest_good_one_is_made_up_for(centre: Centre) -> None:
    centre.snapshot(1, ago(minutes=5), note="a file was gone")
    assert newer(centre), "nothing is as new and good"
    centre.snapshot(2, ago(minutes=5))
    assert newer(centre) == []


def test_what_builds_upon_a_bad_one_is_told_as_that(centre: Centre) -> None:
    centre.snapshot(1, ago(minutes=50))
    (full,) = centre.services.catalogue.snapshots("p", "calls")
    upon = (Needed(full.id, full.manifest_sha256),)
    centre.snapshot(2, ago(minutes=5), upon=upon)
    assert newer(centre) == []
    centre.tested("FAIL")
    assert newer(centre) == [
        "2 newer snapshots do not count: 00000002, which builds upon one that failed its restore test; "
        "00000001, which failed its last restore test"
    ]
    centre.tested("FAIL", number=2)
    assert newer(centre)[0].startswith("2 newer snapshots do not count: 00000002, which failed its last restore test;")


def test_what_builds_upon_one_with_a_warning_is_told_as_that(centre: Centre) -> None:
    centre.snapshot(1, ago(minutes=50), note="a file was gone")
    (full,) = centre.services.catalogue.snapshots("p", "calls")
    centre.snapshot(2, ago(minutes=5), upon=(Needed(full.id, full.manifest_sha256),))
    assert newer(centre) == [
        "2 newer snapshots do not count: 00000002, which builds upon one that restic stored with a warning; "
        "00000001, which restic stored with a warning: a file was gone"
    ]


@pytest.mark.parametrize("usable", [2, -2])
def test_a_future_date_is_the_later_of_its_two(centre: Centre, usable: int) -> None:
    centre.snapshot(1, ago(hours=usable), usable=ago(hours=-usable))
    assert newer(centre) == ["1 newer snapshot does not count: 00000001, which bears a future date, 2026-11-24T14:00:00Z"]  # fmt: skip


# --- damage --------------------------------------------------------------------------------------------------------


def damaged(found: list[Concern]) -> list[tuple[str, datetime | None, str]]:
    return [(c.text, c.since, c.about) for c in found if c.trouble is Trouble.REPOSITORY_DAMAGED]


@pytest.mark.parametrize("found_by", ["check", "prune", "backup"])
def test_damage_is_told_of_each_asset_until_its_newest_snapshot_has_passed(centre: Centre, found_by: str) -> None:
    centre.well()
    centre.well("queue", 2)
    centre.clock.at += timedelta(minutes=1)
    if found_by == "check":
        centre.wrote("check.end", None, result="DAMAGED", part=1, **PART)
    else:
        body = {"result": "FAILED", "reason": "a key is gone", "repository": "damaged", "snapshot": None}
        centre.wrote(f"{found_by}.end", "calls" if found_by == "backup" else None, **body)
    text = (
        f"the {found_by} of 2026-11-24T12:01:00Z found the repository damaged, and no test of the newest "
        "snapshot has passed since"
    )
    for asset in ("calls", "queue"):
        assert (text, centre.clock.at, "") in damaged(centre.told(asset)), asset
        assert str(centre.told(asset)[0].step), asset
    centre.tested(number=1)
    assert damaged(centre.told()) == [] and damaged(centre.told("queue"))


def test_damage_that_a_test_found_is_told_of_that_asset_alone(centre: Centre) -> None:
    centre.well()
    centre.well("queue", 2)
    centre.stored(3, ago(minutes=2))
    centre.tested("FAIL", number=4, damaged=True)
    doubt = "1 newer snapshot does not count until one has passed a test: the repository was found damaged"
    assert damaged(centre.told()) == [(doubt, None, "doubt")] and damaged(centre.told("queue")) == []
    assert centre.of().as_json()["last_good_backup"]["snapshot"]["id"] == IDS[1]  # type: ignore[index]
    centre.stored(5, ago(minutes=1))
    assert damaged(centre.told())[0][0].startswith("2 newer snapshots do not count until one has passed")
    centre.tested(number=5)
    assert damaged(centre.told()) == []


# --- what is captured together ---------------------------------------------------------------------------------------


def together(centre: Centre, run: str, when: datetime, **numbers: int) -> None:
    group = GroupRun("centre", run, ("calls", "queue"))
    for asset, number in numbers.items():
        centre.snapshot(number, when, asset, group=group)


def test_the_group_is_as_of_the_last_time_that_it_has_a_snapshot_of(centre: Centre) -> None:
    assert centre.of().as_json()["group"] is None
    together(centre, "g1", ago(hours=2), calls=1, queue=2)
    together(centre, "g2", ago(hours=1), calls=3, queue=4)
    together(centre, "g3", ago(minutes=5), calls=5)
    points = {"calls": "2026-11-24T11:00:00Z", "queue": "2026-11-24T11:00:00Z"}
    whole = {"name": "centre", "run": "g2", "consistent_points": points, "skew_s": 0.0, "missing": []}
    assert centre.of("queue").as_json()["group"] == whole
    assert centre.of("calls").as_json()["group"] == {
        "name": "centre", "run": "g3", "consistent_points": {"calls": "2026-11-24T11:55:00Z"}, "skew_s": None,
        "missing": ["queue"],
    }  # fmt: skip
    assert centre.of("byhand").as_json()["group"] is None


def test_who_was_captured_without_its_group_is_told_so_until_it_is_captured_with_it(centre: Centre) -> None:
    centre.well()
    centre.well("queue", 2)
    text = "its group centre was not captured whole: there is no snapshot of queue with it"
    centre.wrote("group", None, group="centre", missing=["queue"], complete=False)
    (told,) = centre.told()
    assert (told.trouble, told.text, told.since) == (Trouble.GROUP_INCOMPLETE, text, NOON)
    assert centre.told("queue") == [], "why, is told of that one by itself"
    assert centre.told("byhand")[0].trouble is Trouble.NEVER_SUCCEEDED and len(centre.told("byhand")) == 2
    assert Trouble.GROUP_INCOMPLETE in centre.whose("backup")
    centre.wrote("group", None, group="other", missing=["calls"], complete=False)
    assert centre.says() == [(Trouble.GROUP_INCOMPLETE, text)], "another group's"
    centre.wrote("group", None, group="centre", missing=[], complete=True)
    assert centre.told() == []


def test_who_has_left_the_group_is_not_missed_in_it(centre: Centre) -> None:
    centre.well()
    centre.wrote("group", None, group="centre", missing=["retired"], complete=False)
    assert centre.told() == []
    centre.wrote("group", None, group="centre", missing=["retired", "queue"], complete=False)
    (told,) = centre.told()
    assert told.text.endswith("there is no snapshot of queue with it")


# --- the line itself -----------------------------------------------------------------------------------------------


def test_where_programs_own_words_are_kept_is_told_of_the_newest_runs_and_each_once(centre: Centre) -> None:
    state = centre.services.state
    for run in ("b0", "b1", "t1", "r1"):
        assert state.keep_words(run, FreeText("it said"))
    for run in ("b0", "b1"):
        centre.wrote("backup.end", run=run, result="FAILED", reason="-")
    assert centre.of().private == (str(state.words_path("b1")),)
    centre.wrote("restore_test.end", run="t1", verdict="INCONCLUSIVE", reason="-", snapshot=None)
    centre.wrote("restore.end", run="r1", result="FAILED", reason="-")
    expected = [str(state.words_path(run)) for run in ("b1", "t1", "r1")]
    assert centre.of().as_json()["private"] == expected and centre.of("queue").as_json()["private"] == []
    centre.wrote("restore_test.end", run="b1", verdict="INCONCLUSIVE", reason="-", snapshot=None)
    assert centre.of().as_json()["private"] == [expected[0], expected[2]]
    state.words_path("b1").unlink()
    assert centre.of().as_json()["private"] == [expected[2]], "what is there yet"


def test_a_line_shows_what_the_ledger_says_of_the_last_backup_and_test(centre: Centre) -> None:
    assert centre.of().as_json()["last_backup"] is None
    centre.stored(1, ago(minutes=5), findings=[])
    shown = centre.of().as_json()["last_backup"]
    (record,) = (r for r in centre.services.ledger.records() if r["kind"] == "backup.end")
    body = {"result": "STORED", "reason": None, "snapshot": {"id": IDS[1]}, "findings": []}
    where = {"plan": "p", "asset": "calls", "run": "r", "time": "2026-11-24T12:00:00.000000Z"}
    assert shown == where | body | {"seq": record["seq"], "version": record["version"]}


# --- the care of a repository ------------------------------------------------------------------------------------


def cared(centre: Centre, kind: str, **body: Any) -> list[tuple[Trouble, str, datetime | None, str]]:
    centre.wrote(kind, None, **body)
    return care(centre)


def care(centre: Centre) -> list[tuple[Trouble, str, datetime | None, str]]:
    return [(c.trouble, c.text, c.since, c.about) for c in centre.told(None)]


def test_a_prune_that_failed_is_told_until_one_has_not(centre: Centre) -> None:
    failed = (Trouble.PRUNE_FAILED, "its last prune FAILED: locked", NOON, "")
    found = (Trouble.FINDING, "2 snapshots are held", None, "# snapshots are held")
    findings = ["2 snapshots are held"]
    assert cared(centre, "prune.end", result="FAILED", reason="locked", findings=findings) == [failed, found]
    assert centre.whose("prune", None) == {Trouble.PRUNE_FAILED, Trouble.FINDING}
    assert cared(centre, "prune.end", result="DONE", reason=None, findings=findings) == [found]
    assert cared(centre, "prune.end", result="DONE", reason=None) == []


def test_a_check_that_broke_is_told_until_one_has_not(centre: Centre) -> None:
    broke = {"result": "INCONCLUSIVE", "part": 1, **PART, "reason": "no answer"}
    text = "its last check is INCONCLUSIVE: no answer"
    assert cared(centre, "check.end", **broke) == [(Trouble.CHECK_INCONCLUSIVE, text, NOON, "")]
    assert centre.whose("check", None) == {Trouble.CHECK_INCONCLUSIVE}
    assert cared(centre, "check.end", result="CLEAN", part=1, **PART) == []


@pytest.mark.parametrize(("verb", "trouble"), [("prune", Trouble.PRUNE_FAILED), ("check", Trouble.CHECK_INCONCLUSIVE)])
def test_upkeep_that_crashed_is_told_until_it_has_been_done_since(centre: Centre, verb: str, trouble: Trouble) -> None:
    text = f"the {verb} of 2026-11-24T12:00:00Z crashed: its run u1 has no end"
    assert cared(centre, f"{verb}.start", run="u1") == [(trouble, text, NOON, "crash")]
    assert centre.whose(verb, None) == {trouble}
    ended = {"result": "DONE"} if verb == "prune" else {**PART, "result": "INCONCLUSIVE", "part": 1}
    with centre.services.state.run(centre.clock) as run:
        centre.wrote(f"{verb}.end", None, run="u1", **ended)
        centre.wrote(f"{verb}.start", None, run=run.id)
        assert not any("crashed" in text for _, text, _, _ in care(centre)), "it is at work"
    assert any("crashed" in text for _, text, _, _ in care(centre))
    end = {"result": "DONE"} if verb == "prune" else {"result": "CLEAN", "part": 1, **PART}
    assert cared(centre, f"{verb}.end", **{"reason": None, **end}) == []


@pytest.mark.parametrize("verb", ["prune", "check"])
def test_upkeep_that_could_not_begin_is_told_until_it_has_been_done(centre: Centre, verb: str) -> None:
    text = f"its {verb} could not begin: no such key"
    told = (Trouble.NOT_BEGUN, text, NOON, verb)
    assert cared(centre, "not_begun", verb=verb, reason="no such key") == [told]
    assert centre.whose(verb, None) == {Trouble.NOT_BEGUN}
    end = {"result": "DONE"} if verb == "prune" else {"result": "CLEAN", "part": 1, **PART}
    assert cared(centre, f"{verb}.end", **{"reason": None, **end}) == []


def test_which_parts_are_damaged_is_told_and_since_when_the_first_was_found(centre: Centre) -> None:
    text = "a check found part {} of 3 of the repository's data DAMAGED"
    found = cared(centre, "check.end", result="DAMAGED", part=2, **PART)
    assert found == [(Trouble.REPOSITORY_DAMAGED, text.format("2"), NOON, "")]
    centre.clock.at += timedelta(minutes=1)
    found = cared(centre, "check.end", result="DAMAGED", part=1, **PART)
    assert found == [(Trouble.REPOSITORY_DAMAGED, text.format("1, 2"), NOON, "")]
    found = cared(centre, "check.end", result="DAMAGED", part=3, **PART)
    text = "a check that read all of the repository's data found some of it DAMAGED"
    assert found == [(Trouble.REPOSITORY_DAMAGED, text, NOON, "")]
    for verb in ("check", "prune", "test", "backup"):
        assert centre.whose(verb, None) == set(), "whoever sees it is told"


def test_damage_is_not_forgotten_where_the_data_are_divided_anew(centre: Centre) -> None:
    cared(centre, "check.end", result="DAMAGED", part=2, **PART)
    centre.clock.at += timedelta(minutes=1)
    text = (
        "a check found part 2 of 3 of the repository's data DAMAGED; since it is read in 2 parts, not all of them "
        "have been read and found clean"
    )
    found = cared(centre, "check.end", result="CLEAN", part=1, **PART | {"parts": 2})
    assert found == [(Trouble.REPOSITORY_DAMAGED, text, NOON, "before")]
    assert cared(centre, "check.end", result="CLEAN", part=2, **PART | {"parts": 2}) == []


def lateness(centre: Centre, days: float) -> list[tuple[Trouble, str, datetime | None, str]]:
    centre.clock.at = NOON + timedelta(days=days)
    try:
        return care(centre)
    finally:
        centre.clock.at = NOON


def test_upkeep_that_is_overdue_says_when_it_was_done_last_or_since_when_it_is_due(centre: Centre) -> None:
    """By the second time that it has come due: Sundays at 05:00, and each day at 06:00."""
    centre.asked("prune", "check")
    prune, check = lateness(centre, 12)
    overdue = "what retention lets go is overdue to be removed"
    due = datetime(2026, 12, 6, 5, tzinfo=UTC), datetime(2026, 11, 26, 6, tzinfo=UTC)
    assert prune == (Trouble.PRUNE_LATE, f"{overdue}: never done, though due since 2026-12-06T05:00:00Z", due[0], "")
    text = "its check is overdue: never done, though due since 2026-11-26T06:00:00Z"
    assert check == (Trouble.CHECK_LATE, text, due[1], "")
    centre.wrote("prune.end", None, result="DONE", reason=None)
    centre.wrote("check.end", None, result="CLEAN", part=1, **PART)
    last = "the last one is of 2026-11-24T12:00:00Z"
    assert [text for _, text, _, _ in lateness(centre, 12)] == [f"{overdue}: {last}", f"its check is overdue: {last}"]
    centre.clock.at += timedelta(days=12)
    for verb, trouble in (("prune", Trouble.PRUNE_LATE), ("check", Trouble.CHECK_LATE)):
        assert centre.whose(verb, None) == set(), f"who does not answer for {trouble} does not even look"


@pytest.mark.parametrize(("asked", "late"), [("prune", Trouble.PRUNE_LATE), ("check", Trouble.CHECK_LATE)])
def test_who_answers_for_one_of_the_two_is_told_of_that_one(centre: Centre, asked: str, late: Trouble) -> None:
    centre.asked(asked)
    assert [trouble for trouble, _, _, _ in lateness(centre, 20)] == [late]


def test_upkeep_that_nobody_was_asked_for_counts_from_the_plans_first_record(centre: Centre) -> None:
    """Of any asset of it, and of no other plan."""
    centre.plan("q", ASSETS)
    centre.clock.at = ago(days=30)
    centre.wrote("backup.end", plan="q", result="STORED", reason=None, snapshot={"id": IDS[8]})
    centre.clock.at = NOON
    assert lateness(centre, 1.9) == []
    centre.wrote("backup.end", result="FAILED", reason="-")
    assert lateness(centre, 1) == []
    centre.clock.at = NOON + timedelta(days=1)
    centre.wrote("backup.end", "queue", result="FAILED", reason="-")
    assert [trouble for trouble, _, _, _ in lateness(centre, 2)] == [Trouble.CHECK_LATE]


def test_what_was_removed_of_an_asset_that_this_host_knows_nothing_of_is_no_trouble(centre: Centre) -> None:
    assert cared(centre, "prune.end", result="DONE", reason=None, removed=[{"asset": "queue", "id": IDS[1]}]) == []
    assert [trouble for trouble, _, _, _ in lateness(centre, 2)] == [Trouble.CHECK_LATE]


def secrets(centre: Centre) -> Iterator[tuple[str, str]]:
    for c in centre.told(None):
        if c.trouble is Trouble.FINDING:
            yield c.text, c.about


def test_a_secret_that_others_may_read_is_the_same_finding_while_it_lasts(centre: Centre) -> None:
    key = centre.site.root / "plans" / "key"
    assert list(secrets(centre)) == []
    for mode in (0o640, 0o604):
        key.chmod(mode)
        text = f"{key} holds a secret, and others may read it (mode 0{mode:o}): chmod 600 {key}"
        assert list(secrets(centre)) == [(text, str(key))]
    for verb in Verb:
        assert centre.whose(verb, None) == set(), "whoever can read it is told"
