"""A proxy before the S3 server that can refuse, reset or stall: real faults on a real wire."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["pass", "5xx", "reset", "stall"]
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class FaultyProxy:
    """Forwards connections to `upstream`. `mode` holds for what comes; a change cuts what there is.

    `transient(mode, count)` does it to the next `count` connections, `after(size, mode)` once `size` bytes
    have gone towards the server. `tripped` tells when that has happened.
    """

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        assert address.hostname and address.port
        self._upstream = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()
        self._mode: Mode = "pass"
        self._left: int | None = None  # connections until the fault is over
        self._trip: tuple[int, Mode] | None = None
        self._count: int | None = None
        self._sent = 0
        self.faults = 0
        self.tripped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, mode: Mode) -> None:
        with self._lock:
            self._mode, self._left, self._trip = mode, None, None
            for connection in self._live:
                _reset(connection)

    def transient(self, mode: Mode, count: int) -> None:
        self.set(mode)
        with self._lock:
            self._left = count

    def after(self, size: int, mode: Mode, *, count: int | None = None) -> None:
        self.tripped.clear()
        with self._lock:
            self._sent, self._trip, self._count = 0, (size, mode), count

    def close(self) -> None:
        self.set("reset")
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    self._live.add(client)
                threading.Thread(target=self._serve, args=(client, self._next_mode()), daemon=True).start()

    def _next_mode(self) -> Mode:
        with self._lock:
            mode = self._mode
            if mode != "pass":
                self.faults += 1
                if self._left is not None:
                    self._left -= 1
                    if self._left <= 0:
                        self._mode, self._left = "pass", None
            return mode

    def _serve(self, client: socket.socket, mode: Mode) -> None:
        with contextlib.suppress(OSError):
            if mode == "reset":
                client.recv(1)
                _reset(client)
            elif mode == "stall":
                while client.recv(1 << 16):
                    pass
            elif mode == "5xx":
                self._refuse(client)
            else:
                self._forward(client)
        with self._lock:
            self._live.discard(client)
        client.close()

    @staticmethod
    def _refuse(client: socket.socket) -> None:
        """Read one whole request, then answer as a busy store does."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(1 << 16)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(found[1]) if (found := _LENGTH.search(head)) else 0
        while len(body) < length:
            more = client.recv(1 << 16)
            if not more:
                return
            body += more
        answer = b"" if head.startswith(b"HEAD") else _BUSY
        client.sendall(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer)
        )

    def _forward(self, client: socket.socket) -> None:
        with socket.create_connection(self._upstream) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(1 << 16):
                mode = self._count_sent(len(data))
                if mode == "stall":
                    while client.recv(1 << 16):
                        pass
                    return
                if mode is not None:
                    _reset(client)
                    return
                server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(10)

    def _count_sent(self, size: int) -> Mode | None:
        """Count bytes towards the server; the mode that now begins to hold, if one does."""
        with self._lock:
            self._sent += size
            if self._trip is None or self._sent < self._trip[0]:
                return None
            self._mode, self._trip, self._left = self._trip[1], None, self._count
            self.faults += 1
            for connection in self._live:
                _reset(connection)
            mode = self._mode
        self.tripped.set()
        return mode


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    """End a connection by RST, not by FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        connection.close()


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
