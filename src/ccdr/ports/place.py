"""Where commands run, and what a program that ran there left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ccdr.model.answers import FreeText
from ccdr.model.errors import Exit
from ccdr.model.values import FileDigest


class Clock(Protocol):
    """Two clocks: wall time for records, monotonic time for durations. Never subtract wall times."""

    def now(self) -> datetime:
        """This host's time, UTC."""

    def monotonic(self) -> float:
        """Seconds since the machine's start, those that it slept among them: they never jump back."""


class Outcome(Protocol):
    """What a use-case gives, for an exit status and for programs."""

    @property
    def exit_code(self) -> Exit: ...

    def as_json(self) -> dict[str, object]: ...


class Progress(Protocol):
    """What a person watching wants to know. Implementations must be cheap and thread-safe."""

    def step(self, text: str) -> None:
        """A new step has begun; `text` is a short present participle: `dumping crm`."""

    def amount(self, done: int, total: int | None) -> None:
        """Bytes done of the present step."""


class Unwatched:
    """`Progress` that nobody watches."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class Output:
    """What a finished command answered. Small answers only; bulk bytes go through files. Standard output is parsed into
    values; put into no sentence, whether it is recorded or not."""

    code: int
    stdout: str
    stderr: FreeText


class Session(Protocol):
    """A program held open: send it a line, read its answer up to a marker."""

    def ask(self, text: str, until: str, *, timeout: float) -> str:
        """Write `text`, return what came on standard output before a line equal to `until`.

        Raises CommandFailed when the program ends first, or does not answer in `timeout` seconds.
        """

    def ended(self) -> FreeText | None:
        """None while the program runs; else what it said last, or how it ended where it said nothing."""


Pulse = Callable[[], object]


class Place(Protocol):
    """Somewhere commands run: this host, or a container."""

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
        """Run to the end and return its output; raises CommandFailed for a code not in `ok`.

        `what` names the step for people. `watch` is a directory (host path) whose growth counts as
        progress, `pulse` gives a value whose change does, where the work is done elsewhere; without progress
        for the place's limit the command is stopped (`stalled`). `alone`: it is somebody else's program, and may leave
        others behind that speak on: it has streams, a session and a process group that no other command has.
        """

    def session(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> AbstractContextManager[Session]:
        """Hold a program open; it is ended on leaving the context."""

    def path(self, host: Path) -> str:
        """The name in this place of a host path that was mounted into it."""


@dataclass(frozen=True)
class Source:
    """Where the client runs, and the private directory (host path, mode 0700, mounted at the same path)
    that holds the credential files the engine asked for."""

    place: Place
    credentials: Path


class Digester(Protocol):
    """Hashes files by the system's own tools; bulk bytes never pass through Python."""

    def __call__(
        self, root: Path, names: Sequence[str], *, lines: bool = False, vanishing: bool = False
    ) -> dict[str, FileDigest]:
        """Size, SHA-256 and (where asked) the newline count of each of `names` below `root`.

        CommandFailed where one cannot be read; with `vanishing`, one that is gone is left out instead.
        """
