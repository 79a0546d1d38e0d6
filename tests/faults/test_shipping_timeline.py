"""A source that is promoted while its log is shipped: it goes on, on a timeline of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster import DATA, cluster
from tests.faults.test_shipping import SMALL, WAL, back, log_repo, plan, recovered, ship_once, standing
from tests.harness import Site

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
