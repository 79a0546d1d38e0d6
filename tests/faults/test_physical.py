"""PostgreSQL's base backups: whatever was damaged, at the source, on the way or in the copy, is told and never passes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_capture_faults import failed, heals, pids, small_disk, yesterdays_stands
from tests.faults.test_increments import flipped, hooked, largest
from tests.support.cluster import DATA, Cluster, cluster
from tests.support.harness import SMALL, Quiet, Ran, Site, eventually, sql_damage
from tests.support.sites import copy_of
from tests.support.stored import assert_clean, brought_back, left, restored, tested
from tests.support.stored import copy_of as with_own_repository

from ccdr.engines.postgres.physical import capture
from ccdr.engines.postgres.physical.cluster import PGDATA
from ccdr.jobs.backup import backup
from ccdr.jobs.restore_test import RestoreTest
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.plans.job import Job
from ccdr.ports.place import Place

PHYSICAL = "method: physical"
CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
  - {kind: sql, name: where it is kept, expect: one,
     query: "select spcname from pg_tablespace t join pg_class c on c.reltablespace = t.oid where relname = 'kept'"}
  - {kind: sql, name: all of it, expect: 200010000, query: select sum(n) from kept}
"""
SUMS, INDEXES, DUMPED_INDEXES = (
    "pg_checksums --check",
    "pg_amcheck --all --heapallindexed",
    "pg_amcheck --heapallindexed",
)
ODD = "back\\slash and a\nsecond line"
# An index on what a function says of each row; and the function, when it says something else.
BUCKET = "create or replace function bucket(bigint) returns bigint language sql immutable as 'select $1 % {}';\n"
INDEXED = BUCKET.format(7) + "create index call_by_bucket on call (bucket(id));\n"
# An index that does not fit its table, though every definition is as it was.
MISFIT = BUCKET.format(5) + "reindex index call_by_bucket;\n" + BUCKET.format(7)


