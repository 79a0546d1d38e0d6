"""Somebody means no harm. What they do to plans, state and repository by hand is done, and what ccdr says of it is asked."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.attacking import planted
from tests.support.harness import Site
from tests.support.repository_damage import ids
from tests.support.stored import other_host, restic_of, settled_file


def codes(site: Site) -> set[str]:
    told = site.run("status").json
    of_assets = {t["code"] for plan in told["plans"] for asset in plan["assets"] for t in asset["troubles"]}
    return of_assets | {t["code"] for plan in told["plans"] for t in plan["troubles"]}


def contradicted(site: Site) -> bool:
    done = site.run("status")
    return done.code == 1 and bool(done.json["lineage"]["problems"])


def test_a_file_that_is_taken_out_of_a_snapshot_by_restic_is_missed(twin: Site) -> None:
    newest = ids(twin)[-1]
    restic_of(twin.root, "rewrite", "--forget", "--exclude", "today.wav", newest)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert newest[:8] in str(done.json["findings"]) and "SNAPSHOT_VANISHED" in codes(twin)


def test_a_prune_by_hand_after_a_forget_by_hand_is_told_and_what_is_left_is_whole(twin: Site) -> None:
    older = ids(twin)[0]
    restic_of(twin.root, "forget", "--keep-last", "1", "--group-by", "", "--tag", "kind=backup", "--prune")
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS") and older[:8] in str(done.json["findings"]), done
    assert "SNAPSHOT_VANISHED" in codes(twin)


def test_a_prune_by_hand_alone_harms_nothing(twin: Site) -> None:
    restic_of(twin.root, "prune")
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "PASS", [])


def test_a_password_that_is_changed_by_restic_alone_is_told(twin: Site) -> None:
    new = twin.write("new", "another battery staple\n", mode=0o600)
    restic_of(twin.root, "key", "passwd", "--new-password-file", str(new))
    assert twin.run("backup", "p").code == 1
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE") and "password" in done.json["reason"], done
    shutil.copy(new, twin.root / "plans/key")
    twin.backed_up()
    assert twin.run("test", "p").code == 0


def test_a_state_directory_that_is_put_back_as_it_was_last_week_is_found(twin: Site, tmp_path: Path) -> None:
    shutil.copytree(twin.state, tmp_path / "then")
    settled_file(twin.root / "tree/agent0/after.wav", b"after" * 100)
    twin.backed_up()
    shutil.rmtree(twin.state)
    shutil.copytree(tmp_path / "then", twin.state)
    assert not contradicted(twin), "nothing here tells"
    twin.backed_up()
    assert contradicted(twin)


def test_a_state_directory_that_was_moved_whole_goes_on(twin: Site) -> None:
    moved = twin.root / "moved"
    twin.state.rename(moved)
    assert twin.run("backup", "p", "--state", str(moved)).code == 0
    done = twin.run("ledger", "verify", "--repository", "--state", str(moved))
    assert (done.code, done.json["problems"]) == (0, []), done
    assert twin.run("test", "p", "--state", str(moved)).json["verdict"] == "PASS"


def test_a_host_that_was_cloned_with_its_state_is_found(twin: Site, tmp_path: Path) -> None:
    clone = other_host(twin, tmp_path / "clone")
    shutil.copytree(twin.state, clone.state, dirs_exist_ok=True)
    clone.backed_up()
    assert not contradicted(clone), "it has gone on where the other one stood"
    twin.backed_up()
    assert contradicted(twin)
    clone.backed_up()
    assert contradicted(clone)


def test_a_plan_that_is_copied_to_a_host_with_other_data_counts_both_as_one_asset(twin: Site, tmp_path: Path) -> None:
    there = planted(twin, tmp_path / "there")
    assert len(ids(there)) == 1
    assert twin.run("test", "p").code == 0
    assert len(ids(twin)) == 3
