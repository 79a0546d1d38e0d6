"""A source's log, shipped and recovered by: what is claimed is never more than what comes back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import _image
from tests.support.cluster import Cluster
from tests.support.harness import Quiet, Ran, ShiftedClock, Site, eventually, image_on
from tests.support.primary import Primary, primary
from tests.support.stored import left, other_host

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.position import lsn, number
from ccdr.engines.postgres.segments import SEGMENT_BYTES
from ccdr.engines.postgres.slot import slot_name
from ccdr.engines.postgres.wal import Wal
from ccdr.evidence.history.kinds import STOPPED
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.shipping import background
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.log_repository import archive_of, log_of, log_repository
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.jobs.shipping.ship import ship
from ccdr.jobs.shipping.stored_batch import Extent, StoredBatch, tags_of
from ccdr.model.values import CheckResult, Verdict, rfc3339, utc
from ccdr.plans.job import Job
from ccdr.ports.log import Target
from ccdr.storage import upkeep as storage
from ccdr.storage.restic import Restic
from ccdr.telling.status import status

WAL = Wal(Connection(host="/run", user="x", database="y"), LogShipping(), "p/crm")
INTERVAL = 2.0
CLOSE = timedelta(seconds=10)  # however busy the machine is; bench/logs.py holds it to two
CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: rows, table: call, at_least: 1}
"""
SMALL = """
create table call (id int primary key, note text, at timestamptz not null default clock_timestamp());
insert into call (id, note) select n, 'call ' || n from generate_series(1, 100) n;
"""


def plan(site: Site, source: Primary | Cluster, shipping: str = "{interval: 2s, canary: {every: 1s}}") -> None:
    site.write("restore_tests/crm.yaml", CHECKS)
    site.plan(
        f"crm:\n  engine: postgres\n  method: physical\n"
        f"  connection: {{host: {source.sockets}, user: postgres, database: postgres}}\n"
        f"  log_shipping: {shipping}\n"
        f'  backup: {{schedule: "0 1 * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}'
    )


@contextlib.contextmanager
def shipping(site: Site) -> Iterator[subprocess.Popen[str]]:
    """`ccdr ship p`, once it has stored something."""
    before = standing(site).get("usable")
    with started(site) as process:
        assert eventually(lambda: standing(site).get("usable") != before, 60), process.poll()
        yield process


@contextlib.contextmanager
def started(site: Site) -> Iterator[subprocess.Popen[str]]:
    """`ccdr ship p`; ended as a person would."""
    process = site.start("ship", "p")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        assert "Traceback" not in said, said


def standing(site: Site) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((site.state / "shipping/p/crm/standing.json").read_text())
        return found
    return {}


def recovered(site: Site, at: str, *options: str) -> Ran:
    return site.run("test", "p", "--at", at, *options)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Primary]:
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=1GB") as made:
        made.psql(SMALL)
        yield made


@pytest.fixture
def shipped(site: Site, source: Primary) -> Site:
    """Backed up once: its log leads on from there."""
    plan(site, source)
    site.backed_up()
    return site


def now(source: Primary) -> datetime:
    return datetime.fromisoformat(source.psql("select clock_timestamp()").replace(" ", "T"))


def back(done: Ran, sql: str, database: str = "postgres") -> str:
    """What the kept sandbox of a recovery answers; it is removed then."""
    name = f"ccdr-{done.json['run']}"
    argv = ["docker", "exec", name, "psql", "-XqAt", "-h", "/ccdr/run", "-U", "postgres", "-d", database, "-c", sql]
    try:
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def ship_once(site: Site) -> None:
    """Everything that the source has written by now."""
    ship(Job(site.loaded(), "crm"), site.services(), Quiet(), once=True)


def note(source: Primary, text: str) -> datetime:
    """A row; and a moment right after its commit, before which there is no other."""
    source.psql(f"insert into call (id, note) select max(id) + 1, '{text}' from call")
    when = now(source)
    time.sleep(0.05)
    return when


def lost_and_reached(done: Ran, source: Primary, killed: datetime) -> tuple[list[datetime], datetime]:
    """When what did not come back was acknowledged, and the point that ccdr says was reached."""
    there = {tuple(map(int, line.split("|"))) for line in back(done, "table acknowledged").splitlines()}
    acknowledged = source.acknowledged()
    assert len(acknowledged) > 50 and there
    reached = utc(done.json["recovery"]["reached"]["at"])
    assert reached < killed
    return sorted(when for commit, when in acknowledged.items() if commit not in there), reached


def test_what_a_lost_site_has_lost_is_what_ccdr_says(shipped: Site, source: Primary) -> None:
    """Whatever was acknowledged before the point that was reached is there, and little of what came after it is."""
    with shipping(shipped) as process, source.commits(200):
        time.sleep(INTERVAL)
        before = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != before, 60)
        time.sleep(INTERVAL / 2)  # the next is not stored yet; of its last half second the load's list knows nothing
        process.kill()  # together with its spool
        killed = source.kill()
    shutil.rmtree(shipped.state / "shipping")
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    lost, reached = lost_and_reached(done, source, killed)
    assert lost and lost[0] > reached, "never more than it says"
    assert lost[0] - reached < CLOSE, "and not much less"
    assert done.json["rpo"]["achieved_s"] >= (killed - lost[0]).total_seconds()


