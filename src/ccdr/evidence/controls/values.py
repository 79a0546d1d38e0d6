"""What is said of a measure: in which state its parts are, and by which records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record
from ccdr.model.trouble import Problem
from ccdr.model.values import ledger_of, number_of, rfc3339

if TYPE_CHECKING:
    from ccdr.evidence.controls.known import Known


class ControlState(StrEnum):
    """How it stands with a measure, or a part of it. There is no word for more than evidence."""

    EVIDENCE_PRESENT = "evidence_present"
    NOT_COVERED = "not_covered"  # nothing here shows it: somebody must attest it, or have it done
    STALE = "stale"  # it was shown, too long ago
    FAILING = "failing"


_WORSE = tuple(ControlState)
FINDINGS = (ControlState.FAILING, ControlState.STALE)


def worst_state(states: Iterable[ControlState]) -> ControlState:
    """Of none: nothing shows it."""
    return max(states, key=_WORSE.index, default=ControlState.NOT_COVERED)


@dataclass(frozen=True)
class RecordBehind:
    """A record that something rests on; `ledger` where it is not of ours. `digest` is of its line, once looked up."""

    seq: int
    time: str
    kind: str
    ledger: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, record: Record) -> RecordBehind:
        return cls(int(number_of(record)), str(record["time"]), kind_of(record), ledger_of(record))

    def as_json(self) -> dict[str, object]:
        return {"seq": self.seq, "hash": self.digest, "time": self.time, "kind": self.kind, "ledger": self.ledger}


@dataclass(frozen=True)
class Observed:
    """What one part shows of one place: a plan, one of its assets, or this host. `step`: what to do about it."""

    state: ControlState
    text: str
    plan: str | None = None
    asset: str | None = None
    records: tuple[RecordBehind, ...] = ()
    step: str | None = None
    acknowledged: datetime | None = None  # until when, where a person has taken note of it

    @property
    def where(self) -> str:
        return "/".join(part for part in (self.plan, self.asset) if part)

    @property
    def finding(self) -> bool:
        return self.state in FINDINGS and self.acknowledged is None

    def as_json(self) -> dict[str, object]:
        return {
            "state": self.state.value,
            "text": self.text,
            "plan": self.plan,
            "asset": self.asset,
            "records": [one.as_json() for one in self.records],
            "next_step": self.step,
            "acknowledged": self.acknowledged and rfc3339(self.acknowledged),
        }


def behind(*records: Record | None) -> tuple[RecordBehind, ...]:
    """Those that there are, each once, in the ledger's order."""
    there = {RecordBehind.of(record) for record in records if record is not None}
    return tuple(sorted(there, key=lambda one: (one.ledger or "", one.seq)))


def by_problem(
    state: ControlState, problem: Problem, plan: str, asset: str | None, *records: Record | None
) -> Observed:
    """What is wrong, as the judgement has it."""
    return Observed(state, problem.text, plan, asset, behind(*records), problem.step, problem.acknowledged)


Query = Callable[["Known"], Iterator[Observed]]


@dataclass(frozen=True)
class Part:
    """One thing that belongs to a measure. `shows` asks for it; `owner` says who must attest, or have done, what
    nothing shows."""

    id: str
    measure: str
    title: str
    owner: str
    shows: Query


@dataclass(frozen=True)
class Measure:
    id: str
    title: str


@dataclass(frozen=True)
class PartState:
    """A part, and what was found of it; the worst wins."""

    part: Part
    observed: tuple[Observed, ...]

    @property
    def state(self) -> ControlState:
        return worst_state(one.state for one in self.observed)

    @property
    def finding(self) -> bool:
        return any(one.finding for one in self.observed)

    @property
    def owner(self) -> str | None:
        """Who must attest it, where something of it is not covered."""
        lacking = not self.observed or any(one.state is ControlState.NOT_COVERED for one in self.observed)
        return self.part.owner if lacking else None

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.part.id,
            "title": self.part.title,
            "state": self.state.value,
            "who_must_attest": self.owner,
            "observed": [one.as_json() for one in self.observed],
        }


@dataclass(frozen=True)
class MeasureState:
    """A measure, and how it stands with each of its parts; the worst wins."""

    measure: Measure
    parts: tuple[PartState, ...]

    @property
    def state(self) -> ControlState:
        return worst_state(part.state for part in self.parts)

    @property
    def finding(self) -> bool:
        return any(part.finding for part in self.parts)

    @property
    def evidence(self) -> tuple[RecordBehind, ...]:
        """All records behind it, each once."""
        there = dict.fromkeys(one for part in self.parts for seen in part.observed for one in seen.records)
        return tuple(sorted(there, key=lambda one: (one.ledger or "", one.seq)))

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.measure.id,
            "title": self.measure.title,
            "state": self.state.value,
            "evidence": [one.as_json() for one in self.evidence],
            "parts": [part.as_json() for part in self.parts],
        }


def with_digests(measures: Iterable[MeasureState], digest_of: Callable[[int], str | None]) -> list[MeasureState]:
    """With the hash of each record of our own ledger."""
    known: dict[int, str | None] = {}

    def looked_up(one: RecordBehind) -> RecordBehind:
        if one.ledger is not None:
            return one
        if one.seq not in known:
            known[one.seq] = digest_of(one.seq)
        return replace(one, digest=known[one.seq])

    def seen(one: Observed) -> Observed:
        return replace(one, records=tuple(map(looked_up, one.records)))

    return [
        replace(m, parts=tuple(replace(p, observed=tuple(map(seen, p.observed))) for p in m.parts)) for m in measures
    ]
