"""A new server is what was captured: its clients find their rows once it is started by the lines that ccdr gives. It is
opened only where nothing else listens, and only as it was checked."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.new_server.conftest import CHECKS, SET, WRITTEN
from tests.faults.test_capture_faults import small_disk
from tests.support.cluster import Cluster
from tests.support.erased import added, of_its_own
from tests.support.harness import Quiet, Ran, Site
from tests.support.listeners import free_port
from tests.support.new_server import answers, looked, made, psql, restored, started_by_debian, started_by_docker
from tests.support.shipping import ship_once
from tests.support.sites import copy_of
from tests.support.stored import assert_clean

from ccdr.engines.postgres.new_server import statistics
from ccdr.host.processes import Watchdog
from ccdr.host.state import Run
from ccdr.jobs.restore import opening as opening_room
from ccdr.jobs.restore.new_server import LEFT, LeftServer
from ccdr.jobs.restore.opening import Opening
from ccdr.model.errors import CcdrError, CommandFailed
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer

FACTS = """
select count(*), sum(hashtext(c::text)::bigint) from call c;
select rolname, rolpassword, (select setconfig from pg_db_role_setting where setrole = a.oid) from pg_authid a where rolname in ('app', 'old', 'app_reader') order by 1;
select setconfig from pg_db_role_setting where setdatabase <> 0;
select convert_from(lo_get(oid), 'UTF8') from pg_largeobject_metadata;
"""


def test_of_a_dump_started_by_docker(site: Site, server: Cluster, tmp_path: Path) -> None:
    """In a directory that is a disk of its own."""
    home, port = tmp_path / "new", free_port()
    with small_disk(home, "3g"):
        done = made(site, "crm", home, "--port", str(port))
        assert done.code == 0 and done.json["result"] == "RESTORED", done
        assert {c["status"] for c in done.json["checks"]} == {"PASS", "SKIPPED"}, done.json["checks"]
        assert {p.name for p in home.iterdir()} == {"data", "run", "log", "captured", "ccdr-server.json"}
        log, subscription = (note for note in done.json["notes"] if note.startswith("silenced: "))
        assert "archive_mode = on" in log and str(home / "data/postgresql.conf") in log
        assert "sub (slot live_slot)" in subscription
        _asked_by_its_clients(done, home, port, server)
    assert_clean(site)


def _asked_by_its_clients(done: Ran, home: Path, port: int, server: Cluster) -> None:
    with started_by_docker(done.json["start"]["docker"]) as container:
        assert answers(home, port)
        assert re.search(r" call +\| \d+ kB\n", looked(done.json["start"], container))
        assert psql(home, port, FACTS) == server.psql(FACTS, "crm")
        assert psql(home, port, statistics.LACKING) == "f", "its planner knows what it holds"
        _set_alike(home, port)
        _may_drop_its_subscription(home, port)
        assert psql(home, port, "show archive_mode") == "off" != server.psql("show archive_mode", "crm")
        asked = "select count(*) from call"
        assert psql(home, port, asked, role="app", PGHOST="127.0.0.1", PGPASSWORD="app secret") == "3000"
        assert psql(home, port, asked, role="old", PGHOST="127.0.0.1", PGPASSWORD="old secret") == "3000"
        assert "refused" in psql(home, port, asked, role="app", PGHOST="127.0.0.1", PGPASSWORD="wrong")


def test_of_an_increment_and_its_log_started_by_debian(site: Site, server: Cluster, tmp_path: Path) -> None:
    home, port = tmp_path / "new", free_port()
    done = made(site, "whole", home, "--port", str(port), "--at", "latest")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    (log,) = [c["actual"] for c in done.json["checks"] if c["name"] == "recovered to the target"]
    lost = "2 unlogged tables come back empty (crm.public.linked, template1.public.late)"
    assert lost in log and lost in str(done.json["notes"]), "as of then, not as of the base"
    with started_by_debian(home, done.json["start"]["debian"]):
        assert answers(home, port)
        assert psql(home, port, FACTS) == server.psql(FACTS, "crm")
        assert psql(home, port, "select count(*) from customer where name = 'by the log'") == "1"
        assert psql(home, port, "select sum(n) from kept") == "200010001"
        _may_drop_its_subscription(home, port)
        assert re.search(r" kept +\| \d+ kB\n", looked(done.json["start"]))


def _may_drop_its_subscription(home: Path, port: int) -> None:
    """Without a word to the publisher, whose slot is the source's."""
    asked = "select subname, subenabled, subslotname from pg_subscription"
    assert psql(home, port, asked) == "sub|f|"
    assert psql(home, port, "drop subscription sub") == ""


