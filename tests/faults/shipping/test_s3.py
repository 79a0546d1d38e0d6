"""Log that is shipped into an S3 server which stops, or does not answer: it waits here, and no more of it than may."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.harness import Site, eventually
from tests.support.primary import Primary, primary
from tests.support.shipping import (
    SMALL,
    WAL,
    back,
    log_repo,
    note,
    plan,
    received,
    receiver,
    recovered,
    shipping,
    spool,
    standing,
    trouble,
)
from tests.support.stored import on_store

from ccdr.demo.store import DemoStore, start
from ccdr.host.processes import Daemon
from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.plans.job import Job

pytestmark = pytest.mark.long

LIMIT = 64 * 2**20
SEGMENT = 16 * 2**20


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Primary]:
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=2GB") as made:
        made.psql(SMALL)
        yield made


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[DemoStore]:
    """An S3 server of a test's own, which it may stop."""
    running = start(tmp_path / "s3")
    try:
        yield running
    finally:
        running.stop()


def stopped(store: DemoStore) -> None:
    store.daemon.kill()


@contextlib.contextmanager
def started_again(store: DemoStore, root: Path) -> Iterator[None]:
    """At the same address, with what it had stored."""
    daemon = Daemon.start(store.daemon.argv, log=root / "weed.log", env={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"})
    try:
        yield
    finally:
        replace(store, daemon=daemon).stop()


def written(source: Primary, text: str, segments: int) -> None:
    for n in range(segments):
        note(source, f"{text} {n}")
        source.psql("select pg_switch_wal()")


def test_log_waits_for_a_store_that_was_stopped(
    site: Site, source: Primary, own_store: DemoStore, tmp_path: Path
) -> None:
    plan(site, source, "{interval: 2s}\n  limits: {no_progress: 5s}")
    site.backed_up()
    on_store(site, own_store, "ccdr-log")
    with shipping(site):
        note(source, "before")
        stopped(own_store)
        usable = standing(site)["usable"]
        waited = sum(spool(site).values())
        written(source, "meanwhile", 4)
        assert received(site, source), "though nothing can be stored"
        assert sum(spool(site).values()) >= waited + 4 * SEGMENT
        assert eventually(lambda: "does not answer" in trouble(site), 30), trouble(site)
        assert standing(site)["usable"] == usable
        found = site.run("status")
        assert found.code == 1 and "log is not shipped" in found.stdout, found
        with started_again(own_store, tmp_path):
            assert eventually(lambda: standing(site)["trouble"] is None, 60), standing(site)
            note(source, "behind")
            assert not standing(site)["gap"] and not archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
            point = standing(site)["point"]
            assert eventually(lambda: standing(site)["point"] > point, 30)
            done = recovered(site, "latest", "--keep")
            assert (done.code, done.json["verdict"]) == (0, "PASS"), done
            rows = "select string_agg(note, ', ' order by id) from call where id > 100"
            assert back(done, rows) == "before, " + ", ".join(f"meanwhile {n}" for n in range(4)) + ", behind"


@pytest.fixture
def stalling(store: DemoStore) -> Iterator[FaultyProxy]:
    with faulty_proxy(store.endpoint) as proxy:
        yield proxy


def test_what_waits_is_limited_while_an_attempt_to_store_hangs(
    site: Site, source: Primary, store: DemoStore, stalling: FaultyProxy
) -> None:
    """It may hang for two minutes, and more log comes in these than a disk may have room for."""
    plan(site, source, "{interval: 2s, spool_limit: 64MiB}")
    site.backed_up()
    on_store(site, store, f"ccdr-log-{site.root.name[-8:].replace('_', '-')}", endpoint=stalling.endpoint)
    with shipping(site):
        stalling.set("stall")
        time.sleep(3)  # an attempt is under way
        begun = time.monotonic()
        while receiver(site) and time.monotonic() - begun < 40:
            written(source, "more", 1)
            assert sum(spool(site).values()) <= LIMIT + 12 * SEGMENT, "what comes while restic is ended"
        # What receives is ended first, and that is told then.
        assert eventually(lambda: receiver(site) is None and "spool_limit" in trouble(site), 40), standing(site)
        full = spool(site)
        written(source, "kept at the source", 4)
        assert spool(site) == full
        stalling.set("pass")
        assert eventually(lambda: standing(site)["trouble"] is None, 150), standing(site)
        assert not standing(site)["gap"]
