"""While a finding is open on an asset, retention lets nothing of it go, and says which: one finding at a time, each with
its twin that is made good."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Quiet, ShiftedClock, Site
from tests.support.sparse import append_sparse
from tests.support.stored import again, other_host, pristine, restic_of, retained, settled_file

from ccdr.engines.base import LogShipping
from ccdr.jobs.backup import backup
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.log_archive import StoredBatch
from ccdr.jobs.upkeep import prune
from ccdr.model.finding import Finding, recorded
from ccdr.model.values import Snapshot, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job

KEEP_ONE = "retention: {keep_last: 1}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three backups, the last of them tested good: of which retention lets two go."""
    return retained(tmp_path_factory.mktemp("holds"), 3, 20_000, KEEP_ONE, passed={2})


@pytest.fixture(scope="module")
def made_and_kept(made: Site) -> Path:
    return pristine(made)


@pytest.fixture
def site(made: Site, made_and_kept: Path) -> Site:
    return again(made, made_and_kept)


def snapshot(site: Site, number: int, **more: Any) -> dict[str, Any]:
    """As a record tells of one of the three."""
    found = site.services().catalogue.snapshots("p", "recordings")[number]
    return {"id": found.id, "consistent_point": rfc3339(found.consistent_point), **more}


def says(site: Site, kind: str, body: Mapping[str, Any]) -> None:
    """The ledger's next record."""
    whole = {"reason": None, "findings": [], **body}
    append_sparse(site.services().ledger, kind, plan="p", asset="recordings", run="later", body=whole)


def judged(site: Site, number: int, verdict: str, own: str = "PASS", selected: str = "latest", **more: Any) -> None:
    told = snapshot(site, number, verdict=own, selected=selected)
    says(site, "restore_test.end", {"verdict": verdict, "snapshot": told, **more})


def held(
    site: Site, loaded: LoadedPlan | None = None, asset: str = "recordings", ahead: timedelta = timedelta(0)
) -> str:
    """Why the oldest snapshot does not go, as a prune now would say; empty where it goes. The clock is `ahead`."""
    result = prune(loaded or site.loaded(), site.services(ShiftedClock(ahead)), Quiet(), dry_run=True)
    oldest, *_, newest = result.decisions[asset]
    assert newest.keep
    return ", ".join(oldest.why) if oldest.keep else ""


def test_without_a_finding_what_no_rule_keeps_goes(site: Site) -> None:
    assert held(site) == ""


def test_a_finding_of_the_last_backup_holds_everything(site: Site) -> None:
    says(
        site,
        "backup.end",
        {
            "result": "STORED",
            "snapshot": snapshot(site, 2),
            "findings": recorded([Finding("files are starved", "starved")]),
        },
    )
    assert held(site) == "files are starved"
    says(site, "backup.end", {"result": "STORED", "snapshot": snapshot(site, 2)})
    assert held(site) == ""


def test_a_finding_of_the_last_test_holds_everything(site: Site) -> None:
    judged(site, 2, "PASS", findings=recorded([Finding("one snapshot vanished", "vanished")]))
    assert held(site) == "one snapshot vanished"
    judged(site, 2, "INCONCLUSIVE", findings=[])
    assert held(site) == "one snapshot vanished", "what proves nothing takes nothing back"
    judged(site, 2, "PASS")
    assert held(site) == ""


def test_a_failure_that_an_older_snapshots_pass_does_not_take_back_holds_everything(
    site: Site, wording: SnapshotAssertion
) -> None:
    judged(site, 2, "FAIL", reason="a newer backup failed")
    assert "a newer backup failed" in held(site) and held(site) == wording
    judged(site, 0, "PASS", selected="oldest")
    why = held(site)
    assert "its last restore test" not in why and why.partition(" is FAIL")[2] == wording
    judged(site, 2, "PASS")
    assert held(site) == ""


