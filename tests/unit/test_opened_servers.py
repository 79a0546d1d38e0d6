"""An opened new server is asked by what it holds itself: nothing of the lost source is needed for that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.manifests import a_manifest

from ccdr.engines.mariadb.engine import MariaDB
from ccdr.engines.redis.client import Client
from ccdr.engines.redis.new_server import Opened
from ccdr.model.errors import CommandFailed
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import Site as ServerSite


def test_a_client_of_a_new_mariadb_wants_no_directory_of_the_source(site: Site) -> None:
    site.plan(
        "crm: {engine: mariadb, method: physical, data_directory: /gone/data, log_shipping: {},"
        " connection: {host: /gone/m.sock, user: u, database: d}}"
    )
    job = Job(site.loaded(), "crm")
    maker = job.engine.new_server(job.site(NewServer(directory=Path("/srv/new/crm"))))
    need = maker.client(a_manifest()).client("11.8")
    assert need is not None and not [path for path in need.mounts if str(path).startswith("/gone")]
    was = job.engine.client("11.8")
    assert was is not None and Path("/gone/data") in was.mounts, "the source's own client does"


@pytest.mark.parametrize(
    ("host", "address", "password", "came"),
    [
        ("127.0.0.1", "127.0.0.1", True, ["--protocol=tcp", "--host=127.0.0.1", "--port=3307", "--user=u"]),
        ("localhost", "127.0.0.1", True, ["--protocol=tcp", "--host=localhost", "--port=3307", "--user=u"]),
        ("db1.example", "0.0.0.0", True, ["--protocol=tcp", "--host=127.0.0.1", "--port=3307", "--user=u"]),
        ("db1.example", "192.0.2.7", True, ["--protocol=socket", "--socket=/srv/new/run/mysqld.sock", "--user=u"]),
        ("/gone/m.sock", "127.0.0.1", True, ["--protocol=socket", "--socket=/srv/new/run/m.sock", "--user=u"]),
        ("127.0.0.1", "127.0.0.1", False, ["--protocol=socket", "--socket=/srv/new/run/mysqld.sock", "--user=root"]),
    ],
)
def test_a_new_mariadb_is_asked_the_way_that_the_plan_comes(
    tmp_path: Path, host: str, address: str, password: bool, came: list[str]
) -> None:
    """A user of 127.0.0.1 who comes by the socket is one of localhost, and is refused."""
    if password:
        (tmp_path / "pw").write_text("x\n")
    connection = {"host": host, "user": "u", "database": "d", "password_file": tmp_path / "pw"}
    asset = MariaDB.model_validate({"engine": "mariadb", "connection": connection})
    made = asset.new_server(ServerSite(Path("/srv/new"), address=address, port=3307)).client(a_manifest())
    assert isinstance(made, MariaDB)
    assert list(made.connection.login(tmp_path).arguments[1:-1]) == came


def opened(answers: str) -> Opened:
    client: Any = SimpleNamespace(typed=lambda *_, **__: answers, not_for_us=Client.not_for_us)
    return Opened(client)


@pytest.mark.parametrize(
    "said", ["NOPERM User u has no permissions to run the 'eval' command\n", "ERR unknown command 'EVAL'\n"]
)
def test_a_user_who_may_not_count_keys_is_no_error_of_ours(said: str) -> None:
    anything: Any = None
    assert opened(said).matching(anything, "*", None, 0) is None


def test_what_the_server_counts_is_taken_and_what_it_cannot_say_is_told() -> None:
    anything: Any = None
    assert opened("0 12 0\n").matching(anything, "*", None, 0) == (12, None)
    with pytest.raises(CommandFailed):
        opened("LOADING it is at it\n").matching(anything, "*", None, 0)
