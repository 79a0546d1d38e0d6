"""What the ledger says of each asset so far: one pass over the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ccdr.model import utc

BACKUP_START, BACKUP_END = "backup.start", "backup.end"
TEST_START, TEST_END = "restore_test.start", "restore_test.end"
STORED, FAILED = "STORED", "FAILED"

Record = Mapping[str, Any]


@dataclass
class AssetHistory:
    """The newest records of one asset. `proven` holds each tested snapshot's latest verdict on itself."""

    last_backup: Record | None = None
    last_good_backup: Record | None = None
    last_failed_backup: Record | None = None
    last_test: Record | None = None
    last_conclusive_test: Record | None = None
    proven: dict[str, str] = field(default_factory=dict)
    open_runs: dict[str, Record] = field(default_factory=dict)  # starts without an end, by run

    def take(self, record: Record) -> None:
        kind, run = record["kind"], str(record["run"])
        if kind in (BACKUP_START, TEST_START):
            self.open_runs[run] = record
            return
        self.open_runs.pop(run, None)
        if kind == BACKUP_END:
            self.last_backup = record
            if record.get("result") == STORED:
                self.last_good_backup = record
            else:
                self.last_failed_backup = record
        elif kind == TEST_END and record["verdict"] != "SKIPPED":
            self.last_test = record
            if record["verdict"] != "INCONCLUSIVE":
                self.last_conclusive_test = record
            snapshot = record.get("snapshot") or {}
            if snapshot.get("verdict") in ("PASS", "FAIL"):
                self.proven[snapshot["id"]] = snapshot["verdict"]

    def failed_since(self, moment: datetime, *, running: bool) -> str | None:
        """A backup that failed, or crashed, after `moment`: one sentence, None where there is none."""
        failed = self.last_failed_backup
        if failed is not None and utc(failed["time"]) > moment:
            return f"the backup of {failed['time']} failed: {failed.get('reason')}"
        if running:  # the newest start without an end is that of the run under way
            return None
        for record in self.open_runs.values():
            if record["kind"] == BACKUP_START and utc(record["time"]) > moment:
                return f"the backup of {record['time']} crashed: its run {record['run']} has no end"
        return None

    def disproved(self, snapshot_id: str) -> bool:
        return self.proven.get(snapshot_id) == "FAIL"


def read_history(records: Iterable[Record]) -> dict[tuple[str, str], AssetHistory]:
    """By (plan, asset)."""
    history: dict[tuple[str, str], AssetHistory] = {}
    wanted = {BACKUP_START, BACKUP_END, TEST_START, TEST_END}
    for record in records:
        if record["kind"] in wanted:
            history.setdefault((record["plan"], record["asset"]), AssetHistory()).take(record)
    return history
