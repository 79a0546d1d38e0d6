"""`ccdr completion`."""

from __future__ import annotations

import click

from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit


@verb(short_help="Print a completion script for your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> Exit:
    """Print a completion script for your shell.

    \b
    Examples:
      ccdr completion bash > /etc/bash_completion.d/ccdr
      ccdr completion fish > ~/.config/fish/completions/ccdr.fish
    """
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    made = get_completion_class(shell)
    assert made is not None  # one of the three above
    click.echo(made(root, {}, "ccdr", "_CCDR_COMPLETE").source())
    return Exit.OK
