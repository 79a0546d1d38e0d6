"""What people read: one and many, and help that fits a terminal."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest
from syrupy.assertion import SnapshotAssertion

import ccdr
from ccdr.checks.identical import Identical
from ccdr.checks.rows import Rows
from ccdr.cli import main
from ccdr.cli.output import table, word
from ccdr.cli.restore import checks_told
from ccdr.cli.upkeep import _tell_check
from ccdr.jobs.restore.ways import skipped
from ccdr.jobs.upkeep import Check
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import so_many

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


def told(done: Check, capsys: pytest.CaptureFixture[str]) -> list[str]:
    _tell_check(done, False)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_a_check_says_what_was_read_and_what_that_means(
    capsys: pytest.CaptureFixture[str], wording: SnapshotAssertion
) -> None:
    clean = Check("p", result="CLEAN", part=3, parts=30, covered=3, seconds=0.4)
    assert told(clean, capsys) == wording
    damaged = Check("p", result="DAMAGED", part=4, parts=30, covered=3, seconds=0.4, findings=["pack 1f3e9a2b"])
    assert told(damaged, capsys) == wording
    everything = Check("p", result="DAMAGED", part=0, parts=30, all_data=True, seconds=3.2)
    assert told(everything, capsys)[0] == wording
    assert told(everything, capsys)[-1] == wording
    unread = Check("p", result="INCONCLUSIVE", part=3, parts=30, covered=2, seconds=0.4, reason="no answer")
    assert told(unread, capsys)[:2] == wording


def test_what_a_restore_will_not_check_is_not_told_as_checked(wording: SnapshotAssertion) -> None:
    same, rows = Identical(kind="identical"), Rows(kind="rows", table="call", at_least=1000)
    over = [skipped(rows, "it needs a server")]
    assert list(checks_told([same, rows], [])) == [("checks", "identical, call has at least 1000 rows")]
    assert list(checks_told([same, rows], over)) == wording
    assert next(iter(checks_told([rows], over))) == ("checks", wording)
    assert list(checks_told([], [])) == [("checks", "nothing: the asset names no checks")]


# --- commands that are named to people --------------------------------------------------------------------------


def named() -> Iterator[tuple[str, str]]:
    """Every `ccdr …` in a text of the source, and every next step; each as if of plan p and asset a."""
    for path in (Path(ccdr.__file__).parent).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            for command in re.findall(r"`ccdr ([a-z][^`]*)`", text):
                yield f"{path.name}:{node.lineno}", command
    for trouble in Trouble:
        for part in (next_step(trouble, "p", "a") or "").split("; "):
            for line in part.split("   ")[0].split(" && ") if part.startswith("ccdr ") else ():
                yield trouble.value, line.removeprefix("ccdr ")


def mistake(text: str) -> str | None:
    """What the command line has against it; that something was left out (PLAN, where the text is about the verb) is
    none."""
    words, command = shlex.split(re.sub(r"\{[a-z]+\}", "x", text)), cast(click.Command, main)
    context = click.Context(main, info_name="ccdr")
    while isinstance(command, click.Group) and words:
        if (found := command.get_command(context, words[0])) is None:
            if any(isinstance(one, click.Argument) for one in command.params):  # a command of its own, too
                break
            return "no such verb"
        words, command = words[1:], found
    try:
        command.make_context("ccdr", words)
    except (click.MissingParameter, click.BadOptionUsage, click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        return None
    except click.ClickException as error:
        return error.format_message()
    return None


def test_every_command_that_is_named_is_one() -> None:
    commands = dict.fromkeys(named())
    assert len(commands) > 60
    # x is a verb there, an option with its value, or one of few words.
    placeholders = {"x", "x x", "test x --asset x x --keep", "approval request x x --key KEY --out FILE"}
    wrong = {where: (text, why) for where, text in commands if text not in placeholders and (why := mistake(text))}
    assert not wrong
    assert mistake("report --until 7d") and mistake("prune p") and mistake("backup p q")


@pytest.mark.parametrize("flag", ["--from", "--since"])
def test_a_report_may_begin_days_ago(flag: str) -> None:
    context = main.commands["report"].make_context("report", [flag, "7d"])
    assert [context.params[name] for name in ("first", "since")].count("7d") == 1


ROWS = [
    ("outbound/crm", word("MET") + " 12 min of 1 h", "a newer backup"),
    ("outbound/recordings", word("MET") + " 1 h", "-"),
]


def test_a_table_that_does_not_fit_is_broken_between_words(
    capsys: pytest.CaptureFixture[str], wording: SnapshotAssertion
) -> None:
    table(("asset", "RPO", "last good backup"), ROWS, room=46)
    assert capsys.readouterr().out.splitlines() == wording


@pytest.mark.parametrize("room", [None, 56])
def test_a_table_that_fits_is_left_alone(capsys: pytest.CaptureFixture[str], room: int | None) -> None:
    table(("asset", "RPO", "last good backup"), ROWS, room=room)
    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [56, 54, 41]


def test_no_word_is_broken_however_little_room_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    table(("asset",), [("outbound/recordings",)], room=5)
    assert capsys.readouterr().out.splitlines() == ["asset", "outbound/recordings"]
