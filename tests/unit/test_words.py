"""What people read: one and many, and help that fits a terminal."""

from __future__ import annotations

import click
import pytest

from ccdr.cli import main
from ccdr.model import so_many

TERMINAL = 80
GROUPS = [main, *(command for command in main.commands.values() if isinstance(command, click.Group))]


def test_one_is_no_plural() -> None:
    assert [so_many(n, "table") for n in (0, 1, 2)] == ["0 tables", "1 table", "2 tables"]
    assert so_many(1, "table or sequence", "tables and sequences") == "1 table or sequence"
    assert so_many(1000, "file decodes", "files decode", form=",") == "1,000 files decode"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_what_a_command_does_is_told_whole_in_80_columns(group: click.Group) -> None:
    longest = max(map(len, group.commands))
    for name, command in group.commands.items():
        told = command.get_short_help_str(TERMINAL - 6 - longest)
        assert not told.endswith("..."), f"{name}: {told}"
