"""History folded from records, and where an asset stands by it."""

from __future__ import annotations

import fcntl
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.logs import ships
from tests.support.older import append_older

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.fold import read_history
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.log_standing import LogStanding
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.model.measure import judge
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import FileDigest, Manifest, Snapshot, rfc3339
from ccdr.storage.catalogue import manifest_text, snapshot_of
from ccdr.telling.notify import concerns_of
from ccdr.telling.status import exit_code, status, upkeep_problems

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
IDS = {n: f"{n:064x}" for n in range(9)}


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


_SEQ = itertools.count(1)


def record(kind: str, when: datetime, run: str, **body: Any) -> dict[str, Any]:
    return {"seq": next(_SEQ), "kind": kind, "time": rfc3339(when), "plan": "p", "asset": "a", "run": run, **body}


def judged(number: int, verdict: str, when: datetime = NOW, own: str | None = None) -> dict[str, Any]:
    snapshot = {"id": IDS[number], "verdict": own or verdict}
    return record("restore_test.end", when, f"t{number}", verdict=verdict, snapshot=snapshot, reason=None)


def folded(*records: dict[str, Any]) -> AssetHistory:
    return read_history(records).get(("p", "a"), AssetHistory())


ONE = Snapshot(IDS[1], "p", "a", "r", "files", "scan", NOW, NOW, 1, "/", "0" * 64)


def test_nothing_is_no_history() -> None:
    assert read_history([]) == {} and not folded().disproved(ONE)


def test_records_of_other_kinds_and_assets_do_not_count() -> None:
    other = {**judged(1, "FAIL"), "asset": "b"}
    found = read_history([other, record("sandbox.reap", NOW, "x"), {**judged(1, "PASS"), "plan": "q"}])
    assert set(found) == {("p", "b"), ("q", "a")}


def test_a_snapshots_latest_verdict_on_itself_holds() -> None:
    assert folded(judged(1, "PASS"), judged(1, "FAIL")).disproved(ONE)
    assert not folded(judged(1, "FAIL"), judged(1, "PASS")).disproved(ONE)


def test_inconclusive_and_skipped_disprove_nothing_and_prove_nothing() -> None:
    history = folded(judged(1, "FAIL"), judged(1, "INCONCLUSIVE"), judged(1, "SKIPPED"))
    assert history.disproved(ONE)
    assert history.last_test and history.last_test["verdict"] == "INCONCLUSIVE"
    assert history.last_conclusive_test and history.last_conclusive_test["verdict"] == "FAIL"
    assert folded(judged(1, "SKIPPED")).last_test is None


def test_a_test_that_failed_for_a_newer_backup_does_not_disprove_the_older_snapshot() -> None:
    history = folded(judged(1, "FAIL", own="PASS"))
    assert history.proven == {IDS[1]: "PASS"} and history.last_test and history.last_test["verdict"] == "FAIL"


def test_a_failed_backup_counts_from_its_moment() -> None:
    failed = record("backup.end", ago(hours=1), "b1", result="FAILED", reason="disk full")
    history = folded(record("backup.start", ago(hours=1), "b1"), failed)
    assert "disk full" in str(history.failed_since(ago(hours=2)))
    assert history.failed_since(ago(minutes=30)) is None
    assert history.last_good_backup is None


def test_a_start_without_an_end_is_a_crash_unless_it_is_running() -> None:
    history = folded(record("backup.start", ago(minutes=5), "b1"))
    assert "crashed" in str(history.failed_since(ago(hours=1)))
    assert history.failed_since(NOW) is None
    history.at_work = ["b1"]
    assert history.failed_since(ago(hours=1)) is None


def test_a_crashed_test_is_no_failed_backup() -> None:
    history = folded(record("restore_test.start", ago(minutes=5), "t1"))
    assert history.failed_since(ago(hours=1)) is None and set(history.open_runs) == {"t1"}


runs = st.lists(st.tuples(st.sampled_from(["backup", "restore_test"]), st.booleans()), max_size=8)


@given(runs)
def test_open_runs_are_the_starts_without_an_end(made: list[tuple[str, bool]]) -> None:
    records = []
    for number, (verb, ends) in enumerate(made):
        records.append(record(f"{verb}.start", NOW, f"r{number}"))
        if ends:
            records.append(record(f"{verb}.end", NOW, f"r{number}", result="STORED", verdict="PASS", snapshot=None))
    assert set(folded(*records).open_runs) == {f"r{n}" for n, (_, ends) in enumerate(made) if not ends}


# --- status ------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.recordings(tmp_path / "spool", extra="")
    return made


