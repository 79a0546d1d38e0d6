"""Everything of a plan brought back at once, into directories: in order, whole or not at all, asked for once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site, ask_sqlite
from tests.support.recovering import Watching, decision, recovered
from tests.support.restored_files import listing
from tests.support.stored import assert_clean

from ccdr.host.processes import Host
from ccdr.jobs.recover import Known, reading_on, recovering
from ccdr.jobs.recover.asking import FRESH, ask
from ccdr.model.errors import Locked, UsageProblem
from ccdr.plans.job import Job
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic


def is_back(site: Site, lost: Path) -> bool:
    back = site.root / "back"
    tree = listing(back / "recordings" / str(lost / "tree").lstrip("/")) == listing(lost / "tree")
    return tree and ask_sqlite(back / "cdr" / "cdr.db", "select count(*) from call") == [(3000,)]


def test_everything_is_brought_back_in_order_and_recorded(centre: Site, lost: Path) -> None:
    back, view = centre.root / "back", Watching()
    result = recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}, {"recordings": ["cdr"]}, view)
    assert (result.state, result.exit_code) == ("done", 0), result
    assert is_back(centre, lost)
    begun = [phase for phase in view.phases if phase[1] == "bringing"]
    assert begun == [("cdr", "bringing"), ("recordings", "bringing")]
    (start,), (end,) = centre.records("recover.start"), centre.records("recover.end")
    assert [a["after"] for a in start["assets"]] == [[], ["cdr"]]
    assert end["state"] == "done" and [a["state"] for a in end["assets"]] == ["done", "done"]
    assert {r["run"] for r in centre.records("restore.end")} == {a["run"] for a in end["assets"]}
    centre.ledger_holds()
    assert_clean(centre)


def test_cron_looks_again_at_once_after_a_recovery(centre: Site) -> None:
    sleeps = Path(centre.write("state/schedule/wake-x.json", "{}"))
    assert centre.run("recover", "p", "--under", str(centre.root / "back"), "--dry-run").code == 0 and sleeps.exists()
    recovered(centre, {"cdr": centre.root / "back" / "cdr"})
    assert not sleeps.exists()


def test_a_directory_of_under_that_is_not_there_is_made_by_the_work_and_not_by_looking(centre: Site) -> None:
    under = centre.root / "new/below"
    only = ["--under", str(under), "--assets", "recordings"]
    dry = centre.run("recover", "p", *only, "--dry-run")
    assert dry.code == 0 and dry.json["would_recover"] and not under.parent.exists(), dry
    assert centre.run("recover", "p", *only).code == 3 and not under.parent.exists(), "nobody has agreed"
    done = centre.run("recover", "p", *only, "--yes-i-mean", "p")
    assert (done.code, done.json["state"]) == (0, "done") and (under / "recordings").is_dir(), done
    assert under.stat().st_mode & 0o777 == 0o755, "whoever runs what is there can reach it"
    twin = centre.run("recover", "p", "--under", str(centre.write("file", "") / "x"), "--dry-run")
    assert twin.code == 2 and "is not a directory" in twin.json["error"], twin


def test_one_command_does_it(centre: Site, lost: Path) -> None:
    dry = centre.run("recover", "p", "--under", str(centre.root / "back"), "--dry-run")
    assert dry.code == 0 and dry.json["would_recover"] and not centre.records("recover.start"), dry
    done = centre.run("recover", "p", "--under", str(centre.root / "back"), "--yes-i-mean", "p")
    assert (done.code, done.json["state"]) == (0, "done"), done
    # Neither waits for the other: whichever took longer as it was stored is begun first.
    assert {s["asset"]: s["state"] for s in done.json["steps"]} == {"recordings": "done", "cdr": "done"}
    assert done.json["rto"]["verdict"] == "MET" and done.json["rto"]["machine_s"] > 0, done.json["rto"]
    assert is_back(centre, lost)
    assert "ccdr: cdr: bringing" in done.stderr and "ccdr: recordings: done" in done.stderr
    assert done.json["record"]["seq"] == len(centre.records())
    again = centre.run("recover", "--resume")
    assert again.code == 2 and "is done" in again.json["error"], again


def test_nobody_to_ask_and_nothing_is_begun(centre: Site) -> None:
    done = centre.run("recover", "p", "--under", str(centre.root / "back"))
    assert done.code == 3 and "--yes-i-mean p" in done.json["hint"], done
    wrong = centre.run("recover", "p", "--under", str(centre.root / "back"), "--yes-i-mean", "q")
    assert wrong.code == 2 and "nothing was begun" in wrong.json["error"], wrong
    assert (
        not list((centre.root / "back").iterdir())
        and not centre.records("recover.start")
        and not (centre.state / "recover").exists()
    )


def test_all_that_is_wrong_is_told_at_once(centre: Site, lost: Path) -> None:
    centre.write("back/full/file", "somebody's")
    targets = f"targets:\n  cdr: {{directory: {centre.root}/back/full}}\n  recordings: {{directory: {lost}/tree/new}}\n"
    centre.write("targets.yaml", targets)
    done = centre.run("recover", "p", "--to", str(centre.root / "targets.yaml"), "--yes-i-mean", "p")
    assert done.code == 2 and "is not empty" in done.json["error"] and "lies in" in done.json["error"], done
    assert not centre.records("recover.start") and not centre.records("restore.start")


def test_the_repository_is_asked_once_for_all_of_them(centre: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    run, back = Host.run, centre.root / "back"

    def noted(host: Host, argv: Sequence[str], **how: Any) -> Any:
        if argv[0] == "restic":
            called.append(next(word for word in argv[1:] if word in ("snapshots", "version", "dump", "restore")))
        return run(host, argv, **how)

    monkeypatch.setattr(Host, "run", noted)
    assert recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}).state == "done"
    # Once each is there the store tells, without restic, that nobody was erased meanwhile.
    # What others stored meanwhile in the centre that all these tests share is read, too.
    assert sorted({*called} - {"dump"}) == ["restore", "snapshots", "version"], called
    assert called.count("snapshots") == 1, called


def test_what_was_told_when_it_was_decided_is_not_asked_for_again(centre: Site, tmp_path: Path) -> None:
    log, shim, restic = tmp_path / "calls", tmp_path / "bin/restic", shutil.which("restic")
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho " $* " >> {log}\nexec {restic} "$@"\n')
    shim.chmod(0o755)
    path = {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
    done = centre.run("recover", "p", "--under", str(centre.root / "back"), "--yes-i-mean", "p", env=path)
    assert done.code == 0, done
    before, *after = log.read_text().split(" restore ")
    # Once each is there the store tells, without restic, that nobody was erased meanwhile.
    assert before.count(" snapshots ") == 1 and "".join(after).count(" snapshots ") == 0, log.read_text()


def test_after_a_while_or_where_this_host_may_have_removed_something_the_repository_is_asked_again(
    centre: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, services, view = centre.loaded(), centre.services(), Watching()
    repository = loaded.plan.repository.location
    decided = decision(centre, {"cdr": centre.root / "back/cdr"})
    before = ask(loaded, [Job(loaded, "cdr")], (), services, {})
    listed, lists = Restic.snapshots, list[Sequence[str]]()
    monkeypatch.setattr(Restic, "snapshots", lambda repo, tags, **how: lists.append(tags) or listed(repo, tags, **how))
    for told, asked in ((before, 0), (replace(before, at=before.at - FRESH), 1), (None, 1)):
        lists.clear()
        with recovering(loaded, decided, services, view, Known((loaded,)), told):
            assert len(lists) == asked
    with reading_on(loaded, services) as undisturbed:
        assert undisturbed
        with pytest.raises(Locked), services.state.rewriting(repository):
            pass
    with services.state.rewriting(repository), reading_on(loaded, services) as undisturbed:
        assert not undisturbed


def test_what_has_gone_since_it_was_decided_is_told_before_anything_is_begun(
    centre: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, listed = centre.root / "back", Restic.snapshots
    decided = decision(centre, {"cdr": back / "cdr", "recordings": back / "recordings"})
    gone = decided.assets[0].snapshot

    def without(repo: Restic, tags: Sequence[str], **how: Any) -> list[RepoSnapshot]:
        return [s for s in listed(repo, tags, **how) if s.id != gone]

    monkeypatch.setattr(Restic, "snapshots", without)
    loaded, services, view = centre.loaded(), centre.services(), Watching()
    looked = recovering(loaded, decided, services, view, Known((loaded,)))
    with pytest.raises(UsageProblem, match="cdr: no snapshot of p/cdr"), looked:
        pass
    assert not centre.records("recover.start") and not list(back.iterdir())


def test_only_what_was_named_is_brought_back(centre: Site) -> None:
    under = ["--under", str(centre.root / "back"), "--yes-i-mean", "p"]
    done = centre.run("recover", "p", *under, "--except", "recordings")
    assert done.code == 0 and [s["asset"] for s in done.json["steps"]] == ["cdr"], done
    assert centre.run("recover", "p", *under, "--assets", "nobody").code == 2
    assert sorted(p.name for p in (centre.root / "back").iterdir()) == ["cdr"]
