"""What people and programs read on standard output."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Container, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

import click
import orjson

from ccdr.model.answers import visible
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import CheckResult, RecordRef, Verdict


def print_json(document: object) -> None:
    try:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    except TypeError:  # lone surrogates: a file name that is not UTF-8
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))


COLOURS = {
    "OK": "green", "COMPLETE": "green", "PASS": "green", "MET": "green", "STORED": "green", "tested": "green",
    "CAUGHT": "green", "PASSED": "red",
    "FAIL": "red", "BREACHED": "red", "FAILED": "red", "untested": "red",
}  # fmt: skip


def word(text: str) -> str:
    """A verdict, in its colour; never by colour alone."""
    return click.style(text, fg=COLOURS.get(text, "yellow"), bold=True)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, room: int | None = None, err: bool = False
) -> None:
    """Aligned columns; nothing where there is no row. Where they do not fit into `room` (by default a terminal's width;
    a pipe has no end), the widest are broken, between words."""
    if not (rows := list(rows)):
        return
    if room is None and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
    lines = [[" ".join(click.style(w, dim=True) for w in h.split()) for h in headings], *[list(r) for r in rows]]
    widths = _fitting(lines, room)
    for line in lines:
        broken = [_broken(cell, width) for cell, width in zip(line, widths, strict=True)]
        for parts in zip_longest(*broken, fillvalue=""):
            cells = [part + " " * (width - len(click.unstyle(part))) for part, width in zip(parts, widths, strict=True)]
            click.echo("  ".join(cells).rstrip(), err=err)


def _fitting(lines: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """Each column's width: as its longest cell, unless all of them need more than the room; never less than its
    longest word."""
    columns = [[click.unstyle(cell) for cell in column] for column in zip(*lines, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    least = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    while room is not None and sum(widths) + 2 * (len(widths) - 1) > room:
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _broken(cell: str, width: int) -> list[str]:
    """A cell as lines of at most this width; what is coloured is a single word."""
    if len(click.unstyle(cell)) <= width:
        return [cell]
    lines: list[str] = []
    for piece in cell.split():
        if lines and len(click.unstyle(f"{lines[-1]} {piece}")) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def tell_checks(checks: Sequence[CheckResult], *, detailed: Container[Verdict]) -> None:
    """What was looked at, and the details of checks that ended in one of the verdicts `detailed`."""
    click.echo()
    table(
        ("", "check", "expected", "found"),
        [(word(c.status), f"{c.kind}: {c.name}", c.expected, c.actual) for c in checks],
    )
    for check in checks:
        if (
            check.detail and check.status in detailed and sys.stderr.isatty()
        ):  # it may quote a row: never for cron's mail
            click.echo(f"\n  {check.name}:", err=True)
            for line in visible(check.detail).splitlines():
                click.echo(f"    {line}", err=True)


def tell_why(reason: str | None, hint: str | None, indent: str = "  ") -> None:
    """Why it ended as it did, and the next step, where there are any."""
    for text in filter(None, (reason, hint and f"→ {hint}")):
        click.echo(f"{indent}{text}")


def tell_record(record: RecordRef | None) -> None:
    """Where it stands in the ledger."""
    if record is not None:
        click.echo(f"record: {record.seq} {record.hash[:16]}…")


def tell_end(left_behind: Iterable[str], record: RecordRef | None) -> None:
    """Last of a test: what of it could not be removed, and its record."""
    for problem in left_behind:
        click.echo(f"left behind: {problem}")
    tell_record(record)
    click.echo()


def write_out(out: Path, text: str | bytes) -> None:
    """Whole or not at all. UsageProblem where its directory is not there, CcdrError where the disk refuses."""
    from ccdr.host.files import write_durably

    if not out.absolute().parent.is_dir():
        raise UsageProblem(f"{out.parent} does not exist", hint="name a file in a directory that is there")
    try:
        write_durably(out.resolve(), text)
    except CcdrError as error:
        raise CcdrError(str(error), hint="free space, or name another place with --out") from None
