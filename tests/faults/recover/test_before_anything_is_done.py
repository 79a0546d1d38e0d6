"""What is wrong with a recovery is told before anything is done, all at once, each with the way out; and nothing is
written by looking."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import SQLITE_SMALL, Quiet, Site, ask_sqlite
from tests.support.stored import LONG_AGO, other_host, settled_file

from ccdr.cli.recover_table import tell_outlook
from ccdr.jobs.recover.outlook import outlook
from ccdr.jobs.recover.request import RecoverRequest, moment_of
from ccdr.jobs.recover.states import ANSWERS, SILENT, AssetStep, RecoveryOutlook
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import utc
from ccdr.plans.targets import Target, load_targets

CHECKED = "restore_tests/cdr.yaml", "restore_test: cdr\nchecks:\n  - {kind: rows, table: call, at_least: 1}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two trees of one group and a database, backed up three times."""
    root = tmp_path_factory.mktemp("made")
    site = Site(root)
    ask_sqlite(root / "cdr/cdr.db", SQLITE_SMALL)
    for name in "ab":
        settled_file(root / name / "one.wav", os.urandom(3000), LONG_AGO)
    site.write(*CHECKED)
    trees = "".join(f"{n}: {{engine: files, group: calls, settle: 1s, paths: [{root}/{n}]}}\n" for n in "ab")
    site.plan(
        f"{trees}cdr: {{engine: sqlite, path: {root}/cdr/cdr.db, depends_on: [a], "
        f'restore_test: {{schedule: "0 3 * * *", checks: [cdr]}}}}'
    )
    for _ in range(3):
        site.backed_up()
    (root / "under").mkdir()
    return site


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    """As it was made; what a test changes of it is put back."""
    kept = made.root.with_name("kept")
    shutil.copytree(made.root, kept, symlinks=True)
    yield made
    shutil.rmtree(made.root)
    kept.rename(made.root)


def look(site: Site, *, at: datetime | None = None, **asked: Any) -> RecoveryOutlook:
    asked.setdefault("under", site.root / "under")
    return outlook(site.loaded(), RecoverRequest(at=at, **asked), site.services(), Quiet())


def refused(site: Site, code: Exit = Exit.USAGE, **asked: Any) -> str:
    before = {path for path in site.root.rglob("*") if "scratch" not in path.parts and "cache" not in path.parts}
    with pytest.raises(CcdrError) as error:
        look(site, **asked)
    assert error.value.exit_code == code, error.value
    after = {path for path in site.root.rglob("*") if "scratch" not in path.parts and "cache" not in path.parts}
    assert {p for p in after - before if p.suffix != ".lock"} == set(), "nothing was done"
    return f"{error.value}\n{error.value.hint}"


def by_asset(found: RecoveryOutlook) -> Mapping[str, AssetStep]:
    return {step.asset: step for step in found.steps}


def points(site: Site, asset: str) -> list[datetime]:
    return [s.consistent_point for s in site.services().catalogue.snapshots("p", asset)]


def soon(moment: datetime) -> datetime:
    return moment + timedelta(microseconds=1)


# --- the moment -------------------------------------------------------------------------------------------------


def test_the_state_nearest_to_the_moment_and_not_after_it_is_taken_of_each(site: Site) -> None:
    third = min(points(site, asset)[2] for asset in ("a", "b", "cdr"))
    found = look(site, at=third - timedelta(microseconds=1))
    assert {s.asset: s.state.point for s in found.steps} == {a: points(site, a)[1] for a in ("a", "b", "cdr")}
    assert [s.asset for s in found.steps] == ["a", "cdr", "b"], "the largest first, and what it waits for before it"
    assert by_asset(found)["cdr"].after == ("a",)
    assert all(0 < (s.state.lost_s or 0) < 60 and s.state.proof is None for s in found.steps)
    spread = [s.state.point for s in found.steps]
    assert found.skew_s == (max(spread) - min(spread)).total_seconds()
    assert {(s.where.kind, Path(s.where.shown).name, s.asset) for s in found.steps} == {
        ("directory", a, a) for a in ("a", "b", "cdr")
    }
    latest = look(site)
    assert {s.asset: s.state.point for s in latest.steps} == {a: points(site, a)[2] for a in ("a", "b", "cdr")}


