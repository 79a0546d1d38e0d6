"""Records of backups and restore tests, as their ends write them."""

from __future__ import annotations

from ccdr.evidence.ledger.ledger import Ledger
from tests.support.sparse import append_sparse

NIGHT = "2026-11-24T02:00:00Z"
DUE = {"i": "2026-11-24T03:00:00Z"}  # of the runs that came due later
VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE", "SKIPPED")


def backup(ledger: Ledger, run: str, asset: str = "a", *, result: str = "STORED", ends: bool = True) -> None:
    append_sparse(ledger, "backup.start", plan="p", asset=asset, run=run, body={})
    if ends:
        body = {"result": result, "reason": None, "snapshot": {"id": f"{asset}-{run}"} if result == "STORED" else None}
        append_sparse(ledger, "backup.end", plan="p", asset=asset, run=run, body=body)


def test(ledger: Ledger, run: str, snapshot: str, verdict: str, asset: str = "a", rule: str = "latest") -> None:
    started = {"selection": rule, "trigger": {"by": "run", "due": DUE.get(run, NIGHT)}}
    append_sparse(ledger, "restore_test.start", plan="p", asset=asset, run=run, body=started)
    own = verdict if verdict in ("PASS", "FAIL") else None
    body = {"verdict": verdict, "snapshot": {"id": snapshot, "verdict": own, "selected": rule}}
    append_sparse(ledger, "restore_test.end", plan="p", asset=asset, run=run, body=body)


test.__test__ = False  # type: ignore[attr-defined]


def check(ledger: Ledger, result: str, part: int, *, all_data: bool = False) -> None:
    body = {"result": result, "reason": None, "part": part, "parts": 4, "all_data": all_data}
    append_sparse(ledger, "check.end", plan="p", asset=None, run="c", body=body)