def filled(made: Cluster) -> Cluster:
    made.renamed("crm")
    made.psql(SMALL + INDEXED, "crm")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With a table in a tablespace, and a file of an odd name."""
    root = tmp_path_factory.mktemp("physical")
    root.chmod(0o755)
    with cluster(root / "server") as made:
        filled(made).run("mkdir", f"{made.tablespaces}/one")
        made.psql(f"create tablespace one location '{made.tablespaces}/one'")
        made.psql("create table kept (n int) tablespace one; insert into kept select generate_series(1, 20000)", "crm")
        made.run("sh", "-c", 'echo odd > "$0"', f"{DATA}/{ODD}")
        yield made


@pytest.fixture(scope="module")
def captured(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("captured"))
    site.crm(server, "crm", PHYSICAL, checks=CHECKS)
    site.backed_up()
    return site


@pytest.fixture
def site(captured: Site, tmp_path: Path) -> Site:
    return copy_of(captured, tmp_path / "site")


@pytest.fixture
def own(captured: Site, tmp_path: Path) -> Site:
    """It may write to its repository."""
    return with_own_repository(captured, tmp_path / "own")


def result(done: RestoreTest, name: str) -> CheckResult:
    assert done.checks, done.reason
    found = {check.name: check for check in done.checks}
    assert name in found, (list(found), done.reason)
    return found[name]


def integrity(done: Ran) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in done.json["checks"] if c["kind"] == "integrity"}


def statuses(done: Ran) -> dict[str, str]:
    return {name: check["status"] for name, check in integrity(done).items()}


def test_which_unlogged_tables_come_back_empty_is_told_before_and_after(own: Site, server: Cluster) -> None:
    """A base backup has not their rows, and who recovers is to know which tables these are."""
    server.psql("create unlogged table dialler_session as select generate_series(1, 20) as id", "crm")
    server.psql("set allow_in_place_tablespaces = on;\ncreate tablespace inside location ''")
    server.psql("select pg_create_physical_replication_slot(name) from unnest('{standby,ccdr_own}'::name[]) name")
    try:
        taken = own.run("backup", "p", "--asset", "crm")
    finally:
        server.psql("drop table dialler_session", "crm")
        server.psql("drop tablespace inside")
        server.psql("select pg_drop_replication_slot(name) from unnest('{standby,ccdr_own}'::name[]) name")
    assert "1 replication slot (standby)" in str(taken.json["notes"])
    told = "1 unlogged table comes back empty (public.dialler_session)"
    assert taken.code == 0 and told in str(taken.json), taken
    foretold = own.run("recover", "p", "--under", str(own.root / "back"), "--dry-run")
    assert told in str(foretold.json) and "1 replication slot (standby)" in str(foretold.json), foretold
    done = own.run("test", "p", "--asset", "crm")
    assert told in next(c["actual"] for c in done.json["checks"] if "pg_verifybackup" in c["name"]), done
    assert done.json["verdict"] == "PASS", "with a tablespace that lies in the data directory"


def test_a_file_that_is_a_link_elsewhere_is_missed(own: Site, server: Cluster) -> None:
    """pg_basebackup leaves it out, and exits 0; no check of an index opens every one."""
    server.psql("create table linked as select array[n] as a from generate_series(1, 9) n", "crm")
    server.psql("create index linked_gin on linked using gin (a)", "crm")
    path = server.psql("checkpoint; select pg_relation_filepath('linked_gin')", "crm")
    server.run("sh", "-c", f"mv {DATA}/{path} /tmp/away && ln -s /tmp/away {DATA}/{path}")
    try:
        assert own.run("backup", "p", "--asset", "crm").code == 0
    finally:
        server.run("mv", "/tmp/away", f"{DATA}/{path}")
        server.psql("drop table linked", "crm")
    done = own.run("test", "p", "--asset", "crm")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    (wrong,) = [c["actual"] for c in done.json["checks"] if c["name"] == "server"]
    assert "crm.public.linked_gin" in wrong


# --- integrity ------------------------------------------------------------------------------------------------------


def test_an_index_that_does_not_fit_its_table_fails_after_a_base_backup(site: Site) -> None:
    done = site.damaged_test(sql_damage(MISFIT, "crm"))
    found = result(done, INDEXES)
    assert (done.verdict, found.status) == (Verdict.FAIL, Verdict.FAIL), done.checks
    assert "call_by_bucket" in (found.detail or ""), found
    assert result(done, SUMS).status is Verdict.PASS


def test_an_index_that_does_not_fit_its_table_fails_after_a_dump(server: Cluster, site: Site, tmp_path: Path) -> None:
    (tmp_path / "dumped").mkdir()
    dumped = Site(tmp_path / "dumped")
    dumped.crm(server, "crm", checks=CHECKS.split("  - {kind: rows")[0])
    dumped.backed_up()
    whole = dumped.damaged_test(sql_damage("select 1", "crm"))
    assert (whole.verdict, result(whole, DUMPED_INDEXES).actual) == (Verdict.PASS, "no corruption"), whole.checks
    done = dumped.damaged_test(sql_damage(MISFIT, "crm"))
    found = result(done, DUMPED_INDEXES)
    assert (done.verdict, found.status) == (Verdict.FAIL, Verdict.FAIL), done.checks
    assert "call_by_bucket" in (found.detail or ""), found
    assert [c.name for c in done.checks if c.status is not Verdict.PASS] == [DUMPED_INDEXES], "nothing else is seen"


def test_a_page_that_is_not_as_its_checksum_says_fails(site: Site) -> None:
    """Of a table's file, and on the restored server's disk alone: whoever reads it sees it."""

    def damage(box: Place, restored: Path, manifest: Manifest) -> None:
        sql_damage("checkpoint", "crm")(box, restored, manifest)
        env = {"PGHOST": "/ccdr/run", "PGUSER": "postgres", "PGDATABASE": "crm"}
        file = box.run(["psql", "-XAtc", "select pg_relation_filepath('kept')"], env=env).stdout.strip()
        box.run(["sh", "-c", OVERWRITE, "sh", f"{PGDATA}/{file}", str(8192 * 2 + 8000)])

    done = site.damaged_test(damage)
    sums, indexes = result(done, SUMS), result(done, INDEXES)
    assert (done.verdict, sums.status, indexes.status) == (Verdict.FAIL,) * 3, done.checks
    assert "checksum verification failed" in (sums.detail or ""), sums
    assert "invalid page in block 2" in (indexes.detail or ""), indexes


# $1: a file, $2: where in it three bytes become others.
OVERWRITE = r"""printf '\377\252\377' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none"""
# In the second page of an index, before the page's own sixteen bytes and its highest key's: an entry's key, eight bytes.
KEY = 8192 * 2 - 16 - 16 - 8


def damaged_at_rest(made: Cluster, relation: str, at: int) -> None:
    """A file of the stopped server is written to."""
    file = f"{DATA}/{made.psql(f'''select pg_relation_filepath('{relation}')''', 'crm')}"
    made.psql("checkpoint")
    made.stop()
    made.run("sh", "-c", OVERWRITE, "sh", file, str(at))
    made.start()


@contextlib.contextmanager
def with_its_own_server(tmp_path: Path, *, checksums: bool = True) -> Iterator[tuple[Site, Cluster]]:
    """A site and the server that its plan names, which a test may harm."""
    tmp_path.chmod(0o755)
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    with cluster(tmp_path / "server", checksums=checksums) as made:
        site.crm(filled(made), "crm", PHYSICAL, checks=CHECKS.split("  - {kind: rows")[0])
        yield site, made


def test_a_source_whose_pages_are_damaged_is_no_backup(tmp_path: Path) -> None:
    with with_its_own_server(tmp_path) as (site, made):
        heals(site)
        damaged_at_rest(made, "call", 8192 + 8000)
        failed(site.run("backup", "p"), site, "the source's own files are damaged", "checksum")
        yesterdays_stands(site)


def test_a_source_whose_index_is_wrong_fails(tmp_path: Path) -> None:
    """Every page is as its checksum says: it was written so."""
    with with_its_own_server(tmp_path) as (site, made):
        made.psql(MISFIT, "crm")
        site.backed_up()
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert statuses(done) == {SUMS: "PASS", INDEXES: "FAIL"}
        assert {c["status"] for c in done.json["checks"] if c["kind"] == "identical"} == {"PASS"}
        made.psql("reindex index call_by_bucket", "crm")
        heals(site)


def test_a_source_without_checksums_is_told_and_its_damage_is_found_by_the_test(tmp_path: Path) -> None:
    with with_its_own_server(tmp_path, checksums=False) as (site, made):
        notes = site.backed_up().json["notes"]
        assert any("bear no checksums" in note for note in notes), notes
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"], list(integrity(done))) == (0, "PASS", [INDEXES]), done
        assert "pages bear no checksums at the source" in integrity(done)[INDEXES]["actual"]
        damaged_at_rest(made, "call_pkey", KEY)
        site.backed_up()
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"], statuses(done)) == (1, "FAIL", {INDEXES: "FAIL"}), done


def test_files_whose_names_are_no_utf_8_come_back(tmp_path: Path) -> None:
    """PostgreSQL's own manifest names them in hexadecimal."""
    with with_its_own_server(tmp_path) as (site, made):
        made.run("bash", "-c", f"for name in café $'caf\\xe9'; do echo kept > {DATA}/$name; done")
        site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    target = tmp_path / "back"
    done = site.run("restore", "p", "--asset", "crm", "--to", str(target), "--yes-i-mean", "back")
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    names = {name for name in os.listdir(os.fsencode(target / "data")) if name.startswith(b"caf")}
    assert names == {"café".encode(), b"caf\xe9"}


