"""What a command in a container says arrives whole, however soon it is said; what it is told, it may read or not."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker.api.client import APIClient

from ccdr.errors import CommandFailed
from ccdr.interrupts import GLANCE, threads
from ccdr.sandbox import box
from ccdr.sandbox.box import STDERR, STDOUT, Box

HEAD = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class Daemon(threading.Thread):
    """As much of Docker's API as a command in a container needs. How its words are cut into packets cannot be had of a
    real one: `command` is given the connection and answers as it likes, the headers of the response too."""

    def __init__(self, path: Path, command: Callable[[socket.socket], object]) -> None:
        super().__init__(daemon=True)
        self.command = command
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        held = b""
        while data := connection.recv(1 << 16):
            held += data
            while b"\r\n\r\n" in held:
                head, _, rest = held.partition(b"\r\n\r\n")
                length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if b"content-length" in h.lower()), 0)
                if len(rest) < length:
                    break
                held = rest[length:]
                if b"/start" in head.split(b"\r\n")[0]:
                    with connection, contextlib.suppress(ConnectionError, TimeoutError):
                        self.command(connection)
                    return
                body = json.dumps({"Id": "e1", "Running": False, "ExitCode": 0}).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                    + body
                )


def saying(first: bytes, *packets: bytes) -> Callable[[socket.socket], None]:
    """Each packet by itself, the first one with the headers; and reading nothing."""

    def command(connection: socket.socket) -> None:
        for packet in (HEAD + first, *packets):
            connection.sendall(packet)

    return command


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    served = Daemon(tmp_path / "docker.sock", request.param)
    served.start()
    api = APIClient(f"unix://{tmp_path}/docker.sock", version="1.44", timeout=10)
    yield Box(api, "c1", "i1", "image", {}, {})
    api.close()
    served.listening.close()


SAID = frame(STDOUT, b"one\n") + frame(STDERR, b"two\n") + frame(STDOUT, b"three\n")


@pytest.mark.parametrize("daemon", [saying(SAID[:n], SAID[n:]) for n in range(len(SAID) + 1)], indirect=True)
def test_words_that_come_with_the_headers_are_not_lost(daemon: Box) -> None:
    said = daemon.run(["true"])
    assert (said.stdout, said.stderr) == ("one\nthree\n", "two\n")


@pytest.mark.parametrize("daemon", [saying(b""), saying(b"", SAID)], indirect=True)
def test_nothing_need_come_with_them(daemon: Box) -> None:
    assert daemon.run(["true"]).stdout in ("", "one\nthree\n")


LIST = "a name of a file\n" * 200_000  # more than any socket holds
PATIENCE = 8.0  # seconds after which a command ends that nobody has ended


def reading(connection: socket.socket) -> int:
    """To the end of what is sent; how many bytes that was."""
    count = 0
    while data := connection.recv(1 << 16):
        count += len(data)
    return count


def counting(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    connection.sendall(frame(STDOUT, b"%d" % reading(connection)))


def saying_much_first(connection: socket.socket) -> None:
    """More than any socket holds, before it reads."""
    connection.settimeout(PATIENCE)
    connection.sendall(HEAD)
    for _ in range(64):
        connection.sendall(frame(STDERR, bytes(1 << 16)))
    connection.sendall(frame(STDOUT, b"%d" % reading(connection)))


def reading_slowly(connection: socket.socket) -> None:
    """All of it, and in more time than a silent command is given."""
    connection.sendall(HEAD)
    count = 0
    while data := connection.recv(1 << 18, socket.MSG_WAITALL):
        count += len(data)
        time.sleep(0.15)
    connection.sendall(frame(STDOUT, b"%d" % count))


def reading_nothing(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    hung_up = select.poll()
    hung_up.register(connection, 0)
    hung_up.poll(PATIENCE * 1000)


def having_enough(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    connection.sendall(frame(STDOUT, b"%d" % len(connection.recv(10, socket.MSG_WAITALL))))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "LOOK", 0.1)


@pytest.mark.parametrize("daemon", [counting, saying_much_first, reading_slowly], indirect=True)
@pytest.mark.parametrize("said", ["", "one line\n", LIST])
def test_a_command_is_told_all_that_it_is_to_read(daemon: Box, soon: None, said: str) -> None:
    """Whether it speaks first, or takes its time: what it takes is progress."""
    daemon.no_progress = 1.5
    assert daemon.run(["wc", "-c"], stdin=said).stdout == str(len(said))


@pytest.mark.parametrize("daemon", [having_enough], indirect=True)
def test_a_command_need_not_read_to_the_end(daemon: Box) -> None:
    assert daemon.run(["head", "-c", "10"], stdin=LIST).stdout == "10"


@pytest.mark.parametrize("daemon", [reading_nothing], indirect=True)
@pytest.mark.parametrize("said", ["one line\n", LIST])
def test_a_command_that_does_not_read_is_seen_to_hang(daemon: Box, soon: None, said: str) -> None:
    daemon.no_progress = 0.5
    with pytest.raises(CommandFailed) as raised:
        daemon.run(["sleep", "600"], stdin=said)
    assert raised.value.stalled


@pytest.mark.parametrize("daemon", [reading_nothing], indirect=True)
@pytest.mark.parametrize("said", ["one line\n", LIST])
def test_a_question_that_is_not_read_is_not_answered_in_time(daemon: Box, said: str) -> None:
    with daemon.session(["psql"]) as session, pytest.raises(CommandFailed) as raised:
        session.ask(said, "end", timeout=0.3)
    assert raised.value.stalled


@pytest.mark.parametrize("daemon", [reading_nothing], indirect=True)
@pytest.mark.parametrize("said", ["one line\n", LIST])
def test_an_interrupt_is_heard_where_a_command_does_not_read(daemon: Box, soon: None, said: str) -> None:
    """In a worker thread, where it is asked for at every look."""
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), threads(1) as pool:
        told = pool.submit(daemon.run, ["sleep", "600"], stdin=said)
        time.sleep(2 * GLANCE)
        raise KeyboardInterrupt
    assert isinstance(told.exception(), KeyboardInterrupt)
    assert time.monotonic() - begun < PATIENCE / 2
