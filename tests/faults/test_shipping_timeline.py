"""A source that is promoted while its log is shipped: it goes on, on a timeline of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster import DATA, Cluster, cluster
from tests.faults.test_shipping import (
    SMALL,
    WAL,
    back,
    log_repo,
    plan,
    recovered,
    ship_once,
    standing,
    started,
    trouble,
)
from tests.harness import Site, eventually

from ccdr.engines.postgres.position import number
from ccdr.services import Job
from ccdr.shipping.shelf import shelf_of


@pytest.mark.parametrize("promoted", [False, True])
def test_a_source_that_is_promoted_is_followed_onto_its_new_timeline(tmp_path: Path, promoted: bool) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    with cluster(tmp_path / "server", max_slot_wal_keep_size="1GB") as made:
        made.psql(SMALL, "postgres")
        plan(site, made, "{interval: 2s}")
        site.backed_up()
        made.psql("insert into call (id, note) values (101, 'before')", "postgres")
        ship_once(site)
        made.psql("insert into call (id, note) values (102, 'unshipped')", "postgres")
        made.stop()
        if promoted:
            made.run("touch", f"{DATA}/standby.signal")
        made.start(max_slot_wal_keep_size="1GB")
        if promoted:
            made.run("pg_ctl", "-D", DATA, "-w", "promote")
        made.psql("insert into call (id, note) values (103, 'behind'); select pg_switch_wal()", "postgres")
        ship_once(site)
        made.psql("insert into call (id, note) values (104, 'last')", "postgres")
        ship_once(site)
        assert not standing(site)["gap"] and not shelf_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        rows = "select string_agg(note, ' ' order by id) from call where id > 100"
        assert back(done, rows) == "before unshipped behind last"


def test_a_source_that_fails_over_is_followed_by_who_ships_all_the_while(tmp_path: Path) -> None:
    """The receiver is thrown off in the middle of a segment; a standby is not shipped from, its promotion is."""
    tmp_path.chmod(0o755)
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    with cluster(tmp_path / "server", max_slot_wal_keep_size="1GB") as made:
        made.psql(SMALL, "postgres")
        plan(site, made, "{interval: 2s}")
        site.backed_up()
        with started(site):
            assert eventually(lambda: _connected(made), 60), standing(site)
            made.psql("insert into call (id, note) values (101, 'before')", "postgres")
            made.stop()
            made.run("touch", f"{DATA}/standby.signal")
            made.start(max_slot_wal_keep_size="1GB")
            assert eventually(lambda: trouble(site) == "the server is a standby", 60), standing(site)
            made.run("pg_ctl", "-D", DATA, "-w", "promote")
            made.psql("insert into call (id, note) values (102, 'behind'); select pg_switch_wal()", "postgres")
            made.psql("insert into call (id, note) values (103, 'last')", "postgres")
            wanted = made.psql("select pg_current_wal_flush_lsn()", "postgres")
            assert eventually(lambda: number(standing(site)["position"]) >= number(wanted), 90), standing(site)
            assert eventually(lambda: standing(site)["trouble"] is None, 60), standing(site)
        assert not standing(site)["gap"] and not shelf_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert back(done, "select string_agg(note, ' ' order by id) from call where id > 100") == "before behind last"


def _connected(source: Cluster) -> bool:
    return source.psql("select count(*) from pg_stat_replication where state = 'streaming'", "postgres") == "1"