# --- what came back -------------------------------------------------------------------------------------------------


def in_database(at: Path) -> Path:
    return largest(at / "data/base", "[0-9]*")


def in_tablespace(at: Path) -> Path:
    return largest(at / "tablespaces", "[0-9]*")


def log(at: Path) -> Path:
    return largest(at / "data/pg_wal", "0*")


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 8192)


def more(file: Path) -> None:
    file.write_bytes(b"\0" * 8192)


CHANGED: dict[str, Callable[[Path], object]] = {
    "a byte of a table": lambda at: flipped(in_database(at)),
    "a byte in a tablespace": lambda at: flipped(in_tablespace(at)),
    "a byte of the log": lambda at: flipped(log(at)),
    "a byte of the control file": lambda at: flipped(at / "data/global/pg_control"),
    "a byte of the backup's label": lambda at: flipped(at / "data/backup_label"),
    "a byte of the manifest": lambda at: flipped(at / "data/backup_manifest"),
    "a byte of what ALTER SYSTEM writes": lambda at: flipped(at / "data/postgresql.auto.conf"),
    "a byte of a file with an odd name": lambda at: flipped(at / "data" / ODD),
}
SHORTER: dict[str, Callable[[Path], object]] = {
    "a table's file is gone": lambda at: in_database(at).unlink(),
    "a tablespace's file is gone": lambda at: in_tablespace(at).unlink(),
    "a table's file is shorter": lambda at: cut(in_database(at)),
    "a table's file is empty": lambda at: os.truncate(in_database(at), 0),
    "the log is shorter": lambda at: cut(log(at)),
    "the log is gone": lambda at: log(at).unlink(),
    "the backup's label is gone": lambda at: (at / "data/backup_label").unlink(),
    "the manifest is gone": lambda at: (at / "data/backup_manifest").unlink(),
    "a file with an odd name is gone": lambda at: (at / "data" / ODD).unlink(),
}
LONGER: dict[str, Callable[[Path], object]] = {
    "a file more": lambda at: more(in_database(at).with_name("99999")),
    "a file more in a tablespace": lambda at: more(in_tablespace(at).with_name("99999")),
    "a file more beside the databases": lambda at: more(at / "data/global/99999"),
    "a segment of the log more": lambda at: more(at / "data/pg_wal/0000000100000000000000AA"),
    "a timeline more": lambda at: more(at / "data/pg_wal/00000002.history"),
}
LINKS: dict[str, Callable[[Path], object]] = {
    "a tablespace's link is gone": lambda at: [link.unlink() for link in (at / "data/pg_tblspc").iterdir()],
}
HARMS = CHANGED | SHORTER | LONGER | LINKS
# What is in the log's directory is for the count alone to tell.
SEEN_LATER = [harm for harm in HARMS if harm not in ("a segment of the log more", "a timeline more")]


