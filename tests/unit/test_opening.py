"""A new server that its `start:` was carried out for: waited for, and not for ever."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.listeners import free_port
from tests.support.manifests import a_manifest

from ccdr.engines.mariadb.engine import MariaDB
from ccdr.engines.postgres.engine import Postgres
from ccdr.engines.redis.engine import Redis
from ccdr.host.files import extent
from ccdr.jobs.recover.standing_assets import Of
from ccdr.jobs.restore import opening
from ccdr.jobs.restore.new_server import LEFT, LeftServer, sums_of
from ccdr.jobs.restore.opening import Opening, listening
from ccdr.model.errors import CcdrError
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import Owner, Site, StartLines


class Told:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def amount(self, done: int, total: int | None) -> None: ...


def left_in(home: Path, port: int) -> LeftServer:
    (home / "conf").write_text("port = 5432")
    (home / "rows").write_bytes(bytes(1000))
    lines, owner, tree = StartLines((), ()), Owner(1, 1), (sums_of(home, ["conf"]), extent(home))
    left = LeftServer("p", "crm", "r", "s", "m", home, "127.0.0.1", port, home / "run", owner, "i", lines, *tree)
    left.write(home)
    return left


def opened(home: Path, port: int, *, alone: bool = False) -> Opening:
    """`alone`: it listens on its socket, and on no port."""
    left = left_in(home, port)
    (scratch := home.with_name(f"{home.name}-scratch")).mkdir()
    job: Any = SimpleNamespace(plan="p", asset="crm", limits=SimpleNamespace(no_progress=600.0))
    anything: Any = None
    run: Any = SimpleNamespace(scratch=scratch)
    maker: Any = SimpleNamespace(by_socket_alone=lambda _: alone, port=port, socket=home / "run/s")
    return Opening(job, NewServer(directory=home), left, Site(home), maker, anything, anything, run)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever listens is the right one, and what does not within a second is not waited for."""
    monkeypatch.setattr(opening, "PATIENCE", 1.0)

    def answers(one: Opening) -> bool:
        with socket.socket() as client:
            return client.connect_ex((one.left.address, one.left.port)) == 0

    monkeypatch.setattr(Opening, "answers", answers)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("argv", "said"), [(["true"], "ended well"), (["sleep", "9"], "is still at work")])
def test_where_nothing_answers_it_stops_and_tells_what_was_tried(tmp_path: Path, argv: list[str], said: str) -> None:
    told, port, began = Told(), free_port(), time.monotonic()
    with pytest.raises(CcdrError) as refused:
        opened(tmp_path, port).start(argv, told)
    assert time.monotonic() - began < 5 and refused.value.exit_code == 3
    assert f"`start:` {said}" in str(refused.value) and f"127.0.0.1:{port}" in str(refused.value)
    assert "`ccdr recover --resume p` goes on" in str(refused.value.hint)
    assert told.steps[-1] == f"waiting until crm answers at 127.0.0.1:{port}"


@pytest.mark.usefixtures("impatient")
def test_its_twin_that_answers_is_open(tmp_path: Path) -> None:
    port = free_port()
    listens = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(3)"
    opened(tmp_path, port).start(["python3", "-c", listens], Told())


@pytest.mark.parametrize("alone", [True, False])
def test_one_that_has_no_port_is_looked_for_at_its_socket(
    tmp_path_factory: pytest.TempPathFactory, alone: bool
) -> None:
    """The twin: a socket is not enough where its users come by a port."""
    home = tmp_path_factory.mktemp("h")
    one = opened(home, free_port(), alone=alone)
    (home / "run").mkdir()
    assert not one._taken()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "run/s"))
        listening.listen()
        assert one._taken() is alone