def test_a_moment_before_the_first_backup_names_each_asset_and_its_first_state(site: Site) -> None:
    early = min(points(site, a)[0] for a in ("a", "b", "cdr")) - timedelta(hours=1)
    said = refused(site, at=early)
    for asset in ("a", "b", "cdr"):
        assert f"{asset}: no state of it is as old " in said
    assert "`--nearest` takes the first after it" in said and "`--except a,b,cdr`" in said
    found = look(site, at=early, nearest=True)
    assert {s.asset: s.state.point for s in found.steps} == {a: points(site, a)[0] for a in ("a", "b", "cdr")}
    assert all((s.state.lost_s or 0) < -3500 and "after the moment" in s.notes[0] for s in found.steps)


def test_one_asset_that_began_later_can_be_left_out(site: Site) -> None:
    between = max(points(site, "a")[0], points(site, "b")[0])
    if points(site, "cdr")[0] <= between:  # which of the group's and it was first is up to the machine
        between = points(site, "cdr")[0] - timedelta(microseconds=1)
    said = refused(site, at=between - timedelta(hours=2), assets=("cdr",))
    assert "cdr: no state of it is as old as that" in said
    found = look(site, excluded=("cdr",))
    assert ([s.asset for s in found.steps], found.left) == (["a", "b"], ("cdr",))


def test_a_moment_that_is_yet_to_come_or_is_no_time_is_refused(site: Site) -> None:
    now = datetime.now(UTC)
    assert "in the future" in refused(site, at=now + timedelta(minutes=5))
    zone = site.loaded().plan.zone
    with pytest.raises(UsageProblem, match="in the future"):
        moment_of("2999-01-01 00:00", zone, now)
    with pytest.raises(UsageProblem, match="is no time"):
        moment_of("before-import", zone, now)
    assert moment_of("latest", zone, now) is None
    assert moment_of("2026-01-01 02:00", zone, now) == datetime(2026, 1, 1, 2, tzinfo=UTC)


# --- what was disproved -----------------------------------------------------------------------------------------


def test_the_newest_state_that_failed_its_test_is_passed_over_and_named(site: Site) -> None:
    with sqlite3.connect(site.root / "cdr/cdr.db") as database:
        database.execute("delete from call")
    site.backed_up()
    assert site.run("test", "p", "--asset", "cdr").json["verdict"] == "FAIL"
    second = points(site, "cdr")[2]
    found = by_asset(look(site))["cdr"]
    assert found.state.point == second
    (over,) = found.state.passed_over
    assert "failed its restore test of" in over
    others = by_asset(look(site))
    assert others["a"].state.point == points(site, "a")[3], "what is no part of that is not held back"


def test_its_twin_that_passed_is_taken_and_says_so(site: Site) -> None:
    tested = site.run("test", "p", "--asset", "cdr")
    assert tested.json["verdict"] == "PASS", tested
    found = by_asset(look(site))["cdr"].state
    assert (found.point, found.passed_over) == (points(site, "cdr")[2], ())
    assert (found.proof, found.proof_by, found.proven) == ("PASS", "snapshot", True)
    assert found.proven_at is not None and datetime.now(UTC) - found.proven_at < timedelta(minutes=5)


def test_a_snapshot_that_vanished_is_named_and_the_one_before_it_is_taken(site: Site) -> None:
    newest = site.services().catalogue.snapshots("p", "cdr")[-1]
    for path in (site.repo / "snapshots").glob(f"{newest.id}*"):
        path.unlink()
    found = by_asset(look(site))["cdr"].state
    assert found.point == points(site, "cdr")[1]
    assert any(newest.short in text and "vanished" in text for text in found.passed_over)


def test_a_group_is_taken_of_one_run_where_a_snapshot_of_it_is_gone(site: Site) -> None:
    newest = site.services().catalogue.snapshots("p", "b")[-1]
    for path in (site.repo / "snapshots").glob(f"{newest.id}*"):
        path.unlink()
    found = by_asset(look(site))
    runs = {found[a].state.snapshot.group for a in "ab"}
    assert len({run.run if run else None for run in runs}) == 1
    assert "b of group calls has none of its run" in " ".join(found["a"].state.passed_over)


def test_it_works_from_the_repository_alone(site: Site, tmp_path: Path) -> None:
    there = other_host(site, tmp_path / "there")
    for name in ("a", "b", "cdr"):
        shutil.rmtree(site.root / name)
    found = outlook(there.loaded(), RecoverRequest(under=tmp_path), there.services(), Quiet())
    assert {s.asset: s.state.point for s in found.steps} == {a: points(site, a)[2] for a in ("a", "b", "cdr")}
    assert all(s.source == SILENT and s.healthy is None for s in found.steps)
    assert found.predicted is None and "nobody has measured" in " ".join(found.notes)


# --- where to ---------------------------------------------------------------------------------------------------