def test_where_rules_take_turns_it_is_the_latests_turn_that_recovers_by_the_log(shipped: Site, source: Primary) -> None:
    """The oldest base is restored as of itself: what was written since is the log's."""
    base = shipped.records("backup.end")[0]["snapshot"]["id"]
    note(source, "shipped")
    ship_once(shipped)
    path = shipped.root / "plans" / "p.yaml"
    text = path.read_text()
    assert "checks: [crm]" in text
    path.write_text(text.replace("checks: [crm]", "snapshot: [oldest, latest], at: latest, checks: [crm]"))
    rows = "select count(*) from call where note = 'shipped'"
    for rule, there in (("oldest", "0"), ("at", "1"), ("oldest", "0")):
        done = shipped.run("test", "p", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert (done.json["snapshot"]["selected"], done.json["snapshot"]["id"]) == (rule, base)
        assert (done.json["recovery"] is not None) is (rule == "at") and back(done, rows) == there
    (asset,) = shipped.run("status").json["plans"][0]["assets"]
    assert {rule: said["verdict"] for rule, said in asset["tested_by_rule"].items()} == {"oldest": "PASS", "at": "PASS"}
    path.write_text(text.replace("checks: [crm]", "snapshot: oldest, at: latest, checks: [crm]"))
    assert shipped.run("test", "p").json["snapshot"]["selected"] == "at", "one word beside it means the log, as ever"


def test_a_source_that_dies_alone_has_lost_next_to_nothing(shipped: Site, source: Primary) -> None:
    """What was received is stored although the source is gone."""
    with shipping(shipped), source.commits(200):
        time.sleep(INTERVAL)
        killed = source.kill()
        assert eventually(lambda: standing(shipped)["trouble"] is not None, 30)
        before = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != before, 30)
    shipped.ledger_holds()
    assert [r["trouble"] for r in shipped.records("log.shipped")][-2:-1] != [None]
    found = shipped.run("status")
    assert found.code == 1 and "log is not shipped" in found.stdout
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done
    lost, reached = lost_and_reached(done, source, killed)
    assert all(when > reached for when in lost) and killed - reached < CLOSE


@contextlib.contextmanager
def without_repository(site: Site) -> Iterator[None]:
    """As where the disk that it is on is not mounted."""
    hidden = site.root / "hidden"
    site.repo.rename(hidden)
    try:
        yield
    finally:
        if hidden.exists():
            hidden.rename(site.repo)


def spool(site: Site) -> dict[str, int]:
    """What waits here, in bytes."""
    with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
        return {path.name: path.stat().st_size for path in (site.state / "shipping/p/crm/spool").iterdir()}
    return spool(site)


def received(site: Site, source: Primary) -> bool:
    """Is all that the source has written by now in the spool? With some more of it, since that is seen by the page."""
    written = "select pg_logical_emit_message(false, 'test', repeat('x', 20000)); select pg_current_wal_insert_lsn()"
    position = source.psql(written).splitlines()[-1]
    _, log = log_of(Job(site.loaded(), "crm"))
    return eventually(lambda: log.reaches(site.state / "shipping/p/crm/spool", position), 30)


def trouble(site: Site) -> str:
    return str(standing(site).get("trouble"))


