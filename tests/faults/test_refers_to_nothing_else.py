"""A restored copy refers to nothing that it did not make: a server that is started on it, while all that the source had
is within its reach, touches none of that, and does nothing to others by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.cluster import DATA, Cluster, cluster
from tests.support.harness import Ran, Site, image_on
from tests.support.mariadb_source import (
    MariaSource,
    crm,
    data_directory,
    image_of,
    mariadb_server,
    small_database,
    whole_server,
)
from tests.support.restored_files import sums
from tests.support.sites import copy_of

from ccdr.host.processes import Host
from ccdr.jobs.restore.directory import Staging
from ccdr.model.errors import CcdrError


def handed_over(site: Site, target: Path) -> Ran:
    done = site.run("restore", "p", "--asset", "crm", "--to", str(target), "--yes-i-mean", target.name)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    return done


def answered(image: str, script: str, *seen: Path) -> list[str]:
    """Of a container that sees these directories at their own paths, as root."""
    argv = [*image_on(seen[0]), *(word for path in seen[1:] for word in ("-v", f"{path}:{path}"))]
    done = subprocess.run(
        [*argv, image, "timeout", "90", "bash", "-ec", script], capture_output=True, text=True, check=False
    )
    subprocess.run([*argv, image, "chown", "-R", "0:0", str(seen[0])], check=True)
    assert done.returncode == 0, done
    return done.stdout.split()


# --- PostgreSQL -----------------------------------------------------------------------------------------------------

PLACES = """
data_directory = '{gone}/data'
hba_file = '{gone}/pg_hba.conf'
log_directory = '{gone}'
include = '{gone}/more.conf'
archive_mode = on
"""
START = """
chown -R postgres {target}
su postgres -c '. /etc/profile; PATH=$PATH:/usr/lib/postgresql/17/bin
  pg_ctl -D {target}/data -w -s -l /tmp/log -o "-c unix_socket_directories=/tmp -c listen_addresses=" start
  psql="psql -h /tmp -XqAt crm"
  $psql -c "insert into kept values (1)" -c "select pg_switch_wal()" -c checkpoint > /dev/null
  for name in data_directory archive_mode max_logical_replication_workers; do $psql -c "show $name"; done
  $psql -c "select pg_is_in_recovery(), count(*) from kept"
  pg_ctl -D {target}/data -w -s -m fast stop'
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("original")
    root.chmod(0o755)
    with cluster(root / "server") as made:
        made.renamed("crm")
        made.run("mkdir", f"{made.tablespaces}/one", f"{made.tablespaces}/archived")
        made.psql(f"create tablespace one location '{made.tablespaces}/one'")
        made.psql("create table kept (n int) tablespace one; insert into kept select generate_series(1, 2000)", "crm")
        gone = f"{made.tablespaces}/gone"
        made.psql(f"alter system set archive_command = 'touch {made.tablespaces}/archived/%f'")
        made.psql("alter system set primary_conninfo = 'host=192.0.2.1'")
        made.run("bash", "-c", f"cat >> {DATA}/postgresql.conf <<'END'\n{PLACES.format(gone=gone)}END")
        made.run("bash", "-c", f"echo 'include {gone}/hba' >> {DATA}/pg_hba.conf; touch {DATA}/standby.signal")
        yield made


def test_a_postgres_copy_reads_no_configuration_of_its_source(server: Cluster, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.plan(
        "crm:\n  engine: postgres\n  method: physical\n"
        f"  connection: {{host: {server.sockets}, user: postgres, database: crm}}\n"
        '  backup: {schedule: "0 1 * * *"}'
    )
    site.backed_up()
    before, target = sums(server.tablespaces), tmp_path / "back"
    done = handed_over(site, target)
    assert [note for note in done.json["notes"] if note.startswith("silenced: ")]
    said = answered(_image(), START.format(target=target), target, server.tablespaces)
    assert said == [str(target / "data"), "off", "0", "f|2001"]
    assert sums(server.tablespaces) == before
    for name in ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "standby.signal"):
        assert (target / "captured" / name).exists(), name
    (link,) = (target / "data/pg_tblspc").iterdir()
    assert link.resolve().parent == target / "tablespaces"


# --- MariaDB --------------------------------------------------------------------------------------------------------

