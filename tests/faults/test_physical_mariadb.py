"""mariadb-backup's copies: whatever was damaged, at the source, on the way or in the copy, is told and never passes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_increments import flipped, hooked
from tests.faults.test_mariadb import BOTH, PAIR, failed, here, passes, writing
from tests.support.harness import Ran, Site, eventually
from tests.support.mariadb_source import (
    BY_TRANSACTION,
    CHECKS,
    DATA,
    MariaSource,
    crm,
    data_directory,
    mariadb_server,
    small_database,
    whole_server,
)
from tests.support.shipping_mariadb import back
from tests.support.sites import copy_of
from tests.support.stored import assert_clean, brought_back, left, restored, tested
from tests.support.stored import copy_of as with_own_repository

from ccdr.engines.mariadb.physical import Copier
from ccdr.host.state import State
from ccdr.model.values import Verdict


@contextlib.contextmanager
def server_on_disk(*options: str) -> Iterator[tuple[MariaSource, Path]]:
    """A server, and where its data lies."""
    data = data_directory()
    with mariadb_server(*options, data=data) as made:
        yield made, data


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[MariaSource, Path]]:
    """Its pages are not as long as a server makes them by itself."""
    with server_on_disk("--innodb-page-size=8k") as (made, data), small_database(made, "crm", goes=True):
        made.sql(WRITTEN, "crm")
        yield made, data


# What a server has only noted in its log so far lies in no file of its own.
WRITTEN = "flush tables customer for export; unlock tables"


@pytest.fixture
def maria(server: tuple[MariaSource, Path]) -> MariaSource:
    return server[0]


@pytest.fixture
def data(server: tuple[MariaSource, Path]) -> Path:
    return server[1]


@pytest.fixture(scope="module")
def captured(server: tuple[MariaSource, Path], tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = crm(Site(tmp_path_factory.mktemp("captured")), server[0], "crm", whole_server(server[1]))
    site.backed_up()
    return site


@pytest.fixture
def site(captured: Site, tmp_path: Path) -> Site:
    return copy_of(captured, tmp_path / "site")


@pytest.fixture
def own(captured: Site, tmp_path: Path) -> Site:
    """It may write to its repository."""
    return with_own_repository(captured, tmp_path / "own")


def yesterdays_stands(site: Site) -> None:
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "failed" in done.json["reason"], done
    assert done.json["snapshot"]["verdict"] == "PASS", done


def checks(done: Ran) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in done.json["checks"]}


# --- what came back -------------------------------------------------------------------------------------------------

CRM = "data/crm"


def more(file: Path) -> None:
    file.write_bytes(b"more")


HARMS: dict[str, Callable[[Path], object]] = {
    "a byte of an InnoDB table": lambda at: flipped(at / CRM / "customer.ibd"),
    "a byte of a MyISAM table": lambda at: flipped(at / CRM / "agent_log.MYD"),
    "a byte of an Aria table": lambda at: flipped(at / CRM / "agent_log_archive.MAD"),
    "a byte of the log": lambda at: flipped(at / "data/ib_logfile0"),
    "a byte of the server's own tables": lambda at: flipped(at / "data/ibdata1"),
    "a table's file is shorter": lambda at: os.truncate(at / CRM / "customer.ibd", 65536),
    "a table's file is gone": lambda at: (at / CRM / "agent_log.MYI").unlink(),
    "the log is gone": lambda at: (at / "data/ib_logfile0").unlink(),
    "what was noted of the copy is gone": lambda at: (at / "data/backup-my.cnf").unlink(),
}
LONGER: dict[str, Callable[[Path], object]] = {
    "a table more": lambda at: [shutil.copy(file, file.with_stem("more")) for file in (at / CRM).glob("agent_log.*")],
    "a file more": lambda at: more(at / "data/more"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_not_what_was_captured_fails(site: Site, harm: str) -> None:
    """Done to what was fetched, when its files had been counted."""
    done = hooked(site, HARMS[harm])
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)
    assert not done.checks and not left(site), "no server was started on it"


@pytest.mark.parametrize("harm", ["a table's file is gone", "a byte of an InnoDB table", *LONGER])
def test_what_did_not_come_back_as_it_was_stored_fails(site: Site, tmp_path: Path, harm: str) -> None:
    with brought_back("ibdata1", (HARMS | LONGER)[harm]):
        found = restored(site, tmp_path / "back")
        done = tested(site)
    assert (done.verdict, int(done.exit_code), done.checks) == (Verdict.FAIL, 1, []), done.reason
    assert found.result != "RESTORED" and not (tmp_path / "back").exists(), found
    assert not left(site)


def test_what_is_as_it_was_captured_passes_the_same_way(site: Site, tmp_path: Path) -> None:
    with brought_back("ibdata1", lambda at: None):
        found = restored(site, tmp_path / "back")
        done = tested(site)
    assert (done.verdict, int(done.exit_code)) == (Verdict.PASS, 0), (done.reason, done.checks)
    assert found.result == "RESTORED", found
    assert not left(site)


# --- a copy that is bad from its beginning --------------------------------------------------------------------------


def test_a_copy_that_cannot_be_made_ready_fails(own: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log's two checkpoints are not there: as it was written, so it was stored."""
    really = Copier._described

    def described(copier: Copier, into: Path, *rest: Any) -> Any:
        with (into / "data/ib_logfile0").open("r+b") as log:
            log.seek(4096)
            log.write(bytes(8192))
        return really(copier, into, *rest)

    monkeypatch.setattr(Copier, "_described", described)
    done = here(own)
    assert done.snapshot is not None, done.reason
    monkeypatch.undo()
    test = own.run("test", "p")
    assert (test.code, test.json["verdict"]) == (1, "FAIL") and "cannot be made ready" in test.json["reason"], test
    own.backed_up()
    passes(own)


