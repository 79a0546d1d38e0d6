"""A MariaDB server's binary log, shipped for real: log that is cut short, damaged or changed, and tables that are not well, are failures."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Site
from tests.support.mariadb_source import DATA, MariaSource, crm, mariadb_server, whole_server
from tests.support.shipping import log_repo, recovered, ship_once, stored_again
from tests.support.shipping_mariadb import CHECKS, SMALL

from ccdr.engines.mariadb import MariaDB
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.model.values import Manifest, Verdict
from ccdr.plans.job import Job
from ccdr.ports.place import Place

pytestmark = pytest.mark.long


def test_log_that_is_cut_short_is_a_failure(shipped: Site, source: MariaSource, tmp_path: Path) -> None:
    source.sql("insert into crm.calls (note) values ('first')")
    time.sleep(1.1)  # the log tells whole seconds
    moment = f"{source.sql('select utc_timestamp()')}+00:00"
    ship_once(shipped)
    assert recovered(shipped, moment).json["verdict"] == "PASS"
    repo, job = log_repo(shipped), Job(shipped.loaded(), "crm")
    batch = archive_of(job, repo).batches[-1]
    copy = tmp_path / "copy"
    repo.restore(batch.id, batch.root, copy)
    log = copy / f"{batch.open}.open"
    log.write_bytes(log.read_bytes()[:-40])  # in the middle of an event
    stored_again(shipped, batch, copy)
    for at in ("latest", moment):
        done = recovered(shipped, at)
        assert (done.code, done.json["verdict"]) == (1, "FAIL") and "the log ends at" in done.json["reason"], done
        assert batch.position in done.json["reason"]


def test_a_change_that_is_damaged_in_the_sources_own_log_fails(shipped: Site, source: MariaSource, data: Path) -> None:
    """By its checksum: the receiver passes it on, and it would be applied as if it were whole. Before it all is well."""
    source.sql("insert into crm.calls (note) values ('before')")
    time.sleep(1.1)  # the log tells whole seconds
    moment = f"{source.sql('select utc_timestamp()')}+00:00"
    source.sql("insert into crm.calls (note) values ('spoilt'); flush logs; insert into crm.calls (note) values ('b')")
    (log,) = [f for f in (data / DATA).glob("binlog.0*") if b"spoilt" in f.read_bytes()]
    log.write_bytes(log.read_bytes().replace(b"spoilt", b"spoile"))
    ship_once(shipped)
    done = recovered(shipped, moment)
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert f"the log's {log.name} is damaged: an event in it" in done.json["reason"]


def test_a_copy_that_was_changed_is_a_failure_before_a_server_runs_on_it(
    shipped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped.run("test", "p").json["verdict"] == "PASS"
    load = MariaDB.load

    def harmed(self: MariaDB, box: Place, restored: Path, manifest: Manifest) -> None:
        path = restored / "data/crm/agents.MYD"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        load(self, box, restored, manifest)

    monkeypatch.setattr(MariaDB, "load", harmed)
    done = restore_test(Job(shipped.loaded(), "crm"), "latest", shipped.services(), Quiet())
    assert done.verdict is Verdict.FAIL and "not what was captured" in str(done.reason)


def test_a_table_of_any_database_that_is_not_well_is_a_failure(shipped: Site, source: MariaSource, data: Path) -> None:
    """The whole server is captured, so all of it is read through, and not the database alone that the plan names."""
    source.sql(
        "create database ivr; use ivr;"
        "create table menu (id int auto_increment primary key, said varchar(80), key (said)) engine = myisam;"
        "insert into menu (said) select concat('press ', seq) from seq_1_to_500;"
        "create table live (id int) engine = memory; insert into live values (1); flush tables;"
        "create table `odd\tname\n\\ ``\"'\u2028` (id int); create table crm.`a\tb\\n;` (id int)"
    )
    shipped.backed_up()
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    (objects,) = [c for c in done.json["checks"] if c["name"] == "objects of crm"]
    assert "1 MEMORY table of the server" in objects["actual"]
    harm = "head -c 2000 /dev/zero | tr '\\0' x | dd of=menu.MYI bs=1 seek=2048 conv=notrunc status=none"
    argv = ["docker", "exec", "-w", f"{data / DATA}/ivr", source.container, "bash", "-ec", harm]
    subprocess.run(argv, check=True, capture_output=True)
    shipped.backed_up()
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    (check,) = [c for c in done.json["checks"] if c["name"] == "CHECK TABLE … EXTENDED"]
    assert check["actual"] == "ivr.menu is not well"


def test_a_table_of_an_engine_that_the_source_loads_by_its_own_options_is_no_failure(site: Site, data: Path) -> None:
    with mariadb_server("--log-bin=binlog", "--plugin-load-add=ha_archive", data=data) as made:
        made.sql(f"{SMALL} create database ivr; create table ivr.old (id int) engine = archive;")
        made.sql("insert into ivr.old values (1)")
        crm(site, made, "crm", whole_server(data), checks=CHECKS)
        site.backed_up()
        done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
