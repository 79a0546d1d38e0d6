"""What Docker, or the way to it, answers is told in words: real sockets, and no daemon behind them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from docker.errors import APIError
from syrupy.assertion import SnapshotAssertion

from ccdr.host.clock import SystemClock
from ccdr.host.processes import Host
from ccdr.model.answers import words_of
from ccdr.model.errors import TestBroken
from ccdr.ports.capture import ClientNeed
from ccdr.sandbox import docker as room
from ccdr.sandbox.docker import Docker
from ccdr.sandbox.lab import Lab
from ccdr.sandbox.words import UNANSWERED, UNKNOWN, denied, reason_of, words

PYTHONIC = ("Error(", "Exception", "HTTPConnection", "errno", "Errno", "('", "Traceback")


@contextlib.contextmanager
def listening(answer: bytes | None = None) -> Iterator[str]:
    """A port that takes connections, and answers so or not at all."""
    import threading

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        if answer is not None:

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        there, _ = server.accept()
                        there.recv(65536)
                        there.sendall(answer)
                        there.close()

            threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def refused(address: str, monkeypatch: pytest.MonkeyPatch) -> TestBroken:
    monkeypatch.setenv("DOCKER_HOST", address)
    monkeypatch.setattr(room, "LOOK_WITHIN", 1)
    with pytest.raises(TestBroken) as raised:
        Docker(SystemClock(), "x").facts()
    said = str(raised.value)
    assert said.startswith(f"Docker does not answer at {address}: ") and raised.value.hint
    assert not any(word in said for word in PYTHONIC), said
    return raised.value


def test_no_socket_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(f"unix://{tmp_path}/docker.sock", monkeypatch)
    assert str(error).endswith(": No such file or directory") and "start it" in str(error.hint)


def test_a_socket_that_nobody_listens_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "docker.sock"))
    assert str(refused(f"unix://{tmp_path}/docker.sock", monkeypatch)).endswith(": Connection refused")


def test_nobody_at_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(refused("tcp://127.0.0.1:1", monkeypatch)).endswith(": Connection refused")


def test_a_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    refused("tcp://no-such-host.invalid:2375", monkeypatch)


def test_one_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as address:
        assert str(refused(address, monkeypatch)).endswith(UNANSWERED)


def test_one_that_is_no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(b"HTTP/1.1 500 Oops\r\nContent-Length: 17\r\n\r\nout of everything") as address:
        error = refused(address, monkeypatch)
        assert "out of everything" in words_of(error) and "out of everything" not in str(error)


def test_a_socket_that_is_not_for_this_user() -> None:
    error = OSError("outer")
    error.__cause__ = PermissionError(13, "Permission denied")
    assert reason_of(error) == "Permission denied" and denied(error) and not denied(OSError("outer"))


def test_the_daemons_own_explanation_comes_first() -> None:
    busy = APIError("409 Client Error for http+docker://localhost", explanation="it is busy")
    assert words(busy).reveal() == "it is busy" and reason_of(busy) == UNKNOWN
    missing = APIError("404", explanation="No such image: postgres:17")
    assert reason_of(missing) == "no such image", "what it says itself may be anything, and stands in no sentence"
    assert reason_of(ValueError("odd")) == UNKNOWN and reason_of(ValueError()) == UNKNOWN


@dataclass(frozen=True)
class NoClient:
    """As an engine: its client is not on this host."""

    image: str | None = None

    def client(self, major: str | None) -> ClientNeed:
        return ClientNeed(programs=("a-client-that-nobody-has",))

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        return ("nothing:1",)


def test_a_client_that_only_docker_could_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wording: SnapshotAssertion
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    lab = Lab(Docker(SystemClock(), "x"), Host())

    class Quiet:
        def amount(self, done: int, total: int | None) -> None: ...

    with pytest.raises(TestBroken) as raised, lab.source(NoClient(), "r", tmp_path, tmp_path, 5.0, Quiet()):  # type: ignore[arg-type]
        pass
    said = str(raised.value)
    assert said.replace(str(tmp_path), "") == wording
    assert "start it" in str(raised.value.hint) and "or install a-client-that-nobody-has" in str(raised.value.hint)


def test_every_layer_is_looked_at_once(tmp_path: Path) -> None:
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    assert reason_of(one) == UNKNOWN and os.path.isdir(tmp_path)


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ("2026-11-20T12:00:00.123456789Z", datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-20T14:00:00+02:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("2026-11-20T12:00:00", None),
        (None, None),
        ("soon", None),
    ],
)
def test_when_an_image_was_made_is_told_where_docker_says_so(said: object, made: datetime | None) -> None:
    assert room._made(said) == made
