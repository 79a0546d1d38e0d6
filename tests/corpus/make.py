"""What others read of ccdr, one of each, written beside this file: `python -m tests.corpus.make`.

Clock, names and keys are fixed, so the same program writes the same bytes. tests/unit/test_corpus.py makes all of it
anew and compares.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import KINDS
from tests.support.clocks import Clock
from tests.support.records import body_of

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

Files = Iterator[tuple[str, bytes]]


def records() -> Files:
    """One line of each kind, the first of a ledger, every key with a value."""
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as made:
            ledger = Ledger(Path(made) / "ledger", Clock(NOW), host="db1", actor="alice")
            ledger.append(kind, plan="plan", asset="asset", run="run", body=body_of(kind))
            yield f"{kind}.jsonl", next(ledger.directory.glob("*.jsonl")).read_bytes()


PARTS: tuple[Callable[[], Files], ...] = (records,)


def made() -> dict[str, bytes]:
    """All of it, by path below this directory."""
    return {f"{part.__name__}/{name}": contents for part in PARTS for name, contents in part()}


def kept(root: Path = HERE) -> dict[str, bytes]:
    """The same, as it lies there."""
    parts = (path for part in PARTS for path in (root / part.__name__).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in parts}


def write() -> None:
    new = made()
    for name in kept().keys() - new.keys():
        (HERE / name).unlink()
    for name, contents in new.items():
        (HERE / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / name).write_bytes(contents)


if __name__ == "__main__":
    write()
