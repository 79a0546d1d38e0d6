"""What a command in a container says arrives whole, however soon it is said; what it is told, it may read or not."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from docker.api.client import APIClient

from ccdr.host.interrupts import GLANCE, threads
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.sandbox import box
from ccdr.sandbox.box import Box
from ccdr.sandbox.frames import STDERR, STDOUT

HEAD = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class Daemon(threading.Thread):
    """As much of Docker's API as a command in a container needs. How its words are cut into packets cannot be had of a
    real one: `command` is given the connection and answers as it likes, the headers of the response too."""

    def __init__(self, path: Path, command: Callable[[socket.socket], int | None]) -> None:
        super().__init__(daemon=True)
        self.command = command
        self.code = 0
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
                        self.code = self.command(connection) or 0
                    return
                state = {"Running": head.startswith(b"GET /v1.44/containers"), "ExitCode": self.code}
                body = json.dumps({"Id": "e1", **state, "State": state}).encode()
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


@contextlib.contextmanager
def served(root: Path, command: Callable[[socket.socket], int | None]) -> Iterator[Box]:
    daemon = Daemon(root / "docker.sock", command)
    daemon.start()
    api = APIClient(f"unix://{root}/docker.sock", version="1.44", timeout=10)
    yield Box(api, "c1", "image", {}, {})
    api.close()
    daemon.listening.close()


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    with served(tmp_path, request.param) as box:
        yield box


SAID = frame(STDOUT, b"one\n") + frame(STDERR, b"two\n") + frame(STDOUT, b"three\n")


@pytest.mark.parametrize("daemon", [saying(SAID[:n], SAID[n:]) for n in range(len(SAID) + 1)], indirect=True)
def test_words_that_come_with_the_headers_are_not_lost(daemon: Box) -> None:
    said = daemon.run(["true"])
    assert (said.stdout, said.stderr.reveal()) == ("one\nthree\n", "two\n")


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


DIED = b"OCI runtime exec failed: exec failed: unable to start container process: "
NEVER_BEGUN = DIED + b"waiting for init preliminary setup: read init-p: connection reset by peer: unknown"
NO_PROGRAM = DIED + b'exec: "pg_basebackup": executable file not found in $PATH: unknown'


class Dying:
    """Docker's runtime, which dies so many times before it comes to the program: what it says then was seen of a real
    one, once in many thousand commands."""

    def __init__(self, times: int, said: bytes = NEVER_BEGUN) -> None:
        self.left, self.said, self.told = times, said, 0

    def __call__(self, connection: socket.socket) -> int:
        connection.sendall(HEAD)
        self.told += 1
        self.left -= 1
        connection.sendall(frame(STDOUT, self.said if self.left >= 0 else b"done\n"))
        return 126 if self.left >= 0 else 0


@pytest.mark.parametrize("ok", [(0,), range(256)])
@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_a_command_that_docker_did_not_begin_is_begun_once_more(tmp_path: Path, times: int, ok: Sequence[int]) -> None:
    """And is never taken for one that has ended badly."""
    dying = Dying(times)
    with served(tmp_path, dying) as box:
        if times < 3:
            assert box.run(["pg_basebackup"], ok=ok).stdout == "done\n"
        else:
            with pytest.raises(TestBroken, match=r"Docker did not start pg_basebackup, in 3 tries$"):
                box.run(["pg_basebackup"], ok=ok)
    assert dying.told == min(times + 1, 3)


def test_a_program_that_is_not_there_is_looked_for_once(tmp_path: Path) -> None:
    dying = Dying(1, NO_PROGRAM)
    with served(tmp_path, dying) as box, pytest.raises(TestBroken, match="the image image cannot run pg_basebackup"):
        box.run(["pg_basebackup"])
    assert dying.told == 1


def test_a_question_to_what_was_never_begun_is_answered_by_why(tmp_path: Path) -> None:
    with served(tmp_path, Dying(1)) as box, box.session(["psql"]) as session:
        with pytest.raises(CommandFailed) as raised:
            session.ask("select 1;\n", "end", timeout=5)
        assert "waiting for init preliminary setup" in raised.value.stderr
