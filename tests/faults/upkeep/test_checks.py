"""Reading what is there: checks of the repository, damage, sizes and caches."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.faulty_proxy import Mode, faulty_proxy
from tests.support.harness import Quiet, ShiftedClock, Site, eventually
from tests.support.sparse import append_sparse
from tests.support.stored import assert_clean, copy_of, on_store, restic_of, settled_file
from tests.support.upkeep import known, pruned, retention, there
from tests.support.wording import lines_with

from ccdr.demo.store import DemoStore
from ccdr.jobs.upkeep import Check, check
from ccdr.model.trouble import Trouble, next_step
from ccdr.storage import upkeep as storage


def checked(site: Site) -> Check:
    return check(site.loaded(), site.services(), Quiet())


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
    assert (
        "`ccdr test p --asset recordings" in note and "--snapshot latest`" in note and "docs/how-to/recover.md" in note
    ), note
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


def test_all_of_the_data_is_read_where_somebody_asks_and_heals_what_a_part_found(
    site: Site, wording: SnapshotAssertion
) -> None:
    damaged = pack_of_first_recording(site)
    flip(damaged)
    done = site.run("upkeep", "--check", "--all-data")  # of all plans: no name
    (told,) = done.json["plans"]
    assert (done.code, told["plan"], told["check"]["result"]) == (1, "p", "DAMAGED") and "prune" not in told, done
    assert damaged.name[:8] in told["check"]["reason"] and told["check"]["all_data"] is True
    assert "docs/how-to/recover.md" in told["check"]["hint"] and told["check"]["hint"] == wording, told
    words = said(site, "upkeep", "p", "--check", "--all-data")
    assert words.startswith("DAMAGED  p  all of the data was read ") and ", and some of it is damaged\n" in words
    assert lines_with(words, "no part counts") == wording
    assert "0 of 4" not in words
    assert lines_with(words, "cannot be restored whole") == wording, words
    assert damaged.name[:8] in words, words
    near = next_step(Trouble.REPOSITORY_NEAR, "p", None)
    told_steps = [line for line in said(site, "status", "p").splitlines() if line.startswith("  → ")]
    steps = [line for line in told_steps if line != f"  → {near}" and "ledger verify" not in line]
    assert steps and not any("--all-data" in line for line in steps), "that would say the same again"
    assert all("ccdr test p" in line and "recover.md, A damaged repository" in line for line in steps), steps
    shown = site.run("status", "p").json["plans"][0]["problems"]
    assert shown == wording
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


def test_on_a_real_store(site: Site, store: DemoStore) -> None:
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
    site: Site, store: DemoStore, tmp_path: Path
) -> None:
    modes: tuple[Mode, ...] = ("5xx", "reset", "stall")
    for mode in modes:
        (tmp_path / mode).mkdir()
    with ThreadPoolExecutor(len(modes)) as pool:  # they wait more than they work
        list(pool.map(lambda mode: breaks(copy_of(site, tmp_path / mode), store, mode), modes))


def breaks(site: Site, store: DemoStore, mode: Mode) -> None:
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
        append_sparse(old.ledger, "check.end", plan="p", asset=None, run=f"r{days}",
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