def test_what_a_clock_set_forward_would_let_go_is_held_until_another_backup(site: Site) -> None:
    """By a clock that is years ahead, one backup and its test later, all that was kept before is too old at once."""
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("keep_last: 1", "keep_within: 35d"))
    assert held(site) == "keep_within"
    years = timedelta(days=730)
    for later, why in ((timedelta(0), "is the clock right?"), (timedelta(hours=1), "")):
        done = backup(Job(site.loaded(), "recordings"), site.services(ShiftedClock(years + later)), Quiet())
        assert done.snapshot is not None
        judged(site, -1, "PASS")
        said = held(site, ahead=years + later)
        assert why in said and bool(said) == bool(why)
    assert held(site) == "keep_within", "the clock is right again, and nothing was lost"


def shipping(site: Site) -> LoadedPlan:
    """The plan, as if the asset's log were shipped."""
    loaded = site.loaded()
    engine = loaded.plan.assets["recordings"]

    class Shipped(type(engine)):  # type: ignore[misc]
        @property
        def shipping(self) -> LogShipping:
            return LogShipping()

    shipped = Shipped.model_construct(**{name: getattr(engine, name) for name in type(engine).model_fields})
    plan = loaded.plan.model_copy(update={"assets": {"recordings": shipped}})
    return LoadedPlan(plan, loaded.path, loaded.sha256, loaded.checks, loaded.restore_tests, None)


def retention(site: Site, rules: str) -> None:
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("keep_last: 1", rules))


def test_what_a_test_has_disproved_pushes_no_good_snapshot_out(site: Site) -> None:
    """Two are to be kept: the two that can be restored, whatever bad one was taken between them."""
    retention(site, "keep_last: 2")
    judged(site, 1, "FAIL", own="FAIL", selected="random", reason="a file is missing")
    judged(site, 2, "PASS")
    assert held(site) == "keep_last"
    judged(site, 1, "PASS", selected="random")
    judged(site, 2, "PASS")
    assert held(site) == "", "its twin is good: then the oldest is one too many"


def test_the_last_good_snapshot_stays_whatever_bad_ones_were_taken_since(site: Site) -> None:
    newer = site.services().catalogue.snapshots("p", "recordings")[1:]
    for number, _ in enumerate(newer, 1):
        judged(site, number, "FAIL", own="FAIL", reason="a file is missing")
    result = prune(site.loaded(), site.services(), Quiet(), dry_run=True)
    first, *others = result.decisions["recordings"]
    assert first.keep and first.why == ("keep_last",)
    assert all("failed a restore test" in d.why[0] for d in others)


def test_a_newer_backup_that_failed_on_another_host_holds_everything(site: Site, tmp_path: Path) -> None:
    """This host's ledger knows nothing of it: the repository's mark does."""
    there = other_host(site, tmp_path / "there")
    shutil.move(site.root / "tree", site.root / "unmounted")
    failed = there.run("backup", "p")
    assert failed.code == 1
    why = held(site)
    assert failed.json["run"] in why and "failed" in why
    shutil.move(site.root / "unmounted", site.root / "tree")
    there.backed_up()
    assert "a newer backup" not in held(site), "a good one has made up for it"
    judged(site, -1, "PASS")
    assert held(site) == ""


@pytest.mark.parametrize("newer", [False, True])
def test_the_newest_snapshot_that_vanished_is_told_until_a_newer_one_is_there(site: Site, newer: bool) -> None:
    """Its time may be up: as long as nothing has taken its place, the newest data are gone."""
    retention(site, "keep_within: 10d")
    settled_file(site.root / "tree" / "untested.wav", b"untested")
    site.backed_up()
    lost = site.services().catalogue.snapshots("p", "recordings")[-1]
    restic_of(site.root, "forget", lost.id)
    later = site.services(ShiftedClock(timedelta(days=11)))
    if newer:
        assert backup(Job(site.loaded(), "recordings"), later, Quiet()).result == "STORED"
    for _ in range(2):
        done = prune(site.loaded(), later, Quiet())
        assert (lost.id in {s.id for s, _ in done.removed}) == newer
        assert any(f"{lost.short} of" in said and "vanished" in said for said in map(str, done.findings))
        if newer:
            break
    assert (lost.id in {s.id for s in site.services().catalogue.snapshots("p", "recordings")}) != newer