def receiver(site: Site) -> int | None:
    """The process that receives, wherever it runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            program, *words = path.read_text().split("\0")
            if Path(program).name == "pg_receivewal" and any(str(site.state) in word for word in words):
                return int(path.parent.name)
    return None


def test_log_is_received_while_the_repository_is_away(site: Site, tmp_path: Path) -> None:
    """Up to the limit; then the source keeps it, and that is told before it keeps too much. Nothing is lost."""
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=192MB") as source:
        source.psql(SMALL)
        plan(site, source, "{interval: 2s, spool_limit: 64MiB, canary: {every: 1s}}")
        site.backed_up()
        with shipping(site):
            with without_repository(site):
                assert eventually(lambda: "no repository" in trouble(site), 60), standing(site)
                usable = standing(site)["usable"]
                note(source, "first")
                assert received(site, source) and receiver(site), "though nothing can be stored"
                found = site.run("status")
                assert found.code == 1 and "log is not shipped" in found.stdout, found
                while "spool_limit" not in trouble(site):
                    note(source, "more")
                    source.psql("select pg_switch_wal()")
                    time.sleep(0.5)
                    assert sum(spool(site).values()) < 256 * 2**20, trouble(site)
                assert eventually(lambda: receiver(site) is None, 30)
                full = spool(site)
                assert sum(full.values()) > 64 * 2**20, full
                for _ in range(8):
                    note(source, "kept at the source")
                    source.psql("select pg_switch_wal()")
                told = lambda: any("of log for us and gives up at 192.0 MiB" in f for f in standing(site)["findings"])  # noqa: E731
                assert eventually(told, 90), standing(site)
                assert "gives up at" in site.run("status").stdout
                assert full.keys() <= spool(site).keys() and standing(site)["usable"] == usable
            assert eventually(lambda: standing(site)["trouble"] is None, 120), trouble(site)
            note(source, "last")
            assert eventually(lambda: sum(spool(site).values()) <= 64 * 2**20, 60), spool(site)
        ship_once(site)
        assert not standing(site)["gap"] and not standing(site)["findings"], standing(site)
        assert [bool(r["trouble"]) for r in site.records("log.shipped") if r["trouble"] != STOPPED].count(True) == 1
        assert not archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        rows = "select count(*), max(note) filter (where id = (select max(id) from call)) from call"
        expected = source.psql(rows)
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert back(done, rows) == expected and expected.endswith("|last")


def test_what_is_killed_while_the_repository_is_away_goes_on_from_its_spool(shipped: Site, source: Primary) -> None:
    """What was received once is at the source no more: only the spool has it."""
    with shipping(shipped) as process, without_repository(shipped):
        assert eventually(lambda: "no repository" in trouble(shipped), 60), standing(shipped)
        note(source, "first")
        source.psql("select pg_switch_wal()")
        note(source, "second")
        assert received(shipped, source)
        process.kill()
        process.wait()
        waits = spool(shipped)
        note(source, "third")
        with started(shipped):
            assert received(shipped, source), "from where it was left, though nobody can say what is stored"
            assert waits.keys() - {name for name in waits if name.endswith(".partial")} <= spool(shipped).keys()
            (shipped.root / "hidden").rename(shipped.repo)
            assert eventually(lambda: standing(shipped)["trouble"] is None, 120), standing(shipped)
    assert not standing(shipped)["gap"]
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    rows = "select string_agg(note, ' ' order by id) from call where id > 100"
    assert back(done, rows) == "first second third"


def test_a_receiver_that_is_killed_is_started_again(shipped: Site, source: Primary) -> None:
    """By the `ccdr ship` that it belongs to; what was written meanwhile is not lost."""
    killed: list[int] = []
    with shipping(shipped):
        for text in ("first", "second"):
            killed.append(receiver(shipped) or 0)
            assert killed[-1]
            os.kill(killed[-1], signal.SIGKILL)
            note(source, text)
            source.psql("select pg_switch_wal()")
            assert eventually(lambda: (receiver(shipped) or 0) not in (0, *killed), 60), standing(shipped)
            assert received(shipped, source)
        assert eventually(lambda: standing(shipped)["trouble"] is None, 60), standing(shipped)
    assert any("receiving the log" in str(r["trouble"]) for r in shipped.records("log.shipped"))
    # One that is killed while it makes room for a segment leaves a file that no receiver takes.
    (begun,) = (shipped.state / "shipping/p/crm/spool").glob("*.partial")
    os.truncate(begun, 11100160)
    ship_once(shipped)
    assert not standing(shipped)["gap"]
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, "select string_agg(note, ' ' order by id) from call where id > 100") == "first second"


HEARTBEAT = "select extract(epoch from at) from ccdr.heartbeat"
WRITTEN = "select pg_snapshot_xmax(pg_current_snapshot())"  # counts up with each transaction that writes


@pytest.mark.parametrize("canary", [True, False])
def test_how_far_a_recovery_reaches_is_read_from_the_canary(site: Site, source: Primary, canary: bool) -> None:
    """Nobody else writes, and the source dies long before the next interval: without the row nothing tells that what
    was received since goes further than what was proven received."""
    plan(site, source, "{interval: 10m, canary: {every: 1s}}" if canary else "{interval: 10m}")
    site.backed_up()
    with shipping(site):
        point, usable = utc(standing(site)["point"]), standing(site)["usable"]
        if canary:
            assert eventually(lambda: float(source.psql(HEARTBEAT)) >= point.timestamp() + 4, 60), "it beats"
        else:
            source.psql("select pg_switch_wal(); checkpoint")  # log, and no commit in it
        assert received(site, source)
        source.kill()
        assert eventually(lambda: standing(site)["usable"] != usable, 60), standing(site)
    done = recovered(site, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done
    reached = utc(done.json["recovery"]["reached"]["at"])
    if canary:
        restored = float(back(done, HEARTBEAT))
        newest = archive_of(Job(site.loaded(), "crm"), log_repo(site)).newest
        assert newest is not None and newest.skew is not None
        behind = reached.timestamp() - (restored - newest.skew)  # the row's time is the source's; its commit came after
        assert restored >= point.timestamp() + 4 and -0.001 <= behind < 0.5, (restored, reached, newest.skew)
    else:
        assert back(done, "select to_regclass('ccdr.heartbeat') is null") == "t" and reached == point


def test_nothing_is_written_at_the_source_without_a_canary(site: Site, tmp_path: Path) -> None:
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=1GB", "autovacuum=off") as source:
        source.psql(SMALL)
        for canary in ("", ", canary: {every: 1s}"):
            transactions = source.psql(WRITTEN)
            plan(site, source, f"{{interval: 2s{canary}}}")
            site.backed_up()
            with shipping(site):
                time.sleep(2 * INTERVAL)
            assert (source.psql(WRITTEN) == transactions) == (not canary)
            assert source.psql("select to_regnamespace('ccdr') is null") == ("f" if canary else "t")


def test_any_moment_can_be_gone_back_to(shipped: Site, source: Primary) -> None:
    first = note(source, "first")
    second = note(source, "second")
    source.psql("select pg_create_restore_point('before-migration')")
    third = note(source, "third")
    ship_once(shipped)
    rows = "select string_agg(note, ' ' order by id) from call where id > 100"
    for at, expected in (
        (first.isoformat(), "first"),
        (second.isoformat(), "first second"),
        ("before-migration", "first second"),
        (third.isoformat(), "first second third"),  # after which nothing was committed
        ("latest", "first second third"),
    ):
        done = recovered(shipped, at, "--keep")
        assert (done.code, done.json.get("verdict")) == (0, "PASS"), (at, done)
        assert back(done, rows) == expected, at
    assert done.json["recovery"]["reached"]["last_commit"]
    newest = archive_of(Job(shipped.loaded(), "crm"), log_repo(shipped)).newest
    assert newest is not None and newest.point < newest.taken
    done = recovered(shipped, rfc3339(newest.taken))  # behind what is proven, and nothing was written since
    assert done.code == 2 and "holds no commit after" in done.stdout + done.stderr, done
    # A point stays one behind a newer base, which holds more.
    older = shipped.records("backup.end")[0]["snapshot"]["id"]
    shipped.backed_up()
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), "no log of the new base is stored yet"
    note(source, "fourth")
    ship_once(shipped)
    done = recovered(shipped, "before-migration", "--keep")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", older), done
    assert back(done, rows) == "first second"
    # Nor need it be the newest base: whoever names one has the log applied to that.
    done = recovered(shipped, "latest", "--snapshot", older[:8], "--keep")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", older), done
    assert back(done, rows) == "first second third fourth"
    argv = ["restore", "p", "--asset", "crm", "--at", "latest", "--to", str(shipped.root / "back"), "--dry-run"]
    for named, base in ((("--snapshot", older), True), ((), False)):
        done = shipped.run(*argv, *named)
        assert done.code == 0 and (done.json["would_restore"]["snapshot"]["id"] == older) is base, done
    for at in ("16:41:30", "before-lunch"):
        argv = ["restore", "p", "--asset", "crm", "--at", at, "--to", str(shipped.root / "back"), "--dry-run"]
        done = shipped.run(*argv)
        assert done.code == 2 and f"no log that is stored has a point named '{at}'" in done.stdout + done.stderr, done


def test_freshness_is_measured_from_the_point_that_was_reached(shipped: Site, source: Primary) -> None:
    """The newest row is as old as the base: fresh enough for that one, and not for what the log led to."""
    query = "select max(at) from call where id > 100"
    shipped.write("restore_tests/crm.yaml", f"{CHECKS}  - {{kind: freshness, query: '{query}', within: 3s}}\n")
    (base,) = shipped.services().catalogue.snapshots("p", "crm")
    point = base.consistent_point
    source.psql(f"insert into call values (101, 'as old as the base', '{point.isoformat()}')")
    assert eventually(lambda: now(source) - point > timedelta(seconds=6), 60)
    stale = now(source)
    assert eventually(lambda: now(source) - stale > timedelta(seconds=1), 60)  # clocks are compared over a busy wire
    fresh = note(source, "fresh")
    ship_once(shipped)

    def judged(at: datetime) -> tuple[str, str]:
        done = recovered(shipped, at.isoformat())
        (check,) = (c for c in done.json["checks"] if c["kind"] == "freshness")
        assert "the point that was reached" in check["expected"], check
        return done.json["verdict"], check["status"]

    assert judged(fresh) == ("PASS", "PASS")
    assert judged(stale) == ("FAIL", "FAIL")


def test_a_restore_for_real_can_go_back_to_any_moment_too(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """A data directory and its log: a server that is started on it applies the one to the other."""
    first = note(source, "first")
    note(source, "second")
    ship_once(shipped)
    tested = recovered(shipped, "latest").json
    (server,) = (check for check in tested["checks"] if check["name"] == "server")
    assert tested["verdict"] == "PASS" and "timeline 2, begun at the end of recovery" in server["actual"]
    target = tmp_path / "back"
    argv = ["restore", "p", "--asset", "crm", "--at", first.isoformat(), "--to", str(target), "--yes-i-mean", "back"]
    done = shipped.run(*argv)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    (said,) = (said for said in done.json["notes"] if "start a server on" in said)
    assert "read-only" in said and "pg_wal_replay_resume()" in said and str(target / "data") in said
    assert f"as of   {rfc3339(first)}, once the log is applied to the base of" in done.stderr
    assert "its last restore test passed" in done.stderr and "1 snapshot of it, up to" in done.stderr
    start = f"""set -e
    chown -R postgres {target}
    su postgres -c '. /etc/profile; PATH=$PATH:/usr/lib/postgresql/17/bin
      pg_ctl -D {target}/data -w -s -l /tmp/log -o "-c unix_socket_directories=/tmp -c listen_addresses=" start
      until psql -h /tmp -XqAtc "select pg_is_wal_replay_paused()" | grep -q t; do sleep 0.1; done
      psql -h /tmp -XqAtc "select string_agg(note, chr(32) order by id) from call where id > 100"'
    """
    run = image_on(target)
    said = subprocess.run(
        [*run, _image(), "timeout", "60", "bash", "-c", start], capture_output=True, text=True, check=False
    )
    subprocess.run([*run, _image(), "chown", "-R", "0:0", str(target)], check=True)
    assert said.stdout.split() == ["first"], said


def test_log_that_was_stored_by_a_clock_set_forward_is_told(shipped: Site, source: Primary) -> None:
    """Nothing says how far it reaches; by the right clock it is stored once more."""
    note(source, "first")
    ahead = shipped.services(ShiftedClock(timedelta(hours=9)))
    ship(Job(shipped.loaded(), "crm"), ahead, Quiet(), once=True)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "yet to come" in done.json["reason"], done
    found = shipped.run("status")
    assert found.code == 1 and "yet to come" in found.stdout, found
    note(source, "second")
    ship_once(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS" and utc(done.json["recovery"]["reached"]["at"]) <= now(source), done
    assert back(done, "select count(*) from call where id > 100") == "2"
    assert not standing(shipped)["findings"]


def test_what_no_log_holds_cannot_be_reached(shipped: Site, source: Primary) -> None:
    """Nothing is tested then: neither green nor red."""
    note(source, "first")
    ship_once(shipped)
    for at in ("no-such-point", "2031-01-01T00:00:00Z", "2001-01-01T00:00:00Z"):
        done = recovered(shipped, at)
        assert done.code == 2, (at, str(done))
    assert shipped.records("restore_test.end")[-1]["verdict"] == "SKIPPED"


def test_a_segment_that_is_missing_is_a_failure_that_names_it(shipped: Site, source: Primary) -> None:
    for text in ("first", "second", "third"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    archive = archive_of(Job(shipped.loaded(), "crm"), log_repo(shipped))
    assert len(archive.batches) >= 3
    torn = archive.batches[-2]
    storage.forget(log_repo(shipped), [torn.id, *(b.id for b in archive.spare)])
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    before, behind = archive.batches[-3].last, archive.batches[-1].begins
    assert f"missing between {before} and {behind}" in done.json["reason"], done.json["reason"]
    assert str(before) < torn.begins < behind, "which is what was taken away"
    # A new base lies behind the gap.
    assert shipped.run("backup", "p").code == 0
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_log_that_failed_its_test_stays_red_though_its_base_passes(shipped: Site, source: Primary) -> None:
    """The base has its verdict, and the log its own: neither is the other's."""
    for text in ("first", "second", "third"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    ship_once(shipped)  # the open batch once more: its older snapshot is spare
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    assert "recovery by the log" not in shipped.run("status").stdout
    job = Job(shipped.loaded(), "crm")
    storage.forget(log_repo(shipped), [archive_of(job, log_repo(shipped)).batches[-2].id])
    archive = archive_of(job, log_repo(shipped))
    assert archive.spare
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"], done.json["recovery"]["verdict"]) == (1, "FAIL", "FAIL"), done
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["recovery"]) == (0, "PASS", None), "of the base alone"
    found = shipped.run("status")
    assert found.code == 1 and "its recovery by the log of" in found.stdout and "missing between" in found.stdout
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    shipped.run("upkeep", "p", "--prune")
    assert archive_of(job, log_repo(shipped)) == archive, "an older snapshot may hold what a newer one lacks"
    shipped.backed_up()
    ship_once(shipped)
    assert "its recovery by the log of" in shipped.run("status").stdout, "nobody has proven it yet"
    done = recovered(shipped, "latest")
    assert done.json["recovery"]["verdict"] == "PASS", done.json["reason"]
    assert "recovery by the log" not in shipped.run("status").stdout


