"""A PostgreSQL server's log, shipped for real: the slot at the source, who receives from it, and a server that is another."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Quiet, Site, eventually, texts
from tests.support.primary import Primary, primary
from tests.support.shipping import SMALL, is_slept_through, note, plan, recovered, ship_once, shipping, standing
from tests.support.stored import left

from ccdr.engines.base import Canary, LogShipping
from ccdr.engines.postgres import Postgres
from ccdr.engines.postgres.segments import number
from ccdr.engines.postgres.wal import Wal, slot_name
from ccdr.jobs.shipping import background
from ccdr.plans.job import Job
from ccdr.ports.place import Source as Place

pytestmark = pytest.mark.long


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
        (unset,) = texts(standing(site)["findings"])
        assert "max_slot_wal_keep_size is not set" in unset
        looked = [c for c in site.run("doctor", "p").json["checks"] if c["what"] == "replication slots"]
        assert [(c["state"], "is not set" in c["found"]) for c in looked] == [("WARN", True)], looked
        for _ in range(6):  # while nobody receives
            note(source, "kept")
            source.psql("select pg_switch_wal()")
        looked = [c for c in site.run("doctor", "p").json["checks"] if c["what"] == "replication slots"]
        assert len(looked) == 2 and f"of log for {slot_name('p/crm')}" in looked[0]["found"], looked
        ship_once(site)
        assert any("will until its disk is full" in said for said in texts(standing(site)["findings"])), standing(site)
        assert "will until its disk is full" in site.run("status").stdout
        ship_once(site)
        assert texts(standing(site)["findings"]) == [unset], "it was fetched"


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


def test_two_who_see_to_it_that_there_is_a_slot_are_both_content(
    shipped: Site, source: Primary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup does, and so does whatever ships the log: `ccdr run` begins both at once. Each has looked, and found
    none, before the other makes it."""
    source.psql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots; drop schema if exists ccdr cascade"
    )
    services, job, asked = shipped.services(), Job(shipped.loaded(), "crm"), Wal._ask
    both, again = threading.Barrier(2), threading.local()

    def looked(wal: Wal, at: Place, sql: str) -> str:
        makes = "heartbeat" in sql
        answer = "" if makes else asked(wal, at, sql)
        if not hasattr(again, str(makes)):  # who collided asks once more, alone
            setattr(again, str(makes), True)
            both.wait(30)
        return asked(wal, at, sql) if makes else answer

    monkeypatch.setattr(Wal, "_ask", looked)
    engine = job.engine
    assert isinstance(engine, Postgres)
    wal = Wal(engine.connection, LogShipping(canary=Canary()), "p/crm")
    (into := shipped.root / "into").mkdir()
    opened = services.lab.source(engine, "two", into, into, 60.0, Quiet(), any_client=True, gentle=False)
    with opened as (at, _), ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(lambda: list(wal.ready(at))) for _ in range(2)]:
            one.result(60)
    assert source.psql("select slot_name from pg_replication_slots") == slot_name("p/crm")
    assert source.psql("select count(*) from ccdr.heartbeat") == "1"
    source.psql("drop schema ccdr cascade")


def test_one_ships_at_a_time(shipped: Site) -> None:
    with shipping(shipped):
        assert shipped.run("ship", "p", "--once").code == 5
        running = shipped.run("run")
        assert "started to ship" not in running.stderr
    assert not [name for name in left(shipped) if name.endswith("-client")]


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


@pytest.mark.parametrize("setting", ["wal_level=minimal"])
def test_a_source_that_cannot_ship_its_log_says_so(site: Site, tmp_path: Path, setting: str) -> None:
    with primary(tmp_path / "source", _image(), setting, "max_wal_senders=0") as source:
        plan(site, source)
        done = site.run("backup", "p")
        assert done.code == 1 and "too little log" in done.json["reason"]