def _set_alike(home: Path, port: int) -> None:
    names = {**SET, **WRITTEN, "archive_command": "(disabled)"}
    there = {name: psql(home, port, f"show {name}", "template1") for name in names}
    assert there == names


def test_of_what_was_set_a_record_has_no_text_that_may_be_a_secret(stored: Site) -> None:
    services = stored.services()
    for asset in ("crm", "whole"):
        settings = services.catalogue.manifest(services.catalogue.snapshots("p", asset)[0]).contents["settings"]
        assert settings["IntervalStyle"] == "sql_standard" and settings["transform_null_equals"] == "on"  # type: ignore[index]
        assert {settings[name] for name in ("app.key", "archive_command", "lock_timeout")} == {None}  # type: ignore[index]
    told = [p for p in stored.state.rglob("*") if p.is_file() and b"hush-hush" in p.read_bytes()]
    assert not told, told


@dataclass
class Ready:
    """A server that was made ready of the full base."""

    site: Site
    home: Path
    port: int

    @property
    def wanted(self) -> NewServer:
        return NewServer(directory=self.home, port=self.port)

    @property
    def left(self) -> LeftServer:
        return LeftServer.read(self.home)

    @contextlib.contextmanager
    def opening(self) -> Iterator[Opening]:
        services, job = self.site.services(), Job(self.site.loaded(), "whole")
        snapshot = next(s for s in services.catalogue.snapshots("p", "whole") if s.id == self.left.snapshot)
        manifest = services.catalogue.manifest(snapshot)
        with services.state.run(services.clock) as run:
            yield Opening.of(job, self.wanted, manifest, services, run)
            run.clear()


@pytest.fixture(scope="module")
def ready(stored: Site, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """For all tests here: only the last one starts it."""
    root = tmp_path_factory.mktemp("opened")
    site = copy_of(stored, root / "site")
    made = Ready(site, root / "new", free_port())
    full = site.services().catalogue.snapshots("p", "whole")[0]
    assert not full.upon
    result = restored(site, made.home, "whole", wanted=made.wanted, snapshot=full.id)
    assert (result.result, result.exit_code) == ("RESTORED", 0), result
    return made


def test_where_something_listens_already_it_is_not_started(ready: Ready) -> None:
    with socket.create_server(("127.0.0.1", ready.port)), ready.opening() as opening:
        with pytest.raises(CcdrError, match="something listens at 127") as caught:
            opening.start(["touch", str(ready.home / "started")], Quiet())
        assert "old server" in str(caught.value.hint) and not (ready.home / "started").exists()
        assert not opening.answers(), "whoever listens there speaks no PostgreSQL"


def test_a_start_that_fails_says_so_and_quotes_nothing(ready: Ready) -> None:
    with ready.opening() as opening, pytest.raises(CommandFailed) as caught:
        opening.start(["sh", "-c", "echo a secret word >&2; exit 7"], Quiet())
    assert "exited with 7" in str(caught.value) and "secret" not in str(caught.value)
    assert "a secret word" in caught.value.stderr


def test_a_start_that_comes_to_nothing_is_ended(ready: Ready) -> None:
    with ready.opening() as opening, pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening_room, "Watchdog", lambda _, pulse: Watchdog(1.0, pulse))
        with pytest.raises(CommandFailed) as caught:
            opening.start(["sh", "-c", 'echo $$ > "$0"; exec sleep 600', str(ready.home.parent / "pid")], Quiet())
        assert caught.value.stalled
    assert not Path(f"/proc/{(ready.home.parent / 'pid').read_text().strip()}").exists()


def test_files_that_were_changed_since_are_not_started(ready: Ready) -> None:
    hba = ready.home / "data" / "pg_hba.conf"
    was = hba.read_text()
    hba.write_text(was + "host all all all trust\n")
    with ready.opening() as opening:
        with pytest.raises(CcdrError, match="is not as it was left"):
            opening.refuse()
        hba.write_text(was)
        opening.refuse()


