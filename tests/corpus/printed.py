"""Every key that a command prints with `--json`, of those that answer only where restic is there: `answers/` has the
others. Written beside this file: `python -m tests.corpus.printed` (a minute). tests/unit/test_json_documents.py carries
them out, and compares. Types leave open much of it (`list[Map]`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.corpus.make import answered

HERE = Path(__file__).absolute().parent / "printed.txt"
OPEN = {"discover", "doctor", "ledger schema", "plan schema", "schema"}  # as the machine is, or any JSON Schema
_NAME = re.compile(r"[0-9a-f]{8,}|.*[^a-zA-Z0-9_-].*|-.*")  # no key of ours: an id, a path, an address


def keys(answers: Iterable[tuple[str, Any]]) -> str:
    """`command: path`, a line each; `*` is any name."""
    left = answered() | OPEN
    found = {f"{command}: {path}\n" for command, said in answers if command not in left for path in _paths(said, "")}
    return "".join(sorted(found))


def _paths(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _paths(one, f"{at}[]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            path = f"{at}.{'*' if _NAME.fullmatch(key) else key}".removeprefix(".")
            yield path
            yield from _paths(inner, path)


if __name__ == "__main__":
    from tests.unit.test_json_documents import carried_out, made

    with tempfile.TemporaryDirectory() as place:
        answers = [(command, done.json) for command, done in carried_out(made(Path(place)))]
        HERE.write_text(keys(said for said in answers if "error" not in said[1]))