class World:
    """A site whose past is written by hand."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.services: Services = site.services(Clock())

    def snapshot(self, number: int, when: datetime, note: str | None = None) -> None:
        manifest = Manifest(
            "p",
            "recordings",
            f"b{number}",
            "files",
            "scan",
            "h",
            when,
            0.0,
            {},
            {"source": str(self.site.root / "spool")},
            {"files.jsonl": FileDigest(1, "a" * 64)},
        )
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", when, note), text)

    def wrote(self, kind: str, **body: Any) -> None:
        append_older(self.services.ledger, kind, plan="p", asset="recordings", run=body.pop("run", "r"), body=body)

    def tested(self, verdict: str, number: int = 1, basis: str = "throwaway", achieved: float | None = 5.0,
               selected: str | None = None, **more: Any) -> None:  # fmt: skip
        self.wrote(
            "restore_test.end", verdict=verdict, reason=None, findings=[],
            snapshot={"id": IDS[number], "verdict": verdict, "selected": selected},
            rto={"achieved_s": achieved, "basis": basis}, **more,
        )  # fmt: skip

    @property
    def now(self) -> AssetStatus:
        (found,) = status([self.site.loaded()], self.services)
        return found


@pytest.fixture
def world(site: Site) -> World:
    return World(site)


def test_never_done_is_infinite_and_says_so(world: World) -> None:
    found = world.now
    assert found.as_json()["rpo"] == {"objective_s": 3600, "achieved_s": None, "verdict": "BREACHED"}
    assert found.rto.verdict == "NOT_MEASURED" and found.coverage == "untested"
    assert found.problems == ("never backed up successfully yet", "never tested")
    assert exit_code([found]) == 1 and exit_code([]) == 0


def test_backed_up_and_tested_is_fine(world: World) -> None:
    world.snapshot(1, ago(minutes=20))
    world.wrote("backup.end", result="STORED", reason=None)
    world.tested("PASS")
    found = world.now
    assert found.rpo.achieved_s == 1200 and found.rpo.verdict == "MET" and found.rto.achieved_s == 5.0
    assert found.coverage == "tested" and found.problems == () and exit_code([found]) == 0


def in_doubt(world: World, found_by: str, *, passed: bool) -> AssetStatus:
    """One that has passed, damage that somebody found (or nobody), one stored after that, which then passes or not."""
    for number, when in ((1, ago(hours=3)), (2, ago(minutes=5))):
        world.snapshot(number, when)
        world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[number]})
        if number == 1:
            world.tested("PASS", selected="latest")
            if found_by == "check":
                body = {"result": "DAMAGED", "reason": "a pack", "part": 1, "parts": 1, "findings": []}
                append_older(world.services.ledger, "check.end", plan="p", asset=None, run="c", body=body)
            elif found_by == "test":
                world.tested("FAIL", number=3, selected=IDS[3], damaged=True)
    world.tested("PASS", number=1, selected="oldest")
    if passed:
        world.tested("PASS", number=2, selected="latest")
    return world.now


@pytest.mark.parametrize("found_by", ["check", "test"])
def test_what_was_stored_since_damage_was_found_counts_once_it_has_passed(world: World, found_by: str) -> None:
    found = in_doubt(world, found_by, passed=False)
    assert found.rpo.achieved_s == 3 * 3600 and found.rpo.verdict == "BREACHED", found.rpo
    assert found.good is not None and found.good.id == IDS[1]
    assert any("1 newer snapshot does not count until one has passed" in p for p in found.problems), found.problems
    (breach,) = [c for c in found.breaches if c.trouble is Trouble.BREACH_RPO]
    assert breach.step is not None and "ccdr test p --asset recordings --snapshot latest" in breach.step, breach


@pytest.mark.parametrize(("found_by", "passed"), [("check", True), ("test", True), ("nobody", False)])
def test_what_was_stored_counts_where_no_damage_is_open(world: World, found_by: str, passed: bool) -> None:
    found = in_doubt(world, found_by, passed=passed)
    assert found.rpo.achieved_s == 300 and found.good is not None and found.good.id == IDS[2], found.rpo
    assert not any("newer snapshot" in p for p in found.problems), found.problems


def test_where_nothing_has_passed_damage_leaves_nothing_that_counts(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    assert world.now.rpo.achieved_s == 300
    body = {"result": "DAMAGED", "reason": "a pack", "part": 1, "parts": 1, "findings": []}
    append_older(world.services.ledger, "check.end", plan="p", asset=None, run="c", body=body)
    assert world.now.as_json()["rpo"]["achieved_s"] is None and world.now.good is None  # type: ignore[index]


def test_what_to_do_about_damage_names_the_newest_snapshot_and_the_asset_where_it_is_about_one() -> None:
    of_one, of_all = (next_step(Trouble.REPOSITORY_DAMAGED, "p", asset) or "" for asset in ("a", None))
    assert of_one.startswith("ccdr test p --asset a --snapshot latest  "), of_one
    assert of_all.startswith("ccdr test p --snapshot latest  "), of_all


def test_a_disproved_snapshot_does_not_count(world: World) -> None:
    world.snapshot(1, ago(minutes=50))
    world.snapshot(2, ago(minutes=5))
    world.tested("FAIL", number=2)
    found = world.now
    assert found.rpo.achieved_s == 3000
    said = f"1 newer snapshot does not count: {IDS[2][:8]}, which failed its last restore test"
    assert said in found.problems and any("FAIL" in p for p in found.problems)


def test_a_snapshot_with_a_warning_or_from_the_future_does_not_count(world: World) -> None:
    world.snapshot(1, ago(minutes=5), note="restic exit 3")
    world.snapshot(2, ago(hours=-2))
    found = world.now
    assert found.as_json()["rpo"]["achieved_s"] is None  # type: ignore[index]
    (said,) = (p for p in found.problems if p.startswith("2 newer snapshots do not count: "))
    future, warned = said.partition(": ")[2].split("; ")
    assert "which bears a future date, " in future and warned.endswith("with a warning: restic exit 3")


def test_an_inconclusive_test_is_told_and_keeps_what_was_proven(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.tested("PASS")
    world.tested("INCONCLUSIVE", achieved=None)
    found = world.now
    assert found.coverage == "tested" and found.rto.achieved_s == 5.0
    assert any("INCONCLUSIVE" in p for p in found.problems)


def test_throwaway_and_durable_are_never_mixed(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.tested("PASS", basis="durable")
    assert world.now.rto.verdict == "NOT_MEASURED"


def test_what_was_never_measured_as_the_plan_wants_it_is_a_finding_though_nothing_is_wrong(world: World) -> None:
    """It was measured with the other settings: nobody knows how long a recovery takes."""
    world.snapshot(1, ago(minutes=5))
    world.wrote("backup.end", result="STORED", reason=None)
    world.tested("PASS", basis="durable")
    found = world.now
    assert found.problems == () and found.finding and exit_code([found]) == 1 and not found.proven
    world.tested("PASS")
    assert not world.now.finding and world.now.proven


def test_what_passed_is_proven_only_while_nothing_is_wrong_and_no_objective_is_breached(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.tested("PASS")
    assert world.now.proven
    world.wrote("backup.end", result="FAILED", reason="disk full")
    found = world.now
    assert found.coverage == "tested" and found.rpo.verdict == "MET" and not found.proven, "a backup has failed"
    world.snapshot(2, ago(minutes=4))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[2]})
    assert world.now.proven
    assert not replace(world.now, rpo=judge(3600, 7200.0)).proven


def test_a_failed_backup_since_the_last_good_one_is_a_problem(world: World) -> None:
    world.snapshot(1, ago(minutes=30))
    world.tested("PASS")
    world.wrote("backup.end", result="FAILED", reason="disk full")
    assert any("disk full" in p for p in world.now.problems)


def told(world: World) -> list[str]:
    """What `ccdr status` prints."""
    return world.site.start("status").communicate()[0].splitlines()


def test_the_last_good_backup_is_told_beside_a_newer_attempt_that_failed(world: World) -> None:
    assert world.now.as_json()["last_good_backup"] is None
    world.snapshot(1, ago(minutes=30))
    stored_as(world, 1)
    good = world.now.as_json()
    at = rfc3339(ago(minutes=30))
    assert good["last_good_backup"] == {"time": at, "snapshot": {"id": IDS[1], "consistent_point": at}}
    assert good["last_backup"]["result"] == "STORED"  # type: ignore[index]
    (row,) = (line for line in told(world) if line.startswith("p/recordings "))
    assert row.endswith(f"  {at[:19]}") and "FAILED" not in row
    world.wrote("backup.end", result="FAILED", reason="disk full")
    failed = world.now.as_json()
    assert failed["last_good_backup"] == good["last_good_backup"]
    assert failed["last_backup"]["result"] == "FAILED"  # type: ignore[index]
    tried = str(failed["last_backup"]["time"])  # type: ignore[index]
    head, row = told(world)[:2]
    assert head.endswith("last good backup") and row.endswith(f"  {at[:19]}, FAILED at {tried[:19]}"), row


def test_a_failed_backup_leads_on_to_what_it_said_was_to_be_done(world: World) -> None:
    world.snapshot(1, ago(minutes=30))
    stored_as(world, 1)
    world.tested("PASS")
    again = "`ccdr backup p --asset recordings`"
    for more, step in (
        ({"reason": "disk full", "hint": "make room there"}, f"  → make room there; then {again}"),
        ({"reason": "disk full"}, f"  → `ccdr doctor p` looks for why; then {again}"),
        ({"reason": "interrupted", "hint": None}, f"  → {again} takes a new one"),
    ):
        world.wrote("backup.end", result="FAILED", **more)
        said = told(world)
        (line,) = (n for n, text in enumerate(said) if "the backup of" in text)
        assert next(text for text in said[line:] if text.startswith("  → ")) == step, said
    assert said[line].endswith("was interrupted, and stored nothing [BACKUP_FAILED]"), said


def test_a_repository_beside_its_source_is_told_as_what_it_is_and_nothing_wrong(world: World) -> None:
    world.snapshot(1, ago(minutes=30))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, beside_source="machine")
    world.tested("PASS")
    said = told(world)
    where = "on the machine of what it protects: what destroys one destroys both"
    assert f"p/recordings: its repository lies {where} (no finding: the plan wants it so)" in said
    assert "  → have the plan name a repository on another machine (`repository: url`): docs/reference/plan.md" in said
    found, (asset,) = world.now, world.site.run("status").json["plans"][0]["assets"]
    assert found.troubles == () and found.proven and exit_code([found]) == 0 and [*concerns_of([found], {})] == []
    assert [(one["code"], one["level"]) for one in asset["near"]] == [("REPOSITORY_NEAR", "NEAR")]
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, beside_source=None)
    assert not [line for line in told(world) if "its repository lies" in line], "its twin lies elsewhere"


def stored_as(world: World, number: int) -> None:
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[number]})


@pytest.mark.parametrize("by", ["disproved", "another source"])
def test_a_failure_that_a_later_backup_has_mended_is_not_told_again(world: World, by: str) -> None:
    """Though the snapshot of that later backup does not count any more."""
    world.snapshot(1, ago(minutes=50))
    stored_as(world, 1)
    world.wrote("backup.end", result="FAILED", reason="disk full")
    world.snapshot(2, ago(minutes=5))
    stored_as(world, 2)
    if by == "disproved":
        world.tested("FAIL", number=2)
    else:
        (world.site.root / "elsewhere").mkdir()
        world.site.recordings(world.site.root / "elsewhere", extra="")
    found = world.now.problems
    assert found and not any("disk full" in p for p in found), found
    world.wrote("backup.end", result="FAILED", reason="disk full")
    assert any("disk full" in p for p in world.now.problems), "one that nothing has mended is told"


def test_a_test_that_is_long_overdue_is_stale(site: Site) -> None:
    """Weekly on Sunday: after two Sundays without one."""
    world = World(site)
    world.snapshot(1, ago(minutes=5))
    world.tested("PASS")

    class Later(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(days=15)

    (found,) = status([site.loaded()], site.services(Later()))
    assert found.coverage == "stale" and any("overdue" in p for p in found.problems)


def test_a_failure_stands_until_a_test_takes_it_back(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.tested("FAIL")
    world.tested("INCONCLUSIVE", achieved=None)
    assert [p.trouble for p in world.now.wrong if "test_" in p.trouble] == ["test_inconclusive", "test_failed"]
    world.tested("PASS")
    assert not any("test_" in p.trouble for p in world.now.wrong)


def test_what_to_do_about_a_failed_test_says_whether_there_is_another_snapshot(world: World) -> None:
    world.snapshot(2, ago(minutes=5))
    world.wrote("backup.end", result="STORED", reason=None)
    world.tested("FAIL", number=2)

    def said() -> str:
        (step,) = (p.step for p in world.now.wrong if p.trouble is Trouble.TEST_FAILED)
        return str(step)

    assert said() == "ccdr backup p --asset recordings   takes a new one: there is no other snapshot that may be good"
    world.tested("INCONCLUSIVE", number=2, achieved=None)
    assert said().startswith("ccdr backup p"), "the failure before it stands"
    world.snapshot(1, ago(minutes=50))
    assert "ccdr test p --asset recordings --snapshot ID   finds a good one" in said()
    world.tested("FAIL", number=1)
    world.tested("FAIL", number=2)
    assert said().startswith("ccdr backup p"), "nor is the older one good"


def test_a_backup_that_came_due_twice_is_overdue(world: World) -> None:
    """Hourly at a quarter past; it is noon."""
    world.tested("PASS")
    body = {"verbs": ["backup", "test"], "gained": [], "lost": [], "reason": "-"}
    append_older(world.services.ledger, "duties", plan="p", asset=None, run=None, body=body)
    world.snapshot(1, ago(hours=2, minutes=44))
    (late,) = (p for p in world.now.wrong if p.trouble is Trouble.BACKUP_LATE)
    assert "2026-11-24T09:16:00Z" in late.text
    with world.services.state.lock("p", "recordings", "backup"):
        assert not any(p.trouble is Trouble.BACKUP_LATE for p in world.now.wrong)
    world.snapshot(2, ago(minutes=50))
    assert not any(p.trouble is Trouble.BACKUP_LATE for p in world.now.wrong)


def test_a_backup_that_was_tried_is_not_overdue(world: World) -> None:
    world.snapshot(1, ago(hours=5))
    world.wrote("backup.end", result="FAILED", reason="disk full")
    assert {p.trouble for p in world.now.wrong} == {Trouble.BACKUP_FAILED, Trouble.NEVER_TESTED}


def test_a_backup_that_another_host_has_taken_since_is_not_overdue(world: World) -> None:
    """This one has tried it last half a day ago."""
    append_older(
        world.services.ledger,
        "backup.end",
        plan="p",
        asset="recordings",
        run="r",
        body={"result": "STORED", "snapshot": {"id": IDS[1]}},
    )

    class Midnight(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(hours=12)

    later = World(world.site)
    later.services = world.site.services(Midnight())
    later.snapshot(1, ago(minutes=5))
    assert any(p.trouble is Trouble.BACKUP_LATE for p in later.now.wrong)
    later.snapshot(2, NOW + timedelta(hours=11, minutes=50))
    assert not any(p.trouble is Trouble.BACKUP_LATE for p in later.now.wrong)


def test_the_same_finding_stays_the_same_while_its_numbers_change(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    abouts = []
    for count in ("12", "3.5"):
        world.wrote(
            "backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, findings=[f"{count} files in use"]
        )
        abouts += [p.about for p in world.now.wrong if p.trouble is Trouble.FINDING]
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]}, findings=["12 files changed"])
    abouts += [p.about for p in world.now.wrong if p.trouble is Trouble.FINDING]
    assert len(abouts) == 3 and abouts[0] == abouts[1] != abouts[2]


def test_what_is_wrong_with_the_care_of_a_repository(world: World) -> None:
    def cared(kind: str, **body: Any) -> list[Trouble]:
        append_older(world.services.ledger, kind, plan="p", asset=None, run="u", body=body)
        return [p.trouble for p in upkeep_problems([world.site.loaded()], world.services)["p"]]

    assert upkeep_problems([world.site.loaded()], world.services) == {"p": ()}
    part = {"parts": 3, "reason": None, "findings": []}
    assert cared("prune.end", result="FAILED", reason="locked") == [Trouble.PRUNE_FAILED]
    assert cared("prune.end", result="DONE", reason=None, findings=["x is held"]) == [Trouble.FINDING]
    assert cared("prune.end", result="DONE", reason=None) == []
    assert cared("check.end", result="INCONCLUSIVE", part=1, **part) == [Trouble.CHECK_INCONCLUSIVE]
    assert cared("check.end", result="DAMAGED", part=2, **part) == [Trouble.REPOSITORY_DAMAGED]
    assert cared("check.end", result="CLEAN", part=3, **part) == [Trouble.REPOSITORY_DAMAGED]  # another part
    assert cared("check.end", result="CLEAN", part=2, **part) == []
    assert cared("check.end", result="DAMAGED", part=2, **part) == [Trouble.REPOSITORY_DAMAGED]
    assert cared("check.end", result="CLEAN", part=1, **part | {"parts": 2}) == [Trouble.REPOSITORY_DAMAGED]
    assert cared("check.end", result="CLEAN", part=2, **part | {"parts": 2}) == []


def failed_for_a_newer_one(world: World, **more: Any) -> None:
    world.snapshot(1, ago(minutes=30))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.wrote("backup.end", result="FAILED", reason="disk full", snapshot=None)
    world.wrote(
        "restore_test.end", verdict="FAIL", reason="this snapshot is good, but the backup failed: disk full", findings=[],
        snapshot={"id": IDS[1], "verdict": "PASS"}, rto={"achieved_s": 5.0, "basis": "throwaway"}, **more,
    )  # fmt: skip


def test_a_test_that_failed_for_a_newer_backup_alone_reads_so(world: World) -> None:
    failed_for_a_newer_one(world)
    assert Trouble.NEWER_FAILED in {p.trouble for p in world.now.wrong}
    assert any("FAIL for a newer backup alone: this snapshot is good" in p for p in world.now.problems)
    world.tested("FAIL", number=1)
    assert [p.trouble for p in world.now.wrong if p.verb == "test"] == [Trouble.TEST_FAILED]
    assert not any("alone" in p for p in world.now.problems)


def test_a_test_that_failed_for_what_does_not_fit_is_not_told_as_a_newer_backups_failure(world: World) -> None:
    world.snapshot(1, ago(minutes=30))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.wrote(
        "restore_test.end", verdict="FAIL", reason="failed: every call has its recording", findings=[], newer_failed=False,
        snapshot={"id": IDS[1], "verdict": "PASS"}, rto={"achieved_s": 5.0, "basis": "throwaway"},
        checks=[{"kind": "reconcile", "status": "FAIL"}],
    )  # fmt: skip
    assert [p.trouble for p in world.now.wrong] == [Trouble.TEST_FAILED]
    assert not any("newer backup" in p for p in world.now.problems)


def stored(world: World, number: int, **ago_: float) -> None:
    world.snapshot(number, ago(**ago_))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[number]})


def test_a_test_that_failed_for_a_newer_backup_alone_is_over_once_one_was_stored(world: World) -> None:
    failed_for_a_newer_one(world, newer_failed=True)
    assert Trouble.NEWER_FAILED in {p.trouble for p in world.now.wrong}
    stored(world, 2, minutes=5)
    assert world.now.wrong == ()
    assert (world.now.last_test or {})["verdict"] == "FAIL", "what was is not changed"
    world.tested("INCONCLUSIVE", number=2)
    assert [p.trouble for p in world.now.wrong] == [Trouble.TEST_INCONCLUSIVE]
    world.wrote("backup.end", result="FAILED", reason="disk full", snapshot=None)
    assert Trouble.BACKUP_FAILED in {p.trouble for p in world.now.wrong}


def test_a_test_that_failed_for_something_else_is_not_over_with_the_next_backup(world: World) -> None:
    """What was restored is good, and yet a warning, a clock or another asset made it FAIL."""
    failed_for_a_newer_one(world, newer_failed=False)
    stored(world, 2, minutes=5)
    assert [p.trouble for p in world.now.wrong] == [Trouble.NEWER_FAILED]


def test_what_was_stored_and_does_not_count_makes_nothing_good(world: World) -> None:
    failed_for_a_newer_one(world, newer_failed=True)
    stored(world, 2, minutes=5)
    world.wrote("restore_test.end", verdict="FAIL", reason="bad", findings=[], rto=None, newer_failed=False,
                snapshot={"id": IDS[2], "verdict": "FAIL"})  # fmt: skip
    assert Trouble.TEST_FAILED in {p.trouble for p in world.now.wrong}


def test_a_restore_that_was_killed_is_told_until_a_later_one_has_ended(world: World) -> None:
    def told() -> list[str]:
        return [p.text for p in world.now.wrong if p.trouble is Trouble.RESTORE_CRASHED]

    target = {"kind": "directory", "name": "/srv/back"}
    world.wrote("restore.start", run="r1", target=target)
    world.wrote("restore.end", run="r1", result="RESTORED", target=target)
    assert told() == []
    with world.services.state.run(world.services.clock) as run:
        world.wrote("restore.start", run=run.id, target=target)
        assert told() == [], "it is at work"
    (said,) = told()
    assert f"into /srv/back crashed: its run {run.id} has no end" in said
    assert exit_code([world.now]) == 1
    world.wrote("restore.start", run="r3", target=target)
    world.wrote("restore.end", run="r3", result="FAILED", target=target)
    assert told() == []


STARTED = ("backup.start", "restore_test.start", "restore.start")


@pytest.mark.parametrize("kind", STARTED)
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "crashes"])
def test_a_run_that_ends_between_two_looks_has_not_crashed(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, ends: bool
) -> None:
    """Its start is read, and by the time that anybody asks whether it goes on it has ended."""
    stored(world, 1, minutes=20)
    world.tested("PASS")
    good = {"result": "STORED", "reason": None, "snapshot": {"id": IDS[1]}, "verdict": "INCONCLUSIVE", "findings": []}
    world.wrote(kind, run="quick")
    at_work, looks = State.at_work, list[str]()

    def look(state: State, run: str) -> bool:
        looks.append(run)
        if ends and len(looks) == 1:
            world.wrote(kind.replace("start", "end"), run="quick", **good)
        return at_work(state, run)

    monkeypatch.setattr(State, "at_work", look)
    assert any("crashed" in said for said in world.now.problems) is not ends and looks == ["quick"]


@pytest.mark.parametrize("kind", STARTED)
def test_a_run_has_crashed_though_another_is_at_work(world: World, kind: str) -> None:
    stored(world, 1, minutes=20)
    world.tested("PASS")
    world.wrote(kind, run="dead")
    with world.services.state.run(world.services.clock) as run:
        world.wrote(kind, run=run.id)
        told = [said for said in world.now.problems if "crashed" in said]
    assert len(told) == 1 and "run dead has no end" in told[0]


def test_whoever_looks_at_once_takes_no_dead_run_for_one_at_work(world: World) -> None:
    state = world.services.state
    path = state.directory("scratch") / "run-dead.alive"
    path.touch()
    with path.open() as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert not state.at_work("dead")
        fcntl.flock(another, fcntl.LOCK_EX)
        assert state.at_work("dead") and state.runs_at_work() == {"dead"}
    assert not state.at_work("never") and not (path.parent / "run-never.alive").exists()


def test_a_restore_that_was_killed_is_not_told_for_ever() -> None:
    history = folded(record("restore.start", ago(days=6), "r1"))
    assert history.crashed_restore(NOW)
    assert history.crashed_restore(NOW + timedelta(days=2)) is None


LOGGED = """\
crm:
  engine: postgres
  method: physical
  connection: {host: /nowhere, user: postgres, database: postgres}
  log_shipping: {interval: 60s}
