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
    open_runs: dict[str, Record] = field(default_factory=dict)  # starts without an end, by run, in order
    _taken: int = 0
    _order: dict[str, int] = field(default_factory=dict)  # by run, and by id of each stored snapshot

    def take(self, record: Record) -> None:
        kind, run = record["kind"], str(record["run"])
        self._taken += 1
        self._order[run] = self._taken
        if kind in (BACKUP_START, TEST_START):
            self.open_runs[run] = record
            return
        self.open_runs.pop(run, None)
        if kind == BACKUP_END:
            self.last_backup = record
            if record.get("result") == STORED:
                self.last_good_backup = record
                self._order[str((record.get("snapshot") or {}).get("id"))] = self._taken
            else:
                self.last_failed_backup = record
        elif kind == TEST_END and record["verdict"] != "SKIPPED":
            self.last_test = record
            if record["verdict"] != "INCONCLUSIVE":
                self.last_conclusive_test = record
            snapshot = record.get("snapshot") or {}
            if snapshot.get("verdict") in ("PASS", "FAIL"):
                self.proven[snapshot["id"]] = snapshot["verdict"]

    @property
    def stored_here(self) -> frozenset[str]:
        """Ids of the snapshots that this ledger has seen stored."""
        return frozenset(self._order)

    def failed_since(self, moment: datetime, *, running: bool, snapshot: str | None = None) -> str | None:
        """A backup that failed, or crashed, after `snapshot` was stored: one sentence, None where there is none.

        By the ledger's own order, whatever a clock said, where it has seen the snapshot stored; else (another host
        took it) after `moment`. `running`: a backup is under way, and the newest open start is its.
        """

        def newer(record: Record) -> bool:
            if snapshot in self._order:
                return self._order[str(record["run"])] > self._order[str(snapshot)]
            return utc(record["time"]) > moment

        failed = self.last_failed_backup
        if failed is not None and newer(failed):
            return f"the backup of {failed['time']} failed: {failed.get('reason')}"
        for record in self._crashed(BACKUP_START, running=running):
            if newer(record):
                return f"the backup of {record['time']} crashed: its run {record['run']} has no end"
        return None

    def crashed_test(self, *, running: bool) -> str | None:
        """A restore test newer than the last one that has an end, and that has none itself: one sentence."""
        last = self._order[str(self.last_test["run"])] if self.last_test else -1
        for record in self._crashed(TEST_START, running=running):
            if self._order[str(record["run"])] > last:
                return f"the restore test of {record['time']} crashed: its run {record['run']} has no end"
        return None

    def _crashed(self, kind: str, *, running: bool) -> list[Record]:
        """Starts without an end, newest first; the newest of all is that of the run under way, if there is one."""
        found = [r for r in self.open_runs.values() if r["kind"] == kind]
        return found[::-1][1 if running else 0 :]

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
