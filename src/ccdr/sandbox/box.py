"""A running container as a `Place`: commands by `docker exec`, over a raw socket so that a hang is seen; and by a shell
that was begun so, where the container is ours."""

from __future__ import annotations

import contextlib
import json
import re
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
from ccdr.sandbox import isolation, shell
from ccdr.sandbox.frames import STDERR, STDOUT, Frames, close_socket, come_with_the_headers
from ccdr.sandbox.words import reason_of, words

LOOK = 2.0  # seconds between two looks at a silent command
IDLE = 0.02  # a container that uses less of one processor than this makes no progress
STDERR_KEPT = 4096
BY_SIGNAL = 128  # above it: what a signal ended
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
class _Exec:
    """A program that `docker exec` has begun."""

    id: str
    frames: Frames
    raw: Any  # what Docker's client handed out
    waited: bool = False  # a shell that has run a command before

    def close(self) -> None:
        close_socket(self.raw)


@dataclass
class Box:
    """A container made by `docker.py`. `api` is Docker's low-level client, `mounts` host path → path inside.
    `keeps_shells`: its commands go through shells that stay in it until `close`."""

    api: Any
    id: str
    image_name: str
    mounts: Mapping[Path, str]
    facts: Mapping[str, Any]  # for the record; once it was observed, how it is shut off, too
    asked: isolation.Facts = field(default_factory=dict)  # how it is to be shut off
    outside: tuple[str, ...] = ()  # paths of the source's that it has besides
    differs: tuple[isolation.Deviation, ...] = ()  # what of that it is not
    no_progress: float = 600.0
    memory: int = 0
    on_growth: Callable[[int], None] | None = None  # told how large a watched directory has become
    keeps_shells: bool = False
    keep: bool = False  # does it outlive its context?
    _idle: list[_Exec] = field(default_factory=list, repr=False)  # shells that wait for a command

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
        alone: bool = False,
    ) -> Output:
        """As `Place.run`; raises TestBroken where the sandbox, not the command, is to blame."""
        for _ in range(TRIES):
            code, output = self._ran(argv, env, stdin, what, watch, pulse, alone=alone)
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
            raise CommandFailed(argv, code, output.stderr.tail(STDERR_KEPT), what=what, image=self.image_name)
        return output

    def _ran(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        what: str | None = None,
        watch: Path | None = None,
        pulse: Pulse | None = None,
        *,
        alone: bool = False,
    ) -> tuple[int, Output]:
        """How it has ended, whether it was begun or not; CommandFailed where it made no progress."""
        env, told = _environment(env), shell.Told()
        line = told.script(argv, env, stdin or "") if self.keeps_shells and not alone else None
        with contextlib.closing(self._begun(argv, env)) if line is None else self._shell(told) as program:
            frames = program.frames
            frames.send((line or stdin or "").encode("utf-8", "surrogateescape"), last=line is None)
            progress = _Progress(self, by_cpu=pulse is None)
            while not frames.closed and told.code is None:
                tick()
                for stream, data in frames.read(LOOK):
                    told.hear(data, error=stream == STDERR)
                grown = tree_bytes(watch) if watch is not None else 0
                if grown and self.on_growth is not None:
                    self.on_growth(grown)
                seen = frames.count + grown if pulse is None else pulse()
                if progress.stalled(seen, self.no_progress):
                    if not self.running():
                        raise self._broken(f"it stands still, during: {what or argv[0]}")
                    raise CommandFailed(argv, -1, _tail(told.complained), stalled=True, what=what)
        code, words = told.code, FreeText(told.complained.decode("utf-8", "replace"))
        if code is None:
            code = self._exit_code(program.id, argv)
            if program.waited and not told.begun and code > BY_SIGNAL:  # somebody ended it while it waited
                return self._ran(argv, env, stdin, what, watch, pulse, alone=alone)
            if line is not None and (told.begun or code not in NOT_STARTED):  # what a shell ends with is no answer
                self._blame_sandbox(code, words, what or argv[0])
                raise self._broken(f"its shell ended, with {code}, during: {what or argv[0]}")
        return code, Output(code, told.said.decode("utf-8", "surrogateescape"), words)

    @contextlib.contextmanager
    def session(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[Session]:
        env = _environment(env)
        with contextlib.closing(self._became(argv, env) or self._begun(argv, env)) as program:
            yield _BoxSession(program.frames, argv)

    def _became(self, argv: Sequence[str], env: Mapping[str, str]) -> _Exec | None:
        """A shell that waited, in whose place the program is now; None where there is none. Another one is begun in its
        stead: whoever has a session runs commands beside it, and the runtime begins both in the time of one."""
        told = shell.Told()
        line = told.replaced(argv, env) if self.keeps_shells else None
        if line is None or (program := self._waiting(begun=True)) is None:
            return None
        try:
            self._idle.append(self._another())
            program.frames.send(line.encode())
            deadline = time.monotonic() + self.no_progress
            while not told.begun:
                tick()
                if program.frames.closed:  # before it came to the program
                    program.close()
                    return None
                if time.monotonic() > deadline:
                    raise self._broken(f"its shell does not answer, to begin: {argv[0]}")
                for stream, data in program.frames.read(LOOK):
                    told.hear(data, error=stream == STDERR)
            # What came with the mark are the program's own first words.
            program.frames.give_back((STDOUT, told.said), (STDERR, told.complained))
        except BaseException:
            program.close()
            raise
        return program

    @contextlib.contextmanager
    def _shell(self, told: shell.Told) -> Iterator[_Exec]:
        """One that nobody uses meanwhile. It is left for good by whoever leaves it in the midst of a command, or has
        left something there that speaks on."""
        program = self._waiting() or self._another()
        waits = False
        try:
            yield program
            waits = told.code is not None and not told.goes_on and not program.frames.closed
        finally:
            if waits:
                program.waited = True
                self._idle.append(program)
            else:
                program.close()

    def _another(self) -> _Exec:
        program = self._begun(["sh"], {})
        program.frames.send(shell.BEGINNING.encode())
        return program

    def _waiting(self, *, begun: bool = False) -> _Exec | None:
        """A shell that waits for a command, one that has `begun` where that is asked for; of those that somebody has
        ended meanwhile, none."""
        while self._idle:
            with contextlib.suppress(IndexError):  # threads share a sandbox
                if begun and not self._idle[-1].waited:
                    return None
                program = self._idle.pop()
                if not program.frames.read(0.0) and not program.frames.closed:
                    return program
                program.close()  # somebody has ended it, or speaks there who was to be silent
        return None

    def _begun(self, argv: Sequence[str], env: Mapping[str, str]) -> _Exec:
        from docker.errors import APIError

        try:
            made = self.api.exec_create(self.id, list(argv), stdin=True, environment=dict(env))
            raw = self.api.exec_start(made["Id"], socket=True)
        except (APIError, OSError) as error:
            raise self._broken(error) from None
        sock = getattr(raw, "_sock", raw)
        return _Exec(made["Id"], Frames(sock, come_with_the_headers(raw, sock)), raw)

    def close(self) -> None:
        """End the shells that wait. The container is its maker's to end."""
        while self._idle:
            self._idle.pop().close()

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
            state = self.api.inspect_container(self.id)["State"]
            return bool(state["Running"] and not state.get("Paused"))
        except (APIError, OSError):
            return False

    def oom_kills(self) -> int:
        """How many processes the kernel killed in this container for want of memory (cgroup v1 and v2)."""
        _, output = self._ran(["cat", *OOM_FILES], alone=True)  # asked where a shell has ended, too
        return sum(int(line.split()[1]) for line in output.stdout.splitlines() if line.startswith("oom_kill "))

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


def _environment(env: Mapping[str, str] | None) -> Mapping[str, str]:
    return {"LC_ALL": "C.UTF-8", **(env or {})}


def _tail(err: bytes | bytearray) -> FreeText:
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

    def __init__(self, frames: Frames, argv: Sequence[str]) -> None:
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
