"""What went wrong and what to do next, on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.model.answers import FreeText, words_of
from ccdr.model.errors import CcdrError, Exit

if TYPE_CHECKING:
    from ccdr.host.state import State


def tell_error(error: CcdrError, *, in_json: bool) -> None:
    """What went wrong and what to do next, on standard error; as JSON on standard output where asked."""
    click.echo(f"{click.style('ccdr:', fg='red')} {error}", err=True)
    show_words(words_of(error))
    if error.hint:
        click.echo(f"  → {error.hint}", err=True)
    if in_json:
        print_json({"error": str(error), "hint": error.hint, "exit": int(error.exit_code)})


def show_words(words: FreeText, run: str | None = None, code: Exit = Exit.FINDING) -> None:
    """What programs said, for a person at a terminal: they may quote a customer's row, and cron would mail it. With
    `run`, where it is kept for a while. Of what went well by its `code`, only to who asks for more."""
    context = click.get_current_context(silent=True)
    if code is Exit.OK and not (context and settings().verbose):
        return
    if words and sys.stderr.isatty():
        for line in words.shown.strip().splitlines():
            click.echo(click.style(f"  | {line}", dim=True), err=True)
    if run is not None and context and (kept := _state().words_path(run)).exists():
        click.echo(f"  the programs' own messages, for your eyes only, kept for a week: {kept}", err=True)


def _state() -> State:
    from ccdr.host.state import State, default_state

    return State(settings().state or default_state())
