"""Writes docs/cli.md from `--help` of every command: `python docs/generate.py`. A test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ccdr.cli import main

TARGET = Path(__file__).parent / "cli.md"
HEAD = """\
# Command line reference

Made by `python docs/generate.py` from each command's `--help`; do not edit.
The global options are accepted before or after the verb.
"""


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(_sections(main, click.Context(main, info_name="ccdr", terminal_width=100)))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"\n## {context.command_path}\n\n```\n{command.get_help(context).strip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _sections(child, click.Context(child, parent=context, info_name=name, terminal_width=100))


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
