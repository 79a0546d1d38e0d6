"""The only room that starts processes.

Every process gets an argv list, an explicit environment, a process group of its own and a no-progress
watchdog. It ends by TERM (so that restic drops its lock), then KILL. When ccdr itself is killed, the kernel
sends its children TERM (`setpriv --pdeathsig`), so that no dump or upload goes on without its master.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from ccdr.host.interrupts import tick
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed, OutputTooLong, PlanUnconfirmed
from ccdr.model.schema import UnconfirmedCommand
from ccdr.ports.place import Output, Pulse, Session

TERM_GRACE = 10.0  # seconds between TERM and KILL: restic removes its lock in well under one
TICK = 0.5  # seconds between two looks at the watchdog
STDERR_KEPT = 4096
MASK = "********"
# What a program may inherit; everything else is given by name.
INHERITED = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK")


@dataclass
class Watchdog:
    """Knows when a pulse (bytes written, bytes uploaded, CPU used) last changed."""

    limit: float
    pulse: Pulse
    _last: object = None
    _since: float = field(default_factory=time.monotonic)

    def stalled(self) -> bool:
        now, value = time.monotonic(), self.pulse()
        if value != self._last:
            self._last, self._since = value, now
        return now - self._since > self.limit


def tree_bytes(directory: Path) -> int:
    """Bytes in a directory, to see it grow; what vanishes while we look does not count."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