def test_an_asset_without_a_target_is_told_the_least_to_write(site: Site) -> None:
    said = refused(site, under=None)
    assert "a: {directory: /srv/recovered/a}" in said and "cdr: {directory: /srv/recovered/cdr}" in said
    assert "`--under DIR`" in said
    # What it tells to write is a file for --to.
    lines = [line for line in said.splitlines() if line.startswith(("targets:", "  "))]
    targets = load_targets(site.write("to.yaml", "\n".join(lines) + "\n"))
    assert set(targets) == {"a", "b", "cdr"}


def to(path: Path | str) -> Target:
    return Target.model_validate({"directory": str(path)})


def test_all_that_is_wrong_with_targets_is_told_at_once(site: Site) -> None:
    full = site.root / "full"
    settled_file(full / "mine", b"x", LONG_AGO)
    said = refused(site, targets={"a": to(site.root / "b"), "b": to(full), "cdr": to(site.root / "a/new")})
    assert f"{site.root}/b is {site.root}/b, which b is backed up from" in said
    assert "full is not empty" in said
    assert f"{site.root}/a/new lies in {site.root}/a, which a is backed up from" in said
    shared = refused(site, targets={"a": to(site.root / "x"), "b": to(site.root / "x"), "cdr": to(site.root / "x/y")})
    assert "a and b would both be brought to" in shared and "the target of cdr lies in that of a" in shared
    wrong = refused(site, targets={"cdr": Target.model_validate({"server": "postgresql://x@127.0.0.1/new"})})
    assert "sqlite is brought into a directory" in wrong
    assert "has no asset nobody" in refused(site, targets={"nobody": to("/srv/x")})
    assert "mkdir -p" in refused(site, targets={"a": to(site.root / "missing/a")})


def test_a_directory_of_under_that_is_not_there_yet_will_be_made_and_one_that_cannot_be_is_told(site: Site) -> None:
    found = look(site, under=site.root / "new/and/below")
    assert {s.where.shown for s in found.steps} == {f"{site.root}/new/and/below/{a}" for a in ("a", "b", "cdr")}
    assert not (site.root / "new").exists(), "by looking nothing is made"
    assert "is not a directory" in refused(site, under=site.root / "plans/key/below")
    assert "which a is backed up from" in refused(site, under=site.root / "a/below")


def test_targets_that_will_do_are_taken_and_a_file_goes_before_the_plan(site: Site) -> None:
    found = by_asset(look(site, targets={"a": to(site.root / "new-a")}))
    assert found["a"].where.shown == str(site.root / "new-a")
    assert found["b"].where.shown == str(site.root / "under/b")


def test_a_disk_that_is_too_small_for_all_of_them_together_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(site.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**26 + 100))
    said = refused(site)
    assert "free, and" in said and "a, b, cdr" in said
    monkeypatch.undo()
    assert sum(room.needed for room in look(site).rooms) > 2**26 + 100


# --- what is still there ----------------------------------------------------------------------------------------


def test_a_source_that_still_answers_says_what_rolling_it_back_loses(site: Site) -> None:
    found = look(site)
    assert all(s.source == ANSWERS and s.healthy is not None and s.healthy > 0 for s in found.steps)
    assert any("a still answers" in text and "`--except a`" in text for text in found.healthy)
    shutil.rmtree(site.root / "a")
    gone = look(site)
    assert by_asset(gone)["a"].source == SILENT and by_asset(gone)["a"].healthy is None
    assert not any("a still answers" in text for text in gone.healthy)


# --- what people see ---------------------------------------------------------------------------------------------


def test_the_table_fits_a_screen_and_says_the_worst(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.run("test", "p", "--asset", "cdr")
    tell_outlook(look(site))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100, said
    assert "\x1b" not in said, "plain in a pipe"
    assert "no test of it known here" in said and "its test passed" in said and "not measured" in said
    assert "cdr (after a)" in said and "not all of it was ever measured" in said
    assert "are needed at once" in said and "still up" in said


def test_the_document_tells_each_state_and_names_nothing_of_a_customers(site: Site) -> None:
    site.run("test", "p", "--asset", "cdr")
    found = look(site)
    document = found.as_json()
    steps = document["steps"]
    assert isinstance(steps, list) and [step["asset"] for step in steps] == ["a", "cdr", "b"]
    assert utc(steps[0]["state"]["point"]) == points(site, "a")[2]
    assert steps[1]["predicted_s"] > 0 and steps[1]["measured_runs"] == 1 and document["predicted_s"] is None
    assert "one.wav" not in repr(document)
