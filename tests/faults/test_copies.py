"""A second copy of all that a plan's repository holds: at another site, found through what it was copied from."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.copied import OTHER, copied, ids_of, one, restic_of, with_copies, wrong_with
from tests.support.doctor import state_of
from tests.support.harness import Quiet, ShiftedClock, eventually, killed
from tests.support.restored_files import mounted
from tests.support.stored import on_store, settled_file

from ccdr.demo.store import DemoStore, start
from ccdr.jobs.copies import copy
from ccdr.run.scheduled import run


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoStore]:
    """A second store, with keys of its own."""
    running = start(tmp_path_factory.mktemp("far"))
    yield running
    running.stop()


def test_what_was_copied_is_found_by_its_first_id_and_comes_back_with_the_primary_gone(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    done = copied(site)
    assert (done["made"], done["copied"], done["there"]) == (False, {"recordings": 1}, {"recordings": 1})
    again = copied(site)
    assert (again["made"], again["copied"], again["there"]) == (False, {}, {"recordings": 1})
    here, there = site.run("snapshots", "p"), site.run("snapshots", "p", "--from", "Site offsite")
    assert ids_of(here) == ids_of(there) and there.code == 0, there
    shutil.rmtree(site.repo)
    tested = site.run("test", "p", "--from", "offsite")
    assert (tested.code, tested.json["verdict"]) == (0, "PASS"), tested
    back = site.run(
        "restore", "p", "--asset", "recordings", "--from", "offsite", "--to", str(tmp_path / "b"), "--yes-i-mean", "b"
    )
    assert back.code == 0 and (tmp_path / f"b{tmp_path}/tree/a.wav").read_bytes() == b"a" * 5000, back
    site.ledger_holds()
    assert [r["copy"] for r in site.records("restore_test.end")] == ["offsite"]


def test_a_plan_is_recovered_from_its_copy_with_the_primary_gone_and_resumed_and_checked_from_there(
    tmp_path: Path,
) -> None:
    site = with_copies(tmp_path)
    copied(site)
    asked = ["recover", "p", "--under", str(tmp_path / "back"), "--yes-i-mean", "p"]
    even = site.run(*asked, "--from", "Site offsite", "--dry-run")
    (step,) = even.json["would_recover"]["steps"]
    assert step["primary"] is None and "primary" not in str(step["notes"]), "the copy has all of it"
    settled_file(tmp_path / "tree" / "later.wav", b"b" * 5000)
    site.backed_up()
    newest = max(s["consistent_point"] for s in site.run("snapshots", "p").json["snapshots"])
    site.repo.rename(tmp_path / "away")
    dry = site.run(*asked, "--from", "Site offsite", "--dry-run")
    (step,) = dry.json["would_recover"]["steps"]
    assert step["primary"] == newest and f"the primary had it as of {newest}" in step["notes"][0], dry
    assert site.run(*asked).code == 3 and not site.records("recover.start"), "its own repository is gone"
    path, back = os.environ["PATH"], tmp_path / "back/recordings"
    refuses = f'#!/bin/sh\ncase " $* " in *" restore "*) exit 1;; esac\nexec {shutil.which("restic")} "$@"\n'
    site.write("bin/restic", refuses, mode=0o755)
    site.env["PATH"] = f"{tmp_path / 'bin'}:{path}"
    stopped = site.run(*asked, "--from", "Site offsite")
    assert stopped.json["state"] != "done" and not back.exists(), stopped
    site.env["PATH"] = path
    done = site.run("recover", "--resume")
    assert (done.code, done.json["state"]) == (0, "done"), done
    assert (back / f"{tmp_path}/tree/a.wav".lstrip("/")).read_bytes() == b"a" * 5000
    assert done.json["steps"][0]["primary"] == newest and "recordings: the primary had it as of" in str(
        done.json["notes"]
    )
    assert {r["assets"][0]["primary"] for kind in ("start", "end") for r in site.records(f"recover.{kind}")} == {newest}
    site.ledger_holds()
    checked = site.run("recover", "check", "p")
    assert checked.code == 0 and checked.json["steps"][0]["checks"], checked


def test_status_tells_what_a_copy_holds_and_never_counts_it_as_the_plans_own(tmp_path: Path) -> None:
    site = with_copies(tmp_path, "offsite", "cold")
    copied(site, "--copy", "offsite")
    before = site.run("status").json["plans"][0]
    shutil.rmtree(site.repo)
    site.run("test", "p")
    lost = site.run("copy", "p", "--copy", "offsite")
    assert (lost.code, one(lost)["source"], one(lost)["repository"]) == (3, "missing", None), lost
    (now,) = site.run("status").json["plans"]
    assert [p["code"] for p in now["assets"][0]["troubles"]][:1] == ["REPOSITORY_AWAY"], now
    assert "--from offsite" in now["assets"][0]["troubles"][0]["next_step"], now
    wrong = [(p["code"], "there is no repository" in p["text"]) for p in now["troubles"]]
    assert wrong == [("COPY_FAILED", True), ("COPY_UNTESTED", False)], now
    offsite, cold = now["copies"]
    assert (offsite["snapshots"], offsite["last_result"], cold["snapshots"]) == (1, "FAILED", 0)
    assert offsite["assets"]["recordings"]["exposure_s"] > 0 and cold["assets"]["recordings"]["exposure_s"] is None
    assert before["assets"][0]["rpo"]["achieved_s"] is not None
    assert site.run("test", "p", "--from", "offsite").json["verdict"] == "PASS"  # one of two copies lost
    assert now["assets"][0]["coverage"] == site.run("status").json["plans"][0]["assets"][0]["coverage"] == "untested"


def test_what_a_copy_gives_is_told_by_when_it_was_there_and_not_by_when_it_was_stored_elsewhere(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    (here,) = site.run("snapshots", "p").json["snapshots"]
    moment = here["usable_at"]
    done = copied(site)
    (there,) = site.run("snapshots", "p", "--from", "offsite").json["snapshots"]
    assert there["usable_at"] == done["arrived"]["recordings"] > moment
    asked = ["recover", "p", "--under", str(tmp_path / "back"), "--dry-run", "--at"]
    told = site.run(*asked, moment, "--from", "offsite")
    assert told.code == 0, told
    late = told.json["would_recover"]["steps"][0]
    assert [n for n in late["notes"] if "not there yet" in n], late
    for in_time in (site.run(*asked, moment), site.run(*asked, "latest", "--from", "offsite")):
        assert not [n for n in in_time.json["would_recover"]["steps"][0]["notes"] if "not there yet" in n], in_time
    assert copied(site)["arrived"] == done["arrived"]
    site.ledger_holds()


def test_a_copy_that_is_away_is_not_made_anew_and_says_which_it_is(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    copied(site)
    (tmp_path / "offsite").rename(tmp_path / "unmounted")
    done = site.run("copy", "p")
    assert (done.code, one(done)["result"], one(done)["repository"]) == (3, "FAILED", "missing"), done
    assert not (tmp_path / "offsite").exists()
    (trouble,) = wrong_with(site)
    assert trouble["code"] == "COPY_FAILED" and trouble["text"].startswith("the copy offsite (Site offsite): "), trouble
    (tmp_path / "unmounted").rename(tmp_path / "offsite")
    copied(site)
    assert not wrong_with(site)
    site.ledger_holds()


def test_a_wrong_key_of_the_copy_is_told_as_that_and_the_plans_own_goes_on(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    site.write("plans/far.key", "not its password\n", mode=0o600)
    done = site.run("copy", "p")
    assert (done.code, one(done)["repository"], one(done)["source"]) == (3, "closed", None), done
    assert "copies: offsite.password_file" in one(done)["hint"], done
    looked = site.run("doctor", "p")
    assert (state_of(looked, "copy offsite: repository"), state_of(looked, "repository")) == ("FAIL", "OK"), looked
    assert site.run("test", "p").json["verdict"] == "PASS"


def test_a_snapshot_that_vanished_from_the_copy_is_told_and_copied_again(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    copied(site)
    shutil.rmtree(tmp_path / "offsite" / "snapshots")
    (tmp_path / "offsite" / "snapshots").mkdir()
    assert site.run("snapshots", "p").code == 0  # the plan's own has it
    done = site.run("copy", "p")
    assert done.code == 1 and len(one(done)["vanished"]["recordings"]) == 1, done
    assert one(done)["there"] == {"recordings": 1}
    (trouble,) = wrong_with(site)
    assert trouble["code"] == "COPY_VANISHED", trouble
    copied(site)
    assert not wrong_with(site)


def test_a_damaged_pack_of_the_plans_own_is_told_as_damage_and_all_else_is_copied(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    before = {path for path in (site.repo / "data").rglob("*") if path.is_file()}
    settled_file(tmp_path / "tree" / "b.wav", os.urandom(9000))
    site.backed_up()
    pack = max(
        {path for path in (site.repo / "data").rglob("*") if path.is_file()} - before, key=lambda p: p.stat().st_size
    )
    settled_file(tmp_path / "tree" / "c.wav", b"c" * 4000)
    (tmp_path / "tree" / "b.wav").unlink()
    site.backed_up()
    good = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(good[:4000] + bytes([good[4000] ^ 1]) + good[4001:])
    done = site.run("copy", "p")
    assert (done.code, one(done)["damaged"], one(done)["there"]) == (1, True, {"recordings": 2}), done
    assert len(one(done)["lacking"]["recordings"]) == 1 and one(done)["repository"] is None
    assert "COPY_FAILED" in [p["code"] for p in wrong_with(site)]
    assert site.run("test", "p", "--from", "offsite").json["verdict"] == "PASS"  # what is there is whole
    pack.write_bytes(good)
    assert copied(site)["copied"] == {"recordings": 1}
    site.ledger_holds()


def test_a_copying_that_was_killed_is_told_and_goes_on_and_nothing_is_there_twice(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    for number in range(3):
        settled_file(tmp_path / "tree" / f"{number}.wav", os.urandom(9_000_000))
        site.backed_up()
    process = site.start("copy", "p")
    assert eventually(lambda: any((tmp_path / "offsite" / "locks").iterdir()), 60)
    killed(process)
    codes = [p["code"] for p in wrong_with(site)]
    assert codes == ["COPY_FAILED"], codes
    done = copied(site)
    assert done["there"] == {"recordings": 4} and not wrong_with(site)
    originals = [s["original"] for s in restic_of(tmp_path / "offsite", "snapshots")]
    assert len(originals) == len(set(originals)) == 4 + len(site.records("plan.stored"))
    site.ledger_holds()


def test_a_full_disk_at_the_copy_is_told_as_that_and_what_is_there_stays(tmp_path: Path) -> None:
    site = with_copies(tmp_path)
    copied(site)
    (tmp_path / "offsite").rename(tmp_path / "kept")
    mounted(tmp_path / "offsite", "2m")
    try:
        shutil.copytree(tmp_path / "kept", tmp_path / "offsite", dirs_exist_ok=True)
        settled_file(tmp_path / "tree" / "b.wav", os.urandom(6_000_000))
        site.backed_up()
        done = site.run("copy", "p")
        assert (done.code, one(done)["result"], one(done)["damaged"]) == (3, "FAILED", False), done
        assert "no room" in one(done)["reason"] and str(tmp_path / "offsite") in one(done)["reason"], done
        assert site.run("test", "p", "--from", "offsite").json["verdict"] == "PASS"
        subprocess.run(["mount", "-o", "remount,size=64m", tmp_path / "offsite"], check=True)
        assert copied(site)["there"] == {"recordings": 2}
    finally:
        subprocess.run(["umount", tmp_path / "offsite"], check=True)


def test_a_copy_that_another_program_holds_is_waited_for_and_then_told(tmp_path: Path) -> None:
    site = with_copies(tmp_path, extra="limits: {lock_wait: 1s}\n")
    argv = ["restic", "-r", str(tmp_path / "offsite"), "--no-cache", "check", "--read-data"]
    holder = subprocess.Popen(argv, env={**os.environ, "RESTIC_PASSWORD": OTHER}, stdout=subprocess.DEVNULL)
    assert eventually(lambda: any((tmp_path / "offsite" / "locks").iterdir()), 30)
    holder.send_signal(signal.SIGSTOP)
    done = site.run("copy", "p")
    assert (done.code, one(done)["result"]) == (3, "FAILED") and "locked" in one(done)["reason"], done
    holder.send_signal(signal.SIGCONT)
    assert holder.wait(60) == 0
    assert copied(site)["copied"] == {"recordings": 1}


def test_a_snapshot_that_was_captured_badly_counts_nowhere_and_one_that_is_damaged_counts_elsewhere(
    tmp_path: Path,
) -> None:
    site = with_copies(tmp_path, calls=2)
    copied(site)
    with closing(sqlite3.connect(tmp_path / "cdr.db")) as calls:
        calls.execute("insert into call values (3)")
        calls.commit()
    site.backed_up()
    copied(site)
    sql = "  - {kind: sql, name: few calls, query: select count(*) from call, expect: 2}\n"
    site.write("restore_tests/cdr.yaml", "restore_test: cdr\nchecks:\n  - {kind: identical}\n" + sql)
    there = site.run("test", "p", "--from", "offsite")
    assert there.json["verdict"] == "FAIL" and not there.json["damaged"], there
    here = {s["id"]: s["counts"] for s in site.run("snapshots", "p").json["snapshots"]}
    assert list(here.values()) == [True, False], here
    site.write("restore_tests/cdr.yaml", "restore_test: cdr\nchecks:\n  - {kind: identical}\n")
    assert site.run("test", "p").json["verdict"] == "PASS"
    for pack in (tmp_path / "offsite" / "data").rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(bytes([pack.read_bytes()[0] ^ 1]) + pack.read_bytes()[1:])
    damaged = site.run("test", "p", "--from", "offsite")
    assert (damaged.json["verdict"], damaged.json["damaged"]) == ("FAIL", True), damaged
    assert {s["id"]: s["counts"] for s in site.run("snapshots", "p").json["snapshots"]} == dict.fromkeys(here, True)
    codes = [p["code"] for p in wrong_with(site)]
    assert codes == ["COPY_TEST_FAILED"], codes


def test_a_copy_keeps_by_its_own_retention_whatever_the_plans_own_prunes(tmp_path: Path) -> None:
    """And what the copy has let go is not copied there again."""
    retention = "retention: {keep_last: 1}\n"
    site = with_copies(tmp_path, "longer", "shorter", extra=retention, more=", retention: {keep_last: 3}")
    path = tmp_path / "plans" / "p.yaml"
    text = path.read_text("utf-8")
    first, _, rest = text.partition("  shorter: ")
    path.write_text(first + "  shorter: " + rest.replace("keep_last: 3", "keep_last: 1", 1), "utf-8")
    for number in range(3):
        settled_file(tmp_path / "tree" / "a.wav", bytes([number]) * 5000)
        site.backed_up()
        assert site.run("copy", "p").code == 0
    for place in ([], ["--from", "longer"], ["--from", "shorter"]):
        site.run("test", "p", *place)
        assert site.run("upkeep", "p", "--prune", *place).code == 0
    held = {
        place: len(ids_of(site.run("snapshots", "p", "--from", place))) for place in ("primary", "longer", "shorter")
    }
    assert held == {"primary": 1, "longer": 3, "shorter": 1}
    again = {one["copy"]: one["copied"] for one in site.run("copy", "p").json["copies"]}
    assert again == {"longer": {}, "shorter": {}}
    assert not wrong_with(site)
    site.ledger_holds()


def test_a_clock_that_jumps_neither_empties_a_copy_nor_keeps_it_from_being_filled(tmp_path: Path) -> None:
    site = with_copies(tmp_path, extra="retention: {keep_within: 35d}\n")
    copied(site)
    later = site.services(ShiftedClock(timedelta(days=400)))
    done = copy(site.loaded(), "offsite", later, Quiet())
    assert (done.result, done.there, done.vanished) == ("DONE", {"recordings": 1}, {})
    earlier = site.services(ShiftedClock(timedelta(days=-400)))
    done = copy(site.loaded(), "offsite", earlier, Quiet())
    assert done.there is not None and done.lacking == {} and done.vanished == {}
    settled_file(tmp_path / "tree" / "b.wav", b"b")
    site.backed_up()
    assert copied(site)["there"] == {"recordings": 2}


def test_a_run_fills_the_copies_when_they_are_due_tests_from_them_and_tells_what_was_missed(tmp_path: Path) -> None:
    site = with_copies(tmp_path, more=", test_every: 1")
    now = datetime.now(UTC)  # from a Monday's noon on, so that one Sunday's test lies within these days
    monday = (now + timedelta(days=7 - now.weekday())).replace(hour=12, minute=0, second=0)
    days = [monday - now + timedelta(days=n, minutes=1) for n in range(0, 9)]
    loaded = site.loaded()
    run([loaded], site.services(ShiftedClock(days[0])), Quiet())
    did = run([loaded], site.services(ShiftedClock(days[1])), Quiet()).did
    assert [(d.task.name, d.done) for d in did if d.task.verb == "copy"] == [("p offsite: copy", True)]
    result = run([loaded], site.services(ShiftedClock(days[8])), Quiet())
    assert "p offsite: copy" in [passed.task.name for passed in result.missed]
    tests = [(r["copy"], r["verdict"]) for r in site.records("restore_test.end")]
    assert tests == [("primary", "PASS"), ("offsite", "PASS")], tests
    assert {r["copy"] for r in site.records("check.end")} == {"primary", "offsite"}
    site.ledger_holds()


def test_two_stores_whose_keys_differ_are_copied_from_one_to_the_other(
    tmp_path: Path, store: DemoStore, far: DemoStore
) -> None:
    """restic has one pair of AWS keys for both."""
    site = with_copies(tmp_path)
    on_store(site, store, "ccdr-near")
    bucket = far.bucket("ccdr-far")
    bucket.create_versioned(patience=60)
    site.write("plans/far.env", far.env_file(), mode=0o600)
    path = tmp_path / "plans" / "p.yaml"
    url = f"'s3:{far.endpoint}/ccdr-far/r', env_file: far.env"
    path.write_text(path.read_text("utf-8").replace(f"url: {tmp_path}/offsite", f"url: {url}"))
    done = copied(site)
    assert (done["made"], done["there"]) == (True, {"recordings": 1})
    settled_file(tmp_path / "tree" / "b.wav", os.urandom(3_000_000))
    site.backed_up()
    assert copied(site)["copied"] == {"recordings": 1}
    assert site.run("test", "p", "--from", "offsite").json["verdict"] == "PASS"
    left = store.bucket("ccdr-near")._client(timeout=5).list_objects_v2(Bucket="ccdr-near", Prefix="r/locks/")
    assert not left.get("Contents")
    words = path.read_text("utf-8") + "".join(p.read_text("utf-8") for p in (site.state / "ledger").glob("*.jsonl"))
    assert far.secret_key not in words and store.secret_key not in words
