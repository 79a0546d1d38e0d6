"""What counts as a backup, and what a restore may bring back: never more than was captured, never less."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Quiet, Ran, Site
from tests.stored import other_host, restic_of, settled_file

import ccdr.backup
from ccdr.backup import BackupResult, backup
from ccdr.catalogue import MANIFEST
from ccdr.interfaces import Capture, Place, Tools
from ccdr.model import Needed, Snapshot
from ccdr.plans import LoadedPlan
from ccdr.restore_test import restore_test
from ccdr.services import Job
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
        patch.setattr(ccdr.backup, "ATTEMPTS", 2)
        done = backup(job(twin), twin.services(), Quiet())
    assert (done.result, int(done.exit_code)) == (("FAILED", 1) if warned else ("STORED", 0)), done
    assert [s.id for s in snapshots(twin)] == known + ([] if warned else [done.snapshot and done.snapshot.id])
    there = other_host(twin, tmp_path / "there")
    seen = there.run("snapshots", "p").json["snapshots"]
    assert [s["id"] for s in seen] == [s.id for s in snapshots(twin)], "nor elsewhere"


def noted(site: Site, note: str | None) -> None:
    """The newest snapshot's entry, as an earlier ccdr kept one that restic had stored with a warning."""
    newest = snapshots(site)[-1]
    path = site.state / "catalogue" / "p" / "recordings" / f"{newest.id}.json"
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "snapshot": {**entry["snapshot"], "note": note}}) + "\n")


@pytest.mark.parametrize("chosen", ["latest", "by its id"])
def test_a_snapshot_that_was_stored_with_a_warning_never_passes(twin: Site, chosen: str) -> None:
    """Whatever its checks say of what came back: what restic did not read, nobody checks."""
    which = "latest" if chosen == "latest" else snapshots(twin)[-1].id
    noted(twin, None)
    healthy = twin.run("test", "p", "--snapshot", which)
    assert (healthy.code, healthy.json["verdict"]) == (0, "PASS"), healthy
    noted(twin, "exit 3")
    done = twin.run("test", "p", "--snapshot", which)
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "stored this snapshot with a warning" in done.json["reason"]
    assert all(check["status"] == "PASS" for check in done.json["checks"])


# --- increments --------------------------------------------------------------------------------------------------


def building_upon(site: Site, base: Snapshot, meanwhile: Callable[[], object]) -> BackupResult:
    """A backup that builds upon `base`, while whose capture something else is done."""
    loaded = site.loaded()
    engine = loaded.plan.assets["recordings"]

    class Increment(type(engine)):  # type: ignore[misc]
        def capture(self, source: Place, into: Path, tools: Tools) -> Capture:
            captured = super().capture(source, into, tools)
            meanwhile()
            return replace(captured, upon=(Needed(base.id, base.manifest_sha256),))

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
    tags = f"ccdr,kind=failed,plan=p,asset=recordings,run={newest.run},{void}"
    restic_of(twin.root, "backup", "--tag", tags, str(settled_file(tmp_path / "mark", b"planted")))
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", newest.id), done
    assert snapshots(twin)[-1].id == newest.id and done.json["findings"] == []
    there = other_host(twin, tmp_path / "there")
    found: Ran = there.run("snapshots", "p")
    assert newest.id not in {s["id"] for s in found.json["snapshots"]}, found


# --- more than was captured --------------------------------------------------------------------------------------


def test_what_is_brought_back_beside_what_was_captured_fails(twin: Site) -> None:
    """By whoever may write to the repository: a file that nobody captured is restored along, and no check looks at it."""

    def comes_with(harm: Callable[[Path], object]) -> tuple[str, str]:
        really = Restic.restore

        def restore(repo: Restic, snapshot: str, root: str, target: Path, **more: Any) -> None:
            really(repo, snapshot, root, target, **more)
            harm(next(target.rglob(MANIFEST)).parent)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Restic, "restore", restore)
            done = restore_test(job(twin), "latest", twin.services(), Quiet())
        return done.verdict.value, done.reason or ""

    for name in ("more", "of/its/own/more", "files.idx.more"):
        verdict, reason = comes_with(lambda at, name=name: settled_file(at / name, b"more"))
        assert verdict == "FAIL" and "what was not captured" in reason, (name, reason)
    assert comes_with(lambda at: None) == ("PASS", "")