def test_the_directory_of_another_asset_is_not_opened(ready: Ready) -> None:
    services, job = ready.site.services(), Job(ready.site.loaded(), "crm")
    manifest = services.catalogue.manifest(services.catalogue.snapshots("p", "crm")[0])
    with pytest.raises(CcdrError, match="the new server of p/whole"):
        Opening.of(job, ready.wanted, manifest, services, Run("x", ready.home))


def test_opened_by_start_its_clients_find_their_rows(ready: Ready, server: Cluster) -> None:
    """And the healthy twin of all below. Nothing listened before; and it can be backed up, and its log shipped."""
    (line,) = ready.left.lines.docker
    assert not (ready.home / "run" / f".s.PGSQL.{ready.port}").exists()
    with ready.opening() as opening, started_by_docker_later(line):
        assert not opening.answers()
        opening.start(shlex.split(line), Quiet())
        assert psql(ready.home, ready.port, "select count(*) from call") == "3000"
        able = "select current_setting('wal_level'), current_setting('max_wal_senders')::int >= 10, current_setting('max_connections'), current_setting('summarize_wal'), current_setting('shared_preload_libraries')"
        assert psql(ready.home, ready.port, able) == "replica|t|130|on|auto_explain"
        assert psql(ready.home, ready.port, "select count(*) from pg_extension where extname = 'amcheck'") == "0"
        _set_alike(ready.home, ready.port)
        with pytest.raises(CcdrError, match="is not as it was left"):
            opening.refuse()
        assert opening.answers()
        _backed_up_again(ready)
        _another_than_was_checked(ready)
    assert_clean(ready.site)


def _another_than_was_checked(ready: Ready) -> None:
    """Whatever answers there, it bears another mark."""
    left = ready.home / LEFT
    left.write_text(left.read_text().replace(ready.left.mark, "another"))
    with ready.opening() as opening, pytest.raises(CcdrError, match="another server answers"):
        opening.answers()


def _backed_up_again(ready: Ready) -> None:
    """By the same method, with its tablespace; by the rights that it was given."""
    (root := ready.home.parent / "again").mkdir()
    again = Site(root)
    where = f"connection: {{host: {ready.home / 'run'}, port: {ready.port}, user: postgres, database: crm}}"
    again.write("restore_tests/crm.yaml", CHECKS)
    again.plan(
        f"crm:\n  engine: postgres\n  method: physical\n  {where}\n"
        f'  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}\n  log_shipping: {{interval: 2s}}'
    )
    again.backed_up()
    catalogue = again.services().catalogue
    contents = catalogue.manifest(catalogue.snapshots("p", "crm")[0]).contents
    assert contents["recovery"] == ready.left.mark, "by which a backup knows a recovery's own successor"
    psql(ready.home, ready.port, "insert into kept select 7; drop table linked; create unlogged table late (n int)")
    ship_once(again)
    done = again.run("test", "p", "--at", "latest")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["recovery"]["reached"]["left_out"] == {"crm.public.late": 0}
    assert "empty" not in next(c["actual"] for c in done.json["checks"] if "pg_verifybackup" in c["name"])


@contextlib.contextmanager
def started_by_docker_later(line: str) -> Iterator[None]:
    """Whatever starts it: it is gone afterwards."""
    with started_by_docker([line.replace("docker run", "true docker run", 1)]):
        yield


def test_who_was_erased_is_in_no_new_server(site: Site, stored: Site, tmp_path: Path) -> None:
    """Of a base backup and its log: the log brings them back before the register is replayed."""
    own = of_its_own(site, stored.repo)
    added(own, "asset: whole\ntable: customer\nkey: {name: by the log}\n")
    added(own, "asset: whole\ntable: customer\nkey: {id: 18}\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n")
    done = made(own, "whole", tmp_path / "new", "--port", str(free_port()), "--at", "latest")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    (replay,) = own.records("erasure.replay")
    assert replay["result"] == "PROVEN"
    assert [(one["found_before"], one["found_after"]) for one in replay["found"]] == [(1, 0), (1, 1)]
