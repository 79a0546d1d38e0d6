"""A caller whose recordings were erased stays erased in whatever is restored, and nobody is named where they should not
be."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.support.copied import add_copies
from tests.support.harness import Quiet, Site
from tests.support.stored import copy_of, other_host

from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.services import limits_of
from ccdr.plans.job import Job
from ccdr.storage.restic import Restic

ERASED, CANARY, KEPT = "rec/40721000017.wav", "rec/40000000000.wav", "rec/40721000018.wav"
SELECTOR = "asset: recordings\nfiles: ['40721000017.wav']\n"
PLANTED = "asset: recordings\nfiles: ['40000000000.wav']\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("e"))
    tree = site.root / "tree" / "rec"
    tree.mkdir(parents=True)
    for name in (ERASED, CANARY, KEPT):
        (tree.parent / name).write_bytes(os.urandom(3000))
        os.utime(tree.parent / name, (time.time() - 600, time.time() - 600))
    site.recordings(tree)
    site.backed_up()
    return site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    root = tmp_path / "s"
    root.mkdir()
    return copy_of(stored, root)


def added(site: Site, *selectors: str) -> None:
    for number, selector in enumerate(selectors):
        name = site.write(f"selector-{number}.yaml", selector, mode=0o600)
        done = site.run("erasure", "add", "p", "--selector", str(name))
        assert done.code == 0, done
        name.unlink()


def restored(site: Site, *more: str) -> tuple[int, set[str]]:
    done = site.run("restore", "p", "--asset", "recordings", "--to", str(site.root / "to"), "--yes-i-mean", "to", *more)
    there = {path.name for path in (site.root / "to").rglob("*.wav")}
    return done.code, there


def names(*paths: str) -> set[str]:
    return {Path(path).name for path in paths}


def test_what_was_erased_is_not_handed_over(site: Site) -> None:
    added(site, SELECTOR, PLANTED)
    code, there = restored(site)
    assert (code, there) == (0, names(CANARY, KEPT)), "the canary is nobody's"
    (replay,) = site.records("erasure.replay")
    assert (replay["result"], replay["purpose"], replay["entries"]) == ("PROVEN", "restore", 2)
    assert {one["id"]: (one["found_before"], one["found_after"]) for one in replay["found"]} == {
        "e-000001": (1, 0),
        "e-000002": (1, 1),
    }
    site.ledger_holds()


def test_a_canary_that_goes_with_somebody_is_told(site: Site) -> None:
    """The next backup would be without it: whoever restores must plant it again."""
    added(site, SELECTOR.replace("40721000017", "40?????????"), PLANTED)
    done = site.run("restore", "p", "--asset", "recordings", "--to", str(site.root / "to"), "--yes-i-mean", "to")
    assert done.code == 0 and any("plant it again" in note for note in done.json["notes"]), done


def test_without_a_register_all_of_it_is_handed_over(site: Site) -> None:
    assert restored(site) == (0, names(ERASED, CANARY, KEPT))
    assert not site.records("erasure.replay")


def test_nobody_is_named_but_in_the_register(site: Site) -> None:
    added(site, SELECTOR, PLANTED)
    assert site.run("test", "p", "--asset", "recordings").code == 0
    listed = site.run("erasure", "list", "p")
    assert len(listed.json["entries"]) == 2
    told = listed.stdout + "".join(p.read_text("utf-8", "replace") for p in (site.state / "ledger").glob("*.jsonl"))
    kept = [p for p in site.state.rglob("*") if p.is_file() and "index" not in p.parts and "cache" not in p.parts]
    told += "".join(p.read_bytes().decode("latin-1") for p in kept if "capture" not in str(p))
    assert "40721000017" not in told


def test_a_restore_test_proves_it_too(site: Site) -> None:
    added(site, SELECTOR, PLANTED)
    done = site.run("test", "p", "--asset", "recordings")
    assert (done.code, done.json["verdict"]) == (0, "PASS")
    check = next(c for c in done.json["checks"] if c["kind"] == "erasure")
    assert check["status"] == "PASS"
    (replay,) = site.records("erasure.replay")
    assert (replay["result"], replay["purpose"]) == ("PROVEN", "test")


def test_a_canary_that_is_not_there_proves_nothing(site: Site) -> None:
    added(site, SELECTOR, PLANTED.replace("40000000000", "40000000009"))
    code, there = restored(site)
    assert (code, there) == (1, set())
    (replay,) = site.records("erasure.replay")
    assert replay["result"] == "FAILED"
    assert "proves nothing" in replay["reason"]


def test_a_register_that_is_gone_stops_a_restore(site: Site) -> None:
    added(site, SELECTOR)
    removed(site)
    assert restored(site) == (1, set())
    assert restored(site, "--despite-erasures", "the register is lost, OPS-17") == (1, names(ERASED, CANARY, KEPT))
    replay = site.records("erasure.replay")[-1]
    assert (replay["result"], replay["handed_over"], replay["head"]) == ("FAILED", True, None)
    assert "OPS-17" not in str(site.records())


def test_a_register_that_is_older_than_the_ledger_tells_stops_a_restore(site: Site) -> None:
    added(site, SELECTOR, PLANTED)
    removed(site)
    code, there = restored(site)
    assert (code, there) == (1, set())


def test_the_next_backup_says_how_far_the_register_went(site: Site) -> None:
    added(site, SELECTOR)
    site.backed_up()
    newest = site.services().catalogue.snapshots("p", "recordings")[-1]
    head = site.services().catalogue.manifest(newest).erasures
    assert head is not None
    assert head.entries == 1
    assert f"erasures={head}" in tags(site)


def test_a_withdrawal_that_nobody_told_of_brings_nobody_back(site: Site, tmp_path: Path) -> None:
    """Whoever holds the repository's password may plant one; the twin is the host that withdrew."""
    added(site, SELECTOR, PLANTED)
    bare = other_host(site, tmp_path / "other")
    done = site.run("erasure", "withdraw", "p", "e-000001", "--why", "another caller's")
    assert done.code == 0, done
    assert bare.run("test", "p", "--asset", "recordings").json["verdict"] == "FAIL"
    assert restored(site) == (0, names(ERASED, CANARY, KEPT))


