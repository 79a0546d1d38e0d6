"""Restoring a database for real, onto another server: all of it or nothing, whatever fails, whoever stops it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Quiet, Ran, Site, Source, eventually, small_database
from tests.support.restored_database import CHECKS, end, go, untouched
from tests.support.stored import assert_clean, with_repository
from tests.support.target import PASSWORD, Target, server

from ccdr.engines.postgres.dump.target import PostgresTarget as Restoration
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore.onto_server import OntoServer
from ccdr.plans.job import Job
from ccdr.ports.place import Place


def failed(site: Site, code: int, done: Ran, target: Target) -> None:
    assert done.code == code and done.json["result"] == "FAILED" and done.json["left_behind"] == [], done
    untouched(target)
    assert end(site)["result"] == "FAILED"
    assert_clean(site)


def test_damaged_repository_writes_nothing(site: Site, source: Source, target: Target) -> None:
    real = site.repo.resolve()
    site.repo.unlink()
    shutil.copytree(real, site.repo)
    site.crm(source, "restored", checks=CHECKS)
    pack = max((p for p in (site.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 3] ^= 1
    pack.write_bytes(data)
    failed(site, 1, go(site, target.url("crm")), target)


def test_changed_dump_is_not_loaded(site: Site, target: Target) -> None:
    """As long as it was, so only its digest tells; before anything is made on the server."""
    script = (
        f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\n'
        f'case " $* " in *" restore "*) f=$(ls -S $(find {site.state}/scratch -name "*.dat") | head -n 1); '
        f'printf X | dd of="$f" conv=notrunc bs=1 2>/dev/null;; esac\nexit $code\n'
    )
    site.write("bin/restic", script, mode=0o755)
    done = go(site, target.url("crm"), env={"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"})
    failed(site, 1, done, target)
    assert "not as captured" in done.json["reason"] and "load" not in done.json["phases"]


def test_a_failing_check_keeps_the_final_name_from_it(site: Site, target: Target) -> None:
    site.write("restore_tests/crm.yaml", CHECKS.replace("at_least: 3000", "at_least: 3001"))
    done = go(site, target.url("crm"))
    assert done.code == 1 and done.json["result"] == "FAILED", done
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert kept.startswith("crm_ccdr_restore_") and kept in done.json["left_behind"][0]
    done = go(site, target.url("crm"), "--despite-failed-checks")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and "crm" in target.databases, done
    assert any(kept in note for note in done.json["notes"]), "what the first one left is told"


SUBSCRIBED = """
create table checked (s varchar check (s in ('a', 'b')));  -- printed otherwise after a load
create subscription "Sub" connection 'host=/nowhere application_name=''live_slot''' publication p
  with (connect = false, slot_name = 'live_slot');
