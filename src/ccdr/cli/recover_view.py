"""What people see of a recovery while it goes on: live on a terminal, a line for each phase elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.progress import amount_of
from ccdr.model.values import human_seconds

if TYPE_CHECKING:
    from ccdr.jobs.recover import Decision, View
    from ccdr.plans.model import PlanObjectives

WAITS = "waiting"
OVER = {"done": "green", "failed": "red", "stopped": "red"}


@dataclass
class Row:
    """One asset as it stands. Seconds are of the view's clock."""

    phase: str = WAITS
    text: str = ""
    amount: str = ""
    began: float | None = None
    ended: float | None = None

    def took(self, now: float) -> str:
        return "" if self.began is None else human_seconds((self.ended or now) - self.began)


class PlainView:
    """For pipes: one line a phase."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def begins(self, decision: Decision, done: float) -> None:
        self._began = time.monotonic() - done
        predicted = decision.predicted
        should = f", should take {human_seconds(predicted.seconds)}" if predicted else ""
        click.echo(f"ccdr: recovering {decision.plan}: {len(decision.assets)} assets{should}", err=True)

    def phase(self, asset: str, name: str) -> None:
        click.echo(f"ccdr: {asset}: {name}, {human_seconds(time.monotonic() - self._began)} elapsed", err=True)

    def step(self, asset: str, text: str) -> None: ...

    def amount(self, asset: str, done: int, total: int | None) -> None: ...


class LiveView:
    """A table on a terminal: each asset's phase, all that has elapsed against the plan's RTO and MTD, and by when it
    should be done. It draws itself anew; whoever tells of something only notes it."""

    def __init__(self, objectives: PlanObjectives) -> None:
        self._objectives, self._lock = objectives, threading.Lock()
        self._rows: dict[str, Row] = {}
        self._began: float | None = None
        self._predicted: float | None = None
        self._high: float | None = None

    def begins(self, decision: Decision, done: float) -> None:
        with self._lock:
            self._began = time.monotonic() - done
            self._rows = {one.asset: self._rows.get(one.asset, Row()) for one in decision.assets}
            if decision.predicted is not None:
                self._predicted, self._high = decision.predicted.seconds, decision.predicted.high

    def phase(self, asset: str, name: str) -> None:
        with self._lock:
            row, now = self._rows.setdefault(asset, Row()), time.monotonic()
            row.phase, row.text, row.amount = name, "", ""
            if row.began is None:
                row.began = now
            if name in OVER:
                row.ended = now

    def step(self, asset: str, text: str) -> None:
        with self._lock:
            row = self._rows.setdefault(asset, Row())
            row.text, row.amount = text, ""

    def amount(self, asset: str, done: int, total: int | None) -> None:
        with self._lock:
            self._rows.setdefault(asset, Row()).amount = amount_of(done, total)

    def rows(self) -> Mapping[str, Row]:
        with self._lock:
            return dict(self._rows)

    def against(self) -> str:
        """All that has elapsed, against what the plan promises, and by when it should be done."""
        if self._began is None:
            return "looking at the targets"
        elapsed = time.monotonic() - self._began
        parts = [f"{human_seconds(elapsed)} elapsed, RTO {human_seconds(self._objectives.rto)}"]
        if self._objectives.mtd is not None:
            parts.append(f"MTD {human_seconds(self._objectives.mtd)}")
        if self._predicted is not None:
            left = self._predicted - elapsed
            by = time.strftime("%H:%M:%S", time.localtime(time.time() + max(0.0, left)))
            late = left < 0 and self._high is not None
            parts.append(
                f"longer than predicted ({human_seconds(self._predicted)}, at most {human_seconds(self._high or 0)})"
                if late
                else f"should be done at {by}"
            )
        return "; ".join(parts)

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table, now = Table(box=None, pad_edge=False), time.monotonic()
        for heading in ("asset", "phase", "", "took"):
            table.add_column(heading, style="" if heading else "dim", no_wrap=heading != "")
        for asset, row in self.rows().items():
            said = f"{row.text}  {row.amount}".strip()
            table.add_row(asset, Text(row.phase, style=OVER.get(row.phase, "")), Text(said), row.took(now))
        return Group(Text(self.against()), table)


@contextmanager
def watched(objectives: PlanObjectives) -> Iterator[View]:
    """On standard error."""
    if not sys.stderr.isatty():
        yield PlainView()
        return
    from rich.console import Console
    from rich.live import Live

    view = LiveView(objectives)
    with Live(view, console=Console(stderr=True), refresh_per_second=4, transient=True):
        yield view
