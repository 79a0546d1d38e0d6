"""Retention: what goes, what never goes, and why."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.harness import Site, texts
from tests.support.manifests import counted
from tests.support.stored import assert_clean, restic_of, settled_file, with_repository
from tests.support.upkeep import known, pruned, retention, there

from ccdr.model.retention import Policy, kept_by_rules
from ccdr.model.values import Snapshot
from ccdr.storage.removals import PRUNED


def fingerprint(site: Site) -> dict[str, int]:
    parts = ("data", "index", "snapshots", "locks")
    return {str(p): p.stat().st_size for part in parts for p in (site.repo / part).rglob("*") if p.is_file()}


def test_what_no_rule_keeps_is_gone_from_repository_and_catalogue(site: Site) -> None:
    before = known(site)
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0, done
    assert known(site) == there(site) == before[-1:]
    record = site.records("prune.end")[-1]
    assert record["result"] == "DONE" and record["kept"] == {"recordings": 1}
    assert [r["id"] for r in record["removed"]] == before[:-1]
    assert record["repository_bytes"] > 0 and record["freed_bytes"] is not None
    assert site.records("prune.start")[-1]["trigger"]["by"] == "command"
    latest = site.run("test", "p")
    assert (latest.code, latest.json["verdict"], latest.json["findings"]) == (0, "PASS", []), "nothing has vanished"
    assert_clean(site)


def test_a_dry_run_says_why_and_changes_nothing(site: Site) -> None:
    before, records = fingerprint(site), len(site.records())
    done = site.run("upkeep", "p", "--dry-run")
    assert done.code == 0, done
    decisions = done.json["prune"]["decisions"]
    assert [d["keep"] for d in decisions] == [False, False, False, True]
    assert decisions[0]["why"] == ["no rule keeps it"] and decisions[-1]["why"] == ["keep_last"]
    assert (done.json["check"]["part"], done.json["check"]["result"]) == (1, "PLANNED")
    assert fingerprint(site) == before and len(site.records()) == records and len(known(site)) == 4


def test_without_retention_nothing_is_removed_and_that_is_said(site: Site) -> None:
    path = site.root / "plans" / "p.yaml"
    path.write_text("".join(n for n in path.read_text().splitlines(keepends=True) if not n.startswith("retention:")))
    before = fingerprint(site)
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0 and "no retention" in done.json["prune"]["reason"], done
    assert fingerprint(site) == before and len(known(site)) == 4


def test_keep_within_counts_from_now_and_the_last_good_stays(site: Site) -> None:
    retention(site, "keep_within: 10d")
    last = known(site)[-1]
    early = pruned(site, timedelta(days=9))
    assert early.removed == [] and len(there(site)) == 4
    # Long after its backups have stopped, everything is held: there is a finding.
    late = pruned(site, timedelta(days=30))
    assert late.removed == [] and len(there(site)) == 4 and late.findings == []
    assert any("more than its RPO" in why for _, d in late.each() for why in d.why)
    # And once it is held for longer than the plan allows, that is a finding: people decide.
    overdue = pruned(site, timedelta(days=120))
    assert overdue.removed == [] and overdue.exit_code == 1
    assert len(overdue.findings) == 4 and "should have gone on" in str(overdue.findings[0])
    assert texts(site.records("prune.end")[-1]["findings"]) == list(map(str, overdue.findings))
    assert known(site)[-1] == last


def test_the_last_proven_one_stays_beside_the_last_good_one(site: Site) -> None:
    settled_file(site.root / "tree" / "new.wav", b"new")
    site.backed_up()
    ids = known(site)
    done = pruned(site)
    assert done.exit_code == 0
    assert known(site) == there(site) == ids[3:], "the fourth is proven, the fifth is the last"


def test_snapshots_that_are_not_ours_are_never_touched(site: Site) -> None:
    foreign = site.root / "foreign"
    settled_file(foreign / "x", b"x")
    restic_of(site.root, "backup", str(foreign))
    restic_of(site.root, "backup", "--tag", "kind=backup,plan=p,asset=recordings", str(foreign))  # not marked as ours
    restic_of(site.root, "backup", "--tag", "ccdr-3,kind=backup,plan=other,asset=recordings", str(foreign))
    # Bears our tags, but has no manifest: it does not count, and is not ours to remove.
    restic_of(site.root, "backup", "--tag", "ccdr-3,kind=backup,plan=p,asset=recordings,run=x", str(foreign))
    every = {s["id"] for s in json.loads(restic_of(site.root, "snapshots", "--json"))}
    ours = set(known(site))
    done = pruned(site)
    left = {s["id"] for s in json.loads(restic_of(site.root, "snapshots", "--json"))}
    assert every - ours <= left and len(done.removed) == 3
    assert done.exit_code == 1 and "does not count" in str(done.findings[0])


def test_snapshots_of_before_the_first_release_are_listed_as_that_and_nothing_else(site: Site) -> None:
    old = site.root / "old"
    settled_file(old / "x", b"x")
    restic_of(site.root, "backup", "--tag", "ccdr,kind=backup,plan=p,asset=recordings,run=x", str(old))
    (of_before,) = set(there(site)) - set(known(site))
    shown = site.run("snapshots", "p")
    assert shown.code == 0 and shown.json["findings"] == [], shown
    assert [(s["id"], s["asset"], s["kind"]) for s in shown.json["of_before"]] == [(of_before, "recordings", "backup")]
    assert of_before not in {s["id"] for s in shown.json["snapshots"]}
    done = pruned(site)
    assert done.exit_code == 0 and len(done.removed) == 3 and of_before in there(site)
    latest = site.run("test", "p")
    assert latest.code == 0 and latest.json["snapshot"]["id"] == known(site)[-1] != of_before
    restic_of(site.root, "forget", of_before)
    gone = site.run("snapshots", "p")
    assert gone.code == 0 and gone.json["findings"] == gone.json["of_before"] == [], "it has not vanished"


def test_a_retired_asset_keeps_its_last_good_snapshot(site: Site) -> None:
    """Whoever renames an asset loses nothing; what is left over in the end is a finding."""
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("recordings:\n", "tapes:\n", 1))
    retention(site, "keep_within: 10d")
    last = known(site)[-1]
    done = pruned(site, timedelta(days=20))
    assert there(site) == [last] and len(done.removed) == 3
    (site.state / "index" / "p.recordings.files.idx").touch()
    later = pruned(site, timedelta(days=120))
    assert there(site) == [last] and "no longer in the plan" in " ".join(map(str, later.findings))
    assert not list((site.state / "index").glob("p.recordings.*"))


def test_a_failed_backups_data_and_marks_go_once_a_newer_good_one_is_there(site: Site) -> None:
    shutil.move(site.root / "tree", site.root / "unmounted")
    assert site.run("backup", "p").code == 1
    held = pruned(site)
    assert held.removed == [] and len(there(site)) == 4, "its last backup failed: nothing goes"
    assert len(there(site, "failed")) == 1
    shutil.move(site.root / "unmounted", site.root / "tree")
    site.backed_up()
    assert site.run("test", "p").code == 0
    done = pruned(site)
    assert done.exit_code == 0 and len(there(site)) == 1
    assert there(site, "failed") == [], "a mark that says nothing any more"
    assert len(there(site, PRUNED)) == 1, "one mark holds what all prunes have removed"


@pytest.mark.parametrize(("rules", "left"), [("keep_last: 1", 1), ("keep_within: 35d", 6)])
def test_what_a_failed_run_stored_unheard_never_comes_to_count(
    site: Site, elsewhere: Site, rules: str, left: int
) -> None:
    """restic stores what it could read, and is ended before it says so. Once a newer good one has made up for the
    failure, that goes by the rules like any other; and as long as it stays its mark does."""
    restic = shutil.which("restic")
    stored = f"*kind=backup*) {restic} --exclude='*/call3.wav' \"$@\" >/dev/null; echo 'Fatal: killed' >&2; exit 1;;"
    site.write("bin/restic", f'#!/bin/sh\ncase "$*" in {stored} esac\nexec {restic} "$@"\n', mode=0o755)
    done = site.run("backup", "p", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert (done.code, done.json["result"]) == (1, "FAILED"), done
    bad = there(site)[-1]
    assert len(there(site)) == 5 and bad not in known(site)
    site.backed_up()
    assert site.run("test", "p").code == 0
    retention(site, rules)
    assert pruned(site).exit_code == 0
    assert len(there(site)) == left and (bad in there(site)) == (left > 1)
    assert len(there(site, "failed")) == (1 if bad in there(site) else 0)
    for host in (site, elsewhere):
        assert host.run("test", "p").code == 0
        assert bad not in known(host)


def test_nothing_goes_while_the_last_test_has_failed(site: Site) -> None:
    newest = known(site)[-1]
    entry = site.state / "catalogue" / "p" / "recordings" / f"{newest}.json"
    body = json.loads(entry.read_text())
    entry.write_text(json.dumps({**body, "manifest": body["manifest"].replace('"files":', '"files" :')}))
    assert site.run("test", "p").json["verdict"] == "FAIL"
    entry.write_text(json.dumps(body))
    done = pruned(site)
    assert done.removed == [] and len(there(site)) == 4
    assert site.records("prune.end")[-1]["held"], "what is held is recorded, and since when"
    assert site.run("test", "p").code == 0
    assert len(pruned(site).removed) == 3


def test_a_vanished_snapshot_stops_all_removal_until_its_own_time_is_up(site: Site) -> None:
    retention(site, "keep_within: 10d")
    lost = known(site)[1]
    restic_of(site.root, "forget", lost)
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 1 and "vanished" in texts(done.json["prune"]["findings"])[0], done
    assert len(there(site)) == 3 and done.json["prune"]["removed"] == []
    later = pruned(site, timedelta(days=11))
    assert [(s.id, "vanished" in why) for s, why in later.removed] == [(lost, True)]


def test_nobody_reads_or_adds_while_old_data_is_removed(site: Site) -> None:
    services, location = site.services(), site.loaded().plan.repository.location
    with services.state.reading(location):
        done = site.run("upkeep", "p", "--prune")
        assert done.code == 5 and done.json["prune"]["result"] == "LOCKED", done
        assert site.run("test", "p").code == 0, "any number may read"
        assert site.run("upkeep", "p", "--check").code == 0
    before = len(site.records())
    with services.state.rewriting(location):
        for verb in (["test", "p"], ["backup", "p"], ["upkeep", "p", "--check"]):
            assert site.run(*verb).code == 5
    assert len(there(site)) == 4 and len(site.records()) == before, "not a failure, only later"


def test_a_repository_that_keeps_what_was_forgotten_is_told(site: Site) -> None:
    """An append-only key: restic says so and exits with 0. The catalogue keeps them, too."""
    snapshots = site.repo / "snapshots"
    stub = site.root / "bin" / "restic"
    real = shutil.which("restic")
    site.write("bin/restic", f'#!/bin/sh\ncase " $* " in *" forget "*) exit 0;; esac\nexec {real} "$@"\n', mode=0o755)
    done = site.run("upkeep", "p", "--prune", env={"PATH": f"{stub.parent}:{os.environ['PATH']}"})
    assert done.code == 3 and "kept 3 of the snapshots" in done.json["prune"]["reason"], done
    assert len(known(site)) == 4 and len(list(snapshots.iterdir())) == 6, "four, the plan, and the mark"
    assert site.run("test", "p").json["findings"] == []
    assert site.run("upkeep", "p", "--prune").code == 0 and len(there(site)) == 1


def test_counted_rules_are_restics(tmp_path: Path) -> None:
    with_repository(Site(tmp_path))
    settled_file(tmp_path / "x", b"x")
    start = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    gaps = [0, 1, 1, 20, 3, 30, 24, 170, 5, 500, 24, 24, 700, 2, 2, 2]  # hours
    when = start
    for gap in gaps:
        when += timedelta(hours=gap)
        restic_of(tmp_path, "backup", "--time", f"{when:%Y-%m-%d %H:%M:%S}", str(tmp_path / "x"))
    listed = json.loads(restic_of(tmp_path, "snapshots", "--json"))
    found = [a_snapshot(s["id"], datetime.fromisoformat(s["time"])) for s in listed]
    assert len(found) == len(gaps)
    for rules in (
        {"keep_last": 3},
        {"keep_hourly": 4},
        {"keep_daily": 3},
        {"keep_daily": 50},
        {"keep_weekly": 2},
        {"keep_monthly": 2, "keep_yearly": 1},
        {"keep_last": 1, "keep_hourly": 2, "keep_daily": 4, "keep_weekly": 3, "keep_monthly": 9},
    ):
        flags = [w for name, n in rules.items() for w in (f"--{name.replace('_', '-')}", str(n))]
        said = json.loads(restic_of(tmp_path, "forget", "--dry-run", "--json", "--group-by", "", *flags))
        theirs = {s["id"] for group in said for s in group["keep"]}
        assert kept_by_rules(found, Policy(**rules), when, UTC).keys() == theirs, rules


def a_snapshot(snapshot_id: str, when: datetime) -> Snapshot:
    return counted(snapshot_id, "p", "a", "r", "files", "copy", when, when, 1, "/", "0" * 64)
