"""Retention and checks of the repository: what goes, what never goes, and what an interrupted prune leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.faulty_proxy import Mode, faulty_proxy
from tests.support.harness import Quiet, ShiftedClock, Site, eventually, killed
from tests.support.older import append_older
from tests.support.stored import (
    LIMITS,
    again,
    assert_clean,
    copy_of,
    on_store,
    other_host,
    pristine,
    restic_of,
    retained,
    settled_file,
    with_repository,
)

from ccdr.demo.store import Store
from ccdr.jobs.upkeep import Check, Prune, check, prune
from ccdr.model.retention import Policy, kept_by_rules
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import Snapshot
from ccdr.storage import upkeep as storage
from ccdr.storage.catalogue import PRUNED

KEEP_ONE = f"retention: {{keep_last: 1}}\nupkeep: {{parts: 4}}\n{LIMITS}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Four backups, the second and the last of them tested good; retention keeps one."""
    return retained(tmp_path_factory.mktemp("upkeep"), 4, 60_000, KEEP_ONE, passed={1, 3})


@pytest.fixture(scope="module")
def made_and_kept(made: Site) -> Path:
    return pristine(made)


@pytest.fixture
def site(made: Site, made_and_kept: Path) -> Site:
    return again(made, made_and_kept)


def retention(site: Site, rules: str, parts: int = 4) -> None:
    path = site.root / "plans" / "p.yaml"
    lines = path.read_text().splitlines(keepends=True)
    lines = [f"retention: {{{rules}}}\n" if n.startswith("retention:") else n for n in lines]
    path.write_text("".join(f"upkeep: {{parts: {parts}}}\n" if n.startswith("upkeep:") else n for n in lines))


def known(site: Site, asset: str = "recordings") -> list[str]:
    return [s.id for s in site.services().catalogue.snapshots("p", asset)]


def there(site: Site, kind: str = "backup") -> list[str]:
    """In the repository, whatever ccdr says of it; oldest first."""
    listed = json.loads(restic_of(site.root, "snapshots", "--json", "--no-lock") or "[]") or []
    return [s["id"] for s in listed if f"kind={kind}" in (s.get("tags") or ())]


def fingerprint(site: Site) -> dict[str, int]:
    parts = ("data", "index", "snapshots", "locks")
    return {str(p): p.stat().st_size for part in parts for p in (site.repo / part).rglob("*") if p.is_file()}


def pruned(site: Site, shift: timedelta = timedelta(0)) -> Prune:
    return prune(site.loaded(), site.services(ShiftedClock(shift)), Quiet())


def checked(site: Site) -> Check:
    return check(site.loaded(), site.services(), Quiet())


# --- what goes and what stays ---------------------------------------------------------------------------------


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
    assert len(overdue.findings) == 4 and "should have gone on" in overdue.findings[0]
    assert site.records("prune.end")[-1]["findings"] == overdue.findings
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
    restic_of(site.root, "backup", "--tag", "ccdr,kind=backup,plan=other,asset=recordings", str(foreign))
    # Bears our tags, but has no manifest: it does not count, and is not ours to remove.
    restic_of(site.root, "backup", "--tag", "ccdr,kind=backup,plan=p,asset=recordings,run=x", str(foreign))
    every = {s["id"] for s in json.loads(restic_of(site.root, "snapshots", "--json"))}
    ours = set(known(site))
    done = pruned(site)
    left = {s["id"] for s in json.loads(restic_of(site.root, "snapshots", "--json"))}
    assert every - ours <= left and len(done.removed) == 3
    assert done.exit_code == 1 and "does not count" in done.findings[0]


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
    assert there(site) == [last] and "no longer in the plan" in " ".join(later.findings)
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
    assert done.code == 1 and "vanished" in done.json["prune"]["findings"][0], done
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