"""


def based(site: Site, services: Services, number: int, when: datetime) -> None:
    """A base of the asset of `LOGGED`, which segment 2 leads on from."""
    contents = {"timeline": 1, "stop_lsn": "0/2000060", "source": site.loaded().plan.assets["crm"].source_name}
    manifest = Manifest("p", "crm", f"b{number}", "postgres", "physical", "h", when, 0.0, {}, contents)
    text = manifest_text(manifest)
    services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", when), text)


def test_a_log_that_failed_stays_red_though_its_base_has_passed_since(site: Site) -> None:
    """Without its point, too: what is exposed is counted from the base. A base that is newer leads on anew."""
    site.plan(LOGGED)
    services = site.services(Clock())
    loaded = site.loaded()

    def tested(verdict: str, own: str | None, recovery: dict[str, Any] | None) -> AssetStatus:
        body = {"verdict": verdict, "reason": "log is missing", "findings": [], "recovery": recovery, "rto": None}
        body["snapshot"] = {"id": IDS[1], "verdict": own, "selected": "at" if recovery else "latest"}
        append_older(services.ledger, "restore_test.end", plan="p", asset="crm", run="t", body=body)
        (found,) = status([loaded], services)
        return found

    def by_log(verdict: str) -> dict[str, Any]:
        return {"target": "latest", "verdict": verdict, "until": rfc3339(ago(minutes=2))}

    based(site, services, 1, ago(hours=3))
    shipped = LogStanding(since="000000010000000000000001", point=ago(minutes=2), usable=ago(minutes=1), position="0/3")
    ships(services, "p", "crm", shipped)
    found = tested("PASS", "PASS", None)
    assert found.rpo.achieved_s == 120 and not found.wrong
    assert tested("PASS", "PASS", by_log("PASS")).rpo.achieved_s == 120
    found = tested("FAIL", None, by_log("FAIL"))
    assert found.rpo.achieved_s == 3 * 3600 and Trouble.LOG_FAILED in {p.trouble for p in found.wrong}
    found = tested("PASS", "PASS", None)
    (problem,) = found.wrong
    assert problem.trouble is Trouble.LOG_FAILED and "log is missing" in problem.text and not found.proven
    assert found.rpo.achieved_s == 3 * 3600 and exit_code([found]) == 1
    based(site, services, 2, ago(minutes=1, seconds=30))
    (newer,) = status([loaded], services)
    assert newer.rpo.achieved_s == 90 and newer.wrong == (problem,), "the log goes on from there"
    found = tested("PASS", "PASS", by_log("PASS"))
    assert not found.wrong


def test_the_log_of_a_source_that_went_back_asks_for_a_base_and_then_for_what_ships_it(site: Site) -> None:
    """Until log is stored behind a base from since then; what was stored before leads nowhere."""
    site.plan(LOGGED)
    services, loaded = site.services(Clock()), site.loaded()
    back = LogStanding(anew=ago(hours=1), gap="the source went back: a new base backup is needed")

    def told(
        standing: LogStanding, number: int | None = None, **taken: float
    ) -> tuple[list[Trouble], str, float | None]:
        if number is not None:
            based(site, services, number, ago(**taken))
        ships(services, "p", "crm", standing)
        (found,) = status([loaded], services)
        wrong = [p for p in found.wrong if p.trouble in (Trouble.LOG_GAP, Trouble.LOG_LATE)]
        return [p.trouble for p in wrong], " ".join(p.text for p in wrong), found.rpo.achieved_s

    kinds, said, exposed = told(back, 1, hours=3)
    assert kinds == [Trouble.LOG_GAP] and "went back" in said and exposed == 3 * 3600
    stored = replace(back, since="000000010000000000000001", point=ago(minutes=1), usable=NOW, position="0/3")
    assert told(stored) == (kinds, said, exposed), "of a history that no base leads on to"
    assert told(stored, 2, minutes=61)[0] == kinds, "nor does one from before it was found out"
    kinds, said, exposed = told(back, 3, minutes=30)
    assert kinds == [Trouble.LOG_LATE] and "no log is stored behind its new base: nothing ships it" in said
    assert exposed == 30 * 60 and "a new base backup is needed" not in said
    assert told(stored) == ([], "", 60.0)
    kinds, said, _ = told(replace(back, trouble="the source is away", troubled=NOW))
    assert kinds == [Trouble.LOG_LATE] and "the source is away" in said
    assert told(back, 4, minutes=1) == ([], "", 60.0), "it takes a moment"


def test_status_says_what_to_do_once_for_each_step(world: World) -> None:
    failed_for_a_newer_one(world)
    said = world.site.start("status").communicate()[0].splitlines()
    (line,) = (n for n, text in enumerate(said) if "FAIL for a newer backup alone" in text)
    assert any("its snapshot is good" in text for text in said), "in the table, too"
    (cause,), (breach,) = (
        [n for n, text in enumerate(said) if gist in text] for gist in ("p/recordings: the backup of", "RPO breached")
    )
    step = "  → `ccdr doctor p` looks for why; then `ccdr backup p --asset recordings`"
    assert cause < line < breach and step in said[breach:], (
        "the cause first, and its step for what follows from it, too"
    )
    steps = [text for text in said if text.startswith("  → ")]
    assert len(steps) == len(set(steps)) >= 2


def test_a_secret_that_others_may_read_is_a_problem_of_its_plan(world: World) -> None:
    def found() -> list[str]:
        return [p.text for p in upkeep_problems([world.site.loaded()], world.services)["p"]]

    assert found() == []
    key = world.site.root / "plans" / "key"
    key.chmod(0o640)
    assert found() == [f"{key} holds a secret, and others may read it (mode 0640): chmod 600 {key}"]
    key.unlink()
    assert found() == [], "what is not there is told where it is needed"


# --- upkeep that nobody does ---------------------------------------------------------------------------------

RETENTION = "retention: {keep_within: 35d}\nassets:"  # pruned on Sundays at 05:00, checked daily at 06:00


def late(site: Site, days: float, services: Services | None = None) -> list[Trouble]:
    """What is wrong with the care of the repository, so many days after NOW, a Tuesday noon."""

    class Later(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(days=days)

    return [p.trouble for p in upkeep_problems([site.loaded()], site.services(Later()))["p"]]


def asked(world: World, *verbs: str) -> None:
    append_older(world.services.ledger, "duties", plan="p", asset=None, run=None, body={"verbs": list(verbs)})


def with_retention(site: Site) -> None:
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("assets:", RETENTION, 1))


def test_upkeep_never_done_is_overdue_once_it_came_due_twice(world: World) -> None:
    with_retention(world.site)
    asked(world, "backup", "test", "prune", "check")
    assert late(world.site, 0.9) == [], "the first check has come due, not more"
    assert late(world.site, 2) == [Trouble.CHECK_LATE]
    assert late(world.site, 11.6) == [Trouble.CHECK_LATE] and late(world.site, 12) == [
        Trouble.PRUNE_LATE,
        Trouble.CHECK_LATE,
    ]
    (prune, check) = upkeep_problems([world.site.loaded()], world.site.services(at(12)))["p"]
    assert "never done, though due since 2026-12-06T05:00:00Z" in prune.text and "never done" in check.text


def at(days: float) -> Clock:
    class Later(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(days=days)

    return Later()


def test_upkeep_done_long_ago_is_overdue_and_its_twin_is_not(world: World) -> None:
    with_retention(world.site)
    asked(world, "prune", "check")
    for kind, body in (("prune.end", {"result": "DONE"}), ("check.end", {"result": "CLEAN", "part": 1, "parts": 2})):
        append_older(
            world.site.services(at(40)).ledger, kind, plan="p", asset=None, run="u", body={**body, "reason": None}
        )
    assert late(world.site, 40.1) == [] and late(world.site, 41) == []
    assert late(world.site, 42) == [Trouble.CHECK_LATE]
    assert late(world.site, 60) == [Trouble.PRUNE_LATE, Trouble.CHECK_LATE]
    with world.services.state.lock("p", "", "upkeep"):
        assert late(world.site, 60) == [], "it is at it"


def test_upkeep_tried_in_vain_is_told_as_that_until_it_is_not_even_tried(world: World) -> None:
    with_retention(world.site)
    asked(world, "prune")
    append_older(
        world.site.services(at(20)).ledger,
        "prune.end",
        plan="p",
        asset=None,
        run="u",
        body={"result": "FAILED", "reason": "locked"},
    )
    assert late(world.site, 20.5) == [Trouble.PRUNE_FAILED]
    assert late(world.site, 40) == [Trouble.PRUNE_FAILED, Trouble.PRUNE_LATE]


def test_upkeep_is_overdue_only_where_it_is_to_be_done(world: World) -> None:
    assert late(world.site, 40) == [], "nothing was ever done here"
    world.tested("PASS")
    assert late(world.site, 40) == [Trouble.CHECK_LATE], "by hand, and never a check; no retention, nothing to remove"
    with_retention(world.site)
    asked(world, "backup", "test")
    assert late(world.site, 40) == [], "another host's"
    append_older(
        world.site.services(at(39)).ledger,
        "duties",
        plan="p",
        asset=None,
        run=None,
        body={"verbs": ["backup", "prune"]},
    )
    assert late(world.site, 40) == [] and late(world.site, 60) == [Trouble.PRUNE_LATE], "counts from when it began"


# --- where another host backs up -----------------------------------------------------------------------------------


def elsewhere(world: World, asked: bool) -> None:
    """This host only tests: by what its runs were asked for, or since nobody has ever backed up here."""
    if asked:
        body = {"verbs": ["test"], "gained": [], "lost": [], "reason": "-"}
        append_older(world.services.ledger, "duties", plan="p", asset=None, run=None, body=body)


def looked(world: World, achieved: float | None, verdict: str = "MET", when: datetime = NOW) -> None:
    body = {
        "verdict": "PASS", "reason": None, "findings": [], "snapshot": {"id": IDS[1], "verdict": "PASS"},
        "rto": {"achieved_s": 5.0, "basis": "throwaway"},
        "rpo": {"objective_s": 3600, "achieved_s": achieved, "verdict": verdict},
    }  # fmt: skip
    ledger = Ledger(world.services.state.ledger, Clock(when))
    append_older(ledger, "restore_test.end", plan="p", asset="recordings", run="t", body=body)


@pytest.mark.parametrize("asked", [True, False])
def test_what_another_host_may_have_backed_up_since_is_not_known_here(world: World, asked: bool) -> None:
    """Its last test was two hours ago, and found the newest half an hour old."""
    world.snapshot(1, ago(hours=2.5))
    elsewhere(world, asked)
    looked(world, 1800.0, when=ago(hours=2))
    found = world.now
    assert found.as_json()["rpo"] == {"objective_s": 3600, "achieved_s": 9000.0, "verdict": "NOT_KNOWN_HERE"}
    assert found.problems == () and exit_code([found]) == 0 and not list(found.breaches)


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_known_to_be_there_meets_the_objective_whoever_stored_it(world: World, asked: bool) -> None:
    """Seconds after its test of the log's end: the base alone is older than the objective."""
    world.snapshot(1, ago(hours=20))
    elsewhere(world, asked)
    looked(world, 3.0)
    found = world.now
    assert found.as_json()["rpo"] == {"objective_s": 3600, "achieved_s": 3.0, "verdict": "MET"}
    assert exit_code([found]) == 0