@dataclass(frozen=True)
class Host:
    """This host as a `Place`. `with_` gives a copy with other habits."""

    env: Mapping[str, str] = field(default_factory=dict)
    dirs: tuple[str, ...] = ()  # looked in before PATH
    no_progress: float = 600.0
    secrets: tuple[str, ...] = ()  # masked in what errors quote
    gentle: bool = False  # nice and the lowest best-effort I/O class
    cwd: Path | None = None
    on_growth: Callable[[int], None] | None = None  # told how large a watched directory has become
    meanwhile: Callable[[], None] | None = None  # called again and again while a command runs: what it raises ends that

    def with_(self, **changes: object) -> Host:
        return replace(self, **changes)  # type: ignore[arg-type]

    def path(self, host: Path) -> str:
        return str(host)

    def which(self, program: str) -> str | None:
        """The program's path, from `dirs` and then PATH."""
        return shutil.which(program, path=self._environment({})["PATH"])

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
        alone: bool = True,
        on_line: Callable[[str], None] | None = None,
        most: int | None = None,
    ) -> Output:
        """As `Place.run`; each is `alone`. `on_line` is handed each line of standard output instead of keeping it;
        `pulse` replaces output or the growth of `watch` as the sign of progress. OutputTooLong, and the command is
        stopped, where it writes more than `most` bytes."""
        with self._started(argv, env, what) as process:
            pump = _Pump(process, stdin, on_line)
            watchdog = Watchdog(self.no_progress, pulse or self._pulse(watch) or pump.seen)
            stalled = False
            while pump.turn(TICK):
                tick()
                if most is not None and pump.seen() > most:
                    raise OutputTooLong(argv, most, what=what)
                if self.meanwhile is not None:
                    self.meanwhile()
                if watchdog.stalled():
                    stalled = True
                    break
            code = _end(process) if stalled else process.wait()
        output = Output(code, pump.stdout, FreeText(self._masked(pump.stderr)))
        if stalled or code not in ok:
            raise CommandFailed(argv, code, output.stderr.tail(STDERR_KEPT), stalled=stalled, what=what)
        return output

    @contextlib.contextmanager
    def session(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[Session]:
        with self._started(argv, env, None) as process:
            yield PipeSession(process, argv, self._masked)

    def _pulse(self, watch: Path | None) -> Pulse | None:
        if watch is None:
            return None

        def grown() -> int:
            size = tree_bytes(watch)
            if self.on_growth is not None:
                self.on_growth(size)
            return size

        return grown

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        env.setdefault("PATH", os.defpath)
        env |= {"LC_ALL": "C.UTF-8", **self.env, **extra}
        env["PATH"] = os.pathsep.join((*self.dirs, env["PATH"]))
        return env

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, MASK)
        return text

    @contextlib.contextmanager
    def _started(
        self, argv: Sequence[str], env: Mapping[str, str] | None, what: str | None
    ) -> Iterator[subprocess.Popen[bytes]]:
        _refuse_unconfirmed(argv)
        environment = self._environment(env or {})
        if shutil.which(argv[0], path=environment["PATH"]) is None:
            raise CommandFailed(argv, 127, f"{argv[0]} is not installed on this host", what=what)
        process = subprocess.Popen(
            [*self._wrapper(environment["PATH"]), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.cwd,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                _end(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    pipe and pipe.close()

    def _wrapper(self, path: str) -> list[str]:
        wrapper = []
        if shutil.which("setpriv", path=path):
            wrapper += ["setpriv", "--pdeathsig", "TERM", "--"]
        if self.gentle and shutil.which("ionice", path=path):
            wrapper += ["nice", "-n", "10", "ionice", "-c", "2", "-n", "7"]
        return wrapper


def _refuse_unconfirmed(argv: Sequence[str]) -> None:
    """The last place where a command that came from a repository can be kept from running: PlanUnconfirmed."""
    if isinstance(argv, UnconfirmedCommand):
        raise PlanUnconfirmed(argv.plan, [argv.where])


@dataclass(frozen=True)
class Daemon:
    """A server of the demo's. Holds on to none of our streams; ends when the process that started it does,
    unless it is to outlive it."""

    argv: tuple[str, ...]
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, outlive: bool = False
    ) -> Daemon:
        _refuse_unconfirmed(argv)
        environment = Host()._environment(env or {})
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*([] if outlive else Host()._wrapper(environment["PATH"])), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        return cls(tuple(argv), process)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _end(process: subprocess.Popen[bytes]) -> int:
    """Interrupt a process group: TERM, a grace, KILL."""
    for sign, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(grace)
    return process.wait()


class _Pump:
    """Moves a process's three streams without letting any of them fill up and block it."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdin: str | None, on_line: Callable[[str], None] | None
    ) -> None:
        assert process.stdin and process.stdout and process.stderr
        self._process, self._on_line = process, on_line
        self._out, self._err, self._partial = bytearray(), bytearray(), bytearray()
        self._count = 0
        self._stdin = memoryview((stdin or "").encode("utf-8", "surrogateescape"))
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, self._read_stdout)
        self._selector.register(process.stderr, selectors.EVENT_READ, self._read_stderr)
        if self._stdin:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE, self._write)
        else:
            process.stdin.close()

    def seen(self) -> int:
        """Bytes read so far."""
        return self._count

    @property
    def stdout(self) -> str:
        return self._out.decode("utf-8", "surrogateescape")

    @property
    def stderr(self) -> str:
        return self._err.decode("utf-8", "replace")

    def turn(self, seconds: float) -> bool:
        """Move what can be moved; False once both outputs are closed."""
        for key, _ in self._selector.select(seconds):
            key.data(key.fileobj)
        outputs = [k for k in self._selector.get_map().values() if k.data != self._write]
        if not outputs:
            if self._partial and self._on_line:
                self._on_line(self._partial.decode("utf-8", "replace"))
            self._selector.close()
        return bool(outputs)

    def _read(self, pipe: IO[bytes]) -> bytes:
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            self._selector.unregister(pipe)
        self._count += len(data)
        return data

    def _read_stdout(self, pipe: IO[bytes]) -> None:
        data = self._read(pipe)
        if self._on_line is None:
            self._out += data
            return
        self._partial += data
        *lines, rest = bytes(self._partial).split(b"\n")
        self._partial = bytearray(rest)
        for line in lines:
            self._on_line(line.decode("utf-8", "replace"))

    def _read_stderr(self, pipe: IO[bytes]) -> None:
        self._err += self._read(pipe)
        del self._err[: -16 * STDERR_KEPT]

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            sent = os.write(pipe.fileno(), self._stdin[: 1 << 16])
        except BlockingIOError:
            return
        except BrokenPipeError:  # the program has read enough; its exit code tells whether that was right
            sent = len(self._stdin)
        self._stdin = self._stdin[sent:]
        if not self._stdin:
            self._selector.unregister(pipe)
            pipe.close()


class PipeSession:
    """`Session` over a process's pipes."""

    def __init__(self, process: subprocess.Popen[bytes], argv: Sequence[str], masked: Callable[[str], str]) -> None:
        self._process, self._argv, self._masked = process, argv, masked
        self._buffer = bytearray()

    def ask(self, text: str, until: str, *, timeout: float) -> str:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        marker = f"{until}\n".encode()
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not (self._buffer == marker or self._buffer.endswith(b"\n" + marker)):
                left = deadline - time.monotonic()
                if left > TICK and not selector.select(TICK):
                    tick()
                    continue
                if not selector.select(max(0.0, left)):
                    raise CommandFailed(self._argv, _end(self._process), self._said(), stalled=True)
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    raise CommandFailed(self._argv, self._process.wait(), self._said())
                self._buffer += data
        answer = bytes(self._buffer[: -len(marker)]).decode()
        self._buffer.clear()
        return answer

    def ended(self) -> FreeText | None:
        code = self._process.poll()
        return None if code is None else self._said() or FreeText(f"exit {code}")

    def _said(self) -> FreeText:
        assert self._process.stderr
        with contextlib.suppress(OSError):
            data = self._process.stderr.read1(STDERR_KEPT)  # type: ignore[attr-defined]
            return FreeText(self._masked(data.decode("utf-8", "replace")))
        return FreeText()