@pytest.mark.parametrize("harm", ["a table's file is gone", "the log is shorter", *LONGER, *LINKS])
def test_what_did_not_come_back_as_it_was_stored_fails(site: Site, tmp_path: Path, harm: str) -> None:
    with brought_back("backup_label", HARMS[harm]):
        found = restored(site, tmp_path / "back")
        done = tested(site)
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)
    assert not done.checks, "no server was started on it"
    assert found.result != "RESTORED" and not (tmp_path / "back").exists(), found
    assert not left(site)


@pytest.mark.parametrize("harm", SEEN_LATER)
def test_what_is_not_what_was_captured_fails(site: Site, harm: str) -> None:
    """Done to what was fetched, when its files had been counted."""
    done = hooked(site, HARMS[harm])
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)
    assert not done.checks and not left(site)


@pytest.mark.parametrize("harm", ["a byte of a table", "a byte in a tablespace"])
def test_nothing_else_than_what_was_captured_is_restored(site: Site, tmp_path: Path, harm: str) -> None:
    with brought_back("backup_label", HARMS[harm]):
        found = restored(site, tmp_path / "back")
    assert found.result != "RESTORED" and not (tmp_path / "back").exists() and not left(site), found


def test_what_is_as_it_was_captured_passes_the_same_way(site: Site, tmp_path: Path) -> None:
    """And a table in a tablespace is asked: it lies in the tablespace, and all of it is there."""
    with brought_back("backup_label", lambda at: None):
        found = restored(site, tmp_path / "back")
        done = tested(site)
    assert (done.verdict, int(done.exit_code)) == (Verdict.PASS, 0), (done.reason, done.checks)
    assert result(done, "where it is kept").status is Verdict.PASS and result(done, SUMS).actual == "every page is"
    assert found.result == "RESTORED" and (tmp_path / "back/data" / ODD).read_text() == "odd\n", found
    assert not left(site)


# --- captures that fail ---------------------------------------------------------------------------------------------