def test_log_that_cannot_be_applied_does_not_disprove_its_base(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """What was found bad after the base had been loaded as it was captured."""
    note(source, "first")
    ship_once(shipped)
    cut_short(shipped, tmp_path)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["snapshot"]["verdict"], done.json["recovery"]["verdict"]) == (1, None, "FAIL"), done
    assert "do not count" not in shipped.run("status").stdout
    done = shipped.run("test", "p")
    assert (done.code, done.json["snapshot"]["verdict"]) == (0, "PASS"), done


def test_log_that_restic_could_not_read_whole_never_counts(shipped: Site, source: Primary) -> None:
    """It says of itself that it holds all that was there; whoever ships next must not let that go from the spool."""
    note(source, "first")
    ship_once(shipped)
    job, restic = Job(shipped.loaded(), "crm"), shutil.which("restic")
    whole, before = archive_of(job, log_repo(shipped)), standing(shipped)["point"]
    note(source, "second")
    source.psql("select pg_switch_wal()")
    partly = f"*kind=log*last=*) {restic} --exclude='*/0000000100000000000000??' \"$@\"; exit 3;;"
    shipped.write("bin/restic", f'#!/bin/sh\ncase "$*" in {partly} esac\nexec {restic} "$@"\n', mode=0o755)
    done = shipped.run("ship", "p", "--once", env={"PATH": f"{shipped.root}/bin:{os.environ['PATH']}"})
    assert done.code == 3 and "restic exit 3" in done.stderr, done
    listed = log_repo(shipped).snapshots(["ccdr", "kind=log"])
    assert len([s for s in listed if s.tag("void")]) == 3
    after = archive_of(job, log_repo(shipped))
    assert all(b.last == whole.batches[-1].last for b in after.batches[-1:]) or after.batches[-1].last is None
    assert standing(shipped)["point"] == before
    ship_once(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done.json["reason"]
    assert back(done, "select count(*) from call where note in ('first', 'second')") == "2"
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    assert shipped.run("upkeep", "p", "--prune").json["prune"]["result"] == "DONE"
    assert not [s for s in log_repo(shipped).snapshots(["ccdr", "kind=log"]) if s.tag("void")]


def test_a_segment_that_was_changed_is_a_failure(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """Somebody who can write to the repository stores the newest batch again, its log cut short."""
    note(source, "first")
    source.psql("select pg_switch_wal()")
    note(source, "second")
    ship_once(shipped)
    repo, job = log_repo(shipped), Job(shipped.loaded(), "crm")
    batch = archive_of(job, repo).batches[-1]
    copy = tmp_path / "copy"
    repo.restore(batch.id, batch.root, copy)
    assert batch.last is not None
    with (copy / batch.last).open("r+b") as segment:
        segment.seek(8192)
        segment.write(b"x" * 4096)
    stored_again(shipped, batch, copy)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "not as they were stored" in done.json["reason"]


def test_log_that_ends_before_what_was_claimed_is_a_failure(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """The open segment has no digest of its own: what it holds is compared with what was said of it, however far
    recovery is to go; and what is said of it with what was stored."""
    first = note(source, "first")
    ship_once(shipped)
    assert recovered(shipped, first.isoformat()).json["verdict"] == "PASS"
    batch = cut_short(shipped, tmp_path)
    for at in (first.isoformat(), "latest"):
        done = recovered(shipped, at)
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert "the log ends at" in done.json["reason"] and batch.position in done.json["reason"]
    further = lsn(number(batch.position) + 8192)
    stored_again(shipped, batch, tmp_path / "copy", position=further)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "claims another position" in done.json["reason"]


def test_a_log_that_cannot_be_reached_proves_nothing(shipped: Site, source: Primary) -> None:
    ship_once(shipped)
    (shipped.log / "config").rename(shipped.root / "hidden")
    done = recovered(shipped, "latest")
    assert done.json["verdict"] in ("INCONCLUSIVE", "FAIL") and done.code != 0, done
    (shipped.root / "hidden").rename(shipped.log / "config")
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_a_slot_that_the_source_gave_up_is_a_gap_until_the_next_base(site: Site, tmp_path: Path) -> None:
    with primary(
        tmp_path / "source", _image(), "max_slot_wal_keep_size=48MB", "max_wal_size=32MB", "min_wal_size=32MB"
    ) as source:
        source.psql(SMALL)
        plan(site, source)
        site.backed_up()
        ship_once(site)
        for _ in range(9):  # while nobody receives
            source.psql(
                "insert into call (id, note) select max(id) + 1, 'lost' from call; select pg_switch_wal(); checkpoint"
            )
        assert "lost" in source.psql("select wal_status from pg_replication_slots")
        stored = archive_of(Job(site.loaded(), "crm"), log_repo(site)).batches[-1]
        ship_once(site)
        (gap,) = archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        assert stored.begins <= gap.after <= str(stored.open) < gap.before, (stored, gap)
        assert standing(site)["gap"] and any("gave the slot" in f for f in standing(site)["findings"])
        found = site.run("status")
        assert found.code == 1 and "base" in found.stdout
        done = recovered(site, "latest")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert f"missing between {gap.after} and {gap.before}" in done.json["reason"], (gap, done.json["reason"])
        site.backed_up()
        ship_once(site)
        assert recovered(site, "latest").json["verdict"] == "PASS"
        assert not standing(site)["trouble"]


def test_log_that_vanished_is_told_by_test_and_by_status(shipped: Site, source: Primary) -> None:
    """Though the host that ships it wrote down that it is there."""
    for text in ("first", "second"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "PASS", []), done
    archive = archive_of(Job(shipped.loaded(), "crm"), log_repo(shipped))
    storage.forget(log_repo(shipped), [b.id for b in (*archive.batches, *archive.spare)])
    done = shipped.run("test", "p")
    assert done.code == 1 and any("has vanished" in said for said in done.json["findings"]), done
    assert recovered(shipped, "latest").json["verdict"] == "FAIL"
    note(source, "third")
    ship_once(shipped)
    assert standing(shipped)["gap"]
    found = shipped.run("status")
    assert found.code == 1 and "missing between" in found.stdout, found.stdout
    assert shipped.records("log.shipped")[-1]["gaps"]
    shipped.backed_up()
    assert shipped.records("backup.end")[-1]["snapshot"]["needed_from"] >= standing(shipped)["since"]
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    done = shipped.run("test", "p")
    assert (done.code, done.json["findings"]) == (0, []), done


def test_another_server_under_the_same_address_is_refused(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """Its log leads nowhere from our bases: it must not look as if all were well."""
    ship_once(shipped)
    source.kill()
    with primary(tmp_path / "other", _image()) as other:
        path = shipped.root / "plans/p.yaml"
        path.write_text(path.read_text().replace(str(source.sockets), str(other.sockets)))
        done = shipped.run("ship", "p", "--once")
        assert done.code == 3 and "another server answers" in done.stdout + done.stderr, done
        assert "another server answers" in shipped.run("status").stdout


def test_a_source_that_keeps_all_of_its_log_for_us_is_told_of_before_its_disk_is_full(
    site: Site, tmp_path: Path
) -> None:
    """Nothing limits it there; half of what may wait here is a lot."""
    with primary(tmp_path / "source", _image()) as source:
        source.psql(SMALL)
        plan(site, source, "{interval: 2s, spool_limit: 128MiB}")
        site.backed_up()
        ship_once(site)
        (unset,) = standing(site)["findings"]
        assert "max_slot_wal_keep_size is not set" in unset
        looked = [c for c in site.run("doctor", "p").json["checks"] if c["what"] == "replication slots"]
        assert [(c["state"], "is not set" in c["found"]) for c in looked] == [("WARN", True)], looked
        for _ in range(6):  # while nobody receives
            note(source, "kept")
            source.psql("select pg_switch_wal()")
        looked = [c for c in site.run("doctor", "p").json["checks"] if c["what"] == "replication slots"]
        assert len(looked) == 2 and f"of log for {slot_name('p/crm')}" in looked[0]["found"], looked
        ship_once(site)
        assert any("will until its disk is full" in said for said in standing(site)["findings"]), standing(site)
        assert "will until its disk is full" in site.run("status").stdout
        ship_once(site)
        assert standing(site)["findings"] == [unset], "it was fetched"


@contextlib.contextmanager
def receiving_elsewhere(source: Primary, slot: str) -> Iterator[None]:
    """Somebody else's receiver, by the same slot, into files of its own."""
    command = f"mkdir -p /tmp/elsewhere; exec pg_receivewal -w -h /sockets -U postgres -D /tmp/elsewhere -S {slot} --synchronous"
    argv = ["docker", "exec", source.container, "sh", "-c", command]
    active = "select count(*) from pg_replication_slots where active"
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: source.psql(active) == "1", 30)
            yield
        finally:
            kill = ["docker", "exec", source.container, "pkill", "-INT", "pg_receivewal"]
            subprocess.run(kill, check=False, capture_output=True)
            process.wait(20)
    assert eventually(lambda: source.psql(active) == "0", 30)


def test_what_another_receiver_has_got_is_not_taken_for_ours(shipped: Site, source: Primary) -> None:
    """The slot goes forward by whoever receives: what is claimed must be in our own spool."""
    ship_once(shipped)
    before = standing(shipped)["position"]
    slot = source.psql("select slot_name from pg_replication_slots")
    with receiving_elsewhere(source, slot):
        note(source, "elsewhere")
        done = shipped.run("ship", "p", "--once")
        assert done.code not in (0, 2) and ("is active for" in done.stderr or "receiver" in done.stderr), done
        assert standing(shipped)["position"] == before
    ship_once(shipped)
    assert number(standing(shipped)["position"]) > number(before)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_a_slot_of_the_name_that_was_given_before_is_taken_over(shipped: Site, source: Primary) -> None:
    """With all that it keeps: nothing is lost by an upgrade, and no slot is left that nobody reads."""
    source.psql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots;"
        "select pg_create_physical_replication_slot('ccdr_p_crm', true)"
    )
    with receiving_elsewhere(source, "ccdr_p_crm"):
        done = shipped.run("ship", "p", "--once")
        assert done.code not in (0, 2) and any("ccdr_p_crm" in f for f in standing(shipped)["findings"]), done
    note(source, "first")
    source.psql("select pg_switch_wal(); checkpoint")
    kept = number(source.psql("select restart_lsn from pg_replication_slots"))
    shipped.backed_up()
    slot, reserved = source.psql("select slot_name, restart_lsn from pg_replication_slots").split("|")
    assert slot == slot_name("p/crm") != "ccdr_p_crm" and number(reserved) == kept
    note(source, "second")
    ship_once(shipped)
    assert not standing(shipped)["gap"] and not standing(shipped)["findings"]
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_one_ships_at_a_time(shipped: Site) -> None:
    with shipping(shipped):
        assert shipped.run("ship", "p", "--once").code == 5
        running = shipped.run("run")
        assert "started to ship" not in running.stderr
    assert not [name for name in left(shipped) if name.endswith("-client")]


def is_slept_through(site: Site) -> bool:
    """Does `ccdr run` look at nothing? What it has looked at, its answer tells of at length."""
    return set(site.run("run").json) == {"did", "missed", "busy"}


def test_ccdr_run_sees_to_it_that_the_log_is_shipped(shipped: Site) -> None:
    """Cron is enough, also for a repository of the log; and what was killed is started again."""
    shutil.rmtree(shipped.log)
    done = shipped.run("run")
    assert "started to ship the log of p/crm" in done.stderr
    try:
        assert eventually(lambda: standing(shipped).get("point") is not None, 60)
        assert "started to ship" not in shipped.run("run").stderr
        assert eventually(lambda: is_slept_through(shipped), 60), "nothing is due, and the log goes on"
        (wake,) = (json.loads(p.read_text()) for p in (shipped.state / "schedule").glob("wake-*.json"))
        assert [(log["asset"], log["late"]) for log in wake["logs"]] == [("crm", 3 * 2 + 60)]
        (pid,) = background._holding(shipped.state / "locks" / "p.crm.ship.lock")
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not shipped.services().state.held("p", "crm", "ship"), 30)
        assert "started to ship the log of p/crm" in shipped.run("run").stderr
        assert eventually(lambda: shipped.services().state.held("p", "crm", "ship"), 30)
        path = shipped.root / "plans/p.yaml"
        path.write_text(re.sub(r" +log_shipping: .*\n", "", path.read_text()))
        assert "ships no log any more" in shipped.run("run").stderr
        assert eventually(lambda: not shipped.services().state.held("p", "crm", "ship"), 60)
    finally:
        subprocess.run(["pkill", "-TERM", "-f", f"{shipped.state}.* ship p"], check=False)
    assert eventually(lambda: not shipped.services().state.held("p", "crm", "ship"), 30)


def test_pruning_leaves_the_log_of_every_kept_base(shipped: Site, source: Primary) -> None:
    for text in ("first", "second", "third"):
        note(source, text)
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    job = Job(shipped.loaded(), "crm")
    before = archive_of(job, log_repo(shipped))
    done = shipped.run("upkeep", "p", "--prune")
    assert done.code in (0, 1) and done.json, done
    after = archive_of(job, log_repo(shipped))
    assert after.batches == before.batches and not after.spare
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_what_a_failed_backup_has_stored_needs_no_log(shipped: Site, source: Primary) -> None:
    """It stays as long as a good one of its age would, and is no base: nothing in it is known."""
    note(source, "first")
    source.psql("select pg_switch_wal()")
    ship_once(shipped)
    ship_once(shipped)
    path, job = shipped.root / "plans/p.yaml", Job(shipped.loaded(), "crm")
    path.write_text(path.read_text().replace("assets:", "retention: {keep_within: 35d}\nassets:", 1))
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    repo = shipped.services().repository(job.loaded, job.limits)
    labels = ["ccdr", "plan=p", "asset=crm", "run=broken"]
    stored = repo.backup([path], tags=[*labels, "kind=backup"])
    repo.backup([path], tags=[*labels, "kind=failed", f"void={stored.id}"])
    before = archive_of(job, log_repo(shipped))
    assert before.spare
    done = shipped.run("upkeep", "p", "--prune")
    assert done.json["prune"]["result"] == "DONE", done
    (stayed,) = [d for d in done.json["prune"]["decisions"] if "of a backup that failed" in d["why"]]
    assert stayed["keep"]
    after = archive_of(job, log_repo(shipped))
    assert after.batches == before.batches and not after.spare


def test_log_goes_with_the_base_that_needed_it_and_not_before(shipped: Site, source: Primary) -> None:
    """Of three bases the oldest goes first: what the two others lead on from stays, to the last moment of it."""
    moments = []
    for text in ("first", "second", "third"):
        moments.append(note(source, text))
        source.psql("select pg_switch_wal()")
        ship_once(shipped)
        if text != "third":
            shipped.backed_up()
    job, path = Job(shipped.loaded(), "crm"), shipped.root / "plans/p.yaml"
    text = path.read_text()
    services = shipped.services()
    bases = services.catalogue.snapshots("p", "crm")
    needs = [WAL.needed_from(services.catalogue.manifest(base)) for base in bases]
    assert len(needs) == 3 and needs == sorted(set(needs))
    assert recovered(shipped, "latest").json["verdict"] == "PASS", "else the last one that was proven stays too"
    every = archive_of(job, log_repo(shipped)).batches
    assert every[0].begins <= needs[0]
    left = every
    for keep in (3, 2, 1):
        path.write_text(text.replace("assets:", f"retention: {{keep_last: {keep}}}\nassets:", 1))
        done = shipped.run("upkeep", "p", "--prune")
        assert done.code in (0, 1) and done.json, done
        assert [s.id for s in shipped.services().catalogue.snapshots("p", "crm")] == [s.id for s in bases[-keep:]]
        before, left = left, archive_of(job, log_repo(shipped)).batches
        assert left == LogArchive(every).from_segment(needs[-keep], WAL), "from where the oldest kept base begins"
        assert (left == before) == (keep == 3), "and what only the removed one needed is gone"
        gone = recovered(shipped, moments[2 - keep].isoformat()) if keep < 3 else None
        assert gone is None or gone.code == 2, gone
        at = moments[3 - keep]  # right behind the oldest kept base's own log
        assert recovered(shipped, at.isoformat()).json["verdict"] == "PASS", at


@pytest.mark.parametrize("lost", ["nothing", "what was stored since"])
def test_log_that_another_host_lets_go_while_it_is_fetched_is_fetched_anew(
    shipped: Site, source: Primary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A large base takes hours to fetch: by then what was chosen has been stored again, with more in it, and a prune
    over there has taken the older snapshot away. But an older one in a newer one's place is log that is missing."""
    path = shipped.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1))
    for text in ("first", "second"):  # who begins to ship begins a batch, and goes on with one that is open alone
        note(source, text)
        ship_once(shipped)
    there, job = other_host(shipped, tmp_path / "there"), Job(shipped.loaded(), "crm")
    chosen = archive_of(job, log_repo(shipped)).batches[-1]
    really = Recovery.fetch

    def fetch(self: Recovery, *args: Any) -> CheckResult:
        if lost == "nothing":
            note(source, "third")
            ship_once(shipped)
            assert shipped.run("upkeep", "p", "--prune").code in (0, 1)
        else:
            storage.forget(log_repo(shipped), [chosen.id])
        after = archive_of(job, log_repo(shipped))
        assert chosen not in (*after.batches, *after.spare)
        assert chosen.name == after.batches[-1].name, "of the same batch"
        return really(self, *args)

    monkeypatch.setattr(Recovery, "fetch", fetch)
    done = restore_test(Job(there.loaded(), "crm"), "latest", there.services(), Quiet(), at=Target())
    assert done.verdict is (Verdict.PASS if lost == "nothing" else Verdict.FAIL), done.reason