def overwritten(maria: MariaSource, file: str, at: int) -> None:
    """Eight bytes of a file below the running server become others: it has what it holds in memory, too."""
    script = 'printf "xxxxxxxx" | dd of="$0" bs=1 seek="$1" conv=notrunc status=none'
    subprocess.run(["docker", "exec", maria.container, "sh", "-c", script, file, str(at)], check=True)


@contextlib.contextmanager
def damaged(maria: MariaSource, file: Path, at: int) -> Iterator[None]:
    kept = file.read_bytes()
    overwritten(maria, str(file), at)
    try:
        yield
    finally:
        maria.sql("flush tables")
        file.write_bytes(kept)


def test_a_source_whose_pages_are_damaged_is_no_backup(maria: MariaSource, data: Path, own: Site) -> None:
    """And nothing of such a page, which mariadb-backup prints, is told to anybody."""
    maria.sql(WRITTEN, "crm")
    with damaged(maria, data / DATA / "crm/customer.ibd", 3 * 8192 + 200):
        done = own.run("backup", "p")
        failed(done, own, "the source's own files are damaged")
        assert "xtrabackup" not in done.stdout + done.stderr
    yesterdays_stands(own)
    own.backed_up()
    passes(own)


def test_a_source_whose_index_is_damaged_fails(maria: MariaSource, data: Path, own: Site) -> None:
    """MyISAM's pages bear no checksums: nothing is seen of it when it is copied."""
    maria.sql("flush tables", "crm")
    with damaged(maria, data / DATA / "crm/agent_log.MYI", 2048 + 100):
        own.backed_up()
        done = own.run("test", "p")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        bad = {name: check["actual"] for name, check in checks(done).items() if check["status"] != "PASS"}
        assert bad == {"CHECK TABLE … EXTENDED": "agent_log is not well"}, bad
    own.backed_up()
    passes(own)


# --- captures that fail ---------------------------------------------------------------------------------------------


def backing_up(maria: MariaSource) -> bool:
    return "BACKUP STAGE" in maria.sql("select coalesce(group_concat(info), '') from information_schema.processlist")


def kill_client(site: Site, maria: MariaSource) -> None:
    """Alone, in the container in which it runs."""
    label = f"label=ccdr.state={State(site.state.absolute()).id}"
    ours = subprocess.run(["docker", "ps", "-q", "--filter", label], capture_output=True, text=True, check=True)
    (container,) = ours.stdout.split()
    top = subprocess.run(["docker", "top", container, "-eo", "pid,args"], capture_output=True, text=True, check=True)
    found = [line.split()[0] for line in top.stdout.splitlines() if line.split()[1].endswith("mariadb-backup")]
    assert found, top.stdout
    for pid in found:
        os.kill(int(pid), signal.SIGKILL)


def kill_server(site: Site, maria: MariaSource) -> None:
    maria.kill()


def killed(own: Site, maria: MariaSource, kill: Callable[[Site, MariaSource], None]) -> None:
    # Who writes to a table holds it up, after most of it was copied.
    with contextlib.suppress(AssertionError, BrokenPipeError), maria.session(HELD, "crm"):
        process = own.start("backup", "p", "--json")
        assert eventually(lambda: backing_up(maria), 60), process.poll()
        kill(own, maria)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and own.records("backup.end")[-1]["result"] == "FAILED", (out, err)
    assert_clean(own)
    yesterdays_stands(own)


def test_killed_half_way_is_a_failed_backup(own: Site, maria: MariaSource) -> None:
    killed(own, maria, kill_client)


