"""A past that reports are made from: a ledger and a catalogue, written as a test says, and what is read of a report."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.host.state import State
from ccdr.model.values import rfc3339
from ccdr.telling.report import Report, csv_text, make_report, period_of
from tests.support.catalogued import catalogued
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.sparse import append_sparse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


class Past:
    """A site whose ledger is written by hand, at any time."""

    def __init__(self, root: Path) -> None:
        self.site, self.clock, self._number = Site(root), Clock(), 0
        self.site.recordings(root / "spool")
        self.upkeep("{prune: 0 5 1 1 *, check: 0 6 1 1 *}")
        State(self.site.state).directory()  # of today's format
        self.ledger = Ledger(self.site.state / "ledger", self.clock, host="h", actor="a")

    def upkeep(self, when: str, retention: str = "") -> None:
        """The plan's `upkeep:`, and its `retention:`."""
        path = self.site.root / "plans" / "p.yaml"
        lines = [x for x in path.read_text().splitlines() if not x.startswith(("upkeep:", "retention:"))]
        at = lines.index("assets:")
        path.write_text(
            "\n".join([*lines[:at], f"upkeep: {when}", *([retention] if retention else []), *lines[at:], ""])
        )

    def wrote(self, when: datetime, kind: str, *, run: str | None = None, asset: str | None = "recordings",
              plan: str | None = "p", **body: Any) -> int:  # fmt: skip
        self.clock.at = when
        ref = append_sparse(self.ledger, kind, plan=plan, asset=asset, run=run, body=body)
        self.clock.at = NOW
        return ref.seq

    def run_id(self) -> str:
        self._number += 1
        return f"r{self._number}"

    def backup(self, when: datetime, took: timedelta = MINUTE, *, asset: str = "recordings", plan: str = "p",
               failed: str | None = None, added: int = 10, scheduled: bool = True, said: dict[str, Any] | None = None,
               during: Callable[[], object] = lambda: None, **more: Any) -> str:  # fmt: skip
        """A backup that began at `when`; the id of what it stored."""
        run = self.run_id()
        snapshot = sha256(run.encode()).hexdigest()
        trigger = {"by": "run", "due": rfc3339(when)} if scheduled else {"by": "command"}
        self.wrote(when, "backup.start", run=run, asset=asset, plan=plan, trigger=trigger)
        during()
        stored = {
            "id": snapshot,
            "consistent_point": rfc3339(when),
            "bytes": 5,
            "manifest_sha256": "ab" * 32,
            **(said or {}),
        }
        self.wrote(
            when + took, "backup.end", run=run, asset=asset, plan=plan, result="FAILED" if failed else "STORED", reason=failed,
            snapshot=None if failed else stored, added_bytes=added, findings=[], phases={"store": 1.5},
            **{"beside_source": None, **more},
        )  # fmt: skip
        return snapshot

    def test(self, when: datetime, snapshot: str, verdict: str = "PASS", *, own: str | None = None, took: float = 40.0,
             selected: str = "latest", basis: str = "throwaway", plan: str = "p", **more: Any) -> int:  # fmt: skip
        run = self.run_id()
        of = {"copy": more["copy"]} if "copy" in more else {}
        self.wrote(when, "restore_test.start", run=run, plan=plan, trigger={"by": "command"}, **of)
        checks = [{"kind": "identical", "name": "all files", "status": own or verdict, "expected": "0", "actual": "0"}]
        body = {
            "verdict": verdict, "reason": None if verdict == "PASS" else "it broke",
            "snapshot": {"id": snapshot, "verdict": own or (None if verdict == "SKIPPED" else verdict), "selected": selected, "consistent_point": rfc3339(when), "bytes": 5},
            "phases": {"fetch": 1.0, "load": 2.0}, "checks": checks, "findings": [],
            "rto": {"objective_s": 1800, "achieved_s": took if "PASS" in (verdict, own) else None, "basis": basis, "verdict": "MET"},
        }  # fmt: skip
        return self.wrote(when + MINUTE, "restore_test.end", run=run, plan=plan, **{**body, **more})

    def fine(self) -> str:
        """Backed up each half hour for two days, the newest but one tested."""
        snapshot = ""
        for halves in range(96, 1, -1):
            snapshot = self.backup(NOW - halves * 30 * MINUTE)
        self.test(NOW - 50 * MINUTE, snapshot)
        self.backup(NOW - 30 * MINUTE)
        return snapshot

    def report(self, first: str | None = None, last: str | None = None, *, named: tuple[str, ...] = ()) -> Report:
        services = self.site.services(self.clock)
        catalogued(services, self.site.loaded())
        period = period_of(first, last, NOW)
        return make_report([self.site.loaded()], services, period, named=named, command="ccdr report")


def written(pieces: Iterator[bytes]) -> str:
    """Without what each cell says of its column, which is for narrow windows."""
    return re.sub(r' data-label="[^"]*"', "", b"".join(pieces).decode())


def rows_of(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(csv_text(report)), newline="")))
