"""Stores what a program writes, as it is written: through a pipe in a directory that the program's place has too.

restic starts a reader of ours on that pipe. It ends well only where the writer has left its verdict: whoever is killed,
wherever it ran, leaves none, and then restic stores nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed
from ccdr.ports.capture import Streamed, StreamWriter
from ccdr.storage.listing import Stored
from ccdr.storage.restic import Restic

NOBODY_READS = (141, -signal.SIGPIPE)  # a writer's exit status: a shell's word for it, or its own end
SAID_WITHIN = 10.0  # seconds that restic may take to tell why it reads no more
NAME = "dump"  # what it is called in its snapshot
# A verdict without a stream is none either: the writer has opened the pipe before.
_READ = 'cat -- "$1" && test "$(cat -- "$2")" = whole'


def store(
    repo: Restic, tags: Sequence[str], directory: Path, write: StreamWriter, on_bytes: Callable[[int], None]
) -> Streamed:
    """Have `write` fill the pipe while restic reads it. What failed first is raised; CommandFailed for the writer,
    BackupFailed or the repository's own error for the reader. Nothing that is stored all the same counts: only a
    backup's own snapshot, stored later, names it."""
    pipe, verdict = directory / "pipe", directory / "verdict"
    os.mkfifo(pipe, 0o600)
    moved, given_up = [0], threading.Event()

    def read(count: int) -> None:
        moved[0] = count
        on_bytes(count)

    def go_on() -> None:
        if given_up.is_set():
            raise CommandFailed(["restic"], -1, "the dump failed")

    with ThreadPoolExecutor(max_workers=1) as pool:
        argv = ["sh", "-c", _READ, "read", str(pipe), str(verdict)]
        storing = pool.submit(repo.backup_output, argv, NAME, tags=tags, on_bytes=read, go_on=go_on)

        def pulse() -> object:
            if storing.done():
                _let_go(pipe)
            return moved[0]

        try:
            write(pipe, verdict, pulse)
        except BaseException as error:
            if isinstance(error, CommandFailed) and error.code in NOBODY_READS:
                wait([storing], SAID_WITHIN)
            given_up.set()
            raise _first(error, storing) from None
        stored = storing.result()
    if stored.warning is not None or not stored.bytes:
        raise BackupFailed(
            stored.warning or "the dump is empty", hint="see what the source's client says, then try again"
        )
    return Streamed(stored.id, stored.bytes)


def _let_go(pipe: Path) -> None:
    """Nobody reads any more: a writer that still waits for a reader is to find that out."""
    with suppress(OSError):
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))


def _first(error: BaseException, storing: Future[Stored]) -> BaseException:
    """Which of the two failed by itself. A writer loses its reader, or waits for one that does not read: then what
    restic says is what a person should know."""
    if not isinstance(error, CommandFailed):
        return error
    reading = storing.exception() if storing.done() and error.code in NOBODY_READS else None
    if isinstance(reading, CcdrError):
        return reading
    if error.stalled:
        answer = error.stderr.answer
        return BackupFailed(
            f"no progress: no byte went from {error.what} into the repository, and it was stopped"
            + (f" ({answer})" if answer else ""),
            hint="see who holds a lock at the source, and whether the repository answers",
        )
    return error
