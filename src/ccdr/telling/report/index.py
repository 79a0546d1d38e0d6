"""The index: what the fold of the ledger had come to at the beginnings of the last months, so that a report on the last
weeks costs the same whatever the ledger's age.

It is made anew from all of the ledger by each daily verification, whose record holds the digests of its files: it is
used where they are as that record says, the record says that all before it holds, and the line that it was made up to
is still there. In any other case the whole ledger is read. It proves nothing: `ccdr ledger verify` never asks it, and
`ccdr report --whole` does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from ccdr.evidence.history import fold as history
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.ledger.ledger import Ledger, extent_of, lines
from ccdr.evidence.ledger.verification import VerifiedPart
from ccdr.evidence.records import LedgerRecovered, Record, Unread, decode
from ccdr.host.built import built
from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import RecordRef
from ccdr.plans.due import PATIENCE
from ccdr.telling.report.asset_evidence import AssetEvidence
from ccdr.telling.report.evidence import Evidence, PlanEvidence
from ccdr.telling.report.period import LONG_AGO, NEVER, Period, month_of
from ccdr.telling.report.runs import RecordedRun, RunKey

FORMAT = 13  # of the files; raised when the fold (evidence.py) comes to something else, or keeps it otherwise
MONTHS = timedelta(days=100)  # so far back: a report on the last 90 days begins behind the oldest
SUFFIX = ".state"


@dataclass(frozen=True)
class KeptFold:
    """One file: the fold of all records up to `verified.mark`, which is the last one before the month of `boundary`."""

    format: tuple[int, int]
    boundary: datetime
    verified: VerifiedPart
    assets: list[tuple[str, str, AssetEvidence]]
    plans: list[tuple[str, PlanEvidence]]
    upkeep: list[tuple[str | None, str | None, AssetHistory]]
    open: list[tuple[RunKey, RecordedRun]]
    seen: list[str | None]

    def evidence(self, period: Period, wanted: Collection[str] | None, clock: Callable[[], datetime]) -> Evidence:
        """The fold as it would be had it been given all records up to the mark. It may be made once: it goes on."""
        fold = Evidence(period, wanted, boundary=self.boundary, clock=clock)

        def asked(plan: str | None) -> bool:
            return wanted is None or plan in wanted

        fold.assets = {(plan, asset): one for plan, asset, one in self.assets if asked(plan)}
        fold.plans.update((plan, one) for plan, one in self.plans if asked(plan))
        fold.histories = {(plan, asset): one for plan, asset, one in self.upkeep if plan is None or asked(plan)}
        fold.histories.update((name, one.history) for name, one in fold.assets.items())
        fold.plans_seen = set(self.seen)
        fold.open = {key: run for key, run in self.open if asked(key[1])}
        return fold


@dataclass
class _Making:
    """One pass over the ledger, which gives a state at each month's beginning from `since` on."""

    ledger: Ledger
    since: datetime
    fold: Evidence
    first: datetime = LONG_AGO
    last: datetime = LONG_AGO
    set_aside: set[str] = field(default_factory=set)
    unknown: int = 0
    states: dict[str, bytes] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        if self.fold.reach(self.fold.placed(record.time)) and record.seq > 1 and self.fold.boundary >= self.since:
            self._keep(RecordRef(record.seq - 1, record.prev))
        self.fold.take(record)
        self.first = record.time if self.first == LONG_AGO else self.first
        self.last = record.time
        if isinstance(record, LedgerRecovered):
            self.set_aside.add(record.file)
        self.unknown += isinstance(record, Unread) and record.unknown

    def _keep(self, ref: RecordRef) -> None:
        mark = self.ledger.mark_of(ref)
        if mark is None:
            return
        fold, part = self.fold, VerifiedPart(mark, (self.first, self.last), frozenset(self.set_aside), self.unknown)
        kept = KeptFold(
            (FORMAT, history.FORMAT),
            fold.boundary,
            part,
            [(*name, one) for name, one in fold.assets.items()],
            list(fold.plans.items()),
            [(*name, one) for name, one in fold.histories.items() if name not in fold.assets],
            list(fold.open.items()),
            sorted(fold.plans_seen, key=str),
        )
        self.states[_name_of(fold.boundary)] = msgspec.msgpack.encode(kept)


def make(services: Services) -> dict[str, str]:
    """Write the index of the whole ledger; the digest of each file, by its name. Empty where none can be made: it only
    saves time."""
    fold = Evidence(Period(NEVER, NEVER, until_now=False), clock=services.clock.now)
    making = _Making(services.ledger, month_of(services.clock.now() - MONTHS), fold)
    with contextlib.suppress(CcdrError, OSError, ValueError, OverflowError, TypeError, KeyError):
        ledger = services.ledger.directory
        for line in lines(ledger, extent_of(ledger)):
            making.take(decode(line))
        for name, contents in making.states.items():
            write_durably(services.state.index / name, contents)
        return {name: sha256(contents).hexdigest() for name, contents in making.states.items()}
    return {}


def kept_before(
    state: State, ledger: Ledger, start: datetime, digests: Mapping[str, Any]
) -> tuple[KeptFold, bytes] | None:
    """The newest state that a period from `start` on can begin with, as it is to be by these digests, and its file's
    contents; None where there is none, or the ledger does not hold any more what it was made from."""
    newest = _name_of(max(start, LONG_AGO + PATIENCE) - PATIENCE)
    for name in sorted((name for name in digests if name[:1].isdigit() and name <= newest), reverse=True):
        try:
            contents = (state.index / name).read_bytes()
            if sha256(contents).hexdigest() != digests[name]:
                continue
            kept = read(contents)
        except (OSError, ValueError, TypeError):
            continue
        if kept.boundary <= start - PATIENCE and ledger.holds(kept.verified.mark):
            return kept, contents
    return None


def read(contents: bytes) -> KeptFold:
    """ValueError where it is none of ours, or of another format."""
    kept = msgspec.msgpack.decode(contents, type=built(KeptFold))
    if kept.format != (FORMAT, history.FORMAT):
        raise ValueError("of another format")
    return kept


def _name_of(moment: datetime) -> str:
    """Of the state of this moment's month: in the order of time."""
    return f"{month_of(moment):%Y-%m-%d}{SUFFIX}"
