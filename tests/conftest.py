"""Fixtures: a source server for the session, a database and a site for each test."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from syrupy.assertion import SnapshotAssertion
from xdist.scheduler import LoadFileScheduling

from ccdr.demo.store import DemoStore, start
from tests.support.drawn import TIMES, examples
from tests.support.harness import Site, Source, small_database
from tests.support.in_memory import room
from tests.support.mariadb_source import MariaSource, mariadb_server
from tests.support.wording import Wording

# No test is judged by how busy the machine is.
settings.register_profile("ccdr", deadline=None, max_examples=examples(100), derandomize=TIMES == 1)
settings.load_profile("ccdr")
_numbers = itertools.count(1)
# Minutes long, each. Files are dealt out in their order, a worker takes one whole, and all would wait for the last.
LONGEST = ("e2e/test_commands.py", "e2e/test_demo.py")
# Their files share servers and backups that take long to make: a worker takes the directory whole, or each makes its own.
WHOLE = tuple(f"faults/{name}" for name in
              ("access", "new_server", "new_server_mariadb", "new_server_redis", "restore_server", "upkeep"))  # fmt: skip
SMALL = ("faults/attested", "faults/sqlite", "faults/tampering")  # a file takes seconds: nobody waits long for the last

if memory := room():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick ones first, then the longest, then the rest, and small ones at the end."""
    here = Path(__file__).parent

    def turn(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        directory = name.rpartition("/")[0]
        if name.startswith("unit/"):
            return 0
        if name in LONGEST or directory in WHOLE:
            return 1
        return 2 if name.startswith("e2e/") else 4 if directory in SMALL else 3

    items.sort(key=turn)


class ByFile(LoadFileScheduling):
    """A worker takes a file whole, or a directory whose files share what takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = super()._split_scope(nodeid)
        directory = path.rpartition("/")[0]
        return directory if directory.endswith(WHOLE) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def _image() -> str:
    """The official image where there is one, as ccdr itself chooses."""
    for name in ("postgres:17", "ccdr-sandbox/postgres:17"):
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
            return name
    pytest.fail("no sandbox image: run `make images`")


@pytest.fixture(scope="session", autouse=True)
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every `ccdr` that a test starts would compile the whole program anew where Python is told to keep no bytecode."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        own = tmp_path_factory.getbasetemp()
        kept = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own  # one for all workers
        os.environ["PYTHONPYCACHEPREFIX"] = str(kept / "bytecode")


@pytest.fixture(scope="session")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sockets")
    path.chmod(0o777)
    return path


@pytest.fixture(scope="session")
def docker_compose_file(sockets: Path) -> str:
    os.environ["CCDR_TEST_IMAGE"], os.environ["CCDR_TEST_SOCKETS"] = _image(), str(sockets)
    return str(Path(__file__).parent / "docker-compose.yml")


@pytest.fixture(scope="session")
def source(docker_services: object, docker_compose_project_name: str, sockets: Path) -> Source:
    """A PostgreSQL server that answers."""
    found = Source(f"{docker_compose_project_name}-source-1", sockets)
    docker_services.wait_until_responsive(  # type: ignore[attr-defined]
        timeout=60, pause=0.1, check=lambda: found.psql("select 1", check=False) == "1"
    )
    return found


@pytest.fixture
def database(source: Source) -> Iterator[str]:
    """A small database with one of everything that a dump must bring back."""
    with small_database(source, f"crm{next(_numbers)}") as name:
        yield name


@pytest.fixture(scope="session")
def maria() -> Iterator[MariaSource]:
    """A MariaDB server that answers."""
    with mariadb_server() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def wording(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """What ccdr says here, as it was read and agreed to."""
    return snapshot.use_extension(Wording)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory that is not in memory, whatever else is."""
    with tempfile.TemporaryDirectory(prefix="ccdr-tests-", dir="/var/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoStore]:
    """A real S3 server."""
    running = start(tmp_path_factory.mktemp("s3"))
    running.bucket("ccdr-ready").create_versioned(patience=60)
    yield running
    running.stop()