def test_a_server_that_is_killed_half_way_is_a_failed_backup(tmp_path: Path) -> None:
    own = Site(tmp_path)
    with server_on_disk() as (maria, data), small_database(maria, "crm", goes=True):
        crm(own, maria, "crm", whole_server(data))
        own.backed_up()
        killed(own, maria, kill_server)


HELD = "lock tables agent_log write; insert into agent_log (event) values ('held')"


# --- another directory than the server's ----------------------------------------------------------------------------


def test_a_data_directory_that_is_not_there_is_a_failed_backup(
    maria: MariaSource, data: Path, own: Site, tmp_path: Path
) -> None:
    crm(own, maria, "crm", whole_server(tmp_path / "nowhere"))
    failed(own.run("backup", "p"), own, str(tmp_path / "nowhere" / DATA))
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty" / DATA).mkdir(parents=True)
    crm(own, maria, "crm", whole_server(tmp_path / "empty"))
    failed(own.run("backup", "p"), own)
    crm(own, maria, "crm", whole_server(data))
    yesterdays_stands(own)


def test_another_servers_directory_is_a_failed_backup(maria: MariaSource, data: Path, own: Site) -> None:
    with server_on_disk() as (other, theirs), small_database(other, "crm", goes=True):
        crm(own, maria, "crm", whole_server(theirs))
        failed(own.run("backup", "p"), own, str(theirs))
    crm(own, maria, "crm", whole_server(data))
    yesterdays_stands(own)


@pytest.mark.parametrize("ahead", [False, True])
def test_another_servers_files_in_the_place_of_its_own_are_a_failed_backup(tmp_path: Path, ahead: bool) -> None:
    """As where two servers call their directories alike, each in a container: whether the log of what lies there is
    behind the server's, as that of an old copy is, or ahead of it."""
    more = "create table t as select seq, repeat('x', 900) v from seq_1_to_2000; update t set v = concat(v, seq)"
    with (
        server_on_disk() as (maria, data),
        small_database(maria, "crm", goes=True),
        server_on_disk() as (other, theirs),
        small_database(other, "crm", goes=True),
    ):
        site = crm(Site(tmp_path), maria, "crm", whole_server(data))
        site.backed_up()
        (other if ahead else maria).sql(more, "crm")
        other.sql("shutdown")
        assert eventually(lambda: not list((theirs / DATA).glob("*.pid")), 30)
        with in_its_place(data, theirs):
            failed(site.run("backup", "p"), site, *(["not the server's own"] if ahead else []))
        yesterdays_stands(site)
        site.backed_up()
        passes(site)


@contextlib.contextmanager
def in_its_place(data: Path, theirs: Path) -> Iterator[None]:
    """The server itself goes on with the directory that it has open."""
    kept = data.with_name(f"{data.name}.own")
    data.rename(kept)
    try:
        shutil.copytree(theirs, data)
        yield
    finally:
        shutil.rmtree(data)
        kept.rename(data)


# --- tables that no transaction holds together ----------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["myisam", "aria", "aria transactional = 0", "innodb"])
def test_tables_that_are_written_meanwhile_agree(maria: MariaSource, own: Site, data: Path, engine: str) -> None:
    """Two tables that differ by one row at most, with one between them that takes its time."""
    difference = "(select count(*) from a_first) - (select count(*) from z_last)"
    pair = f'  - {{kind: sql, name: pair, query: "select {difference} in (0, 1)", expect: 1}}\n'
    there = "  - {kind: rows, table: z_last, at_least: 50}\n"
    crm(own, maria, "crm", whole_server(data), checks=CHECKS + pair + there)
    maria.sql(PAIR.format(engine=engine), "crm")
    try:
        with writing(maria, "crm", BOTH):
            assert eventually(lambda: int(maria.sql("select count(*) from z_last", "crm")) > 50)
            done = here(own)
        assert done.snapshot is not None, done.reason
        passes(own)
    finally:
        maria.sql("drop table a_first, z_last, m_between; drop procedure write_on", "crm")


def test_history_by_transaction_comes_back(maria: MariaSource, own: Site) -> None:
    """Which a dump cannot hold: as of a transaction, and as of a time."""
    maria.sql(BY_TRANSACTION, "crm")
    versions = "select note, s from crm.tariff for system_time all order by s"
    was, as_of = maria.sql(versions), maria.sql("select min(s) from crm.tariff for system_time all")
    try:
        own.backed_up()
    finally:
        maria.sql("drop table tariff", "crm")
    done = own.run("test", "p", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    asked = f"{versions}; select note from crm.tariff for system_time as of transaction {as_of}"
    assert back(done, asked) == f"{was}\nfirst"