def test_the_last_proven_snapshot_that_vanished_is_told_until_a_newer_one_is_proven(site: Site) -> None:
    """It was to stay for having been proven, whatever its age."""
    retention(site, "keep_within: 10d")
    lost = site.services().catalogue.snapshots("p", "recordings")[-1]
    settled_file(site.root / "tree" / "untested.wav", b"untested")
    site.backed_up()
    restic_of(site.root, "forget", lost.id)
    later = site.services(ShiftedClock(timedelta(days=11)))
    assert prune(site.loaded(), later, Quiet()).removed == []
    judged(site, -1, "PASS")
    assert [s.id for s, _ in prune(site.loaded(), later, Quiet()).removed] == [lost.id]


def test_where_no_snapshot_is_good_nothing_goes(site: Site) -> None:
    for number in range(3):
        judged(site, number, "FAIL", own="FAIL", reason="a file is missing")
    assert "it has no good snapshot" in held(site)
    judged(site, 2, "PASS")
    assert "it has no good snapshot" not in held(site), "one has passed since"


def test_that_a_snapshot_which_is_gone_has_passed_lets_nothing_go(
    site: Site, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    """Of what is there, none is proven."""
    there = other_host(site, tmp_path / "there")
    assert "no restore test of what is there" in held(there)
    gone = {**snapshot(there, 2, verdict="PASS", selected="latest"), "id": "f" * 64}
    says(there, "restore_test.end", {"verdict": "PASS", "snapshot": gone})
    assert held(there) == wording
    judged(there, 2, "PASS")
    assert held(there) == ""


def test_a_snapshot_from_the_future_holds_everything_and_takes_no_good_ones_place(site: Site) -> None:
    """A clock was wrong when it was taken, or is wrong now: then whatever is too old may not be."""
    ahead = backup(Job(site.loaded(), "recordings"), site.services(ShiftedClock(timedelta(days=1))), Quiet())
    assert ahead.snapshot is not None
    assert "future" in held(site)
    result = prune(site.loaded(), site.services(), Quiet(), dry_run=True)
    *_, last_good, future = result.decisions["recordings"]
    assert future.snapshot.id == ahead.snapshot.id and last_good.why == ("keep_last",)


def test_damage_that_was_read_well_since_holds_everything_until_the_newest_has_passed(site: Site) -> None:
    """It may have been repaired by leaving out what was lost."""
    for result in ("DAMAGED", "CLEAN"):
        body = {"result": result, "part": 1, "parts": 1, "reason": None, "findings": []}
        append_sparse(site.services().ledger, "check.end", plan="p", asset=None, run=result, body=body)
    assert "no test of the newest snapshot " in held(site)
    judged(site, 2, "PASS")
    assert held(site) == ""


def test_what_is_of_another_source_pushes_no_good_snapshot_out(site: Site) -> None:
    """The plan named another tree for a while."""
    settled_file(site.root / "elsewhere" / "call.wav", b"another")
    path = site.root / "plans" / "p.yaml"
    named = path.read_text()
    path.write_text(named.replace(f"[{site.root}/tree]", f"[{site.root}/elsewhere]"))
    site.backed_up()
    path.write_text(named)
    *_, good, other = prune(site.loaded(), site.services(), Quiet(), dry_run=True).decisions["recordings"]
    assert good.why == ("keep_last",) and "another source than the plan names now" in other.why[0]


def test_what_a_finding_holds_for_longer_than_the_plan_allows_is_a_finding_itself(site: Site) -> None:
    """Counted rules have no date by which a snapshot should have gone: the first prune that held it has."""
    says(site, "backup.end", {"result": "FAILED", "reason": "the source did not answer", "snapshot": None})
    for days, overdue in ((0, 0), (80, 0), (100, 2)):
        done = prune(site.loaded(), site.services(ShiftedClock(timedelta(days=days))), Quiet())
        assert done.removed == [] and len(done.findings) == overdue, (days, done.findings)
        assert all("should have gone on" in said for said in map(str, done.findings))


def bases_of_the_log(site: Site, loaded: LoadedPlan, ahead: timedelta = timedelta(0)) -> list[set[str]] | None:
    """Which snapshots' log a prune now would keep; None where it lets go of none at all. What is removed of a log is
    for tests with a server."""
    asked: list[set[str]] = []

    def prune_log(job: Job, services: Services, kept: Sequence[Snapshot]) -> list[StoredBatch]:
        asked.append({s.id for s in kept})
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("ccdr.jobs.upkeep.prune"), "prune_log", prune_log)
        prune(loaded, site.services(ShiftedClock(ahead)), Quiet())
    return asked or None


