"""A tablespace that was made after the newest base lies at a path of the source's: what is restored refers to nothing
there, wherever the log is applied."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.cluster import Cluster
from tests.support.harness import Ran, Site
from tests.support.listeners import free_port
from tests.support.new_server import answers, made, psql, started_by_docker
from tests.support.shipping import back, based, recovered, ship_once

pytestmark = pytest.mark.long

ROWS = "select (select count(*) from kept) || ' ' || (select count(*) from again)"
WHERE = "select string_agg(pg_tablespace_location(oid), ' ' order by spcname) from pg_tablespace where oid > 16000"


def made_after_the_base(made: Cluster) -> datetime:
    """Three, one of an odd name within another's path, one made again at a path; and one that is gone by the end. A
    moment at which that path had the first."""
    for name in ("one", "one/of its 'own", "gone"):
        made.run("mkdir", f"{made.tablespaces}/{name}".replace("'", ""))
    odd = f"{made.tablespaces}/one/of its own"
    made.psql(f"create tablespace odd location '{odd}'", "postgres")
    made.psql("create table early tablespace odd as select generate_series(1, 40) n", "postgres")
    moment = datetime.fromisoformat(made.psql("select clock_timestamp()", "postgres").replace(" ", "T"))
    made.psql("drop table early", "postgres")
    made.psql("drop tablespace odd", "postgres")
    made.psql(f"create tablespace gone location '{made.tablespaces}/gone'", "postgres")
    made.psql("drop tablespace gone", "postgres")
    made.psql(f"create tablespace one location '{made.tablespaces}/one'", "postgres")
    made.psql(f"create tablespace odd location '{odd}'", "postgres")
    made.psql("create table kept tablespace one as select generate_series(1, 20000) n", "postgres")
    made.psql("create table again tablespace odd as select generate_series(1, 300) n", "postgres")
    return moment


moments: dict[str, datetime] = {}


def listing(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Cluster]]:
    with based(tmp_path_factory.mktemp("tablespaces")) as (site, made):
        made.psql("alter system set autovacuum = off", "postgres")  # it writes to its files by itself
        made.psql("select pg_reload_conf()", "postgres")
        moments[made.container] = made_after_the_base(made)
        made.psql("vacuum kept, again", "postgres")
        ship_once(site)
        made.psql("checkpoint", "postgres")
        yield site, made


@pytest.fixture
def untouched(shipped: tuple[Site, Cluster]) -> Iterator[None]:
    """The source's own files, whatever is done with what was restored of it."""
    before = listing(shipped[1].tablespaces)
    assert before
    yield
    assert listing(shipped[1].tablespaces) == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("storage", ["disk", "memory"])
def test_a_test_restores_it(shipped: tuple[Site, Cluster], storage: str) -> None:
    site, _ = shipped
    path = site.root / "plans/p.yaml"
    text = path.read_text()
    path.write_text(text.replace("method: physical\n", f"method: physical\n    storage: {storage}\n"))
    try:
        done = recovered(site, "latest", "--keep")
    finally:
        path.write_text(text)
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.stderr)
    assert back(done, ROWS) == "20000 300"
    assert str(shipped[1].tablespaces) not in str(site.records("restore_test.end")[-1])


