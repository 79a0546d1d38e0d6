"""Records as an older ccdr wrote them: a few keys, and no definition that held them to more. Readers must still take
them. `Ledger.append` writes whole records of today, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.older import CLOSED
from ccdr.model.values import RecordRef


def append_older(
    ledger: Ledger, kind: str, *, plan: str | None, asset: str | None, run: str | None, body: Mapping[str, object]
) -> RecordRef:
    """Write it, as `Ledger.append` of version 2 did: whatever keys it has. A test that passed had checks."""
    if kind == "restore_test.end" and body.get("verdict") == "PASS":
        body = {"checks": [{"kind": "identical", "name": "identical", "status": "PASS"}], **body}
    return ledger._append({"kind": kind, "plan": plan, "asset": asset, "run": run, "version": CLOSED, **body})
