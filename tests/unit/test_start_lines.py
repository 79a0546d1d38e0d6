"""The literal lines by which a new server is started, and the unit that Debian's template is made one by."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.engines.mariadb.binlog import new_server_id
from ccdr.engines.mariadb.new_server import own
from ccdr.engines.postgres.engine import Postgres
from ccdr.engines.postgres.new_server import PostgresMaker
from ccdr.engines.redis import new_server as redis
from ccdr.engines.servers.new_server import Unit, docker_lines, instance, require_short
from ccdr.model.errors import UsageProblem
from ccdr.ports.new_server import Owner, Site

UNIT = Unit("mariadb-server", "mariadb", "mariadb@", "mysql")
HERE, NUMBER = Owner(112, 117, "mysql"), Owner(100, 101)


def test_on_a_host_that_has_the_user(wording: SnapshotAssertion) -> None:
    lines = UNIT.lines(Site(Path("/srv/new crm")), HERE)
    assert lines == wording


def test_on_a_host_that_has_not_even_the_package() -> None:
    """The package makes the user, and starts a server of its own at the port that ours is to have."""
    lines = UNIT.lines(Site(Path("/srv/crm")), NUMBER)
    assert lines[:3] == (
        "apt-get install --yes mariadb-server",
        "systemctl disable --now mariadb",
        "chown -R mysql:mysql /srv/crm",
    )


def test_a_directory_of_sockets_is_made_and_comes_again_with_each_boot(wording: SnapshotAssertion) -> None:
    site = Site(Path("/srv/crm"), sockets=Path("/run/dialler/db"))
    assert UNIT.lines(site, HERE) == wording
    unit = UNIT.drop_in(site, HERE, [])
    assert "RuntimeDirectory=dialler/db\n" in unit and "RuntimeDirectoryPreserve=yes\n" in unit
    assert "RuntimeDirectory" not in UNIT.drop_in(Site(Path("/srv/crm")), HERE, [])
    (made, run) = docker_lines(site, "image", NUMBER, "mariadbd")
    assert made == wording
    assert run == wording


def test_a_directory_of_sockets_that_is_there_keeps_its_owner_and_mode(tmp_path: Path) -> None:
    """A live server's may be there. The twin is made."""
    for there in (True, False):
        site = Site(Path("/srv/crm"), sockets=tmp_path / f"of others {there}")
        if there:
            site.socket_directory.mkdir(mode=0o710)
        (made, _) = docker_lines(site, "image", Owner(os.getuid(), os.getgid()), "mariadbd")
        subprocess.run(["sh", "-ec", made], check=True)
        assert stat.S_IMODE(site.socket_directory.stat().st_mode) == (0o710 if there else 0o755)


def test_another_user_and_a_home_where_units_may_not_look(wording: SnapshotAssertion) -> None:
    text = UNIT.drop_in(Site(Path("/home/ops/crm")), Owner(1007, 1008, "dialler"), ["ExecStartPre="])
    assert text == wording
    assert "User=" not in UNIT.drop_in(Site(Path("/srv/crm")), HERE, [])


def test_by_docker_paths_and_port_are_the_hosts_own(wording: SnapshotAssertion) -> None:
    (line,) = docker_lines(
        Site(Path("/srv/crm")), "mariadb:11.8", NUMBER, "mariadbd", "--defaults-file=/srv/crm/my.cnf"
    )
    for word in ("--network host", "--user 100:101", "--volume /srv/crm:/srv/crm", "--restart unless-stopped"):
        assert word in line
    assert line == wording


def test_two_engines_servers_in_directories_of_one_name_get_two_containers() -> None:
    names = set()
    for server in ("mariadbd", "redis-server", "valkey-server"):
        (line,) = docker_lines(Site(Path(f"/srv/{server}/new")), "image", NUMBER, server)
        names.add(line.split("--name ")[1].split()[0])
    assert names == {"mariadb-new", "redis-new", "valkey-new"}


@pytest.mark.parametrize(
    ("home", "name"), [("crm-new", "crm_new"), (".crm", "crm"), ("ăî", "server"), ("a b@c", "a_b_c")]
)
def test_what_units_and_containers_are_called(home: str, name: str) -> None:
    assert instance(Site(Path("/srv") / home)) == name


@pytest.mark.parametrize(
    "name",
    ["datadir", "Bind-Address", "loose_port", "skip-networking", "server_id", "innodb_undo_directory", "relay-log"],
)
def test_settings_of_mariadb_that_are_not_for_a_target_to_state(name: str) -> None:
    with pytest.raises(UsageProblem, match="cannot set"):
        own.asked_for(Site(Path("/srv/crm"), settings={name: "x"}))


@pytest.mark.parametrize("name", ["data_directory", "HBA_file", "unix_socket_directories", "external_pid_file"])
def test_settings_of_postgresql_that_are_not_for_a_target_to_state(name: str) -> None:
    asset = Postgres.model_validate({"engine": "postgres", "connection": {"host": "/x", "user": "u", "database": "d"}})
    with pytest.raises(UsageProblem, match="cannot set"):
        PostgresMaker.of(asset, Site(Path("/srv/crm"), settings={name: "x"}))
    PostgresMaker.of(asset, Site(Path("/srv/crm"), settings={"log_directory": "x", "cron.timezone": "GMT"}))


@pytest.mark.parametrize("name", ["requirepass", "replicaof", "dir", "BIND", "appenddirname"])
def test_settings_of_redis_that_are_not_for_a_target_to_state(name: str) -> None:
    with pytest.raises(UsageProblem, match="cannot set"):
        redis.asked_for(Site(Path("/srv/crm"), settings={name: "x"}))


def test_a_setting_is_one_line_and_has_a_name() -> None:
    for settings in ({"max connections": "1"}, {"sql_mode": "ANSI\nskip_grant_tables"}):
        with pytest.raises(UsageProblem, match="is no setting"):
            own.asked_for(Site(Path("/srv/crm"), settings=settings))
    with pytest.raises(UsageProblem, match="is no setting"):
        redis.asked_for(Site(Path("/srv/crm"), settings={"save": "1 1\nuser x on nopass +@all"}))
    assert own.asked_for(Site(Path("/srv/crm"), settings={"Max-Connections": "9"})) == {"max_connections": "9"}


def test_a_socket_whose_path_no_system_takes() -> None:
    require_short(Path("/" + "n" * 106))
    with pytest.raises(UsageProblem, match="107 bytes"):
        require_short(Path("/" + "n" * 107))


def test_each_recovery_has_a_server_number_of_its_own() -> None:
    numbers = {new_server_id(f"run-{n}") for n in range(1000)}
    assert len(numbers) == 1000 and all(0 < n < 2**31 for n in numbers)
    assert new_server_id("run-1") == new_server_id("run-1")
