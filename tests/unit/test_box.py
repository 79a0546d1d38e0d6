"""What a command in a container says arrives whole, however soon it is said."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api.client import APIClient

from ccdr.sandbox.box import STDERR, STDOUT, Box

HEAD = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class Daemon(threading.Thread):
    """As much of Docker's API as a command in a container needs. How its words are cut into packets cannot be had of a
    real one: `packets` are sent one by one, the first with the headers of the response."""

    def __init__(self, path: Path, packets: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.packets = packets
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
                    for packet in (HEAD + self.packets[0], *self.packets[1:]):
                        connection.sendall(packet)
                    connection.close()
                    return
                body = json.dumps({"Id": "e1", "Running": False, "ExitCode": 0}).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                    + body
                )


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    served = Daemon(tmp_path / "docker.sock", request.param)
    served.start()
    api = APIClient(f"unix://{tmp_path}/docker.sock", version="1.44", timeout=10)
    yield Box(api, "c1", "i1", "image", {}, {})
    api.close()
    served.listening.close()


SAID = frame(STDOUT, b"one\n") + frame(STDERR, b"two\n") + frame(STDOUT, b"three\n")


@pytest.mark.parametrize("daemon", [[SAID[:n], SAID[n:]] for n in range(len(SAID) + 1)], indirect=True)
def test_words_that_come_with_the_headers_are_not_lost(daemon: Box) -> None:
    said = daemon.run(["true"])
    assert (said.stdout, said.stderr) == ("one\nthree\n", "two\n")


@pytest.mark.parametrize("daemon", [[b""], [b"", SAID]], indirect=True)
def test_nothing_need_come_with_them(daemon: Box) -> None:
    assert daemon.run(["true"]).stdout in ("", "one\nthree\n")