# --- interrupted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["asking", "removing 3", "forgotten", "removing data", "pruning"])
def test_a_killed_prune_is_finished_by_the_next_one(site: Site, step: str) -> None:
    """SIGKILL at each step: no snapshot is lost that was to stay, none is called vanished, and no lock stays."""
    last, slow = known(site)[-1], site.root / "slow"
    # `forgotten` and `pruning`: killed after restic has begun that step, before ccdr has noted anything.
    hang = {"forgotten": 'case " $* " in *" forget "*) "$R" "$@"; touch "$S"; exec sleep 60;; esac',
            "pruning": 'case " $* " in *" prune "*) (sleep 0.3; touch "$S") & exec "$R" "$@";; esac'}.get(step, "")  # fmt: skip
    site.write("bin/restic", f'#!/bin/sh\nR={shutil.which("restic")} S={slow}\n{hang}\nexec "$R" "$@"\n', mode=0o755)
    process = site.start("upkeep", "p", "--prune", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert process.stderr
    if hang:
        assert eventually(slow.exists, 60)
    else:
        while step not in process.stderr.readline():
            assert process.poll() is None
    killed(process)
    if step in ("forgotten", "pruning"):
        assert there(site) == [last]
    tested = site.run("test", "p")
    assert (tested.code, tested.json["verdict"], tested.json["findings"]) == (0, "PASS", []), tested
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0, done
    assert known(site) == there(site) == [last]
    assert len(there(site, PRUNED)) == 1
    assert restic_of(site.root, "list", "locks", "--no-lock").split() == []
    restic_of(site.root, "check", "--read-data")
    site.run("sandbox", "reap")
    assert_clean(site)


def test_an_interrupted_prune_is_recorded(site: Site) -> None:
    stub = f'#!/bin/sh\ncase " $* " in *" prune "*) touch {site.root}/now; sleep 30;; esac\nexec {shutil.which("restic")} "$@"\n'
    site.write("bin/restic", stub, mode=0o755)
    process = site.start("upkeep", "p", "--prune", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert eventually((site.root / "now").exists, 60)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 3
    record = site.records("prune.end")[-1]
    assert (record["result"], record["reason"], len(record["removed"])) == ("FAILED", "interrupted", 3)
    assert_clean(site)


# --- two hosts ----------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(site: Site, tmp_path: Path) -> Site:
    """Another host, which knows all four snapshots."""
    other = other_host(site, tmp_path / "elsewhere")
    assert other.run("test", "p").code == 0 and len(known(other)) == 4
    return other


def test_another_host_learns_what_retention_removed(site: Site, elsewhere: Site) -> None:
    assert len(pruned(site).removed) == 3
    done = elsewhere.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "PASS", []), done
    assert known(elsewhere) == known(site)
    settled_file(site.root / "tree" / "new.wav", b"new")
    site.backed_up()
    assert site.run("test", "p").code == 0 and len(pruned(site).removed) == 1
    late = other_host(site, elsewhere.root.parent / "late")
    shutil.copytree(elsewhere.state, late.state)
    shutil.rmtree(late.state / "catalogue")
    shutil.copytree(site.root.with_name(f"{site.root.name}-kept") / "state" / "catalogue", late.state / "catalogue")
    assert len(known(late)) == 4
    done = late.run("test", "p")
    assert (done.code, done.json["findings"]) == (0, []), "a mark tells of earlier prunes, too"


def test_what_another_hosts_prune_removed_is_never_called_vanished_whatever_the_rules_have_become(
    site: Site, elsewhere: Site
) -> None:
    """A host that only backs up learns of it by the daily look; the newest has vanished all the same."""
    asked(elsewhere, "backup")
    assert len(pruned(site).removed) == 3
    retention(elsewhere, "keep_last: 10")
    done = elsewhere.run("ledger", "verify", "--repository")
    assert (done.code, done.json["problems"]) == (0, []), done
    assert known(elsewhere) == known(site), "before the mark forgets"
    restic_of(site.root, "forget", *known(site))
    done = elsewhere.run("ledger", "verify", "--repository")
    assert done.code == 1 and any("it vanished" in said for said in done.json["problems"]), done


def asked(site: Site, *verbs: str) -> None:
    """What runs there are for."""
    body = {"verbs": list(verbs), "gained": list(verbs), "lost": [], "reason": None}
    site.services().ledger.append("duties", plan="p", asset=None, run=None, body=body)


def plant(site: Site, ids: list[str]) -> None:
    """What somebody with the repository's password can do: remove snapshots, and leave a mark as if we had."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    mark = site.root / "pruned"
    mark.write_text("".join(f"recordings {i} {now}\n" for i in ids))
    restic_of(site.root, "backup", "--tag", "ccdr,kind=pruned,plan=p,run=x", str(mark))
    restic_of(site.root, "forget", *ids)


def test_a_planted_mark_does_not_hide_what_retention_would_have_kept(site: Site, elsewhere: Site) -> None:
    retention(site, "keep_within: 10d")
    retention(elsewhere, "keep_within: 10d")
    plant(site, known(site)[:2])
    for host in (site, elsewhere):
        done = host.run("test", "p")
        assert done.code == 1 and sum("vanished" in f for f in done.json["findings"]) == 2, done


def test_a_planted_mark_does_not_hide_that_the_newest_is_gone(site: Site, elsewhere: Site) -> None:
    plant(site, known(site)[-1:])
    for host in (site, elsewhere):
        done = host.run("test", "p")
        assert (done.code, done.json["verdict"]) == (1, "FAIL") and "vanished" in done.json["reason"], done


def test_a_planted_mark_never_explains_the_last_one_however_old(site: Site) -> None:
    """All of them are past their time, so that retention alone would let every one go: the last one has vanished."""
    retention(site, "keep_within: 10d")
    last = known(site)[-1]
    plant(site, known(site))
    late, loaded = site.services(ShiftedClock(timedelta(days=30))), site.loaded()
    limits = loaded.plan.limits_of("recordings")
    told = late.synchronise(loaded, late.repository(loaded, limits), ["recordings"])
    assert last in [s.id for s in told.vanished]


def test_without_a_mark_what_is_gone_has_vanished(site: Site, elsewhere: Site) -> None:
    restic_of(site.root, "forget", known(site)[0])
    assert "vanished" in elsewhere.run("test", "p").json["findings"][0]


def test_a_damaged_mark_explains_nothing_and_stops_nothing(site: Site) -> None:
    mark = site.root / "pruned"
    mark.write_bytes(b"\xff\x00 nonsense\nrecordings " + known(site)[0].encode() + b" yesterday\n")
    restic_of(site.root, "backup", "--tag", "ccdr,kind=pruned,plan=p,run=x", str(mark))
    restic_of(site.root, "forget", known(site)[0])
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS") and "vanished" in done.json["findings"][0], done


def test_a_prune_on_another_host_while_a_test_fetches_is_no_bad_backup(site: Site) -> None:
    """restic's restore takes no lock, so a prune elsewhere may take its files away."""
    hang = f'case " $* " in *" restore "*) {shutil.which("restic")} -r {site.repo} --no-cache --password-file {site.root}/plans/key '
    mark = "backup --tag ccdr,kind=pruned,plan=p,run=elsewhere /etc/hostname >/dev/null; echo 'Fatal: pack not found' >&2; exit 1;; esac"
    site.write("bin/restic", f'#!/bin/sh\n{hang}{mark}\nexec {shutil.which("restic")} "$@"\n', mode=0o755)
    done = site.run("test", "p", env={"PATH": f"{site.root}/bin:{os.environ['PATH']}"})
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "elsewhere" in done.json["reason"]
    assert site.run("test", "p").json["verdict"] == "PASS"


# --- reading what is there ----------------------------------------------------------------------------------------


def packs(site: Site) -> list[Path]:
    found = [p for p in (site.repo / "data").rglob("*") if p.is_file()]
    return sorted(found, key=lambda p: p.stat().st_size)


def flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def part_of(pack: Path, parts: int) -> int:
    """restic's rule: the first byte of its name."""
    return int(pack.name[:2], 16) % parts + 1


def test_as_many_checks_as_parts_cover_everything(site: Site) -> None:
    found = [checked(site) for _ in range(5)]
    assert [(c.part, c.covered, c.full_since is not None) for c in found] == [
        (1, 1, False), (2, 2, False), (3, 3, False), (4, 4, True), (1, 1, True)
    ]  # fmt: skip
    assert all(c.result == "CLEAN" and c.exit_code == 0 for c in found)
    assert found[4].full_since and found[3].full_since and found[4].full_since > found[3].full_since
    record = site.records("check.end")[-1]
    assert (record["part"], record["parts"], record["covered"], record["findings"]) == (1, 4, 1, [])
    retention(site, "keep_last: 1", parts=2)  # another division: from the beginning
    again = checked(site)
    assert (again.part, again.covered, again.full_since) == (1, 1, None)
    assert_clean(site)


def test_a_flipped_byte_is_found_by_its_own_part_and_reddens_until_tested_good(site: Site) -> None:
    # In what only older snapshots hold: the newest can still be restored.
    settled_file(site.root / "tree" / "call9.wav", os.urandom(90_000))
    (site.root / "tree" / "call0.wav").unlink()
    site.backed_up()
    assert site.run("test", "p").code == 0
    damaged = pack_of_first_recording(site)
    flip(damaged)
    mine = part_of(damaged, 4)
    for part in range(1, 5):
        done = site.run("upkeep", "p", "--check")
        assert done.json["check"]["part"] == part
        if part == mine:
            assert (done.code, done.json["check"]["result"]) == (1, "DAMAGED"), done
            assert damaged.name[:8] in done.json["check"]["reason"]
        else:
            assert (done.code, done.json["check"]["result"]) == (0, "CLEAN"), done
    assert (done.json["check"]["covered"], done.json["check"]["full_since"]) == (3, None)
    assert any("found the repository damaged" in p for p in problems(site))
    assert pruned(site).removed == [], "nothing goes while it may be needed"
    assert site.run("test", "p").json["verdict"] == "PASS"
    assert not any("damaged" in p for p in problems(site))


def test_a_backup_into_a_damaged_repository_counts_once_it_has_passed(site: Site, tmp_path: Path) -> None:
    """restic stores nothing that its index says is there already: the new snapshot stands on the missing pack."""

    def asked(*words: str) -> tuple[int, dict[str, Any]]:
        done = site.run(*words)
        return done.code, done.json

    def good() -> tuple[str | None, str]:
        (found,) = site.run("status", "p").json["plans"][0]["assets"]
        return (found["last_good_backup"] or {}).get("snapshot", {}).get("id"), found["rpo"]["verdict"]

    def intention() -> list[str]:
        code, done = asked("restore", "p", "--asset", "recordings", "--to", str(tmp_path / "back"), "--dry-run")
        assert code == 0, done
        return [note for note in done["would_restore"]["notes"] if "damaged" in note]

    first, passed, third, newest = known(site)
    assert good() == (newest, "MET") and not intention()
    pack, aside = pack_of_first_recording(site), tmp_path / "pack"
    shutil.move(pack, aside)
    code, test = asked("test", "p")
    assert (code, test["verdict"], test["damaged"]) == (1, "FAIL", True) and good()[0] == passed, test
    assert asked("upkeep", "p", "--check")[1]["check"]["result"] == "DAMAGED"
    code, backup = asked("backup", "p")
    added = known(site)[-1]
    assert (code, backup["result"]) == (0, "STORED") and added not in (first, passed, third, newest)
    (note,) = [note for note in backup["notes"] if "damaged" in note]
    assert "`ccdr test p --asset recordings --snapshot latest`" in note and "docs/how-to/recover.md" in note, note
    assert good()[0] == passed and any("2 newer snapshots do not count" in p for p in problems(site))
    (note,) = intention()
    assert "was stored after that" in note and added[:8] in note, note
    assert asked("test", "p", "--snapshot", passed)[1]["rpo"]["verdict"] == "BREACHED"
    assert good() == (None, "BREACHED"), "whatever was tested has failed"
    answer = site.run("report").json["answer"]
    assert answer["word"] == "No" and "cannot be restored" in answer["sentence"], answer
    shutil.move(aside, pack)  # whole again: its undamaged twin
    code, test = asked("test", "p")
    assert (code, test["verdict"], test["damaged"], test["rpo"]["verdict"]) == (0, "PASS", False, "MET"), test
    assert good() == (added, "MET") and not intention()
    code, backup = asked("backup", "p")
    assert code == 0 and not any("damaged" in note for note in backup["notes"]) and good()[0] == known(site)[-1]
    assert_clean(site)


def test_all_of_the_data_is_read_where_somebody_asks_and_heals_what_a_part_found(site: Site) -> None:
    damaged = pack_of_first_recording(site)
    flip(damaged)
    done = site.run("upkeep", "--check", "--all-data")  # of all plans: no name
    (told,) = done.json["plans"]
    assert (done.code, told["plan"], told["check"]["result"]) == (1, "p", "DAMAGED") and "prune" not in told, done
    assert damaged.name[:8] in told["check"]["reason"] and told["check"]["all_data"] is True
    assert "docs/how-to/recover.md, A damaged repository" in told["check"]["hint"], told
    words = said(site, "upkeep", "p", "--check", "--all-data")
    assert words.startswith("DAMAGED  p  all of the data was read in ") and ", and some of it is damaged\n" in words
    assert "0 of 4" not in words and "no part counts as clean until all of the data is read and found clean" in words
    assert "snapshots that need the damaged bytes cannot be restored whole" in words, words
    assert damaged.name[:8] in words, words
    near = next_step(Trouble.REPOSITORY_NEAR, "p", None)
    told_steps = [line for line in said(site, "status", "p").splitlines() if line.startswith("  → ")]
    steps = [line for line in told_steps if line != f"  → {near}"]
    assert steps and not any("--all-data" in line for line in steps), "that would say the same again"
    assert all("ccdr test p" in line and "docs/how-to/recover.md, A damaged repository" in line for line in steps), (
        steps
    )
    shown = site.run("status", "p").json["plans"][0]["problems"]
    assert shown == ["a check that read all of the repository's data found some of it DAMAGED"]
    flip(damaged)
    for _ in range(3):
        assert checked(site).result == "CLEAN"
    assert site.run("status", "p").json["plans"][0]["problems"], "a part of it was not read again"
    done = site.run("upkeep", "p", "--check", "--all-data")
    assert done.code == 0 and done.json["check"]["full_since"] and done.json["check"]["covered"] == 4, done
    assert site.run("status", "p").json["plans"][0]["problems"] == []
    assert checked(site).part == 1
    assert site.run("upkeep", "--prune", "--all-data").code == 2
    assert_clean(site)


def said(site: Site, *words: str) -> str:
    """What a person reads."""
    return site.start(*words).communicate()[0]


def problems(site: Site) -> list[str]:
    return list(site.run("status", "p").json["plans"][0]["assets"][0]["problems"])


def pack_of_first_recording(site: Site) -> Path:
    """The oldest pack that is large enough to hold it."""
    return min((p for p in packs(site) if p.stat().st_size > 60_000), key=lambda p: p.stat().st_mtime)


@pytest.mark.parametrize("what", ["pack", "index", "snapshot"])
def test_missing_files_are_damage_at_the_first_check(site: Site, what: str) -> None:
    target = {"pack": packs(site)[-1], "index": sorted((site.repo / "index").iterdir())[0],
              "snapshot": site.repo / "snapshots" / known(site)[1]}[what]  # fmt: skip
    target.unlink() if what != "snapshot" else flip(target)
    found = checked(site)
    assert (found.result, found.exit_code) == ("DAMAGED", 1), found
    assert found.reason and found.findings and len(found.reason) < 2000


def test_a_repository_that_is_away_proves_nothing(site: Site) -> None:
    site.repo.rename(site.root / "unmounted")
    away = site.run("upkeep", "p")
    assert away.code == 3, away
    assert (away.json["check"]["result"], away.json["prune"]["result"]) == ("INCONCLUSIVE", "FAILED")
    assert not site.repo.exists()
    (site.root / "unmounted").rename(site.repo)
    found = site.run("upkeep", "p", "--check")
    assert (found.code, found.json["check"]["part"]) == (0, 1), "what was not read is still to be read"
    assert_clean(site)


def is_locked(site: Site) -> bool:
    """A whole lock file is there; restic writes it under another name first."""
    return any("tmp" not in path.name for path in (site.repo / "locks").iterdir())


def test_a_prune_waits_for_backups_of_other_hosts_and_a_check_does_not(site: Site) -> None:
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD_FILE": str(site.root / "plans" / "key")}
    argv = ["restic", "-r", str(site.repo), "--no-cache", "backup", "--stdin"]
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as backup:
        assert eventually(lambda: is_locked(site))
        done = site.run("upkeep", "p")
        assert done.code == 3 and "locked" in done.json["prune"]["reason"], done
        assert done.json["check"]["result"] == "CLEAN"
        backup.kill()
    assert len(there(site)) == 4
    healed = site.run("upkeep", "p", "--prune")  # the dead backup's lock goes
    assert (healed.code, len(there(site))) == (0, 1), healed
    assert_clean(site)


def test_damage_that_may_be_another_hosts_prune_proves_nothing(site: Site) -> None:
    """restic's exclusive lock is held, its owner alive: what is missing may just have been replaced."""
    flip(packs(site)[-1])
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD_FILE": str(site.root / "plans" / "key")}
    with subprocess.Popen(["restic", "-r", str(site.repo), "--no-cache", "check", "--read-data"], env=env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holder:  # fmt: skip
        assert eventually(lambda: is_locked(site))
        holder.send_signal(signal.SIGSTOP)
        retention(site, "keep_last: 1", parts=1)
        checked_now, tested = site.run("upkeep", "p", "--check"), site.run("test", "p")
        holder.kill()
    assert checked_now.code == 3 and "holds the repository" in checked_now.json["check"]["reason"], checked_now
    assert (tested.code, tested.json["verdict"]) == (3, "INCONCLUSIVE"), tested
    assert_stale_lock_hides_nothing(site)


def assert_stale_lock_hides_nothing(site: Site) -> None:
    restic_of(site.root, "unlock")
    assert site.run("upkeep", "p", "--check").json["check"]["result"] == "DAMAGED"
    assert site.run("test", "p").json["verdict"] == "FAIL"


def test_on_a_real_store(site: Site, store: Store) -> None:
    on_store(site, store, "ccdr-upkeep")
    retention(site, "keep_last: 1", parts=2)
    done = site.run("upkeep", "p")
    assert done.code == 0, done
    assert len(done.json["prune"]["removed"]) == 3 and len(known(site)) == 1
    assert done.json["prune"]["repository_bytes"] > 60_000 and done.json["prune"]["freed_bytes"] >= 0
    assert done.json["prune"]["capacity"]["free_bytes"] is None
    assert site.run("upkeep", "p", "--check").json["check"]["full_since"]
    tested = site.run("test", "p")
    assert (tested.code, tested.json["findings"]) == (0, []), tested
    assert_clean(site)


def test_a_store_that_breaks_during_upkeep_is_no_damage_and_loses_nothing(
    site: Site, store: Store, tmp_path: Path
) -> None:
    modes: tuple[Mode, ...] = ("5xx", "reset", "stall")
    for mode in modes:
        (tmp_path / mode).mkdir()
    with ThreadPoolExecutor(len(modes)) as pool:  # they wait more than they work
        list(pool.map(lambda mode: breaks(copy_of(site, tmp_path / mode), store, mode), modes))


def breaks(site: Site, store: Store, mode: Mode) -> None:
    with faulty_proxy(store.endpoint) as proxy:
        on_store(site, store, f"ccdr-upkeep-{mode}", endpoint=proxy.endpoint)
        retention(site, "keep_last: 1", parts=1)
        last = known(site)[-1]
        proxy.after(12_000, mode)
        found = site.run("upkeep", "p", "--check")
        assert proxy.tripped.is_set()
        assert (found.code, found.json["check"]["result"]) == (3, "INCONCLUSIVE"), found
        for size in (9_000, 25_000, 45_000):  # while asking, while removing, while pruning
            proxy.set("pass")
            proxy.after(size, mode)
            done = site.run("upkeep", "p", "--prune")
            assert done.code in (0, 3), done
        proxy.set("pass")
        for flag in ("--prune", "--check"):
            healed = site.run("upkeep", "p", flag)
            assert healed.code == 0, healed
        tested = site.run("test", "p")
        assert (tested.code, tested.json["findings"]) == (0, []), tested
        assert known(site) == [last]
        assert problems(site) == []
    assert_clean(site)


def test_sizes_are_recorded_and_tell_when_the_disk_is_full(site: Site) -> None:
    services = site.services()
    for days, size in ((20, 10**9), (10, 2 * 10**9)):
        old = site.services(ShiftedClock(timedelta(days=-days)))
        append_older(old.ledger, "check.end", plan="p", asset=None, run=f"r{days}",
                          body={"result": "INCONCLUSIVE", "part": 1, "parts": 4, "repository_bytes": size})  # fmt: skip
    found = checked(site)
    assert found.capacity.taken and found.capacity.free
    assert set(services.histories()["p", None].sizes.values()) >= {10**9, 2 * 10**9, found.capacity.taken}
    assert found.capacity.growth is not None
    told = found.as_json()["capacity"]
    assert isinstance(told, dict) and told["repository_bytes"] == found.capacity.taken


def test_a_known_growth_tells_in_how_many_seconds_the_disk_is_full(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte a day for four days, forty of them left: forty days."""
    free = 40 * 10**6
    monkeypatch.setattr(storage, "room", lambda repo: free)
    told: list[dict[str, object]] = []
    for days in (3, 2, 1, 0):
        settled_file(site.root / "tree" / f"day{days}.wav", os.urandom(10**6))
        site.backed_up()
        done = check(site.loaded(), site.services(ShiftedClock(timedelta(days=-days))), Quiet())
        capacity = done.as_json()["capacity"]
        assert isinstance(capacity, dict)
        told.append(capacity)
    assert told[0]["full_in_s"] is told[0]["growth_bytes_per_day"] is None, "one day is no trend"
    sizes = [t["repository_bytes"] for t in told]
    assert all(isinstance(size, int) for size in sizes) and sizes == sorted(sizes)
    for days, capacity in enumerate(told[1:], 2):
        assert capacity["growth_bytes_per_day"] == pytest.approx(10**6, rel=0.02), f"after {days} days"
        assert capacity["full_in_s"] == pytest.approx(40 * 86400, rel=0.02) and capacity["free_bytes"] == free
    monkeypatch.setattr(storage, "room", lambda repo: None)
    assert check(site.loaded(), site.services(), Quiet()).as_json()["capacity"] == {**told[-1], "free_bytes": None, "full_in_s": None}  # fmt: skip


def test_what_does_not_grow_is_never_full(site: Site) -> None:
    for days in (2, 1, 0):
        done = check(site.loaded(), site.services(ShiftedClock(timedelta(days=-days))), Quiet())
    assert done.capacity.growth == 0 and done.capacity.free
    told = done.as_json()["capacity"]
    assert isinstance(told, dict) and (told["growth_bytes_per_day"], told["full_in_s"]) == (0, None)


def test_a_cache_that_nothing_used_for_a_month_goes_and_one_in_use_stays(site: Site) -> None:
    """restic stamps the cache that it uses, whatever ccdr believes of it."""
    caches, long_ago = site.state / "cache", (datetime.now(UTC) - timedelta(days=31)).timestamp()
    (own,) = (path for path in caches.iterdir() if len(path.name) == 64)
    assert any(own.rglob("*")), "restic caches something there"
    other = caches / own.name[::-1]
    shutil.copytree(own, other)
    for path in (own, other):
        os.utime(path, (long_ago, long_ago))
    pruned(site)
    assert own.is_dir() and not other.exists()
    shutil.rmtree(own)  # nothing hangs on one that is gone
    done = site.run("test", "p")
    assert done.json["verdict"] == "PASS", done


# --- restic, asked the same question -------------------------------------------------------------------------------


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
    return Snapshot(snapshot_id, "p", "a", "r", "files", "copy", when, when, 1, "/", "0" * 64)