def test_no_backup_vouches_for_a_withdrawal_that_nobody_told_of(site: Site, tmp_path: Path) -> None:
    """Whoever holds the password waits for the next one. Who is added elsewhere it vouches for."""
    added(site, SELECTOR, PLANTED)
    elsewhere = other_host(site, tmp_path / "other")
    added(elsewhere, SELECTOR.replace("17", "19"))
    site.backed_up()
    assert head_of_newest(site) == 3
    assert elsewhere.run("erasure", "withdraw", "p", "e-000001", "--why", "another caller's").code == 0
    site.backed_up()
    assert head_of_newest(site) == 3
    assert restored(site) == (1, set())
    elsewhere.backed_up()
    assert restored(site) == (0, names(ERASED, CANARY, KEPT)), "the host that withdrew it says so"


def head_of_newest(site: Site) -> int:
    catalogue = site.services().catalogue
    head = catalogue.manifest(catalogue.snapshots("p", "recordings")[-1]).erasures
    assert head is not None
    return head.entries


def test_a_copy_has_the_register_and_without_it_nobody_comes_back_from_there(site: Site) -> None:
    add_copies(site, "far")
    added(site, SELECTOR, PLANTED)
    assert site.run("copy", "p").code == 0
    repo = site.repo.rename(site.root / "gone")
    assert restored(site, "--from", "far") == (0, names(CANARY, KEPT)), "the plan's own repository is lost"
    shutil.rmtree(site.root / "to")
    repo.rename(site.repo)
    added(site, SELECTOR.replace("17", "18"))
    done = site.run("test", "p", "--asset", "recordings", "--from", "far")
    assert done.json["verdict"] == "PASS", "the copy lags behind, and the plan's own is asked"
    site.repo.rename(site.root / "gone")
    assert restored(site, "--from", "far") == (1, set()), "what was added since is not there"


def test_no_prune_lets_go_of_the_register(site: Site) -> None:
    added(site, SELECTOR)
    plan = site.root / "plans/p.yaml"
    plan.write_text(plan.read_text("utf-8").replace("assets:", "retention: {keep_last: 1}\nassets:", 1), "utf-8")
    site.backed_up()
    assert site.run("upkeep", "p", "--prune").code == 0
    assert len(site.run("erasure", "list", "p").json["entries"]) == 1
    assert restored(site) == (0, names(CANARY, KEPT))


def test_who_is_added_while_it_is_loaded_is_erased_too(site: Site) -> None:
    with restoring(Job(site.loaded(), "recordings"), Request(str(site.root / "to")), site.services(), Quiet()) as one:
        added(site, SELECTOR)
        one.carry_out(Quiet())
    assert {path.name for path in (site.root / "to").rglob("*.wav")} == names(CANARY, KEPT)


def test_the_same_person_is_added_once(site: Site) -> None:
    added(site, SELECTOR, SELECTOR)
    assert len(site.run("erasure", "list", "p").json["entries"]) == 1


def removed(site: Site) -> None:
    """The newest snapshot of the register, by somebody who holds the password."""
    newest = repository(site).snapshots(["kind=erasures"])[-1]
    env = {**os.environ, "RESTIC_PASSWORD_FILE": str(site.root / "plans/key")}
    subprocess.run(["restic", "-r", str(site.repo), "forget", newest.id], env=env, check=True, capture_output=True)


def tags(site: Site) -> list[str]:
    return [tag for s in repository(site).snapshots(["kind=backup"]) for tag in s.tags]


def repository(site: Site) -> Restic:
    loaded = site.loaded()
    return site.services().repository(loaded, limits_of(loaded))