@pytest.mark.usefixtures("untouched")
def test_at_a_moment_a_path_has_the_tablespace_that_it_had_then(shipped: tuple[Site, Cluster]) -> None:
    done = recovered(shipped[0], moments[shipped[1].container].isoformat(), "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.stderr)
    assert back(done, "select count(*) from early") == "40"


@pytest.mark.usefixtures("untouched")
def test_a_new_server_has_it_in_its_home(shipped: tuple[Site, Cluster], tmp_path: Path) -> None:
    home, port = tmp_path / "late", free_port()
    tmp_path.chmod(0o755)
    done = made(shipped[0], "crm", home, "--port", str(port), "--at", "latest")
    assert done.code == 0, (done.json["reason"], done.stderr)
    with started_by_docker(done.json["start"]["docker"]):
        assert answers(home, port)
        assert psql(home, port, ROWS, "postgres") == "20000 300"
        locations = psql(home, port, WHERE, "postgres").split(" ")
        psql(home, port, "insert into kept values (0); checkpoint", "postgres")
    assert len(locations) == 2 and all(home / "tablespaces" in Path(one).parents for one in locations), locations


@contextlib.contextmanager
def second_server(made: Cluster, data: Path) -> Iterator[Callable[[str], str]]:
    """On a copy, beside its source: as whoever restores it on the source's own host starts one."""
    subprocess.run(["docker", "exec", "-u", "root", made.container, "chown", "-R", "postgres", data.parent], check=True)
    options = "-c unix_socket_directories=/tmp -c listen_addresses="
    made.run("pg_ctl", "-D", str(data), "-w", "-s", "-l", "/tmp/second", "-o", options, "start")
    try:
        yield lambda sql: made.run("psql", "-XqAt", "-h", "/tmp", "-U", "postgres", "-d", "postgres", "-c", sql).strip()
    finally:
        made.run("pg_ctl", "-D", str(data), "-w", "-s", "-m", "immediate", "stop")


def into(site: Site, target: Path, env: dict[str, str] | None = None) -> Ran:
    argv = ["restore", "p", "--asset", "crm", "--at", "latest", "--to", str(target), "--yes-i-mean", target.name]
    return site.run(*argv, env=env)


def links(data: Path) -> list[Path]:
    return [link.resolve() for link in (data / "pg_tblspc").iterdir()]


@pytest.mark.usefixtures("untouched")
def test_a_directory_is_handed_over_with_the_log_applied(shipped: tuple[Site, Cluster]) -> None:
    """Where the source itself can be reached, and a server is started on it there."""
    site, made = shipped
    target = made.tablespaces / "back"
    done = into(site, target)
    assert done.code == 0, (done.json["reason"], done.stderr)
    try:
        assert {c["kind"]: c["status"] for c in done.json["checks"]}["log"] == "PASS"
        names = {path.name for path in (target / "data").iterdir()}
        assert not names & {"recovery.signal", "standby.signal", "postmaster.pid", "postmaster.opts"}, names
        assert not [name for name in names if name.endswith(".captured")]
        assert len(links(target / "data")) == 2
        assert all(target / "tablespaces" in link.parents for link in links(target / "data"))
        assert not (target / "log").exists()
        with second_server(made, target / "data") as ask:
            assert ask(ROWS) == "20000 300"
            ask("insert into kept values (0); checkpoint")
    finally:
        subprocess.run(["rm", "-rf", str(target)], check=True)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("knows", [True, False])
def test_without_docker_nothing_is_armed(shipped: tuple[Site, Cluster], tmp_path: Path, knows: bool) -> None:
    """And where this host can tell that the log leads to a path that it has, nothing is handed over."""
    asked = (
        "env -u DOCKER_HOST docker run --rm --network none -v /tmp:/tmp -v /dev/shm:/dev/shm --entrypoint pg_waldump"
    )
    waldump, target = tmp_path / "bin/pg_waldump", tmp_path / "back"
    waldump.parent.mkdir()
    waldump.write_text(f'#!/bin/sh\nexec {asked} {_image()} "$@"\n' if knows else "#!/bin/sh\nexit 127\n")
    waldump.chmod(0o755)
    env = {"DOCKER_HOST": "unix:///nowhere.sock", "PATH": f"{waldump.parent}:{os.environ['PATH']}"}
    done = into(shipped[0], target, env=env)
    if knows:
        assert (done.code, done.json["result"]) == (3, "FAILED") and not target.exists(), done
        assert "makes files at 3 paths" in done.json["reason"], done.json["reason"]
        assert str(shipped[1].tablespaces) not in str(shipped[0].records("restore.end")[-1])
        return
    assert (done.code, done.json["result"]) == (0, "RESTORED"), (done.json["reason"], done.stderr)
    assert any("not known" in note for note in done.json["notes"]), done.json["notes"]
    names = {path.name for path in (target / "data").iterdir()}
    assert not names & {"recovery.signal", "standby.signal"} and (target / "log").is_dir()
    assert "restore_command" not in (target / "data/postgresql.auto.conf").read_text()