def test_while_its_backup_has_failed_no_log_goes_that_an_older_base_leads_on_from(site: Site) -> None:
    """No rule keeps these bases, and yet they are held: so is their log."""
    every = {s.id for s in site.services().catalogue.snapshots("p", "recordings")}
    loaded = shipping(site)
    says(site, "backup.end", {"result": "FAILED", "reason": "the source did not answer", "snapshot": None})
    assert "failed" in held(site, loaded)
    assert bases_of_the_log(site, loaded) == [every]
    says(site, "backup.end", {"result": "STORED", "snapshot": snapshot(site, 2)})
    assert bases_of_the_log(site, loaded) == [{snapshot(site, 0)["id"]}]


def test_of_a_log_that_failed_its_recovery_nothing_goes(site: Site) -> None:
    loaded, late = shipping(site), "2026-11-24T02:00:00Z"
    bad = {"recovery": {"target": "latest", "verdict": "FAIL", "until": late}}
    judged(site, 2, "FAIL", reason="log is missing", **bad)
    assert bases_of_the_log(site, loaded) is None
    judged(site, 2, "PASS", selected="at", recovery={"target": late, "verdict": "PASS", "until": late})
    assert bases_of_the_log(site, loaded) is not None


def test_what_a_failed_backup_stored_all_the_same_is_no_base_of_the_log(site: Site) -> None:
    """It is held until its time is up, and has no manifest that tells from where on it would need log."""
    loaded, before = shipping(site), snapshot(site, 2)["id"]
    tags = "ccdr-3,kind=backup,plan=p,asset=recordings,run=bad"
    restic_of(site.root, "backup", "--tag", tags, str(site.root / "tree"))
    mark = "ccdr-3,kind=failed,plan=p,asset=recordings,run=bad,ended=failed"
    restic_of(site.root, "backup", "--tag", mark, str(site.root / "plans"))
    assert bases_of_the_log(site, loaded) == [{s.id for s in site.services().catalogue.snapshots("p", "recordings")}]
    assert before in {s.id for s in site.services().catalogue.snapshots("p", "recordings")}


def test_a_log_that_failed_holds_everything_though_its_base_passes(site: Site) -> None:
    """Until a recovery that goes as far has passed; and only while the plan ships a log."""

    def by_log(verdict: str, until: str, target: str = "latest") -> dict[str, Any]:
        return {"recovery": {"target": target, "verdict": verdict, "until": until}}

    early, late = "2026-11-24T01:00:00Z", "2026-11-24T02:00:00Z"
    loaded = shipping(site)
    assert held(site, loaded) == ""
    judged(site, 2, "FAIL", reason="log is missing", **by_log("FAIL", late))
    judged(site, 2, "PASS")
    why = held(site, loaded)
    assert "its recovery by the log of" in why and "none that goes as far has passed" in why
    assert held(site) == "", "no log is shipped any more"
    judged(site, 2, "PASS", selected="at", **by_log("PASS", early, target=early))
    assert "its recovery by the log of" in held(site, loaded)
    judged(site, 2, "PASS", selected="at", **by_log("PASS", late, target=late))
    assert held(site, loaded) == ""


def test_what_may_be_another_hosts_is_held_and_what_was_this_hosts_own_goes(site: Site, tmp_path: Path) -> None:
    """Two hosts share a plan's name and its repository; the other's plan names another asset."""
    there = other_host(site, tmp_path / "there")
    for one in (site, there):
        path = one.root / "plans" / "p.yaml"
        path.write_text(path.read_text().replace("recordings:\n", "tapes:\n", 1))
    assert "it may be another host's" in held(there)
    assert held(site) == "", "its ledger knows that it was backed up here, and retired"
