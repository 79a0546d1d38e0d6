"""Writes docs/reference/cli.md from `--help` of every command, docs/reference/records.md from the definitions of
records, docs/reference/keys.md from the schemas of plans, and docs/reference/troubles.md: `python docs/generate.py`.
Tests compare them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import plan_keys
import troubles
from wrap import wrapped

from ccdr.cli import main
from ccdr.evidence.records.schema import envelope_schema, schemas
from ccdr.evidence.records.statements import DECLARE_PART, TABLE
from ccdr.model.values import human_seconds

TARGET = Path(__file__).parent / "reference/cli.md"
HEAD = """\
# Command line reference

Made by `python docs/generate.py` from each command's `--help`; do not edit.
The global options are accepted before or after the verb.
"""


def reference() -> str:
    """The whole page."""
    # As click makes it: a command keeps the `--help` that it was first asked for by.
    root = click.Context(main, info_name="ccdr", **{**main.context_settings, "terminal_width": 100})
    return wrapped(HEAD + "".join(_sections(main, root)))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    command._help_option = None  # whoever asked it first, without its group's context, left `--help` alone
    yield f"\n## {context.command_path}\n\n```\n{command.get_help(context).strip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _sections(child, click.Context(child, parent=context, info_name=name, terminal_width=100))


RECORDS = Path(__file__).parent / "reference/records.md"
RECORDS_HEAD = """\
# Records

Made by `python docs/generate.py` from the definitions in `src/ccdr/evidence/records/`; do not edit.

The ledger is lines of JSON, one record a line, each with the SHA-256 of the line before. Each kind of record has one
definition: ccdr refuses to write anything else. `ccdr ledger schema KIND` prints it as JSON Schema (2020-12).
`ccdr ledger export records.db --sqlite` writes all records as tables of any SQLite browser, from the same definitions:
one for each kind, one for each list of structs in it; `.schema` says what each column means.

Times are RFC 3339 in UTC, durations are seconds, sizes are bytes. A record takes values of closed kinds: names of ours,
codes, counts, sizes, times, digests, and sentences of ours that hold names of objects; never a customer's data, never
what a program said, never a secret.

**Versions.** `version` counts for each kind by itself, and begins at 4: what was before was never released, and is not
read. A key that is new is a new version. A record of a version or a kind that is not listed here the chain holds, and
`ccdr ledger verify` exits 3: nothing is called good by passing over what it may tell. A record of a listed version that
is not as its definition says was written by no ccdr, and is a finding.
"""


STATEMENTS = """
## Statements

What may be said of what. A record that this table does not have is not written, and not read.

| says | about | which is to | has | signed | for the namespace | by whom | for at most |
|---|---|---|---|---|---|---|---|
"""


def records() -> str:
    """The whole page, wrapped as all are."""
    envelope, kinds = _envelope(), ("".join(_kind(kind, found)) for kind, found in schemas().items())
    return wrapped(RECORDS_HEAD + envelope + "".join(kinds) + STATEMENTS + "".join(_statements()))


def _statements() -> Iterator[str]:
    for row in TABLE.values():
        signed = {True: "yes", False: "no", None: "may be"}[row.signed]
        has = ", ".join([*(f"`{one}`" for one in row.needs), *(f"`{one}` where given" for one in row.may)]) or "-"
        by = (f"`{row.namespace}`" if row.namespace else "-") + (f"; who asks `{row.asked}`" if row.asked else "")
        longest = human_seconds(row.longest.total_seconds()) if row.longest else "-"
        longest += ", or less by item" if row is DECLARE_PART else ""
        yield f"| `{row.says}` | *{row.about.__name__}* | {row.to} | {has} | {signed} | {by} | {row.by} | {longest} |\n"


def _envelope() -> str:
    rows = (_row(key, about) for key, about in envelope_schema()["properties"].items())
    return "\n## What every record begins with\n\n" + _TABLE + "".join(rows)


def _kind(kind: str, found: dict[str, Any]) -> Iterator[str]:
    keys = list(found["properties"])
    own = {key: found["properties"][key] for key in keys[keys.index("version") + 1 :]}
    yield f"\n## {kind}, version {found['properties']['version']['const']}\n\n{found['description']}\n\n{_TABLE}"
    yield from (_row(key, about) for key, about in own.items())
    for name, part in found.get("$defs", {}).items():
        yield f"\n*{name}*: {part.get('description', '')}\n\n{_TABLE}"
        yield from (_row(key, about) for key, about in part["properties"].items())


_TABLE = "| key | holds | |\n|---|---|---|\n"


def _row(key: str, about: dict[str, Any]) -> str:
    return f"| `{key}` | {_type(about)} | {about.get('description', '')} |\n"


def _type(about: dict[str, Any]) -> str:
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    if "anyOf" in about:
        return " or ".join(_type(one) for one in about["anyOf"])
    if "$ref" in about:
        return f"*{about['$ref'].rpartition('/')[2]}*"
    if "prefixItems" in about:
        return f"list of {len(about['prefixItems'])} numbers"
    if about["type"] == "array":
        return f"list of: {_type(about['items'])}"
    if about["type"] == "object":
        return f"by name: {_type(about['additionalProperties'])}"
    if about.get("format") == "date-time":
        return "time"
    if about.get("minLength") == 64:
        return "digest"
    return {"integer": "whole number", "null": "null", "boolean": "yes or no", "string": "text"}.get(
        about["type"], str(about["type"])
    )


KEYS = Path(__file__).parent / "reference/keys.md"
TROUBLES = Path(__file__).parent / "reference/troubles.md"


def pages() -> dict[Path, str]:
    """All that is generated."""
    return {
        TARGET: reference(),
        RECORDS: records(),
        KEYS: wrapped(plan_keys.page()),
        TROUBLES: wrapped(troubles.page()),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
