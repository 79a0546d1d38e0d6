"""A checkpoint in an evidence bucket is an anchor only while its lock holds: then whoever may delete can put another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.merkle import over

from ccdr.evidence.checkpoints.checkpoint import SigningKey, checkpoint_of, origin_of
from ccdr.evidence.checkpoints.published import Published
from ccdr.jobs.attest.other_ledgers import _checkpoints
from ccdr.storage.evidence_bucket import Key, Lock, ObjectVersion, checkpoint_key

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ORIGIN = origin_of("0" * 32)
CHECKPOINT = checkpoint_of(ORIGIN, over([b"a record\n"]), SigningKey.new("ccdr.host/h"))


@dataclass
class Store:
    lock: Lock | None

    def contents(self, one: ObjectVersion) -> tuple[bytes, Lock | None]:
        return CHECKPOINT.contents, self.lock


@pytest.mark.parametrize(
    ("mode", "days", "locked"),
    [("COMPLIANCE", 30, True), ("COMPLIANCE", 1, False), ("GOVERNANCE", 30, False), (None, 0, False)],
)
def test_a_lock_that_has_ended_locks_nothing(mode: str | None, days: int, *, locked: bool) -> None:
    name, put = checkpoint_key(ORIGIN, 1), NOW - timedelta(days=2)
    key = Key.of(name)
    assert key is not None
    there = {key: [ObjectVersion(name, "v1", put)]}
    store = Store(None if mode is None else Lock(mode, put + timedelta(days=days), put))
    (found,) = _checkpoints(store, there, Published("s3:x"), [], NOW)  # type: ignore[arg-type]
    assert found.locked is locked
