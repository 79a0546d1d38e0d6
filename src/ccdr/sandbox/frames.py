"""What a command in a container says and is told: Docker's attach protocol, over the raw socket."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

STDOUT, STDERR = 1, 2


@dataclass
class Frames:
    """Docker's attach protocol: 8 bytes of header (stream, three zeros, big-endian size), then the payload."""

    sock: socket.socket  # does not block
    buffer: bytearray = field(default_factory=bytearray)
    closed: bool = False
    count: int = 0  # bytes that were moved, either way
    _kept: list[tuple[int, bytes]] = field(default_factory=list)
    _unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    _ends: bool = False  # the command's input, with what is to be sent

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Have it sent beside reading: a command may say much before it reads, and need not read at all."""
        self._unsent, self._ends = memoryview(bytes(self._unsent) + data), last
        if last and not data:
            self._end_input()

    def read(self, seconds: float) -> list[tuple[int, bytes]]:
        """Whole frames that have come within `seconds`; sets `closed` at the end of the stream."""
        if self._kept:
            kept, self._kept = self._kept, []
            return kept
        if self.buffer and (frames := self._whole()):
            return frames
        if not self._readable(seconds):
            return []
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        self.closed = not data
        self.count += len(data)
        self.buffer += data
        return self._whole()

    def give_back(self, *frames: tuple[int, bytes]) -> None:
        """For whoever reads next."""
        self._kept += [(stream, data) for stream, data in frames if data]

    def _readable(self, seconds: float) -> bool:
        """Has something come within that time? Meanwhile what is to be sent is."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            readable, writable, _ = select.select([self.sock], [self.sock] if self._unsent else [], [], left)
            if writable:
                self._write()
            if readable or not writable or not left:
                return bool(readable)

    def _write(self) -> None:
        try:
            sent = self.sock.send(self._unsent[: 1 << 16])
        except BlockingIOError:
            return
        except ConnectionError:  # the command has read enough; its exit code tells whether that was right
            sent = len(self._unsent)
        self.count += sent
        self._unsent = self._unsent[sent:]
        if not self._unsent and self._ends:
            self._end_input()

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def _whole(self) -> list[tuple[int, bytes]]:
        frames = []
        while len(self.buffer) >= 8:
            stream, size = struct.unpack(">BxxxL", self.buffer[:8])
            if len(self.buffer) < 8 + size:
                break
            frames.append((stream, bytes(self.buffer[8 : 8 + size])))
            del self.buffer[: 8 + size]
        return frames


def close_socket(raw: Any) -> None:
    """Close what Docker's client handed out, from the outside in: the HTTP response that the socket was taken
    from would else complain, at some later time, that its file was closed under it."""
    for part in (getattr(raw, "_response", None), raw, getattr(raw, "_sock", None)):
        if part is not None:
            with contextlib.suppress(OSError, ValueError):
                part.close()


def come_with_the_headers(raw: Any, sock: socket.socket) -> bytearray:
    """What a command said so soon that it was read together with the response's headers: Docker's client gives the
    socket without it, and a program's only words would be lost, though it ended well."""
    buffered = raw._response.raw._fp.fp
    sock.setblocking(False)  # there need not be any
    return bytearray(buffered.peek() or b"")
