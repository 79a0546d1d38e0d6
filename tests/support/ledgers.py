"""A ledger whose clock is a second later at each look."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccdr.evidence import reading
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.model.values import RecordRef
from tests.support.clocks import Ticking
from tests.support.sparse import append_sparse

START = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)


def make(directory: Path, *, segment_bytes: int = 16 * 1024**2) -> Ledger:
    return Ledger(directory, Ticking(START), host="db1", actor="alice as root", segment_bytes=segment_bytes)


def note(ledger: Ledger, text: str, *, run: str = "r1") -> RecordRef:
    """A record that holds any text, under `removed`."""
    return append_sparse(ledger, "sandbox.reap", plan="outbound", asset="crm", run=run, body={"removed": [text]})


def add(ledger: Ledger, kind: str = "backup.start", *, run: str = "r1", **body: object) -> RecordRef:
    return append_sparse(ledger, kind, plan="outbound", asset="crm", run=run, body=body)


def by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a ledger read by several processes, however small it is."""
    monkeypatch.setattr(reading, "WORTH_IT", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))
