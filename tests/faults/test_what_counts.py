"""What counts as a backup, and what a restore may bring back: never more than was captured, never less."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Ran, ShiftedClock, Site
from tests.support.stored import other_host, restic_of, settled_file

import ccdr.jobs.backup
from ccdr.jobs.backup import BackupResult, backup
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.values import Needed, Snapshot, Verdict, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Place
from ccdr.storage.manifest import MANIFEST
from ccdr.storage.restic import Restic


def snapshots(site: Site) -> list[Snapshot]:
    return site.services().catalogue.snapshots("p", "recordings")


def job(site: Site) -> Job:
    return Job(site.loaded(), "recordings")


# --- what was stored with a warning -----------------------------------------------------------------------------


@pytest.mark.parametrize("warned", [True, False])
def test_what_restic_stored_with_a_warning_never_counts(
    twin: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: bool
) -> None:
    """Though nothing has changed meanwhile, as far as we can see: restic could not read all of it, and says so. And on
    no other host either, which sees nothing but the repository."""
    known, restic = [s.id for s in snapshots(twin)], shutil.which("restic")
    partly = f"*kind=backup*) {restic} --exclude='*/today.wav' \"$@\"; exit 3;;" if warned else ""
    twin.write("bin/restic", f'#!/bin/sh\ncase "$*" in {partly} esac\nexec {restic} "$@"\n', mode=0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{twin.root}/bin:{os.environ['PATH']}")
        patch.setattr(ccdr.jobs.backup, "ATTEMPTS", 2)
        done = backup(job(twin), twin.services(), Quiet())
    assert (done.result, int(done.exit_code)) == (("FAILED", 1) if warned else ("STORED", 0)), done
    assert [s.id for s in snapshots(twin)] == known + ([] if warned else [done.snapshot and done.snapshot.id])
    there = other_host(twin, tmp_path / "there")
    seen = there.run("snapshots", "p").json["snapshots"]
    assert [s["id"] for s in seen] == [s.id for s in snapshots(twin)], "nor elsewhere"


def test_what_an_attempt_stored_that_was_not_whole_counts_nowhere_though_the_next_was(
    twin: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run, two snapshots: another host sees both, and must not restore the first."""
    restic, once = shutil.which("restic"), twin.root / "once"
    partly = f"*kind=backup*) test -e {once} || {{ touch {once}; {restic} --exclude='*/today.wav' \"$@\"; exit 3; }};;"
    twin.write("bin/restic", f'#!/bin/sh\ncase "$*" in {partly} esac\nexec {restic} "$@"\n', mode=0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{twin.root}/bin:{os.environ['PATH']}")
        done = backup(job(twin), twin.services(), Quiet())
    assert once.exists() and done.result == "STORED", done
    there = other_host(twin, tmp_path / "there")
    seen = there.run("snapshots", "p").json["snapshots"]
    assert [s["id"] for s in seen] == [s.id for s in snapshots(twin)] and len(seen) == 3


# --- increments --------------------------------------------------------------------------------------------------


def building_upon(site: Site, base: Snapshot, meanwhile: Callable[[], object]) -> BackupResult:
    """A backup that builds upon `base`, while whose capture something else is done."""
    loaded = site.loaded()
    engine = loaded.plan.assets["recordings"]

    class Increment(type(engine)):  # type: ignore[misc]
        def capture(self, source: Place, into: Path, tools: Tools) -> Capture:
            captured = super().capture(source, into, tools)
            meanwhile()
            return replace(captured, parents=(Needed(base.id, base.manifest_sha256),))

    fields = {name: getattr(engine, name) for name in type(engine).model_fields}
    plan = loaded.plan.model_copy(update={"assets": {"recordings": Increment.model_construct(**fields)}})
    changed = LoadedPlan(plan, loaded.path, loaded.sha256, loaded.checks, loaded.restore_tests, None)
    return backup(Job(changed, "recordings"), site.services(), Quiet())


def test_an_increment_whose_base_was_removed_while_it_was_captured_does_not_count(twin: Site) -> None:
    """Another host's prune had no reason to keep it. The increment alone can never be restored."""
    base, *_ = known = snapshots(twin)
    done = building_upon(twin, base, lambda: restic_of(twin.root, "forget", base.id))
    assert (done.result, int(done.exit_code)) == ("FAILED", 1), done
    assert base.short in (done.reason or "") and "full base" in (done.hint or "")
    assert [s.id for s in snapshots(twin)] == [s.id for s in known]
    assert twin.run("status").json["plans"][0]["assets"][0]["last_backup"]["result"] == "FAILED"


def test_an_increment_whose_base_is_still_there_counts(twin: Site) -> None:
    base, other = snapshots(twin)
    done = building_upon(twin, other, lambda: restic_of(twin.root, "forget", base.id))
    assert done.result == "STORED" and done.snapshot is not None, done
    assert [needed.id for needed in done.snapshot.upon] == [other.id]
    assert snapshots(twin)[-1].id == done.snapshot.id


# --- marks that anybody may leave --------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["void", "ended=failed"])
def test_no_mark_in_the_repository_takes_back_what_this_host_saw_stored(twin: Site, tmp_path: Path, tag: str) -> None:
    """Whoever may add to the repository may leave a mark that says a good backup failed. The host whose ledger has
    seen it stored well goes on counting it; another one knows no better than the mark."""
    newest = snapshots(twin)[-1]
    void = f"void={newest.id}" if tag == "void" else tag
    tags = f"ccdr-3,kind=failed,plan=p,asset=recordings,run={newest.run},{void}"
    restic_of(twin.root, "backup", "--tag", tags, str(settled_file(tmp_path / "mark", b"planted")))
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", newest.id), done
    assert snapshots(twin)[-1].id == newest.id and done.json["findings"] == []
    there = other_host(twin, tmp_path / "there")
    found: Ran = there.run("snapshots", "p")
    assert newest.id not in {s["id"] for s in found.json["snapshots"]}, found


def test_what_its_own_run_takes_back_counts_no_more_on_a_host_that_knew_it(twin: Site, tmp_path: Path) -> None:
    """That host was quicker to learn of it than the one that took it to see that it was not whole: which may have
    another try, until it says that it has not."""
    there, (*_, before, newest) = other_host(twin, tmp_path / "there"), snapshots(twin)
    assert newest.id in {s["id"] for s in there.run("snapshots", "p").json["snapshots"]}
    tags = f"ccdr-3,kind=failed,plan=p,asset=recordings,run={newest.run}"
    restic_of(twin.root, "backup", "--tag", f"{tags},void={newest.id}", str(settled_file(tmp_path / "mark", b"a try")))
    done = there.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", before.id), done
    assert newest.id not in {s.id for s in snapshots(there)}
    restic_of(twin.root, "backup", "--tag", f"{tags},ended=failed", str(settled_file(tmp_path / "end", b"the end")))
    done = there.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and newest.run in done.json["reason"], done
    assert done.json["snapshot"]["id"] == before.id


def test_no_other_runs_mark_takes_a_snapshot_back(twin: Site, tmp_path: Path) -> None:
    """A run can say of what it has stored itself that it does not count, of nothing else."""
    newest = snapshots(twin)[-1]
    tags = f"ccdr-3,kind=failed,plan=p,asset=recordings,run=another,void={newest.id}"
    restic_of(twin.root, "backup", "--tag", tags, str(settled_file(tmp_path / "mark", b"planted")))
    there = other_host(twin, tmp_path / "there")
    assert newest.id in {s["id"] for s in there.run("snapshots", "p").json["snapshots"]}


# --- what stays red until a test has passed ----------------------------------------------------------------------


def changed(target: Path) -> None:
    """One of the recordings is another one, of the same length and age."""
    path = next(target.rglob("call0.wav"))
    found = path.stat()
    path.write_bytes(bytes(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("bad", [True, False], ids=["bad", "good"])
def test_a_bad_snapshot_is_not_made_good_by_the_backup_after_one_that_failed(twin: Site, bad: bool) -> None:
    """A newer backup that failed is made up for by the next; that what was tested cannot be restored is not."""
    shutil.move(twin.root / "tree", twin.root / "unmounted")
    assert twin.run("backup", "p").code == 1
    done = brought_back(twin, changed if bad else lambda at: None)
    assert done.verdict is Verdict.FAIL and (done.own_verdict is Verdict.FAIL) == bad
    shutil.move(twin.root / "unmounted", twin.root / "tree")
    twin.backed_up()
    (found,) = twin.run("status", "p").json["plans"][0]["assets"]
    assert any("its last restore test is FAIL" in said for said in found["problems"]) == bad, found["problems"]


def test_a_snapshot_that_vanished_is_not_made_good_by_the_next_backup(twin: Site) -> None:
    restic_of(twin.root, "forget", snapshots(twin)[-1].id)
    shutil.move(twin.root / "tree", twin.root / "unmounted")
    assert twin.run("backup", "p").code == 1
    assert twin.run("test", "p").json["verdict"] == "FAIL"
    shutil.move(twin.root / "unmounted", twin.root / "tree")
    twin.backed_up()
    (found,) = twin.run("status", "p").json["plans"][0]["assets"]
    assert any("its last restore test is FAIL" in said for said in found["problems"]), found["problems"]


@pytest.mark.parametrize("bad", [True, False], ids=["bad", "good"])
def test_the_rpo_that_a_test_tells_knows_of_its_own_verdict(twin: Site, bad: bool) -> None:
    """What it has just disproved is no backup: the one before it is what there is, and that is hours old."""
    older = snapshots(twin)[0]
    path = twin.state / "catalogue" / "p" / "recordings" / f"{older.id}.json"
    entry = json.loads(path.read_text())
    ago = rfc3339(older.consistent_point - timedelta(hours=5))
    dated = {**entry["snapshot"], "consistent_point": ago, "usable_at": ago}
    path.write_text(json.dumps({**entry, "snapshot": dated}) + "\n")
    done = brought_back(twin, changed if bad else lambda at: None)
    assert done.verdict is (Verdict.FAIL if bad else Verdict.PASS)
    assert done.rpo is not None and done.rpo.achieved_s is not None
    assert (done.rpo.verdict.value, done.rpo.achieved_s > 5 * 3600) == (("BREACHED", True) if bad else ("MET", False))


def test_a_random_test_never_takes_what_is_dated_in_the_future(twin: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the dice say: it would FAIL a good repository for somebody's clock."""
    ahead = backup(job(twin), twin.services(ShiftedClock(timedelta(days=1))), Quiet()).snapshot
    assert ahead is not None
    chosen = set()
    for seed in range(6):
        monkeypatch.setattr(random.SystemRandom, "randrange", lambda self, *_, seed=seed: seed)
        done = restore_test(job(twin), "random", twin.services(), Quiet())
        assert done.verdict is Verdict.PASS and done.snapshot is not None, done.reason
        chosen.add(done.snapshot.id)
    assert chosen == {s.id for s in snapshots(twin)} - {ahead.id}


# --- more than was captured --------------------------------------------------------------------------------------


def brought_back(site: Site, harm: Callable[[Path], object]) -> RestoreTest:
    """A restore test of the newest, with `harm` done to the directory into which restic has written it."""
    really = Restic.restore

    def restore(repo: Restic, snapshot: str, root: str, target: Path, **more: Any) -> None:
        really(repo, snapshot, root, target, **more)
        harm(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Restic, "restore", restore)
        return restore_test(job(site), "latest", site.services(), Quiet())


def test_what_is_brought_back_beside_what_was_captured_fails(twin: Site) -> None:
    """By whoever may write to the repository: a file that nobody captured is restored along, and no check looks at it."""
    for name in ("more", "of/its/own/more", "files.idx.more"):
        done = brought_back(twin, lambda at, name=name: settled_file(next(at.rglob(MANIFEST)).parent / name, b"more"))
        assert done.verdict is Verdict.FAIL and "not captured" in (done.reason or ""), (name, done.reason)
    assert brought_back(twin, lambda at: None).verdict is Verdict.PASS
