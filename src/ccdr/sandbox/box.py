"""A running container as a `Place`: commands by `docker exec`, over a raw socket so that a hang is seen."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccdr.host.interrupts import tick
from ccdr.host.processes import tree_bytes
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Output, Pulse, Session
from ccdr.sandbox import isolation
from ccdr.sandbox.words import reason_of, words

STDOUT, STDERR = 1, 2
LOOK = 2.0  # seconds between two looks at a silent command
IDLE = 0.02  # a container that uses less of one processor than this makes no progress
STDERR_KEPT = 4096
KILLED = 137  # SIGKILL: of the command alone, or of the whole container
DYING = 3.0  # seconds that Docker may take to tell that a container has ended
NOT_STARTED = (126, 127)  # the shell's and Docker's word for a program that cannot be started
# Docker's runtime has died before it came to the program (`exec: "NAME": …` would be about that one). It is rare, is no
# fault of the image, and goes away by itself; nothing of the command has been done.
RUNTIME = re.compile(r"OCI runtime exec failed: (?!.*exec: \")")
TRIES = 3
# A read-only root and tmpfs: what a full one says. It is the sandbox that was too small, not the backup bad.
FULL = ("No space left on device", "could not resize shared memory", "Disk quota exceeded")
OOM_FILES = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


@dataclass
class _Frames:
    """Docker's attach protocol: 8 bytes of header (stream, three zeros, big-endian size), then the payload."""

    sock: socket.socket  # does not block
    buffer: bytearray = field(default_factory=bytearray)
    closed: bool = False
    count: int = 0  # bytes that were moved, either way
    _unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    _ends: bool = False  # the command's input, with what is to be sent

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Have it sent beside reading: a command may say much before it reads, and need not read at all."""
        self._unsent, self._ends = memoryview(bytes(self._unsent) + data), last
        if last and not data:
            self._end_input()

    def read(self, seconds: float) -> list[tuple[int, bytes]]:
        """Whole frames that have come within `seconds`; sets `closed` at the end of the stream."""
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


@dataclass
class Box:
    """A container made by `docker.py`. `api` is Docker's low-level client, `mounts` host path → path inside."""

    api: Any
    id: str
    image_id: str
    image_name: str
    mounts: Mapping[Path, str]
    facts: Mapping[str, object]  # for the record; once it was observed, how it is shut off, too
    asked: isolation.Facts = field(default_factory=dict)  # how it is to be shut off
    differs: tuple[isolation.Deviation, ...] = ()  # what of that it is not
    no_progress: float = 600.0
    memory: int = 0
    on_growth: Callable[[int], None] | None = None  # told how large a watched directory has become

    def path(self, host: Path) -> str:
        for outside, inside in self.mounts.items():
            if host == outside or outside in host.parents:
                return str(Path(inside) / host.relative_to(outside))
        raise ValueError(f"{host} is not mounted into this sandbox")

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        what: str | None = None,
        watch: Path | None = None,
        ok: Sequence[int] = (0,),
        pulse: Pulse | None = None,
    ) -> Output:
        """As `Place.run`; raises TestBroken where the sandbox, not the command, is to blame."""
        for _ in range(TRIES):
            code, output = self._ran(argv, env, stdin, what, watch, pulse)
            # Docker's own words come as the command's.
            error_text = "" if code not in NOT_STARTED else (output.stdout + output.stderr.reveal()).strip()
            if not RUNTIME.match(error_text) or not self.running():
                break
        else:
            hint = "see the Docker daemon's log (`journalctl -u docker`), then run it again"
            words = FreeText(error_text)
            raise TestBroken(f"Docker did not start {argv[0]}, in {TRIES} tries", hint=hint, words=words)
        if code in NOT_STARTED and code not in ok:
            if self._ended(code):
                raise self._broken(f"it ended before: {what or argv[0]}")
            words = FreeText(error_text)
            program = repr(what) if what is not None and argv[0] == "sh" else argv[0]  # of a script: what it is for
            raise TestBroken(
                f"the image {self.image_name} cannot run {program}" + (f": {words.answer}" if words.answer else ""),
                hint="name an image that holds it with `image:`",
                words=words,
            )
        if code not in ok or code == KILLED:
            self._blame_sandbox(code, output.stderr, what or argv[0])
        if code not in ok:
            raise CommandFailed(argv, code, output.stderr.tail(STDERR_KEPT), what=what)
        return output

    def _ran(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        stdin: str | None,
        what: str | None,
        watch: Path | None,
        pulse: Pulse | None,
    ) -> tuple[int, Output]:
        """How it has ended, whether it was begun or not; CommandFailed where it made no progress."""
        with self._exec(argv, env) as (exec_id, frames):
            frames.send((stdin or "").encode("utf-8", "surrogateescape"), last=True)
            out, err = bytearray(), bytearray()
            progress = _Progress(self, by_cpu=pulse is None)
            while not frames.closed:
                tick()
                for stream, data in frames.read(LOOK):
                    (out if stream == STDOUT else err).extend(data)
                grown = tree_bytes(watch) if watch is not None else 0
                if grown and self.on_growth is not None:
                    self.on_growth(grown)
                seen = frames.count + grown if pulse is None else pulse()
                if progress.stalled(seen, self.no_progress):
                    raise CommandFailed(argv, -1, _tail(err), stalled=True, what=what)
        code = self._exit_code(exec_id, argv)
        return code, Output(code, out.decode("utf-8", "surrogateescape"), FreeText(err.decode("utf-8", "replace")))

    @contextlib.contextmanager
    def session(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[Session]:
        with self._exec(argv, env) as (_, frames):
            yield _BoxSession(frames, argv)

    @contextlib.contextmanager
    def _exec(self, argv: Sequence[str], env: Mapping[str, str] | None) -> Iterator[tuple[str, _Frames]]:
        from docker.errors import APIError

        try:
            made = self.api.exec_create(
                self.id, list(argv), stdin=True, environment={"LC_ALL": "C.UTF-8", **(env or {})}
            )
            raw = self.api.exec_start(made["Id"], socket=True)
        except (APIError, OSError) as error:
            raise self._broken(error) from None
        sock = getattr(raw, "_sock", raw)
        begun = _come_with_the_headers(raw, sock)
        try:
            yield made["Id"], _Frames(sock, begun)
        finally:
            close_socket(raw)

    def _exit_code(self, exec_id: str, argv: Sequence[str]) -> int:
        from docker.errors import APIError

        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                state = self.api.exec_inspect(exec_id)
            except (APIError, OSError) as error:
                raise self._broken(error) from None
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            time.sleep(0.02)
        raise self._broken(f"{argv[0]} ended, but Docker does not tell how")

    def _blame_sandbox(self, code: int, stderr: FreeText, what: str) -> None:
        """Raise TestBroken if the command failed because the sandbox was killed, too small or full."""
        if (full := next((sign for sign in FULL if sign in stderr), None)) is not None:
            raise TestBroken(
                f"disk space ran out ({full}) during: {what}",
                hint="free space where scratch lies (--state); a sandbox's data may go there by `storage: disk`",
            )
        if self._ended(code):
            raise self._broken(f"it ended during: {what}")
        if self.oom_kills():
            raise TestBroken(
                f"the sandbox ran out of memory ({self.memory >> 20} MiB) during: {what}",
                hint="give the asset more with `memory: 4GiB`",
            )

    def _ended(self, code: int) -> bool:
        """Is the container gone? Docker tells that a command was killed, or cannot be started any more, some time
        before it tells that the container has ended."""
        deadline = time.monotonic() + (DYING if code in (KILLED, *NOT_STARTED) else 0.0)
        while self.running():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    def running(self) -> bool:
        from docker.errors import APIError

        try:
            return bool(self.api.inspect_container(self.id)["State"]["Running"])
        except (APIError, OSError):
            return False

    def oom_kills(self) -> int:
        """How many processes the kernel killed in this container for want of memory (cgroup v1 and v2)."""
        with self._exec(["cat", *OOM_FILES], None) as (_, frames):
            output = bytearray()
            while not frames.closed:
                for stream, data in frames.read(LOOK):
                    output += data if stream == STDOUT else b""
        return sum(int(line.split()[1]) for line in output.decode().splitlines() if line.startswith("oom_kill "))

    def cpu_seconds(self) -> float:
        """Processor time the container has used; 0 where Docker does not say."""
        with contextlib.suppress(Exception):
            stats = self.api.stats(self.id, stream=False, one_shot=True)
            stats = json.loads(stats) if isinstance(stats, str | bytes) else stats
            return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
        return 0.0

    def _broken(self, why: BaseException | str) -> TestBroken:
        return TestBroken(
            f"the sandbox is gone: {why if isinstance(why, str) else reason_of(why)}",
            hint="see `docker events` and the kernel log for who ended it, then run the test again",
            words=None if isinstance(why, str) else words(why),
        )


def close_socket(raw: Any) -> None:
    """Close what Docker's client handed out, from the outside in: the HTTP response that the socket was taken
    from would else complain, at some later time, that its file was closed under it."""
    for part in (getattr(raw, "_response", None), raw, getattr(raw, "_sock", None)):
        if part is not None:
            with contextlib.suppress(OSError, ValueError):
                part.close()


def _come_with_the_headers(raw: Any, sock: socket.socket) -> bytearray:
    """What a command said so soon that it was read together with the response's headers: Docker's client gives the
    socket without it, and a program's only words would be lost, though it ended well."""
    buffered = raw._response.raw._fp.fp
    sock.setblocking(False)  # there need not be any
    return bytearray(buffered.peek() or b"")


def _tail(err: bytearray) -> FreeText:
    return FreeText(err[-STDERR_KEPT:].decode("utf-8", "replace"))


@dataclass
class _Progress:
    """Output, input that is taken, or processor time above that of an idle server, is progress. `by_cpu` is false
    where the work is done elsewhere: then the processor's time goes into asking how far it has come."""

    box: Box
    by_cpu: bool = True
    _seen: object = 0
    _cpu: float = 0.0
    _looked: float = field(default_factory=time.monotonic)
    _since: float = field(default_factory=time.monotonic)

    def stalled(self, seen: object, limit: float) -> bool:
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif self.by_cpu and now - self._looked >= LOOK:
            cpu = self.box.cpu_seconds()
            if cpu - self._cpu > IDLE * (now - self._looked):
                self._since = now
            self._cpu, self._looked = cpu, now
        return now - self._since > limit


class _BoxSession:
    """`Session` over an exec's socket."""

    def __init__(self, frames: _Frames, argv: Sequence[str]) -> None:
        self._frames, self._argv = frames, argv
        self._said = bytearray()

    def ask(self, text: str, until: str, *, timeout: float) -> str:
        self._frames.send(text.encode())
        marker = f"{until}\n".encode()
        deadline = time.monotonic() + timeout
        out, err = bytearray(), bytearray()
        while not (out == marker or out.endswith(b"\n" + marker)):
            tick()
            left = deadline - time.monotonic()
            if left <= 0:
                raise CommandFailed(self._argv, -1, _tail(err), stalled=True)
            for stream, data in self._frames.read(min(left, LOOK)):
                (out if stream == STDOUT else err).extend(data)
            if self._frames.closed and not out.endswith(marker):
                raise CommandFailed(self._argv, 1, _tail(err or out))  # Docker's own words come as the command's
        return bytes(out[: -len(marker)]).decode()

    def ended(self) -> FreeText | None:
        while not self._frames.closed:
            frames = self._frames.read(0.0)
            self._said += b"".join(data for stream, data in frames if stream == STDERR)
            del self._said[:-STDERR_KEPT]
            if not frames:
                break
        return (_tail(self._said) or FreeText("it said nothing")) if self._frames.closed else None