def kill_client(site: Site, server: Cluster) -> None:
    for pid in pids("pg_basebackup", str(site.root)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_server(site: Site, server: Cluster) -> None:
    """Whatever runs in its container, but for what keeps that: as when the machine loses its power."""
    subprocess.run(["docker", "exec", server.container, "sh", "-c", "kill -9 -1"], check=False, capture_output=True)


@pytest.mark.parametrize("kill", [kill_client, kill_server])
def test_killed_half_way_is_a_failed_backup(own: Site, server: Cluster, kill: Callable[[Site, Cluster], None]) -> None:
    # The tablespace is sent first, some 700 KiB; what follows takes a minute and more.
    own.crm(server, "crm", f"{PHYSICAL}\nmax_rate: 256KiB", checks=CHECKS)
    process = own.start("backup", "p", "--json")
    into = own.state / "scratch/capture/p/crm/ccdr-capture"
    try:
        assert eventually(lambda: (into / "data/base").is_dir(), 60), process.poll()
        kill(own, server)
        out, err = process.communicate(timeout=120)
    finally:
        if kill is kill_server:
            assert eventually(lambda: started(server), 30)
    assert process.returncode == 1 and own.records("backup.end")[-1]["result"] == "FAILED", (out, err)
    assert not pids("pg_basebackup", str(own.root))
    assert_clean(own)
    own.crm(server, "crm", PHYSICAL, checks=CHECKS)
    yesterdays_stands(own)
    heals(own)


def started(server: Cluster) -> bool:
    """Nobody takes leave of the dead in its container: they would count as running."""
    server.run("sh", "-c", f"rm -f {DATA}/postmaster.pid /sockets/.s.PGSQL.5432*")
    with contextlib.suppress(AssertionError):
        server.start()
    return server.psql("select 1", check=False) == "1"


def test_no_room_for_the_copy_is_a_failed_backup_before_anything_is_read(own: Site) -> None:
    (own.state / "scratch").mkdir(exist_ok=True)
    with small_disk(own.state / "scratch", "16m"):
        failed(own.run("backup", "p"), own, "free, the copy needs")
    yesterdays_stands(own)


def test_no_room_left_half_way_is_a_failed_backup(own: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when somebody else fills it meanwhile."""
    monkeypatch.setattr(capture, "_refuse", lambda cluster, into: None)
    (own.state / "scratch").mkdir(exist_ok=True)
    with small_disk(own.state / "scratch", "24m"):
        done = backup(Job(own.loaded(), "crm"), own.services(), Quiet())
        assert (done.result, int(done.exit_code), done.snapshot) == ("FAILED", 1, None), done
        assert "no space left" in str(done.reason).lower(), done.reason
        assert_clean(own)
    yesterdays_stands(own)


def test_a_tablespace_that_is_made_meanwhile_is_no_backup(
    own: Site, server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log that comes with the base would make it again at the source's own path."""
    copied = capture.BaseBackup._run

    def run(self: capture.BaseBackup, *of: Any) -> None:
        copied(self, *of)
        server.run("mkdir", f"{server.tablespaces}/meanwhile")
        server.psql(f"create tablespace meanwhile location '{server.tablespaces}/meanwhile'")

    monkeypatch.setattr(capture.BaseBackup, "_run", run)
    try:
        done = backup(Job(own.loaded(), "crm"), own.services(), Quiet())
        assert (done.result, int(done.exit_code), done.snapshot) == ("FAILED", 1, None), done
    finally:
        server.psql("drop tablespace meanwhile")
        server.run("rmdir", f"{server.tablespaces}/meanwhile")
    monkeypatch.undo()
    assert_clean(own)
    heals(own)


def test_a_database_of_functions_alone_comes_back(server: Cluster, tmp_path: Path) -> None:
    """Its twin, that holds nothing, may be the wrong one."""
    site = Site(tmp_path)
    server.psql("create database coded")
    try:
        site.crm(server, "coded", PHYSICAL, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
        failed(site.run("backup", "p"), site, "coded", "no object of its own")
        server.psql("create function twice(n int) returns int language sql as 'select 2 * n'", "coded")
        heals(site)
    finally:
        server.psql("drop database coded")
