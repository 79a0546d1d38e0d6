"""A source that is promoted while its log is shipped goes on, on a timeline of its own; one that is put back does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.cluster import DATA, Cluster
from tests.support.harness import eventually
from tests.support.shipping import (
    KEPT,
    WAL,
    back,
    based,
    log_repo,
    recovered,
    ship_once,
    standing,
    started,
    trouble,
)

from ccdr.engines.postgres.segments import SEGMENT_BYTES, number
from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.model.errors import CcdrError
from ccdr.plans.job import Job

pytestmark = pytest.mark.long

FILL = "create table {name} as select n, repeat('x', 500) t from generate_series(1, {rows}) n"


@pytest.mark.parametrize("promoted", [False, True])
def test_a_source_that_is_promoted_is_followed_onto_its_new_timeline(tmp_path: Path, promoted: bool) -> None:
    with based(tmp_path) as (site, made):
        made.psql("insert into call (id, note) values (101, 'before')", "postgres")
        ship_once(site)
        made.psql("insert into call (id, note) values (102, 'unshipped')", "postgres")
        made.stop()
        if promoted:
            made.run("touch", f"{DATA}/standby.signal")
        made.start(**KEPT)
        if promoted:
            made.run("pg_ctl", "-D", DATA, "-w", "promote")
        made.psql("insert into call (id, note) values (103, 'behind'); select pg_switch_wal()", "postgres")
        ship_once(site)
        made.psql("insert into call (id, note) values (104, 'last')", "postgres")
        ship_once(site)
        assert not standing(site)["gap"] and not archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        rows = "select string_agg(note, ' ' order by id) from call where id > 100"
        assert back(done, rows) == "before unshipped behind last"


def test_a_source_that_fails_over_is_followed_by_who_ships_all_the_while(tmp_path: Path) -> None:
    """The receiver is thrown off in the middle of a segment; a standby is not shipped from, its promotion is."""
    with based(tmp_path) as (site, made):
        with started(site):
            assert eventually(lambda: _connected(made), 60), standing(site)
            made.psql("insert into call (id, note) values (101, 'before')", "postgres")
            made.stop()
            made.run("touch", f"{DATA}/standby.signal")
            made.start(**KEPT)
            assert eventually(lambda: trouble(site) == "the server is a standby", 60), standing(site)
            made.run("pg_ctl", "-D", DATA, "-w", "promote")
            made.psql("insert into call (id, note) values (102, 'behind'); select pg_switch_wal()", "postgres")
            made.psql("insert into call (id, note) values (103, 'last')", "postgres")
            wanted = made.psql("select pg_current_wal_flush_lsn()", "postgres")
            assert eventually(lambda: number(standing(site)["position"] or "0/0") >= number(wanted), 90), standing(site)
            assert eventually(lambda: standing(site)["trouble"] is None, 60), standing(site)
        assert not standing(site)["gap"] and not archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert back(done, "select string_agg(note, ' ' order by id) from call where id > 100") == "before behind last"


def _connected(source: Cluster) -> bool:
    return source.psql("select count(*) from pg_stat_replication where state = 'streaming'", "postgres") == "1"


@pytest.mark.parametrize("seen", [True, False], ids=["seen while behind", "seen once past"])
def test_a_source_whose_disk_was_put_back_needs_a_new_base(tmp_path: Path, seen: bool) -> None:
    """Its identifier and its timeline are the same, and from where its disk was saved on its history is another. Seen
    behind what is stored, it is told at once; else by how the segment begins that is received once more."""
    with based(tmp_path) as (site, made):
        ship_once(site)
        made.stop()
        made.run("cp", "-a", DATA, f"{DATA}.saved")
        made.start(**KEPT)
        made.psql("insert into call (id, note) values (101, 'taken back')", "postgres")
        made.psql(f"{FILL.format(name='gone', rows=60000)}; select pg_switch_wal()", "postgres")
        made.psql(FILL.format(name="more", rows=100), "postgres")  # behind the first page of a segment
        ship_once(site)
        stored = number(standing(site)["position"])
        made.stop()
        made.run("sh", "-c", f"rm -rf {DATA} && mv {DATA}.saved {DATA}")
        made.start(**KEPT)
        made.psql("insert into call (id, note) values (102, 'anew')", "postgres")
        assert number(made.psql("select pg_current_wal_insert_lsn()", "postgres")) < stored
        if seen:
            with pytest.raises(CcdrError, match="went back behind its own log"):
                ship_once(site)
        _write_past(made, stored)
        if not seen:
            with pytest.raises(CcdrError, match="went back behind its own log"):
                ship_once(site)
        for _ in range(2):  # passing what is stored does not heal it
            ship_once(site)
            found = site.run("status")
            assert found.code == 1 and "went back behind its own log" in found.stdout, found
            assert "needed: run `ccdr backup p`" in " ".join(found.stdout.split()), found.stdout
        assert standing(site)["trouble"] is None
        assert [bool(said["gaps"]) for said in site.records("log.shipped") if said["anew"]] == [True]
        done = recovered(site, "latest")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        site.backed_up()
        made.psql("insert into call (id, note) values (103, 'behind the new base')", "postgres")
        ship_once(site)
        assert "its log" not in site.run("status").stdout
        done = recovered(site, "latest", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert back(done, "select string_agg(note, ' ' order by id) from call where id > 100") == (
            "anew behind the new base"
        )
        assert "went back" not in site.run("status").stdout


def test_log_is_not_applied_to_a_base_of_another_history_that_is_as_long(tmp_path: Path) -> None:
    """From a clean start on the server does the same again, byte by byte: its log fits the base, and nothing but the
    order of the two tells. Nobody has shipped since."""
    with based(tmp_path) as (site, made):
        made.stop()
        made.run("cp", "-a", DATA, f"{DATA}.saved")
        made.start(**KEPT)
        site.backed_up()
        made.psql("insert into call (id, note) values (101, 'taken back')", "postgres")
        ship_once(site)
        assert recovered(site, "latest").json["verdict"] == "PASS"
        made.stop()
        made.run("sh", "-c", f"rm -rf {DATA} && mv {DATA}.saved {DATA}")
        made.start(**KEPT)
        site.backed_up()
        done = recovered(site, "latest")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert "went back behind its own log" in done.json["reason"]
        assert site.run("test", "p").json["verdict"] == "PASS", "the base itself is good"


def test_a_source_that_was_only_restarted_goes_on(tmp_path: Path) -> None:
    """The twin: within a segment, orderly and by a crash; its segment is received once more, and begins as it did."""
    with based(tmp_path) as (site, made):
        for n, mode in enumerate(("fast", "immediate", "fast"), 101):
            made.psql("select pg_switch_wal()", "postgres")
            made.psql(f"insert into call (id, note) values ({n}, 'before {mode}')", "postgres")
            ship_once(site)  # its first page is not full
            made.psql(FILL.format(name=f"filler_{n}", rows=100), "postgres")
            ship_once(site)
            made.stop(mode)
            made.start(**KEPT)
            ship_once(site)
        assert not standing(site)["gap"] and not archive_of(Job(site.loaded(), "crm"), log_repo(site)).gaps(WAL)
        done = recovered(site, "latest")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done


def _write_past(source: Cluster, position: int) -> None:
    """Log of another history, to behind `position`."""
    for n in range(20):
        source.psql(f"{FILL.format(name=f'anew_{n}', rows=30000)}", "postgres")
        if number(source.psql("select pg_current_wal_flush_lsn()", "postgres")) > position + SEGMENT_BYTES:
            return
    raise AssertionError("it does not get there")