@pytest.mark.parametrize("engine", [MariaDB, Postgres, Redis])
def test_a_live_server_is_seen_at_the_very_socket_that_the_new_one_makes(
    engine: type[MariaDB | Postgres | Redis], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The twin: another's socket in the same directory."""
    sockets = tmp_path_factory.mktemp("s")
    database = {} if engine is Redis else {"user": "u", "database": "d"}
    connection = {"host": "/x/mysqld.sock" if engine is MariaDB else "/x/own.sock", **database}
    asset = engine.model_validate({"engine": engine.__name__.lower(), "connection": connection})
    maker = asset.new_server(Site(Path("/srv/new"), port=free_port(), sockets=sockets))
    manifest = a_manifest(contents={"users": None, "settings": {}})
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(sockets / f"other.{maker.port}"))
        other.listen()
        assert list(listening(maker, "127.0.0.1", manifest)) == []
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(maker.socket))
        live.listen()
        assert list(listening(maker, "127.0.0.1", manifest)) == [str(maker.socket)]
    assert maker.socket.parent == sockets and not list(listening(maker, "127.0.0.1", manifest))


def edited(at: Path, **changes: object) -> None:
    document = json.loads((at / LEFT).read_text())
    (at / LEFT).write_text(json.dumps({**document, **changes}))


@pytest.mark.parametrize(
    "harm",
    [
        lambda home: (home / "rows").unlink(),
        lambda home: (home / "rows").write_bytes(bytes(999)),
        lambda home: (home / "conf").write_text("port = 5433"),
        lambda home: edited(home, sums={}),
    ],
    ids=["gone", "shorter", "other settings", "no sums"],
)
def test_one_that_lost_files_or_was_changed_is_not_as_it_was_left(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    left_in(tmp_path, 1)
    assert LeftServer.read(tmp_path).untouched
    harm(tmp_path)
    assert not LeftServer.read(tmp_path).untouched


@pytest.mark.parametrize("changed", [{"plan": "q"}, {"asset": "web"}, {"home": "/elsewhere"}], ids=str)
def test_one_that_says_it_is_another_is_not_opened(tmp_path: Path, changed: dict[str, str]) -> None:
    left_in(tmp_path, 1)
    anything: Any = SimpleNamespace(
        plan="p",
        asset="crm",
        engine=SimpleNamespace(new_server=lambda site: None),
        site=lambda wanted, mark: Site(wanted.directory, mark=mark),
    )
    wanted: Any = NewServer(directory=tmp_path)
    assert Opening.of(anything, wanted, anything, anything, anything).left.asset == "crm"
    edited(tmp_path, **changed)
    with pytest.raises(CcdrError):
        Opening.of(anything, wanted, anything, anything, anything)


ELSEWHERE = Path("/var/run/elsewhere")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ({}, None),
        ({"mark": "20261125T031200-aaaaaa"}, "is of another recovery"),
        ({"run": "another"}, "is of another recovery"),
        ({"sockets": str(ELSEWHERE)}, "its socket was to be in"),
    ],
    ids=["twin", "recovery", "restore", "socket"],
)
def test_a_check_knows_the_server_that_its_own_recovery_made(
    tmp_path: Path, harm: dict[str, str], said: str | None
) -> None:
    """By its marks, and by where its users look for it."""
    left_in(tmp_path, 1)
    (tmp_path / "run").mkdir()
    edited(tmp_path, **harm)
    why = Of("m", "r").unlike(LeftServer.read(tmp_path), NewServer(directory=tmp_path))
    assert why is None if said is None else said in str(why)


def test_the_directory_of_its_socket_must_be_there_and_may_be_somewhere_else_since(tmp_path: Path) -> None:
    left, wanted = left_in(tmp_path, 1), NewServer(directory=tmp_path)
    assert "is not there" in str(Of("m", "r").unlike(left, wanted))
    edited(tmp_path, sockets=str(ELSEWHERE))
    left = LeftServer.read(tmp_path)
    assert Of("m", "r", moved=True).unlike(left, wanted) is None, "whoever named its place said nothing of it"
    assert Of("m", "r").unlike(left, NewServer(directory=tmp_path, sockets=ELSEWHERE)) is None, "as decided"