comment on subscription "Sub" is 'slot_name = ''live_slot''';
"""
SLOT = "select subslotname, subenabled from pg_subscription"
SUBSCRIBED_CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n  - {kind: rows, table: call, at_least: 3001}\n"


@pytest.fixture
def subscribed(source: Source, tmp_path: Path) -> Iterator[Site]:
    with small_database(source, "subscribed") as name:
        source.psql(SUBSCRIBED, name)
        try:
            site = with_repository(Site(tmp_path))
            site.write("pw", f"{PASSWORD}\n", mode=0o600)
            site.crm(source, name, checks=SUBSCRIBED_CHECKS)
            site.backed_up()
            yield site
        finally:
            let_go = 'alter subscription "Sub" disable; alter subscription "Sub" set (slot_name = none)'
            source.psql(f'{let_go}; drop subscription "Sub"', name)


def test_a_restored_subscription_never_holds_its_sources_slot(subscribed: Site, target: Target) -> None:
    """Whoever drops it drops the slot at its publisher, by which the source lives."""
    done = go(subscribed, target.url("crm"))
    assert {(c["kind"], c["status"]) for c in done.json["checks"]} == {("identical", "PASS"), ("rows", "FAIL")}, done
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert target.psql(SLOT, kept) == "|f" and 'DROP SUBSCRIPTION "Sub"' in done.json["left_behind"][0]
    target.psql('drop subscription "Sub"', kept)  # no publisher is asked: there is none
    target.psql(f"drop database {kept}")
    done = go(subscribed, target.url("crm"), "--despite-failed-checks")
    assert (done.code, done.json["result"]) == (1, "RESTORED"), done
    (note,) = [note for note in done.json["notes"] if "live_slot" in note]
    assert target.psql(SLOT, "crm") == "|f"
    target.psql(note.split("`")[1], "crm")
    assert target.psql(SLOT, "crm") == "live_slot|t"


def test_what_is_taken_back_may_hold_a_subscription(subscribed: Site, target: Target) -> None:
    done = go(subscribed, target.url("crm"))
    assert target.databases - {"postgres", "template0", "template1"}
    request = Request(to=target.url("crm"), password_file=subscribed.root / "pw")
    with restoring(Job(subscribed.loaded(), "crm"), request, subscribed.services(), Quiet()) as one:
        assert isinstance(one.way, OntoServer)
        again = one.way.target.of_a_dead_run(done.json["run"])
        assert again.undo(one.way.source) == []
    assert target.databases == {"postgres", "template0", "template1"}


def test_amcheck_that_is_missing_is_no_reason_to_have_no_data(site: Site, target: Target) -> None:
    control = "/usr/share/postgresql/17/extension/amcheck.control"
    target.root(f"mv {control} /tmp/away")
    try:
        done = go(site, target.url("crm"))
    finally:
        target.root(f"mv /tmp/away {control}")
    assert done.code == 0, done
    (integrity,) = [c for c in done.json["checks"] if c["kind"] == "integrity"]
    assert integrity["status"] == "SKIPPED" and "amcheck" in integrity["actual"]


def test_empty_database_that_is_used_meanwhile_is_not_replaced(site: Site, target: Target) -> None:
    target.psql("create database crm")
    request = Request(to=target.url("crm"), password_file=site.root / "pw")
    with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()) as one:
        target.psql("create table theirs (id int)", "crm")
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and "not empty" in str(one.result.reason)
    assert target.psql("select count(*) from theirs", "crm") == "0"
    (kept,) = target.databases - {"postgres", "template0", "template1", "crm"}
    assert kept in one.result.left_behind[0], "it is whole: it is not thrown away"
    assert target.psql("select count(*) from call", kept) == "3000"


def loading(site: Site, target: Target, nap: float = 1) -> subprocess.Popen[str]:
    """A restore that is in the middle of its load, in which each of sixty rows takes `nap` seconds."""
    target.psql(f"alter role dba set ccdr.nap = '{nap}'")
    login = ["--password-file", str(site.root / "pw"), "--yes-i-mean", "crm"]
    process = site.start("restore", "p", "--asset", "crm", "--to", target.url("crm"), *login)
    assert process.stderr and process.stdout
    threading.Thread(target=process.stdout.read, daemon=True).start()
    for line in process.stderr:
        if "loading" in line:
            break
    napping = "select count(*) from pg_stat_activity where query ilike 'copy%slow%' and state = 'active'"
    assert eventually(lambda: target.psql(napping) == "1", 60)
    assert "crm" not in target.databases
    return process


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_load_leaves_nothing(site: Site, target: Target, sign: int) -> None:
    process = loading(site, target)
    process.send_signal(sign)
    process.wait(60)
    assert process.returncode == 3
    untouched(target)
    record = end(site)
    assert (record["result"], record["reason"], record["left_behind"]) == ("FAILED", "interrupted", [])
    assert_clean(site)


def test_interrupted_while_it_is_renamed_the_server_is_asked(
    site: Site, target: Target, monkeypatch: pytest.MonkeyPatch, wording: SnapshotAssertion
) -> None:
    """The client is stopped when the server has done it, and has not said so."""
    target.psql("create database crm")
    rename = Restoration._script

    def script(place: Place, env: Mapping[str, str], text: str, what: str, encoding: str = "UTF8") -> None:
        rename(place, env, text, what, encoding)
        if what == "renaming":
            raise KeyboardInterrupt

    monkeypatch.setattr(Restoration, "_script", staticmethod(script))
    request = Request(to=target.url("crm"), password_file=site.root / "pw")
    with pytest.raises(KeyboardInterrupt):
        with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()) as one:
            one.carry_out(Quiet())
    assert target.databases == {"postgres", "template0", "template1", "crm"}
    assert target.psql("select count(*) from call", "crm") == "3000"
    record = end(site)
    assert (record["result"], record["reason"], record["left_behind"]) == ("RESTORED", None, [])
    assert record["notes"][-1] == wording


def test_a_renaming_that_waits_for_a_lock_does_not_happen_after_the_record(site: Site, target: Target) -> None:
    site.write("restore_tests/crm.yaml", CHECKS.replace("select 1", "select pg_sleep(0)"))
    lock = "begin; lock table pg_database in share mode; select pg_sleep(600);"
    process = site.start(
        "restore", "p", "--asset", "crm", "--to", target.url("crm"), "--password-file", str(site.root / "pw"),
        "--yes-i-mean", "crm",
    )  # fmt: skip
    assert process.stderr and process.stdout
    threading.Thread(target=process.stdout.read, daemon=True).start()
    for line in process.stderr:
        if "checking crm" in line:
            break
    with subprocess.Popen([*target.client, "-d", "postgres", "-c", lock], stdout=subprocess.DEVNULL) as theirs:
        waiting = (
            "select count(*) from pg_stat_activity where query like 'alter database%' and wait_event_type = 'Lock'"
        )
        assert eventually(lambda: target.psql(waiting) == "1", 60)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        record = end(site)
        assert process.returncode == 3 and (record["result"], record["reason"]) == ("FAILED", "interrupted")
        target.psql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'")
        theirs.wait(60)
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert kept.startswith("crm_ccdr_restore_") and kept in record["left_behind"][0]


def test_killed_load_leaves_nothing_under_the_final_name(site: Site, target: Target) -> None:
    process = loading(site, target, nap=0.25)  # the server reads to the end of what it was sent before it looks for us
    process.kill()
    process.wait(60)
    (kept,) = target.databases - {"postgres", "template0", "template1"}
    assert kept.startswith("crm_ccdr_restore_")
    busy = f"select count(*) from pg_stat_activity where datname = '{kept}'"
    assert eventually(lambda: target.psql(busy) == "0", 60), "the server does not go on without us"
    assert site.run("sandbox", "reap").code == 0
    target.psql("alter role dba reset all")
    done = go(site, target.url("crm"))
    assert done.code == 0 and any(kept in note for note in done.json["notes"]), done


def test_server_that_dies_is_told_with_what_is_left_there(site: Site, tmp_path: Path) -> None:
    with server(tmp_path) as own:
        process = loading(site, own)
        subprocess.run(["docker", "kill", own.container], check=True, capture_output=True)
        process.wait(120)
    assert process.returncode == 3
    record = end(site)
    assert record["result"] == "FAILED" and any("crm_ccdr_restore_" in left for left in record["left_behind"]), record
    assert_clean(site)


def test_a_load_that_waits_for_somebodys_lock_is_stopped(site: Site, source: Source, target: Target) -> None:
    """A session of ours that is active and waits for a lock is no progress."""
    site.crm(source, "restored", checks=CHECKS, extra="limits: {no_progress: 6s}")
    target.psql("alter role dba set ccdr.lock = 'on'")
    for role in ("restored_reader", "restored_owner", 'restored: o\'Hara; ""x""'):
        target.psql(f'create role "{role}"')
    target.psql("create role postgres")
    with subprocess.Popen(
        [*target.client, "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as theirs:
        assert theirs.stdin and theirs.stdout
        theirs.stdin.write("begin; lock table pg_authid in share mode;\n\\echo locked\n")
        theirs.stdin.flush()
        assert theirs.stdout.readline() == "locked\n"
        done = go(site, target.url("crm"))
        theirs.stdin.close()
    assert done.code == 3 and "no progress" in done.json["reason"], done
    assert done.json["left_behind"] == [] and target.databases == {"postgres", "template0", "template1"}
