"""What people see of long work while it goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from ccdr.model.values import human_bytes

if TYPE_CHECKING:
    from ccdr.ports.place import Progress


PACE = 30.0  # seconds between two lines that say how much is done, where nobody looks at a terminal


class PlainProgress:
    """A line per step, for pipes and cron, and how much of it is done where it takes long."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._text, self._shown_at = monotonic, "", monotonic()

    def step(self, text: str) -> None:
        self._text, self._shown_at = text, self._monotonic()
        click.echo(f"ccdr: {text}", err=True)

    def amount(self, done: int, total: int | None) -> None:
        if self._monotonic() - self._shown_at >= PACE:
            self._shown_at = self._monotonic()
            click.echo(f"ccdr: {self._text}: {amount_of(done, total)}", err=True)


def amount_of(done: int, total: int | None) -> str:
    return human_bytes(done) + (f" of {human_bytes(total)}" if total else "")


class LiveProgress:
    """One line: what is done now, how much of it, for how long."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._lock = bar, threading.Lock()
        self._task = bar.add_task("starting", total=None, amount="")

    def step(self, text: str) -> None:
        from rich.markup import escape

        with self._lock:
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escape(text), total=None, amount="")

    def amount(self, done: int, total: int | None) -> None:
        with self._lock:
            self._bar.update(self._task, amount=amount_of(done, total))


class _Silence:
    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


# For cron, which mails whatever is said.
SILENT: AbstractContextManager[Progress] = nullcontext(_Silence())


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress on standard error: live on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}  [dim]{task.fields[amount]}", markup=True)
    columns = (SpinnerColumn(), text, TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield LiveProgress(bar)
