"""What the records tell of an asset for a recovery: how its states were proven, and how long restores of it took."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.history.kinds import RESTORE_END, TEST_END
from ccdr.evidence.verdicts import Record
from ccdr.model.values import utc

NEWEST = 24  # runs that are looked at: the data and the machines of last year say little
LONG_AGO, VERY_LONG_AGO = timedelta(days=100), timedelta(days=400)
DURABLE, THROWAWAY = "durable", "throwaway"


@dataclass(frozen=True)
class Proof:
    verdict: str
    at: datetime


@dataclass(frozen=True)
class MeasuredRun:
    """One restore that went well: seconds of each phase, bytes of what was restored and of the log that was applied to
    it. `basis` is as a restore test's: whether the server's settings were durable."""

    phases: Mapping[str, float]
    bytes: int
    log_bytes: int
    basis: str


@dataclass
class Told:
    """Of one asset: each snapshot's last verdict by a test of itself, that of the last recovery by the log from it, and
    the newest measured runs, oldest first."""

    by_snapshot: dict[str, Proof] = field(default_factory=dict)
    by_log: dict[str, Proof] = field(default_factory=dict)
    runs: list[MeasuredRun] = field(default_factory=list)


def told_of(newest_first: Iterable[Record], plan: str, assets: Collection[str], now: datetime) -> dict[str, Told]:
    """By asset. A ledger of years is not read to its beginning: no further than to where enough was measured of each
    asset, or to `LONG_AGO` where at least something was."""
    found = {asset: Told() for asset in assets}
    for record in newest_first:
        if _enough(found.values(), now, record):
            break
        told = found.get(str(record.get("asset"))) if record.get("plan") == plan else None
        if told is None:
            continue
        if record["kind"] == TEST_END:
            _of_test(told, record)
        elif record["kind"] == RESTORE_END:
            _of_restore(told, record)
    for told in found.values():
        told.runs = told.runs[:NEWEST][::-1]
    return found


def _enough(told: Iterable[Told], now: datetime, record: Record) -> bool:
    fewest = min(len(one.runs) for one in told)
    if fewest >= NEWEST:
        return True
    age = now - utc(record["time"])
    return age > (LONG_AGO if fewest else VERY_LONG_AGO)


def _of_test(told: Told, record: Record) -> None:
    snapshot: Mapping[str, Any] = record.get("snapshot") or {}
    recovery: Mapping[str, Any] = record.get("recovery") or {}
    key, when = snapshot.get("id"), utc(record["time"])
    if key is None:
        return
    if snapshot.get("verdict") in ("PASS", "FAIL"):
        told.by_snapshot.setdefault(key, Proof(snapshot["verdict"], when))
    if recovery.get("verdict") in ("PASS", "FAIL"):
        told.by_log.setdefault(key, Proof(recovery["verdict"], when))
    if snapshot.get("verdict") == "PASS":
        size, fetched = int(snapshot["bytes"]), record.get("bytes_restored")
        log = max(0, int(fetched) - size) if recovery and fetched and not record.get("others") else 0
        basis = str((record.get("rto") or {}).get("basis") or THROWAWAY)
        if not recovery or log:  # how much log it was is what its time is of
            told.runs.append(MeasuredRun(_seconds(record), size, log, basis))


def _of_restore(told: Told, record: Record) -> None:
    """One for real, alone or in a recovery: its server is one for good."""
    snapshot: Mapping[str, Any] = record.get("snapshot") or {}
    if record.get("result") != "RESTORED" or not snapshot.get("bytes") or not record.get("phases"):
        return
    log = int(record.get("log_bytes") or 0)
    told.runs.append(MeasuredRun(_seconds(record), int(snapshot["bytes"]), log, DURABLE))


def _seconds(record: Record) -> dict[str, float]:
    phases = {str(name): float(seconds or 0.0) for name, seconds in record["phases"].items()}
    if "fetch" in phases:  # side by side: the longer of them is what is waited for
        phases["fetch"] = max(phases["fetch"], phases.pop("provision", 0.0))
    return phases
