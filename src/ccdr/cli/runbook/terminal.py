"""People at a terminal are asked one question at a time, while what machines do goes on."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from ccdr.host.interrupts import tick
from ccdr.jobs.runbook.people import Given, choices, question_of, read_answer
from ccdr.model.errors import UsageProblem
from ccdr.plans.runbook import FAILED, AnyStep, Manual

if TYPE_CHECKING:
    from ccdr.cli.runbook.shown import Watched


class AtTerminal:
    """`People` who sit there; what was answered by option counts first."""

    def __init__(self, answers: Mapping[str, Given], watched: Watched) -> None:
        self._answers, self._watched = answers, watched

    @property
    def present(self) -> bool:
        return True

    def given(self, name: str) -> Given | None:
        return self._answers.get(name)

    def ask(self, name: str, step: AnyStep, among: int) -> None:
        more = f"  ({among - 1} more to answer after this one)" if among > 1 else ""
        click.echo(f"\n{click.style('? ' + name, bold=True)}: {self._watched.title(name)}{more}", err=True)
        for line in step.instructions if isinstance(step, Manual) else ():
            click.echo(f"    {line}", err=True)
        if step.phone:
            click.echo(f"    does it not work? phone {step.phone}", err=True)
        if question := question_of(step):
            click.echo(f"  {question}", err=True)
        words = choices(step)
        if words:
            click.echo(f"  answer {', '.join(f'{n} {word}' for n, word in enumerate(words, 1))}", err=True)
        else:
            click.echo(f"  write the answer (it is kept with the run), or {FAILED}", err=True)
        self._prompt()

    @staticmethod
    def _prompt() -> None:
        click.echo("> ", nl=False, err=True)

    def poll(self, name: str, step: AnyStep, seconds: float) -> Given | None:
        until = time.monotonic() + seconds
        while not select.select([sys.stdin], [], [], max(0.0, min(0.2, until - time.monotonic())))[0]:
            tick()
            if time.monotonic() >= until:
                return None
        line = sys.stdin.readline()
        if not line:  # the terminal is gone, or somebody typed Ctrl-D
            raise KeyboardInterrupt("the terminal is gone")
        try:
            return read_answer(name, step, line)
        except UsageProblem as error:
            click.echo(f"  {error}" + (f": {error.hint}" if error.hint else ""), err=True)
            self._prompt()
            return None
