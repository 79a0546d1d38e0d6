"""Anchors that are due, made side by side and in bounded time. What could not be made is tried again by the next run:
it is counted in a file, and no record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.names import ANCHORS
from ccdr.evidence.lineage.anchored import Anchoring
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.records.checkpoints import ConfiguredAnchor, LedgerAnchored, LedgerAnchors
from ccdr.evidence.records.values import code
from ccdr.host.files import write_durably
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs.checkpoints.kept import directory_of, newest_in, read_grown
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import rfc3339, utc
from ccdr.plans.anchors import AnyAnchor
from ccdr.telling.anchoring.kinds import KINDS, SECONDS
from ccdr.telling.notify.targets import at_once

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.evidence.checkpoints.receipts import Receipt

TRIES = "tries.json"  # beside the receipts: how often each was tried in vain since it last held


@dataclass(frozen=True)
class Outcome:
    """What came of one anchor: it holds the checkpoint of `size` records since `at`; or `why` it does not."""

    name: str
    kind: str
    size: int
    at: datetime | None = None
    why: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "records": self.size,
            "at": self.at and rfc3339(self.at),
            "why": self.why,
        }


def note_configured(anchors: Iterable[AnyAnchor], services: Services, lineage: Lineage) -> bool:
    """Record which anchors are configured, where that has changed: one that is taken away shows. Was it? CcdrError
    where the ledger cannot be written."""
    now = [
        ConfiguredAnchor(name=one.name, kind=code(one.kind), where_sha256=one.where_sha256, every=float(one.every))
        for one in sorted(anchors, key=lambda one: one.name)
    ]
    before = [
        ConfiguredAnchor(name=one.name, kind=code(one.kind), where_sha256=one.where_sha256, every=one.every)
        for one in lineage.anchoring.configured
    ]
    if lineage.ledger is None or now == before:
        return False
    services.ledger.write(LedgerAnchors(anchors=now))
    return True


def is_due(anchor: AnyAnchor, known: Anchoring, size: int, now: datetime) -> bool:
    """Is the checkpoint of `size` records to be anchored there now?"""
    last = known.last.get(anchor.name)
    if last is None or last.where_sha256 != anchor.where_sha256:
        return last is None or last.size < size
    at = utc(last.at)
    return last.size < size and not now - anchor.interval < at <= now + SET_BACK


def anchor_newest(
    anchors: Sequence[AnyAnchor],
    services: Services,
    lineage: Lineage,
    *,
    every: bool = False,
    seconds: float = SECONDS,
) -> list[Outcome]:
    """Anchor the newest checkpoint where that is due, or (`every`) wherever it is not yet: all side by side, and no
    longer than `seconds`. Nothing where another process is at it. CcdrError where the ledger, or the state, cannot be
    read or written."""
    if lineage.ledger is None or not anchors:
        return []
    there, now = directory_of(services.state, lineage.ledger), services.clock.now()
    grown = read_grown(there)
    if not every and grown and not any(is_due(one, lineage.anchoring, grown.tree.size, now) for one in anchors):
        return []
    newest = newest_in(there)
    if newest is None:
        return []
    directory = there / ANCHORS
    with services.state.turn("anchors") as mine:
        return _anchored(anchors, services, newest, directory, every=every, seconds=seconds) if mine else []


def _anchored(
    anchors: Sequence[AnyAnchor],
    services: Services,
    checkpoint: Checkpoint,
    directory: Path,
    *,
    every: bool,
    seconds: float,
) -> list[Outcome]:
    lineage, now = services.lineage(), services.clock.now()
    known, size = lineage.anchoring, checkpoint.size
    held = {one.name: one for one in anchors if (last := known.last.get(one.name)) and last.size >= size}
    wanted = [one for one in anchors if one.name not in held and (every or is_due(one, known, size, now))]
    receipts: dict[str, Receipt] = {}
    calls = {one.name: _call(one, services, checkpoint, receipts) for one in wanted}
    answers = at_once(calls, seconds)
    outcomes = [Outcome(one.name, one.kind, size, utc(known.last[one.name].at)) for one in held.values() if every]
    for one in wanted:
        why = answers[one.name]
        if why is None:
            receipt = receipts[one.name]
            _record(one, services, checkpoint, receipt, directory)
            outcomes.append(Outcome(one.name, one.kind, size, receipt.at))
        else:
            outcomes.append(Outcome(one.name, one.kind, size, why=why))
    if wanted:
        _count(directory, outcomes)
    return outcomes


def _call(
    settings: AnyAnchor, services: Services, checkpoint: Checkpoint, receipts: dict[str, Receipt]
) -> Callable[[], str | None]:
    """None once its receipt is among them, or why not. One that is given up may put it there later: nobody looks."""

    def made() -> str | None:
        make = KINDS.get(settings.kind)
        if make is None:
            return f"this ccdr cannot make an anchor of the kind {settings.kind}"
        try:
            receipts[settings.name] = make(settings, services).anchor(checkpoint)
        except CcdrError as error:
            return str(error)
        return None

    return made


def _record(settings: AnyAnchor, services: Services, checkpoint: Checkpoint, receipt: Receipt, directory: Path) -> None:
    """The file first: a record of a receipt that is not there is a finding."""
    from ccdr.evidence.checkpoints.receipts import name_of

    write_durably(directory / name_of(checkpoint.size, settings.name, settings.kind), receipt.contents)
    anchored = LedgerAnchored(
        name=settings.name,
        anchor=code(settings.kind),
        size=checkpoint.size,
        at=receipt.at,
        checkpoint_sha256=sha256(checkpoint.contents).hexdigest(),
        receipt_sha256=receipt.sha256,
    )
    services.ledger.write(anchored)


def tries(services: Services, lineage: Lineage) -> Mapping[str, int]:
    """By name: how often it was tried in vain since it last held."""
    if lineage.ledger is None:
        return {}
    return _tries(directory_of(services.state, lineage.ledger) / ANCHORS)


def _tries(directory: Path) -> dict[str, int]:
    return state_or_none(directory / TRIES, dict[str, int]) or {}


def _count(directory: Path, outcomes: Iterable[Outcome]) -> None:
    before = _tries(directory)
    counted = {**before}
    for one in outcomes:
        counted[one.name] = 0 if one.why is None else before.get(one.name, 0) + 1
    if counted != before:
        write_state(directory / TRIES, counted)