@pytest.mark.parametrize("asked", [True, False])
def test_a_breach_that_the_last_look_found_stands(world: World, asked: bool) -> None:
    world.snapshot(1, ago(hours=20))
    elsewhere(world, asked)
    looked(world, 72000.0, "BREACHED")
    found = world.now
    assert found.rpo.verdict == "BREACHED" and exit_code([found]) == 1
    (said,) = found.breaches
    assert str(said.step).startswith("on the host that backs it up: ccdr backup p"), said
    world.snapshot(2, ago(minutes=5))
    append_older(
        world.services.ledger, "prune.end", plan="p", asset=None, run="u", body={"result": "DONE", "removed": []}
    )
    assert world.now.rpo.verdict == "MET", "a prune has looked since"


def test_who_backs_up_here_knows_that_it_did_not(world: World) -> None:
    """The same with a backup of its own, or asked for one."""
    world.snapshot(1, ago(hours=20))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    looked(world, 3.0)
    found = world.now
    assert found.rpo.verdict == "BREACHED"
    assert not any(str(c.step).startswith("on the host") for c in found.breaches)
    assert not any(str(p.step).startswith("on the host") for p in found.wrong)


def test_a_host_that_never_looked_does_not_know_that_there_is_no_backup(world: World) -> None:
    elsewhere(world, asked=True)
    found = world.now
    assert found.rpo.verdict == "NOT_KNOWN_HERE" and [p.trouble for p in found.wrong] == [Trouble.NEVER_TESTED]
