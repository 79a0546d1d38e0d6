"""A new server is what was captured: its clients find their rows once it is started by the lines that ccdr gives."""

from __future__ import annotations

from pathlib import Path

from tests.faults.test_capture_faults import small_disk
from tests.support.cluster import Cluster
from tests.support.harness import Ran, Site
from tests.support.new_server import answers, free_port, made, psql, started_by_debian, started_by_docker
from tests.support.stored import assert_clean

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
        assert {p.name for p in home.iterdir()} == {"data", "run", "log", "ccdr-server.json"}
        _asked_by_its_clients(done, home, port, server)
    assert_clean(site)


def _asked_by_its_clients(done: Ran, home: Path, port: int, server: Cluster) -> None:
    with started_by_docker(done.json["start"]["docker"]):
        assert answers(home, port)
        assert psql(home, port, FACTS) == server.psql(FACTS, "crm")
        asked = "select count(*) from call"
        assert psql(home, port, asked, role="app", PGHOST="127.0.0.1", PGPASSWORD="app secret") == "3000"
        assert psql(home, port, asked, role="old", PGHOST="127.0.0.1", PGPASSWORD="old secret") == "3000"
        assert "refused" in psql(home, port, asked, role="app", PGHOST="127.0.0.1", PGPASSWORD="wrong")


def test_of_an_increment_and_its_log_started_by_debian(site: Site, server: Cluster, tmp_path: Path) -> None:
    home, port = tmp_path / "new", free_port()
    done = made(site, "whole", home, "--port", str(port), "--at", "latest")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    with started_by_debian(home, done.json["start"]["debian"]):
        assert answers(home, port)
        assert psql(home, port, FACTS) == server.psql(FACTS, "crm")
        assert psql(home, port, "select count(*) from customer where name = 'by the log'") == "1"
        assert psql(home, port, "select sum(n) from kept") == "200010001"