def test_another_host_counts_the_log_that_it_does_not_ship(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """Its test asks how far the log is stored, and seconds later its status knows that still."""
    time.sleep(1.0)
    there = other_host(shipped, tmp_path / "there")
    job = Job(there.loaded(), "crm")
    alone = restore_test(job, "latest", there.services(), Quiet())
    base = there.services().catalogue.snapshots("p", "crm")[-1]
    assert alone.verdict is Verdict.PASS and alone.findings == [], "nothing is shipped yet, which is no finding"
    assert alone.rpo and alone.rpo.achieved_s and alone.rpo.achieved_s > 1.0
    note(source, "shipped")
    source.psql("select pg_switch_wal()")
    ship_once(shipped)
    stored = archive_of(job, log_repo(shipped)).batches[-1].point
    done = restore_test(job, "latest", there.services(), Quiet())
    assert done.rpo and done.rpo.achieved_s is not None
    now = there.services().clock.now()
    assert done.rpo.achieved_s <= (now - stored).total_seconds() < (now - base.consistent_point).total_seconds() - 1
    (found,) = status([there.loaded()], there.services())
    assert found.rpo.verdict == "MET" and found.rpo.achieved_s is not None
    assert found.rpo.achieved_s < (datetime.now(now.tzinfo) - base.consistent_point).total_seconds() - 1


def test_reading_all_of_the_data_reads_all_of_the_log_too(shipped: Site, source: Primary) -> None:
    note(source, "kept")
    source.psql("select pg_switch_wal()")
    ship_once(shipped)
    done = shipped.run("upkeep", "p", "--check", "--all-data")
    assert (done.code, done.json["check"]["result"]) == (0, "CLEAN"), done
    pack = max(Path(log_repo(shipped).location).glob("data/*/*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    whole = pack.read_bytes()
    pack.write_bytes(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])
    done = shipped.run("upkeep", "p", "--check", "--all-data")
    assert (done.code, done.json["check"]["result"]) == (1, "DAMAGED") and pack.name[:8] in done.json["check"][
        "reason"
    ], done


@pytest.mark.parametrize("setting", ["wal_level=minimal"])
def test_a_source_that_cannot_ship_its_log_says_so(site: Site, tmp_path: Path, setting: str) -> None:
    with primary(tmp_path / "source", _image(), setting, "max_wal_senders=0") as source:
        plan(site, source)
        done = site.run("backup", "p")
        assert done.code == 1 and "too little log" in done.json["reason"]


def stored_again(site: Site, batch: StoredBatch, copy: Path, **changed: Any) -> None:
    """The batch as it stands in `copy`, under its own tags but for those that are `changed`."""
    b, job = replace(batch, **changed), Job(site.loaded(), "crm")
    whole = [b.first, b.last] if b.first and b.last else []
    labels = tags_of(job, "r", b.name, whole, b.open, Extent(b.point, b.position, b.server, b.skew), b.heads)
    log_repo(site).backup([copy], tags=labels)


def cut_short(site: Site, tmp_path: Path) -> StoredBatch:
    """Store the newest batch again, without the last of what its open segment held."""
    repo = log_repo(site)
    batch = archive_of(Job(site.loaded(), "crm"), repo).batches[-1]
    copy = tmp_path / "copy"
    repo.restore(batch.id, batch.root, copy)
    with (copy / f"{batch.open}.open").open("r+b") as segment:
        end = number(batch.position) % SEGMENT_BYTES
        segment.seek(end - end % 8192)
        segment.write(bytes(SEGMENT_BYTES - end + end % 8192))
    stored_again(site, batch, copy)
    return batch


def log_repo(site: Site) -> Restic:
    return log_repository(Job(site.loaded(), "crm"), site.services())