TABLES = """
create table crm.far (a int primary key, b varchar(99)) data directory='{far}';
insert into crm.far select seq, repeat('x', 50) from crm.seq_1_to_2000;
create table crm.parted (a int) partition by range (a)
  (partition p0 values less than (10) data directory='{far}', partition p1 values less than maxvalue);
insert into crm.parted values (1), (20);
create table crm.old (a int) engine=MyISAM data directory='{far}' index directory='{far}';
insert into crm.old values (1), (2);
"""
ARIA = "create table other.lost (a int, b int, key (b)) engine=Aria data directory='{far}' index directory='{far}'"
# All that has rows in files of its own, or in none, under names that a file's name spells otherwise.
KINDS = """
create database `öth-er`; use `öth-er`; install soname 'ha_archive'; install soname 'ha_blackhole';
create table `a#P#b.c` (a int, key (a)) engine=Aria; create table `m-m` (a int, key (a)) engine=MyISAM;
create table halves (a int, b int) engine=Aria partition by range (a) subpartition by hash (b) subpartitions 2
  (partition `p 0` values less than (9), partition p1 values less than maxvalue);
create table moved (a int) engine=MyISAM partition by range (a)
  (partition p0 values less than (9) data directory='{far}', partition p1 values less than maxvalue);
create table plain (a int not null) engine=CSV; create table fast (a int) engine=MEMORY;
create table kept (a int) engine=ARCHIVE data directory='{far}'; create table hole (a int) engine=BLACKHOLE;
create table merged (a int, key (a)) engine=MERGE union=(`m-m`); create view seen as select * from `m-m`;
create sequence s engine=Aria; create sequence t; create table inno (a int) partition by hash (a) partitions 2;
"""
PREPARED = """
mariadb-backup --no-defaults --prepare --target-dir={target}/data 2> /dev/null
chown -R mysql {target}
mariadbd --defaults-file={target}/my.cnf --user=mysql 2> /tmp/err &
server=$!
ask="mariadb --no-defaults -S /tmp/restored.sock -BN"
until $ask -e 'select 1' > /dev/null 2>&1; do
  kill -0 $server || {{ cat /tmp/err >&2; exit 1; }}
  sleep 0.1
done
$ask -e "select @@event_scheduler, @@lower_case_table_names, support from information_schema.engines where engine = 'FEDERATED'"
{switched_on}
grep -cE '^event_scheduler=.?ON|plugin-federated' {target}/my.cnf
$ask -e "select @@event_scheduler; insert into crm.far values (0, 'new'); insert into crm.old values (3);
  select (select count(*) from crm.far), (select count(*) from crm.parted), (select count(*) from crm.old)"
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MariaSource, Path, Site]]:
    """A source with tables that lie outside of its data directory: where, and what was captured of it."""
    data = data_directory()
    with mariadb_server("--lower-case-table-names=1", data=data) as made, small_database(made, "crm", goes=True):
        far = data / "far"
        subprocess.run(["docker", "exec", made.container, "mkdir", str(far)], check=True)
        made.sql(TABLES.format(far=far))
        made.sql("flush tables; flush tables crm.far, crm.parted for export; unlock tables")
        site = crm(Site(tmp_path_factory.mktemp("captured")), made, "crm", whole_server(data))
        failed = site.run("backup", "p")
        assert failed.code == 1 and "DATA DIRECTORY" in failed.json["reason"], failed
        programs = with_clients_of_this_host(tmp_path_factory.mktemp("programs"))
        made.sql(f"create database other; {ARIA.format(far=far)}")
        lost = site.run("backup", "p", env=programs)
        assert (lost.code, lost.json["result"]) == (1, "FAILED") and "other/lost" in lost.json["reason"], lost
        made.sql("drop database other; set global event_scheduler = 'ON'; install soname 'ha_federatedx';")
        made.sql(KINDS.format(far=far))
        done = site.run("backup", "p", env=programs)
        assert (done.code, done.json["result"]) == (0, "STORED"), done
        assert [note for note in done.json["notes"] if note.startswith("DATA DIRECTORY: ")]
        yield made, far, site


def with_clients_of_this_host(directory: Path) -> dict[str, str]:
    """As where MariaDB's own programs are installed: they see all that this host has."""
    seen = " ".join(f"-v {path}:{path}" for path in ("/tmp", "/dev/shm", "/var/tmp"))
    for program in ("mariadb", "mariadb-dump", "mariadb-backup"):
        run = f"docker run --rm -i --network none --user root {seen} --entrypoint {program} {image_of('11.8')}"
        (directory / program).write_text(f'#!/bin/sh\nexec {run} "$@"\n')
        (directory / program).chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def test_a_mariadb_copy_has_all_its_tables_below_its_own_directory(
    elsewhere: tuple[MariaSource, Path, Site], tmp_path: Path
) -> None:
    _, far, captured = elsewhere
    site = copy_of(captured, tmp_path / "site")
    tested = site.run("test", "p")
    assert (tested.code, tested.json["verdict"]) == (0, "PASS"), tested
    target = tmp_path / "back"
    done = handed_over(site, target)
    assert [note for note in done.json["notes"] if note.startswith("DATA DIRECTORY: ")]
    silenced = [note.partition("`")[2].rstrip("`") for note in done.json["notes"] if note.startswith("silenced: ")]
    assert len(silenced) == 2
    before, script = sums(far), PREPARED.format(target=target, switched_on="\n".join(silenced))
    said = answered(image_of("11.8"), script, target, far)
    assert said == ["OFF", "1", "NO", "1", "ON", "2001", "2", "3"]
    assert sums(far) == before


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["/etc/hostname", "../outside", "../../../outside"])
def test_what_leads_out_of_a_servers_files_gets_no_final_name(tmp_path: Path, to: str) -> None:
    staging = Staging.of(tmp_path / "back", "r1")
    staging.begin()
    (staging.tree / "data").mkdir()
    (staging.tree / "data/harmless").symlink_to("../data")
    (staging.tree / "data/absolute").symlink_to(tmp_path / "back/data")
    (staging.tree / "pg_wal").symlink_to(to)
    with pytest.raises(CcdrError) as raised:
        staging.finish(Host())
    assert "pg_wal" in str(raised.value) and not (tmp_path / "back").exists()
    (staging.tree / "pg_wal").unlink()
    staging.finish(Host())
    assert (tmp_path / "back/data/harmless").is_symlink() and staging.named
