"""An opened new server is asked by what it holds itself: nothing of the lost source is needed for that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.manifests import a_manifest

from ccdr.engines.redis.client import Client
from ccdr.engines.redis.opened import Opened
from ccdr.model.errors import CommandFailed
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer


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
